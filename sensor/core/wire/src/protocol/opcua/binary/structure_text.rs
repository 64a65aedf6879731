//! Text of structures by their definitions: `{Name: value, …}` (OPC 10000-6, 5.2.6 to 5.2.8).

use std::fmt::Write;

use super::structure::{Definition, Definitions, Field, StructureKind};
use super::structure_size as size;
use super::value_text::Pen;
use super::variant::BuiltIn;
use super::{Decode, Fault, List, NodeId, Reader, Scalar, Variant};

/// Clause of padded fields.
const PADDED: &str = "OPC 10000-14, 7.2.4.5.11";

/// How the fields of structures stand.
#[derive(Clone, Copy)]
pub(super) struct Layout<'d> {
    /// What data types are.
    pub definitions: &'d Definitions,
    /// Whether each field takes as many bytes as it may at most, where there is a most: raw fields of PubSub.
    pub is_padded: bool,
}

/// Why a text ends early.
pub(super) enum Stop {
    /// The bytes are not what the definition says, or it names types that are not known.
    Misfit,
    /// The text is full.
    Full,
}

impl From<Fault> for Stop {
    fn from(_: Fault) -> Self {
        Self::Misfit
    }
}

impl From<std::fmt::Error> for Stop {
    fn from(_: std::fmt::Error) -> Self {
        Self::Full
    }
}

/// Built-in type in which a value of a data type of the OPC UA namespace stands, if it is a simple one (OPC 10000-5, 12).
pub(super) fn simple(data_type: u32) -> Option<BuiltIn> {
    Some(BuiltIn(match data_type {
        1..=21 | 23 | 25 => u8::try_from(data_type).ok()?,
        // BaseDataType, Number, Integer, UInteger: a Variant says which.
        24 | 26..=28 => 24,
        // Structure without a definition: an ExtensionObject.
        22 => 22,
        // Image and its kinds, ApplicationInstanceCertificate, ContinuationPoint, AudioDataType.
        30 | 311 | 521 | 2000..=2003 | 16307 => 15,
        // Duration.
        290 => 11,
        // UtcTime.
        294 => 13,
        // NumericRange, LocaleId, NormalizedString, DecimalString, DurationString, TimeString, DateString, UriString, SemanticVersionString,
        // EncodedTicket, TrimmedString.
        291 | 295 | 12877..=12881 | 23751 | 24263 | 25726 | 31918 => 12,
        // AccessLevelType, EventNotifierType.
        15031 | 15033 => 3,
        // AccessRestrictionType.
        95 => 5,
        // PermissionType, IntegerId, Counter, AccessLevelExType, Index, VersionTime, Handle.
        94 | 288 | 289 | 15406 | 17588 | 20998 | 31917 => 7,
        // BitFieldMaskDataType.
        11737 => 9,
        // SessionAuthenticationToken.
        388 => 17,
        // Enumeration, IdType, NodeClass, ApplicationType, RedundancySupport, ServerState, AxisScaleEnumeration.
        29 | 256 | 257 | 307 | 851 | 852 | 12077 => 6,
        _ => return None,
    }))
}

/// Writes a structure by its definition.
pub(super) fn write_structure(
    kind: StructureKind,
    fields: &[Field],
    reader: &mut Reader<'_>,
    pen: &mut Pen<'_, '_>,
    layout: Layout<'_>,
) -> Result<(), Stop> {
    reader.deeper(|reader| Ok(fields_of(kind, fields, reader, pen, layout)))?
}

fn fields_of(
    kind: StructureKind,
    fields: &[Field],
    reader: &mut Reader<'_>,
    pen: &mut Pen<'_, '_>,
    layout: Layout<'_>,
) -> Result<(), Stop> {
    pen.write_char('{')?;
    match kind {
        StructureKind::Union | StructureKind::SubtypedUnion => {
            let number = reader.u32()?;
            if let Some(index) = number.checked_sub(1) {
                let field = usize::try_from(index).ok().and_then(|index| fields.get(index));
                let field = field.ok_or(Stop::Misfit)?;
                write_field(field, kind == StructureKind::SubtypedUnion, reader, pen, layout)?;
            }
        }
        StructureKind::Plain | StructureKind::Subtyped | StructureKind::OptionalFields => {
            let mut mask = if kind == StructureKind::OptionalFields { reader.u32()? } else { 0 };
            let mut first = true;
            for field in fields {
                if kind == StructureKind::OptionalFields && field.is_optional {
                    let there = mask & 1 != 0;
                    mask >>= 1;
                    if !there {
                        if layout.is_padded {
                            reader.take(size::of_field(field, layout.definitions).ok_or(Stop::Misfit)?, PADDED)?;
                        }
                        continue;
                    }
                }
                if !first {
                    pen.write_str(", ")?;
                }
                first = false;
                write_field(field, kind == StructureKind::Subtyped, reader, pen, layout)?;
            }
            if mask != 0 {
                return Err(Stop::Misfit);
            }
        }
    }
    Ok(pen.write_char('}')?)
}

fn write_field(
    field: &Field,
    subtyped: bool,
    reader: &mut Reader<'_>,
    pen: &mut Pen<'_, '_>,
    layout: Layout<'_>,
) -> Result<(), Stop> {
    pen.write_str(&field.name)?;
    pen.write_str(": ")?;
    match size::of_field(field, layout.definitions).filter(|_| layout.is_padded) {
        Some(size) => {
            let mut inner = Reader::new(reader.take(size, PADDED)?);
            write_content(field, subtyped, &mut inner, pen, layout)
        }
        None => write_content(field, subtyped, reader, pen, layout),
    }
}

/// Writes a field without its name.
pub(super) fn write_content(
    field: &Field,
    subtyped: bool,
    reader: &mut Reader<'_>,
    pen: &mut Pen<'_, '_>,
    layout: Layout<'_>,
) -> Result<(), Stop> {
    let count = match field.value_rank {
        -1 => return write_value(field, subtyped, reader, pen, layout),
        1 => reader.array_length(1)?,
        2.. => {
            let dimensions: List<'_, i32> = reader.list()?;
            let mut lengths = dimensions.iter().map(|length| usize::try_from(length).unwrap_or(0));
            // The rows of a matrix that is smaller than it may be are padded one by one.
            let most = field.dimensions.iter().filter_map(|most| i32::try_from(*most).ok());
            if layout.is_padded && !dimensions.iter().eq(most) {
                return Err(Stop::Misfit);
            }
            let count = if dimensions.is_empty() { Some(0) } else { lengths.try_fold(1, usize::checked_mul) };
            let count = count.filter(|count| *count <= reader.left());
            count.ok_or(Stop::Misfit)?
        }
        // Whether it is an array at all is not said: a field of a structure has to say.
        _ => return Err(Stop::Misfit),
    };
    pen.write_char('[')?;
    for index in 0..count {
        if index > 0 {
            pen.write_str(", ")?;
        }
        write_value(field, subtyped, reader, pen, layout)?;
    }
    Ok(pen.write_char(']')?)
}

fn write_value(
    field: &Field,
    subtyped: bool,
    reader: &mut Reader<'_>,
    pen: &mut Pen<'_, '_>,
    layout: Layout<'_>,
) -> Result<(), Stop> {
    if let Some(size) = size::of_value(field, layout.definitions).filter(|_| layout.is_padded) {
        let mut inner = Reader::new(reader.take(size, PADDED)?);
        return write_one(field, subtyped, &mut inner, pen, layout);
    }
    write_one(field, subtyped, reader, pen, layout)
}

fn write_one(
    field: &Field,
    subtyped: bool,
    reader: &mut Reader<'_>,
    pen: &mut Pen<'_, '_>,
    layout: Layout<'_>,
) -> Result<(), Stop> {
    let data_type = field.data_type.borrow();
    match layout.definitions.of_data_type(&data_type) {
        Some(Definition::Structure(..)) if subtyped && field.is_optional => write_built_in(BuiltIn(22), reader, pen),
        _ if subtyped && field.is_optional => write_built_in(subtyped_simple(&data_type), reader, pen),
        Some(Definition::Structure(kind, fields)) => write_structure(*kind, fields, reader, pen, layout),
        Some(Definition::Enumeration(names)) => {
            let value = i64::from(reader.i32()?);
            match names.iter().find(|(number, _)| *number == value) {
                Some((_, name)) => Ok(write!(pen, "{name} ({value})")?),
                None => Ok(write!(pen, "{value}")?),
            }
        }
        None => match data_type.standard_number().and_then(simple) {
            Some(kind) => write_built_in(kind, reader, pen),
            None => Err(Stop::Misfit),
        },
    }
}

/// How a value that may be of a subtype stands: structures as ExtensionObjects, all else as Variants (OPC 10000-6, 5.2.6).
fn subtyped_simple(data_type: &NodeId<'_>) -> BuiltIn {
    BuiltIn(if data_type.standard_number() == Some(22) { 22 } else { 24 })
}

fn write_built_in(kind: BuiltIn, reader: &mut Reader<'_>, pen: &mut Pen<'_, '_>) -> Result<(), Stop> {
    if kind.0 == 24 {
        let variant = reader.deeper(Variant::decode)?;
        return Ok(pen.variant(&variant, true)?);
    }
    let scalar = Scalar::decode(kind, reader)?;
    Ok(pen.scalar(&scalar, true)?)
}
