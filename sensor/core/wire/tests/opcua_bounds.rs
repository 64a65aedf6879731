//! What nobody finishes is held within bounds, and blinds nobody to what others say.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails says so by panicking"
)]

mod lab;

use lab::opcua::*;
use lab::pubsub::{CHUNK, chunks, group};
use lab::{ACK, SECOND, Talk, drops, run, udp, violations, word};
use wire::engine::{Engine, Settings};
use wire::packet::{LinkType, Packet};
use wire::record::{Batch, Identity};

type Packets = Vec<(i64, Vec<u8>)>;

/// A connection to this port that has said hello, from `ts` on.
fn opened(port: u16, ts: i64) -> Talk {
    let mut talk = Talk::new(1, 1);
    (talk.port, talk.ts) = (port, ts);
    talk.ask(lab::SYN, &[]);
    talk.answer(lab::SYN | ACK, &[]);
    talk.ask(ACK, &[]);
    talk.ask(ACK, &hello());
    talk.answer(ACK, &acknowledge());
    talk
}

/// Messages of more than 4 MiB each without their last chunk.
fn unfinished(port: u16, messages: u32) -> Talk {
    let mut talk = opened(port, SECOND);
    let mut sequence = 0;
    for message in 0..messages {
        let mut body = read(&["Tank.Level"]);
        body.resize(60_000, 0);
        for _ in 0..71 {
            sequence += 1;
            talk.ask(ACK, &chunk(b'C', sequence, 100 + message, &body));
        }
    }
    talk
}

/// Five reads over another connection, behind everything else.
fn reads(behind: i64) -> Packets {
    let mut talk = opened(48_099, behind);
    for number in 1..6_u32 {
        talk.call(number, &[read(&["Tank.Level"]), values(&[f64::from(number)])]);
    }
    talk.packets
}

fn numbers(batches: &[Batch]) -> usize {
    lab::rows(batches, "opcua_item", |batch, row| word(batch, "opcua.node_id", row)).len()
}

fn count(batches: &[Batch], cause: &str) -> u64 {
    drops(batches).iter().find(|(name, _)| name == cause).map_or(0, |(_, count)| *count)
}

#[test]
fn messages_that_one_client_never_finishes_blind_nobody_and_are_told() {
    let attack = unfinished(48_010, 8);
    let mut packets = attack.packets;
    packets.extend(reads(attack.ts));
    packets.push((attack.ts + 20 * SECOND, udp((8, 9), (9, 9), &[1])));
    let batches = run(&packets);
    assert_eq!(numbers(&batches), 5);
    let points = lab::rows(&batches, "point", |batch, row| word(batch, "point.id", row));
    assert_eq!(points, ["ns=2;s=Tank.Level"; 5]);
    assert_eq!(violations(&batches), ["message_unfinished"; 6], "two are held until the connection ends");
    assert_eq!(count(&batches, "opcua_incomplete"), 6);
}

#[test]
fn where_many_hold_too_much_those_that_hold_most_let_go_of_it() {
    let mut attacks: Packets = (0..5).flat_map(|at| unfinished(48_010 + at, 2).packets).collect();
    attacks.sort_by_key(|(ts, _)| *ts);
    let mut waiting = opened(48_100, SECOND);
    waiting.ask(ACK, &message(1, 1, &read(&["Tank.Alarm"])));
    let mut packets = waiting.packets.clone();
    packets.extend(attacks);
    let behind = packets.last().unwrap().0;
    (waiting.packets, waiting.ts) = (Vec::new(), behind);
    waiting.answer(ACK, &message(1, 1, &values(&[7.0])));
    packets.extend(waiting.packets);
    packets.extend(reads(behind));
    packets.push((behind + 20 * SECOND, udp((8, 9), (9, 9), &[1])));
    let batches = run(&packets);
    assert_eq!(numbers(&batches), 6, "with the read that was under way");
    assert!(violations(&batches).iter().all(|kind| kind == "message_unfinished"));
    assert_eq!(count(&batches, "opcua_incomplete"), violations(&batches).len() as u64);
    assert!(count(&batches, "opcua_incomplete") >= 2);
    assert_eq!(count(&batches, "opcua_pending_overflow"), 0);
}

#[test]
fn requests_that_nobody_answers_are_held_within_a_bound_too() {
    let mut body = read(&["Tank.Level"]);
    body.resize(60_000, 0);
    let mut packets = Packets::new();
    let mut ts = SECOND;
    for at in 0..3 {
        let mut talk = opened(48_010 + at, ts);
        (1..=250).for_each(|number| talk.ask(ACK, &message(number, number, &body)));
        ts = talk.ts;
        packets.extend(talk.packets);
    }
    packets.extend(reads(ts));
    packets.push((ts + 20 * SECOND, udp((8, 9), (9, 9), &[1])));
    let batches = run(&packets);
    assert!((250..600).contains(&count(&batches, "opcua_pending_overflow")));
    let answered = lab::rows(&batches, "opcua", |batch, row| word(batch, "opcua.pairing", row));
    assert_eq!(answered.iter().filter(|pairing| *pairing == "both").count(), 5);
    assert!(!violations(&batches).iter().any(|kind| kind == "response_without_request"));
}

/// The first chunks of a PubSub message of a mebibyte.
fn parts(sender: u8, sequence: u16, count: usize) -> Packets {
    let parts = chunks(sequence, &vec![0; 1024 * 1024], 60_000);
    let message = |part: &Vec<u8>| CHUNK.message(&[&group(sequence), &[10, 0], part]);
    parts.iter().take(count).map(|part| (SECOND, udp((sender, 50_000), (2, 4_840), &message(part)))).collect()
}

#[test]
fn data_sets_that_publishers_never_finish_are_held_within_a_bound() {
    let mut packets: Packets = (10..16).flat_map(|sender| (0..8).flat_map(move |number| parts(sender, number, 17))).collect();
    packets.extend(reads(SECOND));
    packets.push((5 * SECOND, udp((8, 9), (9, 9), &[1])));
    let mut engine = Engine::new(Identity::default(), 0, Settings::default());
    let mut most = 0;
    for (ts, data) in &packets {
        engine.packet(&Packet { ts: *ts, link: LinkType::ETHERNET, original_length: data.len() as u32, data });
        most = most.max(engine.bytes_held());
    }
    assert!(most < 60_000_000, "{most}");
    engine.finish();
    let batches = engine.take_batches();
    assert_eq!(numbers(&batches), 5);
    assert!(violations(&batches).contains(&"message_unfinished".to_owned()));
}

/// What an engine tells of these packets when so much time has gone by, and nothing has ended.
fn after(packets: &Packets, wait: i64) -> Vec<Batch> {
    let mut engine = Engine::new(Identity::default(), 0, Settings::default());
    for (ts, data) in packets {
        engine.packet(&Packet { ts: *ts, link: LinkType::ETHERNET, original_length: data.len() as u32, data });
    }
    let latest = engine.latest();
    (0..=wait / SECOND).for_each(|second| engine.advance(latest + second * SECOND));
    engine.cut();
    engine.take_batches()
}

#[test]
fn a_data_set_message_whose_rest_does_not_come_is_given_up() {
    let kinds = |wait| lab::rows(&after(&parts(1, 1, 2), wait), "pubsub", |batch, row| word(batch, "pubsub.message_type", row));
    assert_eq!(kinds(9 * SECOND), [""; 0]);
    assert_eq!(kinds(16 * SECOND), ["chunk"]);
}

#[test]
fn a_message_whose_next_chunk_does_not_come_is_given_up() {
    let mut talk = opened(48_010, SECOND);
    // Something that is waited for much longer.
    talk.ask(ACK, &message(1, 1, &publish(1, 1, 1, 0.0)[0]));
    talk.ask(ACK, &chunk(b'C', 2, 2, &read(&["Tank.Level"])));
    let kinds = |wait| violations(&after(&talk.packets, wait));
    assert_eq!(kinds(59 * SECOND), [""; 0]);
    assert_eq!(kinds(66 * SECOND), ["message_unfinished"]);
}

#[test]
fn a_message_is_not_called_unfinished_when_its_connection_ends_or_bytes_were_lost() {
    let mut ended = opened(48_010, SECOND);
    ended.ask(ACK, &chunk(b'C', 1, 1, &read(&["Tank.Level"])));
    let mut lost = opened(48_011, ended.ts);
    ended.close();
    lost.ask(ACK, &chunk(b'C', 1, 1, &read(&["Tank.Level"])));
    lost.client += 500;
    (0..50).for_each(|number| lost.call(10 + number, &[read(&["Tank.Level"]), values(&[1.0])]));
    let packets = [ended.packets, lost.packets].concat();
    assert_eq!(violations(&after(&packets, 100 * SECOND)), [""; 0]);
}

/// Most bytes that an engine held while it took these packets in.
fn most_held(packets: &Packets) -> usize {
    let mut engine = Engine::new(Identity::default(), 0, Settings::default());
    for (ts, data) in packets {
        engine.packet(&Packet { ts: *ts, link: LinkType::ETHERNET, original_length: data.len() as u32, data });
    }
    engine.bytes_held()
}

#[test]
fn a_connection_keeps_nothing_of_a_long_request_that_was_answered() {
    let mut packets = Packets::new();
    for at in 0..50 {
        let mut talk = opened(48_010 + at, SECOND);
        let mut ask = read(&["Tank.Level"]);
        ask.resize(127 * 1024, 0);
        message(1, 1, &ask).chunks(1_400).for_each(|part| talk.ask(ACK, part));
        talk.answer(ACK, &message(1, 1, &values(&[1.0])));
        packets.extend(talk.packets);
    }
    let few = opened(48_100, SECOND).packets;
    let held = most_held(&packets) - most_held(&few);
    assert!(held < 50 * 16_384, "{held}");
}

#[test]
fn a_connection_whose_opening_waits_keeps_what_its_certificate_says_and_not_the_certificate() {
    let (mut packets, mut empty) = (Packets::new(), Packets::new());
    for at in 0..50 {
        let mut talk = opened(48_010 + at, SECOND);
        let mut body = [0; 4].to_vec();
        body.extend(text("http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256"));
        body.extend(text(&"0".repeat(127 * 1024)));
        body.extend([0xff; 36]);
        let head = [&b"OPNF"[..], &(body.len() as u32 + 8).to_le_bytes()].concat();
        empty.extend(talk.packets.clone());
        [head, body].concat().chunks(1_400).for_each(|part| talk.ask(ACK, part));
        packets.extend(talk.packets);
    }
    let held = most_held(&packets) - most_held(&empty);
    assert!((50 * 200..50 * 4_096).contains(&held), "{held}");
}
