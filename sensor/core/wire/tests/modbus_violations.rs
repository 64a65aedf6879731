//! Each way to break Modbus makes its violation, with clause, what was expected and what was seen; what is just legal makes none.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails says so by panicking"
)]

mod lab;

use arrow_array::cast::AsArray;
use lab::modbus::Carriage;
use lab::{ACK, CLIENT, SERVER, Talk, rows, run, udp, word};
use wire::record::Batch;

/// Kind, clause and detail of each violation.
fn broken(batches: &[Batch]) -> Vec<(String, String, String)> {
    rows(batches, "violation", |batch, row| {
        let detail = batch.column_by_name("violation.detail").unwrap().as_string::<i32>().value(row).to_owned();
        (word(batch, "violation.kind", row), word(batch, "violation.clause", row), detail)
    })
}

/// A connection on port 502 whose first exchange is legal: what comes then is judged as Modbus.
fn begun(carriage: Carriage) -> Talk {
    let mut talk = Talk::open(1_000, 9_000);
    talk.ask(ACK, &carriage.adu(1, 1, &[3, 0, 0, 0, 1]));
    talk.answer(ACK, &carriage.adu(1, 1, &[3, 2, 0, 7]));
    talk
}

/// A message of one side: whether it asks, transaction, unit, protocol data unit.
type Message<'a> = (bool, u16, u8, &'a [u8]);

fn said(messages: &[Message<'_>]) -> Vec<(String, String, String)> {
    let mut talk = begun(Carriage::Tcp);
    for (is_request, transaction, unit, pdu) in messages {
        let message = Carriage::Tcp.adu(*transaction, *unit, pdu);
        if *is_request { talk.ask(ACK, &message) } else { talk.answer(ACK, &message) }
    }
    broken(&run(&talk.packets))
}

#[track_caller]
fn assert_one(found: &[(String, String, String)], kind: &str, clause: &str, expected: &str, seen: &str) {
    let [(found_kind, found_clause, detail)] = found else { panic!("expected one {kind}, found {found:?}") };
    assert_eq!((found_kind.as_str(), found_clause.as_str()), (kind, clause));
    assert_eq!(detail, &format!("expected {expected}, seen {seen}"));
}

#[track_caller]
fn assert_request(unit: u8, pdu: &[u8], kind: &str, clause: &str, expected: &str, seen: &str) {
    assert_one(&said(&[(true, 2, unit, pdu)]), kind, clause, expected, seen);
}

#[track_caller]
fn assert_legal(unit: u8, pdu: &[u8]) {
    assert_eq!(said(&[(true, 2, unit, pdu)]), []);
}

#[track_caller]
fn assert_response(request: &[u8], response: &[u8], kind: &str, clause: &str, expected: &str, seen: &str) {
    assert_one(&said(&[(true, 2, 1, request), (false, 2, 1, response)]), kind, clause, expected, seen);
}

#[track_caller]
fn assert_answered(request: &[u8], response: &[u8]) {
    assert_eq!(said(&[(true, 2, 1, request), (false, 2, 1, response)]), []);
}

fn pdu(code: u8, words: &[u16], tail: &[u8]) -> Vec<u8> {
    let words: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    [&[code], &words[..], tail].concat()
}

/// The same, with a byte count in front of what follows the words.
fn counted(code: u8, words: &[u16], tail: &[u8]) -> Vec<u8> {
    pdu(code, words, &[&[tail.len() as u8], tail].concat())
}

#[test]
fn function_codes() {
    let any = "a function code from 1 to 127";
    assert_request(1, &[0], "function_code_invalid", "MAP V1.1b3, 4.1", any, "0");
    assert_request(1, &[0x83, 1], "function_code_invalid", "MAP V1.1b3, 4.1", any, "131");
    let public = "a public or user-defined function code";
    for code in [9, 10, 13, 14, 18, 19, 25, 42, 44, 64, 73, 99, 111, 127] {
        assert_request(1, &[code], "function_code_reserved", "MAP V1.1b3, 5", public, &code.to_string());
    }
    for code in [65, 72, 100, 110] {
        assert_legal(1, &[code]);
    }
}

#[test]
fn broadcasts_that_read() {
    for request in [
        pdu(1, &[0, 1], &[]),
        pdu(2, &[0, 1], &[]),
        pdu(3, &[0, 1], &[]),
        pdu(4, &[0, 1], &[]),
        vec![7],
        vec![11],
        vec![12],
        vec![17],
    ] {
        let seen = format!("unit 0 with function {}", request[0]);
        assert_request(
            0,
            &request,
            "broadcast_read",
            "SERIAL V1.02, 2.1",
            "a unit from 1 to 255 with a function that reads",
            &seen,
        );
        assert_legal(1, &request);
    }
    assert_legal(0, &pdu(6, &[0, 1], &[]));
    assert_legal(0, &counted(16, &[0, 1], &[0, 1]));
}

#[test]
fn lengths_of_requests() {
    let cases: [(Vec<u8>, &str, &str); 8] = [
        (pdu(3, &[0, 1], &[0]), "MAP V1.1b3, 6.3", "5"),
        (pdu(3, &[0], &[]), "MAP V1.1b3, 6.3", "5"),
        (pdu(5, &[0], &[0xff]), "MAP V1.1b3, 6.5", "5"),
        (vec![7, 0], "MAP V1.1b3, 6.7", "1"),
        (pdu(16, &[0, 1], &[2, 0]), "MAP V1.1b3, 6.12", "8"),
        (pdu(22, &[0, 1], &[]), "MAP V1.1b3, 6.16", "7"),
        (pdu(24, &[0], &[0]), "MAP V1.1b3, 6.18", "3"),
        (vec![43, 14, 1], "MAP V1.1b3, 6.19", "4"),
    ];
    for (request, clause, length) in cases {
        let expected = format!("a protocol data unit of {length} bytes for function {}", request[0]);
        assert_request(1, &request, "request_length", clause, &expected, &request.len().to_string());
    }
}

#[test]
fn quantities() {
    for (code, most) in [(1, 2_000), (2, 2_000), (3, 125), (4, 125)] {
        let (clause, expected) = (format!("MAP V1.1b3, 6.{code}"), format!("a quantity from 1 to {most}"));
        for quantity in [0, most + 1] {
            assert_request(1, &pdu(code, &[0, quantity], &[]), "quantity_range", &clause, &expected, &quantity.to_string());
        }
        assert_legal(1, &pdu(code, &[0, 1], &[]));
        assert_legal(1, &pdu(code, &[0, most], &[]));
    }
    assert_legal(1, &counted(15, &[0, 1_968], &[0; 246]));
    assert_request(1, &counted(15, &[0, 0], &[]), "quantity_range", "MAP V1.1b3, 6.11", "a quantity from 1 to 1968", "0");
    assert_request(
        1,
        &counted(15, &[0, 1_969], &[0; 247]),
        "quantity_range",
        "MAP V1.1b3, 6.11",
        "a quantity from 1 to 1968",
        "1969",
    );
    assert_legal(1, &counted(16, &[0, 123], &[0; 246]));
    assert_request(1, &counted(16, &[0, 0], &[]), "quantity_range", "MAP V1.1b3, 6.12", "a quantity from 1 to 123", "0");
    let both = |read: u16, write: u16| counted(23, &[0, read, 0, write], &vec![0; usize::from(write) * 2]);
    assert_legal(1, &both(125, 121));
    assert_request(1, &both(126, 1), "quantity_range", "MAP V1.1b3, 6.17", "a quantity from 1 to 125", "126");
    assert_request(1, &both(0, 1), "quantity_range", "MAP V1.1b3, 6.17", "a quantity from 1 to 125", "0");
    assert_request(1, &both(1, 0), "quantity_range", "MAP V1.1b3, 6.17", "a quantity from 1 to 121", "0");
}

#[test]
fn addresses_that_end_behind_the_last_one() {
    let expected = "address and quantity to end at 65536 or before";
    for code in 1..=4 {
        let clause = format!("MAP V1.1b3, 6.{code}");
        assert_request(1, &pdu(code, &[65_535, 2], &[]), "address_range", &clause, expected, "65535 and 2");
        assert_legal(1, &pdu(code, &[65_535, 1], &[]));
        assert_legal(1, &pdu(code, &[65_534, 2], &[]));
    }
    assert_request(1, &counted(15, &[65_530, 7], &[0]), "address_range", "MAP V1.1b3, 6.11", expected, "65530 and 7");
    assert_request(1, &counted(16, &[65_535, 2], &[0; 4]), "address_range", "MAP V1.1b3, 6.12", expected, "65535 and 2");
    assert_request(1, &counted(23, &[65_535, 2, 0, 1], &[0; 2]), "address_range", "MAP V1.1b3, 6.17", expected, "65535 and 2");
    assert_request(1, &counted(23, &[0, 1, 65_535, 2], &[0; 4]), "address_range", "MAP V1.1b3, 6.17", expected, "65535 and 2");
    assert_legal(1, &counted(23, &[65_535, 1, 65_534, 2], &[0; 4]));
}

#[test]
fn byte_counts_that_do_not_fit_the_quantity() {
    let expected = |count: u8| format!("a byte count of {count} for the quantity");
    assert_request(1, &counted(15, &[0, 9], &[0]), "byte_count", "MAP V1.1b3, 6.11", &expected(2), "1");
    assert_request(1, &counted(16, &[0, 2], &[0; 3]), "byte_count", "MAP V1.1b3, 6.12", &expected(4), "3");
    assert_request(1, &counted(23, &[0, 1, 0, 2], &[0; 6]), "byte_count", "MAP V1.1b3, 6.17", &expected(4), "6");
    assert_legal(1, &counted(15, &[0, 9], &[0; 2]));
    assert_legal(1, &counted(16, &[0, 2], &[0; 4]));
}

#[test]
fn values_of_coils_and_of_diagnostics() {
    let coil = "0x0000 or 0xff00";
    assert_request(1, &pdu(5, &[0, 1], &[]), "coil_value", "MAP V1.1b3, 6.5", coil, "0x0001");
    assert_request(1, &pdu(5, &[0, 0xff01], &[]), "coil_value", "MAP V1.1b3, 6.5", coil, "0xff01");
    assert_legal(1, &pdu(5, &[0, 0xff00], &[]));
    let clause = "MAP V1.1b3, 6.8.1";
    let restart = "0x0000 or 0xff00 with sub-function 1";
    assert_request(1, &pdu(8, &[1, 1], &[]), "diagnostics_data", clause, restart, "0x0001");
    assert_request(1, &pdu(8, &[2, 1], &[]), "diagnostics_data", clause, "data 0 with sub-function 2", "0x0001");
    assert_request(1, &pdu(8, &[3, 1], &[]), "diagnostics_data", clause, "data 0 with sub-function 3", "0x0001");
    let functions = "sub-function 0 to 4, 10 to 18 or 20";
    for sub_function in [5, 9, 19, 21, 0xffff] {
        let request = pdu(8, &[sub_function, 0], &[]);
        assert_request(1, &request, "diagnostics_sub_function", clause, functions, &sub_function.to_string());
    }
    for legal in [[1, 0xff00], [3, 0x0a00], [4, 0], [10, 0], [18, 0], [20, 0]] {
        assert_legal(1, &pdu(8, &legal, &[]));
    }
    assert_legal(1, &pdu(8, &[0, 1, 2, 3], &[]));
}

#[test]
fn file_records() {
    let read = |reference: u8, file: u16, record: u16| counted(20, &[], &pdu(reference, &[file, record, 1], &[]));
    let clause = "MAP V1.1b3, 6.14";
    assert_request(1, &read(7, 1, 0), "file_reference_type", clause, "reference type 6", "7");
    assert_request(1, &read(6, 0, 0), "file_number", clause, "a file number from 1 to 65535", "0");
    assert_request(1, &read(6, 1, 10_000), "file_record_number", clause, "a record number from 0 to 9999", "10000");
    assert_legal(1, &read(6, 1, 0));
    assert_legal(1, &read(6, 65_535, 9_999));
    assert_request(1, &counted(20, &[], &[]), "byte_count", clause, "a byte count from 7 to 245", "0");
    assert_legal(1, &counted(20, &[], &pdu(6, &[1, 0, 1], &[]).repeat(35)));
    let odd = counted(20, &[], &pdu(6, &[1, 0, 1], &[0]));
    assert_request(1, &odd, "file_record_length", clause, "whole sub-requests of 7 bytes", "1 bytes left over");
    let write = |length: u16| counted(21, &[], &pdu(6, &[1, 0, length], &[0, 0]));
    assert_request(1, &write(2), "file_record_length", "MAP V1.1b3, 6.15", "4 bytes of record data", "2");
    assert_legal(1, &write(1));
}

#[test]
fn encapsulated_interfaces() {
    let code = "a read device ID code from 1 to 4";
    for wrong in [0, 5] {
        assert_request(1, &[43, 14, wrong, 0], "read_device_id_code", "MAP V1.1b3, 6.21", code, &wrong.to_string());
    }
    assert_request(1, &[43, 15, 0], "mei_type", "MAP V1.1b3, 6.19", "MEI type 13 or 14", "15");
    assert_legal(1, &[43, 14, 4, 0]);
    assert_legal(1, &[43, 13, 0]);
}

#[test]
fn lengths_and_quantities_of_answers() {
    let read = pdu(3, &[0, 2], &[]);
    let of = |length: &str, code: u8| format!("a protocol data unit of {length} bytes for function {code}");
    assert_response(&read, &[3, 4, 0, 1], "response_length", "MAP V1.1b3, 6.3", &of("6", 3), "4");
    assert_response(&read, &[3, 2, 0, 1], "response_quantity", "MAP V1.1b3, 6.3", "4 bytes for the quantity asked for", "2");
    assert_answered(&read, &[3, 4, 0, 1, 0, 2]);
    let coils = pdu(1, &[0, 9], &[]);
    assert_response(&coils, &[1, 1, 0], "response_quantity", "MAP V1.1b3, 6.1", "2 bytes for the quantity asked for", "1");
    assert_answered(&coils, &[1, 2, 0, 0]);
    let write = counted(16, &[7, 1], &[0, 1]);
    assert_response(&write, &pdu(16, &[7, 1], &[0]), "response_length", "MAP V1.1b3, 6.12", &of("5", 16), "6");
    assert_response(&read, &[0x83, 2, 0], "response_length", "MAP V1.1b3, 7", "an exception of 2 bytes", "3");
    let queue = |count: u16| pdu(24, &[count * 2 + 2, count], &vec![0; usize::from(count) * 2]);
    assert_response(&pdu(24, &[0], &[]), &queue(32), "quantity_range", "MAP V1.1b3, 6.18", "a FIFO count of at most 31", "32");
    assert_answered(&pdu(24, &[0], &[]), &queue(31));
    let both = counted(23, &[0, 2, 0, 1], &[0; 2]);
    assert_response(&both, &[23, 2, 0, 0], "response_quantity", "MAP V1.1b3, 6.17", "4 bytes for the quantity asked for", "2");
}

#[test]
fn answers_that_contradict_their_own_counts() {
    let queue = pdu(24, &[4, 2], &[0, 0]);
    assert_response(&pdu(24, &[0], &[]), &queue, "byte_count", "MAP V1.1b3, 6.18", "a byte count of 6 for the FIFO count", "4");
    assert_response(&[12], &[12, 4, 0, 0, 0, 0], "byte_count", "MAP V1.1b3, 6.10", "a byte count from 6 to 70", "4");
    assert_answered(&[12], &[12, 6, 0, 0, 0, 0, 0, 0]);
    assert_response(&[12], &counted(12, &[], &[0; 71]), "byte_count", "MAP V1.1b3, 6.10", "a byte count from 6 to 70", "71");
    let read = counted(20, &[], &pdu(6, &[1, 0, 1], &[]));
    let clause = "MAP V1.1b3, 6.14";
    assert_response(&read, &[20, 4, 3, 7, 0, 0], "file_reference_type", clause, "reference type 6", "7");
    assert_response(&read, &[20, 4, 5, 6, 0, 0], "file_record_length", clause, "4 bytes of record data", "2");
    assert_response(&read, &[20, 6, 5, 6, 0, 0, 0, 0], "response_quantity", clause, "records of 1 registers as asked for", "2");
    assert_response(
        &read,
        &counted(20, &[], &[3, 6, 0, 0].repeat(2)),
        "response_quantity",
        clause,
        "1 records as asked for",
        "2",
    );
    assert_answered(&read, &[20, 4, 3, 6, 0, 0]);
}

#[test]
fn answers_that_do_not_give_the_request_back() {
    for (request, response) in [
        (pdu(5, &[7, 0xff00], &[]), pdu(5, &[7, 0], &[])),
        (pdu(6, &[7, 1], &[]), pdu(6, &[8, 1], &[])),
        (counted(15, &[7, 1], &[1]), pdu(15, &[7, 2], &[])),
        (counted(16, &[7, 1], &[0, 1]), pdu(16, &[8, 1], &[])),
        (pdu(22, &[7, 1, 2], &[]), pdu(22, &[7, 1, 3], &[])),
        (pdu(8, &[0, 7], &[]), pdu(8, &[0, 8], &[])),
        (pdu(8, &[10, 0], &[]), pdu(8, &[11, 0], &[])),
        (counted(21, &[], &pdu(6, &[1, 0, 1], &[0, 0])), counted(21, &[], &pdu(6, &[1, 0, 1], &[0, 1]))),
        (vec![43, 14, 1, 0], vec![43, 14, 2, 1, 0, 0, 0]),
    ] {
        let found = said(&[(true, 2, 1, &request), (false, 2, 1, &response)]);
        let [(kind, clause, detail)] = &found[..] else { panic!("{request:02x?}: {found:?}") };
        assert_eq!(kind, "response_echo");
        assert!(clause.starts_with("MAP V1.1b3, 6."), "{clause}");
        assert!(detail.starts_with("expected the request's first ") && detail.ends_with(" bytes back, seen others"), "{detail}");
    }
    assert_answered(&pdu(8, &[0, 7], &[]), &pdu(8, &[0, 7], &[]));
    assert_answered(&pdu(8, &[11, 0], &[]), &pdu(8, &[11, 99], &[]));
    assert_answered(&[43, 14, 1, 0], &[43, 14, 1, 1, 0, 0, 0]);
}

#[test]
fn device_identification_answers() {
    let ask = [43, 14, 1, 0];
    let level = "a conformity level of 1 to 3 or 0x81 to 0x83";
    assert_response(&ask, &[43, 14, 1, 4, 0, 0, 0], "conformity_level", "MAP V1.1b3, 6.21", level, "0x04");
    assert_response(&ask, &[43, 14, 1, 0x80, 0, 0, 0], "conformity_level", "MAP V1.1b3, 6.21", level, "0x80");
    let more = "0x00 or 0xff for whether more follows";
    assert_response(&ask, &[43, 14, 1, 1, 1, 0, 0], "more_follows", "MAP V1.1b3, 6.21", more, "0x01");
    for legal in [[43, 14, 1, 1, 0, 0, 0], [43, 14, 1, 0x83, 0xff, 3, 0]] {
        assert_answered(&ask, &legal);
    }
}

#[test]
fn exceptions() {
    let read = pdu(3, &[0, 1], &[]);
    let codes = "an exception code of 1 to 6, 8, 10 or 11";
    for code in [0, 7, 9, 12, 255] {
        assert_response(&read, &[0x83, code], "exception_code", "MAP V1.1b3, 7", codes, &code.to_string());
    }
    for code in [1, 2, 3, 4, 5, 6, 10, 11] {
        assert_answered(&read, &[0x83, code]);
    }
    let parity = "a memory parity error for functions 20 and 21 only";
    assert_response(&read, &[0x83, 8], "exception_for_function", "MAP V1.1b3, 7", parity, "it for 3");
    assert_answered(&counted(20, &[], &pdu(6, &[1, 0, 1], &[])), &[0x94, 8]);
}

#[test]
fn answers_that_answer_something_else() {
    let read = pdu(3, &[0, 1], &[]);
    let answer = [3, 2, 0, 1];
    assert_response(&read, &[4, 2, 0, 1], "response_function", "MAP V1.1b3, 4.1", "an answer with function 3", "4");
    assert_response(&read, &[0x84, 2], "response_function", "MAP V1.1b3, 4.1", "an answer with function 3", "4");
    let other_unit = said(&[(true, 2, 1, &read), (false, 2, 2, &answer)]);
    assert_one(&other_unit, "response_unit", "GUIDE V1.0b, 4.4.2.2", "an answer of unit 1", "2");
    let unasked = said(&[(false, 9, 1, &answer)]);
    let expected = "an outstanding request with function 3 of unit 1";
    assert_one(&unasked, "response_without_request", "GUIDE V1.0b, 4.4.1.5", expected, "none");
}

#[test]
fn second_answers() {
    let read: Message<'_> = (true, 2, 1, &[3, 0, 0, 0, 1]);
    let (one, other): (Message<'_>, Message<'_>) = ((false, 2, 1, &[3, 2, 0, 1]), (false, 2, 1, &[3, 2, 0, 2]));
    let expected = "one answer to the request";
    assert_one(&said(&[read, one, one]), "second_response", "MAP V1.1b3, 4.1", expected, "the same answer again");
    assert_one(&said(&[read, one, other]), "second_response_differs", "MAP V1.1b3, 4.1", expected, "another answer again");
    assert_eq!(said(&[read, one, read, other]), []);
}

#[test]
fn transactions_that_are_used_again() {
    let (read, other): (Message<'_>, Message<'_>) = ((true, 2, 1, &[3, 0, 0, 0, 1]), (true, 2, 1, &[3, 0, 9, 0, 1]));
    let expected = "a transaction identifier that no outstanding request has";
    assert_one(&said(&[read, other]), "transaction_reused", "GUIDE V1.0b, 4.4.1.3", expected, "2 again with another request");
    assert_eq!(said(&[read, (false, 2, 1, &[3, 2, 0, 1]), other]), []);
    // Sent again as it was: a client without patience.
    assert_eq!(said(&[read, read]), []);
    assert_eq!(said(&[read, (true, 2, 7, &[3, 0, 9, 0, 1])]), []);
}

/// The violations of raw bytes that the client sends in a connection that is Modbus already.
fn raw(carriage: Carriage, bytes: &[u8]) -> Vec<(String, String, String)> {
    let mut talk = begun(carriage);
    talk.ask(ACK, bytes);
    broken(&run(&talk.packets))
}

#[test]
fn headers() {
    let tcp = |bytes: &[u8]| raw(Carriage::Tcp, bytes);
    let clause = "GUIDE V1.0b, 3.1.3";
    assert_one(&tcp(&[0, 2, 0, 0, 0, 1, 1]), "mbap_length", clause, "a length of at least 2", "1");
    assert_eq!(tcp(&[0, 2, 0, 0, 0, 2, 1, 7]), []);
    let too_long = [&[0, 2, 0, 0, 0, 255, 1, 65][..], &[0; 253]].concat();
    assert_one(&tcp(&too_long), "adu_length", "GUIDE V1.0b, 4.1; MAP V1.1b3, 4.1", "a length of at most 254", "255");
    assert_eq!(tcp(&[&[0, 2, 0, 0, 0, 254, 1, 65][..], &[0; 252]].concat()), []);
    assert_one(&tcp(&[0, 2, 0, 1, 0, 2, 1, 7]), "protocol_identifier", clause, "protocol identifier 0", "1");
    assert_one(&tcp(&[0, 2, 0xff, 0xff, 0, 2, 1, 7]), "protocol_identifier", clause, "protocol identifier 0", "65535");
}

#[test]
fn serial_frames() {
    let mut frame = Carriage::RtuOverTcp.adu(0, 1, &[3, 0, 0, 0, 1]);
    assert_eq!(raw(Carriage::RtuOverTcp, &frame), []);
    let right = u16::from_le_bytes([frame[6], frame[7]]);
    frame[6] ^= 1;
    let (expected, seen) = (format!("a check sequence of {right:#06x}"), format!("{:#06x}", right ^ 1));
    assert_one(&raw(Carriage::RtuOverTcp, &frame), "rtu_crc", "SERIAL V1.02, 2.5.1.2", &expected, &seen);
    // No prefix of so many bytes has a check sequence that holds.
    let endless = [&[1, 65][..], &[0x55; 298]].concat();
    let expected = "a frame whose check sequence holds";
    assert_one(&raw(Carriage::RtuOverTcp, &endless)[..1], "rtu_frame", "SERIAL V1.02, 2.5.1", expected, "none");
}

#[test]
fn datagrams() {
    let talk = |bytes: &[u8]| {
        let mut talk = Talk::new(1, 1);
        talk.add(udp(CLIENT, SERVER, &Carriage::Udp.adu(1, 1, &[3, 0, 0, 0, 1])));
        talk.add(udp(CLIENT, SERVER, bytes));
        broken(&run(&talk.packets))
    };
    let (clause, whole) = ("GUIDE V1.0b, 3.1.3", Carriage::Udp.adu(2, 1, &[3, 0, 0, 0, 1]));
    assert_eq!(talk(&whole), []);
    assert_one(&talk(&whole[..11]), "datagram_length", clause, "as many bytes as the header says", "11");
    let longer = [&whole[..], &[0]].concat();
    assert_one(&talk(&longer), "datagram_length", clause, "a datagram of 12 bytes as its header says", "13");
}

#[test]
fn other_protocols_on_its_port() {
    let told = |bytes: &[u8]| {
        let mut talk = Talk::open(1, 1);
        talk.ask(ACK, bytes);
        broken(&run(&talk.packets))
    };
    let (kind, clause) = ("foreign_protocol_on_502", "GUIDE V1.0b, 4.2.2");
    assert_one(&told(b"GET / HTTP/1.1\r\n\r\n"), kind, clause, "Modbus on port 502", "http");
    assert_one(&told(b"SSH-2.0-x\r\n"), kind, clause, "Modbus on port 502", "ssh");
    assert_one(&told(&[0xaa; 40]), kind, clause, "Modbus on port 502", "an unknown protocol");
    assert_eq!(told(&Carriage::Tcp.adu(1, 1, &[3, 0, 0, 0, 1])), []);
}
