//! Omron factory interface network service.

use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    is_industrial: true,
    tcp_ports: &[9600],
    udp_ports: &[9600],
    stream,
    datagram,
    examples: &[
        Example { carrier: Carrier::Stream, bytes: b"FINS\x00\x00\x00\x0c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" },
        Example { carrier: Carrier::Datagram, bytes: b"\x80\x00\x02\x00\x01\x00\x00\xfb\x00\x01\x05\x01\x00" },
    ],
    ..Signature::new(Application::Fins, "Omron W342 (FINS commands), 3-1 and 5; W421, 7-4 (FINS/TCP)")
};

/// The header of FINS over TCP: its name, a length, a command from 0 to 6.
fn stream(data: &[u8]) -> Match {
    match data {
        [b'F', b'I', b'N', b'S', 0, 0, _, length, 0, 0, 0, 0..=6, ..] => Match::certain_if(*length >= 8),
        [b'F', b'I', b'N', b'S'] => Match::Possible,
        _ => Match::No,
    }
}

/// Information control field, a reserved zero, a gateway count, network addresses, and a command that exists.
fn datagram(data: &[u8]) -> Match {
    let [0x80 | 0x81 | 0xc0 | 0xc1, 0, 0..=7, 0..=127, _, _, 0..=127, _, _, _, main, sub, ..] = data else { return Match::No };
    Match::certain_if(matches!(
        (main, sub),
        (0x01, 0x01..=0x05) | (0x02, 0x01..=0x08 | 0x20) | (0x03, 0x04..=0x07) | (0x04, 0x01 | 0x02) | (0x05, 0x01 | 0x02)
            | (0x06, 0x01 | 0x20) | (0x07, 0x01 | 0x02) | (0x08, 0x01) | (0x09, 0x20) | (0x0c, 0x01..=0x03) | (0x21, 0x01..=0x03)
            | (0x21, 0x40..=0x42) | (0x22, 0x01..=0x15) | (0x23, 0x01 | 0x02 | 0x08 | 0x0a)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_does_not_exist_is_something_else() {
        assert_eq!(datagram(b"\x80\x00\x02\x00\x01\x00\x00\xfb\x00\x01\x55\x01\x00"), Match::No);
        assert_eq!(stream(b"FINS AND MORE TEXT"), Match::No);
    }
}
