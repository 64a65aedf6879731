//! OPC UA message bodies: literal bytes of an independent encoder (asyncua) in, statements out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails says so by panicking"
)]

use wire::protocol::opcua::service::{Decoded, Operand, Service, decode};

/// Bytes of hexadecimal digits.
fn bytes(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2));
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// Decodes a body that must be whole and regular.
fn whole<'a>(body: &'a [u8]) -> (Decoded<'a>, Vec<Operand<'a>>) {
    let mut operands = Vec::new();
    let (decoded, result) = decode(body, &mut |operand| operands.push(*operand));
    assert_eq!(result, Ok(body.len()));
    assert_eq!(decoded.irregular, None);
    (decoded, operands)
}

#[test]
fn a_read_request_names_nodes_and_attributes() {
    let body = bytes(concat!(
        "01007702000980004074947bdc010700000000000000ffffffffa00f00000000000000000000000000020000000100",
        "00000302000a00000054616e6b2e4c6576656c0d000000ffffffff0000ffffffff"
    ));
    let (decoded, operands) = whole(&body);
    assert_eq!((decoded.service, decoded.is_response, decoded.operations), (Some(Service::Read), false, 1));
    let header = decoded.request.unwrap();
    assert_eq!((header.request_handle, header.timeout_hint), (7, 4000));
    assert_eq!(header.timestamp, Some(1_767_323_045_000_000_000));
    let [Operand::ReadOptions { timestamps: 2, .. }, Operand::ReadItem(item)] = operands[..] else { panic!("{operands:?}") };
    let mut node = String::new();
    item.node.write_text(&mut node);
    assert_eq!((node.as_str(), item.attribute, item.index_range), ("ns=2;s=Tank.Level", 13, None));
}

#[test]
fn a_read_response_gives_values() {
    let body = bytes("01007a0280004074947bdc010700000000000000000000000000000001000000030b00000000008035400000000000000000");
    let (decoded, operands) = whole(&body);
    assert_eq!((decoded.service, decoded.is_response, decoded.operations), (Some(Service::Read), true, 1));
    assert_eq!(decoded.response.unwrap().request_handle, 7);
    let [Operand::ReadResult(result)] = operands[..] else { panic!("{operands:?}") };
    assert_eq!((result.status, result.value.unwrap().number()), (0, Some(21.5)));
}

#[test]
fn a_write_request_gives_nodes_and_values() {
    let body = bytes(concat!(
        "0100a102000980004074947bdc010700000000000000ffffffffa00f000000000001000000",
        "0302000a00000054616e6b2e4c6576656c0d000000ffffffff030b000000000080354000000000"
    ));
    let (decoded, operands) = whole(&body);
    assert_eq!((decoded.service, decoded.is_response, decoded.operations), (Some(Service::Write), false, 1));
    let [Operand::WriteItem(item)] = operands[..] else { panic!("{operands:?}") };
    assert_eq!(item.value.value.unwrap().number(), Some(21.5));
    assert_eq!(item.value.value.unwrap().type_name(), "Double");
}
