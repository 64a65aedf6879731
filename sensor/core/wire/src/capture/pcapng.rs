//! The pcapng format (draft-ietf-opsawg-pcapng): sections in either byte order, each with its own interfaces.

use super::{BLOCK_BYTES, Capture, Opening, Order, RECORD_BYTES, Step, without_fcs};
use crate::packet::{LinkType, Packet};

/// Interfaces of one section that are remembered; packets of later ones are passed over and counted.
const INTERFACES: usize = 4_096;

/// Block types (section 11.1).
mod block {
    pub const SECTION_HEADER: u32 = 0x0a0d_0d0a;
    pub const INTERFACE: u32 = 1;
    pub const OBSOLETE_PACKET: u32 = 2;
    pub const SIMPLE_PACKET: u32 = 3;
    pub const ENHANCED_PACKET: u32 = 6;
}

/// Option codes (sections 4.2 and 4.3).
mod option {
    pub const END: u16 = 0;
    pub const PACKET_FLAGS: u16 = 2;
    pub const TIME_RESOLUTION: u16 = 9;
    pub const FCS_LENGTH: u16 = 13;
    pub const TIME_OFFSET: u16 = 14;
}

/// A capture in the pcapng format.
#[derive(Clone, Debug)]
pub struct Pcapng {
    order: Order,
    interfaces: Vec<Interface>,
    /// Time of the last packet that had one.
    latest: i64,
    passed_over: u64,
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

/// The numbers of an enhanced or obsolete packet block.
struct Numbers {
    interface: u32,
    ticks: u64,
    captured: u32,
    original: u32,
}

pub fn open(data: &[u8]) -> Opening {
    let Some(kind) = data.first_chunk::<4>() else { return Opening::NeedMore(4) };
    if u32::from_be_bytes(*kind) != block::SECTION_HEADER {
        return Opening::Unknown;
    }
    let Some(&[.., m0, m1, m2, m3]) = data.first_chunk::<12>() else { return Opening::NeedMore(12) };
    match byte_order([m0, m1, m2, m3]) {
        Some(order) => Opening::Capture(Capture::Pcapng(Pcapng { order, interfaces: Vec::new(), latest: 0, passed_over: 0 }), 0),
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
    pub fn passed_over(&self) -> u64 {
        self.passed_over
    }

    #[inline]
    pub fn next<'a>(&mut self, data: &'a [u8]) -> Step<'a> {
        let Some(&[k0, k1, k2, k3, l0, l1, l2, l3]) = data.first_chunk::<8>() else { return Step::NeedMore(8) };
        // A section header reads the same in either order, and says which holds from here.
        let is_section = [k0, k1, k2, k3] == block::SECTION_HEADER.to_be_bytes();
        let order = if is_section {
            let Some(&[.., m0, m1, m2, m3]) = data.first_chunk::<12>() else { return Step::NeedMore(12) };
            let Some(order) = byte_order([m0, m1, m2, m3]) else {
                return Step::Broken("a section header has no byte-order magic".to_owned());
            };
            order
        } else {
            self.order
        };
        let length = order.u32([l0, l1, l2, l3]) as usize;
        if !(12..=BLOCK_BYTES).contains(&length) {
            return Step::Broken(format!("a block claims a length of {length} bytes"));
        }
        // Writers that forget the padding are common enough to be read; the length counts.
        let Some((body, again)) = data.get(8..length).and_then(<[u8]>::split_last_chunk::<4>) else {
            return Step::NeedMore(length);
        };
        if *again != [l0, l1, l2, l3] {
            return Step::Broken(format!(
                "a block claims a length of {length} bytes at its start and {} at its end",
                order.u32(*again)
            ));
        }
        if is_section {
            self.order = order;
            self.interfaces.clear();
            return Step::Skip(length);
        }
        match order.u32([k0, k1, k2, k3]) {
            block::ENHANCED_PACKET => self.enhanced(body, length),
            block::INTERFACE => self.interface(body, length),
            block::SIMPLE_PACKET => self.simple(body, length),
            block::OBSOLETE_PACKET => self.obsolete(body, length),
            _ => Step::Skip(length),
        }
    }

    fn interface<'a>(&mut self, body: &'a [u8], length: usize) -> Step<'a> {
        let Some((&[l0, l1, _, _, s0, s1, s2, s3], mut options)) = body.split_first_chunk::<8>() else {
            return too_short("an interface description");
        };
        let mut interface = Interface {
            link: LinkType(self.order.u16([l0, l1])),
            snap_length: self.order.u32([s0, s1, s2, s3]),
            clock: Clock { ticks_per_second: 1_000_000, offset_seconds: 0 },
            fcs_bytes: 0,
        };
        while let Some((code, value, rest)) = self.option(options) {
            match (code, value) {
                // A power of 10, or of 2 where the highest bit is set. What no number holds is no resolution.
                (option::TIME_RESOLUTION, [resolution]) => {
                    let exponent = u32::from(resolution & 0x7f);
                    let ticks = if resolution & 0x80 == 0 { 10_u128.checked_pow(exponent) } else { 1_u128.checked_shl(exponent) };
                    interface.clock.ticks_per_second = ticks.unwrap_or(1_000_000);
                }
                (option::FCS_LENGTH, [fcs_bytes]) => interface.fcs_bytes = *fcs_bytes,
                (option::TIME_OFFSET, value) => {
                    if let Some(&offset) = value.first_chunk::<8>() {
                        interface.clock.offset_seconds = self.order.u64(offset).cast_signed();
                    }
                }
                _ => {}
            }
            options = rest;
        }
        if self.interfaces.len() < INTERFACES {
            self.interfaces.push(interface);
        }
        Step::Skip(length)
    }

    /// The next option: its code, its value, and what follows it; None at the end, or where they end otherwise.
    fn option<'a>(&self, options: &'a [u8]) -> Option<(u16, &'a [u8], &'a [u8])> {
        let (&[c0, c1, l0, l1], rest) = options.split_first_chunk::<4>()?;
        let (code, length) = (self.order.u16([c0, c1]), usize::from(self.order.u16([l0, l1])));
        let value = rest.get(..length).filter(|_| code != option::END)?;
        Some((code, value, rest.get(length.next_multiple_of(4)..).unwrap_or_default()))
    }

    #[inline]
    fn enhanced<'a>(&mut self, body: &'a [u8], length: usize) -> Step<'a> {
        let Some((&[i0, i1, i2, i3, h0, h1, h2, h3, t0, t1, t2, t3, c0, c1, c2, c3, o0, o1, o2, o3], data)) =
            body.split_first_chunk::<20>()
        else {
            return too_short("a packet block");
        };
        let numbers = Numbers {
            interface: self.order.u32([i0, i1, i2, i3]),
            ticks: u64::from(self.order.u32([h0, h1, h2, h3])) << 32 | u64::from(self.order.u32([t0, t1, t2, t3])),
            captured: self.order.u32([c0, c1, c2, c3]),
            original: self.order.u32([o0, o1, o2, o3]),
        };
        self.packet(&numbers, data, length)
    }

    fn obsolete<'a>(&mut self, body: &'a [u8], length: usize) -> Step<'a> {
        let Some((&[i0, i1, _, _, h0, h1, h2, h3, t0, t1, t2, t3, c0, c1, c2, c3, o0, o1, o2, o3], data)) =
            body.split_first_chunk::<20>()
        else {
            return too_short("a packet block");
        };
        let numbers = Numbers {
            interface: u32::from(self.order.u16([i0, i1])),
            ticks: u64::from(self.order.u32([h0, h1, h2, h3])) << 32 | u64::from(self.order.u32([t0, t1, t2, t3])),
            captured: self.order.u32([c0, c1, c2, c3]),
            original: self.order.u32([o0, o1, o2, o3]),
        };
        self.packet(&numbers, data, length)
    }

    #[inline]
    fn packet<'a>(&mut self, numbers: &Numbers, data: &'a [u8], length: usize) -> Step<'a> {
        let Numbers { interface, ticks, captured, original } = *numbers;
        let Some(&Interface { link, clock, mut fcs_bytes, .. }) = self.interfaces.get(interface as usize) else {
            self.passed_over += 1;
            return Step::Skip(length);
        };
        let Some((data, options)) = data.split_at_checked(captured as usize).filter(|_| captured as usize <= RECORD_BYTES) else {
            return Step::Broken(format!("a packet claims {captured} bytes, more than its block holds or any link carries"));
        };
        if options.len() > 4 {
            fcs_bytes =
                self.told_fcs(options.get(captured.next_multiple_of(4).saturating_sub(captured) as usize..)).unwrap_or(fcs_bytes);
        }
        self.latest = clock.nanoseconds(ticks);
        Step::Packet(framed(self.latest, link, original, data, fcs_bytes), length)
    }

    /// What a packet's own flags say about its frame check sequence (section 4.3.1, bits 5 to 8; 0 says nothing).
    #[inline(never)]
    fn told_fcs(&self, options: Option<&[u8]>) -> Option<u8> {
        let mut options = options?;
        while let Some((code, value, rest)) = self.option(options) {
            if let (option::PACKET_FLAGS, Some(&flags)) = (code, value.first_chunk::<4>()) {
                let fcs_bytes = (self.order.u32(flags) >> 5 & 0x0f) as u8;
                return (fcs_bytes > 0).then_some(fcs_bytes);
            }
            options = rest;
        }
        None
    }

    /// A simple packet has no time of its own and comes from the first interface: it counts as captured with the packet before it.
    fn simple<'a>(&mut self, body: &'a [u8], length: usize) -> Step<'a> {
        let Some((&original, data)) = body.split_first_chunk::<4>() else { return too_short("a packet block") };
        let Some(interface) = self.interfaces.first() else {
            self.passed_over += 1;
            return Step::Skip(length);
        };
        let original = self.order.u32(original);
        let snap = if interface.snap_length == 0 { u32::MAX } else { interface.snap_length };
        let captured = original.min(snap) as usize;
        if captured > RECORD_BYTES {
            return Step::Broken(format!("a packet claims {captured} bytes, more than any link carries"));
        }
        let data = data.get(..captured).unwrap_or(data);
        Step::Packet(framed(self.latest, interface.link, original, data, interface.fcs_bytes), length)
    }
}

#[inline]
fn framed(ts: i64, link: LinkType, original: u32, data: &[u8], fcs_bytes: u8) -> Packet<'_> {
    let original = original.max(u32::try_from(data.len()).unwrap_or(u32::MAX));
    let (data, original_length) = if fcs_bytes == 0 { (data, original) } else { without_fcs(data, original, fcs_bytes) };
    Packet { ts, link, original_length, data }
}

fn too_short(what: &str) -> Step<'static> {
    Step::Broken(format!("{what} is shorter than its fields"))
}
