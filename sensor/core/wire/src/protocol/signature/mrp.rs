//! Media redundancy protocol.

use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    is_industrial: true,
    ether_types: &[0x88e3],
    frame,
    examples: &[
        Example { carrier: Carrier::Frame, bytes: b"\x00\x01\x02\x12\x80\x00\x02\x00\x00\x00\x00\x01" },
    ],
    ..Signature::new(Application::Mrp, "IEC 62439-2, 8.1")
};

/// Version 1, then a block of a known type.
fn frame(data: &[u8]) -> Match {
    Match::certain_if(matches!(data, [0x00, 0x01, 0x00..=0x06 | 0x7f, 2..=255, ..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_is_none() {
        assert_eq!(frame(b"\x00\x02\x02\x12"), Match::No);
    }
}
