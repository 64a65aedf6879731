//! NetBIOS datagram service: announcements of Windows machines.

use super::layer::netbios;
use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    udp_ports: &[138],
    datagram,
    examples: &[
        Example { carrier: Carrier::Datagram, bytes: b"\x11\x0a\x80\x05\xc0\xa8\x01\x0a\x00\x8a\x00\xc3\x00\x00\x20CKFDENECFDEFFCFGEFFCCACACACACACA\x00" },
    ],
    ..Signature::new(Application::NetbiosDgm, "RFC 1002, 4.4")
};

/// A message type and the sender's port, and behind the header a name in NetBIOS' own encoding.
fn datagram(data: &[u8]) -> Match {
    match data {
        [0x10..=0x12, _, _, _, _, _, _, _, _, _, _, _, _, _, name @ ..] => Match::certain_if(netbios::is_name(name)),
        _ => Match::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_message_type_is_none() {
        assert_eq!(datagram(b"\x20\x0a\x80\x05\xc0\xa8\x01\x0a\x00\x8a\x00\xc3\x00\x00\x20CKFDENECFDEFFCFGEFFCCACACACACACA\x00"), Match::No);
    }
}
