//! Any bytes as an OPC UA connection: pieces of both sides with gaps and time between them.
//!
//! The first byte is the manner: bit 0 a beginning that was seen; bit 1 bytes are message bodies, which the target makes chunks of behind the
//! opening of a channel, so that sizes are right whatever the mutation. A body's tag tells its chunk: bits 0 and 1 final (0, 1), more come
//! (2), given up (3); bit 2 another request than its side's last. With bit 2 a user signs in first, with a password in clear; a byte behind
//! the manner says how many bytes of that are the first chunk, and with bit 3 as many bytes as the next byte says are lost behind it. Whatever
//! comes then, the password is in no row.
#![no_main]

use std::cell::RefCell;

use icsight_fuzz::{Cuts, Frame, Room, Script, assert_same, has_bytes, hash, rows};
use libfuzzer_sys::fuzz_target;
use wire::protocol::Side;
use wire::protocol::opcua::Opcua;

/// One of so many inputs is read in pieces too.
const SPLIT: u64 = 256;
/// Policy of a channel that hides nothing.
const POLICY: &[u8] = b"http://opcfoundation.org/UA/SecurityPolicy#None";

/// A user name and a password in an ActivateSession request, as the Python package asyncua 2.1 encodes it.
const SIGN_IN: &[u8] = b"\x01\x00\xd3\x01\x00\x09\x80\x00\x40\x74\x94\x7b\xdc\x01\x07\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00audit\
\xa0\x0f\x00\x00\x00\x00\x00\x0a\x00\x00\x00rsa-sha256\x01\x00\x00\x00\x04\x01\x00\x00\x00\x01\x00\x00\x00\x01\x01\x00\x00\x00\x02\
\x02\x00\x00\x00\x02\x00\x00\x00en\x02\x00\x00\x00de\x01\x00\x44\x01\x01\x2c\x00\x00\x00\x04\x00\x00\x00user\x08\x00\x00\x00operator\
\x10\x00\x00\x00\xf1Geheim-\xf2#17\xf3\xf4\xf5\xf6\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff";
/// The first bytes of the password.
const SECRET: &[u8] = b"\xf1Geheim";

thread_local! {
    static ROOM: RefCell<Room> = RefCell::default();
}

/// A chunk, its size told.
fn chunk(kind: &[u8; 4], parts: &[&[u8]], out: &mut Vec<u8>) {
    let size = 8 + parts.iter().map(|part| part.len()).sum::<usize>();
    out.extend_from_slice(kind);
    out.extend_from_slice(&(size as u32).to_le_bytes());
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

/// Makes chunks of bodies, or leaves bytes as they are.
fn framing(is_completed: bool) -> impl Frame {
    let mut is_open = [false; 2];
    let mut numbers = [1_u32; 2];
    let mut requests = [1_u32; 2];
    move |side: Side, tag: u8, bytes: &[u8], out: &mut Vec<u8>| {
        if !is_completed {
            out.extend_from_slice(bytes);
            return;
        }
        let at = side as usize;
        if !std::mem::replace(&mut is_open[at], true) {
            let length = (POLICY.len() as u32).to_le_bytes();
            chunk(b"OPNF", &[&1_u32.to_le_bytes(), &length, POLICY, &[0xff; 8], &numbers[at].to_le_bytes(), &[1, 0, 0, 0]], out);
            numbers[at] += 1;
        }
        let kind = [b"MSGF", b"MSGF", b"MSGC", b"MSGA"][usize::from(tag & 3)];
        let request = requests[at] + u32::from(tag >> 2);
        let head = [1_u32, 1, numbers[at], request].map(u32::to_le_bytes);
        chunk(kind, &[head.as_flattened(), bytes], out);
        numbers[at] += 1;
        requests[at] += u32::from(tag & 3 != 2);
    }
}

/// What a user says to sign in: in one chunk or two, with bytes lost between them or not, as the beginning of an input tells; and the rest.
fn sign_in(data: &[u8]) -> (Vec<u8>, &[u8]) {
    let [manner, first, lost, rest @ ..] = data else { return (Vec::new(), &[]) };
    let (head, behind) = SIGN_IN.split_at(usize::from(*first).min(SIGN_IN.len()));
    let mut script = Vec::new();
    let say = |script: &mut Vec<u8>, tag: u8, bytes: &[u8]| {
        script.extend_from_slice(&[tag << 5, bytes.len() as u8]);
        script.extend_from_slice(bytes);
    };
    if *first & 1 == 0 {
        say(&mut script, 2, head);
        say(&mut script, 0, behind);
    } else {
        say(&mut script, 0, SIGN_IN);
    }
    if manner & 8 != 0 {
        // The first part again, and what is left where bytes behind it are lost.
        say(&mut script, 2, head);
        script.push(2 | lost << 3);
        say(&mut script, 0, behind.get(usize::from(*lost)..).unwrap_or_default());
    }
    (script, rest)
}

fuzz_target!(|data: &[u8]| {
    let Some((&manner, rest)) = data.split_first() else { return };
    let (from_start, is_completed, has_secret) = (manner & 1 != 0, manner & 2 != 0, manner & 4 != 0);
    let (first, rest) = if has_secret { sign_in(data) } else { (Vec::new(), rest) };
    let play = |room: &mut Room, cuts: Cuts| {
        room.clear();
        let mut opcua = Opcua::new(from_start);
        room.play(&mut opcua, Script(&first), cuts, framing(true));
        room.play(&mut opcua, Script(rest), cuts, framing(is_completed));
        room.close(&mut opcua);
    };
    ROOM.with_borrow_mut(|room| {
        play(room, Cuts::Whole);
        let (counts, given) = (room.counts(), room.given);
        assert!(rows(&counts, "opcua") <= given / 16, "{counts:?} of {given} bytes");
        assert!(rows(&counts, "opcua_item") <= given, "{counts:?} of {given} bytes");
        assert!(rows(&counts, "point") <= given, "{counts:?} of {given} bytes");
        assert!(rows(&counts, "violation") <= given, "{counts:?} of {given} bytes");
        assert!(room.shared.counters.opcua_skipped_bytes <= given as u64);
        // It does not matter how the bytes come.
        let hash = hash(data);
        if hash % SPLIT == 0 {
            let whole = room.cut();
            let is_said = rest.windows(SECRET.len()).any(|window| window == SECRET);
            assert!(!has_secret || is_said || !has_bytes(&whole, SECRET), "the password is in a row");
            for cuts in [Cuts::Each, Cuts::Seeded(hash)] {
                play(room, cuts);
                assert_same(&whole, &room.cut(), "in pieces");
            }
        }
    });
});
