//! Domain name system.

use super::layer::dns;
use super::layer::field::be16;
use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    tcp_ports: &[53],
    udp_ports: &[53],
    stream,
    datagram,
    examples: &[
        Example { carrier: Carrier::Stream, bytes: b"\x00\x18\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x02ex\x00\x00\x01\x00\x01" },
    ],
    ..Signature::new(Application::Dns, "RFC 1035, 4.1 and 4.2")
};

/// A message whose questions and records can be walked over. Its multicast and link-local forms look the same: the port tells.
fn datagram(data: &[u8]) -> Match {
    Match::possible_if(dns::message(data).is_some())
}

/// The same behind a length of two bytes, and there it has to end to the byte.
fn stream(data: &[u8]) -> Match {
    let length = be16(data, 0).map_or(usize::MAX, usize::from);
    let message = data.get(2..).and_then(|rest| rest.get(..length)).and_then(dns::message);
    Match::certain_if(message == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_netbios_is_none_of_its_own() {
        let query = b"\x80\x04\x01\x10\x00\x01\x00\x00\x00\x00\x00\x00\x20CKFDENECFDEFFCFGEFFCCACACACACACA\x00\x00\x20\x00\x01";
        assert_eq!(datagram(query), Match::No);
        assert_eq!(datagram(b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x02ex\x00\x00\x01\x00\x01"), Match::Possible);
    }
}
