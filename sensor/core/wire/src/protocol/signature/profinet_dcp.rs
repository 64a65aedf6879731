//! PROFINET discovery and basic configuration.

use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    is_industrial: true,
    ether_types: &[0x8892],
    frame,
    examples: &[
        Example { carrier: Carrier::Frame, bytes: b"\xfe\xfe\x05\x00\x01\x00\x00\x01\x00\x01\x00\x04\xff\xff\x00\x00" },
    ],
    ..Signature::new(Application::ProfinetDcp, "IEC 61158-6-10, 4.3 (DCP)")
};

/// A frame identifier of discovery (0xfefc to 0xfeff), one of its services and a request or response.
fn frame(data: &[u8]) -> Match {
    Match::certain_if(matches!(data, [0xfe, 0xfc..=0xff, 0x03..=0x06, 0x00 | 0x01 | 0x05, ..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cyclic_data_is_not_discovery() {
        assert_eq!(frame(b"\x80\x00\x05\x00"), Match::No);
        assert_eq!(frame(b"\xfe\xfe\x09\x00"), Match::No);
    }
}
