//! The application's part of a conversation: listening until the content tells the protocol, then speaking it.

mod introduction;
mod listening;

use self::introduction::{Introduction, forget_introduction, introduce};
use self::listening::{PIECE_COST, Piece, give_up, listen};
use super::output::Output;
use crate::protocol::modbus::Modbus;
use crate::protocol::opcua::Opcua;
use crate::protocol::opcua::pubsub::PubSub;
use crate::protocol::signature::registry;
use crate::protocol::{Carrier, Context, Conversation, Side, identity};
use crate::record::table::{Application, FlowRow, Transport};
use crate::record::{Party, PartyCache, PartyKey};
use crate::transport::{Flow, Handshake};

pub(super) use self::introduction::tell_stacks;

/// The application's part of a conversation.
pub(super) struct Talk {
    speech: Speech,
    /// Protocol, as table `flow` names it; while listening, the one that is possible so far.
    pub name: Option<Application>,
    /// Server that a TLS client asks for.
    server_name: Option<Box<str>>,
    party: PartyCache,
    community_id: Option<[u8; 30]>,
    /// Whether its protocol's deadline is in the engine's queue.
    pub has_deadline: bool,
    /// Whether what waits for the other side is in the engine's queue.
    pub is_held: bool,
    /// Whether what waits for bytes in front of it is in the engine's queue.
    pub is_awaited: bool,
}

enum Speech {
    /// The protocol is not known yet.
    Listening(Vec<Piece>),
    Modbus(Box<Modbus>),
    Opcua(Box<Opcua>),
    PubSub(Box<PubSub>),
    /// Named, and still listened to for what the parties say of themselves.
    Introducing(Box<Introduction>),
    /// Not looked into.
    Other,
}

impl Default for Talk {
    fn default() -> Self {
        Self {
            speech: Speech::Listening(Vec::new()),
            name: None,
            server_name: None,
            party: PartyCache::default(),
            community_id: None,
            has_deadline: false,
            is_held: false,
            is_awaited: false,
        }
    }
}

impl Talk {
    /// That of a conversation below the network layer, whose protocol is known from its first frame. Of these, PubSub is looked into, and others
    /// for what the parties say of themselves.
    pub fn of_frames(application: Application) -> Self {
        let speech = match application {
            Application::Opcua => Speech::PubSub(Box::new(PubSub::new(Carrier::Frame))),
            _ if identity::is_read(application, Carrier::Frame) => Speech::Introducing(Box::default()),
            _ => Speech::Other,
        };
        Self { speech, name: Some(application), ..Self::default() }
    }

    /// Whether anyone reads the bytes of the conversation.
    #[inline]
    pub fn is_read(&self) -> bool {
        !matches!(self.speech, Speech::Other)
    }

    /// When the protocol wants to be woken.
    #[inline]
    pub fn deadline(&self) -> Option<i64> {
        match &self.speech {
            Speech::Modbus(modbus) => modbus.deadline(),
            Speech::Opcua(opcua) => opcua.deadline(),
            Speech::PubSub(pubsub) => pubsub.deadline(),
            Speech::Listening(_) | Speech::Introducing(_) | Speech::Other => None,
        }
    }

    /// Bytes that count towards the bound that all conversations of its protocol share.
    pub fn held(&self) -> usize {
        match &self.speech {
            Speech::Modbus(modbus) => modbus.held(),
            Speech::Opcua(opcua) => opcua.held(),
            Speech::PubSub(pubsub) => pubsub.held(),
            Speech::Listening(_) | Speech::Introducing(_) | Speech::Other => 0,
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        match &self.speech {
            Speech::Listening(pieces) => pieces.iter().map(|piece| piece.bytes.len() + PIECE_COST).sum(),
            Speech::Modbus(modbus) => size_of::<Modbus>() + modbus.bytes(),
            Speech::Opcua(opcua) => opcua.bytes(),
            Speech::PubSub(pubsub) => pubsub.bytes(),
            Speech::Introducing(introduction) => {
                size_of::<Introduction>() + introduction.heard.iter().map(Vec::len).sum::<usize>()
            }
            Speech::Other => 0,
        }
    }
}

/// The key of a conversation's party for rows until the next cut.
#[inline]
pub(super) fn party(flow: &mut Flow<Talk>, output: &mut Output) -> PartyKey {
    let Flow { key, halves: [low, high], client, vlan, application: talk, .. } = flow;
    let community_id = &mut talk.community_id;
    talk.party.key(&mut output.records.parties, || {
        let [first, second] = key.endpoints;
        let ((client, client_half), (server, server_half)) =
            if *client == 0 { ((first, low), (second, high)) } else { ((second, high), (first, low)) };
        let has_network = key.transport != Transport::Ethernet;
        Party {
            client_ip: has_network.then_some(client.address),
            server_ip: has_network.then_some(server.address),
            client_port: has_network.then_some(client.port),
            server_port: has_network.then_some(server.port),
            client_mac: client_half.mac,
            server_mac: server_half.mac,
            vlan: *vlan,
            community_id: has_network.then(|| *community_id.get_or_insert_with(|| key.community_id())),
        }
    })
}

/// Adds the conversation's state to table `flow`.
pub(super) fn report(flow: &mut Flow<Talk>, is_final: bool, output: &mut Output) {
    let party = party(flow, output);
    let Output { records, shared, .. } = output;
    for mac in flow.halves.iter().filter_map(|half| half.mac) {
        shared.devices.meet(mac, (flow.first_ts, party), records, &mut shared.counters);
    }
    let (client, server) = (flow.half(flow.client), flow.half(1 - flow.client));
    let has_spoken = client.bytes + server.bytes > 0;
    let row = FlowRow {
        transport: flow.key.transport,
        application: flow.application.name.or_else(|| if has_spoken { by_port(flow) } else { None }),
        bytes_out: client.bytes,
        bytes_in: server.bytes,
        packets_out: client.packets,
        packets_in: server.packets,
        state: flow.state(),
        retransmissions: flow.retransmissions,
        gaps: flow.gaps,
        duration: flow.last_ts.saturating_sub(flow.first_ts).max(0),
        is_final,
        server_name: flow.application.server_name.as_deref(),
    };
    output.records.flow.push(flow.first_ts, party, &row);
    output.cut_when_full();
}

/// The protocol that the ports tell: the server's, and the client's where it is not sure which of them that is.
fn by_port(flow: &Flow<Talk>) -> Option<Application> {
    let carrier = carrier(flow);
    let named = |position: usize| registry().by_port(carrier, flow.key.endpoints.get(position)?.port);
    let is_sure = flow.handshake != Handshake::Unseen;
    named(1 - flow.client).or_else(|| if is_sure { None } else { named(flow.client) })
}

fn carrier(flow: &Flow<Talk>) -> Carrier {
    match flow.key.transport {
        Transport::Tcp => Carrier::Stream,
        Transport::Udp => Carrier::Datagram,
        Transport::Ethernet => Carrier::Frame,
    }
}

/// Bytes in order, or a whole datagram, of the endpoint at `position`.
#[inline]
pub(super) fn hear(flow: &mut Flow<Talk>, position: usize, ts: i64, data: &[u8], output: &mut Output) {
    match flow.application.speech {
        Speech::Modbus(_) | Speech::Opcua(_) | Speech::PubSub(_) => speak(flow, position, ts, data, output),
        Speech::Listening(_) => listen(flow, Piece { position, ts, bytes: data.to_vec(), is_after_gap: false }, output),
        Speech::Introducing(_) => introduce(flow, position, ts, data, output),
        Speech::Other => {}
    }
}

/// Bytes of the endpoint at `position` were lost; 0: it is not known how many.
pub(super) fn lose(flow: &mut Flow<Talk>, position: usize, ts: i64, lost: u64, output: &mut Output) {
    flow.gaps = flow.gaps.saturating_add(1);
    match &mut flow.application.speech {
        Speech::Modbus(_) | Speech::Opcua(_) | Speech::PubSub(_) => {
            forget_unused(flow, position, output);
            with_parser(flow, ts, output, |parser, client, context| parser.gap(side(client, position), lost, context));
        }
        Speech::Listening(_) => listen(flow, Piece { position, ts, bytes: Vec::new(), is_after_gap: true }, output),
        Speech::Introducing(_) => forget_introduction(flow, output),
        Speech::Other => {}
    }
}

/// Wakes the protocol at packet time `now`.
pub(super) fn expire(flow: &mut Flow<Talk>, now: i64, output: &mut Output) {
    // What a cut made room for goes on at once.
    while with_parser(flow, now, output, |parser, _, context| parser.expire(now, context)).is_some() && output.cut_when_full() {}
}

/// Has the protocol let go of what it holds until more comes.
pub(super) fn relieve(flow: &mut Flow<Talk>, now: i64, output: &mut Output) {
    while with_parser(flow, now, output, |parser, _, context| parser.relieve(context)).is_some() && output.cut_when_full() {}
}

/// The conversation is over.
pub(super) fn close(flow: &mut Flow<Talk>, output: &mut Output) {
    if matches!(flow.application.speech, Speech::Listening(_)) {
        give_up(flow, output);
    }
    forget_introduction(flow, output);
    let ts = flow.last_ts;
    while with_parser(flow, ts, output, |parser, _, context| parser.close(context)).is_some() && output.cut_when_full() {}
    for position in [0, 1] {
        forget_unused(flow, position, output);
    }
    output.cut_when_full();
}

fn side(client: usize, position: usize) -> Side {
    if position == client { Side::Client } else { Side::Server }
}

fn forget_unused(flow: &mut Flow<Talk>, position: usize, output: &mut Output) {
    let unused = std::mem::take(&mut flow.half_mut(position).unused);
    output.counters.held_bytes = output.counters.held_bytes.saturating_sub(unused.capacity());
}

/// Does something with the parser of the conversation's protocol, where it has one.
#[inline]
fn with_parser<T>(
    flow: &mut Flow<Talk>,
    ts: i64,
    output: &mut Output,
    action: impl FnOnce(&mut dyn Conversation, usize, &mut Context<'_>) -> T,
) -> Option<T> {
    let party = party(flow, output);
    let client = flow.client;
    let server = flow.key.endpoints.get(1 - client).map(|endpoint| endpoint.address).unwrap_or_default();
    let server_mac = flow.half(1 - client).mac;
    let parser: &mut dyn Conversation = match &mut flow.application.speech {
        Speech::Modbus(modbus) => &mut **modbus,
        Speech::Opcua(opcua) => &mut **opcua,
        Speech::PubSub(pubsub) => &mut **pubsub,
        Speech::Listening(_) | Speech::Introducing(_) | Speech::Other => return None,
    };
    let Output { records, shared, .. } = output;
    Some(action(parser, client, &mut Context { records, shared, party, server, server_mac, ts }))
}

/// Gives bytes to the conversation's own protocol, behind those that it has not used yet.
fn speak(flow: &mut Flow<Talk>, position: usize, ts: i64, data: &[u8], output: &mut Output) {
    if flow.key.transport != Transport::Tcp {
        with_parser(flow, ts, output, |parser, client, context| parser.datagram(side(client, position), data, context));
        output.cut_when_full();
        return;
    }
    if flow.half(position).unused.is_empty() {
        let used = parse(flow, position, ts, data, output);
        let rest = data.get(used..).unwrap_or_default();
        if !rest.is_empty() {
            let unused = rest.to_vec();
            output.counters.held_bytes += unused.capacity();
            flow.half_mut(position).unused = unused;
        }
    } else {
        let mut unused = std::mem::take(&mut flow.half_mut(position).unused);
        let before = unused.capacity();
        unused.extend_from_slice(data);
        let used = parse(flow, position, ts, &unused, output);
        unused.drain(..used.min(unused.len()));
        // A conversation may be silent for hours: it keeps no more room than it needs.
        if unused.is_empty() {
            unused = Vec::new();
        } else if unused.capacity() > 4 * unused.len() {
            unused.shrink_to_fit();
        }
        output.counters.held_bytes = (output.counters.held_bytes + unused.capacity()).saturating_sub(before);
        flow.half_mut(position).unused = unused;
    }
    let left = flow.half(position).unused.len();
    let is_conversation_full = left > 0 && flow.held_bytes() > output.limits.conversation_bytes;
    if left > message_bytes(flow) || is_conversation_full || left > 0 && output.counters.held_bytes > output.limits.held_bytes {
        output.counters.conversation_full += u64::from(is_conversation_full);
        output.counters.buffer_full += u64::from(!is_conversation_full);
        lose(flow, position, ts, left as u64, output);
    }
}

/// Most bytes of an incomplete message that are held back for the conversation's protocol.
fn message_bytes(flow: &Flow<Talk>) -> usize {
    match &flow.application.speech {
        Speech::Modbus(modbus) => modbus.message_bytes(),
        Speech::Opcua(opcua) => opcua.message_bytes(),
        Speech::PubSub(_) | Speech::Listening(_) | Speech::Introducing(_) | Speech::Other => 0,
    }
}

/// Lets the protocol use bytes, and cuts between messages when a table is full. Returns how many are used.
#[inline]
fn parse(flow: &mut Flow<Talk>, position: usize, ts: i64, data: &[u8], output: &mut Output) -> usize {
    let mut used = 0;
    while let Some(rest) = data.get(used..).filter(|rest| !rest.is_empty()) {
        let count = with_parser(flow, ts, output, |parser, client, context| parser.stream(side(client, position), rest, context))
            .unwrap_or(0);
        used += count.min(rest.len());
        let has_cut = output.cut_when_full();
        if count == 0 && !has_cut {
            break;
        }
    }
    used
}

/// Nobody reads the conversation any more.
fn discard(flow: &mut Flow<Talk>, output: &mut Output) {
    for half in &mut flow.halves {
        half.stream.discard(&mut output.counters);
    }
}
