//! Packets made by hand through the whole engine: what conversations become, whatever happens to their segments.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails says so by panicking"
)]

mod lab;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use lab::*;
use proptest::prelude::*;
use wire::engine::{Engine, Settings};
use wire::packet::{LinkType, Packet};
use wire::record::{Batch, Identity};
use wire::transport::{Limits, Overlap};

#[test]
fn a_connection_becomes_its_exchanges_and_one_closed_flow() {
    let mut talk = Talk::open(1_000, 9_000);
    talk.poll(1, 10);
    talk.poll(2, 5);
    talk.close();
    let batches = run(&talk.packets);
    assert_eq!(exchanges(&batches), both([1, 2]));
    assert_eq!(flows(&batches), [("closed".into(), "modbus".into(), 0, 0, 24, 48)]);
    assert!(violations(&batches).is_empty());
    assert!(drops(&batches).is_empty());
}

#[test]
fn sequence_numbers_that_wrap_are_followed() {
    let mut talk = Talk::open(u32::MAX - 5, u32::MAX - 20);
    for transaction in 1..20 {
        talk.poll(transaction, 3);
    }
    let batches = run(&talk.packets);
    assert_eq!(exchanges(&batches), both(1..20));
    assert_eq!(flows(&batches), [("established".into(), "modbus".into(), 0, 0, 19 * 12, 19 * 15)]);
}

#[test]
fn both_sides_of_a_router_are_one_conversation_with_retransmissions() {
    let mut talk = Talk::open(1, 1);
    talk.poll(7, 4);
    let mut packets = Vec::new();
    for (ts, frame) in &talk.packets {
        let mut copy = frame.clone();
        copy[5] ^= 0x40;
        copy[11] ^= 0x40;
        packets.extend([(*ts, frame.clone()), (*ts + 1_000, copy)]);
    }
    let batches = run(&packets);
    assert_eq!(exchanges(&batches), both([7]));
    let [(state, _, gaps, retransmissions, out, back)] = flows(&batches).try_into().unwrap();
    // The SYN, its answer, request and response.
    assert_eq!((state.as_str(), gaps, retransmissions, out, back), ("established", 0, 4, 12, 17));
}

#[test]
fn a_response_captured_before_its_request_is_paired() {
    let mut talk = Talk::open(1, 1);
    talk.poll(1, 2);
    talk.poll(2, 2);
    let last = talk.packets.len();
    talk.packets.swap(last - 2, last - 1);
    assert_eq!(exchanges(&run(&talk.packets)), both([1, 2]));
}

#[test]
fn a_lost_request_is_a_gap_and_the_next_exchange_is_paired() {
    let mut talk = Talk::open(1, 1);
    for transaction in 1..6 {
        talk.poll(transaction, 2);
    }
    // The request of transaction 3.
    talk.packets.remove(3 + 2 * 2);
    let batches = run(&talk.packets);
    let mut found = exchanges(&batches);
    found.sort();
    assert_eq!(found, [(1, "both".into()), (2, "both".into()), (3, "response".into()), (4, "both".into()), (5, "both".into())]);
    assert_eq!(flows(&batches)[0].2, 1);
    assert_eq!(drops(&batches), [("stream_gap_bytes".into(), 12)]);
    assert!(violations(&batches).is_empty(), "{:?}", violations(&batches));
}

#[test]
fn behind_a_lost_answer_requests_that_waited_come_before_their_answers() {
    let mut talk = Talk::open(1, 1);
    for transaction in 1..6 {
        talk.poll(transaction, 2);
    }
    // The answers to transactions 2 and 4; the request of transaction 5 then waits for the latter until the end.
    talk.packets.remove(3 + 2 * 3 + 1);
    talk.packets.remove(3 + 2 + 1);
    let batches = run(&talk.packets);
    let mut found = exchanges(&batches);
    found.sort();
    assert_eq!(found, [(1, "both".into()), (2, "request".into()), (3, "both".into()), (4, "request".into()), (5, "both".into())]);
    assert_eq!(flows(&batches)[0].2, 2);
    assert_eq!(drops(&batches), [("stream_gap_bytes".into(), 2 * 13)]);
    assert!(violations(&batches).is_empty(), "{:?}", violations(&batches));
}

#[test]
fn one_direction_alone_gives_its_requests() {
    let mut talk = Talk::open(1, 1);
    for transaction in 1..4 {
        talk.poll(transaction, 2);
    }
    talk.packets.retain(|(_, frame)| frame[11] == CLIENT.0);
    let batches = run(&talk.packets);
    assert_eq!(exchanges(&batches), (1..4).map(|transaction| (transaction, "request".to_owned())).collect::<Vec<_>>());
    assert_eq!(states(&batches), ["one_sided"]);
}

#[test]
fn a_connection_joined_inside_a_message_is_found_at_the_next_one() {
    let mut talk = Talk::new(1, 1);
    talk.answer(ACK, &response(1, 20)[9..]);
    for transaction in 2..6 {
        talk.poll(transaction, 2);
    }
    let batches = run(&talk.packets);
    assert_eq!(exchanges(&batches), both(2..6));
    assert_eq!(states(&batches), ["midstream"]);
}

#[test]
fn modbus_is_found_on_any_port_and_others_on_502_are_named() {
    let mut talk = Talk::open(1, 1);
    talk.poll(1, 2);
    talk.poll(2, 2);
    for (_, frame) in &mut talk.packets {
        let at = if frame[11] == SERVER.0 { 34 } else { 36 };
        frame[at..at + 2].copy_from_slice(&10_502_u16.to_be_bytes());
    }
    assert_eq!(exchanges(&run(&talk.packets)), both([1, 2]));

    let mut talk = Talk::open(1, 1);
    talk.ask(ACK, b"GET / HTTP/1.1\r\nHost: plc\r\n\r\n");
    talk.answer(ACK, b"HTTP/1.1 200 OK\r\n\r\n");
    let batches = run(&talk.packets);
    assert_eq!(flows(&batches)[0].1, "http");
    assert_eq!(violations(&batches), ["foreign_protocol_on_502"]);
}

#[test]
fn a_port_that_is_used_again_starts_another_conversation() {
    let mut talk = Talk::open(1_000, 1_000);
    talk.poll(1, 2);
    talk.close();
    let mut again = Talk::open(500_000_000, 700_000_000);
    again.poll(1, 2);
    again.ask(RST, &[]);
    let packets: Vec<_> =
        talk.packets.into_iter().chain(again.packets.into_iter().map(|(ts, frame)| (ts + SECOND, frame))).collect();
    let batches = run(&packets);
    assert_eq!(states(&batches), ["closed", "reset"]);
    assert!(violations(&batches).is_empty());
    assert_eq!(exchanges(&batches), both([1, 1]));
}

#[test]
fn a_forged_syn_or_reset_does_not_end_a_conversation() {
    let mut talk = Talk::open(1_000, 1_000);
    talk.poll(1, 2);
    talk.add(tcp(CLIENT, SERVER, SYN, 99, 0, &[]));
    talk.add(tcp(SERVER, CLIENT, RST, 3_000_000_000, 0, &[]));
    talk.poll(2, 2);
    let batches = run(&talk.packets);
    assert_eq!(exchanges(&batches), both([1, 2]));
    assert_eq!(states(&batches), ["established"]);
    assert_eq!(drops(&batches), [("reset_out_of_window".into(), 1), ("syn_ignored".into(), 1)]);
}

#[test]
fn a_syn_that_the_server_takes_up_starts_another_conversation() {
    let mut talk = Talk::open(1_000, 1_000);
    talk.poll(1, 2);
    let mut again = Talk::open(77_000, 88_000);
    again.poll(9, 2);
    let packets: Vec<_> =
        talk.packets.into_iter().chain(again.packets.into_iter().map(|(ts, frame)| (ts + SECOND, frame))).collect();
    let batches = run(&packets);
    assert_eq!(states(&batches), ["established", "established"]);
    assert_eq!(exchanges(&batches), both([1, 9]));
    assert!(drops(&batches).is_empty());
}

#[test]
fn openings_are_told_apart() {
    let syn = |port| tcp((1, port), SERVER, SYN, 5, 0, &[]);
    let mut packets = vec![(SECOND, syn(1)), (SECOND, syn(2)), (SECOND, syn(3))];
    packets.push((SECOND + 1, tcp(SERVER, (1, 2), RST | ACK, 0, 6, &[])));
    packets.push((SECOND + 2, tcp(SERVER, (1, 3), SYN | ACK, 70, 6, &[])));
    packets.push((SECOND + 3, tcp((1, 3), SERVER, RST, 6, 0, &[])));
    assert_eq!(states(&run(&packets)), ["attempt", "refused", "half_open"]);
}

#[test]
fn a_keep_alive_is_no_contradiction_and_a_contradiction_is_told() {
    let mut talk = Talk::open(1_000, 1_000);
    talk.poll(1, 2);
    let (client, server) = (talk.client, talk.server);
    talk.add(tcp(CLIENT, SERVER, ACK, client - 1, server, b"\0"));
    talk.poll(2, 2);
    assert!(violations(&run(&talk.packets)).is_empty());
    // The same place again, with a write in it.
    let mut forged = request(2, 2);
    forged[7] = 6;
    talk.add(tcp(CLIENT, SERVER, ACK, client, server, &forged));
    let batches = run(&talk.packets);
    assert_eq!(violations(&batches), ["overlap_conflict"]);
    assert_eq!(exchanges(&batches), both([1, 2]));
}

#[test]
fn the_setting_says_which_of_two_readings_holds() {
    let mut talk = Talk::open(1_000, 1_000);
    talk.poll(1, 2);
    let (client, server) = (talk.client, talk.server);
    let (first, second) = (request(2, 2), request(3, 2));
    talk.add(tcp(CLIENT, SERVER, ACK, client + 1, server, &first[1..]));
    talk.add(tcp(CLIENT, SERVER, ACK, client + 1, server, &second[1..]));
    talk.add(tcp(CLIENT, SERVER, ACK, client, server, &first[..1]));
    for (overlap, transaction) in [(Overlap::First, 2), (Overlap::Last, 3)] {
        let batches = run_with(&talk.packets, Limits { overlap, ..Limits::default() });
        assert_eq!(exchanges(&batches), [(1, "both".into()), (transaction, "request".into())]);
        assert_eq!(violations(&batches), ["overlap_conflict"]);
    }
}

#[test]
fn too_much_out_of_order_is_a_gap_and_counted() {
    let mut talk = Talk::open(1_000, 1_000);
    talk.poll(1, 2);
    let (client, server) = (talk.client, talk.server);
    for index in 0..20_u16 {
        talk.add(tcp(CLIENT, SERVER, ACK, client + 12 + u32::from(index) * 12, server, &request(index + 3, 2)));
    }
    let batches = run_with(&talk.packets, Limits { direction_segments: 4, ..Limits::default() });
    assert_eq!(exchanges(&batches).len(), 21);
    assert_eq!(drops(&batches), [("stream_gap_bytes".into(), 12), ("stream_buffer_full".into(), 1)]);
}

/// Each sender lacks its first bytes, so that all that follows waits.
#[test]
fn a_conversation_holds_no_more_than_its_bound() {
    let mut talk = Talk::open(1_000, 1_000);
    talk.poll(1, 2);
    let (client, server) = (talk.client, talk.server);
    for index in 0..40_u16 {
        let place = u32::from(index) * 600;
        talk.add(tcp(CLIENT, SERVER, ACK, client + 12 + place, server, &request(index + 3, 2).repeat(50)));
        talk.add(tcp(SERVER, CLIENT, ACK, server + 13 + u32::from(index) * 650, client, &response(index + 3, 2).repeat(50)));
    }
    let held = |conversation_bytes| drops(&run_with(&talk.packets, Limits { conversation_bytes, ..Limits::default() }));
    let full =
        |drops: &[(String, u64)]| drops.iter().find(|(name, _)| name == "conversation_buffer_full").map(|(_, count)| *count);
    assert_eq!(full(&held(30_000)), Some(1));
    assert_eq!(full(&held(80_000)), None);
}

#[test]
fn bytes_after_the_end_are_told_once_in_each_direction() {
    let told = |talk: &Talk| violations(&run(&talk.packets));
    let closed = || {
        let mut talk = Talk::open(1_000, 1_000);
        talk.poll(1, 2);
        talk.close();
        talk
    };
    let mut talk = closed();
    talk.poll(2, 2);
    talk.poll(3, 2);
    assert_eq!(told(&talk), ["data_after_close", "data_after_close"]);
    assert_eq!(exchanges(&run(&talk.packets)), both([1]));

    let mut talk = Talk::open(1_000, 1_000);
    talk.poll(1, 2);
    talk.ask(RST | ACK, &[]);
    talk.ask(ACK, &request(2, 2));
    talk.ask(ACK, &request(3, 2));
    assert_eq!(told(&talk), ["data_after_close"]);
    // What was under way from the other side when the reset came is no violation.
    let mut talk = Talk::open(1_000, 1_000);
    talk.ask(ACK, &request(1, 2));
    talk.ask(RST | ACK, &[]);
    talk.answer(ACK, &response(1, 2));
    assert!(told(&talk).is_empty());
}

#[test]
fn what_comes_again_or_late_is_not_after_the_end() {
    let mut talk = Talk::open(1_000, 1_000);
    let (client, server) = (talk.client, talk.server);
    talk.poll(1, 2);
    // The next request is captured behind the end that follows it.
    talk.add(tcp(CLIENT, SERVER, FIN | ACK, talk.client + 12, talk.server, &[]));
    talk.ask(ACK, &request(2, 2));
    talk.answer(ACK, &response(2, 2));
    talk.answer(FIN | ACK, &[]);
    // All of it once more, and the end with bytes; a probe whether the other side is alive, with and without its byte.
    talk.add(tcp(CLIENT, SERVER, ACK, client, server, &request(1, 2)));
    talk.add(tcp(CLIENT, SERVER, FIN | ACK, client + 12, server + 13, &request(2, 2)));
    talk.add(tcp(SERVER, CLIENT, ACK, server, client + 12, &response(1, 2)));
    talk.add(tcp(CLIENT, SERVER, ACK, client + 24, talk.server, b"\0"));
    talk.add(tcp(CLIENT, SERVER, ACK, client + 24, talk.server, &[]));
    // The reset's sender had sent this before.
    talk.add(tcp(CLIENT, SERVER, RST, client + 25, 0, &[]));
    talk.add(tcp(CLIENT, SERVER, ACK, client + 12, server + 13, &request(2, 2)));
    let batches = run(&talk.packets);
    assert!(violations(&batches).is_empty(), "{:?}", violations(&batches));
    assert_eq!(exchanges(&batches), both([1, 2]));
}

#[test]
fn datagrams_are_exchanges_too() {
    let packets = [(SECOND, udp(CLIENT, SERVER, &request(1, 2))), (2 * SECOND, udp(SERVER, CLIENT, &response(1, 2)))];
    let batches = run(&packets);
    assert_eq!(exchanges(&batches), both([1]));
    assert_eq!(flows(&batches), [("datagrams".into(), "modbus".into(), 0, 0, 12, 13)]);
}

#[test]
fn a_full_table_gives_up_half_open_conversations_first() {
    let mut talk = Talk::open(1_000, 1_000);
    talk.poll(1, 2);
    for port in 1..200 {
        talk.add(tcp((9, port), SERVER, SYN, 5, 0, &[]));
    }
    talk.poll(2, 2);
    let batches = run_with(&talk.packets, Limits { flows: 8, ..Limits::default() });
    assert_eq!(exchanges(&batches), both([1, 2]));
    assert_eq!(drops(&batches), [("flow_evicted".into(), 192)]);
    assert_eq!(states(&batches).iter().filter(|state| *state == "established").count(), 1);
}

#[test]
fn open_connections_that_nobody_speaks_in_are_told_within_a_minute_and_go_on() {
    let mut engine = Engine::new(Identity::default(), 0, Settings::default());
    let mut told = |packets: &[(i64, Vec<u8>)], until: i64| {
        for (ts, frame) in packets {
            engine.packet(&Packet { ts: *ts, link: LinkType::ETHERNET, original_length: frame.len() as u32, data: frame });
        }
        engine.advance(until);
        engine.cut();
        rows(&engine.take_batches(), "flow", |batch, row| word(batch, "flow.state", row))
    };
    let mut talk = Talk::open(1_000, 9_000);
    let opened = std::mem::take(&mut talk.packets);
    let begun = opened[0].0;
    assert!(told(&opened, begun + 50 * SECOND).is_empty());
    assert_eq!(told(&[], begun + 63 * SECOND), ["established"]);
    assert!(told(&[], begun + 180 * SECOND).is_empty(), "told once");
    talk.poll(1, 10);
    for (ts, _) in &mut talk.packets {
        *ts = begun + 200 * SECOND;
    }
    talk.close();
    assert_eq!(told(&talk.packets, begun + 400 * SECOND), ["established", "closed"]);
}

#[test]
fn a_clock_that_jumps_years_ahead_and_back_ends_in_time() {
    let mut talk = Talk::open(1_000, 1_000);
    talk.poll(1, 2);
    let frame = tcp(CLIENT, SERVER, ACK, 1, 1, &[]);
    for ts in [i64::MAX, 0, i64::MIN, 5 * SECOND, i64::MAX - 1] {
        talk.packets.push((ts, frame.clone()));
    }
    let batches = run(&talk.packets);
    assert_eq!(exchanges(&batches), both([1]));
    assert!(rows(&batches, "sensor", |_, _| ()).len() < 10);
}

#[test]
fn values_are_told_each_minute_wherever_a_clock_is_set() {
    const DAY: i64 = 86_400 * SECOND;
    let mut talk = Talk::open(1_000, 1_000);
    // Half a minute later, a minute and a half later, a day and a half back, 500 days on.
    for ts in [DAY, DAY + 30 * SECOND, DAY + 90 * SECOND, 30 * SECOND, 500 * DAY, 500 * DAY + 1] {
        talk.ts = ts;
        talk.poll(7, 1);
    }
    let told = rows(&run(&talk.packets), "point", |batch, row| batch["ts"].as_primitive::<TimestampNanosecondType>().value(row));
    let days: Vec<_> = told.iter().map(|ts| ts / SECOND).collect();
    assert_eq!(days, [86_400, 86_490, 30, 500 * 86_400]);
}

#[test]
fn a_clock_that_is_set_back_while_nothing_comes_is_followed() {
    const DAY: i64 = 86_400_000_000_000;
    let mut engine = Engine::new(Identity::default(), 0, Settings::default());
    let rows = |engine: &mut Engine, from: i64| {
        for second in 0..=30 {
            engine.advance(from + second * 1_000_000_000);
        }
        engine.cut();
        let batches = engine.take_batches();
        batches.iter().filter(|batch| batch.table == "sensor").map(|batch| batch.records.num_rows()).sum::<usize>()
    };
    assert_eq!(rows(&mut engine, 10 * DAY), 3);
    // The first row at once, then one each ten seconds; the packet clock stays where it was.
    assert_eq!(rows(&mut engine, 9 * DAY), 4);
    assert_eq!(engine.clock(), 10 * DAY + 30_000_000_000);
    assert_eq!(rows(&mut engine, 400 * DAY), 4);
}

#[test]
fn many_messages_in_one_packet_never_overfill_a_batch() {
    let mut talk = Talk::open(1, 1);
    let burst: Vec<u8> = (0..5_000_u16).flat_map(|transaction| request(transaction, 1)).collect();
    for _ in 0..15 {
        talk.ask(ACK, &burst[..60_000]);
    }
    let batches = run(&talk.packets);
    assert_eq!(exchanges(&batches).len(), 75_000);
    assert!(batches.iter().all(|batch| batch.records.num_rows() <= wire::record::BATCH_ROWS));
    let sequences: Vec<u64> = batches.iter().map(|batch| batch.sequence).collect();
    assert_eq!(sequences, (0..batches.len() as u64).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn random_frames_do_no_harm(frames in prop::collection::vec((any::<i64>(), prop::collection::vec(any::<u8>(), 0..120), any::<bool>(), 0_u8..64), 1..40)) {
        let packets: Vec<_> = frames.into_iter().map(|(ts, bytes, is_tcp, flags)| {
            let frame = if is_tcp { tcp(CLIENT, SERVER, flags, ts as u32, (ts >> 32) as u32, &bytes) } else { bytes };
            (ts, frame)
        }).collect();
        let batches = run(&packets);
        prop_assert_eq!(batches.iter().map(|batch| batch.sequence).collect::<Vec<_>>(), (0..batches.len() as u64).collect::<Vec<_>>());
        // The same packets give the same bytes.
        let again = run(&packets);
        let bytes = |batches: &[Batch]| batches.iter().map(|batch| batch.ipc().unwrap()).collect::<Vec<_>>();
        prop_assert_eq!(bytes(&batches), bytes(&again));
    }
}
