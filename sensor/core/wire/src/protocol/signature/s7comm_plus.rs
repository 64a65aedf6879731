//! S7 communication plus of Siemens S7-1200 and S7-1500.

use super::layer::tpkt::{self, Unit};
use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    is_industrial: true,
    tcp_ports: &[102],
    stream,
    examples: &[
        Example { carrier: Carrier::Stream, bytes: b"\x03\x00\x00\x24\x1f\xe0\x00\x00\x00\x01\x00\xc1\x02\x06\x00\xc2\x10SIMATIC-ROOT-HMI\xc0\x01\x0a" },
        Example { carrier: Carrier::Stream, bytes: b"\x03\x00\x00\x1f\x02\xf0\x80\x72\x01\x00\xb5\x31\x00\x00\x04\xca\x00\x00\x00\x01\x00\x00\x01\x20\x36\x00\x00\x01\x1d\x00\x04" },
    ],
    ..Signature::new(Application::S7commPlus, "RFC 1006, 6; ISO 8073, 13; Siemens S7 protocol identifier 0x72")
};

/// Identifier, protocol version, length; or a connection to one of its own selectors.
fn stream(data: &[u8]) -> Match {
    tpkt::look(data, |unit| match unit {
            Unit::Data([0x72, 0x01..=0x03 | 0xfe | 0xff, _, _, ..]) => Match::Certain,
            Unit::Connection(parameters) => {
                Match::certain_if(tpkt::called_selector(parameters).is_some_and(|selector| selector.starts_with(b"SIMATIC-ROOT")))
            }
            _ => Match::No,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_predecessor_is_not_taken_for_it() {
        assert_eq!(stream(b"\x03\x00\x00\x19\x02\xf0\x80\x32\x01\x00\x00\x04\x00"), Match::No);
    }
}
