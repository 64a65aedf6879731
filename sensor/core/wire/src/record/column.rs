//! Growing columns: plain vectors while rows come in, Arrow arrays at the cut without a copy.

use std::sync::Arc;

use arrow_array::types::{ArrowPrimitiveType, Int32Type, UInt8Type, UInt16Type};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, DictionaryArray, ListArray, PrimitiveArray, StringArray, StructArray, UInt8Array,
};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, Fields, TimeUnit};
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// What every column can do; the tables are lists of these.
pub trait Column {
    /// Arrow type of the finished array.
    fn data_type(&self) -> DataType;
    /// Kind as in the table declarations (`sensor/tables.py`).
    fn kind(&self) -> &'static str;
    /// Takes the rows out as an Arrow array and starts anew.
    fn finish(&mut self) -> ArrayRef;
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
    /// Adds a row.
    fn grow(&mut self, value: V);
}

/// Validity of a column while it grows: runs of valid and of null rows, so that a row like the one before costs an addition. Nothing is built
/// when every row is valid.
#[derive(Default)]
struct Validity {
    /// Ends of the runs in rows; the first is valid, and from there they alternate.
    ends: Vec<usize>,
    rows: usize,
    nulls: usize,
}

impl Validity {
    /// Adds a row.
    #[inline]
    fn push(&mut self, valid: bool) {
        if valid == self.ends.len().is_multiple_of(2) {
            self.rows += 1;
        } else {
            self.turn();
        }
        self.nulls += usize::from(!valid);
    }

    /// Adds so many valid rows.
    fn extend_valid(&mut self, rows: usize) {
        if rows > 0 {
            self.push(true);
            self.rows += rows - 1;
        }
    }

    #[inline]
    fn turn(&mut self) {
        self.ends.push(self.rows);
        self.rows += 1;
    }

    fn finish(&mut self) -> Option<NullBuffer> {
        let (rows, nulls) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.nulls));
        if nulls == 0 {
            self.ends.clear();
            return None;
        }
        let mut bits = BooleanBufferBuilder::new(rows);
        let (mut valid, mut from) = (true, 0);
        for end in self.ends.drain(..).chain([rows]) {
            bits.append_n(end - from, valid);
            (valid, from) = (!valid, end);
        }
        Some(NullBuffer::new(bits.finish()))
    }
}

/// Takes a vector out of its place and leaves an empty one of the same capacity class behind.
fn take<T>(values: &mut Vec<T>) -> Vec<T> {
    let length = values.len();
    std::mem::replace(values, Vec::with_capacity(length))
}

/// Catches up with rows that were null, and for which nothing was added.
#[inline]
fn pad<T: Copy>(values: &mut Vec<T>, rows: usize, value: T) {
    if values.len() < rows {
        values.resize(rows, value);
    }
}

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
            fn grow(&mut self, value: $native) {
                self.values.push(value);
            }
        }
        impl Grow<Option<$native>> for Optional<arrow_array::types::$arrow> {
            #[inline]
            fn grow(&mut self, value: Option<$native>) {
                if let Some(value) = value {
                    pad(&mut self.values, self.validity.rows, Default::default());
                    self.values.push(value);
                }
                self.validity.push(value.is_some());
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
    fn finish(&mut self) -> ArrayRef {
        Arc::new(PrimitiveArray::<T>::new(take(&mut self.values).into(), None))
    }
}

impl<T: Native> Default for Optional<T> {
    fn default() -> Self {
        Self { values: Vec::new(), validity: Validity::default() }
    }
}

impl<T: Native> Column for Optional<T> {
    fn data_type(&self) -> DataType {
        T::DATA_TYPE
    }
    fn kind(&self) -> &'static str {
        T::KIND
    }
    fn finish(&mut self) -> ArrayRef {
        pad(&mut self.values, self.validity.rows, Default::default());
        Arc::new(PrimitiveArray::<T>::new(take(&mut self.values).into(), self.validity.finish()))
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
    fn grow(&mut self, nanoseconds: Option<i64>) {
        if let Some(nanoseconds) = nanoseconds {
            pad(&mut self.values, self.validity.rows, 0);
            self.values.push(nanoseconds);
        }
        self.validity.push(nanoseconds.is_some());
    }
}

impl Column for Times {
    fn data_type(&self) -> DataType {
        DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))
    }
    fn kind(&self) -> &'static str {
        "timestamp"
    }
    fn finish(&mut self) -> ArrayRef {
        pad(&mut self.values, self.validity.rows, 0);
        let array = arrow_array::TimestampNanosecondArray::new(take(&mut self.values).into(), self.validity.finish());
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
    fn grow(&mut self, value: bool) {
        self.values.push(value);
    }
}

impl Column for Flags {
    fn data_type(&self) -> DataType {
        DataType::Boolean
    }
    fn kind(&self) -> &'static str {
        "bool"
    }
    fn finish(&mut self) -> ArrayRef {
        Arc::new(BooleanArray::new(BooleanBuffer::from(take(&mut self.values).as_slice()), None))
    }
}

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

impl<W: Word> Grow<W> for Choice<W> {
    #[inline]
    fn grow(&mut self, word: W) {
        self.keys.push(word.key());
        self.validity.push(true);
    }
}

impl<W: Word> Grow<Option<W>> for Choice<W> {
    #[inline]
    fn grow(&mut self, word: Option<W>) {
        if let Some(word) = word {
            pad(&mut self.keys, self.validity.rows, 0);
            self.keys.push(word.key());
        }
        self.validity.push(word.is_some());
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
    fn finish(&mut self) -> ArrayRef {
        pad(&mut self.keys, self.validity.rows, 0);
        let keys = UInt8Array::new(take(&mut self.keys).into(), self.validity.finish());
        let words: ArrayRef = Arc::new(StringArray::from_iter_values(W::WORDS));
        Arc::new(DictionaryArray::<UInt8Type>::new(keys, words))
    }
}

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

    /// Adds a row by the key that `intern` gave since the last cut.
    #[inline]
    pub fn push_key(&mut self, key: i32) {
        pad(&mut self.keys, self.validity.rows, 0);
        self.keys.push(key);
        self.validity.push(true);
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
    fn grow(&mut self, name: Name<'_>) {
        let key = match name {
            Name::Text(text) => self.intern(text),
            Name::Key(key) => key,
        };
        self.push_key(key);
    }
}

impl Grow<&str> for Names {
    #[inline]
    fn grow(&mut self, text: &str) {
        let key = self.intern(text);
        self.push_key(key);
    }
}

impl Grow<Option<&str>> for Names {
    #[inline]
    fn grow(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.grow(text),
            None => self.validity.push(false),
        }
    }
}

impl Names {
    /// Adds a row for each of these keys; None is null.
    pub fn extend_keys(&mut self, keys: impl ExactSizeIterator<Item = Option<i32>> + Clone) {
        pad(&mut self.keys, self.validity.rows, 0);
        if keys.clone().all(|key| key.is_some()) {
            self.validity.extend_valid(keys.len());
            self.keys.extend(keys.flatten());
            return;
        }
        for key in keys {
            self.keys.push(key.unwrap_or(0));
            self.validity.push(key.is_some());
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
    fn finish(&mut self) -> ArrayRef {
        if self.offsets.is_empty() {
            self.offsets.push(0);
        }
        self.index.clear();
        self.successors.clear();
        self.latest = 0;
        pad(&mut self.keys, self.validity.rows, 0);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(take(&mut self.offsets)));
        let bytes = Buffer::from_vec(take(&mut self.bytes));
        let keys = PrimitiveArray::<Int32Type>::new(take(&mut self.keys).into(), self.validity.finish());
        // Every text came in as `&str` and every key from `intern`; should that ever fail, an empty array makes the cut fail as a whole.
        StringArray::try_new(offsets, bytes, None)
            .and_then(|texts| DictionaryArray::<Int32Type>::try_new(keys, Arc::new(texts)))
            .map_or_else(|_| arrow_array::new_empty_array(&self.data_type()), |a| Arc::new(a) as ArrayRef)
    }
}

/// Bytes with offsets: the ground of text, binary and lists.
struct Runs<T> {
    /// Ends of the rows up to the last that is not null, behind a 0.
    offsets: Vec<i32>,
    values: Vec<T>,
    validity: Validity,
}

impl<T> Default for Runs<T> {
    fn default() -> Self {
        Self { offsets: vec![0], values: Vec::new(), validity: Validity::default() }
    }
}

impl<T> Runs<T> {
    /// Ends a row. A null row must have no values.
    #[inline]
    fn close(&mut self, valid: bool) {
        if valid {
            self.catch_up();
            // A batch is cut at 8 MiB, so that the length fits.
            self.offsets.push(i32::try_from(self.values.len()).unwrap_or(i32::MAX));
        }
        self.validity.push(valid);
    }

    /// Null rows since the last that was not end where that did.
    #[inline]
    fn catch_up(&mut self) {
        let end = self.offsets.last().copied().unwrap_or_default();
        pad(&mut self.offsets, self.validity.rows + 1, end);
    }

    fn finish(&mut self) -> (OffsetBuffer<i32>, Vec<T>, Option<NullBuffer>) {
        self.catch_up();
        let offsets = take(&mut self.offsets);
        self.offsets.push(0);
        (OffsetBuffer::new(ScalarBuffer::from(offsets)), take(&mut self.values), self.validity.finish())
    }
}

/// Text that rarely repeats.
#[derive(Default)]
pub struct Texts {
    runs: Runs<u8>,
}

impl Grow<&str> for Texts {
    fn grow(&mut self, text: &str) {
        self.runs.values.extend_from_slice(text.as_bytes());
        self.runs.close(true);
    }
}

impl Grow<Option<&str>> for Texts {
    #[inline]
    fn grow(&mut self, text: Option<&str>) {
        self.runs.values.extend_from_slice(text.unwrap_or_default().as_bytes());
        self.runs.close(text.is_some());
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
    fn finish(&mut self) -> ArrayRef {
        let (offsets, values, validity) = self.runs.finish();
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
    fn grow(&mut self, bytes: &[u8]) {
        self.runs.values.extend_from_slice(bytes);
        self.runs.close(true);
    }
}

/// Two parts become one value, one behind the other; both None is null.
impl Grow<[Option<&[u8]>; 2]> for Binaries {
    #[inline]
    fn grow(&mut self, parts: [Option<&[u8]>; 2]) {
        for part in parts.iter().flatten() {
            self.runs.values.extend_from_slice(part);
        }
        self.runs.close(parts.iter().any(Option::is_some));
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
    fn finish(&mut self) -> ArrayRef {
        let (offsets, values, validity) = self.runs.finish();
        Arc::new(BinaryArray::new(offsets, Buffer::from_vec(values), validity))
    }
}

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
    fn grow(&mut self, words: Words<'_>) {
        let values = &mut self.runs.values;
        match words {
            Words::None => return self.runs.close(false),
            Words::Registers(bytes) => values.extend(bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair))),
            Words::Bits(bytes, count) => {
                let bits = bytes.iter().flat_map(|byte| (0..8).map(move |bit| u16::from(byte >> bit & 1)));
                values.extend(bits.take(usize::from(count)));
            }
            Words::Numbers(numbers) => values.extend_from_slice(numbers),
        }
        self.runs.close(true);
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
    fn finish(&mut self) -> ArrayRef {
        let (offsets, values, validity) = self.runs.finish();
        let values = PrimitiveArray::<UInt16Type>::new(values.into(), None);
        let item = Arc::new(Field::new("item", DataType::UInt16, false));
        Arc::new(ListArray::new(item, offsets, Arc::new(values), validity))
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
    fn grow(&mut self, list: Option<TextList<'_>>) {
        if list.is_none() {
            return self.runs.close(false);
        }
        let mut start = 0;
        for &end in list.map_or(&[][..], |list| list.ends) {
            self.texts.grow(list.and_then(|list| list.text.get(start..end)).unwrap_or_default());
            self.runs.values.push(());
            start = end;
        }
        self.runs.close(list.is_some());
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
    fn finish(&mut self) -> ArrayRef {
        let (offsets, _, validity) = self.runs.finish();
        let item = Arc::new(Field::new("item", DataType::Utf8, false));
        Arc::new(ListArray::new(item, offsets, self.texts.finish(), validity))
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
    /// Adds one element.
    fn push(&mut self, item: Self::Item<'_>);
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
    fn grow(&mut self, items: Option<&[E::Item<'a>]>) {
        for item in items.unwrap_or_default() {
            self.element.push(*item);
            self.runs.values.push(());
        }
        self.runs.close(items.is_some());
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
    fn finish(&mut self) -> ArrayRef {
        let (offsets, _, validity) = self.runs.finish();
        let fields = Self::fields();
        let columns = self.element.columns().into_iter().map(|(_, column)| column.finish()).collect();
        let elements = StructArray::new(fields.clone(), columns, None);
        let item = Arc::new(Field::new("item", DataType::Struct(fields), false));
        Arc::new(ListArray::new(item, offsets, Arc::new(elements), validity))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::cast::AsArray as _;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_come_back_as_they_went_in_wherever_the_nulls_are(rows in proptest::collection::vec(proptest::option::of(any::<u16>()), 0..80)) {
            let mut numbers = Optional::<UInt16Type>::default();
            let mut lists = WordLists::default();
            // A column goes on after a cut.
            for _ in 0..2 {
                for row in &rows {
                    numbers.grow(*row);
                    let words: Vec<u16> = row.iter().flat_map(|value| (0..*value % 4).map(move |more| value ^ more)).collect();
                    lists.grow(if row.is_some() { Words::Numbers(&words) } else { Words::None });
                    if row.is_some() {
                        prop_assert_eq!(lists.last(), words.as_slice());
                    }
                }
                let array = numbers.finish();
                prop_assert_eq!(array.as_primitive::<UInt16Type>().iter().collect::<Vec<_>>(), rows.clone());
                let array = lists.finish();
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
