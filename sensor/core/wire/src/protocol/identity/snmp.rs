//! SNMP: what agents answer of their system and their physical parts. Version 3 encrypts it or wraps it further and is not read.

use super::{Facts, Source, maker};
use crate::protocol::Carrier;
use crate::protocol::signature::Application;
use crate::record::table::Attribute;

/// System group and physical entities.
pub static SOURCE: Source = Source {
    application: Application::Snmp,
    carriers: &[Carrier::Datagram],
    name: "snmp",
    confidence: 0.9,
    clause: "RFC 3416, 3; RFC 3418, 2; RFC 6933, 3; X.690, 8",
    read,
};

/// Variables that are read of one message.
const VARIABLES: usize = 64;
/// Object identifiers in their encoding: `system` (1.3.6.1.2.1.1), columns of `entPhysicalEntry` (1.3.6.1.2.1.47.1.1.1.1), enterprises.
const SYSTEM: &[u8] = &[0x2b, 6, 1, 2, 1, 1];
const ENTITY: &[u8] = &[0x2b, 6, 1, 2, 1, 47, 1, 1, 1, 1];
const ENTERPRISES: &[u8] = &[0x2b, 6, 1, 4, 1];

fn read(data: &[u8], facts: &mut Facts<'_>) {
    let _ = message(data, facts);
}

fn message(data: &[u8], facts: &mut Facts<'_>) -> Option<()> {
    let mut body = take(&mut { data }, 0x30)?;
    let version = take(&mut body, 0x02)?;
    if !matches!(version, [0 | 1]) {
        return None;
    }
    take(&mut body, 0x04)?;
    // A response (2), or a notification of version 2 (7): request, error, index, variables.
    let mut pdu = take(&mut { body }, 0xa2).or_else(|| take(&mut body, 0xa7))?;
    for _ in 0..3 {
        take(&mut pdu, 0x02)?;
    }
    let mut variables = take(&mut pdu, 0x30)?;
    for _ in 0..VARIABLES {
        let mut variable = take(&mut variables, 0x30)?;
        let object = take(&mut variable, 0x06)?;
        let [tag, ..] = variable else { continue };
        let value = take(&mut { variable }, *tag)?;
        if let Some(column) = object.strip_prefix(SYSTEM) {
            system(column, *tag, value, facts);
        } else if let Some([column, _, ..]) = object.strip_prefix(ENTITY)
            && *tag == 0x04
        {
            entity(*column, value, facts);
        }
    }
    None
}

/// Takes a structure with this tag off, and gives its content.
fn take<'a>(rest: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (length, behind) = match *rest {
        [seen, ..] if *seen != tag => return None,
        [_, length @ 0..=0x7f, behind @ ..] => (usize::from(*length), behind),
        [_, 0x81, length, behind @ ..] => (usize::from(*length), behind),
        [_, 0x82, l0, l1, behind @ ..] => (usize::from(u16::from_be_bytes([*l0, *l1])), behind),
        _ => return None,
    };
    let content = behind.get(..length)?;
    *rest = behind.get(length..)?;
    Some(content)
}

fn system(column: &[u8], tag: u8, value: &[u8], facts: &mut Facts<'_>) {
    match (column, tag, value) {
        ([1, 0], 0x04, text) => facts.say(Attribute::Product, text),
        ([5, 0], 0x04, text) => facts.say(Attribute::Name, text),
        ([2, 0], 0x06, object) => {
            if let Some(name) = object.strip_prefix(ENTERPRISES).and_then(first_number).and_then(maker::enterprise) {
                facts.say(Attribute::Vendor, name.as_bytes());
            }
        }
        // Layers that it serves: the second, not the seventh, where applications are.
        ([7, 0], 0x02, [layers]) if layers & 0x40 == 0 => match layers & 0x06 {
            0x02 => facts.say(Attribute::Role, b"bridge"),
            0x04 | 0x06 => facts.say(Attribute::Role, b"router"),
            _ => {}
        },
        _ => {}
    }
}

fn entity(column: u8, value: &[u8], facts: &mut Facts<'_>) {
    let attribute = match column {
        9 | 10 => Attribute::Version,
        11 => Attribute::Serial,
        12 => Attribute::Vendor,
        13 => Attribute::Product,
        _ => return,
    };
    facts.say(attribute, value);
}

/// The first number of an object identifier's rest: seven bits in each byte, the last one without the eighth.
fn first_number(bytes: &[u8]) -> Option<u32> {
    let mut number = 0_u32;
    for byte in bytes.iter().take(4) {
        number = number << 7 | u32::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::identity::tests::{survives, told};

    fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        [&[tag, content.len() as u8][..], &content].concat()
    }

    fn answer(kind: u8) -> Vec<u8> {
        let variable = |object: &[u8], tag: u8, value: &[u8]| tlv(0x30, &[&tlv(6, &[object]), &tlv(tag, &[value])]);
        let variables = [
            variable(&[0x2b, 6, 1, 2, 1, 1, 1, 0], 4, b"EDS-405A"),
            variable(&[0x2b, 6, 1, 2, 1, 1, 2, 0], 6, &[0x2b, 6, 1, 4, 1, 0xc3, 0x73, 7]),
            variable(&[0x2b, 6, 1, 2, 1, 1, 7, 0], 2, &[2]),
            variable(&[0x2b, 6, 1, 2, 1, 47, 1, 1, 1, 1, 11, 1], 4, b"S1"),
        ];
        let numbers = tlv(2, &[&[1]]).repeat(3);
        let pdu = tlv(kind, &[&numbers, &tlv(0x30, &[&variables.concat()])]);
        tlv(0x30, &[&tlv(2, &[&[1]]), &tlv(4, &[b"public"]), &pdu])
    }

    #[test]
    fn an_agent_answers_of_its_system_and_a_question_says_nothing() {
        assert_eq!(told(&SOURCE, &answer(0xa2)), ["product=EDS-405A", "vendor=Moxa", "role=bridge", "serial=S1"]);
        assert!(told(&SOURCE, &answer(0xa0)).is_empty());
        survives(&SOURCE, &answer(0xa2));
    }
}
