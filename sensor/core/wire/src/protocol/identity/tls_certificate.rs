//! TLS up to version 1.2: the names in the certificate that a party shows. Version 1.3 encrypts it.

use der::Decode as _;
use x509_cert::Certificate;

use super::{Facts, Source};
use crate::protocol::Carrier;
use crate::protocol::signature::Application;
use crate::protocol::signature::layer::tls::{Message, messages};
use crate::record::table::Attribute;

/// Common name and organisation of the subject.
pub static SOURCE: Source = Source {
    application: Application::Tls,
    carriers: &[Carrier::Stream],
    name: "tls certificate",
    confidence: 0.7,
    clause: "RFC 5246, 7.4.2; RFC 5280, 4.1.2.6",
    read,
};

/// Names of a subject (X.520, 6.2.2 and 6.4.1).
const COMMON_NAME: &str = "2.5.4.3";
const ORGANISATION: &str = "2.5.4.10";

fn read(data: &[u8], facts: &mut Facts<'_>) {
    messages(data, |message| {
        let Message { kind: 11, body, is_whole: true } = message else { return };
        // The list's length, then the length of the first certificate, of three bytes each.
        let Some([_, _, _, l0, l1, l2, rest @ ..]) = body.get(..) else { return };
        let length = u32::from_be_bytes([0, *l0, *l1, *l2]) as usize;
        let Some(certificate) = rest.get(..length).and_then(|bytes| Certificate::from_der(bytes).ok()) else { return };
        for part in certificate.tbs_certificate().subject().iter() {
            let attribute = match part.oid.to_string().as_str() {
                COMMON_NAME => Attribute::Name,
                ORGANISATION => Attribute::Vendor,
                _ => continue,
            };
            facts.say(attribute, part.value.value());
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::identity::tests::{survives, told};

    /// A structure of DER with this tag.
    fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let length = content.len() as u8;
        let head = if length < 0x80 { vec![tag, length] } else { vec![tag, 0x81, length] };
        [head, content].concat()
    }

    fn name(parts: &[(u8, &str)]) -> Vec<u8> {
        let sets: Vec<Vec<u8>> = parts
            .iter()
            .map(|(kind, text)| {
                let identifier = der(6, &[&[0x55, 4, *kind]]);
                der(0x31, &[&der(0x30, &[&identifier, &der(0x0c, &[text.as_bytes()])])])
            })
            .collect();
        der(0x30, &[&sets.concat()])
    }

    fn certificate(subject: &[u8]) -> Vec<u8> {
        let algorithm = der(0x30, &[&der(6, &[&[0x2b, 0x65, 0x70]])]);
        let time = der(0x17, &[b"260101000000Z"]);
        let validity = der(0x30, &[&time, &time]);
        let key = der(0x30, &[&algorithm, &der(3, &[&[0; 33]])]);
        let version = der(0xa0, &[&der(2, &[&[2]])]);
        let body = der(0x30, &[&version, &der(2, &[&[1]]), &algorithm, &name(&[(3, "ca")]), &validity, subject, &key]);
        der(0x30, &[&body, &algorithm, &der(3, &[&[0; 9]])])
    }

    #[test]
    fn the_subject_of_the_first_certificate_is_told_also_where_records_cut_it() {
        let certificate = certificate(&name(&[(10, "Siemens AG"), (3, "S7-1500")]));
        let length = |extra: usize| [0, 0, (certificate.len() + extra) as u8];
        let body = [&length(3)[..], &length(0), &certificate].concat();
        let message = [&[11, 0, 0, body.len() as u8][..], &body].concat();
        let (first, second) = message.split_at(50);
        let record = |part: &[u8]| [&[0x16, 3, 3, 0, part.len() as u8][..], part].concat();
        let stream = [record(b"\x02\x00\x00\x00"), record(first), record(second)].concat();
        assert_eq!(told(&SOURCE, &stream), ["vendor=Siemens AG", "name=S7-1500"]);
        assert!(told(&SOURCE, &stream[..stream.len() - 1]).is_empty());
        survives(&SOURCE, &stream);
    }
}
