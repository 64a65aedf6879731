//! What files are that are taken for captures, and what to do about it.

/// What to do about a link type that is not known.
pub const KNOWN_LINKS: &str = "Known are Ethernet, Linux cooked v1 and v2, BSD loopback and raw IP; capture on one of these.";

/// First bytes, what they are, and what to do.
const KINDS: [(&[u8], &str, &str); 22] = [
    (b"PK\x03\x04", "a zip archive", "Unpack it first."),
    (b"PK\x05\x06", "an empty zip archive", "Pack it again."),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "Unpack it first."),
    (b"Rar!", "a RAR archive", "Unpack it first."),
    (b"BZh", "compressed with bzip2", "Unpack it first, with bunzip2."),
    (b"\xfd7zXZ", "compressed with xz", "Unpack it first, with unxz."),
    (b"\x04\x22\x4d\x18", "compressed with lz4", "Unpack it first, with unlz4."),
    (b"snoop\0\0\0", "a snoop capture", CONVERT),
    (b"XCP\0", "a Network Associates Sniffer capture", CONVERT),
    (b"GMBU", "a Microsoft Network Monitor capture", CONVERT),
    (b"RTSS", "a Microsoft Network Monitor 1 capture", CONVERT),
    (b"TRSNIFF data", "a Sniffer capture", CONVERT),
    (b"\x7fELF", "a program", OTHER),
    (b"MZ", "a Windows program", OTHER),
    (b"%PDF", "a PDF document", OTHER),
    (b"ElfFile\0", "a Windows event log", OTHER),
    (b"SQLite format 3\0", "an SQLite database", OTHER),
    (b"PAR1", "a Parquet file", "Name the capture file; stored records are read by `icsight query`."),
    (b"ARROW1", "an Arrow file", OTHER),
    (b"\x89PNG", "a picture", OTHER),
    (b"\x1c\x00\x01\xab", "an Ixia capture", CONVERT),
    (b"\x1c\x00\x01\xac", "an Ixia capture", CONVERT),
];

const CONVERT: &str = "Convert it: editcap -F pcapng IN OUT.";
const OTHER: &str = "Name the capture file.";

/// One line about a file that is no capture. `is_cut`: it ends inside a capture's header; `packing`: how its content was packed.
pub fn no_capture(name: &str, data: &[u8], is_cut: bool, packing: Option<&str>) -> String {
    let content = packing.map_or_else(String::new, |packing| format!(" Its {packing} content was looked at."));
    if data.is_empty() {
        return format!("{name}: empty. Check whether the capture was written, and where.{content}");
    }
    let first: Vec<String> = data.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let (what, todo) = if is_cut { ("a capture cut off in its header", "Capture again.") } else { kind(data) };
    format!("{name}: not a capture file (first bytes {}: {what}). {todo}{content}", first.join(" "))
}

fn kind(data: &[u8]) -> (&'static str, &'static str) {
    if let Some((_, what, todo)) = KINDS.iter().find(|(magic, _, _)| data.starts_with(magic)) {
        return (what, todo);
    }
    if data.iter().all(|byte| *byte == 0) {
        return ("zeros", "The capture was not written or the disk lost it; capture again.");
    }
    if data.get(257..262) == Some(b"ustar") {
        return ("a tar archive", "Unpack it first.");
    }
    if is_erf(data) {
        return ("an ERF capture of an Endace card", CONVERT);
    }
    if is_text(data) {
        return match data.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'{' | b'[') => ("JSON", OTHER),
            Some(b'<') => ("HTML or XML", OTHER),
            _ => ("text", OTHER),
        };
    }
    ("unknown", "Captures are pcap or pcapng, plain, gzip or zstd; convert others with: editcap -F pcapng IN OUT.")
}

fn is_text(data: &[u8]) -> bool {
    let is_utf8 = match std::str::from_utf8(data) {
        Ok(_) => true,
        // What was looked at may end inside a character.
        Err(error) => error.error_len().is_none() && error.valid_up_to() > 0,
    };
    is_utf8 && data.iter().all(|byte| matches!(byte, 0x09..=0x0d | 0x1b | 0x20..))
}

/// ERF has no magic: a record of a known type whose lengths fit each other, followed by another.
fn is_erf(data: &[u8]) -> bool {
    let mut rest = data;
    let mut records = 0;
    while let Some((header, _)) = rest.split_first_chunk::<16>() {
        let [_, _, _, _, _, _, _, _, kind, _, r0, r1, _, _, w0, w1] = *header;
        let record_bytes = usize::from(u16::from_be_bytes([r0, r1]));
        let is_record = matches!(kind & 0x7f, 1..=48) && record_bytes > 16 && u16::from_be_bytes([w0, w1]) > 0;
        if !is_record {
            return false;
        }
        records += 1;
        rest = rest.get(record_bytes..).unwrap_or_default();
    }
    records > 1
}
