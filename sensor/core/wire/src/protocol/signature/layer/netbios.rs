//! Names of NetBIOS over TCP/IP (RFC 1001, 14.1): sixteen bytes, each half of one as a letter from A to P.

/// Whether a name in first-level encoding begins here: a label of 32 letters.
pub fn is_name(data: &[u8]) -> bool {
    matches!(data, [0x20, name @ ..] if name.get(..32).is_some_and(|name| name.iter().all(|letter| matches!(letter, b'A'..=b'P'))))
}
