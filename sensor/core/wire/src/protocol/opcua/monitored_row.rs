//! Rows of monitored items: the node comes from the creation of the item.

use super::Servers;
use super::about::About;
use super::binary::{DataValue, List, Variant};
use super::item::Item;
use super::item::{Call, Items, VALUE};
use super::item_text::{Room, some, status_text, write_event, write_value};
use super::known_text::Numbers;
use super::name::NodeNames;
use super::number_row::{self, Among, Reported, Valued};
use super::point::{self, Points};
use super::structures::Structures;
use super::subscription::Monitored;
use crate::protocol::Shared;
use crate::record::column::{Name, TextList};
use crate::record::table::PointAccess;
use crate::record::table::opcua::{ItemKind, NodeAttribute, OpcuaItemRow};
use crate::record::{PartyKey, Records};

impl Items<'_, '_, '_, '_> {
    /// An item about which only the server's number is known: its node comes from the creation of the item.
    pub fn push_monitored(&mut self, item: &Item<'_>) {
        let known = match (item.subscription_id, item.monitored_item_id) {
            (Some(id), Some(item_id)) if !self.is_full => {
                self.context.shared.opcua.subscriptions.node(self.call.server, id, item_id).is_some()
            }
            _ => false,
        };
        if !known {
            return self.push(item, &[], None);
        }
        if !self.takes() {
            return;
        }
        self.recent.close(self.context.records);
        let Shared { opcua, .. } = &mut *self.context.shared;
        let Servers { subscriptions, names, structures, points, number_texts, .. } = opcua;
        let known = item.subscription_id.zip(item.monitored_item_id);
        let known = known.and_then(|(id, item_id)| subscriptions.node(self.call.server, id, item_id));
        let told = Told {
            item_id: item.monitored_item_id,
            subscription_id: item.subscription_id,
            client_handle: item.client_handle,
            word: item.word,
            about: item.about,
            status: item.status,
            ..Told::default()
        };
        let to = To {
            call: &self.call,
            party: self.context.party,
            records: self.context.records,
            names,
            structures,
            points,
            number_texts,
        };
        push_known(known, &told, self.room, to);
    }

    /// An event of a history, of the node that it is of. `status`: what the server made of it, where it was to be changed.
    #[cold]
    pub fn event(&mut self, source: Option<&Monitored>, fields: List<'_, Variant<'_>>, status: Option<u32>) {
        if !self.takes() {
            return;
        }
        self.recent.close(self.context.records);
        let Shared { opcua, .. } = &mut *self.context.shared;
        let Servers { names, structures, points, number_texts, .. } = opcua;
        let to = To {
            call: &self.call,
            party: self.context.party,
            records: self.context.records,
            names,
            structures,
            points,
            number_texts,
        };
        push_known(source, &Told { fields: Some(fields), status, ..Told::default() }, self.room, to);
    }

    /// A notification of a monitored item: a value, or the fields of an event.
    pub fn notify(
        &mut self,
        subscription: Option<u32>,
        handle: u32,
        value: Option<&DataValue<'_>>,
        fields: Option<List<'_, Variant<'_>>>,
    ) {
        if !self.takes() {
            return;
        }
        let Shared { opcua, .. } = &mut *self.context.shared;
        let Servers { subscriptions, names, structures, points, number_texts, .. } = opcua;
        let mut found = subscription.and_then(|id| subscriptions.item(self.call.server, id, handle, self.call.session_key));
        let inferred = found.as_ref().is_some_and(|(known, is_foreign)| *is_foreign || !known.is_confirmed);
        if let (Some((Monitored { node, hash, keys, attribute: VALUE, is_part: false, item_id, .. }, _)), ItemKind::Notify) =
            (&mut found, self.call.kind)
            && let Some((value, number)) = value.and_then(|value| Some((value, number_row::number_of(value)?)))
            && !node.is_empty()
            && let Some(last) = points.of(self.call.server, *hash)
        {
            let node = Valued { text: node, hash: *hash, keys, last, access: PointAccess::Notify };
            let (monitored_item_id, client_handle) = (*item_id, Some(handle));
            let reported = Reported { subscription_id: subscription, monitored_item_id, client_handle, inferred };
            let (party, records) = (self.context.party, &mut *self.context.records);
            let room = &mut self.room.value;
            let among = Among { call: &self.call, recent: &mut self.recent, party, names, room, records };
            return number_row::push(node, value, number, reported, among);
        }
        self.recent.close(self.context.records);
        let told =
            Told { value, fields, subscription_id: subscription, client_handle: Some(handle), inferred, ..Told::default() };
        let to = To {
            call: &self.call,
            party: self.context.party,
            records: self.context.records,
            names,
            structures,
            points,
            number_texts,
        };
        push_known(found.map(|(known, _)| &*known), &told, self.room, to);
    }
}

/// What a message says of a monitored item.
#[derive(Default)]
struct Told<'a> {
    value: Option<&'a DataValue<'a>>,
    fields: Option<List<'a, Variant<'a>>>,
    word: Option<&'a str>,
    about: About<'a>,
    status: Option<u32>,
    subscription_id: Option<u32>,
    item_id: Option<u32>,
    client_handle: Option<u32>,
    inferred: bool,
}

/// Where the row of a monitored item goes.
struct To<'t, 'm> {
    call: &'t Call<'m>,
    party: PartyKey,
    records: &'t mut Records,
    names: &'t NodeNames,
    structures: &'t Structures,
    points: &'t mut Points,
    number_texts: &'t mut Numbers,
}

/// Adds the row of a monitored item, by the node that it was created with if that was seen.
fn push_known(known: Option<&Monitored>, told: &Told<'_>, room: &mut Room, to: To<'_, '_>) {
    room.clear();
    let To { call, party, records, names, structures, points, number_texts } = to;
    let variant = told.value.and_then(|value| value.value.as_ref());
    let mut number = None;
    if let Some(variant) = variant {
        write_value(variant, structures.of(call.server, variant), number_texts, room);
        number = variant.number().filter(|number| number.is_finite());
    } else {
        room.value.push_str(told.word.unwrap_or_default());
        told.about.write(&mut room.value);
    }
    let status = told.value.map(|value| value.status);
    let code = told.status.or(status);
    let known = known.filter(|known| !known.node.is_empty());
    if let (Some(Monitored { node, hash, attribute: VALUE, is_part: false, .. }), Some(number), ItemKind::Notify) =
        (known, number, call.kind)
    {
        let seen = point::Seen {
            server: call.server,
            hash: *hash,
            node,
            name: names.get(call.server, *hash),
            number,
            access: PointAccess::Notify,
            status: status.unwrap_or_default(),
            ts: call.ts,
            party,
        };
        points.update(&seen, records);
    }
    let mut severity = None;
    if let Some(fields) = told.fields {
        severity = write_event(fields, known.and_then(|known| known.fields.as_deref()), room);
    }
    let row = OpcuaItemRow {
        kind: call.kind,
        service: call.service,
        session: call.session.map(Name::Text),
        request_id: call.request_id,
        node_id: known.map(|known| Name::Text(&known.node)),
        object_id: None,
        attribute: known.map(|known| NodeAttribute::of(known.attribute)),
        index_range: None,
        name: known.and_then(|known| names.get(call.server, known.hash)).map(Name::Text),
        data_type: some(&room.data_type).map(Name::Text),
        value: (variant.is_some() || !room.value.is_empty()).then_some(&*room.value),
        number,
        arguments: told.fields.map(|_| TextList { text: &room.arguments, ends: &room.argument_ends }),
        results: None,
        status: code.map(|code| Name::Text(status_text(code, &mut room.status))),
        source_time: told.value.and_then(|value| value.source_time),
        server_time: told.value.and_then(|value| value.server_time),
        subscription_id: told.subscription_id,
        monitored_item_id: told.item_id.or(known.and_then(|known| known.item_id)),
        client_handle: told.client_handle,
        event_source: some(&room.source),
        event_severity: severity,
        event_message: some(&room.message),
        inferred: told.inferred,
    };
    records.opcua_item.push(call.ts, party, &row);
}
