//! S7 communication of Siemens S7-300 and S7-400, and of later ones that allow it.

use super::layer::tpkt::{self, Unit};
use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    is_industrial: true,
    tcp_ports: &[102],
    stream,
    examples: &[
        Example { carrier: Carrier::Stream, bytes: b"\x03\x00\x00\x19\x02\xf0\x80\x32\x01\x00\x00\x04\x00\x00\x08\x00\x00\xf0\x00\x00\x01\x00\x01\x01\xe0" },
    ],
    ..Signature::new(Application::S7comm, "RFC 1006, 6; ISO 8073, 13; Siemens S7 protocol identifier 0x32")
};

/// A header with one of the four kinds (job, acknowledgement, answer, user data) and its reserved bytes; or a connection to rack and slot.
fn stream(data: &[u8]) -> Match {
    tpkt::look(data, |unit| match unit {
            Unit::Data([0x32, 0x01 | 0x02 | 0x03 | 0x07, 0x00, 0x00, ..]) => Match::Certain,
            Unit::Connection(parameters) if !tpkt::is_remote_desktop(parameters) => {
                Match::possible_if(tpkt::called_selector(parameters).is_some_and(tpkt::is_rack_and_slot))
            }
            _ => Match::No,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_to_rack_and_slot_may_become_s7_communication() {
        let request = b"\x03\x00\x00\x16\x11\xe0\x00\x00\x00\x01\x00\xc1\x02\x01\x00\xc2\x02\x01\x02\xc0\x01\x0a";
        assert_eq!(stream(request), Match::Possible);
        let data = b"\x03\x00\x00\x19\x02\xf0\x80\x32\x01\x00\x00\x04\x00";
        assert_eq!(stream(&[&request[..], data].concat()), Match::Certain);
    }
}
