//! Conversations: which packets belong together, and what bytes they carry in which order.
//!
//! `stream` puts the segments of one direction of a TCP connection in order, `flow` is one conversation of two parties, `table` holds
//! all of them within bounds. Nothing here knows an application protocol, a record table or a clock but the packets' own.

mod flow;
mod held;
mod key;
mod neighbour;
mod stream;
mod table;

pub use flow::{Ending, Flow, Half, Handshake};
pub use key::{Endpoint, FlowKey};
pub use neighbour::{Neighbours, Observation};
pub use stream::{Arrival, Arriving, Conflict, Ready, Stream};
pub use table::{Class, FlowId, Flows};

/// Which bytes hold when two segments say different things about the same place in a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overlap {
    /// Those that came first (Linux and Windows receivers).
    #[default]
    First,
    /// Those that came last, as far as they have not been used yet.
    Last,
}

/// Bounds of the transport's buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Conversations held at a time; the least valuable makes room for a new one.
    pub flows: usize,
    /// Out-of-order bytes held for one direction of a conversation; beyond that, what is missing is a gap.
    pub direction_bytes: usize,
    /// Out-of-order segments held for one direction of a conversation.
    pub direction_segments: usize,
    /// Bytes held for one conversation, of both directions: out of order, and of messages that are not complete; beyond that, what is
    /// missing is a gap. Less than both directions may hold together: a talk in which both sides lack bytes is rare.
    pub conversation_bytes: usize,
    /// Out-of-order bytes held in all; beyond that, what is missing where bytes arrive is a gap.
    pub held_bytes: usize,
    /// Which bytes hold in an overlap.
    pub overlap: Overlap,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            flows: 65_536,
            direction_bytes: 128 * 1024,
            direction_segments: 256,
            conversation_bytes: 192 * 1024,
            held_bytes: 32 * 1024 * 1024,
            overlap: Overlap::First,
        }
    }
}

/// What the transport held and did not use, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes held now in out-of-order buffers, with what each segment costs to hold.
    pub held_bytes: usize,
    /// Bytes of streams that were never seen.
    pub gap_bytes: u64,
    /// Gaps declared because a buffer was over its bound.
    pub buffer_full: u64,
    /// Gaps declared because a conversation held more than its bound.
    pub conversation_full: u64,
    /// Segments far from the place where the stream is, or behind its end.
    pub out_of_window: u64,
    /// Resets far from the place where the stream is.
    pub reset_ignored: u64,
    /// Bytes that arrived after the stream had been declared to lack them.
    pub after_gap_bytes: u64,
    /// Openings inside an established connection that the other side did not take up.
    pub syn_ignored: u64,
    /// Conversations ended before their time to make room.
    pub flows_evicted: u64,
    /// Datagrams that the snap length cut.
    pub datagrams_cut: u64,
}

impl Counters {
    /// Names and values of what was not used, in fixed order.
    pub fn named(&self) -> [(&'static str, u64); 9] {
        [
            ("stream_gap_bytes", self.gap_bytes),
            ("stream_buffer_full", self.buffer_full),
            ("conversation_buffer_full", self.conversation_full),
            ("segment_out_of_window", self.out_of_window),
            ("reset_out_of_window", self.reset_ignored),
            ("segment_after_gap_bytes", self.after_gap_bytes),
            ("syn_ignored", self.syn_ignored),
            ("flow_evicted", self.flows_evicted),
            ("datagram_cut", self.datagrams_cut),
        ]
    }
}
