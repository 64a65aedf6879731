//! Capture formats: bytes of a file in, packets out. No I/O: the caller brings bytes and says when there are no more.

mod pcap;
mod pcapng;

use crate::packet::Packet;

/// Longest packet record that is believed. tcpdump's own bound is 256 KiB; loopback captures with segmentation offload stay below it.
pub const RECORD_BYTES: usize = 512 * 1024;

/// Longest pcapng block that is believed: a packet with its options, or a table of names.
pub const BLOCK_BYTES: usize = 16 * 1024 * 1024;

/// What the next bytes of a capture are.
#[derive(Debug)]
pub enum Step<'a> {
    /// A packet; so many bytes are used up.
    Packet(Packet<'a>, usize),
    /// Something else; so many bytes are used up.
    Skip(usize),
    /// So many bytes are needed from here, more than there are.
    NeedMore(usize),
    /// The capture breaks its format here: nothing after this can be read.
    Broken(String),
}

/// A capture format, with what must be remembered between packets.
#[derive(Debug)]
pub enum Capture {
    /// Libpcap's format.
    Pcap(pcap::Pcap),
    /// The pcapng format.
    Pcapng(pcapng::Pcapng),
}

/// What the first bytes of a file are.
#[derive(Debug)]
pub enum Opening {
    /// A capture; its first packet or block begins after so many bytes.
    Capture(Capture, usize),
    /// So many bytes are needed to tell.
    NeedMore(usize),
    /// No capture.
    Unknown,
}

/// Looks at the first bytes of a file.
pub fn open(data: &[u8]) -> Opening {
    match pcap::open(data) {
        Opening::Unknown => pcapng::open(data),
        known => known,
    }
}

impl Capture {
    /// Looks at the bytes from where the last step ended.
    #[inline]
    pub fn next<'a>(&mut self, data: &'a [u8]) -> Step<'a> {
        match self {
            Self::Pcap(capture) => capture.next(data),
            Self::Pcapng(capture) => capture.next(data),
        }
    }

    /// Name of the format.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pcap(_) => "pcap",
            Self::Pcapng(_) => "pcapng",
        }
    }
}

/// Reads numbers in a capture's byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

impl Order {
    #[inline]
    fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }

    #[inline]
    fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }
}

/// A packet's bytes without the frame check sequence, where the capture says that there is one.
fn without_fcs(data: &[u8], original_length: u32, fcs_bytes: u8) -> (&[u8], u32) {
    let fcs = usize::from(fcs_bytes);
    let original = original_length.saturating_sub(u32::from(fcs_bytes));
    let kept = data.len().min(original as usize).max(data.len().saturating_sub(fcs));
    (data.get(..kept).unwrap_or(data), original)
}
