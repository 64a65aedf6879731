//! The pcapng blocks that segments and slices are made of (draft-ietf-opsawg-pcapng, sections 4.1 to 4.3), little endian.

use wire::capture::{BLOCK_BYTES, RECORD_BYTES};
use wire::packet::{LinkType, Packet};

/// Block types (section 11.1).
mod kind {
    pub const SECTION_HEADER: u32 = 0x0a0d_0d0a;
    pub const INTERFACE: u32 = 1;
    pub const ENHANCED_PACKET: u32 = 6;
}

/// Option codes (sections 3.5, 4.1 and 4.2).
mod option {
    pub const COMMENT: u16 = 1;
    pub const APPLICATION: u16 = 4;
    pub const TIME_RESOLUTION: u16 = 9;
}

/// Bytes of an enhanced packet block besides its data.
pub const PACKET_BYTES: usize = 32;
/// Longest comment, in bytes: an option's length has 16 bits.
const COMMENT_BYTES: usize = 32_000;

/// A block, as far as segments have it.
#[derive(Debug)]
pub enum Block<'a> {
    /// A packet.
    Packet {
        /// Number of its interface.
        interface: u32,
        /// Time, nanoseconds since 1970.
        ts: i64,
        /// Bytes on the wire.
        original_length: u32,
        /// Bytes captured.
        data: &'a [u8],
    },
    /// An interface.
    Interface(LinkType),
    /// Anything else.
    Other,
}

/// Adds a section header, which begins a file. The comment is cut to what an option holds.
pub fn section(out: &mut Vec<u8>, comment: &str) {
    framed(out, kind::SECTION_HEADER, |out| {
        out.extend_from_slice(&0x1a2b_3c4d_u32.to_le_bytes());
        out.extend_from_slice(&[1, 0, 0, 0]);
        out.extend_from_slice(&u64::MAX.to_le_bytes());
        let cut = (0..=COMMENT_BYTES.min(comment.len())).rev().find(|cut| comment.is_char_boundary(*cut));
        add_option(out, option::COMMENT, comment.get(..cut.unwrap_or_default()).unwrap_or_default().as_bytes());
        add_option(out, option::APPLICATION, concat!("icsight ", env!("CARGO_PKG_VERSION")).as_bytes());
        out.extend_from_slice(&[0; 4]);
    });
}

/// Adds an interface of this link type, with times in nanoseconds.
pub fn interface(out: &mut Vec<u8>, link: LinkType) {
    framed(out, kind::INTERFACE, |out| {
        out.extend_from_slice(&link.0.to_le_bytes());
        out.extend_from_slice(&[0; 6]);
        add_option(out, option::TIME_RESOLUTION, &[9]);
        out.extend_from_slice(&[0; 4]);
    });
}

/// Adds a packet of an interface. Times before 1970 become 1970.
#[inline]
pub fn packet(out: &mut Vec<u8>, interface: u32, packet: &Packet<'_>) {
    let length = PACKET_BYTES + packet.data.len().next_multiple_of(4);
    let total = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    let ticks = u64::try_from(packet.ts).unwrap_or_default();
    let mut head = [0; 28];
    let fields = [
        kind::ENHANCED_PACKET.to_le_bytes(),
        total,
        interface.to_le_bytes(),
        ((ticks >> 32) as u32).to_le_bytes(),
        (ticks as u32).to_le_bytes(),
        u32::try_from(packet.data.len()).unwrap_or(u32::MAX).to_le_bytes(),
        packet.original_length.to_le_bytes(),
    ];
    for (place, field) in head.chunks_exact_mut(4).zip(fields) {
        place.copy_from_slice(&field);
    }
    out.extend_from_slice(&head);
    out.extend_from_slice(packet.data);
    out.extend(std::iter::repeat_n(0, length - PACKET_BYTES - packet.data.len()));
    out.extend_from_slice(&total);
}

/// The block at the start of these bytes, and its length; None where there is no whole one.
#[inline]
pub fn read(bytes: &[u8]) -> Option<(Block<'_>, usize)> {
    let kind = word(bytes, 0)?;
    let length = word(bytes, 4)? as usize;
    if !(12..=BLOCK_BYTES).contains(&length) || !length.is_multiple_of(4) || word(bytes, length - 4)? as usize != length {
        return None;
    }
    let block = match kind {
        kind::ENHANCED_PACKET => {
            let captured = word(bytes, 20)? as usize;
            if length < PACKET_BYTES || captured > RECORD_BYTES || captured > length - PACKET_BYTES {
                return None;
            }
            let ticks = u64::from(word(bytes, 12)?) << 32 | u64::from(word(bytes, 16)?);
            Block::Packet {
                interface: word(bytes, 8)?,
                ts: i64::try_from(ticks).unwrap_or(i64::MAX),
                original_length: word(bytes, 24)?,
                data: bytes.get(28..28 + captured)?,
            }
        }
        kind::INTERFACE => Block::Interface(LinkType(word(bytes, 8)? as u16)),
        _ => Block::Other,
    };
    Some((block, length))
}

/// The little-endian word at a place.
#[inline]
fn word(bytes: &[u8], place: usize) -> Option<u32> {
    bytes.get(place..)?.first_chunk::<4>().map(|word| u32::from_le_bytes(*word))
}

fn framed(out: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    body(out);
    let length = u32::try_from(out.len() - start + 4).unwrap_or(u32::MAX).to_le_bytes();
    if let Some(place) = out.get_mut(start + 4..start + 8) {
        place.copy_from_slice(&length);
    }
    out.extend_from_slice(&length);
}

fn add_option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    out.extend_from_slice(&code.to_le_bytes());
    out.extend_from_slice(&u16::try_from(value.len()).unwrap_or_default().to_le_bytes());
    out.extend_from_slice(value);
    out.extend(std::iter::repeat_n(0, value.len().next_multiple_of(4) - value.len()));
}
