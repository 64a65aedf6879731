//! A chunk that is too long to be held in the stream: its beginning is collected as it comes, the rest is left out.

use super::chunk::HELD_BYTES;
use super::transport::{Chunk, LONG_CHUNK_BYTES, beginning};

/// Bytes that are collected however much all conversations hold: headers, and operands that are short.
const LEAST_BYTES: usize = 4_096;

/// A chunk whose header has come and whose end has not.
pub struct LongChunk {
    bytes: Vec<u8>,
    /// Bytes that have not come.
    left: usize,
    /// Bytes that are wanted of it.
    most: usize,
    /// Packet that brought its first byte.
    pub start: i64,
}

impl LongChunk {
    /// A chunk of this size. `is_hidden`: encryption hides all but its headers.
    pub fn new(size: usize, is_hidden: bool, start: i64) -> Self {
        let most = if is_hidden { LEAST_BYTES } else { LONG_CHUNK_BYTES };
        Self { bytes: Vec::new(), left: size, most, start }
    }

    /// Whether all of it has come.
    pub fn is_whole(&self) -> bool {
        self.left == 0
    }

    /// Takes what belongs to it from the start of the data. `held` is what all conversations hold. Returns how many bytes are its own, and how
    /// many of these were wanted and found no room.
    pub fn take(&mut self, data: &[u8], held: &mut usize) -> (usize, usize) {
        let own = self.left.min(data.len());
        let room = HELD_BYTES.saturating_sub(*held).max(LEAST_BYTES.saturating_sub(self.bytes.len()));
        let wanted = self.most.saturating_sub(self.bytes.len());
        let taken = data.get(..own.min(wanted).min(room)).unwrap_or_default();
        self.bytes.extend_from_slice(taken);
        *held = held.saturating_add(taken.len());
        self.left = self.left.saturating_sub(own);
        let lost = own.saturating_sub(taken.len());
        if lost > 0 {
            // What comes behind a hole would be read in its place.
            self.most = self.bytes.len();
        }
        (own, lost)
    }

    /// Lets go of all but the headers, and of what is still to come. `held` is what all conversations hold. Returns how many bytes that are.
    pub fn cut_short(&mut self, held: &mut usize) -> usize {
        let lost = self.bytes.len().saturating_sub(LEAST_BYTES);
        self.bytes.truncate(LEAST_BYTES);
        self.bytes.shrink_to_fit();
        *held = held.saturating_sub(lost);
        self.most = self.bytes.len();
        lost
    }

    /// So many bytes of it were lost on the way. False: more than it has to come.
    pub fn lose(&mut self, bytes: u64) -> bool {
        let Some(left) = usize::try_from(bytes).ok().and_then(|bytes| self.left.checked_sub(bytes)) else { return false };
        (self.left, self.most) = (left, self.bytes.len());
        true
    }

    /// What has come of it.
    pub fn chunk(&self) -> Option<Chunk<'_>> {
        beginning(&self.bytes)
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Bytes that count as held by all conversations.
    pub fn held(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(size: u32) -> Vec<u8> {
        [&b"MSGF"[..], &size.to_le_bytes(), &[7; 5_992]].concat()
    }

    #[test]
    fn the_beginning_is_kept_within_its_bound_and_all_is_counted() {
        let size = LONG_CHUNK_BYTES + 10_000;
        let (mut long, mut held, mut left_out) = (LongChunk::new(size, false, 5), 0, 0);
        let stream = [header(size as u32), vec![9; size]].concat();
        let mut at = 0;
        for part in stream.chunks(1_400) {
            let (own, lost) = long.take(part, &mut held);
            (at, left_out) = (at + own, left_out + lost);
        }
        assert_eq!((at, left_out, held, long.is_whole()), (size, 10_000, LONG_CHUNK_BYTES, true));
        let chunk = long.chunk().unwrap();
        assert_eq!((chunk.size, chunk.bytes.len(), chunk.is_cut()), (size, LONG_CHUNK_BYTES, true));
    }

    #[test]
    fn without_room_the_headers_are_kept_all_the_same() {
        let (mut long, mut held) = (LongChunk::new(200_000, false, 5), HELD_BYTES);
        assert_eq!(long.take(&header(200_000), &mut held), (6_000, 6_000 - LEAST_BYTES));
        assert_eq!(long.chunk().unwrap().bytes.len(), LEAST_BYTES);
        assert!(!long.lose(200_000) && long.lose(100_000) && !long.is_whole());
        assert_eq!(long.take(&[1; 200_000], &mut held).0, 94_000);
        assert_eq!((long.is_whole(), long.held()), (true, LEAST_BYTES));
    }

    #[test]
    fn cut_short_it_keeps_its_headers_and_gives_back_what_it_held() {
        let (mut long, mut held) = (LongChunk::new(200_000, false, 5), 100);
        long.take(&header(200_000), &mut held);
        assert_eq!((long.cut_short(&mut held), held, long.held()), (6_000 - LEAST_BYTES, 100 + LEAST_BYTES, LEAST_BYTES));
        assert!(long.bytes() < 6_000, "its room is given back too");
        assert_eq!(long.take(&[1; 194_000], &mut held), (194_000, 194_000));
        assert_eq!((long.is_whole(), held), (true, 100 + LEAST_BYTES));
        assert_eq!(long.cut_short(&mut held), 0, "once");
    }
}
