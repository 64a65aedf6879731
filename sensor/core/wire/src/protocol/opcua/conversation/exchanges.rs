//! Requests wait for their responses, and both become one row.

use super::Opcua;
use crate::protocol::opcua::binary::{NodeId, Reader};
use crate::protocol::opcua::chunk::Message;
use crate::protocol::opcua::exchange::{self, Body, Exchange, Lent};
use crate::protocol::opcua::row::{self, Facts, Head};
use crate::protocol::opcua::service::{RequestHeader, Service};
use crate::protocol::opcua::{certificate, channel};
use crate::protocol::{Context, Side};
use crate::record::table::Pairing;
use crate::record::table::opcua::MessageType;

/// How long a request waits for its response, in packet time, unless its client says that it waits longer: a minute in nanoseconds.
pub const RESPONSE_TIMEOUT_NS: i64 = 60_000_000_000;
/// How long at most, whatever the client says; Publish requests wait for something to happen (OPC 10000-4, 5.14.5).
pub const LONGEST_TIMEOUT_NS: i64 = 3_600_000_000_000;
/// Requests that may wait for responses in one conversation; the oldest makes room.
pub const PENDING: usize = 256;

/// A request without its response.
pub(super) struct Pending {
    pub(super) message: Message,
    pub(super) deadline: i64,
}

/// What is left of a message because the tables were full.
pub(super) struct Parked {
    pub(super) request: Option<Message>,
    pub(super) response: Option<Message>,
    pub(super) certificates: [Option<Box<certificate::Facts>>; 2],
    pub(super) rows: u32,
    pub(super) fate: Fate,
}

/// What becomes of the request of an exchange.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is over with the exchange.
    Over,
    /// It is given up: its answer may come late.
    GivenUp,
    /// It was given up, and is a row already: here it only says what the answer is of.
    Late,
}

impl Opcua {
    /// A message is whole.
    #[inline]
    pub(super) fn whole(&mut self, side: Side, message: Message, context: &mut Context<'_>) {
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
    pub(super) fn incomplete(&mut self, side: Side, message: Message, context: &mut Context<'_>) {
        let head = match side {
            Side::Client => head_of(Some(&message), None),
            Side::Server => head_of(None, Some(&message)),
        };
        row::push(&head, &Facts::default(), &self.channel, context);
        self.release(message, context);
    }

    pub(super) fn request(&mut self, message: Message, context: &mut Context<'_>) {
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

    pub(super) fn response(&mut self, message: Message, context: &mut Context<'_>) {
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
    pub(super) fn unmatched(&mut self, message: &Message, context: &mut Context<'_>) {
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
    pub(super) fn give_up(&mut self, at: usize, context: &mut Context<'_>) {
        if let Some(pending) = self.pending.remove(at) {
            self.exchange(Parked { fate: Fate::GivenUp, ..Parked::of(Some(pending.message), None) }, context);
        }
    }

    /// Makes the rows of an exchange; what the tables have no room for waits.
    pub(super) fn exchange(&mut self, work: Parked, context: &mut Context<'_>) {
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
    pub(super) fn say(&mut self, bytes: &[u8], context: &mut Context<'_>) {
        for broken in std::mem::take(&mut self.broken) {
            self.budget.violate(&broken, bytes, context);
        }
    }

    /// Goes on with what the tables had no room for. Returns whether nothing is left of it.
    pub(super) fn resume(&mut self, context: &mut Context<'_>) -> bool {
        if let Some(work) = self.parked.take() {
            self.exchange(*work, context);
        }
        self.parked.is_none()
    }

    pub(super) fn release(&mut self, message: Message, context: &mut Context<'_>) {
        let held = &mut context.shared.opcua.held_bytes;
        *held = held.saturating_sub(message.body.len());
        context.shared.opcua.spares.give(message.body);
    }
}

impl Parked {
    pub(super) fn of(request: Option<Message>, response: Option<Message>) -> Self {
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
    let mut reader = Reader::new(body);
    let hint = reader.read::<NodeId<'_>>().and_then(|_| reader.read::<RequestHeader<'_>>());
    match hint.map(|header| i64::from(header.timeout_hint)) {
        Ok(0) => LONGEST_TIMEOUT_NS,
        Ok(milliseconds) => milliseconds.saturating_mul(1_000_000).clamp(RESPONSE_TIMEOUT_NS, LONGEST_TIMEOUT_NS),
        Err(_) => RESPONSE_TIMEOUT_NS,
    }
}

/// What the transport knows of a request and its response.
pub(super) fn head_of(request: Option<&Message>, response: Option<&Message>) -> Head {
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
