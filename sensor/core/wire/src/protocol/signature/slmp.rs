//! Seamless message protocol, the MC protocol of Mitsubishi controllers.

use super::layer::field::fits;
use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    is_industrial: true,
    tcp_ports: &[5002, 5007],
    udp_ports: &[5000, 5006],
    // Ports that a person sets; Mitsubishi's own software speaks another protocol there.
    is_named_by_port: false,
    stream: message,
    datagram: message,
    examples: &[
        Example { carrier: Carrier::Stream, bytes: b"\x50\x00\x00\xff\xff\x03\x00\x0c\x00\x10\x00\x01\x04\x00\x00\x64\x00\x00\xa8\x01\x00" },
        Example { carrier: Carrier::Datagram, bytes: b"D00000FF03FF0000040000" },
    ],
    ..Signature::new(Application::Slmp, "CC-Link Partner Association BAP-C2006, 5; Mitsubishi SH-080008, 5")
};

/// Frames 3E and 4E, binary or as text: subheader, network, station, module, and a length that fits.
fn message(data: &[u8]) -> Match {
    match data {
        [0x50 | 0xd0, 0x00, access @ ..] => binary(data, access, 9),
        [0x54 | 0xd4, 0x00, _, _, 0x00, 0x00, access @ ..] => binary(data, access, 13),
        [b'5' | b'D', b'0', b'0', b'0', access @ ..] => text(data, access, 18),
        [b'5' | b'D', b'4', b'0', b'0', _, _, _, _, b'0', b'0', b'0', b'0', access @ ..] => text(data, access, 26),
        _ => Match::No,
    }
}

/// Module numbers of the own station, of a redundant pair and of multiple controllers.
fn is_module(module: u16) -> bool {
    matches!(module, 0x03ff | 0x03d0..=0x03d3 | 0x03e0..=0x03e3)
}

fn binary(data: &[u8], access: &[u8], header: usize) -> Match {
    let [_, _, m0, m1, 0..=31, l0, l1, ..] = access else { return Match::No };
    let length = usize::from(u16::from_le_bytes([*l0, *l1]));
    Match::certain_if(is_module(u16::from_le_bytes([*m0, *m1])) && length >= 2 && fits(data, header + length))
}

fn text(data: &[u8], access: &[u8], header: usize) -> Match {
    let number = |from: usize, to: usize| {
        let digits = access.get(from..to).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let (Some(_), Some(module), Some(length)) = (number(0, 4), number(4, 8), number(10, 14)) else { return Match::No };
    Match::certain_if(is_module(module) && length >= 4 && fits(data, header + usize::from(length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_four_digits_alone_is_no_frame() {
        assert_eq!(message(b"5000 people came to the fair"), Match::No);
        assert_eq!(message(b"\x50\x00\x00\xff\xff\x03\x00\x0d\x00\x10\x00\x01\x04\x00\x00\x64\x00\x00\xa8\x01\x00"), Match::No);
    }
}
