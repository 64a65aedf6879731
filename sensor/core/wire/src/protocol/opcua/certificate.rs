//! What a certificate says of who shows it (OPC 10000-6, 6.2). Nothing is trusted, nothing is verified.

use std::fmt::Write as _;

use der::Decode as _;
use x509_cert::Certificate;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::binary::text;

/// Longest certificate that is looked into, with its chain.
const MOST_BYTES: usize = 64 * 1024;
/// Longest name of a subject or an issuer that is kept.
const NAME_BYTES: usize = 512;

/// Facts of a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// SHA-1 of its bytes, hexadecimal (OPC 10000-6, 6.7.2.3).
    pub thumbprint: String,
    /// Subject (RFC 4514).
    pub subject: Option<String>,
    /// Issuer.
    pub issuer: Option<String>,
    /// URI of the application: the first URI of its alternative names (OPC 10000-6, 6.2.2).
    pub uri: Option<String>,
    /// When it begins to be valid, nanoseconds since 1970.
    pub not_before: Option<i64>,
    /// When it ceases to be valid.
    pub not_after: Option<i64>,
    /// Bits of its public key.
    pub key_bits: Option<u16>,
    /// Algorithm of its signature.
    pub signature: Option<String>,
}

impl Facts {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let texts =
            [&self.subject, &self.issuer, &self.uri, &self.signature].into_iter().flatten().map(String::capacity).sum::<usize>();
        size_of::<Self>() + self.thumbprint.capacity() + texts
    }
}

/// The facts of the first certificate in these bytes; those of its issuers may follow it. None where there is nothing.
pub fn facts(bytes: &[u8]) -> Option<Box<Facts>> {
    if bytes.is_empty() {
        return None;
    }
    let first = first(bytes);
    let mut facts = Box::<Facts>::default();
    text::write_hex(&sha1_smol::Sha1::from(first).digest().bytes(), &mut facts.thumbprint);
    if first.len() > MOST_BYTES {
        return Some(facts);
    }
    if let Ok(certificate) = Certificate::from_der(first) {
        let body = certificate.tbs_certificate();
        let key = body.subject_public_key_info();
        facts.subject = Some(limited(&body.subject().to_string()));
        facts.issuer = Some(limited(&body.issuer().to_string()));
        facts.uri = uri(body);
        facts.not_before = nanoseconds(&body.validity().not_before);
        facts.not_after = nanoseconds(&body.validity().not_after);
        facts.key_bits = key_bits(&key.algorithm.oid.to_string(), key.subject_public_key.raw_bytes(), || {
            key.algorithm.parameters.as_ref().and_then(|any| any.decode_as::<der::asn1::ObjectIdentifier>().ok())
        });
        facts.signature = Some(algorithm(&certificate.signature_algorithm().oid.to_string()));
    }
    Some(facts)
}

/// The first structure of a row of them: tag, length, content (X.690, 8.1).
fn first(bytes: &[u8]) -> &[u8] {
    let length = match bytes {
        [_, short, ..] if *short < 0x80 => usize::from(*short).checked_add(2),
        [_, 0x81, a, ..] => usize::from(*a).checked_add(3),
        [_, 0x82, a, b, ..] => usize::from(u16::from_be_bytes([*a, *b])).checked_add(4),
        _ => None,
    };
    length.and_then(|length| bytes.get(..length)).unwrap_or(bytes)
}

/// The first URI of the alternative names (RFC 5280, 4.2.1.6).
fn uri(body: &x509_cert::TbsCertificate) -> Option<String> {
    let SubjectAltName(names) = body.filter_extensions::<SubjectAltName>().next()?.ok()?.1;
    names.iter().find_map(|name| match name {
        GeneralName::UniformResourceIdentifier(uri) => Some(limited(uri.as_str())),
        _ => None,
    })
}

fn limited(name: &str) -> String {
    let mut out = String::new();
    let end = (0..=name.len().min(NAME_BYTES)).rev().find(|&end| name.is_char_boundary(end)).unwrap_or(0);
    text::write_escaped(name.get(..end).unwrap_or_default().as_bytes(), &mut out);
    out
}

fn nanoseconds(time: &x509_cert::time::Time) -> Option<i64> {
    i64::try_from(time.to_unix_duration().as_nanos()).ok()
}

/// Bits of a public key: of an RSA modulus, or of a curve.
fn key_bits(algorithm: &str, key: &[u8], curve: impl FnOnce() -> Option<der::asn1::ObjectIdentifier>) -> Option<u16> {
    match algorithm {
        "1.2.840.113549.1.1.1" => {
            let modulus = integer(sequence(key)?)?;
            let significant = modulus.iter().position(|byte| *byte != 0).and_then(|at| modulus.get(at..))?;
            let bits = significant.len().checked_mul(8)?.checked_sub(significant.first()?.leading_zeros() as usize)?;
            u16::try_from(bits).ok()
        }
        "1.2.840.10045.2.1" => Some(match curve()?.to_string().as_str() {
            "1.2.840.10045.3.1.7" | "1.3.36.3.3.2.8.1.1.7" => 256,
            "1.3.132.0.34" | "1.3.36.3.3.2.8.1.1.11" => 384,
            "1.3.132.0.35" => 521,
            _ => return None,
        }),
        "1.3.101.110" | "1.3.101.112" => Some(256),
        "1.3.101.111" | "1.3.101.113" => Some(456),
        _ => None,
    }
}

/// Content of a sequence (X.690, 8.9).
fn sequence(bytes: &[u8]) -> Option<&[u8]> {
    content(bytes, 0x30)
}

/// Content of an integer (X.690, 8.3).
fn integer(bytes: &[u8]) -> Option<&[u8]> {
    content(bytes, 0x02)
}

fn content(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    let whole = first(bytes);
    let head = match whole {
        [seen, ..] if *seen != tag => return None,
        [_, 0x81, ..] => 3,
        [_, 0x82, ..] => 4,
        _ => 2,
    };
    whole.get(head..)
}

/// Name of a signature algorithm (RFC 8017, A.2.4; RFC 5758; RFC 8410); its identifier where it has none here.
fn algorithm(identifier: &str) -> String {
    match identifier {
        "1.2.840.113549.1.1.4" => "md5WithRSAEncryption",
        "1.2.840.113549.1.1.5" => "sha1WithRSAEncryption",
        "1.2.840.113549.1.1.10" => "rsassaPss",
        "1.2.840.113549.1.1.11" => "sha256WithRSAEncryption",
        "1.2.840.113549.1.1.12" => "sha384WithRSAEncryption",
        "1.2.840.113549.1.1.13" => "sha512WithRSAEncryption",
        "1.2.840.10045.4.1" => "ecdsa-with-SHA1",
        "1.2.840.10045.4.3.2" => "ecdsa-with-SHA256",
        "1.2.840.10045.4.3.3" => "ecdsa-with-SHA384",
        "1.2.840.10045.4.3.4" => "ecdsa-with-SHA512",
        "1.3.101.112" => "Ed25519",
        "1.3.101.113" => "Ed448",
        other => {
            let mut text = String::new();
            let _ = write!(text, "{other}");
            return text;
        }
    }
    .to_owned()
}
