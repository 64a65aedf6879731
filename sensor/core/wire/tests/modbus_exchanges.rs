//! What is written into Modbus messages is what stands in their rows: every public function, its exceptions, every carriage.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails says so by panicking"
)]

mod lab;

use lab::modbus::{Carriage, Exchange, Row, any_exchange, of_every_function, table};
use lab::{ACK, CLIENT, MILLISECOND, SECOND, SERVER, Talk, run, udp, violations};
use proptest::collection::vec;
use proptest::prelude::*;

/// Which halves of an exchange are on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Halves {
    Both,
    Request,
    Response,
}

fn carriages() -> impl Strategy<Value = Carriage> {
    prop_oneof![Just(Carriage::Tcp), Just(Carriage::Udp), Just(Carriage::RtuOverTcp)]
}

/// A conversation message by message.
struct Writer {
    carriage: Carriage,
    talk: Talk,
}

impl Writer {
    fn new(carriage: Carriage, port: u16, has_handshake: bool) -> Self {
        let mut talk =
            if has_handshake && carriage != Carriage::Udp { Talk::open(1_000, 9_000) } else { Talk::new(1_000, 9_000) };
        talk.port = port;
        for (_, frame) in &mut talk.packets {
            let at = if frame[11] == SERVER.0 { 34 } else { 36 };
            frame[at..at + 2].copy_from_slice(&port.to_be_bytes());
        }
        Self { carriage, talk }
    }

    /// Sends a message `wait` nanoseconds after the one before; returns when.
    fn send(&mut self, is_request: bool, wait: i64, bytes: &[u8]) -> i64 {
        self.talk.ts += wait;
        let server = (SERVER.0, self.talk.port);
        match (self.carriage, is_request) {
            (Carriage::Udp, true) => self.talk.add(udp(CLIENT, server, bytes)),
            (Carriage::Udp, false) => self.talk.add(udp(server, CLIENT, bytes)),
            (_, true) => self.talk.ask(ACK, bytes),
            (_, false) => self.talk.answer(ACK, bytes),
        }
        self.talk.ts
    }

    /// Sends an exchange, or half of one, and returns its row.
    fn exchange(&mut self, transaction: u16, unit: u8, exchange: &Exchange, halves: Halves, wait: i64) -> Row {
        let request = self.carriage.adu(transaction, unit, &exchange.request);
        let response = self.carriage.adu(transaction, unit, &exchange.response);
        let mut row = match halves {
            Halves::Both => Row { pairing: "both", ..exchange.whole.clone() },
            Halves::Request => Row { pairing: "request", ..exchange.asked.clone() },
            Halves::Response => Row { pairing: "response", ..exchange.answered.clone() },
        };
        row.transaction = (self.carriage != Carriage::RtuOverTcp).then_some(transaction);
        row.unit = unit;
        row.encapsulation = self.carriage.word();
        if halves != Halves::Response {
            row.ts = self.send(true, 0, &request);
            row.bytes += request.len() as u32;
        }
        if halves != Halves::Request {
            let ts = self.send(false, wait, &response);
            row.bytes += response.len() as u32;
            row.response_time = (halves == Halves::Both).then_some(ts - row.ts);
            if halves == Halves::Response {
                row.ts = ts;
            }
        }
        row
    }
}

fn check(
    carriage: Carriage,
    port: u16,
    first: u16,
    unit: u8,
    exchanges: &[(Exchange, i64)],
    is_last_silent: bool,
) -> Result<(), TestCaseError> {
    let mut writer = Writer::new(carriage, port, true);
    let mut expected = Vec::new();
    for (at, (exchange, wait)) in exchanges.iter().enumerate() {
        let halves = if is_last_silent && at + 1 == exchanges.len() { Halves::Request } else { Halves::Both };
        expected.push(writer.exchange(first.wrapping_add(at as u16), unit, exchange, halves, *wait));
    }
    let batches = run(&writer.talk.packets);
    prop_assert_eq!(violations(&batches), Vec::<String>::new());
    prop_assert_eq!(table(&batches), expected);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn what_is_encoded_is_what_the_rows_say(
        carriage in carriages(),
        on_own_port in any::<bool>(),
        first in any::<u16>(),
        unit in 1..=247_u8,
        exchanges in vec((any_exchange(of_every_function()), 0..SECOND), 1..12),
        is_last_silent in any::<bool>(),
    ) {
        // On another port one side alone is not enough to be sure, and a conversation of one unanswered request stays unnamed.
        let port = if on_own_port || exchanges.len() < 3 { 502 } else { 10_502 };
        check(carriage, port, first, unit, &exchanges, is_last_silent)?;
    }

    #[test]
    fn answers_whose_requests_were_not_captured_are_rows_of_their_own(
        carriage in prop_oneof![Just(Carriage::Tcp), Just(Carriage::Udp)],
        first in any::<u16>(),
        unit in 1..=255_u8,
        exchanges in vec(any_exchange(of_every_function()), 1..6),
    ) {
        let mut writer = Writer::new(carriage, 502, false);
        let mut expected = Vec::new();
        for (at, exchange) in exchanges.iter().enumerate() {
            expected.push(writer.exchange(first.wrapping_add(at as u16), unit, exchange, Halves::Response, MILLISECOND));
        }
        let batches = run(&writer.talk.packets);
        prop_assert_eq!(violations(&batches), Vec::<String>::new());
        prop_assert_eq!(table(&batches), expected);
    }
}

/// Each function in each carriage, whatever the dice of the properties above leave out.
#[test]
fn every_function_is_there_in_every_carriage() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for function in of_every_function() {
        for carriage in [Carriage::Tcp, Carriage::Udp, Carriage::RtuOverTcp] {
            for _ in 0..8 {
                let exchange = function.new_tree(&mut runner).unwrap().current();
                let refusals = [1, 2, 3, 4, 5, 6, 10, 11].map(|code| (exchange.clone().refused(code), MILLISECOND));
                let exchanges = [vec![(exchange, MILLISECOND)], refusals.to_vec()].concat();
                check(carriage, 502, 1, 17, &exchanges, false).unwrap();
            }
        }
    }
}

/// First bytes of a TLS record, of a COTP connection, of IEC 60870-5-104.
#[test]
fn a_transaction_identifier_that_looks_like_another_protocol_is_still_modbus() {
    let status = Exchange { request: vec![7], response: vec![7, 1], ..Exchange::plain(7) };
    let echo = [&[8, 0, 0], &[0; 217][..]].concat();
    let echo = Exchange { request: echo.clone(), response: echo, ..Exchange::plain(8) };
    let registers = [16, 0, 0, 0, 4, 8, 0, 1, 0, 2, 0, 3, 0, 4].to_vec();
    let registers = Exchange { request: registers, response: vec![16, 0, 0, 0, 4], ..Exchange::plain(16) };
    for (transaction, exchange) in [(0x1603, status), (0x0300, echo), (0x680e, registers)] {
        let mut writer = Writer::new(Carriage::Tcp, 502, true);
        writer.exchange(transaction, 1, &exchange, Halves::Both, MILLISECOND);
        let batches = run(&writer.talk.packets);
        assert_eq!(violations(&batches), Vec::<String>::new());
        assert_eq!(table(&batches).iter().map(|row| row.transaction).collect::<Vec<_>>(), [Some(transaction)]);
    }
}

/// The most common poll of all has zeros where a header with a protocol identifier has them.
#[test]
fn a_serial_poll_of_address_zero_is_not_taken_for_a_header() {
    let poll = Exchange { request: vec![3, 0, 0, 0, 10], response: [&[3, 20], &[0; 20][..]].concat(), ..Exchange::plain(3) };
    for port in [502, 10_502] {
        let mut writer = Writer::new(Carriage::RtuOverTcp, port, true);
        writer.exchange(0, 1, &poll, Halves::Both, MILLISECOND);
        let rows = table(&run(&writer.talk.packets));
        assert_eq!(rows.iter().map(|row| (row.encapsulation, row.quantity)).collect::<Vec<_>>(), [("rtu_over_tcp", Some(10))]);
    }
}
