//! Columns of text that repeats.

use std::hash::BuildHasher;
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, PrimitiveArray, StringArray};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::DataType;
use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::validity::Validity;
use super::{Column, Grow, pad, take};

/// A text that is expected, and where its bytes are.
#[derive(Clone, Copy)]
struct Successor {
    key: i32,
    start: i32,
    end: i32,
}

/// Text that repeats: each distinct text is kept once between two cuts.
#[derive(Default)]
pub struct Names {
    /// A key for each row up to the last that is not null.
    keys: Vec<i32>,
    validity: Validity,
    index: HashTable<i32>,
    offsets: Vec<i32>,
    bytes: Vec<u8>,
    hasher: FixedState,
    /// For each key, the one that came behind it last: pollers ask for the same things in the same order, and most rows are like the one before.
    successors: Vec<Successor>,
    /// The key that `intern` gave last.
    latest: i32,
}

impl Names {
    /// An empty column with room for so many distinct texts.
    pub fn expecting(texts: usize) -> Self {
        let mut names = Self::default();
        names.index.reserve(texts, |_| 0);
        names.offsets.reserve(texts + 1);
        names.successors.reserve(texts);
        names
    }

    /// The key of this text until the next cut.
    #[inline]
    pub fn intern(&mut self, text: &str) -> i32 {
        if let Some(Successor { key, start, end }) = self.successors.get(self.latest as usize)
            && self.bytes.get(*start as usize..*end as usize) == Some(text.as_bytes())
        {
            self.latest = *key;
            return *key;
        }
        let key = self.find(text);
        let expected = self.successor(key);
        if let Some(successor) = self.successors.get_mut(self.latest as usize) {
            *successor = expected;
        }
        self.latest = key;
        key
    }

    fn successor(&self, key: i32) -> Successor {
        let at = |key: i32| self.offsets.get(key as usize).copied().unwrap_or_default();
        Successor { key, start: at(key), end: at(key.saturating_add(1)) }
    }

    #[inline(never)]
    fn find(&mut self, text: &str) -> i32 {
        if self.offsets.is_empty() {
            self.offsets.push(0);
        }
        let hash = self.hasher.hash_one(text.as_bytes());
        let Self { index, offsets, bytes, hasher, .. } = self;
        if let Some(&key) = index.find(hash, |&key| text_at(offsets, bytes, key) == text.as_bytes()) {
            return key;
        }
        let key = i32::try_from(offsets.len() - 1).unwrap_or(i32::MAX);
        bytes.extend_from_slice(text.as_bytes());
        offsets.push(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
        index.insert_unique(hash, key, |&key| hasher.hash_one(text_at(offsets, bytes, key)));
        let own = self.successor(key);
        self.successors.push(own);
        key
    }
}

impl Names {
    /// Makes room for so many rows.
    pub fn reserve(&mut self, rows: usize) {
        self.keys.reserve(rows);
    }

    /// All keys are void from now on.
    fn forget_texts(&mut self) {
        self.index.clear();
        self.successors.clear();
        self.latest = 0;
    }

    /// Adds a row by a key that `intern` gave since the last cut.
    #[inline]
    pub fn push(&mut self, row: usize, key: i32) {
        pad(&mut self.keys, row, 0);
        self.keys.push(key);
        self.validity.set(row);
    }

    /// Adds so many rows of one key that `intern` gave since the last cut.
    #[inline]
    pub fn extend(&mut self, row: usize, count: usize, key: i32) {
        pad(&mut self.keys, row, 0);
        self.keys.resize(row + count, key);
        self.validity.extend(row, count);
    }
}

/// A text of a `Names` column, or the key that `Names::intern` gave for it since the last cut.
#[derive(Clone, Copy, Debug)]
pub enum Name<'a> {
    /// The text itself.
    Text(&'a str),
    /// Its key.
    Key(i32),
}

impl Grow<Name<'_>> for Names {
    #[inline]
    fn grow(&mut self, row: usize, name: Name<'_>) {
        let key = match name {
            Name::Text(text) => self.intern(text),
            Name::Key(key) => key,
        };
        self.push(row, key);
    }
}

impl Grow<Option<Name<'_>>> for Names {
    #[inline]
    fn grow(&mut self, row: usize, name: Option<Name<'_>>) {
        if let Some(name) = name {
            self.grow(row, name);
        }
    }
}

impl Grow<&str> for Names {
    #[inline]
    fn grow(&mut self, row: usize, text: &str) {
        self.grow(row, Name::Text(text));
    }
}

impl Grow<Option<&str>> for Names {
    #[inline]
    fn grow(&mut self, row: usize, text: Option<&str>) {
        if let Some(text) = text {
            self.grow(row, Name::Text(text));
        }
    }
}

fn text_at<'a>(offsets: &[i32], bytes: &'a [u8], key: i32) -> &'a [u8] {
    let at = usize::try_from(key).unwrap_or(usize::MAX - 1);
    match (offsets.get(at), offsets.get(at + 1)) {
        (Some(&start), Some(&end)) => bytes.get(start as usize..end as usize).unwrap_or_default(),
        _ => &[],
    }
}

impl Column for Names {
    fn data_type(&self) -> DataType {
        DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
    }
    fn kind(&self) -> &'static str {
        "name"
    }
    fn variable_bytes(&self) -> usize {
        self.bytes.len() + self.offsets.len() * 4
    }
    fn clear(&mut self) {
        self.keys.clear();
        self.validity.clear();
        self.offsets.clear();
        self.bytes.clear();
        self.forget_texts();
    }
    fn finish(&mut self, rows: usize) -> ArrayRef {
        if self.offsets.is_empty() {
            self.offsets.push(0);
        }
        self.forget_texts();
        pad(&mut self.keys, rows, 0);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(take(&mut self.offsets)));
        let bytes = Buffer::from_vec(take(&mut self.bytes));
        let keys = PrimitiveArray::<Int32Type>::new(take(&mut self.keys).into(), self.validity.finish(rows));
        // Every text came in as `&str` and every key from `intern`; should that ever fail, an empty array makes the cut fail as a whole.
        StringArray::try_new(offsets, bytes, None)
            .and_then(|texts| DictionaryArray::<Int32Type>::try_new(keys, Arc::new(texts)))
            .map_or_else(|_| arrow_array::new_empty_array(&self.data_type()), |a| Arc::new(a) as ArrayRef)
    }
}
