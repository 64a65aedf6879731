//! HTTP 1.

use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    tcp_ports: &[80, 8080],
    stream,
    examples: &[
        Example { carrier: Carrier::Stream, bytes: b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" },
        Example { carrier: Carrier::Stream, bytes: b"HTTP/1.1 200 OK\r\n" },
    ],
    ..Signature::new(Application::Http, "RFC 9112, 3 and 4")
};

/// Beginnings of requests and of responses.
const BEGINNINGS: [&[u8]; 11] = [
    b"GET /", b"GET http", b"POST /", b"HEAD /", b"PUT /", b"DELETE /", b"OPTIONS ", b"CONNECT ", b"PATCH /", b"TRACE /", b"HTTP/1.",
];

/// A request line or a status line.
fn stream(data: &[u8]) -> Match {
    Match::certain_if(BEGINNINGS.iter().any(|beginning| data.starts_with(beginning)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_no_request() {
        assert_eq!(stream(b"GET ready"), Match::No);
    }
}
