//! Headers of requests and responses (OPC 10000-4, 7.32 and 7.33).

use crate::protocol::opcua::binary::{DiagnosticInfo, ExtensionObject, List, NodeId, Text, structure};

structure! {
    /// Header of a request (OPC 10000-4, 7.32).
    pub struct RequestHeader<'a> {
        /// The secret that names the session: whoever knows it may use the session. Never record it as it is.
        pub authentication_token: NodeId<'a>,
        /// When the client sent it, nanoseconds since 1970.
        pub timestamp: Option<i64>,
        /// Number that the client gave it, for Cancel and for its own use.
        pub request_handle: u32,
        /// Which diagnostics the client wants.
        pub return_diagnostics: u32,
        /// Name of the audit log entry of the client that belongs to it.
        pub audit_entry_id: Text<'a>,
        /// How long the client waits, milliseconds; 0 is for ever.
        pub timeout_hint: u32,
        /// Further fields, of a type that client and server agree on.
        pub additional_header: ExtensionObject<'a>,
    }
}

structure! {
    /// Header of a response (OPC 10000-4, 7.33).
    pub struct ResponseHeader<'a> {
        /// When the server sent it, nanoseconds since 1970.
        pub timestamp: Option<i64>,
        /// The request's handle.
        pub request_handle: u32,
        /// Status of the call as a whole.
        pub service_result: u32,
        /// Diagnostics of the call as a whole.
        pub service_diagnostics: DiagnosticInfo<'a>,
        /// Texts that diagnostics refer to by index.
        pub string_table: List<'a, Text<'a>>,
        /// Further fields, of a type that client and server agree on.
        pub additional_header: ExtensionObject<'a>,
    }
}
