//! DCE/RPC, connection-oriented and connectionless.

use super::layer::rpc;
use super::{Application, Example, Match, Signature, opc_classic, profinet_cm};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    tcp_ports: &[135],
    stream,
    datagram,
    examples: &[
        Example { carrier: Carrier::Stream, bytes: b"\x05\x00\x00\x03\x10\x00\x00\x00\x18\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x05\x00" },
    ],
    ..Signature::new(Application::Dcerpc, "The Open Group C706, 12.5 and 12.6")
};

/// A unit of version 5 whose length can be, and that binds to nothing of OPC.
fn stream(data: &[u8]) -> Match {
    match rpc::begins(data) {
        Some(true) => Match::certain_if(!opc_classic::is_bound(data)),
        Some(false) => Match::Possible,
        None => Match::No,
    }
}

/// A unit of version 4 whose length fits, of another interface than PROFINET's.
fn datagram(data: &[u8]) -> Match {
    Match::certain_if(rpc::datagram(data).is_some_and(|interface| !profinet_cm::is_profinet(&interface)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_shorter_than_its_header_is_none() {
        assert_eq!(stream(b"\x05\x00\x0b\x03\x10\x00\x00\x00\x0f\x00"), Match::No);
    }

    #[test]
    fn the_endpoint_mapper_of_a_profinet_device_is_plain_rpc() {
        let mut call = vec![0; 80];
        call[..5].copy_from_slice(&[4, 0, 0x20, 0, 0x10]);
        call[24..40].copy_from_slice(b"\x08\x83\xaf\xe1\x1f\x5d\xc9\x11\x91\xa4\x08\x00\x2b\x14\xa0\xfa");
        assert_eq!(datagram(&call), Match::Certain);
    }
}
