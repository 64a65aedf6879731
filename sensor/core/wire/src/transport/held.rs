//! Segments that came before their turn, sorted and disjoint.

use super::{Conflict, Overlap};

/// What holding a segment costs beside its bytes.
pub(super) const SEGMENT_COST: usize = 64;

/// What is known of a place in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// These bytes are there.
    Bytes(Vec<u8>),
    /// So many bytes are there, and nobody reads them.
    Unread(u32),
    /// So many bytes were on the wire and were not captured.
    Lost(u32),
}

impl Content {
    pub fn length(&self) -> u32 {
        match self {
            Self::Bytes(bytes) => length(bytes),
            Self::Unread(count) | Self::Lost(count) => *count,
        }
    }

    /// Cuts off and returns what lies behind the first `at` bytes.
    fn split_off(&mut self, at: u32) -> Self {
        match self {
            Self::Bytes(bytes) => Self::Bytes(bytes.split_off((at as usize).min(bytes.len()))),
            Self::Unread(count) => Self::Unread(std::mem::replace(count, at.min(*count)).saturating_sub(at)),
            Self::Lost(count) => Self::Lost(std::mem::replace(count, at.min(*count)).saturating_sub(at)),
        }
    }
}

/// A segment, or the part of one, that waits for its turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// Sequence number of the first byte.
    pub start: u32,
    /// Time of its packet.
    pub ts: i64,
    /// What of the other side its sender had by then.
    pub acknowledgment: Option<u32>,
    pub content: Content,
}

impl Segment {
    fn end(&self) -> u32 {
        self.start.wrapping_add(self.content.length())
    }

    fn cost(&self) -> usize {
        SEGMENT_COST
            + match &self.content {
                Content::Bytes(bytes) => bytes.len(),
                Content::Unread(_) | Content::Lost(_) => 0,
            }
    }

    /// Cuts off and returns what lies behind the first `at` bytes.
    fn split_off(&mut self, at: u32) -> Self {
        let content = self.content.split_off(at);
        Self { start: self.end(), ts: self.ts, acknowledgment: self.acknowledgment, content }
    }

    /// What is left behind the first `at` bytes.
    pub fn after(mut self, at: u32) -> Self {
        if at == 0 { self } else { self.split_off(at) }
    }
}

/// Length of a payload as a sequence distance.
pub(super) fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

/// How far `to` lies behind `from`; negative when it lies before (RFC 9293, 3.4: modulo 2^32).
pub(super) fn distance(from: u32, to: u32) -> i32 {
    to.wrapping_sub(from).cast_signed()
}

/// What an insertion found.
#[derive(Debug, Default)]
pub(super) struct Inserted {
    /// Bytes that had not been there before.
    pub new_bytes: u64,
    /// Where its bytes contradict those held.
    pub conflict: Option<Conflict>,
}

/// The segments of one direction that wait.
#[derive(Debug, Default)]
pub(super) struct Held {
    segments: Vec<Segment>,
    cost: usize,
}

impl Held {
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    pub fn len(&self) -> usize {
        self.segments.len()
    }

    /// Bytes held, with what each segment costs.
    pub fn cost(&self) -> usize {
        self.cost
    }

    /// The first segment.
    pub fn first(&self) -> Option<&Segment> {
        self.segments.first()
    }

    /// Where the first segment starts.
    pub fn start(&self) -> Option<u32> {
        self.first().map(|segment| segment.start)
    }

    /// Takes out the first segment.
    pub fn pop(&mut self) -> Option<Segment> {
        if self.segments.is_empty() {
            return None;
        }
        let segment = self.segments.remove(0);
        self.cost -= segment.cost();
        Some(segment)
    }

    /// Adds what of this segment is not held yet. In an overlap the bytes of `overlap`'s choice stay.
    pub fn insert(&mut self, arriving: Segment, overlap: Overlap) -> Inserted {
        let mut inserted = Inserted::default();
        let mut rest = arriving;
        // The first one that ends behind the start of what arrives.
        let mut index = self.segments.partition_point(|held| distance(held.end(), rest.start) >= 0);
        while rest.content.length() > 0 {
            let Some(held) = self.segments.get_mut(index).filter(|held| distance(held.start, rest.end()) > 0) else {
                inserted.new_bytes += u64::from(rest.content.length());
                self.add(index, rest);
                break;
            };
            let ahead = distance(rest.start, held.start);
            if ahead > 0 {
                let behind = rest.split_off(ahead.cast_unsigned());
                inserted.new_bytes += u64::from(rest.content.length());
                self.add(index, std::mem::replace(&mut rest, behind));
            } else {
                let inside = distance(held.start, rest.start).cast_unsigned();
                let common = held.content.length().saturating_sub(inside);
                let behind = rest.split_off(common);
                if let (Content::Bytes(old), Content::Bytes(new)) = (&mut held.content, &rest.content)
                    && let Some(old) = old.get_mut(inside as usize..).and_then(|old| old.get_mut(..new.len()))
                {
                    inserted.conflict = inserted.conflict.or_else(|| Conflict::between(rest.start, old, new));
                    if overlap == Overlap::Last {
                        old.copy_from_slice(new);
                    }
                }
                rest = behind;
            }
            index += 1;
        }
        inserted
    }

    fn add(&mut self, index: usize, segment: Segment) {
        self.cost += segment.cost();
        self.segments.insert(index, segment);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(start: u32, bytes: &[u8]) -> Segment {
        Segment { start, ts: 0, acknowledgment: None, content: Content::Bytes(bytes.to_vec()) }
    }

    fn bytes(held: &mut Held) -> Vec<(u32, Vec<u8>)> {
        let segments = std::iter::from_fn(|| held.pop());
        segments
            .map(|segment| match segment.content {
                Content::Bytes(bytes) => (segment.start, bytes),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn parts_that_are_held_already_are_not_held_twice() {
        let mut held = Held::default();
        held.insert(segment(10, b"cd"), Overlap::First);
        held.insert(segment(16, b"ij"), Overlap::First);
        let inserted = held.insert(segment(8, b"abcdefghijkl"), Overlap::First);
        assert_eq!((inserted.new_bytes, inserted.conflict), (8, None));
        assert_eq!(held.cost(), 12 + 5 * SEGMENT_COST);
        let parts = [(8, &b"ab"[..]), (10, b"cd"), (12, b"efgh"), (16, b"ij"), (18, b"kl")];
        assert_eq!(bytes(&mut held), parts.map(|(start, bytes)| (start, bytes.to_vec())));
        assert_eq!(held.cost(), 0);
    }

    #[test]
    fn the_policy_says_which_bytes_hold_and_a_contradiction_is_told() {
        for (overlap, kept) in [(Overlap::First, b"cd"), (Overlap::Last, b"XY")] {
            let mut held = Held::default();
            held.insert(segment(u32::MAX, b"cd"), overlap);
            let conflict = held.insert(segment(u32::MAX, b"XY"), overlap).conflict;
            assert_eq!(conflict, Some(Conflict { sequence: u32::MAX, before: b"cd".to_vec(), now: b"XY".to_vec() }));
            assert_eq!(bytes(&mut held), [(u32::MAX, kept.to_vec())]);
        }
    }
}
