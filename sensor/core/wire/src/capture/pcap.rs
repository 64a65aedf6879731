//! Libpcap's capture format (draft-ietf-opsawg-pcap).

use super::{Capture, Opening, Order, RECORD_BYTES, Step, without_fcs};
use crate::packet::{LinkType, Packet};

/// A capture in libpcap's format.
#[derive(Clone, Debug)]
pub struct Pcap {
    order: Order,
    nanoseconds_per_tick: i64,
    link: LinkType,
    fcs_bytes: u8,
    record_header_bytes: usize,
}

const HEADER_BYTES: usize = 24;

pub fn open(data: &[u8]) -> Opening {
    let Some(magic) = data.first_chunk::<4>() else { return Opening::NeedMore(4) };
    // The modified format (Kuznetzov) has eight more bytes in each record header.
    let (order, nanoseconds_per_tick, record_header_bytes) = match u32::from_be_bytes(*magic) {
        0xa1b2_c3d4 => (Order::Big, 1_000, 16),
        0xd4c3_b2a1 => (Order::Little, 1_000, 16),
        0xa1b2_3c4d => (Order::Big, 1, 16),
        0x4d3c_b2a1 => (Order::Little, 1, 16),
        0xa1b2_cd34 => (Order::Big, 1_000, 24),
        0x34cd_b2a1 => (Order::Little, 1_000, 24),
        _ => return Opening::Unknown,
    };
    let Some(&[.., l0, l1, l2, l3]) = data.first_chunk::<HEADER_BYTES>() else { return Opening::NeedMore(HEADER_BYTES) };
    let link = order.u32([l0, l1, l2, l3]);
    // The upper bits tell whether frames end in a check sequence, and of how many 16-bit words.
    let fcs_bytes = if link & 0x0400_0000 != 0 { ((link >> 28) * 2) as u8 } else { 0 };
    let link = LinkType((link & 0xffff) as u16);
    Opening::Capture(Capture::Pcap(Pcap { order, nanoseconds_per_tick, link, fcs_bytes, record_header_bytes }), HEADER_BYTES)
}

impl Pcap {
    pub fn link(&self) -> LinkType {
        self.link
    }

    #[inline]
    pub fn next<'a>(&mut self, data: &'a [u8]) -> Step<'a> {
        let Some(&[s0, s1, s2, s3, f0, f1, f2, f3, c0, c1, c2, c3, o0, o1, o2, o3]) = data.first_chunk::<16>() else {
            return Step::NeedMore(self.record_header_bytes);
        };
        // The tail of a file whose writer lost power: space was set aside and never written.
        if [s0, s1, s2, s3, f0, f1, f2, f3, c0, c1, c2, c3, o0, o1, o2, o3] == [0; 16] {
            return Step::Broken("zeros where a packet should begin".to_owned());
        }
        let captured = self.order.u32([c0, c1, c2, c3]) as usize;
        if captured > RECORD_BYTES {
            return Step::Broken(format!("a packet claims {captured} bytes, more than the {RECORD_BYTES} that are believed"));
        }
        let end = self.record_header_bytes + captured;
        let Some(packet) = data.get(self.record_header_bytes..end) else { return Step::NeedMore(end) };
        let seconds = i64::from(self.order.u32([s0, s1, s2, s3]));
        let ticks = i64::from(self.order.u32([f0, f1, f2, f3]));
        // Some writers exchange the two lengths; the wire never had fewer bytes than were captured.
        let original_length = self.order.u32([o0, o1, o2, o3]).max(captured as u32);
        let (packet, original_length) =
            if self.fcs_bytes == 0 { (packet, original_length) } else { without_fcs(packet, original_length, self.fcs_bytes) };
        let ts = seconds * 1_000_000_000 + ticks * self.nanoseconds_per_tick;
        Step::Packet(Packet { ts, link: self.link, original_length, data: packet }, end)
    }
}
