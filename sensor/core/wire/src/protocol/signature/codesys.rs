//! CODESYS runtime, versions 2 and 3.

use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    is_industrial: true,
    tcp_ports: &[1200, 1217, 2455, 11740, 11741, 11742, 11743],
    udp_ports: &[1740, 1741, 1742, 1743],
    stream,
    datagram,
    examples: &[
        Example { carrier: Carrier::Stream, bytes: b"\x00\x01\x17\xe8\x14\x00\x00\x00\xc5\x6b\x40\x40\x00\x32\x00\x01\x00\x00\x00\x00" },
        Example { carrier: Carrier::Stream, bytes: b"\xbb\xbb\x01\x00\x00\x00\x01" },
    ],
    ..Signature::new(Application::Codesys, "CODESYS Control, block driver TCP and UDP; Redpoint codesys-v2-discover (version 2)")
};

/// Version 3: the block driver's magic number and a length; version 2: its mark and a length.
fn stream(data: &[u8]) -> Match {
    match data {
        [0x00, 0x01, 0x17, 0xe8, l0, l1, 0, 0, ..] | [0xe8, 0x17, 0x01, 0x00, l0, l1, 0, 0, ..] => {
            Match::certain_if((8..=0x1000).contains(&u16::from_le_bytes([*l0, *l1])))
        }
        [0xbb, 0xbb, 0x00, 0x00, l0, l1, body @ ..] => version2(usize::from(u16::from_be_bytes([*l0, *l1])), body),
        [0xbb, 0xbb, l0, l1, 0x00, 0x00, body @ ..] => version2(usize::from(u16::from_le_bytes([*l0, *l1])), body),
        _ => Match::No,
    }
}

fn version2(length: usize, body: &[u8]) -> Match {
    Match::certain_if(length > 0 && length == body.len())
}

/// Version 3 over UDP: the datagram layer's magic number, a hop count and a header length of two words at least.
fn datagram(data: &[u8]) -> Match {
    Match::possible_if(matches!(data, [0xc5, hops, _, service, ..] if hops & 0x07 >= 2 && hops >> 3 > 0 && *service <= 0x42))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_of_no_length_is_none() {
        assert_eq!(stream(b"\x00\x01\x17\xe8\x00\x00\x00\x00"), Match::No);
        assert_eq!(datagram(b"\xc5\x6b\x40\x40\x00\x32"), Match::Possible);
    }
}
