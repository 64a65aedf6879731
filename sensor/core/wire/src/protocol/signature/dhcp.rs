//! Dynamic host configuration protocol, versions 4 and 6.

use super::layer::field::be16;
use super::{Application, Match, Signature};

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    udp_ports: &[67, 68, 546, 547],
    datagram,
    ..Signature::new(Application::Dhcp, "RFC 2131, 2 and 3; RFC 8415, 8")
};

/// BOOTP with the cookie of options. Version 6 has no mark: options that end with the message, and its ports.
fn datagram(data: &[u8]) -> Match {
    match data {
        [1 | 2, ..] if data.get(236..240) == Some(&[0x63, 0x82, 0x53, 0x63]) => Match::Certain,
        // BOOTP without options, on Ethernet.
        [1 | 2, 1, 6, ..] if data.len() >= 300 => Match::Possible,
        [1..=13, _, _, _, options @ ..] => Match::possible_if(are_options(options)),
        _ => Match::No,
    }
}

/// Whether options follow one another to the last byte.
fn are_options(mut rest: &[u8]) -> bool {
    while let (Some(1..), Some(length)) = (be16(rest, 0), be16(rest, 2)) {
        match rest.get(4 + usize::from(length)..) {
            Some([]) => return true,
            Some(behind) => rest = behind,
            None => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_tells() {
        let mut message = vec![0; 244];
        message[0] = 1;
        assert_eq!(datagram(&message), Match::No);
        message[236..240].copy_from_slice(b"\x63\x82\x53\x63");
        assert_eq!(datagram(&message), Match::Certain);
    }

    #[test]
    fn version_6_is_possible_where_its_options_fit() {
        assert_eq!(datagram(b"\x0b\x12\x34\x56\x00\x08\x00\x02\x00\x00"), Match::Possible);
        assert_eq!(datagram(b"\x0b\x12\x34\x56\x00\x08\x00\x03\x00\x00"), Match::No);
    }
}
