//! A secure channel: its policy and mode, told by its opening or inferred from its messages (OPC 10000-6, 6.7).

use super::binary::{Fault, Reader, Text};
use super::service;
use crate::protocol::Side;
use crate::record::table::opcua::SecurityMode;

/// What every security policy's URI begins with (OPC 10000-7, 6.6).
const POLICY_PREFIX: &str = "http://opcfoundation.org/UA/SecurityPolicy#";
/// Longest policy name that is kept.
const POLICY_BYTES: usize = 128;
/// Lengths of symmetric signatures: tags of authenticated encryption, HMAC-SHA1, HMAC-SHA256, HMAC-SHA384.
const SIGNATURES: [usize; 4] = [16, 20, 32, 48];

/// Head of an asymmetric chunk (OPC 10000-6, 6.7.2.3).
#[derive(Clone, Copy, Debug)]
pub struct Asymmetric<'a> {
    /// The channel; 0 in the first request.
    pub channel_id: u32,
    /// URI of the policy.
    pub policy: Text<'a>,
    /// The sender's certificate, DER.
    pub certificate: Text<'a>,
    /// SHA-1 of the receiver's certificate.
    pub thumbprint: Text<'a>,
    /// What follows: in clear only without a policy.
    pub secured: &'a [u8],
}

/// Reads the head of an asymmetric chunk's body.
pub fn asymmetric(body: &[u8]) -> Result<Asymmetric<'_>, Fault> {
    let mut reader = Reader::new(body);
    let (channel_id, policy) = (reader.u32()?, reader.string()?);
    let (certificate, thumbprint) = (reader.byte_string()?, reader.byte_string()?);
    let secured = body.get(reader.position()..).unwrap_or_default();
    Ok(Asymmetric { channel_id, policy, certificate, thumbprint, secured })
}

/// Whether a policy is the one without security. No policy at all is taken for it.
pub fn is_none(policy: Text<'_>) -> bool {
    policy.is_none_or(|uri| uri.is_empty() || uri == b"http://opcfoundation.org/UA/SecurityPolicy#None")
}

/// Sequence header of a chunk: sequence number, request, and what follows (OPC 10000-6, 6.7.2.4).
#[inline]
pub fn sequence(secured: &[u8]) -> Option<(u32, u32, &[u8])> {
    let (head, rest) = secured.split_first_chunk::<8>()?;
    let [a, b, c, d, e, f, g, h] = *head;
    Some((u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]), rest))
}

/// The service at the start of a message body, and whether it is a response.
#[inline]
pub fn service_of(body: &[u8]) -> Option<(service::Service, bool)> {
    let number = match *body.first_chunk::<4>()? {
        [1, 0, low, high] => u32::from(u16::from_le_bytes([low, high])),
        [0, number, ..] => u32::from(number),
        _ => Reader::new(body).read::<super::binary::NodeId<'_>>().ok()?.standard_number()?,
    };
    service::from_type_id(number)
}

/// Who sends a message, by its service, where the bytes behind the security header are in clear.
pub fn direction(secured: &[u8]) -> Option<Side> {
    let (_, _, body) = sequence(secured)?;
    service_of(body).map(|(_, is_response)| if is_response { Side::Server } else { Side::Client })
}

/// What lies behind the security header of a symmetric chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// Sequence number, request, and the body without signature.
    Plain(u32, u32, &'a [u8]),
    /// Encryption hides it.
    Hidden,
    /// It cannot be told: the chunk is not the first of its message, and nothing is known of the channel.
    Unknown,
}

/// A secure channel as far as it is known. One connection carries one channel at a time (OPC 10000-6, 7.1.3).
#[derive(Clone, Debug, Default)]
pub struct Channel {
    /// Its number.
    pub id: Option<u32>,
    /// Its policy: what follows `#` in the URI.
    pub policy: Option<Box<str>>,
    /// Its mode.
    pub mode: Option<SecurityMode>,
    /// Whether policy or mode follows from messages.
    pub is_inferred: bool,
    /// Bytes of a signature at the end of each symmetric chunk.
    signature: usize,
    /// The newest token and the one before, where they were seen: both are good for a while (OPC 10000-4, 5.6.2.1).
    tokens: [Option<u32>; 2],
}

impl Channel {
    /// A channel is being opened or renewed: its policy.
    pub fn open(&mut self, policy: Text<'_>) {
        let name = policy_name(policy);
        if self.policy.as_deref() != Some(&*name) {
            *self = Self { policy: Some(name), ..Self::default() };
        }
        if is_none(policy) {
            self.mode = Some(SecurityMode::None);
            self.signature = 0;
            self.is_inferred = false;
        }
    }

    /// The mode that a request asks for, in clear.
    pub fn ask(&mut self, mode: u32) {
        self.mode = Some(match mode {
            1 => SecurityMode::None,
            2 => SecurityMode::Sign,
            3 => SecurityMode::SignAndEncrypt,
            _ => SecurityMode::Invalid,
        });
        self.is_inferred = false;
    }

    /// A token was given.
    pub fn token(&mut self, channel_id: u32, token_id: u32) {
        self.id = Some(channel_id);
        let [newest, _] = self.tokens;
        if newest != Some(token_id) {
            self.tokens = [Some(token_id), newest];
        }
    }

    /// Whether sequence numbers may start anew before they are used up, as under policies that are not known: all but those with elliptic
    /// curves or authenticated encryption, which count from 0 to the end (OPC 10000-6, 6.7.2.4; OPC 10000-7, 6.6).
    pub fn is_legacy(&self) -> bool {
        let is_new = |policy: &str| policy.starts_with("ECC_") || policy.ends_with("_AesGcm") || policy.ends_with("_ChaChaPoly");
        !self.policy.as_deref().is_some_and(is_new)
    }

    /// Whether its policy is one with elliptic curves (OPC 10000-7, 6.6).
    pub fn is_elliptic(&self) -> bool {
        self.policy.as_deref().is_some_and(|policy| policy.starts_with("ECC_"))
    }

    /// Whether a token may be used now: always, where none was seen.
    pub fn takes(&self, token_id: u32) -> bool {
        let [newest, before] = self.tokens;
        newest.is_none() || newest == Some(token_id) || before == Some(token_id)
    }

    /// What lies behind the security header; learns the mode from it where it is not known. `is_first`: it is the first chunk of a message;
    /// `is_whole`: it is the only one.
    #[inline]
    pub fn content<'a>(&mut self, secured: &'a [u8], is_first: bool, is_whole: bool) -> Content<'a> {
        match self.mode {
            Some(SecurityMode::None | SecurityMode::Sign) => self.plain(secured),
            Some(SecurityMode::SignAndEncrypt) => Content::Hidden,
            Some(SecurityMode::Invalid) | None => self.infer(secured, is_first, is_whole),
        }
    }

    fn plain<'a>(&self, secured: &'a [u8]) -> Content<'a> {
        let signed = secured.get(..secured.len().saturating_sub(self.signature)).unwrap_or_default();
        match sequence(signed) {
            Some((number, request, body)) => Content::Plain(number, request, body),
            None => Content::Unknown,
        }
    }

    #[cold]
    fn infer<'a>(&mut self, secured: &'a [u8], is_first: bool, is_whole: bool) -> Content<'a> {
        let found = sequence(secured).filter(|(_, _, body)| service_of(body).is_some());
        if found.is_none() && !is_first {
            return Content::Unknown;
        }
        self.is_inferred = true;
        let Some((number, request, body)) = found else {
            // Of random bytes one in a hundred million begins like a service.
            self.mode = Some(SecurityMode::SignAndEncrypt);
            return Content::Hidden;
        };
        match self.policy.as_deref().and_then(signature_bytes) {
            Some(signature) => {
                self.mode = Some(if signature == 0 { SecurityMode::None } else { SecurityMode::Sign });
                self.signature = signature;
            }
            None if is_whole => {
                let (_, used) = service::decode(body, &mut |_| {});
                let left = used.map(|used| body.len().saturating_sub(used));
                match left {
                    Ok(0) => {
                        self.mode = Some(SecurityMode::None);
                        self.policy = Some("None".into());
                    }
                    Ok(left) if SIGNATURES.contains(&left) => {
                        self.mode = Some(SecurityMode::Sign);
                        self.signature = left;
                    }
                    _ => return Content::Plain(number, request, body),
                }
            }
            None => return Content::Plain(number, request, body),
        }
        self.plain(secured)
    }
}

/// What follows `#` in a policy's URI; the whole URI where it is no policy of the specification.
fn policy_name(policy: Text<'_>) -> Box<str> {
    let bytes = policy.unwrap_or_default();
    let bytes = bytes.get(..bytes.len().min(POLICY_BYTES)).unwrap_or_default();
    let mut text = String::new();
    super::binary::text::write_escaped(bytes, &mut text);
    match text.strip_prefix(POLICY_PREFIX) {
        Some(name) => name.into(),
        None if text.is_empty() => "None".into(),
        None => text.into(),
    }
}

/// Bytes of a symmetric signature under a policy (OPC 10000-7, 6.6); None for a policy that is not known.
fn signature_bytes(policy: &str) -> Option<usize> {
    Some(match policy {
        "None" => 0,
        "Basic128Rsa15" | "Basic256" => 20,
        "Basic256Sha256" | "Aes128_Sha256_RsaOaep" | "Aes256_Sha256_RsaPss" | "ECC_nistP256" | "ECC_brainpoolP256r1" => 32,
        "ECC_nistP384" | "ECC_brainpoolP384r1" => 48,
        "ECC_curve25519" | "ECC_curve448" => 16,
        _ if policy.ends_with("_AesGcm") || policy.ends_with("_ChaChaPoly") => 16,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sequence header and a CloseSession request: type 473, header, flag.
    fn close_session() -> Vec<u8> {
        let mut bytes = vec![51, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0xd9, 0x01, 0, 0];
        bytes.extend([0; 8]);
        bytes.extend([7, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1]);
        bytes
    }

    #[test]
    fn the_mode_of_a_channel_that_was_not_seen_opening_follows_from_its_messages() {
        let plain = close_session();
        let mut channel = Channel::default();
        let body = &plain[8..];
        assert_eq!(channel.content(&plain, true, true), Content::Plain(51, 1, body));
        assert_eq!((channel.mode, channel.policy.as_deref()), (Some(SecurityMode::None), Some("None")));

        let signed = [plain.clone(), vec![9; 32]].concat();
        let mut channel = Channel::default();
        assert_eq!(channel.content(&signed, true, true), Content::Plain(51, 1, body));
        assert_eq!((channel.mode, channel.policy, channel.is_inferred), (Some(SecurityMode::Sign), None, true));

        let mut channel = Channel::default();
        assert_eq!(channel.content(&[0xa7; 64], false, true), Content::Unknown);
        assert_eq!(channel.mode, None);
        assert_eq!(channel.content(&[0xa7; 64], true, true), Content::Hidden);
        assert_eq!(channel.mode, Some(SecurityMode::SignAndEncrypt));
    }

    #[test]
    fn a_signed_channel_loses_its_signature_by_its_policy() {
        let mut channel = Channel::default();
        channel.open(Some(b"http://opcfoundation.org/UA/SecurityPolicy#Basic256"));
        let signed = [close_session(), vec![9; 20]].concat();
        assert_eq!(channel.content(&signed, true, false), Content::Plain(51, 1, &close_session()[8..]));
        assert_eq!(channel.policy.as_deref(), Some("Basic256"));
        assert!(channel.takes(4));
        channel.token(1, 4);
        channel.token(1, 5);
        assert_eq!([3, 4, 5].map(|token| channel.takes(token)), [false, true, true]);
    }
}
