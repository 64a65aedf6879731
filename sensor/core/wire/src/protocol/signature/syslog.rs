//! Syslog.

use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    tcp_ports: &[514, 601],
    udp_ports: &[514],
    stream,
    datagram: message,
    examples: &[
        Example { carrier: Carrier::Datagram, bytes: b"<34>Oct 11 22:14:15 mymachine su: failed" },
        Example { carrier: Carrier::Stream, bytes: b"29 <165>1 2003-08-24T05:14:15Z a" },
    ],
    ..Signature::new(Application::Syslog, "RFC 5424, 6.2; RFC 3164, 4.1; RFC 6587, 3.4")
};

const MONTHS: [&[u8]; 12] = [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// A priority, and behind it a version or a month; a priority alone may be another's.
fn message(data: &[u8]) -> Match {
    let [b'<', rest @ ..] = data else { return Match::No };
    let Some(digits) = rest.iter().take(4).position(|byte| *byte == b'>').filter(|digits| *digits > 0) else { return Match::No };
    let (number, behind) = rest.split_at(digits);
    let priority = number.iter().try_fold(0_u32, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + u32::from(digit - b'0')));
    if priority.is_none_or(|priority| priority > 191) {
        return Match::No;
    }
    match behind {
        [b'>', b'1', b' ', ..] => Match::Certain,
        [b'>', text @ ..] if MONTHS.iter().any(|month| text.starts_with(month)) => Match::Certain,
        _ => Match::Possible,
    }
}

/// The same in a stream, perhaps behind its length.
fn stream(data: &[u8]) -> Match {
    let digits = data.iter().take(6).take_while(|byte| byte.is_ascii_digit()).count();
    match data.get(digits..) {
        Some([b' ', rest @ ..]) if digits > 0 => message(rest),
        _ => message(data),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_priority_beyond_191_is_none() {
        assert_eq!(message(b"<192>Oct 11 22:14:15 a"), Match::No);
        assert_eq!(message(b"<19>hello"), Match::Possible);
        assert_eq!(message(b"<html>"), Match::No);
    }
}
