//! What the parties of a conversation say of themselves: shown to the sources of its protocol until there has been enough.

use super::{Output, Speech, Talk, carrier, discard, party};
use crate::device::Device;
use crate::protocol::Carrier;
use crate::protocol::identity::{self, Facts, tcp_stack};
use crate::record::table::{Attribute, Transport};
use crate::transport::Flow;

/// What was heard of a conversation whose protocol tells who the parties are.
#[derive(Default)]
pub(super) struct Introduction {
    /// First bytes of each direction of a stream, without holes.
    pub(super) heard: [Vec<u8>; 2],
    /// Pieces so far.
    pub(super) count: usize,
}

/// Shows what was heard to the sources of the conversation's protocol, until there has been enough.
#[inline(never)]
pub(super) fn introduce(flow: &mut Flow<Talk>, position: usize, ts: i64, data: &[u8], output: &mut Output) {
    let carrier = carrier(flow);
    let Speech::Introducing(introduction) = &mut flow.application.speech else {
        return;
    };
    introduction.count = introduction.count.saturating_add(1);
    let count = introduction.count;
    if carrier != Carrier::Stream {
        learn(flow, position, ts, data, output);
        // Frames that are read are rare ones.
        if carrier == Carrier::Datagram && count >= identity::DATAGRAMS {
            forget_introduction(flow, output);
        }
        return;
    }
    // Taken out while it is shown, so that it need not be copied.
    let mut heard = introduction.heard.get_mut(position).map(std::mem::take).unwrap_or_default();
    let taken = data.get(..data.len().min(identity::STREAM_BYTES.saturating_sub(heard.len()))).unwrap_or_default();
    output.counters.held_bytes += taken.len();
    if !taken.is_empty() {
        heard.extend_from_slice(taken);
        learn(flow, position, ts, &heard, output);
    }
    let Speech::Introducing(introduction) = &mut flow.application.speech else {
        return;
    };
    if let Some(place) = introduction.heard.get_mut(position) {
        *place = heard;
    }
    let is_heard = introduction.heard.iter().all(|heard| heard.len() >= identity::STREAM_BYTES);
    if is_heard || count >= identity::STREAM_PIECES || output.counters.held_bytes > output.limits.held_bytes {
        forget_introduction(flow, output);
    }
}

/// What was heard is let go, and nobody reads the conversation any more.
pub(super) fn forget_introduction(flow: &mut Flow<Talk>, output: &mut Output) {
    let Speech::Introducing(introduction) = &flow.application.speech else {
        return;
    };
    let held: usize = introduction.heard.iter().map(Vec::len).sum();
    output.counters.held_bytes = output.counters.held_bytes.saturating_sub(held);
    flow.application.speech = Speech::Other;
    discard(flow, output);
}

/// The device at `position`.
fn sender(flow: &Flow<Talk>, position: usize) -> Device {
    let has_network = flow.key.transport != Transport::Ethernet;
    let ip = flow.key.endpoints.get(position).map(|endpoint| endpoint.address).filter(|_| has_network);
    Device { mac: flow.half(position).mac.filter(|mac| *mac != [0; 6]), ip: ip.filter(|ip| !ip.is_unspecified()) }
}

/// Records what the endpoint at `position` says of itself or of others in these bytes: the first of its stream, a datagram, or a frame.
fn learn(flow: &mut Flow<Talk>, position: usize, ts: i64, data: &[u8], output: &mut Output) {
    let Some(application) = flow.application.name.filter(|_| !data.is_empty()) else {
        return;
    };
    let at = (ts, party(flow, output));
    let sender = sender(flow, position);
    let Output { records, shared, .. } = output;
    for source in identity::sources(application, carrier(flow)) {
        let mut learn = |about: Option<Device>, attribute: Attribute, value: &str| {
            let device = about.unwrap_or(sender);
            shared.devices.learn(device, attribute, value, source.name, at, records, &mut shared.counters);
        };
        (source.read)(data, &mut Facts::new(&mut learn));
    }
    output.cut_when_full();
}

/// Records what the opening of the connection shows of the stacks of both sides. Only now that it is open: whoever forges a sender's address
/// does not come so far.
#[inline(never)]
pub(in crate::engine) fn tell_stacks(flow: &mut Flow<Talk>, ts: i64, output: &mut Output) {
    let at = (ts, party(flow, output));
    let client = flow.client;
    let asked = flow.half(client).stack.as_ref().map(|stack| stack.maximum_segment);
    for position in [client, 1 - client] {
        let Some(stack) = flow.half_mut(position).stack.take() else { continue };
        let device = sender(flow, position);
        let Output { records, shared, .. } = output;
        let mut learn = |attribute: Attribute, value: &str| {
            shared.devices.learn(device, attribute, value, tcp_stack::SOURCE, at, records, &mut shared.counters);
        };
        tcp_stack::tell(&stack, asked.filter(|_| position != client), &mut learn);
        output.cut_when_full();
    }
}
