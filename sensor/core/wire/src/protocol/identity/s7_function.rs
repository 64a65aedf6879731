//! S7 communication: who asks for what only programming tools ask for.

use super::{Facts, Source};
use crate::protocol::Carrier;
use crate::protocol::signature::Application;
use crate::protocol::signature::layer::tpkt::{Unit, units};
use crate::record::table::Attribute;

/// Transfers of program blocks, starts and stops of controllers.
pub static SOURCE: Source = Source {
    application: Application::S7comm,
    carriers: &[Carrier::Stream],
    name: "s7 function",
    confidence: 0.8,
    clause: "Siemens S7 communication, functions 1a (request download), 1d to 1f (upload), 28 (program invocation) and 29 (stop) as Wireshark's \
             packet-s7comm.c has them",
    read,
};

fn read(data: &[u8], facts: &mut Facts<'_>) {
    for unit in units(data) {
        // A job, whose parameters begin with the function. While a block is downloaded the controller asks for its parts: that is left out.
        let Unit::Data([0x32, 0x01, _, _, _, _, _, _, _, _, function, ..]) = unit else { continue };
        let role = match function {
            0x1a | 0x1d..=0x1f => "transfers S7 blocks",
            0x28 | 0x29 => "starts or stops an S7 controller",
            _ => continue,
        };
        facts.say(Attribute::Role, role.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::identity::tests::{survives, told};

    /// A job or an answer with this function.
    fn unit(kind: u8, function: u8) -> Vec<u8> {
        vec![3, 0, 0, 19, 2, 0xf0, 0x80, 0x32, kind, 0, 0, 0, 1, 0, 2, 0, 0, function, 0]
    }

    #[test]
    fn who_transfers_blocks_or_stops_a_controller_programs_it_and_who_reads_does_not() {
        assert_eq!(told(&SOURCE, &unit(1, 0x1a)), ["role=transfers S7 blocks"]);
        assert_eq!(told(&SOURCE, &[unit(1, 0x04), unit(1, 0x29)].concat()), ["role=starts or stops an S7 controller"]);
        // Reads, writes, the controller's own question for a block's part, and answers.
        for (kind, function) in [(1, 0x04), (1, 0x05), (1, 0xf0), (1, 0x1b), (3, 0x1a), (3, 0x29)] {
            assert!(told(&SOURCE, &unit(kind, function)).is_empty());
        }
        survives(&SOURCE, &unit(1, 0x1d));
    }
}
