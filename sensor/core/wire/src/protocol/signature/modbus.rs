//! Modbus over TCP and UDP: it is parsed, its probe lies in `protocol::modbus`.

use super::{Application, Signature};

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    is_industrial: true,
    tcp_ports: &[502],
    udp_ports: &[502],
    is_named_by_port: false,
    ..Signature::new(Application::Modbus, "MODBUS Messaging on TCP/IP Implementation Guide V1.0b, 3.1.3")
};

#[cfg(test)]
mod tests {
    use super::*;

    use crate::protocol::{Carrier, Probe, Side, modbus};

    #[test]
    fn a_request_is_the_probe_s_to_recognise() {
        let request = b"\x00\x01\x00\x00\x00\x06\x01\x03\x00\x00\x00\x0a";
        assert!(!matches!(modbus::probe(Side::Client, request, false).0, Probe::No));
        assert_eq!(SIGNATURE.look(Carrier::Stream, request), super::super::Match::No);
    }
}
