//! BACnet: what devices announce (I-Am), and what they answer of their device object.

use super::{Facts, Source, maker};
use crate::packet::Address;
use crate::protocol::Carrier;
use crate::protocol::signature::Application;
use crate::record::table::Attribute;

/// I-Am, and answers to ReadProperty and ReadPropertyMultiple.
pub static SOURCE: Source = Source {
    application: Application::Bacnet,
    carriers: &[Carrier::Datagram],
    name: "bacnet",
    confidence: 0.9,
    clause: "ANSI/ASHRAE 135, 6.2, 12.11, 15.5, 15.7, 16.10, 20.2 and J.2",
    read,
};

/// Elements that are read of one message.
const ELEMENTS: usize = 256;
/// Object type of a device.
const DEVICE: u32 = 8;

fn read(data: &[u8], facts: &mut Facts<'_>) {
    let network = match data {
        // A broadcast management device passes on what another one sent, whose address it tells.
        [0x81, 0x04, _, _, a, b, c, d, _, _, rest @ ..] => {
            facts.about(None, Some(Address::v4([*a, *b, *c, *d])));
            rest
        }
        [0x81, 0x09..=0x0b, _, _, rest @ ..] => rest,
        _ => return,
    };
    match application(network) {
        Some([0x10, 0x00, elements @ ..]) => announced(elements, facts),
        // An answer in one segment: invoke identifier, service.
        Some([0x30, _, 0x0c, elements @ ..]) => property(elements, facts),
        Some([0x30, _, 0x0e, elements @ ..]) => properties(elements, facts),
        _ => {}
    }
}

/// The application's part of a network message; none where the network layer speaks itself or passes on another network's.
fn application(network: &[u8]) -> Option<&[u8]> {
    let [0x01, control, rest @ ..] = network else { return None };
    if control & 0x88 != 0 {
        return None;
    }
    if control & 0x20 == 0 {
        return Some(rest);
    }
    let [_, _, length, behind @ ..] = rest else { return None };
    // Destination address, hop count.
    behind.get(usize::from(*length) + 1..)
}

/// A tagged element: number, whether it is of the context, content; opening and closing tags have none.
struct Element<'a> {
    tag: u8,
    is_context: bool,
    is_bracket: bool,
    content: &'a [u8],
}

/// Takes the next element off (20.2.1).
fn next<'a>(rest: &mut &'a [u8]) -> Option<Element<'a>> {
    let [first, behind @ ..] = *rest else { return None };
    let (is_context, value) = (first & 0x08 != 0, first & 0x07);
    let (tag, behind) = if first >> 4 == 0x0f { (*behind.first()?, behind.get(1..)?) } else { (first >> 4, behind) };
    let is_bracket = is_context && value >= 6;
    let (length, behind) = match (value, behind) {
        _ if is_bracket => (0, behind),
        // Truth is in the tag itself.
        _ if !is_context && tag == 1 => (0, behind),
        (5, [254, l0, l1, behind @ ..]) => (usize::from(u16::from_be_bytes([*l0, *l1])), behind),
        (5, [255, ..]) => return None,
        (5, [length, behind @ ..]) => (usize::from(*length), behind),
        (5.., _) => return None,
        (length, behind) => (usize::from(length), behind),
    };
    let content = behind.get(..length)?;
    *rest = behind.get(length..)?;
    Some(Element { tag, is_context, is_bracket, content })
}

fn number(content: &[u8]) -> u32 {
    content.iter().take(4).fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}

/// Whether this is the identifier of a device object: type in ten bits, instance in twenty-two; and its instance.
fn device(content: &[u8]) -> Option<u32> {
    let identifier = number(content);
    (content.len() == 4 && identifier >> 22 == DEVICE).then_some(identifier & 0x003f_ffff)
}

/// Object identifier, longest message, segmentation, vendor.
fn announced(mut elements: &[u8], facts: &mut Facts<'_>) {
    let elements = &mut elements;
    let (Some(object), Some(_), Some(_), Some(vendor)) = (next(elements), next(elements), next(elements), next(elements)) else {
        return;
    };
    if let Some(instance) = device(object.content).filter(|_| object.tag == 12 && vendor.tag == 2) {
        facts.say(Attribute::Address, format!("bacnet device {instance}").as_bytes());
        if let Some(name) = maker::bacnet(number(vendor.content)) {
            facts.say(Attribute::Vendor, name.as_bytes());
        }
    }
}

/// Object, property, perhaps an index, and the value within brackets (15.5.1).
fn property(mut elements: &[u8], facts: &mut Facts<'_>) {
    let elements = &mut elements;
    let (Some(object), Some(property)) = (next(elements), next(elements)) else { return };
    if device(object.content).is_none() {
        return;
    }
    while let Some(element) = next(elements) {
        if !element.is_context {
            value(number(property.content), &element, facts);
            return;
        }
    }
}

/// For each object within brackets: property (2), perhaps an index (3), the value (4) or an error (5) within brackets (15.7.1).
fn properties(mut elements: &[u8], facts: &mut Facts<'_>) {
    let (mut is_device, mut property) = (false, None);
    for _ in 0..ELEMENTS {
        let Some(element) = next(&mut elements) else { return };
        match (element.is_context, element.is_bracket, element.tag) {
            (true, false, 0) => is_device = device(element.content).is_some(),
            (true, false, 2) => property = Some(number(element.content)),
            (false, _, _) if is_device => {
                if let Some(property) = property.take() {
                    value(property, &element, facts);
                }
            }
            _ => {}
        }
    }
}

/// A property of a device object (12.11), where it is text of UTF-8 (character set 0).
fn value(property: u32, element: &Element<'_>, facts: &mut Facts<'_>) {
    let attribute = match property {
        121 => Attribute::Vendor,
        70 => Attribute::Product,
        12 | 44 => Attribute::Version,
        77 => Attribute::Name,
        372 => Attribute::Serial,
        _ => return,
    };
    if let (7, [0, text @ ..]) = (element.tag, element.content) {
        facts.say(attribute, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::identity::tests::{survives, told};

    const I_AM: &[u8] = b"\x81\x0b\x00\x19\x01\x20\xff\xff\x00\xff\x10\x00\xc4\x02\x00\x04\xd2\x22\x05\xc4\x91\x03\x22\x01\x04";
    const READ: &[u8] = b"\x81\x0a\x00\x19\x01\x00\x30\x01\x0c\x0c\x02\x00\x04\xd2\x19\x46\x3e\x75\x04\x00\x41\x42\x43\x3f\x00";
    const READ_MANY: &[u8] = b"\x81\x0a\x00\x20\x01\x00\x30\x01\x0e\x0c\x02\x00\x00\x01\x1e\x29\x79\x4e\x73\x00AB\x4f\
        \x29\x4d\x5e\x91\x02\x91\x20\x5f\x29\x2c\x4e\x73\x00V1\x4f\x1f";

    #[test]
    fn a_device_announces_and_answers_of_itself() {
        assert_eq!(told(&SOURCE, I_AM), ["address=bacnet device 1234", "vendor=BACnet Stack at SourceForge"]);
        assert_eq!(told(&SOURCE, READ), ["product=ABC"]);
        // An error consumes its property: what follows belongs to the next one.
        assert!(told(&SOURCE, READ_MANY).starts_with(&["vendor=AB".to_owned()]));
        assert!(told(&SOURCE, READ_MANY).contains(&"version=V1".to_owned()));
        survives(&SOURCE, I_AM);
        survives(&SOURCE, READ_MANY);
    }

    #[test]
    fn what_is_passed_on_is_about_its_sender_and_another_network_s_says_nothing() {
        let forwarded = [&b"\x81\x04\x00\x1f\x0a\x00\x00\x09\xba\xc0"[..], &I_AM[4..]].concat();
        assert_eq!(told(&SOURCE, &forwarded)[0], "10.0.0.9 address=bacnet device 1234");
        let mut routed = I_AM.to_vec();
        routed[5] |= 0x08;
        assert!(told(&SOURCE, &routed).is_empty());
    }
}
