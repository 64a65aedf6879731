//! Columns of lists: of sixteen-bit words, and of structures.

use std::sync::Arc;

use arrow_array::types::UInt16Type;
use arrow_array::{ArrayRef, ListArray, PrimitiveArray, StructArray};
use arrow_schema::{DataType, Field, Fields};

use super::text::Runs;
use super::{Column, Grow};

/// Sixteen-bit words as they come off the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words<'a> {
    /// Null.
    None,
    /// Big-endian registers; an odd last byte is left out.
    Registers(&'a [u8]),
    /// Bits, least significant first, as 0 and 1: `count` of them, or as many as there are bytes for.
    Bits(&'a [u8], u16),
    /// Words that are numbers already.
    Numbers(&'a [u16]),
}

/// Lists of sixteen-bit words.
#[derive(Default)]
pub struct WordLists {
    runs: Runs<u16>,
}

impl Grow<Words<'_>> for WordLists {
    #[inline]
    fn grow(&mut self, row: usize, words: Words<'_>) {
        let values = &mut self.runs.values;
        match words {
            Words::None => return,
            Words::Registers(bytes) => values.extend(bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair))),
            Words::Bits(bytes, count) => {
                let bits = bytes.iter().flat_map(|byte| (0..8).map(move |bit| u16::from(byte >> bit & 1)));
                values.extend(bits.take(usize::from(count)));
            }
            Words::Numbers(numbers) => values.extend_from_slice(numbers),
        }
        self.runs.close(row);
    }
}

impl WordLists {
    /// The values of the last row that is not null.
    #[inline]
    pub fn last(&self) -> &[u16] {
        let start = self.runs.offsets.iter().nth_back(1).copied().unwrap_or_default();
        self.runs.values.get(start as usize..).unwrap_or_default()
    }
}

impl Column for WordLists {
    fn data_type(&self) -> DataType {
        DataType::List(Arc::new(Field::new("item", DataType::UInt16, false)))
    }
    fn kind(&self) -> &'static str {
        "list<u16>"
    }
    fn variable_bytes(&self) -> usize {
        self.runs.values.len() * 2
    }
    fn clear(&mut self) {
        self.runs.clear();
    }
    fn finish(&mut self, rows: usize) -> ArrayRef {
        let (offsets, values, validity) = self.runs.finish(rows);
        let values = PrimitiveArray::<UInt16Type>::new(values.into(), None);
        let item = Arc::new(Field::new("item", DataType::UInt16, false));
        Arc::new(ListArray::new(item, offsets, Arc::new(values), validity))
    }
}

/// An element of a list of structures: its fields' names and the columns that hold them.
pub trait Element: Default {
    /// One element, as the caller has it.
    type Item<'a>;
    /// Kind of the list column, as in `list<counter>`.
    const KIND: &'static str;
    /// Names and columns of the fields, in order.
    fn columns(&mut self) -> Vec<(&'static str, &mut dyn Column)>;
    /// Adds one element behind the `row` that there are.
    fn push(&mut self, row: usize, item: Self::Item<'_>);
}

/// Lists of structures.
pub struct StructLists<E: Element> {
    runs: Runs<()>,
    element: E,
}

impl<E: Element> Default for StructLists<E> {
    fn default() -> Self {
        Self { runs: Runs::default(), element: E::default() }
    }
}

impl<'a, E: Element> Grow<Option<&[E::Item<'a>]>> for StructLists<E>
where
    E::Item<'a>: Copy,
{
    #[inline]
    fn grow(&mut self, row: usize, items: Option<&[E::Item<'a>]>) {
        let Some(items) = items else { return };
        for item in items {
            self.element.push(self.runs.values.len(), *item);
            self.runs.values.push(());
        }
        self.runs.close(row);
    }
}

impl<E: Element> StructLists<E> {
    fn fields() -> Fields {
        E::default().columns().iter().map(|(name, column)| Field::new(*name, column.data_type(), false)).collect()
    }
}

impl<E: Element> Column for StructLists<E> {
    fn data_type(&self) -> DataType {
        DataType::List(Arc::new(Field::new("item", DataType::Struct(Self::fields()), false)))
    }
    fn kind(&self) -> &'static str {
        E::KIND
    }
    fn variable_bytes(&self) -> usize {
        self.runs.values.len() * 32
    }
    fn clear(&mut self) {
        self.runs.clear();
        self.element.columns().into_iter().for_each(|(_, column)| column.clear());
    }
    fn finish(&mut self, rows: usize) -> ArrayRef {
        let (offsets, elements, validity) = self.runs.finish(rows);
        let fields = Self::fields();
        let columns = self.element.columns().into_iter().map(|(_, column)| column.finish(elements.len())).collect();
        let elements = StructArray::new(fields.clone(), columns, None);
        let item = Arc::new(Field::new("item", DataType::Struct(fields), false));
        Arc::new(ListArray::new(item, offsets, Arc::new(elements), validity))
    }
}
