//! The tables of OPC UA: calls of services, their operands, and PubSub messages.
//!
//! Names of services, attributes and status codes are those of OPC 10000-4 and OPC 10000-6.

use super::*;
use crate::record::column::{TextList, TextLists, Times};

mod number;

pub use number::{NumberRow, NumberRun};

choice! {
    /// Message of the connection protocol or of a secure channel (OPC 10000-6, 7.1.2.2, 6.7.2).
    pub enum MessageType {
        Hello = "hello", Acknowledge = "acknowledge", Error = "error", ReverseHello = "reverse_hello", Open = "open",
        Message = "message", Close = "close",
    }
}

choice! {
    /// Service (OPC 10000-4, 5).
    pub enum ServiceName {
        FindServers = "FindServers", FindServersOnNetwork = "FindServersOnNetwork", GetEndpoints = "GetEndpoints",
        RegisterServer = "RegisterServer", RegisterServer2 = "RegisterServer2", OpenSecureChannel = "OpenSecureChannel",
        CloseSecureChannel = "CloseSecureChannel", CreateSession = "CreateSession", ActivateSession = "ActivateSession",
        CloseSession = "CloseSession", Cancel = "Cancel", AddNodes = "AddNodes", AddReferences = "AddReferences",
        DeleteNodes = "DeleteNodes", DeleteReferences = "DeleteReferences", Browse = "Browse", BrowseNext = "BrowseNext",
        TranslateBrowsePathsToNodeIds = "TranslateBrowsePathsToNodeIds", RegisterNodes = "RegisterNodes",
        UnregisterNodes = "UnregisterNodes", QueryFirst = "QueryFirst", QueryNext = "QueryNext", Read = "Read",
        HistoryRead = "HistoryRead", Write = "Write", HistoryUpdate = "HistoryUpdate", Call = "Call",
        CreateMonitoredItems = "CreateMonitoredItems", ModifyMonitoredItems = "ModifyMonitoredItems",
        SetMonitoringMode = "SetMonitoringMode", SetTriggering = "SetTriggering", DeleteMonitoredItems = "DeleteMonitoredItems",
        CreateSubscription = "CreateSubscription", ModifySubscription = "ModifySubscription",
        SetPublishingMode = "SetPublishingMode", Publish = "Publish", Republish = "Republish",
        TransferSubscriptions = "TransferSubscriptions", DeleteSubscriptions = "DeleteSubscriptions",
        ServiceFault = "ServiceFault", SessionlessInvoke = "SessionlessInvoke", Other = "Other",
    }
}

choice! {
    /// Attribute of a node, in the order of the identifiers from 1 (OPC 10000-6, annex A.1).
    pub enum NodeAttribute {
        NodeId = "NodeId", NodeClass = "NodeClass", BrowseName = "BrowseName", DisplayName = "DisplayName",
        Description = "Description", WriteMask = "WriteMask", UserWriteMask = "UserWriteMask", IsAbstract = "IsAbstract",
        Symmetric = "Symmetric", InverseName = "InverseName", ContainsNoLoops = "ContainsNoLoops", EventNotifier = "EventNotifier",
        Value = "Value", DataType = "DataType", ValueRank = "ValueRank", ArrayDimensions = "ArrayDimensions",
        AccessLevel = "AccessLevel", UserAccessLevel = "UserAccessLevel", MinimumSamplingInterval = "MinimumSamplingInterval",
        Historizing = "Historizing", Executable = "Executable", UserExecutable = "UserExecutable",
        DataTypeDefinition = "DataTypeDefinition", RolePermissions = "RolePermissions",
        UserRolePermissions = "UserRolePermissions", AccessRestrictions = "AccessRestrictions", AccessLevelEx = "AccessLevelEx",
        Other = "Other",
    }
}

impl NodeAttribute {
    /// The attribute of this identifier.
    pub fn of(identifier: u32) -> Self {
        const ALL: [NodeAttribute; 27] = {
            use NodeAttribute::*;
            [
                NodeId,
                NodeClass,
                BrowseName,
                DisplayName,
                Description,
                WriteMask,
                UserWriteMask,
                IsAbstract,
                Symmetric,
                InverseName,
                ContainsNoLoops,
                EventNotifier,
                Value,
                DataType,
                ValueRank,
                ArrayDimensions,
                AccessLevel,
                UserAccessLevel,
                MinimumSamplingInterval,
                Historizing,
                Executable,
                UserExecutable,
                DataTypeDefinition,
                RolePermissions,
                UserRolePermissions,
                AccessRestrictions,
                AccessLevelEx,
            ]
        };
        let position = (identifier as usize).wrapping_sub(1);
        ALL.get(position).copied().unwrap_or(Self::Other)
    }
}

choice! {
    /// Message security mode (OPC 10000-4, 7.20).
    pub enum SecurityMode { None = "none", Sign = "sign", SignAndEncrypt = "sign_and_encrypt", Invalid = "invalid" }
}

choice! {
    /// How a user says who it is (OPC 10000-4, 7.40).
    pub enum UserToken {
        Anonymous = "anonymous", UserName = "user_name", Certificate = "certificate", IssuedToken = "issued_token", Other = "other",
    }
}

choice! {
    /// What an operand of a call did.
    pub enum ItemKind {
        Read = "read", Write = "write", Browse = "browse", Call = "call", Monitor = "monitor", Notify = "notify",
        History = "history", Translate = "translate", Register = "register", NodeManagement = "node_management", Query = "query",
        Discovery = "discovery",
    }
}

choice! {
    /// What carried a PubSub message.
    pub enum PubSubTransport { Udp = "udp", Ethernet = "ethernet" }
}

choice! {
    /// Kind of a PubSub message (OPC 10000-14, 7.2.4.4.2, 7.2.4.5.4).
    pub enum PubSubMessage {
        KeyFrame = "key_frame", DeltaFrame = "delta_frame", Event = "event", KeepAlive = "keep_alive", Chunk = "chunk",
        DiscoveryRequest = "discovery_request", DiscoveryResponse = "discovery_response", Action = "action",
        Encrypted = "encrypted", Other = "other",
    }
}

choice! {
    /// What a discovery message is about (OPC 10000-14, 7.2.4.6).
    pub enum Discovery {
        PublisherEndpoints = "publisher_endpoints", DataSetMetaData = "data_set_metadata",
        DataSetWriterConfiguration = "data_set_writer_configuration", WriterGroupConfiguration = "writer_group_configuration",
        ConnectionConfiguration = "connection_configuration", ApplicationInformation = "application_information",
        ActionResponder = "action_responder", ActionMetaData = "action_metadata", FindApplications = "find_applications",
        Other = "other",
    }
}

choice! {
    /// What an OpenSecureChannel request asks for (OPC 10000-4, 5.6.2.2).
    pub enum ChannelRequestType { Issue = "issue", Renew = "renew" }
}

choice! {
    /// How the fields of a data set message are written (OPC 10000-14, 7.2.4.5.4).
    pub enum FieldEncoding { Variant = "variant", Raw = "raw", DataValue = "data_value" }
}

table! {
    /// One OPC UA service call with its response, or one transport message.
    Opcua = "opcua", row OpcuaRow<'a> {
        message_type: Choice<MessageType> = "opcua.message_type" required <- MessageType,
        service: Choice<ServiceName> = "opcua.service" nullable <- Option<ServiceName>,
        channel_id: Optional<UInt32Type> = "opcua.channel_id" nullable <- Option<u32>,
        token_id: Optional<UInt32Type> = "opcua.token_id" nullable <- Option<u32>,
        sequence_number: Optional<UInt32Type> = "opcua.sequence_number" nullable <- Option<u32>,
        request_id: Optional<UInt32Type> = "opcua.request_id" nullable <- Option<u32>,
        request_handle: Optional<UInt32Type> = "opcua.request_handle" nullable <- Option<u32>,
        session: Names = "opcua.session" nullable <- Option<&'a str>,
        security_policy: Names = "opcua.security_policy" nullable <- Option<&'a str>,
        security_mode: Choice<SecurityMode> = "opcua.security_mode" nullable <- Option<SecurityMode>,
        channel_request: Choice<ChannelRequestType> = "opcua.channel_request" nullable <- Option<ChannelRequestType>,
        encrypted: Flags = "opcua.encrypted" required <- bool,
        inferred: Flags = "opcua.inferred" required <- bool,
        user_token: Choice<UserToken> = "opcua.user_token" nullable <- Option<UserToken>,
        user_name: Names = "opcua.user_name" nullable <- Option<&'a str>,
        application_uri: Names = "opcua.application_uri" nullable <- Option<&'a str>,
        certificate: Names = "opcua.certificate" nullable <- Option<&'a str>,
        certificate_subject: Names = "opcua.certificate_subject" nullable <- Option<&'a str>,
        certificate_application_uri: Names = "opcua.certificate_application_uri" nullable <- Option<&'a str>,
        certificate_issuer: Names = "opcua.certificate_issuer" nullable <- Option<&'a str>,
        certificate_not_before: Times = "opcua.certificate_not_before" nullable <- Option<i64>,
        certificate_not_after: Times = "opcua.certificate_not_after" nullable <- Option<i64>,
        certificate_key_bits: Optional<UInt16Type> = "opcua.certificate_key_bits" nullable <- Option<u16>,
        certificate_signature: Names = "opcua.certificate_signature" nullable <- Option<&'a str>,
        server_certificate: Names = "opcua.server_certificate" nullable <- Option<&'a str>,
        server_certificate_subject: Names = "opcua.server_certificate_subject" nullable <- Option<&'a str>,
        server_certificate_application_uri: Names = "opcua.server_certificate_application_uri" nullable <- Option<&'a str>,
        server_certificate_issuer: Names = "opcua.server_certificate_issuer" nullable <- Option<&'a str>,
        server_certificate_not_before: Times = "opcua.server_certificate_not_before" nullable <- Option<i64>,
        server_certificate_not_after: Times = "opcua.server_certificate_not_after" nullable <- Option<i64>,
        server_certificate_key_bits: Optional<UInt16Type> = "opcua.server_certificate_key_bits" nullable <- Option<u16>,
        server_certificate_signature: Names = "opcua.server_certificate_signature" nullable <- Option<&'a str>,
        endpoint_url: Names = "opcua.endpoint_url" nullable <- Option<&'a str>,
        timeout_hint: Optional<UInt32Type> = "opcua.timeout_hint" nullable <- Option<u32>,
        subscription_id: Optional<UInt32Type> = "opcua.subscription_id" nullable <- Option<u32>,
        status: Names = "opcua.status" nullable <- Option<&'a str>,
        error: Names = "opcua.error" nullable <- Option<&'a str>,
        reason: Texts = "opcua.reason" nullable <- Option<&'a str>,
        operations: Optional<UInt32Type> = "opcua.operations" nullable <- Option<u32>,
        chunks: Number<UInt32Type> = "opcua.chunks" required <- u32,
        bytes: Number<UInt32Type> = "opcua.bytes" required <- u32,
        response_time: Optional<DurationNanosecondType> = "opcua.response_time" nullable <- Option<i64>,
        pairing: Choice<Pairing> = "opcua.pairing" required <- Pairing,
    }
}

table! {
    /// One operand of an OPC UA service call.
    OpcuaItem = "opcua_item", row OpcuaItemRow<'a> {
        kind: Choice<ItemKind> = "opcua.kind" required <- ItemKind,
        service: Choice<ServiceName> = "opcua.service" required <- ServiceName,
        session: Names = "opcua.session" nullable <- Option<Name<'a>>,
        request_id: Optional<UInt32Type> = "opcua.request_id" nullable <- Option<u32>,
        node_id: Names = "opcua.node_id" nullable <- Option<Name<'a>>,
        object_id: Names = "opcua.object_id" nullable <- Option<&'a str>,
        attribute: Choice<NodeAttribute> = "opcua.attribute" nullable <- Option<NodeAttribute>,
        index_range: Names = "opcua.index_range" nullable <- Option<&'a str>,
        name: Names = "opcua.name" nullable <- Option<Name<'a>>,
        data_type: Names = "opcua.data_type" nullable <- Option<Name<'a>>,
        value: Texts = "opcua.value" nullable <- Option<&'a str>,
        number: Optional<Float64Type> = "opcua.number" nullable <- Option<f64>,
        arguments: TextLists = "opcua.arguments" nullable <- Option<TextList<'a>>,
        results: TextLists = "opcua.results" nullable <- Option<TextList<'a>>,
        status: Names = "opcua.status" nullable <- Option<Name<'a>>,
        source_time: Times = "opcua.source_time" nullable <- Option<i64>,
        server_time: Times = "opcua.server_time" nullable <- Option<i64>,
        subscription_id: Optional<UInt32Type> = "opcua.subscription_id" nullable <- Option<u32>,
        monitored_item_id: Optional<UInt32Type> = "opcua.monitored_item_id" nullable <- Option<u32>,
        client_handle: Optional<UInt32Type> = "opcua.client_handle" nullable <- Option<u32>,
        event_source: Names = "opcua.event_source" nullable <- Option<&'a str>,
        event_severity: Optional<UInt16Type> = "opcua.event_severity" nullable <- Option<u16>,
        event_message: Texts = "opcua.event_message" nullable <- Option<&'a str>,
        inferred: Flags = "opcua.inferred" required <- bool,
    }
}

table! {
    /// One OPC UA PubSub message: a data set, or a network message without one.
    PubSub = "pubsub", row PubSubRow<'a> {
        transport: Choice<PubSubTransport> = "pubsub.transport" required <- PubSubTransport,
        message_type: Choice<PubSubMessage> = "pubsub.message_type" required <- PubSubMessage,
        discovery: Choice<Discovery> = "pubsub.discovery" nullable <- Option<Discovery>,
        publisher_id: Names = "pubsub.publisher_id" nullable <- Option<&'a str>,
        data_set_class_id: Names = "pubsub.data_set_class_id" nullable <- Option<&'a str>,
        writer_group_id: Optional<UInt16Type> = "pubsub.writer_group_id" nullable <- Option<u16>,
        group_version: Optional<UInt32Type> = "pubsub.group_version" nullable <- Option<u32>,
        network_message_number: Optional<UInt16Type> = "pubsub.network_message_number" nullable <- Option<u16>,
        sequence_number: Optional<UInt16Type> = "pubsub.sequence_number" nullable <- Option<u16>,
        data_set_writer_id: Optional<UInt16Type> = "pubsub.data_set_writer_id" nullable <- Option<u16>,
        data_set_sequence: Optional<UInt16Type> = "pubsub.data_set_sequence" nullable <- Option<u16>,
        name: Names = "pubsub.name" nullable <- Option<&'a str>,
        major_version: Optional<UInt32Type> = "pubsub.major_version" nullable <- Option<u32>,
        minor_version: Optional<UInt32Type> = "pubsub.minor_version" nullable <- Option<u32>,
        security_mode: Choice<SecurityMode> = "pubsub.security_mode" required <- SecurityMode,
        security_token_id: Optional<UInt32Type> = "pubsub.security_token_id" nullable <- Option<u32>,
        valid: Flags = "pubsub.valid" required <- bool,
        field_encoding: Choice<FieldEncoding> = "pubsub.field_encoding" nullable <- Option<FieldEncoding>,
        fields: Optional<UInt16Type> = "pubsub.fields" nullable <- Option<u16>,
        values: TextLists = "pubsub.values" nullable <- Option<TextList<'a>>,
        promoted: TextLists = "pubsub.promoted" nullable <- Option<TextList<'a>>,
        status: Names = "pubsub.status" nullable <- Option<&'a str>,
        timestamp: Times = "pubsub.timestamp" nullable <- Option<i64>,
        chunks: Number<UInt32Type> = "pubsub.chunks" required <- u32,
        bytes: Number<UInt32Type> = "pubsub.bytes" required <- u32,
    }
}
