//! Any bytes as a Modbus conversation: pieces of both sides with gaps and time between them; over TCP, RTU in TCP, and UDP.
//!
//! The first byte is the manner: bit 0 RTU framing, bit 1 datagrams, bit 2 a beginning that was seen, bit 3 frames that the target completes
//! with header and check sequence, so that lengths and checks are right whatever the mutation.
#![no_main]

use std::cell::RefCell;

use icsight_fuzz::{Cuts, Frame, Room, Script, assert_same, hash, rows};
use libfuzzer_sys::fuzz_target;
use wire::protocol::modbus::Modbus;
use wire::protocol::modbus::frame::{Framing, crc};
use wire::protocol::{Carrier, Side};

/// One of so many inputs is read in pieces too.
const SPLIT: u64 = 256;

thread_local! {
    static ROOM: RefCell<Room> = RefCell::default();
}

/// Makes units of unit identifiers and protocol data units, or leaves bytes as they are.
fn framing(framing: Framing, is_completed: bool) -> impl Frame {
    let mut transaction = 0_u16;
    move |side, tag, bytes: &[u8], out: &mut Vec<u8>| {
        if !is_completed {
            out.extend_from_slice(bytes);
        } else if framing == Framing::Rtu {
            out.extend_from_slice(bytes);
            out.extend_from_slice(&crc(bytes).to_le_bytes());
        } else {
            if side == Side::Client {
                transaction = transaction.wrapping_add(1);
            }
            out.extend_from_slice(&transaction.wrapping_sub(u16::from(tag)).to_be_bytes());
            out.extend_from_slice(&[0, 0]);
            out.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
            out.extend_from_slice(bytes);
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&manner, rest)) = data.split_first() else { return };
    let kind = if manner & 1 == 0 { Framing::Tcp } else { Framing::Rtu };
    let (is_datagrams, from_start, is_completed) = (manner & 2 != 0, manner & 4 != 0, manner & 8 != 0);
    let carrier = if is_datagrams { Carrier::Datagram } else { Carrier::Stream };
    let play = |room: &mut Room, cuts: Cuts| {
        room.clear();
        let mut modbus = Modbus::new(kind, carrier, from_start);
        if is_datagrams {
            room.play_datagrams(&mut modbus, Script(rest), framing(kind, is_completed));
        } else {
            room.play(&mut modbus, Script(rest), cuts, framing(kind, is_completed));
        }
        room.close(&mut modbus);
    };
    ROOM.with_borrow_mut(|room| {
        play(room, Cuts::Whole);
        let (counts, given) = (room.counts(), room.given);
        // A unit has at least 3 bytes; a byte has at most 8 values; what is broken about a unit is told once for each rule.
        assert!(rows(&counts, "modbus") <= given / 3, "{counts:?} of {given} bytes");
        assert!(rows(&counts, "point") <= 8 * given, "{counts:?} of {given} bytes");
        assert!(rows(&counts, "violation") <= given, "{counts:?} of {given} bytes");
        assert!(room.shared.counters.skipped_bytes <= given as u64);
        // Where nothing is skipped or lost, it does not matter how the bytes of a stream with lengths come.
        let hash = hash(data);
        let is_plain = room.shared.counters.skipped_bytes == 0 && !room.has_gap;
        if hash % SPLIT == 0 && kind == Framing::Tcp && !is_datagrams && is_plain {
            let whole = room.cut();
            for cuts in [Cuts::Each, Cuts::Seeded(hash)] {
                play(room, cuts);
                assert_same(&whole, &room.cut(), "in pieces");
            }
        }
    });
});
