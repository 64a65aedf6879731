//! PROFINET context manager: connections between controllers and devices.

use super::layer::rpc;
use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    is_industrial: true,
    udp_ports: &[34964],
    datagram,
    examples: &[
        Example { carrier: Carrier::Datagram, bytes: b"\x04\x00\x20\x00\x10\x00\x00\x00\x00\x00\xa0\xde\x97\x6c\xd1\x11\x82\x71\x00\x01\x01\x2e\x00\x2a\x01\x00\xa0\xde\x97\x6c\xd1\x11\x82\x71\x00\xa0\x24\x42\xdf\x7d\x4a\x1f\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00" },
    ],
    ..Signature::new(Application::ProfinetCm, "IEC 61158-6-10, 4.10.3 (UUIDs); C706, 12.5")
};

/// Interfaces of device, controller, supervisor and parameter server: dea00001 to dea00004-6c97-11d1-8271-00a02442df7d.
fn datagram(data: &[u8]) -> Match {
    Match::certain_if(rpc::datagram(data).is_some_and(|interface| is_profinet(&interface)))
}

/// Whether an interface is one of PROFINET's.
pub(super) fn is_profinet(interface: &rpc::Interface) -> bool {
    matches!(interface, [0xde, 0xa0, 0x00, 0x01..=0x04, 0x6c, 0x97, 0x11, 0xd1, 0x82, 0x71, 0x00, 0xa0, 0x24, 0x42, 0xdf, 0x7d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_interface_is_not_profinet_s() {
        let mut call = SIGNATURE.examples[0].bytes.to_vec();
        call[24] = 5;
        assert_eq!(datagram(&call), Match::No);
    }
}
