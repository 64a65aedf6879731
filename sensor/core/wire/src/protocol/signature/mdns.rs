//! Multicast domain name system.

use super::layer::dns;
use super::{Application, Match, Signature};

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    udp_ports: &[5353],
    datagram,
    ..Signature::new(Application::Mdns, "RFC 6762, 18")
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
        let query = b"\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04_ipp\x04_tcp\x05local\x00\x00\x0c\x00\x01";
        assert_eq!(datagram(query), Match::Possible);
    }
}
