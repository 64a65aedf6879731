//! NetBIOS name service.

use super::layer::netbios;
use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    udp_ports: &[137],
    datagram,
    examples: &[
        Example { carrier: Carrier::Datagram, bytes: b"\x80\x04\x01\x10\x00\x01\x00\x00\x00\x00\x00\x00\x20CKFDENECFDEFFCFGEFFCCACACACACACA\x00\x00\x20\x00\x01" },
    ],
    ..Signature::new(Application::NetbiosNs, "RFC 1002, 4.2")
};

/// A header of the domain name system, and behind it a name in NetBIOS' own encoding.
fn datagram(data: &[u8]) -> Match {
    let Some((header, rest)) = data.split_first_chunk::<12>() else { return Match::No };
    let is_header = matches!(header, [_, _, _, _, 0, 0 | 1, 0, 0 | 1, 0, _, 0, 0 | 1]);
    Match::certain_if(is_header && netbios::is_name(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_the_domain_name_system_is_none() {
        assert_eq!(datagram(b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x02ex\x00\x00\x01\x00\x01"), Match::No);
    }
}
