//! However the bytes of an OPC UA stream come, the records are the same: for what fuzzing has found, and for every message of the corpus under
//! `ICSIGHT_CAPTURES`, which other people's tests and fuzzers have left.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails says so by panicking"
)]

use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray as _;
use proptest::prelude::RngExt as _;
use proptest::test_runner::{RngAlgorithm, TestRng};
use wire::protocol::opcua::Opcua;
use wire::protocol::{Context, Conversation, Shared, Side};
use wire::record::{Batch, Identity, Party, Records};

/// Ways in which each stream is cut at random.
const SPLITS: u64 = 8;

/// The files of the corpus; none, where the folder of captures is not there.
fn corpus() -> Vec<PathBuf> {
    let Some(folder) = std::env::var_os("ICSIGHT_CAPTURES") else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "ICSIGHT_CAPTURES is not set to a folder of captures");
        return Vec::new();
    };
    let mut folders = vec![Path::new(&folder).join("opcua-fuzz-corpus")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() { folders.push(entry) } else { files.push(entry) }
        }
    }
    files.sort();
    assert!(files.len() > 500, "{} files of the corpus in {}", files.len(), folder.to_string_lossy());
    files
}

/// What both sides of a connection say in turn as records, their bytes in pieces of these lengths.
fn records(said: &[(Side, &[u8])], mut length: impl FnMut() -> usize) -> Vec<Batch> {
    let mut records = Records::new(Identity::default(), 0);
    let mut shared = Shared::default();
    let party = records.parties.add(Party::default());
    let mut opcua = Opcua::new(true);
    let mut unused = [Vec::new(), Vec::new()];
    let mut context =
        Context { records: &mut records, shared: &mut shared, party, server: Default::default(), server_mac: None, ts: 0 };
    for (side, bytes) in said {
        context.ts += 1_000_000;
        let mut rest = *bytes;
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(length().clamp(1, rest.len()));
            let unused = &mut unused[*side as usize];
            unused.extend_from_slice(piece);
            let used = opcua.stream(*side, unused, &mut context);
            unused.drain(..used);
            rest = behind;
        }
    }
    opcua.close(&mut context);
    assert_eq!(context.shared.opcua.held_bytes, 0);
    records.cut(1)
}

/// Number of rows, once they are the same whole, byte by byte, and in pieces that seeds tell.
fn rows_in_any_pieces(name: &str, said: &[(Side, &[u8])]) -> usize {
    let whole = records(said, || usize::MAX);
    let check = |how: &str, length: &mut dyn FnMut() -> usize| {
        let pieces = records(said, length);
        let tables = |batches: &[Batch]| batches.iter().map(|batch| (batch.table, batch.records.num_rows())).collect::<Vec<_>>();
        assert_eq!(tables(&pieces), tables(&whole), "{name}, {how}");
        for (one, other) in whole.iter().zip(&pieces) {
            assert_eq!(one.records, other.records, "{name}, {how}: {}", one.table);
        }
    };
    check("byte by byte", &mut || 1);
    for seed in 0..SPLITS {
        let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed as u8; 32]);
        let most = 1 << random.random_range(1..9);
        check(&format!("pieces of seed {seed}"), &mut || random.random_range(1..=most));
    }
    whole.iter().map(|batch| batch.records.num_rows()).sum()
}

/// A hello (OPC 10000-6, 7.1.2.3).
const HELLO: &[u8] = b"HELF\x20\0\0\0\0\0\0\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff";

#[test]
fn a_header_that_turns_out_to_be_none_is_skipped_without_a_word_however_it_comes() {
    // Letters of a header behind nonsense, and a size that no message has.
    let stream = [HELLO, b"........MSGF\0\0\0\0....MSG", HELLO].concat();
    // Two hellos, the nonsense between them, and that the second comes late.
    assert_eq!(rows_in_any_pieces("letters", &[(Side::Client, &stream)]), 4);
}

#[test]
fn nonsense_is_shown_with_as_many_bytes_however_it_comes() {
    let stream = [HELLO, b"GET / HTTP/1.1"].concat();
    assert_eq!(rows_in_any_pieces("nonsense", &[(Side::Client, &stream)]), 2);
}

/// A message that opens a channel without security, and its answer, with this request and this body.
fn open(request: u8, body: &[u8]) -> Vec<u8> {
    let policy = b"http://opcfoundation.org/UA/SecurityPolicy#None";
    let head = [&[1, 0, 0, 0, policy.len() as u8, 0, 0, 0], &policy[..], &[0xff; 8], &[1, 0, 0, 0, request, 0, 0, 0]].concat();
    let size = (8 + head.len() + body.len()) as u32;
    [b"OPNF", &size.to_le_bytes()[..], &head, body].concat()
}

#[test]
fn the_answer_to_another_opening_leaves_the_one_that_waits() {
    // The bodies are what an OpenSecureChannel request and its answer begin with: they need not be whole to be held.
    let (asked, answered) = (b"\x01\0\xbe\x01\0\0".as_slice(), b"\x01\0\xc1\x01".as_slice());
    let said = [open(1, asked), open(2, answered), open(1, answered)];
    let [ask, other, own] = said.each_ref().map(Vec::as_slice);
    let pairings = |said: &[(Side, &[u8])]| {
        let batches = records(said, || usize::MAX);
        let calls = batches.iter().find(|batch| batch.table == "opcua").unwrap();
        let pairing = calls.records.column_by_name("opcua.pairing").unwrap().clone();
        let words = pairing.as_any_dictionary().values().as_string::<i32>();
        pairing.as_any_dictionary().normalized_keys().into_iter().map(|key| words.value(key).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(pairings(&[(Side::Client, ask), (Side::Server, other), (Side::Server, own)]), ["response", "both"]);
    assert_eq!(pairings(&[(Side::Client, ask), (Side::Server, other)]), ["response", "request"]);
}

#[test]
fn each_message_of_the_corpus_gives_the_same_records_however_it_is_cut() {
    let (mut files, mut with_rows, mut rows) = (0, 0, 0);
    for path in corpus() {
        let bytes = std::fs::read(&path).unwrap();
        for side in [Side::Client, Side::Server] {
            let found = rows_in_any_pieces(&path.display().to_string(), &[(side, &bytes)]);
            with_rows += usize::from(found > 0);
            rows += found;
        }
        files += 1;
    }
    println!("{files} files, {with_rows} of {} streams with rows, {rows} rows", 2 * files);
    assert!(files == 0 || with_rows == 2 * files, "{with_rows} of {} streams with rows", 2 * files);
}

#[test]
fn the_whole_corpus_on_one_connection_gives_the_same_records_however_it_is_cut() {
    let messages: Vec<Vec<u8>> = corpus().iter().map(|path| std::fs::read(path).unwrap()).collect();
    // The server repeats what the client says, so that requests meet answers, and a broken message meets a whole one.
    let said: Vec<(Side, &[u8])> =
        messages.iter().flat_map(|bytes| [(Side::Client, bytes.as_slice()), (Side::Server, bytes.as_slice())]).collect();
    let rows = rows_in_any_pieces("all", &said);
    println!("{} messages, {rows} rows", messages.len());
    assert!(messages.is_empty() || rows > messages.len(), "{rows} rows of {} messages", messages.len());
}
