//! Any bytes as two-sided TCP payloads on Modbus' port, in pieces that the bytes themselves choose.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::engine::{Engine, Settings};
use wire::packet::{LinkType, Packet};
use wire::record::Identity;
use wire::transport::Limits;

/// One of so many lengths of input has its batches encoded.
const ENCODED: usize = 16;

fn frame(forward: bool, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2; 12];
    frame.extend([0x08, 0x00, 0x45, 0]);
    frame.extend((40 + payload.len() as u16).to_be_bytes());
    frame.extend([0, 0, 0, 0, 64, 6, 0, 0]);
    let (source, target) = if forward { ([10, 0, 0, 1], [10, 0, 0, 2]) } else { ([10, 0, 0, 2], [10, 0, 0, 1]) };
    frame.extend(source);
    frame.extend(target);
    let (from, to): (u16, u16) = if forward { (40_000, 502) } else { (502, 40_000) };
    frame.extend(from.to_be_bytes());
    frame.extend(to.to_be_bytes());
    frame.extend(sequence.to_be_bytes());
    frame.extend([0, 0, 0, 0, 0x50, 0x18, 0x20, 0, 0, 0, 0, 0]);
    frame.extend(payload);
    frame
}

fuzz_target!(|data: &[u8]| {
    // Room for a few conversations is enough for one, and quick to make.
    let settings = Settings { version: "fuzz", limits: Limits { flows: 4, ..Limits::default() }, ..Settings::default() };
    let mut engine = Engine::new(Identity::default(), 0, settings);
    let mut sequences = [1_u32, 1];
    let (mut rest, mut ts) = (data, 0_i64);
    while let [control, length, behind @ ..] = rest {
        let forward = control & 1 == 0;
        let payload = &behind[..usize::from(*length).min(behind.len())];
        let sequence = &mut sequences[usize::from(forward)];
        // Now and then a hole, or the same bytes again.
        if control & 6 == 6 {
            *sequence = sequence.wrapping_add(u32::from(control >> 3));
        }
        let frame = frame(forward, *sequence, payload);
        engine.packet(&Packet { ts, link: LinkType::ETHERNET, original_length: frame.len() as u32, data: &frame });
        if control & 6 != 4 {
            *sequence = sequence.wrapping_add(payload.len() as u32);
        }
        ts += i64::from(*control) * 10_000_000;
        rest = &behind[payload.len()..];
    }
    engine.finish();
    let batches = engine.take_batches();
    // Encoding costs more than all the rest, so that only some inputs pay for it.
    if data.len() % ENCODED == 0 {
        assert!(batches.iter().all(|batch| batch.ipc().is_ok()));
    }
});
