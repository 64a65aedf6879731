//! Any bytes as a Modbus request and its answer: where units begin and end, and every clause that they break.
//!
//! The first byte is the unit identifier, the second the length of the request; what follows is its answer.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use wire::protocol::modbus::frame::{self, Adu, Framed, HEADER_BYTES, LENGTH_MOST};
use wire::protocol::modbus::function::{self, Length};
use wire::protocol::modbus::{check, identity};
use wire::protocol::{Probe, Side};

const SIDES: [Side; 2] = [Side::Client, Side::Server];

/// Clauses that one message can break: three for each part of a file request, of which a unit has room for 36, and a few for the rest.
const BROKEN: usize = 3 * 36 + 8;

thread_local! {
    static ROOM: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

fuzz_target!(|data: &[u8]| {
    as_they_are(data);
    let Some((&[unit, split], rest)) = data.split_first_chunk::<2>() else { return };
    let (request, answer) = rest.split_at(rest.len().min(usize::from(split)));
    ROOM.with_borrow_mut(|room| {
        for (side, pdu) in [(Side::Client, request), (Side::Server, answer)] {
            with_header(room, unit, pdu);
            with_check_sequence(room, unit, side, pdu);
            names(side, pdu);
        }
    });
    let broken = check::request(unit, request);
    assert!(broken.len() <= BROKEN);
    assert!(!check::is_plain_request(unit, request) || broken.is_empty(), "{broken:?}");
    let broken = check::response(Some(request), answer);
    assert!(broken.len() <= BROKEN);
    assert!(!check::is_plain_response(request, answer) || broken.is_empty(), "{broken:?}");
    // Nothing that an answer breaks by itself is mended by its request.
    let alone = check::response(None, answer);
    assert!(alone.iter().all(|each| broken.iter().any(|other| other.kind == each.kind)), "{alone:?} {broken:?}");
    let mut objects = [(0, ""); 124];
    let count = identity::objects(Some(answer), &mut objects);
    assert!(objects.iter().take(count).map(|(_, text)| text.len() + 2).sum::<usize>() <= answer.len());
});

/// Bytes of a stream: a unit lies within them, and where none begins the next is sought behind the first byte.
fn as_they_are(data: &[u8]) {
    for side in SIDES {
        for framed in [frame::tcp(data), frame::rtu(side, data)] {
            if let Framed::Adu(Adu { pdu, bytes, .. }) = framed {
                assert!(!bytes.is_empty() && data.starts_with(bytes));
                assert!(pdu.len() < bytes.len() && pdu.len() < LENGTH_MOST);
            }
        }
        if let Some(at) = frame::resynchronise(side, data) {
            assert!((1..data.len()).contains(&at));
        }
        for whole in [false, true] {
            let certain = matches!(frame::probe_tcp(side, data, whole), Probe::Certain(_));
            assert!(!certain || matches!(frame::tcp(data), Framed::Adu(_)));
        }
        frame::probe_rtu(side, data);
        frame::is_whole_rtu(side, data);
    }
    frame::is_whole_tcp(data);
}

/// A unit with its header comes back whole, whatever is behind it.
fn with_header(room: &mut Vec<u8>, unit: u8, pdu: &[u8]) {
    room.clear();
    room.extend_from_slice(&[1, 2, 0, 0]);
    room.extend_from_slice(&(pdu.len() as u16 + 1).to_be_bytes());
    room.push(unit);
    room.extend_from_slice(pdu);
    room.push(0);
    match frame::tcp(room) {
        Framed::Adu(adu) => {
            assert_eq!((adu.transaction, adu.protocol, adu.unit, adu.pdu), (Some(0x0102), 0, unit, pdu));
            assert_eq!(adu.bytes.len(), HEADER_BYTES + pdu.len());
        }
        Framed::BadLength(length) => assert!(length == pdu.len() + 1 && !(2..=LENGTH_MOST).contains(&length)),
        other => panic!("{other:?}"),
    }
}

/// A unit with its check sequence comes back whole where its function says how long it is.
fn with_check_sequence(room: &mut Vec<u8>, unit: u8, side: Side, pdu: &[u8]) {
    room.clear();
    room.push(unit);
    room.extend_from_slice(pdu);
    let sum = frame::crc(room);
    room.extend_from_slice(&sum.to_le_bytes());
    if function::length(side, pdu) == Length::Exactly(pdu.len()) && room.len() <= 256 {
        assert!(matches!(frame::rtu(side, room), Framed::Adu(adu) if adu.pdu == pdu && adu.bytes.len() == room.len()));
        assert!(frame::is_whole_rtu(side, room));
    }
}

/// What a message is called, and how long it is.
fn names(side: Side, pdu: &[u8]) {
    let Some(&code) = pdu.first() else { return };
    let _ = (function::name(code), function::access(code), function::exception(code));
    assert!(!function::clause(code).is_empty());
    if let Length::Exactly(length) | Length::AtLeast(length) = function::length(side, pdu) {
        assert!(length > 0);
    }
    if let Length::Needs(length) = function::length(side, pdu) {
        assert!(length > pdu.len());
    }
}
