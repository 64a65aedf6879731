//! The services, and the numbers by which their messages are known.

use crate::protocol::opcua::binary::NodeId;

macro_rules! services {
    ($($(#[$doc:meta])* $service:ident, $name:literal, $request:literal, $response:literal;)*) => {
        /// A service (OPC 10000-4, 5).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Service {
            /// Not a service but the response of any that failed (OPC 10000-4, 7.34).
            ServiceFault,
            $($(#[$doc])* $service,)*
        }

        impl Service {
            /// Every service.
            pub const ALL: &'static [Self] = &[Self::ServiceFault, $(Self::$service,)*];

            /// Its name in the specification.
            pub fn name(self) -> &'static str {
                match self {
                    Self::ServiceFault => "ServiceFault",
                    $(Self::$service => $name,)*
                }
            }
        }

        /// The service of a message body and whether it is the response, by the number of its binary encoding (OPC 10000-6, annex A).
        pub fn from_type_id(number: u32) -> Option<(Service, bool)> {
            Some(match number {
                397 => (Service::ServiceFault, true),
                $($request => (Service::$service, false), $response => (Service::$service, true),)*
                _ => return None,
            })
        }
    };
}

services! {
    /// Servers known to a server (5.5.2).
    FindServers, "FindServers", 422, 425;
    /// Servers that announce themselves on the network (5.5.3).
    FindServersOnNetwork, "FindServersOnNetwork", 12208, 12209;
    /// Endpoints of a server (5.5.4).
    GetEndpoints, "GetEndpoints", 428, 431;
    /// A server registers with a discovery server (5.5.5).
    RegisterServer, "RegisterServer", 437, 440;
    /// The same, with more to say (5.5.6).
    RegisterServer2, "RegisterServer2", 12211, 12212;
    /// Opens or renews a secure channel (5.6.2).
    OpenSecureChannel, "OpenSecureChannel", 446, 449;
    /// Ends a secure channel (5.6.3).
    CloseSecureChannel, "CloseSecureChannel", 452, 455;
    /// Creates a session (5.7.2).
    CreateSession, "CreateSession", 461, 464;
    /// Says who uses a session (5.7.3).
    ActivateSession, "ActivateSession", 467, 470;
    /// Ends a session (5.7.4).
    CloseSession, "CloseSession", 473, 476;
    /// Cancels outstanding requests (5.7.5).
    Cancel, "Cancel", 479, 482;
    /// Adds nodes to the address space (5.8.2).
    AddNodes, "AddNodes", 488, 491;
    /// Adds references (5.8.3).
    AddReferences, "AddReferences", 494, 497;
    /// Deletes nodes (5.8.4).
    DeleteNodes, "DeleteNodes", 500, 503;
    /// Deletes references (5.8.5).
    DeleteReferences, "DeleteReferences", 506, 509;
    /// References of nodes (5.9.2).
    Browse, "Browse", 527, 530;
    /// The rest of them (5.9.3).
    BrowseNext, "BrowseNext", 533, 536;
    /// Nodes at the end of paths (5.9.4).
    TranslateBrowsePathsToNodeIds, "TranslateBrowsePathsToNodeIds", 554, 557;
    /// Announces nodes that will be used often (5.9.5).
    RegisterNodes, "RegisterNodes", 560, 563;
    /// Takes that back (5.9.6).
    UnregisterNodes, "UnregisterNodes", 566, 569;
    /// Queries the address space (5.10.3).
    QueryFirst, "QueryFirst", 615, 618;
    /// The rest of the answer (5.10.4).
    QueryNext, "QueryNext", 621, 624;
    /// Reads attributes (5.11.2).
    Read, "Read", 631, 634;
    /// Reads history (5.11.3).
    HistoryRead, "HistoryRead", 664, 667;
    /// Writes attributes (5.11.4).
    Write, "Write", 673, 676;
    /// Changes history (5.11.5).
    HistoryUpdate, "HistoryUpdate", 700, 703;
    /// Calls methods (5.12.2).
    Call, "Call", 712, 715;
    /// Creates monitored items (5.13.2).
    CreateMonitoredItems, "CreateMonitoredItems", 751, 754;
    /// Modifies monitored items (5.13.3).
    ModifyMonitoredItems, "ModifyMonitoredItems", 763, 766;
    /// Sets the mode of monitored items (5.13.4).
    SetMonitoringMode, "SetMonitoringMode", 769, 772;
    /// Lets one monitored item trigger others (5.13.5).
    SetTriggering, "SetTriggering", 775, 778;
    /// Deletes monitored items (5.13.6).
    DeleteMonitoredItems, "DeleteMonitoredItems", 781, 784;
    /// Creates a subscription (5.14.2).
    CreateSubscription, "CreateSubscription", 787, 790;
    /// Modifies a subscription (5.14.3).
    ModifySubscription, "ModifySubscription", 793, 796;
    /// Switches publishing of subscriptions (5.14.4).
    SetPublishingMode, "SetPublishingMode", 799, 802;
    /// Acknowledges notifications and asks for the next (5.14.5).
    Publish, "Publish", 826, 829;
    /// Asks for a notification again (5.14.6).
    Republish, "Republish", 832, 835;
    /// Moves subscriptions to another session (5.14.7).
    TransferSubscriptions, "TransferSubscriptions", 841, 844;
    /// Deletes subscriptions (5.14.8).
    DeleteSubscriptions, "DeleteSubscriptions", 847, 850;
    /// A call without a session: another message stands inside (6.3.2).
    SessionlessInvoke, "SessionlessInvoke", 15903, 21001;
}

/// The service of a message body by the NodeId that it starts with.
pub(super) fn from_node_id(type_id: &NodeId<'_>) -> Option<(Service, bool)> {
    type_id.standard_number().and_then(from_type_id)
}
