//! S7 communication: as what a client opens its connection.

use super::{Facts, Source};
use crate::protocol::Carrier;
use crate::protocol::signature::Application;
use crate::protocol::signature::layer::tpkt::{Unit, called_selector, units};
use crate::record::table::Attribute;

/// The type of the connection that is asked for. Operator panels only: libraries ask for a programming device's whatever they do.
pub static SOURCE: Source = Source {
    application: Application::S7comm,
    carriers: &[Carrier::Stream],
    name: "s7 connection",
    confidence: 0.5,
    clause: "RFC 1006, 6; ISO 8073, 13.3.4 (called selector); Siemens, S7 connection types: 1 PG, 2 OP, 3 basic",
    read,
};

fn read(data: &[u8], facts: &mut Facts<'_>) {
    // A request; the confirmation repeats its selectors.
    let [0x03, 0x00, _, _, _, 0xe0, ..] = data else { return };
    if let Some(Unit::Connection(parameters)) = units(data).next()
        && let Some([0x02, _]) = called_selector(parameters)
    {
        facts.say(Attribute::Role, b"S7 operator panel");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::identity::tests::{survives, told};

    /// A connection request (0xe0) or confirmation (0xd0) to this selector.
    fn unit(code: u8, kind: u8) -> Vec<u8> {
        vec![3, 0, 0, 22, 17, code, 0, 0, 0, 1, 0, 0xc0, 1, 0x0a, 0xc1, 2, 1, 0, 0xc2, 2, kind, 2]
    }

    #[test]
    fn only_who_asks_for_an_operator_panel_s_connection_is_one() {
        assert_eq!(told(&SOURCE, &unit(0xe0, 2)), ["role=S7 operator panel"]);
        for other in [unit(0xe0, 1), unit(0xe0, 3), unit(0xd0, 2)] {
            assert!(told(&SOURCE, &other).is_empty());
        }
        survives(&SOURCE, &unit(0xe0, 2));
    }
}
