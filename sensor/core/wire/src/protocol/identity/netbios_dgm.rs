//! NetBIOS datagrams: the name of who sends them.

use super::{Facts, Source, netbios_ns};
use crate::protocol::Carrier;
use crate::protocol::signature::Application;
use crate::record::table::Attribute;

/// Source name.
pub static SOURCE: Source = Source {
    application: Application::NetbiosDgm,
    carriers: &[Carrier::Datagram],
    name: "netbios datagram",
    confidence: 0.8,
    clause: "RFC 1002, 4.4.2",
    read,
};

fn read(data: &[u8], facts: &mut Facts<'_>) {
    // Direct, to a group, or to all; the source name follows the header.
    if let [0x10..=0x12, ..] = data
        && let Some((name, 0x00 | 0x20)) = data.get(14..).and_then(netbios_ns::decoded)
    {
        facts.say(Attribute::Name, &name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::identity::tests::{survives, told};

    #[test]
    fn a_sender_is_named() {
        let datagram = b"\x11\x02\x00\x01\x0a\x00\x00\x01\x00\x8a\x00\x44\x00\x00\x20EIENEJCACACACACACACACACACACACAAA\x00";
        assert_eq!(told(&SOURCE, datagram), ["name=HMI"]);
        survives(&SOURCE, datagram);
    }
}
