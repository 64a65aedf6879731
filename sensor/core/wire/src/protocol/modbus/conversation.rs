//! One Modbus conversation: requests are remembered until their answers come, and both become one row.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use super::check::{self, Broken};
use super::frame::{self, Adu, Framed, Framing, HEADER_BYTES};
use super::function::{ENCAPSULATED, EXCEPTION};
use super::row::{self, Exchange};
use super::{function, identity};
use crate::protocol::{Carrier, Context, Conversation, Side};
use crate::record::table::{Attribute, Encapsulation, Layer, ViolationRow};

/// How long a request waits for its answer, in packet time: 5 s in nanoseconds. Gateways give up on serial units after 1 to 3 s.
pub const RESPONSE_TIMEOUT_NS: i64 = 5_000_000_000;
/// Requests that may wait for answers in one conversation (GUIDE, 4.2.1 speaks of 1 to 16); the oldest makes room.
pub const PENDING: usize = 64;
/// Answers and given-up requests that are remembered, to recognise second and late answers.
const REMEMBERED: usize = 16;
/// Violations of one kind that a conversation may make within a minute; further ones are counted.
pub const VIOLATIONS_PER_MINUTE: u32 = 100;
const MINUTE_NS: i64 = 60_000_000_000;
/// Bytes of a violation that are kept.
const VIOLATION_BYTES: usize = 64;

/// A request without its answer.
struct Pending {
    transaction: Option<u16>,
    unit: u8,
    /// Packet that brought its first byte.
    start: i64,
    /// Packet that brought its last byte.
    end: i64,
    bytes: u32,
    pdu: Vec<u8>,
}

/// What identifies an exchange afterwards.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Mark {
    transaction: Option<u16>,
    unit: u8,
    code: u8,
}

/// What is known of one side.
#[derive(Default)]
struct Half {
    messages: u64,
    first: i64,
    last_gap: Option<i64>,
    /// The next bytes need not be at the start of a message.
    is_lost: bool,
    /// Packet that brought the first byte of a message that is not complete.
    partial: Option<i64>,
}

/// A Modbus conversation.
pub struct Modbus {
    framing: Framing,
    encapsulation: Encapsulation,
    from_start: bool,
    pending: VecDeque<Pending>,
    spare: Vec<Vec<u8>>,
    answered: VecDeque<(Mark, u64)>,
    given_up: VecDeque<Mark>,
    client: Half,
    server: Half,
    violations: Vec<(&'static str, i64, u32)>,
    is_introduced: bool,
}

impl Modbus {
    /// A conversation in this framing. `from_start`: its beginning was seen, so that every answer should have its request.
    pub fn new(framing: Framing, carrier: Carrier, from_start: bool) -> Self {
        Self {
            framing,
            encapsulation: match (carrier, framing) {
                // Nobody sends Modbus in frames of its own; what comes whole is a datagram.
                (Carrier::Datagram | Carrier::Frame, _) => Encapsulation::Udp,
                (Carrier::Stream, Framing::Tcp) => Encapsulation::Tcp,
                (Carrier::Stream, Framing::Rtu) => Encapsulation::RtuOverTcp,
            },
            from_start,
            pending: VecDeque::new(),
            spare: Vec::new(),
            answered: VecDeque::new(),
            given_up: VecDeque::new(),
            client: Half::default(),
            server: Half::default(),
            violations: Vec::new(),
            is_introduced: false,
        }
    }

    fn half(&mut self, side: Side) -> &mut Half {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    #[inline]
    fn message(&mut self, side: Side, adu: &Adu<'_>, start: i64, context: &mut Context<'_>) {
        let half = self.half(side);
        if half.messages == 0 {
            half.first = start;
        }
        half.messages += 1;
        match side {
            Side::Client => self.request(adu, start, context),
            Side::Server => self.response(adu, start, context),
        }
    }

    #[inline]
    fn request(&mut self, adu: &Adu<'_>, start: i64, context: &mut Context<'_>) {
        if !check::is_plain_request(adu.unit, adu.pdu) {
            for broken in check::request(adu.unit, adu.pdu) {
                self.violate(&broken, adu.bytes, context);
            }
        }
        let twin =
            |pending: &Pending| adu.transaction.is_some() && (pending.transaction, pending.unit) == (adu.transaction, adu.unit);
        if let Some(pending) = self.pending.iter().find(|pending| twin(pending))
            && pending.pdu != adu.pdu
        {
            let detail = format!(
                "expected a transaction identifier that no outstanding request has, seen {} again with another request",
                adu.transaction.unwrap_or_default()
            );
            let broken = Broken { kind: "transaction_reused", clause: "GUIDE V1.0b, 4.4.1.3", detail };
            self.violate(&broken, adu.bytes, context);
        }
        if self.pending.len() >= PENDING {
            context.shared.counters.pending_overflow += 1;
            self.give_up(context);
        }
        let mut pdu = self.spare.pop().unwrap_or_default();
        pdu.extend_from_slice(adu.pdu);
        let bytes = u32::try_from(adu.bytes.len()).unwrap_or(u32::MAX);
        self.pending.push_back(Pending { transaction: adu.transaction, unit: adu.unit, start, end: context.ts, bytes, pdu });
    }

    #[inline]
    fn response(&mut self, adu: &Adu<'_>, start: i64, context: &mut Context<'_>) {
        let code = adu.pdu.first().copied().unwrap_or_default() & !EXCEPTION;
        let same = |pending: &Pending| pending.transaction == adu.transaction;
        let unit = |pending: &Pending| pending.unit == adu.unit;
        let function = |pending: &Pending| pending.pdu.first() == Some(&code);
        let found = self
            .pending
            .iter()
            .position(|pending| same(pending) && unit(pending) && function(pending))
            // Without a transaction identifier another unit's or function's answer cannot be told from an unsolicited one.
            .or_else(|| adu.transaction.and_then(|_| self.pending.iter().position(same)));
        let mark = Mark { transaction: adu.transaction, unit: adu.unit, code };
        let Some(pending) = found.and_then(|at| self.pending.remove(at)) else {
            return self.unmatched(adu, mark, start, context);
        };
        if pending.pdu.first() != Some(&code) {
            let asked = pending.pdu.first().copied().unwrap_or_default();
            let detail = format!("expected an answer with function {asked}, seen {code}");
            self.violate(&Broken { kind: "response_function", clause: "MAP V1.1b3, 4.1", detail }, adu.bytes, context);
        }
        if pending.unit != adu.unit {
            let detail = format!("expected an answer of unit {}, seen {}", pending.unit, adu.unit);
            self.violate(&Broken { kind: "response_unit", clause: "GUIDE V1.0b, 4.4.2.2", detail }, adu.bytes, context);
        }
        if !check::is_plain_response(&pending.pdu, adu.pdu) {
            for broken in check::response(Some(&pending.pdu), adu.pdu) {
                self.violate(&broken, adu.bytes, context);
            }
        }
        let exchange = Exchange {
            transaction: adu.transaction,
            unit: pending.unit,
            ts: pending.start,
            request: Some(&pending.pdu),
            response: Some(adu.pdu),
            response_time: Some(start.saturating_sub(pending.end).max(0)),
            encapsulation: self.encapsulation,
            bytes: pending.bytes.saturating_add(u32::try_from(adu.bytes.len()).unwrap_or(u32::MAX)),
        };
        row::record(&exchange, context);
        if let [function::UMAS, _, identity::UMAS_IDENTIFY, ..] = pending.pdu.as_slice() {
            identity::learn_umas(adu.pdu, context);
        }
        self.learn(code, adu.pdu, context);
        remember(&mut self.answered, (mark, hash(adu.pdu)));
        self.reuse(pending.pdu);
    }

    /// An answer whose request is not outstanding.
    #[cold]
    fn unmatched(&mut self, adu: &Adu<'_>, mark: Mark, start: i64, context: &mut Context<'_>) {
        let earlier = self.answered.iter().rev().find(|(answered, _)| *answered == mark).map(|(_, hash)| *hash);
        let is_late = self.given_up.contains(&mark);
        let now = context.ts;
        let recently = |since: i64| now.saturating_sub(since) <= 2 * RESPONSE_TIMEOUT_NS;
        // What was not captured explains an answer without its request: a beginning that was not seen, a gap, a side that is not seen.
        let is_explained = is_late
            || self.client.messages == 0
            || self.client.is_lost
            || self.client.last_gap.is_some_and(recently)
            || (!self.from_start && recently(self.client.first));
        let broken = match earlier {
            Some(earlier) if adu.transaction.is_some() && !is_late => {
                let (kind, seen) = if earlier == hash(adu.pdu) {
                    ("second_response", "the same")
                } else {
                    ("second_response_differs", "another")
                };
                let detail = format!("expected one answer to the request, seen {seen} answer again");
                Some(Broken { kind, clause: "MAP V1.1b3, 4.1", detail })
            }
            _ if is_explained => None,
            _ => {
                let detail =
                    format!("expected an outstanding request with function {} of unit {}, seen none", mark.code, mark.unit);
                Some(Broken { kind: "response_without_request", clause: "GUIDE V1.0b, 4.4.1.5", detail })
            }
        };
        for broken in broken.into_iter().chain(check::response(None, adu.pdu)) {
            self.violate(&broken, adu.bytes, context);
        }
        let exchange = Exchange {
            transaction: adu.transaction,
            unit: adu.unit,
            ts: start,
            request: None,
            response: Some(adu.pdu),
            response_time: None,
            encapsulation: self.encapsulation,
            bytes: u32::try_from(adu.bytes.len()).unwrap_or(u32::MAX),
        };
        row::record(&exchange, context);
        self.learn(mark.code, adu.pdu, context);
    }

    /// Makes the oldest outstanding request a row of its own.
    fn give_up(&mut self, context: &mut Context<'_>) {
        let Some(pending) = self.pending.pop_front() else {
            return;
        };
        let code = pending.pdu.first().copied().unwrap_or_default();
        remember(&mut self.given_up, Mark { transaction: pending.transaction, unit: pending.unit, code });
        let exchange = Exchange {
            transaction: pending.transaction,
            unit: pending.unit,
            ts: pending.start,
            request: Some(&pending.pdu),
            response: None,
            response_time: None,
            encapsulation: self.encapsulation,
            bytes: pending.bytes,
        };
        row::record(&exchange, context);
        self.reuse(pending.pdu);
    }

    fn reuse(&mut self, mut pdu: Vec<u8>) {
        pdu.clear();
        self.spare.push(pdu);
    }

    #[inline]
    fn learn(&mut self, code: u8, pdu: &[u8], context: &mut Context<'_>) {
        if !self.is_introduced {
            self.is_introduced = true;
            identity::learn(Attribute::Role, "modbus server", "traffic", context);
            identity::learn_makers(context);
        }
        match (code, pdu) {
            (17, [17, ..]) => identity::learn_server_id(pdu, context),
            (ENCAPSULATED, [ENCAPSULATED, function::DEVICE_IDENTIFICATION, ..]) => identity::learn_objects(pdu, context),
            _ => {}
        }
    }

    #[cold]
    fn violate(&mut self, broken: &Broken, bytes: &[u8], context: &mut Context<'_>) {
        let now = context.ts;
        let window = match self.violations.iter_mut().find(|(kind, _, _)| *kind == broken.kind) {
            Some(window) => window,
            None => {
                self.violations.push((broken.kind, now, 0));
                let Some(window) = self.violations.last_mut() else {
                    return;
                };
                window
            }
        };
        if now.saturating_sub(window.1) > MINUTE_NS {
            (window.1, window.2) = (now, 0);
        }
        window.2 += 1;
        if window.2 > VIOLATIONS_PER_MINUTE {
            context.shared.counters.violations_limited += 1;
            return;
        }
        let row = ViolationRow {
            layer: Layer::Application,
            kind: broken.kind,
            clause: broken.clause,
            detail: &broken.detail,
            bytes: bytes.get(..VIOLATION_BYTES).unwrap_or(bytes),
            protocol: "modbus",
        };
        context.records.violation.push(now, context.party, &row);
    }

    /// What begins at the start of these bytes.
    #[inline]
    fn frame<'a>(&self, side: Side, data: &'a [u8]) -> Framed<'a> {
        match self.framing {
            Framing::Tcp => frame::tcp(data),
            Framing::Rtu => frame::rtu(side, data),
        }
    }

    /// Bytes to skip until a message can begin; all of them but the start of a header where none does.
    fn skip(&mut self, side: Side, data: &[u8], context: &mut Context<'_>) -> usize {
        let next = match self.framing {
            Framing::Tcp => frame::resynchronise(side, data),
            Framing::Rtu => (1..data.len()).find(|&at| {
                let rest = data.get(at..).unwrap_or_default();
                // Check sequences are dear; most places do not even have a function there.
                rest.get(1).is_some_and(|code| function::is_public(code & !EXCEPTION))
                    && matches!(frame::rtu(side, rest), Framed::Adu(adu) if frame::is_consistent(side, adu.pdu))
            }),
        };
        let skipped = next.unwrap_or_else(|| data.len().saturating_sub(HEADER_BYTES - 1).max(1));
        context.shared.counters.skipped_bytes += skipped as u64;
        skipped
    }

    /// Whether a message can begin here, after bytes were lost.
    fn begins(&self, side: Side, data: &[u8]) -> bool {
        match self.frame(side, data) {
            Framed::Adu(adu) => adu.protocol == 0 && frame::is_consistent(side, adu.pdu),
            Framed::NeedMore => {
                let at = |index: usize| data.get(index).copied().unwrap_or_default();
                self.framing == Framing::Rtu || (at(2), at(3), at(4)) == (0, 0, 0)
            }
            _ => false,
        }
    }

    fn nonsense(&mut self, framed: Framed<'_>, data: &[u8], context: &mut Context<'_>) {
        let (kind, clause, detail) = match framed {
            Framed::BadLength(length) if length > frame::LENGTH_MOST => (
                "adu_length",
                "GUIDE V1.0b, 4.1; MAP V1.1b3, 4.1",
                format!("expected a length of at most {}, seen {length}", frame::LENGTH_MOST),
            ),
            Framed::BadLength(length) => (
                "mbap_length",
                "GUIDE V1.0b, 3.1.3",
                format!("expected a length of at least {}, seen {length}", frame::LENGTH_LEAST),
            ),
            Framed::Nonsense(length) if length > 0 => {
                let body = data.get(..length - 2).unwrap_or_default();
                let seen = data
                    .get(length - 2..length)
                    .and_then(|check| check.first_chunk::<2>())
                    .map_or(0, |check| u16::from_le_bytes(*check));
                (
                    "rtu_crc",
                    "SERIAL V1.02, 2.5.1.2",
                    format!("expected a check sequence of {:#06x}, seen {seen:#06x}", frame::crc(body)),
                )
            }
            _ => ("rtu_frame", "SERIAL V1.02, 2.5.1", "expected a frame whose check sequence holds, seen none".to_owned()),
        };
        self.violate(&Broken { kind, clause, detail }, data, context);
    }

    fn foreign(&mut self, adu: &Adu<'_>, context: &mut Context<'_>) {
        let detail = format!("expected protocol identifier 0, seen {}", adu.protocol);
        self.violate(&Broken { kind: "protocol_identifier", clause: "GUIDE V1.0b, 3.1.3", detail }, adu.bytes, context);
    }
}

fn hash(pdu: &[u8]) -> u64 {
    FixedState::default().hash_one(pdu)
}

fn remember<T>(memory: &mut VecDeque<T>, item: T) {
    if memory.len() >= REMEMBERED {
        memory.pop_front();
    }
    memory.push_back(item);
}

impl Conversation for Modbus {
    #[inline]
    fn stream(&mut self, side: Side, data: &[u8], context: &mut Context<'_>) -> usize {
        let mut start = self.half(side).partial.take().unwrap_or(context.ts);
        let mut used = 0;
        while let Some(rest) = data.get(used..).filter(|rest| !rest.is_empty()) {
            if self.half(side).is_lost {
                if self.begins(side, rest) {
                    self.half(side).is_lost = false;
                } else if rest.len() >= HEADER_BYTES {
                    used += self.skip(side, rest, context);
                    continue;
                } else {
                    break;
                }
            }
            match self.frame(side, rest) {
                Framed::Adu(adu) => {
                    used += adu.bytes.len();
                    if adu.protocol == 0 {
                        self.message(side, &adu, start, context);
                    } else {
                        self.foreign(&adu, context);
                        context.shared.counters.skipped_bytes += adu.bytes.len() as u64;
                    }
                    start = context.ts;
                    // The engine cuts and comes back with the rest.
                    if context.records.is_full() {
                        break;
                    }
                }
                Framed::NeedMore => break,
                framed => {
                    self.nonsense(framed, rest, context);
                    // A message that is too long but all there is skipped as a whole.
                    let whole = match framed {
                        Framed::BadLength(length) if rest.len() >= HEADER_BYTES - 1 + length => Some(HEADER_BYTES - 1 + length),
                        Framed::Nonsense(length) if length > 0 => Some(length),
                        _ => None,
                    };
                    match whole.filter(|whole| rest.get(*whole..).is_none_or(|next| next.is_empty() || self.begins(side, next))) {
                        Some(whole) => {
                            context.shared.counters.skipped_bytes += whole as u64;
                            used += whole;
                        }
                        None => {
                            used += self.skip(side, rest, context);
                            self.half(side).is_lost = true;
                        }
                    }
                    start = context.ts;
                }
            }
        }
        let used = used.min(data.len());
        if used < data.len() {
            self.half(side).partial = Some(start);
        }
        used
    }

    fn datagram(&mut self, side: Side, data: &[u8], context: &mut Context<'_>) {
        match self.frame(side, data) {
            Framed::Adu(adu) if adu.protocol == 0 && adu.bytes.len() == data.len() => {
                self.message(side, &adu, context.ts, context)
            }
            Framed::Adu(adu) if adu.protocol == 0 => {
                let detail = format!("expected a datagram of {} bytes as its header says, seen {}", adu.bytes.len(), data.len());
                self.violate(&Broken { kind: "datagram_length", clause: "GUIDE V1.0b, 3.1.3", detail }, data, context);
                self.message(side, &adu, context.ts, context);
            }
            Framed::Adu(adu) => self.foreign(&adu, context),
            Framed::NeedMore => {
                let detail = format!("expected as many bytes as the header says, seen {}", data.len());
                self.violate(&Broken { kind: "datagram_length", clause: "GUIDE V1.0b, 3.1.3", detail }, data, context);
            }
            framed => self.nonsense(framed, data, context),
        }
    }

    fn gap(&mut self, side: Side, _lost: u64, context: &mut Context<'_>) {
        let half = self.half(side);
        half.is_lost = true;
        half.last_gap = Some(context.ts);
        half.partial = None;
    }

    #[inline]
    fn deadline(&self) -> Option<i64> {
        self.pending.front().map(|pending| pending.end.saturating_add(RESPONSE_TIMEOUT_NS))
    }

    fn expire(&mut self, now: i64, context: &mut Context<'_>) {
        while self.deadline().is_some_and(|deadline| deadline <= now) {
            self.give_up(context);
        }
    }

    fn close(&mut self, context: &mut Context<'_>) {
        while !self.pending.is_empty() {
            self.give_up(context);
        }
    }

    fn bytes(&self) -> usize {
        let requests = self.pending.iter().map(|pending| pending.pdu.capacity()).sum::<usize>();
        size_of::<Self>()
            + requests
            + self.spare.iter().map(Vec::capacity).sum::<usize>()
            + self.pending.capacity() * size_of::<Pending>()
    }
}
