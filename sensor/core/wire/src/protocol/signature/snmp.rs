//! Simple network management protocol.

use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    udp_ports: &[161, 162],
    datagram,
    examples: &[
        Example { carrier: Carrier::Datagram, bytes: b"\x30\x1a\x02\x01\x01\x04\x06public\xa0\x0d\x02\x01\x01\x02\x01\x00\x02\x01\x00\x30\x02\x30\x00" },
    ],
    ..Signature::new(Application::Snmp, "RFC 3416, 3; RFC 3412, 6; RFC 1157, 4")
};

/// A sequence that ends with the datagram, in it the version, and in it a community or the header of version 3.
fn datagram(data: &[u8]) -> Match {
    let (length, body) = match data {
        [0x30, length @ 0..=0x7f, body @ ..] => (usize::from(*length), body),
        [0x30, 0x81, length, body @ ..] => (usize::from(*length), body),
        [0x30, 0x82, l0, l1, body @ ..] => (usize::from(u16::from_be_bytes([*l0, *l1])), body),
        _ => return Match::No,
    };
    let is_message = matches!(body, [0x02, 0x01, 0 | 1, 0x04, ..] | [0x02, 0x01, 3, 0x30, ..]);
    match (is_message, length == body.len()) {
        (true, true) => Match::Certain,
        (true, false) => Match::Possible,
        _ => Match::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_does_not_exist_is_none() {
        assert_eq!(datagram(b"\x30\x0b\x02\x01\x02\x04\x06public"), Match::No);
        assert_eq!(datagram(b"\x30\x26\x02\x01\x01\x04\x06public"), Match::Possible);
    }
}
