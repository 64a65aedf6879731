//! Network time protocol.

use super::{Application, Match, Signature};

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    udp_ports: &[123],
    datagram,
    ..Signature::new(Application::Ntp, "RFC 5905, 7.3")
};

/// Version and mode in use, a stratum that can be, and the length of a header.
fn datagram(data: &[u8]) -> Match {
    let [first, stratum, ..] = data else { return Match::No };
    let (version, mode) = (first >> 3 & 7, first & 7);
    Match::possible_if(match mode {
        1..=5 => (1..=4).contains(&version) && *stratum <= 16 && data.len() >= 48 && data.len().is_multiple_of(4),
        // Control messages (RFC 9327, 2) and ntpd's own.
        6 | 7 => (2..=4).contains(&version) && data.len() >= 8,
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_message_is_none() {
        let mut request = [0; 48];
        request[0] = 0x23;
        assert_eq!(datagram(&request), Match::Possible);
        assert_eq!(datagram(b"\x23\x02\x06\xe8"), Match::No);
    }
}
