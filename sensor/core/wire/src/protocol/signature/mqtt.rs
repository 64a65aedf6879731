//! MQTT.

use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    is_industrial: true,
    tcp_ports: &[1883],
    stream,
    examples: &[
        Example { carrier: Carrier::Stream, bytes: b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04unit" },
    ],
    ..Signature::new(Application::Mqtt, "OASIS MQTT 5.0, 3.1 and 3.2; MQTT 3.1.1, 3.1")
};

/// A connection request with the protocol's name and level; or its acknowledgement.
fn stream(data: &[u8]) -> Match {
    if let [0x20, 0x02, 0x00 | 0x01, 0x00..=0x05] = data {
        return Match::Possible;
    }
    let [0x10, rest @ ..] = data else { return Match::No };
    // The remaining length takes one to four bytes, each but the last with its upper bit set.
    let length = rest.iter().take(4).position(|byte| byte & 0x80 == 0);
    let body = length.and_then(|last| rest.get(last + 1..)).unwrap_or_default();
    Match::certain_if(matches!(body, [0, 4, b'M', b'Q', b'T', b'T', 4 | 5, ..] | [0, 6, b'M', b'Q', b'I', b's', b'd', b'p', 3, ..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_alone_is_only_possible() {
        assert_eq!(stream(b"\x20\x02\x00\x00"), Match::Possible);
        assert_eq!(stream(b"\x10\x10\x00\x04HTTP\x04"), Match::No);
    }
}
