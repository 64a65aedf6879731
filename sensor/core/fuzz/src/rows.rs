//! The rows of all tables, to compare what two readings of the same bytes make.

use arrow_array::Array as _;
use arrow_data::ArrayData;
use wire::record::{Batch, Records};

/// Rows of a table: its name and how many.
pub type Rows = Vec<(&'static str, usize)>;

/// How many rows each table has that has any.
pub fn counts(records: &mut Records) -> Rows {
    records.tables().into_iter().filter(|table| table.rows() > 0).map(|table| (table.name(), table.rows())).collect()
}

/// The same tables with the same rows.
///
/// # Panics
/// They are not.
pub fn assert_same(one: &[Batch], other: &[Batch], how: &str) {
    let names = |batches: &[Batch]| batches.iter().map(|batch| (batch.table, batch.records.num_rows())).collect::<Rows>();
    assert_eq!(names(one), names(other), "{how}: other rows");
    for (one, other) in one.iter().zip(other) {
        for ((column, one), field) in one.records.columns().iter().zip(other.records.columns()).zip(one.records.schema().fields())
        {
            assert!(column == one, "{how}: {}: {}: {column:?} and {one:?}", other.table, field.name());
        }
    }
}

/// Whether these bytes stand anywhere in the rows: in a text, in bytes, or across numbers.
pub fn has_bytes(batches: &[Batch], bytes: &[u8]) -> bool {
    fn has(data: &ArrayData, bytes: &[u8]) -> bool {
        let is_in = |buffer: &[u8]| buffer.windows(bytes.len()).any(|window| window == bytes);
        data.buffers().iter().any(|buffer| is_in(buffer)) || data.child_data().iter().any(|child| has(child, bytes))
    }
    batches.iter().flat_map(|batch| batch.records.columns()).any(|column| has(&column.to_data(), bytes))
}
