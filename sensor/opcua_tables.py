"""The tables of OPC UA: calls of services, their operands, and PubSub messages.

Names of services, attributes and status codes are those of OPC 10000-4 and OPC 10000-6.
"""

from __future__ import annotations

from typing import Final

from sensor.columns import Column

SERVICES: Final = (
    "FindServers", "FindServersOnNetwork", "GetEndpoints", "RegisterServer", "RegisterServer2", "OpenSecureChannel",
    "CloseSecureChannel", "CreateSession", "ActivateSession", "CloseSession", "Cancel", "AddNodes", "AddReferences",
    "DeleteNodes", "DeleteReferences", "Browse", "BrowseNext", "TranslateBrowsePathsToNodeIds", "RegisterNodes",
    "UnregisterNodes", "QueryFirst", "QueryNext", "Read", "HistoryRead", "Write", "HistoryUpdate", "Call",
    "CreateMonitoredItems", "ModifyMonitoredItems", "SetMonitoringMode", "SetTriggering", "DeleteMonitoredItems",
    "CreateSubscription", "ModifySubscription", "SetPublishingMode", "Publish", "Republish", "TransferSubscriptions",
    "DeleteSubscriptions", "ServiceFault", "SessionlessInvoke", "Other",
)  # fmt: skip
"""Services (OPC 10000-4, 5). ServiceFault: an answer whose request was not seen; Other: a body with another type."""

ATTRIBUTES: Final = (
    "NodeId", "NodeClass", "BrowseName", "DisplayName", "Description", "WriteMask", "UserWriteMask", "IsAbstract", "Symmetric",
    "InverseName", "ContainsNoLoops", "EventNotifier", "Value", "DataType", "ValueRank", "ArrayDimensions", "AccessLevel",
    "UserAccessLevel", "MinimumSamplingInterval", "Historizing", "Executable", "UserExecutable", "DataTypeDefinition",
    "RolePermissions", "UserRolePermissions", "AccessRestrictions", "AccessLevelEx", "Other",
)  # fmt: skip
"""Attributes of nodes in the order of their identifiers, from 1 (OPC 10000-6, annex A.1); Other: an identifier without a name."""

SECURITY_MODES: Final = ("none", "sign", "sign_and_encrypt", "invalid")
"""Message security modes (OPC 10000-4, 7.20)."""


def _certificate(prefix: str, whose: str) -> tuple[Column, ...]:
    """The columns of one party's certificate, in the calls that show it: OpenSecureChannel and CreateSession."""
    return (
        Column(prefix, "name", f"SHA-1 thumbprint of the {whose} application's certificate, hexadecimal"),
        Column(f"{prefix}_subject", "name", "its subject (RFC 4514)"),
        Column(f"{prefix}_application_uri", "name", "URI of the application that it is made for, among its alternative names"),
        Column(f"{prefix}_issuer", "name", "its issuer; the same as the subject where it is self-signed"),
        Column(f"{prefix}_not_before", "timestamp", "when it begins to be valid"),
        Column(f"{prefix}_not_after", "timestamp", "when it ceases to be valid"),
        Column(f"{prefix}_key_bits", "u16", "bits of its public key"),
        Column(f"{prefix}_signature", "name", "algorithm of its signature, as in sha256WithRSAEncryption"),
    )


CALL: Final = (
    Column(
        "opcua.message_type",
        "choice",
        "message of the connection protocol (OPC 10000-6, 7.1.2): hello, acknowledge, error, reverse_hello; "
        "open, message, close: of a secure channel",
        nullable=False,
        values=("hello", "acknowledge", "error", "reverse_hello", "open", "message", "close"),
    ),
    Column("opcua.service", "choice", "service; null where encryption hides it, and for hello to reverse_hello", values=SERVICES),
    Column("opcua.channel_id", "u32", "secure channel"),
    Column(
        "opcua.token_id",
        "u32",
        "security token of the request; of the response where the request was not seen; the one that an opening gives",
    ),
    Column("opcua.sequence_number", "u32", "sequence number of the first chunk; null where encryption hides it"),
    Column("opcua.request_id", "u32", "number of the request on its channel; null where encryption hides it"),
    Column("opcua.request_handle", "u32", "number that the client gave the call"),
    Column("opcua.session", "name", "hash of the server's address and the authentication token, 16 hexadecimal digits"),
    Column("opcua.security_policy", "name", "security policy of the channel: what follows # in its URI, as in Basic256Sha256"),
    Column("opcua.security_mode", "choice", "security mode of the channel", values=SECURITY_MODES),
    Column(
        "opcua.channel_request",
        "choice",
        "what an opening asks for: a new channel, or a new token for a channel that there is",
        values=("issue", "renew"),
    ),
    Column("opcua.encrypted", "bool", "whether encryption hides the content", nullable=False),
    Column(
        "opcua.inferred",
        "bool",
        "whether policy and mode follow from the content, because the opening of the channel was not seen",
        nullable=False,
    ),
    Column(
        "opcua.user_token",
        "choice",
        "how the user says who it is (ActivateSession)",
        values=("anonymous", "user_name", "certificate", "issued_token", "other"),
    ),
    Column("opcua.user_name", "name", "name of the user; subject of a user certificate"),
    Column("opcua.application_uri", "name", "application that calls (CreateSession)"),
    *_certificate("opcua.certificate", "client's"),
    *_certificate("opcua.server_certificate", "server's"),
    Column("opcua.endpoint_url", "name", "endpoint that the client asks for"),
    Column("opcua.timeout_hint", "u32", "milliseconds that the client is ready to wait; 0: for ever"),
    Column("opcua.subscription_id", "u32", "subscription that the call is about, where it is about one"),
    Column("opcua.status", "name", "result of the service, as in Good or BadSessionIdInvalid"),
    Column("opcua.error", "name", "status code of an error message or of an abort chunk"),
    Column(
        "opcua.reason",
        "text",
        "text that came with it; diagnostics of the call, then of its operands by their number from 0; "
        "of Cancel what it cancels, as in cancel request handle 7: 1 cancelled",
    ),
    Column("opcua.operations", "u32", "operands of the call"),
    Column("opcua.chunks", "u32", "message chunks of the request and the response", nullable=False),
    Column("opcua.bytes", "u32", "bytes of these", nullable=False),
    Column("opcua.response_time", "duration", "end of the request to the start of its response"),
    Column(
        "opcua.pairing",
        "choice",
        "both: request and response; request: no response was seen in time; response: no request was seen, or it is a row of its "
        "own because the response came late. "
        "Messages that are not paired: request from the client, response from the server",
        nullable=False,
        values=("both", "request", "response"),
    ),
)
"""Columns of table `opcua`."""

ITEM: Final = (
    Column(
        "opcua.kind",
        "choice",
        "what was done; discovery: an endpoint or a server that was told of",
        nullable=False,
        values=(
            "read", "write", "browse", "call", "monitor", "notify", "history", "translate", "register", "node_management",
            "query", "discovery",
        ),
    ),
    Column("opcua.service", "choice", "service of the call", nullable=False, values=SERVICES),
    Column("opcua.session", "name", "session of the call"),
    Column("opcua.request_id", "u32", "number of the request on its channel"),
    Column("opcua.node_id", "name", "node, as in ns=2;s=Tank.Level; method of a call; null where it is not known"),
    Column("opcua.object_id", "name", "object whose method is called; starting node of a path; source of a reference"),
    Column("opcua.attribute", "choice", "attribute of the node", values=ATTRIBUTES),
    Column("opcua.index_range", "name", "part of an array"),
    Column("opcua.name", "name", "browse or display name if it was seen; URL of an endpoint or URI of a server"),
    Column("opcua.data_type", "name", "type of the value, with dimensions if it is an array: Double, Int32[3], Float[2,3]"),
    Column(
        "opcua.value",
        "text",
        "the value as text, cut at 1,024 bytes, (secret) where it is a private key; of what has no value a word for what is "
        "done, with its conditions, as in reporting every 100 ms queue 1. HistoryRead: one row has what "
        "is asked for, as in raw 2026-11-24T06:00:00Z/2026-11-24T07:00:00Z, others what is found. Call: which arguments the "
        "server refused, as in argument 0 BadTypeMismatch. Publish: a refused acknowledgement, as in acknowledge 77",
    ),
    Column("opcua.number", "f64", "the value where it is one number or a Boolean"),
    Column(
        "opcua.arguments",
        "list<text>",
        "input arguments of a method; fields of an event that have no column of their own; what HistoryUpdate deletes",
    ),
    Column(
        "opcua.results",
        "list<text>",
        "output arguments of a method; what became of each value, event or time of HistoryUpdate",
    ),
    Column(
        "opcua.status",
        "name",
        "result of the operation, of HistoryUpdate the worst of its own and those of what it changes; of a value its quality "
        "and what its code says beside, as in Good+Overflow: values were lost",
    ),
    Column("opcua.source_time", "timestamp", "time that the source gave the value"),
    Column("opcua.server_time", "timestamp", "time that the server gave the value"),
    Column("opcua.subscription_id", "u32", "subscription"),
    Column("opcua.monitored_item_id", "u32", "monitored item, numbered by the server"),
    Column("opcua.client_handle", "u32", "monitored item, numbered by the client"),
    Column("opcua.event_source", "name", "name or node of the source of an event"),
    Column("opcua.event_severity", "u16", "urgency of an event, 1 to 1000"),
    Column("opcua.event_message", "text", "message of an event"),
    Column(
        "opcua.inferred",
        "bool",
        "whether the node follows from something less than this call and the creation of its monitored item in the same session",
        nullable=False,
    ),
)  # fmt: skip
"""Columns of table `opcua_item`."""

PUBSUB: Final = (
    Column("pubsub.transport", "choice", "what carried it", nullable=False, values=("udp", "ethernet")),
    Column(
        "pubsub.message_type",
        "choice",
        "kind of data set message; of network message where none can be read. chunk: its message is not whole",
        nullable=False,
        values=(
            "key_frame", "delta_frame", "event", "keep_alive", "chunk", "discovery_request", "discovery_response", "action",
            "encrypted", "other",
        ),
    ),
    Column(
        "pubsub.discovery",
        "choice",
        "what a discovery message asks for or announces",
        values=(
            "publisher_endpoints", "data_set_metadata", "data_set_writer_configuration", "writer_group_configuration",
            "connection_configuration", "application_information", "action_responder", "action_metadata", "find_applications",
            "other",
        ),
    ),
    Column("pubsub.publisher_id", "name", "publisher"),
    Column("pubsub.data_set_class_id", "name", "class of the data set, a GUID"),
    Column("pubsub.writer_group_id", "u16", "writer group"),
    Column("pubsub.group_version", "u32", "version of the group's configuration"),
    Column("pubsub.network_message_number", "u16", "number of the network message within its publishing interval"),
    Column("pubsub.sequence_number", "u16", "sequence number of the network message, or of the announcement"),
    Column("pubsub.data_set_writer_id", "u16", "writer of the data set"),
    Column("pubsub.data_set_sequence", "u16", "sequence number of the data set message"),
    Column("pubsub.name", "name", "name of the data set, where its metadata was seen; of the writer group that is announced"),
    Column("pubsub.major_version", "u32", "major version of the data set's configuration"),
    Column("pubsub.minor_version", "u32", "minor version of the data set's configuration"),
    Column("pubsub.security_mode", "choice", "security of the network message", nullable=False, values=SECURITY_MODES),
    Column("pubsub.security_token_id", "u32", "key of the security group"),
    Column("pubsub.valid", "bool", "whether the publisher calls the data set valid; false: hidden", nullable=False),
    Column(
        "pubsub.field_encoding",
        "choice",
        "how the fields are written; raw fields are read where the metadata of the data set was seen",
        values=("variant", "raw", "data_value"),
    ),
    Column("pubsub.fields", "u16", "number of fields"),
    Column(
        "pubsub.values",
        "list<text>",
        "field=value; the field is its name where the metadata of the data set was seen, else its position from 0; "
        "of announcements field=type, writer=data set, publisher=connection, or endpoints",
    ),
    Column("pubsub.promoted", "list<text>", "promoted fields: values that the header repeats, in clear"),
    Column("pubsub.status", "name", "status of the data set"),
    Column("pubsub.timestamp", "timestamp", "time that the publisher gave the data set, else the network message"),
    Column("pubsub.chunks", "u32", "network messages that carried it", nullable=False),
    Column("pubsub.bytes", "u32", "bytes of the data set message; of the network message where none can be read", nullable=False),
)  # fmt: skip
"""Columns of table `pubsub` (OPC 10000-14, 7.2.4)."""
