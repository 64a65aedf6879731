//! What conversations are named: below IP, by more than one message, and the server that a TLS client asks for.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails says so by panicking"
)]

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, UInt8Type, UInt64Type};
use arrow_array::{Array, RecordBatch};
use wire::engine::{Engine, Settings};
use wire::packet::{LinkType, Packet};
use wire::record::{Batch, Identity};
use wire::transport::Limits;

const SECOND: i64 = 1_000_000_000;
const CONTROLLER: [u8; 6] = [2, 0, 0, 0, 0, 1];
const DEVICE: [u8; 6] = [2, 0, 0, 0, 0, 2];
const GROUP: [u8; 6] = [0x01, 0x0c, 0xcd, 0x01, 0, 1];
const GOOSE: &[u8] = b"\x00\x01\x00\x0c\x00\x00\x00\x00\x61\x02\x80\x00";
const IDENTIFY: &[u8] = b"\xfe\xfe\x05\x00\x01\x00\x00\x01\x00\x01\x00\x04\xff\xff\x00\x00";
const CYCLIC: &[u8] = b"\x80\x00\x80\x80\x80\x80\x00\x00\x00\x00\x10\x00\x35\x00";

fn frame(from: [u8; 6], to: [u8; 6], ether_type: u16, payload: &[u8]) -> Vec<u8> {
    [&to[..], &from, &ether_type.to_be_bytes(), payload].concat()
}

/// IPv4 and TCP between ports 50000 and `port`; the client's address is 10.0.0.1.
fn segment(is_asked: bool, port: u16, flags: u8, numbers: (u32, u32), payload: &[u8]) -> Vec<u8> {
    let (ports, addresses) = if is_asked { ([50_000, port], [1, 2]) } else { ([port, 50_000], [2, 1]) };
    let mut ip = vec![0x45, 0];
    ip.extend((payload.len() as u16 + 40).to_be_bytes());
    ip.extend([0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, addresses[0], 10, 0, 0, addresses[1]]);
    ip.extend(ports.map(u16::to_be_bytes).concat());
    ip.extend(numbers.0.to_be_bytes());
    ip.extend(numbers.1.to_be_bytes());
    ip.extend([0x50, flags, 0x20, 0, 0, 0, 0, 0]);
    ip.extend(payload);
    frame(CONTROLLER, DEVICE, 0x0800, &ip)
}

/// What each side says in turn, the client first, behind a handshake.
fn dialogue(port: u16, lines: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut next = [100, 200];
    let mut frames = vec![segment(true, port, 0x02, (99, 0), &[]), segment(false, port, 0x12, (199, 100), &[])];
    frames.push(segment(true, port, 0x10, (100, 200), &[]));
    for (turn, line) in lines.iter().enumerate() {
        let side = turn % 2;
        frames.push(segment(side == 0, port, 0x18, (next[side], next[1 - side]), line));
        next[side] += line.len() as u32;
    }
    frames
}

fn run_within(limits: Limits, frames: &[Vec<u8>], step: i64) -> Vec<Batch> {
    let mut engine = Engine::new(Identity::default(), 0, Settings { limits, ..Settings::default() });
    for (ts, data) in (0..).step_by(step as usize).zip(frames) {
        engine.packet(&Packet { ts, link: LinkType::ETHERNET, original_length: data.len() as u32, data });
    }
    engine.finish();
    engine.take_batches()
}

fn run(frames: &[Vec<u8>]) -> Vec<Batch> {
    run_within(Limits::default(), frames, SECOND / 1_000)
}

/// A text of a row, empty where it is null.
fn text(records: &RecordBatch, column: &str, row: usize) -> String {
    let column = records.column_by_name(column).unwrap();
    if column.is_null(row) {
        return String::new();
    }
    let values = |values: &dyn Array, key: usize| values.as_string::<i32>().value(key).to_owned();
    match column.as_dictionary_opt::<UInt8Type>() {
        Some(words) => values(words.values(), usize::from(words.keys().value(row))),
        None => {
            let names = column.as_dictionary::<Int32Type>();
            values(names.values(), names.keys().value(row) as usize)
        }
    }
}

/// These columns of each row of table `flow`.
fn flows(batches: &[Batch], columns: &[&str]) -> Vec<Vec<String>> {
    let batches = batches.iter().filter(|batch| batch.table == "flow");
    let rows = batches.flat_map(|batch| (0..batch.records.num_rows()).map(|row| (&batch.records, row)));
    rows.map(|(records, row)| columns.iter().map(|column| text(records, column, row)).collect()).collect()
}

fn named(frames: &[Vec<u8>]) -> Vec<String> {
    flows(&run(frames), &["network.application"]).concat()
}

#[test]
fn frames_without_a_network_layer_are_conversations_of_their_hardware_addresses() {
    let frames = [
        frame(DEVICE, GROUP, 0x88b8, GOOSE),
        frame(DEVICE, CONTROLLER, 0x8892, CYCLIC),
        frame(CONTROLLER, DEVICE, 0x8892, CYCLIC),
        frame(CONTROLLER, DEVICE, 0x8892, IDENTIFY),
        frame(DEVICE, GROUP, 0x88b8, GOOSE),
    ];
    let batches = run(&frames);
    let columns = ["network.application", "network.transport", "client.mac", "server.mac", "client.ip", "flow.state"];
    let (controller, device, group) = ("02:00:00:00:00:01", "02:00:00:00:00:02", "01:0c:cd:01:00:01");
    assert_eq!(
        flows(&batches, &columns),
        [
            ["goose", "ethernet", device, group, "", "datagrams"],
            ["profinet_rt", "ethernet", device, controller, "", "datagrams"],
            ["profinet_dcp", "ethernet", controller, device, "", "datagrams"],
        ]
    );
    let flow = &batches.iter().find(|batch| batch.table == "flow").unwrap().records;
    let number = |column: &str, row| flow.column_by_name(column).unwrap().as_primitive::<UInt64Type>().value(row);
    assert_eq!([number("flow.packets_out", 0), number("flow.bytes_out", 0)], [2, 2 * GOOSE.len() as u64]);
    assert_eq!([number("flow.packets_out", 1), number("flow.packets_in", 1)], [1, 1]);
    assert!(flow.column_by_name("network.community_id").unwrap().is_null(0));
    assert!(flow.column_by_name("client.port").unwrap().is_null(0));
}

#[test]
fn frames_that_no_signature_knows_make_no_conversation_and_are_counted() {
    let batches = run(&[frame(DEVICE, GROUP, 0x88b8, &[0; 40]), frame(DEVICE, GROUP, 0x1234, GOOSE)]);
    assert!(flows(&batches, &["network.application"]).is_empty());
    let sensor = &batches.iter().find(|batch| batch.table == "sensor").unwrap().records;
    let drops = sensor.column_by_name("sensor.drops").unwrap().as_list::<i32>().value(0);
    assert_eq!(drops.as_struct().column(0).as_string::<i32>().value(0), "network_other");
    assert_eq!(drops.as_struct().column(1).as_primitive::<UInt64Type>().value(0), 2);
}

#[test]
fn a_conversation_of_frames_is_told_each_minute_and_at_its_end() {
    let frames: Vec<_> = (0..5).map(|_| frame(DEVICE, GROUP, 0x88b8, GOOSE)).collect();
    let batches = run_within(Limits::default(), &frames, 31 * SECOND);
    // At 62 s, at 124 s, and at the end.
    assert_eq!(flows(&batches, &["network.application"]).concat(), ["goose"; 3]);
}

#[test]
fn a_flood_of_hardware_addresses_stays_within_the_limit_of_conversations() {
    let frames: Vec<_> = (0..40).map(|number| frame([2, 0, 0, 0, 9, number], GROUP, 0x88b8, GOOSE)).collect();
    let batches = run_within(Limits { flows: 10, ..Limits::default() }, &frames, SECOND);
    assert_eq!(flows(&batches, &["network.application"]).len(), 40);
    let sensor = &batches.iter().rfind(|batch| batch.table == "sensor").unwrap().records;
    let lists = sensor.column_by_name("sensor.drops").unwrap().as_list::<i32>().clone();
    let drops = lists.value(lists.len() - 1);
    assert_eq!(drops.as_struct().column(0).as_string::<i32>().value(0), "flow_evicted");
    assert_eq!(drops.as_struct().column(1).as_primitive::<UInt64Type>().value(0), 30);
}

/// A client's hello that asks for this server.
fn hello(name: &[u8]) -> Vec<u8> {
    let list = [&[0, name.len() as u8 + 3, 0, 0, name.len() as u8][..], name].concat();
    let extensions = [&[0, 0, 0, list.len() as u8][..], &list].concat();
    let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 0x01, 1, 0, 0, extensions.len() as u8], &extensions].concat();
    [&[0x16, 3, 1, 0, body.len() as u8 + 4, 1, 0, 0, body.len() as u8][..], &body].concat()
}

#[test]
fn the_server_that_a_tls_client_asks_for_is_told_even_where_its_hello_comes_in_pieces() {
    let hello = hello(b"historian.example");
    let (first, rest) = hello.split_at(30);
    let columns = ["network.application", "tls.server_name"];
    let whole = dialogue(9_443, &[&hello, b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03"]);
    assert_eq!(flows(&run(&whole), &columns), [["tls", "historian.example"]]);
    let split = dialogue(9_443, &[first, b"", rest, b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03"]);
    assert_eq!(flows(&run(&split), &columns), [["tls", "historian.example"]]);
    // What never comes whole is TLS all the same.
    assert_eq!(flows(&run(&dialogue(9_443, &[first])), &columns), [["tls", ""]]);
}

#[test]
fn what_a_connection_to_a_transport_selector_carries_is_told_by_its_data() {
    let connect = b"\x03\x00\x00\x16\x11\xe0\x00\x00\x00\x01\x00\xc1\x02\x01\x00\xc2\x02\x01\x02\xc0\x01\x0a";
    let confirm = b"\x03\x00\x00\x16\x11\xd0\x00\x01\x00\x02\x00\xc0\x01\x0a\xc1\x02\x01\x00\xc2\x02\x01\x02";
    let plus = b"\x03\x00\x00\x1f\x02\xf0\x80\x72\x01\x00\x10\x31\x00\x00\x04\xca\x00\x00\x00\x01\x00\x00\x01\x20\x36\x00\x00\x01\x1d\x00\x04";
    // The connection alone: what its selector says, on this port.
    assert_eq!(named(&dialogue(102, &[connect, confirm])), ["s7comm"]);
    assert_eq!(named(&dialogue(102, &[connect, confirm, plus])), ["s7comm_plus"]);
    // MMS behind selectors that look like rack and slot, without a session.
    let initiate = b"\x03\x00\x00\x0d\x02\xf0\x80\xa8\x04\x80\x02\x00\x1f";
    assert_eq!(named(&dialogue(102, &[connect, confirm, initiate])), ["mms"]);
}

#[test]
fn what_is_only_possible_is_named_by_its_port_or_by_both_directions() {
    let (greeting, user) = (b"220 Welcome\r\n", b"USER plant\r\n");
    assert_eq!(named(&dialogue(21, &[b"", greeting])), ["ftp"]);
    assert_eq!(named(&dialogue(2_121, &[b"", greeting])), [""]);
    assert_eq!(named(&dialogue(2_121, &[b"", greeting, user])), ["ftp"]);
}

#[test]
fn a_client_s_own_port_names_nothing_where_its_opening_was_seen() {
    let unknown: &[u8] = b"\xaa\xbb\xcc\xdd\xee";
    let swapped: Vec<_> = dialogue(2_404, &[unknown]);
    assert_eq!(named(&swapped), ["iec104"]);
    // The same ports, opened from 2404.
    let frames = [segment(false, 2_404, 0x02, (9, 0), &[]), segment(true, 2_404, 0x12, (19, 10), &[])];
    let talk = [segment(false, 2_404, 0x10, (10, 20), &[]), segment(false, 2_404, 0x18, (10, 20), unknown)];
    assert_eq!(named(&[frames, talk].concat()), [""]);
}

/// Attribute, value and source of each row of table `device` that is about the party at this address; what its TCP stack shows is left out.
fn told(batches: &[Batch], ip: &str) -> Vec<Vec<String>> {
    let batches = batches.iter().filter(|batch| batch.table == "device");
    let rows = batches.flat_map(|batch| (0..batch.records.num_rows()).map(|row| (&batch.records, row)));
    let columns = ["device.attribute", "device.value", "device.source"];
    rows.filter(|(records, row)| text(records, "device.ip", *row) == ip)
        .map(|(records, row)| columns.iter().map(|column| text(records, column, row)).collect::<Vec<_>>())
        .filter(|row| row[2] != "tcp stack")
        .collect()
}

#[test]
fn what_a_server_says_of_itself_is_heard_behind_the_request_that_names_the_protocol() {
    let request = b"GET / HTTP/1.1\r\nHost: plc\r\n\r\n";
    let (head, rest) = b"HTTP/1.1 200 OK\r\nServer: Controller/2.1\r\nContent-Length: 0\r\n\r\n".split_at(30);
    let batches = run(&dialogue(8_080, &[request, head, b"", rest]));
    assert_eq!(told(&batches, "10.0.0.2"), [["product", "Controller/2.1", "http"]]);
    assert!(told(&batches, "10.0.0.1").is_empty());
}

#[test]
fn what_is_said_behind_a_hole_or_too_late_is_not_heard() {
    let request = b"GET / HTTP/1.1\r\nHost: plc\r\n\r\n";
    let answer = b"HTTP/1.1 200 OK\r\nServer: Controller/2.1\r\n\r\n";
    let mut frames = dialogue(8_080, &[request, b"X", b"", answer]);
    // The answer's first byte was not captured, and the client acknowledges it.
    frames.remove(4);
    frames.push(segment(true, 8_080, 0x10, (100 + request.len() as u32, 201 + answer.len() as u32), &[]));
    assert!(told(&run(&frames), "10.0.0.2").is_empty());
    let mut late: Vec<&[u8]> = vec![request, b"HTTP/1.1 200 OK\r\n"];
    late.extend([&b"y"[..], b"X-Other: 1\r\n"].repeat(40));
    late.extend([&b"y"[..], b"Server: Controller/2.1\r\n"]);
    assert!(told(&run(&dialogue(8_080, &late)), "10.0.0.2").is_empty());
    late.drain(2..82);
    assert_eq!(told(&run(&dialogue(8_080, &late)), "10.0.0.2").len(), 1);
}

#[test]
fn who_answers_for_an_address_is_a_fact_once() {
    let answer = [&b"\x00\x01\x08\x00\x06\x04\x00\x02"[..], &DEVICE, &[10, 0, 0, 2], &CONTROLLER, &[10, 0, 0, 1]].concat();
    let frames = vec![frame(DEVICE, CONTROLLER, 0x0806, &answer); 3];
    assert_eq!(told(&run(&frames), "10.0.0.2"), [["address", "10.0.0.2", "arp"]]);
}
