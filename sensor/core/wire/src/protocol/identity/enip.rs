//! EtherNet/IP: what devices answer to ListIdentity.

use super::{Facts, Source, maker};
use crate::packet::Address;
use crate::protocol::Carrier;
use crate::protocol::signature::Application;
use crate::record::table::Attribute;

/// The answer: a datagram, as it is asked for by broadcast, or the beginning of a stream.
pub static SOURCE: Source = Source {
    application: Application::Enip,
    carriers: &[Carrier::Datagram, Carrier::Stream],
    name: "enip list identity",
    confidence: 0.9,
    clause: "CIP Networks Library volume 2, 2-4.2; volume 1, 5A-2.2",
    read,
};

/// Messages that are looked at.
const MESSAGES: usize = 16;
/// Items that are read of one answer.
const ITEMS: u16 = 8;
const LIST_IDENTITY: u16 = 0x0063;
/// Item type of an identity.
const IDENTITY: u16 = 0x000c;

fn read(data: &[u8], facts: &mut Facts<'_>) {
    let mut rest = data;
    // In a stream the session may be registered first.
    for _ in 0..MESSAGES {
        let Some((header, behind)) = rest.split_first_chunk::<24>() else { return };
        let [c0, c1, l0, l1, _, _, _, _, status @ ..] = *header;
        let length = usize::from(u16::from_le_bytes([l0, l1]));
        if u16::from_le_bytes([c0, c1]) == LIST_IDENTITY && status.starts_with(&[0; 4]) {
            items(behind.get(..length).unwrap_or(behind), facts);
        }
        rest = behind.get(length..).unwrap_or_default();
    }
}

fn items(list: &[u8], facts: &mut Facts<'_>) {
    let Some(([n0, n1], mut rest)) = list.split_first_chunk::<2>() else { return };
    for _ in 0..u16::from_le_bytes([*n0, *n1]).min(ITEMS) {
        let Some(([k0, k1, l0, l1], behind)) = rest.split_first_chunk::<4>() else { return };
        let length = usize::from(u16::from_le_bytes([*l0, *l1]));
        let Some(item) = behind.get(..length) else { return };
        if u16::from_le_bytes([*k0, *k1]) == IDENTITY {
            identity(item, facts);
        }
        rest = behind.get(length..).unwrap_or_default();
    }
}

fn identity(item: &[u8], facts: &mut Facts<'_>) {
    // Protocol version, and a socket address in network byte order: family, port, address, zeros.
    let Some((socket, object)) = item.split_first_chunk::<18>() else { return };
    let [_, _, _, _, _, _, a, b, c, d, ..] = *socket;
    let Some((fixed, name)) = object.split_first_chunk::<14>() else { return };
    let [v0, v1, t0, t1, _, _, major, minor, _, _, s0, s1, s2, s3] = *fixed;
    facts.say_ip(Address::v4([a, b, c, d]));
    if let Some(vendor) = maker::cip(u16::from_le_bytes([v0, v1])) {
        facts.say(Attribute::Vendor, vendor.as_bytes());
    }
    if let Some(role) = role(u16::from_le_bytes([t0, t1])) {
        facts.say(Attribute::Role, role.as_bytes());
    }
    facts.say(Attribute::Version, format!("{major}.{minor:03}").as_bytes());
    facts.say(Attribute::Serial, format!("{:08x}", u32::from_le_bytes([s0, s1, s2, s3])).as_bytes());
    if let [length, name @ ..] = name {
        facts.say(Attribute::Product, name.get(..usize::from(*length)).unwrap_or_default());
    }
}

/// Device profiles that tell what a device is for (volume 1, 6-7).
fn role(profile: u16) -> Option<&'static str> {
    Some(match profile {
        0x02 => "drive",
        0x07 => "remote input and output",
        0x0c => "communications adapter",
        0x0e => "plc",
        0x18 => "hmi",
        0x23 | 0x2a => "safety input and output",
        0x2c => "bridge",
        0x2e => "drive",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::identity::tests::{survives, told};

    const ANSWER: &[u8] = b"\x63\x00\x2e\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\
        \x0c\x00\x28\x00\x01\x00\x00\x02\xaf\x12\x0a\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x00\
        \x01\x00\x0e\x00\x36\x00\x14\x0b\x60\x31\xef\xbe\xad\xde\x061756-L\x03";

    #[test]
    fn a_controller_answers_its_identity() {
        let expected =
            ["address=10.0.0.7", "vendor=Rockwell Automation", "role=plc", "version=20.011", "serial=deadbeef", "product=1756-L"];
        assert_eq!(told(&SOURCE, ANSWER), expected);
        survives(&SOURCE, ANSWER);
    }

    #[test]
    fn an_identity_is_found_behind_the_session_s_registration() {
        let mut stream = b"\x65\x00\x04\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00".to_vec();
        stream.extend(ANSWER);
        assert_eq!(told(&SOURCE, &stream), told(&SOURCE, ANSWER));
        assert!(!told(&SOURCE, &stream).is_empty());
        // An answer with another status than success.
        let mut refused = ANSWER.to_vec();
        refused[8] = 1;
        assert!(told(&SOURCE, &refused).is_empty());
    }
}
