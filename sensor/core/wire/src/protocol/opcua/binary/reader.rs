//! Reads built-in types from bytes, in order, and knows where it is.

use super::{Fault, FaultKind, Guid, List, Text, date_time};

/// Deepest nesting of values that is followed: what OPC 10000-6, 5.1.2 asks decoders to take at least.
pub const DEPTH: u8 = 100;

const BOOLEAN: &str = "OPC 10000-6, 5.2.2.1";
const INTEGER: &str = "OPC 10000-6, 5.2.2.2";
const FLOATING: &str = "OPC 10000-6, 5.2.2.3";
const STRING: &str = "OPC 10000-6, 5.2.2.4";
const DATE_TIME: &str = "OPC 10000-6, 5.2.2.5";
const GUID: &str = "OPC 10000-6, 5.2.2.6";
const BYTE_STRING: &str = "OPC 10000-6, 5.2.2.7";
const STATUS_CODE: &str = "OPC 10000-6, 5.2.2.11";
const ARRAY: &str = "OPC 10000-6, 5.2.5";
const NESTING: &str = "OPC 10000-6, 5.1.2";

/// A type that reads itself from its binary encoding.
pub trait Decode<'a>: Sized {
    /// Least number of bytes that any value of it takes, at least 1: no array is longer than its bytes allow.
    const LEAST: usize;

    /// Reads one. Faults where the bytes are not one; the reader then stands inside of it.
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Fault>;
}

/// A place in bytes.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    data: &'a [u8],
    at: usize,
    depth: u8,
    irregular: Option<Fault>,
}

impl<'a> Reader<'a> {
    /// At the start of some bytes.
    pub fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0, depth: 0, irregular: None }
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Bytes left.
    pub fn left(&self) -> usize {
        self.data.len().saturating_sub(self.at)
    }

    /// The bytes between an earlier position and this one.
    pub fn since(&self, start: usize) -> &'a [u8] {
        self.data.get(start..self.at).unwrap_or_default()
    }

    /// The first thing that broke a rule without hiding what follows it.
    pub fn irregular(&self) -> Option<Fault> {
        self.irregular
    }

    /// Notes something that breaks a rule without hiding what follows it. Only the first is kept.
    pub fn note(&mut self, kind: FaultKind, clause: &'static str) {
        self.note_all(Some(Fault { kind, clause, at: self.at }));
    }

    fn note_all(&mut self, fault: Option<Fault>) {
        self.irregular = self.irregular.or(fault);
    }

    /// A fault at this place.
    pub fn fault(&self, kind: FaultKind, clause: &'static str) -> Fault {
        Fault { kind, clause, at: self.at }
    }

    /// The next bytes, whatever they are. `clause`: of the value that they belong to.
    pub fn take(&mut self, length: usize, clause: &'static str) -> Result<&'a [u8], Fault> {
        let end = self.at.checked_add(length).ok_or_else(|| self.fault(FaultKind::LengthTooLong, clause))?;
        let taken = self.data.get(self.at..end).ok_or_else(|| self.fault(FaultKind::Truncated, clause))?;
        self.at = end;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self, clause: &'static str) -> Result<[u8; N], Fault> {
        let taken = self.data.get(self.at..).and_then(<[u8]>::first_chunk::<N>);
        let taken = *taken.ok_or_else(|| self.fault(FaultKind::Truncated, clause))?;
        self.at = self.at.saturating_add(N);
        Ok(taken)
    }

    /// The next bytes, if there are so many; the place stays.
    #[inline]
    pub(super) fn peek<const N: usize>(&self) -> Option<&'a [u8; N]> {
        self.data.get(self.at..).and_then(<[u8]>::first_chunk::<N>)
    }

    /// Goes behind bytes that were peeked at.
    #[inline]
    pub(super) fn skip(&mut self, count: usize) {
        self.at = self.at.saturating_add(count).min(self.data.len());
    }

    /// Whether what is nested one deeper is followed.
    #[inline]
    pub(super) fn may_go_deeper(&self) -> bool {
        self.depth < DEPTH
    }

    /// A Boolean: any byte but 0 is true, other than 1 is irregular (OPC 10000-6, 5.2.2.1).
    pub fn boolean(&mut self) -> Result<bool, Fault> {
        let [byte] = self.fixed(BOOLEAN)?;
        if byte > 1 {
            self.note(FaultKind::InvalidValue, BOOLEAN);
        }
        Ok(byte != 0)
    }

    /// A Byte.
    pub fn u8(&mut self) -> Result<u8, Fault> {
        let [byte] = self.fixed(INTEGER)?;
        Ok(byte)
    }

    /// An SByte.
    pub fn i8(&mut self) -> Result<i8, Fault> {
        self.fixed(INTEGER).map(i8::from_le_bytes)
    }

    /// A UInt16.
    pub fn u16(&mut self) -> Result<u16, Fault> {
        self.fixed(INTEGER).map(u16::from_le_bytes)
    }

    /// An Int16.
    pub fn i16(&mut self) -> Result<i16, Fault> {
        self.fixed(INTEGER).map(i16::from_le_bytes)
    }

    /// A UInt32.
    pub fn u32(&mut self) -> Result<u32, Fault> {
        self.fixed(INTEGER).map(u32::from_le_bytes)
    }

    /// An Int32; enumerations too (OPC 10000-6, 5.2.4).
    pub fn i32(&mut self) -> Result<i32, Fault> {
        self.fixed(INTEGER).map(i32::from_le_bytes)
    }

    /// A UInt64.
    pub fn u64(&mut self) -> Result<u64, Fault> {
        self.fixed(INTEGER).map(u64::from_le_bytes)
    }

    /// An Int64.
    pub fn i64(&mut self) -> Result<i64, Fault> {
        self.fixed(INTEGER).map(i64::from_le_bytes)
    }

    /// A Float.
    pub fn f32(&mut self) -> Result<f32, Fault> {
        self.fixed(FLOATING).map(f32::from_le_bytes)
    }

    /// A Double; a Duration is one, in milliseconds (OPC 10000-3, 8.13).
    pub fn f64(&mut self) -> Result<f64, Fault> {
        self.fixed(FLOATING).map(f64::from_le_bytes)
    }

    /// A String. `None`: null.
    pub fn string(&mut self) -> Result<Text<'a>, Fault> {
        self.counted(STRING)
    }

    /// A ByteString. `None`: null.
    pub fn byte_string(&mut self) -> Result<Text<'a>, Fault> {
        self.counted(BYTE_STRING)
    }

    fn counted(&mut self, clause: &'static str) -> Result<Text<'a>, Fault> {
        let start = self.at;
        let length = self.fixed(clause).map(i32::from_le_bytes)?;
        let Ok(length) = usize::try_from(length) else {
            if length != -1 {
                self.note_all(Some(Fault { kind: FaultKind::NegativeLength, clause, at: start }));
            }
            return Ok(None);
        };
        if length > self.left() {
            return Err(Fault { kind: FaultKind::LengthTooLong, clause, at: start });
        }
        self.take(length, clause).map(Some)
    }

    /// A Guid.
    pub fn guid(&mut self) -> Result<Guid, Fault> {
        self.fixed(GUID).map(Guid)
    }

    /// A DateTime in nanoseconds since 1970, saturating. `None`: no time (zero, or before 1601).
    pub fn date_time(&mut self) -> Result<Option<i64>, Fault> {
        self.fixed(DATE_TIME).map(|bytes| date_time::from_ticks(i64::from_le_bytes(bytes)))
    }

    /// A StatusCode.
    pub fn status_code(&mut self) -> Result<u32, Fault> {
        self.fixed(STATUS_CODE).map(u32::from_le_bytes)
    }

    /// The length of an array whose elements take at least `least` bytes each: never more than the bytes left can hold. Null counts as empty.
    pub fn array_length(&mut self, least: usize) -> Result<usize, Fault> {
        let start = self.at;
        let length = self.fixed(ARRAY).map(i32::from_le_bytes)?;
        let Ok(length) = usize::try_from(length) else {
            if length != -1 {
                self.note_all(Some(Fault { kind: FaultKind::NegativeLength, clause: ARRAY, at: start }));
            }
            return Ok(0);
        };
        if length > self.left() / least.max(1) {
            return Err(Fault { kind: FaultKind::LengthTooLong, clause: ARRAY, at: start });
        }
        Ok(length)
    }

    /// An array: `each` is called for every element, in order. Returns how many.
    pub fn each<T: Decode<'a>>(&mut self, mut each: impl FnMut(T)) -> Result<usize, Fault> {
        let count = self.array_length(T::LEAST)?;
        for _ in 0..count {
            each(T::decode(self)?);
        }
        Ok(count)
    }

    /// An array, walked once and kept as bytes.
    pub fn list<T: Decode<'a>>(&mut self) -> Result<List<'a, T>, Fault> {
        List::decode(self)
    }

    /// One value of a type.
    pub fn read<T: Decode<'a>>(&mut self) -> Result<T, Fault> {
        T::decode(self)
    }

    /// Reads what is nested one deeper.
    pub fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        if !self.may_go_deeper() {
            return Err(self.fault(FaultKind::TooDeep, NESTING));
        }
        self.depth = self.depth.saturating_add(1);
        let value = read(self);
        self.depth = self.depth.saturating_sub(1);
        value
    }

    /// Reads the body of a structure of known length at its own depth, in `body` that ends at this reader's place. What is irregular there, and
    /// bytes that it leaves, are irregular here.
    pub fn within<T>(
        &mut self,
        body: &'a [u8],
        clause: &'static str,
        read: impl FnOnce(&mut Reader<'a>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let start = self.at.saturating_sub(body.len());
        let mut inner = Reader { data: body, at: 0, depth: self.depth, irregular: None };
        let moved = |fault: Fault| Fault { at: fault.at.saturating_add(start), ..fault };
        let value = read(&mut inner).map_err(moved)?;
        self.note_all(inner.irregular.map(moved));
        if inner.left() > 0 {
            self.note(FaultKind::LengthMismatch, clause);
        }
        Ok(value)
    }
}

macro_rules! decode {
    ($($type:ty, $least:literal, $read:ident;)*) => {$(
        impl<'a> Decode<'a> for $type {
            const LEAST: usize = $least;
            fn decode(reader: &mut Reader<'a>) -> Result<Self, Fault> {
                reader.$read()
            }
        }
    )*};
}

decode! {
    bool, 1, boolean;
    u8, 1, u8;
    i8, 1, i8;
    u16, 2, u16;
    i16, 2, i16;
    u32, 4, u32;
    i32, 4, i32;
    u64, 8, u64;
    i64, 8, i64;
    f32, 4, f32;
    f64, 8, f64;
    Text<'a>, 4, string;
    Guid, 16, guid;
    Option<i64>, 8, date_time;
}
