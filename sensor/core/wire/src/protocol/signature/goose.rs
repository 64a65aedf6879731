//! Generic object oriented substation events.

use super::layer::field::be16;
use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    is_industrial: true,
    ether_types: &[0x88b8],
    frame,
    examples: &[
        Example { carrier: Carrier::Frame, bytes: b"\x00\x01\x00\x0c\x00\x00\x00\x00\x61\x02\x80\x00" },
    ],
    ..Signature::new(Application::Goose, "IEC 61850-8-1, annex C")
};

/// Application identifier, a length that fits, two reserved words, and the tag of a GOOSE unit.
fn frame(data: &[u8]) -> Match {
    let length = usize::from(be16(data, 2).unwrap_or_default());
    Match::certain_if((10..=data.len()).contains(&length) && data.get(8) == Some(&0x61))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_longer_than_its_frame_is_none() {
        assert_eq!(frame(b"\x00\x01\x00\x0d\x00\x00\x00\x00\x61\x02\x80\x00"), Match::No);
    }
}
