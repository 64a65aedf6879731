//! CDP: what devices of Cisco and some others announce of themselves to their neighbours.

use super::{Facts, Source};
use crate::packet::Address;
use crate::protocol::Carrier;
use crate::protocol::signature::Application;
use crate::record::table::Attribute;

/// Names, platforms, versions, capabilities and addresses.
pub static SOURCE: Source = Source {
    application: Application::Cdp,
    carriers: &[Carrier::Frame],
    name: "cdp",
    confidence: 0.8,
    clause: "Cisco Discovery Protocol, version 2, frame format",
    read,
};

/// Elements that are read of one frame.
const ELEMENTS: usize = 128;
/// Addresses that are read of one frame.
const ADDRESSES: u32 = 16;
/// Bits of the capabilities and the word for each; what a switch routes besides is still a switch's.
const CAPABILITIES: [(u8, &str); 4] = [(0x08, "bridge"), (0x02, "bridge"), (0x01, "router"), (0x80, "telephone")];

fn read(data: &[u8], facts: &mut Facts<'_>) {
    // Version, time to live, checksum.
    let mut rest = data.get(4..).unwrap_or_default();
    for _ in 0..ELEMENTS {
        let Some(([k0, k1, l0, l1], behind)) = rest.split_first_chunk::<4>() else { return };
        let Some(length) = usize::from(u16::from_be_bytes([*l0, *l1])).checked_sub(4) else { return };
        let Some(value) = behind.get(..length) else { return };
        match (u16::from_be_bytes([*k0, *k1]), value) {
            (0x0001, name) => facts.say(Attribute::Name, name),
            (0x0002, list) => addresses(list, facts),
            (0x0004, [.., bits]) => {
                if let Some((_, word)) = CAPABILITIES.iter().find(|(bit, _)| bits & bit != 0) {
                    facts.say(Attribute::Role, word.as_bytes());
                }
            }
            (0x0005, version) => facts.say(Attribute::Version, version),
            (0x0006, platform) => facts.say(Attribute::Product, platform),
            _ => {}
        }
        rest = behind.get(length..).unwrap_or_default();
    }
}

/// IPv4 addresses: protocol type 1, its length 1, 0xcc; address length 4.
fn addresses(list: &[u8], facts: &mut Facts<'_>) {
    let Some((count, mut rest)) = list.split_first_chunk::<4>() else { return };
    for _ in 0..u32::from_be_bytes(*count).min(ADDRESSES) {
        let [1, 1, 0xcc, 0, 4, a, b, c, d, behind @ ..] = rest else { return };
        facts.say_ip(Address::v4([*a, *b, *c, *d]));
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::identity::tests::{survives, told};

    const FRAME: &[u8] = b"\x02\xb4\x00\x00\x00\x01\x00\x06R1\x00\x02\x00\x11\x00\x00\x00\x01\x01\x01\xcc\x00\x04\x0a\x00\x00\x01\
        \x00\x04\x00\x08\x00\x00\x00\x29\x00\x05\x00\x0cIOS 15.2\x00\x06\x00\x0bcisco 3";

    #[test]
    fn a_router_announces_itself() {
        let expected = ["name=R1", "address=10.0.0.1", "role=bridge", "version=IOS 15.2", "product=cisco 3"];
        assert_eq!(told(&SOURCE, FRAME), expected);
        survives(&SOURCE, FRAME);
    }
}
