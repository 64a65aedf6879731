//! The batches of several workers as one stream: one run of sequences, whole cuts, one clock.
//!
//! All workers cut at once, in rounds; what they cut in one round becomes one cut (deploy/docs/decisions, "One sensor, several workers").

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use arrow_array::RecordBatch;
use wire::record::{Batch, Identity, Records};

/// Numbers the batches of rounds.
pub struct Merge {
    sequence: u64,
    cut: u64,
    clock: i64,
    ready: VecDeque<Batch>,
    /// In the order in which a cut writes them.
    tables: Vec<&'static str>,
}

impl Merge {
    /// A stream whose first batch has this sequence. Its first cut has the same number: a cut takes at least one sequence, so that a
    /// stream that goes on never uses a cut's number again.
    pub fn new(first_sequence: u64) -> Self {
        let tables = Records::new(Identity::default(), 0).tables().map(|table| table.name()).to_vec();
        Self { sequence: first_sequence, cut: first_sequence, clock: 0, ready: VecDeque::new(), tables }
    }

    /// Takes in what each worker cut in one round.
    pub fn round(&mut self, parts: Vec<Vec<Batch>>) {
        // A worker whose tables were full cuts more than once within a round. Its first cut belongs with the first of the others.
        let mut cuts: Vec<Vec<Batch>> = Vec::new();
        for part in parts {
            let mut place = 0;
            for batch in part {
                let is_last = batch.cut_last;
                match cuts.get_mut(place) {
                    Some(cut) => cut.push(batch),
                    None => cuts.push(vec![batch]),
                }
                place += usize::from(is_last);
            }
        }
        for cut in cuts {
            self.cut(cut);
        }
    }

    fn cut(&mut self, mut batches: Vec<Batch>) {
        // The sort is stable, so the workers stay in their order.
        batches.sort_by_key(|batch| self.tables.iter().position(|table| *table == batch.table));
        let end = batches.iter().map(|batch| batch.cut_end).fold(self.clock, i64::max);
        let count = batches.len();
        for (place, mut batch) in batches.into_iter().enumerate() {
            batch.sequence = self.sequence;
            batch.cut = self.cut;
            batch.cut_start = self.clock;
            batch.cut_end = end;
            batch.cut_last = place + 1 == count;
            self.sequence += 1;
            self.ready.push_back(renamed(batch));
        }
        self.cut += 1;
        self.clock = end;
    }

    /// The next batch.
    pub fn next(&mut self) -> Option<Batch> {
        self.ready.pop_front()
    }
}

/// The batch with its numbers in its schema's metadata.
fn renamed(mut batch: Batch) -> Batch {
    let schema = batch.records.schema();
    let mut metadata: HashMap<String, String> = schema.metadata().clone().into();
    for (key, value) in [
        ("icsight.sequence", batch.sequence.to_string()),
        ("icsight.cut", batch.cut.to_string()),
        ("icsight.cut_start", batch.cut_start.to_string()),
        ("icsight.cut_end", batch.cut_end.to_string()),
        ("icsight.cut_last", u8::from(batch.cut_last).to_string()),
    ] {
        metadata.insert(key.to_owned(), value);
    }
    let schema = Arc::new(schema.as_ref().clone().with_metadata(metadata));
    // Only the metadata differs, so that Arrow has no cause to refuse it.
    let records = RecordBatch::try_new(schema, batch.records.columns().to_vec());
    debug_assert!(records.is_ok(), "{:?}", records.as_ref().err());
    if let Ok(records) = records {
        batch.records = records;
    }
    batch
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::record::Party;
    use wire::record::table::{Layer, SensorRow, ViolationRow};

    /// A worker's cut: a row of `violation`, and one of `sensor` where it is told to.
    fn cut(records: &mut Records, clock: i64, with_sensor: bool) -> Vec<Batch> {
        let party = records.parties.add(Party::default());
        let row = ViolationRow { layer: Layer::Link, kind: "k", clause: "c", detail: "d", bytes: b"", protocol: "ethernet" };
        records.violation.push(clock, party, &row);
        if with_sensor {
            let row = SensorRow {
                packets: 1,
                bytes: 1,
                drops: Some(&[]),
                flows: 0,
                memory: 0,
                spool_depth: None,
                clock_offset: None,
                bytes_written: None,
                version: "0",
            };
            records.sensor.push(clock, party, &row);
        }
        records.cut(clock)
    }

    fn told(merge: &mut Merge) -> Vec<(&'static str, u64, u64, i64, i64, bool)> {
        let mut found = Vec::new();
        while let Some(batch) = merge.next() {
            let schema = batch.records.schema();
            let metadata = schema.metadata();
            assert_eq!(metadata["icsight.sequence"], batch.sequence.to_string());
            assert_eq!(metadata["icsight.cut"], batch.cut.to_string());
            assert_eq!(metadata["icsight.cut_end"], batch.cut_end.to_string());
            assert_eq!(metadata["icsight.cut_last"], u8::from(batch.cut_last).to_string());
            assert_eq!(metadata["icsight.table"], batch.table);
            found.push((batch.table, batch.sequence, batch.cut, batch.cut_start, batch.cut_end, batch.cut_last));
        }
        found
    }

    #[test]
    fn what_workers_cut_in_a_round_becomes_one_cut_without_gaps() {
        let [mut one, mut two] = [(); 2].map(|()| Records::new(Identity::default(), 0));
        let mut merge = Merge::new(7);
        merge.round(vec![cut(&mut one, 10, true), cut(&mut two, 12, false)]);
        merge.round(vec![cut(&mut one, 20, false), Vec::new()]);
        // The first worker's clock is behind: the stream's is not put back.
        merge.round(vec![Vec::new(), Vec::new()]);
        merge.round(vec![cut(&mut one, 15, false), Vec::new()]);
        let expected = [
            ("violation", 7, 7, 0, 12, false),
            ("violation", 8, 7, 0, 12, false),
            ("sensor", 9, 7, 0, 12, true),
            ("violation", 10, 8, 12, 20, true),
            ("violation", 11, 9, 20, 20, true),
        ];
        assert_eq!(told(&mut merge), expected);
    }

    #[test]
    fn a_worker_that_cuts_twice_in_a_round_makes_two_cuts() {
        let [mut one, mut two] = [(); 2].map(|()| Records::new(Identity::default(), 0));
        let mut merge = Merge::new(0);
        let mut twice = cut(&mut one, 10, true);
        twice.extend(cut(&mut one, 30, false));
        merge.round(vec![twice, cut(&mut two, 20, false)]);
        let cuts: Vec<_> =
            told(&mut merge).into_iter().map(|(table, _, cut, start, end, last)| (table, cut, start, end, last)).collect();
        let expected = [
            ("violation", 0, 0, 20, false),
            ("violation", 0, 0, 20, false),
            ("sensor", 0, 0, 20, true),
            ("violation", 1, 20, 30, true),
        ];
        assert_eq!(cuts, expected);
    }
}
