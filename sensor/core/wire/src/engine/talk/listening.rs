//! Listening to a conversation until its content tells the protocol.

use super::introduction::{forget_introduction, introduce};
use super::{Output, Speech, Talk, carrier, discard, hear, party, side, with_parser};
use crate::engine::output::Rule;
use crate::protocol::modbus::frame::{self, Framed, Framing};
use crate::protocol::modbus::{self, Modbus};
use crate::protocol::opcua::pubsub::{self, PubSub};
use crate::protocol::opcua::{self, Opcua};
use crate::protocol::signature::{registry, tls};
use crate::protocol::{Carrier, Probe, Side, identity};
use crate::record::table::{Application, Layer, Transport};
use crate::transport::{Flow, Handshake};

/// Payload bytes that are kept while the protocol is not known, of both directions of one conversation.
const LISTEN_BYTES: usize = 4_096;
/// Segments or datagrams after which a conversation that nobody recognises is left alone.
const LISTEN_PIECES: usize = 16;
/// What keeping a piece costs beside its bytes.
pub(super) const PIECE_COST: usize = 64;

/// What was heard while listening.
pub(super) struct Piece {
    pub(super) position: usize,
    pub(super) ts: i64,
    pub(super) bytes: Vec<u8>,
    /// Whether bytes of this direction were lost before it.
    pub(super) is_after_gap: bool,
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

/// Takes one more piece in while the protocol is not known.
#[inline(never)]
pub(super) fn listen(flow: &mut Flow<Talk>, piece: Piece, output: &mut Output) {
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
pub(super) fn give_up(flow: &mut Flow<Talk>, output: &mut Output) {
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

pub(super) fn forget_pieces(pieces: &[Piece], output: &mut Output) {
    let held: usize = pieces.iter().map(|piece| piece.bytes.len() + PIECE_COST).sum();
    output.counters.held_bytes = output.counters.held_bytes.saturating_sub(held);
}
