//! Built-in types of OPC UA from literal bytes, from an encoder of this test, and from any bytes at all.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails says so by panicking"
)]

use proptest::prelude::*;
use wire::protocol::opcua::binary::*;
use wire::protocol::opcua::service::decode as decode_message;
use wire::protocol::opcua::status;

fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

fn read<'a, T: Decode<'a>>(bytes: &'a [u8]) -> T {
    let mut reader = Reader::new(bytes);
    let value = T::decode(&mut reader).unwrap();
    assert_eq!((reader.left(), reader.irregular()), (0, None));
    value
}

fn fault<'a, T: Decode<'a> + std::fmt::Debug>(bytes: &'a [u8]) -> (FaultKind, &'static str) {
    let fault = T::decode(&mut Reader::new(bytes)).unwrap_err();
    (fault.kind, fault.clause)
}

fn text(variant: &Variant<'_>) -> String {
    let mut out = String::new();
    variant.value_text(&mut out, 200);
    out
}

/// Bytes of a variant, its type and its text.
#[test]
fn every_built_in_type_has_a_text() {
    let guid = [0x91, 0x2B, 0x96, 0x72, 0x75, 0xFA, 0xE6, 0x4A, 0x8D, 0x28, 0xB4, 0x04, 0xDC, 0x7D, 0xAF, 0x63];
    let cases: Vec<(Vec<u8>, &str, &str)> = vec![
        (vec![0], "Null", "null"),
        (vec![1, 1], "Boolean", "true"),
        (vec![2, 0xFF], "SByte", "-1"),
        (vec![3, 0xFF], "Byte", "255"),
        (vec![4, 0xFE, 0xFF], "Int16", "-2"),
        (vec![5, 0xFE, 0xFF], "UInt16", "65534"),
        (vec![6, 0, 0xCA, 0x9A, 0x3B], "Int32", "1000000000"),
        (vec![7, 0xFF, 0xFF, 0xFF, 0xFF], "UInt32", "4294967295"),
        ([&[8][..], &i64::MIN.to_le_bytes()].concat(), "Int64", "-9223372036854775808"),
        ([&[9][..], &u64::MAX.to_le_bytes()].concat(), "UInt64", "18446744073709551615"),
        (vec![10, 0, 0, 0xD0, 0xC0], "Float", "-6.5"),
        ([&[11][..], &1e300_f64.to_le_bytes()].concat(), "Double", "1e300"),
        ([&[12][..], &string("a\\\"水\n")].concat(), "String", "a\\\\\"水\\x0a"),
        (vec![12, 2, 0, 0, 0, b'a', 0xFF], "String", "a\\xff"),
        (vec![12, 0xFF, 0xFF, 0xFF, 0xFF], "String", "null"),
        ([&[13][..], &(116_444_736_000_000_000_i64 + 5_000_000).to_le_bytes()].concat(), "DateTime", "1970-01-01T00:00:00.5Z"),
        (vec![13, 0, 0, 0, 0, 0, 0, 0, 0], "DateTime", "null"),
        ([&[14][..], &guid].concat(), "Guid", "72962b91-fa75-4ae6-8d28-b404dc7daf63"),
        (vec![15, 2, 0, 0, 0, 0xAB, 1], "ByteString", "0xab01"),
        ([&[16][..], &string("<a/>")].concat(), "XmlElement", "<a/>"),
        (vec![17, 0, 0x72], "NodeId", "i=114"),
        (vec![17, 1, 5, 0x01, 0x04], "NodeId", "ns=5;i=1025"),
        (vec![17, 2, 5, 0, 1, 0, 1, 0], "NodeId", "ns=5;i=65537"),
        ([&[17, 3, 1, 0][..], &string("Hot水")].concat(), "NodeId", "ns=1;s=Hot水"),
        ([&[17, 4, 2, 0][..], &guid].concat(), "NodeId", "ns=2;g=72962b91-fa75-4ae6-8d28-b404dc7daf63"),
        (vec![17, 5, 0, 0, 2, 0, 0, 0, 0xAA, 0xBB], "NodeId", "b=qrs="),
        ([&[18, 0xC0, 9][..], &string("urn:a;b%"), &[3, 0, 0, 0]].concat(), "ExpandedNodeId", "svr=3;nsu=urn:a%3Bb%25;i=9"),
        (vec![19, 0, 0, 0x34, 0x80], "StatusCode", "BadNodeIdUnknown"),
        (vec![19, 0x80, 0x04, 0, 0], "StatusCode", "Good (0x00000480)"),
        (vec![19, 0, 0, 0xFE, 0x8F], "StatusCode", "Bad (0x8ffe0000)"),
        ([&[20, 2, 0][..], &string("Level")].concat(), "QualifiedName", "2:Level"),
        ([&[21, 3][..], &string("en"), &string("Level")].concat(), "LocalizedText", "Level"),
        (vec![22, 1, 0, 9, 0, 1, 1, 0, 0, 0, 7], "ExtensionObject", "i=9 (1 bytes)"),
        (vec![23, 3, 1, 1, 0, 0, 0x34, 0x80], "DataValue", "true BadNodeIdUnknown"),
        (vec![25, 0x20, 0, 0, 0x34, 0x80], "DiagnosticInfo", "null BadNodeIdUnknown"),
        (vec![26, 1, 0, 0, 0, 9], "ByteString", "0x09"),
        (vec![0x86, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0], "Int32", "[1, 2]"),
        ([&[0x8C, 1, 0, 0, 0][..], &string("a\"b")].concat(), "String", "[\"a\\\"b\"]"),
        (vec![0x98, 2, 0, 0, 0, 1, 0, 0x81, 1, 0, 0, 0, 1], "Variant", "[false, [true]]"),
    ];
    for (bytes, name, expected) in cases {
        let variant: Variant<'_> = read(&bytes);
        assert_eq!((variant.type_name(), text(&variant).as_str()), (name, expected), "{bytes:02x?}");
    }
}

#[test]
fn numbers_are_numbers_and_nothing_else_is() {
    let number = |bytes: &[u8]| read::<Variant<'_>>(bytes).number();
    assert_eq!(number(&[1, 1]), Some(1.0));
    assert_eq!(number(&[4, 0xFE, 0xFF]), Some(-2.0));
    assert_eq!(number(&[10, 0, 0, 0xD0, 0xC0]), Some(-6.5));
    assert_eq!(number(&[19, 0, 0, 0, 0]), None);
    assert_eq!(number(&[0x83, 1, 0, 0, 0, 7]), None);
}

#[test]
fn a_matrix_has_a_shape() {
    let dimensions = |a: u8, b: u8| vec![0xC3, 6, 0, 0, 0, 1, 2, 3, 4, 5, 6, 2, 0, 0, 0, a, 0, 0, 0, b, 0, 0, 0];
    let bytes = dimensions(2, 3);
    let matrix: Variant<'_> = read(&bytes);
    let mut shape = String::new();
    matrix.write_shape(&mut shape);
    assert_eq!((shape.as_str(), text(&matrix).as_str()), ("[2,3]", "[1, 2, 3, 4, 5, 6]"));
    let bytes = dimensions(2, 4);
    let mut reader = Reader::new(&bytes);
    Variant::decode(&mut reader).unwrap();
    assert_eq!(reader.irregular().map(|fault| (fault.kind(), fault.clause)), Some(("invalid_value", "OPC 10000-6, 5.2.2.16")));
}

#[test]
fn a_text_ends_at_its_limit_between_characters() {
    let bytes = [&[12][..], &string("水水水")].concat();
    for (limit, expected) in [(9, "水水水"), (8, "水水…"), (5, "水…"), (2, "…")] {
        let mut out = String::new();
        read::<Variant<'_>>(&bytes).value_text(&mut out, limit);
        assert_eq!(out, expected);
    }
}

#[test]
fn what_breaks_the_encoding_names_its_clause() {
    assert_eq!(fault::<Variant<'_>>(&[13, 0]), (FaultKind::Truncated, "OPC 10000-6, 5.2.2.5"));
    assert_eq!(fault::<Variant<'_>>(&[12, 0xFF, 0xFF, 0xFF, 0x7F]), (FaultKind::LengthTooLong, "OPC 10000-6, 5.2.2.4"));
    assert_eq!(fault::<Variant<'_>>(&[0x8B, 0xFF, 0xFF, 0xFF, 0x7F]), (FaultKind::LengthTooLong, "OPC 10000-6, 5.2.5"));
    assert_eq!(fault::<Variant<'_>>(&[0x20, 0]), (FaultKind::UnknownEncoding, "OPC 10000-6, 5.2.2.16"));
    assert_eq!(fault::<NodeId<'_>>(&[6, 0]), (FaultKind::UnknownEncoding, "OPC 10000-6, 5.2.2.9"));
    assert_eq!(fault::<NodeId<'_>>(&[0x40, 0]), (FaultKind::UnknownEncoding, "OPC 10000-6, 5.2.2.9"));
    assert_eq!(fault::<ExpandedNodeId<'_>>(&[0x4F, 0]), (FaultKind::UnknownEncoding, "OPC 10000-6, 5.2.2.10"));
    assert_eq!(fault::<ExtensionObject<'_>>(&[0, 0, 3]), (FaultKind::UnknownEncoding, "OPC 10000-6, 5.2.2.15"));
    // Arrays of one variant in each other, and diagnostics in diagnostics.
    assert_eq!(fault::<Variant<'_>>(&[0x98, 1, 0, 0, 0].repeat(200)).0, FaultKind::TooDeep);
    assert_eq!(fault::<DiagnosticInfo<'_>>(&[0x40; 200]), (FaultKind::TooDeep, "OPC 10000-6, 5.1.2"));
}

#[test]
fn what_is_irregular_is_told_and_read_on() {
    let cases: [(&[u8], &str); 5] = [
        (&[1, 2], "invalid_value"),
        (&[12, 0xFE, 0xFF, 0xFF, 0xFF], "negative_length"),
        (&[0x18, 1, 0], "invalid_value"),
        (&[21, 0x80], "reserved_bits"),
        (&[23, 0x40], "reserved_bits"),
    ];
    for (bytes, kind) in cases {
        let mut reader = Reader::new(bytes);
        Variant::decode(&mut reader).unwrap();
        assert_eq!((reader.left(), reader.irregular().map(|fault| fault.kind())), (0, Some(kind)), "{bytes:02x?}");
    }
}

#[test]
fn a_data_value_has_the_parts_that_its_mask_says_in_their_order() {
    let ticks = |seconds: i64| (116_444_736_000_000_000 + seconds * 10_000_000).to_le_bytes();
    let parts: [(u8, Vec<u8>); 6] = [
        (0x01, vec![3, 7]),
        (0x02, vec![0, 0, 0x34, 0x80]),
        (0x04, ticks(1).to_vec()),
        (0x10, vec![11, 0]),
        (0x08, ticks(2).to_vec()),
        (0x20, vec![22, 0]),
    ];
    for mask in 0..0x40_u8 {
        let there = |bit: u8| mask & bit != 0;
        let mut bytes = vec![mask];
        parts.iter().filter(|(bit, _)| there(*bit)).for_each(|(_, part)| bytes.extend(part));
        let value: DataValue<'_> = read(&bytes);
        assert_eq!(value.value.and_then(|value| value.number()), there(1).then_some(7.0));
        assert_eq!(value.status, if there(2) { 0x8034_0000 } else { 0 });
        assert_eq!(
            (value.source_time, value.server_time),
            (there(4).then_some(1_000_000_000), there(8).then_some(2_000_000_000))
        );
        let picoseconds = (if there(0x10) { 11 } else { 0 }, if there(0x20) { 22 } else { 0 });
        assert_eq!((value.source_picoseconds, value.server_picoseconds), picoseconds);
    }
}

#[test]
fn diagnostics_have_the_parts_that_their_mask_says_in_their_order() {
    let parts: [(u8, Vec<u8>); 6] = [
        (0x01, vec![1, 0, 0, 0]),
        (0x02, vec![2, 0, 0, 0]),
        (0x08, vec![3, 0, 0, 0]),
        (0x04, vec![4, 0, 0, 0]),
        (0x10, string("why")),
        (0x20, vec![0, 0, 0x34, 0x80]),
    ];
    for mask in 0..0x40_u8 {
        let there = |bit: u8| mask & bit != 0;
        let mut bytes = vec![mask | 0x40];
        parts.iter().filter(|(bit, _)| there(*bit)).for_each(|(_, part)| bytes.extend(part));
        bytes.extend([0x01, 9, 0, 0, 0]);
        let diagnostic: DiagnosticInfo<'_> = read(&bytes);
        assert_eq!((diagnostic.symbolic_id, diagnostic.namespace_uri), (there(1).then_some(1), there(2).then_some(2)));
        assert_eq!((diagnostic.locale, diagnostic.localized_text), (there(8).then_some(3), there(4).then_some(4)));
        assert_eq!(diagnostic.additional_info, there(0x10).then_some(&b"why"[..]));
        assert_eq!(diagnostic.inner_status_code, there(0x20).then_some(0x8034_0000));
        assert_eq!(diagnostic.inner().and_then(|inner| inner.symbolic_id), Some(9));
    }
}

#[test]
fn status_codes_have_names() {
    assert_eq!([0, 0x4000_0000, 0x8000_0000].map(status::name), ["Good", "Uncertain", "Bad"]);
    assert_eq!(
        [0x8001_0000, 0x8034_0000, 0x80AB_0000].map(status::name),
        ["BadUnexpectedError", "BadNodeIdUnknown", "BadInvalidArgument"]
    );
    assert!(status::is_bad(0x8034_0000) && !status::is_bad(0x4000_0000));
}

/// Bytes of a StructureDefinition with plain fields, as an ExtensionObject.
fn definition(kind: u32, fields: &[(&str, &[u8], i32, bool)]) -> Vec<u8> {
    let mut body = vec![1, 2, 0x39, 0x30, 0, 22];
    body.extend(kind.to_le_bytes());
    body.extend((fields.len() as u32).to_le_bytes());
    for (name, data_type, rank, optional) in fields {
        body.extend(string(name));
        body.push(0);
        body.extend(*data_type);
        body.extend(rank.to_le_bytes());
        body.extend([0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, u8::from(*optional)]);
    }
    let mut object = vec![0, 122, 1];
    object.extend((body.len() as u32).to_le_bytes());
    object.extend(body);
    object
}

/// An ExtensionObject of the encoding that `definition` names.
fn structure_value(body: &[u8]) -> Vec<u8> {
    [&[22, 1, 2, 0x39, 0x30, 1][..], &(body.len() as u32).to_le_bytes(), body].concat()
}

fn structure_text(definition: &[u8], body: &[u8]) -> String {
    let mut definitions = Definitions::default();
    let data_type = NodeId { namespace: 2, identifier: Identifier::String(b"Recipe") };
    assert!(definitions.learn(&data_type, &read(definition)));
    let bytes = structure_value(body);
    let mut out = String::new();
    read::<Variant<'_>>(&bytes).value_text_with(&mut out, 200, &definitions);
    out
}

#[test]
fn structures_are_read_by_the_definitions_that_servers_tell() {
    let plain = definition(0, &[("Name", &[0, 12], -1, false), ("Steps", &[0, 5], 1, false)]);
    let body = [&string("mix")[..], &[2, 0, 0, 0, 1, 0, 2, 0]].concat();
    assert_eq!(structure_text(&plain, &body), "{Name: \"mix\", Steps: [1, 2]}");
    // Bytes that are not what the definition says.
    assert_eq!(structure_text(&plain, &body[..5]), "ns=2;i=12345 (5 bytes)");
    assert_eq!(structure_text(&plain, &[&body[..], &[0]].concat()), "ns=2;i=12345 (16 bytes)");
    let optional = definition(1, &[("A", &[0, 3], -1, true), ("B", &[0, 3], -1, false), ("C", &[0, 3], -1, true)]);
    assert_eq!(structure_text(&optional, &[2, 0, 0, 0, 7, 8]), "{B: 7, C: 8}");
    let union = definition(2, &[("A", &[0, 3], -1, false), ("B", &[0, 5], -1, false)]);
    assert_eq!(structure_text(&union, &[2, 0, 0, 0, 7, 0]), "{B: 7}");
    assert_eq!(structure_text(&union, &[0, 0, 0, 0]), "{}");
    assert_eq!(structure_text(&union, &[3, 0, 0, 0]), "ns=2;i=12345 (4 bytes)");
    let matrix = definition(0, &[("M", &[0, 3], 2, false)]);
    assert_eq!(structure_text(&matrix, &[2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 5, 6]), "{M: [5, 6]}");
    assert_eq!(structure_text(&matrix, &[1, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0x7F]), "ns=2;i=12345 (8 bytes)");
    // Of a type in itself, without end.
    let endless = definition(0, &[("R", &[3, 2, 0, 6, 0, 0, 0, b'R', b'e', b'c', b'i', b'p', b'e'], -1, false)]);
    assert_eq!(structure_text(&endless, &[]).chars().count(), 201);
}

#[test]
fn structures_of_the_specification_are_known() {
    let definitions = Definitions::default();
    let body = [0_f64.to_le_bytes(), 100_f64.to_le_bytes()].concat();
    let bytes = [&[22, 1, 0, 0x76, 0x03, 1, 16, 0, 0, 0][..], &body].concat();
    let mut out = String::new();
    read::<Variant<'_>>(&bytes).value_text_with(&mut out, 200, &definitions);
    assert_eq!(out, "{Low: 0.0, High: 100.0}");
}

proptest! {
    #[test]
    fn any_bytes_are_a_value_or_a_fault(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut reader = Reader::new(&bytes);
        match Variant::decode(&mut reader) {
            Ok(variant) => {
                let (mut out, mut shape) = (String::new(), String::new());
                variant.value_text(&mut out, 64);
                variant.write_shape(&mut shape);
                prop_assert!(out.len() <= 64 + '…'.len_utf8() && shape.len() <= 120);
                if let Variant::Array(array) = variant {
                    prop_assert!(array.len() <= bytes.len());
                    prop_assert_eq!(array.iter().count(), array.len());
                }
            }
            Err(fault) => prop_assert!(fault.at <= bytes.len()),
        }
    }

    #[test]
    fn any_bytes_behind_a_service_are_bounded(number in 397_u16..851, bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut body = vec![1, 0];
        body.extend(number.to_le_bytes());
        body.extend(&bytes);
        let mut statements = 0_usize;
        let (decoded, result) = decode_message(&body, &mut |_| statements += 1);
        prop_assert!(statements <= body.len());
        prop_assert!(decoded.operations as usize <= body.len());
        prop_assert!(result.unwrap_or_else(|fault| fault.at) <= body.len());
    }

    #[test]
    fn what_is_encoded_is_decoded(numbers in prop::collection::vec(any::<f64>(), 0..20), name in ".{0,20}", time in 1_i64..=i64::MAX) {
        let mut bytes = vec![0x8B];
        bytes.extend((numbers.len() as u32).to_le_bytes());
        numbers.iter().for_each(|number| bytes.extend(number.to_le_bytes()));
        let Variant::Array(array) = read(&bytes) else { panic!() };
        let same = array.iter().zip(&numbers).all(|(scalar, number)| scalar.number().unwrap().to_bits() == number.to_bits());
        prop_assert!(same && array.len() == numbers.len());
        let bytes = [&[3, 7, 0][..], &string(&name)].concat();
        prop_assert_eq!(read::<NodeId<'_>>(&bytes).identifier, Identifier::String(name.as_bytes()));
        let bytes = time.to_le_bytes();
        let expected = (i128::from(time) - 116_444_736_000_000_000) * 100;
        let expected = i64::try_from(expected.clamp(i64::MIN.into(), i64::MAX.into())).unwrap();
        prop_assert_eq!(read::<Option<i64>>(&bytes), Some(expected));
    }
}

/// Bodies of whole, unencrypted messages in a stream: behind the headers of a chunk of a channel without security, and in OPN behind its own.
fn bodies(data: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    for at in 0..data.len().saturating_sub(24) {
        let chunk = &data[at..];
        let size = u32::from_le_bytes(chunk[4..8].try_into().unwrap()) as usize;
        if matches!(&chunk[..4], b"MSGF" | b"CLOF") && (24..=chunk.len()).contains(&size) {
            found.push(&chunk[24..size]);
        }
    }
    found
}

/// Every file of a folder and of those in it.
fn files(folder: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

#[test]
fn corpora_and_captures_decode() {
    let Ok(folder) = std::env::var("ICSIGHT_CAPTURES") else {
        assert!(std::env::var("CI").is_err(), "ICSIGHT_CAPTURES is not set");
        eprintln!("ICSIGHT_CAPTURES is not set: no corpus to decode");
        return;
    };
    let (mut total, mut statements, mut known, mut whole, mut irregular) = (0, 0_usize, 0, 0, 0);
    for part in ["opcua", "opcua-fuzz-corpus"] {
        let mut paths = Vec::new();
        files(&std::path::Path::new(&folder).join(part), &mut paths);
        for path in paths {
            let data = std::fs::read(&path).unwrap();
            let _ = Variant::decode(&mut Reader::new(&data));
            for body in bodies(&data).into_iter().chain([&data[..]]) {
                let (decoded, result) = decode_message(body, &mut |_| statements += 1);
                total += 1;
                known += usize::from(decoded.service.is_some());
                whole += usize::from(result.is_ok());
                irregular += usize::from(result.is_ok() && decoded.irregular.is_some());
                // What does not decode in the captures crosses from one TCP segment to the next, and headers stand between.
                if let (true, Some(service), Err(fault)) = (part == "opcua", decoded.service, result) {
                    assert!(fault.at > 1_400, "{}: {}: {fault:?}", path.display(), service.name());
                }
                if let (Ok(_), Some(fault)) = (result, decoded.irregular) {
                    eprintln!("{}: {:?}: {fault:?}", path.display(), decoded.service);
                }
            }
        }
    }
    eprintln!("{total} bodies, {known} of known services, {whole} whole, {irregular} irregular, {statements} statements");
    assert!(known > 1_000 && whole * 10 > known * 9 && statements > 5_000);
}
