//! Speed of OPC UA in the engine: packets in memory to record batches, without files and without writing Arrow.
//!
//! `cargo bench -p icsight-wire --bench opcua`

#![allow(
    dead_code,
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "shared with tests, which use more of it"
)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wire::engine::{Engine, Settings};
use wire::packet::{LinkType, Packet};
use wire::record::Identity;

#[path = "../tests/lab/mod.rs"]
mod lab;

use lab::opcua::{create_subscription, message, monitor, node, request, response};
use lab::{ACK, SYN, tcp};

/// Connections that are served in turn.
const CONNECTIONS: u16 = 50;
/// Rounds: a Read and a Publish of each connection.
const ROUNDS: u32 = 200;
/// Times of a value: 2026, in units of 100 ns since 1601.
const TICKS: u64 = 134_000_000_000_000_000;

/// A Double with the times of source and server.
fn value(number: f64, ticks: u64) -> Vec<u8> {
    [&[13, 11][..], &number.to_le_bytes(), &ticks.to_le_bytes(), &(ticks + 10_000).to_le_bytes()].concat()
}

fn name(connection: u16, at: u32) -> String {
    format!("Plant.Line{:02}.Tank{at:02}.Level", connection % 10)
}

fn read(connection: u16, nodes: u32) -> Vec<u8> {
    let mut bytes = request(631, connection + 1);
    bytes.extend([0; 12]);
    bytes.extend(nodes.to_le_bytes());
    for at in 0..nodes {
        bytes.extend(node(&name(connection, at)));
        bytes.extend([13, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    }
    bytes
}

/// A tenth of all values changes from round to round.
fn measured(round: u32, at: u32) -> f64 {
    20.5 + f64::from(at) * 3.25 + f64::from((round + at) / 10) * 0.125
}

fn values(round: u32, nodes: u32) -> Vec<u8> {
    let mut bytes = response(634, 0);
    bytes.extend(nodes.to_le_bytes());
    bytes.extend((0..nodes).flat_map(|at| value(measured(round, at), TICKS + u64::from(round) * 10_000_000)));
    bytes.extend([0xff; 4]);
    bytes
}

fn notifications(subscription: u32, round: u32, count: u32) -> Vec<u8> {
    let mut change = count.to_le_bytes().to_vec();
    for handle in 0..count {
        change.extend(handle.to_le_bytes());
        change.extend(value(measured(round, handle), TICKS + u64::from(round) * 10_000_000));
    }
    change.extend([0xff; 4]);
    let mut bytes = response(829, 0);
    bytes.extend(subscription.to_le_bytes());
    bytes.extend([0xff, 0xff, 0xff, 0xff, 0]);
    bytes.extend(round.to_le_bytes());
    bytes.extend([0; 8]);
    bytes.extend([1, 0, 0, 0, 1, 0, 0x2b, 3, 1]);
    bytes.extend((change.len() as u32).to_le_bytes());
    bytes.extend(change);
    bytes.extend([0xff; 8]);
    bytes
}

/// One connection as its packets are written.
struct Line {
    client: (u8, u16),
    asked: u32,
    answered: u32,
    message: u32,
}

impl Line {
    fn packet(&mut self, is_client: bool, flags: u8, payload: &[u8], packets: &mut Vec<Vec<u8>>) {
        let server = (1, 4_840);
        packets.push(if is_client {
            tcp(self.client, server, flags, self.asked, self.answered, payload)
        } else {
            tcp(server, self.client, flags, self.answered, self.asked, payload)
        });
        let next = if is_client { &mut self.asked } else { &mut self.answered };
        *next += payload.len() as u32 + u32::from(flags & SYN != 0);
    }

    fn call(&mut self, [ask, answer]: &[Vec<u8>; 2], packets: &mut Vec<Vec<u8>>) {
        self.message += 1;
        self.packet(true, ACK, &message(self.message, self.message, ask), packets);
        self.packet(false, ACK, &message(self.message, self.message, answer), packets);
    }
}

/// Sessions that read so many nodes, and hear of as many values, in turn.
pub fn packets(nodes: u32) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    let line = |at: u16| Line { client: (10 + at as u8, 40_000 + at), asked: 1, answered: 1, message: 0 };
    let mut lines: Vec<Line> = (0..CONNECTIONS).map(line).collect();
    for (at, line) in (0_u16..).zip(&mut lines) {
        line.packet(true, SYN, &[], &mut packets);
        line.packet(false, SYN | ACK, &[], &mut packets);
        line.packet(true, ACK, &lab::opcua::hello(), &mut packets);
        line.packet(false, ACK, &lab::opcua::acknowledge(), &mut packets);
        let subscription = u32::from(at) + 1;
        line.call(&create_subscription(at + 1, subscription), &mut packets);
        for handle in 0..nodes {
            line.call(&monitor(at + 1, subscription, &name(at, handle), handle), &mut packets);
        }
    }
    for round in 0..ROUNDS {
        for (at, line) in (0_u16..).zip(&mut lines) {
            line.call(&[read(at, nodes), values(round, nodes)], &mut packets);
            let mut publish = request(826, at + 1);
            publish.extend([0xff; 4]);
            line.call(&[publish, notifications(u32::from(at) + 1, round, nodes)], &mut packets);
        }
    }
    packets
}

/// Rows of all tables that these packets become.
pub fn run(packets: &[Vec<u8>]) -> usize {
    let mut engine = Engine::new(Identity::default(), 0, Settings::default());
    let mut rows = 0;
    for (ts, data) in (0_i64..).step_by(100_000).zip(packets) {
        let original_length = data.len() as u32;
        engine.packet(&Packet { ts, link: LinkType::ETHERNET, original_length, data });
        if engine.has_batches() {
            rows += engine.take_batches().iter().map(|batch| batch.records.num_rows()).sum::<usize>();
        }
    }
    engine.finish();
    rows + engine.take_batches().iter().map(|batch| batch.records.num_rows()).sum::<usize>()
}

fn reading(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("opcua");
    for nodes in [1, 10] {
        let packets = packets(nodes);
        group.throughput(Throughput::Elements(packets.len() as u64));
        group.bench_function(format!("{nodes} nodes"), |bencher| bencher.iter(|| black_box(run(&packets))));
    }
    group.finish();
}

criterion_group!(benches, reading);
criterion_main!(benches);
