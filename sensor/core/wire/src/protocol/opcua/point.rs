//! Last values of OPC UA points: a value is a row when it changes, and once a minute.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::name::NodeNames;
use super::subscription::Server;
use crate::record::column::Name;
use crate::record::table::{PointAccess, PointProtocol, PointRow, Quality};
use crate::record::{PartyKey, Records};

/// How long an unchanged value stays silent: a minute in nanoseconds.
pub const REFRESH_NS: i64 = 60_000_000_000;
/// Points that may be held in all; those without a row for longest make room.
pub const POINTS: usize = 524_288;
/// How many are forgotten at once: looking at all of them is too much to do for one.
const FORGOTTEN: usize = POINTS / 16;

/// Longest text of a number that is held: longer ones, of many digits with an exponent, are few.
const TEXT_BYTES: usize = 21;

/// A value that was seen.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The server.
    pub server: Server,
    /// Hash of the node.
    pub hash: u64,
    /// The node, as text.
    pub node: &'a str,
    /// The node's name, if it was seen.
    pub name: Option<&'a str>,
    /// The value.
    pub number: f64,
    /// How it was seen.
    pub access: PointAccess,
    /// Status code of the value.
    pub status: u32,
    /// When, nanoseconds since 1970.
    pub ts: i64,
    /// Between whom.
    pub party: PartyKey,
}

/// What was seen of a point.
pub struct Last {
    server: Server,
    hash: u64,
    /// The point that came behind it last: pollers ask for the same points in the same order.
    next: u32,
    number: f64,
    quality: Quality,
    /// Time of its last row; `i64::MIN` where there was none.
    shown: i64,
    /// The value whose text is held: type, 0 where there is none, and bits.
    kind: u8,
    bits: u64,
    text: [u8; TEXT_BYTES],
    text_bytes: u8,
    /// Key of the node's name in the rows of operands, -1 where it has none, and the numbers of cuts and of changes of names behind which it was
    /// looked up, each its lower half.
    name: i32,
    named: (u32, u32),
}

// There may be half a million of them.
const _: () = assert!(size_of::<Last>() <= 80);

impl Last {
    /// Text of a number, by its type and bits; `write` is asked where it is not the text of the last one, and writes it to `room`.
    #[inline]
    pub fn text<'a>(&'a mut self, told: (u8, u64), room: &'a mut String, write: impl FnOnce(&mut String)) -> &'a str {
        if (self.kind, self.bits) != told {
            room.clear();
            write(room);
            self.hold(told, room);
            return room;
        }
        self.text.get(..usize::from(self.text_bytes)).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
    }

    fn hold(&mut self, (kind, bits): (u8, u64), text: &str) {
        match (self.text.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(room), Ok(bytes)) => {
                room.copy_from_slice(text.as_bytes());
                (self.kind, self.bits, self.text_bytes) = (kind, bits, bytes);
            }
            _ => self.kind = 0,
        }
    }

    /// Key of the node's name in the rows of operands.
    #[inline]
    pub fn name(&mut self, names: &NodeNames, records: &mut Records) -> Option<i32> {
        if names.is_empty() {
            return None;
        }
        let now = (records.cuts() as u32, names.changes() as u32);
        if self.named != now {
            self.named = now;
            self.name = names.get(self.server, self.hash).map_or(-1, |name| records.opcua_item.name.intern(name));
        }
        (self.name >= 0).then_some(self.name)
    }

    /// Takes a value in. Returns whether it is a row, because it is new or due.
    #[inline]
    pub fn show(&mut self, number: f64, quality: Quality, ts: i64) -> bool {
        // A row that lies ahead is of a clock that has been set back since.
        let is_fresh = ts.saturating_sub(self.shown).saturating_abs() < REFRESH_NS;
        if is_fresh && self.number == number && self.quality == quality {
            return false;
        }
        (self.number, self.quality, self.shown) = (number, quality, ts);
        true
    }
}

/// Quality that a status code means: its two highest bits are its severity (OPC 10000-4, 7.39.1).
#[inline]
pub fn quality(status: u32) -> Quality {
    match status >> 30 {
        0 => Quality::Good,
        1 => Quality::Uncertain,
        _ => Quality::Bad,
    }
}

/// What was seen of all points.
#[derive(Default)]
pub struct Points {
    all: Vec<Last>,
    index: HashTable<u32>,
    latest: u32,
    /// Points that were forgotten to make room.
    pub forgotten: u64,
}

impl Points {
    /// Bytes held, an estimate.
    pub fn bytes(&self) -> usize {
        self.all.capacity() * size_of::<Last>() + self.index.capacity() * size_of::<u32>()
    }

    /// What was seen of a point; nothing yet, where it is new.
    #[inline]
    pub fn of(&mut self, server: Server, hash: u64) -> Option<&mut Last> {
        let is_it = |at: &u32| self.all.get(*at as usize).is_some_and(|last| last.hash == hash && last.server == server);
        let expected = self.all.get(self.latest as usize).map(|last| last.next);
        let at = match expected.filter(is_it) {
            Some(at) => at,
            None => self.find(server, hash)?,
        };
        self.latest = at;
        self.all.get_mut(at as usize)
    }

    #[inline(never)]
    fn find(&mut self, server: Server, hash: u64) -> Option<u32> {
        let wanted = FixedState::default().hash_one((server, hash));
        let is_it = |at: &u32| self.all.get(*at as usize).is_some_and(|last| last.hash == hash && last.server == server);
        let at = match self.index.find(wanted, is_it) {
            Some(at) => *at,
            None => {
                if self.all.len() >= POINTS {
                    self.forget();
                }
                let Self { all, index, .. } = self;
                let at = u32::try_from(all.len()).unwrap_or(u32::MAX);
                let (number, quality, shown) = (f64::NAN, Quality::Good, i64::MIN);
                let (kind, bits, text, text_bytes) = (0, 0, [0; TEXT_BYTES], 0);
                // No number of changes: there are names where it is looked up.
                let (name, named) = (-1, (0, 0));
                all.push(Last { server, hash, next: at, number, quality, shown, kind, bits, text, text_bytes, name, named });
                index.insert_unique(wanted, at, |at| all.get(*at as usize).map_or(0, key));
                at
            }
        };
        if let Some(latest) = self.all.get_mut(self.latest as usize) {
            latest.next = at;
        }
        Some(at)
    }

    /// Those go whose last row is oldest: a point that is read or notified has one each minute.
    #[cold]
    fn forget(&mut self) {
        // The point that was looked at last tells the time. A row that lies far ahead of it is as old as one that lies far behind.
        let now = self.all.get(self.latest as usize).map_or(0, |last| last.shown);
        let silence = |last: &Last| now.saturating_sub(last.shown).saturating_abs();
        let mut silences: Vec<i64> = self.all.iter().map(silence).collect();
        silences.sort_unstable_by(|one, other| other.cmp(one));
        let least = silences.get(FORGOTTEN.saturating_sub(1)).copied().unwrap_or(0);
        let mut left = FORGOTTEN;
        self.all.retain(|last| {
            let goes = left > 0 && silence(last) >= least;
            left -= usize::from(goes);
            !goes
        });
        self.forgotten += (FORGOTTEN - left) as u64;
        self.latest = 0;
        self.index.clear();
        for (at, last) in (0..).zip(&mut self.all) {
            last.next = at;
        }
        let Self { all, index, .. } = self;
        for (at, last) in (0..).zip(all.iter()) {
            index.insert_unique(key(last), at, |at| all.get(*at as usize).map_or(0, key));
        }
    }

    /// Takes a value in and makes a row of it if it is new or due.
    pub fn update(&mut self, seen: &Seen<'_>, records: &mut Records) {
        let quality = quality(seen.status);
        if let Some(last) = self.of(seen.server, seen.hash)
            && last.show(seen.number, quality, seen.ts)
        {
            push(seen, Name::Text(seen.node), records);
        }
    }
}

fn key(last: &Last) -> u64 {
    FixedState::default().hash_one((last.server, last.hash))
}

/// Adds a row of a point.
#[inline]
pub fn push(seen: &Seen<'_>, id: Name<'_>, records: &mut Records) {
    let Seen { name, number, access, status, .. } = *seen;
    let row = PointRow { id, name, number, access, quality: quality(status), protocol: PointProtocol::Opcua };
    records.point.push(seen.ts, seen.party, &row);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_point_takes_the_room_of_those_without_a_row_for_longest() {
        let mut points = Points::default();
        let here = Server(1);
        let mut see = |hash: u64, number: f64, ts: i64| points.of(here, hash).unwrap().show(number, Quality::Good, ts);
        (0..POINTS as u64).for_each(|hash| assert!(see(hash, 1.0, 0)));
        (0..POINTS as u64).filter(|hash| hash % 2 == 0).for_each(|hash| assert!(see(hash, 2.0, 5)));
        let (ts, more) = (6, (POINTS / 4) as u64);
        (0..more).for_each(|hash| assert!(see(POINTS as u64 + hash, 1.0, ts)));
        let known = (0..POINTS as u64).step_by(2).filter(|hash| !see(*hash, 2.0, ts)).count();
        assert_eq!(known, POINTS / 2, "those with later rows stay");
        assert!((0..more).all(|hash| !see(POINTS as u64 + hash, 1.0, ts)));
        assert_eq!(points.forgotten, more);
        assert!(points.all.len() <= POINTS);
    }
}
