//! DCE/RPC (The Open Group C706, 12): which interfaces are spoken to.

use super::field::{be16, le16};

/// An interface's identifier in network order.
pub type Interface = [u8; 16];

/// Protocol data units that are looked at in one stream.
const UNITS: usize = 16;
/// Presentation contexts that are looked at in one unit.
const CONTEXTS: usize = 16;

/// An identifier as it stands in the bytes: its first three fields are in the sender's byte order (C706, 14.1 and A.1).
fn interface(bytes: &[u8], is_little: bool) -> Option<Interface> {
    let [a, b, c, d, e, f, g, h, tail @ ..] = *bytes.first_chunk::<16>()?;
    let [i, j, k, l, m, n, o, p] = tail;
    Some(if is_little {
        [d, c, b, a, f, e, h, g, i, j, k, l, m, n, o, p]
    } else {
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
    })
}

/// The interface of a connectionless unit (12.5): 80 bytes of header, of version 4.
pub fn datagram(data: &[u8]) -> Option<Interface> {
    let [0x04, 0x00..=0x0a, flags, second, order @ (0x00 | 0x10), 0x00, 0x00, ..] = data else { return None };
    let is_little = *order == 0x10;
    let length = if is_little { le16(data, 74)? } else { be16(data, 74)? };
    // Bits that are reserved; the length is that of the body, and there may be an authentication trailer behind it.
    let is_header = flags & 0x81 == 0 && second & 0xfd == 0 && data.len() >= 80 + usize::from(length);
    interface(data.get(24..40)?, is_little).filter(|_| is_header)
}

/// A connection-oriented unit (12.6).
struct Unit<'a> {
    kind: u8,
    is_little: bool,
    is_whole: bool,
    body: &'a [u8],
}

fn units(data: &[u8]) -> impl Iterator<Item = Unit<'_>> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let [0x05, 0x00 | 0x01, kind @ (0x00 | 0x02 | 0x03 | 0x0b..=0x13), _, order @ (0x00 | 0x10), 0x00, 0x00, 0x00, ..] = rest
        else {
            return None;
        };
        let is_little = *order == 0x10;
        let length = usize::from(if is_little { le16(rest, 8)? } else { be16(rest, 8)? });
        // Requests longer than this are cut into fragments by every stack that is known.
        if !(16..=0x4000).contains(&length) {
            return None;
        }
        let body = rest.get(16..length.min(rest.len())).unwrap_or_default();
        let is_whole = rest.len() >= length;
        rest = rest.get(length..).unwrap_or_default();
        Some(Unit { kind: *kind, is_little, is_whole, body })
    })
    .take(UNITS)
}

/// Whether a stream begins with a unit, and if so whether all is there that says what it binds to.
pub fn begins(data: &[u8]) -> Option<bool> {
    units(data).next().map(|unit| unit.is_whole || unit.kind != 0x0b)
}

/// The interfaces that a stream binds to (12.6.4.1, 12.6.4.3).
pub fn bound(data: &[u8]) -> impl Iterator<Item = Interface> {
    units(data).filter(|unit| matches!(unit.kind, 0x0b | 0x0e)).flat_map(|unit| {
        let count = unit.body.get(8).map_or(0, |count| usize::from(*count).min(CONTEXTS));
        let mut rest = unit.body.get(12..).unwrap_or_default();
        std::iter::from_fn(move || {
            let found = interface(rest.get(4..20)?, unit.is_little)?;
            let transfers = usize::from(*rest.get(2)?);
            rest = rest.get(24 + transfers * 20..).unwrap_or_default();
            Some(found)
        })
        .take(count)
    })
}
