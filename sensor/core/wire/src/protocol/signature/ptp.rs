//! Precision time protocol.

use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    udp_ports: &[319, 320],
    ether_types: &[0x88f7],
    datagram,
    frame: message,
    examples: &[
        Example { carrier: Carrier::Frame, bytes: b"\x00\x02\x00\x2c\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x63\xff\xff\x00\x09\xba\x00\x01\x9e\x48\x00\x00\x00\x00\x45\xb1\x11\x4a\x2e\x50\x0d\xd7" },
    ],
    ..Signature::new(Application::Ptp, "IEEE 1588, 13.3")
};

/// A message type and version, and a length that fits.
fn message(data: &[u8]) -> Match {
    let [kind, version, l0, l1, ..] = data else { return Match::No };
    let length = usize::from(u16::from_be_bytes([*l0, *l1]));
    Match::certain_if(matches!(kind & 0x0f, 0..=3 | 8..=13) && version & 0x0f == 2 && (44..=data.len()).contains(&length))
}

/// UDP has no mark of its own: the port has to agree.
fn datagram(data: &[u8]) -> Match {
    message(data).min(Match::Possible)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_message_is_none() {
        assert_eq!(message(&SIGNATURE.examples[0].bytes[..43]), Match::No);
    }
}
