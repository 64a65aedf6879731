//! PROFINET DCP: what stations answer when they are asked who they are.

use super::{Facts, Source, maker};
use crate::packet::Address;
use crate::protocol::Carrier;
use crate::protocol::signature::Application;
use crate::record::table::Attribute;

/// Name and type of the station, maker, role and address.
pub static SOURCE: Source = Source {
    application: Application::ProfinetDcp,
    carriers: &[Carrier::Frame],
    name: "profinet dcp",
    confidence: 0.9,
    clause: "IEC 61158-6-10, 4.3",
    read,
};

/// Blocks that are read of one frame.
const BLOCKS: usize = 64;

fn read(data: &[u8], facts: &mut Facts<'_>) {
    // Responses with success (service type 1), and hello, which a station sends unasked; both have an information word in each block.
    let ([0xfe, 0xfd..=0xff, 0x03..=0x05, 0x01, ..] | [0xfe, 0xfc, 0x06, 0x00, ..]) = data else { return };
    let Some((header, mut rest)) = data.split_first_chunk::<12>() else { return };
    let [.., l0, l1] = *header;
    rest = rest.get(..usize::from(u16::from_be_bytes([l0, l1]))).unwrap_or(rest);
    for _ in 0..BLOCKS {
        let Some(([option, sub_option, l0, l1], behind)) = rest.split_first_chunk::<4>() else { return };
        let length = usize::from(u16::from_be_bytes([*l0, *l1]));
        let Some(block) = behind.get(..length) else { return };
        if let Some(value) = block.get(2..) {
            station((*option, *sub_option), value, facts);
        }
        // Blocks begin at even places.
        rest = behind.get(length + length % 2..).unwrap_or_default();
    }
}

fn station(block: (u8, u8), value: &[u8], facts: &mut Facts<'_>) {
    match (block, value) {
        ((1, 1), mac) => {
            if let Ok(mac) = mac.try_into() {
                facts.say_mac(mac);
            }
        }
        ((1, 2), [a, b, c, d, ..]) => facts.say_ip(Address::v4([*a, *b, *c, *d])),
        ((2, 1), text) => facts.say_padded(Attribute::Product, text),
        ((2, 2), name) => facts.say_padded(Attribute::Name, name),
        ((2, 3), [v0, v1, ..]) => {
            if let Some(name) = maker::profinet(u16::from_be_bytes([*v0, *v1])) {
                facts.say(Attribute::Vendor, name.as_bytes());
            }
        }
        // The highest of the roles that it has.
        ((2, 4), [roles, ..]) => {
            let words = [(0x02, "profinet controller"), (0x08, "profinet supervisor"), (0x01, "profinet device"), (0x04, "profinet device")];
            if let Some((_, word)) = words.iter().find(|(bit, _)| roles & bit != 0) {
                facts.say(Attribute::Role, word.as_bytes());
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::identity::tests::{survives, told};

    const ANSWER: &[u8] = b"\xfe\xff\x05\x01\x00\x00\x00\x01\x00\x00\x00\x38\x02\x01\x00\x09\x00\x00S7-1200\x00\
        \x02\x02\x00\x05\x00\x00plc\x00\x02\x03\x00\x06\x00\x00\x00\x2a\x01\x01\x02\x04\x00\x04\x00\x00\x02\x00\
        \x01\x02\x00\x0e\x00\x01\xc0\xa8\x00\x01\xff\xff\xff\x00\x00\x00\x00\x00";

    #[test]
    fn a_station_answers_who_it_is_and_one_that_asks_says_nothing() {
        let expected = ["product=S7-1200", "name=plc", "vendor=Siemens", "role=profinet controller", "address=192.168.0.1"];
        let mut answer = ANSWER.to_vec();
        answer[11] = (ANSWER.len() - 12) as u8;
        assert_eq!(told(&SOURCE, &answer), expected);
        answer[3] = 0;
        assert!(told(&SOURCE, &answer).is_empty());
        survives(&SOURCE, ANSWER);
    }
}
