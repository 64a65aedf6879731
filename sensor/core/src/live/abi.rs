//! The kernel's packet sockets as Linux declares them (`linux/if_packet.h`, `linux/if_ether.h`), as far as the `libc` crate does not.

use std::ffi::c_int;

/// Every protocol (`linux/if_ether.h`).
pub const ETH_P_ALL: u16 = 0x0003;
/// Tag of a customer VLAN, IEEE 802.1Q-2022, 9.6.
pub const ETH_P_8021Q: u16 = 0x8100;

/// Kind of an interface whose packets begin with IP (`linux/if_arp.h`).
pub const ARPHRD_RAWIP: u16 = 519;

pub const PACKET_ADD_MEMBERSHIP: c_int = 1;
pub const PACKET_RX_RING: c_int = 5;
pub const PACKET_STATISTICS: c_int = 6;
pub const PACKET_VERSION: c_int = 10;
pub const PACKET_RESERVE: c_int = 12;
pub const PACKET_TIMESTAMP: c_int = 17;
pub const PACKET_FANOUT: c_int = 18;
pub const PACKET_FANOUT_DATA: c_int = 22;
pub const PACKET_IGNORE_OUTGOING: c_int = 23;

pub const PACKET_MR_PROMISC: u16 = 1;
pub const PACKET_FANOUT_CBPF: u32 = 6;
pub const PACKET_FANOUT_FLAG_UNIQUEID: u32 = 0x2000;
pub const PACKET_FANOUT_FLAG_DEFRAG: u32 = 0x8000;
pub const TPACKET_V3: c_int = 2;

/// Status of a block or frame that user space may read.
pub const TP_STATUS_USER: u32 = 1;
/// Status of a block that the kernel may fill.
pub const TP_STATUS_KERNEL: u32 = 0;
pub const TP_STATUS_VLAN_VALID: u32 = 1 << 4;
pub const TP_STATUS_VLAN_TPID_VALID: u32 = 1 << 6;
pub const TP_STATUS_TS_RAW_HARDWARE: u32 = 1 << 31;

/// `struct tpacket_req3`: how large a ring is, and when a block that is not full is handed over.
#[repr(C)]
pub struct RingRequest {
    pub block_size: u32,
    pub block_count: u32,
    pub frame_size: u32,
    pub frame_count: u32,
    pub retire_ms: u32,
    pub private_bytes: u32,
    pub features: u32,
}

/// `struct tpacket_stats_v3`: since the last time that it was asked for.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct RingStatistics {
    /// Packets that passed the filter, those lost among them.
    pub packets: u32,
    /// Packets for which there was no room.
    pub drops: u32,
    /// Times that the ring was found full.
    pub freezes: u32,
}

/// `struct packet_mreq`.
#[repr(C)]
pub struct Membership {
    pub interface: c_int,
    pub kind: u16,
    pub address_length: u16,
    pub address: [u8; 8],
}

/// Where things lie in a block (`struct tpacket_block_desc`, `struct tpacket_hdr_v1`) and in a frame (`struct tpacket3_hdr`).
pub mod offset {
    pub const BLOCK_STATUS: usize = 8;
    pub const BLOCK_PACKETS: usize = 12;
    pub const BLOCK_FIRST: usize = 16;

    pub const NEXT: usize = 0;
    pub const SECONDS: usize = 4;
    pub const NANOSECONDS: usize = 8;
    pub const CAPTURED: usize = 12;
    pub const LENGTH: usize = 16;
    pub const STATUS: usize = 20;
    pub const MAC: usize = 24;
    pub const VLAN_TCI: usize = 32;
    pub const VLAN_TPID: usize = 36;
    /// End of the frame's header and of the `sockaddr_ll` behind it: packet bytes never begin before.
    pub const HEADER_END: usize = 48 + 20;
}
