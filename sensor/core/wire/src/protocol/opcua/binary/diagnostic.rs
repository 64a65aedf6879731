//! DiagnosticInfo: what a server adds to a status code (OPC 10000-6, 5.2.2.12; OPC 10000-4, 7.12).

use super::{Decode, Fault, FaultKind, Reader, Text};

const CLAUSE: &str = "OPC 10000-6, 5.2.2.12";

/// Diagnostics of one operation. Numbers are indexes in the string table of the response header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiagnosticInfo<'a> {
    /// Index of the vendor's own name of the error.
    pub symbolic_id: Option<i32>,
    /// Index of the namespace of that name.
    pub namespace_uri: Option<i32>,
    /// Index of the language of the text.
    pub locale: Option<i32>,
    /// Index of the text.
    pub localized_text: Option<i32>,
    /// Further details, from the server's implementation.
    pub additional_info: Text<'a>,
    /// Status code of an operation underneath.
    pub inner_status_code: Option<u32>,
    /// Diagnostics of that operation, still encoded.
    inner: Option<&'a [u8]>,
}

impl<'a> DiagnosticInfo<'a> {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Diagnostics of the operation underneath.
    pub fn inner(&self) -> Option<Self> {
        self.inner.and_then(|raw| Self::decode(&mut Reader::new(raw)).ok())
    }
}

impl<'a> Decode<'a> for DiagnosticInfo<'a> {
    const LEAST: usize = 1;

    fn decode(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        let mask = reader.u8()?;
        if mask == 0 {
            return Ok(Self::default());
        }
        if mask & 0x80 != 0 {
            reader.note(FaultKind::ReservedBits, CLAUSE);
        }
        let symbolic_id = if mask & 0x01 != 0 { Some(reader.i32()?) } else { None };
        let namespace_uri = if mask & 0x02 != 0 { Some(reader.i32()?) } else { None };
        // The locale comes before the text, though its bit is the higher one.
        let locale = if mask & 0x08 != 0 { Some(reader.i32()?) } else { None };
        let localized_text = if mask & 0x04 != 0 { Some(reader.i32()?) } else { None };
        let additional_info = if mask & 0x10 != 0 { reader.string()? } else { None };
        let inner_status_code = if mask & 0x20 != 0 { Some(reader.status_code()?) } else { None };
        let inner = if mask & 0x40 != 0 {
            let start = reader.position();
            reader.deeper(Self::decode)?;
            Some(reader.since(start))
        } else {
            None
        };
        Ok(Self { symbolic_id, namespace_uri, locale, localized_text, additional_info, inner_status_code, inner })
    }
}
