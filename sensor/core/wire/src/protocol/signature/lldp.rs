//! Link layer discovery protocol.

use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    ether_types: &[0x88cc],
    frame,
    examples: &[
        Example { carrier: Carrier::Frame, bytes: b"\x02\x07\x04\x00\x01\x02\x03\x04\x05\x04\x03\x05\x70\x31\x06\x02\x00\x78" },
    ],
    ..Signature::new(Application::Lldp, "IEEE 802.1AB, 8.2")
};

/// Chassis identifier and port identifier come first, in this order.
fn frame(data: &[u8]) -> Match {
    let [0x02, length @ 2..=255, 1..=7, ..] = data else { return Match::No };
    Match::certain_if(data.get(2 + usize::from(*length)) == Some(&0x04))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_order_is_none() {
        assert_eq!(frame(b"\x04\x03\x05\x70\x31\x02\x07\x04\x00\x01"), Match::No);
    }
}
