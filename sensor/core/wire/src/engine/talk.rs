//! The application's part of a conversation: listening until the content tells the protocol, then speaking it.

use super::output::{Output, Rule};
use crate::device::Device;
use crate::protocol::identity::{self, Facts, tcp_stack};
use crate::protocol::modbus::frame::{self, Framed, Framing};
use crate::protocol::modbus::{self, Modbus};
use crate::protocol::opcua::pubsub::{self, PubSub};
use crate::protocol::opcua::{self, Opcua};
use crate::protocol::signature::{registry, tls};
use crate::protocol::{Carrier, Context, Conversation, Probe, Side};
use crate::record::table::{Application, Attribute, FlowRow, Layer, Transport};
use crate::record::{Party, PartyCache, PartyKey};
use crate::transport::{Flow, Handshake};

/// Payload bytes that are kept while the protocol is not known, of both directions of one conversation.
const LISTEN_BYTES: usize = 4_096;
/// Segments or datagrams after which a conversation that nobody recognises is left alone.
const LISTEN_PIECES: usize = 16;
/// What keeping a piece costs beside its bytes.
const PIECE_COST: usize = 64;

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

/// What was heard of a conversation whose protocol tells who the parties are.
#[derive(Default)]
struct Introduction {
    /// First bytes of each direction of a stream, without holes.
    heard: [Vec<u8>; 2],
    /// Pieces so far.
    count: usize,
}

/// What was heard while listening.
struct Piece {
    position: usize,
    ts: i64,
    bytes: Vec<u8>,
    /// Whether bytes of this direction were lost before it.
    is_after_gap: bool,
}

/// What listening came to.
enum Verdict {
    Modbus(Framing, Option<Side>),
    Opcua(Option<Side>),
    PubSub,
    Named(Application),
    /// It may be this one: more bytes may say something else.
    Likely(Application),
    Unsure,
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

/// Takes one more piece in while the protocol is not known.
#[inline(never)]
fn listen(flow: &mut Flow<Talk>, piece: Piece, output: &mut Output) {
    let position = piece.position;
    let Speech::Listening(pieces) = &mut flow.application.speech else {
        return;
    };
    output.counters.held_bytes += piece.bytes.len() + PIECE_COST;
    pieces.push(piece);
    let is_datagram = flow.key.transport == Transport::Udp;
    let last = pieces.len() - 1;
    // What this direction has said since its last gap; and the last piece alone, for a conversation that was joined inside a message.
    let (since, said) = said_by(pieces, position, is_datagram);
    let since = if is_datagram { 0 } else { since };
    let (_, answered) = said_by(pieces, 1 - position, is_datagram);
    let newest = pieces.last().map(|piece| piece.bytes.clone()).unwrap_or_default();
    let joined = flow.handshake == Handshake::Unseen && !is_datagram && newest.len() < said.len();
    let (count, kept) = (pieces.len(), pieces.iter().map(|piece| piece.bytes.len()).sum::<usize>());
    let (verdict, from) = match judge(flow, position, &said, &answered) {
        Verdict::Unsure if joined => (judge(flow, position, &newest, &answered), last),
        verdict => (verdict, since),
    };
    let is_enough = count >= LISTEN_PIECES || kept > LISTEN_BYTES || output.counters.held_bytes > output.limits.held_bytes;
    match verdict {
        Verdict::Modbus(framing, seen) => recognised(flow, position, Found::Modbus(framing), seen, from, output),
        Verdict::Opcua(seen) => recognised(flow, position, Found::Opcua, seen, from, output),
        Verdict::PubSub => recognised(flow, position, Found::PubSub, Some(Side::Client), from, output),
        Verdict::Named(application) => {
            let heard = if joined && from == last { &newest } else { &said };
            match tls::server_name(heard) {
                tls::ServerName::Named(name) => flow.application.server_name = Some(name.into()),
                // The rest of the hello tells which server is asked for.
                tls::ServerName::Unfinished if application == Application::Tls && !is_enough => {
                    flow.application.name = Some(application);
                    return;
                }
                _ => {}
            }
            named(flow, application, output);
        }
        Verdict::Likely(application) => {
            flow.application.name = Some(application);
            // A datagram is whole: the next one says no more.
            if is_datagram || is_enough {
                give_up(flow, output);
            }
        }
        Verdict::Unsure if is_enough => give_up(flow, output),
        Verdict::Unsure => {}
    }
}

/// What the endpoint at `position` has said: since its last gap in a stream, with the piece that this begins with; its last datagram.
fn said_by(pieces: &[Piece], position: usize, is_datagram: bool) -> (usize, Vec<u8>) {
    let is_first = |piece: &Piece| piece.position == position && (is_datagram || piece.is_after_gap);
    let since = pieces.iter().rposition(is_first).unwrap_or(0);
    let said = pieces.iter().skip(since).filter(|piece| piece.position == position).flat_map(|piece| &piece.bytes).copied();
    (since, said.collect())
}

/// What these bytes of the endpoint at `position` are. Content goes before ports; `answered` is what the other side has said.
fn judge(flow: &Flow<Talk>, position: usize, said: &[u8], answered: &[u8]) -> Verdict {
    if said.is_empty() {
        return Verdict::Unsure;
    }
    let ports = flow.key.endpoints.map(|endpoint| endpoint.port);
    let carrier = carrier(flow);
    let (probe, framing) = modbus::probe(side(flow.client, position), said, carrier == Carrier::Datagram);
    if let Probe::Certain(seen) = probe {
        return Verdict::Modbus(framing, seen);
    }
    let is_own_port = ports.contains(&modbus::PORT);
    // Whole messages, consistent to the byte: a transaction identifier can look like the first bytes of another protocol.
    let is_message = probe != Probe::No && framing == Framing::Tcp && frame::is_whole_tcp(said);
    if let Probe::Possible(seen) = probe
        && is_message
        && is_own_port
    {
        return Verdict::Modbus(framing, seen);
    }
    if carrier == Carrier::Stream {
        match opcua::probe(said) {
            Probe::Certain(seen) => return Verdict::Opcua(seen),
            // The beginning of a header: nobody else begins so.
            Probe::Possible(_) => return Verdict::Unsure,
            Probe::No => {}
        }
    } else if pubsub::probe(said, ports.contains(&opcua::PORT)) != Probe::No {
        return Verdict::PubSub;
    }
    let candidates = registry().look(carrier, said);
    match (candidates.certain, probe) {
        (Some(application), _) => return Verdict::Named(application),
        (None, Probe::No) if is_own_port && has_header(said, flow.handshake) => {
            return Verdict::Modbus(Framing::Tcp, None);
        }
        (None, Probe::Possible(seen)) if is_own_port || (is_message || seen.is_some()) && !answered.is_empty() => {
            return Verdict::Modbus(framing, seen);
        }
        _ => {}
    }
    let with_answer = || registry().with_answer(candidates, registry().look(carrier, answered));
    match registry().with_port(candidates, carrier, ports).or_else(with_answer) {
        Some(application) => Verdict::Likely(application),
        None => Verdict::Unsure,
    }
}

/// Whether this is the header of a message, on Modbus' own port where a message may break any other rule and is to be judged, not passed over:
/// protocol identifier 0, or a length that fits to the byte (GUIDE, 3.1.3).
fn has_header(said: &[u8], handshake: Handshake) -> bool {
    match frame::tcp(said) {
        Framed::Adu(adu) => adu.protocol == 0 || adu.bytes.len() == said.len(),
        // Inside a message zeros are common: only the beginning of a connection is sure to be the beginning of a message.
        _ => handshake != Handshake::Unseen && matches!(said, [_, _, 0, 0, _, _, ..]),
    }
}

/// A protocol that is parsed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Modbus(Framing),
    Opcua,
    PubSub,
}

/// The conversation is one of a protocol that is parsed: what was heard from piece `from` on is given to it.
fn recognised(flow: &mut Flow<Talk>, position: usize, found: Found, seen: Option<Side>, from: usize, output: &mut Output) {
    let from_start = flow.handshake == Handshake::Done && flow.half(0).packets > 0 && flow.half(1).packets > 0;
    let (speech, name, port) = match found {
        Found::Modbus(framing) => {
            let modbus = Modbus::new(framing, carrier(flow), from_start);
            (Speech::Modbus(Box::new(modbus)), Application::Modbus, modbus::PORT)
        }
        Found::Opcua => (Speech::Opcua(Box::new(Opcua::new(from_start))), Application::Opcua, opcua::PORT),
        Found::PubSub => (Speech::PubSub(Box::new(PubSub::new(carrier(flow)))), Application::Opcua, opcua::PORT),
    };
    let Speech::Listening(pieces) = std::mem::replace(&mut flow.application.speech, speech) else {
        return;
    };
    forget_pieces(&pieces, output);
    flow.application.name = Some(name);
    // The protocol's own port tells who answers, even where the server opened the connection; else whoever opened it asks, and where that
    // was not seen, content tells. OPC UA says it in its first message, and lets servers open connections (OPC 10000-6, 7.1.3).
    let [low, high] = flow.key.endpoints.map(|endpoint| endpoint.port == port);
    let by_port = match (low, high) {
        (true, false) => Some(1),
        (false, true) => Some(0),
        _ => None,
    };
    let by_content = seen
        .filter(|_| flow.handshake == Handshake::Unseen || found == Found::Opcua)
        .map(|seen| if seen == Side::Client { position } else { 1 - position });
    let client = match found {
        Found::Modbus(_) => by_port.or(by_content),
        Found::Opcua | Found::PubSub => by_content.or(by_port),
    }
    .unwrap_or(flow.client);
    if client != flow.client {
        flow.client = client;
        flow.application.party.clear();
    }
    for (index, piece) in pieces.into_iter().enumerate() {
        if piece.is_after_gap {
            let ts = piece.ts;
            with_parser(flow, ts, output, |parser, client, context| parser.gap(side(client, piece.position), 0, context));
        } else if index >= from || piece.position != position {
            hear(flow, piece.position, piece.ts, &piece.bytes, output);
        }
    }
}

/// The conversation is another protocol's: it is named and left alone.
fn named(flow: &mut Flow<Talk>, application: Application, output: &mut Output) {
    flow.application.name = Some(application);
    leave(flow, Some(application), output);
}

/// Nobody is certain what the conversation is: it keeps the name that is possible, if there is one.
fn give_up(flow: &mut Flow<Talk>, output: &mut Output) {
    leave(flow, flow.application.name, output);
}

fn leave(flow: &mut Flow<Talk>, application: Option<Application>, output: &mut Output) {
    let Speech::Listening(pieces) = std::mem::replace(&mut flow.application.speech, Speech::Other) else {
        return;
    };
    forget_pieces(&pieces, output);
    let server_port = flow.key.endpoints.get(1 - flow.client).map_or(0, |endpoint| endpoint.port);
    if server_port == modbus::PORT
        && let Some(first) = pieces.iter().find(|piece| !piece.bytes.is_empty())
    {
        let seen = application.map_or("an unknown protocol", Application::word);
        let detail = format!("expected Modbus on port 502, seen {seen}");
        let rule =
            Rule { layer: Layer::Application, protocol: "modbus", kind: "foreign_protocol_on_502", clause: "GUIDE V1.0b, 4.2.2" };
        let party = party(flow, output);
        output.violation(first.ts, party, &rule, &detail, &first.bytes);
    }
    if application.is_some_and(|application| identity::is_read(application, carrier(flow))) {
        flow.application.speech = Speech::Introducing(Box::default());
        for piece in pieces {
            // What is behind a hole does not begin a direction.
            if piece.is_after_gap {
                forget_introduction(flow, output);
            } else {
                introduce(flow, piece.position, piece.ts, &piece.bytes, output);
            }
        }
    } else {
        discard(flow, output);
    }
}

/// Nobody reads the conversation any more.
fn discard(flow: &mut Flow<Talk>, output: &mut Output) {
    for half in &mut flow.halves {
        half.stream.discard(&mut output.counters);
    }
}

/// Shows what was heard to the sources of the conversation's protocol, until there has been enough.
#[inline(never)]
fn introduce(flow: &mut Flow<Talk>, position: usize, ts: i64, data: &[u8], output: &mut Output) {
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
fn forget_introduction(flow: &mut Flow<Talk>, output: &mut Output) {
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
pub(super) fn tell_stacks(flow: &mut Flow<Talk>, ts: i64, output: &mut Output) {
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

fn forget_pieces(pieces: &[Piece], output: &mut Output) {
    let held: usize = pieces.iter().map(|piece| piece.bytes.len() + PIECE_COST).sum();
    output.counters.held_bytes = output.counters.held_bytes.saturating_sub(held);
}
