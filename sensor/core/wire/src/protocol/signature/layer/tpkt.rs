//! ISO transport over TCP: TPKT (RFC 1006, 6) and in it COTP (ISO 8073, 13), which S7 communication, MMS and RDP stand on.

use super::field::be16;
use crate::protocol::signature::Match;

/// A transport protocol data unit.
#[derive(Debug, PartialEq, Eq)]
pub enum Unit<'a> {
    /// Connection request or confirm (13.3, 13.4): what follows its fixed part.
    Connection(&'a [u8]),
    /// Data (13.7).
    Data(&'a [u8]),
}

/// The units that a stream begins with; the last one may be cut.
pub fn units(data: &[u8]) -> impl Iterator<Item = Unit<'_>> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let [0x03, 0x00, _, _, header @ ..] = rest else { return None };
        let length = usize::from(be16(rest, 2)?);
        let body = header.get(..header.len().min(length.checked_sub(4)?))?;
        rest = rest.get(length.max(4)..).unwrap_or_default();
        match body {
            [6..=254, 0xe0 | 0xd0, _, _, _, _, _, parameters @ ..] => Some(Unit::Connection(parameters)),
            [0x02, 0xf0, _, payload @ ..] => Some(Unit::Data(payload)),
            _ => None,
        }
    })
}

/// What a stream says that consists of units: one that is certain decides, else the last one with content, for what a connection carries says
/// more than its selectors.
pub fn look(data: &[u8], unit: impl Fn(Unit<'_>) -> Match) -> Match {
    units(data)
        .filter(|found| *found != Unit::Data(&[]))
        .map(unit)
        .fold(Match::No, |sum, found| if sum == Match::Certain { sum } else { found })
}

/// The called transport selector of a connection (parameter 0xc2).
pub fn called_selector(parameters: &[u8]) -> Option<&[u8]> {
    let mut rest = parameters;
    while let [code, length, tail @ ..] = rest {
        let length = usize::from(*length);
        if *code == 0xc2 {
            return tail.get(..length);
        }
        rest = tail.get(length..)?;
    }
    None
}

/// Whether a connection is what RDP asks for: a cookie, or a negotiation request, response or failure (MS-RDPBCGR, 2.2.1.1 and 2.2.1.2).
pub fn is_remote_desktop(parameters: &[u8]) -> bool {
    parameters.starts_with(b"Cookie: ") || matches!(parameters, [0x01..=0x03, _, 0x08, 0x00, ..])
}

/// Whether a selector is that of S7 communication: a connection type (1 PG, 2 OP, 3 basic, from 16 on others) and rack and slot.
pub fn is_rack_and_slot(selector: &[u8]) -> bool {
    matches!(selector, [0x01..=0x03 | 0x10.., _])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_follow_one_another_and_the_last_may_be_cut() {
        let stream = b"\x03\x00\x00\x0e\x09\xe0\x00\x00\x00\x01\x00\xc2\x02\x01\x03\x00\x00\x19\x02\xf0\x80\x32\x01";
        let seen: Vec<Unit<'_>> = units(stream).collect();
        assert_eq!(seen, [Unit::Connection(b"\xc2\x02\x01"), Unit::Data(b"\x32\x01")]);
        assert_eq!(units(b"\x03\x00\x00\x00\x02\xf0\x80").count(), 0);
        assert_eq!(called_selector(b"\xc1\x02\x01\x00\xc2\x02\x01\x02\xc0\x01\x0a"), Some(&b"\x01\x02"[..]));
        assert_eq!(called_selector(b"\xc1\xff\x01\x00"), None);
    }
}
