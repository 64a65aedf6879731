//! Notifications: what subscriptions publish (OPC 10000-4, 7.25 and 7.26).

use super::{Operand, Out};
use crate::protocol::opcua::binary::{Body, Decode, ExtensionObject, Fault, Reader};

/// Binary encodings (OPC 10000-6, annex A).
const DATA_CHANGE: u32 = 811;
const STATUS_CHANGE: u32 = 820;
const EVENT_LIST: u32 = 916;
const CLAUSE: &str = "OPC 10000-4, 7.25";

/// A message with any number of notifications; each of them counts as an operation.
pub(super) fn notification_message<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let sequence_number = reader.u32()?;
    let publish_time = reader.date_time()?;
    let count = reader.array_length(ExtensionObject::LEAST)?;
    out.say(Operand::NotificationMessage { sequence_number, publish_time, notifications: count });
    for _ in 0..count {
        let object = ExtensionObject::decode(reader)?;
        match (object.type_id.standard_number(), object.body) {
            (Some(DATA_CHANGE), Body::Binary(body)) => reader.within(body, CLAUSE, |inner| data_change(inner, out))?,
            (Some(EVENT_LIST), Body::Binary(body)) => reader.within(body, CLAUSE, |inner| event_list(inner, out))?,
            (Some(STATUS_CHANGE), Body::Binary(body)) => reader.within(body, CLAUSE, |inner| status_change(inner, out))?,
            _ => out.say(Operand::Unknown(object)),
        }
    }
    Ok(())
}

fn data_change<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let count = reader.array_length(5)?;
    out.count(count);
    for _ in 0..count {
        let client_handle = reader.u32()?;
        let value = reader.read()?;
        out.say(Operand::DataChange { client_handle, value });
    }
    out.diagnostics(reader)
}

fn event_list<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let count = reader.array_length(8)?;
    out.count(count);
    for _ in 0..count {
        let client_handle = reader.u32()?;
        let fields = reader.list()?;
        out.say(Operand::Event { client_handle, fields });
    }
    Ok(())
}

fn status_change<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let status = reader.status_code()?;
    let diagnostic = reader.read()?;
    out.one(Operand::StatusChange { status, diagnostic });
    Ok(())
}
