//! One conversation of two parties: its handshake, its end, and what was counted.

use super::{FlowKey, Stream};
use crate::packet::Opening;
use crate::record::table::FlowState;

/// How far a TCP connection's opening has come (RFC 9293, 3.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Handshake {
    /// It was under way when first seen; UDP has none either.
    #[default]
    Unseen,
    /// SYN seen.
    Asked,
    /// SYN and its answer seen, or a SYN from each side.
    Answered,
    /// Complete.
    Done,
}

/// How a TCP connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Both sides closed, or the only one that was seen did.
    Closed,
    /// The opening was answered by a reset.
    Refused,
    /// Reset.
    Reset,
    /// Silence.
    Expired,
}

/// What one endpoint sends.
#[derive(Debug, Default)]
pub struct Half {
    /// Its hardware address as first seen.
    pub mac: Option<[u8; 6]>,
    /// Packets sent.
    pub packets: u64,
    /// Payload bytes sent, retransmissions not counted.
    pub bytes: u64,
    /// Its stream (TCP).
    pub stream: Stream,
    /// Sequence number of its SYN.
    pub opening: Option<u32>,
    /// What its SYN shows of its stack, until the connection is open.
    pub stack: Option<Box<Opening>>,
    /// The highest byte of the other side that it acknowledged.
    pub acknowledged: Option<u32>,
    /// Sequence number of its reset.
    pub reset: Option<u32>,
    /// Whether it was told that it sent more after its end.
    pub has_sent_after_close: bool,
    /// Whether its stream is closed in order.
    pub is_closed: bool,
    /// Bytes in order that the conversation's protocol has not used yet.
    pub unused: Vec<u8>,
}

/// One conversation.
#[derive(Debug)]
pub struct Flow<A> {
    /// Who talks.
    pub key: FlowKey,
    /// What each endpoint of the key sends.
    pub halves: [Half; 2],
    /// Position of the client in the key.
    pub client: usize,
    /// Outermost VLAN identifier as first seen.
    pub vlan: Option<u16>,
    /// Time of the first packet.
    pub first_ts: i64,
    /// Time of the last packet.
    pub last_ts: i64,
    /// Time at which its state was last reported; that of the first packet until then.
    pub reported_ts: i64,
    /// How far the opening has come.
    pub handshake: Handshake,
    /// How it ended.
    pub ending: Option<Ending>,
    /// Segments whose bytes had all been seen before.
    pub retransmissions: u32,
    /// Holes in the streams that were never filled.
    pub gaps: u32,
    /// A SYN inside an established connection: position of its sender, sequence number, time.
    pub reopening: Option<(usize, u32, i64)>,
    /// The application's part.
    pub application: A,
}

impl<A> Flow<A> {
    /// A conversation whose first packet came at `ts` from the endpoint at `client`.
    pub fn new(key: FlowKey, client: usize, ts: i64, application: A) -> Self {
        Self {
            key,
            halves: [Half::default(), Half::default()],
            client,
            vlan: None,
            first_ts: ts,
            last_ts: ts,
            reported_ts: ts,
            handshake: Handshake::Unseen,
            ending: None,
            retransmissions: 0,
            gaps: 0,
            reopening: None,
            application,
        }
    }

    /// What the endpoint at this position sends.
    #[inline]
    pub fn half(&self, position: usize) -> &Half {
        let [low, high] = &self.halves;
        if position == 0 { low } else { high }
    }

    /// What the endpoint at this position sends, and what the other one does.
    #[inline]
    pub fn both_mut(&mut self, position: usize) -> (&mut Half, &mut Half) {
        let [low, high] = &mut self.halves;
        if position == 0 { (low, high) } else { (high, low) }
    }

    /// What the endpoint at this position sends.
    #[inline]
    pub fn half_mut(&mut self, position: usize) -> &mut Half {
        self.both_mut(position).0
    }

    /// The state as table `flow` has it.
    pub fn state(&self) -> FlowState {
        use crate::record::table::Transport;
        let [low, high] = &self.halves;
        let is_one_sided = low.packets == 0 || high.packets == 0;
        if self.key.transport != Transport::Tcp {
            return FlowState::Datagrams;
        }
        match (self.handshake, self.ending) {
            (_, Some(Ending::Refused)) => FlowState::Refused,
            (Handshake::Asked, _) => FlowState::Attempt,
            (Handshake::Answered, _) if !is_one_sided => FlowState::HalfOpen,
            _ if is_one_sided => FlowState::OneSided,
            (_, Some(Ending::Closed)) => FlowState::Closed,
            (_, Some(Ending::Reset)) => FlowState::Reset,
            (_, Some(Ending::Expired)) => FlowState::Expired,
            (Handshake::Unseen, None) => FlowState::Midstream,
            (_, None) => FlowState::Established,
        }
    }

    /// Bytes of both directions that wait for their turn or for the rest of their message.
    pub fn held_bytes(&self) -> usize {
        self.halves.iter().map(|half| half.unused.len() + half.stream.held_bytes()).sum()
    }

    /// Bytes held beside the structure itself.
    pub fn bytes(&self) -> usize {
        let stack = |half: &Half| half.stack.as_ref().map_or(0, |_| size_of::<Opening>());
        self.halves.iter().map(|half| half.unused.capacity() + half.stream.bytes() + stack(half)).sum()
    }
}
