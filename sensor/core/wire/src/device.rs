//! What is known of devices: a fact is a row when it is new and when it changes.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::packet::Address;
use crate::protocol::Counters;
use crate::record::table::{Attribute, DeviceRow};
use crate::record::{PartyKey, Records, mac_text};

/// Facts that may be held.
pub const FACTS: usize = 65_536;

/// The device that a fact is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Device {
    /// Hardware address.
    pub mac: Option<[u8; 6]>,
    /// Network address.
    pub ip: Option<Address>,
}

/// Facts seen so far, by device, attribute and source: a hash of the value.
#[derive(Default)]
pub struct Devices {
    facts: HashMap<(Device, Attribute, &'static str), u64, FixedState>,
}

impl Devices {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.facts.len() * 72
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
        let full = self.facts.len() >= FACTS;
        let known = match self.facts.entry((device, attribute, source)) {
            hashbrown::hash_map::Entry::Occupied(mut known) => {
                let same = *known.get() == hash;
                known.insert(hash);
                same
            }
            hashbrown::hash_map::Entry::Vacant(_) if full => {
                counters.devices_overflow += 1;
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
        records.device.push(ts, party, &DeviceRow { mac: mac.as_deref(), ip: ip.as_deref(), attribute, value, source });
    }
}
