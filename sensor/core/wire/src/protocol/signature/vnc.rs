//! Remote framebuffer.

use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    tcp_ports: &[5900, 5901, 5902, 5903],
    stream,
    examples: &[
        Example { carrier: Carrier::Stream, bytes: b"RFB 003.008\n" },
    ],
    ..Signature::new(Application::Vnc, "RFC 6143, 7.1.1")
};

/// The protocol version message.
fn stream(data: &[u8]) -> Match {
    Match::certain_if(matches!(data, [b'R', b'F', b'B', b' ', b'0', b'0', _, b'.', _, _, _, b'\n', ..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_without_its_end_is_none() {
        assert_eq!(stream(b"RFB 003.008 "), Match::No);
    }
}
