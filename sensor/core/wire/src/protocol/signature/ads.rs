//! Beckhoff automation device specification over AMS.

use super::layer::field::{le16, le32};
use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    is_industrial: true,
    tcp_ports: &[48898],
    udp_ports: &[48899],
    stream,
    datagram,
    examples: &[
        Example { carrier: Carrier::Stream, bytes: b"\x00\x00\x20\x00\x00\x00\x05\x0c\x7a\x21\x01\x01\x21\x03\xc0\xa8\x17\x14\x01\x01\x59\x80\x01\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00" },
        Example { carrier: Carrier::Datagram, bytes: b"\x03\x66\x14\x71\x00\x00\x00\x00\x01\x00\x00\x00" },
    ],
    ..Signature::new(Application::Ads, "Beckhoff TE1000 TwinCAT 3, ADS/AMS specification, AMS/TCP header and AMS header")
};

/// A reserved zero, a length, and a header whose command, state and data length are possible.
fn stream(data: &[u8]) -> Match {
    let Some((header, _)) = data.split_first_chunk::<38>() else { return Match::No };
    let [0, 0, ..] = *header else { return Match::No };
    let (Some(length), Some(command), Some(state), Some(body)) = (le32(data, 2), le16(data, 22), le16(data, 24), le32(data, 26)) else {
        return Match::No;
    };
    let is_state = state & !0x0061 == 0x0004;
    Match::certain_if(command <= 9 && is_state && length == body.saturating_add(32) && body < 0x0100_0000)
}

/// Discovery of routes: a magic number.
fn datagram(data: &[u8]) -> Match {
    Match::certain_if(data.len() >= 12 && data.starts_with(&[0x03, 0x66, 0x14, 0x71, 0, 0, 0, 0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_that_contradicts_the_header_s_own_is_something_else() {
        let mut request = SIGNATURE.examples[0].bytes.to_vec();
        request[2] = 0x21;
        assert_eq!(stream(&request), Match::No);
    }
}
