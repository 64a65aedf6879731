//! What a request asks for, item by item.

use std::borrow::Cow;
use std::sync::Arc;

use super::about::About;
use super::binary::{DataValue, Fault, List, Text, Variant};
use super::certificate;
use super::exchange::Body;
use super::history;
use super::item::{self, Item};
use super::item_text::plain;
use super::node::{self, NameOf, Node};
use super::poll::PollId;
use super::row::Facts;
use super::secret::SECRET;
use super::service::{
    self, Acknowledgement, AddNode, ClassAttributes, CreateMonitored, Decoded, HistoryAction, HistoryDetails, MonitoringFilter,
    NodeAttributes, Operand, Service, UserTokenKind,
};
use super::service_name::node_class;
use super::subscription::{Monitored, Server, SessionKey, field_names};
use crate::protocol::Context;
use crate::record::table::opcua::{ChannelRequestType, UserToken};

/// Longest name of a user, a URL or a URI that is kept.
pub const TEXT_BYTES: usize = 512;

/// Items of a request that there is room for from the first on: most have no more.
const ITEMS: usize = 16;

/// What a request asks for.
#[derive(Default)]
pub struct Asked<'a> {
    /// Its items.
    pub items: Vec<Item<'a>>,
    /// The poll that the request is, with its body; `items` has its items only where an answer needs them.
    pub poll: Option<(PollId, &'a [u8])>,
    /// Arguments of its methods.
    pub inputs: Vec<Variant<'a>>,
    /// Values of history updates, each with the number of the item that it is of.
    pub updates: Vec<(usize, Item<'a>)>,
    /// What history is asked for, as text.
    pub range: String,
    /// Fields of events, where these are asked for.
    pub event_fields: Option<Arc<[Box<str>]>>,
    /// The nodes that events of history updates are of, each with the number of its item.
    pub sources: Vec<(usize, Monitored)>,
    /// These events, with the number of their node.
    pub events: Vec<(usize, HistoryEvent<'a>)>,
    /// Whether continuation points are only to be let go: the answer then has no results.
    pub is_release: bool,
    /// Notifications that the client says it has.
    pub acknowledged: Vec<Acknowledgement>,
    /// Certificate of the client.
    pub certificate: Text<'a>,
    /// The client as it tells of itself.
    pub application: Option<service::ApplicationDescription<'a>>,
    /// Handle of the requests that it cancels.
    pub cancels: Option<u32>,
    /// Whether subscriptions end with the session.
    pub deletes_subscriptions: bool,
    /// Whether it carries a secret that nothing hides.
    pub has_secret_in_clear: bool,
}

/// An event of a history update.
pub struct HistoryEvent<'a> {
    /// Its fields.
    pub fields: List<'a, Variant<'a>>,
    /// What the server made of it.
    pub status: Option<u32>,
}

impl<'a> Asked<'a> {
    #[inline]
    fn add(&mut self, item: Item<'a>) {
        if self.items.is_empty() {
            self.items.reserve(ITEMS);
        }
        self.items.push(item);
    }

    /// Reads a request.
    pub fn read(
        &mut self,
        body: Body<'a>,
        latest: &mut PollId,
        facts: &mut Facts<'a>,
        context: &mut Context<'_>,
    ) -> (Decoded<'a>, Result<usize, Fault>) {
        let polls = &mut context.shared.opcua.polls;
        if !body.is_cut
            && let Some((poll, decoded)) = polls.find(body.bytes, latest)
        {
            self.poll = Some((poll, body.bytes));
            return (decoded, Ok(body.bytes.len()));
        }
        let (decoded, result) = service::decode(body.bytes, &mut |operand| self.take(operand, facts));
        if !body.is_cut && decoded.service == Some(Service::Read) && decoded.irregular.is_none() && result.is_ok() {
            polls.learn(body.bytes, &self.items);
        }
        (decoded, result)
    }

    /// Hides what is a secret among the arguments of methods.
    pub fn hide_secrets(&mut self, server: Server, context: &Context<'_>) {
        let learned = &context.shared.opcua;
        for item in &self.items {
            if let (Node::Plain(method), Some(values)) = (item.node, self.inputs.get_mut(item.arguments.0..item.arguments.1)) {
                let name = learned.names.get(server, node::hash(&method));
                learned.secrets.hide_inputs(server, &method, name, values);
            }
        }
    }

    /// Reads the items of a poll after all: an answer is none that polls have as a rule.
    #[cold]
    pub fn expand(&mut self) {
        if let (Some((_, body)), true) = (self.poll, self.items.is_empty()) {
            let mut facts = Facts::default();
            let _ = service::decode(body, &mut |operand| self.take(operand, &mut facts));
        }
    }

    /// Number of items.
    pub fn len(&self, context: &Context<'_>) -> usize {
        self.poll.map_or(self.items.len(), |(poll, _)| context.shared.opcua.polls.len(poll))
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
                self.is_release = release;
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
                    let source = Monitored { fields: Some(field_names(filter.select)), ..Monitored::of(&item, None, true) };
                    self.sources.push((self.items.len(), source));
                }
                self.add(item);
            }
            Operand::HistoryEvent { fields } => {
                if let Some(source) = self.sources.len().checked_sub(1) {
                    self.events.push((source, HistoryEvent { fields, status: None }));
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
                    let item = Item { node: update.node, value: Some(value), ..Item::default() };
                    self.updates.push((self.items.len().saturating_sub(1), item));
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
            Operand::BrowseNext { release, .. } => {
                self.is_release = release;
                self.add(Item { word: release.then_some("release"), ..Item::default() });
            }
            Operand::Acknowledge(acknowledged) => self.acknowledged.push(acknowledged),
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
                about: About::sampling(&parameters),
                filter: match parameters.filter {
                    MonitoringFilter::Event(filter) => Some(filter),
                    _ => None,
                },
                ..Item::default()
            }),
            Operand::ModifyMonitored(modify) => self.add(Item {
                monitored_item_id: Some(modify.monitored_item_id),
                client_handle: Some(modify.parameters.client_handle),
                about: About::sampling(&modify.parameters),
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
            Operand::CreateSubscription(asked) => {
                let word = Some(if asked.publishing_enabled { "enabled" } else { "disabled" });
                self.add(Item { word, about: About::creation(&asked), ..Item::default() });
            }
            Operand::ModifySubscription(change) => {
                facts.subscription_id = Some(change.subscription_id);
                let subscription_id = facts.subscription_id;
                self.add(Item { subscription_id, about: About::change(&change), ..Item::default() });
            }
            Operand::Cancel { request_handle } => self.cancels = Some(request_handle),
            Operand::QueryNodeType(kind) => {
                let node = Node::expanded(kind.type_definition);
                self.add(Item { node, word: Some("type"), about: About::query(&kind), ..Item::default() });
            }
            Operand::Republish { subscription_id, .. } => facts.subscription_id = Some(subscription_id),
            Operand::AddNode(add) => self.add(Item {
                node: Node::expanded(add.requested),
                object: Node::expanded(add.parent),
                name: NameOf::Browse(add.browse_name),
                word: Some(node_class(add.node_class)),
                ..value_of(&add)
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
    pub fn monitor_unconfirmed(&self, server: Server, session: Option<SessionKey>, context: &mut Context<'_>) {
        for item in &self.items {
            if let (Some(subscription), Some(handle), None) = (item.subscription_id, item.client_handle, item.monitored_item_id) {
                let known = Monitored::of(item, None, false);
                context.shared.monitored(server, subscription, handle, session, known, context.ts);
            }
        }
    }
}

/// The value that a node to add is to have, if it has one (OPC 10000-4, 7.24.3).
fn value_of<'a>(add: &AddNode<'a>) -> Item<'a> {
    /// Bit of the attribute Value among those that are set (OPC 10000-4, 7.24.1).
    const HAS_VALUE: u32 = 1 << 21;
    match NodeAttributes::read(&add.attributes) {
        Some(Ok(NodeAttributes { common, class: ClassAttributes::Variable(variable) })) if common.specified & HAS_VALUE != 0 => {
            let value = Some(DataValue { value: Some(variable.value), ..DataValue::default() });
            Item { attribute: Some(item::VALUE), value, ..Item::default() }
        }
        _ => Item::default(),
    }
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
        HistoryAction::Other(_) => "other",
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
