//! Packets made by hand, and the rows that the engine makes of them.

#![allow(dead_code, reason = "each test file uses its own part")]

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{Array, RecordBatch};
use wire::engine::{Engine, Settings};
use wire::packet::{LinkType, Packet};
use wire::record::{Batch, Identity};
use wire::transport::Limits;

pub mod modbus;
pub mod opcua;
pub mod pubsub;

pub const MILLISECOND: i64 = 1_000_000;
pub const SECOND: i64 = 1_000_000_000;
pub const CLIENT: (u8, u16) = (1, 40_000);
pub const SERVER: (u8, u16) = (2, 502);
pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const ACK: u8 = 0x10;

/// A frame: Ethernet, IPv4, TCP.
pub fn tcp(from: (u8, u16), to: (u8, u16), flags: u8, sequence: u32, acknowledgment: u32, payload: &[u8]) -> Vec<u8> {
    let mut segment = Vec::new();
    segment.extend(from.1.to_be_bytes());
    segment.extend(to.1.to_be_bytes());
    segment.extend(sequence.to_be_bytes());
    segment.extend(acknowledgment.to_be_bytes());
    segment.extend([0x50, flags, 0x20, 0, 0, 0, 0, 0]);
    segment.extend(payload);
    frame(from.0, to.0, 6, &segment)
}

pub fn udp(from: (u8, u16), to: (u8, u16), payload: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::new();
    datagram.extend(from.1.to_be_bytes());
    datagram.extend(to.1.to_be_bytes());
    datagram.extend((payload.len() as u16 + 8).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    frame(from.0, to.0, 17, &datagram)
}

pub fn frame(from: u8, to: u8, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from, 8, 0, 0x45, 0];
    frame.extend((payload.len() as u16 + 20).to_be_bytes());
    frame.extend([0, 1, 0x40, 0, 64, protocol, 0, 0, 10, 0, 0, from, 10, 0, 0, to]);
    frame.extend(payload);
    frame
}

/// A request to read `quantity` holding registers.
pub fn request(transaction: u16, quantity: u16) -> Vec<u8> {
    [&transaction.to_be_bytes()[..], &[0, 0, 0, 6, 1, 3, 0, 100], &quantity.to_be_bytes()].concat()
}

/// Its answer.
pub fn response(transaction: u16, quantity: u16) -> Vec<u8> {
    let count = quantity as u8 * 2;
    let mut bytes = [&transaction.to_be_bytes()[..], &[0, 0, 0, count + 3, 1, 3, count]].concat();
    bytes.extend((0..quantity).flat_map(|value| (value + transaction).to_be_bytes()));
    bytes
}

/// Both sides of a connection that is written down segment by segment.
pub struct Talk {
    pub packets: Vec<(i64, Vec<u8>)>,
    pub ts: i64,
    pub client: u32,
    pub server: u32,
    /// TCP port of the server.
    pub port: u16,
}

impl Talk {
    pub fn new(client: u32, server: u32) -> Self {
        Self { packets: Vec::new(), ts: SECOND, client, server, port: SERVER.1 }
    }

    /// With its three-way handshake.
    pub fn open(client: u32, server: u32) -> Self {
        let mut talk = Self::new(client, server);
        talk.ask(SYN, &[]);
        talk.answer(SYN | ACK, &[]);
        talk.ask(ACK, &[]);
        talk
    }

    pub fn add(&mut self, frame: Vec<u8>) {
        self.ts += MILLISECOND;
        self.packets.push((self.ts, frame));
    }

    pub fn ask(&mut self, flags: u8, payload: &[u8]) {
        let acknowledgment = if flags & ACK == 0 { 0 } else { self.server };
        self.add(tcp(CLIENT, (SERVER.0, self.port), flags, self.client, acknowledgment, payload));
        self.client = self.client.wrapping_add(payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0));
    }

    pub fn answer(&mut self, flags: u8, payload: &[u8]) {
        self.add(tcp((SERVER.0, self.port), CLIENT, flags, self.server, self.client, payload));
        self.server = self.server.wrapping_add(payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0));
    }

    pub fn poll(&mut self, transaction: u16, quantity: u16) {
        self.ask(ACK, &request(transaction, quantity));
        self.answer(ACK, &response(transaction, quantity));
    }

    pub fn close(&mut self) {
        self.ask(FIN | ACK, &[]);
        self.answer(FIN | ACK, &[]);
        self.ask(ACK, &[]);
    }
}

pub fn run_with(packets: &[(i64, Vec<u8>)], limits: Limits) -> Vec<Batch> {
    let mut engine = Engine::new(Identity::default(), 0, Settings { limits, version: "test", ..Settings::default() });
    for (ts, data) in packets {
        engine.packet(&Packet { ts: *ts, link: LinkType::ETHERNET, original_length: data.len() as u32, data });
    }
    engine.finish();
    engine.take_batches()
}

pub fn run(packets: &[(i64, Vec<u8>)]) -> Vec<Batch> {
    run_with(packets, Limits::default())
}

pub fn rows<T>(batches: &[Batch], table: &str, row: impl Fn(&RecordBatch, usize) -> T) -> Vec<T> {
    let batches = batches.iter().filter(|batch| batch.table == table);
    batches.flat_map(|batch| (0..batch.records.num_rows()).map(|at| row(&batch.records, at)).collect::<Vec<_>>()).collect()
}

pub fn word(batch: &RecordBatch, column: &str, row: usize) -> String {
    let column = batch.column_by_name(column).unwrap();
    if column.is_null(row) {
        return "null".into();
    }
    if let Some(words) = column.as_dictionary_opt::<UInt8Type>() {
        return words.values().as_string::<i32>().value(words.key(row).unwrap()).into();
    }
    if let Some(texts) = column.as_string_opt::<i32>() {
        return texts.value(row).into();
    }
    if let Some(flags) = column.as_boolean_opt() {
        return flags.value(row).to_string();
    }
    if let Some(numbers) = column.as_primitive_opt::<UInt16Type>() {
        return numbers.value(row).to_string();
    }
    if let Some(numbers) = column.as_primitive_opt::<UInt32Type>() {
        return numbers.value(row).to_string();
    }
    if let Some(numbers) = column.as_primitive_opt::<Float64Type>() {
        return numbers.value(row).to_string();
    }
    if let Some(lists) = column.as_list_opt::<i32>() {
        let values = lists.value(row);
        return format!("[{}]", values.as_string::<i32>().iter().map(Option::unwrap).collect::<Vec<_>>().join(", "));
    }
    let words = column.as_dictionary::<Int32Type>();
    words.values().as_string::<i32>().value(words.key(row).unwrap()).into()
}

/// (transaction, pairing) of each row of table `modbus`.
pub fn exchanges(batches: &[Batch]) -> Vec<(u16, String)> {
    rows(batches, "modbus", |batch, row| {
        let transactions = batch.column_by_name("modbus.transaction_id").unwrap().as_primitive::<UInt16Type>();
        (transactions.value(row), word(batch, "modbus.pairing", row))
    })
}

pub fn both(transactions: impl IntoIterator<Item = u16>) -> Vec<(u16, String)> {
    transactions.into_iter().map(|transaction| (transaction, "both".into())).collect()
}

/// State, application, gaps, retransmissions, bytes out and in of each last row of table `flow`.
pub fn flows(batches: &[Batch]) -> Vec<(String, String, u32, u32, u64, u64)> {
    let rows = rows(batches, "flow", |batch, row| {
        let number = |name| batch.column_by_name(name).unwrap().as_primitive::<UInt32Type>().value(row);
        let bytes = |name| batch.column_by_name(name).unwrap().as_primitive::<UInt64Type>().value(row);
        batch.column_by_name("flow.final").unwrap().as_boolean().value(row).then(|| {
            let (state, application) = (word(batch, "flow.state", row), word(batch, "network.application", row));
            (
                state,
                application,
                number("flow.gaps"),
                number("flow.retransmissions"),
                bytes("flow.bytes_out"),
                bytes("flow.bytes_in"),
            )
        })
    });
    rows.into_iter().flatten().collect()
}

pub fn states(batches: &[Batch]) -> Vec<String> {
    flows(batches).into_iter().map(|flow| flow.0).collect()
}

pub fn violations(batches: &[Batch]) -> Vec<String> {
    rows(batches, "violation", |batch, row| word(batch, "violation.kind", row))
}

pub fn drops(batches: &[Batch]) -> Vec<(String, u64)> {
    let last = batches.iter().rfind(|batch| batch.table == "sensor").unwrap();
    let lists = last.records.column_by_name("sensor.drops").unwrap().as_list::<i32>().clone();
    let list = lists.value(lists.len() - 1);
    let (names, counts) =
        (list.as_struct().column(0).as_string::<i32>().clone(), list.as_struct().column(1).as_primitive::<UInt64Type>().clone());
    (0..names.len()).map(|at| (names.value(at).to_owned(), counts.value(at))).collect()
}
