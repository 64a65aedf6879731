//! The pcapng format (draft-ietf-opsawg-pcapng): sections in either byte order, each with its own interfaces.

use super::{BLOCK_BYTES, Capture, Opening, Order, RECORD_BYTES, Step, without_fcs};
use crate::packet::{LinkType, Packet};

/// Interfaces of one section that are remembered; packets of later ones are skipped.
const INTERFACES: usize = 4_096;

/// Block types (section 11.1).
mod block {
    pub const SECTION_HEADER: u32 = 0x0a0d_0d0a;
    pub const INTERFACE: u32 = 1;
    pub const OBSOLETE_PACKET: u32 = 2;
    pub const SIMPLE_PACKET: u32 = 3;
    pub const ENHANCED_PACKET: u32 = 6;
}

/// A capture in the pcapng format.
#[derive(Debug)]
pub struct Pcapng {
    order: Order,
    interfaces: Vec<Interface>,
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link: LinkType,
    snap_length: u32,
    clock: Clock,
    fcs_bytes: u8,
}

/// How an interface counts time (options if_tsresol and if_tsoffset).
#[derive(Clone, Copy, Debug)]
struct Clock {
    ticks_per_second: u128,
    offset_seconds: i64,
}

impl Clock {
    fn nanoseconds(self, ticks: u64) -> i64 {
        let nanoseconds = match self.ticks_per_second {
            1_000_000 => u128::from(ticks) * 1_000,
            1_000_000_000 => u128::from(ticks),
            ticks_per_second => u128::from(ticks) * 1_000_000_000 / ticks_per_second,
        };
        let nanoseconds = i64::try_from(nanoseconds).unwrap_or(i64::MAX);
        nanoseconds.saturating_add(self.offset_seconds.saturating_mul(1_000_000_000))
    }
}

pub fn open(data: &[u8]) -> Opening {
    let Some(kind) = data.first_chunk::<4>() else { return Opening::NeedMore(4) };
    if u32::from_be_bytes(*kind) != block::SECTION_HEADER {
        return Opening::Unknown;
    }
    let Some(&[.., m0, m1, m2, m3]) = data.first_chunk::<12>() else { return Opening::NeedMore(12) };
    match byte_order([m0, m1, m2, m3]) {
        Some(order) => Opening::Capture(Capture::Pcapng(Pcapng { order, interfaces: Vec::new() }), 0),
        None => Opening::Unknown,
    }
}

fn byte_order(magic: [u8; 4]) -> Option<Order> {
    match u32::from_be_bytes(magic) {
        0x1a2b_3c4d => Some(Order::Big),
        0x4d3c_2b1a => Some(Order::Little),
        _ => None,
    }
}

impl Pcapng {
    #[inline]
    pub fn next<'a>(&mut self, data: &'a [u8]) -> Step<'a> {
        let Some(&[k0, k1, k2, k3, l0, l1, l2, l3]) = data.first_chunk::<8>() else { return Step::NeedMore(8) };
        let mut kind = self.order.u32([k0, k1, k2, k3]);
        if [k0, k1, k2, k3] == block::SECTION_HEADER.to_be_bytes() {
            let Some(&[.., m0, m1, m2, m3]) = data.first_chunk::<12>() else { return Step::NeedMore(12) };
            let Some(order) = byte_order([m0, m1, m2, m3]) else {
                return Step::Broken("a section header has no byte-order magic".to_owned());
            };
            self.order = order;
            self.interfaces.clear();
            kind = block::SECTION_HEADER;
        }
        let length = self.order.u32([l0, l1, l2, l3]) as usize;
        if !(12..=BLOCK_BYTES).contains(&length) {
            return Step::Broken(format!("a block claims a length of {length} bytes"));
        }
        // Writers that forget the padding are common enough to be read; the length counts.
        let Some(body) = data.get(8..length - 4) else { return Step::NeedMore(length) };
        if data.len() < length {
            return Step::NeedMore(length);
        }
        match kind {
            block::ENHANCED_PACKET => self.enhanced(body, length),
            block::INTERFACE => {
                self.interface(body);
                Step::Skip(length)
            }
            block::SIMPLE_PACKET => self.simple(body, length),
            block::OBSOLETE_PACKET => self.obsolete(body, length),
            _ => Step::Skip(length),
        }
    }

    fn interface(&mut self, body: &[u8]) {
        let Some(&[l0, l1, _, _, s0, s1, s2, s3]) = body.first_chunk::<8>() else { return };
        let mut interface = Interface {
            link: LinkType(self.order.u16([l0, l1])),
            snap_length: self.order.u32([s0, s1, s2, s3]),
            clock: Clock { ticks_per_second: 1_000_000, offset_seconds: 0 },
            fcs_bytes: 0,
        };
        let mut options = body.get(8..).unwrap_or_default();
        while let Some((&[c0, c1, l0, l1], rest)) = options.split_first_chunk::<4>() {
            let length = usize::from(self.order.u16([l0, l1]));
            let Some(value) = rest.get(..length) else { break };
            match (self.order.u16([c0, c1]), value) {
                (0, _) => break,
                // if_tsresol: a power of 10, or of 2 where the highest bit is set. What does not fit 64 bits of ticks is no resolution.
                (9, [resolution]) => {
                    let exponent = u32::from(resolution & 0x7f);
                    interface.clock.ticks_per_second = if resolution & 0x80 == 0 {
                        10_u128.checked_pow(exponent).unwrap_or(1_000_000)
                    } else {
                        1_u128.checked_shl(exponent).filter(|ticks| *ticks > 0).unwrap_or(1_000_000)
                    };
                }
                (13, [fcs_bytes]) => interface.fcs_bytes = *fcs_bytes,
                (14, value) => {
                    if let Some(&offset) = value.first_chunk::<8>() {
                        interface.clock.offset_seconds = match self.order {
                            Order::Little => i64::from_le_bytes(offset),
                            Order::Big => i64::from_be_bytes(offset),
                        };
                    }
                }
                _ => {}
            }
            options = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        if self.interfaces.len() < INTERFACES {
            self.interfaces.push(interface);
        }
    }

    #[inline]
    fn enhanced<'a>(&self, body: &'a [u8], length: usize) -> Step<'a> {
        let Some((&[i0, i1, i2, i3, h0, h1, h2, h3, t0, t1, t2, t3, c0, c1, c2, c3, o0, o1, o2, o3], data)) =
            body.split_first_chunk::<20>()
        else {
            return Step::Skip(length);
        };
        let ticks = u64::from(self.order.u32([h0, h1, h2, h3])) << 32 | u64::from(self.order.u32([t0, t1, t2, t3]));
        let interface = self.order.u32([i0, i1, i2, i3]);
        self.packet(interface, ticks, self.order.u32([c0, c1, c2, c3]), self.order.u32([o0, o1, o2, o3]), data, length)
    }

    fn obsolete<'a>(&self, body: &'a [u8], length: usize) -> Step<'a> {
        let Some((&[i0, i1, _, _, h0, h1, h2, h3, t0, t1, t2, t3, c0, c1, c2, c3, o0, o1, o2, o3], data)) =
            body.split_first_chunk::<20>()
        else {
            return Step::Skip(length);
        };
        let ticks = u64::from(self.order.u32([h0, h1, h2, h3])) << 32 | u64::from(self.order.u32([t0, t1, t2, t3]));
        let interface = u32::from(self.order.u16([i0, i1]));
        self.packet(interface, ticks, self.order.u32([c0, c1, c2, c3]), self.order.u32([o0, o1, o2, o3]), data, length)
    }

    /// A simple packet has no time of its own: it counts as 1970.
    fn simple<'a>(&self, body: &'a [u8], length: usize) -> Step<'a> {
        let (Some((&original, data)), Some(interface)) = (body.split_first_chunk::<4>(), self.interfaces.first()) else {
            return Step::Skip(length);
        };
        let original = self.order.u32(original);
        let snap = if interface.snap_length == 0 { u32::MAX } else { interface.snap_length };
        let captured = original.min(snap).min(u32::try_from(data.len()).unwrap_or(u32::MAX));
        self.packet(0, 0, captured, original, data, length)
    }

    #[inline]
    fn packet<'a>(&self, interface: u32, ticks: u64, captured: u32, original: u32, data: &'a [u8], length: usize) -> Step<'a> {
        let Some(interface) = self.interfaces.get(interface as usize) else { return Step::Skip(length) };
        let Some(data) = data.get(..captured as usize).filter(|data| data.len() <= RECORD_BYTES) else {
            return Step::Broken(format!("a packet claims {captured} bytes, more than its block holds"));
        };
        let original_length = original.max(captured);
        let (data, original_length) = if interface.fcs_bytes == 0 {
            (data, original_length)
        } else {
            without_fcs(data, original_length, interface.fcs_bytes)
        };
        Step::Packet(Packet { ts: interface.clock.nanoseconds(ticks), link: interface.link, original_length, data }, length)
    }
}
