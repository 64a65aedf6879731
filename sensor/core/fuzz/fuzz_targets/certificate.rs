//! A certificate as a channel of OPC UA shows it, and as a party of TLS does.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::device::Device;
use wire::protocol::identity::{Facts, SOURCES, TEXT_BYTES};
use wire::protocol::opcua::certificate;
use wire::record::table::Attribute;

/// Longest text that a certificate is told by: a name of 512 characters, each escaped.
const MOST_BYTES: usize = 8 * 512;

/// The certificate in a message of a TLS handshake (RFC 5246, 7.4.2).
fn shown(certificate: &[u8]) -> Vec<u8> {
    let length = |bytes: usize| [(bytes >> 16) as u8, (bytes >> 8) as u8, bytes as u8];
    let size = certificate.len();
    let body = [&length(size + 3)[..], &length(size), certificate].concat();
    let message = [&[11][..], &length(body.len()), &body].concat();
    [&[22, 3, 3, (message.len() >> 8) as u8, message.len() as u8][..], &message].concat()
}

fuzz_target!(|data: &[u8]| {
    if let Some(facts) = certificate::facts(data) {
        assert_eq!(facts.thumbprint.len(), 40);
        for text in [&facts.subject, &facts.issuer, &facts.uri, &facts.signature].into_iter().flatten() {
            assert!(text.len() <= MOST_BYTES, "{} bytes", text.len());
        }
    }
    let stream = shown(data);
    for source in SOURCES.iter().filter(|source| source.name == "tls certificate") {
        let mut learn = |_: Option<Device>, _: Attribute, value: &str| {
            assert!(!value.is_empty() && value.len() <= TEXT_BYTES && !value.contains(char::is_control), "{value:?}");
        };
        (source.read)(&stream, &mut Facts::new(&mut learn));
    }
});
