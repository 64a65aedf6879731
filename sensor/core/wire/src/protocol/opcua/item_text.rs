//! Texts of the rows of operands.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::binary::{Definitions, List, Scalar, Text, Variant};
use super::known_text::Numbers;
use super::{secret, status};

/// Longest text of a value that is kept.
pub const VALUE_BYTES: usize = 1_024;
/// Longest texts of all arguments of one row.
const ARGUMENTS_BYTES: usize = 4_096;
/// Longest text of a node, a name or an index range.
pub const NAME_BYTES: usize = 1_024;

/// Room for the texts of a row, used again and again.
#[derive(Default)]
pub struct Room {
    /// The node.
    pub node: String,
    /// The object.
    pub object: String,
    /// Part of an array.
    pub index_range: String,
    /// The name.
    pub name: String,
    /// The type.
    pub data_type: String,
    /// The value.
    pub value: String,
    /// The status.
    pub status: String,
    /// The arguments, one behind the other.
    pub arguments: String,
    /// Where each ends.
    pub argument_ends: Vec<usize>,
    /// The results, one behind the other.
    pub results: String,
    /// Where each ends.
    pub result_ends: Vec<usize>,
    /// Source of an event.
    pub source: String,
    /// Message of an event.
    pub message: String,
}

impl Room {
    /// Empties it.
    pub fn clear(&mut self) {
        let Self { node, object, index_range, name, data_type, value, status, arguments, results, source, message, .. } = self;
        for text in [node, object, index_range, name, data_type, value, status, arguments, results, source, message] {
            text.clear();
        }
        self.argument_ends.clear();
        self.result_ends.clear();
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        [&self.node, &self.value, &self.arguments, &self.results, &self.message].iter().map(|text| text.capacity()).sum()
    }
}

/// A text that is not empty.
pub fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// Writes type and value of a value.
pub fn write_value(variant: &Variant<'_>, structures: Option<&Definitions>, numbers: &mut Numbers, room: &mut Room) {
    let Room { data_type, value, .. } = room;
    data_type.push_str(variant.type_name());
    match (variant, structures) {
        (Variant::Scalar(Scalar::Double(number)), _) => numbers.write_double(*number, value),
        (Variant::Scalar(Scalar::Float(number)), _) => numbers.write_float(*number, value),
        _ if secret::is_key(variant) => secret::SECRET.value_text(value, VALUE_BYTES),
        (_, Some(structures)) => variant.value_text_with(value, VALUE_BYTES, structures),
        (_, None) => variant.value_text(value, VALUE_BYTES),
    }
    variant.write_shape(data_type);
}

/// Writes texts of values one behind the other, as many as there is room for.
pub fn write_list<'a, 'v: 'a>(
    values: impl Iterator<Item = (Option<&'a str>, &'a Variant<'v>)>,
    out: &mut String,
    ends: &mut Vec<usize>,
) {
    for (name, value) in values {
        if out.len() >= ARGUMENTS_BYTES {
            return;
        }
        if let Some(name) = name {
            let _ = write!(out, "{name}=");
        }
        if secret::is_key(value) { &secret::SECRET } else { value }.value_text(out, VALUE_BYTES);
        ends.push(out.len());
    }
}

/// Writes the fields of an event: source, severity and message have columns of their own where the filter names them.
pub fn write_event(fields: List<'_, Variant<'_>>, names: Option<&[Box<str>]>, room: &mut Room) -> Option<u16> {
    let mut severity = None;
    for (at, value) in fields.iter().enumerate() {
        let name = names.and_then(|names| names.get(at)).map(|name| &**name);
        match name {
            _ if matches!(value, Variant::Null) => {}
            Some("Severity") if value.number().is_some() => {
                severity = value.number().map(|number| number.clamp(0.0, 65_535.0) as u16);
            }
            Some("Message") => value.value_text(&mut room.message, VALUE_BYTES),
            Some("SourceName") => {
                // Where the name is empty, the node says more.
                let node = std::mem::take(&mut room.source);
                value.value_text(&mut room.source, NAME_BYTES);
                if room.source.is_empty() {
                    room.source = node;
                }
            }
            Some("SourceNode") if room.source.is_empty() => value.value_text(&mut room.source, NAME_BYTES),
            _ => write_list(std::iter::once((name, &value)), &mut room.arguments, &mut room.argument_ends),
        }
    }
    severity
}

/// Cuts a text at the last character that fits.
pub fn limit(text: &mut String, most: usize) {
    if text.len() > most {
        let end = (0..=most).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        text.truncate(end);
    }
}

/// Name of a status code; eight digits for one that the specification does not name. What a value's code says beside its name follows behind `+`:
/// `Good+Overflow` where values were lost before it (OPC 10000-4, 7.39.1).
pub fn status_text(code: u32, room: &mut String) -> &str {
    let is_named = code == 0 || status::is_named(code);
    if is_named && code & status::DETAILS == 0 {
        return status::name(code);
    }
    room.clear();
    match is_named {
        true => room.push_str(status::name(code)),
        false => drop(write!(room, "0x{code:08X}")),
    }
    for detail in status::details(code) {
        room.push('+');
        room.push_str(detail);
    }
    room
}

/// A text of the wire, cut at `most` bytes; escaped where it is not plain. Null and empty are none.
pub fn plain(text: Text<'_>, most: usize) -> Option<Cow<'_, str>> {
    let bytes = text.filter(|bytes| !bytes.is_empty())?;
    if bytes.len() <= most
        && let Ok(text) = std::str::from_utf8(bytes)
        && !text.contains(|c: char| c == '\\' || c.is_control())
    {
        return Some(Cow::Borrowed(text));
    }
    let mut out = String::new();
    super::binary::text::write_escaped(bytes.get(..bytes.len().min(most)).unwrap_or_default(), &mut out);
    Some(Cow::Owned(out))
}

#[cfg(test)]
mod tests {
    use super::super::binary::{Decode, Reader};
    use super::*;

    #[test]
    fn a_source_without_a_name_is_told_by_its_node_and_a_message_that_is_null_is_none() {
        // Three variants: a NodeId, null, null.
        let fields = List::<Variant<'_>>::decode(&mut Reader::new(&[3, 0, 0, 0, 17, 0, 85, 0, 0])).unwrap();
        let names: Vec<Box<str>> = ["SourceNode", "SourceName", "Message"].map(Box::from).to_vec();
        let mut room = Room::default();
        assert_eq!(write_event(fields, Some(&names), &mut room), None);
        assert_eq!((room.source.as_str(), room.message.as_str()), ("i=85", ""));
    }
}
