//! Network messages that were cut into chunks (OPC 10000-14, 7.2.4.4.4): what has come of each until the rest comes, in any order.

use super::message::Header;
use crate::protocol::opcua::binary::{Fault, Reader};

/// Messages of one conversation that may be incomplete at a time; the oldest makes room.
pub const INCOMPLETE: usize = 8;
/// Longest message that is put together.
pub const MESSAGE_BYTES: usize = 1024 * 1024;
/// Chunks of one message that are held.
pub const CHUNKS: usize = 2_048;
/// How long the rest of a message is waited for, in packet time, nanoseconds.
pub const WAIT_NS: i64 = 10_000_000_000;

/// One chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// Number of the message that was cut.
    pub sequence: u16,
    /// Where it stands in the message.
    pub offset: usize,
    /// Bytes of the whole message.
    pub total: usize,
    /// Its bytes.
    pub data: &'a [u8],
}

/// Reads a chunk. Its data are a ByteString (OPC 10000-14, table 159; v1.04, table 78): a length stands before them. Where what stands there is not
/// the length of the rest, all of the rest are data: of senders that leave the length out.
pub fn chunk(payload: &[u8]) -> Result<Chunk<'_>, Fault> {
    let mut reader = Reader::new(payload);
    let (sequence, offset, total) = (reader.u16()?, reader.u32()? as usize, reader.u32()? as usize);
    let rest = payload.get(reader.position()..).unwrap_or_default();
    let counted = reader.byte_string().ok().flatten().filter(|_| reader.left() == 0);
    Ok(Chunk { sequence, offset, total, data: counted.unwrap_or(rest) })
}

/// A message of which some chunks have come.
#[derive(Debug)]
pub struct Incomplete {
    /// Headers of its first chunk to come.
    pub header: Header,
    /// Who publishes it.
    pub publisher: String,
    /// Its writer.
    pub writer: Option<u16>,
    /// Packet that brought the first chunk to come.
    pub start: i64,
    /// Chunks that have come.
    pub chunks: u32,
    /// Bytes of these.
    pub bytes: usize,
    sequence: u16,
    total: usize,
    parts: Vec<(usize, Vec<u8>)>,
}

/// What a chunk makes of the messages.
pub enum Then {
    /// More is to come.
    Wait,
    /// Its message is whole: its bytes.
    Whole(Incomplete, Vec<u8>),
    /// It does not fit: nothing of it is kept.
    Misfit,
}

/// Incomplete messages of one conversation.
#[derive(Debug, Default)]
pub struct Incompletes {
    all: Vec<Incomplete>,
}

impl Incompletes {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.all
            .iter()
            .map(|message| size_of::<Incomplete>() + message.parts.iter().map(|(_, part)| part.len()).sum::<usize>())
            .sum()
    }

    /// Takes a chunk. `held` is what all conversations hold. Messages that make room are given to `lost`.
    pub fn take(
        &mut self,
        (header, publisher, writer): (&Header, &str, Option<u16>),
        chunk: &Chunk<'_>,
        now: i64,
        held: &mut usize,
        lost: &mut dyn FnMut(Incomplete),
    ) -> Then {
        let end = chunk.offset.checked_add(chunk.data.len());
        if chunk.data.is_empty() || chunk.total > MESSAGE_BYTES || end.is_none_or(|end| end > chunk.total) {
            return Then::Misfit;
        }
        let known = self.all.iter().position(|message| {
            (message.sequence, message.writer, message.total) == (chunk.sequence, writer, chunk.total)
                && (message.header.kind, message.header.group) == (header.kind, header.group)
                && message.publisher == publisher
        });
        let at = known.unwrap_or_else(|| {
            if self.all.len() >= INCOMPLETE {
                lost(released(self.all.remove(0), held));
            }
            self.all.push(Incomplete {
                header: *header,
                publisher: publisher.to_owned(),
                writer,
                start: now,
                chunks: 0,
                bytes: 0,
                sequence: chunk.sequence,
                total: chunk.total,
                parts: Vec::new(),
            });
            self.all.len().saturating_sub(1)
        });
        let Some(message) = self.all.get_mut(at) else { return Then::Misfit };
        message.chunks = message.chunks.saturating_add(1);
        let place = message.parts.partition_point(|(offset, _)| *offset < chunk.offset);
        let before = place.checked_sub(1).and_then(|before| message.parts.get(before));
        let overlaps = before.is_some_and(|(offset, part)| offset.saturating_add(part.len()) > chunk.offset)
            || message.parts.get(place).is_some_and(|(offset, _)| end.is_none_or(|end| end > *offset));
        if overlaps || message.parts.len() >= CHUNKS {
            // The same chunk again is no fault: datagrams may be doubled.
            let is_again =
                message.parts.get(place).is_some_and(|(offset, part)| *offset == chunk.offset && **part == *chunk.data);
            return if is_again { Then::Wait } else { Then::Misfit };
        }
        message.parts.insert(place, (chunk.offset, chunk.data.to_vec()));
        message.bytes = message.bytes.saturating_add(chunk.data.len());
        *held = held.saturating_add(chunk.data.len());
        if message.bytes < message.total {
            return Then::Wait;
        }
        let message = released(self.all.remove(at), held);
        let whole = message.parts.iter().flat_map(|(_, part)| part).copied().collect();
        Then::Whole(message, whole)
    }

    /// Bytes of the chunks held.
    pub fn held(&self) -> usize {
        self.all.iter().map(|message| message.bytes).sum()
    }

    /// When the oldest message is given up.
    pub fn deadline(&self) -> Option<i64> {
        self.all.first().map(|message| message.start.saturating_add(WAIT_NS))
    }

    /// The oldest message leaves, if it came first at this time or before.
    pub fn give_up(&mut self, until: i64, held: &mut usize) -> Option<Incomplete> {
        let is_due = self.all.first().is_some_and(|message| message.start <= until);
        is_due.then(|| released(self.all.remove(0), held))
    }
}

fn released(message: Incomplete, held: &mut usize) -> Incomplete {
    *held = held.saturating_sub(message.bytes);
    message
}

#[cfg(test)]
mod tests {
    use super::super::message::NetworkMessage;
    use super::*;

    /// Publisher 7, chunks.
    fn header() -> Header {
        NetworkMessage::decode(&[0x91, 0x80, 0x01, 7]).unwrap().header
    }

    fn take(all: &mut Incompletes, sequence: u16, offset: usize, data: &[u8], total: usize) -> Then {
        let chunk = Chunk { sequence, offset, total, data };
        all.take((&header(), "7", Some(1)), &chunk, 0, &mut 0, &mut |_| {})
    }

    #[test]
    fn chunks_in_any_order_make_their_message() {
        let mut all = Incompletes::default();
        assert!(matches!(take(&mut all, 1, 4, &[5, 6], 6), Then::Wait));
        assert!(matches!(take(&mut all, 2, 0, &[9], 2), Then::Wait));
        assert!(matches!(take(&mut all, 1, 0, &[1, 2], 6), Then::Wait));
        assert!(matches!(take(&mut all, 1, 0, &[1, 2], 6), Then::Wait), "the same again");
        assert!(matches!(take(&mut all, 1, 1, &[1, 2], 6), Then::Misfit), "an overlap");
        assert!(matches!(take(&mut all, 1, 5, &[6, 7], 6), Then::Misfit), "beyond the end");
        let Then::Whole(message, bytes) = take(&mut all, 1, 2, &[3, 4], 6) else { panic!() };
        assert_eq!((bytes, message.bytes), (vec![1, 2, 3, 4, 5, 6], 6));
        assert_eq!(all.all.len(), 1);
    }

    #[test]
    fn what_is_held_has_a_bound() {
        let (mut all, mut held, mut lost) = (Incompletes::default(), 0, 0);
        for sequence in 0..100 {
            let chunk = Chunk { sequence, offset: 0, total: 2, data: &[1] };
            all.take((&header(), "7", None), &chunk, 0, &mut held, &mut |_| lost += 1);
        }
        assert_eq!((all.all.len(), held, lost), (INCOMPLETE, INCOMPLETE, 100 - INCOMPLETE));
        while all.give_up(i64::MAX, &mut held).is_some() {}
        assert_eq!(held, 0);
        assert!(matches!(take(&mut all, 1, 0, &[1], MESSAGE_BYTES + 1), Then::Misfit));
    }
}
