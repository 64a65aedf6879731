//! What is known of devices: a fact is a row when it is new and when it changes.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use crate::maker::maker;
use crate::packet::Address;
use crate::protocol::Counters;
use crate::protocol::identity::{SOURCES, tcp_stack};
use crate::record::table::{Attribute, DeviceRow};
use crate::record::{PartyKey, Records, mac_text};

/// Facts that may be held; those that were not said for longest make room, and are rows again when they are said again.
pub const FACTS: usize = 65_536;
/// How many are forgotten at once: looking at all of them is too much to do for one.
const FORGOTTEN: usize = FACTS / 16;
/// Fingerprints of one device and source that are recorded: few are normal, as what is answered follows what was asked.
pub const FINGERPRINTS: u8 = 16;

/// How far a value of these sources is to be trusted where sources differ (`Source::confidence` tells it for the others). A card's maker is
/// often not the device's.
const CONFIDENCE: [(&str, f64); 10] = [
    ("arp", 0.9),
    ("mac address", 0.5),
    ("modbus fc 17", 0.8),
    ("modbus fc 43/14", 0.9),
    ("modbus umas", 0.9),
    ("ndp", 0.9),
    ("opcua application description", 0.8),
    ("opcua build info", 0.9),
    (tcp_stack::SOURCE, 0.3),
    ("traffic", 1.0),
];

/// How far a value of this source is to be trusted where sources differ, from 0 to 1; 0.5 for one that nobody knows.
pub fn confidence(source: &str) -> f64 {
    let parsed = CONFIDENCE.iter().find(|(name, _)| *name == source).map(|(_, confidence)| *confidence);
    let read = || SOURCES.iter().find(|known| known.name == source).map(|known| known.confidence);
    parsed.or_else(read).unwrap_or(0.5)
}

/// Counts one more fingerprint of a device, unless there are enough of it.
fn has_enough(fingerprints: &mut HashMap<(Device, &'static str), u8, FixedState>, of: (Device, &'static str)) -> bool {
    let count = fingerprints.entry(of).or_insert(0);
    let has_enough = *count >= FINGERPRINTS;
    *count += u8::from(!has_enough);
    has_enough
}

/// The device that a fact is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Device {
    /// Hardware address.
    pub mac: Option<[u8; 6]>,
    /// Network address.
    pub ip: Option<Address>,
}

/// What facts are told apart by: device, attribute, source, and the value's hash where a device says several things at a time, as a host with
/// several programs does, else 0.
type Key = (Device, Attribute, &'static str, u64);

/// Facts seen so far: a hash of the value, and when it was said last.
#[derive(Default)]
pub struct Devices {
    facts: HashMap<Key, (u64, i64), FixedState>,
    /// Fingerprints recorded of each device, by source.
    fingerprints: HashMap<(Device, &'static str), u8, FixedState>,
    /// Hardware addresses whose makers have been looked up.
    met: HashSet<[u8; 6], FixedState>,
}

impl Devices {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.facts.len() * (size_of::<(Key, (u64, i64))>() + 1)
            + self.met.len() * 7
            + self.fingerprints.len() * (size_of::<(Device, &'static str)>() + 2)
    }

    /// Takes a fact in and makes a row of it, unless it is known.
    #[allow(clippy::too_many_arguments, reason = "a fact is what it is about, what it says, where and when it was seen")]
    pub fn learn(
        &mut self,
        device: Device,
        attribute: Attribute,
        value: &str,
        source: &'static str,
        (ts, party): (i64, PartyKey),
        records: &mut Records,
        counters: &mut Counters,
    ) {
        let hash = FixedState::default().hash_one(value);
        let is_plural =
            attribute == Attribute::Address || source == tcp_stack::SOURCE || SOURCES.iter().any(|known| known.name == source);
        let key = (device, attribute, source, if is_plural { hash } else { 0 });
        if self.facts.len() >= FACTS && !self.facts.contains_key(&key) {
            counters.devices_overflow += self.forget();
        }
        let known = match self.facts.entry(key) {
            hashbrown::hash_map::Entry::Occupied(mut known) => {
                let (before, _) = known.insert((hash, ts));
                before == hash
            }
            hashbrown::hash_map::Entry::Vacant(_)
                if attribute == Attribute::Fingerprint && has_enough(&mut self.fingerprints, (device, source)) =>
            {
                counters.fingerprints_limited += 1;
                true
            }
            hashbrown::hash_map::Entry::Vacant(new) => {
                new.insert((hash, ts));
                false
            }
        };
        if known {
            return;
        }
        let (mac, ip) = (device.mac.map(mac_text), device.ip.map(|ip| ip.to_string()));
        let confidence = confidence(source);
        records.device.push(
            ts,
            party,
            &DeviceRow { mac: mac.as_deref(), ip: ip.as_deref(), attribute, value, source, confidence },
        );
    }

    /// Those facts go that were not said for longest. Returns how many.
    #[cold]
    fn forget(&mut self) -> u64 {
        let mut said: Vec<i64> = self.facts.values().map(|(_, ts)| *ts).collect();
        said.sort_unstable();
        let latest = said.get(FORGOTTEN).copied().unwrap_or(i64::MAX);
        let mut left = FORGOTTEN;
        self.facts.retain(|_, (_, ts)| {
            let goes = left > 0 && *ts <= latest;
            left -= usize::from(goes);
            !goes
        });
        if self.fingerprints.len() >= FACTS {
            self.fingerprints.clear();
        }
        (FORGOTTEN - left) as u64
    }

    /// Takes a hardware address in and makes a row of who made the network card, by the prefixes that the IEEE assigns. The card may be a
    /// router's.
    pub fn meet(&mut self, mac: [u8; 6], at: (i64, PartyKey), records: &mut Records, counters: &mut Counters) {
        let [first, ..] = mac;
        // Locally administered addresses (the second bit), groups (the first) and zeros, as loopback has them, are nobody's.
        if first & 3 != 0 || mac == [0; 6] || self.met.contains(&mac) {
            return;
        }
        // Those that are still there are looked up once more.
        if self.met.len() >= FACTS {
            self.met.clear();
        }
        self.met.insert(mac);
        if let Some(maker) = maker(mac) {
            let device = Device { mac: Some(mac), ip: None };
            self.learn(device, Attribute::Vendor, maker, "mac address", at, records, counters);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Identity, Party};

    #[test]
    fn a_new_device_takes_the_room_of_facts_that_were_not_said_for_longest() {
        let (mut devices, mut counters) = (Devices::default(), Counters::default());
        let mut records = Records::new(Identity::default(), 0);
        let mut say = |number: u64, ts: i64| {
            let [.., a, b, c, d] = number.to_be_bytes();
            let device = Device { mac: Some([0, 0, a, b, c, d]), ip: None };
            let party = records.parties.add(Party::default());
            let before = devices.facts.get(&(device, Attribute::Name, "traffic", 0)).is_some();
            devices.learn(device, Attribute::Name, "x", "traffic", (ts, party), &mut records, &mut counters);
            if records.is_full() {
                drop(records.cut(ts));
            }
            before
        };
        (0..FACTS as u64).for_each(|number| assert!(!say(number, 0)));
        (0..FACTS as u64).step_by(2).for_each(|number| assert!(say(number, 5)));
        (0..FACTS as u64 / 4).for_each(|number| assert!(!say(FACTS as u64 + number, 6)));
        assert!((0..FACTS as u64).step_by(2).all(|number| say(number, 7)), "those that are still said stay");
        assert_eq!(counters.devices_overflow, FACTS as u64 / 4);
        assert!(devices.facts.len() <= FACTS);
    }
}
