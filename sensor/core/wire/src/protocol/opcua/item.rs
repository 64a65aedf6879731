//! Operands of a call: what a request asks for, item by item, and the rows that they become with their results.

use std::borrow::Cow;
use std::fmt::Write as _;

use foldhash::fast::FixedState;
use std::hash::BuildHasher;

use super::binary::{DataValue, Definitions, ExpandedNodeId, List, LocalizedText, NodeId, QualifiedName, Scalar, Text, Variant};
use super::known_text::Numbers;
use super::name::NodeNames;
use super::point::Points;
use super::service::{EventFilter, RelativePathElement};
use super::structures::Structures;
use super::subscription::{Monitored, Server, SessionKey};
use super::{Servers, point, status};
use crate::protocol::{Context, Counters, Shared};
use crate::record::column::TextList;
use crate::record::table::PointAccess;
use crate::record::table::opcua::{ItemKind, NodeAttribute, OpcuaItemRow, ServiceName};
use crate::record::{PartyKey, Records};

/// Longest text of a value that is kept.
pub const VALUE_BYTES: usize = 1_024;
/// Longest texts of all arguments of one row.
const ARGUMENTS_BYTES: usize = 4_096;
/// Longest text of a node, a name or an index range.
const NAME_BYTES: usize = 1_024;
/// Rows after which a full table is looked for: what lies between must fit into what a cut leaves room for.
const LOOK: u32 = 32;
/// Number of the attribute Value (OPC 10000-6, annex A.1).
pub const VALUE: u32 = 13;
/// Number of the attribute DataTypeDefinition.
pub const DATA_TYPE_DEFINITION: u32 = 23;
/// Numbers of the attributes BrowseName and DisplayName.
const NAMES: [u32; 2] = [3, 4];

/// A node of an item.
#[derive(Clone, Copy, Debug, Default)]
pub enum Node<'a> {
    /// None, or not known.
    #[default]
    None,
    /// On the server.
    Plain(NodeId<'a>),
    /// Maybe on another server, maybe with a namespace by URI.
    Expanded(ExpandedNodeId<'a>),
}

impl<'a> Node<'a> {
    /// A node; null is none.
    pub fn of(node: NodeId<'a>) -> Self {
        if node.is_null() { Self::None } else { Self::Plain(node) }
    }

    /// A node of a reference; what is on this server is plain.
    pub fn expanded(node: ExpandedNodeId<'a>) -> Self {
        if node.server_index == 0 && node.namespace_uri.is_none() { Self::of(node.node) } else { Self::Expanded(node) }
    }

    fn write(&self, out: &mut String) -> bool {
        match self {
            Self::None => return false,
            Self::Plain(node) => node.write_text(out),
            Self::Expanded(node) => node.write_text(out),
        }
        true
    }

    /// Hash of a node of this server.
    pub fn hash(&self) -> Option<u64> {
        match self {
            Self::Plain(node) => Some(hash(node)),
            _ => None,
        }
    }
}

/// Hash of a node, for names and points.
pub fn hash(node: &NodeId<'_>) -> u64 {
    FixedState::default().hash_one(node)
}

/// A name as a message has it.
#[derive(Clone, Copy, Debug, Default)]
pub enum NameOf<'a> {
    /// None.
    #[default]
    None,
    /// A browse name.
    Browse(QualifiedName<'a>),
    /// A display name, and a browse name where that is empty.
    Display(LocalizedText<'a>, QualifiedName<'a>),
    /// A text.
    Text(Text<'a>),
    /// A path of browse names.
    Path(List<'a, RelativePathElement<'a>>),
}

impl NameOf<'_> {
    fn write(&self, out: &mut String) {
        match self {
            Self::None => {}
            Self::Browse(name) => name.write_text(out),
            Self::Display(name, browse) if name.text.unwrap_or_default().is_empty() => browse.write_text(out),
            Self::Display(name, _) => name.write_text(out),
            Self::Text(text) => super::binary::text::write_escaped(text.unwrap_or_default(), out),
            Self::Path(path) => {
                for step in path.iter() {
                    out.push('/');
                    step.target_name.write_text(out);
                    if out.len() > NAME_BYTES {
                        return;
                    }
                }
            }
        }
    }
}

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

/// Room for the texts of a row, used again and again.
#[derive(Default)]
pub struct Room {
    node: String,
    object: String,
    index_range: String,
    name: String,
    data_type: String,
    value: String,
    status: String,
    arguments: String,
    argument_ends: Vec<usize>,
    results: String,
    result_ends: Vec<usize>,
    source: String,
    message: String,
}

impl Room {
    fn clear(&mut self) {
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
}

impl Items<'_, '_, '_, '_> {
    /// Whether the next row goes in; counts it if it does.
    fn takes(&mut self) -> bool {
        if self.is_full {
            return false;
        }
        if self.rows < self.skip {
            self.rows += 1;
            return false;
        }
        if self.rows % LOOK == LOOK - 1 && self.rows > self.skip && self.context.records.is_full() {
            self.is_full = true;
            return false;
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
        } else if let Some(word) = item.word {
            room.value.push_str(word);
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
                learned.points.update(&seen, self.context.records, &mut self.context.shared.counters);
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
            session: self.call.session,
            request_id: self.call.request_id,
            node_id: has_node.then_some(&*room.node),
            object_id: has_object.then_some(&*room.object),
            attribute: item.attribute.map(NodeAttribute::of),
            index_range: some(&room.index_range),
            name,
            data_type: some(&room.data_type),
            value: (variant.is_some() || item.word.is_some()).then_some(&*room.value),
            number,
            arguments: (self.call.kind == ItemKind::Call || !arguments.is_empty())
                .then_some(TextList { text: &room.arguments, ends: &room.argument_ends }),
            results: outputs.map(|_| TextList { text: &room.results, ends: &room.result_ends }),
            status: code.map(|code| status_text(code, &mut room.status)),
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
        let Shared { opcua, counters, .. } = &mut *self.context.shared;
        let Servers { subscriptions, names, structures, points, number_texts, .. } = opcua;
        let known = item.subscription_id.zip(item.monitored_item_id);
        let known = known.and_then(|(id, item_id)| subscriptions.node(self.call.server, id, item_id));
        let told = Told {
            item_id: item.monitored_item_id,
            subscription_id: item.subscription_id,
            client_handle: item.client_handle,
            word: item.word,
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
            counters,
        };
        push_known(known, &told, self.room, to);
    }

    /// An event of a history, of the node that it is of.
    #[cold]
    pub fn event(&mut self, source: Option<&Monitored>, fields: List<'_, Variant<'_>>) {
        if !self.takes() {
            return;
        }
        let Shared { opcua, counters, .. } = &mut *self.context.shared;
        let Servers { names, structures, points, number_texts, .. } = opcua;
        let to = To {
            call: &self.call,
            party: self.context.party,
            records: self.context.records,
            names,
            structures,
            points,
            number_texts,
            counters,
        };
        push_known(source, &Told { fields: Some(fields), ..Told::default() }, self.room, to);
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
        let Shared { opcua, counters, .. } = &mut *self.context.shared;
        let Servers { subscriptions, names, structures, points, number_texts, .. } = opcua;
        let found = subscription.and_then(|id| subscriptions.item(self.call.server, id, handle, self.call.session_key));
        let told = Told {
            value,
            fields,
            subscription_id: subscription,
            client_handle: Some(handle),
            inferred: found.is_some_and(|(known, is_foreign)| is_foreign || !known.is_confirmed),
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
            counters,
        };
        push_known(found.map(|(known, _)| known), &told, self.room, to);
    }
}

/// What a message says of a monitored item.
#[derive(Default)]
struct Told<'a> {
    value: Option<&'a DataValue<'a>>,
    fields: Option<List<'a, Variant<'a>>>,
    word: Option<&'a str>,
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
    counters: &'t mut Counters,
}

/// Adds the row of a monitored item, by the node that it was created with if that was seen.
fn push_known(known: Option<&Monitored>, told: &Told<'_>, room: &mut Room, to: To<'_, '_>) {
    room.clear();
    let To { call, party, records, names, structures, points, number_texts, counters } = to;
    let variant = told.value.and_then(|value| value.value.as_ref());
    let mut number = None;
    if let Some(variant) = variant {
        write_value(variant, structures.of(call.server, variant), number_texts, room);
        number = variant.number().filter(|number| number.is_finite());
    } else if let Some(word) = told.word {
        room.value.push_str(word);
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
        points.update(&seen, records, counters);
    }
    let mut severity = None;
    if let Some(fields) = told.fields {
        severity = write_event(fields, known.and_then(|known| known.fields.as_deref()), room);
    }
    let row = OpcuaItemRow {
        kind: call.kind,
        service: call.service,
        session: call.session,
        request_id: call.request_id,
        node_id: known.map(|known| &*known.node),
        object_id: None,
        attribute: known.map(|known| NodeAttribute::of(known.attribute)),
        index_range: None,
        name: known.and_then(|known| names.get(call.server, known.hash)),
        data_type: some(&room.data_type),
        value: (variant.is_some() || told.word.is_some()).then_some(&*room.value),
        number,
        arguments: told.fields.map(|_| TextList { text: &room.arguments, ends: &room.argument_ends }),
        results: None,
        status: code.map(|code| status_text(code, &mut room.status)),
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

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn write_value(variant: &Variant<'_>, structures: Option<&Definitions>, numbers: &mut Numbers, room: &mut Room) {
    let Room { data_type, value, .. } = room;
    data_type.push_str(variant.type_name());
    match (variant, structures) {
        (Variant::Scalar(Scalar::Double(number)), _) => numbers.write_double(*number, value),
        (Variant::Scalar(Scalar::Float(number)), _) => numbers.write_float(*number, value),
        (_, Some(structures)) => variant.value_text_with(value, VALUE_BYTES, structures),
        (_, None) => variant.value_text(value, VALUE_BYTES),
    }
    variant.write_shape(data_type);
}

/// Writes texts of values one behind the other, as many as there is room for.
fn write_list<'a, 'v: 'a>(
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
        value.value_text(out, VALUE_BYTES);
        ends.push(out.len());
    }
}

/// Writes the fields of an event: source, severity and message have columns of their own where the filter names them.
fn write_event(fields: List<'_, Variant<'_>>, names: Option<&[Box<str>]>, room: &mut Room) -> Option<u16> {
    let mut severity = None;
    for (at, value) in fields.iter().enumerate() {
        let name = names.and_then(|names| names.get(at)).map(|name| &**name);
        match name {
            Some("Severity") if value.number().is_some() => {
                severity = value.number().map(|number| number.clamp(0.0, 65_535.0) as u16);
            }
            Some("Message") => value.value_text(&mut room.message, VALUE_BYTES),
            Some("SourceName") => {
                room.source.clear();
                value.value_text(&mut room.source, NAME_BYTES);
            }
            Some("SourceNode") if room.source.is_empty() => value.value_text(&mut room.source, NAME_BYTES),
            _ if matches!(value, Variant::Null) => {}
            _ => write_list(std::iter::once((name, &value)), &mut room.arguments, &mut room.argument_ends),
        }
    }
    severity
}

/// Cuts a text at the last character that fits.
fn limit(text: &mut String, most: usize) {
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
