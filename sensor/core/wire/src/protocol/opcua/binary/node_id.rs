//! NodeId and ExpandedNodeId, names, and their texts (OPC 10000-6, 5.2.2.9 to 5.2.2.14 and 5.1.12).

use std::fmt::Write;

use super::number_text::write_integer;
use super::text::{write_escaped, write_hex};
use super::{Decode, Fault, FaultKind, Reader, Text};

const NODE_ID: &str = "OPC 10000-6, 5.2.2.9";
const EXPANDED: &str = "OPC 10000-6, 5.2.2.10";
const LOCALIZED_TEXT: &str = "OPC 10000-6, 5.2.2.14";

/// Flags of an ExpandedNodeId's encoding byte (OPC 10000-6, 5.2.2.10).
const HAS_NAMESPACE_URI: u8 = 0x80;
const HAS_SERVER_INDEX: u8 = 0x40;

/// A Guid, as the 16 bytes of the wire (OPC 10000-6, 5.2.2.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Guid(pub [u8; 16]);

impl Guid {
    /// Writes `72962b91-fa75-4ae6-8d28-b404dc7daf63`: the first three parts are little-endian on the wire.
    pub fn write_text(&self, out: &mut dyn Write) {
        let [a0, a1, a2, a3, b0, b1, c0, c1, d0, d1, e @ ..] = self.0;
        let (first, second, third) =
            (u32::from_le_bytes([a0, a1, a2, a3]), u16::from_le_bytes([b0, b1]), u16::from_le_bytes([c0, c1]));
        let _ = write!(out, "{first:08x}-{second:04x}-{third:04x}-{d0:02x}{d1:02x}-");
        write_hex(&e, out);
    }
}

/// What names a node inside of its namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Identifier<'a> {
    /// A number: three of the six encodings.
    Numeric(u32),
    /// A string; the null string is the empty one.
    String(&'a [u8]),
    /// A Guid.
    Guid(Guid),
    /// Bytes that only their server understands; null is empty.
    Opaque(&'a [u8]),
}

/// A NodeId (OPC 10000-6, 5.2.2.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NodeId<'a> {
    /// Index of the namespace in the server's table; 0 is OPC UA itself.
    pub namespace: u16,
    /// Name inside of the namespace.
    pub identifier: Identifier<'a>,
}

impl<'a> NodeId<'a> {
    /// A node of the OPC UA namespace.
    pub const fn standard(number: u32) -> Self {
        Self { namespace: 0, identifier: Identifier::Numeric(number) }
    }

    /// The null NodeId (OPC 10000-3, 8.2.4).
    pub fn is_null(&self) -> bool {
        self.namespace == 0
            && match self.identifier {
                Identifier::Numeric(number) => number == 0,
                Identifier::String(bytes) | Identifier::Opaque(bytes) => bytes.is_empty(),
                Identifier::Guid(guid) => guid == Guid::default(),
            }
    }

    /// The number of a node of the OPC UA namespace.
    pub fn standard_number(&self) -> Option<u32> {
        match (self.namespace, self.identifier) {
            (0, Identifier::Numeric(number)) => Some(number),
            _ => None,
        }
    }

    /// Writes `i=85`, `ns=2;s=Tank.Level`, `g=…`, `b=` with base64 as OPC 10000-6, 5.1.12 has it; strings are escaped where they are not UTF-8.
    pub fn write_text(&self, out: &mut dyn Write) {
        if self.namespace != 0 {
            let _ = out.write_str("ns=");
            let _ = write_integer(false, u64::from(self.namespace), out);
            let _ = out.write_str(";");
        }
        match self.identifier {
            Identifier::Numeric(number) => {
                let _ = out.write_str("i=");
                let _ = write_integer(false, u64::from(number), out);
            }
            Identifier::String(bytes) => {
                let _ = out.write_str("s=");
                write_escaped(bytes, out);
            }
            Identifier::Guid(guid) => {
                let _ = out.write_str("g=");
                guid.write_text(out);
            }
            Identifier::Opaque(bytes) => {
                let text = base64::display::Base64Display::new(bytes, &base64::engine::general_purpose::STANDARD);
                let _ = write!(out, "b={text}");
            }
        }
    }

    fn of_format(format: u8, reader: &mut Reader<'a>) -> Result<Self, Fault> {
        let (namespace, identifier) = match format {
            0 => (0, Identifier::Numeric(u32::from(reader.u8()?))),
            1 => (u16::from(reader.u8()?), Identifier::Numeric(u32::from(reader.u16()?))),
            2 => (reader.u16()?, Identifier::Numeric(reader.u32()?)),
            3 => (reader.u16()?, Identifier::String(reader.string()?.unwrap_or_default())),
            4 => (reader.u16()?, Identifier::Guid(reader.guid()?)),
            5 => (reader.u16()?, Identifier::Opaque(reader.byte_string()?.unwrap_or_default())),
            _ => return Err(reader.fault(FaultKind::UnknownEncoding, NODE_ID)),
        };
        Ok(Self { namespace, identifier })
    }
}

impl<'a> Decode<'a> for NodeId<'a> {
    const LEAST: usize = 2;

    fn decode(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        let format = reader.u8()?;
        if format & (HAS_NAMESPACE_URI | HAS_SERVER_INDEX) != 0 {
            return Err(reader.fault(FaultKind::UnknownEncoding, NODE_ID));
        }
        Self::of_format(format, reader)
    }
}

/// An ExpandedNodeId: a node of any server, with the namespace by URI where it is not by index (OPC 10000-6, 5.2.2.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExpandedNodeId<'a> {
    /// The node. Its namespace index means nothing where there is a namespace URI.
    pub node: NodeId<'a>,
    /// Namespace URI, if it is given by URI.
    pub namespace_uri: Text<'a>,
    /// Index in the server table; 0 is the server itself.
    pub server_index: u32,
}

impl ExpandedNodeId<'_> {
    /// Writes the NodeId's text, behind `svr=1;` for another server, with `nsu=uri;` in place of the index (OPC 10000-6, 5.1.12).
    pub fn write_text(&self, out: &mut dyn Write) {
        if self.server_index != 0 {
            let _ = write!(out, "svr={};", self.server_index);
        }
        match self.namespace_uri {
            None => self.node.write_text(out),
            Some(uri) => {
                let _ = out.write_str("nsu=");
                // In a namespace URI a semicolon would end it, and a percent sign starts an escape.
                for part in uri.split_inclusive(|byte| matches!(byte, b';' | b'%')) {
                    match part.split_last() {
                        Some((b';', plain)) => {
                            write_escaped(plain, out);
                            let _ = out.write_str("%3B");
                        }
                        Some((b'%', plain)) => {
                            write_escaped(plain, out);
                            let _ = out.write_str("%25");
                        }
                        _ => write_escaped(part, out),
                    }
                }
                let _ = out.write_char(';');
                NodeId { namespace: 0, ..self.node }.write_text(out);
            }
        }
    }
}

impl<'a> Decode<'a> for ExpandedNodeId<'a> {
    const LEAST: usize = 2;

    fn decode(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        let format = reader.u8()?;
        let node = NodeId::of_format(format & !(HAS_NAMESPACE_URI | HAS_SERVER_INDEX), reader).map_err(|fault| {
            if fault.kind == FaultKind::UnknownEncoding { Fault { clause: EXPANDED, ..fault } } else { fault }
        })?;
        let namespace_uri = if format & HAS_NAMESPACE_URI != 0 { reader.string()? } else { None };
        let server_index = if format & HAS_SERVER_INDEX != 0 { reader.u32()? } else { 0 };
        Ok(Self { node, namespace_uri, server_index })
    }
}

/// A name that belongs to a namespace (OPC 10000-6, 5.2.2.13).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct QualifiedName<'a> {
    /// Index of the namespace.
    pub namespace: u16,
    /// The name.
    pub name: Text<'a>,
}

impl QualifiedName<'_> {
    /// Writes `2:Level`, or `Level` in the OPC UA namespace (OPC 10000-6, 5.1.13).
    pub fn write_text(&self, out: &mut dyn Write) {
        if self.namespace != 0 {
            let _ = write!(out, "{}:", self.namespace);
        }
        write_escaped(self.name.unwrap_or_default(), out);
    }
}

impl<'a> Decode<'a> for QualifiedName<'a> {
    const LEAST: usize = 6;

    fn decode(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        Ok(Self { namespace: reader.u16()?, name: reader.string()? })
    }
}

/// A text in a language (OPC 10000-6, 5.2.2.14).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LocalizedText<'a> {
    /// The language, as `en-US`.
    pub locale: Text<'a>,
    /// The text.
    pub text: Text<'a>,
}

impl LocalizedText<'_> {
    /// Writes the text alone.
    pub fn write_text(&self, out: &mut dyn Write) {
        write_escaped(self.text.unwrap_or_default(), out);
    }
}

impl<'a> Decode<'a> for LocalizedText<'a> {
    const LEAST: usize = 1;

    fn decode(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        let mask = reader.u8()?;
        if mask & !3 != 0 {
            reader.note(FaultKind::ReservedBits, LOCALIZED_TEXT);
        }
        let locale = if mask & 1 != 0 { reader.string()? } else { None };
        let text = if mask & 2 != 0 { reader.string()? } else { None };
        Ok(Self { locale, text })
    }
}
