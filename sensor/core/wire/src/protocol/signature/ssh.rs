//! SSH.

use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    tcp_ports: &[22],
    stream,
    examples: &[
        Example { carrier: Carrier::Stream, bytes: b"SSH-2.0-OpenSSH_9.6\r\n" },
    ],
    ..Signature::new(Application::Ssh, "RFC 4253, 4.2")
};

/// The identification string.
fn stream(data: &[u8]) -> Match {
    Match::certain_if(matches!(data, [b'S', b'S', b'H', b'-', b'1' | b'2', b'.', ..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_is_none() {
        assert_eq!(stream(b"SSH-9.0-x\r\n"), Match::No);
    }
}
