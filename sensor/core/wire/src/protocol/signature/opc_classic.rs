//! OPC Classic over DCOM: data access, alarms and events, historical data.

use super::layer::rpc;
use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    is_industrial: true,
    stream,
    examples: &[
        Example { carrier: Carrier::Stream, bytes: b"\x05\x00\x0b\x03\x10\x00\x00\x00\x48\x00\x00\x00\x01\x00\x00\x00\xd0\x16\xd0\x16\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x01\x00\x4d\x3a\xc1\x39\x1e\x01\xd0\x11\x96\x75\x00\x20\xaf\xd8\xad\xb3\x00\x00\x00\x00\x04\x5d\x88\x8a\xeb\x1c\xc9\x11\x9f\xe8\x08\x00\x2b\x10\x48\x60\x02\x00\x00\x00" },
    ],
    ..Signature::new(Application::OpcClassic, "OPC Data Access 3.00, annex (IDL); OPC Common 1.10, 4; C706, 12.6.4.3")
};

/// First three fields of an interface without their running number, and the rest of it.
const FAMILIES: [([u8; 3], [u8; 12]); 6] = [
    // Data access: 39c13a..-011e-11d0-9675-0020afd8adb3.
    ([0x39, 0xc1, 0x3a], [0x01, 0x1e, 0x11, 0xd0, 0x96, 0x75, 0x00, 0x20, 0xaf, 0xd8, 0xad, 0xb3]),
    // Common: f31dfd..-07b6-11d2-b2d8-0060083ba1fb.
    ([0xf3, 0x1d, 0xfd], [0x07, 0xb6, 0x11, 0xd2, 0xb2, 0xd8, 0x00, 0x60, 0x08, 0x3b, 0xa1, 0xfb]),
    // Historical data: 1f1217..-dee0-11d2-a5e5-000086339399.
    ([0x1f, 0x12, 0x17], [0xde, 0xe0, 0x11, 0xd2, 0xa5, 0xe5, 0x00, 0x00, 0x86, 0x33, 0x93, 0x99]),
    // Alarms and events: 651688..-5783-11d1-84a0-00608cb8a7e9.
    ([0x65, 0x16, 0x88], [0x57, 0x83, 0x11, 0xd1, 0x84, 0xa0, 0x00, 0x60, 0x8c, 0xb8, 0xa7, 0xe9]),
    // Server lists: 13486d..-4821-11d2-a494-3cb306c10000 and 9dd0b5..-ad9e-43ee-8305-487f3188bf7a.
    ([0x13, 0x48, 0x6d], [0x48, 0x21, 0x11, 0xd2, 0xa4, 0x94, 0x3c, 0xb3, 0x06, 0xc1, 0x00, 0x00]),
    ([0x9d, 0xd0, 0xb5], [0xad, 0x9e, 0x43, 0xee, 0x83, 0x05, 0x48, 0x7f, 0x31, 0x88, 0xbf, 0x7a]),
];

/// A DCE/RPC stream that binds to one of its interfaces first. One that binds to another first is named `dcerpc`.
fn stream(data: &[u8]) -> Match {
    Match::certain_if(is_bound(data))
}

/// Whether a stream binds to an interface of OPC.
pub(super) fn is_bound(data: &[u8]) -> bool {
    rpc::bound(data).any(|interface| {
        let [a, b, c, _, tail @ ..] = interface;
        FAMILIES.contains(&([a, b, c], tail))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_interface_is_not_opc_s() {
        let mut bind = SIGNATURE.examples[0].bytes.to_vec();
        bind[36] ^= 1;
        assert_eq!(stream(&bind), Match::No);
    }
}
