//! Fox of the Niagara framework.

use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    is_industrial: true,
    tcp_ports: &[1911, 3011],
    stream,
    examples: &[
        Example { carrier: Carrier::Stream, bytes: b"fox a 1 -1 fox hello\n{\nfox.version=s:1.0\n" },
    ],
    ..Signature::new(Application::Fox, "Tridium Niagara 4 documentation, Fox service, port 1911")
};

/// The first line of every exchange.
fn stream(data: &[u8]) -> Match {
    Match::certain_if(matches!(data, [b'f', b'o', b'x', b' ', b'a' | b's', b' ', b'0'..=b'9' | b'-', ..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_animal_is_not_the_protocol() {
        assert_eq!(stream(b"fox and hound"), Match::No);
    }
}
