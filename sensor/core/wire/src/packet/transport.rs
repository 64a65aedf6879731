//! TCP and UDP headers (RFC 9293, 3.1; RFC 768).

use super::{Content, Opening, Rule, Walk, split};
use crate::record::table::Layer;

/// TCP control bits (RFC 9293, 3.1).
pub mod flags {
    /// No more data from sender.
    pub const FIN: u8 = 0x01;
    /// Synchronize sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// Push function.
    pub const PSH: u8 = 0x08;
    /// Acknowledgment field is significant.
    pub const ACK: u8 = 0x10;
}

/// A TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Port of the sender.
    pub source_port: u16,
    /// Port of the receiver.
    pub destination_port: u16,
    /// Sequence number.
    pub sequence: u32,
    /// Acknowledgment number.
    pub acknowledgment: u32,
    /// Control bits.
    pub flags: u8,
    /// Window.
    pub window: u16,
    /// Time to live or hop limit of the packet.
    pub hop_limit: u8,
    /// Bytes of the payload that the snap length cut off.
    pub missing: u32,
    /// Payload.
    pub payload: &'a [u8],
}

/// A UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Port of the sender.
    pub source_port: u16,
    /// Port of the receiver.
    pub destination_port: u16,
    /// Bytes of the payload that the snap length cut off.
    pub missing: u32,
    /// Payload.
    pub payload: &'a [u8],
}

/// IP protocol number of TCP.
pub const TCP: u8 = 6;
/// IP protocol number of UDP.
pub const UDP: u8 = 17;

/// Decodes the payload of an IP packet; None when it is too short for its header.
#[inline]
pub fn tcp(data: &[u8], missing: usize, hop_limit: u8) -> Option<Segment<'_>> {
    let (header, _) = split::<20>(data)?;
    let [s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, offset, flags, w0, w1, ..] = header;
    let header_bytes = usize::from(offset >> 4) * 4;
    if header_bytes < 20 {
        return None;
    }
    let payload = data.get(header_bytes..)?;
    Some(Segment {
        source_port: u16::from_be_bytes([s0, s1]),
        destination_port: u16::from_be_bytes([d0, d1]),
        sequence: u32::from_be_bytes([q0, q1, q2, q3]),
        acknowledgment: u32::from_be_bytes([a0, a1, a2, a3]),
        flags,
        window: u16::from_be_bytes([w0, w1]),
        hop_limit,
        missing: u32::try_from(missing).unwrap_or(u32::MAX),
        payload,
    })
}

/// Decodes a UDP datagram; None when it is too short for its header, or its length field is below that or
/// beyond what the packet held on the wire.
pub fn udp(data: &[u8], missing: usize) -> Option<Datagram<'_>> {
    let ([s0, s1, d0, d1, l0, l1, _, _], rest) = split::<8>(data)?;
    // A length of 0 is a jumbogram (RFC 2675, 4): the payload goes to the packet's end.
    let length = match usize::from(u16::from_be_bytes([l0, l1])) {
        0 => rest.len(),
        length => length.checked_sub(8)?,
    };
    if length > rest.len() + missing {
        return None;
    }
    let payload = rest.get(..length).unwrap_or(rest);
    Some(Datagram {
        source_port: u16::from_be_bytes([s0, s1]),
        destination_port: u16::from_be_bytes([d0, d1]),
        missing: u32::try_from(length - payload.len()).unwrap_or(u32::MAX),
        payload,
    })
}

/// What an IP payload of this protocol carries.
pub(super) fn content<'a>(walk: &mut Walk<'_, 'a>, protocol: u8, data: &'a [u8], hop_limit: u8) -> Content<'a> {
    let (content, rule, detail): (_, _, fn(&[u8]) -> String) = match protocol {
        TCP => (tcp(data, walk.missing, hop_limit).map(Content::Tcp), &TCP_HEADER, tcp_detail),
        UDP => (udp(data, walk.missing).map(Content::Udp), &UDP_LENGTH, udp_detail),
        _ => {
            walk.counters.other_transport += 1;
            return Content::None;
        }
    };
    match content {
        Some(Content::Tcp(segment)) if segment.flags & flags::SYN != 0 => {
            walk.memory.opening = Opening::read(walk.network, data, walk.missing);
            Content::Tcp(segment)
        }
        Some(content) => content,
        // What the snap length cut off cannot be judged.
        None if walk.missing > 0 => walk.truncated(),
        None => walk.malformed(rule, detail(data), data),
    }
}

const TCP_HEADER: Rule = Rule { layer: Layer::Transport, protocol: "tcp", kind: "tcp_header_length", clause: "RFC 9293, 3.1" };
const UDP_LENGTH: Rule = Rule { layer: Layer::Transport, protocol: "udp", kind: "udp_length", clause: "RFC 768, Length" };

fn tcp_detail(data: &[u8]) -> String {
    let told = data.get(12).map_or_else(|| "none".to_owned(), |offset| (usize::from(offset >> 4) * 4).to_string());
    format!("expected a header of 20 to 60 bytes within the packet's {}, seen {told}", data.len())
}

fn udp_detail(data: &[u8]) -> String {
    let told = data.get(4..6).and_then(|length| length.try_into().ok()).map(u16::from_be_bytes);
    let told = told.map_or_else(|| "none".to_owned(), |length| length.to_string());
    format!("expected a length of at least 8 within the packet's {}, seen {told}", data.len())
}
