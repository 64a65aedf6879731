//! Rows of table `pubsub`: what a data set message or an announcement says, and the points that its numbers are.

use std::fmt::Write as _;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use super::announcement::{Announcement, Told};
use super::message::{DataSet, DataSetKind, Encoding, Header, Security};
use crate::protocol::Context;
use crate::protocol::opcua::binary::{
    BuiltIn, Decode, Definitions, Fault, Field, NodeId, Reader, Scalar, Text, Variant, raw_text, text,
};
use crate::protocol::opcua::subscription::Server;
use crate::protocol::opcua::{item_text, point};
use crate::record::column::TextList;
use crate::record::table::PointAccess;
use crate::record::table::opcua::{FieldEncoding, PubSubMessage, PubSubRow, PubSubTransport, SecurityMode};

/// Longest text of a field, and of all fields of a row.
const FIELD_BYTES: usize = 256;
const FIELDS_BYTES: usize = 4_096;
/// Longest name.
const NAME_BYTES: usize = 256;

/// Texts of a row, whose room is used again and again.
#[derive(Default)]
pub(super) struct Texts {
    values: String,
    ends: Vec<usize>,
    promoted: String,
    promoted_ends: Vec<usize>,
    name: String,
}

impl Texts {
    /// Forgets what was said of a data set; promoted fields are of the whole network message.
    pub fn clear(&mut self) {
        self.values.clear();
        self.ends.clear();
        self.name.clear();
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let ends = (self.ends.capacity() + self.promoted_ends.capacity()) * size_of::<usize>();
        self.values.capacity() + self.promoted.capacity() + self.name.capacity() + ends
    }

    /// The promoted fields of a network message: Variants, as many as there are.
    pub fn promote(&mut self, fields: &[u8]) {
        self.promoted.clear();
        self.promoted_ends.clear();
        let mut reader = Reader::new(fields);
        while reader.left() > 0 && self.promoted.len() < FIELDS_BYTES {
            let Ok(value) = Variant::decode(&mut reader) else { return };
            value.value_text(&mut self.promoted, FIELD_BYTES);
            self.promoted_ends.push(self.promoted.len());
        }
    }

    fn add(&mut self, write: impl FnOnce(&mut String)) {
        if self.values.len() < FIELDS_BYTES {
            write(&mut self.values);
            self.ends.push(self.values.len());
        }
    }

    /// What a discovery message says.
    pub fn tell(&mut self, told: &Told<'_>) {
        self.clear();
        match told {
            Told::Endpoints(endpoints) => {
                for endpoint in endpoints.iter() {
                    let policy = endpoint.security_policy_uri.unwrap_or_default();
                    self.add(|out| {
                        name(endpoint.endpoint_url, out);
                        out.push(' ');
                        name(Some(policy.rsplit(|byte| *byte == b'#').next().unwrap_or_default()), out);
                    });
                }
            }
            Told::MetaData(_, metadata) => {
                name(metadata.name, &mut self.name);
                for field in metadata.fields.iter() {
                    self.add(|out| {
                        name(field.name, out);
                        out.push('=');
                        field_type(&field, out);
                    });
                }
            }
            Told::Writers(_, group) => {
                name(group.name, &mut self.name);
                for writer in group.writers.iter() {
                    self.add(|out| {
                        let _ = write!(out, "{}=", writer.id);
                        name(writer.data_set_name, out);
                    });
                }
            }
            Told::Connections(connections) => {
                for connection in connections.iter() {
                    self.add(|out| {
                        connection.publisher.value_text(out, NAME_BYTES);
                        out.push('=');
                        name(connection.name, out);
                    });
                }
            }
            Told::Asked(writers) => {
                for writer in writers.iter() {
                    self.add(|out| {
                        let _ = write!(out, "{writer}");
                    });
                }
            }
            Told::Nothing => {}
        }
    }
}

fn name(name: Text<'_>, out: &mut String) {
    let name = name.unwrap_or_default();
    text::write_escaped(name.get(..NAME_BYTES).unwrap_or(name), out);
}

/// The type of an announced field, as `Double` or `Int32[3]`.
fn field_type(field: &super::announcement::FieldMetaData<'_>, out: &mut String) {
    out.push_str(BuiltIn(field.built_in).name());
    if field.value_rank > 0 {
        out.push('[');
        for (at, most) in field.dimensions.iter().take(8).enumerate() {
            let _ = write!(out, "{}{most}", if at == 0 { "" } else { "," });
        }
        out.push(']');
    }
}

/// Where the fields of a data set message go.
pub(super) struct Fields<'f, 'c> {
    pub texts: &'f mut Texts,
    pub publisher: &'f str,
    pub server: Server,
    pub writer: Option<u16>,
    pub context: &'f mut Context<'c>,
}

impl Fields<'_, '_> {
    /// Fields that say themselves what they are.
    pub fn read(&mut self, set: &mut DataSet, reader: &mut Reader<'_>) -> Result<(), Fault> {
        let Self { texts, publisher, server, writer, context } = self;
        let shared = &mut *context.shared;
        let known = writer.and_then(|writer| shared.opcua.data_sets.get(*server, writer));
        let known = known.filter(|(known, _)| is_of(known, set));
        if let Some((known, _)) = known {
            texts.name.push_str(&known.name);
        }
        let points = &mut shared.opcua.points;
        let records = &mut *context.records;
        let (ts, party) = (context.ts, context.party);
        set.read(reader, &mut |(position, value)| {
            let field = known.and_then(|(known, _)| known.fields.get(usize::from(position)));
            let variant = value.value.unwrap_or_default();
            texts.add(|out| {
                head(field.map(|field| &*field.name), position, out);
                match known {
                    Some((_, definitions)) => variant.value_text_with(out, FIELD_BYTES, definitions),
                    None => variant.value_text(out, FIELD_BYTES),
                }
            });
            if let Some(number) = variant.number() {
                let seen = Seen { publisher, server: *server, writer: *writer, position, number, status: value.status };
                seen.point(field.map(|field| &*field.name), (ts, party), points, records);
            }
        })
    }

    /// Raw fields, whose types the metadata of the data set tells. Returns whether they could be read: all of them, up to zeros at the end.
    pub fn raw(&mut self, set: &mut DataSet, reader: &Reader<'_>) -> bool {
        let Self { texts, publisher, server, writer, context } = self;
        let shared = &mut *context.shared;
        let known = writer.and_then(|writer| shared.opcua.data_sets.get(*server, writer));
        let Some((known, definitions)) = known.filter(|(known, _)| is_of(known, set) && set.kind != DataSetKind::Event) else {
            return false;
        };
        let is_delta = set.kind == DataSetKind::DeltaFrame;
        let Some(count) = raw_fields(known, definitions, is_delta, reader.clone(), &mut |_, _, _| String::new(), &mut |_| {})
        else {
            return false;
        };
        set.fields = Some(count);
        texts.name.push_str(&known.name);
        let points = &mut shared.opcua.points;
        let (records, ts, party) = (&mut *context.records, context.ts, context.party);
        raw_fields(
            known,
            definitions,
            is_delta,
            reader.clone(),
            &mut |position, field, number| {
                if let Some(number) = number {
                    let seen = Seen { publisher, server: *server, writer: *writer, position, number, status: 0 };
                    seen.point(Some(&field.name), (ts, party), points, records);
                }
                let mut text = String::new();
                head(Some(&field.name), position, &mut text);
                text
            },
            &mut |text| texts.add(|out| out.push_str(text)),
        );
        true
    }
}

/// Walks through raw fields: `before` is told where each stands, what it is, and its number, and gives what its text begins with; `after` is
/// told the text. Returns how many there are; none where the bytes are not what the metadata says.
fn raw_fields(
    known: &super::metadata::DataSet,
    definitions: &Definitions,
    is_delta: bool,
    mut reader: Reader<'_>,
    before: &mut dyn FnMut(u16, &Field, Option<f64>) -> String,
    after: &mut dyn FnMut(&str),
) -> Option<u16> {
    let count = if is_delta { reader.u16().ok()? } else { u16::try_from(known.fields.len()).ok()? };
    for position in 0..count {
        let position = if is_delta { reader.u16().ok()? } else { position };
        let field = known.fields.get(usize::from(position))?;
        let mut text = before(position, field, number(&field.data_type.borrow(), field.value_rank, &reader));
        if !raw_text(field, &mut reader, &mut text, FIELD_BYTES, definitions) {
            return None;
        }
        after(&text);
    }
    let rest = reader.left();
    reader.take(rest, "").ok()?.iter().all(|byte| *byte == 0).then_some(count)
}

/// Whether a data set message is of the version that the metadata is of, as far as both tell (OPC 10000-14, 6.2.3.2.6).
fn is_of(known: &super::metadata::DataSet, set: &DataSet) -> bool {
    set.major.is_none_or(|major| known.major == 0 || major == known.major)
}

fn head(name: Option<&str>, position: u16, out: &mut String) {
    match name.filter(|name| !name.is_empty()) {
        Some(name) => out.push_str(name),
        None => drop(write!(out, "{position}")),
    }
    out.push('=');
}

/// The number that stands at the reader's place, if it is one; the reader stays.
fn number(data_type: &NodeId<'_>, value_rank: i32, reader: &Reader<'_>) -> Option<f64> {
    let kind = u8::try_from(data_type.standard_number()?).ok().filter(|kind| value_rank == -1 && (1..=11).contains(kind))?;
    Scalar::decode(BuiltIn(kind), &mut reader.clone()).ok()?.number()
}

/// A number that was published.
struct Seen<'a> {
    publisher: &'a str,
    server: Server,
    writer: Option<u16>,
    position: u16,
    number: f64,
    status: u32,
}

impl Seen<'_> {
    fn point(
        &self,
        name: Option<&str>,
        (ts, party): (i64, crate::record::PartyKey),
        points: &mut point::Points,
        records: &mut crate::record::Records,
    ) {
        if !self.number.is_finite() {
            return;
        }
        let node = format!("{}/{}/{}", self.publisher, self.writer.unwrap_or_default(), self.position);
        let seen = point::Seen {
            server: self.server,
            hash: FixedState::default().hash_one((self.writer, self.position)),
            node: &node,
            name: name.filter(|name| !name.is_empty()),
            number: self.number,
            access: PointAccess::Notify,
            status: self.status,
            ts,
            party,
        };
        points.update(&seen, records);
    }
}

/// What a row says beside the header of its network message.
#[derive(Clone, Copy)]
pub(super) struct Facts<'a> {
    pub message_type: PubSubMessage,
    pub writer: Option<u16>,
    pub set: Option<&'a DataSet>,
    pub told: Option<&'a Announcement<'a>>,
    pub bytes: usize,
}

impl Facts<'_> {
    /// Of a kind, and so many bytes.
    pub fn of(message_type: PubSubMessage, bytes: usize) -> Self {
        Self { message_type, writer: None, set: None, told: None, bytes }
    }
}

/// The kind of a data set message as rows name it.
pub(super) fn kind(kind: DataSetKind) -> PubSubMessage {
    match kind {
        DataSetKind::KeyFrame => PubSubMessage::KeyFrame,
        DataSetKind::DeltaFrame => PubSubMessage::DeltaFrame,
        DataSetKind::Event => PubSubMessage::Event,
        DataSetKind::KeepAlive => PubSubMessage::KeepAlive,
        DataSetKind::ActionRequest | DataSetKind::ActionResponse => PubSubMessage::Action,
        DataSetKind::Other => PubSubMessage::Other,
    }
}

/// Adds a row.
pub(super) fn push(
    transport: PubSubTransport,
    publisher: Option<&str>,
    (header, chunks): (&Header, u32),
    facts: &Facts<'_>,
    texts: &Texts,
    context: &mut Context<'_>,
) {
    let (mut class, mut room) = (String::new(), String::new());
    if let Some(guid) = header.class {
        guid.write_text(&mut class);
    }
    let Facts { set, told, .. } = *facts;
    let (writer, group) = match told.map(|told| &told.told) {
        Some(Told::MetaData(writer, _)) => (Some(*writer), None),
        Some(Told::Writers(writers, group)) => (writers.iter().next(), Some(group.id)),
        _ => (facts.writer, None),
    };
    let has_values = set.is_some_and(|set| set.fields.is_some()) || told.is_some_and(|told| told.told != Told::Nothing);
    let status = set.and_then(|set| set.status).map(|code| u32::from(code) << 16).or(told.and_then(|told| told.status));
    let row = PubSubRow {
        transport,
        message_type: facts.message_type,
        discovery: told.map(|told| told.about),
        publisher_id: publisher,
        data_set_class_id: header.class.is_some().then_some(&*class),
        writer_group_id: header.group.or(group),
        group_version: header.group_version,
        network_message_number: header.number,
        sequence_number: header.sequence.or(told.and_then(|told| told.sequence)),
        data_set_writer_id: writer,
        data_set_sequence: set.and_then(|set| set.sequence),
        name: (!texts.name.is_empty()).then_some(&*texts.name),
        major_version: set.and_then(|set| set.major).or(metadata(told).map(|told| told.major)),
        minor_version: set.and_then(|set| set.minor).or(metadata(told).map(|told| told.minor)),
        security_mode: match header.security {
            Some(Security { encrypted: true, .. }) => SecurityMode::SignAndEncrypt,
            Some(Security { signed: true, .. }) => SecurityMode::Sign,
            _ => SecurityMode::None,
        },
        security_token_id: header.security.map(|security| security.token_id),
        valid: set.is_some_and(|set| set.valid),
        field_encoding: set.filter(|set| set.has_fields()).map(|set| match set.encoding {
            Encoding::Variant => FieldEncoding::Variant,
            Encoding::Raw => FieldEncoding::Raw,
            Encoding::DataValue => FieldEncoding::DataValue,
        }),
        fields: set
            .and_then(|set| set.fields)
            .or(metadata(told).map(|told| u16::try_from(told.fields.len()).unwrap_or(u16::MAX))),
        values: has_values.then_some(TextList { text: &texts.values, ends: &texts.ends }),
        promoted: (!texts.promoted_ends.is_empty()).then_some(TextList { text: &texts.promoted, ends: &texts.promoted_ends }),
        status: status.map(|code| item_text::status_text(code, &mut room)),
        timestamp: set.and_then(|set| set.timestamp).or(header.timestamp),
        chunks,
        bytes: u32::try_from(facts.bytes).unwrap_or(u32::MAX),
    };
    context.records.pubsub.push(context.ts, context.party, &row);
}

fn metadata<'a>(told: Option<&'a Announcement<'a>>) -> Option<&'a super::announcement::DataSetMetaData<'a>> {
    match &told?.told {
        Told::MetaData(_, metadata) => Some(metadata),
        _ => None,
    }
}
