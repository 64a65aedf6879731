//! Columns of words from a fixed list.

use std::sync::Arc;

use arrow_array::types::UInt8Type;
use arrow_array::{ArrayRef, DictionaryArray, StringArray, UInt8Array};
use arrow_schema::DataType;

use super::validity::Validity;
use super::{Column, Grow, pad, take};

/// A word of a fixed list; `choice!` writes the implementation.
pub trait Word: Copy + 'static {
    /// All words; the key is the position in the list.
    const WORDS: &'static [&'static str];
    /// Position of this word.
    fn key(self) -> u8;
}

/// Declares an enumeration whose members are the words of a choice column.
#[macro_export]
macro_rules! choice {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$member_meta:meta])* $member:ident = $word:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum $name { $($(#[$member_meta])* #[doc = concat!("`", $word, "`")] $member),* }
        impl $crate::record::column::Word for $name {
            const WORDS: &'static [&'static str] = &[$($word),*];
            #[inline]
            fn key(self) -> u8 { self as u8 }
        }
        impl $name {
            /// The word as it stands in the records.
            pub fn word(self) -> &'static str {
                match self { $(Self::$member => $word),* }
            }
        }
    };
}

/// One of a fixed list of words.
pub struct Choice<W: Word> {
    keys: Vec<u8>,
    validity: Validity,
    words: std::marker::PhantomData<W>,
}

impl<W: Word> Default for Choice<W> {
    fn default() -> Self {
        Self { keys: Vec::new(), validity: Validity::default(), words: std::marker::PhantomData }
    }
}

impl<W: Word> Choice<W> {
    /// Adds so many rows of one word.
    #[inline]
    pub fn extend(&mut self, row: usize, count: usize, word: W) {
        pad(&mut self.keys, row, 0);
        self.keys.resize(row + count, word.key());
        self.validity.extend(row, count);
    }
}

impl<W: Word> Grow<W> for Choice<W> {
    #[inline]
    fn grow(&mut self, row: usize, word: W) {
        pad(&mut self.keys, row, 0);
        self.keys.push(word.key());
        self.validity.set(row);
    }
}

impl<W: Word> Grow<Option<W>> for Choice<W> {
    #[inline]
    fn grow(&mut self, row: usize, word: Option<W>) {
        if let Some(word) = word {
            self.grow(row, word);
        }
    }
}

impl<W: Word> Column for Choice<W> {
    fn data_type(&self) -> DataType {
        DataType::Dictionary(Box::new(DataType::UInt8), Box::new(DataType::Utf8))
    }
    fn kind(&self) -> &'static str {
        "choice"
    }
    fn choices(&self) -> &'static [&'static str] {
        W::WORDS
    }
    fn clear(&mut self) {
        self.keys.clear();
        self.validity.clear();
    }
    fn finish(&mut self, rows: usize) -> ArrayRef {
        pad(&mut self.keys, rows, 0);
        let keys = UInt8Array::new(take(&mut self.keys).into(), self.validity.finish(rows));
        let words: ArrayRef = Arc::new(StringArray::from_iter_values(W::WORDS));
        Arc::new(DictionaryArray::<UInt8Type>::new(keys, words))
    }
}
