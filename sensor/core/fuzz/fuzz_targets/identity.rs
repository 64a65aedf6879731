//! Any bytes to everything that looks at first bytes: each signature, each source of device facts, the name that a TLS client asks for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::device::Device;
use wire::protocol::identity::{Facts, SOURCES, TEXT_BYTES};
use wire::protocol::signature::{Match, SIGNATURES, registry, tls};
use wire::protocol::{Carrier, Side, modbus, opcua};
use wire::record::table::Attribute;

/// Facts that a source may find in so many bytes: each of them stands somewhere, and a few are concluded.
fn facts_at_most(bytes: usize) -> usize {
    bytes + 16
}

fuzz_target!(|data: &[u8]| {
    for carrier in [Carrier::Stream, Carrier::Datagram] {
        let found = registry().look(carrier, data);
        let first = SIGNATURES.iter().find(|signature| signature.look(carrier, data) == Match::Certain);
        assert_eq!(found.certain, first.map(|signature| signature.application));
    }
    for signature in SIGNATURES.iter().filter(|signature| !signature.ether_types.is_empty()) {
        let _ = signature.look(Carrier::Frame, data);
    }
    for source in SOURCES {
        let mut facts = 0;
        let mut learn = |_: Option<Device>, _: Attribute, value: &str| {
            facts += 1;
            assert!(
                !value.is_empty() && value.len() <= TEXT_BYTES && !value.contains(char::is_control),
                "{}: {value:?}",
                source.name
            );
        };
        (source.read)(data, &mut Facts::new(&mut learn));
        assert!(facts <= facts_at_most(data.len()), "{}: {facts} facts", source.name);
    }
    if let tls::ServerName::Named(name) = tls::server_name(data) {
        assert!(name.len() <= tls::SERVER_NAME_BYTES && name.bytes().all(|byte| byte.is_ascii_graphic()));
    }
    for is_whole in [false, true] {
        let _ = modbus::probe(Side::Client, data, is_whole);
        let _ = modbus::probe(Side::Server, data, is_whole);
    }
    let _ = opcua::probe(data);
});
