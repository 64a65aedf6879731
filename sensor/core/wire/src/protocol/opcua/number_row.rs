//! Rows of numbers that are read or notified again and again, the bulk of what plants say: what such a row has in common with the one before it
//! of the same node is not worked out anew.

use std::fmt::Write as _;

use super::binary::{DataValue, Scalar, Variant, number_text};
use super::item::Call;
use super::item_text::{VALUE_BYTES, status_text};
use super::name::NodeNames;
use super::node::Keys;
use super::point::{self, Last, Seen};
use crate::record::column::Name;
use crate::record::table::PointAccess;
use crate::record::table::opcua::{NumberRow, NumberRun};
use crate::record::{PartyKey, Records};

/// What the latest rows of a call share. Tables are not cut while it is recorded, so that keys hold.
#[derive(Default)]
pub struct Recent {
    session: Option<i32>,
    data_type: Option<(u8, i32)>,
    status: Option<(u32, i32)>,
    /// Rows that are to be completed with what they have in common, and how many.
    run: Option<(NumberRun, usize)>,
}

impl Recent {
    /// Completes the rows: to be called before any other row is added, and at the end.
    #[inline]
    pub fn close(&mut self, records: &mut Records) {
        if let Some((run, count)) = self.run.take() {
            records.opcua_item.close_run(count, &run);
        }
    }
}

/// A node whose attribute Value is told.
pub struct Valued<'a> {
    /// Its text.
    pub text: &'a str,
    /// Its hash.
    pub hash: u64,
    /// Its keys.
    pub keys: &'a mut Keys,
    /// What was seen of it.
    pub last: &'a mut Last,
    /// How its value is told.
    pub access: PointAccess,
}

/// How a value was asked for, of notifications.
#[derive(Clone, Copy, Default)]
pub struct Reported {
    /// The subscription.
    pub subscription_id: Option<u32>,
    /// The server's number of the monitored item.
    pub monitored_item_id: Option<u32>,
    /// The client's number.
    pub client_handle: Option<u32>,
    /// Whether that is inferred.
    pub inferred: bool,
}

/// A finite number as a value tells it: type and bits, and the number.
#[inline]
pub fn number_of(value: &DataValue<'_>) -> Option<((u8, u64), f64)> {
    let Some(Variant::Scalar(scalar)) = &value.value else {
        return None;
    };
    let bits = match *scalar {
        Scalar::Double(value) => value.to_bits(),
        Scalar::Float(value) => u64::from(value.to_bits()),
        Scalar::Boolean(value) => u64::from(value),
        Scalar::SByte(value) => i64::from(value).cast_unsigned(),
        Scalar::Byte(value) => u64::from(value),
        Scalar::Int16(value) => i64::from(value).cast_unsigned(),
        Scalar::UInt16(value) => u64::from(value),
        Scalar::Int32(value) => i64::from(value).cast_unsigned(),
        Scalar::UInt32(value) => u64::from(value),
        Scalar::Int64(value) => value.cast_unsigned(),
        Scalar::UInt64(value) => value,
        _ => return None,
    };
    let number = scalar.number().filter(|number| number.is_finite())?;
    Some(((scalar.built_in().0, bits), number))
}

/// Where the row of a number goes, and what it has in common with the others of its call.
pub struct Among<'t, 'm> {
    /// What all have in common.
    pub call: &'t Call<'m>,
    /// Keys of their texts.
    pub recent: &'t mut Recent,
    /// Between whom.
    pub party: PartyKey,
    /// Names of nodes.
    pub names: &'t NodeNames,
    /// Room for the text of a number.
    pub room: &'t mut String,
    /// The tables.
    pub records: &'t mut Records,
}

/// Adds the row of a number, and the point's where it is new or due.
pub fn push(node: Valued<'_>, value: &DataValue<'_>, (told, number): ((u8, u64), f64), reported: Reported, among: Among<'_, '_>) {
    let Among { call, recent, party, names, room, records } = among;
    let Valued { text: node_text, hash, keys, last, access } = node;
    let Call { ts, server, .. } = *call;
    if last.show(number, point::quality(value.status), ts) {
        let id = Name::Key(keys.point(node_text, records));
        let name = names.get(server, hash);
        let seen = Seen { server, hash, node: node_text, name, number, access, status: value.status, ts, party };
        point::push(&seen, id, records);
    }
    let session = call.session.map(|text| *recent.session.get_or_insert_with(|| records.opcua_item.session.intern(text)));
    let node_id = keys.item(node_text, records);
    let name = last.name(names, records);
    let data_type = match recent.data_type {
        Some((kind, key)) if kind == told.0 => key,
        _ => {
            let text = value.value.as_ref().map_or("", Variant::type_name);
            let key = records.opcua_item.data_type.intern(text);
            recent.data_type = Some((told.0, key));
            key
        }
    };
    let status = match recent.status {
        Some((code, key)) if code == value.status => key,
        _ => {
            let key = records.opcua_item.status.intern(status_text(value.status, &mut String::new()));
            recent.status = Some((value.status, key));
            key
        }
    };
    let text = last.text(told, room, |text| write_number(value.value.as_ref(), text));
    let run = NumberRun {
        ts,
        party,
        kind: call.kind,
        service: call.service,
        session,
        request_id: call.request_id,
        data_type,
        status,
        subscription_id: reported.subscription_id,
        inferred: reported.inferred,
    };
    if recent.run.is_some_and(|(open, _)| open != run) {
        recent.close(records);
    }
    let (_, count) = recent.run.get_or_insert((run, 0));
    let row = NumberRow {
        node_id,
        name,
        value: text,
        number,
        source_time: value.source_time,
        server_time: value.server_time,
        monitored_item_id: reported.monitored_item_id,
        client_handle: reported.client_handle,
    };
    records.opcua_item.push_number(*count, &row);
    *count += 1;
}

#[inline(never)]
fn write_number(value: Option<&Variant<'_>>, text: &mut String) {
    let _ = match value {
        Some(Variant::Scalar(Scalar::Double(number))) => number_text::write_double(*number, text),
        Some(Variant::Scalar(Scalar::Float(number))) => number_text::write_float(*number, text),
        Some(variant) => {
            variant.value_text(text, VALUE_BYTES);
            Ok(())
        }
        None => text.write_str(""),
    };
}
