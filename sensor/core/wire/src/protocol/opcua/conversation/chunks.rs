//! Chunks of messages within a channel: their order, the messages they make, and what encryption leaves to be seen.

use super::Opcua;
use super::hello::TEXT_BYTES;
use crate::protocol::opcua::channel::{self, Content};
use crate::protocol::opcua::chunk::Message;
use crate::protocol::opcua::item_text::plain;
use crate::protocol::opcua::row::{self, Facts, Head};
use crate::protocol::opcua::service_name::name_of;
use crate::protocol::opcua::transport::{self, Chunk, Part};
use crate::protocol::opcua::violation::Broken;
use crate::protocol::{Context, Side};
use crate::record::table::Pairing;
use crate::record::table::opcua::{MessageType, ServiceName};

/// Highest sequence number after which a sender may start anew, and below which it then does (OPC 10000-6, 6.7.2.4).
pub(super) const WRAP_FROM: u32 = u32::MAX - 1_024;
const WRAP_BELOW: u32 = 1_024;
/// Headers and signature of a chunk, bytes at most.
const AROUND_BYTES: u32 = 24 + 48;

/// What the first chunk of a message says of it.
#[derive(Clone, Copy)]
pub(super) struct Ids {
    kind: MessageType,
    channel_id: u32,
    token_id: u32,
    sequence_number: u32,
    request_id: u32,
}

impl Ids {
    /// The message, before anything of it was taken in. `body`: room for it; `is_rest`: its beginning was not seen.
    #[inline]
    fn begin(self, start: i64, body: Vec<u8>, is_rest: bool) -> Message {
        Message {
            kind: self.kind,
            start,
            end: start,
            channel_id: self.channel_id,
            token_id: Some(self.token_id),
            sequence_number: self.sequence_number,
            request_id: self.request_id,
            chunks: 0,
            bytes: 0,
            body,
            is_cut: false,
            is_rest,
        }
    }
}

/// One more chunk of a message.
#[inline]
fn take_in(message: &mut Message, body: &[u8], chunk: &Chunk<'_>, context: &mut Context<'_>) {
    message.add(body, chunk.size, context.ts, &mut context.shared.opcua.held_bytes);
    message.is_cut |= chunk.is_cut();
}

impl Opcua {
    /// A chunk of a message, or the end of a channel.
    #[inline]
    pub(super) fn symmetric(&mut self, side: Side, chunk: &Chunk<'_>, start: i64, context: &mut Context<'_>) {
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
                let ids = Ids { kind: chunk.kind, channel_id, token_id, sequence_number: number, request_id };
                if is_final && !is_known {
                    return self.message(side, ids, body, chunk, start, context);
                }
                self.collect(side, ids, body, chunk, start, context);
            }
            content => self.hidden(side, chunk, (channel_id, token_id), start, content == Content::Hidden, context),
        }
    }

    /// Sequence numbers rise by one with each chunk of a side (OPC 10000-6, 6.7.2.4).
    #[inline]
    pub(super) fn count(&mut self, side: Side, number: u32, chunk: &Chunk<'_>, context: &mut Context<'_>) {
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
    pub(super) fn collect(
        &mut self,
        side: Side,
        ids: Ids,
        body: &[u8],
        chunk: &Chunk<'_>,
        start: i64,
        context: &mut Context<'_>,
    ) {
        let half = self.half(side);
        let mut message = half
            .assembly
            .take(ids.request_id)
            .unwrap_or_else(|| ids.begin(start, Vec::new(), half.last_gap.is_some() && channel::service_of(body).is_none()));
        take_in(&mut message, body, chunk, context);
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
    pub(super) fn unfinished(&mut self, side: Side, message: Message, why: &str, context: &mut Context<'_>) {
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

    /// A message of more chunks than its receiver takes, whether or not encryption hides it (OPC 10000-6, 7.1.2.3, 7.1.2.4).
    fn check_chunks(&mut self, side: Side, chunks: u32, context: &mut Context<'_>) {
        if let Some(offer) = self.half(side.other()).offer
            && offer.chunks != 0
            && chunks > offer.chunks
        {
            let detail = format!("expected at most {} chunks as the receiver says, seen {chunks}", offer.chunks);
            self.violate("chunk_count", "OPC 10000-6, 7.1.2.4", detail, &[], context);
        }
    }

    /// A message that is longer than its receiver takes (OPC 10000-6, 7.1.2.3, 7.1.2.4).
    pub(super) fn check_limits(&mut self, side: Side, message: &Message, context: &mut Context<'_>) {
        self.check_chunks(side, message.chunks, context);
        let Some(offer) = self.half(side.other()).offer else {
            return;
        };
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
    pub(super) fn message(
        &mut self,
        side: Side,
        ids: Ids,
        body: &[u8],
        chunk: &Chunk<'_>,
        start: i64,
        context: &mut Context<'_>,
    ) {
        let room = context.shared.opcua.spares.take();
        let mut message = ids.begin(start, room, self.half(side).last_gap.is_some() && channel::service_of(body).is_none());
        take_in(&mut message, body, chunk, context);
        self.check_limits(side, &message, context);
        self.whole(side, message, context);
    }

    /// A chunk of which encryption shows the headers only: its message is a row of its own.
    pub(super) fn hidden(
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
        self.check_chunks(side, chunks, context);
        let mut head = self.lone(side, chunk.kind, first, chunks, bytes as usize);
        (head.channel_id, head.token_id, head.encrypted) = (Some(channel_id), Some(token_id), encrypted);
        let service = (chunk.kind == MessageType::Close).then_some(ServiceName::CloseSecureChannel);
        row::push(&head, &Facts { service, ..Facts::default() }, &self.channel, context);
    }

    /// The sender gives a message up: status and reason are all that there is (OPC 10000-6, 6.7.3).
    #[cold]
    pub(super) fn abort(
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

    /// Head of a row that stands for one message alone.
    pub(super) fn lone(&self, side: Side, message_type: MessageType, ts: i64, chunks: u32, bytes: usize) -> Head {
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
}
