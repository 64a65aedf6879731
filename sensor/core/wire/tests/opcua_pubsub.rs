//! PubSub through the whole engine: bytes written from OPC 10000-14 in, rows and points out.

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
use lab::opcua::text;
use lab::pubsub::*;
use lab::{MILLISECOND, drops, run, udp, violations, word};
use proptest::prelude::*;
use wire::record::Batch;

/// Datagrams of a publisher to the discovery port, a millisecond apart.
fn sent(messages: &[Vec<u8>]) -> Vec<Batch> {
    let packets = (1..).zip(messages).map(|(at, data)| (at * MILLISECOND, udp((1, 50_000), (2, 4_840), data)));
    run(&packets.collect::<Vec<_>>())
}

/// Type, writer, name and values of each row.
fn rows(batches: &[Batch]) -> Vec<(String, String, String, Vec<String>)> {
    lab::rows(batches, "pubsub", |batch, row| {
        let values = batch.column_by_name("pubsub.values").unwrap().as_list::<i32>();
        let values = if values.is_valid(row) {
            let texts = values.value(row);
            texts.as_string::<i32>().iter().map(|text| text.unwrap().to_owned()).collect()
        } else {
            Vec::new()
        };
        let [kind, writer, name] =
            ["pubsub.message_type", "pubsub.data_set_writer_id", "pubsub.name"].map(|name| word(batch, name, row));
        (kind, writer, name, values)
    })
}

fn row(kind: &str, writer: &str, name: &str, values: &[&str]) -> (String, String, String, Vec<String>) {
    (kind.into(), writer.into(), name.into(), values.iter().map(|value| (*value).to_owned()).collect())
}

fn points(batches: &[Batch]) -> Vec<(String, String, f64)> {
    lab::rows(batches, "point", |batch, row| {
        let number = batch.column_by_name("point.number").unwrap().as_primitive::<Float64Type>().value(row);
        (word(batch, "point.id", row), word(batch, "point.name", row), number)
    })
}

/// One data set message of writer 10 in a network message.
fn one(sequence: u16, set: &[u8]) -> Vec<u8> {
    DATA.message(&[&group(sequence), &writers(&[10]), set])
}

/// Header of a data set message with raw fields: valid, sequence number, major version 5.
const RAW: [u8; 7] = [0x2b, 1, 0, 5, 0, 0, 0];

#[test]
fn fields_have_the_names_that_were_announced() {
    let fields = [Field("Level", 11, (0, 11), -1, &[], 0), Field("Pump", 1, (0, 1), -1, &[], 0)];
    let key = [&[0x01, 2, 0, 11][..], &1.5_f64.to_le_bytes(), &[1, 1]].concat();
    let delta = [&[0x81, 1, 1, 0, 1, 0][..], &[1, 0]].concat();
    let announced = ANNOUNCEMENT.message(&[&metadata(10, &[], &[], &fields)]);
    let batches = sent(&[one(1, &key), announced, one(2, &key), one(3, &delta), one(4, &[0x81, 3])]);
    let expected = [
        row("key_frame", "10", "null", &["0=1.5", "1=true"]),
        row("discovery_response", "10", "Boiler", &["Level=Double", "Pump=Boolean"]),
        row("key_frame", "10", "Boiler", &["Level=1.5", "Pump=true"]),
        row("delta_frame", "10", "Boiler", &["Pump=false"]),
        row("keep_alive", "10", "null", &[]),
    ];
    assert_eq!(rows(&batches), expected);
    let found = points(&batches);
    let names: Vec<_> = found.iter().map(|(id, name, number)| (id.as_str(), name.as_str(), *number)).collect();
    assert_eq!(names, [("7/10/0", "null", 1.5), ("7/10/1", "null", 1.0), ("7/10/1", "Pump", 0.0)]);
    assert!(violations(&batches).is_empty(), "{:?}", violations(&batches));
    assert!(drops(&batches).iter().all(|(cause, count)| !cause.starts_with("pubsub") || *count == 0));
}

#[test]
fn raw_fields_are_read_by_the_metadata_that_was_announced() {
    let enumeration = enumeration(40, &["Off", "On"]);
    let structure = structure(50, 0, &[Field("X", 0, (0, 4), -1, &[], 0), Field("Note", 0, (0, 12), -1, &[], 5)]);
    let fields = [
        Field("Byte", 3, (0, 3), -1, &[], 0),
        Field("Float", 10, (0, 10), -1, &[], 0),
        Field("Text", 12, (0, 12), -1, &[], 8),
        Field("Array", 5, (0, 5), 1, &[4], 0),
        Field("Matrix", 6, (0, 6), 2, &[2, 1], 0),
        Field("Texts", 12, (0, 12), 1, &[2], 3),
        Field("State", 6, (1, 40), -1, &[], 0),
        Field("Point", 22, (1, 50), -1, &[], 0),
        Field("Duration", 11, (0, 290), -1, &[], 0),
    ];
    let mut set = RAW.to_vec();
    set.push(9);
    set.extend(2.5_f32.to_le_bytes());
    // A text of 3 of 8 bytes, an array of 2 of 4 elements, a whole matrix, one text of two.
    set.extend([&text("mix")[..], &[0; 5]].concat());
    set.extend([2, 0, 0, 0, 1, 0, 2, 0, 0, 0, 0, 0]);
    set.extend([2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0, 6, 0, 0, 0]);
    set.extend([&[1, 0, 0, 0][..], &text("ab"), &[0; 8]].concat());
    set.extend([1, 0, 0, 0]);
    set.extend([&[0xfe, 0xff][..], &text("go"), &[0; 3]].concat());
    set.extend(40.0_f64.to_le_bytes());
    let announced = ANNOUNCEMENT.message(&[&metadata(10, &[structure], &[enumeration], &fields)]);
    let mut other = set.clone();
    other[3] = 6;
    let batches = sent(&[one(1, &set), announced, one(2, &set), one(3, &other), one(4, &set[..20])]);
    let values = [
        "Byte=9",
        "Float=2.5",
        "Text=\"mix\"",
        "Array=[1, 2]",
        "Matrix=[5, 6]",
        "Texts=[\"ab\"]",
        "State=On (1)",
        "Point={X: -2, Note: \"go\"}",
        "Duration=40.0",
    ];
    let found = rows(&batches);
    assert_eq!(found[0], row("key_frame", "10", "null", &[]), "before the metadata");
    assert_eq!(found[2], row("key_frame", "10", "Boiler", &values));
    assert_eq!(found[3], row("key_frame", "10", "null", &[]), "of another version");
    assert_eq!(found[4], row("key_frame", "10", "null", &[]), "cut short");
    let numbers: Vec<_> = points(&batches).into_iter().map(|(_, name, number)| (name, number)).collect();
    assert_eq!(numbers, [("Byte".into(), 9.0), ("Float".into(), 2.5), ("Duration".into(), 40.0)]);
    assert!(drops(&batches).contains(&("pubsub_raw_fields".into(), 3)), "{:?}", drops(&batches));
    assert!(violations(&batches).is_empty(), "{:?}", violations(&batches));
}

#[test]
fn a_raw_text_that_is_longer_than_what_is_told_hides_nothing_behind_it() {
    // A text without a longest length, its end unknown until it is read, and two numbers around it.
    let fields = [
        Field("Level", 11, (0, 11), -1, &[], 0),
        Field("Name", 12, (0, 12), -1, &[], 0),
        Field("Names", 12, (0, 12), 1, &[], 0),
        Field("Speed", 11, (0, 11), -1, &[], 0),
    ];
    let announced = ANNOUNCEMENT.message(&[&metadata(10, &[], &[], &fields)]);
    let mut set = RAW.to_vec();
    set.extend(4.5_f64.to_le_bytes());
    set.extend(text(&"n".repeat(300)));
    set.extend([&[2, 0, 0, 0][..], &text(&"a".repeat(300)), &text("b")].concat());
    set.extend(7.5_f64.to_le_bytes());
    let mut short = set.clone();
    short.truncate(300);
    let batches = sent(&[announced, one(1, &set), one(2, &short)]);
    let found = rows(&batches);
    let fields = &found[1].3;
    assert_eq!((fields.len(), &*fields[0], &*fields[3]), (4, "Level=4.5", "Speed=7.5"));
    assert!(fields[1].starts_with("Name=\"nnn") && fields[1].ends_with('…') && fields[2].starts_with("Names=[\"aaa"));
    // Not all there.
    assert_eq!(found[2], row("key_frame", "10", "null", &[]));
    assert!(drops(&batches).contains(&("pubsub_raw_fields".into(), 1)), "{:?}", drops(&batches));
}

#[test]
fn a_chunked_message_is_put_together_in_any_order() {
    let long = "x".repeat(900);
    let set = [&[0x01, 1, 0, 12][..], &text(&long)].concat();
    let mut parts = chunks(77, &set, 300);
    parts.swap(0, 2);
    let mut messages: Vec<_> = parts.iter().map(|part| CHUNK.message(&[&group(1), &[10, 0], part])).collect();
    // A doubled datagram, and the first part of a message whose rest never comes.
    messages.insert(1, messages[0].clone());
    messages.push(CHUNK.message(&[&group(2), &[10, 0], &chunks(78, &set, 300)[0]]));
    // Beyond the end of its message.
    messages.push(CHUNK.message(&[&group(3), &[10, 0], &[1, 0, 9, 0, 0, 0, 10, 0, 0, 0, 1, 2]]));
    let batches = sent(&messages);
    let found = rows(&batches);
    let kinds: Vec<_> = found.iter().map(|(kind, ..)| kind.as_str()).collect();
    assert_eq!(kinds, ["key_frame", "chunk", "chunk"]);
    assert!(found[0].3[0].starts_with("0=xxx"));
    let sizes = lab::rows(&batches, "pubsub", |batch, row| {
        ["pubsub.chunks", "pubsub.bytes"].map(|name| batch.column_by_name(name).unwrap().as_primitive::<UInt32Type>().value(row))
    });
    assert_eq!(sizes[0], [5, set.len() as u32], "four parts, one of them twice");
    assert_eq!(violations(&batches), ["chunk_offset"]);
    assert!(drops(&batches).contains(&("pubsub_incomplete".into(), 1)));
}

#[test]
fn chunks_that_leave_the_length_of_their_data_out_are_put_together_too() {
    let set = [&[0x01, 1, 0, 12][..], &text(&"x".repeat(500))].concat();
    let bare = chunks(77, &set, 300).into_iter().map(|part| [&part[..10], &part[14..]].concat());
    let messages: Vec<_> = bare.map(|part| CHUNK.message(&[&group(1), &[10, 0], &part])).collect();
    let batches = sent(&messages);
    let found = rows(&batches);
    assert_eq!(found.iter().map(|(kind, ..)| kind.as_str()).collect::<Vec<_>>(), ["key_frame"]);
    assert!(found[0].3[0].starts_with("0=xxx"));
    assert!(violations(&batches).is_empty());
}

#[test]
fn announcements_in_chunks_are_understood_like_whole_ones() {
    let fields = [Field("Level", 11, (0, 11), -1, &[], 0)];
    let chunked = Network { flags: [0x90, 0x81, 0x09] };
    let mut messages: Vec<_> =
        chunks(1, &metadata(10, &[], &[], &fields), 40).iter().map(|part| chunked.message(&[part])).collect();
    messages.push(one(1, &[&RAW[..], &1.5_f64.to_le_bytes()].concat()));
    let batches = sent(&messages);
    let expected =
        [row("discovery_response", "10", "Boiler", &["Level=Double"]), row("key_frame", "10", "Boiler", &["Level=1.5"])];
    assert_eq!(rows(&batches), expected);
}

#[test]
fn writers_endpoints_and_probes_are_told() {
    // WriterGroup: name, enabled, mode, security group, no key services, size, no properties, id 3, intervals, priority, no locales, no layout,
    // no settings; one writer 10 of data set "Boiler".
    let mut group = vec![3, 2, 0, 1, 0, 0, 0, 10, 0];
    group.extend(text("Line"));
    group.extend([1, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xdc, 5, 0, 0, 0, 0, 0, 0, 3, 0]);
    group.extend([0; 16]);
    group.extend([1, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
    group.extend(text("Writer"));
    group.extend([1, 10, 0, 0x20, 0, 0, 0, 1, 0, 0, 0]);
    group.extend(text("Boiler"));
    group.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    group.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    let probe = PROBE.message(&[&[1, 2, 2, 0, 0, 0, 10, 0, 11, 0]]);
    let batches = sent(&[
        ANNOUNCEMENT.message(&[&group]),
        probe,
        PROBE.message(&[&[1, 1]]),
        ANNOUNCEMENT.message(&[&[1, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]]),
        ANNOUNCEMENT.message(&[&[6, 4, 0, 1, 2, 3]]),
    ]);
    let found = rows(&batches);
    assert_eq!(found[0], row("discovery_response", "10", "Line", &["10=Boiler"]));
    assert_eq!(found[1], row("discovery_request", "null", "null", &["10", "11"]));
    let about = lab::rows(&batches, "pubsub", |batch, row| word(batch, "pubsub.discovery", row));
    let expected =
        ["data_set_writer_configuration", "data_set_metadata", "publisher_endpoints", "publisher_endpoints", "action_responder"];
    assert_eq!(about, expected);
    assert!(violations(&batches).is_empty(), "{:?}", violations(&batches));
    assert!(drops(&batches).contains(&("pubsub_not_decoded".into(), 1)));
}

#[test]
fn headers_are_told_and_encryption_hides_the_rest() {
    // Group header, payload header, time stamp, picoseconds, promoted fields, security header.
    let full = Network { flags: [0xf0, 0xf1, 0x02] };
    let ticks = (116_444_736_000_000_000_i64 + 10_000_000).to_le_bytes();
    let promoted = [10, 0, 0, 0xd0, 0xc0, 3, 9];
    let security = |flags: u8| [&[flags, 5, 0, 0, 0, 8][..], &[1; 8]].concat();
    let header = |flags: u8| [&group(8)[..], &writers(&[10]), &ticks, &[1, 0], &[7, 0], &promoted, &security(flags)].concat();
    let set = [0x01, 1, 0, 3, 42];
    let encrypted = full.message(&[&header(3), &[0xa5; 40]]);
    let signed = full.message(&[&header(1), &set, &[9; 32]]);
    let action = Network { flags: [0x90, 0x81, 0x20] }.message(&[&[0; 12]]);
    let batches = sent(&[encrypted, signed, action]);
    let found = rows(&batches);
    assert_eq!(found[0], row("encrypted", "null", "null", &[]));
    assert_eq!(found[1], row("key_frame", "10", "null", &["0=42"]));
    assert_eq!(found[2], row("action", "null", "null", &[]));
    let headers = lab::rows(&batches, "pubsub", |batch, row| {
        let promoted = batch.column_by_name("pubsub.promoted").unwrap().as_list::<i32>();
        let promoted = if promoted.is_valid(row) {
            promoted.value(row).as_string::<i32>().iter().map(|text| text.unwrap().to_owned()).collect()
        } else {
            Vec::new()
        };
        (word(batch, "pubsub.security_mode", row), promoted.join(" "))
    });
    let promoted = "-6.5 9".to_owned();
    assert_eq!(headers[..2], [("sign_and_encrypt".into(), promoted.clone()), ("sign".into(), promoted)]);
    let token = |row: usize| {
        let tokens = lab::rows(&batches, "pubsub", |batch, row| {
            ["pubsub.security_token_id", "pubsub.group_version"].map(|name| {
                let column = batch.column_by_name(name).unwrap().as_primitive::<UInt32Type>();
                column.is_valid(row).then(|| column.value(row))
            })
        });
        tokens[row]
    };
    assert_eq!(token(0), [Some(5), Some(9)]);
}

#[test]
fn metadata_of_structures_in_structures_takes_no_time() {
    // Each of twenty structures has forty fields of the next one: sizes would multiply to 40 to the power of 20.
    let structures: Vec<_> = (0..20_u32)
        .map(|number| {
            let fields: Vec<_> = (0..40).map(|_| Field("F", 0, (1, 100 + 2 * (number + 1)), -1, &[], 0)).collect();
            structure(100 + 2 * number, 0, &fields)
        })
        .collect();
    let fields = [Field("Nested", 22, (1, 100), -1, &[], 0)];
    let announced = ANNOUNCEMENT.message(&[&metadata(10, &structures, &[], &fields)]);
    let batches = sent(&[announced, one(1, &[&RAW[..], &[0; 300]].concat())]);
    assert_eq!(rows(&batches).len(), 2);
}

proptest! {
    #[test]
    fn any_bytes_behind_the_flags_do_no_harm(flags in any::<[u8; 3]>(), rest in prop::collection::vec(any::<u8>(), 0..200)) {
        let message = Network { flags }.message(&[&rest]);
        let batches = sent(&[message.clone(), message]);
        prop_assert!(rows(&batches).len() <= 400);
    }

    #[test]
    fn a_message_in_chunks_of_any_size_says_the_same(size in 1_usize..50, name in "[a-z]{1,20}", number in any::<f64>()) {
        let fields = [Field(&name, 11, (0, 11), -1, &[], 0)];
        let set = [&RAW[..], &number.to_le_bytes()].concat();
        let announced = metadata(10, &[], &[], &fields);
        let whole = sent(&[ANNOUNCEMENT.message(&[&announced]), one(1, &set)]);
        let chunked = Network { flags: [0x90, 0x81, 0x09] };
        let mut parts: Vec<_> = chunks(1, &announced, size).iter().map(|part| chunked.message(&[part])).collect();
        parts.extend(chunks(2, &set, size).iter().map(|part| CHUNK.message(&[&group(1), &[10, 0], part])));
        prop_assert_eq!(rows(&sent(&parts)), rows(&whole));
    }
}
