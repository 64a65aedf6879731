//! Captures of every packing and from pipes; files that are none; damage.

use std::fs;
use std::io::{PipeWriter, Write};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use flate2::{Compression, write::GzEncoder};

use super::{Progress, Source};

/// A file that is removed with the value.
struct Scratch(PathBuf);

impl Scratch {
    fn new(content: &[u8]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("icsight-source-{}-{number}", std::process::id()));
        fs::write(&path, content).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    fn open(&self) -> Source {
        Source::open(self.path()).map_err(|error| error.0).unwrap()
    }

    fn refusal(&self) -> String {
        let text = Source::open(self.path()).err().unwrap().0;
        assert!(!text.contains('\n'));
        text.strip_prefix(&format!("{}: ", self.path())).unwrap().to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_file(&self.0).unwrap();
    }
}

fn record(number: u32) -> Vec<u8> {
    let mut record: Vec<u8> = [number + 1, 0, 60, 60].into_iter().flat_map(u32::to_le_bytes).collect();
    record.extend([number as u8; 60]);
    record
}

fn header(link: u32) -> Vec<u8> {
    [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, link].into_iter().flat_map(u32::to_le_bytes).collect()
}

fn pcap(packets: u32) -> Vec<u8> {
    header(1).into_iter().chain((0..packets).flat_map(record)).collect()
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zstd(data: &[u8]) -> Vec<u8> {
    zstd::encode_all(data, 1).unwrap()
}

/// Times of all packets in seconds.
fn read(source: &mut Source) -> Vec<i64> {
    let mut times = Vec::new();
    while source.read(1_000, None, |packet| {
        times.push(packet.ts / 1_000_000_000);
        true
    }) != Progress::End
    {}
    times
}

#[test]
fn plain_and_packed_captures_of_several_parts_give_the_same_packets() {
    let plain = pcap(10_000);
    let (first, second) = plain.split_at(400_001);
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4][..], &zstd(&plain)].concat();
    let expected: Vec<i64> = (1..=10_000).collect();
    for (content, format) in [
        (plain.clone(), "pcap"),
        (gzip(&plain), "pcap, gzip"),
        ([gzip(first), gzip(second)].concat(), "pcap, gzip"),
        ([zstd(first), zstd(second)].concat(), "pcap, zstd"),
        (skippable, "pcap, zstd"),
    ] {
        let file = Scratch::new(&content);
        let mut source = file.open();
        assert_eq!(source.format(), format);
        assert_eq!(source.epoch(), Some(&blake3::hash(&content).to_hex()[..32]));
        assert_eq!(read(&mut source), expected);
        assert_eq!((source.position(), source.size()), (content.len() as u64, Some(content.len() as u64)));
        assert_eq!((source.packets(), source.warnings().len()), (10_000, 0));
    }
}

#[test]
fn the_budget_and_the_sink_say_when_to_pause() {
    let file = Scratch::new(&pcap(10));
    let mut source = file.open();
    let mut seen = 0;
    assert_eq!(
        source.read(4, None, |_| {
            seen += 1;
            true
        }),
        Progress::More
    );
    assert_eq!(
        source.read(100, None, |_| {
            seen += 1;
            false
        }),
        Progress::More
    );
    assert_eq!((seen, source.packets()), (5, 5));
    assert_eq!(read(&mut source).len(), 5);
}

#[test]
fn a_capture_cut_off_keeps_its_packets_and_says_where() {
    let plain = pcap(5);
    let cut = &plain[..plain.len() - 1];
    let packed = gzip(&plain);
    for (content, packets, words) in [
        (cut.to_vec(), 4, "cut off in the middle of a packet at byte 328; the 4 packets before it were read"),
        (gzip(cut), 4, "at byte 328 of what was unpacked"),
        (packed[..packed.len() - 4].to_vec(), 5, "damaged at byte 404 of what was unpacked"),
        ([pcap(3), vec![0; 100]].concat(), 3, "damaged at byte 252: zeros where a packet should begin"),
        ([pcap(3), vec![0xff; 100]].concat(), 3, "claims 4294967295 bytes"),
    ] {
        let file = Scratch::new(&content);
        let mut source = file.open();
        assert_eq!(read(&mut source).len(), packets, "{words}");
        assert!(source.warnings()[0].contains(words), "{words}: {:?}", source.warnings());
    }
}

#[test]
fn what_is_no_capture_is_named_with_what_to_do() {
    let mut erf = vec![0; 16];
    (erf[8], erf[11], erf[15]) = (2, 64, 46);
    erf.resize(64, 1);
    let erf = [erf.clone(), erf].concat();
    let cases: [(&[u8], &str); 20] = [
        (b"", "empty. Check whether the capture was written, and where."),
        (b"PK\x03\x04....", "not a capture file (first bytes 50 4b 03 04: a zip archive). Unpack it first."),
        (b"7z\xbc\xaf\x27\x1c..", "a 7-Zip archive"),
        (b"BZh91AY", "compressed with bzip2"),
        (b"\xfd7zXZ\0", "compressed with xz"),
        (b"Rar!\x1a\x07", "a RAR archive"),
        (b"snoop\0\0\0\0\0\0\x02", "a snoop capture). Convert it"),
        (&erf, "an ERF capture"),
        (b"some text\n", ": text)"),
        ("网络抓包".as_bytes(), ": text)"),
        (b"{\"a\": 1}", ": JSON)"),
        (b"<!DOCTYPE html>", ": HTML or XML)"),
        (b"\x7fELF\x02\x01", "a program"),
        (b"%PDF-1.7", "a PDF document"),
        (b"ElfFile\0\0", "a Windows event log"),
        (&[0; 4_096], ": zeros)"),
        (b"\x01\x02\x03\x04\x05\x06", ": unknown)"),
        (&header(1)[..20], "a capture cut off in its header"),
        (&header(105), "link type 105 (IEEE 802.11) is not known"),
        (&[&header(1)[..], &[0xff; 16]].concat(), "nothing can be read, damaged at byte 24"),
    ];
    for (content, words) in cases {
        let refusal = Scratch::new(content).refusal();
        assert!(refusal.contains(words), "{words}: {refusal}");
    }
    assert!(
        Scratch::new(&gzip(b"PK\x03\x04")).refusal().contains("a zip archive). Unpack it first. Its gzip content was looked at.")
    );
    assert!(Scratch::new(&gzip(b"")).refusal().contains("empty"));
    assert!(Scratch::new(&gzip(&pcap(1))[..12]).refusal().contains("cannot be unpacked"));
    let folder = Source::open(std::env::temp_dir().to_str().unwrap()).err().unwrap().0;
    assert!(folder.contains("a directory, not a capture file"));
    assert!(Source::open("/no/such/file").err().unwrap().0.contains("no such file"));
}

#[test]
fn a_capture_without_packets_is_read_to_its_end() {
    let mut source = Scratch::new(&pcap(0)).open();
    assert!(read(&mut source).is_empty());
    assert!(source.warnings().is_empty());
}

#[test]
fn packets_of_unknown_link_types_are_counted_by_type() {
    let block = |kind: u32, body: &[u8]| {
        let length = (body.len() as u32 + 12).to_le_bytes();
        [&kind.to_le_bytes()[..], &length, body, &length].concat()
    };
    let interface = |link: u8| block(1, &[link, 0, 0, 0, 0, 0, 0, 0]);
    let packet = |interface: u8| {
        let mut body = vec![0; 24];
        (body[0], body[12], body[16]) = (interface, 4, 4);
        block(6, &body)
    };
    let section = block(0x0a0d_0d0a, &[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
    let packets = [packet(0), packet(1), packet(1), packet(0), packet(1), packet(2), packet(7)].concat();
    let file = Scratch::new(&[section, interface(1), interface(105), interface(9), packets].concat());
    let mut source = file.open();
    assert_eq!(read(&mut source).len(), 6);
    let told: Vec<&str> = source.warnings().iter().filter_map(|line| line.split(": ").nth(1)).collect();
    assert!(told[0].starts_with("3 packets of link type 105 (IEEE 802.11) were passed over."), "{told:?}");
    assert!(told[1].starts_with("1 packets of link type 9 (PPP) were passed over."), "{told:?}");
    assert!(told[2].starts_with("1 packets of interfaces that it does not describe"), "{told:?}");
}

#[test]
fn a_file_that_shrinks_or_grows_meanwhile_is_said() {
    let content = pcap(20_000);
    let file = Scratch::new(&content);
    let mut source = file.open();
    assert_eq!(source.read(10, None, |_| true), Progress::More);
    fs::OpenOptions::new().write(true).open(file.path()).unwrap().set_len(600_000).unwrap();
    assert!(read(&mut source).len() < 19_990);
    let warnings = source.warnings().join("\n");
    assert!(warnings.contains("cut off in the middle") && warnings.contains("changed while it was read"), "{warnings}");

    let file = Scratch::new(&content);
    let mut source = file.open();
    fs::OpenOptions::new().append(true).open(file.path()).unwrap().write_all(&record(9)).unwrap();
    assert_eq!(read(&mut source).len(), 20_000, "the epoch is that of the first 20,000");
    assert!(source.warnings().join("\n").contains("changed while it was read"));
}

/// A pipe that is open by path, and the end to write to.
fn pipe(first: &[u8]) -> (Source, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(first).unwrap();
    let source = Source::open(&format!("/dev/fd/{}", reader.as_raw_fd())).map_err(|error| error.0).unwrap();
    (source, writer)
}

#[test]
fn a_pipe_that_stalls_anywhere_gives_way_at_the_deadline_and_goes_on() {
    let (header, rest) = (pcap(0), pcap(3).split_off(24));
    for pack in [<[u8]>::to_vec, gzip, zstd] {
        // Opening waits for the header, which is therefore packed by itself.
        let (first, content) = (pack(&header), [pack(&header), pack(&rest)].concat());
        for pause in [first.len(), first.len() + 3, first.len() + 20, content.len() - 3] {
            let (mut source, mut writer) = pipe(&content[..pause]);
            assert!(source.epoch().is_none() && source.size().is_none());
            let mut packets = 0;
            let start = Instant::now();
            let deadline = start + Duration::from_millis(20);
            assert_eq!(
                source.read(100, Some(deadline), |_| {
                    packets += 1;
                    true
                }),
                Progress::More
            );
            assert!(start.elapsed() >= Duration::from_millis(20));
            writer.write_all(&content[pause..]).unwrap();
            drop(writer);
            let deadline = Some(Instant::now() + Duration::from_secs(10));
            while source.read(100, deadline, |_| {
                packets += 1;
                true
            }) != Progress::End
            {}
            assert_eq!((packets, source.warnings()), (3, [].as_slice()));
        }
    }
}

#[test]
fn damaged_packed_captures_do_no_harm() {
    let plain = pcap(40);
    for content in [gzip(&plain), zstd(&plain)] {
        for at in 0..content.len() {
            let mut damaged = content.clone();
            damaged[at] ^= 0x55;
            let file = Scratch::new(&damaged);
            if let Ok(mut source) = Source::open(file.path()) {
                assert!(read(&mut source).len() <= 40);
            }
        }
    }
}
