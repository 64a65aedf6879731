//! Capture formats: bytes of a file in, packets out. No I/O: the caller brings bytes and knows when there are no more.
//!
//! ```
//! use wire::capture::{self, Opening, Step};
//!
//! let mut file = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0];
//! file.extend([1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 0xaa, 0xbb, 0xcc]);
//! let Opening::Capture(mut capture, used) = capture::open(&file) else { panic!("no capture") };
//! let Step::Packet(packet, used) = capture.next(&file[used..]) else { panic!("no packet") };
//! assert_eq!((packet.ts, packet.data, used), (1_000_002_000, [0xaa, 0xbb, 0xcc].as_slice(), 19));
//! assert!(matches!(capture.next(&[]), Step::NeedMore(16)));
//! ```

mod pcap;
mod pcapng;

use crate::packet::{LinkType, Packet};

/// Longest packet record that is believed. Libpcap bounds its own at 256 KiB and offloaded segments stay below that; twice as much is a damaged
/// length, not a packet.
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
#[derive(Clone, Debug)]
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

    /// Link type of all packets, where the format has one for all.
    pub fn link(&self) -> Option<LinkType> {
        match self {
            Self::Pcap(capture) => Some(capture.link()),
            Self::Pcapng(_) => None,
        }
    }

    /// Packets passed over because they name no interface that the capture has described.
    pub fn passed_over(&self) -> u64 {
        match self {
            Self::Pcap(_) => 0,
            Self::Pcapng(capture) => capture.passed_over(),
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

    fn u64(self, bytes: [u8; 8]) -> u64 {
        match self {
            Self::Little => u64::from_le_bytes(bytes),
            Self::Big => u64::from_be_bytes(bytes),
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
