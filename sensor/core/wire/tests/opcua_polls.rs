//! Reads that come again and again go a short way: whatever their answers say, the rows are those of reads that do not.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails says so by panicking"
)]

mod lab;

use arrow_array::RecordBatch;
use lab::opcua::*;
use lab::{ACK, Talk, run};
use proptest::prelude::*;

const NODES: [&str; 4] = ["Tank.Level", "Tank.Alarm", "Pump.Speed", "Pump.Count"];

/// A DataValue with these flags, whose value is a Variant of this type and bytes.
fn data_value(flags: u8, kind: u8, bytes: &[u8]) -> Vec<u8> {
    let mut value = vec![flags & 0x0e | 1, kind];
    value.extend(bytes);
    if flags & 2 != 0 {
        value.extend((u32::from(flags) << 24).to_le_bytes());
    }
    for time in [4, 8].iter().filter(|time| flags & **time != 0) {
        value.extend((134_000_000_000_000_000_u64 + u64::from(*time)).to_le_bytes());
    }
    value
}

/// A value of any type that is a number, of some that are none, or none at all. Few numbers, so that they come again.
fn any_value() -> impl Strategy<Value = Vec<u8>> {
    let number = prop_oneof![Just(0.0), Just(-0.0), Just(1.5), Just(0.1), Just(f64::NAN), Just(1e300), any::<f64>()];
    prop_oneof![
        8 => (any::<u8>(), number.clone()).prop_map(|(flags, number)| data_value(flags, 11, &number.to_le_bytes())),
        2 => (any::<u8>(), number).prop_map(|(flags, number)| data_value(flags, 10, &(number as f32).to_le_bytes())),
        2 => (any::<u8>(), 0..2_u8).prop_map(|(flags, byte)| data_value(flags, 1, &[byte])),
        2 => (any::<u8>(), 2..10_u8, any::<[u8; 8]>()).prop_map(|(flags, kind, bytes)| {
            data_value(flags, kind, &bytes[..[1, 1, 2, 2, 4, 4, 8, 8][usize::from(kind) - 2]])
        }),
        1 => any::<u8>().prop_map(|flags| data_value(flags, 12, &text("open"))),
        1 => any::<u8>().prop_map(|flags| data_value(flags, 0x86, &[1, 0, 0, 0, 7, 0, 0, 0])),
        1 => Just(vec![0]),
    ]
}

/// An answer: its status, its values, of which there may be too many or too few, and how many bytes are missing at its end.
fn any_answer() -> impl Strategy<Value = (u32, Vec<Vec<u8>>, usize)> {
    let status = prop_oneof![9 => Just(0), 1 => Just(0x800A_0000)];
    let count = prop_oneof![9 => Just(NODES.len()), 1 => 0..NODES.len() + 2];
    let missing = prop_oneof![9 => Just(0_usize), 1 => 1..30_usize];
    (status, count.prop_flat_map(|count| proptest::collection::vec(any_value(), count)), missing)
}

/// The rows of a client that reads the same nodes for each of these answers; unless it `polls`, each time in other words.
fn rows(answers: &[(u32, Vec<Vec<u8>>, usize)], polls: bool) -> Vec<(&'static str, RecordBatch)> {
    let mut talk = Talk::new(1, 1);
    talk.port = 48_010;
    talk.ask(ACK, &hello());
    talk.answer(ACK, &acknowledge());
    for (number, (status, values, missing)) in (1_u32..).zip(answers) {
        let mut ask = read(&NODES);
        if !polls {
            // How old values may be does not show in the rows.
            let at = request(631, 1).len();
            ask[at..at + 8].copy_from_slice(&f64::from(number).to_le_bytes());
        }
        let mut answer = response(634, *status);
        answer.extend((values.len() as u32).to_le_bytes());
        answer.extend(values.concat());
        answer.extend([0xff; 4]);
        answer.truncate(answer.len() - missing);
        talk.call(number, &[ask, answer]);
    }
    talk.close();
    let batches = run(&talk.packets).into_iter();
    // Table `sensor` tells what is held in memory.
    batches.filter(|batch| batch.table != "sensor").map(|batch| (batch.table, batch.records)).collect()
}

proptest! {
    #[test]
    fn a_poll_gives_the_rows_of_a_read(answers in proptest::collection::vec(any_answer(), 1..12)) {
        let (polled, read) = (rows(&answers, true), rows(&answers, false));
        prop_assert_eq!(polled.len(), read.len());
        for ((table, polled), (_, read)) in polled.iter().zip(&read) {
            prop_assert_eq!(polled.columns(), read.columns(), "{}", table);
        }
    }
}
