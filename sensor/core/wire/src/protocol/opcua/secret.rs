//! Which values are secrets: arguments of methods by what is known of the method, and keys by what their bytes are.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::binary::{Body, Identifier, NodeId, Reader, Scalar, Variant};
use super::node;
use super::service;
use super::subscription::Server;

/// Stands for a value that is a secret.
pub const SECRET: Variant<'static> = Variant::Scalar(Scalar::String(Some(b"(secret)")));

/// Methods, and properties of methods, of which something is held.
const METHODS: usize = 16_384;
/// Arguments of one method that are looked at.
const ARGUMENTS: usize = 64;
/// Bytes of a value that are looked into: its text has not more of it.
const LOOKED_INTO: usize = 2_048;
/// Binary encoding of Argument (OPC 10000-6, annex A).
const ARGUMENT: u32 = 298;

/// Which arguments of a method are secrets, one bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Positions {
    inputs: u64,
    outputs: u64,
}

/// What servers tell of the arguments of their methods.
#[derive(Debug, Default)]
pub struct Secrets {
    /// Properties InputArguments and OutputArguments: the method of each, and whether it is the latter.
    properties: HashMap<(Server, u64), (u64, bool), FixedState>,
    methods: HashMap<(Server, u64), Positions, FixedState>,
    /// What was not taken in because there was no room.
    pub overflow: u64,
}

impl Secrets {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.properties.capacity() * size_of::<((Server, u64), (u64, bool))>()
            + self.methods.capacity() * size_of::<((Server, u64), Positions)>()
    }

    /// A node has this child by its browse name: InputArguments and OutputArguments are properties of methods (OPC 10000-3, 5.7).
    pub fn child(&mut self, server: Server, parent: &NodeId<'_>, name: &[u8], child: &NodeId<'_>) {
        let is_output = match name {
            b"InputArguments" => false,
            b"OutputArguments" => true,
            _ => return,
        };
        if self.properties.len() >= METHODS {
            self.overflow += 1;
            return;
        }
        self.properties.insert((server, node::hash(child)), (node::hash(parent), is_output));
    }

    /// The value of a node was read: if it is such a property, the names of the arguments tell which are secrets.
    pub fn learn(&mut self, server: Server, property: &NodeId<'_>, value: &Variant<'_>) {
        let Variant::Array(array) = value else { return };
        let Some((method, is_output)) = self.properties.get(&(server, node::hash(property))).copied() else { return };
        let mut positions = 0_u64;
        for (at, argument) in array.iter().take(ARGUMENTS).enumerate() {
            if let Scalar::ExtensionObject(object) = argument
                && let (Some(ARGUMENT), Body::Binary(body)) = (object.type_id.standard_number(), object.body)
                && let Ok(Some(name)) = Reader::new(body).string()
                && is_secret_name(name)
            {
                positions |= 1 << at;
            }
        }
        if self.methods.len() >= METHODS && !self.methods.contains_key(&(server, method)) {
            self.overflow += 1;
            return;
        }
        let known = self.methods.entry((server, method)).or_default();
        *if is_output { &mut known.outputs } else { &mut known.inputs } = positions;
    }

    /// Hides the secrets among the input arguments of a call. `name`: of the method, where it was learned.
    pub fn hide_inputs(&self, server: Server, method: &NodeId<'_>, name: Option<&str>, values: &mut [Variant<'_>]) {
        let of_name = by_name(name.unwrap_or_default()).inputs | by_number(method).inputs;
        let of_shape = if is_new_key_pair(values) { 1 << 6 } else { 0 };
        hide(values, self.of(server, method).inputs | of_name | of_shape);
    }

    /// Hides the secrets among the results of a call.
    pub fn hide_outputs(&self, server: Server, method: &NodeId<'_>, name: Option<&str>, values: &mut [Variant<'_>]) {
        let of_name = by_name(name.unwrap_or_default()).outputs | by_number(method).outputs;
        let of_shape = if is_finished_request(values) { 1 << 1 } else { 0 };
        let of_standard = service::secret_outputs(method).iter().fold(0, |all, at| all | (1_u64 << at));
        hide(values, self.of(server, method).outputs | of_name | of_shape | of_standard);
    }

    fn of(&self, server: Server, method: &NodeId<'_>) -> Positions {
        if self.methods.is_empty() { Positions::default() } else { self.get(server, method) }
    }

    fn get(&self, server: Server, method: &NodeId<'_>) -> Positions {
        self.methods.get(&(server, node::hash(method))).copied().unwrap_or_default()
    }
}

fn hide(values: &mut [Variant<'_>], positions: u64) {
    for (at, value) in values.iter_mut().take(ARGUMENTS).enumerate() {
        if (positions >> at) & 1 == 1 && !matches!(value, Variant::Null) {
            *value = SECRET;
        }
    }
}

/// Secrets of the methods that OPC UA defines, by their browse names; a namespace may stand before them. Users (OPC 10000-18, 5.2), certificates
/// (OPC 10000-12, 7.9, 7.10), credentials (8.5, 8.6), access tokens (9.5), keys of PubSub groups (OPC 10000-14, 8.3, 9.1.3).
fn by_name(name: &str) -> Positions {
    let name = name.split_once(':').filter(|(number, _)| number.parse::<u16>().is_ok()).map_or(name, |(_, name)| name);
    let (inputs, outputs) = match name {
        "AddUser" | "UpdateCredential" => (1 << 1, 0),
        "ModifyUser" => (1 << 2, 0),
        "ChangePassword" => (0b11, 0),
        "UpdateCertificate" => (1 << 5, 0),
        "SetSecurityKeys" => (0b1_1000, 0),
        "StartNewKeyPairRequest" => (1 << 6, 0),
        "FinishRequest" => (0, 1 << 1),
        "GetSecurityKeys" => (0, 1 << 2),
        "RequestAccessToken" => (0, 1),
        "StartRequestToken" | "FinishRequestToken" | "RefreshToken" => (u64::MAX, u64::MAX),
        _ => (0, 0),
    };
    Positions { inputs, outputs }
}

/// Secrets of methods of the namespace of OPC 10000-12, by number: of CertificateDirectoryType and of the object Directory. The number of the
/// namespace differs from server to server; another namespace that has the same numbers loses one argument.
fn by_number(method: &NodeId<'_>) -> Positions {
    match (method.namespace, method.identifier) {
        (1.., Identifier::Numeric(76 | 154)) => Positions { inputs: 1 << 6, outputs: 0 },
        (1.., Identifier::Numeric(85 | 163)) => Positions { inputs: 0, outputs: 1 << 1 },
        _ => Positions::default(),
    }
}

/// Built-in types of values, for shapes (OPC 10000-6, 5.1.2).
const STRING: u8 = 12;
const BYTE_STRING: u8 = 15;
const NODE_ID: u8 = 17;

/// Whether these are the arguments of StartNewKeyPairRequest (OPC 10000-12, 7.9.4), whatever the method is called.
fn is_new_key_pair(values: &[Variant<'_>]) -> bool {
    if values.len() != 7 {
        return false;
    }
    let types: Vec<u8> = values.iter().map(|value| value.built_in().0).collect();
    matches!(types.as_slice(), [NODE_ID, NODE_ID, NODE_ID, STRING, STRING, STRING, STRING])
        && matches!(values.get(4), Some(Variant::Array(_)))
}

/// Whether these are the results of FinishRequest: certificate, key, and issuers that may be left out (OPC 10000-12, 7.9.6), or name, secret,
/// thumbprint, policy, roles of a credential (8.5.5).
fn is_finished_request(values: &[Variant<'_>]) -> bool {
    if !matches!(values.len(), 2 | 3 | 5) {
        return false;
    }
    let types: Vec<u8> = values.iter().map(|value| value.built_in().0).collect();
    matches!(
        types.as_slice(),
        [BYTE_STRING, BYTE_STRING]
            | [BYTE_STRING, BYTE_STRING, BYTE_STRING | 0]
            | [STRING, BYTE_STRING, STRING, STRING, NODE_ID | 0]
    )
}

/// Whether an argument of this name is a secret.
fn is_secret_name(name: &[u8]) -> bool {
    let plain: Vec<u8> = name.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase).collect();
    const WORDS: [&[u8]; 8] =
        [b"password", b"passwd", b"passphrase", b"passcode", b"pwd", b"secret", b"privatekey", b"accesstoken"];
    plain == b"pin" || WORDS.iter().any(|word| plain.windows(word.len()).any(|part| part == *word))
}

/// Whether a value, or one of an array, is a private key.
pub fn is_key(value: &Variant<'_>) -> bool {
    let is_key = |scalar: &Scalar<'_>| match scalar {
        Scalar::ByteString(Some(bytes)) | Scalar::String(Some(bytes)) => is_key_material(bytes),
        _ => false,
    };
    match value {
        Variant::Scalar(scalar) => is_key(scalar),
        Variant::Array(array) => {
            matches!(value.built_in().0, STRING | BYTE_STRING) && array.iter().take(ARGUMENTS).any(|one| is_key(&one))
        }
        Variant::Null => false,
    }
}

/// Whether bytes are a private key, or begin like one: PEM (RFC 7468), PKCS#8 in clear or encrypted (RFC 5958), PKCS#1 (RFC 8017, A.1.2), SEC 1
/// (RFC 5915), PFX (RFC 7292).
fn is_key_material(bytes: &[u8]) -> bool {
    const PEM: &[u8] = b"PRIVATE KEY-----";
    let bytes = bytes.get(..LOOKED_INTO).unwrap_or(bytes);
    let Some(outer) = sequence(bytes) else {
        return bytes.first().is_some_and(u8::is_ascii) && bytes.windows(PEM.len()).any(|part| part == PEM);
    };
    match outer {
        // PKCS#1: version, modulus; SEC 1: version, key.
        [0x02, 0x01, 0 | 1, 0x02, ..] | [0x02, 0x01, 1, 0x04, ..] => true,
        // PKCS#8: version, algorithm.
        [0x02, 0x01, 0 | 1, rest @ ..] => sequence(rest).is_some_and(|algorithm| algorithm.first() == Some(&0x06)),
        // PFX: version, content type of PKCS#7.
        [0x02, 0x01, 3, rest @ ..] => {
            sequence(rest).is_some_and(|content| content.starts_with(b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07"))
        }
        // Encrypted PKCS#8: algorithm of PKCS#5 or PKCS#12.
        _ => match sequence(outer) {
            Some([0x06, _, identifier @ ..]) => {
                identifier.starts_with(b"\x2a\x86\x48\x86\xf7\x0d\x01\x05")
                    || identifier.starts_with(b"\x2a\x86\x48\x86\xf7\x0d\x01\x0c")
            }
            _ => false,
        },
    }
}

/// What a sequence begins with, as far as it is here (X.690, 8.9).
fn sequence(bytes: &[u8]) -> Option<&[u8]> {
    match bytes {
        // Of indefinite length.
        [0x30, 0x80, rest @ ..] | [0x30, 0x81, _, rest @ ..] | [0x30, 0x82, _, _, rest @ ..] => Some(rest),
        [0x30, 0x83, _, _, _, rest @ ..] => Some(rest),
        [0x30, 0..=0x7f, rest @ ..] => Some(rest),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Server = Server(1);

    fn text(text: &'static str) -> Variant<'static> {
        Variant::Scalar(Scalar::String(Some(text.as_bytes())))
    }

    fn bytes(bytes: &[u8]) -> Variant<'_> {
        Variant::Scalar(Scalar::ByteString(Some(bytes)))
    }

    #[test]
    fn private_keys_are_known_by_their_bytes_and_certificates_are_none() {
        let keys: [&[u8]; 7] = [
            b"-----BEGIN PRIVATE KEY-----\nMIIE",
            b"comment\n-----BEGIN RSA PRIVATE KEY-----\n",
            b"\x30\x82\x04\xbe\x02\x01\x00\x30\x0d\x06\x09\x2a",
            b"\x30\x82\x04\xa4\x02\x01\x00\x02\x82\x01\x01\x00",
            b"\x30\x77\x02\x01\x01\x04\x20\x11",
            b"\x30\x82\x05\x0a\x02\x01\x03\x30\x82\x04\xd0\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01",
            b"\x30\x82\x05\x2d\x30\x57\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0d",
        ];
        for key in keys {
            assert!(is_key(&bytes(key)), "{key:?}");
        }
        let others: [&[u8]; 6] = [
            b"",
            b"-----BEGIN CERTIFICATE-----\nMIIE",
            // A certificate, a request for one, a public key, a signature.
            b"\x30\x82\x03\x10\x30\x82\x01\xf8\xa0\x03\x02\x01\x02",
            b"\x30\x82\x02\x10\x30\x82\x01\xf8\x02\x01\x00\x30",
            b"\x30\x82\x01\x22\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01",
            b"\x30\x44\x02\x20\x11\x22",
        ];
        for other in others {
            assert!(!is_key(&bytes(other)), "{other:?}");
        }
    }

    #[test]
    fn secrets_of_a_method_are_hidden_by_its_name_wherever_it_lives() {
        let method = NodeId::standard(4_711);
        let mut values = [text("operator"), text("hunter2"), Variant::Null];
        Secrets::default().hide_inputs(HERE, &method, Some("3:AddUser"), &mut values);
        assert_eq!(values, [text("operator"), SECRET, Variant::Null]);
        let mut values = [bytes(b"certificate"), bytes(b"key")];
        Secrets::default().hide_outputs(HERE, &method, Some("FinishRequest"), &mut values);
        assert_eq!(values, [bytes(b"certificate"), SECRET]);
        let mut values = [text("operator"), text("hunter2")];
        Secrets::default().hide_inputs(HERE, &method, Some("AddUsers"), &mut values);
        assert_eq!(values[1], text("hunter2"));
    }
}
