//! Capture files made by hand, in each of their forms; split anywhere; damaged; and the captures of `ICSIGHT_CAPTURES`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails says so by panicking"
)]

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use wire::capture::{self, Capture, Opening, RECORD_BYTES, Step};
use wire::packet::LinkType;

/// Time, link type, original length and bytes of a packet.
type Seen = (i64, u16, u32, Vec<u8>);

/// Reads a capture of which `window` bytes at a time come; what was read, and why it ended early.
fn read(file: &[u8], window: usize) -> (Vec<Seen>, Option<String>, u64) {
    let mut packets = Vec::new();
    let mut end = 0;
    let (mut capture, mut at) = loop {
        match capture::open(&file[..end]) {
            Opening::Capture(capture, used) => break (capture, used),
            Opening::NeedMore(_) if end < file.len() => end = file.len().min(end + window),
            other => return (packets, Some(format!("{other:?}")), 0),
        }
    };
    loop {
        match capture.next(&file[at..end]) {
            Step::Packet(packet, used) => {
                packets.push((packet.ts, packet.link.0, packet.original_length, packet.data.to_vec()));
                at += used;
            }
            Step::Skip(used) => {
                assert!(used > 0);
                at += used;
            }
            Step::NeedMore(bytes) if end < file.len() => {
                assert!(bytes > end - at, "{bytes} bytes are there");
                end = file.len().min(end + window);
            }
            Step::NeedMore(_) => return (packets, (at < end).then(|| "cut off".to_owned()), capture.passed_over()),
            Step::Broken(reason) => return (packets, Some(reason), capture.passed_over()),
        }
    }
}

#[track_caller]
fn packets(file: &[u8]) -> Vec<Seen> {
    let (packets, reason, _) = read(file, file.len());
    assert_eq!(reason, None);
    packets
}

/// Writes numbers in a byte order.
#[derive(Clone, Copy)]
struct Order {
    is_big: bool,
}

const LITTLE: Order = Order { is_big: false };
const BIG: Order = Order { is_big: true };

impl Order {
    fn u16(self, value: u16) -> [u8; 2] {
        if self.is_big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn u32(self, value: u32) -> [u8; 4] {
        if self.is_big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn words(self, words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| self.u32(*word)).collect()
    }

    fn pcap(self, magic: u32, link: u32) -> Vec<u8> {
        [self.u32(magic).to_vec(), self.u16(2).to_vec(), self.u16(4).to_vec(), self.words(&[0, 0, 65_535, link])].concat()
    }

    fn record(self, seconds: u32, fraction: u32, original: u32, data: &[u8]) -> Vec<u8> {
        [self.words(&[seconds, fraction, data.len() as u32, original]), data.to_vec()].concat()
    }

    fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let padded = body.len().next_multiple_of(4);
        let length = self.u32(padded as u32 + 12);
        [&self.u32(kind)[..], &length, body, &[0; 3][..padded - body.len()], &length].concat()
    }

    fn section(self) -> Vec<u8> {
        self.block(0x0a0d_0d0a, &[self.words(&[0x1a2b_3c4d]), self.u16(1).to_vec(), self.u16(0).to_vec(), vec![0xff; 8]].concat())
    }

    fn option(self, code: u16, value: &[u8]) -> Vec<u8> {
        let padding = value.len().next_multiple_of(4) - value.len();
        [&self.u16(code)[..], &self.u16(value.len() as u16), value, &[0; 3][..padding]].concat()
    }

    fn interface(self, link: u16, snap: u32, options: &[Vec<u8>]) -> Vec<u8> {
        self.block(1, &[&self.u16(link)[..], &[0, 0], &self.u32(snap), &options.concat(), &[0; 4]].concat())
    }

    fn enhanced(self, interface: u32, ticks: u64, original: u32, data: &[u8], options: &[Vec<u8>]) -> Vec<u8> {
        let head = self.words(&[interface, (ticks >> 32) as u32, ticks as u32, data.len() as u32, original]);
        let padding = data.len().next_multiple_of(4) - data.len();
        self.block(6, &[&head[..], data, &[0; 3][..padding], &options.concat()].concat())
    }
}

#[test]
fn pcap_in_both_byte_orders_and_both_resolutions() {
    for order in [LITTLE, BIG] {
        for (magic, ts) in [(0xa1b2_c3d4, 5_000_007_000), (0xa1b2_3c4d, 5_000_000_007)] {
            let file = [order.pcap(magic, 1), order.record(5, 7, 9, b"abc")].concat();
            assert_eq!(packets(&file), [(ts, 1, 9, b"abc".to_vec())]);
        }
        let mut modified = [order.pcap(0xa1b2_cd34, 1), order.record(5, 7, 3, b"")].concat();
        let length = modified.len() - 8;
        modified[length..length + 4].copy_from_slice(&order.u32(3));
        modified.extend([1, 2, 3, 4, 5, 6, 7, 8, b'a', b'b', b'c']);
        assert_eq!(packets(&modified), [(5_000_007_000, 1, 3, b"abc".to_vec())]);
    }
}

#[test]
fn a_frame_check_sequence_that_is_told_is_taken_off() {
    // Two 16-bit words, in the upper bits of the link type.
    let file =
        [LITTLE.pcap(0xa1b2_c3d4, 0x2400_0001), LITTLE.record(0, 1, 7, b"abcFCS."), LITTLE.record(0, 1, 9, b"abcde")].concat();
    assert_eq!(packets(&file), [(1_000, 1, 3, b"abc".to_vec()), (1_000, 1, 5, b"abcde".to_vec())]);
    let file = [
        LITTLE.section(),
        LITTLE.interface(1, 0, &[LITTLE.option(13, &[4])]),
        LITTLE.enhanced(0, 1, 7, b"abcFCS.", &[]),
        LITTLE.interface(1, 0, &[]),
        LITTLE.enhanced(1, 1, 7, b"abcFCS.", &[LITTLE.option(1, b"note"), LITTLE.option(2, &LITTLE.u32(4 << 5))]),
        LITTLE.enhanced(1, 1, 3, b"abc", &[LITTLE.option(2, &LITTLE.u32(1))]),
    ]
    .concat();
    assert_eq!(packets(&file), vec![(1_000, 1, 3, b"abc".to_vec()); 3]);
}

#[test]
fn pcapng_with_several_interfaces_clocks_and_sections() {
    let file = [
        LITTLE.section(),
        LITTLE.block(0x0bad, b"an unknown block"),
        LITTLE.interface(1, 0, &[LITTLE.option(2, b"eth0")]),
        LITTLE.interface(101, 0, &[LITTLE.option(9, &[9]), LITTLE.option(14, &(-3_i64).to_le_bytes())]),
        LITTLE.interface(113, 0, &[LITTLE.option(9, &[0x80 | 10])]),
        LITTLE.enhanced(0, 0x1_0000_0000, 9, b"micro", &[]),
        LITTLE.enhanced(1, 4_000_000_001, 4, b"nano", &[]),
        LITTLE.enhanced(2, 1_536, 5, b"of 2 ", &[]),
        LITTLE.block(5, &[0; 12]),
        BIG.section(),
        BIG.interface(276, 0, &[BIG.option(9, &[3])]),
        BIG.enhanced(0, 1_500, 3, b"big", &[]),
    ]
    .concat();
    let expected: [(i64, u16, u32, &[u8]); 4] = [
        (4_294_967_296_000, 1, 9, b"micro"),
        (1_000_000_001, 101, 4, b"nano"),
        (1_500_000_000, 113, 5, b"of 2 "),
        (1_500_000_000, 276, 3, b"big"),
    ];
    assert_eq!(packets(&file), expected.map(|(ts, link, length, data)| (ts, link, length, data.to_vec())));
}

#[test]
fn simple_and_obsolete_packet_blocks() {
    for order in [LITTLE, BIG] {
        let simple = [&order.u32(9)[..], b"simple"].concat();
        let obsolete = [&order.u16(0)[..], &[0, 5], &order.words(&[0, 7, 3, 3]), b"old"].concat();
        let file = [order.section(), order.interface(1, 6, &[]), order.block(2, &obsolete), order.block(3, &simple)].concat();
        assert_eq!(packets(&file), [(7_000, 1, 3, b"old".to_vec()), (7_000, 1, 9, b"simple".to_vec())]);
    }
}

#[test]
fn packets_of_interfaces_that_are_not_described_are_counted() {
    let file = [LITTLE.section(), LITTLE.enhanced(3, 1, 3, b"abc", &[]), LITTLE.block(3, &[0; 8])].concat();
    assert_eq!(read(&file, file.len()), (vec![], None, 2));
}

#[test]
fn lengths_that_nobody_writes_end_the_reading_with_a_reason() {
    let start = [LITTLE.pcap(0xa1b2_c3d4, 1), LITTLE.record(1, 1, 3, b"abc")].concat();
    let section = [LITTLE.section(), LITTLE.interface(1, 0, &[]), LITTLE.enhanced(0, 1, 3, b"abc", &[])].concat();
    let mut unequal = LITTLE.enhanced(0, 1, 3, b"abc", &[]);
    *unequal.iter_mut().rev().nth(3).unwrap() += 4;
    let overfull = LITTLE.block(6, &LITTLE.words(&[0, 0, 1, 500, 500, 0]));
    for (good, bad, expected) in [
        (&start, LITTLE.words(&[1, 1, RECORD_BYTES as u32 + 1, 0]), "claims 524289 bytes"),
        (&start, vec![0; 64], "zeros"),
        (&section, LITTLE.words(&[6, u32::MAX, 0, 0]), "claims a length of 4294967295"),
        (&section, LITTLE.words(&[6, 0, 0, 0]), "claims a length of 0"),
        (&section, unequal, "at its start"),
        (&section, overfull, "claims 500 bytes"),
        (&section, LITTLE.block(6, &[0; 8]), "shorter than its fields"),
        (&section, LITTLE.block(1, &[0; 4]), "shorter than its fields"),
        (&section, LITTLE.block(0x0a0d_0d0a, &[0; 16]), "byte-order magic"),
    ] {
        let file = [good.clone(), bad].concat();
        let (packets, reason, _) = read(&file, file.len());
        assert_eq!(packets.len(), 1);
        assert!(reason.as_ref().is_some_and(|reason| reason.contains(expected)), "{expected}: {reason:?}");
    }
}

#[test]
fn what_is_no_capture_is_unknown() {
    assert!(matches!(capture::open(b"PK\x03\x04 and more than twelve bytes"), Opening::Unknown));
    assert!(matches!(capture::open(b""), Opening::NeedMore(4)));
    assert!(matches!(capture::open(&LITTLE.pcap(0xa1b2_c3d4, 1)[..20]), Opening::NeedMore(24)));
    let Opening::Capture(capture, 24) = capture::open(&BIG.pcap(0xa1b2_c3d4, 276)) else { panic!("no capture") };
    assert_eq!((capture.link(), capture.name()), (Some(LinkType::LINUX_SLL2), "pcap"));
}

/// One capture of each form, with packets of these lengths.
fn files(lengths: &[usize]) -> [Vec<u8>; 2] {
    let mut files = [BIG.pcap(0xa1b2_c3d4, 1), [LITTLE.section(), LITTLE.interface(1, 0, &[])].concat()];
    for (at, length) in lengths.iter().enumerate() {
        let data = vec![at as u8; *length];
        files[0].extend(BIG.record(at as u32 + 1, 7, *length as u32, &data));
        files[1].extend(LITTLE.enhanced(0, at as u64, *length as u32, &data, &[LITTLE.option(1, b"note")]));
    }
    files
}

proptest! {
    #[test]
    fn any_split_gives_the_same_packets(lengths in prop::collection::vec(0_usize..90, 0..12), window in 1_usize..200) {
        for file in files(&lengths) {
            let whole = packets(&file);
            prop_assert_eq!(whole.iter().map(|packet| packet.3.len()).collect::<Vec<_>>(), lengths.clone());
            prop_assert_eq!(read(&file, window), (whole, None, 0));
        }
    }

    #[test]
    fn a_capture_cut_anywhere_keeps_the_packets_before(lengths in prop::collection::vec(0_usize..90, 1..12), cut in any::<prop::sample::Index>()) {
        for file in files(&lengths) {
            let whole = packets(&file);
            let (kept, _, _) = read(&file[..cut.index(file.len())], file.len());
            prop_assert_eq!(&kept[..], &whole[..kept.len()]);
        }
    }

    #[test]
    fn any_bytes_do_no_harm(data in prop::collection::vec(any::<u8>(), 0..300), form in 0_usize..2) {
        let start = &files(&[])[form];
        read(&data, 300);
        read(&[&start[..], &data].concat(), 64);
    }

    #[test]
    fn damaged_captures_do_no_harm(damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..16)) {
        for mut file in files(&[10, 60, 3, 0, 33]) {
            for (place, byte) in &damage {
                let place = place.index(file.len());
                file[place] = *byte;
            }
            prop_assert_eq!(read(&file, file.len()).0, read(&file, 7).0);
        }
    }
}

/// The packets of a capture file in memory, and the capture at its end.
fn count(file: &[u8]) -> (u64, Option<Capture>) {
    let Opening::Capture(mut capture, mut at) = capture::open(file) else { return (0, None) };
    let mut packets = 0;
    loop {
        match capture.next(&file[at..]) {
            Step::Packet(_, used) => {
                packets += 1;
                at += used;
            }
            Step::Skip(used) => at += used,
            Step::NeedMore(_) => return (packets, Some(capture)),
            Step::Broken(reason) => panic!("{reason}"),
        }
    }
}

#[test]
fn every_capture_has_as_many_packets_as_its_manifest_says() {
    let Ok(folder) = std::env::var("ICSIGHT_CAPTURES") else {
        assert!(std::env::var("CI").is_err(), "ICSIGHT_CAPTURES is not set");
        eprintln!("ICSIGHT_CAPTURES is not set: no captures to count the packets of");
        return;
    };
    let manifest = fs::read_to_string(Path::new(&folder).join("MANIFEST.tsv")).unwrap();
    let mut compared = 0;
    for line in manifest.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let (path, Some(Ok(expected))) = (fields[0], fields.get(6).map(|packets| packets.parse::<u64>())) else { continue };
        let (packets, capture) = count(&fs::read(Path::new(&folder).join(path)).unwrap());
        assert_eq!(packets, expected, "{path}");
        assert_eq!(capture.map(|capture| capture.passed_over()), Some(0), "{path}");
        compared += 1;
    }
    assert!(compared > 100, "{compared}");
}
