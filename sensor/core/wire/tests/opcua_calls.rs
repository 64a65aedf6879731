//! What the rows of calls tell beside their operands: parts that a server refused, conditions, secrets that they do not tell.

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

fn opened() -> Talk {
    let mut talk = Talk::new(1, 1);
    talk.port = 48_010;
    talk.ask(lab::SYN, &[]);
    talk.answer(lab::SYN | ACK, &[]);
    talk.ask(ACK, &[]);
    talk.ask(ACK, &hello());
    talk.answer(ACK, &acknowledge());
    talk
}

fn words(batches: &[Batch], table: &str, names: &[&str]) -> Vec<String> {
    let row = |batch: &_, row| names.iter().map(|name| word(batch, name, row)).collect::<Vec<_>>().join(" | ");
    lab::rows(batches, table, row)
}

/// Rows of the operands of one exchange, with no violations.
fn items(exchanges: &[[Vec<u8>; 2]], names: &[&str]) -> Vec<String> {
    let mut talk = opened();
    for (number, exchange) in (1..).zip(exchanges) {
        talk.call(number, exchange);
    }
    let batches = run(&talk.packets);
    assert!(violations(&batches).is_empty(), "{:?}", violations(&batches));
    words(&batches, "opcua_item", names)
}

const NONE: [u8; 4] = [0xff; 4];

fn number(number: u32) -> [u8; 4] {
    number.to_le_bytes()
}

const BAD_NO_ENTRY: u32 = 0x80A0_0000;

#[test]
fn a_change_of_a_history_that_the_server_refused_in_part_is_told_as_refused() {
    let times = [&node("Tank.Level")[..], &number(2), &1_u64.to_le_bytes(), &2_u64.to_le_bytes()].concat();
    let ask = [&number(1)[..], &object(691, &times)].concat();
    let answer = [&number(1)[..], &number(0), &number(2), &number(0), &number(BAD_NO_ENTRY), &NONE, &NONE].concat();
    let names = ["opcua.node_id", "opcua.value", "opcua.status", "opcua.results"];
    let found = items(&[exchange((700, &ask), (703, &answer))], &names);
    assert_eq!(found, ["ns=2;s=Tank.Level | delete_at_time | BadNoEntryExists | [Good, BadNoEntryExists]"]);

    // Values have their own.
    let values = [&node("Tank.Level")[..], &number(1), &number(2), &value(1.5), &value(2.5)].concat();
    let ask = [&number(1)[..], &object(682, &values)].concat();
    let found = items(&[exchange((700, &ask), (703, &answer))], &["opcua.value", "opcua.status"]);
    assert_eq!(found, ["insert | BadNoEntryExists", "1.5 | Good", "2.5 | BadNoEntryExists"]);
}

#[test]
fn a_change_of_a_history_of_an_unknown_form_is_an_operand() {
    let xml = [&[1, 0][..], &681_u16.to_le_bytes(), &[2], &text("<x/>")].concat();
    let ask = [&number(1)[..], &xml].concat();
    let answer = [&number(1)[..], &number(0), &NONE, &NONE, &NONE].concat();
    let found = items(&[exchange((700, &ask), (703, &answer))], &["opcua.value", "opcua.arguments", "opcua.status"]);
    assert_eq!(found, ["other | [i=681 (4 bytes)] | Good"]);
}

#[test]
fn arguments_that_the_server_refused_are_told_by_their_number() {
    let ask = [&number(1)[..], &node("Tank"), &node("Tank.Fill"), &number(2), &[6, 5, 0, 0, 0, 1, 1]].concat();
    let refused = [&number(2)[..], &number(0x8074_0000), &number(0)].concat();
    let answer = [&number(1)[..], &number(0x80AB_0000), &refused, &NONE, &NONE, &NONE].concat();
    let names = ["opcua.node_id", "opcua.arguments", "opcua.value", "opcua.status"];
    let found = items(&[exchange((712, &ask), (715, &answer))], &names);
    assert_eq!(found, ["ns=2;s=Tank.Fill | [5, true] | argument 0 BadTypeMismatch | BadInvalidArgument"]);
}

#[test]
fn an_acknowledgement_that_the_server_refused_is_a_row() {
    let ask = [&number(2)[..], &number(5), &number(77), &number(5), &number(78)].concat();
    let results = [&number(2)[..], &number(0), &number(0x807A_0000), &NONE].concat();
    let answer = [&number(5)[..], &NONE, &[0], &number(1), &[0; 8], &number(0), &results].concat();
    let names = ["opcua.subscription_id", "opcua.value", "opcua.status"];
    let found = items(&[exchange((826, &ask), (829, &answer))], &names);
    assert_eq!(found, ["5 | acknowledge 78 | BadSequenceNumberUnknown"]);
}

#[test]
fn continuation_points_that_are_let_go_have_no_results() {
    let ask = [&[1][..], &number(1), &text("abcd")].concat();
    let browse = exchange((533, &ask), (536, &[number(0), number(0)].concat()));
    assert_eq!(items(&[browse], &["opcua.kind", "opcua.value", "opcua.status"]), ["browse | release | null"]);
    let details = object(649, &[&[0][..], &[0; 16], &number(0), &[0]].concat());
    let ask = [&details[..], &number(3), &[1], &number(1), &node("Tank.Level"), &NONE, &[0, 0], &NONE, &text("ab")].concat();
    let read = exchange((664, &ask), (667, &[number(0), number(0)].concat()));
    assert_eq!(items(&[read], &["opcua.node_id", "opcua.value"]), ["ns=2;s=Tank.Level | release"]);
}

#[test]
fn subscriptions_and_items_tell_how_often_and_on_what() {
    let times = [&100.0_f64.to_le_bytes()[..], &number(1_000), &number(10), &number(0), &[1, 7]].concat();
    let given = [&number(9)[..], &100.0_f64.to_le_bytes(), &number(1_000), &number(10)].concat();
    let names = ["opcua.service", "opcua.subscription_id", "opcua.value", "opcua.status"];
    let found = items(&[exchange((787, &times), (790, &given))], &names);
    assert_eq!(found, ["CreateSubscription | 9 | enabled every 100 ms lifetime 1000 keep-alive 10 priority 7 | Good"]);

    let filter = object(724, &[&number(1)[..], &number(1), &0.5_f64.to_le_bytes()].concat());
    let parameters = [&number(33)[..], &250.0_f64.to_le_bytes(), &filter, &number(4), &[1]].concat();
    let read = [&node("Tank.Level")[..], &number(13), &NONE, &[0, 0], &NONE].concat();
    let ask = [&number(9)[..], &number(2), &number(1), &read, &number(2), &parameters].concat();
    let made = [&number(0)[..], &number(133), &250.0_f64.to_le_bytes(), &number(4), &[0, 0, 0]].concat();
    let answer = [&number(1)[..], &made, &NONE].concat();
    let found = items(&[exchange((751, &ask), (754, &answer))], &["opcua.node_id", "opcua.value", "opcua.status"]);
    assert_eq!(found, ["ns=2;s=Tank.Level | reporting every 250 ms queue 4 on value deadband 0.5 | Good"]);
}

#[test]
fn queries_tell_the_types_that_they_look_for_and_cancels_what_they_cancel() {
    let kind = [&node("PumpType")[..], &[1], &number(0)].concat();
    let ask = [&[0, 0][..], &[0; 8], &number(0), &number(1), &kind, &number(0), &number(10), &number(0)].concat();
    let answer = [&number(0)[..], &NONE, &number(1), &number(0x80C8_0000), &NONE, &NONE, &NONE, &NONE, &NONE].concat();
    let found = items(&[exchange((615, &ask), (618, &answer))], &["opcua.kind", "opcua.node_id", "opcua.value", "opcua.status"]);
    assert_eq!(found, ["query | ns=2;s=PumpType | type with subtypes values 0 | BadNotTypeDefinition"]);

    let mut talk = opened();
    talk.call(1, &exchange((479, &number(1_234)), (482, &number(1))));
    let calls = words(&run(&talk.packets), "opcua", &["opcua.service", "opcua.reason"]);
    assert_eq!(calls[2..], ["Cancel | cancel request handle 1234: 1 cancelled"]);
}

#[test]
fn a_node_that_is_added_is_told_with_its_value() {
    let common = [&number(1 << 21)[..], &[0], &[0], &number(0), &number(0)].concat();
    let variable = [&[11][..], &4.5_f64.to_le_bytes(), &[0, 11], &number(u32::MAX), &NONE, &[3, 3], &[0; 8], &[0]].concat();
    let attributes = object(357, &[common, variable].concat());
    let name = [&[2, 0][..], &text("Limit")].concat();
    let add = [&node("Tank")[..], &[0, 47], &node("Tank.Limit"), &name, &number(2), &attributes, &[0, 63]].concat();
    let answer = [&number(1)[..], &number(0), &node("Tank.Limit"), &NONE].concat();
    let names = ["opcua.node_id", "opcua.attribute", "opcua.data_type", "opcua.value", "opcua.number", "opcua.status"];
    let found = items(&[exchange((488, &[&number(1)[..], &add].concat()), (491, &answer))], &names);
    assert_eq!(found, ["ns=2;s=Tank.Limit | Value | Double | 4.5 | 4.5 | Good"]);
}

/// A call of a method with these arguments, and its results.
fn call(method: &[u8], inputs: &[Vec<u8>], outputs: &[Vec<u8>]) -> [Vec<u8>; 2] {
    let list = |values: &[Vec<u8>]| [&number(values.len() as u32)[..], &values.concat()].concat();
    let ask = [&number(1)[..], &node("Directory"), method, &list(inputs)].concat();
    let answer = [&number(1)[..], &number(0), &NONE, &NONE, &list(outputs), &NONE].concat();
    exchange((712, &ask), (715, &answer))
}

fn string(value: &str) -> Vec<u8> {
    [&[12][..], &text(value)].concat()
}

fn bytes(value: &str) -> Vec<u8> {
    [&[15][..], &text(value)].concat()
}

/// A Variant with an array of no strings, of no ByteStrings.
const STRINGS: [u8; 5] = [0x8c, 0, 0, 0, 0];
const BYTE_STRINGS: [u8; 5] = [0x8f, 0, 0, 0, 0];

fn told(exchanges: &[[Vec<u8>; 2]]) -> String {
    items(exchanges, &["opcua.name", "opcua.arguments", "opcua.results"]).join("; ")
}

#[test]
fn keys_and_passwords_of_a_directory_stay_in_the_core_in_any_namespace() {
    let id = [&[17][..], &node("plc1")].concat();
    let asked = [id.clone(), id.clone(), id.clone(), string("CN=plc1"), STRINGS.to_vec(), string("PFX"), string("hunter2")];
    // Whatever the method is called: by the form of its arguments.
    let found = told(&[call(&node("x"), &asked, &[])]);
    assert!(found.contains("CN=plc1, [], PFX, (secret)]") && !found.contains("hunter2"), "{found}");
    // By its number, with fewer arguments; ns=2;i=163 is Directory's FinishRequest.
    let found = told(&[call(&[1, 2, 163, 0], &[], &[string("cert"), bytes("k3y")])]);
    assert_eq!(found, "null | [] | [cert, (secret)]");
    // By the form of its results.
    let found = told(&[call(&node("x"), &[], &[bytes("cert"), bytes("k3y")])]);
    assert_eq!(found, "null | [] | [0x63657274, (secret)]");
    let found = told(&[call(&node("x"), &[], &[bytes("cert"), bytes("k3y"), BYTE_STRINGS.to_vec()])]);
    assert_eq!(found, "null | [] | [0x63657274, (secret), []]");
    // By what the bytes are.
    let found = told(&[call(&node("x"), &[string("-----BEGIN PRIVATE KEY-----")], &[bytes("-----BEGIN EC PRIVATE KEY-----")])]);
    assert_eq!(found, "null | [(secret)] | [(secret)]");
    let found = told(&[call(&node("x"), &[string("open")], &[bytes("ok")])]);
    assert_eq!(found, "null | [open] | [0x6f6b]");
}

/// A reference to a child of a node by its browse name.
fn child(parent: &str, name: &str, target: &str) -> [Vec<u8>; 2] {
    let browse = [&node(parent)[..], &number(0), &[0, 46], &[1], &number(0), &number(63)].concat();
    let ask = [&[0, 0][..], &[0; 8], &number(0), &number(0), &number(1), &browse].concat();
    let found = [&[0, 46][..], &[1], &node(target), &[0, 0], &text(name), &[0], &number(2), &[0, 0]].concat();
    let result = [&number(0)[..], &NONE, &number(1), &found].concat();
    exchange((527, &ask), (530, &[&number(1)[..], &result, &NONE].concat()))
}

#[test]
fn a_password_is_known_by_the_name_that_its_method_gives_the_argument() {
    let argument = |name: &str| object(298, &[&text(name)[..], &[0, 12], &number(u32::MAX), &NONE, &[0]].concat());
    let arguments = [&[1, 0x96][..], &number(2), &argument("User"), &argument("NewPass_Word")].concat();
    let mut answer = response(634, 0);
    answer.extend([&number(1)[..], &arguments, &NONE].concat());
    let read = [read(&["SignIn.Arguments"]), answer];
    let called = call(&node("SignIn"), &[string("operator"), string("hunter2")], &[]);
    let found = told(&[child("SignIn", "InputArguments", "SignIn.Arguments"), read, called.clone()]);
    assert!(found.ends_with("[operator, (secret)] | []"), "{found}");
    // A method that has the name of a standard one.
    let found = told(&[child("Users", "AddUser", "SignIn"), called]);
    assert!(found.ends_with("AddUser | [operator, (secret)] | []"), "{found}");
}
