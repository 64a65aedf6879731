//! OPC UA connection protocol, and UADP in Ethernet frames.

use super::layer::field::le32;
use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    is_industrial: true,
    tcp_ports: &[4840],
    ether_types: &[0xb62c],
    is_named_by_port: false,
    stream,
    frame,
    examples: &[
        Example { carrier: Carrier::Stream, bytes: b"HELF\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00" },
        Example { carrier: Carrier::Stream, bytes: b"MSGC\x00\x20\x00\x00\x01\x00\x00\x00" },
        Example { carrier: Carrier::Frame, bytes: b"\x71\x07\x01\x03\x00\x01\x0a\x00\x81\x03" },
    ],
    ..Signature::new(Application::Opcua, "OPC 10000-6, 7.1.2.2")
};

/// Message type, chunk type, size in bytes with these eight.
fn stream(data: &[u8]) -> Match {
    let is_header = matches!(
        data.get(..4),
        Some([b'H', b'E', b'L', b'F'] | [b'A', b'C', b'K', b'F'] | [b'E', b'R', b'R', b'F'] | [b'R', b'H', b'E', b'F'])
            | Some([b'O', b'P', b'N', b'F' | b'C' | b'A'] | [b'M', b'S', b'G', b'F' | b'C' | b'A'] | [b'C', b'L', b'O', b'F'])
    );
    match le32(data, 4) {
        Some(12..=0x0fff_ffff) => Match::certain_if(is_header),
        Some(_) => Match::No,
        None => Match::possible_if(is_header),
    }
}

/// Version 1 of UADP, flags behind it (OPC 10000-14, 7.2.4.4.2).
fn frame(data: &[u8]) -> Match {
    Match::certain_if(data.first().is_some_and(|flags| flags & 0x0f == 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_chat_are_no_messages() {
        assert_eq!(stream(b"HELF\x07\x00\x00\x00"), Match::No);
        assert_eq!(stream(b"MSGF"), Match::Possible);
        assert_eq!(stream(b"MSG FOR YOU"), Match::No);
    }
}
