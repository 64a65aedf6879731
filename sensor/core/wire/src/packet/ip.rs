//! IPv4, IPv6 and what they carry: fragments, extension headers, tunnels.

use super::defragment::{self, Broken, Fragment, Key};
use super::link::{NeighbourMessage, ethertype};
use super::{Address, Content, Rule, Walk, Whole, split, transport};
use crate::record::table::Layer;

/// IP protocol numbers (IANA, Assigned Internet Protocol Numbers).
mod protocol {
    pub const HOP_BY_HOP: u8 = 0;
    pub const IPV4: u8 = 4;
    pub const TCP: u8 = 6;
    pub const IPV6: u8 = 41;
    pub const ROUTING: u8 = 43;
    pub const FRAGMENT: u8 = 44;
    pub const GRE: u8 = 47;
    pub const AUTHENTICATION: u8 = 51;
    pub const ICMPV6: u8 = 58;
    pub const DESTINATION: u8 = 60;
    pub const MOBILITY: u8 = 135;
    pub const HOST_IDENTITY: u8 = 139;
    pub const SHIM6: u8 = 140;
}

/// UDP port of VXLAN (RFC 7348, 5).
const VXLAN_PORT: u16 = 4789;

/// An IPv4 packet (RFC 791, 3.1).
pub(super) fn version4<'a>(walk: &mut Walk<'_, 'a>, data: &'a [u8]) -> Content<'a> {
    let Some((header, _)) = split::<20>(data) else { return walk.truncated() };
    let [first, _, l0, l1, i0, i1, f0, f1, hop_limit, protocol, _, _, a0, a1, a2, a3, b0, b1, b2, b3] = header;
    let header_bytes = usize::from(first & 0x0f) * 4;
    // A total length of 0 is a segment that the capturing host's card had yet to cut (TCP segmentation offload).
    let total = match usize::from(u16::from_be_bytes([l0, l1])) {
        0 => data.len() + walk.missing,
        total => total,
    };
    if header_bytes < 20 || total < header_bytes {
        let detail = format!("expected a header of at least 20 bytes within the total length, seen {header_bytes} of {total}");
        return walk.malformed(&HEADER_LENGTH, detail, &header);
    }
    // Padding of the link layer is not payload; what the snap length cut off is missing.
    walk.missing = total.saturating_sub(data.len());
    walk.network = data.get(..header_bytes).unwrap_or_default();
    let Some(payload) = data.get(header_bytes..total.min(data.len())) else { return walk.truncated() };
    walk.decoded.source = Address::v4([a0, a1, a2, a3]);
    walk.decoded.destination = Address::v4([b0, b1, b2, b3]);
    let fragment = u16::from_be_bytes([f0, f1]);
    if fragment & 0x3fff == 0 {
        return inside(walk, protocol, payload, hop_limit);
    }
    let (source, destination) = (walk.decoded.source, walk.decoded.destination);
    let identification = u32::from(u16::from_be_bytes([i0, i1]));
    let fragment = Fragment {
        key: Key { source, destination, vlan: walk.decoded.vlan, protocol, identification },
        protocol,
        offset: usize::from(fragment & 0x1fff) * 8,
        is_last: fragment & 0x2000 == 0,
        hop_limit,
        payload,
        missing: walk.missing,
    };
    held(walk, &fragment)
}

/// An IPv6 packet (RFC 8200, 3).
pub(super) fn version6<'a>(walk: &mut Walk<'_, 'a>, data: &'a [u8]) -> Content<'a> {
    let Some((header, rest)) = split::<40>(data) else { return walk.truncated() };
    let [_, _, _, _, l0, l1, next, hop_limit, addresses @ ..] = header;
    let Some((source, destination)) =
        split::<16>(&addresses).and_then(|(source, rest)| Some((source, *rest.first_chunk::<16>()?)))
    else {
        return walk.truncated();
    };
    walk.decoded.source = Address::v6(source);
    walk.decoded.destination = Address::v6(destination);
    // A length of 0 is a jumbogram (RFC 2675, 3) or a segment yet to be cut.
    let length = match usize::from(u16::from_be_bytes([l0, l1])) {
        0 => rest.len() + walk.missing,
        length => length,
    };
    walk.missing = length.saturating_sub(rest.len());
    walk.network = data.get(..40).unwrap_or_default();
    extensions(walk, next, rest.get(..length).unwrap_or(rest), hop_limit)
}

/// Extension headers of IPv6 up to what it carries (RFC 8200, 4).
fn extensions<'a>(walk: &mut Walk<'_, 'a>, mut next: u8, mut payload: &'a [u8], hop_limit: u8) -> Content<'a> {
    loop {
        match next {
            protocol::HOP_BY_HOP
            | protocol::ROUTING
            | protocol::DESTINATION
            | protocol::MOBILITY
            | protocol::HOST_IDENTITY
            | protocol::SHIM6 => {
                let Some((&[following, length], _)) = payload.split_first_chunk::<2>() else { return walk.truncated() };
                let Some(rest) = payload.get((usize::from(length) + 1) * 8..) else { return walk.truncated() };
                (next, payload) = (following, rest);
            }
            protocol::FRAGMENT => {
                let Some(([following, _, o0, o1, i0, i1, i2, i3], rest)) = split::<8>(payload) else { return walk.truncated() };
                let offset = u16::from_be_bytes([o0, o1]);
                // An atomic fragment is a whole packet (RFC 6946).
                if offset & 0xfff9 != 0 {
                    let (source, destination) = (walk.decoded.source, walk.decoded.destination);
                    let identification = u32::from_be_bytes([i0, i1, i2, i3]);
                    let fragment = Fragment {
                        // Unlike in IPv4 the protocol does not tell datagrams apart (RFC 8200, 4.5).
                        key: Key { source, destination, vlan: walk.decoded.vlan, protocol: protocol::FRAGMENT, identification },
                        protocol: following,
                        offset: usize::from(offset & 0xfff8),
                        is_last: offset & 1 == 0,
                        hop_limit,
                        payload: rest,
                        missing: walk.missing,
                    };
                    return held(walk, &fragment);
                }
                (next, payload) = (following, rest);
            }
            protocol::ICMPV6 => return neighbour(walk, payload, hop_limit),
            _ => return inside(walk, next, payload, hop_limit),
        }
        if !walk.descend() {
            return Content::None;
        }
    }
}

/// Keeps a fragment, or completes its datagram.
fn held<'a>(walk: &mut Walk<'_, 'a>, fragment: &Fragment<'_>) -> Content<'a> {
    walk.counters.fragments += 1;
    // RFC 1858, 3: the flags of a connection would hide in the second fragment.
    if fragment.offset == 0 && fragment.protocol == protocol::TCP && fragment.payload.len() + fragment.missing < 20 {
        let detail = format!("expected a whole TCP header in the first fragment, seen {} bytes", fragment.payload.len());
        walk.anomaly(&FRAGMENT_TINY, detail, fragment.payload);
    }
    let outcome = walk.memory.defragmenter.add(walk.ts, fragment, walk.counters);
    if let Some(broken) = outcome.broken {
        let (rule, detail) = match broken {
            Broken::Oversize(end) => (&FRAGMENT_OVERSIZE, format!("expected an end of at most 65535, seen {end}")),
            Broken::Conflict(offset) => (
                &FRAGMENT_CONFLICT,
                format!("expected the same bytes at offset {offset} in overlapping fragments, seen different ones"),
            ),
            Broken::Overlap(offset) => (
                &FRAGMENT_OVERLAP,
                format!("expected fragments side by side, seen one that begins or ends inside another at offset {offset}"),
            ),
            Broken::TwoEnds(expected, seen) => {
                (&FRAGMENT_TWO_ENDS, format!("expected the datagram to end at {expected}, seen a fragment that ends at {seen}"))
            }
            Broken::Ragged(length) => {
                (&FRAGMENT_LENGTH, format!("expected a multiple of 8 bytes in all fragments but the last, seen {length}"))
            }
        };
        walk.anomaly(rule, detail, fragment.payload);
    }
    let Some(datagram) = outcome.whole else { return Content::None };
    let super::Decoded { source_mac, destination_mac, vlan, source, destination, .. } = walk.decoded;
    let (ts, depth) = (walk.ts, walk.depth);
    walk.memory.completed = Some(Whole { datagram, ts, depth, source_mac, destination_mac, vlan, source, destination });
    Content::Reassembled
}

/// What a datagram carries that was put together.
pub(super) fn whole<'a>(walk: &mut Walk<'_, 'a>, whole: &'a defragment::Whole) -> Content<'a> {
    if !walk.descend() {
        return Content::None;
    }
    if walk.decoded.source.octets_v4().is_some() {
        inside(walk, whole.protocol, &whole.bytes, whole.hop_limit)
    } else {
        extensions(walk, whole.protocol, &whole.bytes, whole.hop_limit)
    }
}

/// What an IP packet carries.
fn inside<'a>(walk: &mut Walk<'_, 'a>, protocol: u8, data: &'a [u8], hop_limit: u8) -> Content<'a> {
    match protocol {
        protocol::IPV4 | protocol::IPV6 => walk.ip(data),
        protocol::GRE => gre(walk, data),
        // RFC 4302, 2.2: the length is in units of 4 bytes, minus 2.
        protocol::AUTHENTICATION => match data {
            [next, length, ..] if walk.descend() => match data.get((usize::from(*length) + 2) * 4..) {
                Some(rest) if walk.decoded.source.octets_v4().is_some() => inside(walk, *next, rest, hop_limit),
                Some(rest) => extensions(walk, *next, rest, hop_limit),
                None => walk.truncated(),
            },
            [_, _, ..] => Content::None,
            _ => walk.truncated(),
        },
        _ => match transport::content(walk, protocol, data, hop_limit) {
            Content::Udp(datagram) if datagram.destination_port == VXLAN_PORT => match split::<8>(datagram.payload) {
                // RFC 7348, 5: the I flag must be set for a valid network identifier.
                Some(([flags, ..], frame)) if flags & 0x08 != 0 => {
                    walk.missing = datagram.missing as usize;
                    walk.ethernet(frame)
                }
                _ => Content::Udp(datagram),
            },
            content => content,
        },
    }
}

/// Generic routing encapsulation, version 0 (RFC 2784, RFC 2890), with NVGRE (RFC 7637) and ERSPAN (draft-foschiano-erspan) inside.
fn gre<'a>(walk: &mut Walk<'_, 'a>, data: &'a [u8]) -> Content<'a> {
    let Some(([flags, version, t0, t1], _)) = split::<4>(data) else { return walk.truncated() };
    // Other versions, and the source routes of RFC 1701, are not looked at.
    if version & 0x07 != 0 || flags & 0x40 != 0 {
        walk.counters.other_transport += 1;
        return Content::None;
    }
    let has_sequence = flags & 0x10 != 0;
    // Checksum, key and sequence number each take four bytes.
    let header_bytes = 4 + [0x80, 0x20, 0x10].iter().filter(|bit| flags & **bit != 0).count() * 4;
    let Some(payload) = data.get(header_bytes..) else { return walk.truncated() };
    match u16::from_be_bytes([t0, t1]) {
        ethertype::BRIDGED => walk.ethernet(payload),
        // Type I has no header of its own and no sequence number; type II has eight bytes.
        ethertype::ERSPAN => walk.ethernet(payload.get(if has_sequence { 8 } else { 0 }..).unwrap_or_default()),
        ethertype::ERSPAN_III => {
            let Some(([_, _, _, _, _, _, _, _, _, _, _, last], _)) = split::<12>(payload) else { return walk.truncated() };
            // The O bit tells of an eight-byte platform subheader.
            walk.ethernet(payload.get(if last & 1 == 1 { 20 } else { 12 }..).unwrap_or_default())
        }
        kind => walk.network(kind, payload),
    }
}

/// Neighbour discovery (RFC 4861, 4.3 and 4.4); other messages of ICMPv6 are not looked at.
fn neighbour<'a>(walk: &mut Walk<'_, 'a>, data: &'a [u8], hop_limit: u8) -> Content<'a> {
    let Some(&kind) = data.first() else { return walk.truncated() };
    if !matches!(kind, 135 | 136) {
        walk.counters.other_transport += 1;
        return Content::None;
    }
    let Some(([_, _, _, _, flags, _, _, _], rest)) = split::<8>(data) else { return walk.truncated() };
    let Some((target, mut options)) = split::<16>(rest) else { return walk.truncated() };
    // A router would have lowered it: this was sent from elsewhere.
    if hop_limit != 255 {
        return walk.malformed(&NDP_HOP_LIMIT, format!("expected hop limit 255, seen {hop_limit}"), data);
    }
    let is_advertisement = kind == 136;
    let wanted = if is_advertisement { 2 } else { 1 };
    let mut mac = None;
    while let Some((&[option, length], _)) = options.split_first_chunk::<2>() {
        if length == 0 {
            return walk.malformed(&NDP_OPTION, "expected options of at least 8 bytes, seen a length of 0".to_owned(), data);
        }
        let bytes = usize::from(length) * 8;
        if option == wanted && bytes == 8 {
            mac = options.get(2..8).and_then(|mac| mac.try_into().ok());
        }
        options = options.get(bytes..).unwrap_or_default();
    }
    Content::Neighbour(NeighbourMessage { is_advertisement, target: Address::v6(target), mac, is_solicited: flags & 0x40 != 0 })
}

const fn rule(protocol: &'static str, kind: &'static str, clause: &'static str) -> Rule {
    Rule { layer: Layer::Network, protocol, kind, clause }
}

const HEADER_LENGTH: Rule = rule("ip", "ip_header_length", "RFC 791, 3.1");
const FRAGMENT_OVERSIZE: Rule = rule("ip", "fragment_oversize", "RFC 791, 3.1; RFC 8200, 4.5");
const FRAGMENT_CONFLICT: Rule = rule("ip", "fragment_overlap_conflict", "RFC 1858, 4; RFC 8200, 4.5");
const FRAGMENT_OVERLAP: Rule = rule("ip", "fragment_overlap", "RFC 1858, 4; RFC 8200, 4.5");
const FRAGMENT_TWO_ENDS: Rule = rule("ip", "fragment_two_ends", "RFC 791, 3.2");
const FRAGMENT_LENGTH: Rule = rule("ip", "fragment_length", "RFC 791, 3.2; RFC 8200, 4.5");
const FRAGMENT_TINY: Rule = rule("ip", "fragment_tiny", "RFC 1858, 3");
const NDP_HOP_LIMIT: Rule = rule("ndp", "ndp_hop_limit", "RFC 4861, 7.1");
const NDP_OPTION: Rule = rule("ndp", "ndp_option_length", "RFC 4861, 4.6");
