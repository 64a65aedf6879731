//! Session service set (OPC 10000-4, 5.7). Secrets of users are not even handed on.

use super::{ApplicationDescription, Operand, Out};
use crate::protocol::opcua::binary::{Body, Decode, ExtensionObject, Fault, NodeId, Reader, Text, structure};

/// Binary encodings of the identity tokens (OPC 10000-6, annex A).
const ANONYMOUS: u32 = 321;
const USER_NAME: u32 = 324;
const X509: u32 = 327;
const ISSUED: u32 = 940;
const CLAUSE: &str = "OPC 10000-4, 7.41";

structure! {
    /// A signature (7.37).
    pub struct SignatureData<'a> {
        /// URI of its algorithm.
        pub algorithm: Text<'a>,
        /// The signature.
        pub signature: Text<'a>,
    }
}

structure! {
    /// A certificate of software; reserved (7.38).
    pub struct SignedSoftwareCertificate<'a> {
        /// The certificate.
        pub certificate_data: Text<'a>,
        /// Its signature.
        pub signature: Text<'a>,
    }
}

structure! {
    /// Asks for a session (5.7.2.2).
    pub struct SessionRequest<'a> {
        /// The client.
        pub client: ApplicationDescription<'a>,
        /// The server that it means, behind a gateway.
        pub server_uri: Text<'a>,
        /// URL by which it reached the server.
        pub endpoint_url: Text<'a>,
        /// Name of the session for people.
        pub session_name: Text<'a>,
        /// Random bytes that the server must sign.
        pub client_nonce: Text<'a>,
        /// The client's certificate, DER.
        pub client_certificate: Text<'a>,
        /// Timeout that the client wants, milliseconds.
        pub requested_timeout: f64,
        /// Longest response that it takes, bytes; 0 is no limit.
        pub max_response_size: u32,
    }
}

/// A session that a server created (5.7.2.2). The server's endpoints are operands of their own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SessionCreated<'a> {
    /// Name of the session in the server's address space.
    pub session_id: NodeId<'a>,
    /// The secret that names it in request headers. Never record it as it is.
    pub authentication_token: NodeId<'a>,
    /// Timeout that the server gives, milliseconds.
    pub revised_timeout: f64,
    /// Random bytes that the client must sign.
    pub server_nonce: Text<'a>,
    /// The server's certificate, DER.
    pub server_certificate: Text<'a>,
}

/// Activates a session (5.7.3.2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SessionActivation<'a> {
    /// Algorithm of the client's signature.
    pub client_signature_algorithm: Text<'a>,
    /// Whether there is a signature.
    pub signed: bool,
}

/// Kind of an identity token (7.41).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserTokenKind {
    /// Nobody in particular: by an anonymous token, or by none at all.
    Anonymous,
    /// A user name and a password.
    UserName,
    /// A certificate.
    Certificate,
    /// A token of another system.
    Issued,
    /// A type that the specification does not define.
    Other,
}

/// Who uses a session (7.41). Passwords and issued tokens are left out on purpose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UserToken<'a> {
    /// How the user is identified.
    pub kind: UserTokenKind,
    /// The server's policy that the token follows.
    pub policy_id: Text<'a>,
    /// User name.
    pub user_name: Text<'a>,
    /// User's certificate, DER.
    pub certificate: Text<'a>,
    /// Algorithm that encrypts the secret.
    pub encryption_algorithm: Text<'a>,
    /// Whether there is a secret that no algorithm encrypts: only the channel protects it, if it does.
    pub secret_in_clear: bool,
}

impl UserToken<'_> {
    fn of(kind: UserTokenKind) -> Self {
        Self { kind, policy_id: None, user_name: None, certificate: None, encryption_algorithm: None, secret_in_clear: false }
    }
}

fn secret_in_clear(secret: Text<'_>, algorithm: Text<'_>) -> bool {
    !secret.unwrap_or_default().is_empty() && algorithm.unwrap_or_default().is_empty()
}

fn user_token<'a>(kind: UserTokenKind, reader: &mut Reader<'a>) -> Result<UserToken<'a>, Fault> {
    let mut token = UserToken { policy_id: reader.string()?, ..UserToken::of(kind) };
    match kind {
        UserTokenKind::UserName => {
            token.user_name = reader.string()?;
            let password = reader.byte_string()?;
            token.encryption_algorithm = reader.string()?;
            token.secret_in_clear = secret_in_clear(password, token.encryption_algorithm);
        }
        UserTokenKind::Certificate => token.certificate = reader.byte_string()?,
        UserTokenKind::Issued => {
            let secret = reader.byte_string()?;
            token.encryption_algorithm = reader.string()?;
            token.secret_in_clear = secret_in_clear(secret, token.encryption_algorithm);
        }
        UserTokenKind::Anonymous | UserTokenKind::Other => {}
    }
    Ok(token)
}

fn read_user_token<'a>(reader: &mut Reader<'a>) -> Result<UserToken<'a>, Fault> {
    let object = ExtensionObject::decode(reader)?;
    let kind = match object.type_id.standard_number() {
        Some(ANONYMOUS) => UserTokenKind::Anonymous,
        Some(USER_NAME) => UserTokenKind::UserName,
        Some(X509) => UserTokenKind::Certificate,
        Some(ISSUED) => UserTokenKind::Issued,
        // No token stands for the anonymous one.
        Some(0) => UserTokenKind::Anonymous,
        _ => UserTokenKind::Other,
    };
    match (kind, object.body) {
        (UserTokenKind::Other, _) | (_, Body::None | Body::Xml(_)) => Ok(UserToken::of(kind)),
        (_, Body::Binary(body)) => reader.within(body, CLAUSE, |inner| user_token(kind, inner)),
    }
}

pub(super) fn create_request<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let request = reader.read()?;
    out.one(Operand::SessionRequest(request));
    Ok(())
}

pub(super) fn create_response<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    out.one(Operand::SessionCreated(SessionCreated {
        session_id: reader.read()?,
        authentication_token: reader.read()?,
        revised_timeout: reader.f64()?,
        server_nonce: reader.byte_string()?,
        server_certificate: reader.byte_string()?,
    }));
    reader.each(|endpoint| out.say(Operand::Endpoint(endpoint)))?;
    reader.each(|_: SignedSoftwareCertificate<'a>| {})?;
    let signature = SignatureData::decode(reader)?;
    let max_request_size = reader.u32()?;
    out.say(Operand::SessionSignature { algorithm: signature.algorithm, max_request_size });
    Ok(())
}

pub(super) fn activate_request<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let signature = SignatureData::decode(reader)?;
    let signed = !signature.signature.unwrap_or_default().is_empty();
    out.one(Operand::SessionActivation(SessionActivation { client_signature_algorithm: signature.algorithm, signed }));
    reader.each(|_: SignedSoftwareCertificate<'a>| {})?;
    reader.each(|locale| out.say(Operand::Locale(locale)))?;
    let token = read_user_token(reader)?;
    out.say(Operand::UserToken(token));
    SignatureData::decode(reader)?;
    Ok(())
}

pub(super) fn activate_response<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let server_nonce = reader.byte_string()?;
    out.say(Operand::SessionNonce(server_nonce));
    out.each(reader, Operand::Status)?;
    out.diagnostics(reader)
}

pub(super) fn close_request<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let delete_subscriptions = reader.boolean()?;
    out.one(Operand::CloseSession { delete_subscriptions });
    Ok(())
}

pub(super) fn cancel_request<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let request_handle = reader.u32()?;
    out.one(Operand::Cancel { request_handle });
    Ok(())
}

pub(super) fn cancel_response<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let count = reader.u32()?;
    out.one(Operand::Cancelled { count });
    Ok(())
}
