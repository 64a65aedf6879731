//! Variant: a value of any built-in type, alone, in an array or in a matrix (OPC 10000-6, 5.2.2.16).

use super::{
    DataValue, Decode, DiagnosticInfo, ExpandedNodeId, ExtensionObject, Fault, FaultKind, Guid, List, LocalizedText, NodeId,
};
use super::{QualifiedName, Reader, Text};

const CLAUSE: &str = "OPC 10000-6, 5.2.2.16";

/// Flags of the encoding byte.
const ARRAY: u8 = 0x80;
const DIMENSIONS: u8 = 0x40;

/// Number of a built-in type (OPC 10000-6, 5.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BuiltIn(pub u8);

impl BuiltIn {
    /// Name of the type. Numbers 26 to 31 are reserved, and read as ByteString.
    pub fn name(self) -> &'static str {
        const NAMES: [&str; 26] = [
            "Null",
            "Boolean",
            "SByte",
            "Byte",
            "Int16",
            "UInt16",
            "Int32",
            "UInt32",
            "Int64",
            "UInt64",
            "Float",
            "Double",
            "String",
            "DateTime",
            "Guid",
            "ByteString",
            "XmlElement",
            "NodeId",
            "ExpandedNodeId",
            "StatusCode",
            "QualifiedName",
            "LocalizedText",
            "ExtensionObject",
            "DataValue",
            "Variant",
            "DiagnosticInfo",
        ];
        NAMES.get(usize::from(self.0)).copied().unwrap_or("ByteString")
    }

    /// Bytes of a value of a type that always takes as many, but no Boolean: its bytes want a look.
    fn size(self) -> Option<usize> {
        match self.0 {
            2 | 3 => Some(1),
            4 | 5 => Some(2),
            6 | 7 | 10 | 19 => Some(4),
            8 | 9 | 11 | 13 => Some(8),
            14 => Some(16),
            _ => None,
        }
    }

    /// Least bytes of a value.
    fn least(self) -> usize {
        match self.0 {
            12 | 15 | 16 | 26.. => 4,
            17 | 18 => NodeId::LEAST,
            20 => QualifiedName::LEAST,
            22 => ExtensionObject::LEAST,
            _ => self.size().unwrap_or(1),
        }
    }
}

/// A whole value of type `T` inside of a Variant, still encoded: types that hold each other cannot hold each other decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nested<'a>(&'a [u8]);

impl<'a> Nested<'a> {
    fn decode<T: Decode<'a>>(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        let start = reader.position();
        reader.deeper(T::decode)?;
        Ok(Self(reader.since(start)))
    }

    /// Decodes it. It was decoded before, so that there is none only if it is not asked for as what it is.
    pub fn get<T: Decode<'a>>(&self) -> Option<T> {
        T::decode(&mut Reader::new(self.0)).ok()
    }
}

/// One value of a built-in type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar<'a> {
    /// Boolean.
    Boolean(bool),
    /// SByte.
    SByte(i8),
    /// Byte.
    Byte(u8),
    /// Int16.
    Int16(i16),
    /// UInt16.
    UInt16(u16),
    /// Int32.
    Int32(i32),
    /// UInt32.
    UInt32(u32),
    /// Int64.
    Int64(i64),
    /// UInt64.
    UInt64(u64),
    /// Float.
    Float(f32),
    /// Double.
    Double(f64),
    /// String.
    String(Text<'a>),
    /// DateTime in nanoseconds since 1970; `None` is no time.
    DateTime(Option<i64>),
    /// Guid.
    Guid(Guid),
    /// ByteString.
    ByteString(Text<'a>),
    /// XmlElement.
    XmlElement(Text<'a>),
    /// NodeId.
    NodeId(NodeId<'a>),
    /// ExpandedNodeId.
    ExpandedNodeId(ExpandedNodeId<'a>),
    /// StatusCode.
    StatusCode(u32),
    /// QualifiedName.
    QualifiedName(QualifiedName<'a>),
    /// LocalizedText.
    LocalizedText(LocalizedText<'a>),
    /// ExtensionObject.
    ExtensionObject(ExtensionObject<'a>),
    /// A `DataValue`.
    DataValue(Nested<'a>),
    /// A `Variant`: an element of an array of Variants.
    Variant(Nested<'a>),
    /// A `DiagnosticInfo`.
    DiagnosticInfo(Nested<'a>),
    /// A type number that is reserved: to be read as a ByteString.
    Reserved(u8, Text<'a>),
}

impl<'a> Scalar<'a> {
    /// Reads a value of a type other than Null.
    pub(in crate::protocol::opcua) fn decode(kind: BuiltIn, reader: &mut Reader<'a>) -> Result<Self, Fault> {
        Ok(match kind.0 {
            1 => Self::Boolean(reader.boolean()?),
            2 => Self::SByte(reader.i8()?),
            3 => Self::Byte(reader.u8()?),
            4 => Self::Int16(reader.i16()?),
            5 => Self::UInt16(reader.u16()?),
            6 => Self::Int32(reader.i32()?),
            7 => Self::UInt32(reader.u32()?),
            8 => Self::Int64(reader.i64()?),
            9 => Self::UInt64(reader.u64()?),
            10 => Self::Float(reader.f32()?),
            11 => Self::Double(reader.f64()?),
            12 => Self::String(reader.string()?),
            13 => Self::DateTime(reader.date_time()?),
            14 => Self::Guid(reader.guid()?),
            15 => Self::ByteString(reader.byte_string()?),
            16 => Self::XmlElement(reader.string()?),
            17 => Self::NodeId(reader.read()?),
            18 => Self::ExpandedNodeId(reader.read()?),
            19 => Self::StatusCode(reader.status_code()?),
            20 => Self::QualifiedName(reader.read()?),
            21 => Self::LocalizedText(reader.read()?),
            22 => Self::ExtensionObject(reader.read()?),
            23 => Self::DataValue(Nested::decode::<DataValue<'a>>(reader)?),
            24 => Self::Variant(Nested::decode::<Variant<'a>>(reader)?),
            25 => Self::DiagnosticInfo(Nested::decode::<DiagnosticInfo<'a>>(reader)?),
            26..=31 => Self::Reserved(kind.0, reader.byte_string()?),
            _ => return Err(reader.fault(FaultKind::UnknownEncoding, CLAUSE)),
        })
    }

    /// Its type.
    pub fn built_in(&self) -> BuiltIn {
        BuiltIn(match self {
            Self::Boolean(_) => 1,
            Self::SByte(_) => 2,
            Self::Byte(_) => 3,
            Self::Int16(_) => 4,
            Self::UInt16(_) => 5,
            Self::Int32(_) => 6,
            Self::UInt32(_) => 7,
            Self::Int64(_) => 8,
            Self::UInt64(_) => 9,
            Self::Float(_) => 10,
            Self::Double(_) => 11,
            Self::String(_) => 12,
            Self::DateTime(_) => 13,
            Self::Guid(_) => 14,
            Self::ByteString(_) => 15,
            Self::XmlElement(_) => 16,
            Self::NodeId(_) => 17,
            Self::ExpandedNodeId(_) => 18,
            Self::StatusCode(_) => 19,
            Self::QualifiedName(_) => 20,
            Self::LocalizedText(_) => 21,
            Self::ExtensionObject(_) => 22,
            Self::DataValue(_) => 23,
            Self::Variant(_) => 24,
            Self::DiagnosticInfo(_) => 25,
            Self::Reserved(number, _) => *number,
        })
    }

    /// The number that it is, of numbers and Booleans; 64-bit integers lose what a double cannot hold.
    pub fn number(&self) -> Option<f64> {
        Some(match *self {
            Self::Boolean(value) => f64::from(u8::from(value)),
            Self::SByte(value) => f64::from(value),
            Self::Byte(value) => f64::from(value),
            Self::Int16(value) => f64::from(value),
            Self::UInt16(value) => f64::from(value),
            Self::Int32(value) => f64::from(value),
            Self::UInt32(value) => f64::from(value),
            Self::Int64(value) => value as f64,
            Self::UInt64(value) => value as f64,
            Self::Float(value) => f64::from(value),
            Self::Double(value) => value,
            _ => return None,
        })
    }
}

/// An array or a matrix of values of one type, kept as the bytes that they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Array<'a> {
    kind: BuiltIn,
    count: usize,
    raw: &'a [u8],
    dimensions: List<'a, i32>,
}

impl<'a> Array<'a> {
    /// Type of the elements.
    pub fn built_in(&self) -> BuiltIn {
        self.kind
    }

    /// How many elements.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The elements, of a matrix in the order of the wire: the last dimension turns fastest.
    pub fn iter(&self) -> impl Iterator<Item = Scalar<'a>> + use<'a> {
        let (kind, mut reader) = (self.kind, Reader::new(self.raw));
        (0..self.count).map_while(move |_| Scalar::decode(kind, &mut reader).ok())
    }

    /// Lengths of a matrix' dimensions; empty for an array of one dimension.
    pub fn dimensions(&self) -> List<'a, i32> {
        self.dimensions
    }

    fn decode(mask: u8, reader: &mut Reader<'a>) -> Result<Self, Fault> {
        let kind = BuiltIn(mask & 0x3F);
        let count = reader.array_length(kind.least())?;
        let start = reader.position();
        match kind.size() {
            Some(size) => drop(reader.take(count.saturating_mul(size), CLAUSE)?),
            None => {
                for _ in 0..count {
                    Scalar::decode(kind, reader)?;
                }
            }
        }
        let raw = reader.since(start);
        let dimensions: List<'a, i32> = if mask & DIMENSIONS != 0 { reader.read()? } else { List::default() };
        let product = dimensions.iter().map(|length| usize::try_from(length).unwrap_or(0)).try_fold(1_usize, usize::checked_mul);
        if !dimensions.is_empty() && product != Some(count) {
            reader.note(FaultKind::InvalidValue, CLAUSE);
        }
        Ok(Self { kind, count, raw, dimensions })
    }
}

/// A value of any built-in type.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Variant<'a> {
    /// No value.
    #[default]
    Null,
    /// One value.
    Scalar(Scalar<'a>),
    /// Many.
    Array(Array<'a>),
}

/// Type of a Double.
const DOUBLE: u8 = 11;

impl<'a> Variant<'a> {
    /// Reads what is nested one deeper and is a Double, as most values of a plant are: in one look at its bytes.
    #[inline]
    pub(super) fn double(reader: &mut Reader<'a>) -> Option<Self> {
        match reader.peek::<9>()? {
            [DOUBLE, bits @ ..] if reader.may_go_deeper() => {
                let number = f64::from_le_bytes(*bits);
                reader.skip(9);
                Some(Self::Scalar(Scalar::Double(number)))
            }
            _ => None,
        }
    }

    /// Type of the value or of its elements.
    pub fn built_in(&self) -> BuiltIn {
        match self {
            Self::Null => BuiltIn(0),
            Self::Scalar(scalar) => scalar.built_in(),
            Self::Array(array) => array.built_in(),
        }
    }

    /// Name of that type, as `Double`.
    pub fn type_name(&self) -> &'static str {
        self.built_in().name()
    }

    /// The number that it is, of numbers and Booleans alone.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Scalar(scalar) => scalar.number(),
            _ => None,
        }
    }
}

impl<'a> Decode<'a> for Variant<'a> {
    const LEAST: usize = 1;

    fn decode(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        let mask = reader.u8()?;
        let kind = BuiltIn(mask & 0x3F);
        if kind.0 > 31 || (kind.0 == 0 && mask != 0) {
            return Err(reader.fault(FaultKind::UnknownEncoding, CLAUSE));
        }
        if kind.0 == 0 {
            return Ok(Self::Null);
        }
        if mask & ARRAY != 0 {
            return Array::decode(mask, reader).map(Self::Array);
        }
        // A Variant holds Variants in arrays only, and dimensions are of arrays.
        if kind.0 == 24 || mask & DIMENSIONS != 0 {
            reader.note(FaultKind::InvalidValue, CLAUSE);
        }
        let scalar = Scalar::decode(kind, reader)?;
        Ok(Self::Scalar(scalar))
    }
}
