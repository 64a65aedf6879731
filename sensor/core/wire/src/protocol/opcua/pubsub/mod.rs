//! OPC UA PubSub: UADP messages over UDP and Ethernet become rows of table `pubsub`, and their numbers points (OPC 10000-14, 7.2.4, 7.3).

pub mod message;

use std::fmt::Write as _;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use super::binary::{DataValue, text};
use super::point;
use super::subscription::Server;
use super::violation::{Broken, Budget};
use crate::protocol::{Carrier, Context, Conversation, Probe, Side};
use crate::record::column::TextList;
use crate::record::table::PointAccess;
use crate::record::table::opcua::{FieldEncoding, PubSubMessage, PubSubRow, PubSubTransport, SecurityMode};
use message::{DataSet, DataSetKind, Encoding, Kind, NetworkMessage, PublisherId, Security};

/// EtherType of UADP in Ethernet frames (OPC 10000-14, 7.3.3).
pub const ETHER_TYPE: u16 = 0xb62c;
/// Longest text of a field, of all fields of a row, and of a publisher.
const FIELD_BYTES: usize = 256;
const FIELDS_BYTES: usize = 4_096;
const PUBLISHER_BYTES: usize = 256;

/// What a datagram looks like. Away from its own port it must be consistent to the last byte, with a publisher and readable fields: one flag byte
/// is no proof.
pub fn probe(data: &[u8], is_own_port: bool) -> Probe {
    let Ok(network) = NetworkMessage::decode(data) else {
        return Probe::No;
    };
    if is_own_port {
        return Probe::Certain(Some(Side::Client));
    }
    let is_consistent = |data: &[u8]| matches!(message::data_set(data, &mut |_, _| {}), Ok((set, 0)) if set.fields.is_some_and(|fields| fields > 0));
    let sets = network.data_sets().unwrap_or_default();
    let is_certain = network.kind == Kind::DataSets
        && network.security.is_none()
        && network.publisher.is_some()
        && network.group.is_some()
        && network.has_payload_header
        && !sets.is_empty()
        && sets.iter().all(|(_, data)| is_consistent(data));
    if is_certain { Probe::Certain(Some(Side::Client)) } else { Probe::No }
}

/// A publisher's conversation.
pub struct PubSub {
    transport: PubSubTransport,
    publisher: String,
    values: String,
    ends: Vec<usize>,
    budget: Budget,
}

impl PubSub {
    /// A conversation over this carrier.
    pub fn new(carrier: Carrier) -> Self {
        Self {
            transport: if carrier == Carrier::Frame { PubSubTransport::Ethernet } else { PubSubTransport::Udp },
            publisher: String::new(),
            values: String::new(),
            ends: Vec::new(),
            budget: Budget::default(),
        }
    }

    fn data_sets(&mut self, network: &NetworkMessage<'_>, data: &[u8], context: &mut Context<'_>) {
        if network.security.is_some_and(|security| security.encrypted) {
            return self.push(network, PubSubMessage::Encrypted, None, None, data.len(), context);
        }
        let Some(sets) = network.data_sets() else {
            let detail = "expected data set messages of the sizes that the payload tells, seen others".to_owned();
            let broken = Broken { kind: "payload_sizes", clause: "OPC 10000-14, 7.2.4.5.2", detail };
            self.budget.violate(&broken, data, context);
            return self.push(network, PubSubMessage::Other, None, None, data.len(), context);
        };
        for (writer, set) in sets {
            self.data_set(network, writer, set, context);
        }
    }

    fn data_set(&mut self, network: &NetworkMessage<'_>, writer: Option<u16>, data: &[u8], context: &mut Context<'_>) {
        self.values.clear();
        self.ends.clear();
        let Self { values, ends, publisher, .. } = self;
        let shared = &mut *context.shared;
        let (records, points, counters, ts, party) =
            (&mut *context.records, &mut shared.opcua.points, &mut shared.counters, context.ts, context.party);
        let server = Server(FixedState::default().hash_one(publisher.as_str()));
        let result = message::data_set(data, &mut |position, value: DataValue<'_>| {
            if values.len() < FIELDS_BYTES {
                let _ = write!(values, "{position}=");
                value.value.unwrap_or_default().value_text(values, FIELD_BYTES);
                ends.push(values.len());
            }
            let number = value.value.and_then(|value| value.number()).filter(|number| number.is_finite());
            if let Some(number) = number {
                let node = format!("{publisher}/{}/{position}", writer.unwrap_or_default());
                let hash = FixedState::default().hash_one((writer, position));
                let seen = point::Seen {
                    server,
                    hash,
                    node: &node,
                    number,
                    access: PointAccess::Notify,
                    status: value.status,
                    ts,
                    party,
                };
                points.update(&seen, records, counters);
            }
        });
        match result {
            Ok((set, left)) => {
                // Short Ethernet frames are filled up with zeros (IEEE 802.3, 4.2.3.3).
                let rest = data.get(data.len().saturating_sub(left)..).unwrap_or_default();
                let is_padding = self.transport == PubSubTransport::Ethernet && rest.iter().all(|byte| *byte == 0);
                if left > 0 && !is_padding {
                    let detail = format!("expected the end of the data set message behind its fields, seen {left} bytes more");
                    let broken = Broken { kind: "data_set_length", clause: "OPC 10000-14, 7.2.4.5.4", detail };
                    self.budget.violate(&broken, data, context);
                }
                let kind = match set.kind {
                    DataSetKind::KeyFrame => PubSubMessage::KeyFrame,
                    DataSetKind::DeltaFrame => PubSubMessage::DeltaFrame,
                    DataSetKind::Event => PubSubMessage::Event,
                    DataSetKind::KeepAlive => PubSubMessage::KeepAlive,
                    DataSetKind::Other => PubSubMessage::Other,
                };
                self.push(network, kind, writer, Some(&set), data.len(), context);
            }
            Err(fault) => {
                // Without a payload header the configuration alone says where messages end.
                if network.has_payload_header {
                    self.budget.violate(&Broken::encoding(&fault), data, context);
                }
                self.push(network, PubSubMessage::Other, writer, None, data.len(), context);
            }
        }
    }

    fn push(
        &mut self,
        network: &NetworkMessage<'_>,
        message_type: PubSubMessage,
        writer: Option<u16>,
        set: Option<&DataSet>,
        bytes: usize,
        context: &mut Context<'_>,
    ) {
        let mut class = String::new();
        if let Some(guid) = network.class {
            guid.write_text(&mut class);
        }
        let mut room = String::new();
        let row = PubSubRow {
            transport: self.transport,
            message_type,
            publisher_id: network.publisher.is_some().then_some(&*self.publisher),
            data_set_class_id: network.class.is_some().then_some(&*class),
            writer_group_id: network.group,
            group_version: network.group_version,
            network_message_number: network.number,
            sequence_number: network.sequence,
            data_set_writer_id: writer,
            data_set_sequence: set.and_then(|set| set.sequence),
            major_version: set.and_then(|set| set.major),
            minor_version: set.and_then(|set| set.minor),
            security_mode: match network.security {
                Some(Security { encrypted: true, .. }) => SecurityMode::SignAndEncrypt,
                Some(Security { signed: true, .. }) => SecurityMode::Sign,
                _ => SecurityMode::None,
            },
            security_token_id: network.security.map(|security| security.token_id),
            valid: set.is_some_and(|set| set.valid),
            field_encoding: set.map(|set| match set.encoding {
                Encoding::Variant => FieldEncoding::Variant,
                Encoding::Raw => FieldEncoding::Raw,
                Encoding::DataValue => FieldEncoding::DataValue,
            }),
            fields: set.and_then(|set| set.fields),
            values: set.and_then(|set| set.fields).map(|_| TextList { text: &self.values, ends: &self.ends }),
            status: set.and_then(|set| set.status).map(|code| super::item::status_text(u32::from(code) << 16, &mut room)),
            timestamp: set.and_then(|set| set.timestamp).or(network.timestamp),
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
        };
        context.records.pubsub.push(context.ts, context.party, &row);
    }
}

impl Conversation for PubSub {
    fn stream(&mut self, _side: Side, data: &[u8], _context: &mut Context<'_>) -> usize {
        data.len()
    }

    fn datagram(&mut self, _side: Side, data: &[u8], context: &mut Context<'_>) {
        let network = match NetworkMessage::decode(data) {
            Ok(network) => network,
            Err(fault) => return self.budget.violate(&Broken::encoding(&fault), data, context),
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
        let size = data.len();
        match network.kind {
            Kind::DataSets => self.data_sets(&network, data, context),
            Kind::Chunk => self.push(&network, PubSubMessage::Chunk, None, None, size, context),
            Kind::DiscoveryRequest => self.push(&network, PubSubMessage::DiscoveryRequest, None, None, size, context),
            Kind::DiscoveryResponse => self.push(&network, PubSubMessage::DiscoveryResponse, None, None, size, context),
            Kind::Other => self.push(&network, PubSubMessage::Other, None, None, size, context),
        }
    }

    fn gap(&mut self, _side: Side, _lost: u64, _context: &mut Context<'_>) {}

    fn deadline(&self) -> Option<i64> {
        None
    }

    fn expire(&mut self, _now: i64, _context: &mut Context<'_>) {}

    fn close(&mut self, _context: &mut Context<'_>) {}

    fn bytes(&self) -> usize {
        let texts = self.publisher.capacity() + self.values.capacity() + self.ends.capacity() * size_of::<usize>();
        size_of::<Self>() + texts + self.budget.bytes()
    }
}
