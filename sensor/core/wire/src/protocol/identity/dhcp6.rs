//! DHCP for IPv6: the name that a client asks to be known by.

use super::{Facts, Source};
use crate::protocol::Carrier;
use crate::protocol::signature::Application;
use crate::protocol::signature::layer::field::be16;
use crate::record::table::Attribute;

/// Names and classes of clients.
pub static SOURCE: Source = Source {
    application: Application::Dhcp,
    carriers: &[Carrier::Datagram],
    name: "dhcpv6",
    confidence: 0.8,
    clause: "RFC 8415, 8, 21.1 and 21.16; RFC 4704, 4",
    read,
};

/// Options that are read of one message.
const OPTIONS: usize = 64;

fn read(data: &[u8], facts: &mut Facts<'_>) {
    // What clients send: solicit, request, confirm, renew, rebind; version 4 begins with 1 or 2 too, and then has its own cookie.
    let [1 | 3..=6, _, _, _, options @ ..] = data else { return };
    if data.get(236..240) == Some(&[0x63, 0x82, 0x53, 0x63]) {
        return;
    }
    let mut rest = options;
    for _ in 0..OPTIONS {
        let (Some(code), Some(length)) = (be16(rest, 0), be16(rest, 2)) else { return };
        let Some(content) = rest.get(4..4 + usize::from(length)) else { return };
        match (code, content) {
            // Flags, then labels.
            (39, [_, labels @ ..]) => facts.say(Attribute::Name, name(labels).as_bytes()),
            // Enterprise number, then classes with their length.
            (16, [_, _, _, _, _, _, class @ ..]) if class.starts_with(b"MSFT ") => facts.say(Attribute::Os, b"Windows"),
            (16, [_, _, _, _, _, _, class @ ..]) => facts.say(Attribute::Product, class),
            _ => {}
        }
        rest = rest.get(4 + usize::from(length)..).unwrap_or_default();
    }
}

/// A name of labels without compression (RFC 1035, 3.1).
fn name(labels: &[u8]) -> String {
    let mut name = String::new();
    let mut rest = labels;
    while let [length @ 1..=63, behind @ ..] = rest {
        let Some(label) = behind.get(..usize::from(*length)) else { break };
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(&String::from_utf8_lossy(label));
        rest = behind.get(usize::from(*length)..).unwrap_or_default();
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::identity::tests::{survives, told};

    #[test]
    fn a_client_asks_for_its_name() {
        let solicit = b"\x01\x00\x00\x01\x00\x08\x00\x02\x00\x00\x00\x27\x00\x0a\x00\x04host\x03lan\x00";
        assert_eq!(told(&SOURCE, solicit), ["name=host.lan"]);
        survives(&SOURCE, solicit);
    }
}
