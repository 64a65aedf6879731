//! The thread that indexes packets and writes them to segments.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::{Duration, Instant};

use wire::packet::{Decoder, LinkType, Packet};

use super::block::{self, Block};
use super::ring::{Ring, Segment};

/// How long a disk that takes nothing is left alone.
const PAUSE: Duration = Duration::from_secs(1);

/// What a tap says.
pub enum Message {
    /// There are packets of another link type: the next interface.
    Link(LinkType),
    /// Enhanced packet blocks, and how many.
    Blocks {
        /// The blocks.
        bytes: Vec<u8>,
        /// Their number.
        packets: u64,
    },
}

/// Writes what a tap hands over.
pub struct Writer {
    ring: Arc<Ring>,
    messages: Receiver<Message>,
    spare: SyncSender<Vec<u8>>,
    decoder: Decoder,
    links: Vec<LinkType>,
    segment: Option<Segment>,
    paused_until: Option<Instant>,
}

impl Writer {
    /// A writer of what comes from `messages`; buffers go back to `spare`.
    pub fn new(ring: Arc<Ring>, messages: Receiver<Message>, spare: SyncSender<Vec<u8>>) -> Self {
        Self { ring, messages, spare, decoder: Decoder::default(), links: Vec::new(), segment: None, paused_until: None }
    }

    /// Writes until there is nothing more to come.
    pub fn run(mut self) {
        while let Ok(message) = self.messages.recv() {
            match message {
                Message::Link(link) => self.link(link),
                Message::Blocks { mut bytes, packets } => {
                    let written = self.blocks(&bytes);
                    self.ring.count_lost(packets.saturating_sub(written));
                    bytes.clear();
                    // A tap that has enough of them takes no more.
                    drop(self.spare.try_send(bytes));
                }
            }
        }
        if let Some(segment) = self.segment.take() {
            self.ring.close(segment);
        }
    }

    fn link(&mut self, link: LinkType) {
        self.links.push(link);
        let Some(segment) = &mut self.segment else { return };
        let mut bytes = Vec::new();
        block::interface(&mut bytes, link);
        if segment.write(&bytes).is_err() {
            self.give_up();
        } else {
            self.ring.count_written(bytes.len() as u64);
        }
    }

    /// Writes blocks; returns how many packets have been written.
    fn blocks(&mut self, bytes: &[u8]) -> u64 {
        let (mut written, mut waiting) = (0, 0);
        let (mut start, mut place) = (0, 0);
        while let Some((block, length)) = bytes.get(place..).and_then(block::read) {
            let is_full = self.segment.as_ref().is_some_and(|segment| !self.ring.has_room(segment, place - start + length));
            if is_full {
                if !self.write(bytes.get(start..place).unwrap_or_default()) {
                    return written;
                }
                written += waiting;
                (waiting, start) = (0, place);
                if let Some(segment) = self.segment.take() {
                    self.ring.close(segment);
                }
            }
            if self.segment.is_none() && !self.begin() {
                return written;
            }
            if let (Some(segment), Block::Packet { interface, ts, original_length, data }) = (&mut self.segment, block)
                && let Some(&link) = self.links.get(interface as usize)
            {
                let at = segment.length() + (place - start) as u64;
                segment.index(&mut self.decoder, at, &Packet { ts, link, original_length, data });
            }
            waiting += 1;
            place += length;
        }
        if self.write(bytes.get(start..place).unwrap_or_default()) { written + waiting } else { written }
    }

    fn begin(&mut self) -> bool {
        if self.paused_until.is_some_and(|until| Instant::now() < until) {
            return false;
        }
        match self.ring.begin(&self.links) {
            Ok(segment) => {
                self.segment = Some(segment);
                self.paused_until = None;
                true
            }
            Err(_) => {
                self.paused_until = Some(Instant::now() + PAUSE);
                false
            }
        }
    }

    fn write(&mut self, blocks: &[u8]) -> bool {
        let Some(segment) = &mut self.segment else { return false };
        let is_written = blocks.is_empty() || segment.write(blocks).is_ok();
        if is_written {
            self.ring.count_written(blocks.len() as u64);
        } else {
            self.give_up();
        }
        is_written
    }

    fn give_up(&mut self) {
        self.paused_until = Some(Instant::now() + PAUSE);
        if let Some(segment) = self.segment.take() {
            self.ring.give_up(segment);
        }
    }
}
