//! The handshake of TLS: messages out of records (RFC 8446, 4 and 5.1), which may lie in one record together or in several in part.

/// Bytes of a handshake that are put together.
const HANDSHAKE_BYTES: usize = 16 * 1024;

/// A message of the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its type: 1 and 2 hellos, 11 certificate.
    pub kind: u8,
    /// What there is of it.
    pub body: &'a [u8],
    /// Whether that is all.
    pub is_whole: bool,
}

/// Shows the messages that a direction begins with, up to the first that is cut or encrypted.
pub fn messages(data: &[u8], mut show: impl FnMut(Message<'_>)) {
    let mut handshake = Vec::new();
    let mut rest = data;
    while let [0x16, 0x03, _, l0, l1, behind @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*l0, *l1]));
        let part = behind.get(..length.min(behind.len())).unwrap_or_default();
        if handshake.len() + part.len() > HANDSHAKE_BYTES {
            break;
        }
        handshake.extend_from_slice(part);
        rest = behind.get(length..).unwrap_or_default();
    }
    let mut rest = handshake.as_slice();
    while let [kind @ 0..=24, l0, l1, l2, behind @ ..] = rest {
        let length = u32::from_be_bytes([0, *l0, *l1, *l2]) as usize;
        let is_whole = length <= behind.len();
        show(Message { kind: *kind, body: behind.get(..length).unwrap_or(behind), is_whole });
        rest = behind.get(length..).unwrap_or_default();
    }
}
