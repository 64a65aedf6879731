//! Packets made by hand, one for each link layer and tunnel; fragments in every order; and bytes that no stack sends.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails says so by panicking"
)]

use proptest::prelude::*;
use wire::packet::{AGE_NS, Address, Content, DATAGRAMS, Decoded, Decoder, LinkType, PIECES, Packet};

const SECOND: i64 = 1_000_000_000;
const PAYLOAD: &[u8] = b"modbus";
const HERE: [u8; 6] = [2, 0, 0, 0, 0, 1];
const THERE: [u8; 6] = [2, 0, 0, 0, 0, 2];
const OUTER: [u8; 6] = [2, 0, 0, 0, 0, 9];
const GRE: u8 = 47;

fn tcp() -> Vec<u8> {
    let mut segment = vec![0x9c, 0x40, 0x01, 0xf6, 0, 0, 0, 7, 0, 0, 0, 9, 0x50, 0x18, 0x20, 0, 0, 0, 0, 0];
    segment.extend(PAYLOAD);
    segment
}

fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let mut datagram = vec![0x9c, 0x40];
    datagram.extend(port.to_be_bytes());
    datagram.extend((payload.len() as u16 + 8).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    datagram
}

fn ip4_between(from: u8, to: u8, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend((payload.len() as u16 + 20).to_be_bytes());
    packet.extend([0, 1, 0x40, 0, 64, protocol, 0, 0, 10, 0, 0, from, 10, 0, 0, to]);
    packet.extend(payload);
    packet
}

fn ip4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ip4_between(1, 2, protocol, payload)
}

fn ip6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((payload.len() as u16).to_be_bytes());
    packet.extend([next, 255]);
    packet.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    packet.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    packet.extend(payload);
    packet
}

fn between(from: [u8; 6], to: [u8; 6], kind: u16, payload: &[u8]) -> Vec<u8> {
    [&to[..], &from[..], &kind.to_be_bytes(), payload].concat()
}

fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    between(HERE, THERE, kind, payload)
}

/// A frame of another network that carries the packet of a tunnel.
fn carried(protocol: u8, payload: &[u8]) -> Vec<u8> {
    between(OUTER, OUTER, 0x0800, &ip4_between(8, 9, protocol, payload))
}

/// A frame inside a tunnel.
fn inner() -> Vec<u8> {
    ethernet(0x0800, &ip4(6, &tcp()))
}

fn packet(link: LinkType, data: &[u8]) -> Packet<'_> {
    Packet { ts: SECOND, link, original_length: data.len() as u32, data }
}

/// What a decoded packet is, without borrowing.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    source: String,
    destination: String,
    source_mac: Option<[u8; 6]>,
    vlan: Option<u16>,
    content: String,
}

fn seen(decoded: &Decoded<'_>) -> Seen {
    let content = match &decoded.content {
        Content::Tcp(segment) => format!(
            "tcp {} {} {} {} {:#x} {}+{}",
            segment.source_port,
            segment.destination_port,
            segment.sequence,
            segment.acknowledgment,
            segment.flags,
            String::from_utf8_lossy(segment.payload),
            segment.missing
        ),
        Content::Udp(datagram) => {
            format!("udp {} {}+{}", datagram.destination_port, String::from_utf8_lossy(datagram.payload), datagram.missing)
        }
        other => format!("{other:?}"),
    };
    let Decoded { source, destination, source_mac, vlan, .. } = decoded;
    Seen { source: source.to_string(), destination: destination.to_string(), source_mac: *source_mac, vlan: *vlan, content }
}

fn decode(link: LinkType, data: &[u8]) -> Seen {
    let mut decoder = Decoder::default();
    let seen = seen(&decoder.decode(&packet(link, data)));
    assert!(!decoder.has_anomalies(), "{:?}", decoder.take_anomalies());
    seen
}

const SEGMENT: &str = "tcp 40000 502 7 9 0x18 modbus+0";

#[track_caller]
fn carries_the_segment(link: LinkType, data: &[u8], source_mac: Option<[u8; 6]>, vlan: Option<u16>) {
    let expected =
        Seen { source: "10.0.0.1".into(), destination: "10.0.0.2".into(), source_mac, vlan, content: SEGMENT.to_owned() };
    assert_eq!(decode(link, data), expected);
}

#[track_caller]
fn carries_the_segment_of_version_6(link: LinkType, data: &[u8]) {
    let seen = decode(link, data);
    assert_eq!((seen.source.as_str(), seen.destination.as_str(), seen.content.as_str()), ("2001:db8::1", "2001:db8::2", SEGMENT));
}

/// Kinds of the anomalies of some packets.
fn kinds(packets: &[Vec<u8>]) -> Vec<&'static str> {
    let mut decoder = Decoder::default();
    let mut kinds = Vec::new();
    for data in packets {
        decoder.decode(&packet(LinkType::ETHERNET, data));
        kinds.extend(decoder.take_anomalies().into_iter().map(|anomaly| anomaly.kind));
    }
    kinds
}

#[test]
fn ethernet_and_its_tags() {
    let ip = ip4(6, &tcp());
    carries_the_segment(LinkType::ETHERNET, &ethernet(0x0800, &ip), Some(HERE), None);
    let tagged = |tag: u16, kind: u16, rest: &[u8]| [&tag.to_be_bytes()[..], &kind.to_be_bytes(), rest].concat();
    let inside = tagged(0x2007, 0x0800, &ip);
    carries_the_segment(LinkType::ETHERNET, &ethernet(0x8100, &inside), Some(HERE), Some(7));
    for kind in [0x8100, 0x88a8, 0x9100] {
        let outside = tagged(0x0064, 0x8100, &inside);
        carries_the_segment(LinkType::ETHERNET, &ethernet(kind, &outside), Some(HERE), Some(100));
    }
}

#[test]
fn llc_with_snap() {
    let frame = [&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &ip4(6, &tcp())[..]].concat();
    carries_the_segment(LinkType::ETHERNET, &ethernet(frame.len() as u16, &frame), Some(HERE), None);
}

#[test]
fn padding_is_no_payload_and_offloaded_segments_have_no_length() {
    let mut frame = ethernet(0x0800, &ip4(6, &tcp()));
    frame.extend([0; 20]);
    carries_the_segment(LinkType::ETHERNET, &frame, Some(HERE), None);
    carries_the_segment(LinkType::RAW, &[&ip4(6, &tcp())[..], &[0; 20]].concat(), None, None);
    let mut ip = ip4(6, &tcp());
    ip[2..4].fill(0);
    carries_the_segment(LinkType::ETHERNET, &ethernet(0x0800, &ip), Some(HERE), None);
}

#[test]
fn what_the_snap_length_cut_off_is_missing() {
    let frame = ethernet(0x0800, &ip4(6, &tcp()));
    let cut = Packet { original_length: frame.len() as u32, ..packet(LinkType::ETHERNET, &frame[..frame.len() - 4]) };
    assert_eq!(seen(&Decoder::default().decode(&cut)).content, "tcp 40000 502 7 9 0x18 mo+4");
    let frame = ethernet(0x0800, &ip4(17, &udp(502, PAYLOAD)));
    let cut = Packet { original_length: frame.len() as u32, ..packet(LinkType::ETHERNET, &frame[..frame.len() - 4]) };
    assert_eq!(seen(&Decoder::default().decode(&cut)).content, "udp 502 mo+4");
}

#[test]
fn jumbo_frames() {
    let payload = vec![b'x'; 9_000];
    let seen = decode(LinkType::ETHERNET, &ethernet(0x0800, &ip4(17, &udp(502, &payload))));
    assert_eq!(seen.content.len(), "udp 502 +0".len() + 9_000);
}

#[test]
fn cooked_captures_of_linux() {
    let ip = ip4(6, &tcp());
    let v1 = [&[0, 0, 0, 1, 0, 6], &HERE[..], &[0, 0, 8, 0], &ip].concat();
    carries_the_segment(LinkType::LINUX_SLL, &v1, Some(HERE), None);
    let v2 = [&[8, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6], &HERE[..], &[0, 0], &ip].concat();
    carries_the_segment(LinkType::LINUX_SLL2, &v2, Some(HERE), None);
}

#[test]
fn loopback_of_bsd_in_both_byte_orders() {
    let ip = ip4(6, &tcp());
    for (link, family) in [(LinkType::NULL, [2, 0, 0, 0]), (LinkType::NULL, [0, 0, 0, 2]), (LinkType::LOOP, [0, 0, 0, 2])] {
        carries_the_segment(link, &[&family[..], &ip].concat(), None, None);
    }
    for family in [10, 23, 24, 28, 30] {
        carries_the_segment_of_version_6(LinkType::NULL, &[&[family, 0, 0, 0], &ip6(6, &tcp())[..]].concat());
    }
}

#[test]
fn raw_ip() {
    for link in [LinkType::RAW, LinkType::RAW_DLT, LinkType::RAW_OPENBSD, LinkType::IPV4] {
        carries_the_segment(link, &ip4(6, &tcp()), None, None);
    }
    for link in [LinkType::RAW, LinkType::IPV6] {
        carries_the_segment_of_version_6(link, &ip6(6, &tcp()));
    }
}

#[test]
fn options_of_version_4_and_extension_headers_of_version_6() {
    let mut ip = ip4(6, &tcp());
    ip[0] = 0x46;
    ip[3] += 4;
    ip.splice(20..20, [1, 1, 1, 0]);
    carries_the_segment(LinkType::ETHERNET, &ethernet(0x0800, &ip), Some(HERE), None);
    let authentication = |next: u8| [&[next, 4][..], &[0; 22]].concat();
    carries_the_segment(LinkType::RAW, &ip4(51, &[&authentication(6)[..], &tcp()].concat()), None, None);
    let headers: Vec<u8> = [
        &[43, 0, 1, 4, 0, 0, 0, 0][..],
        &[60, 0, 0, 0, 0, 0, 0, 0],
        &[51, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &authentication(44),
        &[6, 0, 0, 0, 0, 0, 0, 1],
        &tcp(),
    ]
    .concat();
    carries_the_segment_of_version_6(LinkType::ETHERNET, &ethernet(0x86dd, &ip6(0, &headers)));
}

#[test]
fn tunnels_show_who_talks_inside() {
    let ip = ip4(6, &tcp());
    let gre = |kind: u16, rest: &[u8]| [&[0, 0], &kind.to_be_bytes()[..], rest].concat();
    for (name, frame, mac) in [
        ("ip in ip", carried(4, &ip), OUTER),
        ("gre", carried(GRE, &gre(0x0800, &ip)), OUTER),
        ("gre with checksum, key and sequence", carried(GRE, &[&[0xb0, 0, 8, 0][..], &[0; 12], &ip].concat()), OUTER),
        ("nvgre", carried(GRE, &[&[0x20, 0, 0x65, 0x58, 0, 0, 1, 0][..], &inner()].concat()), HERE),
        ("erspan 1", carried(GRE, &gre(0x88be, &inner())), HERE),
        ("erspan 2", carried(GRE, &[&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1][..], &[0x10; 8], &inner()].concat()), HERE),
        ("erspan 3", carried(GRE, &[&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1][..], &[0x20; 12], &inner()].concat()), HERE),
        ("erspan 3, subheader", carried(GRE, &[&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1][..], &[0x21; 20], &inner()].concat()), HERE),
        ("vxlan", carried(17, &udp(4789, &[&[8, 0, 0, 0, 0, 0, 1, 0][..], &inner()].concat())), HERE),
        ("mpls", between(OUTER, OUTER, 0x8847, &[&[0, 1, 0, 64, 0, 2, 1, 64][..], &ip].concat()), OUTER),
        ("mpls, control word", between(OUTER, OUTER, 0x8847, &[&[0, 2, 1, 64, 0, 0, 0, 0][..], &inner()].concat()), HERE),
        ("mpls, ethernet", between(OUTER, OUTER, 0x8847, &[&[0, 2, 1, 64][..], &inner()].concat()), HERE),
        ("pppoe", between(OUTER, OUTER, 0x8864, &[&[0x11, 0, 0, 1, 0, 48, 0, 0x21][..], &ip].concat()), OUTER),
    ] {
        let seen = decode(LinkType::ETHERNET, &frame);
        assert_eq!((seen.source.as_str(), seen.source_mac, seen.content.as_str()), ("10.0.0.1", Some(mac), SEGMENT), "{name}");
    }
    carries_the_segment_of_version_6(LinkType::ETHERNET, &carried(41, &ip6(6, &tcp())));
}

#[test]
fn the_vlan_is_that_of_the_outer_frame() {
    let tagged = [&[0, 5, 8, 0], &ip4(6, &tcp())[..]].concat();
    let inner = ethernet(0x8100, &tagged);
    let outer = ip4_between(8, 9, GRE, &[&[0, 0, 0x65, 0x58], &inner[..]].concat());
    let frame = between(OUTER, OUTER, 0x8100, &[&[0, 3, 8, 0], &outer[..]].concat());
    carries_the_segment(LinkType::ETHERNET, &frame, Some(HERE), Some(3));
}

#[test]
fn nesting_ends_at_its_bound() {
    let mut ip = ip4(6, &tcp());
    for _ in 0..100 {
        ip = ip4(4, &ip);
    }
    let mut decoder = Decoder::default();
    assert!(matches!(decoder.decode(&packet(LinkType::RAW, &ip)).content, Content::None));
    assert_eq!(decoder.counters.nested, 1);
}

#[test]
fn arp_and_neighbour_messages() {
    let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 2];
    arp.extend(HERE);
    arp.extend([10, 0, 0, 1]);
    arp.extend(THERE);
    arp.extend([10, 0, 0, 2]);
    let frame = ethernet(0x0806, &arp);
    let mut decoder = Decoder::default();
    let Content::Arp(message) = decoder.decode(&packet(LinkType::ETHERNET, &frame)).content else { panic!("no ARP") };
    assert!(message.is_reply);
    assert_eq!((message.sender_mac, message.sender.to_string()), (HERE, "10.0.0.1".to_owned()));
    assert_eq!((message.target_mac, message.target.to_string()), (THERE, "10.0.0.2".to_owned()));
    arp[4] = 7;
    assert_eq!(kinds(&[ethernet(0x0806, &arp)]), ["arp_format"]);

    let mut advertisement = vec![136, 0, 0, 0, 0x60, 0, 0, 0];
    advertisement.extend(Address::v6([0xfe; 16]).0.to_be_bytes());
    advertisement.extend([2, 1]);
    advertisement.extend(HERE);
    let frame = ethernet(0x86dd, &ip6(58, &advertisement));
    let Content::Neighbour(message) = decoder.decode(&packet(LinkType::ETHERNET, &frame)).content else { panic!("no NDP") };
    assert_eq!((message.is_advertisement, message.is_solicited, message.mac), (true, true, Some(HERE)));
    let mut routed = frame.clone();
    routed[14 + 7] = 254;
    let mut endless = frame;
    *endless.iter_mut().rev().nth(6).unwrap() = 0;
    assert_eq!(kinds(&[routed, endless]), ["ndp_hop_limit", "ndp_option_length"]);
}

#[test]
fn headers_that_contradict_themselves_are_anomalies() {
    let mut short_header = ip4(6, &tcp());
    short_header[0] = 0x44;
    let mut version = ip4(6, &tcp());
    version[0] = 0x55;
    let mut offset = ip4(6, &tcp());
    offset[20 + 12] = 0x40;
    let mut length = ip4(17, &udp(502, PAYLOAD));
    length[20 + 5] = 200;
    let frames: Vec<Vec<u8>> = [short_header, version, offset, length].iter().map(|ip| ethernet(0x0800, ip)).collect();
    assert_eq!(kinds(&frames), ["ip_header_length", "ip_version", "tcp_header_length", "udp_length"]);
}

#[test]
fn an_ethertype_that_is_no_network_layer_is_given_with_its_payload_behind_all_tags() {
    let tagged = ethernet(0x8100, &[&[0x80, 0x05, 0x88, 0xb8][..], &[7; 46]].concat());
    let mut decoder = Decoder::default();
    let decoded = decoder.decode(&packet(LinkType::ETHERNET, &tagged));
    let Content::Ethernet(frame) = decoded.content else { panic!("{:?}", decoded.content) };
    assert_eq!((frame.ether_type, frame.payload, frame.missing, decoded.vlan), (0x88b8, &[7; 46][..], 0, Some(5)));
}

#[test]
fn what_is_not_looked_at_is_counted_by_cause() {
    let mut decoder = Decoder::default();
    for (link, data) in [
        (LinkType(105), vec![0; 60]),
        // A bridge's spanning tree, in IEEE 802.3 framing.
        (LinkType::ETHERNET, ethernet(0x0026, &[0x42; 50])),
        (LinkType::ETHERNET, ethernet(0x0800, &ip4(1, &[8; 40]))),
        (LinkType::ETHERNET, ethernet(0x0800, &[0x45; 10])),
    ] {
        decoder.decode(&packet(link, &data));
    }
    let named: Vec<_> = decoder.counters.named().into_iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(named, [("packet_truncated", 1), ("link_unknown", 1), ("network_other", 1), ("transport_other", 1)]);
}

/// A fragment of version 4: offset in bytes.
fn fragment(identification: u16, protocol: u8, offset: usize, is_last: bool, payload: &[u8]) -> Vec<u8> {
    let mut ip = ip4(protocol, payload);
    ip[4..6].copy_from_slice(&identification.to_be_bytes());
    let field = (offset / 8) as u16 | if is_last { 0 } else { 0x2000 };
    ip[6..8].copy_from_slice(&field.to_be_bytes());
    ethernet(0x0800, &ip)
}

/// Decodes packets in order; what each carries, datagrams put together in place of the packet that completed them.
fn all(decoder: &mut Decoder, packets: &[Vec<u8>]) -> Vec<Seen> {
    let mut result = Vec::new();
    for data in packets {
        let mut last = seen(&decoder.decode(&packet(LinkType::ETHERNET, data)));
        while last.content == "Reassembled" {
            last = seen(&decoder.reassembled());
        }
        if last.content != "None" {
            result.push(last);
        }
    }
    result
}

fn contents(packets: &[Vec<u8>]) -> Vec<String> {
    all(&mut Decoder::default(), packets).into_iter().map(|seen| seen.content).collect()
}

#[test]
fn fragments_of_version_6_are_put_together_with_the_headers_inside() {
    let content = [&[6, 0, 0, 0, 0, 0, 0, 0], &tcp()[..]].concat();
    let part = |offset: u16, more: u16, payload: &[u8]| {
        let mut fragment = vec![60, 0];
        fragment.extend((offset | more).to_be_bytes());
        fragment.extend([0, 0, 0, 1]);
        fragment.extend(payload);
        ethernet(0x86dd, &ip6(44, &fragment))
    };
    let packets = [part(16, 0, &content[16..]), part(0, 1, &content[..16])];
    let seen = all(&mut Decoder::default(), &packets);
    assert_eq!((seen[0].source.as_str(), seen[0].content.as_str()), ("2001:db8::1", SEGMENT));
}

#[test]
fn a_tunnel_in_fragments_that_carries_fragments_is_followed() {
    let datagram = udp(502, PAYLOAD);
    let tunnel = |inner: &[u8]| [&[0, 0, 0x65, 0x58], inner].concat();
    let (first, second) = (tunnel(&fragment(7, 17, 0, false, &datagram[..8])), tunnel(&fragment(7, 17, 8, true, &datagram[8..])));
    let cut = |identification: u16, whole: &[u8]| {
        [fragment(identification, GRE, 0, false, &whole[..24]), fragment(identification, GRE, 24, true, &whole[24..])]
    };
    let packets = [cut(1, &first), cut(2, &second)].concat();
    let seen = all(&mut Decoder::default(), &packets);
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].content.as_str(), seen[0].source_mac), ("udp 502 modbus+0", Some(HERE)));
}

#[test]
fn fragments_that_contradict_each_other_are_anomalies_and_the_first_holds() {
    let datagram = udp(502, b"a payload of forty bytes, more or less..");
    let part = |offset: usize, end: usize| fragment(1, 17, offset, end == datagram.len(), &datagram[offset..end]);
    let mut forged = part(8, 32);
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(kinds(&[part(0, 16), part(16, 32), part(0, 16), part(32, 48)]), [""; 0], "the same again");
    assert_eq!(kinds(&[part(0, 16), part(8, 32), part(32, 48)]), ["fragment_overlap"]);
    assert_eq!(contents(&[part(0, 16), part(8, 32), part(32, 48)]).len(), 1);
    let conflicting = [part(0, 16), part(16, 32), forged.clone(), part(32, 48)];
    assert_eq!(kinds(&conflicting), ["fragment_overlap_conflict"]);
    assert_eq!(contents(&conflicting), contents(&[part(0, 48 / 2), part(24, 48)]));
    // The contradicting fragment itself completes the datagram.
    assert_eq!(contents(&[part(0, 16), part(32, 48), part(24, 32), forged]).len(), 1);
    assert_eq!(kinds(&[part(0, 40), fragment(1, 17, 24, true, &datagram[24..28])]), ["fragment_two_ends"], "teardrop");
    assert_eq!(kinds(&[part(32, 48), fragment(1, 17, 48, true, b"more")]), ["fragment_two_ends"]);
    assert_eq!(kinds(&[fragment(1, 17, 65_528, true, &[0; 100])]), ["fragment_oversize"]);
    assert_eq!(kinds(&[fragment(1, 17, 0, false, &[0; 13])]), ["fragment_length"]);
    assert_eq!(kinds(&[fragment(1, 6, 0, false, &tcp()[..8])]), ["fragment_tiny"]);
}

#[test]
fn incomplete_datagrams_are_bounded_in_number_age_and_pieces() {
    let mut decoder = Decoder::default();
    let packets: Vec<_> = (0..DATAGRAMS as u16 + 10).map(|id| fragment(id, 17, 0, false, &[0; 64])).collect();
    all(&mut decoder, &packets);
    assert_eq!((decoder.counters.fragments_evicted, decoder.counters.fragments_expired), (10, 0));
    let later = fragment(9_999, 17, 0, false, &[0; 64]);
    decoder.decode(&Packet { ts: 2 * SECOND + AGE_NS, ..packet(LinkType::ETHERNET, &later) });
    assert_eq!(decoder.counters.fragments_expired, DATAGRAMS as u64);
    let scattered: Vec<_> = (0..=PIECES).map(|piece| fragment(5, 17, piece * 16, false, &[0; 8])).collect();
    all(&mut decoder, &scattered);
    assert_eq!(decoder.counters.fragments_scattered, 1);
    let held: Vec<_> = (0..1_000).map(|id| fragment(id, 17, 65_000, false, &[0; 8])).collect();
    all(&mut decoder, &held);
    assert!(decoder.bytes() < 9 * 1024 * 1024, "{}", decoder.bytes());
    let cut = fragment(6, 17, 0, false, &[0; 64]);
    decoder.decode(&Packet { original_length: cut.len() as u32, ..packet(LinkType::ETHERNET, &cut[..60]) });
    assert_eq!(decoder.counters.fragments_refused, 1);
}

/// Frames of every layer, to be damaged.
fn valid() -> Vec<(LinkType, Vec<u8>)> {
    let ip = ip4(6, &tcp());
    let mut frames = vec![
        (LinkType::ETHERNET, ethernet(0x0800, &ip)),
        (LinkType::ETHERNET, ethernet(0x8100, &[&[0, 7, 8, 0], &ip[..]].concat())),
        (LinkType::ETHERNET, ethernet(0x86dd, &ip6(44, &[&[60, 0, 0, 1, 0, 0, 0, 1][..], &[0; 64]].concat()))),
        (LinkType::ETHERNET, ethernet(0x86dd, &ip6(58, &[&[136, 0, 0, 0, 0, 0, 0, 0][..], &[1; 32]].concat()))),
        (LinkType::ETHERNET, ethernet(0x0806, &[&[0, 1, 8, 0, 6, 4, 0, 2][..], &[1; 20]].concat())),
        (LinkType::ETHERNET, ethernet(0x8847, &[&[0, 2, 1, 64, 0, 0, 0, 0][..], &inner()].concat())),
        (LinkType::ETHERNET, carried(GRE, &[&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1][..], &[0x21; 20], &inner()].concat())),
        (LinkType::ETHERNET, carried(17, &udp(4789, &[&[8, 0, 0, 0, 0, 0, 1, 0][..], &inner()].concat()))),
        (LinkType::LINUX_SLL, [&[0, 0, 0, 1, 0, 6], &HERE[..], &[0, 0, 8, 0], &ip].concat()),
        (LinkType::LINUX_SLL2, [&[8, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6], &HERE[..], &[0, 0], &ip].concat()),
        (LinkType::NULL, [&[2, 0, 0, 0], &ip[..]].concat()),
        (LinkType::RAW, ip4(51, &[&[6, 4][..], &[0; 22], &tcp()].concat())),
    ];
    frames.extend((0..4).map(|part| (LinkType::ETHERNET, fragment(3, 17, part * 24, part == 3, &[part as u8; 24]))));
    frames
}

fn exercise(decoder: &mut Decoder, link: u16, data: &[u8], cut: u32) {
    let decoded = decoder.decode(&Packet { ts: SECOND, link: LinkType(link), original_length: data.len() as u32 + cut, data });
    let mut is_whole = matches!(decoded.content, Content::Reassembled);
    while is_whole {
        is_whole = matches!(decoder.reassembled().content, Content::Reassembled);
    }
    for anomaly in decoder.take_anomalies() {
        assert!(anomaly.bytes.len() <= 64);
    }
}

proptest! {
    #[test]
    fn any_bytes_on_any_link_do_no_harm(link in prop::sample::select(vec![0_u16, 1, 12, 14, 101, 108, 113, 228, 229, 276, 999]), data in prop::collection::vec(any::<u8>(), 0..200), cut in 0_u32..3) {
        exercise(&mut Decoder::default(), link, &data, cut);
    }

    #[test]
    fn damaged_frames_do_no_harm(damage in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>(), any::<prop::sample::Index>()), 1..64)) {
        let frames = valid();
        let mut decoder = Decoder::default();
        for (which, place, byte, length) in damage {
            let (link, mut data) = frames[which.index(frames.len())].clone();
            let place = place.index(data.len());
            data[place] = byte;
            let kept = data.len() - if byte & 3 == 0 { length.index(data.len()) } else { 0 };
            exercise(&mut decoder, link.0, &data[..kept], (data.len() - kept) as u32);
        }
    }

    #[test]
    fn fragments_in_any_order_and_number_give_the_datagram(
        payload in prop::collection::vec(any::<u8>(), 9..2_000),
        size in 1_usize..40,
        order in any::<prop::sample::Index>(),
        shuffle in prop::collection::vec(any::<u32>(), 300),
    ) {
        let datagram = udp(502, &payload);
        // As many pieces as the bound on holes lets come in any order.
        let size = (size * 8).max(datagram.len().div_ceil(PIECES).next_multiple_of(8));
        let mut parts: Vec<_> = datagram.chunks(size).enumerate()
            .map(|(part, bytes)| fragment(1, 17, part * size, (part + 1) * size >= datagram.len(), bytes)).collect();
        prop_assume!(parts.len() > 1);
        let again = parts[order.index(parts.len())].clone();
        parts.push(again);
        let mut keyed: Vec<_> = shuffle.iter().zip(parts).collect();
        keyed.sort();
        let parts: Vec<_> = keyed.into_iter().map(|(_, part)| part).collect();
        let mut decoder = Decoder::default();
        let mut found = Vec::new();
        for data in &parts {
            if matches!(decoder.decode(&packet(LinkType::ETHERNET, data)).content, Content::Reassembled) {
                let Content::Udp(whole) = decoder.reassembled().content else { panic!("no UDP") };
                found.push(whole.payload.to_vec());
            }
        }
        prop_assert_eq!(found, vec![payload]);
        prop_assert!(!decoder.has_anomalies());
    }
}
