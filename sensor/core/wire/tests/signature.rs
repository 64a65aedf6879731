//! A protocol is one file in `protocol/signature` and one line in its registry: whoever adds one has this checked.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails says so by panicking"
)]

use std::collections::BTreeMap;
use std::path::Path;

use wire::protocol::Carrier;
use wire::protocol::signature::{Match, SIGNATURES};

/// The files of the folder that are no protocol.
const OTHERS: [&str; 2] = ["mod", "registry"];

/// Name and text of each protocol's file.
fn files() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/protocol/signature");
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.extension().is_some_and(|extension| extension == "rs") && !OTHERS.contains(&name.as_str()) {
            files.insert(name, std::fs::read_to_string(path).unwrap());
        }
    }
    files
}

#[test]
fn each_protocol_is_one_file_and_one_line_of_the_same_name() {
    let mut words: Vec<&str> = SIGNATURES.iter().map(|signature| signature.application.word()).collect();
    words.sort_unstable();
    assert_eq!(words, files().keys().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn each_protocol_names_its_source_and_clause() {
    for signature in SIGNATURES {
        let (document, clause) = signature.clause.split_once(", ").unwrap_or_default();
        let is_named =
            !document.is_empty() && !clause.is_empty() && signature.clause.contains(|sign: char| sign.is_ascii_digit());
        assert!(is_named, "{}: {}", signature.application.word(), signature.clause);
    }
}

#[test]
fn each_protocol_has_a_test_and_bytes_written_out() {
    for (name, text) in files() {
        assert_eq!(text.matches("pub static SIGNATURE: Signature").count(), 1, "{name}");
        let (_, tests) = text.split_once("mod tests {").unwrap_or_default();
        assert!(tests.contains("#[test]"), "{name}");
        assert!(tests.contains("b\"") || tests.contains("SIGNATURE.examples[0]"), "{name}");
    }
}

#[test]
fn each_protocol_can_be_recognised_or_is_parsed() {
    for signature in SIGNATURES {
        let word = signature.application.word();
        let all = [Carrier::Stream, Carrier::Datagram, Carrier::Frame];
        // An example on some carrier, or a port or EtherType of its own.
        assert!(!signature.examples.is_empty() || all.iter().any(|carrier| !signature.ports(*carrier).is_empty()), "{word}");
        for example in signature.examples {
            assert_eq!(signature.look(example.carrier, example.bytes), Match::Certain, "{word}");
        }
    }
}

#[test]
fn at_least_thirty_protocols_are_recognised_by_content_and_half_of_them_are_industrial() {
    let by_content: Vec<_> = SIGNATURES.iter().filter(|signature| !signature.examples.is_empty()).collect();
    let industrial = by_content.iter().filter(|signature| signature.is_industrial).count();
    assert!(by_content.len() >= 30 && industrial >= 15, "{} by content, {industrial} industrial", by_content.len());
}
