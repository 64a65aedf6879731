//! LLDP: what switches and controllers announce of themselves to their neighbours.

use super::{Facts, Source};
use crate::packet::Address;
use crate::protocol::Carrier;
use crate::protocol::signature::Application;
use crate::record::table::Attribute;

/// Names, descriptions, capabilities and addresses.
pub static SOURCE: Source = Source {
    application: Application::Lldp,
    carriers: &[Carrier::Frame],
    name: "lldp",
    confidence: 0.8,
    clause: "IEEE 802.1AB, 8.5; ANSI/TIA-1057, 10.2; IEC 61158-6-10, 4.12",
    read,
};

/// Elements that are read of one frame.
const ELEMENTS: usize = 128;
/// Bits of the capabilities that are enabled (8.5.8.1), and the word for each.
const CAPABILITIES: [(u16, &str); 6] =
    [(0x04, "bridge"), (0x08, "wireless access point"), (0x10, "router"), (0x20, "telephone"), (0x40, "cable modem"), (0x80, "station")];

fn read(data: &[u8], facts: &mut Facts<'_>) {
    let mut rest = data;
    for _ in 0..ELEMENTS {
        let Some(([h0, h1], behind)) = rest.split_first_chunk::<2>() else { return };
        let header = u16::from_be_bytes([*h0, *h1]);
        let length = usize::from(header & 0x01ff);
        let Some(value) = behind.get(..length) else { return };
        element(header >> 9, value, facts);
        if header >> 9 == 0 {
            return;
        }
        rest = behind.get(length..).unwrap_or_default();
    }
}

fn element(kind: u16, value: &[u8], facts: &mut Facts<'_>) {
    match (kind, value) {
        // Chassis by hardware address; the frame's own is that of the port.
        (1, [4, mac @ ..]) => {
            if let Ok(mac) = mac.try_into() {
                facts.say_mac(mac);
            }
        }
        (5, name) => facts.say(Attribute::Name, name),
        (6, description) => facts.say(Attribute::Product, description),
        (7, [_, _, e0, e1]) => {
            let enabled = u16::from_be_bytes([*e0, *e1]);
            for (_, word) in CAPABILITIES.iter().filter(|(bit, _)| enabled & bit != 0).take(1) {
                facts.say(Attribute::Role, word.as_bytes());
            }
        }
        // Address family of IANA: 1 IPv4.
        (8, [5, 1, a, b, c, d, ..]) => facts.say_ip(Address::v4([*a, *b, *c, *d])),
        (127, [0x00, 0x12, 0xbb, kind, text @ ..]) => match kind {
            6 | 7 => facts.say(Attribute::Version, text),
            8 => facts.say(Attribute::Serial, text),
            9 => facts.say(Attribute::Vendor, text),
            10 => facts.say(Attribute::Product, text),
            _ => {}
        },
        (127, [0x00, 0x0e, 0xcf, 0x05, a, b, c, d, e, f]) => facts.say_mac([*a, *b, *c, *d, *e, *f]),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::identity::tests::{survives, told};

    const FRAME: &[u8] = b"\x02\x07\x04\x00\x80\xf4\x01\x02\x03\x04\x03\x05\x70\x31\x06\x02\x00\x78\x0a\x03sw1\x0c\x06Switch\
        \x0e\x04\x00\x14\x00\x04\x10\x0c\x05\x01\x0a\x00\x00\x01\x02\x00\x00\x00\x01\x00\xfe\x07\x00\x12\xbb\x08S42\x00\x00\x0a\x01x";

    #[test]
    fn a_switch_announces_itself() {
        let expected = ["address=00:80:f4:01:02:03", "name=sw1", "product=Switch", "role=bridge", "address=10.0.0.1", "serial=S42"];
        assert_eq!(told(&SOURCE, FRAME), expected);
        survives(&SOURCE, FRAME);
    }
}
