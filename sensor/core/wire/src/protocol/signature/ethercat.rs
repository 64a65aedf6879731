//! EtherCAT, on Ethernet and in UDP.

use super::layer::field::le16;
use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    is_industrial: true,
    udp_ports: &[34980],
    ether_types: &[0x88a4],
    datagram,
    frame: payload,
    examples: &[
        Example { carrier: Carrier::Frame, bytes: b"\x0e\x10\x08\x01\x00\x00\x00\x09\x02\x00\x00\x00\x00\x00\x00\x00" },
    ],
    ..Signature::new(Application::Ethercat, "IEC 61158-4-12, 5.3.3 (EtherCAT frame)")
};

/// Type of commands, variables or mailbox in the upper four bits, a length that fits in the lower eleven.
fn payload(data: &[u8]) -> Match {
    let Some(header) = le16(data, 0) else { return Match::No };
    let length = usize::from(header & 0x07ff);
    let is_type = matches!(header >> 12, 1 | 4 | 5);
    // A command is twelve bytes at least: header, data, working counter.
    Match::certain_if(is_type && header & 0x0800 == 0 && length >= 12 && data.len() >= length + 2)
}

/// UDP has no mark of its own: the port has to agree.
fn datagram(data: &[u8]) -> Match {
    payload(data).min(Match::Possible)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_shorter_than_its_commands_is_none() {
        assert_eq!(payload(b"\x0e\x10\x08\x01\x00\x00\x00\x09"), Match::No);
        assert_eq!(datagram(SIGNATURE.examples[0].bytes), Match::Possible);
    }
}
