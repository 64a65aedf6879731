//! What a connection begins with: hello, acknowledgement, error, and the limits that they agree on (OPC 10000-6, 7.1.2).

use super::{HEADERS, Opcua};
use crate::protocol::opcua::item_text::plain;
use crate::protocol::opcua::row::{self, Facts};
use crate::protocol::opcua::transport::{self, Chunk, Offer};
use crate::protocol::opcua::violation::Broken;
use crate::protocol::{Context, Side};
use crate::record::table::opcua::MessageType;

/// Longest text of an error, an URL or a URI.
pub(super) const TEXT_BYTES: usize = 4_096;
/// Least buffers: of whoever uses a policy with elliptic curves, and of all others (OPC 10000-6, 7.1.2.3, 7.1.2.4).
const LEAST_BUFFER: u32 = 1_024;
const USUAL_BUFFER: u32 = 8_192;

impl Opcua {
    /// A message of the connection protocol.
    #[cold]
    pub(super) fn transport(&mut self, side: Side, chunk: &Chunk<'_>, start: i64, context: &mut Context<'_>) {
        let mut facts = Facts::default();
        let bytes = chunk.bytes;
        let result = match chunk.kind {
            MessageType::Hello => transport::hello(chunk.body).map(|(offer, url)| {
                if url.is_some_and(|url| url.len() > TEXT_BYTES) {
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

    pub(super) fn offered(&mut self, side: Side, offer: Offer, bytes: &[u8], context: &mut Context<'_>) {
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
    pub(super) fn judge_buffers(&mut self, chunk: &Chunk<'_>, context: &mut Context<'_>) {
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
}
