//! PROFINET real time: cyclic data, alarms and clock synchronisation.

use super::layer::field::be16;
use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    is_industrial: true,
    ether_types: &[0x8892],
    frame,
    examples: &[
        Example { carrier: Carrier::Frame, bytes: b"\x80\x00\x80\x80\x80\x80\x00\x00\x00\x00\x10\x00\x35\x00" },
    ],
    ..Signature::new(Application::ProfinetRt, "IEC 61158-6-10, 4.2.2 (FrameID)")
};

/// A frame identifier that is neither reserved nor one of discovery.
fn frame(data: &[u8]) -> Match {
    let Some(identifier) = be16(data, 0) else { return Match::No };
    Match::certain_if(matches!(
        identifier,
        0x0020 | 0x0021 | 0x0080 | 0x0081 | 0x0100..=0xfbff | 0xfc01 | 0xfc41 | 0xfe01 | 0xfe02 | 0xfe41 | 0xfe42 | 0xff00..=0xff43 | 0xff80..=0xff8f
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_identifiers_are_nobody_s() {
        assert_eq!(frame(b"\x00\x01\x00\x00"), Match::No);
        assert_eq!(frame(b"\xfe\xfe\x05\x00"), Match::No);
    }
}
