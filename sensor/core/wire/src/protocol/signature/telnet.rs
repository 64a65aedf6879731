//! Telnet.

use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    tcp_ports: &[23],
    stream,
    examples: &[
        Example { carrier: Carrier::Stream, bytes: b"\xff\xfd\x18\xff\xfd\x20\xff\xfd\x23\xff\xfd\x27" },
    ],
    ..Signature::new(Application::Telnet, "RFC 854, Telnet command structure; RFC 855")
};

/// A negotiation: will, won't, do or don't, of an option that exists.
fn stream(data: &[u8]) -> Match {
    match data {
        [0xff, 0xfb..=0xfe, 0..=49 | 138..=140 | 255, rest @ ..] => match rest {
            [] => Match::Possible,
            [0xff, 0xfa..=0xfe, ..] => Match::Certain,
            // Text behind a negotiation.
            rest => Match::possible_if(rest.iter().all(|byte| byte.is_ascii() || *byte == 0xff)),
        },
        _ => Match::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_negotiation_alone_is_only_possible() {
        assert_eq!(stream(b"\xff\xfd\x18"), Match::Possible);
        assert_eq!(stream(b"\xff\xd8\xff\xe0"), Match::No);
    }
}
