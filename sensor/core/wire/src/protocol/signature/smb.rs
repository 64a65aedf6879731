//! Server message block, direct and in NetBIOS sessions.

use super::layer::netbios;
use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    tcp_ports: &[139, 445],
    stream,
    examples: &[
        Example { carrier: Carrier::Stream, bytes: b"\x00\x00\x00\x85\xffSMB\x72\x00\x00\x00\x00" },
        Example { carrier: Carrier::Stream, bytes: b"\x00\x00\x00\xb0\xfeSMB\x40\x00" },
    ],
    ..Signature::new(Application::Smb, "MS-SMB2, 2.1; RFC 1002, 4.3")
};

/// A session message with one of the marks of SMB 1 to 3; or a request for a NetBIOS session.
fn stream(data: &[u8]) -> Match {
    match data {
        [0x00, _, _, _, 0xfc..=0xff, b'S', b'M', b'B', ..] => Match::Certain,
        [0x81, 0x00, 0x00, 0x44, name @ ..] => Match::certain_if(netbios::is_name(name)),
        [0x82, 0x00, 0x00, 0x00] => Match::Possible,
        _ => Match::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_asked_for_by_name() {
        assert_eq!(stream(b"\x81\x00\x00\x44\x20CKFDENECFDEFFCFGEFFCCACACACACACA\x00"), Match::Certain);
        assert_eq!(stream(b"\x81\x00\x00\x44\x20ckfdenecfdeffcfgeffccacacacacaca\x00"), Match::No);
    }
}
