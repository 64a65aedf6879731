//! DHCP: who asks for an address, and which one it is given.

use super::{Facts, Source};
use crate::packet::Address;
use crate::protocol::Carrier;
use crate::protocol::signature::Application;
use crate::record::table::Attribute;

/// Names, classes and addresses of clients; the router that servers tell of.
pub static SOURCE: Source = Source {
    application: Application::Dhcp,
    carriers: &[Carrier::Datagram],
    name: "dhcp",
    confidence: 0.8,
    clause: "RFC 2131, 2; RFC 2132, 3.5, 3.14, 9.6, 9.8 and 9.13; RFC 4702, 2",
    read,
};

/// Options that are read of one message.
const OPTIONS: usize = 128;
/// Message type: the server gives the address.
const ACKNOWLEDGED: u8 = 5;

fn read(data: &[u8], facts: &mut Facts<'_>) {
    let Some((header, [0x63, 0x82, 0x53, 0x63, options @ ..])) = data.split_first_chunk::<236>() else { return };
    // Ethernet: hardware type 1, six bytes.
    let [operation @ (1 | 2), 1, 6, _, _, _, _, _, _, _, _, _, c0, c1, c2, c3, y0, y1, y2, y3, _, _, _, _, _, _, _, _, a, b, c, d, e, f, ..] =
        *header
    else {
        return;
    };
    let client = [a, b, c, d, e, f];
    let is_given = option(options, 53) == Some(&[ACKNOWLEDGED]) && operation == 2;
    let address = Address::v4(if is_given { [y0, y1, y2, y3] } else { [c0, c1, c2, c3] });
    facts.about(Some(client), (address != Address::v4([0; 4])).then_some(address));
    if is_given {
        facts.say_ip(address);
        if let Some([a, b, c, d, ..]) = option(options, 3) {
            facts.about(None, Some(Address::v4([*a, *b, *c, *d])));
            facts.say(Attribute::Role, b"router");
        }
    }
    if operation == 2 {
        return;
    }
    facts.say_padded(Attribute::Name, option(options, 12).unwrap_or_default());
    if let Some([flags, _, _, name @ ..]) = option(options, 81)
        // Names in the encoding of the domain name system are rare and not read.
        && flags & 0x04 == 0
        && option(options, 12).is_none()
    {
        facts.say_padded(Attribute::Name, name);
    }
    match option(options, 60) {
        Some(class) if class.starts_with(b"MSFT ") => facts.say(Attribute::Os, b"Windows"),
        Some(class) => facts.say_padded(Attribute::Product, class),
        None => {}
    }
    if let Some(asked) = option(options, 55) {
        let asked: Vec<String> = asked.iter().map(u8::to_string).collect();
        facts.say(Attribute::Fingerprint, asked.join(",").as_bytes());
    }
}

/// The content of an option's first occurrence.
fn option(options: &[u8], wanted: u8) -> Option<&[u8]> {
    let mut rest = options;
    for _ in 0..OPTIONS {
        match rest {
            [0, behind @ ..] => rest = behind,
            [255, ..] => return None,
            [code, length, behind @ ..] => {
                let content = behind.get(..usize::from(*length))?;
                if *code == wanted {
                    return Some(content);
                }
                rest = behind.get(usize::from(*length)..)?;
            }
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::identity::tests::{survives, told};

    fn message(operation: u8, given: [u8; 4], options: &[u8]) -> Vec<u8> {
        let mut message = vec![0; 236];
        message[..3].copy_from_slice(&[operation, 1, 6]);
        message[16..20].copy_from_slice(&given);
        message[28..34].copy_from_slice(&[0, 1, 2, 3, 4, 5]);
        message.extend(b"\x63\x82\x53\x63");
        message.extend(options);
        message
    }

    #[test]
    fn a_client_tells_its_name_and_a_server_the_client_s_address() {
        let asked = message(1, [0; 4], b"\x35\x01\x03\x00\x0c\x05plc-1\x3c\x08MSFT 5.0\x37\x02\x01\x03\xff");
        assert_eq!(
            told(&SOURCE, &asked),
            ["00:01:02:03:04:05 name=plc-1", "00:01:02:03:04:05 os=Windows", "00:01:02:03:04:05 fingerprint=1,3"]
        );
        let given = message(2, [10, 0, 0, 9], b"\x35\x01\x05\x03\x04\x0a\x00\x00\x01\xff");
        assert_eq!(told(&SOURCE, &given), ["00:01:02:03:04:05 10.0.0.9 address=10.0.0.9", "10.0.0.1 role=router"]);
        let offered = message(2, [10, 0, 0, 9], b"\x35\x01\x02\xff");
        assert!(told(&SOURCE, &offered).is_empty());
        survives(&SOURCE, &asked);
    }
}
