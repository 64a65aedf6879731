//! ExtensionObject: a structure with the name of its encoding (OPC 10000-6, 5.2.2.15).

use std::fmt::Write;

use super::{Decode, Fault, FaultKind, NodeId, Reader};

const CLAUSE: &str = "OPC 10000-6, 5.2.2.15";

/// What follows the type of an ExtensionObject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// Nothing.
    None,
    /// The structure in binary encoding.
    Binary(&'a [u8]),
    /// The structure as XML.
    Xml(&'a [u8]),
}

/// A structure, not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtensionObject<'a> {
    /// The node of the encoding, not of the data type.
    pub type_id: NodeId<'a>,
    /// The structure.
    pub body: Body<'a>,
}

impl<'a> ExtensionObject<'a> {
    /// Bytes of the body.
    pub fn length(&self) -> usize {
        match self.body {
            Body::None => 0,
            Body::Binary(bytes) | Body::Xml(bytes) => bytes.len(),
        }
    }

    /// Whether it stands for nothing: no type and no body.
    pub fn is_null(&self) -> bool {
        self.type_id.is_null() && self.length() == 0
    }

    /// Writes type and length, never the content, which may be a secret: `i=298 (24 bytes)`.
    pub fn write_text(&self, out: &mut dyn Write) {
        self.type_id.write_text(out);
        let _ = write!(out, " ({} bytes)", self.length());
    }
}

impl<'a> Decode<'a> for ExtensionObject<'a> {
    const LEAST: usize = 3;

    fn decode(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        let type_id = NodeId::decode(reader)?;
        let body = match reader.u8()? {
            0 => Body::None,
            1 => Body::Binary(reader.byte_string()?.unwrap_or_default()),
            2 => Body::Xml(reader.byte_string()?.unwrap_or_default()),
            _ => return Err(reader.fault(FaultKind::UnknownEncoding, CLAUSE)),
        };
        Ok(Self { type_id, body })
    }
}
