//! File transfer protocol, its control connection.

use super::layer::field::{contains_word, first_line};
use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    tcp_ports: &[21],
    stream,
    examples: &[
        Example { carrier: Carrier::Stream, bytes: b"220 FTP server ready\r\n" },
    ],
    ..Signature::new(Application::Ftp, "RFC 959, 4 and 5.4")
};

/// A greeting that names it; a greeting or a user name may be another protocol's too.
fn stream(data: &[u8]) -> Match {
    let line = first_line(data);
    match data {
        [b'2', b'2', b'0', b' ' | b'-', ..] if contains_word(line, b"SMTP") => Match::No,
        [b'2', b'2', b'0', b' ' | b'-', ..] if contains_word(line, b"FTP") => Match::Certain,
        [b'2', b'2', b'0', b' ' | b'-', ..] | [b'U', b'S', b'E', b'R', b' ', ..] | [b'A', b'U', b'T', b'H', b' ', b'T', b'L', b'S', ..] => {
            Match::Possible
        }
        _ => Match::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_that_names_nothing_is_only_possible() {
        assert_eq!(stream(b"220 Welcome\r\n"), Match::Possible);
        assert_eq!(stream(b"220 mail.example ESMTP of the FTP company\r\n"), Match::No);
    }
}
