//! KNXnet/IP.

use super::layer::field::fits;
use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    is_industrial: true,
    tcp_ports: &[3671],
    udp_ports: &[3671],
    stream: message,
    datagram: message,
    examples: &[
        Example { carrier: Carrier::Datagram, bytes: b"\x06\x10\x02\x03\x00\x0e\x08\x01\xc0\xa8\x01\x0a\x0e\x57" },
    ],
    ..Signature::new(Application::Knx, "ISO 22510, 5.2 (KNXnet/IP header); EN 13321-2")
};

/// Header size and version, a service of a known family, and a total length that fits.
fn message(data: &[u8]) -> Match {
    let [0x06, 0x10, 0x02..=0x09, 0x01..=0x60, l0, l1, ..] = data else { return Match::No };
    let length = usize::from(u16::from_be_bytes([*l0, *l1]));
    Match::certain_if(length >= 8 && fits(data, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_length_that_does_not_fit_is_something_else() {
        assert_eq!(message(b"\x06\x10\x02\x03\x00\x0f\x08\x01\xc0\xa8\x01\x0a\x0e\x57"), Match::No);
    }
}
