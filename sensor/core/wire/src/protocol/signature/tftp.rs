//! Trivial file transfer protocol.

use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    udp_ports: &[69],
    datagram,
    examples: &[
        Example { carrier: Carrier::Datagram, bytes: b"\x00\x01startup-config\x00octet\x00" },
    ],
    ..Signature::new(Application::Tftp, "RFC 1350, 5; RFC 2347")
};

/// A request with a name and a mode. Data and acknowledgements travel between other ports and have no mark.
fn datagram(data: &[u8]) -> Match {
    match data {
        [0, 1 | 2, rest @ ..] => {
            let mut words = rest.split(|byte| *byte == 0);
            let (name, mode) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let is_mode = [&b"octet"[..], b"netascii", b"mail"].iter().any(|word| mode.eq_ignore_ascii_case(word));
            Match::certain_if(!name.is_empty() && is_mode && words.next().is_some())
        }
        [0, 3, _, _, ..] => Match::possible_if(data.len() <= 4 + 65_464),
        [0, 4, _, _] => Match::Possible,
        [0, 5, 0, 0..=8, .., 0] => Match::Possible,
        _ => Match::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_without_a_mode_is_none() {
        assert_eq!(datagram(b"\x00\x01startup-config\x00"), Match::No);
        assert_eq!(datagram(b"\x00\x04\x00\x01"), Match::Possible);
    }
}
