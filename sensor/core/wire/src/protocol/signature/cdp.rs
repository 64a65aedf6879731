//! Cisco discovery protocol.

use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like. Its protocol identifier within SNAP stands where others have their EtherType.
pub static SIGNATURE: Signature = Signature {
    ether_types: &[0x2000],
    frame,
    examples: &[Example { carrier: Carrier::Frame, bytes: b"\x02\xb4\x12\x34\x00\x01\x00\x06\x52\x31" }],
    ..Signature::new(Application::Cdp, "Cisco Discovery Protocol, version 2, frame format")
};

/// Version 1 or 2, and a first element that has a header at least.
fn frame(data: &[u8]) -> Match {
    Match::certain_if(matches!(data, [1 | 2, _, _, _, 0, 0x01..=0x1f, l0, l1, ..] if u16::from_be_bytes([*l0, *l1]) >= 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_or_an_element_without_its_header_is_none() {
        assert_eq!(frame(b"\x03\xb4\x12\x34\x00\x01\x00\x06\x52\x31"), Match::No);
        assert_eq!(frame(b"\x02\xb4\x12\x34\x00\x01\x00\x03\x52\x31"), Match::No);
    }
}
