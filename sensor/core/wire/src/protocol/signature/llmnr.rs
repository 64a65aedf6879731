//! Link-local multicast name resolution.

use super::layer::dns;
use super::{Application, Match, Signature};

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    udp_ports: &[5355],
    datagram,
    ..Signature::new(Application::Llmnr, "RFC 4795, 2.1")
};

/// A message of the domain name system: its port is what tells it apart.
fn datagram(data: &[u8]) -> Match {
    Match::possible_if(dns::message(data).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_needs_its_port_too() {
        assert_eq!(datagram(b"\x12\x34\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04wpad\x00\x00\x01\x00\x01"), Match::Possible);
    }
}
