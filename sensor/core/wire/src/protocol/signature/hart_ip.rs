//! HART over IP.

use super::layer::field::fits;
use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    is_industrial: true,
    tcp_ports: &[5094],
    udp_ports: &[5094],
    stream: message,
    datagram: message,
    examples: &[
        Example { carrier: Carrier::Stream, bytes: b"\x01\x00\x00\x00\x00\x02\x00\x0d\x01\x00\x00\x75\x30" },
        Example { carrier: Carrier::Datagram, bytes: b"\x01\x00\x03\x00\x00\x03\x00\x0d\x02\x80\x00\x00\x82" },
    ],
    ..Signature::new(Application::HartIp, "FieldComm Group HCF_SPEC-085, 10.3.1")
};

/// Version, message type, message identifier, and a byte count that fits.
fn message(data: &[u8]) -> Match {
    let [1 | 2, 0..=3, 0..=5 | 128, _, _, _, c0, c1, ..] = data else { return Match::No };
    let count = usize::from(u16::from_be_bytes([*c0, *c1]));
    Match::certain_if((8..=0x1000).contains(&count) && fits(data, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_that_does_not_fit_is_something_else() {
        assert_eq!(message(b"\x01\x00\x00\x00\x00\x02\x00\x0e\x01\x00\x00\x75\x30"), Match::No);
    }
}
