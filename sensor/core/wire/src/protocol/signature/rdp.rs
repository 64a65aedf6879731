//! Remote desktop protocol.

use super::layer::tpkt::{self, Unit};
use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    tcp_ports: &[3389],
    udp_ports: &[3389],
    stream,
    examples: &[
        Example { carrier: Carrier::Stream, bytes: b"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00" },
        Example { carrier: Carrier::Stream, bytes: b"\x03\x00\x00\x2a\x25\xe0\x00\x00\x00\x00\x00Cookie: mstshash=user\r\n\x01\x00\x08\x00\x00\x00\x00\x00" },
    ],
    ..Signature::new(Application::Rdp, "MS-RDPBCGR, 2.2.1.1 to 2.2.1.3; RFC 1006, 6")
};

/// A connection with its cookie or negotiation, or the connect of the T.125 conference inside.
fn stream(data: &[u8]) -> Match {
    tpkt::look(data, |unit| match unit {
            Unit::Connection(parameters) if tpkt::is_remote_desktop(parameters) => Match::Certain,
            Unit::Data([0x7f, 0x65 | 0x66, ..]) => Match::Certain,
            Unit::Connection([]) => Match::Possible,
            _ => Match::No,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_connection_is_only_possible() {
        assert_eq!(stream(b"\x03\x00\x00\x0b\x06\xe0\x00\x00\x00\x00\x00"), Match::Possible);
        assert_eq!(stream(b"\x03\x00\x00\x16\x11\xe0\x00\x00\x00\x01\x00\xc1\x02\x01\x00\xc2\x02\x01\x02\xc0\x01\x0a"), Match::No);
    }
}
