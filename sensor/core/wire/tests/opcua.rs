//! OPC UA through the whole engine: what calls and notifications become, whatever happens to their segments.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails says so by panicking"
)]

mod lab;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt32Type};
use lab::opcua::*;
use lab::{ACK, MILLISECOND, Talk, run, udp, violations, word};
use wire::record::Batch;

/// Service, pairing, chunks of each row of table `opcua`.
fn calls(batches: &[Batch]) -> Vec<(String, String, u32)> {
    lab::rows(batches, "opcua", |batch, row| {
        let chunks = batch.column_by_name("opcua.chunks").unwrap().as_primitive::<UInt32Type>().value(row);
        (word(batch, "opcua.service", row), word(batch, "opcua.pairing", row), chunks)
    })
}

/// Kind, node, number of each row of table `opcua_item`, and whether it is inferred.
fn items(batches: &[Batch]) -> Vec<(String, String, Option<f64>, bool)> {
    lab::rows(batches, "opcua_item", |batch, row| {
        let numbers = batch.column_by_name("opcua.number").unwrap().as_primitive::<Float64Type>();
        let inferred = batch.column_by_name("opcua.inferred").unwrap().as_boolean().value(row);
        let number = numbers.is_valid(row).then(|| numbers.value(row));
        (word(batch, "opcua.kind", row), word(batch, "opcua.node_id", row), number, inferred)
    })
}

fn item(kind: &str, node: &str, number: Option<f64>) -> (String, String, Option<f64>, bool) {
    (kind.into(), node.into(), number, false)
}

fn both(service: &str) -> (String, String, u32) {
    (service.into(), "both".into(), 2)
}

fn connected() -> Talk {
    let mut talk = Talk::new(1, 1);
    talk.port = 48_010;
    talk.ask(lab::SYN, &[]);
    talk.answer(lab::SYN | ACK, &[]);
    talk.ask(ACK, &[]);
    talk
}

fn opened() -> Talk {
    let mut talk = connected();
    talk.ask(ACK, &hello());
    talk.answer(ACK, &acknowledge());
    talk
}

#[test]
fn a_read_is_a_call_and_an_operand_and_a_point() {
    let mut talk = opened();
    talk.call(1, &[read(&["Tank.Level", "Tank.Alarm"]), values(&[1.5, 0.0])]);
    talk.close();
    let batches = run(&talk.packets);
    assert_eq!(calls(&batches)[2..], [both("Read")]);
    let expected = [item("read", "ns=2;s=Tank.Level", Some(1.5)), item("read", "ns=2;s=Tank.Alarm", Some(0.0))];
    assert_eq!(items(&batches), expected);
    let points = lab::rows(&batches, "point", |batch, row| word(batch, "point.id", row));
    assert_eq!(points, ["ns=2;s=Tank.Level", "ns=2;s=Tank.Alarm"]);
    assert!(violations(&batches).is_empty());
    assert_eq!(lab::flows(&batches)[0].1, "opcua");
}

#[test]
fn wherever_a_connection_is_split_the_rows_are_the_same() {
    let ask = [hello(), message(1, 1, &read(&["Tank.Level"])), message(2, 2, &read(&["Tank.Alarm"]))].concat();
    let answer = [acknowledge(), message(1, 1, &values(&[1.5])), message(2, 2, &values(&[0.0]))].concat();
    let rows = |at: usize, back: usize| {
        let mut talk = connected();
        talk.ask(ACK, &ask[..at]);
        talk.ask(ACK, &ask[at..]);
        talk.answer(ACK, &answer[..back]);
        talk.answer(ACK, &answer[back..]);
        let batches = run(&talk.packets);
        assert!(violations(&batches).is_empty(), "{at} {back}");
        (calls(&batches), items(&batches))
    };
    let whole = rows(ask.len(), answer.len());
    assert_eq!(whole.1.len(), 2);
    for at in 1..ask.len() {
        assert_eq!(rows(at, answer.len()), whole, "{at}");
    }
    for back in 1..answer.len() {
        assert_eq!(rows(ask.len(), back), whole, "{back}");
    }
}

#[test]
fn a_message_of_several_chunks_is_put_together_beside_another_one() {
    let body = values(&[1.5, 2.5, 3.5]);
    let mut talk = opened();
    talk.ask(ACK, &message(1, 1, &read(&["A", "B", "C"])));
    talk.ask(ACK, &message(2, 2, &read(&["D"])));
    talk.answer(ACK, &chunk(b'C', 1, 1, &body[..40]));
    talk.answer(ACK, &message(2, 2, &values(&[4.5])));
    talk.answer(ACK, &chunk(b'C', 3, 1, &body[40..50]));
    talk.answer(ACK, &chunk(b'F', 4, 1, &body[50..]));
    let batches = run(&talk.packets);
    assert_eq!(calls(&batches)[2..], [both("Read"), ("Read".into(), "both".into(), 4)]);
    let numbers: Vec<_> = items(&batches).into_iter().filter_map(|(_, _, number, _)| number).collect();
    assert_eq!(numbers, [4.5, 1.5, 2.5, 3.5]);
    assert!(violations(&batches).is_empty());
}

#[test]
fn behind_a_lost_answer_the_next_calls_are_whole() {
    let mut talk = opened();
    for number in 1..5_u32 {
        talk.call(number, &[read(&["Tank.Level"]), values(&[f64::from(number)])]);
    }
    // The answer to the second one.
    talk.packets.remove(talk.packets.len() - 5);
    let batches = run(&talk.packets);
    let mut found = calls(&batches).split_off(2);
    found.sort();
    assert_eq!(found, [both("Read"), both("Read"), both("Read"), ("Read".into(), "request".into(), 1)]);
    let numbers: Vec<_> = items(&batches).into_iter().filter_map(|(_, _, number, _)| number).collect();
    assert_eq!(numbers, [1.0, 3.0, 4.0]);
    assert!(violations(&batches).is_empty(), "{:?}", violations(&batches));
}

#[test]
fn after_a_gap_the_next_message_is_found() {
    let mut talk = opened();
    talk.call(1, &[read(&["A"]), values(&[1.0])]);
    talk.ask(ACK, &message(2, 2, &read(&["B"])));
    let answer = message(2, 2, &values(&[2.0]));
    // The first half of the answer is lost.
    talk.server += 30;
    talk.answer(ACK, &answer[30..]);
    // What is missing is no late segment any more.
    talk.ts += 2 * lab::SECOND;
    talk.call(3, &[read(&["C"]), values(&[3.0])]);
    let batches = run(&talk.packets);
    let pairings: Vec<_> = calls(&batches).into_iter().skip(2).map(|(_, pairing, _)| pairing).collect();
    assert_eq!(pairings, ["both", "both", "request"]);
    assert!(items(&batches).contains(&item("read", "ns=2;s=C", Some(3.0))));
    assert!(items(&batches).contains(&item("read", "ns=2;s=B", None)));
    assert!(violations(&batches).is_empty(), "{:?}", violations(&batches));
}

#[test]
fn one_direction_alone_gives_its_halves() {
    let mut talk = opened();
    for number in 1..4 {
        talk.call(number, &[read(&["A"]), values(&[f64::from(number)])]);
    }
    let from = |client: bool| {
        talk.packets.iter().filter(|(_, frame)| (frame[29] == lab::CLIENT.0) == client).cloned().collect::<Vec<_>>()
    };
    let asked = run(&from(true));
    assert_eq!(calls(&asked).iter().filter(|(service, pairing, _)| service == "Read" && pairing == "request").count(), 3);
    assert_eq!(items(&asked), vec![item("read", "ns=2;s=A", None); 3]);
    let answered = run(&from(false));
    assert_eq!(calls(&answered).iter().filter(|(service, pairing, _)| service == "Read" && pairing == "response").count(), 3);
    assert_eq!(items(&answered).into_iter().filter_map(|(_, _, number, _)| number).collect::<Vec<_>>(), [1.0, 2.0, 3.0]);
    assert!(violations(&asked).is_empty());
    assert!(violations(&answered).is_empty());
}

#[test]
fn a_connection_joined_inside_a_message_is_read_from_the_next_one() {
    let mut talk = Talk::new(1, 1);
    talk.port = 48_010;
    talk.ask(ACK, &message(1, 1, &read(&["A"]))[50..]);
    talk.answer(ACK, &message(1, 1, &values(&[1.0])));
    talk.call(2, &[read(&["B"]), values(&[2.0])]);
    let batches = run(&talk.packets);
    assert!(calls(&batches).contains(&both("Read")), "{:?}", calls(&batches));
    assert!(items(&batches).contains(&item("read", "ns=2;s=B", Some(2.0))));
    let inferred = lab::rows(&batches, "opcua", |batch, row| {
        (word(batch, "opcua.security_mode", row), batch.column_by_name("opcua.inferred").unwrap().as_boolean().value(row))
    });
    assert!(inferred.contains(&("none".into(), true)));
    assert!(violations(&batches).is_empty());
}

#[test]
fn notifications_find_their_nodes_over_connections_and_transfers() {
    let mut first = opened();
    first.call(1, &create_subscription(1, 5));
    first.call(2, &monitor(1, 5, "Tank.Level", 33));
    first.call(3, &publish(1, 5, 33, 1.5));
    // The same server, another connection and session.
    let mut second = Talk::new(77, 77);
    (second.port, second.ts) = (48_010, first.ts);
    let move_port = |packets: Vec<(i64, Vec<u8>)>| -> Vec<(i64, Vec<u8>)> {
        packets
            .into_iter()
            .map(|(ts, mut frame)| {
                let at = if frame[29] == lab::CLIENT.0 { 34 } else { 36 };
                frame[at + 1] = frame[at + 1].wrapping_add(1);
                (ts, frame)
            })
            .collect()
    };
    second.call(1, &publish(2, 5, 33, 2.5));
    second.call(2, &transfer(2, 5));
    second.call(3, &publish(2, 5, 33, 3.5));
    second.call(4, &publish(2, 5, 34, 4.5));
    let packets: Vec<_> = first.packets.into_iter().chain(move_port(second.packets)).collect();
    let batches = run(&packets);
    let notified: Vec<_> = items(&batches).into_iter().filter(|(kind, ..)| kind == "notify").collect();
    let level = "ns=2;s=Tank.Level";
    let expected = [
        item("notify", level, Some(1.5)),
        // Known, but of a subscription that another session created and that was not seen to be transferred yet.
        ("notify".into(), level.into(), Some(2.5), true),
        item("notify", level, Some(3.5)),
        // No such item was seen: the handle stands alone.
        item("notify", "null", Some(4.5)),
    ];
    assert_eq!(notified, expected);
    assert!(violations(&batches).is_empty(), "{:?}", violations(&batches));
}

#[test]
fn items_that_exchange_their_handles_in_one_request_keep_their_nodes() {
    let mut talk = opened();
    talk.call(1, &create_subscription(1, 5));
    talk.call(2, &monitor(1, 5, "Tank.Level", 1));
    talk.call(3, &monitor(1, 5, "Tank.Alarm", 2));
    talk.call(4, &rename(1, 5, &[(101, 2), (102, 1)]));
    talk.call(5, &publish(1, 5, 1, 0.0));
    talk.call(6, &publish(1, 5, 2, 1.5));
    let notified: Vec<_> = items(&run(&talk.packets)).into_iter().filter(|(kind, ..)| kind == "notify").collect();
    assert_eq!(notified, [item("notify", "ns=2;s=Tank.Alarm", Some(0.0)), item("notify", "ns=2;s=Tank.Level", Some(1.5))]);
}

#[test]
fn what_breaks_the_protocol_is_told() {
    let mut talk = opened();
    talk.call(1, &[read(&["A", "B"]), values(&[1.0])]);
    talk.ask(ACK, &message(5, 2, &read(&["A"])));
    talk.ask(ACK, &message(6, 2, &read(&["A"])));
    talk.answer(ACK, &message(2, 9, &values(&[1.0])));
    talk.ask(ACK, b"MSGF\x08\0\0\0");
    talk.ask(ACK, &hello());
    let batches = run(&talk.packets);
    let expected =
        ["result_count", "sequence_number", "request_id_reused", "response_without_request", "message_size", "hello_order"];
    assert_eq!(violations(&batches), expected);
}

#[test]
fn an_abort_ends_its_request_with_a_reason() {
    let mut talk = opened();
    talk.ask(ACK, &message(1, 1, &read(&["A"])));
    talk.answer(ACK, &chunk(b'C', 1, 1, &values(&[1.0])[..20]));
    let abort = [&0x80B9_0000_u32.to_le_bytes()[..], &text("too large")].concat();
    talk.answer(ACK, &chunk(b'A', 2, 1, &abort));
    let batches = run(&talk.packets);
    assert_eq!(calls(&batches)[2..], [("Read".into(), "both".into(), 3)]);
    let errors = lab::rows(&batches, "opcua", |batch, row| word(batch, "opcua.error", row));
    assert_eq!(errors[2], "BadResponseTooLarge");
}

#[test]
fn a_message_of_more_items_than_a_batch_holds_fills_several() {
    const ITEMS: usize = 150_000;
    let body = values(&vec![1.0; ITEMS]);
    let mut talk = opened();
    talk.ask(ACK, &message(1, 1, &read(&["A"])));
    let parts: Vec<&[u8]> = body.chunks(60_000).collect();
    let mut stream = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        let letter = if at + 1 == parts.len() { b'F' } else { b'C' };
        stream.extend(chunk(letter, 1 + at as u32, 1, part));
    }
    stream.extend(message(1 + parts.len() as u32, 2, &values(&[2.0])));
    for part in stream.chunks(1_400) {
        talk.answer(ACK, part);
    }
    let batches = run(&talk.packets);
    assert_eq!(items(&batches).len(), ITEMS + 1);
    assert!(batches.iter().all(|batch| batch.records.num_rows() <= wire::record::BATCH_ROWS));
    assert_eq!(calls(&batches).iter().filter(|(service, ..)| service == "Read").count(), 2);
}

#[test]
fn data_sets_over_udp_and_ethernet_are_rows_and_points() {
    // Publisher 7, group 3, writer 10: a key frame of one Int32.
    let set = [0x71, 7, 0x01, 3, 0, 1, 10, 0, 0x01, 1, 0, 6, 0x2a, 0, 0, 0];
    let mut frame = vec![1, 0, 0x5e, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0xb6, 0x2c];
    frame.extend(set);
    frame.resize(60, 0);
    let datagram = udp((1, 50_000), (2, 4_840), &set);
    let elsewhere = udp((1, 50_001), (3, 7_000), &set);
    let other = udp((1, 50_002), (3, 7_001), &[0x71, 7, 0x01, 3, 0, 1, 10, 0, 0x01, 1, 0, 6, 0x2a]);
    let packets: Vec<_> = (1..).zip([datagram, elsewhere, other, frame]).map(|(at, data)| (at * MILLISECOND, data)).collect();
    let batches = run(&packets);
    let found = lab::rows(&batches, "pubsub", |batch, row| {
        let words = ["pubsub.transport", "pubsub.message_type", "pubsub.publisher_id", "pubsub.field_encoding"];
        words.map(|name| word(batch, name, row)).join(" ")
    });
    assert_eq!(found, ["udp key_frame 7 variant", "udp key_frame 7 variant", "ethernet key_frame 7 variant"]);
    // It is one point, seen three times with one value.
    assert_eq!(lab::rows(&batches, "point", |batch, row| word(batch, "point.id", row)), ["7/10/0"]);
    assert!(violations(&batches).is_empty(), "{:?}", violations(&batches));
}

#[test]
fn random_bytes_behind_a_hello_do_no_harm() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..300 {
        let mut talk = opened();
        for number in 1..6 {
            let [ask, answer] = [read(&["A", "B"]), values(&[1.0, 2.0])].map(|body| {
                let mut bytes = message(number, number, &body);
                for _ in 0..3 {
                    let at = random() as usize % bytes.len();
                    bytes[at] = random() as u8;
                }
                bytes
            });
            talk.ask(ACK, &ask);
            talk.answer(ACK, &answer);
        }
        let batches = run(&talk.packets);
        assert_eq!(batches.iter().map(|batch| batch.sequence).collect::<Vec<_>>(), (0..batches.len() as u64).collect::<Vec<_>>());
    }
}
