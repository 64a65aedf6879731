//! A call as rows: one of table `opcua`, and one of table `opcua_item` for each of its operands.

use std::borrow::Cow;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashSet;

use super::binary::{DiagnosticInfo, List, LocalizedText, NodeId, Scalar, Text, Variant, is_dictionary};
use super::certificate::{self, Facts as CertificateFacts};
use super::channel::{Channel, service_of};
use super::item::{self, Call, Item, Items, NameOf, Node, Room, plain, status_text};
use super::service::{
    self, CreateMonitored, Decoded, EndpointDescription, HistoryAction, HistoryDetails, MonitoringFilter, Operand, Service,
    UserTokenKind,
};
use super::session::{SessionName, Sessions};
use super::subscription::{Monitored, Server, SessionKey, field_names};
use super::violation::Broken;
use super::{diagnostics, history, identity, status};
use crate::protocol::{Context, Side};
use crate::record::table::Pairing;
use crate::record::table::opcua::{ChannelRequestType, ItemKind, MessageType, OpcuaRow, ServiceName, UserToken};

/// Longest name of a user, a URL or a URI that is kept.
const TEXT_BYTES: usize = 512;

/// Items of a request that there is room for from the first on: most have no more.
const ITEMS: usize = 16;

/// Reference from an encoding to its description in a data type dictionary (OPC 10000-5, annex D).
const HAS_DESCRIPTION: u32 = 39;

/// Stands for an argument that is a secret.
const SECRET: Variant<'static> = Variant::Scalar(Scalar::String(Some(b"(secret)")));

/// A body of a call: a request or a response.
#[derive(Clone, Copy, Debug)]
pub struct Body<'a> {
    /// The message body, of all chunks.
    pub bytes: &'a [u8],
    /// Whether its end is missing because it is too long to be held.
    pub is_cut: bool,
}

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
    pub certificates: [Option<CertificateFacts>; 2],
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

/// An exchange whose content can be read.
pub struct Exchange<'a> {
    /// What the transport knows.
    pub head: Head,
    /// The request's body.
    pub request: Option<Body<'a>>,
    /// The response's body.
    pub response: Option<Body<'a>>,
    /// Certificates of client and server that the transport shows.
    pub certificates: [Text<'a>; 2],
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
    /// Rules that were broken.
    pub broken: &'l mut Vec<Broken>,
}

/// Makes the rows of an exchange, but for the first `skip` of its items. Some: the tables are full, and so many items are done.
pub fn record(exchange: &Exchange<'_>, skip: u32, lent: &mut Lent<'_>, context: &mut Context<'_>) -> Option<u32> {
    let mut facts = Facts::default();
    let mut asked = Asked::default();
    let request = exchange.request.map(|body| {
        let (decoded, result) = service::decode(body.bytes, &mut |operand| asked.take(operand, &mut facts));
        (body, decoded, result.err())
    });
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
        asked: &asked,
        items: Items { call, room: lent.room, context, skip, rows: 0, is_full: false },
        service,
        next: 0,
        open: None,
        outputs: Vec::new(),
        token: None,
        removed: HashSet::default(),
        notified: facts.subscription_id,
        created: None,
        certificate: None,
        given_token: None,
        diagnostics: Vec::new(),
        source: None,
    };
    let response = exchange.response.map(|body| {
        let (decoded, result) = service::decode(body.bytes, &mut |operand| answers.take(operand));
        (body, decoded, result.err())
    });
    let result = response.as_ref().and_then(|(_, decoded, _)| decoded.response).map(|header| header.service_result);
    answers.finish(result, response.is_some());
    let Answers { items, next, token, notified, created, certificate, given_token, diagnostics, .. } = answers;
    let (rows, is_full) = (items.rows, items.is_full);
    if is_full {
        return Some(rows);
    }
    facts.status = result;
    facts.token_id = given_token;
    if let Some(header) = response.as_ref().and_then(|(_, decoded, _)| decoded.response) {
        facts.reason = diagnostics::text(&header, &diagnostics).map(Cow::Owned);
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
    let client = client.or(asked.certificate).filter(|bytes| !bytes.is_empty());
    let server = server.or(certificate).filter(|bytes| !bytes.is_empty());
    facts.certificates = [client, server].map(|bytes| bytes.and_then(certificate::facts));
    if response.is_none() {
        asked.monitor_unconfirmed(lent.server, facts.session.map(|session| session.key), context);
    }
    if let (Some(Service::CloseSession), Some(session), Some(0), true) =
        (service, facts.session, result, asked.deletes_subscriptions)
    {
        context.shared.opcua.subscriptions.ended(lent.server, session.key);
    }
    learn(&asked, exchange.response, service, context);
    let halves = [&request, &response].map(|half| half.as_ref().map(|(body, decoded, fault)| (body.is_cut, *decoded, *fault)));
    super::check::exchange(&halves, (asked.items.len(), next), lent.broken);
    if asked.has_secret_in_clear && !matches!(lent.channel.mode, Some(crate::record::table::opcua::SecurityMode::SignAndEncrypt))
    {
        lent.broken.push(super::check::secret_in_clear());
    }
    super::check::certificates(&facts.certificates, lent.channel.policy.as_deref(), exchange.head.ts, lent.broken);
    push(&exchange.head, &facts, lent.channel, context);
    None
}

/// Adds a row to table `opcua`.
pub fn push(head: &Head, facts: &Facts<'_>, channel: &Channel, context: &mut Context<'_>) {
    let (mut status_room, mut error_room) = (String::new(), String::new());
    let [client, server] = &facts.certificates;
    fn text(facts: &Option<CertificateFacts>, field: fn(&CertificateFacts) -> Option<&str>) -> Option<&str> {
        facts.as_ref().and_then(field)
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
        certificate_issuer: text(client, |facts| facts.issuer.as_deref()),
        certificate_not_before: client.as_ref().and_then(|facts| facts.not_before),
        certificate_not_after: client.as_ref().and_then(|facts| facts.not_after),
        certificate_key_bits: client.as_ref().and_then(|facts| facts.key_bits),
        certificate_signature: text(client, |facts| facts.signature.as_deref()),
        server_certificate: text(server, |facts| Some(&facts.thumbprint)),
        server_certificate_subject: text(server, |facts| facts.subject.as_deref()),
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

/// What a request asks for.
#[derive(Default)]
struct Asked<'a> {
    items: Vec<Item<'a>>,
    inputs: Vec<Variant<'a>>,
    /// Values of a history update: which item they are of.
    updates: Vec<Item<'a>>,
    /// What history is asked for, as text; fields of events where it is these.
    range: String,
    event_fields: Option<Arc<[Box<str>]>>,
    /// Events of a history update, and the nodes that they are of.
    sources: Vec<Monitored>,
    events: Vec<(usize, List<'a, Variant<'a>>)>,
    certificate: Text<'a>,
    application: Option<service::ApplicationDescription<'a>>,
    deletes_subscriptions: bool,
    has_secret_in_clear: bool,
}

impl<'a> Asked<'a> {
    #[inline]
    fn add(&mut self, item: Item<'a>) {
        if self.items.is_empty() {
            self.items.reserve(ITEMS);
        }
        self.items.push(item);
    }

    fn take(&mut self, operand: &Operand<'a>, facts: &mut Facts<'a>) {
        match *operand {
            Operand::ReadItem(read) => self.add(Item {
                node: Node::of(read.node),
                attribute: Some(read.attribute),
                index_range: read.index_range,
                ..Item::default()
            }),
            Operand::WriteItem(write) => self.add(Item {
                node: Node::of(write.node),
                attribute: Some(write.attribute),
                index_range: write.index_range,
                value: Some(write.value),
                ..Item::default()
            }),
            Operand::HistoryReadItem(read) => {
                self.add(Item { node: Node::of(read.node), index_range: read.index_range, ..Item::default() });
            }
            Operand::HistoryOptions { details, release, .. } => {
                self.range = history::range(&details, release);
                if let HistoryDetails::Event(events) = details {
                    self.event_fields = Some(field_names(events.filter.select));
                }
            }
            Operand::HistoryUpdate(update) => {
                let at = self.inputs.len();
                self.inputs.extend(history::deleted(&update.action));
                let arguments = (at, self.inputs.len());
                let item = Item { node: Node::of(update.node), word: Some(action(&update.action)), arguments, ..Item::default() };
                if let HistoryAction::Event(_, filter) = update.action {
                    self.sources.push(Monitored { fields: Some(field_names(filter.select)), ..monitored(&item, None, true) });
                }
                self.add(item);
            }
            Operand::HistoryEvent { fields } => {
                if let Some(source) = self.sources.len().checked_sub(1) {
                    self.events.push((source, fields));
                }
            }
            Operand::ChannelRequest(request) => {
                facts.channel_request = match request.request_type {
                    0 => Some(ChannelRequestType::Issue),
                    1 => Some(ChannelRequestType::Renew),
                    _ => None,
                };
            }
            Operand::HistoryValue(value) => {
                if let Some(update) = self.items.last() {
                    self.updates.push(Item { node: update.node, value: Some(value), ..Item::default() });
                }
            }
            Operand::Call { object, method } => {
                let at = self.inputs.len();
                self.add(Item { node: Node::of(method), object: Node::of(object), arguments: (at, at), ..Item::default() });
            }
            Operand::Argument(_) | Operand::SecretArgument(_) => {
                self.inputs.push(match *operand {
                    Operand::Argument(argument) => argument,
                    _ => SECRET,
                });
                if let Some(item) = self.items.last_mut() {
                    item.arguments.1 = self.inputs.len();
                }
            }
            Operand::Browse(browse) => self.add(Item { object: Node::of(browse.node), ..Item::default() }),
            Operand::BrowseNext { .. } => self.add(Item::default()),
            Operand::BrowsePath(path) => {
                self.add(Item { object: Node::of(path.starting_node), name: NameOf::Path(path.path), ..Item::default() });
            }
            Operand::RegisterNode(node) | Operand::UnregisterNode(node) => {
                self.add(Item { node: Node::of(node), ..Item::default() })
            }
            Operand::MonitorOptions { subscription_id, .. } => facts.subscription_id = Some(subscription_id),
            Operand::CreateMonitored(CreateMonitored { item, parameters, mode }) => self.add(Item {
                node: Node::of(item.node),
                attribute: Some(item.attribute),
                index_range: item.index_range,
                client_handle: Some(parameters.client_handle),
                subscription_id: facts.subscription_id,
                word: Some(monitoring_mode(mode)),
                filter: match parameters.filter {
                    MonitoringFilter::Event(filter) => Some(filter),
                    _ => None,
                },
                ..Item::default()
            }),
            Operand::ModifyMonitored(modify) => self.add(Item {
                monitored_item_id: Some(modify.monitored_item_id),
                client_handle: Some(modify.parameters.client_handle),
                subscription_id: facts.subscription_id,
                ..Item::default()
            }),
            Operand::SetMonitoringMode { subscription_id, monitored_item_id, mode } => {
                self.of_item(subscription_id, monitored_item_id, Some(monitoring_mode(mode)), facts);
            }
            Operand::SetTriggering { subscription_id, linked_item_id, remove, .. } => {
                self.of_item(subscription_id, linked_item_id, Some(if remove { "remove" } else { "add" }), facts);
            }
            Operand::DeleteMonitored { subscription_id, monitored_item_id } => {
                self.of_item(subscription_id, monitored_item_id, None, facts);
            }
            Operand::SetPublishingMode { subscription_id, enabled } => {
                self.of_subscription(subscription_id, Some(if enabled { "enabled" } else { "disabled" }), facts);
            }
            Operand::DeleteSubscription(id) | Operand::TransferSubscription(id) => self.of_subscription(id, None, facts),
            Operand::ModifySubscription(change) => facts.subscription_id = Some(change.subscription_id),
            Operand::Republish { subscription_id, .. } => facts.subscription_id = Some(subscription_id),
            Operand::AddNode(add) => self.add(Item {
                node: Node::expanded(add.requested),
                object: Node::expanded(add.parent),
                name: NameOf::Browse(add.browse_name),
                word: Some(node_class(add.node_class)),
                ..Item::default()
            }),
            Operand::AddReference(add) => {
                self.add(Item { node: Node::expanded(add.target), object: Node::of(add.source), ..Item::default() });
            }
            Operand::DeleteNode(delete) => self.add(Item { node: Node::of(delete.node), ..Item::default() }),
            Operand::DeleteReference(delete) => {
                self.add(Item { node: Node::expanded(delete.target), object: Node::of(delete.source), ..Item::default() });
            }
            Operand::RegisteredServer(server) => self.add(Item {
                name: NameOf::Text(server.server_uri),
                word: Some(if server.is_online { "online" } else { "offline" }),
                ..Item::default()
            }),
            Operand::DiscoveryQuery(query) => facts.endpoint_url = plain(query.endpoint_url, TEXT_BYTES),
            Operand::SessionRequest(request) => {
                facts.endpoint_url = plain(request.endpoint_url, TEXT_BYTES);
                facts.application_uri = plain(request.client.application_uri, TEXT_BYTES);
                self.certificate = request.client_certificate;
                self.application = Some(request.client);
            }
            Operand::UserToken(token) => {
                facts.user_token = Some(match token.kind {
                    UserTokenKind::Anonymous => UserToken::Anonymous,
                    UserTokenKind::UserName => UserToken::UserName,
                    UserTokenKind::Certificate => UserToken::Certificate,
                    UserTokenKind::Issued => UserToken::IssuedToken,
                    UserTokenKind::Other => UserToken::Other,
                });
                facts.user_name = match token.certificate.and_then(certificate::facts) {
                    Some(certificate) => certificate.subject.or(Some(certificate.thumbprint)).map(Cow::Owned),
                    None => plain(token.user_name, TEXT_BYTES),
                };
                self.has_secret_in_clear = token.secret_in_clear;
            }
            Operand::CloseSession { delete_subscriptions } => self.deletes_subscriptions = delete_subscriptions,
            _ => {}
        }
    }

    fn of_item(&mut self, subscription: u32, item: u32, word: Option<&'static str>, facts: &mut Facts<'_>) {
        facts.subscription_id = Some(subscription);
        self.add(Item { subscription_id: Some(subscription), monitored_item_id: Some(item), word, ..Item::default() });
    }

    fn of_subscription(&mut self, subscription: u32, word: Option<&'static str>, facts: &mut Facts<'_>) {
        facts.subscription_id = if self.items.is_empty() { Some(subscription) } else { None };
        self.add(Item { subscription_id: Some(subscription), word, ..Item::default() });
    }

    /// Items whose creation was asked for and whose answer was not seen: notifications that name them are tied all the same, and say so.
    fn monitor_unconfirmed(&self, server: Server, session: Option<SessionKey>, context: &mut Context<'_>) {
        for item in &self.items {
            if let (Some(subscription), Some(handle), None) = (item.subscription_id, item.client_handle, item.monitored_item_id) {
                let known = monitored(item, None, false);
                context.shared.monitored(server, subscription, handle, session, known);
            }
        }
    }
}

fn monitored(item: &Item<'_>, item_id: Option<u32>, is_confirmed: bool) -> Monitored {
    let mut node = String::new();
    if let Node::Plain(id) = &item.node {
        id.write_text(&mut node);
    }
    Monitored {
        node: Arc::from(node),
        hash: item.node.hash().unwrap_or_default(),
        attribute: item.attribute.unwrap_or_default(),
        is_part: !item.index_range.unwrap_or_default().is_empty(),
        item_id,
        fields: item.filter.map(|filter| field_names(filter.select)),
        is_confirmed,
    }
}

/// An item whose result goes on in the operands that follow.
struct Open<'a> {
    item: Item<'a>,
    rows: u32,
}

/// What a response answers, item by item.
struct Answers<'m, 'q, 'r, 'c, 'd> {
    asked: &'q Asked<'m>,
    items: Items<'q, 'r, 'c, 'd>,
    service: Option<Service>,
    next: usize,
    open: Option<Open<'m>>,
    outputs: Vec<Variant<'m>>,
    token: Option<NodeId<'m>>,
    removed: HashSet<u32, FixedState>,
    notified: Option<u32>,
    created: Option<u32>,
    certificate: Text<'m>,
    given_token: Option<u32>,
    diagnostics: Vec<(usize, DiagnosticInfo<'m>)>,
    /// What the events of the open history are of.
    source: Option<Monitored>,
}

impl<'m> Answers<'m, '_, '_, '_, '_> {
    /// The item that the next result is of.
    fn item(&mut self) -> Item<'m> {
        let item = self.asked.items.get(self.next).copied().unwrap_or_default();
        self.next += 1;
        item
    }

    fn push(&mut self, item: &Item<'m>) {
        self.items.push(item, &self.asked.inputs, None);
    }

    /// The open item has all of its results.
    fn close(&mut self) {
        let Some(Open { item, rows }) = self.open.take() else {
            return;
        };
        if self.service == Some(Service::Call) {
            self.items.push(&item, &self.asked.inputs, Some(&self.outputs));
            self.outputs.clear();
        } else if rows == 0 {
            self.push(&item);
        }
    }

    fn begin(&mut self, status: u32) {
        self.close();
        let item = Item { status: Some(status), ..self.item() };
        self.open = Some(Open { item, rows: 0 });
    }

    /// A history: what was asked for is a row of its own, what was found are others.
    #[cold]
    fn begin_history(&mut self, status: u32) {
        self.begin(status);
        let (asked, Some(open)) = (self.asked, &mut self.open) else { return };
        open.rows += 1;
        let item = open.item;
        self.items.push(&Item { word: Some(&asked.range), ..item }, &[], None);
        self.source =
            asked.event_fields.as_ref().map(|fields| Monitored { fields: Some(fields.clone()), ..monitored(&item, None, true) });
    }

    /// The description of an encoding in a data type dictionary is browsed, from either end.
    #[cold]
    fn describe(&mut self, reference: &service::Reference<'_>) {
        let (server, learned) = (self.items.call.server, &mut self.items.context.shared.opcua);
        let Some(Node::Plain(browsed)) = self.open.as_ref().map(|open| open.item.object) else { return };
        if reference.is_forward {
            let name = plain(reference.browse_name.name, TEXT_BYTES).unwrap_or_default();
            learned.structures.describe(server, &browsed, &name);
        } else if let Some(name) = learned.names.get(server, item::hash(&browsed)) {
            // The name may have its namespace in front.
            let name = name.split_once(':').filter(|(number, _)| number.parse::<u16>().is_ok()).map_or(name, |(_, name)| name);
            learned.structures.describe(server, &reference.target.node, name);
        }
    }

    /// A row of the open item.
    fn within(&mut self, change: impl FnOnce(&mut Item<'m>)) {
        let mut item = match &mut self.open {
            Some(open) => {
                open.rows += 1;
                open.item
            }
            None => Item::default(),
        };
        change(&mut item);
        self.push(&item);
    }

    fn take(&mut self, operand: &Operand<'m>) {
        let is_good = |status: u32| !status::is_bad(status);
        let (server, session) = (self.items.call.server, self.items.call.session_key);
        match *operand {
            Operand::ReadResult(ref value) => {
                let unasked;
                let item = match self.asked.items.get(self.next) {
                    Some(item) => item,
                    None => {
                        unasked = Item::default();
                        &unasked
                    }
                };
                self.next += 1;
                self.items.push_value(item, value);
                if let (
                    Node::Plain(data_type),
                    Some(item::DATA_TYPE_DEFINITION),
                    Some(Variant::Scalar(Scalar::ExtensionObject(told))),
                ) = (item.node, item.attribute, value.value)
                {
                    self.items.context.shared.opcua.structures.learn(server, &data_type, &told);
                }
                if let (Some(item::VALUE), Some(Variant::Scalar(Scalar::ByteString(Some(bytes))))) = (item.attribute, value.value)
                    && is_dictionary(bytes)
                {
                    self.items.context.shared.opcua.structures.learn_dictionary(server, bytes);
                }
                if let (Node::Plain(node), Some(item::VALUE), Some(value)) = (item.node, item.attribute, value.value)
                    && let Some(number @ 2256..=2264) = node.standard_number()
                {
                    identity::learn_value(number, &value, self.items.context);
                }
            }
            Operand::Status(status) => self.status(status),
            Operand::CallResult { status } | Operand::BrowseResult { status, .. } | Operand::PathResult { status } => {
                self.begin(status)
            }
            Operand::HistoryResult { status, .. } => self.begin_history(status),
            Operand::OutputArgument(value) => {
                let is_secret = match self.open.as_ref().map(|open| open.item.node) {
                    Some(Node::Plain(method)) => service::secret_outputs(&method).contains(&self.outputs.len()),
                    // Without its request a response does not say whose results these are: keys are ByteStrings (OPC 10000-6, 5.1.2).
                    _ => value.built_in().0 == 15,
                };
                self.outputs.push(if is_secret { SECRET } else { value });
            }
            Operand::Reference(reference) => {
                if reference.reference_type.standard_number() == Some(HAS_DESCRIPTION) {
                    self.describe(&reference);
                }
                self.within(|item| {
                    item.node = Node::expanded(reference.target);
                    item.name = NameOf::Display(reference.display_name, reference.browse_name);
                    item.word = Some(node_class(reference.node_class));
                });
            }
            Operand::PathTarget(target) => self.within(|item| item.node = Node::expanded(target.target)),
            Operand::HistoryValue(value) => self.within(|item| (item.value, item.status) = (Some(value), None)),
            Operand::HistoryEvent { fields } => self.items.event(self.source.as_ref(), fields),
            Operand::HistoryModification(info) => {
                let text = history::modification(&info);
                let item = self.open.as_ref().map_or_else(Item::default, |open| open.item);
                self.items.push(&Item { word: Some(&text), status: None, ..item }, &[], None);
            }
            Operand::ChannelToken(token) => self.given_token = Some(token.token_id),
            Operand::Diagnostic { index, diagnostic } if self.diagnostics.len() < diagnostics::OPERANDS => {
                self.diagnostics.push((index, diagnostic));
            }
            Operand::HistoryUpdateResult { status } => {
                let item = Item { status: Some(status), ..self.item() };
                self.push(&item);
            }
            Operand::RegisteredNode(node) => {
                let item = Item { object: Node::of(node), status: None, ..self.item() };
                self.push(&item);
            }
            Operand::AddedNode(added) => {
                let asked = self.item();
                let node = if added.node.is_null() { asked.node } else { Node::of(added.node) };
                self.push(&Item { node, status: Some(added.status), ..asked });
            }
            Operand::CreatedMonitored(created) => {
                let item =
                    Item { status: Some(created.status), monitored_item_id: Some(created.monitored_item_id), ..self.item() };
                self.push(&item);
                if let (Some(subscription), Some(handle), true) =
                    (item.subscription_id, item.client_handle, is_good(created.status))
                {
                    let known = monitored(&item, item.monitored_item_id, true);
                    self.items.context.shared.monitored(server, subscription, handle, session, known);
                }
            }
            Operand::ModifiedMonitored(modified) => {
                let item = Item { status: Some(modified.status), ..self.item() };
                self.items.push_monitored(&item);
                if let (Some(subscription), Some(id), Some(handle), true) =
                    (item.subscription_id, item.monitored_item_id, item.client_handle, is_good(modified.status))
                {
                    self.items.context.shared.opcua.subscriptions.renamed(server, subscription, id, handle);
                }
            }
            Operand::TransferResult { status, .. } => {
                let item = Item { status: Some(status), ..self.item() };
                self.push(&item);
                if let (Some(subscription), true) = (item.subscription_id, is_good(status)) {
                    self.items.context.shared.opcua.subscriptions.transferred(server, subscription, session);
                }
            }
            Operand::SubscriptionCreated(created) => {
                self.created = Some(created.subscription_id);
                self.items.context.shared.opcua.subscriptions.created(server, created.subscription_id, session);
            }
            Operand::Publish { subscription_id, .. } => self.notified = Some(subscription_id),
            Operand::DataChange { client_handle, ref value } => {
                self.items.notify(self.notified, client_handle, Some(value), None)
            }
            Operand::Event { client_handle, fields } => self.items.notify(self.notified, client_handle, None, Some(fields)),
            Operand::StatusChange { status, .. } => {
                let item = Item { subscription_id: self.notified, status: Some(status), ..Item::default() };
                self.push(&item);
                if let (Some(subscription), false) = (self.notified, is_good(status)) {
                    self.items.context.shared.opcua.subscriptions.deleted(server, subscription);
                }
            }
            Operand::QueryDataSet(found) => {
                let values: Vec<Variant<'m>> = found.values.iter().collect();
                let item = Item {
                    node: Node::expanded(found.node),
                    object: Node::expanded(found.type_definition),
                    arguments: (0, values.len()),
                    ..Item::default()
                };
                self.items.push(&item, &values, None);
            }
            Operand::Endpoint(endpoint) if self.service == Some(Service::GetEndpoints) => {
                let text = endpoint_text(&endpoint);
                let item = Item { name: NameOf::Text(endpoint.endpoint_url), word: Some(&text), ..Item::default() };
                self.items.push(&item, &[], None);
            }
            Operand::Application(application) => {
                let LocalizedText { text, .. } = application.application_name;
                let text = plain(text, TEXT_BYTES).unwrap_or_default();
                let item = Item { name: NameOf::Text(application.application_uri), word: Some(&text), ..Item::default() };
                self.items.push(&item, &[], None);
            }
            Operand::NetworkServer(found) => {
                let text = plain(found.server_name, TEXT_BYTES).unwrap_or_default();
                let item = Item { name: NameOf::Text(found.discovery_url), word: Some(&text), ..Item::default() };
                self.items.push(&item, &[], None);
            }
            Operand::SessionCreated(created) => {
                self.token = Some(created.authentication_token);
                self.certificate = created.server_certificate;
            }
            _ => {}
        }
    }

    fn status(&mut self, status: u32) {
        let has_items = !self.asked.items.is_empty() || matches!(self.service, Some(Service::Write));
        if !has_items || matches!(self.service, Some(Service::ActivateSession | Service::RegisterServer2)) {
            return;
        }
        let item = Item { status: Some(status), ..self.item() };
        let server = self.items.call.server;
        let is_good = !status::is_bad(status);
        match (self.service, item.subscription_id, item.monitored_item_id) {
            (Some(Service::DeleteMonitoredItems), _, Some(id)) => {
                self.items.push_monitored(&item);
                if is_good {
                    self.removed.insert(id);
                }
            }
            (Some(Service::DeleteSubscriptions), Some(id), _) => {
                self.push(&item);
                if is_good {
                    self.items.context.shared.opcua.subscriptions.deleted(server, id);
                }
            }
            (_, _, Some(_)) => self.items.push_monitored(&item),
            _ => self.push(&item),
        }
    }

    /// The response is over: what it did not answer becomes rows too, with the result of the whole call where that is bad.
    fn finish(&mut self, result: Option<u32>, has_response: bool) {
        self.close();
        let failed = result.filter(|status| status::is_bad(*status));
        let unanswered = self.asked.items.get(self.next..).unwrap_or_default();
        let range = (!self.asked.range.is_empty()).then_some(&*self.asked.range);
        if !matches!(self.service, Some(Service::Publish)) {
            for item in unanswered {
                let item = Item { status: failed, word: item.word.or(range), ..*item };
                match item.monitored_item_id {
                    Some(_) => self.items.push_monitored(&item),
                    None => self.items.push(&item, &self.asked.inputs, None),
                }
            }
        }
        for update in &self.asked.updates {
            self.items.push(update, &[], None);
        }
        for (source, fields) in &self.asked.events {
            self.items.event(self.asked.sources.get(*source), *fields);
        }
        if let (Some(subscription), false, true) = (self.notified, self.removed.is_empty(), has_response && !self.items.is_full) {
            let server = self.items.call.server;
            self.items.context.shared.opcua.subscriptions.removed(server, subscription, &self.removed);
        }
    }
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

fn endpoint_text(endpoint: &EndpointDescription<'_>) -> String {
    let policy = plain(endpoint.security_policy_uri, TEXT_BYTES).unwrap_or_default();
    let policy = policy.rsplit('#').next().unwrap_or_default();
    let mode = match endpoint.security_mode {
        1 => "none",
        2 => "sign",
        3 => "sign_and_encrypt",
        _ => "invalid",
    };
    let tokens: Vec<&str> = endpoint
        .user_identity_tokens
        .iter()
        .take(16)
        .map(|token| match token.token_type {
            0 => "anonymous",
            1 => "user_name",
            2 => "certificate",
            3 => "issued_token",
            _ => "other",
        })
        .collect();
    let thumbprint = endpoint.server_certificate.and_then(certificate::facts).map(|facts| facts.thumbprint).unwrap_or_default();
    format!("{policy} {mode} {} {thumbprint}", tokens.join(",")).trim_end().to_owned()
}

fn action(action: &HistoryAction<'_>) -> &'static str {
    match action {
        HistoryAction::Data(kind) | HistoryAction::StructureData(kind) | HistoryAction::Event(kind, _) => {
            history::update_word(*kind)
        }
        HistoryAction::DeleteRawModified { is_modified: true, .. } => "delete_modified",
        HistoryAction::DeleteRawModified { .. } => "delete_raw",
        HistoryAction::DeleteAtTime(_) => "delete_at_time",
        HistoryAction::DeleteEvent(_) => "delete_event",
    }
}

/// Monitoring mode (OPC 10000-4, 7.23).
fn monitoring_mode(mode: u32) -> &'static str {
    match mode {
        0 => "disabled",
        1 => "sampling",
        2 => "reporting",
        _ => "invalid",
    }
}

/// Node class (OPC 10000-3, 8.29).
fn node_class(class: u32) -> &'static str {
    match class {
        1 => "Object",
        2 => "Variable",
        4 => "Method",
        8 => "ObjectType",
        16 => "VariableType",
        32 => "ReferenceType",
        64 => "DataType",
        128 => "View",
        _ => "Unspecified",
    }
}

/// Kind of the items of a service.
fn kind_of(service: Service) -> ItemKind {
    use Service::*;
    match service {
        Read => ItemKind::Read,
        Write => ItemKind::Write,
        Browse | BrowseNext => ItemKind::Browse,
        Service::Call => ItemKind::Call,
        CreateMonitoredItems
        | ModifyMonitoredItems
        | SetMonitoringMode
        | SetTriggering
        | DeleteMonitoredItems
        | CreateSubscription
        | ModifySubscription
        | SetPublishingMode
        | TransferSubscriptions
        | DeleteSubscriptions => ItemKind::Monitor,
        Publish | Republish => ItemKind::Notify,
        HistoryRead | HistoryUpdate => ItemKind::History,
        TranslateBrowsePathsToNodeIds => ItemKind::Translate,
        RegisterNodes | UnregisterNodes => ItemKind::Register,
        AddNodes | AddReferences | DeleteNodes | DeleteReferences => ItemKind::NodeManagement,
        QueryFirst | QueryNext => ItemKind::Query,
        _ => ItemKind::Discovery,
    }
}

macro_rules! names {
    ($($service:ident),* $(,)?) => {
        /// A service as the records name it.
        pub fn name_of(service: Service) -> ServiceName {
            match service { $(Service::$service => ServiceName::$service),* }
        }
    };
}
names!(
    FindServers,
    FindServersOnNetwork,
    GetEndpoints,
    RegisterServer,
    RegisterServer2,
    OpenSecureChannel,
    CloseSecureChannel,
    CreateSession,
    ActivateSession,
    CloseSession,
    Cancel,
    AddNodes,
    AddReferences,
    DeleteNodes,
    DeleteReferences,
    Browse,
    BrowseNext,
    TranslateBrowsePathsToNodeIds,
    RegisterNodes,
    UnregisterNodes,
    QueryFirst,
    QueryNext,
    Read,
    HistoryRead,
    Write,
    HistoryUpdate,
    Call,
    CreateMonitoredItems,
    ModifyMonitoredItems,
    SetMonitoringMode,
    SetTriggering,
    DeleteMonitoredItems,
    CreateSubscription,
    ModifySubscription,
    SetPublishingMode,
    Publish,
    Republish,
    TransferSubscriptions,
    DeleteSubscriptions,
    ServiceFault,
    SessionlessInvoke,
);
