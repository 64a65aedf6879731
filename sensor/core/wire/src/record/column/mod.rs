//! Growing columns: plain vectors while rows come in, Arrow arrays at the cut without a copy.
//!
//! A null costs nothing: a column is told of the rows that are not null, each with its number, and fills up what lies between.

mod choice;
mod list;
mod names;
mod number;
mod text;
mod validity;

use arrow_array::ArrayRef;
use arrow_schema::DataType;

pub use choice::{Choice, Word};
pub use list::{Element, StructLists, WordLists, Words};
pub use names::{Name, Names};
pub use number::{Flags, Native, Number, Optional, Times, Timestamps};
pub use text::{Binaries, TextList, TextLists, Texts};

/// What every column can do; the tables are lists of these.
pub trait Column {
    /// Arrow type of the finished array.
    fn data_type(&self) -> DataType;
    /// Kind as in the table declarations (`sensor/tables.py`).
    fn kind(&self) -> &'static str;
    /// Takes so many rows out as an Arrow array and starts anew; those behind the last that the column was told of are null.
    fn finish(&mut self, rows: usize) -> ArrayRef;
    /// Drops the rows and starts anew in the memory that there is.
    fn clear(&mut self);
    /// Bytes held for variable-width values, beyond `WIDTH` for each row.
    fn variable_bytes(&self) -> usize {
        0
    }
    /// The values of a choice column, in key order.
    fn choices(&self) -> &'static [&'static str] {
        &[]
    }
}

/// A column that grows by a value of this type.
pub trait Grow<V> {
    /// Adds a row behind the `row` rows that the table has. Nulls need not be added.
    fn grow(&mut self, row: usize, value: V);
}

/// Takes a vector out of its place and leaves an empty one behind that has room for as many values and some more: batches differ a little, and a
/// vector that is too small by one value is copied into one of twice the size.
fn take<T>(values: &mut Vec<T>) -> Vec<T> {
    let length = values.len();
    std::mem::replace(values, Vec::with_capacity(length + length / 8))
}

/// Catches up with rows that were null, and for which nothing was added.
#[inline]
fn pad<T: Copy>(values: &mut Vec<T>, rows: usize, value: T) {
    if values.len() < rows {
        values.resize(rows, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::cast::AsArray as _;
    use arrow_array::types::UInt16Type;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_come_back_as_they_went_in_wherever_the_nulls_are(rows in proptest::collection::vec(proptest::option::of(any::<u16>()), 0..80)) {
            let mut numbers = Optional::<UInt16Type>::default();
            let mut lists = WordLists::default();
            // A column goes on after a cut, and after its rows were dropped.
            for is_dropped in [false, true, false] {
                for (at, row) in rows.iter().enumerate() {
                    numbers.grow(at, *row);
                    let words: Vec<u16> = row.iter().flat_map(|value| (0..*value % 4).map(move |more| value ^ more)).collect();
                    lists.grow(at, if row.is_some() { Words::Numbers(&words) } else { Words::None });
                    if row.is_some() {
                        prop_assert_eq!(lists.last(), words.as_slice());
                    }
                }
                if is_dropped {
                    numbers.clear();
                    lists.clear();
                    continue;
                }
                let array = numbers.finish(rows.len());
                prop_assert_eq!(array.as_primitive::<UInt16Type>().iter().collect::<Vec<_>>(), rows.clone());
                let array = lists.finish(rows.len());
                prop_assert_eq!(array.len(), rows.len());
                for (list, row) in array.as_list::<i32>().iter().zip(&rows) {
                    let found = list.map(|list| list.as_primitive::<UInt16Type>().values().to_vec());
                    let expected = row.map(|value| (0..value % 4).map(|more| value ^ more).collect::<Vec<u16>>());
                    prop_assert_eq!(found, expected);
                }
            }
        }
    }
}
