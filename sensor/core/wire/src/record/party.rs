//! The parties of a record: the columns that every table starts with.

use arrow_array::ArrayRef;
use arrow_array::types::UInt16Type;
use arrow_schema::{DataType, Field, TimeUnit};

use super::column::{Column, Names, Optional, Timestamps};
use super::digits::{push_decimal, push_hexadecimal};
use crate::packet::Address;

/// Who talks to whom: all common columns but the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Party {
    /// Address of the client.
    pub client_ip: Option<Address>,
    /// Address of the server.
    pub server_ip: Option<Address>,
    /// Transport port of the client.
    pub client_port: Option<u16>,
    /// Transport port of the server.
    pub server_port: Option<u16>,
    /// Hardware address of the client.
    pub client_mac: Option<[u8; 6]>,
    /// Hardware address of the server.
    pub server_mac: Option<[u8; 6]>,
    /// Outermost VLAN identifier.
    pub vlan: Option<u16>,
    /// Community ID v1 as text: "1:" and 28 characters of Base64.
    pub community_id: Option<[u8; 30]>,
}

/// Key of a party between two cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartyKey(u32);

/// The parties of the rows since the last cut. A conversation registers once and remembers its key, so that a row costs two pushes.
#[derive(Default)]
pub struct Parties {
    parties: Vec<Party>,
    generation: u32,
}

/// A party's key, remembered until the next cut.
#[derive(Clone, Copy, Debug, Default)]
pub struct PartyCache(Option<(u32, PartyKey)>);

impl PartyCache {
    /// The key in this generation; `party` is asked for when there is none yet.
    #[inline]
    pub fn key(&mut self, parties: &mut Parties, party: impl FnOnce() -> Party) -> PartyKey {
        match self.0 {
            Some((generation, key)) if generation == parties.generation => key,
            _ => {
                let key = parties.add(party());
                self.0 = Some((parties.generation, key));
                key
            }
        }
    }

    /// Forgets the key: the party has changed.
    pub fn clear(&mut self) {
        self.0 = None;
    }
}

impl Parties {
    /// Registers a party until the next cut.
    pub fn add(&mut self, party: Party) -> PartyKey {
        // A batch is cut at 65,536 rows and a party is added with a row, so that the number fits.
        let key = PartyKey(u32::try_from(self.parties.len()).unwrap_or(u32::MAX));
        self.parties.push(party);
        key
    }

    /// The party of a key of this generation.
    pub fn get(&self, key: PartyKey) -> Option<&Party> {
        self.parties.get(key.0 as usize)
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.parties.len() * size_of::<Party>()
    }

    /// Number of parties since the last cut.
    pub fn len(&self) -> usize {
        self.parties.len()
    }

    /// Whether no party is registered.
    pub fn is_empty(&self) -> bool {
        self.parties.is_empty()
    }

    /// Forgets all parties: their keys are void from now on.
    pub(super) fn clear(&mut self) {
        self.parties.clear();
        self.generation = self.generation.wrapping_add(1);
    }
}

/// The common columns of one table: a time and a party for each row.
#[derive(Default)]
pub struct Common {
    ts: Timestamps,
    /// Parties, each with the number of rows that it has one behind the other.
    parties: Vec<(PartyKey, u32)>,
    rows: usize,
}

impl Common {
    /// Adds a row. Returns its number.
    #[inline]
    pub fn push(&mut self, ts: i64, party: PartyKey) -> usize {
        self.ts.push(ts);
        match self.parties.last_mut() {
            Some((latest, count)) if *latest == party => *count += 1,
            _ => self.parties.push((party, 1)),
        }
        self.rows += 1;
        self.rows - 1
    }

    /// Adds so many rows of one time.
    #[inline]
    pub fn extend(&mut self, count: usize, ts: i64, party: PartyKey) {
        self.ts.extend(count, ts);
        // A batch is cut at 65,536 rows, so that the number fits.
        let rows = u32::try_from(count).unwrap_or(u32::MAX);
        match self.parties.last_mut() {
            Some((latest, count)) if *latest == party => *count += rows,
            _ => self.parties.push((party, rows)),
        }
        self.rows += count;
    }

    /// Drops the rows.
    pub(super) fn clear(&mut self) {
        self.ts.clear();
        self.parties.clear();
        self.rows = 0;
    }

    /// Number of rows.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Names, kinds, types and nullability of the common columns.
    pub fn fields() -> Vec<(&'static str, &'static str, Field)> {
        let text = || Names::default().data_type();
        let field = |name: &'static str, kind, data_type, nullable| (name, kind, Field::new(name, data_type, nullable));
        vec![
            field("ts", "timestamp", DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())), false),
            field("client.ip", "name", text(), true),
            field("server.ip", "name", text(), true),
            field("client.port", "u16", DataType::UInt16, true),
            field("server.port", "u16", DataType::UInt16, true),
            field("client.mac", "name", text(), true),
            field("server.mac", "name", text(), true),
            field("vlan", "u16", DataType::UInt16, true),
            field("network.community_id", "name", text(), true),
        ]
    }

    /// Takes the rows out as arrays in the order of `fields`.
    pub(super) fn finish(&mut self, parties: &Parties) -> Vec<ArrayRef> {
        let rows = std::mem::take(&mut self.rows);
        // Only parties of this table's rows go into its dictionaries, in order of their first row.
        let mut local = vec![u32::MAX; parties.len()];
        let mut used: Vec<&Party> = Vec::new();
        let mut runs: Vec<(u32, u32)> = Vec::with_capacity(self.parties.len());
        for (key, count) in self.parties.drain(..) {
            let (Some(slot), Some(party)) = (local.get_mut(key.0 as usize), parties.parties.get(key.0 as usize)) else {
                continue;
            };
            if *slot == u32::MAX {
                *slot = u32::try_from(used.len()).unwrap_or(u32::MAX);
                used.push(party);
            }
            runs.push((*slot, count));
        }
        let name = |text: &dyn Fn(&Party, &mut String) -> bool| -> ArrayRef {
            let mut names = Names::expecting(used.len());
            let mut buffer = String::new();
            let keys: Vec<Option<i32>> = used
                .iter()
                .map(|party| {
                    buffer.clear();
                    text(party, &mut buffer).then(|| names.intern(&buffer))
                })
                .collect();
            names.reserve(rows);
            spread(&runs, &keys, |row, count, key| names.extend(row, count, key));
            names.finish(rows)
        };
        let port = |port: &dyn Fn(&Party) -> Option<u16>| -> ArrayRef {
            let ports: Vec<Option<u16>> = used.iter().map(|party| port(party)).collect();
            let mut numbers = Optional::<UInt16Type>::default();
            numbers.reserve(rows);
            spread(&runs, &ports, |row, count, port| numbers.extend(row, count, port));
            numbers.finish(rows)
        };
        vec![
            self.ts.finish(),
            name(&|party, text| write_address(party.client_ip, text)),
            name(&|party, text| write_address(party.server_ip, text)),
            port(&|party| party.client_port),
            port(&|party| party.server_port),
            name(&|party, text| write_mac(party.client_mac, text)),
            name(&|party, text| write_mac(party.server_mac, text)),
            port(&|party| party.vlan),
            name(&|party, text| {
                let id = party.community_id.as_ref().and_then(|id| std::str::from_utf8(id).ok());
                text.push_str(id.unwrap_or_default());
                id.is_some()
            }),
        ]
    }
}

/// Gives what is known of each party to all rows that it has: their first, how many, and the value.
fn spread<T: Copy>(runs: &[(u32, u32)], values: &[Option<T>], mut extend: impl FnMut(usize, usize, T)) {
    let mut row = 0;
    for (slot, count) in runs {
        let count = *count as usize;
        if let Some(value) = values.get(*slot as usize).copied().flatten() {
            extend(row, count, value);
        }
        row += count;
    }
}

fn write_address(address: Option<Address>, text: &mut String) -> bool {
    use std::fmt::Write as _;
    let Some(address) = address else { return false };
    let Some([a, b, c, d]) = address.octets_v4() else {
        return write!(text, "{address}").is_ok();
    };
    push_decimal(text, a.into());
    for byte in [b, c, d] {
        text.push('.');
        push_decimal(text, byte.into());
    }
    true
}

fn write_mac(mac: Option<[u8; 6]>, text: &mut String) -> bool {
    let Some([first, rest @ ..]) = mac else { return false };
    push_hexadecimal(text, first);
    for byte in rest {
        text.push(':');
        push_hexadecimal(text, byte);
    }
    true
}

/// A hardware address as text: lower case with colons.
pub fn mac_text(mac: [u8; 6]) -> String {
    let mut text = String::with_capacity(17);
    write_mac(Some(mac), &mut text);
    text
}
