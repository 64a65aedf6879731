//! What a response answers, item by item, and what is learned from it.

use std::fmt::Write as _;

use foldhash::fast::FixedState;
use hashbrown::HashSet;

use super::asked::{Asked, TEXT_BYTES};
use super::binary::{DiagnosticInfo, LocalizedText, NodeId, Scalar, Text, Variant, is_dictionary};
use super::certificate;
use super::item::{self, Item, Items};
use super::item_text::{plain, status_text};
use super::node::{self, NameOf, Node};
use super::secret::SECRET;
use super::service::{self, EndpointDescription, Operand, Service};
use super::service_name::node_class;
use super::subscription::{self, Monitored};
use super::{diagnostics, history, identity, status};

/// Reference from an encoding to its description in a data type dictionary (OPC 10000-5, annex D).
const HAS_DESCRIPTION: u32 = 39;

/// Statuses of the parts of one item that are kept.
const STATUSES: usize = 1_024;

/// An item whose result goes on in the operands that follow.
pub struct Open<'a> {
    item: Item<'a>,
    rows: u32,
}

/// What a response answers, item by item.
pub struct Answers<'m, 'q, 'r, 'c, 'd> {
    /// The request.
    pub asked: &'q mut Asked<'m>,
    /// Where rows go.
    pub items: Items<'q, 'r, 'c, 'd>,
    /// Its service.
    pub service: Option<Service>,
    /// Which item the next result is of.
    pub next: usize,
    /// The item whose results still come.
    pub open: Option<Open<'m>>,
    /// Results of its method.
    pub outputs: Vec<Variant<'m>>,
    /// What became of its arguments, values, or events, one by one.
    pub statuses: Vec<u32>,
    /// Which acknowledgement the next result is of.
    pub acknowledgement: usize,
    /// Secret of a new session.
    pub token: Option<NodeId<'m>>,
    /// Monitored items that are no more.
    pub removed: HashSet<u32, FixedState>,
    /// Monitored items that have another handle now: the server's number, and the handle.
    pub renamed: Vec<(u32, u32)>,
    /// Subscription that notifies.
    pub notified: Option<u32>,
    /// Subscription that is new.
    pub created: Option<u32>,
    /// Certificate of the server.
    pub certificate: Text<'m>,
    /// Token that an opening gives.
    pub given_token: Option<u32>,
    /// How many requests were cancelled.
    pub cancelled: Option<u32>,
    /// What the server adds to the status of operands.
    pub diagnostics: Vec<(usize, DiagnosticInfo<'m>)>,
    /// What the events of the open history are of.
    pub source: Option<Monitored>,
}

impl<'m> Answers<'m, '_, '_, '_, '_> {
    /// The item that the next result is of.
    fn item(&mut self) -> Item<'m> {
        self.asked.expand();
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
        match self.service {
            Some(Service::Call) => {
                if let Node::Plain(method) = item.node {
                    let (server, learned) = (self.items.call.server, &self.items.context.shared.opcua);
                    let name = learned.names.get(server, node::hash(&method));
                    learned.secrets.hide_outputs(server, &method, name, &mut self.outputs);
                }
                let refused = refused(&self.statuses);
                let item = Item { word: refused.as_deref(), ..item };
                self.items.push(&item, &self.asked.inputs, Some(&self.outputs));
            }
            Some(Service::HistoryUpdate) => self.updated(&item),
            _ if rows == 0 => self.push(&item),
            _ => {}
        }
        self.outputs.clear();
        self.statuses.clear();
    }

    /// An update of a history with what became of each of its values: the row of the update has the worst, and all of them as results.
    #[cold]
    fn updated(&mut self, item: &Item<'m>) {
        let at = self.next.saturating_sub(1);
        let Asked { updates, sources, events, .. } = &mut *self.asked;
        let values = updates.iter_mut().filter(|(of, _)| *of == at).map(|(_, value)| &mut value.status);
        let is_of = |source: usize| sources.get(source).is_some_and(|(of, _)| *of == at);
        let events = events.iter_mut().filter(|(source, _)| is_of(*source)).map(|(_, event)| &mut event.status);
        for (to, status) in values.chain(events).zip(&self.statuses) {
            *to = Some(*status);
        }
        let worst = self.statuses.iter().fold(item.status.unwrap_or_default(), |worst, status| status::worse(worst, *status));
        let each: Vec<Variant<'m>> = self.statuses.iter().map(|status| Variant::Scalar(Scalar::StatusCode(*status))).collect();
        let item = Item { status: Some(worst), ..*item };
        self.items.push(&item, &self.asked.inputs, (!each.is_empty()).then_some(&each));
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
        let Some(open) = &mut self.open else { return };
        open.rows += 1;
        let item = open.item;
        self.items.push(&Item { word: Some(&self.asked.range), ..item }, &[], None);
        let fields = self.asked.event_fields.as_ref();
        self.source = fields.map(|fields| Monitored { fields: Some(fields.clone()), ..Monitored::of(&item, None, true) });
    }

    /// The description of an encoding in a data type dictionary is browsed, from either end.
    #[cold]
    fn describe(&mut self, reference: &service::Reference<'_>) {
        let (server, learned) = (self.items.call.server, &mut self.items.context.shared.opcua);
        let Some(Node::Plain(browsed)) = self.open.as_ref().map(|open| open.item.object) else { return };
        if reference.is_forward {
            let name = plain(reference.browse_name.name, TEXT_BYTES).unwrap_or_default();
            learned.structures.describe(server, &browsed, &name);
        } else if let Some(name) = learned.names.get(server, node::hash(&browsed)) {
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

    /// Takes a statement of the response.
    pub fn take(&mut self, operand: &Operand<'m>) {
        let is_good = |status: u32| !status::is_bad(status);
        let (server, session) = (self.items.call.server, self.items.call.session_key);
        match *operand {
            Operand::ReadResult(ref value) => {
                if let Some((poll, _)) = self.asked.poll
                    && self.items.push_polled(poll, self.next, value)
                {
                    self.next += 1;
                    return;
                }
                self.asked.expand();
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
                if let (Node::Plain(node), Some(item::VALUE), Some(value @ Variant::Array(_))) =
                    (item.node, item.attribute, value.value)
                {
                    self.items.context.shared.opcua.secrets.learn(server, &node, &value);
                }
            }
            Operand::Status(status) => self.status(status),
            Operand::CallResult { status } | Operand::BrowseResult { status, .. } | Operand::PathResult { status } => {
                self.begin(status)
            }
            Operand::HistoryResult { status, .. } => self.begin_history(status),
            Operand::OutputArgument(value) => {
                // Without its request a response does not say whose results these are: keys are ByteStrings (OPC 10000-6, 5.1.2).
                let is_known = self.open.as_ref().is_some_and(|open| matches!(open.item.node, Node::Plain(_)));
                self.outputs.push(if !is_known && value.built_in().0 == 15 { SECRET } else { value });
            }
            Operand::Reference(reference) => {
                if reference.reference_type.standard_number() == Some(HAS_DESCRIPTION) {
                    self.describe(&reference);
                }
                if let (Some(Node::Plain(parent)), true) = (self.open.as_ref().map(|open| open.item.object), reference.is_forward)
                {
                    let (name, child) = (reference.browse_name.name.unwrap_or_default(), reference.target.node);
                    self.items.context.shared.opcua.secrets.child(server, &parent, name, &child);
                }
                self.within(|item| {
                    item.node = Node::expanded(reference.target);
                    item.name = NameOf::Display(reference.display_name, reference.browse_name);
                    item.word = Some(node_class(reference.node_class));
                });
            }
            Operand::PathTarget(target) => {
                if let Some(Open { item: Item { object: Node::Plain(parent), name: NameOf::Path(path), .. }, .. }) = &self.open
                    && let (1, Some(step)) = (path.len(), path.iter().next())
                {
                    let name = step.target_name.name.unwrap_or_default();
                    self.items.context.shared.opcua.secrets.child(server, parent, name, &target.target.node);
                }
                self.within(|item| item.node = Node::expanded(target.target));
            }
            Operand::HistoryValue(value) => self.within(|item| (item.value, item.status) = (Some(value), None)),
            Operand::HistoryEvent { fields } => self.items.event(self.source.as_ref(), fields, None),
            Operand::HistoryModification(info) => {
                let text = history::modification(&info);
                let item = self.open.as_ref().map_or_else(Item::default, |open| open.item);
                self.items.push(&Item { word: Some(&text), status: None, ..item }, &[], None);
            }
            Operand::ChannelToken(token) => self.given_token = Some(token.token_id),
            Operand::Diagnostic { index, diagnostic } if self.diagnostics.len() < diagnostics::OPERANDS => {
                self.diagnostics.push((index, diagnostic));
            }
            Operand::HistoryUpdateResult { status } => self.begin(status),
            Operand::ArgumentStatus(status) | Operand::HistoryOperationStatus(status) if self.statuses.len() < STATUSES => {
                self.statuses.push(status);
            }
            Operand::AcknowledgeResult(status) => self.acknowledge(status),
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
                    let known = Monitored::of(&item, item.monitored_item_id, true);
                    let now = self.items.context.ts;
                    self.items.context.shared.monitored(server, subscription, handle, session, known, now);
                }
            }
            Operand::ModifiedMonitored(modified) => {
                let item = Item { status: Some(modified.status), ..self.item() };
                self.items.push_monitored(&item);
                if let (Some(id), Some(handle), true) = (item.monitored_item_id, item.client_handle, is_good(modified.status)) {
                    self.renamed.push((id, handle));
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
                let lifetime = subscription::lifetime(created.publishing_interval, created.lifetime_count);
                let (now, shared) = (self.items.context.ts, &mut *self.items.context.shared);
                let lost = shared.opcua.subscriptions.created(server, created.subscription_id, session, lifetime, now);
                shared.counters.opcua_monitored_overflow += lost as u64;
                let item = Item { subscription_id: self.created, status: Some(0), ..self.item() };
                self.push(&item);
            }
            Operand::SubscriptionModified(changed) => {
                let item = Item { status: Some(0), ..self.item() };
                self.push(&item);
                let lifetime = subscription::lifetime(changed.publishing_interval, changed.lifetime_count);
                if let Some(id) = item.subscription_id.or(self.notified) {
                    self.items.context.shared.opcua.subscriptions.modified(server, id, lifetime);
                }
            }
            Operand::Cancelled { count } => self.cancelled = Some(count),
            Operand::QueryParsing(result) => {
                let item = Item { status: Some(result.status), ..self.item() };
                self.push(&item);
            }
            Operand::Publish { subscription_id, .. } => {
                self.notified = Some(subscription_id);
                let now = self.items.context.ts;
                self.items.context.shared.opcua.subscriptions.published(server, subscription_id, now);
            }
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

    /// An acknowledgement that the server refused is a row; all others need none.
    fn acknowledge(&mut self, status: u32) {
        let acknowledged = self.asked.acknowledged.get(self.acknowledgement).copied();
        self.acknowledgement += 1;
        if status::is_bad(status) {
            let word = acknowledged.map(|acknowledged| format!("acknowledge {}", acknowledged.sequence_number));
            let item = Item {
                subscription_id: acknowledged.map(|acknowledged| acknowledged.subscription_id),
                word: Some(word.as_deref().unwrap_or("acknowledge")),
                status: Some(status),
                ..Item::default()
            };
            self.items.push(&item, &[], None);
        }
    }

    fn status(&mut self, status: u32) {
        let has_items = self.asked.len(self.items.context) > 0 || matches!(self.service, Some(Service::Write));
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
    pub fn finish(&mut self, result: Option<u32>, has_response: bool) {
        self.close();
        let failed = result.filter(|status| status::is_bad(*status));
        if self.next < self.asked.len(self.items.context) {
            self.asked.expand();
        }
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
        for (_, update) in &self.asked.updates {
            self.items.push(update, &[], None);
        }
        for (source, event) in &self.asked.events {
            self.items.event(self.asked.sources.get(*source).map(|(_, source)| source), event.fields, event.status);
        }
        self.items.recent.close(self.items.context.records);
        if let (Some(subscription), true) = (self.notified, has_response && !self.items.is_full) {
            let (server, subscriptions) = (self.items.call.server, &mut self.items.context.shared.opcua.subscriptions);
            if !self.removed.is_empty() {
                subscriptions.removed(server, subscription, &self.removed);
            }
            if !self.renamed.is_empty() {
                subscriptions.renamed(server, subscription, &self.renamed);
            }
        }
    }
}

/// Which arguments of a method were refused, by their number from 0, and why. None: none was.
fn refused(statuses: &[u32]) -> Option<String> {
    let mut out = String::new();
    for (at, status) in statuses.iter().enumerate().filter(|(_, status)| status::is_bad(**status)) {
        if out.len() >= TEXT_BYTES {
            break;
        }
        let mut room = String::new();
        let _ = write!(out, "{}argument {at} {}", if out.is_empty() { "" } else { ", " }, status_text(*status, &mut room));
    }
    (!out.is_empty()).then_some(out)
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
