//! Service request transport protocol of GE controllers.

use super::layer::field::fits;
use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    is_industrial: true,
    tcp_ports: &[18245],
    stream,
    examples: &[
        Example { carrier: Carrier::Stream, bytes: b"\x02\x00\x06\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x06\xc0\x00\x00\x00\x00\x10\x0e\x00\x00\x01\x01\x04\x08\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00" },
    ],
    ..Signature::new(Application::Srtp, "Denton et al., Leveraging the SRTP protocol for over-the-network memory acquisition of a GE Fanuc Series 90-30, 2017, 3")
};

/// Bytes of the header.
const HEADER: usize = 56;

/// A request or answer with its message type, and text behind it as long as told; or the 56 zeros that open a connection.
fn stream(data: &[u8]) -> Match {
    let Some((header, _)) = data.split_first_chunk::<HEADER>() else { return Match::No };
    if header.iter().all(|byte| *byte == 0) {
        return Match::possible_if(fits(data, HEADER) || data.get(HEADER).is_some_and(|kind| *kind == 2));
    }
    let [kind, 0, _, _, l0, l1, 0, 0, ..] = *header else { return Match::No };
    let text = usize::from(u16::from_le_bytes([l0, l1]));
    match kind {
        1 => Match::possible_if(text == 0 && data.len() == HEADER),
        2 | 3 => Match::certain_if(
            matches!(header.get(31), Some(0x80 | 0x94 | 0xc0 | 0xd1 | 0xd4)) && (data.len() <= HEADER + text || fits(data, HEADER + text)),
        ),
        _ => Match::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_alone_may_open_a_connection() {
        assert_eq!(stream(b"\x02\x00\x06\x00\x00\x00"), Match::No);
        assert_eq!(stream(&[0; 56]), Match::Possible);
        assert_eq!(stream(&[0; 55]), Match::No);
    }
}
