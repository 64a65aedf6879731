//! A row of table `opcua`: what the transport knows of an exchange, and what its content fills.

use std::borrow::Cow;

use super::certificate::Facts as CertificateFacts;
use super::channel::Channel;
use super::item_text::status_text;
use super::session::SessionName;
use crate::protocol::Context;
use crate::record::table::Pairing;
use crate::record::table::opcua::{ChannelRequestType, MessageType, OpcuaRow, ServiceName, UserToken};

/// What the transport knows of an exchange.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    /// Time of the row.
    pub ts: i64,
    /// Message type.
    pub message_type: MessageType,
    /// Channel.
    pub channel_id: Option<u32>,
    /// Token.
    pub token_id: Option<u32>,
    /// Sequence number.
    pub sequence_number: Option<u32>,
    /// Request.
    pub request_id: Option<u32>,
    /// Chunks of both messages.
    pub chunks: u32,
    /// Bytes of these.
    pub bytes: u32,
    /// End of the request to the start of the response.
    pub response_time: Option<i64>,
    /// Which halves there are.
    pub pairing: Pairing,
    /// Whether encryption hides the content.
    pub encrypted: bool,
}

/// Columns that the content fills.
#[derive(Default)]
pub struct Facts<'a> {
    /// Service.
    pub service: Option<ServiceName>,
    /// Number that the client gave.
    pub request_handle: Option<u32>,
    /// Session.
    pub session: Option<SessionName>,
    /// What an opening asks for.
    pub channel_request: Option<ChannelRequestType>,
    /// Token that an opening gives.
    pub token_id: Option<u32>,
    /// How the user says who it is.
    pub user_token: Option<UserToken>,
    /// The user.
    pub user_name: Option<Cow<'a, str>>,
    /// The application that calls.
    pub application_uri: Option<Cow<'a, str>>,
    /// Certificates of client and server.
    pub certificates: [Option<Box<CertificateFacts>>; 2],
    /// Endpoint.
    pub endpoint_url: Option<Cow<'a, str>>,
    /// Milliseconds that the client waits.
    pub timeout_hint: Option<u32>,
    /// Subscription.
    pub subscription_id: Option<u32>,
    /// Result of the service.
    pub status: Option<u32>,
    /// Status of an error or of an abort.
    pub error: Option<u32>,
    /// Text that came with it.
    pub reason: Option<Cow<'a, str>>,
    /// Operands.
    pub operations: Option<u32>,
}

/// Adds a row to table `opcua`.
pub fn push(head: &Head, facts: &Facts<'_>, channel: &Channel, context: &mut Context<'_>) {
    let (mut status_room, mut error_room) = (String::new(), String::new());
    let [client, server] = &facts.certificates;
    fn text(facts: &Option<Box<CertificateFacts>>, field: fn(&CertificateFacts) -> Option<&str>) -> Option<&str> {
        facts.as_deref().and_then(field)
    }
    let is_transport = matches!(
        head.message_type,
        MessageType::Hello | MessageType::Acknowledge | MessageType::Error | MessageType::ReverseHello
    );
    let row = OpcuaRow {
        message_type: head.message_type,
        service: facts.service,
        channel_id: head.channel_id,
        token_id: head.token_id.or(facts.token_id),
        sequence_number: head.sequence_number,
        request_id: head.request_id,
        request_handle: facts.request_handle,
        session: facts.session.as_ref().map(SessionName::text),
        security_policy: if is_transport { None } else { channel.policy.as_deref() },
        security_mode: if is_transport { None } else { channel.mode },
        channel_request: facts.channel_request,
        encrypted: head.encrypted,
        inferred: !is_transport && channel.is_inferred,
        user_token: facts.user_token,
        user_name: facts.user_name.as_deref(),
        application_uri: facts.application_uri.as_deref(),
        certificate: text(client, |facts| Some(&facts.thumbprint)),
        certificate_subject: text(client, |facts| facts.subject.as_deref()),
        certificate_application_uri: text(client, |facts| facts.uri.as_deref()),
        certificate_issuer: text(client, |facts| facts.issuer.as_deref()),
        certificate_not_before: client.as_ref().and_then(|facts| facts.not_before),
        certificate_not_after: client.as_ref().and_then(|facts| facts.not_after),
        certificate_key_bits: client.as_ref().and_then(|facts| facts.key_bits),
        certificate_signature: text(client, |facts| facts.signature.as_deref()),
        server_certificate: text(server, |facts| Some(&facts.thumbprint)),
        server_certificate_subject: text(server, |facts| facts.subject.as_deref()),
        server_certificate_application_uri: text(server, |facts| facts.uri.as_deref()),
        server_certificate_issuer: text(server, |facts| facts.issuer.as_deref()),
        server_certificate_not_before: server.as_ref().and_then(|facts| facts.not_before),
        server_certificate_not_after: server.as_ref().and_then(|facts| facts.not_after),
        server_certificate_key_bits: server.as_ref().and_then(|facts| facts.key_bits),
        server_certificate_signature: text(server, |facts| facts.signature.as_deref()),
        endpoint_url: facts.endpoint_url.as_deref(),
        timeout_hint: facts.timeout_hint,
        subscription_id: facts.subscription_id,
        status: facts.status.map(|code| status_text(code, &mut status_room)),
        error: facts.error.map(|code| status_text(code, &mut error_room)),
        reason: facts.reason.as_deref(),
        operations: facts.operations,
        chunks: head.chunks,
        bytes: head.bytes,
        response_time: head.response_time,
        pairing: head.pairing,
    };
    context.records.opcua.push(head.ts, context.party, &row);
}
