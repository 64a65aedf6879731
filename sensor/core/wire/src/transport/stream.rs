//! One direction of a TCP connection: segments in any order in, bytes in order out (RFC 9293, 3.4 and 3.10.7.4).
//!
//! ```
//! use wire::transport::{Arrival, Arriving, Counters, Limits, Ready, Stream};
//!
//! let (limits, mut counters) = (Limits::default(), Counters::default());
//! let mut stream = Stream::default();
//! let segment = |sequence, payload| {
//!     Arriving { ts: 0, sequence, acknowledgment: None, payload, missing: 0, is_held_back: false, is_kept: true }
//! };
//! assert!(matches!(stream.arrive(&segment(100, b"ab"), &limits, &mut counters), Arrival { in_order: Some(b"ab"), .. }));
//! assert!(matches!(stream.arrive(&segment(104, b"ef"), &limits, &mut counters), Arrival { in_order: None, .. }));
//! assert!(matches!(stream.arrive(&segment(102, b"cd"), &limits, &mut counters), Arrival { in_order: Some(b"cd"), .. }));
//! assert!(matches!(stream.ready(&mut counters), Some(Ready::Data(_, bytes)) if bytes == b"ef"));
//! ```

use super::held::{Content, Held, Segment, distance, length};
use super::{Counters, Limits};

/// How far behind the place where a stream is a segment may start and still belong to it. Windows are scaled in the handshake,
/// which may not have been seen; 1 MiB is the most that common receivers offer without tuning.
const WINDOW_BYTES: i32 = 1 << 20;
/// Bytes behind the current place that are remembered to tell a retransmission from a contradiction: more than a Modbus message.
const HISTORY_BYTES: usize = 512;
/// Bytes that may be remembered beyond these, lest all of them be moved at each segment.
const SURPLUS_BYTES: usize = 128;
/// Bytes of a contradiction that are shown.
const CONFLICT_BYTES: usize = 16;

/// A segment as it arrives.
#[derive(Clone, Copy, Debug)]
pub struct Arriving<'a> {
    /// Time of its packet.
    pub ts: i64,
    /// Sequence number of the first byte of the payload.
    pub sequence: u32,
    /// Sequence number of the other side up to which its sender had received everything; None where it does not say.
    pub acknowledgment: Option<u32>,
    /// Payload.
    pub payload: &'a [u8],
    /// Bytes behind the payload that the snap length cut off.
    pub missing: u32,
    /// Whether its bytes have to wait although they are in order: they answer bytes of the other side that have not been seen yet.
    pub is_held_back: bool,
    /// Whether anyone reads this stream's bytes: otherwise places are followed and bytes are not kept.
    pub is_kept: bool,
}

/// Two segments that say different things about the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Sequence number of the first byte that differs.
    pub sequence: u32,
    /// What was seen first, at most 16 bytes.
    pub before: Vec<u8>,
    /// What was seen now.
    pub now: Vec<u8>,
}

impl Conflict {
    /// The first difference between two readings of the bytes from `sequence` on.
    pub(super) fn between(sequence: u32, before: &[u8], now: &[u8]) -> Option<Self> {
        let at = before.iter().zip(now).position(|(before, now)| before != now)?;
        let part = |bytes: &[u8]| bytes.iter().skip(at).take(CONFLICT_BYTES).copied().collect();
        Some(Self { sequence: sequence.wrapping_add(u32::try_from(at).unwrap_or(0)), before: part(before), now: part(now) })
    }
}

/// What a segment brought.
#[derive(Debug, Default)]
pub struct Arrival<'a> {
    /// Bytes that are in order now, in place. `ready` gives what they release.
    pub in_order: Option<&'a [u8]>,
    /// Payload bytes that had not been seen before.
    pub new_bytes: u64,
    /// Whether all its bytes had been seen before.
    pub is_retransmission: bool,
    /// Whether it is a probe that asks whether the other side is alive (RFC 9293, 3.8.4).
    pub is_keep_alive: bool,
    /// Whether it lies too far from the place where the stream is; nothing of it was used.
    pub is_out_of_window: bool,
    /// Whether it brings bytes behind the sender's end (FIN); nothing of it was used.
    pub is_after_end: bool,
    /// Whether the stream has moved: an unknown number of bytes was lost before `in_order`.
    pub has_moved: bool,
    /// Whether a bound was reached: the caller has to declare the gap in front of what is held.
    pub is_over_bound: bool,
    /// Where it contradicts what was seen before.
    pub conflict: Option<Conflict>,
}

/// What a stream has ready.
#[derive(Debug, PartialEq, Eq)]
pub enum Ready {
    /// Bytes, and the time of their packet.
    Data(i64, Vec<u8>),
    /// So many bytes are lost.
    Gap(u64),
    /// Bytes that nobody reads.
    Unread,
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub struct Stream {
    next: u32,
    is_synchronised: bool,
    /// Sequence number behind which the sender has nothing more.
    end: Option<u32>,
    /// Where a segment out of the window would be continued: a second one there means that the stream has moved.
    elsewhere: Option<u32>,
    held: Held,
    history: Vec<u8>,
    /// The last place that was declared lost, so that what arrives for it after all is told from a retransmission.
    lost: Option<(u32, u32)>,
}

impl Stream {
    /// Sequence number of the next byte in order; None before the first segment.
    #[inline]
    pub fn next(&self) -> Option<u32> {
        self.is_synchronised.then_some(self.next)
    }

    /// Starts the stream, unless it has started: the next byte is at `sequence`.
    pub fn synchronise(&mut self, sequence: u32) {
        if !self.is_synchronised {
            self.next = sequence;
            self.is_synchronised = true;
        }
    }

    /// The sender has nothing more behind `sequence` (FIN).
    pub fn finish_at(&mut self, sequence: u32) {
        if self.end.is_none() && (0..=WINDOW_BYTES).contains(&distance(self.next, sequence)) {
            self.end = Some(sequence);
        }
    }

    /// Whether everything up to the sender's end has come.
    pub fn is_finished(&self) -> bool {
        self.end.is_some_and(|end| distance(end, self.next) >= 0)
    }

    /// Bytes that wait for their turn, with what each segment costs to hold.
    #[inline]
    pub fn held_bytes(&self) -> usize {
        self.held.cost()
    }

    /// Whether this sequence number lies where the stream is, or a window behind.
    #[inline]
    pub fn is_in_window(&self, sequence: u32) -> bool {
        !self.is_synchronised || (-1..=WINDOW_BYTES).contains(&distance(self.next, sequence))
    }

    /// How many bytes the other side acknowledges that have not been seen; None when it acknowledges nothing unseen, or nonsense.
    #[inline]
    pub fn unseen(&self, acknowledgment: u32) -> Option<u32> {
        let ahead = distance(self.next, acknowledgment);
        // The acknowledgment of a FIN lies one behind the last byte.
        let is_end = self.end.is_some_and(|end| acknowledgment == end.wrapping_add(1));
        (self.is_synchronised && ahead > 0 && ahead <= WINDOW_BYTES && !is_end).then_some(ahead.cast_unsigned())
    }

    /// Whether segments wait.
    #[inline]
    pub fn is_waiting(&self) -> bool {
        !self.held.is_empty()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.held.cost() + self.history.capacity()
    }

    /// Takes a segment's payload in. What waits behind it is then to be taken out with `ready`.
    #[inline]
    pub fn arrive<'a>(&mut self, segment: &Arriving<'a>, limits: &Limits, counters: &mut Counters) -> Arrival<'a> {
        self.synchronise(segment.sequence);
        let is_plain = self.held.is_empty() && self.end.is_none() && segment.missing == 0 && !segment.is_held_back;
        if segment.sequence == self.next && is_plain {
            self.elsewhere = None;
            self.used(segment.payload, segment.is_kept);
            return Arrival { in_order: Some(segment.payload), new_bytes: segment.payload.len() as u64, ..Arrival::default() };
        }
        self.arrive_any(segment, limits, counters)
    }

    #[inline(never)]
    fn arrive_any<'a>(&mut self, segment: &Arriving<'a>, limits: &Limits, counters: &mut Counters) -> Arrival<'a> {
        let total = length(segment.payload).saturating_add(segment.missing);
        let ahead = distance(self.next, segment.sequence);
        if !(-WINDOW_BYTES..=WINDOW_BYTES).contains(&ahead) || total > WINDOW_BYTES.cast_unsigned() {
            return self.out_of_window(segment, total, limits, counters);
        }
        self.elsewhere = None;
        if ahead == -1 && total <= 1 {
            return Arrival { is_keep_alive: true, ..Arrival::default() };
        }
        let mut arrival = Arrival::default();
        let seen = ahead.min(0).unsigned_abs().min(total);
        if seen > 0 {
            arrival.conflict = self.contradiction(segment.sequence, segment.payload);
            arrival.is_retransmission = seen == total;
            counters.after_gap_bytes += u64::from(self.was_lost(segment.sequence, seen));
        }
        if let Some(end) = self.end
            && distance(end, segment.sequence.wrapping_add(total)) > 0
        {
            // Nothing may follow the end; the place of the FIN itself is where a probe whether the other side is alive has its byte.
            arrival.is_out_of_window = total > 0;
            arrival.is_after_end = total > 1 || segment.sequence != end;
            counters.out_of_window += 1;
            return arrival;
        }
        let fresh = segment.payload.get(seen as usize..).unwrap_or_default();
        let missing = segment.missing.min(total - seen);
        let start = segment.sequence.wrapping_add(seen);
        let is_clear = self.held.start().is_none_or(|held| distance(start.wrapping_add(length(fresh)), held) >= 0);
        if start == self.next && is_clear && !segment.is_held_back && missing == 0 {
            self.used(fresh, segment.is_kept);
            arrival.in_order = (!fresh.is_empty()).then_some(fresh);
            arrival.new_bytes = fresh.len() as u64;
            return arrival;
        }
        let content = if segment.is_kept { Content::Bytes(fresh.to_vec()) } else { Content::Unread(length(fresh)) };
        let before = self.held.cost();
        let Arriving { ts, acknowledgment, .. } = *segment;
        let lost = Segment { start: start.wrapping_add(length(fresh)), ts, acknowledgment, content: Content::Lost(missing) };
        for part in [Segment { start, ts, acknowledgment, content }, lost] {
            let inserted = self.held.insert(part, limits.overlap);
            arrival.new_bytes += inserted.new_bytes;
            arrival.conflict = arrival.conflict.or(inserted.conflict);
        }
        arrival.is_retransmission = total > 0 && arrival.new_bytes == 0;
        counters.held_bytes += self.held.cost() - before;
        arrival.is_over_bound = self.held.cost() > limits.direction_bytes
            || self.held.len() > limits.direction_segments
            || counters.held_bytes > limits.held_bytes;
        arrival
    }

    /// What the sender of the bytes that `ready` gives next had received of the other side by then; the outer None when nothing is ready.
    #[inline]
    pub fn peek(&self) -> Option<Option<u32>> {
        self.held.first().filter(|first| distance(self.next, first.start) <= 0).map(|first| first.acknowledgment)
    }

    /// The next bytes in order that waited. To be called until it gives none after `arrive` or a skip.
    #[inline]
    pub fn ready(&mut self, counters: &mut Counters) -> Option<Ready> {
        if self.held.is_empty() { None } else { self.ready_any(counters) }
    }

    fn ready_any(&mut self, counters: &mut Counters) -> Option<Ready> {
        if distance(self.next, self.held.start()?) > 0 {
            return None;
        }
        let before = self.held.cost();
        let segment = self.held.pop()?;
        counters.held_bytes = counters.held_bytes.saturating_sub(before - self.held.cost());
        // What came in order in the meantime is not given again.
        let seen = distance(segment.start, self.next).cast_unsigned().min(segment.content.length());
        let segment = segment.after(seen);
        match segment.content {
            Content::Bytes(bytes) => {
                self.used(&bytes, true);
                Some(Ready::Data(segment.ts, bytes))
            }
            Content::Unread(count) => {
                self.next = self.next.wrapping_add(count);
                Some(Ready::Unread)
            }
            Content::Lost(count) => Some(Ready::Gap(self.lose(count, counters))),
        }
    }

    /// Declares lost what is missing in front of what waits. Returns how many bytes.
    pub fn skip_to_held(&mut self, counters: &mut Counters) -> Option<u64> {
        let ahead = distance(self.next, self.held.start()?);
        (ahead > 0).then(|| self.lose(ahead.cast_unsigned(), counters))
    }

    /// Declares lost what the other side has acknowledged and nobody has seen. Returns how many bytes.
    pub fn skip_to_acknowledged(&mut self, acknowledgment: u32, counters: &mut Counters) -> Option<u64> {
        let acknowledged = self.unseen(acknowledgment)?;
        let ahead =
            self.held.start().map_or(acknowledged, |start| distance(self.next, start).max(0).cast_unsigned().min(acknowledged));
        (ahead > 0).then(|| self.lose(ahead, counters))
    }

    /// Forgets what waits: nobody reads it.
    pub fn discard(&mut self, counters: &mut Counters) {
        counters.held_bytes = counters.held_bytes.saturating_sub(self.held.cost());
        self.held = Held::default();
        self.history = Vec::new();
    }

    fn lose(&mut self, count: u32, counters: &mut Counters) -> u64 {
        let from = self.next;
        self.next = self.next.wrapping_add(count);
        self.lost = Some((from, self.next));
        self.history.clear();
        counters.gap_bytes += u64::from(count);
        u64::from(count)
    }

    /// How many of these bytes lie in the place that was declared lost last.
    fn was_lost(&self, start: u32, count: u32) -> u32 {
        let Some((from, to)) = self.lost else {
            return 0;
        };
        let begin = distance(from, start).max(0);
        let end = distance(from, start.wrapping_add(count)).min(distance(from, to));
        (end - begin).max(0).cast_unsigned()
    }

    /// A segment far from where the stream is. A second one that continues it means that the stream has moved: much was lost.
    fn out_of_window<'a>(&mut self, segment: &Arriving<'a>, total: u32, limits: &Limits, counters: &mut Counters) -> Arrival<'a> {
        let is_continued = self.elsewhere == Some(segment.sequence) && total > 0 && total <= WINDOW_BYTES.cast_unsigned();
        self.elsewhere = Some(segment.sequence.wrapping_add(total));
        if is_continued && self.held.is_empty() && self.end.is_none() {
            self.next = segment.sequence;
            self.history.clear();
            self.lost = None;
            return Arrival { has_moved: true, ..self.arrive(segment, limits, counters) };
        }
        counters.out_of_window += 1;
        Arrival { is_out_of_window: true, ..Arrival::default() }
    }

    /// Where bytes in front of `next` differ from those remembered.
    fn contradiction(&self, sequence: u32, payload: &[u8]) -> Option<Conflict> {
        let start = self.next.wrapping_sub(length(&self.history));
        let offset = distance(start, sequence);
        let (skip_history, skip_payload) = if offset >= 0 { (offset.unsigned_abs(), 0) } else { (0, offset.unsigned_abs()) };
        let before = self.history.get(skip_history as usize..)?;
        let now = payload.get(skip_payload as usize..)?;
        Conflict::between(sequence.wrapping_add(skip_payload), before, now)
    }

    /// These bytes are used: the next ones come behind them.
    #[inline]
    fn used(&mut self, bytes: &[u8], is_kept: bool) {
        self.next = self.next.wrapping_add(length(bytes));
        if is_kept {
            let recent = bytes.get(bytes.len().saturating_sub(HISTORY_BYTES)..).unwrap_or_default();
            if self.history.len() + recent.len() > HISTORY_BYTES + SURPLUS_BYTES {
                let surplus = (self.history.len() + recent.len()).saturating_sub(HISTORY_BYTES).min(self.history.len());
                self.history.drain(..surplus);
            }
            let bytes = self.history.len() + recent.len();
            if bytes > self.history.capacity() {
                self.make_room(bytes);
            }
            self.history.extend_from_slice(recent);
        }
    }

    /// A vector that grows by itself may come to hold twice of what it needs, and each of two directions has one.
    #[cold]
    fn make_room(&mut self, bytes: usize) {
        let room = bytes.next_power_of_two().clamp(64, HISTORY_BYTES + SURPLUS_BYTES);
        self.history.reserve_exact(room.saturating_sub(self.history.len()));
    }
}
