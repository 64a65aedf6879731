//! Fragments of IPv4 and IPv6 put together (RFC 815's idea of holes, on bounded buffers). The first byte seen at an offset wins.

use std::collections::VecDeque;

use hashbrown::HashMap;

use super::{Address, Counters};

/// Datagrams that may be incomplete at a time; the oldest makes room.
pub const DATAGRAMS: usize = 1_024;
/// Bytes that may be held in all.
pub const HELD_BYTES: usize = 8 * 1024 * 1024;
/// How long a datagram may take to complete, in packet time: 30 s in nanoseconds (RFC 791, 3.2 leaves it open; Linux' default).
pub const AGE_NS: i64 = 30_000_000_000;
/// Largest datagram (RFC 791, 3.1).
const DATAGRAM_BYTES: usize = 65_535;

/// What the fragments of one datagram have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub source: Address,
    pub destination: Address,
    pub protocol: u8,
    pub identification: u32,
}

/// One fragment.
#[derive(Clone, Copy, Debug)]
pub struct Fragment<'a> {
    pub key: Key,
    /// Offset of the payload in the datagram, in bytes.
    pub offset: usize,
    /// Whether no more fragments follow it.
    pub is_last: bool,
    pub hop_limit: u8,
    pub payload: &'a [u8],
}

/// A datagram put together.
#[derive(Debug)]
pub struct Whole {
    pub protocol: u8,
    pub hop_limit: u8,
    pub bytes: Vec<u8>,
}

/// What came of a fragment.
#[derive(Debug)]
pub enum Outcome {
    /// Kept; more are needed.
    Held,
    /// It completed its datagram.
    Whole(Whole),
    /// It would end past the largest datagram, at this byte. It is not used.
    Oversize(usize),
    /// It says something else than an earlier one at this offset. The earlier one holds.
    Conflict(usize),
    /// It ends the datagram elsewhere than before: the end seen before, the end it says. It is not used.
    TwoEnds(usize, usize),
}

#[derive(Default)]
struct Partial {
    first_ts: i64,
    hop_limit: u8,
    bytes: Vec<u8>,
    /// Sorted, disjoint ranges of `bytes` that have been seen.
    seen: Vec<(usize, usize)>,
    end: Option<usize>,
}

/// Datagrams whose fragments have not all been seen.
#[derive(Default)]
pub struct Defragmenter {
    partial: HashMap<Key, Partial, foldhash::fast::FixedState>,
    order: VecDeque<(i64, Key)>,
    held: usize,
}

impl Defragmenter {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.held + self.order.len() * size_of::<(i64, Key)>()
    }

    /// Takes one fragment in. `is_cut`: the snap length cut its payload, so that its datagram can never be whole.
    pub fn add(&mut self, ts: i64, fragment: &Fragment<'_>, is_cut: bool, counters: &mut Counters) -> Outcome {
        self.expire(ts, counters);
        let start = fragment.offset;
        let end = start + fragment.payload.len();
        if end > DATAGRAM_BYTES {
            counters.fragments_lost += 1;
            return Outcome::Oversize(end);
        }
        if is_cut {
            counters.fragments_lost += 1;
            return Outcome::Held;
        }
        if !self.partial.contains_key(&fragment.key) {
            self.order.push_back((ts, fragment.key));
        }
        let partial = self.partial.entry(fragment.key).or_insert_with(|| Partial { first_ts: ts, ..Partial::default() });
        if let Some(seen) = partial.end
            && (end > seen || fragment.is_last && end != seen)
        {
            counters.fragments_lost += 1;
            return Outcome::TwoEnds(seen, end);
        }
        if fragment.is_last {
            partial.end = Some(end);
        }
        if start == 0 {
            partial.hop_limit = fragment.hop_limit;
        }
        let before = partial.bytes.len();
        let conflict = partial.fill(start, fragment.payload);
        self.held += partial.bytes.len() - before;
        if let Some(at) = conflict {
            return Outcome::Conflict(at);
        }
        let is_whole = matches!((partial.end, partial.seen.as_slice()), (Some(end), [(0, seen)]) if *seen == end);
        if is_whole && let Some(partial) = self.partial.remove(&fragment.key) {
            self.held -= partial.bytes.len();
            return Outcome::Whole(Whole { protocol: fragment.key.protocol, hop_limit: partial.hop_limit, bytes: partial.bytes });
        }
        Outcome::Held
    }

    /// Gives up what is too old, and the oldest where there is too much.
    fn expire(&mut self, now: i64, counters: &mut Counters) {
        while let Some(&(ts, key)) = self.order.front() {
            let current = self.partial.get(&key).is_some_and(|partial| partial.first_ts == ts);
            let too_many = self.partial.len() >= DATAGRAMS || self.held >= HELD_BYTES || self.order.len() >= DATAGRAMS * 2;
            if current && now.saturating_sub(ts) <= AGE_NS && !too_many {
                break;
            }
            self.order.pop_front();
            if current && let Some(partial) = self.partial.remove(&key) {
                self.held -= partial.bytes.len();
                counters.fragments_lost += 1;
            }
        }
    }
}

impl Partial {
    /// Puts bytes where nothing has been seen; returns the first offset where they contradict what has.
    fn fill(&mut self, start: usize, payload: &[u8]) -> Option<usize> {
        let end = start + payload.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        let mut conflict = None;
        let mut at = start;
        let mut pieces = Vec::new();
        for &(from, to) in self.seen.iter().filter(|&&(from, to)| from < end && to > start) {
            if at < from {
                pieces.push((at, from));
            }
            let (low, high) = (from.max(start), to.min(end));
            let old = self.bytes.get(low..high).unwrap_or_default();
            let new = payload.get(low - start..high - start).unwrap_or_default();
            let different = old.iter().zip(new).position(|(old, new)| old != new);
            conflict = conflict.or(different.map(|offset| low + offset));
            at = at.max(to);
        }
        if at < end {
            pieces.push((at, end));
        }
        for (from, to) in pieces {
            if let (Some(room), Some(bytes)) = (self.bytes.get_mut(from..to), payload.get(from - start..to - start)) {
                room.copy_from_slice(bytes);
            }
            self.seen.push((from, to));
        }
        self.seen.sort_unstable();
        let mut merged: Vec<(usize, usize)> = Vec::with_capacity(self.seen.len());
        for &(from, to) in &self.seen {
            match merged.last_mut() {
                Some(last) if last.1 >= from => last.1 = last.1.max(to),
                _ => merged.push((from, to)),
            }
        }
        self.seen = merged;
        conflict
    }
}
