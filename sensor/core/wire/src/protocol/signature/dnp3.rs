//! Distributed network protocol.

use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    is_industrial: true,
    tcp_ports: &[20000],
    udp_ports: &[20000],
    stream: link,
    datagram: link,
    examples: &[
        Example { carrier: Carrier::Stream, bytes: b"\x05\x64\x05\xc0\x01\x00\x00\x04\xe9\x21" },
        Example { carrier: Carrier::Datagram, bytes: b"\x05\x64\x05\xc0\x01\x00\x00\x04\xe9\x21" },
    ],
    ..Signature::new(Application::Dnp3, "IEEE 1815, 9.2.4")
};

/// Start octets, a length of at least 5, and the header's check: without it, what looks like a header may be none.
fn link(data: &[u8]) -> Match {
    match data {
        [0x05, 0x64, 5..=255, _, _, _, _, _, low, high, ..] => {
            if check(data.get(..8).unwrap_or_default()) == u16::from_le_bytes([*low, *high]) { Match::Certain } else { Match::Possible }
        }
        [0x05, 0x64, 5..=255, ..] => Match::Possible,
        _ => Match::No,
    }
}

/// The cyclic check (IEEE 1815, 9.2.3 and annex E): polynomial 0x3d65, reflected, inverted.
fn check(bytes: &[u8]) -> u16 {
    !bytes.iter().fold(0_u16, |sum, byte| {
        (0..8).fold(sum ^ u16::from(*byte), |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0xa6bc } else { sum >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_with_a_wrong_check_is_only_possible() {
        assert_eq!(link(b"\x05\x64\x05\xc0\x01\x00\x00\x04\xe9\x22"), Match::Possible);
        assert_eq!(link(b"\x05\x64\x04\xc0\x01\x00\x00\x04"), Match::No);
    }
}
