//! Simple service discovery protocol.

use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    udp_ports: &[1900],
    datagram,
    examples: &[
        Example { carrier: Carrier::Datagram, bytes: b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n" },
    ],
    ..Signature::new(Application::Ssdp, "UPnP Device Architecture 2.0, 1.2 and 1.3")
};

/// A search, an announcement, or the answer to a search.
fn datagram(data: &[u8]) -> Match {
    Match::certain_if(
        data.starts_with(b"M-SEARCH * HTTP/1.1") || data.starts_with(b"NOTIFY * HTTP/1.1") || data.starts_with(b"HTTP/1.1 200 OK"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_for_a_page_is_none() {
        assert_eq!(datagram(b"GET / HTTP/1.1\r\n"), Match::No);
    }
}
