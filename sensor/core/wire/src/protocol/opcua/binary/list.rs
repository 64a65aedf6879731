//! An array that was walked once, and is decoded again by who wants its elements.

use std::marker::PhantomData;

use super::{Decode, Fault, Reader};

/// An array of whole values, kept as the bytes that they are. Null and empty are the same.
pub struct List<'a, T> {
    count: usize,
    raw: &'a [u8],
    element: PhantomData<fn() -> T>,
}

impl<T> Clone for List<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for List<'_, T> {}

impl<T> Default for List<'_, T> {
    fn default() -> Self {
        Self { count: 0, raw: &[], element: PhantomData }
    }
}

impl<T> PartialEq for List<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        self.count == other.count && self.raw == other.raw
    }
}

impl<T> std::fmt::Debug for List<'_, T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("List").field("count", &self.count).field("raw", &self.raw).finish()
    }
}

impl<T> List<'_, T> {
    /// How many elements.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl<'a, T: Decode<'a>> List<'a, T> {
    /// The elements, decoded on the way.
    pub fn iter(&self) -> impl Iterator<Item = T> + use<'a, T> {
        let mut reader = Reader::new(self.raw);
        (0..self.count).map_while(move |_| T::decode(&mut reader).ok())
    }
}

impl<'a, T: Decode<'a>> Decode<'a> for List<'a, T> {
    const LEAST: usize = 4;

    fn decode(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        let count = reader.array_length(T::LEAST)?;
        let start = reader.position();
        for _ in 0..count {
            T::decode(reader)?;
        }
        Ok(Self { count, raw: reader.since(start), element: PhantomData })
    }
}
