//! Services and node classes as the records name them.

use super::service::Service;
use crate::record::table::opcua::{ItemKind, ServiceName};

/// Node class (OPC 10000-3, 8.29).
pub fn node_class(class: u32) -> &'static str {
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
pub fn kind_of(service: Service) -> ItemKind {
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
