//! A data type dictionary that a server of OPC UA hands out (OPC 10000-3, annex C).
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::protocol::opcua::binary::structure::{DEFINITIONS, Definitions};

fuzz_target!(|data: &[u8]| {
    let mut definitions = Definitions::default();
    let standard = definitions.len();
    let told = definitions.learn_dictionary(data);
    assert!(told <= data.len() && definitions.len() <= (standard + told).min(DEFINITIONS));
    // The same again changes nothing.
    let known = definitions.len();
    definitions.learn_dictionary(data);
    assert_eq!(definitions.len(), known);
});
