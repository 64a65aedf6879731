//! Packets: from the link layer to the transport's payload.
//!
//! `Decoder::decode` takes one packet and says what it carries; nothing is copied but fragments. What breaks a layer's rules is data
//! (`Anomaly`), never an error; what is not used is counted by cause (`Counters`). Addresses and hardware addresses are those of the innermost
//! tunnel, the VLAN is the outermost tag. A packet that completes a fragmented datagram says so; the datagram is asked for then.
//!
//! ```
//! use wire::packet::{Content, Decoder, LinkType, Packet};
//!
//! let mut decoder = Decoder::default();
//! let packet = Packet { ts: 0, link: LinkType::ETHERNET, original_length: 3, data: &[1, 2, 3] };
//! let decoded = decoder.decode(&packet);
//! assert!(matches!(decoded.content, Content::None));
//! assert_eq!(decoder.counters.truncated, 1);
//! ```

mod address;
mod defragment;
mod ip;
mod link;
mod opening;
mod transport;

pub use address::Address;
use defragment::Defragmenter;
pub use defragment::{AGE_NS, DATAGRAMS, HELD_BYTES, PIECES};
pub use link::{ArpMessage, Frame, LinkType, NeighbourMessage};
pub use opening::Opening;
pub use transport::{Datagram, Segment, flags};

use crate::record::table::Layer;

/// One packet as the capture has it.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Time of capture, nanoseconds since 1970.
    pub ts: i64,
    /// Link layer of the interface.
    pub link: LinkType,
    /// Bytes that were on the wire; `data` may hold fewer (snap length).
    pub original_length: u32,
    /// Bytes captured.
    pub data: &'a [u8],
}

/// What a packet carries, and between whom.
#[derive(Debug)]
pub struct Decoded<'a> {
    /// Hardware address of the sender, of the innermost Ethernet header.
    pub source_mac: Option<[u8; 6]>,
    /// Hardware address of the receiver.
    pub destination_mac: Option<[u8; 6]>,
    /// Outermost VLAN identifier.
    pub vlan: Option<u16>,
    /// Network address of the sender; unspecified where there is none.
    pub source: Address,
    /// Network address of the receiver.
    pub destination: Address,
    /// What is inside.
    pub content: Content<'a>,
}

/// The innermost content that the sensor looks at.
#[derive(Debug)]
pub enum Content<'a> {
    /// A TCP segment.
    Tcp(Segment<'a>),
    /// A UDP datagram.
    Udp(Datagram<'a>),
    /// An ARP message.
    Arp(ArpMessage),
    /// A payload of Ethernet that is neither IP nor ARP. Whoever does not use it counts it as `other_network`.
    Ethernet(Frame<'a>),
    /// A neighbour solicitation or advertisement.
    Neighbour(NeighbourMessage),
    /// A datagram that is put together from fragments now; `Decoder::reassembled` says what it carries.
    Reassembled,
    /// Nothing to look at; the counters say why.
    None,
}

/// Something that breaks a layer's rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// Layer whose rule is broken.
    pub layer: Layer,
    /// Protocol, as in `ip`.
    pub protocol: &'static str,
    /// What is broken, stable snake case.
    pub kind: &'static str,
    /// Document and clause.
    pub clause: &'static str,
    /// What was expected and what was seen.
    pub detail: String,
    /// The offending bytes, at most 64.
    pub bytes: Vec<u8>,
}

/// Bytes of an anomaly that are kept.
pub const ANOMALY_BYTES: usize = 64;

/// Anomalies that are kept until they are taken; a packet makes one, rarely two.
pub const ANOMALIES: usize = 64;

/// Headers inside one another that are followed: deeper nesting is counted and left.
pub const NESTING: usize = 12;

/// What was not used, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets too short for their headers.
    pub truncated: u64,
    /// Packets of a link type that is not known.
    pub unknown_link: u64,
    /// Frames of a network protocol that is not looked at (not IP, not ARP).
    pub other_network: u64,
    /// IP packets of a transport that is not looked at.
    pub other_transport: u64,
    /// Packets nested deeper than `NESTING`.
    pub nested: u64,
    /// Fragments held or put together.
    pub fragments: u64,
    /// Datagrams given up because more than `DATAGRAMS` were incomplete or more than `HELD_BYTES` held.
    pub fragments_evicted: u64,
    /// Datagrams given up because they stayed incomplete for longer than `AGE_NS`.
    pub fragments_expired: u64,
    /// Datagrams given up because what was seen of them fell into more than `PIECES`.
    pub fragments_scattered: u64,
    /// Fragments not used: they break the rules of fragments, or the snap length cut them.
    pub fragments_refused: u64,
    /// Headers whose fields contradict one another.
    pub malformed: u64,
}

impl Counters {
    /// Names and values, in fixed order.
    pub fn named(&self) -> [(&'static str, u64); 11] {
        [
            ("packet_truncated", self.truncated),
            ("link_unknown", self.unknown_link),
            ("network_other", self.other_network),
            ("transport_other", self.other_transport),
            ("packet_nested", self.nested),
            ("fragments_seen", self.fragments),
            ("fragments_evicted", self.fragments_evicted),
            ("fragments_expired", self.fragments_expired),
            ("fragments_scattered", self.fragments_scattered),
            ("fragments_refused", self.fragments_refused),
            ("packet_malformed", self.malformed),
        ]
    }
}

/// Decodes packets; holds what must be remembered between them.
#[derive(Default)]
pub struct Decoder {
    /// What was not used so far.
    pub counters: Counters,
    memory: Memory,
    whole: Option<Whole>,
}

/// What walks leave behind.
#[derive(Default)]
struct Memory {
    defragmenter: Defragmenter,
    anomalies: Vec<Anomaly>,
    opening: Option<Opening>,
    completed: Option<Whole>,
}

/// A datagram put together, and the way of the packet that completed it.
struct Whole {
    datagram: defragment::Whole,
    ts: i64,
    depth: usize,
    source_mac: Option<[u8; 6]>,
    destination_mac: Option<[u8; 6]>,
    vlan: Option<u16>,
    source: Address,
    destination: Address,
}

impl Decoder {
    /// What this packet carries.
    #[inline]
    pub fn decode<'a>(&mut self, packet: &Packet<'a>) -> Decoded<'a> {
        if packet.link == LinkType::ETHERNET
            && let Some(decoded) = link::fast(packet)
        {
            return decoded;
        }
        self.decode_any(packet)
    }

    #[inline(never)]
    fn decode_any<'a>(&mut self, packet: &Packet<'a>) -> Decoded<'a> {
        let mut walk = Walk {
            counters: &mut self.counters,
            memory: &mut self.memory,
            ts: packet.ts,
            missing: (packet.original_length as usize).saturating_sub(packet.data.len()),
            depth: 0,
            network: &[],
            decoded: Decoded {
                source_mac: None,
                destination_mac: None,
                vlan: None,
                source: Address::default(),
                destination: Address::default(),
                content: Content::None,
            },
        };
        walk.decoded.content = walk.link(packet.link, packet.data);
        walk.decoded
    }

    /// What the datagram carries that the last packet completed (`Content::Reassembled`). Where that is a tunnel which in turn completes a
    /// datagram it says `Content::Reassembled` again, at most `NESTING` times.
    pub fn reassembled(&mut self) -> Decoded<'_> {
        self.whole = self.memory.completed.take();
        let mut decoded = Decoded {
            source_mac: None,
            destination_mac: None,
            vlan: None,
            source: Address::default(),
            destination: Address::default(),
            content: Content::None,
        };
        let Some(whole) = &self.whole else { return decoded };
        decoded.source_mac = whole.source_mac;
        decoded.destination_mac = whole.destination_mac;
        decoded.vlan = whole.vlan;
        decoded.source = whole.source;
        decoded.destination = whole.destination;
        let (counters, memory) = (&mut self.counters, &mut self.memory);
        let mut walk = Walk { counters, memory, ts: whole.ts, missing: 0, depth: whole.depth, network: &[], decoded };
        walk.decoded.content = ip::whole(&mut walk, &whole.datagram);
        walk.decoded
    }

    /// Takes out what the last segment with SYN shows of its sender's stack; None where it came in fragments.
    pub fn take_opening(&mut self) -> Option<Opening> {
        self.memory.opening.take()
    }

    /// Takes out what broke rules since the last call.
    pub fn take_anomalies(&mut self) -> Vec<Anomaly> {
        std::mem::take(&mut self.memory.anomalies)
    }

    /// Whether there are anomalies to take.
    #[inline]
    pub fn has_anomalies(&self) -> bool {
        !self.memory.anomalies.is_empty()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.memory.defragmenter.bytes()
    }
}

/// One packet on its way through the layers.
struct Walk<'d, 'a> {
    counters: &'d mut Counters,
    memory: &'d mut Memory,
    ts: i64,
    /// Bytes that the snap length cut off the end.
    missing: usize,
    depth: usize,
    /// Innermost IP header, without the extensions of version 6; empty in a datagram put together from fragments.
    network: &'a [u8],
    decoded: Decoded<'a>,
}

impl<'a> Walk<'_, 'a> {
    /// One header deeper; false when that is too deep.
    fn descend(&mut self) -> bool {
        self.depth += 1;
        if self.depth > NESTING {
            self.counters.nested += 1;
        }
        self.depth <= NESTING
    }

    fn truncated(&mut self) -> Content<'a> {
        self.counters.truncated += 1;
        Content::None
    }

    fn malformed(&mut self, rule: &Rule, detail: String, bytes: &[u8]) -> Content<'a> {
        self.counters.malformed += 1;
        self.anomaly(rule, detail, bytes);
        Content::None
    }

    fn anomaly(&mut self, rule: &Rule, detail: String, bytes: &[u8]) {
        let Rule { layer, protocol, kind, clause } = *rule;
        // A decoder whose anomalies nobody takes must not grow.
        if self.memory.anomalies.len() < ANOMALIES {
            let bytes = bytes.iter().take(ANOMALY_BYTES).copied().collect();
            self.memory.anomalies.push(Anomaly { layer, protocol, kind, clause, detail, bytes });
        }
    }
}

/// A rule of a layer: an anomaly before it is broken.
struct Rule {
    layer: Layer,
    protocol: &'static str,
    kind: &'static str,
    clause: &'static str,
}

/// The first bytes as an array, and the rest.
#[inline]
pub(crate) fn split<const N: usize>(data: &[u8]) -> Option<([u8; N], &[u8])> {
    data.split_first_chunk::<N>().map(|(head, rest)| (*head, rest))
}
