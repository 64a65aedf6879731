//! Manufacturing message specification, which IEC 61850 and ICCP use.

use super::layer::field::contains;
use super::layer::tpkt::{self, Unit};
use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    is_industrial: true,
    tcp_ports: &[102],
    stream,
    examples: &[
        Example { carrier: Carrier::Stream, bytes: b"\x03\x00\x00\x1c\x02\xf0\x80\x0d\x13\x05\x06\x13\x01\x00\x16\x01\x02\x14\x02\x00\x02\x06\x05\x28\xca\x22\x02\x01" },
    ],
    ..Signature::new(Application::Mms, "ISO 9506-2, 24; IEC 61850-8-1, 6.3; ISO 8327-1, 8.3; RFC 1006, 6")
};

/// Object identifier 1.0.9506.2.1, the abstract syntax of MMS, as the presentation layer names it.
const ABSTRACT_SYNTAX: &[u8] = &[0x28, 0xca, 0x22, 0x02, 0x01];

/// A session that is opened or accepted for MMS; data of a session that may be; a connection to a selector that is no rack and slot.
fn stream(data: &[u8]) -> Match {
    tpkt::look(data, |unit| match unit {
            Unit::Data([0x0d | 0x0e, ..]) if contains(data, ABSTRACT_SYNTAX) => Match::Certain,
            // Give tokens and data transfer, then user data of the presentation layer. MMS is what IEC 61850 and ICCP speak there.
            Unit::Data([0x0d | 0x0e, ..] | [0x01, 0x00, 0x01, 0x00, 0x61, ..]) => Match::Possible,
            // Without a session, as some test tools send it: a unit of MMS itself (ISO 9506-2, 7.1) whose length fits.
            Unit::Data([0xa0..=0xae, length @ 2..=0x7f, body @ ..]) => Match::possible_if(usize::from(*length) == body.len()),
            Unit::Connection(parameters) if !tpkt::is_remote_desktop(parameters) => {
                Match::possible_if(tpkt::called_selector(parameters).is_some_and(|selector| matches!(selector, [0x00, _] | [_, _, _, _])))
            }
            _ => Match::No,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_of_a_session_may_be_mms() {
        assert_eq!(stream(b"\x03\x00\x00\x1b\x02\xf0\x80\x01\x00\x01\x00\x61\x0e\x30\x0c\x02\x01\x03\xa0\x07"), Match::Possible);
        assert_eq!(stream(b"\x03\x00\x00\x07\x02\xf0\x80"), Match::No);
    }
}
