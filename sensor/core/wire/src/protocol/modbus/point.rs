//! Last values of Modbus points: a value is a row when it changes, and once a minute.
//!
//! Values live in pages of 256 addresses, and an answer is compared with its page as a slice: a poll that brings nothing new costs a
//! comparison of memory.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::packet::Address;
use crate::protocol::Counters;
use crate::record::column::{Name, Words};
use crate::record::table::{PointAccess, PointProtocol, PointRow, Quality};
use crate::record::{PartyKey, Records};

/// How long an unchanged value stays silent: a minute in nanoseconds.
pub const REFRESH_NS: i64 = 60_000_000_000;
/// Pages that may be held in all: two million points.
pub const PAGES: usize = 8_192;
/// Addresses of a page.
const PAGE: usize = 256;
/// Values of one message at most (MAP, 6.1).
const VALUES: usize = 2_000;

/// The four kinds of Modbus data (MAP, 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Coil, function codes 1, 5, 15.
    Coil,
    /// Discrete input, function code 2.
    Discrete,
    /// Holding register, function codes 3, 6, 16, 22, 23.
    Holding,
    /// Input register, function code 4.
    Input,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Coil => "coil",
            Self::Discrete => "discrete",
            Self::Holding => "holding",
            Self::Input => "input",
        }
    }
}

/// Where values were read or written, and when.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Address of the server.
    pub server: Address,
    /// Unit identifier.
    pub unit: u8,
    /// Kind of data.
    pub kind: Kind,
    /// First address.
    pub start: u16,
    /// How.
    pub access: PointAccess,
    /// When, nanoseconds since 1970.
    pub ts: i64,
    /// Between whom.
    pub party: PartyKey,
}

struct Page {
    values: [u16; PAGE],
    /// Packet time of each value's last row; `i64::MIN` where there was none.
    shown: [i64; PAGE],
    /// Keys of the points' names, valid in `generation` of the point table.
    names: [i32; PAGE],
    generation: u64,
}

impl Page {
    fn new() -> Box<Self> {
        Box::new(Self { values: [0; PAGE], shown: [i64::MIN; PAGE], names: [-1; PAGE], generation: u64::MAX })
    }
}

/// Last values of all points.
#[derive(Default)]
pub struct Points {
    pages: HashMap<(Address, u8, Kind, u8), Box<Page>, FixedState>,
    /// Room for the values of the message at hand.
    unpacked: Vec<u16>,
}

impl Points {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.pages.len() * (size_of::<Page>() + 48)
    }

    /// Takes values in and makes rows of those that are new or due.
    pub fn update(&mut self, seen: &Seen, words: Words<'_>, records: &mut Records, counters: &mut Counters) {
        let mut values = std::mem::take(&mut self.unpacked);
        values.clear();
        unpack(words, &mut values);
        let mut rest = values.as_slice();
        let mut start = usize::from(seen.start);
        while !rest.is_empty() && start < 0x1_0000 {
            let within = start % PAGE;
            let (now, later) = rest.split_at(rest.len().min(PAGE - within));
            let key = (seen.server, seen.unit, seen.kind, (start / PAGE) as u8);
            let full = self.pages.len() >= PAGES;
            match self.pages.entry(key) {
                hashbrown::hash_map::Entry::Vacant(_) if full => counters.points_overflow += now.len() as u64,
                entry => entry.or_insert_with(Page::new).update(seen, start, within, now, records),
            }
            rest = later;
            start += now.len();
        }
        self.unpacked = values;
    }
}

impl Page {
    #[inline]
    fn update(&mut self, seen: &Seen, start: usize, within: usize, now: &[u16], records: &mut Records) {
        let range = within..within + now.len();
        let due = seen.ts.saturating_sub(REFRESH_NS);
        // Folded without a branch, so that it runs over vectors.
        let fresh =
            self.shown.get(range.clone()).is_some_and(|shown| shown.iter().fold(true, |fresh, shown| fresh & (*shown > due)));
        if fresh && self.values.get(range) == Some(now) {
            return;
        }
        self.show(seen, start, within, now, records);
    }

    fn show(&mut self, seen: &Seen, start: usize, within: usize, now: &[u16], records: &mut Records) {
        let due = seen.ts.saturating_sub(REFRESH_NS);
        let generation = records.cuts();
        if self.generation != generation {
            self.generation = generation;
            self.names = [-1; PAGE];
        }
        let slots = self.values.iter_mut().zip(&mut self.shown).zip(&mut self.names).skip(within);
        for (offset, (((value, shown), name), &new)) in slots.zip(now).enumerate() {
            if *value == new && *shown > due {
                continue;
            }
            *value = new;
            *shown = seen.ts;
            if *name < 0 {
                *name = records.point.id.intern(&format!("{}:{}@{}", seen.kind.word(), start + offset, seen.unit));
            }
            let row = PointRow {
                id: Name::Key(*name),
                number: f64::from(new),
                access: seen.access,
                quality: Quality::Good,
                protocol: PointProtocol::Modbus,
            };
            records.point.push(seen.ts, seen.party, &row);
        }
    }
}

/// Words as numbers, at most `VALUES`.
fn unpack(words: Words<'_>, room: &mut Vec<u16>) {
    match words {
        Words::None => {}
        Words::Registers(bytes) => {
            room.extend(bytes.as_chunks::<2>().0.iter().take(VALUES).map(|pair| u16::from_be_bytes(*pair)))
        }
        Words::Bits(bytes, count) => {
            let bits = bytes.iter().flat_map(|byte| (0..8).map(move |bit| u16::from(byte >> bit & 1)));
            room.extend(bits.take(usize::from(count).min(VALUES)));
        }
        Words::Numbers(numbers) => room.extend(numbers.iter().take(VALUES)),
    }
}
