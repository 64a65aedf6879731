//! Last values of OPC UA points: a value is a row when it changes, and once a minute.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use super::subscription::Server;
use crate::protocol::Counters;
use crate::record::column::Name;
use crate::record::table::{PointAccess, PointProtocol, PointRow, Quality};
use crate::record::{PartyKey, Records};

/// How long an unchanged value stays silent: a minute in nanoseconds.
pub const REFRESH_NS: i64 = 60_000_000_000;
/// Points that may be held in all.
pub const POINTS: usize = 524_288;

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

#[derive(Clone, Copy)]
struct Last {
    number: f64,
    quality: Quality,
    shown: i64,
}

/// Last values of all points.
#[derive(Default)]
pub struct Points {
    last: HashMap<(Server, u64), Last, FixedState>,
}

impl Points {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.last.capacity() * size_of::<((Server, u64), Last)>()
    }

    /// Takes a value in and makes a row of it if it is new or due.
    pub fn update(&mut self, seen: &Seen<'_>, records: &mut Records, counters: &mut Counters) {
        // The two highest bits of a status code are its severity (OPC 10000-4, 7.39.1).
        let quality = match seen.status >> 30 {
            0 => Quality::Good,
            1 => Quality::Uncertain,
            _ => Quality::Bad,
        };
        let now = Last { number: seen.number, quality, shown: seen.ts };
        let is_full = self.last.len() >= POINTS;
        match self.last.entry((seen.server, seen.hash)) {
            Entry::Occupied(mut known) => {
                let before = known.get_mut();
                let is_fresh = before.shown > seen.ts.saturating_sub(REFRESH_NS);
                if is_fresh && before.number == seen.number && before.quality == quality {
                    return;
                }
                *before = now;
            }
            Entry::Vacant(_) if is_full => {
                counters.points_overflow += 1;
                return;
            }
            Entry::Vacant(new) => drop(new.insert(now)),
        }
        let row = PointRow {
            id: Name::Text(seen.node),
            name: seen.name,
            number: seen.number,
            access: seen.access,
            quality,
            protocol: PointProtocol::Opcua,
        };
        records.point.push(seen.ts, seen.party, &row);
    }
}
