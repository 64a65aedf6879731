//! Ethernet POWERLINK.

use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    is_industrial: true,
    ether_types: &[0x88ab],
    frame,
    examples: &[
        Example { carrier: Carrier::Frame, bytes: b"\x01\xff\xf0\x00\x00\x00" },
    ],
    ..Signature::new(Application::Powerlink, "EPSG DS 301, 4.6.1.1")
};

/// A message type, destination and source node.
fn frame(data: &[u8]) -> Match {
    Match::certain_if(matches!(data, [0x01 | 0x03..=0x07 | 0x0d, _, 1..=255, ..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_message_type_is_none() {
        assert_eq!(frame(b"\x02\xff\xf0\x00"), Match::No);
    }
}
