//! Any bytes as UADP messages of a publisher, over UDP and in Ethernet frames.
//!
//! The first byte is the manner: bit 0 Ethernet.
#![no_main]

use std::cell::RefCell;

use icsight_fuzz::{Frame, Room, Script, rows};
use libfuzzer_sys::fuzz_target;
use wire::protocol::opcua::pubsub::{PubSub, probe};
use wire::protocol::{Carrier, Probe, Side};

thread_local! {
    static ROOM: RefCell<Room> = RefCell::default();
}

fn framing() -> impl Frame {
    |_side: Side, _tag, bytes: &[u8], out: &mut Vec<u8>| {
        // What is certain anywhere is certain on its own port.
        if matches!(probe(bytes, false), Probe::Certain(_)) {
            assert!(matches!(probe(bytes, true), Probe::Certain(_)));
        }
        out.extend_from_slice(bytes);
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&manner, rest)) = data.split_first() else { return };
    let carrier = if manner & 1 == 0 { Carrier::Datagram } else { Carrier::Frame };
    ROOM.with_borrow_mut(|room| {
        room.clear();
        let mut pubsub = PubSub::new(carrier);
        room.play_datagrams(&mut pubsub, Script(rest), framing());
        room.close(&mut pubsub);
        let (counts, given) = (room.counts(), room.given);
        assert!(rows(&counts, "pubsub") <= given, "{counts:?} of {given} bytes");
        assert!(rows(&counts, "point") <= given, "{counts:?} of {given} bytes");
        assert!(rows(&counts, "violation") <= 2 * given, "{counts:?} of {given} bytes");
    });
});
