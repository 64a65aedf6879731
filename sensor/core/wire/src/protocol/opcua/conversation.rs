//! One OPC UA conversation: chunks become messages, requests wait for their responses, and both become one row.

mod chunks;
mod exchanges;
mod hello;
mod opening;

use std::collections::VecDeque;

use self::exchanges::{Parked, Pending, RESPONSE_TIMEOUT_NS};
use self::opening::Opening;
use super::certificate;
use super::channel::Channel;
use super::chunk::Assembly;
use super::identity;
use super::long_chunk::LongChunk;
use super::over::Over;
use super::poll::PollId;
use super::session::Sessions;
use super::subscription::Server;
use super::transport::{self, Chunk, Framed, HEADER_BYTES, Offer};
use super::violation::{Broken, Budget};
use crate::protocol::{Context, Conversation, Side};
use crate::record::table::Attribute;
use crate::record::table::opcua::{MessageType, SecurityMode};

/// Bytes of a message that a violation may show: its headers. Behind them may be a user's secret.
const HEADERS: usize = 28;

/// What is known of one side.
#[derive(Default)]
struct Half {
    messages: u64,
    last_gap: Option<i64>,
    first: i64,
    /// The next bytes need not be at the start of a chunk.
    is_lost: bool,
    /// The next chunk need not be the first of its message.
    is_inside: bool,
    /// A chunk that is too long to be held in the stream.
    long: Option<Box<LongChunk>>,
    /// Packet that brought the first byte of a chunk that is not complete.
    partial: Option<i64>,
    sequence: Option<u32>,
    assembly: Assembly,
    /// Chunks and bytes of a message that encryption hides, and the packet that brought its first byte.
    hidden: Option<(u32, u32, i64)>,
    offer: Option<Offer>,
}

/// An OPC UA conversation.
pub struct Opcua {
    from_start: bool,
    server: Option<Server>,
    channel: Channel,
    client: Half,
    service: Half,
    pending: VecDeque<Pending>,
    /// When outstanding requests are looked at next: at least each minute, whichever waits how long.
    wake: Option<i64>,
    /// The opening of a channel that waits for its answer: there is one at a time.
    opening: Option<Box<Opening>>,
    parked: Option<Box<Parked>>,
    over: Over,
    sessions: Sessions,
    poll: PollId,
    broken: Vec<Broken>,
    budget: Budget,
    is_introduced: bool,
    /// Whether the buffers were held against the policy.
    is_judged: bool,
}

impl Opcua {
    /// A conversation. `from_start`: its beginning was seen, so that every response should have its request.
    pub fn new(from_start: bool) -> Self {
        let half = || Half { is_lost: !from_start, is_inside: !from_start, ..Half::default() };
        Self {
            from_start,
            server: None,
            channel: Channel::default(),
            client: half(),
            service: half(),
            // Most have one at a time.
            pending: VecDeque::with_capacity(1),
            wake: None,
            opening: None,
            parked: None,
            over: Over::default(),
            sessions: Sessions::default(),
            poll: PollId::default(),
            broken: Vec::new(),
            budget: Budget::default(),
            is_introduced: false,
            is_judged: false,
        }
    }

    fn half(&mut self, side: Side) -> &mut Half {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.service,
        }
    }

    fn violate(&mut self, kind: &'static str, clause: &'static str, detail: String, bytes: &[u8], context: &mut Context<'_>) {
        let shown = bytes.get(..HEADERS).unwrap_or(bytes);
        self.budget.violate(&Broken { kind, clause, detail }, shown, context);
    }

    /// One chunk of one side.
    #[inline]
    fn chunk(&mut self, side: Side, chunk: &Chunk<'_>, start: i64, context: &mut Context<'_>) {
        if self.server.is_none() {
            self.introduce(context);
        }
        let half = self.half(side);
        if half.messages == 0 {
            half.first = start;
        }
        half.messages += 1;
        match chunk.kind {
            MessageType::Message | MessageType::Close => self.symmetric(side, chunk, start, context),
            MessageType::Open => self.asymmetric(side, chunk, start, context),
            MessageType::Hello | MessageType::Acknowledge | MessageType::Error | MessageType::ReverseHello => {
                self.transport(side, chunk, start, context);
            }
        }
    }

    #[cold]
    fn introduce(&mut self, context: &mut Context<'_>) {
        let port = context.records.parties.get(context.party).and_then(|party| party.server_port).unwrap_or_default();
        let mut sha1 = sha1_smol::Sha1::new();
        sha1.update(&context.server.0.to_be_bytes());
        sha1.update(&port.to_be_bytes());
        let [a, b, c, d, e, f, g, h, ..] = sha1.digest().bytes();
        self.server = Some(Server(u64::from_be_bytes([a, b, c, d, e, f, g, h])));
    }

    /// The server answers: it is one.
    #[inline]
    fn learn_server(&mut self, context: &mut Context<'_>) {
        if !self.is_introduced {
            self.is_introduced = true;
            identity::learn(Side::Server, Attribute::Role, "opcua server", "traffic", context);
            crate::protocol::modbus::learn_makers(context);
        }
    }

    fn nonsense(&mut self, framed: Framed<'_>, data: &[u8], context: &mut Context<'_>) {
        let (kind, detail) = match framed {
            Framed::TooShort(kind, size) => {
                ("message_size", format!("expected a {} message of more bytes, seen a size of {size}", kind.word()))
            }
            _ => ("message_type", "expected a message type and a chunk type that are defined, seen others".to_owned()),
        };
        self.violate(kind, "OPC 10000-6, 7.1.2.2", detail, data.get(..HEADER_BYTES).unwrap_or(data), context);
    }

    /// A chunk that was too long to be held in the stream: all of it, or as much as has come.
    #[cold]
    fn long_chunk(&mut self, side: Side, long: &LongChunk, context: &mut Context<'_>) {
        if let Some(chunk) = long.chunk() {
            self.chunk(side, &chunk, long.start, context);
        }
        let held = &mut context.shared.opcua.held_bytes;
        *held = held.saturating_sub(long.held());
    }

    /// Takes chunks from the start of the data. Returns how many bytes are used.
    fn take(&mut self, side: Side, data: &[u8], start: &mut i64, context: &mut Context<'_>) -> usize {
        let mut used = 0_usize;
        while let Some(rest) = data.get(used..).filter(|rest| !rest.is_empty()) {
            let is_hidden = self.channel.mode == Some(SecurityMode::SignAndEncrypt);
            let half = self.half(side);
            if let Some(mut long) = half.long.take() {
                let (own, left_out) = long.take(rest, &mut context.shared.opcua.held_bytes);
                used += own;
                *start = context.ts;
                if !is_hidden {
                    context.shared.counters.opcua_long_chunk_bytes += left_out as u64;
                }
                if !long.is_whole() {
                    self.half(side).long = Some(long);
                    continue;
                }
                self.long_chunk(side, &long, context);
                if self.parked.is_some() || context.records.is_full() {
                    break;
                }
                continue;
            }
            if half.is_lost {
                let next = transport::resynchronise(rest);
                if next > 0 {
                    used += next;
                    *start = context.ts;
                    context.shared.counters.opcua_skipped_bytes += next as u64;
                    continue;
                }
                // Only a whole header tells whether a message begins here.
                if rest.len() < HEADER_BYTES {
                    break;
                }
                half.is_lost = false;
            }
            match transport::frame(rest) {
                Framed::Chunk(chunk) => {
                    used += chunk.bytes.len();
                    self.chunk(side, &chunk, *start, context);
                    *start = context.ts;
                    if self.parked.is_some() || context.records.is_full() {
                        break;
                    }
                }
                Framed::NeedMore => break,
                Framed::Long(kind, size) => {
                    let is_hidden = is_hidden && matches!(kind, MessageType::Message | MessageType::Close);
                    self.half(side).long = Some(Box::new(LongChunk::new(size, is_hidden, *start)));
                }
                framed => {
                    self.nonsense(framed, rest, context);
                    let half = self.half(side);
                    (half.is_lost, half.is_inside, half.sequence, half.last_gap) = (true, true, None, Some(context.ts));
                    used += 1;
                    *start = context.ts;
                    context.shared.counters.opcua_skipped_bytes += 1;
                }
            }
        }
        used.min(data.len())
    }
}

impl Conversation for Opcua {
    #[inline]
    fn stream(&mut self, side: Side, data: &[u8], context: &mut Context<'_>) -> usize {
        if self.parked.is_some() && !self.resume(context) {
            return 0;
        }
        let mut start = self.half(side).partial.take().unwrap_or(context.ts);
        let used = self.take(side, data, &mut start, context);
        if used < data.len() {
            self.half(side).partial = Some(start);
        }
        used
    }

    fn datagram(&mut self, _side: Side, _data: &[u8], _context: &mut Context<'_>) {}

    fn gap(&mut self, side: Side, lost: u64, context: &mut Context<'_>) {
        let now = context.ts;
        let half = self.half(side);
        if let Some(mut long) = half.long.take() {
            if lost > 0 && long.lose(lost) {
                // Where the next chunk begins is known all the same.
                half.long = Some(long);
                return;
            }
            self.long_chunk(side, &long, context);
        }
        let half = self.half(side);
        (half.is_lost, half.is_inside, half.last_gap) = (true, true, Some(now));
        (half.sequence, half.hidden, half.partial) = (None, None, None);
        for message in self.half(side).assembly.clear() {
            self.incomplete(side, message, context);
        }
    }

    #[inline]
    fn deadline(&self) -> Option<i64> {
        if self.parked.is_some() {
            return Some(i64::MIN);
        }
        let wake = self.wake.filter(|_| !self.pending.is_empty());
        [wake, self.client.assembly.deadline(), self.service.assembly.deadline()].into_iter().flatten().min()
    }

    fn expire(&mut self, now: i64, context: &mut Context<'_>) {
        if !self.resume(context) {
            return;
        }
        for side in [Side::Client, Side::Server] {
            while let Some(message) = self.half(side).assembly.late(now) {
                self.unfinished(side, message, "none has come for a minute", context);
            }
        }
        while self.parked.is_none()
            && let Some(at) = self.pending.iter().position(|pending| pending.deadline <= now)
        {
            self.give_up(at, context);
        }
        let earliest = self.pending.iter().map(|pending| pending.deadline).min();
        self.wake = earliest.map(|earliest| earliest.min(now.saturating_add(RESPONSE_TIMEOUT_NS)));
    }

    fn held(&self) -> usize {
        let parked = self.parked.iter().flat_map(|parked| [&parked.request, &parked.response]).flatten();
        let opening = self.opening.iter().map(|opening| &opening.message);
        let bodies = self.pending.iter().map(|pending| &pending.message).chain(parked).chain(opening);
        let whole = bodies.map(|message| message.body.len()).sum::<usize>();
        let halves = [&self.client, &self.service];
        let long = halves.iter().filter_map(|half| half.long.as_ref()).map(|long| long.held()).sum::<usize>();
        whole + long + self.over.held() + halves.iter().map(|half| half.assembly.body_bytes()).sum::<usize>()
    }

    fn relieve(&mut self, context: &mut Context<'_>) {
        if !self.resume(context) {
            return;
        }
        for side in [Side::Client, Side::Server] {
            if let Some(long) = &mut self.half(side).long {
                let counters = &mut context.shared.counters;
                counters.opcua_long_chunk_bytes += long.cut_short(&mut context.shared.opcua.held_bytes) as u64;
            }
            for message in self.half(side).assembly.clear() {
                self.unfinished(side, message, "the conversation holds more than the others", context);
            }
        }
        self.over.forget_bodies(&mut context.shared.opcua.held_bytes);
        if let Some(opening) = self.opening.take() {
            context.shared.counters.opcua_pending_overflow += 1;
            self.opened(Some(*opening), None, context);
        }
        while self.parked.is_none() && !self.pending.is_empty() && !context.records.is_full() {
            context.shared.counters.opcua_pending_overflow += 1;
            self.give_up(0, context);
        }
    }

    fn close(&mut self, context: &mut Context<'_>) {
        if !self.resume(context) {
            return;
        }
        for side in [Side::Client, Side::Server] {
            if let Some(long) = self.half(side).long.take() {
                self.long_chunk(side, &long, context);
            }
        }
        if let Some(opening) = self.opening.take() {
            self.opened(Some(*opening), None, context);
        }
        for side in [Side::Client, Side::Server] {
            for message in self.half(side).assembly.clear() {
                self.incomplete(side, message, context);
            }
        }
        while self.parked.is_none() && !self.pending.is_empty() && !context.records.is_full() {
            self.give_up(0, context);
        }
        for message in self.over.clear() {
            self.release(message, context);
        }
    }

    fn bytes(&self) -> usize {
        let requests = self.pending.iter().map(|pending| pending.message.body.capacity()).sum::<usize>();
        let shown = |facts: &Option<Box<certificate::Facts>>| facts.as_ref().map_or(0, |facts| facts.bytes());
        let opening = self
            .opening
            .as_ref()
            .map_or(0, |opening| size_of::<Opening>() + opening.message.body.capacity() + shown(&opening.certificate));
        let parked = self.parked.as_ref().map_or(0, |parked| {
            let halves = [&parked.request, &parked.response].into_iter().flatten();
            let bodies = halves.map(|message| message.body.capacity()).sum::<usize>();
            size_of::<Parked>() + bodies + parked.certificates.iter().map(shown).sum::<usize>()
        });
        size_of::<Self>()
            + opening
            + parked
            + requests
            + self.pending.capacity() * size_of::<Pending>()
            + [&self.client, &self.service].iter().filter_map(|half| half.long.as_ref()).map(|long| long.bytes()).sum::<usize>()
            + self.client.assembly.bytes()
            + self.service.assembly.bytes()
            + self.sessions.bytes()
            + self.over.bytes()
            + self.budget.bytes()
    }

    fn message_bytes(&self) -> usize {
        transport::CHUNK_BYTES
    }
}
