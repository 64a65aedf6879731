//! What message bodies say, one statement at a time.

use super::*;
use crate::protocol::opcua::binary::{BuiltIn, DataValue, DiagnosticInfo, ExtensionObject, List, NodeId, Text, Variant};

/// One decoded statement of a message body, in the order of the wire; borrowed from it. Results come in the order of their requests' items.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(clippy::large_enum_variant)]
pub enum Operand<'a> {
    /// FindServers, GetEndpoints request: what is asked for.
    DiscoveryQuery(DiscoveryQuery<'a>),
    /// FindServers response: a server.
    Application(ApplicationDescription<'a>),
    /// GetEndpoints, CreateSession response: an endpoint.
    Endpoint(EndpointDescription<'a>),
    /// FindServersOnNetwork request: what is asked for.
    NetworkQuery(NetworkQuery<'a>),
    /// FindServersOnNetwork response: before its servers.
    NetworkRecords {
        /// When the numbers of records started anew, nanoseconds since 1970.
        last_counter_reset_time: Option<i64>,
    },
    /// FindServersOnNetwork response: a server.
    NetworkServer(ServerOnNetwork<'a>),
    /// RegisterServer, RegisterServer2 request: the server.
    RegisteredServer(RegisteredServer<'a>),
    /// RegisterServer2 request: how it is to be announced.
    DiscoveryConfiguration(MdnsDiscoveryConfiguration<'a>),

    /// OpenSecureChannel request.
    ChannelRequest(ChannelRequest<'a>),
    /// OpenSecureChannel response.
    ChannelToken(ChannelToken<'a>),

    /// CreateSession request.
    SessionRequest(SessionRequest<'a>),
    /// CreateSession response: before the server's endpoints.
    SessionCreated(SessionCreated<'a>),
    /// CreateSession response: behind the server's endpoints.
    SessionSignature {
        /// Algorithm of the server's signature.
        algorithm: Text<'a>,
        /// Longest request that the server takes, bytes; 0 is no limit.
        max_request_size: u32,
    },
    /// ActivateSession request.
    SessionActivation(SessionActivation<'a>),
    /// ActivateSession request: a language that the client wants, best first.
    Locale(Text<'a>),
    /// ActivateSession request: who uses the session.
    UserToken(UserToken<'a>),
    /// ActivateSession response: random bytes that the client must sign next.
    SessionNonce(Text<'a>),
    /// CloseSession request.
    CloseSession {
        /// Whether the session's subscriptions end with it.
        delete_subscriptions: bool,
    },
    /// Cancel request.
    Cancel {
        /// Handle of the requests to cancel.
        request_handle: u32,
    },
    /// Cancel response.
    Cancelled {
        /// How many were cancelled.
        count: u32,
    },

    /// AddNodes request: a node.
    AddNode(AddNode<'a>),
    /// AddNodes response: its result.
    AddedNode(AddedNode<'a>),
    /// AddReferences request: a reference. Its result is a `Status`.
    AddReference(AddReference<'a>),
    /// DeleteNodes request: a node. Its result is a `Status`.
    DeleteNode(DeleteNode<'a>),
    /// DeleteReferences request: a reference. Its result is a `Status`.
    DeleteReference(DeleteReference<'a>),

    /// Browse request: before its nodes.
    BrowseOptions {
        /// The view to look at.
        view: ViewDescription<'a>,
        /// Most references of a node in a response; 0 is no limit.
        max_references: u32,
    },
    /// Browse request: a node.
    Browse(Browse<'a>),
    /// Browse, BrowseNext response: the result of a node, before its references.
    BrowseResult {
        /// Its status.
        status: u32,
        /// Where BrowseNext goes on; null or empty if this was all.
        continuation_point: Text<'a>,
    },
    /// Browse, BrowseNext response: a reference of the latest result.
    Reference(Reference<'a>),
    /// BrowseNext request: where to go on.
    BrowseNext {
        /// Whether the continuation point is only to be let go.
        release: bool,
        /// The continuation point.
        continuation_point: Text<'a>,
    },
    /// TranslateBrowsePathsToNodeIds request: a path.
    BrowsePath(BrowsePath<'a>),
    /// TranslateBrowsePathsToNodeIds response: the result of a path, before its targets.
    PathResult {
        /// Its status.
        status: u32,
    },
    /// TranslateBrowsePathsToNodeIds response: a target of the latest result.
    PathTarget(PathTarget<'a>),
    /// RegisterNodes request: a node.
    RegisterNode(NodeId<'a>),
    /// RegisterNodes response: the NodeId by which to use it.
    RegisteredNode(NodeId<'a>),
    /// UnregisterNodes request: a node.
    UnregisterNode(NodeId<'a>),

    /// QueryFirst request: the view to look at.
    QueryView(ViewDescription<'a>),
    /// QueryFirst request: a type of nodes.
    QueryNodeType(QueryNodeType<'a>),
    /// QueryFirst request: behind the types.
    QueryOptions(QueryOptions<'a>),
    /// QueryNext request.
    QueryNext {
        /// Whether the continuation point is only to be let go.
        release: bool,
        /// The continuation point.
        continuation_point: Text<'a>,
    },
    /// QueryFirst, QueryNext response: a node found.
    QueryDataSet(QueryDataSet<'a>),
    /// QueryFirst, QueryNext response: where QueryNext goes on; null or empty if this was all.
    QueryContinuation(Text<'a>),
    /// QueryFirst response: what is wrong with a type of nodes.
    QueryParsing(ParsingResult<'a>),
    /// QueryFirst response: what is wrong with the condition.
    QueryFilterResult(ContentFilterResult<'a>),

    /// Read request: before its items.
    ReadOptions {
        /// Oldest value wanted, milliseconds.
        max_age: f64,
        /// Times wanted: 0 source, 1 server, 2 both, 3 neither.
        timestamps: u32,
    },
    /// Read request: an attribute.
    ReadItem(ReadItem<'a>),
    /// Read response: the value of an attribute.
    ReadResult(DataValue<'a>),
    /// Write request: an attribute and its value. Its result is a `Status`.
    WriteItem(WriteItem<'a>),
    /// HistoryRead request: before its items.
    HistoryOptions {
        /// What history is asked for.
        details: HistoryDetails<'a>,
        /// Times wanted: 0 source, 1 server, 2 both, 3 neither.
        timestamps: u32,
        /// Whether continuation points are only to be let go.
        release: bool,
    },
    /// HistoryRead request: a node.
    HistoryReadItem(HistoryReadItem<'a>),
    /// HistoryRead response: the result of a node, before its values or events.
    HistoryResult {
        /// Its status.
        status: u32,
        /// Where the next request goes on; null or empty if this was all.
        continuation_point: Text<'a>,
    },
    /// HistoryRead response: a value of the latest result. HistoryUpdate request: a value of the latest update.
    HistoryValue(DataValue<'a>),
    /// HistoryRead response: how the values before it were changed, in their order.
    HistoryModification(ModificationInfo<'a>),
    /// HistoryRead response: an event of the latest result. HistoryUpdate request: an event of the latest update.
    HistoryEvent {
        /// Its fields, as the filter selects them.
        fields: List<'a, Variant<'a>>,
    },
    /// HistoryUpdate request: an update, before its values or events.
    HistoryUpdate(HistoryUpdate<'a>),
    /// HistoryUpdate response: the result of an update.
    HistoryUpdateResult {
        /// Its status.
        status: u32,
    },
    /// HistoryUpdate response: the status of one value or event of the latest update.
    HistoryOperationStatus(u32),

    /// Call request: a method, before its arguments.
    Call {
        /// The object that it is called on.
        object: NodeId<'a>,
        /// The method.
        method: NodeId<'a>,
    },
    /// Call request: an argument of the latest method.
    Argument(Variant<'a>),
    /// Call request: an argument that is a secret, as a password: its type alone.
    SecretArgument(BuiltIn),
    /// Call response: the result of a method.
    CallResult {
        /// Its status.
        status: u32,
    },
    /// Call response: the status of an argument of the latest method.
    ArgumentStatus(u32),
    /// Call response: an output argument of the latest method.
    OutputArgument(Variant<'a>),

    /// CreateMonitoredItems, ModifyMonitoredItems request: before its items.
    MonitorOptions {
        /// The subscription.
        subscription_id: u32,
        /// Times wanted: 0 source, 1 server, 2 both, 3 neither.
        timestamps: u32,
    },
    /// CreateMonitoredItems request: an item.
    CreateMonitored(CreateMonitored<'a>),
    /// CreateMonitoredItems response: its result.
    CreatedMonitored(CreatedMonitored<'a>),
    /// ModifyMonitoredItems request: an item.
    ModifyMonitored(ModifyMonitored<'a>),
    /// ModifyMonitoredItems response: its result.
    ModifiedMonitored(ModifiedMonitored<'a>),
    /// SetMonitoringMode request: an item. Its result is a `Status`.
    SetMonitoringMode {
        /// The subscription.
        subscription_id: u32,
        /// The item.
        monitored_item_id: u32,
        /// 0 disabled, 1 sampling, 2 reporting.
        mode: u32,
    },
    /// SetTriggering request: a link. Its result is a `Status`; links to add come first, in request and response.
    SetTriggering {
        /// The subscription.
        subscription_id: u32,
        /// The item that triggers.
        triggering_item_id: u32,
        /// The item that is reported.
        linked_item_id: u32,
        /// Whether the link is removed.
        remove: bool,
    },
    /// DeleteMonitoredItems request: an item. Its result is a `Status`.
    DeleteMonitored {
        /// The subscription.
        subscription_id: u32,
        /// The item.
        monitored_item_id: u32,
    },

    /// CreateSubscription request.
    CreateSubscription(SubscriptionRequest),
    /// CreateSubscription response.
    SubscriptionCreated(SubscriptionCreated),
    /// ModifySubscription request.
    ModifySubscription(SubscriptionChange),
    /// ModifySubscription response.
    SubscriptionModified(SubscriptionChanged),
    /// SetPublishingMode request: a subscription. Its result is a `Status`.
    SetPublishingMode {
        /// The subscription.
        subscription_id: u32,
        /// Whether it publishes.
        enabled: bool,
    },
    /// Publish request: a notification that the client has.
    Acknowledge(Acknowledgement),
    /// Publish response: which subscription it is of. A `NotificationMessage` follows.
    Publish {
        /// The subscription.
        subscription_id: u32,
        /// Notifications that can be asked for again.
        available: List<'a, u32>,
        /// Whether there is more to publish at once.
        more: bool,
    },
    /// Publish, Republish response: before its notifications.
    NotificationMessage {
        /// Its number.
        sequence_number: u32,
        /// When the server sent it first, nanoseconds since 1970.
        publish_time: Option<i64>,
        /// Lists of notifications in it; none is a keep-alive.
        notifications: usize,
    },
    /// Publish, Republish response: the value of a monitored item.
    DataChange {
        /// Number that the client gave the item.
        client_handle: u32,
        /// The value.
        value: DataValue<'a>,
    },
    /// Publish, Republish response: an event of a monitored item.
    Event {
        /// Number that the client gave the item.
        client_handle: u32,
        /// Its fields, as the item's filter selects them.
        fields: List<'a, Variant<'a>>,
    },
    /// Publish, Republish response: the subscription's own state changed.
    StatusChange {
        /// The new status.
        status: u32,
        /// Diagnostics.
        diagnostic: DiagnosticInfo<'a>,
    },
    /// Publish response: the result of an acknowledgement of the request.
    AcknowledgeResult(u32),
    /// Republish request.
    Republish {
        /// The subscription.
        subscription_id: u32,
        /// The notification's number.
        sequence_number: u32,
    },
    /// TransferSubscriptions request: a subscription.
    TransferSubscription(u32),
    /// TransferSubscriptions request: behind its subscriptions.
    TransferOptions {
        /// Whether all values are to be sent again.
        send_initial_values: bool,
    },
    /// TransferSubscriptions response: the result of a subscription.
    TransferResult {
        /// Its status.
        status: u32,
        /// Notifications that can be asked for again.
        available: List<'a, u32>,
    },
    /// DeleteSubscriptions request: a subscription. Its result is a `Status`.
    DeleteSubscription(u32),

    /// SessionlessInvoke request and response: which service stands inside. Its own operands follow.
    Sessionless {
        /// Number of the encoding of the message inside.
        service_id: u32,
    },
    /// The result of an item that has nothing else to say.
    Status(u32),
    /// Diagnostics that are not empty.
    Diagnostic {
        /// Which element of its array, from 0.
        index: usize,
        /// The diagnostics.
        diagnostic: DiagnosticInfo<'a>,
    },
    /// A structure where the specification has a choice, of a type that it does not define.
    Unknown(ExtensionObject<'a>),
}
