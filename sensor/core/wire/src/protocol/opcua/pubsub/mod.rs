//! OPC UA PubSub: UADP messages over UDP and Ethernet become rows of table `pubsub`, and their numbers points (OPC 10000-14, 7.2.4, 7.3).

pub mod announcement;
pub mod chunk;
pub mod message;
pub mod metadata;
mod row;

use std::fmt::Write as _;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use super::binary::{Reader, text};
use super::subscription::Server;
use super::violation::{Broken, Budget};
use crate::protocol::{Carrier, Context, Conversation, Probe, Side};
use crate::record::table::opcua::{PubSubMessage, PubSubTransport};
use announcement::{Announcement, Told};
use chunk::{Incomplete, Incompletes, Then};
use message::{DataSet, Header, Kind, NetworkMessage, PublisherId};
use row::{Facts, Texts};

/// EtherType of UADP in Ethernet frames (OPC 10000-14, 7.3.3).
pub const ETHER_TYPE: u16 = 0xb62c;
/// Longest text of a publisher.
const PUBLISHER_BYTES: usize = 256;
/// Bytes of a network message that a violation may show.
const SHOWN: usize = 64;

/// What a datagram looks like. Away from its own port it must be consistent to the last byte, with a publisher and readable fields: one flag byte
/// is no proof.
pub fn probe(data: &[u8], is_own_port: bool) -> Probe {
    let Ok(network) = NetworkMessage::decode(data) else {
        return Probe::No;
    };
    if is_own_port {
        return Probe::Certain(Some(Side::Client));
    }
    let NetworkMessage { header, publisher, payload, .. } = network;
    if header.is_chunk || header.security.is_some() || publisher.is_none() {
        return Probe::No;
    }
    let is_certain = match header.kind {
        Kind::DataSets => {
            let sets = network.data_sets().unwrap_or_default();
            let is_told = header.group.is_some() && header.has_payload_header && !sets.is_empty();
            is_told && sets.iter().all(|(_, data)| is_consistent(data))
        }
        Kind::DiscoveryResponse => {
            matches!(
                announcement::announcement(payload),
                Ok(Announcement { told: Told::MetaData(..) | Told::Writers(..), left: 0, .. })
            )
        }
        _ => false,
    };
    if is_certain { Probe::Certain(Some(Side::Client)) } else { Probe::No }
}

fn is_consistent(data: &[u8]) -> bool {
    let mut reader = Reader::new(data);
    let Ok(mut set) = message::data_set(&mut reader) else { return false };
    set.is_readable() && set.read(&mut reader, &mut |_| {}).is_ok() && set.fields != Some(0) && reader.left() == 0
}

/// A publisher's conversation.
pub struct PubSub {
    transport: PubSubTransport,
    publisher: String,
    texts: Texts,
    incomplete: Incompletes,
    budget: Budget,
}

/// What is said of the network message or messages that carried something.
#[derive(Clone, Copy)]
struct Carried {
    header: Header,
    chunks: u32,
    bytes: usize,
}

impl PubSub {
    /// A conversation over this carrier.
    pub fn new(carrier: Carrier) -> Self {
        Self {
            transport: if carrier == Carrier::Frame { PubSubTransport::Ethernet } else { PubSubTransport::Udp },
            publisher: String::new(),
            texts: Texts::default(),
            incomplete: Incompletes::default(),
            budget: Budget::default(),
        }
    }

    /// The publisher as data sets and points know it.
    fn server(&self) -> Server {
        Server(FixedState::default().hash_one(self.publisher.as_str()))
    }

    fn violate(&mut self, broken: &Broken, data: &[u8], context: &mut Context<'_>) {
        self.budget.violate(broken, data.get(..SHOWN).unwrap_or(data), context);
    }

    /// A row of something whose content is not decoded.
    fn plain(&mut self, carried: &Carried, message_type: PubSubMessage, writer: Option<u16>, context: &mut Context<'_>) {
        let facts = Facts { writer, ..Facts::of(message_type, carried.bytes) };
        self.push(carried, &facts, context);
    }

    fn push(&self, carried: &Carried, facts: &Facts<'_>, context: &mut Context<'_>) {
        let publisher = (!self.publisher.is_empty()).then_some(&*self.publisher);
        row::push(self.transport, publisher, (&carried.header, carried.chunks), facts, &self.texts, context);
    }

    fn data_sets(&mut self, network: &NetworkMessage<'_>, carried: &Carried, data: &[u8], context: &mut Context<'_>) {
        let Some(sets) = network.data_sets() else {
            let detail = "expected data set messages of the sizes that the payload tells, seen others".to_owned();
            let broken = Broken { kind: "payload_sizes", clause: "OPC 10000-14, 7.2.4.5.3", detail };
            self.violate(&broken, data, context);
            return self.plain(carried, PubSubMessage::Other, None, context);
        };
        for (writer, set) in sets {
            self.data_set(carried, writer, set, context);
        }
    }

    /// A data set message; without a payload header others may follow, where its fields say where it ends.
    fn data_set(&mut self, carried: &Carried, writer: Option<u16>, data: &[u8], context: &mut Context<'_>) {
        let mut rest = data;
        loop {
            let mut reader = Reader::new(rest);
            let read = message::data_set(&mut reader)
                .and_then(|mut set| self.fields(&mut set, writer, &mut reader, context).map(|()| set));
            let set = match read {
                Ok(set) => set,
                Err(fault) => {
                    // Without a payload header the configuration alone says where messages end.
                    if carried.header.has_payload_header {
                        self.violate(&Broken::encoding(&fault), rest, context);
                    } else {
                        context.shared.counters.pubsub_not_decoded += 1;
                    }
                    self.texts.clear();
                    let sized = Carried { bytes: rest.len(), ..*carried };
                    return self.plain(&sized, PubSubMessage::Other, writer, context);
                }
            };
            let left = reader.left();
            let behind = rest.get(rest.len().saturating_sub(left)..).unwrap_or_default();
            // Data set messages are padded with zeros to their configured size (7.2.4.5.5), short Ethernet frames to theirs.
            let is_padding = behind.iter().all(|byte| *byte == 0);
            let follows = !is_padding && !carried.header.has_payload_header && set.is_readable();
            let used = if follows { rest.len().saturating_sub(left) } else { rest.len() };
            self.row(carried, writer, &set, used, context);
            if follows {
                rest = behind;
                continue;
            }
            if !is_padding {
                let detail = format!("expected the end of the data set message behind its fields, seen {left} bytes more");
                self.violate(&Broken { kind: "data_set_length", clause: "OPC 10000-14, 7.2.4.5.4", detail }, data, context);
            }
            return;
        }
    }

    /// Reads the fields of a data set message as far as they can be read.
    fn fields(
        &mut self,
        set: &mut DataSet,
        writer: Option<u16>,
        reader: &mut Reader<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), super::binary::Fault> {
        self.texts.clear();
        let server = self.server();
        let mut out = row::Fields { texts: &mut self.texts, publisher: &self.publisher, server, writer, context };
        if set.is_readable() {
            return out.read(set, reader);
        }
        if set.has_fields() && !out.raw(set, reader) {
            context.shared.counters.pubsub_raw_fields += 1;
        }
        if !set.has_fields() && set.kind != message::DataSetKind::KeepAlive {
            context.shared.counters.pubsub_not_decoded += 1;
        }
        // What is not read is not wrong.
        reader.take(reader.left(), "")?;
        Ok(())
    }

    fn row(&mut self, carried: &Carried, writer: Option<u16>, set: &DataSet, bytes: usize, context: &mut Context<'_>) {
        let facts = Facts { writer, set: Some(set), ..Facts::of(row::kind(set.kind), bytes) };
        self.push(carried, &facts, context);
    }

    fn discovery(&mut self, carried: &Carried, payload: &[u8], context: &mut Context<'_>) {
        let (message_type, read) = match carried.header.kind {
            Kind::DiscoveryRequest => (PubSubMessage::DiscoveryRequest, announcement::probe(payload)),
            _ => (PubSubMessage::DiscoveryResponse, announcement::announcement(payload)),
        };
        let told = match read {
            Ok(told) => told,
            Err(fault) => {
                self.violate(&Broken::encoding(&fault), payload, context);
                return self.plain(carried, message_type, None, context);
            }
        };
        if let Told::MetaData(writer, metadata) = &told.told {
            let server = self.server();
            if !context.shared.opcua.data_sets.learn(server, *writer, metadata) {
                context.shared.counters.pubsub_metadata_overflow += 1;
            }
        }
        if told.told == Told::Nothing && told.left > 0 {
            context.shared.counters.pubsub_not_decoded += 1;
        }
        self.texts.tell(&told.told);
        let facts = Facts { told: Some(&told), ..Facts::of(message_type, carried.bytes) };
        self.push(carried, &facts, context);
    }

    fn chunk(&mut self, network: &NetworkMessage<'_>, carried: &Carried, data: &[u8], context: &mut Context<'_>) {
        let writer = network.writers.first_chunk::<2>().map(|writer| u16::from_le_bytes(*writer));
        let chunk = match chunk::chunk(network.payload) {
            Ok(chunk) => chunk,
            Err(fault) => {
                self.violate(&Broken::encoding(&fault), data, context);
                return self.plain(carried, PubSubMessage::Chunk, writer, context);
            }
        };
        let (now, mut lost) = (context.ts, Vec::new());
        let held = &mut context.shared.opcua.held_bytes;
        let whose = (&network.header, self.publisher.as_str(), writer);
        let then = self.incomplete.take(whose, &chunk, now, held, &mut |message| lost.push(message));
        for message in lost {
            self.lost(message, context);
        }
        match then {
            Then::Wait => {}
            Then::Misfit => {
                let (end, total) = (chunk.offset.saturating_add(chunk.data.len()), chunk.total);
                let detail =
                    format!("expected a chunk within a message of {total} bytes that is held, seen {} to {end}", chunk.offset);
                self.violate(&Broken { kind: "chunk_offset", clause: "OPC 10000-14, 7.2.4.4.4", detail }, data, context);
                self.plain(carried, PubSubMessage::Chunk, writer, context);
            }
            Then::Whole(message, bytes) => {
                let carried = Carried { header: message.header, chunks: message.chunks, bytes: bytes.len() };
                match message.header.kind {
                    Kind::DataSets => self.data_set(&carried, writer, &bytes, context),
                    _ => self.discovery(&carried, &bytes, context),
                }
            }
        }
    }

    /// A row of a message whose rest did not come.
    #[cold]
    fn lost(&mut self, message: Incomplete, context: &mut Context<'_>) {
        context.shared.counters.pubsub_incomplete += 1;
        self.texts.clear();
        let carried = Carried { header: message.header, chunks: message.chunks, bytes: message.bytes };
        let publisher = std::mem::replace(&mut self.publisher, message.publisher);
        self.plain(&carried, PubSubMessage::Chunk, message.writer, context);
        self.publisher = publisher;
    }

    fn give_up(&mut self, until: i64, context: &mut Context<'_>) {
        while let Some(message) = self.incomplete.give_up(until, &mut context.shared.opcua.held_bytes) {
            self.lost(message, context);
        }
    }
}

impl Conversation for PubSub {
    fn stream(&mut self, _side: Side, data: &[u8], _context: &mut Context<'_>) -> usize {
        data.len()
    }

    fn datagram(&mut self, _side: Side, data: &[u8], context: &mut Context<'_>) {
        let network = match NetworkMessage::decode(data) {
            Ok(network) => network,
            Err(fault) => return self.violate(&Broken::encoding(&fault), data, context),
        };
        self.publisher.clear();
        match network.publisher {
            Some(PublisherId::Number(number)) => drop(write!(self.publisher, "{number}")),
            Some(PublisherId::String(name)) => {
                let name = name.unwrap_or_default();
                text::write_escaped(name.get(..PUBLISHER_BYTES).unwrap_or(name), &mut self.publisher);
            }
            None => {}
        }
        let carried = Carried { header: network.header, chunks: 1, bytes: data.len() };
        self.texts.clear();
        self.texts.promote(network.promoted);
        let NetworkMessage { header, payload, .. } = network;
        match header.kind {
            _ if header.security.is_some_and(|security| security.encrypted) => {
                self.plain(&carried, PubSubMessage::Encrypted, None, context);
            }
            Kind::DataSets | Kind::DiscoveryResponse if header.is_chunk => self.chunk(&network, &carried, data, context),
            Kind::DataSets => self.data_sets(&network, &carried, data, context),
            Kind::DiscoveryRequest | Kind::DiscoveryResponse => self.discovery(&carried, payload, context),
            Kind::Action => {
                context.shared.counters.pubsub_not_decoded += 1;
                self.plain(&carried, PubSubMessage::Action, None, context);
            }
            Kind::Other => {
                context.shared.counters.pubsub_not_decoded += 1;
                self.plain(&carried, PubSubMessage::Other, None, context);
            }
        }
    }

    fn gap(&mut self, _side: Side, _lost: u64, _context: &mut Context<'_>) {}

    fn deadline(&self) -> Option<i64> {
        self.incomplete.deadline()
    }

    fn expire(&mut self, now: i64, context: &mut Context<'_>) {
        self.give_up(now.saturating_sub(chunk::WAIT_NS), context);
    }

    fn held(&self) -> usize {
        self.incomplete.held()
    }

    fn relieve(&mut self, context: &mut Context<'_>) {
        let detail = "expected the rest of the messages, seen chunks of so many that no other publisher holds more".to_owned();
        self.violate(&Broken { kind: "message_unfinished", clause: "OPC 10000-14, 7.2.4.4.4", detail }, &[], context);
        self.give_up(i64::MAX, context);
    }

    fn close(&mut self, context: &mut Context<'_>) {
        self.give_up(i64::MAX, context);
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.publisher.capacity() + self.texts.bytes() + self.budget.bytes() + self.incomplete.bytes()
    }
}
