//! IPv4, IPv6 and what they carry: fragments, extension headers, tunnels.

use super::defragment::{Fragment, Key, Outcome};
use super::link::{NeighbourMessage, ethertype};
use super::{Address, Content, Walk, split, transport};
use crate::record::table::Layer;

/// IP protocol numbers (IANA, Assigned Internet Protocol Numbers).
mod protocol {
    pub const HOP_BY_HOP: u8 = 0;
    pub const IPV4: u8 = 4;
    pub const IPV6: u8 = 41;
    pub const ROUTING: u8 = 43;
    pub const FRAGMENT: u8 = 44;
    pub const GRE: u8 = 47;
    pub const AUTHENTICATION: u8 = 51;
    pub const ICMPV6: u8 = 58;
    pub const DESTINATION: u8 = 60;
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
        walk.anomaly(Layer::Network, "ip", ("ip_header_length", "RFC 791, 3.1"), detail, &header);
        walk.decoder.counters.malformed += 1;
        return Content::None;
    }
    // Padding of the link layer is not payload; what the snap length cut off is missing.
    walk.missing = total.saturating_sub(data.len());
    let Some(payload) = data.get(header_bytes..total.min(data.len())) else { return walk.truncated() };
    walk.decoded.source = Address::v4([a0, a1, a2, a3]);
    walk.decoded.destination = Address::v4([b0, b1, b2, b3]);
    let fragment = u16::from_be_bytes([f0, f1]);
    if fragment & 0x3fff != 0 {
        let fragment = Fragment {
            key: Key {
                source: walk.decoded.source,
                destination: walk.decoded.destination,
                protocol,
                identification: u32::from(u16::from_be_bytes([i0, i1])),
            },
            offset: usize::from(fragment & 0x1fff) * 8,
            is_last: fragment & 0x2000 == 0,
            hop_limit,
            payload,
        };
        return held(walk, fragment);
    }
    inside(walk, protocol, payload, hop_limit)
}

/// An IPv6 packet with its extension headers (RFC 8200, 3 and 4).
pub(super) fn version6<'a>(walk: &mut Walk<'_, 'a>, data: &'a [u8]) -> Content<'a> {
    let Some((header, rest)) = split::<40>(data) else { return walk.truncated() };
    let [_, _, _, _, l0, l1, mut next, hop_limit, addresses @ ..] = header;
    let Some((source, destination)) =
        split::<16>(&addresses).and_then(|(source, rest)| Some((source, *rest.first_chunk::<16>()?)))
    else {
        return walk.truncated();
    };
    walk.decoded.source = Address::v6(source);
    walk.decoded.destination = Address::v6(destination);
    let length = match usize::from(u16::from_be_bytes([l0, l1])) {
        0 => rest.len() + walk.missing,
        length => length,
    };
    walk.missing = length.saturating_sub(rest.len());
    let mut payload = rest.get(..length).unwrap_or(rest);
    loop {
        let extension_bytes = match next {
            protocol::HOP_BY_HOP | protocol::ROUTING | protocol::DESTINATION => match payload.get(1) {
                Some(&length) => (usize::from(length) + 1) * 8,
                None => return walk.truncated(),
            },
            // RFC 4302, 2.2: in units of 4 bytes, minus 2.
            protocol::AUTHENTICATION => match payload.get(1) {
                Some(&length) => (usize::from(length) + 2) * 4,
                None => return walk.truncated(),
            },
            protocol::FRAGMENT => {
                let Some(([inner, _, o0, o1, i0, i1, i2, i3], rest)) = split::<8>(payload) else { return walk.truncated() };
                let offset = u16::from_be_bytes([o0, o1]);
                // An atomic fragment is a whole packet (RFC 6946).
                if offset & 0xfff9 != 0 {
                    let key = Key {
                        source: walk.decoded.source,
                        destination: walk.decoded.destination,
                        protocol: inner,
                        identification: u32::from_be_bytes([i0, i1, i2, i3]),
                    };
                    let fragment = Fragment {
                        key,
                        offset: usize::from(offset & 0xfff8),
                        is_last: offset & 1 == 0,
                        hop_limit,
                        payload: rest,
                    };
                    return held(walk, fragment);
                }
                next = inner;
                payload = rest;
                continue;
            }
            _ => return inside(walk, next, payload, hop_limit),
        };
        if !walk.descend() {
            return Content::None;
        }
        next = payload.first().copied().unwrap_or_default();
        payload = match payload.get(extension_bytes..) {
            Some(rest) => rest,
            None => return walk.truncated(),
        };
    }
}

/// Keeps a fragment, or completes its datagram.
fn held<'a>(walk: &mut Walk<'_, 'a>, fragment: Fragment<'a>) -> Content<'a> {
    walk.decoder.counters.fragments += 1;
    let payload = fragment.payload;
    let broken = match walk.decoder.defragmenter.add(walk.ts, &fragment, walk.missing > 0, &mut walk.decoder.counters) {
        Outcome::Held => return Content::None,
        Outcome::Whole(whole) => {
            walk.decoder.reassembled = Some(whole);
            return Content::Reassembled;
        }
        Outcome::Oversize(end) => {
            (("fragment_oversize", "RFC 791, 3.1: Total Length"), format!("expected an end of at most 65535, seen {end}"))
        }
        Outcome::Conflict(offset) => (
            ("fragment_overlap_conflict", "RFC 1858, 4; RFC 5722, 4"),
            format!("expected the same bytes at offset {offset} in overlapping fragments, seen different ones"),
        ),
        Outcome::TwoEnds(seen, end) => (
            ("fragment_two_ends", "RFC 791, 3.2"),
            format!("expected the datagram to end at {seen} as its last fragment said, seen an end at {end}"),
        ),
    };
    walk.anomaly(Layer::Network, "ip", broken.0, broken.1, payload);
    Content::None
}

/// What an IP packet carries.
pub(super) fn inside<'a>(walk: &mut Walk<'_, 'a>, protocol: u8, data: &'a [u8], hop_limit: u8) -> Content<'a> {
    match protocol {
        protocol::IPV4 if walk.descend() => version4(walk, data),
        protocol::IPV6 if walk.descend() => version6(walk, data),
        protocol::GRE => gre(walk, data),
        protocol::ICMPV6 => icmp6(walk, data),
        _ => {
            let content = transport::content(protocol, data, walk.missing, hop_limit, &mut walk.decoder.counters);
            match content {
                Content::Udp(datagram) if datagram.destination_port == VXLAN_PORT => match split::<8>(datagram.payload) {
                    // RFC 7348, 5: the I flag must be set for a valid network identifier.
                    Some(([flags, ..], frame)) if flags & 0x08 != 0 => walk.ethernet(frame),
                    _ => content,
                },
                _ => content,
            }
        }
    }
}

/// Generic routing encapsulation, version 0 (RFC 2784, RFC 2890), with NVGRE (RFC 7637) and ERSPAN inside.
fn gre<'a>(walk: &mut Walk<'_, 'a>, data: &'a [u8]) -> Content<'a> {
    let Some(([flags, version, t0, t1], _)) = split::<4>(data) else { return walk.truncated() };
    if version & 0x07 != 0 {
        walk.decoder.counters.other_transport += 1;
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

/// Neighbour discovery (RFC 4861, 4.3 and 4.4); other messages are not looked at.
fn icmp6<'a>(walk: &mut Walk<'_, 'a>, data: &'a [u8]) -> Content<'a> {
    let Some(([kind, _, _, _, flags, _, _, _], rest)) = split::<8>(data) else { return walk.truncated() };
    if !matches!(kind, 135 | 136) {
        walk.decoder.counters.other_transport += 1;
        return Content::None;
    }
    let Some((target, mut options)) = split::<16>(rest) else { return walk.truncated() };
    let is_advertisement = kind == 136;
    let wanted = if is_advertisement { 2 } else { 1 };
    let mut mac = None;
    while let Some((&[option, length], _)) = options.split_first_chunk::<2>() {
        let bytes = usize::from(length) * 8;
        // RFC 4861, 4.6: a length of 0 is invalid.
        if bytes == 0 || bytes > options.len() {
            break;
        }
        if option == wanted && bytes == 8 {
            mac = options.get(2..8).and_then(|mac| mac.try_into().ok());
        }
        options = options.get(bytes..).unwrap_or_default();
    }
    Content::Neighbour(NeighbourMessage { is_advertisement, target: Address::v6(target), mac, is_solicited: flags & 0x40 != 0 })
}
