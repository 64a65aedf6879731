//! Columns of numbers, times and flags.

use std::sync::Arc;

use arrow_array::types::ArrowPrimitiveType;
use arrow_array::{ArrayRef, BooleanArray, PrimitiveArray};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{DataType, TimeUnit};

use super::validity::Validity;
use super::{Column, Grow, pad, take};

/// Numbers that are always present.
pub struct Number<T: Native> {
    values: Vec<T::Native>,
}

/// Numbers that may be null.
pub struct Optional<T: Native> {
    /// A value for each row up to the last that is not null.
    values: Vec<T::Native>,
    validity: Validity,
}

/// An Arrow primitive type with the kind's name that the table declarations use.
pub trait Native: ArrowPrimitiveType {
    /// Kind as in the table declarations.
    const KIND: &'static str;
}

macro_rules! native {
    ($($arrow:ident => $kind:literal),* $(,)?) => { $(impl Native for arrow_array::types::$arrow { const KIND: &'static str = $kind; })* };
}
native!(UInt8Type => "u8", UInt16Type => "u16", UInt32Type => "u32", UInt64Type => "u64", Float64Type => "f64",
    DurationNanosecondType => "duration");

impl<T: Native> Default for Number<T> {
    fn default() -> Self {
        Self { values: Vec::new() }
    }
}

macro_rules! grow_numbers {
    ($($arrow:ident: $native:ty),* $(,)?) => { $(
        impl Grow<$native> for Number<arrow_array::types::$arrow> {
            #[inline]
            fn grow(&mut self, _row: usize, value: $native) {
                self.values.push(value);
            }
        }
        impl Grow<Option<$native>> for Optional<arrow_array::types::$arrow> {
            #[inline]
            fn grow(&mut self, row: usize, value: Option<$native>) {
                if let Some(value) = value {
                    pad(&mut self.values, row, Default::default());
                    self.values.push(value);
                    self.validity.set(row);
                }
            }
        }
    )* };
}
grow_numbers!(UInt8Type: u8, UInt16Type: u16, UInt32Type: u32, UInt64Type: u64, Float64Type: f64, DurationNanosecondType: i64);

impl<T: Native> Column for Number<T> {
    fn data_type(&self) -> DataType {
        T::DATA_TYPE
    }
    fn kind(&self) -> &'static str {
        T::KIND
    }
    fn clear(&mut self) {
        self.values.clear();
    }
    fn finish(&mut self, _rows: usize) -> ArrayRef {
        Arc::new(PrimitiveArray::<T>::new(take(&mut self.values).into(), None))
    }
}

impl<T: Native> Default for Optional<T> {
    fn default() -> Self {
        Self { values: Vec::new(), validity: Validity::default() }
    }
}

impl<T: Native> Optional<T> {
    /// Makes room for so many rows.
    pub fn reserve(&mut self, rows: usize) {
        self.values.reserve(rows);
    }

    /// Adds so many rows of one value.
    #[inline]
    pub fn extend(&mut self, row: usize, count: usize, value: T::Native) {
        pad(&mut self.values, row, Default::default());
        self.values.resize(row + count, value);
        self.validity.extend(row, count);
    }
}

impl<T: Native> Column for Optional<T> {
    fn data_type(&self) -> DataType {
        T::DATA_TYPE
    }
    fn kind(&self) -> &'static str {
        T::KIND
    }
    fn clear(&mut self) {
        self.values.clear();
        self.validity.clear();
    }
    fn finish(&mut self, rows: usize) -> ArrayRef {
        pad(&mut self.values, rows, Default::default());
        Arc::new(PrimitiveArray::<T>::new(take(&mut self.values).into(), self.validity.finish(rows)))
    }
}

/// Nanoseconds since 1970, UTC.
#[derive(Default)]
pub struct Timestamps {
    values: Vec<i64>,
}

impl Timestamps {
    /// Adds a row.
    #[inline]
    pub fn push(&mut self, nanoseconds: i64) {
        self.values.push(nanoseconds);
    }

    /// Adds so many rows of one time.
    #[inline]
    pub fn extend(&mut self, count: usize, nanoseconds: i64) {
        self.values.resize(self.values.len() + count, nanoseconds);
    }

    /// Drops the rows.
    pub fn clear(&mut self) {
        self.values.clear();
    }

    /// Takes the rows out as an Arrow array.
    pub fn finish(&mut self) -> ArrayRef {
        let array = arrow_array::TimestampNanosecondArray::new(take(&mut self.values).into(), None);
        Arc::new(array.with_timezone("UTC"))
    }
}

/// Nanoseconds since 1970, UTC, that may be null.
#[derive(Default)]
pub struct Times {
    values: Vec<i64>,
    validity: Validity,
}

impl Grow<Option<i64>> for Times {
    #[inline]
    fn grow(&mut self, row: usize, nanoseconds: Option<i64>) {
        if let Some(nanoseconds) = nanoseconds {
            pad(&mut self.values, row, 0);
            self.values.push(nanoseconds);
            self.validity.set(row);
        }
    }
}

impl Column for Times {
    fn data_type(&self) -> DataType {
        DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))
    }
    fn kind(&self) -> &'static str {
        "timestamp"
    }
    fn clear(&mut self) {
        self.values.clear();
        self.validity.clear();
    }
    fn finish(&mut self, rows: usize) -> ArrayRef {
        pad(&mut self.values, rows, 0);
        let array = arrow_array::TimestampNanosecondArray::new(take(&mut self.values).into(), self.validity.finish(rows));
        Arc::new(array.with_timezone("UTC"))
    }
}

/// True or false, always present.
#[derive(Default)]
pub struct Flags {
    values: Vec<bool>,
}

impl Grow<bool> for Flags {
    #[inline]
    fn grow(&mut self, _row: usize, value: bool) {
        self.values.push(value);
    }
}

impl Flags {
    /// Adds so many rows of one value.
    #[inline]
    pub fn extend(&mut self, count: usize, value: bool) {
        self.values.resize(self.values.len() + count, value);
    }
}

impl Column for Flags {
    fn data_type(&self) -> DataType {
        DataType::Boolean
    }
    fn kind(&self) -> &'static str {
        "bool"
    }
    fn clear(&mut self) {
        self.values.clear();
    }
    fn finish(&mut self, _rows: usize) -> ArrayRef {
        Arc::new(BooleanArray::new(BooleanBuffer::from(take(&mut self.values).as_slice()), None))
    }
}
