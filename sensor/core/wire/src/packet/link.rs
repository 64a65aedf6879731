//! Link layers and what lies between them and IP: VLAN tags, MPLS, PPPoE, and ARP.

use std::fmt::{Display, Formatter, Result};

use super::{Address, Content, Decoded, Packet, Rule, Walk, ip, split};
use crate::record::table::Layer;

/// Link type of a capture's interface (the LINKTYPE_ numbers of pcap).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkType(pub u16);

impl LinkType {
    /// BSD loopback: a four-byte address family in the capturing host's byte order.
    pub const NULL: Self = Self(0);
    /// Ethernet II or IEEE 802.3.
    pub const ETHERNET: Self = Self(1);
    /// Raw IP, by version (the value that some systems write for LINKTYPE_RAW).
    pub const RAW_DLT: Self = Self(12);
    /// Raw IP (OpenBSD).
    pub const RAW_OPENBSD: Self = Self(14);
    /// Raw IP, by version.
    pub const RAW: Self = Self(101);
    /// OpenBSD loopback: address family in network byte order.
    pub const LOOP: Self = Self(108);
    /// Linux cooked capture v1.
    pub const LINUX_SLL: Self = Self(113);
    /// Raw IPv4.
    pub const IPV4: Self = Self(228);
    /// Raw IPv6.
    pub const IPV6: Self = Self(229);
    /// Linux cooked capture v2.
    pub const LINUX_SLL2: Self = Self(276);

    /// Whether packets of this type can be decoded.
    pub fn is_known(self) -> bool {
        matches!(
            self,
            Self::NULL
                | Self::ETHERNET
                | Self::RAW_DLT
                | Self::RAW_OPENBSD
                | Self::RAW
                | Self::LOOP
                | Self::LINUX_SLL
                | Self::IPV4
                | Self::IPV6
                | Self::LINUX_SLL2
        )
    }
}

impl Display for LinkType {
    /// Number and, where it is one that is met, name.
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        let name = match self.0 {
            0 => "BSD loopback",
            1 => "Ethernet",
            9 | 50 => "PPP",
            12 | 14 | 101 | 228 | 229 => "raw IP",
            104 => "Cisco HDLC",
            105 => "IEEE 802.11",
            108 => "OpenBSD loopback",
            113 => "Linux cooked v1",
            119 => "IEEE 802.11 with Prism header",
            127 => "IEEE 802.11 with radiotap header",
            143 => "DOCSIS",
            147..=162 => "private use",
            187 | 201 => "Bluetooth",
            189 | 220 => "USB of Linux",
            195 | 215 | 230 | 283 => "IEEE 802.15.4",
            197 => "ERF",
            227 => "CAN",
            239 => "NFLOG",
            249 => "USBPcap",
            251 | 256 | 272 => "Bluetooth Low Energy",
            252 => "dissected by Wireshark",
            276 => "Linux cooked v2",
            number => return write!(formatter, "{number}"),
        };
        write!(formatter, "{} ({name})", self.0)
    }
}

/// What an EtherType carries that is no network layer (IEEE 802.3, 3.2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// EtherType, behind all tags.
    pub ether_type: u16,
    /// What follows it, padding included.
    pub payload: &'a [u8],
    /// Bytes that the snap length cut off the end.
    pub missing: usize,
}

/// An ARP message for IPv4 over Ethernet (RFC 826).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArpMessage {
    /// Whether it is a reply; otherwise a request.
    pub is_reply: bool,
    /// Hardware address that the sender claims.
    pub sender_mac: [u8; 6],
    /// Address that the sender claims.
    pub sender: Address,
    /// Hardware address of the target; zero in a request.
    pub target_mac: [u8; 6],
    /// Address that is asked for, or to whom the reply goes.
    pub target: Address,
}

/// A neighbour solicitation or advertisement (RFC 4861, 4.3 and 4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeighbourMessage {
    /// Whether it is an advertisement; otherwise a solicitation.
    pub is_advertisement: bool,
    /// Address that is asked for or advertised.
    pub target: Address,
    /// Source (solicitation) or target (advertisement) link-layer address option.
    pub mac: Option<[u8; 6]>,
    /// Whether the advertisement answers a solicitation.
    pub is_solicited: bool,
}

/// EtherTypes (IEEE 802 Numbers).
pub mod ethertype {
    /// Internet Protocol version 4.
    pub const IPV4: u16 = 0x0800;
    /// Address Resolution Protocol.
    pub const ARP: u16 = 0x0806;
    /// Transparent Ethernet bridging (inside GRE).
    pub const BRIDGED: u16 = 0x6558;
    /// Customer VLAN tag.
    pub const VLAN: u16 = 0x8100;
    /// Internet Protocol version 6.
    pub const IPV6: u16 = 0x86dd;
    /// MPLS unicast.
    pub const MPLS: u16 = 0x8847;
    /// MPLS multicast.
    pub const MPLS_MULTICAST: u16 = 0x8848;
    /// PPPoE session.
    pub const PPPOE_SESSION: u16 = 0x8864;
    /// Service VLAN tag.
    pub const SERVICE_VLAN: u16 = 0x88a8;
    /// ERSPAN type I and II (inside GRE).
    pub const ERSPAN: u16 = 0x88be;
    /// Old service VLAN tag.
    pub const OLD_SERVICE_VLAN: u16 = 0x9100;
    /// ERSPAN type III (inside GRE).
    pub const ERSPAN_III: u16 = 0x22eb;
}

/// The common case in a handful of loads: Ethernet II, at most one VLAN tag, IPv4 without options, TCP, not a fragment, captured whole.
#[inline]
pub(super) fn fast<'a>(packet: &Packet<'a>) -> Option<Decoded<'a>> {
    let data = packet.data;
    let (ethernet, mut rest) = data.split_first_chunk::<14>()?;
    let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1] = *ethernet;
    let mut kind = u16::from_be_bytes([t0, t1]);
    let mut vlan = None;
    if kind == ethertype::VLAN {
        let (tag, inner) = rest.split_first_chunk::<4>()?;
        let [v0, v1, t0, t1] = *tag;
        vlan = Some(u16::from_be_bytes([v0, v1]) & 0x0fff);
        kind = u16::from_be_bytes([t0, t1]);
        rest = inner;
    }
    if kind != ethertype::IPV4 || packet.original_length as usize != data.len() {
        return None;
    }
    let (header, _) = rest.split_first_chunk::<20>()?;
    let [0x45, _, l0, l1, _, _, f0, f1, hop_limit, 6, _, _, a0, a1, a2, a3, b0, b1, b2, b3] = *header else { return None };
    if u16::from_be_bytes([f0, f1]) & 0x3fff != 0 {
        return None;
    }
    let segment = rest.get(20..usize::from(u16::from_be_bytes([l0, l1])))?;
    let segment = super::transport::tcp(segment, 0, hop_limit)?;
    // What opens a connection is looked at more closely.
    if segment.flags & super::flags::SYN != 0 {
        return None;
    }
    Some(Decoded {
        source_mac: Some([s0, s1, s2, s3, s4, s5]),
        destination_mac: Some([d0, d1, d2, d3, d4, d5]),
        vlan,
        source: Address::v4([a0, a1, a2, a3]),
        destination: Address::v4([b0, b1, b2, b3]),
        content: Content::Tcp(segment),
    })
}

impl<'a> Walk<'_, 'a> {
    pub(super) fn link(&mut self, link: LinkType, data: &'a [u8]) -> Content<'a> {
        match link {
            LinkType::ETHERNET => self.ethernet(data),
            LinkType::RAW | LinkType::RAW_DLT | LinkType::RAW_OPENBSD | LinkType::IPV4 | LinkType::IPV6 => self.ip(data),
            LinkType::NULL | LinkType::LOOP => match split::<4>(data) {
                Some((family, rest)) => self.family(family, rest),
                None => self.truncated(),
            },
            LinkType::LINUX_SLL => match split::<16>(data) {
                Some(([_, _, _, _, l0, l1, a, b, c, d, e, f, _, _, t0, t1], rest)) => {
                    self.decoded.source_mac = (u16::from_be_bytes([l0, l1]) == 6).then_some([a, b, c, d, e, f]);
                    self.network(u16::from_be_bytes([t0, t1]), rest)
                }
                None => self.truncated(),
            },
            LinkType::LINUX_SLL2 => match split::<20>(data) {
                Some(([t0, t1, _, _, _, _, _, _, _, _, _, length, a, b, c, d, e, f, _, _], rest)) => {
                    self.decoded.source_mac = (length == 6).then_some([a, b, c, d, e, f]);
                    self.network(u16::from_be_bytes([t0, t1]), rest)
                }
                None => self.truncated(),
            },
            LinkType(_) => {
                self.counters.unknown_link += 1;
                Content::None
            }
        }
    }

    /// BSD address families, in either byte order: 2 is IPv4 everywhere; IPv6 is 24 (NetBSD, OpenBSD), 28 (FreeBSD), 30 (macOS), 10 (Linux) or
    /// 23 (Windows).
    fn family(&mut self, family: [u8; 4], rest: &'a [u8]) -> Content<'a> {
        let family = u32::from_le_bytes(family);
        match if family > 0xffff { family.swap_bytes() } else { family } {
            2 | 10 | 23 | 24 | 28 | 30 => self.ip(rest),
            _ => {
                self.counters.other_network += 1;
                Content::None
            }
        }
    }

    pub(super) fn ethernet(&mut self, data: &'a [u8]) -> Content<'a> {
        if !self.descend() {
            return Content::None;
        }
        let Some(([d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1], rest)) = split::<14>(data) else {
            return self.truncated();
        };
        self.decoded.destination_mac = Some([d0, d1, d2, d3, d4, d5]);
        self.decoded.source_mac = Some([s0, s1, s2, s3, s4, s5]);
        self.network(u16::from_be_bytes([t0, t1]), rest)
    }

    /// What follows an EtherType, or a length of IEEE 802.3.
    pub(super) fn network(&mut self, kind: u16, data: &'a [u8]) -> Content<'a> {
        if !self.descend() {
            return Content::None;
        }
        match kind {
            ethertype::IPV4 | ethertype::IPV6 => self.ip(data),
            ethertype::ARP => self.arp(data),
            ethertype::VLAN | ethertype::SERVICE_VLAN | ethertype::OLD_SERVICE_VLAN => {
                let Some(([v0, v1, t0, t1], rest)) = split::<4>(data) else { return self.truncated() };
                let outermost = u16::from_be_bytes([v0, v1]) & 0x0fff;
                self.decoded.vlan = self.decoded.vlan.or(Some(outermost));
                self.network(u16::from_be_bytes([t0, t1]), rest)
            }
            ethertype::MPLS | ethertype::MPLS_MULTICAST => self.mpls(data),
            // RFC 2516, 4 and RFC 1661, 2: code 0 and the protocol number of IPv4 or IPv6.
            ethertype::PPPOE_SESSION => match split::<8>(data) {
                Some(([0x11, 0, _, _, _, _, 0x00, 0x21 | 0x57], rest)) => self.ip(rest),
                Some(_) => self.other_network(),
                None => self.truncated(),
            },
            // IEEE 802.3 length: LLC, perhaps with SNAP.
            0..0x0600 => match split::<8>(data) {
                Some(([0xaa, 0xaa, 0x03, _, _, _, t0, t1], rest)) => self.network(u16::from_be_bytes([t0, t1]), rest),
                _ => self.other_network(),
            },
            ether_type => Content::Ethernet(Frame { ether_type, payload: data, missing: self.missing }),
        }
    }

    fn other_network(&mut self) -> Content<'a> {
        self.counters.other_network += 1;
        Content::None
    }

    /// Label stack entries up to the bottom of the stack (RFC 3032, 2.1), then IP by its version, else Ethernet (RFC 4448).
    fn mpls(&mut self, mut data: &'a [u8]) -> Content<'a> {
        while self.descend() {
            let Some(([_, _, bottom, _], rest)) = split::<4>(data) else { return self.truncated() };
            data = rest;
            if bottom & 1 == 1 {
                return match data.first().map(|first| first >> 4) {
                    Some(4 | 6) => self.ip(data),
                    // A control word begins with four zero bits (RFC 4385, 3), and so do the hardware addresses of many makers.
                    Some(0) if !is_ethernet(data) => self.ethernet(data.get(4..).unwrap_or_default()),
                    _ => self.ethernet(data),
                };
            }
        }
        Content::None
    }

    fn arp(&mut self, data: &'a [u8]) -> Content<'a> {
        let Some((message, _)) = split::<28>(data) else { return self.truncated() };
        let [0, 1 | 6, 0x08, 0, 6, 4, o0, o1, a, b, c, d, e, f, s0, s1, s2, s3, g, h, i, j, k, l, t0, t1, t2, t3] = message
        else {
            let [h0, h1, p0, p1, hardware_bytes, protocol_bytes, ..] = message;
            let (hardware, protocol) = (u16::from_be_bytes([h0, h1]), u16::from_be_bytes([p0, p1]));
            let detail = format!(
                "expected hardware type 1 of 6 bytes and protocol 0x0800 of 4, seen {hardware} of {hardware_bytes} and {protocol:#06x} of {protocol_bytes}"
            );
            return self.malformed(&ARP_FORMAT, detail, &message);
        };
        let operation = u16::from_be_bytes([o0, o1]);
        if !matches!(operation, 1 | 2) {
            return self.other_network();
        }
        Content::Arp(ArpMessage {
            is_reply: operation == 2,
            sender_mac: [a, b, c, d, e, f],
            sender: Address::v4([s0, s1, s2, s3]),
            target_mac: [g, h, i, j, k, l],
            target: Address::v4([t0, t1, t2, t3]),
        })
    }

    pub(super) fn ip(&mut self, data: &'a [u8]) -> Content<'a> {
        if !self.descend() {
            return Content::None;
        }
        match data.first().map(|first| first >> 4) {
            Some(4) => ip::version4(self, data),
            Some(6) => ip::version6(self, data),
            Some(version) => self.malformed(&IP_VERSION, format!("expected version 4 or 6, seen {version}"), data),
            None => self.truncated(),
        }
    }
}

/// Whether this begins like an Ethernet frame of a protocol that is known here.
fn is_ethernet(data: &[u8]) -> bool {
    use ethertype::{ARP, IPV4, IPV6, MPLS, OLD_SERVICE_VLAN, PPPOE_SESSION, SERVICE_VLAN, VLAN};
    let kind = data.get(12..14).and_then(|kind| kind.try_into().ok()).map(u16::from_be_bytes);
    matches!(kind, Some(ARP | IPV4 | IPV6 | MPLS | OLD_SERVICE_VLAN | PPPOE_SESSION | SERVICE_VLAN | VLAN))
}

const ARP_FORMAT: Rule = Rule { layer: Layer::Link, protocol: "arp", kind: "arp_format", clause: "RFC 826, Packet format" };
const IP_VERSION: Rule = Rule { layer: Layer::Network, protocol: "ip", kind: "ip_version", clause: "RFC 791, 3.1; RFC 8200, 3" };
