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

/// Facts that may be held.
pub const FACTS: usize = 65_536;
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

/// Facts seen so far: a hash of the value.
#[derive(Default)]
pub struct Devices {
    facts: HashMap<Key, u64, FixedState>,
    /// Fingerprints recorded of each device, by source.
    fingerprints: HashMap<(Device, &'static str), u8, FixedState>,
    /// Hardware addresses whose makers have been looked up.
    met: HashSet<[u8; 6], FixedState>,
}

impl Devices {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.facts.len() * (size_of::<Key>() + size_of::<u64>() + 1)
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
        let full = self.facts.len() >= FACTS;
        let known = match self.facts.entry((device, attribute, source, if is_plural { hash } else { 0 })) {
            hashbrown::hash_map::Entry::Occupied(mut known) => {
                let same = *known.get() == hash;
                known.insert(hash);
                same
            }
            hashbrown::hash_map::Entry::Vacant(_) if full => {
                counters.devices_overflow += 1;
                true
            }
            hashbrown::hash_map::Entry::Vacant(_)
                if attribute == Attribute::Fingerprint && has_enough(&mut self.fingerprints, (device, source)) =>
            {
                counters.fingerprints_limited += 1;
                true
            }
            hashbrown::hash_map::Entry::Vacant(new) => {
                new.insert(hash);
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

    /// Takes a hardware address in and makes a row of who made the network card, by the prefixes that the IEEE assigns. The card may be a
    /// router's.
    pub fn meet(&mut self, mac: [u8; 6], at: (i64, PartyKey), records: &mut Records, counters: &mut Counters) {
        let [first, ..] = mac;
        // Locally administered addresses (the second bit), groups (the first) and zeros, as loopback has them, are nobody's.
        if first & 3 != 0 || mac == [0; 6] || self.met.len() >= FACTS || !self.met.insert(mac) {
            return;
        }
        if let Some(maker) = maker(mac) {
            let device = Device { mac: Some(mac), ip: None };
            self.learn(device, Attribute::Vendor, maker, "mac address", at, records, counters);
        }
    }
}
