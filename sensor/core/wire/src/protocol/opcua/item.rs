//! Operands of a call: what a request asks for, item by item, and the rows that they become with their results.

use super::Servers;
use super::about::About;
use super::binary::{DataValue, Text, Variant};
use super::item_text::{NAME_BYTES, Room, limit, some, status_text, write_list, write_value};
use super::node::{NameOf, Node};
use super::number_row::{self, Among, Recent, Reported, Valued};
use super::poll::PollId;
use super::service::EventFilter;
use super::subscription::{Server, SessionKey};
use super::{point, status};
use crate::protocol::Context;
use crate::record::column::{Name, TextList};
use crate::record::table::PointAccess;
use crate::record::table::opcua::{ItemKind, NodeAttribute, OpcuaItemRow, ServiceName};

/// Rows after which a full table is looked for: what lies between must fit into what a cut leaves room for.
const LOOK: u32 = 32;
/// Number of the attribute Value (OPC 10000-6, annex A.1).
pub const VALUE: u32 = 13;
/// Number of the attribute DataTypeDefinition.
pub const DATA_TYPE_DEFINITION: u32 = 23;
/// Numbers of the attributes BrowseName and DisplayName.
const NAMES: [u32; 2] = [3, 4];

/// One item of a request, and what its result adds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Item<'a> {
    /// The node.
    pub node: Node<'a>,
    /// The object of a method, the start of a path, the source of a reference.
    pub object: Node<'a>,
    /// The attribute, by number.
    pub attribute: Option<u32>,
    /// Part of an array.
    pub index_range: Text<'a>,
    /// A name.
    pub name: NameOf<'a>,
    /// A value.
    pub value: Option<DataValue<'a>>,
    /// A text that stands for a value.
    pub word: Option<&'a str>,
    /// What stands behind the word.
    pub about: About<'a>,
    /// A number that stands for a value.
    pub number: Option<f64>,
    /// Where its arguments begin and end among those of the message.
    pub arguments: (usize, usize),
    /// Its result.
    pub status: Option<u32>,
    /// The subscription.
    pub subscription_id: Option<u32>,
    /// The server's number of a monitored item.
    pub monitored_item_id: Option<u32>,
    /// The client's number of a monitored item.
    pub client_handle: Option<u32>,
    /// Filter of a monitored item.
    pub filter: Option<EventFilter<'a>>,
}

/// What all rows of a call have in common.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Time of the rows.
    pub ts: i64,
    /// Service.
    pub service: ServiceName,
    /// Kind of the items.
    pub kind: ItemKind,
    /// Number of the request.
    pub request_id: Option<u32>,
    /// Session as the records have it.
    pub session: Option<&'a str>,
    /// Session as subscriptions have it.
    pub session_key: Option<SessionKey>,
    /// The server.
    pub server: Server,
}

/// Rows of one message: they go in one by one, and stop where the tables are full.
pub struct Items<'m, 'r, 'c, 'd> {
    /// What they have in common.
    pub call: Call<'m>,
    /// Room for texts.
    pub room: &'r mut Room,
    /// Where they go.
    pub context: &'c mut Context<'d>,
    /// Rows of this message that are in the tables of an earlier cut already.
    pub skip: u32,
    /// Rows so far.
    pub rows: u32,
    /// Whether the tables are full: nothing more goes in.
    pub is_full: bool,
    /// What the latest of these rows share.
    pub recent: Recent,
}

impl Items<'_, '_, '_, '_> {
    /// Whether the next row goes in; counts it if it does.
    pub fn takes(&mut self) -> bool {
        if self.is_full {
            return false;
        }
        if self.rows < self.skip {
            self.rows += 1;
            return false;
        }
        if self.rows % LOOK == LOOK - 1 && self.rows > self.skip {
            self.recent.close(self.context.records);
            if self.context.records.is_full() {
                self.is_full = true;
                return false;
            }
        }
        self.rows += 1;
        true
    }

    /// An item with its result. `inputs` and `outputs` are the arguments of the message's items.
    pub fn push(&mut self, item: &Item<'_>, inputs: &[Variant<'_>], outputs: Option<&[Variant<'_>]>) {
        self.push_with(item, item.value.as_ref(), inputs, outputs);
    }

    /// An item with the value that was asked for.
    pub fn push_value(&mut self, item: &Item<'_>, value: &DataValue<'_>) {
        self.push_with(item, Some(value), &[], None);
    }

    fn push_with(
        &mut self,
        item: &Item<'_>,
        value: Option<&DataValue<'_>>,
        inputs: &[Variant<'_>],
        outputs: Option<&[Variant<'_>]>,
    ) {
        if !self.takes() {
            return;
        }
        self.recent.close(self.context.records);
        self.room.clear();
        let room = &mut *self.room;
        let known = match &item.node {
            Node::Plain(node) => self.context.shared.opcua.node_texts.text(node),
            _ => None,
        };
        let (has_node, hash) = match known {
            Some((text, hash)) => {
                room.node.push_str(text);
                (true, Some(hash))
            }
            None => {
                let has_node = item.node.write(&mut room.node);
                limit(&mut room.node, NAME_BYTES);
                (has_node, item.node.hash())
            }
        };
        let has_object = item.object.write(&mut room.object);
        limit(&mut room.object, NAME_BYTES);
        item.name.write(&mut room.name);
        limit(&mut room.name, NAME_BYTES);
        let learned = &mut self.context.shared.opcua;
        match (hash, item.name) {
            (Some(hash), NameOf::Display(..) | NameOf::Browse(_)) => learned.names.learn(self.call.server, hash, &room.name),
            (Some(hash), NameOf::Path(_)) => {
                learned.names.learn(self.call.server, hash, room.name.rsplit('/').next().unwrap_or_default());
            }
            _ => {}
        }
        let variant = value.and_then(|value| value.value.as_ref());
        let mut number = item.number;
        if let Some(variant) = variant {
            let structures = learned.structures.of(self.call.server, variant);
            write_value(variant, structures, &mut learned.number_texts, room);
            number = variant.number().filter(|number| number.is_finite());
        } else {
            room.value.push_str(item.word.unwrap_or_default());
            item.about.write(&mut room.value);
        }
        let value_status = value.map(|value| value.status);
        let code = item.status.or(value_status);
        if let (Some(attribute), Some(hash), Some(Variant::Scalar(_))) = (item.attribute, hash, variant)
            && NAMES.contains(&attribute)
            && self.call.kind == ItemKind::Read
        {
            learned.names.learn(self.call.server, hash, &room.value);
        }
        let is_point = item.attribute == Some(VALUE) && item.index_range.unwrap_or_default().is_empty();
        if let (true, Some(hash), Some(number)) = (is_point, hash, number) {
            let access = match self.call.kind {
                ItemKind::Read => Some((PointAccess::Read, value_status.unwrap_or_default())),
                // Only what the server took is the point's value.
                ItemKind::Write if item.status.is_some_and(|status| !status::is_bad(status)) => {
                    Some((PointAccess::Write, value_status.unwrap_or_default()))
                }
                _ => None,
            };
            if let Some((access, status)) = access {
                let seen = point::Seen {
                    server: self.call.server,
                    hash,
                    node: &room.node,
                    name: learned.names.get(self.call.server, hash),
                    number,
                    access,
                    status,
                    ts: self.call.ts,
                    party: self.context.party,
                };
                learned.points.update(&seen, self.context.records);
            }
        }
        let arguments = inputs.get(item.arguments.0..item.arguments.1).unwrap_or_default();
        write_list(arguments.iter().map(|argument| (None, argument)), &mut room.arguments, &mut room.argument_ends);
        write_list(outputs.unwrap_or_default().iter().map(|argument| (None, argument)), &mut room.results, &mut room.result_ends);
        if item.index_range.is_some() {
            super::binary::text::write_escaped(item.index_range.unwrap_or_default(), &mut room.index_range);
            limit(&mut room.index_range, NAME_BYTES);
        }
        let learned = &self.context.shared.opcua;
        let name = some(&room.name).or_else(|| hash.and_then(|hash| learned.names.get(self.call.server, hash)));
        let row = OpcuaItemRow {
            kind: self.call.kind,
            service: self.call.service,
            session: self.call.session.map(Name::Text),
            request_id: self.call.request_id,
            node_id: has_node.then_some(Name::Text(&room.node)),
            object_id: has_object.then_some(&*room.object),
            attribute: item.attribute.map(NodeAttribute::of),
            index_range: some(&room.index_range),
            name: name.map(Name::Text),
            data_type: some(&room.data_type).map(Name::Text),
            value: (variant.is_some() || !room.value.is_empty()).then_some(&*room.value),
            number,
            arguments: (self.call.kind == ItemKind::Call || !arguments.is_empty())
                .then_some(TextList { text: &room.arguments, ends: &room.argument_ends }),
            results: outputs.map(|_| TextList { text: &room.results, ends: &room.result_ends }),
            status: code.map(|code| Name::Text(status_text(code, &mut room.status))),
            source_time: value.and_then(|value| value.source_time),
            server_time: value.and_then(|value| value.server_time),
            subscription_id: item.subscription_id,
            monitored_item_id: item.monitored_item_id,
            client_handle: item.client_handle,
            event_source: None,
            event_severity: None,
            event_message: None,
            inferred: false,
        };
        self.context.records.opcua_item.push(self.call.ts, self.context.party, &row);
    }

    /// The number that answers an item of a poll. Returns whether it is a row now, or need not be one: other values go the way of any item.
    #[inline]
    pub fn push_polled(&mut self, poll: PollId, at: usize, value: &DataValue<'_>) -> bool {
        let Some(number) = number_row::number_of(value) else {
            return false;
        };
        let Servers { polls, .. } = &mut self.context.shared.opcua;
        if at >= polls.len(poll) {
            return false;
        }
        if !self.takes() {
            return true;
        }
        let Servers { polls, points, names, .. } = &mut self.context.shared.opcua;
        if let Some(polled) = polls.item(poll, at)
            && let Some(last) = points.of(self.call.server, polled.hash)
        {
            let access = PointAccess::Read;
            let node = Valued { text: &polled.text, hash: polled.hash, keys: &mut polled.keys, last, access };
            let (party, records) = (self.context.party, &mut *self.context.records);
            let room = &mut self.room.value;
            let among = Among { call: &self.call, recent: &mut self.recent, party, names, room, records };
            number_row::push(node, value, number, Reported::default(), among);
        }
        true
    }
}
