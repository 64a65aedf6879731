//! TLS: a fingerprint of the program behind a hello: what it offers, not what it says in the connection.

use super::{Facts, Source};
use crate::protocol::Carrier;
use crate::protocol::signature::Application;
use crate::protocol::signature::layer::field::be16;
use crate::protocol::signature::layer::tls::{Message, messages};
use crate::record::table::Attribute;

/// `client` or `server`, and sixteen hexadecimal digits: the beginning of the SHA-1 of version, cipher suites in their order, kinds of
/// extensions in ascending order (browsers shuffle them), groups and point formats; values reserved against ossification (RFC 8701) left out.
pub static SOURCE: Source = Source {
    application: Application::Tls,
    carriers: &[Carrier::Stream],
    name: "tls handshake",
    confidence: 0.4,
    clause: "RFC 8446, 4.1.2, 4.1.3 and 4.2; RFC 8422, 5.1; RFC 8701, 2",
    read,
};

/// Extensions whose content is the program's own.
const GROUPS: u16 = 10;
const POINT_FORMATS: u16 = 11;

fn read(data: &[u8], facts: &mut Facts<'_>) {
    messages(data, |message| {
        let (word, told) = match message {
            Message { kind: 1, body, is_whole: true } => ("client", client(body)),
            Message { kind: 2, body, is_whole: true } => ("server", server(body)),
            _ => return,
        };
        if let Some(told) = told {
            let digest = sha1_smol::Sha1::from(told.as_bytes()).digest().to_string();
            let digest = digest.get(..16).unwrap_or_default();
            facts.say(Attribute::Fingerprint, format!("{word} {digest}").as_bytes());
        }
    });
}

/// Version, random, session, suites, compressions, extensions.
fn client(hello: &[u8]) -> Option<String> {
    let sessions = hello.get(34..)?;
    let ciphers = sessions.get(1 + usize::from(*sessions.first()?)..)?;
    let length = usize::from(be16(ciphers, 0)?);
    let compressions = ciphers.get(2 + length..)?;
    let extensions = compressions.get(1 + usize::from(*compressions.first()?)..)?;
    let suites = words(ciphers.get(2..2 + length)?);
    Some(format!("{};{};{}", be16(hello, 0)?, joined(&suites), offered(extensions)))
}

/// Version, random, session, the suite, the compression, extensions.
fn server(hello: &[u8]) -> Option<String> {
    let sessions = hello.get(34..)?;
    let chosen = sessions.get(1 + usize::from(*sessions.first()?)..)?;
    Some(format!("{};{};{}", be16(hello, 0)?, be16(chosen, 0)?, offered(chosen.get(3..)?)))
}

/// Kinds of extensions, groups, point formats.
fn offered(extensions: &[u8]) -> String {
    let (mut kinds, mut groups, mut formats) = (Vec::new(), Vec::new(), Vec::new());
    let mut rest = extensions.get(2..).unwrap_or_default();
    while let (Some(kind), Some(length)) = (be16(rest, 0), be16(rest, 2)) {
        let Some(content) = rest.get(4..4 + usize::from(length)) else { break };
        kinds.push(kind);
        match kind {
            GROUPS => groups = words(content.get(2..).unwrap_or_default()),
            POINT_FORMATS => formats = content.iter().skip(1).map(|byte| u16::from(*byte)).collect(),
            _ => {}
        }
        rest = rest.get(4 + usize::from(length)..).unwrap_or_default();
    }
    kinds.sort_unstable();
    format!("{};{};{}", joined(&kinds), joined(&groups), joined(&formats))
}

fn words(bytes: &[u8]) -> Vec<u16> {
    bytes.chunks_exact(2).filter_map(|pair| be16(pair, 0)).collect()
}

/// The numbers without those that only keep receivers tolerant: both bytes alike, and both end with 0xa.
fn joined(numbers: &[u16]) -> String {
    let is_reserved = |number: &&u16| *number & 0x0f0f == 0x0a0a && *number >> 8 == *number & 0xff;
    numbers.iter().filter(|number| !is_reserved(number)).map(u16::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::identity::tests::{survives, told};

    /// A client's hello with these suites and the kinds of these empty extensions.
    fn hello(random: u8, suites: &[u16], kinds: &[u16]) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend([random; 32]);
        body.extend([0, 0, 2 * suites.len() as u8]);
        body.extend(suites.iter().flat_map(|suite| suite.to_be_bytes()));
        body.extend([1, 0, 0, 4 * kinds.len() as u8]);
        body.extend(kinds.iter().flat_map(|kind| [kind.to_be_bytes(), [0, 0]].concat()));
        let length = body.len() as u8;
        [&[0x16, 3, 1, 0, length + 4, 1, 0, 0, length][..], &body].concat()
    }

    #[test]
    fn a_program_has_the_same_fingerprint_whatever_is_random_or_shuffled() {
        let first = told(&SOURCE, &hello(1, &[0x0a0a, 0x1301, 0x1302], &[23, 0, 0xfafa]));
        assert_eq!(first.len(), 1);
        assert!(first[0].starts_with("fingerprint=client ") && first[0].len() == 35);
        assert_eq!(first, told(&SOURCE, &hello(2, &[0x1301, 0x3a3a, 0x1302], &[0, 23])));
        assert_ne!(first, told(&SOURCE, &hello(1, &[0x1302, 0x1301], &[0, 23])));
        assert_ne!(first, told(&SOURCE, &hello(1, &[0x1301, 0x1302], &[0, 24])));
        survives(&SOURCE, &hello(1, &[0x1301], &[0]));
    }
}
