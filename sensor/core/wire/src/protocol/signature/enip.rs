//! EtherNet/IP: encapsulated CIP, and cyclic input and output.

use super::layer::field::le16;
use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    is_industrial: true,
    tcp_ports: &[44818],
    udp_ports: &[2222, 44818],
    stream,
    datagram,
    examples: &[
        Example { carrier: Carrier::Stream, bytes: b"\x65\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00" },
        Example { carrier: Carrier::Datagram, bytes: b"\x02\x00\x02\x80\x08\x00\x10\x00\x20\x00\x01\x00\x00\x00\xb1\x00\x02\x00\x01\x00" },
    ],
    ..Signature::new(Application::Enip, "CIP Networks Library volume 2, 2-3 and 2-6")
};

/// Encapsulation header: a known command, a length that fits, a status in use, options 0.
fn stream(data: &[u8]) -> Match {
    let Some((header, _)) = data.split_first_chunk::<24>() else {
        return Match::No;
    };
    let [c0, c1, l0, l1, _, _, _, _, s0, s1, s2, s3, .., o0, o1, o2, o3] = *header;
    let command = u16::from_le_bytes([c0, c1]);
    let length = usize::from(u16::from_le_bytes([l0, l1]));
    let is_known = matches!(command, 0x0004 | 0x0063..=0x0066 | 0x006f | 0x0070 | 0x0072 | 0x0073);
    let is_header = is_known && u32::from_le_bytes([s0, s1, s2, s3]) <= 0x69 && [o0, o1, o2, o3] == [0; 4];
    // Commands of discovery and RegisterSession have lengths of their own (2-4).
    let fits = match command {
        0x0004 | 0x0063 | 0x0064 | 0x0066 => length <= 0x400,
        0x0065 => length == 4 || length == 0,
        _ => length >= 6,
    };
    Match::certain_if(is_header && fits && (data.len() < 24 + length || data.len() == 24 + length || header_follows(data, 24 + length)))
}

fn header_follows(data: &[u8], at: usize) -> bool {
    le16(data, at).is_none_or(|command| matches!(command, 0x0000 | 0x0004 | 0x0063..=0x0066 | 0x006f | 0x0070 | 0x0072 | 0x0073))
}

/// The same in a datagram, or a common packet of cyclic data: a sequenced address item, then connected data (2-6.2, 2-6.3).
fn datagram(data: &[u8]) -> Match {
    match data {
        [0x02, 0x00, 0x02, 0x80, 0x08, 0x00, _, _, _, _, _, _, _, _, 0xb1, 0x00, l0, l1, body @ ..] => {
            Match::certain_if(usize::from(u16::from_le_bytes([*l0, *l1])) == body.len())
        }
        _ => stream(data),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_whose_options_are_set_is_none() {
        let mut header = [0; 28];
        header[..4].copy_from_slice(b"\x65\x00\x04\x00");
        assert_eq!(stream(&header), Match::Certain);
        header[23] = 1;
        assert_eq!(stream(&header), Match::No);
    }
}
