//! A call as rows: one of table `opcua`, and one of table `opcua_item` for each of its operands.

use std::borrow::Cow;

use hashbrown::HashSet;

use super::answers::Answers;
use super::asked::Asked;
use super::certificate;
use super::channel::{Channel, service_of};
use super::item::{Call, Items};
use super::item_text::Room;
use super::number_row::Recent;
use super::poll::PollId;
use super::row::{self, Facts, Head};
use super::service::{self, Decoded, Operand, Service};
use super::service_name::{kind_of, name_of};
use super::session::{SessionName, Sessions};
use super::subscription::Server;
use super::violation::Broken;
use super::{diagnostics, identity};
use crate::protocol::{Context, Side};
use crate::record::table::opcua::{ItemKind, ServiceName};

/// A body of a call: a request or a response.
#[derive(Clone, Copy, Debug)]
pub struct Body<'a> {
    /// The message body, of all chunks.
    pub bytes: &'a [u8],
    /// Whether its end is missing because it is too long to be held.
    pub is_cut: bool,
}

/// An exchange whose content can be read.
pub struct Exchange<'a> {
    /// What the transport knows.
    pub head: Head,
    /// The request's body.
    pub request: Option<Body<'a>>,
    /// The response's body.
    pub response: Option<Body<'a>>,
    /// Certificates of client and server that the transport shows.
    pub certificates: &'a [Option<Box<certificate::Facts>>; 2],
}

/// What a conversation lends to its rows.
pub struct Lent<'l> {
    /// Its channel.
    pub channel: &'l Channel,
    /// Its sessions.
    pub sessions: &'l mut Sessions,
    /// Room for texts.
    pub room: &'l mut Room,
    /// The server.
    pub server: Server,
    /// The poll that it carried last.
    pub poll: &'l mut PollId,
    /// Rules that were broken.
    pub broken: &'l mut Vec<Broken>,
}

/// Makes the rows of an exchange, but for the first `skip` of its items. Some: the tables are full, and so many items are done.
pub fn record(exchange: &Exchange<'_>, skip: u32, lent: &mut Lent<'_>, context: &mut Context<'_>) -> Option<u32> {
    let mut facts = Facts::default();
    let mut asked = Asked::default();
    let request = exchange.request.map(|body| {
        let (decoded, result) = asked.read(body, lent.poll, &mut facts, context);
        (body, decoded, result.err())
    });
    if let Some((_, Decoded { service: Some(Service::Call), .. }, _)) = &request {
        asked.hide_secrets(lent.server, context);
    }
    let known = exchange.response.and_then(|body| service_of(body.bytes));
    let service = request.as_ref().and_then(|(_, decoded, _)| decoded.service).or(known.map(|(service, _)| service));
    if let Some((_, Decoded { request: Some(header), .. }, _)) = &request {
        facts.request_handle = Some(header.request_handle);
        facts.timeout_hint = Some(header.timeout_hint);
        facts.session = lent.sessions.name(lent.server, &header.authentication_token);
    }
    let session = facts.session;
    let call = Call {
        ts: exchange.head.ts,
        service: service.map_or(ServiceName::Other, name_of),
        kind: service.map_or(ItemKind::Discovery, kind_of),
        request_id: exchange.head.request_id,
        session: session.as_ref().map(SessionName::text),
        session_key: session.map(|session| session.key),
        server: lent.server,
    };
    let mut answers = Answers {
        asked: &mut asked,
        items: Items { call, room: lent.room, context, skip, rows: 0, is_full: false, recent: Recent::default() },
        service,
        next: 0,
        open: None,
        outputs: Vec::new(),
        statuses: Vec::new(),
        acknowledgement: 0,
        token: None,
        removed: HashSet::default(),
        renamed: Vec::new(),
        notified: facts.subscription_id,
        created: None,
        certificate: None,
        given_token: None,
        cancelled: None,
        diagnostics: Vec::new(),
        source: None,
    };
    let response = exchange.response.map(|body| {
        let (decoded, result) = service::decode(body.bytes, &mut |operand| answers.take(operand));
        (body, decoded, result.err())
    });
    let result = response.as_ref().and_then(|(_, decoded, _)| decoded.response).map(|header| header.service_result);
    answers.finish(result, response.is_some());
    let Answers { items, next, token, notified, created, certificate, given_token, cancelled, diagnostics, .. } = answers;
    let (rows, is_full) = (items.rows, items.is_full);
    if is_full {
        return Some(rows);
    }
    facts.status = result;
    facts.token_id = given_token;
    if let Some(header) = response.as_ref().and_then(|(_, decoded, _)| decoded.response.as_ref()) {
        facts.reason = diagnostics::text(header, &diagnostics).map(Cow::Owned);
    }
    if let (None, Some(handle)) = (&facts.reason, asked.cancels) {
        let count = cancelled.map(|count| format!(": {count} cancelled")).unwrap_or_default();
        facts.reason = Some(Cow::Owned(format!("cancel request handle {handle}{count}")));
    }
    facts.service = service.map(name_of).or((request.is_some() || response.is_some()).then_some(ServiceName::Other));
    facts.subscription_id = created.or(notified).or(facts.subscription_id);
    if let Some(token) = token {
        facts.session = lent.sessions.name(lent.server, &token);
    }
    let operations = |half: &Option<(Body<'_>, Decoded<'_>, _)>| half.as_ref().map(|(_, decoded, _)| decoded.operations);
    let of_response = operations(&response);
    facts.operations = match service {
        Some(Service::Publish | Service::Republish) => of_response,
        _ => operations(&request).or(of_response),
    };
    let [client, server] = exchange.certificates;
    facts.certificates = [(client, asked.certificate), (server, certificate)]
        .map(|(shown, told)| shown.clone().or_else(|| told.and_then(certificate::facts)));
    if response.is_none() {
        asked.monitor_unconfirmed(lent.server, facts.session.map(|session| session.key), context);
    }
    if let (Some(Service::CloseSession), Some(session), Some(0), true) =
        (service, facts.session, result, asked.deletes_subscriptions)
    {
        context.shared.opcua.subscriptions.ended(lent.server, session.key);
    }
    learn(&asked, exchange.response, service, context);
    let halves = [&request, &response].map(|half| half.as_ref().map(|(body, decoded, fault)| (body.is_cut, decoded, *fault)));
    let results = if asked.is_release { None } else { Some((asked.len(context), next)) };
    super::check::exchange(&halves, results, lent.broken);
    if asked.has_secret_in_clear && !matches!(lent.channel.mode, Some(crate::record::table::opcua::SecurityMode::SignAndEncrypt))
    {
        lent.broken.push(super::check::secret_in_clear());
    }
    super::check::certificates(&facts.certificates, lent.channel.policy.as_deref(), exchange.head.ts, lent.broken);
    row::push(&exchange.head, &facts, lent.channel, context);
    None
}

/// Learns what client and server say of themselves.
fn learn(asked: &Asked<'_>, response: Option<Body<'_>>, service: Option<Service>, context: &mut Context<'_>) {
    if let Some(application) = &asked.application {
        identity::learn_application(Side::Client, application, context);
    }
    if let (Some(body), Some(Service::CreateSession | Service::GetEndpoints)) = (response, service) {
        let mut server = None;
        let _ = service::decode(body.bytes, &mut |operand| {
            if let (None, Operand::Endpoint(endpoint)) = (&server, *operand) {
                server = Some(endpoint.server);
            }
        });
        if let Some(server) = server {
            identity::learn_application(Side::Server, &server, context);
        }
    }
}
