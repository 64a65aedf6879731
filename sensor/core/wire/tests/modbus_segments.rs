//! However the bytes of both sides are cut into segments, put in another order and sent twice: the rows are those of the messages.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails says so by panicking"
)]

mod lab;

use lab::modbus::{Carriage, Exchange, Row, any_exchange, of_every_function, of_fixed_length, records};
use lab::{ACK, CLIENT, SERVER, Talk, drops, run, tcp, violations};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// Time between two packets: all of them come within the time that bytes wait for those of the other side, 10 ms.
const MICROSECOND: i64 = 1_000;

/// One side's bytes, and where its messages end.
#[derive(Default)]
struct Said {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Said {
    fn say(&mut self, message: &[u8]) {
        self.bytes.extend(message);
        self.ends.push(self.bytes.len());
    }

    /// How many messages begin before `end`.
    fn begun(&self, end: usize) -> usize {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        starts.take(self.ends.len()).filter(|start| *start < end).count()
    }

    /// Where the bytes are cut: each piece's start and end.
    fn pieces(&self, cuts: &[Index]) -> Vec<(usize, usize)> {
        let mut bounds: Vec<usize> = cuts.iter().map(|cut| cut.index(self.bytes.len())).chain([0, self.bytes.len()]).collect();
        bounds.sort_unstable();
        bounds.dedup();
        bounds.windows(2).map(|pair| (pair[0], pair[1])).collect()
    }
}

/// Rows without what depends on when their packets came.
fn timeless(rows: Vec<Row>) -> Vec<Row> {
    rows.into_iter().map(|row| Row { ts: 0, response_time: None, ..row }).collect()
}

/// What happens to the segments of a talk on their way into a capture.
#[derive(Clone, Debug)]
struct Way {
    /// Where the bytes of client and server are cut.
    cuts: [Vec<Index>; 2],
    order: Vec<u16>,
    twice: Vec<bool>,
}

fn ways() -> impl Strategy<Value = Way> {
    let cuts = [vec(any::<Index>(), 0..24), vec(any::<Index>(), 0..24)];
    (cuts, vec(any::<u16>(), 64), vec(any::<bool>(), 64)).prop_map(|(cuts, order, twice)| Way { cuts, order, twice })
}

/// A talk in which client and server take turns, behind what was said already, as the packets of a capture.
fn capture(mut talk: Talk, asked: &Said, answered: &Said, way: &Way) -> Vec<(i64, Vec<u8>)> {
    let Way { cuts, order, twice } = way;
    let ([client, server], host) = ([talk.client, talk.server], (SERVER.0, talk.port));
    let frames_of = |is_client: bool| {
        let (said, heard, cuts) = if is_client { (asked, answered, &cuts[0]) } else { (answered, asked, &cuts[1]) };
        let frame = move |(start, end): (usize, usize)| {
            // Whoever answers a message has received it; whoever asks has received the answers before.
            let seen = said.begun(end) - usize::from(is_client);
            let acknowledged = seen.checked_sub(1).map_or(0, |last| heard.ends[last]) as u32;
            let (start_at, bytes) = (start as u32, &said.bytes[start..end]);
            if is_client {
                tcp(CLIENT, host, ACK, client.wrapping_add(start_at), server.wrapping_add(acknowledged), bytes)
            } else {
                tcp(host, CLIENT, ACK, server.wrapping_add(start_at), client.wrapping_add(acknowledged), bytes)
            }
        };
        said.pieces(cuts).into_iter().map(frame).collect::<Vec<_>>()
    };
    let frames = [frames_of(true), frames_of(false)].concat();
    let mut ordered = Vec::new();
    for (at, frame) in frames.into_iter().enumerate() {
        let key = |at: usize| order[at % order.len()];
        if twice[at % twice.len()] {
            ordered.push((key(at + order.len() / 2), frame.clone()));
        }
        ordered.push((key(at), frame));
    }
    ordered.sort_by_key(|(key, _)| *key);
    for (_, frame) in ordered {
        talk.ts += MICROSECOND;
        talk.packets.push((talk.ts, frame));
    }
    talk.packets
}

fn write(carriage: Carriage, unit: u8, transaction: u16, exchanges: &[Exchange]) -> (Said, Said, Vec<Row>) {
    let (mut asked, mut answered, mut expected) = (Said::default(), Said::default(), Vec::new());
    for (at, exchange) in exchanges.iter().enumerate() {
        let transaction = transaction.wrapping_add(at as u16);
        let request = carriage.adu(transaction, unit, &exchange.request);
        let response = carriage.adu(transaction, unit, &exchange.response);
        expected.push(Row {
            transaction: (carriage == Carriage::Tcp).then_some(transaction),
            unit,
            pairing: "both",
            encapsulation: carriage.word(),
            bytes: (request.len() + response.len()) as u32,
            ..exchange.whole.clone()
        });
        asked.say(&request);
        answered.say(&response);
    }
    (asked, answered, expected)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn any_cut_order_and_repetition_of_both_sides_gives_the_same_rows(
        exchanges in vec(any_exchange(of_every_function()), 1..10),
        unit in 1..=255_u8,
        transaction in any::<u16>(),
        way in ways(),
        first in any::<[u32; 2]>(),
    ) {
        let (asked, answered, expected) = write(Carriage::Tcp, unit, transaction, &exchanges);
        let batches = run(&capture(Talk::open(first[0], first[1]), &asked, &answered, &way));
        prop_assert_eq!(violations(&batches), Vec::<String>::new());
        prop_assert_eq!(timeless(records(&batches)), expected);
        prop_assert_eq!(drops(&batches), Vec::new());
    }

    // A serial frame has no header: recognition takes one whole exchange, and only a length that its function fixes gives every cut one reading.
    #[test]
    fn serial_frames_in_a_stream_are_followed_through_any_cut_and_order(
        exchanges in vec(any_exchange(of_fixed_length()), 1..10),
        unit in 1..=247_u8,
        way in ways(),
        first in any::<[u32; 2]>(),
    ) {
        let (asked, answered, expected) = write(Carriage::RtuOverTcp, unit, 0, &exchanges);
        let mut talk = Talk::open(first[0], first[1]);
        talk.ask(ACK, &Carriage::RtuOverTcp.adu(0, unit, &[3, 0, 0, 0, 1]));
        talk.answer(ACK, &Carriage::RtuOverTcp.adu(0, unit, &[3, 2, 0, 7]));
        let batches = run(&capture(talk, &asked, &answered, &way));
        prop_assert_eq!(violations(&batches), Vec::<String>::new());
        prop_assert_eq!(timeless(records(&batches)).split_off(1), expected);
        prop_assert_eq!(drops(&batches), Vec::new());
    }
}
