//! DNP3: which station is the master.

use super::{Facts, Source};
use crate::protocol::Carrier;
use crate::protocol::signature::Application;
use crate::record::table::Attribute;

/// The direction bit of a link frame.
pub static SOURCE: Source = Source {
    application: Application::Dnp3,
    carriers: &[Carrier::Stream, Carrier::Datagram],
    name: "dnp3 link",
    confidence: 0.8,
    clause: "IEEE 1815, 9.2.4.1.3.1 (DIR)",
    read,
};

fn read(data: &[u8], facts: &mut Facts<'_>) {
    if let [0x05, 0x64, 5..=255, control, ..] = data {
        let role: &[u8] = if control & 0x80 == 0 { b"DNP3 outstation" } else { b"DNP3 master" };
        facts.say(Attribute::Role, role);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::identity::tests::{survives, told};

    #[test]
    fn the_direction_bit_tells_the_master() {
        let request = b"\x05\x64\x05\xc0\x01\x00\x00\x04\xe9\x21";
        assert_eq!(told(&SOURCE, request), ["role=DNP3 master"]);
        assert_eq!(told(&SOURCE, b"\x05\x64\x0a\x44\x01\x00\x02\x00"), ["role=DNP3 outstation"]);
        assert!(told(&SOURCE, b"\x05\x64\x04\xc0").is_empty());
        survives(&SOURCE, request);
    }
}
