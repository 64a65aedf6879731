//! Sampled values.

use super::layer::field::be16;
use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    is_industrial: true,
    ether_types: &[0x88ba],
    frame,
    examples: &[
        Example { carrier: Carrier::Frame, bytes: b"\x40\x00\x00\x0d\x00\x00\x00\x00\x60\x03\x80\x01\x01" },
    ],
    ..Signature::new(Application::Sv, "IEC 61850-9-2, 5.3")
};

/// Application identifier, a length that fits, two reserved words, and the tag of sampled values.
fn frame(data: &[u8]) -> Match {
    let length = usize::from(be16(data, 2).unwrap_or_default());
    Match::certain_if((10..=data.len()).contains(&length) && data.get(8) == Some(&0x60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goose_unit_is_no_sampled_value() {
        assert_eq!(frame(b"\x00\x01\x00\x0c\x00\x00\x00\x00\x61\x02\x80\x00"), Match::No);
    }
}
