//! Synchrophasors.

use super::layer::field::be16;
use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    is_industrial: true,
    tcp_ports: &[4712],
    udp_ports: &[4713],
    stream: frame,
    datagram: frame,
    examples: &[
        Example { carrier: Carrier::Stream, bytes: b"\xaa\x41\x00\x12\x00\x3c\x4e\x61\xbc\x00\x00\x00\x00\x00\x00\x02\xb3\xca" },
    ],
    ..Signature::new(Application::Synchrophasor, "IEEE C37.118.2, 6.2")
};

/// Sync word with a frame type and a version, a size that can be, and the frame's check where it is whole.
fn frame(data: &[u8]) -> Match {
    let [0xaa, kind, ..] = data else { return Match::No };
    if !matches!(kind, 0x01..=0x03 | 0x11..=0x13 | 0x21..=0x23 | 0x31..=0x33 | 0x41..=0x43 | 0x51..=0x53) {
        return Match::No;
    }
    let Some(size) = be16(data, 2).map(usize::from) else { return Match::Possible };
    if size < 16 {
        return Match::No;
    }
    match data.get(..size).and_then(|whole| whole.split_last_chunk::<2>()) {
        Some((body, sum)) => Match::certain_if(check(body) == u16::from_be_bytes(*sum)),
        None => Match::Possible,
    }
}

/// The cyclic check (C37.118.2, annex B): polynomial 0x1021 from 0xffff.
fn check(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff_u16, |sum, byte| {
        (0..8).fold(sum ^ u16::from(*byte) << 8, |sum, _| if sum & 0x8000 == 0 { sum << 1 } else { sum << 1 ^ 0x1021 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_with_a_wrong_check_is_none_and_a_cut_one_may_be() {
        let frame_bytes = SIGNATURE.examples[0].bytes;
        assert_eq!(frame(&frame_bytes[..10]), Match::Possible);
        let mut wrong = frame_bytes.to_vec();
        wrong[5] ^= 1;
        assert_eq!(frame(&wrong), Match::No);
    }
}
