//! The ring that a packet socket shares with the kernel: blocks of packets, handed over when they are full or old enough (TPACKET_V3,
//! Documentation/networking/packet_mmap.rst).
//!
//! A block is either the kernel's or ours; its status word says which. Packets are read where the kernel wrote them.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::abi::{self, offset};
use super::socket::Socket;
use super::stamp::Stamp;

/// Bytes of a block: room for the longest packet that segmentation offload makes (64 KiB), and small enough that quiet traffic, which
/// fills no block, does not use the ring up while its reader is held up.
pub const BLOCK_BYTES: usize = 256 * 1024;
// The kernel takes whole pages only. They have 64 KiB on some machines for aarch64.
const _: () = assert!(BLOCK_BYTES.is_multiple_of(64 * 1024));
/// Time after which a block is handed over that is not full, in milliseconds.
pub const RETIRE_MS: u32 = 40;
/// Least bytes of a ring.
pub const LEAST_BYTES: usize = 4 * BLOCK_BYTES;
/// Most bytes of a ring.
pub const MOST_BYTES: usize = 4096 * BLOCK_BYTES;
/// Bytes that the kernel leaves free before a packet: where the VLAN tag goes that it took out.
const TAG_BYTES: usize = 4;
/// Granularity of what the kernel is told of frames; TPACKET_V3 packs packets of any length.
const FRAME_BYTES: usize = 2048;

/// A receive ring and its socket.
pub struct Ring {
    socket: Arc<Socket>,
    memory: NonNull<u8>,
    bytes: usize,
    next: usize,
}

// SAFETY: the memory belongs to this ring alone and may be read from any thread, one at a time.
unsafe impl Send for Ring {}

/// A packet in a block.
#[derive(Debug)]
pub struct Frame<'a> {
    /// Time of capture.
    pub stamp: Stamp,
    /// Bytes on the wire, VLAN tag included.
    pub original_length: u32,
    /// Bytes captured, VLAN tag put back.
    pub data: &'a [u8],
}

impl Ring {
    /// Gives the socket a ring of so many bytes, rounded down to whole blocks.
    ///
    /// # Errors
    /// The kernel has no memory for it, or no TPACKET_V3 (Linux before 3.2).
    pub fn new(socket: Arc<Socket>, bytes: usize) -> io::Result<Self> {
        let count = bytes.clamp(LEAST_BYTES, MOST_BYTES) / BLOCK_BYTES;
        let bytes = count * BLOCK_BYTES;
        socket.set(libc::SOL_PACKET, abi::PACKET_VERSION, &abi::TPACKET_V3)?;
        socket.set(libc::SOL_PACKET, abi::PACKET_RESERVE, &(TAG_BYTES as u32))?;
        let request = abi::RingRequest {
            block_size: BLOCK_BYTES as u32,
            block_count: count as u32,
            frame_size: FRAME_BYTES as u32,
            frame_count: (bytes / FRAME_BYTES) as u32,
            retire_ms: RETIRE_MS,
            private_bytes: 0,
            features: 0,
        };
        socket.set(libc::SOL_PACKET, abi::PACKET_RX_RING, &request)?;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice; nothing that exists is touched.
        let memory =
            unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, libc::MAP_SHARED, socket.as_fd().as_raw_fd(), 0) };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let memory = NonNull::new(memory.cast()).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?;
        Ok(Self { socket, memory, bytes, next: 0 })
    }

    /// The socket of this ring.
    pub fn socket(&self) -> &Arc<Socket> {
        &self.socket
    }

    /// The next block, if the kernel has handed it over. It goes back to the kernel when it is dropped.
    #[inline]
    pub fn block(&mut self) -> Option<Block<'_>> {
        let place = self.next * BLOCK_BYTES;
        // SAFETY: `next` is below the number of blocks; the status word is aligned and shared with the kernel, so it is atomic.
        let status = unsafe { AtomicU32::from_ptr(self.memory.as_ptr().add(place + offset::BLOCK_STATUS).cast()) };
        if !is_ours(status) {
            return None;
        }
        self.next += 1;
        if self.next * BLOCK_BYTES >= self.bytes {
            self.next = 0;
        }
        // SAFETY: the block lies in the mapping; the kernel leaves it alone until its status is changed back, which only the block's own
        // end does. The borrow of the ring keeps it from being handed out twice. Its status word is in the part that is not lent.
        let bytes = unsafe {
            std::slice::from_raw_parts_mut(
                self.memory.as_ptr().add(place + offset::BLOCK_PACKETS),
                BLOCK_BYTES - offset::BLOCK_PACKETS,
            )
        };
        let left = number(bytes, 0);
        let first = number(bytes, offset::BLOCK_FIRST - offset::BLOCK_PACKETS) as usize;
        Some(Block { status, bytes, left, place: first.wrapping_sub(offset::BLOCK_PACKETS) })
    }

    /// Packets of the blocks that the kernel has handed over and that were not taken.
    pub fn left(&self) -> u64 {
        let blocks = self.bytes / BLOCK_BYTES;
        let mut packets = 0;
        for at in 0..blocks {
            let place = (self.next + at) % blocks * BLOCK_BYTES;
            // SAFETY: the place is that of a block; its status word is as in `block`, and the kernel has written the number of packets before it.
            let (status, count) = unsafe {
                let block = self.memory.as_ptr().add(place);
                let status = AtomicU32::from_ptr(block.add(offset::BLOCK_STATUS).cast());
                (status, AtomicU32::from_ptr(block.add(offset::BLOCK_PACKETS).cast()))
            };
            if !is_ours(status) {
                break;
            }
            packets += u64::from(count.load(Ordering::Relaxed));
        }
        packets
    }
}

/// Whether the kernel has handed a block over. It writes the status last.
#[inline]
fn is_ours(status: &AtomicU32) -> bool {
    status.load(Ordering::Acquire) & abi::TP_STATUS_USER != 0
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the mapping was made in `new` with this address and size, and no block outlives the ring.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), self.bytes) };
    }
}

/// A block of packets.
pub struct Block<'a> {
    status: &'a AtomicU32,
    /// What follows the status word.
    bytes: &'a mut [u8],
    left: u32,
    place: usize,
}

impl Block<'_> {
    /// The next packet.
    #[inline]
    pub fn frame(&mut self) -> Option<Frame<'_>> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let frame = self.bytes.get_mut(self.place..).filter(|rest| rest.len() >= offset::HEADER_END)?;
        let next = number(frame, offset::NEXT) as usize;
        if next == 0 {
            self.left = 0;
        }
        self.place = self.place.saturating_add(next);
        let status = number(frame, offset::STATUS);
        let stamp = Stamp::new(status, number(frame, offset::SECONDS), number(frame, offset::NANOSECONDS));
        let mut begin = usize::from(short(frame, offset::MAC));
        let end = begin.saturating_add(number(frame, offset::CAPTURED) as usize);
        let mut original_length = number(frame, offset::LENGTH);
        if status & abi::TP_STATUS_VLAN_VALID != 0 {
            let tag = number(frame, offset::VLAN_TCI) as u16;
            let protocol = match status & abi::TP_STATUS_VLAN_TPID_VALID {
                0 => abi::ETH_P_8021Q,
                _ => short(frame, offset::VLAN_TPID),
            };
            if put_back(frame, begin, end, protocol, tag) {
                begin -= TAG_BYTES;
                original_length = original_length.saturating_add(TAG_BYTES as u32);
            }
        }
        Some(Frame { stamp, original_length, data: frame.get(begin..end).unwrap_or_default() })
    }
}

impl Drop for Block<'_> {
    fn drop(&mut self) {
        self.status.store(abi::TP_STATUS_KERNEL, Ordering::Release);
    }
}

/// Puts the tag, which the kernel took out, back behind the two hardware addresses (IEEE 802.1Q-2022, 9.3). The free bytes before the
/// packet take what moves. Says whether there was room.
fn put_back(frame: &mut [u8], begin: usize, end: usize, protocol: u16, tag: u16) -> bool {
    /// Bytes of the two hardware addresses.
    const ADDRESSES: usize = 12;
    if begin < offset::HEADER_END + TAG_BYTES || end < begin + ADDRESSES || end > frame.len() {
        return false;
    }
    frame.copy_within(begin..begin + ADDRESSES, begin - TAG_BYTES);
    let [p0, p1] = protocol.to_be_bytes();
    let [t0, t1] = tag.to_be_bytes();
    let place = begin - TAG_BYTES + ADDRESSES;
    if let Some(room) = frame.get_mut(place..place + TAG_BYTES) {
        room.copy_from_slice(&[p0, p1, t0, t1]);
    }
    true
}

/// A number of the kernel's at this place; 0 beyond the end.
#[inline]
fn number(bytes: &[u8], place: usize) -> u32 {
    bytes.get(place..).and_then(|rest| rest.first_chunk()).map_or(0, |found| u32::from_ne_bytes(*found))
}

/// The same, of two bytes.
#[inline]
fn short(bytes: &[u8], place: usize) -> u16 {
    bytes.get(place..).and_then(|rest| rest.first_chunk()).map_or(0, |found| u16::from_ne_bytes(*found))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame as the kernel writes it: its header, room for the tag, an Ethernet header, three bytes.
    fn frame(status: u32, tci: u32, tpid: u16) -> Vec<u8> {
        let begin = offset::HEADER_END + TAG_BYTES;
        let mut bytes = vec![0; begin];
        let mut put = |place: usize, value: &[u8]| bytes[place..place + value.len()].copy_from_slice(value);
        put(offset::SECONDS, &1_700_000_000_u32.to_ne_bytes());
        put(offset::NANOSECONDS, &5_u32.to_ne_bytes());
        put(offset::CAPTURED, &17_u32.to_ne_bytes());
        put(offset::LENGTH, &17_u32.to_ne_bytes());
        put(offset::STATUS, &status.to_ne_bytes());
        put(offset::MAC, &(begin as u16).to_ne_bytes());
        put(offset::VLAN_TCI, &tci.to_ne_bytes());
        put(offset::VLAN_TPID, &tpid.to_ne_bytes());
        bytes.extend([1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 8, 0, 0xa, 0xb, 0xc]);
        bytes
    }

    fn read(bytes: &mut [u8], left: u32) -> Option<(Stamp, u32, Vec<u8>)> {
        let status = AtomicU32::new(abi::TP_STATUS_USER);
        let found = {
            let mut block = Block { status: &status, bytes, left, place: 0 };
            block.frame().map(|frame| (frame.stamp, frame.original_length, frame.data.to_vec()))
        };
        assert_eq!(status.into_inner(), abi::TP_STATUS_KERNEL, "a block that is done with goes back to the kernel");
        found
    }

    #[test]
    fn a_packet_is_read_where_it_lies() {
        let (stamp, length, data) = read(&mut frame(abi::TP_STATUS_USER, 0, 0), 1).unwrap();
        assert_eq!((stamp, length), (Stamp::new(abi::TP_STATUS_USER, 1_700_000_000, 5), 17));
        assert_eq!(data, [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 8, 0, 0xa, 0xb, 0xc]);
    }

    #[test]
    fn a_tag_that_the_kernel_took_out_is_put_back() {
        let valid = abi::TP_STATUS_USER | abi::TP_STATUS_VLAN_VALID;
        let (_, length, data) = read(&mut frame(valid, 0x2064, 0), 1).unwrap();
        assert_eq!((length, &data[10..18]), (21, &[2, 2, 0x81, 0, 0x20, 0x64, 8, 0][..]));
        let (_, _, data) = read(&mut frame(valid | abi::TP_STATUS_VLAN_TPID_VALID, 7, 0x88a8), 1).unwrap();
        assert_eq!(data[12..16], [0x88, 0xa8, 0, 7]);
    }

    #[test]
    fn a_stamp_of_the_adapters_clock_is_told_from_the_systems() {
        let by = |status: u32| read(&mut frame(abi::TP_STATUS_USER | status, 0, 0), 1).unwrap().0;
        let long_after = 1_800_000_000_000_000_000;
        assert_eq!(by(0).believed(long_after), Some(1_700_000_000_000_000_005));
        assert_eq!(by(abi::TP_STATUS_TS_RAW_HARDWARE).believed(long_after), None);
        assert_eq!(by(abi::TP_STATUS_TS_RAW_HARDWARE).believed(1_700_000_000_000_000_000), Some(1_700_000_000_000_000_005));
    }

    #[test]
    fn numbers_that_lead_out_of_the_block_give_nothing() {
        for place in [offset::CAPTURED, offset::MAC] {
            let mut bytes = frame(abi::TP_STATUS_USER | abi::TP_STATUS_VLAN_VALID, 1, 0);
            bytes[place..place + 2].copy_from_slice(&u16::MAX.to_ne_bytes());
            assert_eq!(read(&mut bytes, 1).unwrap().2, [0; 0], "{place}");
        }
        assert!(read(&mut [], 3).is_none());
        assert!(read(&mut frame(0, 0, 0), 0).is_none());
    }
}
