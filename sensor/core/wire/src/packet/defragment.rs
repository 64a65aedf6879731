//! Fragments of IPv4 and IPv6 put together (RFC 815's idea of holes, on bounded buffers). The first byte seen at an offset wins.

use std::collections::VecDeque;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::{Address, Counters};

/// Datagrams that may be incomplete at a time; the oldest makes room.
pub const DATAGRAMS: usize = 1_024;
/// Bytes that may be held in all; the oldest datagram makes room.
pub const HELD_BYTES: usize = 8 * 1024 * 1024;
/// How long a datagram may take to complete, in packet time: 30 s in nanoseconds (RFC 791, 3.2 leaves it open; Linux' default).
pub const AGE_NS: i64 = 30_000_000_000;
/// Pieces with holes between them into which a datagram may fall: a network that reorders makes few, only an attack makes many.
pub const PIECES: usize = 64;
/// Largest datagram (RFC 791, 3.1).
const DATAGRAM_BYTES: usize = 65_535;

/// What the fragments of one datagram have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub source: Address,
    pub destination: Address,
    pub vlan: Option<u16>,
    pub protocol: u8,
    pub identification: u32,
}

/// One fragment.
#[derive(Clone, Copy, Debug)]
pub struct Fragment<'a> {
    pub key: Key,
    /// Protocol that the first fragment says the datagram carries.
    pub protocol: u8,
    /// Offset of the payload in the datagram, in bytes.
    pub offset: usize,
    /// Whether no more fragments follow it.
    pub is_last: bool,
    pub hop_limit: u8,
    pub payload: &'a [u8],
    /// Bytes of the payload that the snap length cut off.
    pub missing: usize,
}

/// A datagram put together.
#[derive(Debug)]
pub struct Whole {
    pub protocol: u8,
    pub hop_limit: u8,
    pub bytes: Vec<u8>,
}

/// What came of a fragment.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The datagram that it completed.
    pub whole: Option<Whole>,
    /// What it breaks.
    pub broken: Option<Broken>,
}

/// How a fragment breaks the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// It would end past the largest datagram, at this byte. It is not used.
    Oversize(usize),
    /// It says something else than an earlier one at this offset. The earlier one holds.
    Conflict(usize),
    /// It covers a part of an earlier one, from this offset, and more. The earlier one holds.
    Overlap(usize),
    /// It contradicts where the datagram ends: the end expected, the end it has. It is not used.
    TwoEnds(usize, usize),
    /// Others follow it but its length is no multiple of 8. It is not used.
    Ragged(usize),
}

#[derive(Default)]
struct Partial {
    first_ts: i64,
    protocol: u8,
    hop_limit: u8,
    bytes: Vec<u8>,
    /// Sorted ranges of `bytes` that have been seen, with holes between them.
    seen: Vec<(usize, usize)>,
    end: Option<usize>,
}

/// Datagrams whose fragments have not all been seen.
#[derive(Default)]
pub struct Defragmenter {
    partial: HashMap<Key, Partial, RandomState>,
    /// Datagrams by the time of their first fragment; some have been completed since.
    order: VecDeque<(i64, Key)>,
    held: usize,
}

impl Defragmenter {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.held + self.order.len() * size_of::<(i64, Key)>() + self.partial.len() * size_of::<(Key, Partial)>()
    }

    /// Takes one fragment in.
    pub fn add(&mut self, ts: i64, fragment: &Fragment<'_>, counters: &mut Counters) -> Outcome {
        self.expire(ts, counters);
        let start = fragment.offset;
        let end = start + fragment.payload.len() + fragment.missing;
        let refused = if end > DATAGRAM_BYTES {
            Some(Broken::Oversize(end))
        } else if !fragment.is_last && !(end - start).is_multiple_of(8) {
            Some(Broken::Ragged(end - start))
        } else {
            self.partial.get(&fragment.key).and_then(|partial| partial.contradiction(end, fragment.is_last))
        };
        // What the snap length cut can never be whole again.
        if refused.is_some() || fragment.missing > 0 {
            counters.fragments_refused += 1;
            return Outcome { whole: None, broken: refused };
        }
        let partial = self.partial.entry(fragment.key).or_insert_with(|| {
            self.order.push_back((ts, fragment.key));
            Partial { first_ts: ts, ..Partial::default() }
        });
        if fragment.is_last {
            partial.end = Some(end);
        }
        if start == 0 {
            partial.hop_limit = fragment.hop_limit;
            partial.protocol = fragment.protocol;
        }
        let before = partial.bytes.len();
        let broken = partial.fill(start, fragment.payload);
        self.held += partial.bytes.len() - before;
        let (is_whole, is_scattered) = (partial.is_whole(), partial.seen.len() > PIECES);
        if !is_whole && !is_scattered {
            return Outcome { whole: None, broken };
        }
        let taken = self.partial.remove(&fragment.key).unwrap_or_default();
        self.held -= taken.bytes.len();
        if is_scattered {
            counters.fragments_scattered += 1;
            return Outcome { whole: None, broken };
        }
        Outcome { whole: Some(Whole { protocol: taken.protocol, hop_limit: taken.hop_limit, bytes: taken.bytes }), broken }
    }

    /// Gives up what is too old, and the oldest where there is too much.
    fn expire(&mut self, now: i64, counters: &mut Counters) {
        while let Some(&(ts, key)) = self.order.front() {
            let is_current = self.partial.get(&key).is_some_and(|partial| partial.first_ts == ts);
            let is_old = now.saturating_sub(ts) > AGE_NS;
            let is_full = self.partial.len() >= DATAGRAMS || self.held >= HELD_BYTES || self.order.len() >= DATAGRAMS * 2;
            if is_current && !is_old && !is_full {
                break;
            }
            self.order.pop_front();
            if is_current && let Some(partial) = self.partial.remove(&key) {
                self.held -= partial.bytes.len();
                *(if is_old { &mut counters.fragments_expired } else { &mut counters.fragments_evicted }) += 1;
            }
        }
    }
}

impl Partial {
    /// Whether a fragment that ends here contradicts where the datagram ends.
    fn contradiction(&self, end: usize, is_last: bool) -> Option<Broken> {
        let furthest = self.seen.last().map_or(0, |&(_, to)| to);
        match self.end {
            Some(expected) if end > expected || is_last && end != expected => Some(Broken::TwoEnds(expected, end)),
            // The overlap that crashed systems once: the last fragment ends inside one before it.
            None if is_last && end < furthest => Some(Broken::TwoEnds(furthest, end)),
            _ => None,
        }
    }

    fn is_whole(&self) -> bool {
        matches!((self.end, self.seen.as_slice()), (Some(end), [(0, to)]) if *to == end)
    }

    /// Puts bytes where nothing has been seen. The same again is a retransmission; other bytes, or a part of them, break the rules.
    fn fill(&mut self, start: usize, payload: &[u8]) -> Option<Broken> {
        let end = start + payload.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        let (mut at, mut conflict, mut overlap) = (start, None, None);
        let mut holes = Vec::new();
        for &(from, to) in self.seen.iter().filter(|&&(from, to)| from < end && to > start) {
            if at < from {
                holes.push((at, from));
            }
            let (low, high) = (from.max(start), to.min(end));
            let old = self.bytes.get(low..high).unwrap_or_default();
            let new = payload.get(low - start..high - start).unwrap_or_default();
            let different = old.iter().zip(new).position(|(old, new)| old != new);
            conflict = conflict.or(different.map(|offset| Broken::Conflict(low + offset)));
            overlap = overlap.or(Some(Broken::Overlap(low)));
            at = at.max(to);
        }
        if at < end {
            holes.push((at, end));
        }
        for &(from, to) in &holes {
            if let (Some(room), Some(bytes)) = (self.bytes.get_mut(from..to), payload.get(from - start..to - start)) {
                room.copy_from_slice(bytes);
            }
        }
        self.seen.extend(&holes);
        self.seen.sort_unstable();
        self.seen.dedup_by(|next, last| {
            let touches = next.0 <= last.1;
            if touches {
                last.1 = last.1.max(next.1);
            }
            touches
        });
        conflict.or(overlap.filter(|_| !holes.is_empty()))
    }
}
