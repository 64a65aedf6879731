//! Definitions of structures and enumerations, as servers tell them: in the DataTypeDefinition attribute (OPC 10000-3, 8.48 to 8.52) and in data
//! type dictionaries.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::{
    Body, Decode, ExtensionObject, Fault, FaultKind, Guid, Identifier, List, LocalizedText, NodeId, Reader, Text, structure,
};

/// Definitions that are kept of one server, at most.
pub const DEFINITIONS: usize = 1_024;
/// Fields that are kept of one definition, at most.
pub const FIELDS: usize = 512;
/// Dimensions that are kept of a field, at most.
pub const DIMENSIONS: usize = 8;
/// Bytes that are kept of a name, at most.
pub const NAME_BYTES: usize = 256;

/// Binary encodings (OPC 10000-6, annex A).
const STRUCTURE_DEFINITION: u32 = 122;
const ENUM_DEFINITION: u32 = 123;
const CLAUSE: &str = "OPC 10000-3, 8.48";

/// A NodeId that owns its identifier.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OwnedNodeId {
    namespace: u16,
    identifier: OwnedIdentifier,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum OwnedIdentifier {
    Numeric(u32),
    String(Box<[u8]>),
    Guid(Guid),
    Opaque(Box<[u8]>),
}

impl OwnedNodeId {
    /// The same, borrowed.
    pub fn borrow(&self) -> NodeId<'_> {
        let identifier = match &self.identifier {
            OwnedIdentifier::Numeric(number) => Identifier::Numeric(*number),
            OwnedIdentifier::String(bytes) => Identifier::String(bytes),
            OwnedIdentifier::Guid(guid) => Identifier::Guid(*guid),
            OwnedIdentifier::Opaque(bytes) => Identifier::Opaque(bytes),
        };
        NodeId { namespace: self.namespace, identifier }
    }
}

impl From<&NodeId<'_>> for OwnedNodeId {
    fn from(node: &NodeId<'_>) -> Self {
        let identifier = match node.identifier {
            Identifier::Numeric(number) => OwnedIdentifier::Numeric(number),
            Identifier::String(bytes) => OwnedIdentifier::String(bytes.into()),
            Identifier::Guid(guid) => OwnedIdentifier::Guid(guid),
            Identifier::Opaque(bytes) => OwnedIdentifier::Opaque(bytes.into()),
        };
        Self { namespace: node.namespace, identifier }
    }
}

/// How the fields of a structure stand in its encoding (OPC 10000-3, 8.49).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StructureKind {
    /// All of them, in order (OPC 10000-6, 5.2.6).
    Plain,
    /// Behind a mask of those that are there (OPC 10000-6, 5.2.7).
    OptionalFields,
    /// One, behind its number (OPC 10000-6, 5.2.8).
    Union,
    /// All of them; those that are optional are of any subtype (OPC 10000-6, 5.2.6).
    Subtyped,
    /// One, behind its number; those that are optional are of any subtype (OPC 10000-6, 5.2.8).
    SubtypedUnion,
}

/// A field of a structure (OPC 10000-3, 8.51).
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name, escaped where it is no UTF-8.
    pub name: Box<str>,
    /// Its data type.
    pub data_type: OwnedNodeId,
    /// −1 a value alone, 1 an array, more a matrix of so many dimensions.
    pub value_rank: i32,
    /// Most elements of each dimension; 0 is no limit. Not asked but where fields are padded (OPC 10000-14, 7.2.4.5.11).
    pub dimensions: Box<[u32]>,
    /// Most bytes of a String or ByteString; 0 is no limit.
    pub max_string_length: u32,
    /// In a structure with optional fields: whether it may be missing. In one with subtypes: whether it may be of a subtype.
    pub is_optional: bool,
}

/// A data type that was told.
#[derive(Clone, Debug, PartialEq)]
pub enum Definition {
    /// A structure.
    Structure(StructureKind, Box<[Field]>),
    /// An enumeration: its values and their names.
    Enumeration(Box<[(i64, Box<str>)]>),
}

structure! {
    struct FieldOnWire<'a> {
        name: Text<'a>,
        description: LocalizedText<'a>,
        data_type: NodeId<'a>,
        value_rank: i32,
        array_dimensions: List<'a, u32>,
        max_string_length: u32,
        is_optional: bool,
    }
}

structure! {
    struct EnumFieldOnWire<'a> {
        value: i64,
        display_name: LocalizedText<'a>,
        description: LocalizedText<'a>,
        name: Text<'a>,
    }
}

/// A name as it is kept.
pub(in crate::protocol::opcua) fn owned_name(name: Text<'_>) -> Box<str> {
    let name = name.unwrap_or_default();
    let mut text = String::new();
    super::text::write_escaped(name.get(..NAME_BYTES).unwrap_or(name), &mut text);
    text.into()
}

fn few<T>(list: &List<'_, T>, reader: &Reader<'_>) -> Result<(), Fault> {
    if list.len() > FIELDS { Err(reader.fault(FaultKind::TooMany, CLAUSE)) } else { Ok(()) }
}

impl Definition {
    /// Reads the value of a DataTypeDefinition attribute: the definition, and of a structure the NodeId of its binary encoding. `None`: it is
    /// neither a StructureDefinition nor an EnumDefinition.
    pub fn read<'a>(object: &ExtensionObject<'a>) -> Option<Result<(Self, NodeId<'a>), Fault>> {
        let Body::Binary(body) = object.body else { return None };
        let mut reader = Reader::new(body);
        match object.type_id.standard_number() {
            Some(STRUCTURE_DEFINITION) => Some(Self::read_structure(&mut reader)),
            Some(ENUM_DEFINITION) => Some(Self::read_enumeration(&mut reader).map(|found| (found, NodeId::standard(0)))),
            _ => None,
        }
    }

    /// Reads a StructureDefinition: the definition, and the NodeId of its binary encoding.
    pub(in crate::protocol::opcua) fn read_structure<'a>(reader: &mut Reader<'a>) -> Result<(Self, NodeId<'a>), Fault> {
        let encoding = NodeId::decode(reader)?;
        NodeId::decode(reader)?;
        let kind = match reader.u32()? {
            0 => StructureKind::Plain,
            1 => StructureKind::OptionalFields,
            2 => StructureKind::Union,
            3 => StructureKind::Subtyped,
            4 => StructureKind::SubtypedUnion,
            _ => return Err(reader.fault(FaultKind::UnknownEncoding, "OPC 10000-3, 8.49")),
        };
        let fields: List<'a, FieldOnWire<'a>> = reader.list()?;
        few(&fields, reader)?;
        let fields = fields.iter().map(|field| Field {
            name: owned_name(field.name),
            data_type: OwnedNodeId::from(&field.data_type),
            value_rank: field.value_rank,
            dimensions: field.array_dimensions.iter().take(DIMENSIONS).collect(),
            max_string_length: field.max_string_length,
            is_optional: field.is_optional,
        });
        Ok((Self::Structure(kind, fields.collect()), encoding))
    }

    /// Reads an EnumDefinition.
    pub(in crate::protocol::opcua) fn read_enumeration(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        let fields: List<'_, EnumFieldOnWire<'_>> = reader.list()?;
        few(&fields, reader)?;
        Ok(Self::Enumeration(fields.iter().map(|field| (field.value, owned_name(field.name))).collect()))
    }

    /// A structure of plain fields of the OPC UA namespace: names, data types and ranks.
    pub(super) fn plain(fields: &[(&str, u32, i32)]) -> Self {
        let fields = fields.iter().map(|(name, data_type, value_rank)| Field {
            name: (*name).into(),
            data_type: OwnedNodeId::from(&NodeId::standard(*data_type)),
            value_rank: *value_rank,
            dimensions: Box::default(),
            max_string_length: 0,
            is_optional: false,
        });
        Self::Structure(StructureKind::Plain, fields.collect())
    }
}

/// The node that stands for a type which is known by its name in a data type dictionary: of the last namespace, which no server has.
pub(super) fn described(name: &[u8]) -> NodeId<'_> {
    NodeId { namespace: u16::MAX, identifier: Identifier::String(name) }
}

/// Definitions known of one server: those of the specification that values often have, and those that it told.
#[derive(Clone, Debug)]
pub struct Definitions {
    by_data_type: HashMap<OwnedNodeId, Definition, FixedState>,
    data_type_of_encoding: HashMap<OwnedNodeId, OwnedNodeId, FixedState>,
}

impl Default for Definitions {
    fn default() -> Self {
        let mut definitions = Self { by_data_type: HashMap::default(), data_type_of_encoding: HashMap::default() };
        for (data_type, encoding, fields) in super::standard_structure::STANDARD {
            definitions.insert(&NodeId::standard(*data_type), &NodeId::standard(*encoding), Definition::plain(fields));
        }
        definitions
    }
}

impl Definitions {
    /// Keeps what a server told of a data type: the value of its DataTypeDefinition attribute. Returns whether it is kept: it is not where it is
    /// no definition, breaks the encoding, or where there are `DEFINITIONS` others. What the specification defines is not replaced.
    pub fn learn(&mut self, data_type: &NodeId<'_>, value: &ExtensionObject<'_>) -> bool {
        if data_type.namespace == 0 {
            return false;
        }
        match Definition::read(value) {
            Some(Ok((definition, encoding))) => self.insert(data_type, &encoding, definition),
            _ => false,
        }
    }

    /// Keeps the types of a data type dictionary (OPC 10000-3, annex C). Returns how many. Their encodings are told by `describe`.
    pub fn learn_dictionary(&mut self, xml: &[u8]) -> usize {
        let types = super::dictionary::types(xml);
        types.into_iter().filter(|(name, _)| !name.is_empty()).fold(0, |count, (name, definition)| {
            count + usize::from(self.insert(&described(name.as_bytes()), &NodeId::standard(0), definition))
        })
    }

    /// Keeps that an encoding is described by the type of this name in a data type dictionary, whichever is told first.
    pub fn describe(&mut self, encoding: &NodeId<'_>, name: &str) {
        let is_known = self.data_type_of_encoding.contains_key(&OwnedNodeId::from(encoding));
        if encoding.namespace != 0 && !is_known && self.data_type_of_encoding.len() < DEFINITIONS && name.len() <= NAME_BYTES {
            self.data_type_of_encoding.insert(encoding.into(), OwnedNodeId::from(&described(name.as_bytes())));
        }
    }

    /// Keeps a definition of a data type with the NodeId of its encoding. Returns whether there was room.
    pub(in crate::protocol::opcua) fn insert(
        &mut self,
        data_type: &NodeId<'_>,
        encoding: &NodeId<'_>,
        definition: Definition,
    ) -> bool {
        let data_type = OwnedNodeId::from(data_type);
        if self.by_data_type.len() >= DEFINITIONS && !self.by_data_type.contains_key(&data_type) {
            return false;
        }
        if !encoding.is_null() && self.data_type_of_encoding.len() < DEFINITIONS {
            self.data_type_of_encoding.insert(encoding.into(), data_type.clone());
        }
        self.by_data_type.insert(data_type, definition);
        true
    }

    /// Definition of a data type.
    pub fn of_data_type(&self, data_type: &NodeId<'_>) -> Option<&Definition> {
        self.by_data_type.get(&OwnedNodeId::from(data_type))
    }

    /// Definition of the structure that an encoding is of.
    pub fn of_encoding(&self, encoding: &NodeId<'_>) -> Option<&Definition> {
        self.by_data_type.get(self.data_type_of_encoding.get(&OwnedNodeId::from(encoding))?)
    }

    /// How many are known.
    pub fn len(&self) -> usize {
        self.by_data_type.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.by_data_type.is_empty()
    }
}
