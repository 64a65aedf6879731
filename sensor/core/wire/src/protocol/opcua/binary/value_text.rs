//! Text of values: what a person reads in a record.

use std::fmt::{Result, Write};

use super::number_text::{write_double, write_float, write_integer};
use super::structure::{Definition, Definitions, Field};
use super::structure_text::{Layout, Stop, write_content, write_structure};
use super::text::{Limited, write_escaped, write_hex};
use super::{Array, Body, DataValue, DiagnosticInfo, ExtensionObject, Reader, Scalar, Text, Variant, date_time};
use crate::protocol::opcua::status;

/// Values nested deeper than this are written as an ellipsis.
const TEXT_DEPTH: u8 = 8;
/// Dimensions of a shape that are written.
const SHAPE_DIMENSIONS: usize = 8;

impl Variant<'_> {
    /// Appends the value's text to `out`, at most `limit` bytes and an ellipsis. A string alone stands as it is; in an array strings are quoted.
    /// A matrix is written as the array that it is on the wire: see `write_shape`. Structures are written by type and length.
    pub fn value_text(&self, out: &mut String, limit: usize) {
        let _ = Pen::new(out, limit, None).variant(self, false);
    }

    /// The same, with structures written as `{Name: value}` where `definitions` has them.
    pub fn value_text_with(&self, out: &mut String, limit: usize, definitions: &Definitions) {
        let _ = Pen::new(out, limit, Some(definitions)).variant(self, false);
    }

    /// Appends the lengths of an array, as `[3]` or `[2,3]`; nothing for a value alone.
    pub fn write_shape(&self, out: &mut String) {
        let Self::Array(array) = self else { return };
        if array.dimensions().is_empty() {
            let _ = write!(out, "[{}]", array.len());
            return;
        }
        for (index, length) in array.dimensions().iter().take(SHAPE_DIMENSIONS).enumerate() {
            let _ = write!(out, "{}{length}", if index == 0 { '[' } else { ',' });
        }
        out.push_str(if array.dimensions().len() > SHAPE_DIMENSIONS { ",…]" } else { "]" });
    }
}

impl Scalar<'_> {
    /// Appends the value's text to `out`, as `Variant::value_text` does.
    pub fn value_text(&self, out: &mut String, limit: usize) {
        let _ = Pen::new(out, limit, None).scalar(self, false);
    }
}

impl ExtensionObject<'_> {
    /// Appends the structure's text to `out`, as `Variant::value_text_with` does.
    pub fn value_text_with(&self, out: &mut String, limit: usize, definitions: &Definitions) {
        let _ = Pen::new(out, limit, Some(definitions)).extension_object(self);
    }
}

/// Appends the text of a raw field, at most `limit` bytes and an ellipsis: a value without its type, padded to what its field may hold at most
/// (OPC 10000-14, 7.2.4.5.11). The reader then stands behind it. False where the bytes are not what the field says; nothing is appended then.
pub(in crate::protocol::opcua) fn raw_text(
    field: &Field,
    reader: &mut Reader<'_>,
    out: &mut String,
    limit: usize,
    definitions: &Definitions,
) -> bool {
    let (mark, layout, before) = (out.len(), Layout { definitions, is_padded: true }, reader.clone());
    let mut pen = Pen::new(out, limit, Some(definitions));
    let size = super::structure_size::of_field(field, definitions);
    let written = match size.map(|size| reader.take(size, "OPC 10000-14, 7.2.4.5.11")) {
        Some(Ok(slot)) => write_content(field, false, &mut Reader::new(slot), &mut pen, layout),
        Some(Err(_)) => Err(Stop::Misfit),
        None => write_content(field, false, reader, &mut pen, layout),
    };
    let is_read = match (written, size) {
        (Ok(()), _) | (Err(Stop::Full), Some(_)) => true,
        (Err(Stop::Full), None) => {
            // The text is full, the value is not over: where the next field begins, only its end tells.
            *reader = before;
            write_content(field, false, reader, &mut Pen::away(&mut String::new(), definitions), layout).is_ok()
        }
        (Err(Stop::Misfit), _) => false,
    };
    if !is_read {
        out.truncate(mark);
    }
    is_read
}

/// Writes values up to a limit.
pub(super) struct Pen<'s, 'd> {
    out: Limited<'s>,
    depth: u8,
    definitions: Option<&'d Definitions>,
}

impl Write for Pen<'_, '_> {
    fn write_str(&mut self, text: &str) -> Result {
        self.out.write_str(text)
    }
}

impl<'s, 'd> Pen<'s, 'd> {
    fn new(out: &'s mut String, limit: usize, definitions: Option<&'d Definitions>) -> Self {
        Self { out: Limited::new(out, limit), depth: 0, definitions }
    }

    fn away(out: &'s mut String, definitions: &'d Definitions) -> Self {
        Self { out: Limited::away(out), depth: 0, definitions: Some(definitions) }
    }

    /// Writes a value; strings in quotes if it is part of another.
    pub(super) fn variant(&mut self, variant: &Variant<'_>, quoted: bool) -> Result {
        match variant {
            Variant::Null => self.write_str("null"),
            Variant::Scalar(scalar) => self.scalar(scalar, quoted),
            Variant::Array(array) => self.array(array),
        }
    }

    fn array(&mut self, array: &Array<'_>) -> Result {
        self.write_char('[')?;
        for (index, element) in array.iter().enumerate() {
            if index > 0 {
                self.write_str(", ")?;
            }
            self.scalar(&element, true)?;
        }
        self.write_char(']')
    }

    /// Writes a value alone.
    pub(super) fn scalar(&mut self, scalar: &Scalar<'_>, quoted: bool) -> Result {
        match scalar {
            Scalar::Boolean(value) => self.write_str(if *value { "true" } else { "false" }),
            Scalar::SByte(value) => write_integer(*value < 0, u64::from(value.unsigned_abs()), self),
            Scalar::Byte(value) => write_integer(false, u64::from(*value), self),
            Scalar::Int16(value) => write_integer(*value < 0, u64::from(value.unsigned_abs()), self),
            Scalar::UInt16(value) => write_integer(false, u64::from(*value), self),
            Scalar::Int32(value) => write_integer(*value < 0, u64::from(value.unsigned_abs()), self),
            Scalar::UInt32(value) => write_integer(false, u64::from(*value), self),
            Scalar::Int64(value) => write_integer(*value < 0, value.unsigned_abs(), self),
            Scalar::UInt64(value) => write_integer(false, *value, self),
            Scalar::Float(value) => write_float(*value, self),
            Scalar::Double(value) => write_double(*value, self),
            Scalar::String(value) | Scalar::XmlElement(value) => self.string(*value, quoted),
            Scalar::DateTime(None) => self.write_str("null"),
            Scalar::DateTime(Some(time)) => {
                date_time::write_text(*time, self);
                Ok(())
            }
            Scalar::Guid(value) => {
                value.write_text(self);
                Ok(())
            }
            Scalar::ByteString(None) | Scalar::Reserved(_, None) => self.write_str("null"),
            Scalar::ByteString(Some(bytes)) | Scalar::Reserved(_, Some(bytes)) => {
                self.write_str("0x")?;
                write_hex(bytes, self);
                Ok(())
            }
            Scalar::NodeId(value) => {
                value.write_text(self);
                Ok(())
            }
            Scalar::ExpandedNodeId(value) => {
                value.write_text(self);
                Ok(())
            }
            Scalar::StatusCode(value) => self.status(*value),
            Scalar::QualifiedName(value) => {
                value.write_text(self);
                Ok(())
            }
            Scalar::LocalizedText(value) => self.string(value.text, quoted),
            Scalar::ExtensionObject(value) => self.deeper(|pen| pen.extension_object(value)),
            Scalar::DataValue(nested) => self.deeper(|pen| pen.data_value(&nested.get().unwrap_or_default())),
            Scalar::Variant(nested) => self.deeper(|pen| pen.variant(&nested.get().unwrap_or_default(), true)),
            Scalar::DiagnosticInfo(nested) => self.diagnostic(&nested.get().unwrap_or_default()),
        }
    }

    fn deeper(&mut self, write: impl FnOnce(&mut Self) -> Result) -> Result {
        if self.depth >= TEXT_DEPTH {
            return self.write_char('…');
        }
        self.depth = self.depth.saturating_add(1);
        let result = write(self);
        self.depth = self.depth.saturating_sub(1);
        result
    }

    fn string(&mut self, text: Text<'_>, quoted: bool) -> Result {
        match text {
            None => self.write_str("null"),
            Some(bytes) if quoted => {
                self.write_char('"')?;
                for part in bytes.split_inclusive(|byte| *byte == b'"') {
                    match part.split_last() {
                        Some((b'"', plain)) => {
                            write_escaped(plain, self);
                            self.write_str("\\\"")?;
                        }
                        _ => write_escaped(part, self),
                    }
                }
                self.write_char('"')
            }
            Some(bytes) => {
                write_escaped(bytes, self);
                Ok(())
            }
        }
    }

    /// Writes a status code's name, with the code where the name does not say all (OPC 10000-4, 7.39).
    fn status(&mut self, code: u32) -> Result {
        self.write_str(status::name(code))?;
        if code & 0xFFFF != 0 || !status::is_named(code) { write!(self, " (0x{code:08x})") } else { Ok(()) }
    }

    fn data_value(&mut self, value: &DataValue<'_>) -> Result {
        self.variant(&value.value.unwrap_or_default(), true)?;
        if value.status != 0 {
            self.write_char(' ')?;
            self.status(value.status)?;
        }
        Ok(())
    }

    fn diagnostic(&mut self, value: &DiagnosticInfo<'_>) -> Result {
        self.string(value.additional_info, true)?;
        match value.inner_status_code {
            None => Ok(()),
            Some(code) => {
                self.write_char(' ')?;
                self.status(code)
            }
        }
    }

    /// By its definition if there is one, and if the bytes are what it says; else by type and length.
    fn extension_object(&mut self, object: &ExtensionObject<'_>) -> Result {
        let known = self.definitions.and_then(|definitions| Some((definitions, definitions.of_encoding(&object.type_id)?)));
        if let (Some((definitions, Definition::Structure(kind, fields))), Body::Binary(body)) = (known, object.body) {
            let (mark, mut reader) = (self.out.mark(), Reader::new(body));
            let layout = Layout { definitions, is_padded: false };
            match write_structure(*kind, fields, &mut reader, self, layout) {
                Ok(()) if reader.left() == 0 => return Ok(()),
                Err(Stop::Full) => return Err(std::fmt::Error),
                Ok(()) | Err(Stop::Misfit) => self.out.rewind(mark),
            }
        }
        object.write_text(self);
        Ok(())
    }
}
