//! The engine: packets in, batches of records out. It knows no files and no clock but the packets' own.
//!
//! The same packets give the same batches, byte for byte, however they are handed over.
//!
//! ```
//! use wire::engine::{Engine, Settings};
//! use wire::packet::{LinkType, Packet};
//! use wire::record::Identity;
//!
//! let mut engine = Engine::new(Identity::default(), 0, Settings::default());
//! engine.packet(&Packet { ts: 1, link: LinkType::ETHERNET, original_length: 3, data: &[1, 2, 3] });
//! engine.finish();
//! let batches = engine.take_batches();
//! assert_eq!(batches.iter().map(|batch| batch.table).collect::<Vec<_>>(), ["sensor"]);
//! ```

mod conversations;
mod output;
mod talk;
mod tcp;

use std::borrow::Cow;

use crate::device::Device;
use crate::packet::{Anomaly, Content, Decoded, Decoder, Packet, flags};
use crate::record::table::{Attribute, Layer, SensorRow};
use crate::record::{Batch, Identity, Party};
use crate::transport::{Limits, Neighbours, Observation};
use conversations::{Conversations, Meeting};
use output::{Output, Rule};

/// Time between two rows of table `sensor`, in nanoseconds of packet time.
const SENSOR_NS: i64 = 10_000_000_000;

/// What an engine may hold, and how it is told apart.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Bounds of its buffers.
    pub limits: Limits,
    /// Version that table `sensor` tells.
    pub version: &'static str,
    /// Whether another engine of the same sensor tells table `sensor` about this one (`Engine::state`).
    pub is_silent: bool,
}

/// What an engine, or whatever else works for the same sensor, has counted since the start and holds now.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Packets taken in.
    pub packets: u64,
    /// Bytes on the wire of these packets.
    pub bytes: u64,
    /// Conversations held.
    pub flows: u64,
    /// Bytes held in buffers and tables.
    pub memory: u64,
    /// What was not used, by cause. Nothing that is 0.
    pub drops: Vec<(Cow<'static, str>, u64)>,
    /// Batches in the spool that have not been shipped.
    pub spool_depth: Option<u64>,
    /// The system's clock minus the packet clock, nanoseconds.
    pub clock_offset: Option<i64>,
    /// Bytes written to the disk.
    pub bytes_written: Option<u64>,
}

impl State {
    /// Adds another state to this one.
    pub fn add(&mut self, other: &Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.flows += other.flows;
        self.memory += other.memory;
        // One of all tells these.
        self.spool_depth = self.spool_depth.or(other.spool_depth);
        self.clock_offset = self.clock_offset.or(other.clock_offset);
        self.bytes_written = self.bytes_written.or(other.bytes_written);
        for (cause, count) in &other.drops {
            match self.drops.iter_mut().find(|(known, _)| known == cause) {
                Some((_, sum)) => *sum += count,
                None => self.drops.push((cause.clone(), *count)),
            }
        }
    }
}

/// Takes packets in and gives batches out.
pub struct Engine {
    decoder: Decoder,
    conversations: Conversations,
    neighbours: Neighbours,
    output: Output,
    version: &'static str,
    is_silent: bool,
    packets: u64,
    bytes: u64,
    elsewhere: State,
    reported: Option<i64>,
    /// Time of the last packet, or of the last `advance`.
    latest: i64,
}

impl Engine {
    /// An engine whose first batch has this sequence.
    pub fn new(identity: Identity, first_sequence: u64, settings: Settings) -> Self {
        Self {
            decoder: Decoder::default(),
            conversations: Conversations::new(settings.limits.flows),
            neighbours: Neighbours::default(),
            output: Output::new(identity, first_sequence, settings.limits),
            version: settings.version,
            is_silent: settings.is_silent,
            packets: 0,
            bytes: 0,
            elsewhere: State::default(),
            reported: None,
            latest: 0,
        }
    }

    /// Takes one packet in.
    #[inline]
    pub fn packet(&mut self, packet: &Packet<'_>) {
        self.packets += 1;
        self.bytes += u64::from(packet.original_length);
        self.latest = packet.ts;
        self.tick(packet.ts);
        let decoded = self.decoder.decode(packet);
        let Decoded { source_mac, destination_mac, vlan, source, destination, content } = decoded;
        let meeting = Meeting { ts: packet.ts, source, destination, source_mac, destination_mac, vlan };
        self.content(&meeting, &content);
        let mut is_whole = matches!(content, Content::Reassembled);
        while is_whole {
            let Decoded { source_mac, destination_mac, vlan, source, destination, content } = self.decoder.reassembled();
            let meeting = Meeting { ts: packet.ts, source, destination, source_mac, destination_mac, vlan };
            let mut is_used = true;
            // A tunnel in fragments may carry fragments.
            is_whole = matches!(content, Content::Reassembled);
            match content {
                Content::Tcp(segment) => self.conversations.segment(&meeting, &segment, None, &mut self.output),
                Content::Udp(datagram) => self.conversations.datagram(&meeting, &datagram, &mut self.output),
                Content::Ethernet(frame) => is_used = self.conversations.frame(&meeting, &frame, &mut self.output),
                _ => {}
            }
            self.decoder.counters.other_network += u64::from(!is_used);
        }
        if self.decoder.has_anomalies() {
            self.anomalies(&meeting);
        }
    }

    #[inline]
    fn content(&mut self, meeting: &Meeting, content: &Content<'_>) {
        match content {
            Content::Tcp(segment) => {
                let opening = if segment.flags & flags::SYN == 0 { None } else { self.decoder.take_opening() };
                self.conversations.segment(meeting, segment, opening.as_ref(), &mut self.output);
            }
            Content::Udp(datagram) => self.conversations.datagram(meeting, datagram, &mut self.output),
            Content::Arp(message) => {
                let found = self.neighbours.arp(meeting.ts, meeting.vlan, meeting.source_mac, message);
                let party = Party {
                    client_ip: Some(message.sender),
                    server_ip: Some(message.target),
                    client_mac: Some(message.sender_mac),
                    server_mac: message.is_reply.then_some(message.target_mac),
                    vlan: meeting.vlan,
                    ..Party::default()
                };
                self.observed(meeting.ts, party, &found);
                self.announced(meeting.ts, party, (message.sender_mac, message.sender), "arp");
            }
            Content::Neighbour(message) => {
                let found = self.neighbours.neighbour(meeting.ts, meeting.vlan, (meeting.source, meeting.destination), message);
                let party = Party { client_mac: message.mac.or(meeting.source_mac), ..link_party(meeting) };
                self.observed(meeting.ts, party, &found);
                if let Some(mac) = message.mac {
                    // A solicitation tells its sender's address, an advertisement its target's (RFC 4861, 4.3 and 4.4).
                    let address = if message.is_advertisement { message.target } else { meeting.source };
                    self.announced(meeting.ts, party, (mac, address), "ndp");
                }
            }
            Content::Ethernet(frame) => {
                let is_used = self.conversations.frame(meeting, frame, &mut self.output);
                self.decoder.counters.other_network += u64::from(!is_used);
            }
            Content::Reassembled | Content::None => {}
        }
    }

    /// Nothing came and packet time is `ts` now (live sources). Where it is far behind, the clock has been set back, and time goes on
    /// from there.
    pub fn advance(&mut self, ts: i64) {
        if ts > self.latest || self.latest.saturating_sub(ts) > SENSOR_NS {
            self.latest = ts;
            self.tick(ts);
        }
    }

    /// Time of the last packet, or of the last `advance`.
    pub fn latest(&self) -> i64 {
        self.latest
    }

    /// Cuts what there is into batches (live sources).
    pub fn cut(&mut self) {
        self.output.cut();
    }

    /// There are no more packets: every conversation ends, and everything that is left becomes batches.
    pub fn finish(&mut self) {
        for id in self.conversations.flows.ids() {
            self.conversations.end(id, None, &mut self.output);
        }
        if self.reported.is_some() {
            self.report(self.output.clock);
        }
        self.output.cut();
    }

    /// Takes out the batches cut so far.
    pub fn take_batches(&mut self) -> Vec<Batch> {
        self.output.take_batches()
    }

    /// Whether there are batches to take out.
    #[inline]
    pub fn has_batches(&self) -> bool {
        self.output.has_batches()
    }

    /// The packet clock: highest packet time so far, nanoseconds since 1970; 0 before the first packet.
    pub fn clock(&self) -> i64 {
        self.output.clock
    }

    /// Packets taken in.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    #[inline]
    fn tick(&mut self, ts: i64) {
        self.output.clock = self.output.clock.max(ts);
        self.conversations.tick(ts, &mut self.output);
        let reported = *self.reported.get_or_insert(ts);
        if ts.saturating_sub(reported).saturating_abs() >= SENSOR_NS {
            self.reported = Some(ts);
            self.report(ts);
        }
    }

    /// Adds a row to table `sensor`: the engine's own state, and what works for the same sensor elsewhere.
    #[inline(never)]
    fn report(&mut self, ts: i64) {
        if self.is_silent {
            return;
        }
        let mut state = self.state();
        state.add(&self.elsewhere);
        let drops: Vec<(&str, u64)> = state.drops.iter().map(|(cause, count)| (cause.as_ref(), *count)).collect();
        let row = SensorRow {
            packets: state.packets,
            bytes: state.bytes,
            drops: Some(&drops),
            flows: u32::try_from(state.flows).unwrap_or(u32::MAX),
            memory: state.memory,
            spool_depth: state.spool_depth,
            clock_offset: state.clock_offset,
            bytes_written: state.bytes_written,
            version: self.version,
        };
        let party = self.output.records.parties.add(Party::default());
        self.output.records.sensor.push(ts, party, &row);
        self.output.cut_when_full();
    }

    /// What this engine has counted and holds.
    pub fn state(&mut self) -> State {
        let counters = self.decoder.counters.named().into_iter().chain(self.output.counters.named());
        let limited = self.output.violations_limited + self.output.shared.counters.violations_limited;
        let others = [("violations_limited", limited), ("neighbours_forgotten", self.neighbours.forgotten)];
        let all = counters.chain(self.output.shared.counted().named()).chain(others);
        State {
            packets: self.packets,
            bytes: self.bytes,
            flows: self.conversations.flows.len() as u64,
            memory: self.bytes_held() as u64,
            drops: all.filter(|(_, count)| *count > 0).map(|(cause, count)| (Cow::Borrowed(cause), count)).collect(),
            ..State::default()
        }
    }

    /// What table `sensor` tells besides this engine's own state, from now on: that of other engines, what was lost before them.
    pub fn set_elsewhere(&mut self, state: State) {
        self.elsewhere = state;
    }

    /// Bytes held in buffers and tables.
    pub fn bytes_held(&mut self) -> usize {
        let shared = self.output.shared.bytes();
        self.conversations.bytes() + self.decoder.bytes() + self.neighbours.bytes() + self.output.records.bytes() + shared
    }

    #[inline(never)]
    fn anomalies(&mut self, meeting: &Meeting) {
        for anomaly in self.decoder.take_anomalies() {
            let Anomaly { layer, protocol, kind, clause, detail, bytes } = anomaly;
            self.violation(meeting.ts, link_party(meeting), &Rule { layer, protocol, kind, clause }, &detail, &bytes);
        }
    }

    fn observed(&mut self, ts: i64, party: Party, found: &[Observation]) {
        for Observation { protocol, kind, clause, detail } in found {
            self.violation(ts, party, &Rule { layer: Layer::Link, protocol, kind, clause }, detail, &[]);
        }
    }

    /// A hardware address says which network address is its own.
    fn announced(&mut self, ts: i64, party: Party, (mac, ip): ([u8; 6], crate::packet::Address), source: &'static str) {
        // A probe for an address that is not taken yet (RFC 5227, 1.1), or for its duplicates (RFC 4862, 5.4.2).
        if ip.is_unspecified() || mac == [0; 6] {
            return;
        }
        let Output { records, shared, .. } = &mut self.output;
        let at = (ts, records.parties.add(party));
        let device = Device { mac: Some(mac), ip: Some(ip) };
        shared.devices.meet(mac, at, records, &mut shared.counters);
        shared.devices.learn(device, Attribute::Address, &ip.to_string(), source, at, records, &mut shared.counters);
        self.output.cut_when_full();
    }

    fn violation(&mut self, ts: i64, party: Party, rule: &Rule, detail: &str, bytes: &[u8]) {
        let party = self.output.records.parties.add(party);
        self.output.violation(ts, party, rule, detail, bytes);
    }
}

/// The party of a packet below the transport: its sender as client.
fn link_party(meeting: &Meeting) -> Party {
    let known = |address: crate::packet::Address| (address.0 != 0).then_some(address);
    Party {
        client_ip: known(meeting.source),
        server_ip: known(meeting.destination),
        client_mac: meeting.source_mac,
        server_mac: meeting.destination_mac,
        vlan: meeting.vlan,
        ..Party::default()
    }
}
