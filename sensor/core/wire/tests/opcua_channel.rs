//! The connection protocol and secure channels through the whole engine: reverse connect, sequence numbers, limits, diagnostics, items that are
//! known from elsewhere.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails says so by panicking"
)]

mod lab;

use lab::opcua::*;
use lab::{ACK, Talk, run, violations, word};
use wire::record::Batch;

fn words(batches: &[Batch], table: &str, names: &[&str]) -> Vec<Vec<String>> {
    lab::rows(batches, table, |batch, row| names.iter().map(|name| word(batch, name, row)).collect())
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
fn values_are_told_each_minute_wherever_a_clock_is_set() {
    const DAY: i64 = 86_400 * lab::SECOND;
    let mut talk = opened();
    for (number, ts) in
        (1..).zip([DAY, DAY + 30 * lab::SECOND, DAY + 90 * lab::SECOND, 30 * lab::SECOND, 500 * DAY, 500 * DAY + 1])
    {
        talk.ts = ts;
        talk.call(number, &[read(&["A"]), values(&[1.5])]);
    }
    assert_eq!(words(&run(&talk.packets), "point", &["point.id"]), [["ns=2;s=A"]; 4]);
}

#[test]
fn a_server_that_connects_to_its_client_is_the_server() {
    let mut talk = connected();
    let mut reverse = b"RHEF\0\0\0\0".to_vec();
    reverse.extend([text("urn:plant:server"), text("opc.tcp://plant:4840")].concat());
    reverse[4] = reverse.len() as u8;
    talk.ask(ACK, &reverse);
    talk.answer(ACK, &hello());
    talk.ask(ACK, &acknowledge());
    talk.answer(ACK, &message(1, 1, &read(&["A"])));
    talk.ask(ACK, &message(1, 1, &values(&[1.5])));
    let batches = run(&talk.packets);
    let found = words(&batches, "opcua", &["opcua.message_type", "opcua.pairing", "server.ip", "opcua.application_uri"]);
    let row = |kind: &str, pairing: &str, uri: &str| vec![kind.to_owned(), pairing.into(), "10.0.0.1".into(), uri.into()];
    let expected = [
        row("reverse_hello", "response", "urn:plant:server"),
        row("hello", "request", "null"),
        row("acknowledge", "response", "null"),
        row("message", "both", "null"),
    ];
    assert_eq!(found, expected);
    assert_eq!(words(&batches, "opcua", &["opcua.endpoint_url"])[0], ["opc.tcp://plant:4840"]);
    assert!(violations(&batches).is_empty(), "{:?}", violations(&batches));
}

/// Reads with these sequence numbers on a channel under a policy; violations.
fn numbered(policy: &str, numbers: &[u32]) -> Vec<String> {
    let mut talk = opened();
    if policy != "None" {
        talk.ask(ACK, &open(policy));
        talk.answer(ACK, &open(policy));
    }
    let signature: &[u8] = if policy == "None" { &[] } else { &[9; 32] };
    for (request, number) in (1..).zip(numbers) {
        talk.ask(ACK, &message(*number, request, &[&read(&["A"])[..], signature].concat()));
        talk.answer(ACK, &message(request, request, &[&values(&[1.0])[..], signature].concat()));
    }
    let batches = run(&talk.packets);
    let inferred = words(&batches, "opcua", &["opcua.service", "opcua.inferred"]);
    assert!(inferred.contains(&vec!["Read".into(), "true".into()]), "{inferred:?}");
    violations(&batches)
}

#[test]
fn sequence_numbers_start_anew_where_the_policy_lets_them() {
    let max = u32::MAX;
    let wrong = ["sequence_number"];
    assert!(numbered("None", &[max - 1_000, 5]).is_empty());
    assert!(numbered("Basic256Sha256", &[max - 1_024, 1_023]).is_empty());
    assert_eq!(numbered("Basic256Sha256", &[max - 1_025, 1]), wrong);
    assert_eq!(numbered("Basic256Sha256", &[max - 10, 1_024]), wrong);
    assert!(numbered("ECC_nistP256", &[max - 1, max, 0, 1]).is_empty());
    assert_eq!(numbered("ECC_nistP256", &[max - 10, 1]), wrong);
    assert_eq!(numbered("None", &[7, 9]), wrong);
    assert_eq!(numbered("None", &[7, 7]), wrong);
}

#[test]
fn a_renewal_that_encryption_hides_takes_a_number_too() {
    let signed = |number: u32, body: &[u8]| message(number, number, &[body, &[9; 32]].concat());
    for (next, expected) in [(4, &[][..]), (5, &["sequence_number"][..])] {
        let mut talk = opened();
        talk.ask(ACK, &open("Basic256Sha256"));
        talk.answer(ACK, &open("Basic256Sha256"));
        talk.ask(ACK, &signed(2, &read(&["A"])));
        talk.answer(ACK, &signed(2, &values(&[1.0])));
        talk.ask(ACK, &open("Basic256Sha256"));
        talk.answer(ACK, &open("Basic256Sha256"));
        talk.ask(ACK, &signed(next, &read(&["A"])));
        talk.answer(ACK, &message(4, next, &[&values(&[1.0])[..], &[9; 32]].concat()));
        let batches = run(&talk.packets);
        assert_eq!(violations(&batches), expected);
        let openings = words(&batches, "opcua", &["opcua.message_type", "opcua.channel_request"]);
        assert_eq!(openings.iter().filter(|row| row[0] == "open" && row[1] == "renew").count(), 2);
    }
}

#[test]
fn what_a_receiver_does_not_take_is_told() {
    let mut talk = connected();
    talk.ask(ACK, &offer(b"HEL", [8_192, 8_192, 10_000, 2]));
    talk.answer(ACK, &offer(b"ACK", [8_192, 8_192, 0, 0]));
    let body = values(&vec![1.0; 900]);
    talk.ask(ACK, &message(1, 1, &read(&["A"])));
    talk.answer(ACK, &chunk(b'F', 1, 1, &body));
    talk.ask(ACK, &message(2, 2, &read(&["A"])));
    for (at, part) in (2..).zip([&body[..3_000], &body[3_000..6_000], &body[6_000..]]) {
        talk.answer(ACK, &chunk(if part.len() == 3_000 { b'C' } else { b'F' }, at, 2, part));
    }
    talk.ask(ACK, &message(3, 3, &read(&["A"])));
    let long = values(&vec![1.0; 1_100]);
    for (at, part) in (5..).zip([&long[..6_000], &long[6_000..]]) {
        talk.answer(ACK, &chunk(if part.len() == 6_000 { b'C' } else { b'F' }, at, 3, part));
    }
    let batches = run(&talk.packets);
    let found = words(&batches, "violation", &["violation.kind", "violation.clause"]);
    let of_protocol: Vec<_> = found.iter().filter(|row| row[0] != "result_count").map(|row| row.join(" ")).collect();
    let expected = ["chunk_size OPC 10000-6, 7.1.2.3", "chunk_count OPC 10000-6, 7.1.2.4", "message_size OPC 10000-6, 7.1.2.4"];
    assert_eq!(of_protocol, expected);
}

#[test]
fn more_chunks_than_a_receiver_takes_are_told_though_encryption_hides_them() {
    let mut talk = connected();
    talk.ask(ACK, &offer(b"HEL", [8_192, 8_192, 10_000, 2]));
    talk.answer(ACK, &offer(b"ACK", [8_192, 8_192, 0, 0]));
    talk.ask(ACK, &open("Basic256Sha256"));
    talk.answer(ACK, &open("Basic256Sha256"));
    for (request, parts) in [(0xa1b2_c3d4, &b"CF"[..]), (0x5e6f_7a8b, b"CCF")] {
        for part in parts {
            talk.answer(ACK, &chunk(*part, request, !request, &[0xa5; 512]));
        }
    }
    let batches = run(&talk.packets);
    assert_eq!(violations(&batches), ["chunk_count"]);
    let rows = words(&batches, "opcua", &["opcua.message_type", "opcua.encrypted", "opcua.chunks"]);
    assert_eq!(rows[rows.len() - 2..], [["message", "true", "2"], ["message", "true", "3"]]);
}

#[test]
fn an_encrypted_chunk_is_told_by_its_size_however_long() {
    let mut talk = opened();
    talk.ask(ACK, &open("Basic256Sha256"));
    talk.answer(ACK, &open("Basic256Sha256"));
    let long = chunk(b'F', 0xa1b2_c3d4, 0x5e6f_7a8b, &vec![0xa5; 300_000]);
    ask_all(&mut talk, &long);
    talk.ask(ACK, &chunk(b'F', 0x1234_5678, 0x9abc_def0, &[0x5a; 512]));
    let batches = run(&talk.packets);
    let rows = words(&batches, "opcua", &["opcua.encrypted", "opcua.chunks", "opcua.bytes"]);
    assert_eq!(rows[rows.len() - 2..], [["true", "1", "300024"], ["true", "1", "536"]]);
}

#[test]
fn an_acknowledgement_that_asks_for_more_than_the_hello_is_told() {
    let mut talk = connected();
    talk.ask(ACK, &offer(b"HEL", [8_192, 65_536, 0, 0]));
    talk.answer(ACK, &offer(b"ACK", [65_536, 8_193, 0, 0]));
    assert_eq!(violations(&run(&talk.packets)), ["buffer_size"]);
}

#[test]
fn small_buffers_are_for_policies_with_elliptic_curves() {
    let told = |hello: [u32; 4], answer: [u32; 4], policy: &str| {
        let mut talk = connected();
        talk.ask(ACK, &offer(b"HEL", hello));
        talk.answer(ACK, &offer(b"ACK", answer));
        talk.ask(ACK, &open(policy));
        let found = words(&run(&talk.packets), "violation", &["violation.kind", "violation.clause"]);
        found.into_iter().map(|row| row.join(" ")).collect::<Vec<_>>()
    };
    let small = [4_096, 4_096, 0, 0];
    assert!(told(small, small, "ECC_nistP256").is_empty());
    assert_eq!(told(small, small, "Basic256Sha256"), ["buffer_size OPC 10000-6, 7.1.2.3"; 2]);
    // Too small for anybody, whatever comes.
    let smallest = [1_023, 4_096, 0, 0];
    assert_eq!(
        told(smallest, [4_096, 1_023, 0, 0], "ECC_nistP256"),
        ["buffer_size OPC 10000-6, 7.1.2.3", "buffer_size OPC 10000-6, 7.1.2.4"]
    );
    // Who is offered enough has to take enough.
    let usual = [65_536, 65_536, 0, 0];
    assert_eq!(told(usual, [65_536, 8_191, 0, 0], "ECC_nistP256"), ["buffer_size OPC 10000-6, 7.1.2.4"]);
}

/// Sends what is longer than a segment.
fn ask_all(talk: &mut Talk, bytes: &[u8]) {
    bytes.chunks(1_400).for_each(|part| talk.ask(ACK, part));
}

#[test]
fn a_write_in_a_chunk_that_both_agreed_on_is_told_however_long() {
    let mut talk = connected();
    let most = [4 << 20, 4 << 20, 0, 0];
    talk.ask(ACK, &offer(b"HEL", most));
    talk.answer(ACK, &offer(b"ACK", most));
    for (number, length) in [(1, 200_000), (2, 1_000_000), (3, 2_000_000)] {
        let [ask, answer] = write_bytes("Recipe", length);
        ask_all(&mut talk, &message(number, number, &ask));
        talk.answer(ACK, &message(number, number, &answer));
    }
    talk.call(4, &[read(&["Tank.Level"]), values(&[4.5])]);
    let batches = run(&talk.packets);
    let items = words(&batches, "opcua_item", &["opcua.kind", "opcua.node_id", "opcua.data_type", "opcua.status"]);
    let items: Vec<_> = items.into_iter().map(|row| row.join(" ")).collect();
    let expected = [
        "write ns=2;s=Recipe ByteString Good",
        "write ns=2;s=Recipe ByteString Good",
        // Longer than what is kept of a chunk: where the value goes, not the value.
        "write ns=2;s=Recipe null Good",
        "read ns=2;s=Tank.Level Double Good",
    ];
    assert_eq!(items, expected);
    assert!(violations(&batches).is_empty(), "{:?}", violations(&batches));
    let drops = lab::drops(&batches);
    let left_out = drops.iter().find(|(name, _)| name == "opcua_long_chunk_bytes").map(|(_, bytes)| *bytes).unwrap();
    assert!((950_000..1_000_000).contains(&left_out), "{left_out}");
    let sizes = words(&batches, "opcua", &["opcua.service", "opcua.pairing", "opcua.chunks"]);
    assert_eq!(sizes[2..5].iter().map(|row| row.join(" ")).collect::<Vec<_>>(), ["Write both 2"; 3]);
}

#[test]
fn a_chunk_longer_than_its_receiver_takes_is_told_and_read() {
    let mut talk = opened();
    let [ask, answer] = write_bytes("Recipe", 200_000);
    ask_all(&mut talk, &message(1, 1, &ask));
    talk.answer(ACK, &message(1, 1, &answer));
    let batches = run(&talk.packets);
    let found = words(&batches, "violation", &["violation.kind", "violation.clause", "violation.detail"]);
    let detail = "expected a chunk of at most 65536 bytes as the receiver says, seen 200";
    assert!(
        found.len() == 1 && found[0][..2] == ["chunk_size", "OPC 10000-6, 7.1.2.3"] && found[0][2].starts_with(detail),
        "{found:?}"
    );
    let items = words(&batches, "opcua_item", &["opcua.node_id", "opcua.status"]);
    assert_eq!(items, [["ns=2;s=Recipe", "Good"]]);
}

#[test]
fn a_hole_inside_a_long_chunk_loses_what_is_in_it_and_nothing_behind() {
    let mut talk = opened();
    let most = [1 << 20, 1 << 20, 0, 0];
    let mut talk_open = connected();
    talk_open.ask(ACK, &offer(b"HEL", most));
    talk_open.answer(ACK, &offer(b"ACK", most));
    std::mem::swap(&mut talk, &mut talk_open);
    let [ask, answer] = write_bytes("Recipe", 200_000);
    let bytes = message(1, 1, &ask);
    ask_all(&mut talk, &bytes[..100_000]);
    talk.client += 50_000;
    ask_all(&mut talk, &bytes[150_000..]);
    // What is missing is no late segment any more.
    talk.ts += 2 * lab::SECOND;
    talk.answer(ACK, &message(1, 1, &answer));
    talk.call(2, &[read(&["Tank.Level"]), values(&[4.5])]);
    let batches = run(&talk.packets);
    let items = words(&batches, "opcua_item", &["opcua.node_id", "opcua.status"]);
    assert_eq!(items, [["ns=2;s=Recipe", "Good"], ["ns=2;s=Tank.Level", "Good"]]);
    assert!(violations(&batches).is_empty(), "{:?}", violations(&batches));
}

#[test]
fn an_answer_that_comes_late_is_told_with_its_node_and_breaks_no_rule() {
    let mut talk = opened();
    talk.ask(ACK, &message(1, 1, &read(&["Tank.Level"])));
    talk.ts += 70 * lab::SECOND;
    talk.call(2, &[read(&["Tank.Name"]), values(&[1.0])]);
    talk.ts += lab::SECOND;
    talk.answer(ACK, &message(3, 1, &values(&[3.5])));
    let batches = run(&talk.packets);
    let calls = words(&batches, "opcua", &["opcua.service", "opcua.pairing", "opcua.request_id", "opcua.chunks"]);
    let calls: Vec<_> = calls[2..].iter().map(|row| row.join(" ")).collect();
    assert_eq!(calls, ["Read request 1 1", "Read both 2 2", "Read response 1 1"]);
    let items = words(&batches, "opcua_item", &["opcua.node_id", "opcua.value"]);
    let expected = [["ns=2;s=Tank.Level", "null"], ["ns=2;s=Tank.Name", "1.0"], ["ns=2;s=Tank.Level", "3.5"]];
    assert_eq!(items, expected);
    assert!(violations(&batches).is_empty(), "{:?}", violations(&batches));
    // A second answer is one all the same.
    talk.answer(ACK, &message(4, 1, &values(&[3.5])));
    assert_eq!(violations(&run(&talk.packets)), ["response_without_request"]);
}

#[test]
fn a_client_that_waits_for_ever_is_waited_for() {
    let mut talk = opened();
    let mut ask = read(&["Tank.Level"]);
    let hint = request(631, 1).len() - 7;
    ask[hint..hint + 4].fill(0);
    talk.ask(ACK, &message(1, 1, &ask));
    // Others that wait no longer than a minute are given up meanwhile.
    talk.ask(ACK, &message(2, 2, &read(&["Tank.Name"])));
    for _ in 0..10 {
        talk.ts += 60 * lab::SECOND;
        talk.ask(ACK, &[]);
    }
    talk.answer(ACK, &message(1, 1, &values(&[3.5])));
    talk.ts += lab::SECOND;
    talk.answer(ACK, &message(2, 2, &values(&[1.5])));
    let batches = run(&talk.packets);
    let mut calls: Vec<_> = words(&batches, "opcua", &["opcua.request_id", "opcua.pairing"]).split_off(2);
    calls.sort();
    assert_eq!(calls, [["1", "both"], ["2", "request"], ["2", "response"]]);
    assert!(violations(&batches).is_empty(), "{:?}", violations(&batches));
}

#[test]
fn diagnostics_are_told_with_their_texts() {
    let mut answer = response(634, 0);
    answer.truncate(answer.len() - 8);
    // Of the service: text 1 of the table, and an inner status.
    answer.extend([0x24, 1, 0, 0, 0, 0, 0, 0x34, 0x80]);
    answer.extend([2, 0, 0, 0]);
    answer.extend([text("Odd"), text("no such tank")].concat());
    answer.extend([0, 0, 0]);
    // One bad value, and diagnostics of it: symbol 0, additional text, inner diagnostics with text 1.
    answer.extend([1, 0, 0, 0, 2, 0, 0, 0x34, 0x80]);
    answer.extend([1, 0, 0, 0, 0x51, 0, 0, 0, 0]);
    answer.extend(text("line 3"));
    answer.extend([0x04, 1, 0, 0, 0]);
    let mut talk = opened();
    talk.call(1, &[read(&["A"]), answer]);
    let batches = run(&talk.packets);
    let found = words(&batches, "opcua", &["opcua.reason", "opcua.status", "opcua.request_handle", "opcua.timeout_hint"]);
    let reason = "no such tank BadNodeIdUnknown; 0: Odd, line 3 < no such tank";
    assert_eq!(found[2], [reason, "Good", "9", "10000"]);
    assert_eq!(words(&batches, "opcua_item", &["opcua.status"]), [["BadNodeIdUnknown"]]);
    assert!(violations(&batches).is_empty(), "{:?}", violations(&batches));
}

#[test]
fn subscriptions_that_number_their_items_alike_are_told_apart() {
    let mut talk = opened();
    talk.call(1, &create_subscription(1, 5));
    talk.call(2, &create_subscription(1, 6));
    talk.call(3, &monitor(1, 5, "A", 33));
    talk.call(4, &monitor(1, 6, "B", 33));
    talk.call(5, &publish(1, 5, 33, 1.0));
    talk.call(6, &publish(1, 6, 33, 2.0));
    talk.call(7, &republish(1, 5, 33, 3.0));
    talk.call(8, &rename(1, 5, &[(133, 44)]));
    talk.call(9, &publish(1, 5, 44, 4.0));
    talk.call(10, &delete(1, 5, 133));
    talk.call(11, &publish(1, 5, 44, 5.0));
    let batches = run(&talk.packets);
    let found = words(&batches, "opcua_item", &["opcua.service", "opcua.node_id", "opcua.value", "opcua.client_handle"]);
    let found: Vec<_> = found.into_iter().filter(|row| row[0].contains("ublish")).map(|row| row.join(" ")).collect();
    let expected = [
        "Publish ns=2;s=A 1.0 33",
        "Publish ns=2;s=B 2.0 33",
        "Republish ns=2;s=A 3.0 33",
        "Publish ns=2;s=A 4.0 44",
        // Deleted: the handle alone.
        "Publish null 5.0 44",
    ];
    assert_eq!(found, expected);
    assert!(violations(&batches).is_empty(), "{:?}", violations(&batches));
}

#[test]
fn a_session_goes_on_over_another_channel() {
    let mut first = opened();
    first.call(1, &create_subscription(1, 5));
    first.call(2, &monitor(1, 5, "A", 33));
    first.close();
    let mut second = Talk::new(77, 77);
    (second.port, second.ts) = (48_010, first.ts);
    second.call(1, &activate(1));
    second.call(2, &publish(1, 5, 33, 2.5));
    let moved = second.packets.into_iter().map(|(ts, mut frame)| {
        let at = if frame[29] == lab::CLIENT.0 { 34 } else { 36 };
        frame[at + 1] = frame[at + 1].wrapping_add(1);
        (ts, frame)
    });
    let packets: Vec<_> = first.packets.into_iter().chain(moved).collect();
    let batches = run(&packets);
    let calls = words(&batches, "opcua", &["opcua.service", "opcua.session", "opcua.user_token"]);
    let of = |service: &str| calls.iter().find(|row| row[0] == service).unwrap();
    assert_eq!(of("ActivateSession")[2], "anonymous");
    assert_eq!(of("ActivateSession")[1], of("CreateMonitoredItems")[1]);
    let items = words(&batches, "opcua_item", &["opcua.kind", "opcua.node_id", "opcua.inferred"]);
    assert!(items.contains(&vec!["notify".into(), "ns=2;s=A".into(), "false".into()]), "{items:?}");
}

#[test]
fn a_value_says_that_others_were_lost_before_it() {
    let mut answer = response(634, 0);
    answer.extend([3, 0, 0, 0]);
    for status in [0x480_u32, 0x4000_0300 | 0x400, 0x8000_8000] {
        answer.extend([3, 3, 9]);
        answer.extend(status.to_le_bytes());
    }
    answer.extend([0xff; 4]);
    let mut talk = opened();
    talk.call(1, &[read(&["A", "B", "C"]), answer]);
    let batches = run(&talk.packets);
    let found: Vec<_> = words(&batches, "opcua_item", &["opcua.status"]).concat();
    assert_eq!(found, ["Good+Overflow", "Uncertain+Constant", "Bad+StructureChanged"]);
}
