//! BACnet over IP.

use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    is_industrial: true,
    udp_ports: &[47808],
    datagram,
    examples: &[
        Example { carrier: Carrier::Datagram, bytes: b"\x81\x0b\x00\x0c\x01\x20\xff\xff\x00\xff\x10\x08" },
        Example { carrier: Carrier::Datagram, bytes: b"\x81\x00\x00\x06\x00\x30" },
    ],
    ..Signature::new(Application::Bacnet, "ANSI/ASHRAE 135, J.2")
};

/// BACnet virtual link control: type, function, its own length, and behind functions that carry one a network header of version 1.
fn datagram(data: &[u8]) -> Match {
    let [0x81, function, l0, l1, rest @ ..] = data else { return Match::No };
    if usize::from(u16::from_be_bytes([*l0, *l1])) != data.len() {
        return Match::No;
    }
    match function {
        0x04 => Match::certain_if(rest.get(6) == Some(&1)),
        0x09..=0x0b => Match::certain_if(rest.first() == Some(&1)),
        0x00..=0x03 | 0x05..=0x08 | 0x0c => Match::Certain,
        _ => Match::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_that_does_not_fit_or_another_network_version_is_something_else() {
        assert_eq!(datagram(b"\x81\x0b\x00\x0d\x01\x20\xff\xff\x00\xff\x10\x08"), Match::No);
        assert_eq!(datagram(b"\x81\x0b\x00\x0c\x02\x20\xff\xff\x00\xff\x10\x08"), Match::No);
    }
}
