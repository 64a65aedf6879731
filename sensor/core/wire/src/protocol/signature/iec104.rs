//! IEC 60870-5-104 telecontrol.

use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    is_industrial: true,
    tcp_ports: &[2404],
    stream,
    examples: &[
        Example { carrier: Carrier::Stream, bytes: b"\x68\x04\x07\x00\x00\x00" },
        Example { carrier: Carrier::Stream, bytes: b"\x68\x04\x01\x00\x06\x00" },
        Example { carrier: Carrier::Stream, bytes: b"\x68\x0e\x00\x00\x02\x00\x64\x01\x06\x00\x0a\x00\x00\x00\x00\x14" },
    ],
    ..Signature::new(Application::Iec104, "IEC 60870-5-104, 5")
};

/// Units one behind the other, each with fixed bits that fit its format; the last one may be cut.
fn stream(data: &[u8]) -> Match {
    let mut rest = data;
    let mut whole = 0;
    while let [0x68, length @ 4..=253, unit @ ..] = rest {
        let (unit, is_whole) = match unit.split_at_checked(usize::from(*length)) {
            Some((unit, behind)) => {
                rest = behind;
                (unit, true)
            }
            None => (unit, false),
        };
        if !is_unit(unit, *length) {
            return Match::No;
        }
        if !is_whole {
            return if whole > 0 { Match::Certain } else { Match::Possible };
        }
        whole += 1;
    }
    Match::certain_if(whole > 0 && rest.len() < 2 && rest.first().is_none_or(|start| *start == 0x68))
}

/// Whether control field and, in format I, the data unit's identifier are possible (IEC 60870-5-101, 7.2).
fn is_unit(unit: &[u8], length: u8) -> bool {
    let control = unit.get(..4.min(unit.len())).unwrap_or_default();
    match control {
        // Format U: one of start, stop, test, as activation or confirmation.
        [first, rest @ ..] if first & 3 == 3 => length == 4 && first.count_ones() == 3 && rest.iter().all(|byte| *byte == 0),
        // Format S: a receive sequence number.
        [first, rest @ ..] if first & 1 == 1 => {
            length == 4 && *first == 1 && rest.first().is_none_or(|byte| *byte == 0) && rest.get(1).is_none_or(|low| low & 1 == 0)
        }
        // Format I: an object at least, a known type, a cause of transmission.
        [_, rest @ ..] => {
            length >= 13
                && rest.get(1).is_none_or(|low| low & 1 == 0)
                && unit.get(4).is_none_or(|kind| matches!(kind, 1..=21 | 30..=41 | 45..=51 | 58..=64 | 70 | 90 | 95 | 100..=127))
                && unit.get(5).is_none_or(|qualifier| qualifier & 0x7f != 0)
                && unit.get(6).is_none_or(|cause| matches!(cause & 0x3f, 1..=47))
        }
        [] => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_begins_with_h_is_not_telecontrol() {
        assert_eq!(stream(b"hello world, how are you today? well, I hope, and happy as ever"), Match::No);
        assert_eq!(stream(b"\x68\x04\x0f\x00\x00\x00"), Match::No);
    }

    #[test]
    fn a_cut_unit_may_be_one_and_behind_a_whole_one_it_is() {
        assert_eq!(stream(b"\x68\x0e\x00\x00\x02\x00\x64\x01\x06"), Match::Possible);
        assert_eq!(stream(b"\x68\x04\x0b\x00\x00\x00\x68\x0e\x00\x00"), Match::Certain);
    }
}
