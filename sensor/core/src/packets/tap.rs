//! Where a source hands its packets over: copied into a buffer, written by another thread. No packet costs an allocation.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{Builder, JoinHandle};

use wire::packet::{LinkType, Packet};

use super::block;
use super::ring::Ring;
use super::writer::{Message, Writer};

/// Bytes of a buffer; a packet may make it longer.
const BUFFER_BYTES: usize = 1024 * 1024;
/// Buffers on their way.
const BUFFERS: usize = 8;
/// Buffers that are kept for the next packets; what a burst took besides goes back.
const SPARES: usize = 2;
/// Link types that one source has; packets of further ones are not kept.
const LINKS: usize = 64;

/// Takes packets for a ring.
pub struct Tap {
    ring: Arc<Ring>,
    buffer: Vec<u8>,
    packets: u64,
    links: Vec<LinkType>,
    messages: Option<SyncSender<Message>>,
    spare: Receiver<Vec<u8>>,
    waits: bool,
    thread: Option<JoinHandle<()>>,
}

impl Tap {
    /// A tap with a thread that writes. `waits`: whether the source can be held up (a file) or not (an interface); where not, packets for
    /// which the disk is too slow are not kept, and counted.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn new(ring: Arc<Ring>, waits: bool) -> io::Result<Self> {
        let (messages, receiver) = sync_channel(BUFFERS);
        let (back, spare) = sync_channel(SPARES);
        let writer = Writer::new(Arc::clone(&ring), receiver, back);
        let thread = Builder::new().name("packets".to_owned()).spawn(move || writer.run())?;
        Ok(Self {
            ring,
            buffer: Vec::with_capacity(BUFFER_BYTES),
            packets: 0,
            links: Vec::new(),
            messages: Some(messages),
            spare,
            waits,
            thread: Some(thread),
        })
    }

    /// Takes a packet.
    #[inline]
    pub fn packet(&mut self, packet: &Packet<'_>) {
        let interface = match self.links.iter().position(|link| *link == packet.link) {
            Some(place) => place,
            None => match self.introduce(packet.link) {
                Some(place) => place,
                None => return self.ring.count_lost(1),
            },
        };
        if self.packets > 0 && self.buffer.len() + block::PACKET_BYTES + packet.data.len() + 4 > BUFFER_BYTES {
            self.flush();
        }
        block::packet(&mut self.buffer, interface as u32, packet);
        self.packets += 1;
    }

    #[cold]
    fn introduce(&mut self, link: LinkType) -> Option<usize> {
        if self.links.len() >= LINKS {
            return None;
        }
        // It is rare, so that it may wait.
        self.messages.as_ref()?.send(Message::Link(link)).ok()?;
        self.links.push(link);
        Some(self.links.len() - 1)
    }

    /// Hands over what has come so far.
    pub fn flush(&mut self) {
        if self.packets == 0 {
            return;
        }
        let next = self.spare.try_recv().unwrap_or_else(|_| Vec::with_capacity(BUFFER_BYTES));
        let bytes = std::mem::replace(&mut self.buffer, next);
        let message = Message::Blocks { bytes, packets: self.packets };
        let Some(messages) = &self.messages else { return };
        let refused = if self.waits {
            messages.send(message).err().map(|error| error.0)
        } else {
            messages.try_send(message).err().map(|error| match error {
                TrySendError::Full(message) | TrySendError::Disconnected(message) => message,
            })
        };
        if let Some(Message::Blocks { mut bytes, packets }) = refused {
            self.ring.count_lost(packets);
            bytes.clear();
            self.buffer = bytes;
        }
        self.packets = 0;
    }

    /// Packets that were not kept.
    pub fn lost(&self) -> u64 {
        self.ring.lost()
    }

    /// Hands over what has come and waits until it is written and indexed.
    pub fn finish(&mut self) {
        self.waits = true;
        self.flush();
        self.messages = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.finish();
    }
}
