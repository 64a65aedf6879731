//! One OPC UA conversation: chunks become messages, requests wait for their responses, and both become one row.

use std::collections::VecDeque;

use super::certificate;
use super::channel::{self, Channel, Content};
use super::chunk::{Assembly, Message};
use super::exchange::{self, Body, Exchange, Lent};
use super::identity;
use super::item_text::plain;
use super::long_chunk::LongChunk;
use super::over::Over;
use super::poll::PollId;
use super::row::{self, Facts, Head};
use super::service::{self, Operand, Service};
use super::service_name::name_of;
use super::session::Sessions;
use super::subscription::Server;
use super::transport::{self, Chunk, Framed, HEADER_BYTES, Offer, Part};
use super::violation::{Broken, Budget};
use crate::protocol::{Context, Conversation, Side};
use crate::record::table::opcua::{ChannelRequestType, MessageType, SecurityMode};
use crate::record::table::{Attribute, Pairing};

/// How long a request waits for its response, in packet time, unless its client says that it waits longer: a minute in nanoseconds.
pub const RESPONSE_TIMEOUT_NS: i64 = 60_000_000_000;
/// How long at most, whatever the client says; Publish requests wait for something to happen (OPC 10000-4, 5.14.5).
pub const LONGEST_TIMEOUT_NS: i64 = 3_600_000_000_000;
/// Requests that may wait for responses in one conversation; the oldest makes room.
pub const PENDING: usize = 256;
/// Longest text of an error, an URL or a URI.
const TEXT_BYTES: usize = 4_096;
/// Highest sequence number after which a sender may start anew, and below which it then does (OPC 10000-6, 6.7.2.4).
const WRAP_FROM: u32 = u32::MAX - 1_024;
const WRAP_BELOW: u32 = 1_024;
/// Least buffers: of whoever uses a policy with elliptic curves, and of all others (OPC 10000-6, 7.1.2.3, 7.1.2.4).
const LEAST_BUFFER: u32 = 1_024;
const USUAL_BUFFER: u32 = 8_192;
/// Headers and signature of a chunk, bytes at most.
const AROUND_BYTES: u32 = 24 + 48;
/// Bytes of a message that a violation may show: its headers. Behind them may be a user's secret.
const HEADERS: usize = 28;

/// A request without its response.
struct Pending {
    message: Message,
    deadline: i64,
}

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

/// A message that opens a channel or answers one that does.
struct Opening {
    message: Message,
    certificate: Option<Box<certificate::Facts>>,
    /// Whether nothing encrypts it.
    is_plain: bool,
}

/// What is left of a message because the tables were full.
struct Parked {
    request: Option<Message>,
    response: Option<Message>,
    certificates: [Option<Box<certificate::Facts>>; 2],
    rows: u32,
    fate: Fate,
}

/// What becomes of the request of an exchange.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is over with the exchange.
    Over,
    /// It is given up: its answer may come late.
    GivenUp,
    /// It was given up, and is a row already: here it only says what the answer is of.
    Late,
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

    /// A message of the connection protocol.
    #[cold]
    fn transport(&mut self, side: Side, chunk: &Chunk<'_>, start: i64, context: &mut Context<'_>) {
        let mut facts = Facts::default();
        let bytes = chunk.bytes;
        let result = match chunk.kind {
            MessageType::Hello => transport::hello(chunk.body).map(|(offer, url)| {
                if url.is_some_and(|url| url.len() > 4_096) {
                    let detail = format!("expected a URL of at most 4096 bytes, seen {}", url.unwrap_or_default().len());
                    self.violate("endpoint_url_length", "OPC 10000-6, 7.1.2.3", detail, bytes, context);
                }
                facts.endpoint_url = plain(url, TEXT_BYTES);
                self.offered(side, offer, bytes, context);
            }),
            MessageType::Acknowledge => transport::acknowledge(chunk.body).map(|offer| self.offered(side, offer, bytes, context)),
            MessageType::Error => transport::error(chunk.body).map(|(code, reason)| {
                facts.error = Some(code);
                facts.reason = plain(reason, TEXT_BYTES);
            }),
            _ => transport::reverse_hello(chunk.body).map(|(uri, url)| {
                facts.application_uri = plain(uri, TEXT_BYTES);
                facts.endpoint_url = plain(url, TEXT_BYTES);
            }),
        };
        if let Err(fault) = result {
            self.budget.violate(&Broken::encoding(&fault), bytes.get(..HEADERS).unwrap_or(bytes), context);
        }
        if chunk.kind == MessageType::Hello && self.half(side).messages > 1 && self.from_start {
            let detail = "expected a hello as the first message of a connection, seen one later".to_owned();
            self.violate("hello_order", "OPC 10000-6, 7.1.2.3", detail, bytes, context);
        }
        let head = self.lone(side, chunk.kind, start, 1, chunk.size);
        row::push(&head, &facts, &self.channel, context);
    }

    fn offered(&mut self, side: Side, offer: Offer, bytes: &[u8], context: &mut Context<'_>) {
        let clause = if side == Side::Client { "OPC 10000-6, 7.1.2.3" } else { "OPC 10000-6, 7.1.2.4" };
        let asked = self.client.offer.filter(|_| side == Side::Server);
        let asked = asked.map(|asked| [asked.send_buffer, asked.receive_buffer]);
        for (at, (what, size)) in [("receive", offer.receive_buffer), ("send", offer.send_buffer)].into_iter().enumerate() {
            let most = asked.and_then(|asked| asked.get(at).copied());
            let least = if most.is_some_and(|most| most >= USUAL_BUFFER) { USUAL_BUFFER } else { LEAST_BUFFER };
            if size < least {
                let detail = format!("expected a {what} buffer of at least {least} bytes, seen {size}");
                self.violate("buffer_size", clause, detail, bytes, context);
            }
            if let Some(most) = most.filter(|most| size > *most) {
                let detail = format!("expected a {what} buffer of at most {most} bytes as the client asks for, seen {size}");
                self.violate("buffer_size", clause, detail, bytes, context);
            }
        }
        self.half(side).offer = Some(offer);
    }

    /// Only who means to use a policy with elliptic curves may ask for small buffers (OPC 10000-6, 7.1.2.3): the first opening tells.
    fn judge_buffers(&mut self, chunk: &Chunk<'_>, context: &mut Context<'_>) {
        let is_judged = std::mem::replace(&mut self.is_judged, true);
        let Some(offer) = self.client.offer.filter(|_| !is_judged && !self.channel.is_elliptic()) else { return };
        for (what, size) in [("receive", offer.receive_buffer), ("send", offer.send_buffer)] {
            if (LEAST_BUFFER..USUAL_BUFFER).contains(&size) {
                let policy = self.channel.policy.as_deref().unwrap_or_default();
                let detail =
                    format!("expected a {what} buffer of at least {USUAL_BUFFER} bytes for policy {policy}, seen {size}");
                self.violate("buffer_size", "OPC 10000-6, 7.1.2.3", detail, chunk.bytes, context);
            }
        }
    }

    /// Head of a row that stands for one message alone.
    fn lone(&self, side: Side, message_type: MessageType, ts: i64, chunks: u32, bytes: usize) -> Head {
        Head {
            ts,
            message_type,
            channel_id: None,
            token_id: None,
            sequence_number: None,
            request_id: None,
            chunks,
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
            response_time: None,
            pairing: if side == Side::Client { Pairing::Request } else { Pairing::Response },
            encrypted: false,
        }
    }

    /// A chunk that opens or renews a channel.
    #[cold]
    fn asymmetric(&mut self, side: Side, chunk: &Chunk<'_>, start: i64, context: &mut Context<'_>) {
        let open = match channel::asymmetric(chunk.body) {
            Ok(open) => open,
            Err(fault) => {
                self.budget.violate(&Broken::encoding(&fault), chunk.bytes.get(..HEADER_BYTES).unwrap_or_default(), context);
                let head = self.lone(side, chunk.kind, start, 1, chunk.size);
                return row::push(&head, &Facts::default(), &self.channel, context);
            }
        };
        if side == Side::Client || self.opening.is_none() {
            self.channel.open(open.policy);
        }
        self.judge_buffers(chunk, context);
        if open.channel_id != 0 {
            self.channel.id = Some(open.channel_id);
        }
        let is_plain = channel::is_none(open.policy);
        let (number, request_id, body) = channel::sequence(open.secured).filter(|_| is_plain).unwrap_or((0, 0, &[]));
        if is_plain {
            self.count(side, number, chunk, context);
            let _ = service::decode(body, &mut |operand| match *operand {
                Operand::ChannelRequest(request) => self.channel.ask(request.security_mode),
                Operand::ChannelToken(token) => self.channel.token(token.channel_id, token.token_id),
                _ => {}
            });
        }
        if !is_plain {
            // Encryption hides the number that this chunk takes.
            let half = self.half(side);
            half.sequence = half.sequence.filter(|number| *number < WRAP_FROM).map(|number| number.wrapping_add(1));
        }
        let held = &mut context.shared.opcua.held_bytes;
        let mut message = Message {
            kind: chunk.kind,
            start,
            end: context.ts,
            channel_id: open.channel_id,
            token_id: None,
            sequence_number: number,
            request_id,
            chunks: 0,
            bytes: 0,
            body: Vec::new(),
            is_cut: false,
            is_rest: false,
        };
        message.add(body, chunk.size, context.ts, held);
        message.is_cut |= chunk.is_cut();
        // What it says is a hundredth of it.
        let certificate = open.certificate.and_then(certificate::facts);
        let opening = Box::new(Opening { message, certificate, is_plain });
        match side {
            Side::Client => {
                if let Some(before) = self.opening.replace(opening) {
                    self.opened(Some(*before), None, context);
                }
            }
            Side::Server => {
                self.learn_server(context);
                // The answer to another request leaves the one that waits where it is: its own may come.
                let is_asked = |asked: &mut Box<Opening>| !is_plain || asked.message.request_id == opening.message.request_id;
                let asked = self.opening.take_if(is_asked);
                self.opened(asked.map(|asked| *asked), Some(*opening), context);
            }
        }
    }

    /// Makes the row of an opening and its answer.
    fn opened(&mut self, request: Option<Opening>, response: Option<Opening>, context: &mut Context<'_>) {
        let is_plain = request.as_ref().or(response.as_ref()).is_some_and(|opening| opening.is_plain);
        let split = |half: Option<Opening>| half.map_or((None, None), |half| (Some(half.message), half.certificate));
        let ((request, client), (response, server)) = (split(request), split(response));
        if is_plain {
            let parked = Parked { request, response, certificates: [client, server], rows: 0, fate: Fate::Over };
            return self.exchange(parked, context);
        }
        // Only a channel that there is has a number before it is opened (OPC 10000-6, 6.7.2.3).
        let asks = |request: &Message| match request.channel_id {
            0 => ChannelRequestType::Issue,
            _ => ChannelRequestType::Renew,
        };
        let facts = Facts {
            service: Some(crate::record::table::opcua::ServiceName::OpenSecureChannel),
            channel_request: request.as_ref().map(asks),
            certificates: [client, server],
            ..Facts::default()
        };
        let mut head = head_of(request.as_ref(), response.as_ref());
        (head.encrypted, head.sequence_number, head.request_id) = (true, None, None);
        super::check::certificates(&facts.certificates, self.channel.policy.as_deref(), head.ts, &mut self.broken);
        row::push(&head, &facts, &self.channel, context);
        self.say(&[], context);
        for message in [request, response].into_iter().flatten() {
            self.release(message, context);
        }
    }

    /// A chunk of a message, or the end of a channel.
    #[inline]
    fn symmetric(&mut self, side: Side, chunk: &Chunk<'_>, start: i64, context: &mut Context<'_>) {
        let Some((head, secured)) = chunk.body.split_first_chunk::<8>() else {
            return;
        };
        let [a, b, c, d, e, f, g, h] = *head;
        let (channel_id, token_id) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        if self.channel.id != Some(channel_id) {
            self.another_channel(channel_id, chunk, context);
        }
        if !self.channel.takes(token_id) {
            let detail = format!("expected the channel's token or the one before it, seen {token_id}");
            self.violate("token_id", "OPC 10000-4, 5.6.2.1", detail, chunk.bytes, context);
        }
        if let Some(offer) = self.half(side.other()).offer
            && chunk.size > offer.receive_buffer as usize
        {
            let (most, size) = (offer.receive_buffer, chunk.size);
            let detail = format!("expected a chunk of at most {most} bytes as the receiver says, seen {size}");
            self.violate("chunk_size", "OPC 10000-6, 7.1.2.3", detail, chunk.bytes, context);
        }
        let is_final = chunk.part != Part::Continue;
        let half = self.half(side);
        let is_inside = std::mem::replace(&mut half.is_inside, !is_final);
        let (is_first, is_whole) = (!is_inside, !is_inside && is_final && !chunk.is_cut());
        match self.channel.content(secured, is_first, is_whole) {
            Content::Plain(number, request_id, body) => {
                self.count(side, number, chunk, context);
                let is_known = self.half(side).assembly.has(request_id);
                if chunk.part == Part::Abort {
                    return self.abort(side, chunk, (channel_id, token_id, number, request_id), body, start, context);
                }
                let kind = chunk.kind;
                if is_final && !is_known {
                    return self.message(side, (kind, channel_id, token_id, number, request_id), body, chunk, start, context);
                }
                self.collect(side, (kind, channel_id, token_id, number, request_id), body, chunk, start, context);
            }
            content => self.hidden(side, chunk, (channel_id, token_id), start, content == Content::Hidden, context),
        }
    }

    #[cold]
    fn another_channel(&mut self, channel_id: u32, chunk: &Chunk<'_>, context: &mut Context<'_>) {
        match self.channel.id {
            Some(known) if known != 0 => {
                let detail = format!("expected channel {known} as the connection carries it, seen {channel_id}");
                self.violate("channel_id", "OPC 10000-6, 7.1.3", detail, chunk.bytes, context);
                self.channel = Channel::default();
                self.channel.id = Some(channel_id);
            }
            _ => self.channel.id = Some(channel_id),
        }
    }

    /// Sequence numbers rise by one with each chunk of a side (OPC 10000-6, 6.7.2.4).
    #[inline]
    fn count(&mut self, side: Side, number: u32, chunk: &Chunk<'_>, context: &mut Context<'_>) {
        let half = self.half(side);
        let before = half.sequence.replace(number);
        if let Some(before) = before
            && number != before.wrapping_add(1)
            && !(before >= WRAP_FROM && number < WRAP_BELOW && self.channel.is_legacy())
        {
            let detail = format!("expected sequence number {}, seen {number}", before.wrapping_add(1));
            self.violate("sequence_number", "OPC 10000-6, 6.7.2.4", detail, chunk.bytes, context);
        }
    }

    /// Keeps a chunk until the last one of its message comes.
    fn collect(
        &mut self,
        side: Side,
        (kind, channel_id, token_id, sequence_number, request_id): (MessageType, u32, u32, u32, u32),
        body: &[u8],
        chunk: &Chunk<'_>,
        start: i64,
        context: &mut Context<'_>,
    ) {
        let half = self.half(side);
        let mut message = half.assembly.take(request_id).unwrap_or_else(|| Message {
            kind,
            start,
            end: start,
            channel_id,
            token_id: Some(token_id),
            sequence_number,
            request_id,
            chunks: 0,
            bytes: 0,
            body: Vec::new(),
            is_cut: false,
            is_rest: channel::service_of(body).is_none() && half.last_gap.is_some(),
        });
        message.add(body, chunk.size, context.ts, &mut context.shared.opcua.held_bytes);
        message.is_cut |= chunk.is_cut();
        if chunk.part == Part::Final {
            self.check_limits(side, &message, context);
            return self.whole(side, message, context);
        }
        self.half(side).assembly.keep(message);
        while let Some(oldest) = self.half(side).assembly.make_room() {
            self.unfinished(side, oldest, "as many as are held are incomplete", context);
        }
    }

    /// A message whose last chunk did not come, though nothing of its side was lost and the connection goes on.
    #[cold]
    fn unfinished(&mut self, side: Side, message: Message, why: &str, context: &mut Context<'_>) {
        context.shared.counters.opcua_incomplete += 1;
        if !message.is_rest {
            let detail = format!(
                "expected the last chunk of the message, seen {} chunks of {} bytes and no last one: {why}",
                message.chunks, message.bytes
            );
            self.violate("message_unfinished", "OPC 10000-6, 6.7.2.2", detail, &[], context);
        }
        self.incomplete(side, message, context);
    }

    /// A message that is longer than its receiver takes (OPC 10000-6, 7.1.2.3, 7.1.2.4).
    fn check_limits(&mut self, side: Side, message: &Message, context: &mut Context<'_>) {
        let Some(offer) = self.half(side.other()).offer else {
            return;
        };
        if offer.chunks != 0 && message.chunks > offer.chunks {
            let detail = format!("expected at most {} chunks as the receiver says, seen {}", offer.chunks, message.chunks);
            self.violate("chunk_count", "OPC 10000-6, 7.1.2.4", detail, &[], context);
        }
        // Of what is not all here, its chunks tell: so much at least without what stands around a body (OPC 10000-6, 6.7.2).
        let least = message.bytes.saturating_sub(message.chunks.saturating_mul(AROUND_BYTES)) as usize;
        let size = if message.is_cut { least } else { message.body.len() };
        if offer.message_bytes != 0 && size > offer.message_bytes as usize {
            let detail = format!("expected at most {} bytes as the receiver says, seen {size}", offer.message_bytes);
            self.violate("message_size", "OPC 10000-6, 7.1.2.4", detail, &[], context);
        }
    }

    /// A message of one chunk.
    #[inline]
    fn message(
        &mut self,
        side: Side,
        (kind, channel_id, token_id, sequence_number, request_id): (MessageType, u32, u32, u32, u32),
        body: &[u8],
        chunk: &Chunk<'_>,
        start: i64,
        context: &mut Context<'_>,
    ) {
        let is_rest = self.half(side).last_gap.is_some() && channel::service_of(body).is_none();
        let room = context.shared.opcua.spares.take();
        let mut message = Message {
            kind,
            start,
            end: start,
            channel_id,
            token_id: Some(token_id),
            sequence_number,
            request_id,
            chunks: 0,
            bytes: 0,
            body: room,
            is_cut: false,
            is_rest,
        };
        message.add(body, chunk.size, context.ts, &mut context.shared.opcua.held_bytes);
        message.is_cut |= chunk.is_cut();
        self.check_limits(side, &message, context);
        self.whole(side, message, context);
    }

    /// A message is whole.
    #[inline]
    fn whole(&mut self, side: Side, message: Message, context: &mut Context<'_>) {
        if message.is_rest {
            return self.incomplete(side, message, context);
        }
        match side {
            Side::Client => self.request(message, context),
            Side::Server => self.response(message, context),
        }
    }

    /// A message whose beginning or end was not seen: its row without content.
    #[cold]
    fn incomplete(&mut self, side: Side, message: Message, context: &mut Context<'_>) {
        let head = match side {
            Side::Client => head_of(Some(&message), None),
            Side::Server => head_of(None, Some(&message)),
        };
        row::push(&head, &Facts::default(), &self.channel, context);
        self.release(message, context);
    }

    fn request(&mut self, message: Message, context: &mut Context<'_>) {
        let service = channel::service_of(&message.body).map(|(service, _)| service);
        // The end of a channel has no answer (OPC 10000-4, 5.6.3).
        if message.kind == MessageType::Close {
            return self.exchange(Parked::of(Some(message), None), context);
        }
        if self.pending.iter().any(|pending| pending.message.request_id == message.request_id) {
            let detail = format!("expected a request that is not outstanding, seen {} again", message.request_id);
            self.violate("request_id_reused", "OPC 10000-6, 6.7.2.4", detail, &[], context);
        }
        while self.pending.len() >= PENDING {
            context.shared.counters.opcua_pending_overflow += 1;
            self.give_up(0, context);
        }
        let longest = service == Some(Service::Publish);
        let waits = if longest { LONGEST_TIMEOUT_NS } else { timeout(&message.body) };
        let deadline = message.end.saturating_add(waits);
        if self.pending.is_empty() || self.wake.is_none() {
            self.wake = Some(message.end.saturating_add(RESPONSE_TIMEOUT_NS));
        }
        self.pending.push_back(Pending { message, deadline });
    }

    fn response(&mut self, message: Message, context: &mut Context<'_>) {
        self.learn_server(context);
        let found = self.pending.iter().position(|pending| pending.message.request_id == message.request_id);
        let request = found.and_then(|at| self.pending.remove(at)).map(|pending| pending.message);
        let late = if request.is_none() { self.over.take_given_up(message.request_id) } else { None };
        if request.is_none() && late.is_none() {
            self.unmatched(&message, context);
        } else {
            self.over.answered(message.request_id);
        }
        let fate = if late.is_some() { Fate::Late } else { Fate::Over };
        let late = late.filter(|late| !late.body.is_empty());
        self.exchange(Parked { fate, ..Parked::of(request.or(late), Some(message)) }, context);
    }

    /// A response whose request is not outstanding.
    #[cold]
    fn unmatched(&mut self, message: &Message, context: &mut Context<'_>) {
        let now = context.ts;
        let recently = |since: i64| now.saturating_sub(since) <= RESPONSE_TIMEOUT_NS;
        // What was not captured explains an answer without its request: a beginning that was not seen, a gap, a side that is not seen.
        let is_explained = self.client.messages == 0
            || self.client.is_lost
            || self.client.last_gap.is_some_and(recently)
            || (!self.from_start && recently(self.client.first));
        let is_second = self.over.is_answered(message.request_id);
        if is_second || !is_explained {
            let id = message.request_id;
            let detail = if is_second {
                format!("expected one answer to request {id}, seen a second one")
            } else {
                format!("expected an outstanding request {id} to the answer, seen none")
            };
            self.violate("response_without_request", "OPC 10000-6, 6.7.2.4", detail, &[], context);
        }
    }

    /// Makes an outstanding request a row of its own.
    fn give_up(&mut self, at: usize, context: &mut Context<'_>) {
        if let Some(pending) = self.pending.remove(at) {
            self.exchange(Parked { fate: Fate::GivenUp, ..Parked::of(Some(pending.message), None) }, context);
        }
    }

    /// Makes the rows of an exchange; what the tables have no room for waits.
    fn exchange(&mut self, work: Parked, context: &mut Context<'_>) {
        let Parked { request, response, certificates, rows, fate } = &work;
        fn body(message: Option<&Message>) -> Option<Body<'_>> {
            message.map(|message| Body { bytes: &message.body, is_cut: message.is_cut })
        }
        let exchange = Exchange {
            head: head_of(request.as_ref(), response.as_ref()).of(*fate, response.as_ref()),
            request: body(request.as_ref()),
            response: body(response.as_ref()),
            certificates,
        };
        let Self { channel, sessions, poll, broken, server, .. } = self;
        let mut room = std::mem::take(&mut context.shared.opcua.room);
        let mut lent = Lent { channel, sessions, room: &mut room, server: server.unwrap_or_default(), poll, broken };
        let left = exchange::record(&exchange, *rows, &mut lent, context);
        context.shared.opcua.room = room;
        match left {
            Some(rows) => self.parked = Some(Box::new(Parked { rows, ..work })),
            None => {
                if !self.broken.is_empty() {
                    self.say(&work.headers(), context);
                }
                match (work.request, work.fate) {
                    (Some(request), Fate::GivenUp) => self.over.given_up(request, &mut context.shared.opcua.held_bytes),
                    (Some(request), Fate::Over | Fate::Late) => self.release(request, context),
                    (None, _) => {}
                }
                if let Some(response) = work.response {
                    self.release(response, context);
                }
            }
        }
    }

    /// Records the rules that were broken.
    #[cold]
    fn say(&mut self, bytes: &[u8], context: &mut Context<'_>) {
        for broken in std::mem::take(&mut self.broken) {
            self.budget.violate(&broken, bytes, context);
        }
    }

    /// Goes on with what the tables had no room for. Returns whether nothing is left of it.
    fn resume(&mut self, context: &mut Context<'_>) -> bool {
        if let Some(work) = self.parked.take() {
            self.exchange(*work, context);
        }
        self.parked.is_none()
    }

    fn release(&mut self, message: Message, context: &mut Context<'_>) {
        let held = &mut context.shared.opcua.held_bytes;
        *held = held.saturating_sub(message.body.len());
        context.shared.opcua.spares.give(message.body);
    }

    /// The sender gives a message up: status and reason are all that there is (OPC 10000-6, 6.7.3).
    #[cold]
    fn abort(
        &mut self,
        side: Side,
        chunk: &Chunk<'_>,
        (channel_id, token_id, number, request_id): (u32, u32, u32, u32),
        body: &[u8],
        start: i64,
        context: &mut Context<'_>,
    ) {
        let before = self.half(side).assembly.take(request_id);
        let request = match side {
            Side::Client => None,
            Side::Server => {
                let found = self.pending.iter().position(|pending| pending.message.request_id == request_id);
                found.and_then(|at| self.pending.remove(at)).map(|pending| pending.message)
            }
        };
        let earlier =
            [&before, &request].map(|message| message.as_ref().map_or((0, 0), |message| (message.chunks, message.bytes)));
        let (chunks, bytes) = earlier.iter().fold((1_u32, chunk.size), |(chunks, bytes), (more, size)| {
            (chunks.saturating_add(*more), bytes.saturating_add(*size as usize))
        });
        let ts = request.as_ref().or(before.as_ref()).map_or(start, |message| message.start);
        let mut head = self.lone(side, chunk.kind, ts, chunks, bytes);
        (head.channel_id, head.token_id) = (Some(channel_id), Some(token_id));
        (head.sequence_number, head.request_id) = (Some(number), Some(request_id));
        let mut facts = Facts::default();
        if let Some(request) = &request {
            head.pairing = Pairing::Both;
            head.response_time = Some(start.saturating_sub(request.end).max(0));
            facts.service = channel::service_of(&request.body).map(|(service, _)| name_of(service));
        }
        match transport::error(body) {
            Ok((code, reason)) => {
                facts.error = Some(code);
                facts.reason = plain(reason, TEXT_BYTES);
            }
            Err(fault) => self.budget.violate(&Broken::encoding(&fault), &[], context),
        }
        row::push(&head, &facts, &self.channel, context);
        for message in [before, request].into_iter().flatten() {
            self.release(message, context);
        }
    }

    /// A chunk of which encryption shows the headers only: its message is a row of its own.
    fn hidden(
        &mut self,
        side: Side,
        chunk: &Chunk<'_>,
        (channel_id, token_id): (u32, u32),
        start: i64,
        encrypted: bool,
        context: &mut Context<'_>,
    ) {
        if side == Side::Server {
            self.learn_server(context);
        }
        let half = self.half(side);
        let size = u32::try_from(chunk.size).unwrap_or(u32::MAX);
        let (chunks, bytes, first) = half.hidden.take().unwrap_or((0, 0, start));
        let (chunks, bytes) = (chunks.saturating_add(1), bytes.saturating_add(size));
        if chunk.part == Part::Continue {
            half.hidden = Some((chunks, bytes, first));
            return;
        }
        let mut head = self.lone(side, chunk.kind, first, chunks, bytes as usize);
        (head.channel_id, head.token_id, head.encrypted) = (Some(channel_id), Some(token_id), encrypted);
        let service = (chunk.kind == MessageType::Close).then_some(crate::record::table::opcua::ServiceName::CloseSecureChannel);
        row::push(&head, &Facts { service, ..Facts::default() }, &self.channel, context);
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

impl Parked {
    fn of(request: Option<Message>, response: Option<Message>) -> Self {
        Self { request, response, certificates: [None, None], rows: 0, fate: Fate::Over }
    }

    /// What a violation may show of the exchange: where it is, never what it says.
    fn headers(&self) -> Vec<u8> {
        let message = self.response.as_ref().or(self.request.as_ref());
        message.and_then(|message| message.body.get(..4)).unwrap_or_default().to_vec()
    }
}

impl Head {
    /// The head of a row whose request may be a row already: then it is of the response alone, but for the time between them.
    fn of(self, fate: Fate, response: Option<&Message>) -> Self {
        let Some(response) = response.filter(|_| fate == Fate::Late) else { return self };
        Self { response_time: self.response_time, pairing: Pairing::Response, ..head_of(None, Some(response)) }
    }
}

/// How long the client of a request waits: its timeout hint within bounds; 0 is for ever.
fn timeout(body: &[u8]) -> i64 {
    let mut reader = super::binary::Reader::new(body);
    let hint = reader.read::<super::binary::NodeId<'_>>().and_then(|_| reader.read::<service::RequestHeader<'_>>());
    match hint.map(|header| i64::from(header.timeout_hint)) {
        Ok(0) => LONGEST_TIMEOUT_NS,
        Ok(milliseconds) => milliseconds.saturating_mul(1_000_000).clamp(RESPONSE_TIMEOUT_NS, LONGEST_TIMEOUT_NS),
        Err(_) => RESPONSE_TIMEOUT_NS,
    }
}

/// What the transport knows of a request and its response.
fn head_of(request: Option<&Message>, response: Option<&Message>) -> Head {
    let first = request.or(response);
    let response_time = match (request, response) {
        (Some(request), Some(response)) => Some(response.start.saturating_sub(request.end).max(0)),
        _ => None,
    };
    let sum = |field: fn(&Message) -> u32| request.map_or(0, field).saturating_add(response.map_or(0, field));
    Head {
        ts: first.map_or(0, |message| message.start),
        message_type: first.map_or(MessageType::Message, |message| message.kind),
        // The first request of a channel does not know its number yet.
        channel_id: [request, response].into_iter().flatten().map(|message| message.channel_id).find(|id| *id != 0),
        token_id: first.and_then(|message| message.token_id),
        sequence_number: first.map(|message| message.sequence_number),
        request_id: first.map(|message| message.request_id),
        chunks: sum(|message| message.chunks),
        bytes: sum(|message| message.bytes),
        response_time,
        pairing: match (request, response) {
            (Some(_), Some(_)) => Pairing::Both,
            (_, None) => Pairing::Request,
            (None, Some(_)) => Pairing::Response,
        },
        encrypted: false,
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
