//! Sizes of fields that are padded to what they may hold at most, so that each has a fixed place (OPC 10000-14, 7.2.4.5.11).

use super::structure::{Definition, Definitions, Field, StructureKind};
use super::structure_text::simple;

/// Structures nested deeper than this have no size.
const DEPTH: u8 = 16;
/// Fields that are looked at for one size, at most: structures of structures multiply.
const LOOKS: u32 = 1_024;

/// Bytes of a padded field. None where it has no most: its type is not known or has no fixed size, or lengths are not limited.
pub(super) fn of_field(field: &Field, definitions: &Definitions) -> Option<usize> {
    field_size(field, definitions, 0, &mut { LOOKS })
}

/// Bytes of one padded value of a field.
pub(super) fn of_value(field: &Field, definitions: &Definitions) -> Option<usize> {
    value_size(field, definitions, 0, &mut { LOOKS })
}

fn field_size(field: &Field, definitions: &Definitions, depth: u8, looks: &mut u32) -> Option<usize> {
    let value = value_size(field, definitions, depth, looks)?;
    let rank = match field.value_rank {
        -1 => return Some(value),
        rank => usize::try_from(rank).ok().filter(|rank| *rank > 0 && *rank == field.dimensions.len())?,
    };
    let count = field.dimensions.iter().try_fold(1_usize, |count, most| count.checked_mul(usize::try_from(*most).ok()?))?;
    // An array has its length in front, a matrix the number of dimensions and their lengths (OPC 10000-6, 5.2.5).
    let lengths = if rank == 1 { 4 } else { rank.checked_mul(4)?.checked_add(4)? };
    (count > 0).then(|| count.checked_mul(value)?.checked_add(lengths))?
}

fn value_size(field: &Field, definitions: &Definitions, depth: u8, looks: &mut u32) -> Option<usize> {
    *looks = looks.checked_sub(1)?;
    let data_type = field.data_type.borrow();
    match definitions.of_data_type(&data_type) {
        Some(Definition::Enumeration(_)) => Some(4),
        Some(Definition::Structure(kind, fields)) if depth < DEPTH => {
            let mut sizes = fields.iter().map(|field| field_size(field, definitions, depth.saturating_add(1), looks));
            match kind {
                StructureKind::Plain => sizes.try_fold(0_usize, |sum, size| sum.checked_add(size?)),
                StructureKind::OptionalFields => sizes.try_fold(4_usize, |sum, size| sum.checked_add(size?)),
                StructureKind::Union => sizes.try_fold(0, |most, size| Some(size?.max(most)))?.checked_add(4),
                StructureKind::Subtyped | StructureKind::SubtypedUnion => None,
            }
        }
        Some(Definition::Structure(..)) => None,
        None => match simple(data_type.standard_number()?)?.0 {
            1..=3 => Some(1),
            4 | 5 => Some(2),
            6 | 7 | 10 | 19 => Some(4),
            8 | 9 | 11 | 13 => Some(8),
            14 => Some(16),
            12 | 15 if field.max_string_length > 0 => usize::try_from(field.max_string_length).ok()?.checked_add(4),
            _ => None,
        },
    }
}
