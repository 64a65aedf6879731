//! PROFINET context manager: who connects to whom.

use super::{Facts, Source};
use crate::protocol::Carrier;
use crate::protocol::signature::Application;
use crate::record::table::Attribute;

/// The first block of a connection's request and of its answer.
pub static SOURCE: Source = Source {
    application: Application::ProfinetCm,
    carriers: &[Carrier::Datagram],
    name: "profinet connect",
    confidence: 0.8,
    clause: "IEC 61158-6-10, 5.2.1 (ARBlockReq, ARBlockRes, ARType); C706, 12.5",
    read,
};

/// Bytes in front of the first block: the header of RPC (80), and status or length, and the array's bounds (20).
const BEFORE_BLOCK: usize = 100;
/// Type of an application relation: a supervisor's.
const SUPERVISOR: [u8; 2] = [0x00, 0x06];

fn read(data: &[u8], facts: &mut Facts<'_>) {
    let Some(block) = data.get(BEFORE_BLOCK..) else { return };
    // Packet type of RPC; block type, length, version, type of the relation.
    let role = match (data.get(1), block) {
        (Some(0), [0x01, 0x01, _, _, _, _, t0, t1, ..]) if [*t0, *t1] == SUPERVISOR => "profinet supervisor",
        (Some(0), [0x01, 0x01, ..]) => "profinet controller",
        (Some(2), [0x81, 0x01, ..]) => "profinet device",
        _ => return,
    };
    facts.say(Attribute::Role, role.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::identity::tests::{survives, told};

    fn call(kind: u8, block: &[u8]) -> Vec<u8> {
        let mut call = vec![4, kind];
        call.resize(BEFORE_BLOCK, 0);
        call.extend(block);
        call
    }

    #[test]
    fn who_connects_is_the_controller_and_who_accepts_the_device() {
        assert_eq!(told(&SOURCE, &call(0, b"\x01\x01\x00\x36\x01\x00\x00\x01")), ["role=profinet controller"]);
        assert_eq!(told(&SOURCE, &call(0, b"\x01\x01\x00\x36\x01\x00\x00\x06")), ["role=profinet supervisor"]);
        assert_eq!(told(&SOURCE, &call(2, b"\x81\x01\x00\x1e\x01\x00\x00\x01")), ["role=profinet device"]);
        assert!(told(&SOURCE, &call(0, b"\x01\x10\x00\x1c\x01\x00\x00\x01")).is_empty());
        survives(&SOURCE, &call(2, b"\x81\x01\x00\x1e\x01\x00\x00\x01"));
    }
}
