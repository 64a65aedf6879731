//! Text of values: what a person reads in a record.

use std::fmt::Write;

use super::text::{Limited, write_escaped, write_hex};
use super::{Array, DataValue, DiagnosticInfo, Scalar, Text, Variant, date_time};
use crate::protocol::opcua::status;

/// Values nested deeper than this are written as an ellipsis.
const TEXT_DEPTH: u8 = 8;

impl Variant<'_> {
    /// Appends the value's text to `out`, at most `limit` bytes and an ellipsis. A string alone stands as it is; in an array strings are quoted.
    /// A matrix is written as the array that it is on the wire: see `write_shape`.
    pub fn value_text(&self, out: &mut String, limit: usize) {
        let _ = write_variant(self, &mut Limited::new(out, limit), 0, false);
    }

    /// Appends the lengths of an array, as `[3]` or `[2,3]`; nothing for a value alone.
    pub fn write_shape(&self, out: &mut String) {
        let Self::Array(array) = self else { return };
        if array.dimensions().is_empty() {
            let _ = write!(out, "[{}]", array.len());
            return;
        }
        for (index, length) in array.dimensions().iter().enumerate() {
            let _ = write!(out, "{}{length}", if index == 0 { '[' } else { ',' });
        }
        out.push(']');
    }
}

impl Scalar<'_> {
    /// Appends the value's text to `out`, at most `limit` bytes and an ellipsis.
    pub fn value_text(&self, out: &mut String, limit: usize) {
        let _ = write_scalar(self, &mut Limited::new(out, limit), 0, false);
    }
}

fn write_variant(variant: &Variant<'_>, out: &mut Limited<'_>, depth: u8, quoted: bool) -> std::fmt::Result {
    match variant {
        Variant::Null => out.write_str("null"),
        Variant::Scalar(scalar) => write_scalar(scalar, out, depth, quoted),
        Variant::Array(array) => write_array(array, out, depth),
    }
}

fn write_array(array: &Array<'_>, out: &mut Limited<'_>, depth: u8) -> std::fmt::Result {
    out.write_char('[')?;
    for (index, element) in array.iter().enumerate() {
        if index > 0 {
            out.write_str(", ")?;
        }
        write_scalar(&element, out, depth, true)?;
    }
    out.write_char(']')
}

fn write_scalar(scalar: &Scalar<'_>, out: &mut Limited<'_>, depth: u8, quoted: bool) -> std::fmt::Result {
    match scalar {
        Scalar::Boolean(value) => write!(out, "{value}"),
        Scalar::SByte(value) => write!(out, "{value}"),
        Scalar::Byte(value) => write!(out, "{value}"),
        Scalar::Int16(value) => write!(out, "{value}"),
        Scalar::UInt16(value) => write!(out, "{value}"),
        Scalar::Int32(value) => write!(out, "{value}"),
        Scalar::UInt32(value) => write!(out, "{value}"),
        Scalar::Int64(value) => write!(out, "{value}"),
        Scalar::UInt64(value) => write!(out, "{value}"),
        // The debug form keeps very large and very small numbers short.
        Scalar::Float(value) => write!(out, "{value:?}"),
        Scalar::Double(value) => write!(out, "{value:?}"),
        Scalar::String(value) | Scalar::XmlElement(value) => write_string(*value, out, quoted),
        Scalar::DateTime(None) => out.write_str("null"),
        Scalar::DateTime(Some(time)) => {
            date_time::write_text(*time, out);
            Ok(())
        }
        Scalar::Guid(value) => {
            value.write_text(out);
            Ok(())
        }
        Scalar::ByteString(None) | Scalar::Reserved(_, None) => out.write_str("null"),
        Scalar::ByteString(Some(bytes)) | Scalar::Reserved(_, Some(bytes)) => {
            out.write_str("0x")?;
            write_hex(bytes, out);
            Ok(())
        }
        Scalar::NodeId(value) => {
            value.write_text(out);
            Ok(())
        }
        Scalar::ExpandedNodeId(value) => {
            value.write_text(out);
            Ok(())
        }
        Scalar::StatusCode(value) => write_status(*value, out),
        Scalar::QualifiedName(value) => {
            value.write_text(out);
            Ok(())
        }
        Scalar::LocalizedText(value) => write_string(value.text, out, quoted),
        Scalar::ExtensionObject(value) => {
            value.write_text(out);
            Ok(())
        }
        Scalar::DataValue(_) | Scalar::Variant(_) | Scalar::DiagnosticInfo(_) if depth >= TEXT_DEPTH => out.write_char('…'),
        Scalar::DataValue(nested) => write_data_value(&nested.get().unwrap_or_default(), out, depth.saturating_add(1)),
        Scalar::Variant(nested) => write_variant(&nested.get().unwrap_or_default(), out, depth.saturating_add(1), true),
        Scalar::DiagnosticInfo(nested) => write_diagnostic(&nested.get().unwrap_or_default(), out),
    }
}

fn write_string(text: Text<'_>, out: &mut Limited<'_>, quoted: bool) -> std::fmt::Result {
    match text {
        None => out.write_str("null"),
        Some(bytes) if quoted => {
            out.write_char('"')?;
            for part in bytes.split_inclusive(|byte| *byte == b'"') {
                match part.split_last() {
                    Some((b'"', plain)) => {
                        write_escaped(plain, out);
                        out.write_str("\\\"")?;
                    }
                    _ => write_escaped(part, out),
                }
            }
            out.write_char('"')
        }
        Some(bytes) => {
            write_escaped(bytes, out);
            Ok(())
        }
    }
}

/// Writes a status code's name, with the code where the name does not say all (OPC 10000-4, 7.39).
fn write_status(code: u32, out: &mut Limited<'_>) -> std::fmt::Result {
    out.write_str(status::name(code))?;
    if code & 0xFFFF != 0 || !status::is_named(code) { write!(out, " (0x{code:08x})") } else { Ok(()) }
}

fn write_data_value(value: &DataValue<'_>, out: &mut Limited<'_>, depth: u8) -> std::fmt::Result {
    write_variant(&value.value.unwrap_or_default(), out, depth, true)?;
    if value.status != 0 {
        out.write_char(' ')?;
        write_status(value.status, out)?;
    }
    Ok(())
}

fn write_diagnostic(value: &DiagnosticInfo<'_>, out: &mut Limited<'_>) -> std::fmt::Result {
    write_string(value.additional_info, out, true)?;
    match value.inner_status_code {
        None => Ok(()),
        Some(code) => {
            out.write_char(' ')?;
            write_status(code, out)
        }
    }
}
