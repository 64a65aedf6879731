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
/// Pages that go when there are as many: those whose last row is oldest.
const FORGOTTEN: usize = PAGES / 8;
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
    /// When each value had its last row.
    shown: [Tick; PAGE],
    /// Keys of the points' names, valid in `generation` of the point table.
    names: [u16; PAGE],
    generation: u64,
    /// Which values have had a row: one bit each, the lowest for the first.
    known: u64,
    /// The range looked at last, and the earliest of its `shown`; of no values before.
    looked_at: (u8, u8, Tick),
}

/// No name: a key as high as this is not kept.
const UNNAMED: u16 = u16::MAX;

/// Packet time in steps of 17 ms: it goes round after 834 days, and a point that was silent for just so long may then be for a minute more.
#[derive(Clone, Copy, Default)]
struct Tick(u32);

impl Tick {
    const BITS: u32 = 24;
    const REFRESH: u32 = (REFRESH_NS >> Self::BITS) as u32;

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the clock goes round")]
    fn of(ts: i64) -> Self {
        Self((ts >> Self::BITS) as u32)
    }

    /// Steps between the two, whichever is later: a row that lies ahead is of a clock that has been set back since.
    fn distance(self, other: Self) -> u32 {
        self.0.wrapping_sub(other.0).cast_signed().unsigned_abs()
    }

    /// Whether a row at this time is due no more than a refresh later.
    fn is_fresh(self, now: Self) -> bool {
        self.distance(now) < Self::REFRESH
    }
}

impl Page {
    fn new() -> Box<Self> {
        Box::new(Self {
            values: [0; PAGE],
            shown: [Tick::default(); PAGE],
            names: [UNNAMED; PAGE],
            generation: u64::MAX,
            known: 0,
            looked_at: (0, 0, Tick::default()),
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
            if self.pages.len() >= PAGES && !self.pages.contains_key(&key) {
                counters.points_overflow += self.forget(seen.ts);
            }
            self.pages.entry(key).or_insert_with(Page::new).update(seen, start, within, now, generation, table);
            rest = later;
            start += now.len();
        }
    }

    /// Those pages go whose last row is oldest: a point that is polled has one each minute. Returns how many points were in them.
    #[cold]
    fn forget(&mut self, now: i64) -> u64 {
        let now = Tick::of(now);
        let mut silences: Vec<u32> = self.pages.values().map(|page| page.silence(now)).collect();
        silences.sort_unstable();
        let least = silences.get(PAGES - FORGOTTEN).copied().unwrap_or(0);
        let (mut left, mut points) = (FORGOTTEN, 0);
        self.pages.retain(|_, page| {
            let goes = left > 0 && page.silence(now) >= least;
            if goes {
                left -= 1;
                points += u64::from(page.known.count_ones());
            }
            !goes
        });
        points
    }
}

impl Page {
    /// Steps between now and the row of any of its points that is nearest.
    fn silence(&self, now: Tick) -> u32 {
        let known = self.shown.iter().enumerate().filter(|(at, _)| self.known >> at & 1 == 1);
        known.map(|(_, shown)| now.distance(*shown)).min().unwrap_or(u32::MAX)
    }

    #[inline]
    fn update(&mut self, seen: &Seen, start: usize, within: usize, now: &[u16], generation: u64, table: &mut Point) {
        let range = within..within + now.len();
        let tick = Tick::of(seen.ts);
        let is_same_range = (usize::from(self.looked_at.0), usize::from(self.looked_at.1)) == (within, now.len());
        if !is_same_range {
            self.look_at(within, now.len(), tick);
        }
        if self.looked_at.2.is_fresh(tick) && self.values.get(range) == Some(now) && self.knows(within, now.len()) {
            return;
        }
        self.show(seen, start, within, now, generation, table);
    }

    /// Whether each value of a range has had a row.
    fn knows(&self, within: usize, count: usize) -> bool {
        let range = (u64::MAX >> (PAGE - count.clamp(1, PAGE))) << within;
        self.known & range == range
    }

    #[expect(clippy::cast_possible_truncation, reason = "a page has 64 values")]
    fn look_at(&mut self, within: usize, count: usize, now: Tick) {
        let shown = self.shown.get(within..within + count).unwrap_or_default();
        let oldest = shown.iter().copied().max_by_key(|shown| now.distance(*shown)).unwrap_or_default();
        self.looked_at = (within as u8, count as u8, oldest);
    }

    fn show(&mut self, seen: &Seen, start: usize, within: usize, now: &[u16], generation: u64, table: &mut Point) {
        let tick = Tick::of(seen.ts);
        if self.generation != generation {
            self.generation = generation;
            self.names = [UNNAMED; PAGE];
        }
        let mut text = String::new();
        let slots = self.values.iter_mut().zip(&mut self.shown).zip(&mut self.names).enumerate().skip(within);
        for ((at, ((value, shown), name)), (offset, &new)) in slots.zip(now.iter().enumerate()) {
            if *value == new && self.known >> at & 1 == 1 && shown.is_fresh(tick) {
                continue;
            }
            *value = new;
            *shown = tick;
            self.known |= 1 << at;
            let mut key = i32::from(*name);
            if *name == UNNAMED {
                text.clear();
                text.push_str(seen.kind.word());
                text.push(':');
                push_decimal(&mut text, u32::try_from(start + offset).unwrap_or(u32::MAX));
                text.push('@');
                push_decimal(&mut text, seen.unit.into());
                key = table.id.intern(&text);
                *name = u16::try_from(key).unwrap_or(UNNAMED);
            }
            let row = PointRow {
                name: None,
                id: Name::Key(key),
                number: f64::from(new),
                access: seen.access,
                quality: Quality::Good,
                protocol: PointProtocol::Modbus,
            };
            table.push(seen.ts, seen.party, &row);
        }
        self.look_at(within, now.len(), tick);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::table::Table;
    use crate::record::{Parties, Party};

    #[test]
    fn a_full_table_forgets_the_pages_without_a_row_for_longest() {
        let nobody = Party {
            client_ip: None,
            server_ip: None,
            client_port: None,
            server_port: None,
            client_mac: None,
            server_mac: None,
            vlan: None,
            community_id: None,
        };
        let party = Parties::default().add(nobody);
        let (mut points, mut table, mut counters) = (Points::default(), Point::default(), Counters::default());
        let mut see = |server: u32, ts: i64| {
            let seen = Seen {
                server: Address::v4(server.to_be_bytes()),
                unit: 1,
                kind: Kind::Holding,
                start: 0,
                access: PointAccess::Read,
                ts,
                party,
            };
            let before = table.rows();
            points.update(&seen, &[7, 8], 1, &mut table, &mut counters);
            table.rows() - before
        };
        let all = PAGES as u32;
        assert!((0..all).all(|server| see(server, 1) == 2));
        // Half of them have later rows.
        let later = 2 * REFRESH_NS;
        assert!((0..all).step_by(2).all(|server| see(server, later) == 2));
        // A sweep of others takes the room of those that nobody polls.
        assert!((all..all + all / 4).all(|server| see(server, later + 1) == 2));
        assert!((0..all).step_by(2).all(|server| see(server, later + 2) == 0), "polled points keep their values");
        assert!((all..all + all / 4).all(|server| see(server, later + 3) == 0));
        assert_eq!(counters.points_overflow, u64::from(all / 4) * 2);
        assert!(points.pages.len() <= PAGES);
    }
}
