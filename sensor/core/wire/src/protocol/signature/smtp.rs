//! Simple mail transfer protocol.

use super::layer::field::{contains_word, first_line};
use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    tcp_ports: &[25, 587],
    stream,
    examples: &[
        Example { carrier: Carrier::Stream, bytes: b"220 mail.example ESMTP ready\r\n" },
        Example { carrier: Carrier::Stream, bytes: b"EHLO client.example\r\n" },
    ],
    ..Signature::new(Application::Smtp, "RFC 5321, 4.1.1.1 and 4.2")
};

/// A greeting that names it, or the client's own; a greeting alone may be another protocol's too.
fn stream(data: &[u8]) -> Match {
    match data {
        [b'2', b'2', b'0', b' ' | b'-', ..] if contains_word(first_line(data), b"SMTP") => Match::Certain,
        [b'2', b'2', b'0', b' ' | b'-', ..] if !contains_word(first_line(data), b"FTP") => Match::Possible,
        [b'E' | b'e', b'H' | b'h', b'L' | b'l', b'O' | b'o', b' ', ..] | [b'H' | b'h', b'E' | b'e', b'L' | b'l', b'O' | b'o', b' ', ..] => Match::Certain,
        _ => Match::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_that_names_nothing_is_only_possible() {
        assert_eq!(stream(b"220 mail.example ready\r\n"), Match::Possible);
        assert_eq!(stream(b"HELLO\r\n"), Match::No);
    }
}
