//! Speed of the engine alone: packets in memory to record batches, without files and without writing Arrow.
//!
//! `cargo bench -p icsight-wire`

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wire::engine::{Engine, Settings};
use wire::packet::{LinkType, Packet};
use wire::record::Identity;

/// Connections that poll in turn.
const CONNECTIONS: u16 = 50;
/// Polls of each: a request, its response, and an acknowledgment.
const POLLS: u32 = 400;

fn frame(connection: u16, from_client: bool, numbers: (u32, u32), payload: &[u8]) -> Vec<u8> {
    let (client, server) = ([10, 0, 1, connection as u8], [10, 0, 2, 1]);
    let (client_port, server_port) = (40_000 + connection, 502_u16);
    let (addresses, ports) =
        if from_client { ([client, server], [client_port, server_port]) } else { ([server, client], [server_port, client_port]) };
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0];
    frame.extend((payload.len() as u16 + 40).to_be_bytes());
    frame.extend([0, 1, 0x40, 0, 64, 6, 0, 0]);
    frame.extend(addresses.concat());
    frame.extend(ports.map(u16::to_be_bytes).concat());
    frame.extend(numbers.0.to_be_bytes());
    frame.extend(numbers.1.to_be_bytes());
    frame.extend([0x50, 0x18, 0x20, 0, 0, 0, 0, 0]);
    frame.extend(payload);
    frame
}

/// Reads of thirty registers of which one changes at each poll.
fn packets() -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    for poll in 0..POLLS {
        let mut response = vec![0, poll as u8, 0, 0, 0, 63, 1, 3, 60, (poll >> 8) as u8, poll as u8];
        response.resize(69, 7);
        let request = [0, poll as u8, 0, 0, 0, 6, 1, 3, 0, 0, 0, 30];
        let (asked, answered) = (1 + poll * 12, 1 + poll * 69);
        for connection in 0..CONNECTIONS {
            packets.push(frame(connection, true, (asked, answered), &request));
            packets.push(frame(connection, false, (answered, asked + 12), &response));
            packets.push(frame(connection, true, (asked + 12, answered + 69), &[]));
        }
    }
    packets
}

fn polling(criterion: &mut Criterion) {
    let packets = packets();
    let mut group = criterion.benchmark_group("engine");
    group.throughput(Throughput::Elements(packets.len() as u64));
    group.bench_function("polling", |bencher| {
        bencher.iter(|| {
            let mut engine = Engine::new(Identity::default(), 0, Settings::default());
            for (ts, data) in (0_i64..).step_by(100_000).zip(&packets) {
                let original_length = data.len() as u32;
                engine.packet(&Packet { ts, link: LinkType::ETHERNET, original_length, data });
            }
            engine.finish();
            black_box(engine.take_batches().len())
        });
    });
    group.finish();
}

criterion_group!(benches, polling);
criterion_main!(benches);
