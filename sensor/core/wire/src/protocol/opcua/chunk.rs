//! Messages of several chunks: what has come of each until its last chunk comes (OPC 10000-6, 6.7.2).

use crate::record::table::opcua::MessageType;

/// Messages of one side that may be incomplete at a time; the oldest makes room.
pub const ASSEMBLING: usize = 8;
/// Bytes of all incomplete messages of one side; the oldest makes room.
pub const ASSEMBLING_BYTES: usize = 2 * BODY_BYTES;
/// Longest body that is put together: what comes beyond it is left out.
pub const BODY_BYTES: usize = 4 * 1024 * 1024;
/// How long the next chunk of a message is waited for, in packet time: a minute in nanoseconds.
pub const WAIT_NS: i64 = 60_000_000_000;
/// Bytes of incomplete messages and outstanding requests that all conversations may hold together. Beyond it, the engine has those
/// conversations let go of theirs that hold most (`Conversation::relieve`).
pub const HELD_BYTES: usize = 32 * 1024 * 1024;

/// A message, whole or so far.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its type.
    pub kind: MessageType,
    /// Packet that brought its first byte.
    pub start: i64,
    /// Packet that brought its last byte.
    pub end: i64,
    /// Channel.
    pub channel_id: u32,
    /// Token.
    pub token_id: Option<u32>,
    /// Sequence number of its first chunk.
    pub sequence_number: u32,
    /// Request.
    pub request_id: u32,
    /// Chunks.
    pub chunks: u32,
    /// Bytes of these.
    pub bytes: u32,
    /// What they carry.
    pub body: Vec<u8>,
    /// Whether the end of the body was left out.
    pub is_cut: bool,
    /// Whether the beginning of the body was not seen.
    pub is_rest: bool,
}

/// Bodies of messages that are done with, for use again by whichever conversation comes next: one of each for every conversation would be
/// most of what a conversation holds.
#[derive(Default)]
pub struct Spares(Vec<Vec<u8>>);

impl Spares {
    /// Bodies that are kept, and the longest of these.
    const COUNT: usize = 64;
    const BODY_BYTES: usize = 4_096;

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(Vec::capacity).sum()
    }

    /// An empty body.
    #[inline]
    pub fn take(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_default()
    }

    /// A body that is done with.
    #[inline]
    pub fn give(&mut self, mut body: Vec<u8>) {
        if self.0.len() < Self::COUNT && body.capacity() <= Self::BODY_BYTES {
            body.clear();
            self.0.push(body);
        }
    }
}

/// Incomplete messages of one side.
#[derive(Default)]
pub struct Assembly {
    messages: Vec<Message>,
}

impl Assembly {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.messages.iter().map(|message| message.body.capacity() + size_of::<Message>()).sum()
    }

    /// Whether a message of this request is incomplete.
    #[inline]
    pub fn has(&self, request_id: u32) -> bool {
        self.messages.iter().any(|message| message.request_id == request_id)
    }

    /// The incomplete message of a request leaves.
    pub fn take(&mut self, request_id: u32) -> Option<Message> {
        let at = self.messages.iter().position(|message| message.request_id == request_id)?;
        Some(self.messages.remove(at))
    }

    /// Keeps an incomplete message.
    pub fn keep(&mut self, message: Message) {
        self.messages.push(message);
    }

    /// The message whose last chunk came first leaves, if there are too many of them or too many bytes.
    pub fn make_room(&mut self) -> Option<Message> {
        let is_over = self.messages.len() > ASSEMBLING || self.body_bytes() > ASSEMBLING_BYTES;
        is_over.then(|| self.messages.remove(0))
    }

    /// When the message whose last chunk came first is given up.
    #[inline]
    pub fn deadline(&self) -> Option<i64> {
        self.messages.first().map(|message| message.end.saturating_add(WAIT_NS))
    }

    /// A message whose next chunk is late leaves.
    pub fn late(&mut self, now: i64) -> Option<Message> {
        self.deadline().filter(|deadline| *deadline <= now).map(|_| self.messages.remove(0))
    }

    /// Bytes of the bodies.
    pub fn body_bytes(&self) -> usize {
        self.messages.iter().map(|message| message.body.len()).sum()
    }

    /// All incomplete messages leave: their rest will not come.
    pub fn clear(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.messages)
    }
}

impl Message {
    /// Adds a chunk. `held` is what all conversations hold.
    pub fn add(&mut self, body: &[u8], chunk_bytes: usize, end: i64, held: &mut usize) {
        self.chunks = self.chunks.saturating_add(1);
        self.bytes = self.bytes.saturating_add(u32::try_from(chunk_bytes).unwrap_or(u32::MAX));
        self.end = end;
        let room = BODY_BYTES.saturating_sub(self.body.len());
        let taken = if self.is_cut { &[] } else { body.get(..room).unwrap_or(body) };
        self.is_cut |= taken.len() < body.len();
        self.body.extend_from_slice(taken);
        *held = held.saturating_add(taken.len());
    }
}
