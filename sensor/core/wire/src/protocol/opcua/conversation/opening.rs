//! Chunks that open or renew a secure channel: policy, certificates, the number it gets (OPC 10000-4, 5.6.2; OPC 10000-6, 6.7).

use super::Opcua;
use super::chunks::WRAP_FROM;
use super::exchanges::{Fate, Parked, head_of};
use crate::protocol::opcua::channel::{self, Channel};
use crate::protocol::opcua::chunk::Message;
use crate::protocol::opcua::row::{self, Facts};
use crate::protocol::opcua::service::{self, Operand};
use crate::protocol::opcua::transport::{Chunk, HEADER_BYTES};
use crate::protocol::opcua::violation::Broken;
use crate::protocol::opcua::{certificate, check};
use crate::protocol::{Context, Side};
use crate::record::table::opcua::{ChannelRequestType, ServiceName};

/// A message that opens a channel or answers one that does.
pub(super) struct Opening {
    pub(super) message: Message,
    pub(super) certificate: Option<Box<certificate::Facts>>,
    /// Whether nothing encrypts it.
    pub(super) is_plain: bool,
}

impl Opcua {
    /// A chunk that opens or renews a channel.
    #[cold]
    pub(super) fn asymmetric(&mut self, side: Side, chunk: &Chunk<'_>, start: i64, context: &mut Context<'_>) {
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
    pub(super) fn opened(&mut self, request: Option<Opening>, response: Option<Opening>, context: &mut Context<'_>) {
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
            service: Some(ServiceName::OpenSecureChannel),
            channel_request: request.as_ref().map(asks),
            certificates: [client, server],
            ..Facts::default()
        };
        let mut head = head_of(request.as_ref(), response.as_ref());
        (head.encrypted, head.sequence_number, head.request_id) = (true, None, None);
        check::certificates(&facts.certificates, self.channel.policy.as_deref(), head.ts, &mut self.broken);
        row::push(&head, &facts, &self.channel, context);
        self.say(&[], context);
        for message in [request, response].into_iter().flatten() {
            self.release(message, context);
        }
    }

    #[cold]
    pub(super) fn another_channel(&mut self, channel_id: u32, chunk: &Chunk<'_>, context: &mut Context<'_>) {
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
}
