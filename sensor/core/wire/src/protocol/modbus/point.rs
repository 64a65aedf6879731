//! Last values of Modbus points: a value is a row when it changes, and once a minute.
//!
//! Values live in pages of 64 addresses, and an answer is compared with its page as a slice: a poll that brings nothing new costs a
//! comparison of memory.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::packet::Address;
use crate::protocol::Counters;
use crate::record::column::Name;
use crate::record::table::{Point, PointAccess, PointProtocol, PointRow, Quality};
use crate::record::{PartyKey, push_decimal};

/// How long an unchanged value stays silent: a minute in nanoseconds.
pub const REFRESH_NS: i64 = 60_000_000_000;
/// Pages that may be held in all: two million points.
pub const PAGES: usize = 32_768;
/// Addresses of a page: most polls read fewer, and what is never read of a page is memory for nothing.
const PAGE: usize = 64;
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
    /// The range looked at last, and a time that none of its `shown` is older than.
    looked_at: (usize, usize, i64),
}

impl Page {
    fn new() -> Box<Self> {
        Box::new(Self {
            values: [0; PAGE],
            shown: [i64::MIN; PAGE],
            names: [-1; PAGE],
            generation: u64::MAX,
            looked_at: (0, 0, i64::MIN),
        })
    }
}

/// Last values of all points.
#[derive(Default)]
pub struct Points {
    pages: HashMap<(Address, u8, Kind, u16), Box<Page>, FixedState>,
}

impl Points {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.pages.len() * (size_of::<Page>() + 48)
    }

    /// Takes values in and makes rows of those that are new or due. `generation` changes with each cut of the table.
    pub fn update(&mut self, seen: &Seen, values: &[u16], generation: u64, table: &mut Point, counters: &mut Counters) {
        let mut rest = values.get(..VALUES).unwrap_or(values);
        let mut start = usize::from(seen.start);
        while !rest.is_empty() && start < 0x1_0000 {
            let within = start % PAGE;
            let (now, later) = rest.split_at(rest.len().min(PAGE - within));
            let key = (seen.server, seen.unit, seen.kind, (start / PAGE) as u16);
            let full = self.pages.len() >= PAGES;
            match self.pages.entry(key) {
                hashbrown::hash_map::Entry::Vacant(_) if full => counters.points_overflow += now.len() as u64,
                entry => entry.or_insert_with(Page::new).update(seen, start, within, now, generation, table),
            }
            rest = later;
            start += now.len();
        }
    }
}

impl Page {
    #[inline]
    fn update(&mut self, seen: &Seen, start: usize, within: usize, now: &[u16], generation: u64, table: &mut Point) {
        let due = seen.ts.saturating_sub(REFRESH_NS);
        let range = within..within + now.len();
        let oldest = match self.looked_at {
            (from, count, oldest) if (from, count) == (within, now.len()) && oldest > due => oldest,
            _ => {
                let shown = self.shown.get(range.clone()).unwrap_or_default();
                let oldest = shown.iter().copied().min().unwrap_or(i64::MIN);
                self.looked_at = (within, now.len(), oldest);
                oldest
            }
        };
        if oldest > due && self.values.get(range) == Some(now) {
            return;
        }
        self.show(seen, start, within, now, generation, table);
    }

    fn show(&mut self, seen: &Seen, start: usize, within: usize, now: &[u16], generation: u64, table: &mut Point) {
        let due = seen.ts.saturating_sub(REFRESH_NS);
        self.looked_at.2 = self.looked_at.2.min(seen.ts);
        if self.generation != generation {
            self.generation = generation;
            self.names = [-1; PAGE];
        }
        let mut text = String::new();
        let slots = self.values.iter_mut().zip(&mut self.shown).zip(&mut self.names).skip(within);
        for (offset, (((value, shown), name), &new)) in slots.zip(now).enumerate() {
            if *value == new && *shown > due {
                continue;
            }
            *value = new;
            *shown = seen.ts;
            if *name < 0 {
                text.clear();
                text.push_str(seen.kind.word());
                text.push(':');
                push_decimal(&mut text, u32::try_from(start + offset).unwrap_or(u32::MAX));
                text.push('@');
                push_decimal(&mut text, seen.unit.into());
                *name = table.id.intern(&text);
            }
            let row = PointRow {
                name: None,
                id: Name::Key(*name),
                number: f64::from(new),
                access: seen.access,
                quality: Quality::Good,
                protocol: PointProtocol::Modbus,
            };
            table.push(seen.ts, seen.party, &row);
        }
    }
}
