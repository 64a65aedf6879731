//! Columns of text that rarely repeats, of bytes, and of lists of texts.

use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, ListArray, StringArray};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field};

use super::validity::Validity;
use super::{Column, Grow, pad, take};

/// Bytes with offsets: the ground of text, binary and lists.
pub(super) struct Runs<T> {
    /// Ends of the rows up to the last that is not null, behind a 0.
    pub(super) offsets: Vec<i32>,
    pub(super) values: Vec<T>,
    validity: Validity,
}

impl<T> Default for Runs<T> {
    fn default() -> Self {
        Self { offsets: vec![0], values: Vec::new(), validity: Validity::default() }
    }
}

impl<T> Runs<T> {
    /// Ends the row of this number.
    #[inline]
    pub(super) fn close(&mut self, row: usize) {
        // Null rows since the last that was not end where that did.
        let end = self.offsets.last().copied().unwrap_or_default();
        pad(&mut self.offsets, row + 1, end);
        // A batch is cut at 8 MiB, so that the length fits.
        self.offsets.push(i32::try_from(self.values.len()).unwrap_or(i32::MAX));
        self.validity.set(row);
    }

    pub(super) fn clear(&mut self) {
        self.offsets.truncate(1);
        self.values.clear();
        self.validity.clear();
    }

    pub(super) fn finish(&mut self, rows: usize) -> (OffsetBuffer<i32>, Vec<T>, Option<NullBuffer>) {
        let end = self.offsets.last().copied().unwrap_or_default();
        pad(&mut self.offsets, rows + 1, end);
        let offsets = take(&mut self.offsets);
        self.offsets.push(0);
        (OffsetBuffer::new(ScalarBuffer::from(offsets)), take(&mut self.values), self.validity.finish(rows))
    }
}

/// Text that rarely repeats.
#[derive(Default)]
pub struct Texts {
    runs: Runs<u8>,
}

impl Grow<&str> for Texts {
    #[inline]
    fn grow(&mut self, row: usize, text: &str) {
        self.runs.values.extend_from_slice(text.as_bytes());
        self.runs.close(row);
    }
}

impl Grow<Option<&str>> for Texts {
    #[inline]
    fn grow(&mut self, row: usize, text: Option<&str>) {
        if let Some(text) = text {
            self.grow(row, text);
        }
    }
}

impl Column for Texts {
    fn data_type(&self) -> DataType {
        DataType::Utf8
    }
    fn kind(&self) -> &'static str {
        "text"
    }
    fn variable_bytes(&self) -> usize {
        self.runs.values.len()
    }
    fn clear(&mut self) {
        self.runs.clear();
    }
    fn finish(&mut self, rows: usize) -> ArrayRef {
        let (offsets, values, validity) = self.runs.finish(rows);
        StringArray::try_new(offsets, Buffer::from_vec(values), validity)
            .map_or_else(|_| arrow_array::new_empty_array(&DataType::Utf8), |a| Arc::new(a) as ArrayRef)
    }
}

/// Bytes as they were on the wire.
#[derive(Default)]
pub struct Binaries {
    runs: Runs<u8>,
}

impl Grow<&[u8]> for Binaries {
    fn grow(&mut self, row: usize, bytes: &[u8]) {
        self.runs.values.extend_from_slice(bytes);
        self.runs.close(row);
    }
}

/// Two parts become one value, one behind the other; both None is null.
impl Grow<[Option<&[u8]>; 2]> for Binaries {
    #[inline]
    fn grow(&mut self, row: usize, parts: [Option<&[u8]>; 2]) {
        if parts == [None, None] {
            return;
        }
        for part in parts.iter().flatten() {
            self.runs.values.extend_from_slice(part);
        }
        self.runs.close(row);
    }
}

impl Column for Binaries {
    fn data_type(&self) -> DataType {
        DataType::Binary
    }
    fn kind(&self) -> &'static str {
        "binary"
    }
    fn variable_bytes(&self) -> usize {
        self.runs.values.len()
    }
    fn clear(&mut self) {
        self.runs.clear();
    }
    fn finish(&mut self, rows: usize) -> ArrayRef {
        let (offsets, values, validity) = self.runs.finish(rows);
        Arc::new(BinaryArray::new(offsets, Buffer::from_vec(values), validity))
    }
}

/// Several texts, one behind the other: each ends where the next begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextList<'a> {
    /// All texts.
    pub text: &'a str,
    /// Where each ends, in rising order, at boundaries of characters.
    pub ends: &'a [usize],
}

/// Lists of texts.
#[derive(Default)]
pub struct TextLists {
    runs: Runs<()>,
    texts: Texts,
}

impl Grow<Option<TextList<'_>>> for TextLists {
    #[inline]
    fn grow(&mut self, row: usize, list: Option<TextList<'_>>) {
        let Some(list) = list else { return };
        let mut start = 0;
        for &end in list.ends {
            self.texts.grow(self.runs.values.len(), list.text.get(start..end).unwrap_or_default());
            self.runs.values.push(());
            start = end;
        }
        self.runs.close(row);
    }
}

impl Column for TextLists {
    fn data_type(&self) -> DataType {
        DataType::List(Arc::new(Field::new("item", DataType::Utf8, false)))
    }
    fn kind(&self) -> &'static str {
        "list<text>"
    }
    fn variable_bytes(&self) -> usize {
        self.runs.values.len() * 5 + self.texts.variable_bytes()
    }
    fn clear(&mut self) {
        self.runs.clear();
        self.texts.clear();
    }
    fn finish(&mut self, rows: usize) -> ArrayRef {
        let (offsets, elements, validity) = self.runs.finish(rows);
        let item = Arc::new(Field::new("item", DataType::Utf8, false));
        Arc::new(ListArray::new(item, offsets, self.texts.finish(elements.len()), validity))
    }
}
