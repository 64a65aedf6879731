//! Services of OPC 10000-4: message bodies in, statements out.
//!
//! Clauses without a part number are those of OPC 10000-4. One file for each service set; `Operand` is what they say.

pub mod attribute;
pub mod channel;
pub mod discovery;
pub mod filter;
pub mod header;
pub mod history;
pub mod kind;
pub mod method;
pub mod monitored_item;
pub mod node_attributes;
pub mod node_management;
mod notification;
pub mod operand;
pub mod query;
pub mod session;
pub mod subscription;
pub mod view;

pub use attribute::{ReadItem, WriteItem, attribute_name};
pub use channel::{ChannelRequest, ChannelToken};
pub use discovery::{ApplicationDescription, DiscoveryQuery, EndpointDescription, MdnsDiscoveryConfiguration, NetworkQuery};
pub use discovery::{RegisteredServer, ServerOnNetwork, UserTokenPolicy};
pub use filter::{
    AggregateConfiguration, AggregateFilter, AggregateFilterResult, AttributeOperand, ContentFilter, ContentFilterElement,
};
pub use filter::{ContentFilterResult, DataChangeFilter, EventFilter, EventFilterResult, FilterOperand, FilterResult};
pub use filter::{MonitoringFilter, SimpleAttributeOperand};
pub use header::{RequestHeader, ResponseHeader};
pub use history::{HistoryAction, HistoryDetails, HistoryReadItem, HistoryUpdate, ModificationInfo};
pub use kind::{Service, from_type_id};
pub use method::{secret_arguments, secret_outputs};
pub use monitored_item::{CreateMonitored, CreatedMonitored, ModifiedMonitored, ModifyMonitored, MonitoringParameters};
pub use node_attributes::{ClassAttributes, CommonAttributes, MethodAttributes, NodeAttributes, VariableAttributes};
pub use node_management::{AddNode, AddReference, AddedNode, DeleteNode, DeleteReference};
pub use operand::Operand;
pub use query::{ParsingResult, QueryDataDescription, QueryDataSet, QueryNodeType, QueryOptions};
pub use session::{SessionActivation, SessionCreated, SessionRequest, SignatureData, UserToken, UserTokenKind};
pub use subscription::{Acknowledgement, SubscriptionChange, SubscriptionChanged, SubscriptionCreated, SubscriptionRequest};
pub use view::{Browse, BrowsePath, PathTarget, Reference, RelativePathElement, ViewDescription};

use super::binary::{Decode, DiagnosticInfo, Fault, FaultKind, List, NodeId, Reader, Text};

/// Clause of what a message body is.
const MESSAGE: &str = "OPC 10000-6, 5.2.9";

/// What a message body is, and what its header says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decoded<'a> {
    /// NodeId of the body's encoding. Null where not even that could be read.
    pub type_id: NodeId<'a>,
    /// The service. `None`: no service that the specification defines.
    pub service: Option<Service>,
    /// Whether it is the response; a `ServiceFault` always is.
    pub is_response: bool,
    /// Header of a request, as far as it could be read.
    pub request: Option<RequestHeader<'a>>,
    /// Header of a response, as far as it could be read.
    pub response: Option<ResponseHeader<'a>>,
    /// How many items it asks for or answers, as its arrays say: nodes to read, results, notifications.
    pub operations: u32,
    /// The first thing that breaks a rule of the encoding without hiding what follows.
    pub irregular: Option<Fault>,
}

/// Where statements go, and how many items they are about.
struct Out<'a, 'e> {
    each: &'e mut dyn FnMut(&Operand<'a>),
    operations: u32,
}

impl<'a> Out<'a, '_> {
    /// Says something that is no item of its own.
    #[inline]
    fn say(&mut self, operand: Operand<'a>) {
        (self.each)(&operand);
    }

    /// Says what the whole message is about.
    fn one(&mut self, operand: Operand<'a>) {
        self.count(1);
        self.say(operand);
    }

    /// So many items come.
    fn count(&mut self, count: usize) {
        self.operations = self.operations.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// An array of items.
    fn each<T: Decode<'a>>(&mut self, reader: &mut Reader<'a>, operand: impl Fn(T) -> Operand<'a>) -> Result<(), Fault> {
        let count = reader.array_length(T::LEAST)?;
        self.count(count);
        for _ in 0..count {
            let item = T::decode(reader)?;
            self.say(operand(item));
        }
        Ok(())
    }

    /// An array of diagnostics: only those that say something are said.
    fn diagnostics(&mut self, reader: &mut Reader<'a>) -> Result<(), Fault> {
        let count = reader.array_length(DiagnosticInfo::LEAST)?;
        for index in 0..count {
            let diagnostic = DiagnosticInfo::decode(reader)?;
            if !diagnostic.is_empty() {
                self.say(Operand::Diagnostic { index, diagnostic });
            }
        }
        Ok(())
    }
}

/// Decodes a whole message body: what follows the sequence header (OPC 10000-6, 6.7.2.5) of all chunks, without padding and signature. Calls `each`
/// for every statement. A fault ends it; what came before stands. Returns the number of bytes used: those of the body, or fewer, and then it says
/// so as irregular too.
pub fn decode<'a>(body: &'a [u8], each: &mut dyn FnMut(&Operand<'a>)) -> (Decoded<'a>, Result<usize, Fault>) {
    let mut reader = Reader::new(body);
    let mut out = Out { each, operations: 0 };
    let mut decoded = Decoded {
        type_id: NodeId::standard(0),
        service: None,
        is_response: false,
        request: None,
        response: None,
        operations: 0,
        irregular: None,
    };
    let result = message(&mut reader, &mut decoded, &mut out);
    if result.is_ok() && reader.left() > 0 {
        reader.note(FaultKind::TrailingBytes, MESSAGE);
    }
    decoded.operations = out.operations;
    decoded.irregular = reader.irregular();
    (decoded, result.map(|()| reader.position()))
}

/// What the header of a request says, and what follows it. None: it is no request, or its header breaks a rule.
pub fn request_header(body: &[u8]) -> Option<(Decoded<'_>, &[u8])> {
    let mut reader = Reader::new(body);
    let type_id = reader.read().ok()?;
    let (service, is_response) = kind::from_node_id(&type_id)?;
    if is_response || service == Service::SessionlessInvoke {
        return None;
    }
    let request = Some(reader.read().ok()?);
    let (service, irregular) = (Some(service), reader.irregular());
    let decoded = Decoded { type_id, service, is_response, request, response: None, operations: 0, irregular };
    Some((decoded, body.get(reader.position()..)?))
}

fn message<'a>(reader: &mut Reader<'a>, decoded: &mut Decoded<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    decoded.type_id = reader.read()?;
    let Some((service, is_response)) = kind::from_node_id(&decoded.type_id) else {
        return Err(reader.fault(FaultKind::UnknownService, MESSAGE));
    };
    decoded.service = Some(service);
    decoded.is_response = is_response;
    if service == Service::SessionlessInvoke {
        return sessionless(is_response, reader, decoded, out);
    }
    if is_response {
        decoded.response = Some(reader.read()?);
        response(service, reader, out)
    } else {
        decoded.request = Some(reader.read()?);
        request(service, reader, out)
    }
}

/// Tables that make the message inside mean the same without a session, and that message (6.3.2). The headers are of the message inside.
fn sessionless<'a>(
    is_response: bool,
    reader: &mut Reader<'a>,
    decoded: &mut Decoded<'a>,
    out: &mut Out<'a, '_>,
) -> Result<(), Fault> {
    if !is_response {
        reader.u32()?;
    }
    for _ in 0..if is_response { 2 } else { 3 } {
        List::<'a, Text<'a>>::decode(reader)?;
    }
    let service_id = reader.u32()?;
    out.say(Operand::Sessionless { service_id });
    match from_type_id(service_id) {
        Some((Service::SessionlessInvoke, _)) | None => Err(reader.fault(FaultKind::UnknownService, "OPC 10000-4, 6.3.2")),
        Some((service, true)) => {
            decoded.response = Some(reader.read()?);
            response(service, reader, out)
        }
        Some((service, false)) => {
            decoded.request = Some(reader.read()?);
            request(service, reader, out)
        }
    }
}

fn request<'a>(service: Service, reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    match service {
        Service::FindServers => discovery::find_servers_request(reader, out),
        Service::FindServersOnNetwork => discovery::find_servers_on_network_request(reader, out),
        Service::GetEndpoints => discovery::get_endpoints_request(reader, out),
        Service::RegisterServer => discovery::register_server_request(reader, out),
        Service::RegisterServer2 => discovery::register_server2_request(reader, out),
        Service::OpenSecureChannel => channel::open_request(reader, out),
        Service::CreateSession => session::create_request(reader, out),
        Service::ActivateSession => session::activate_request(reader, out),
        Service::CloseSession => session::close_request(reader, out),
        Service::Cancel => session::cancel_request(reader, out),
        Service::AddNodes => node_management::add_nodes_request(reader, out),
        Service::AddReferences => node_management::add_references_request(reader, out),
        Service::DeleteNodes => node_management::delete_nodes_request(reader, out),
        Service::DeleteReferences => node_management::delete_references_request(reader, out),
        Service::Browse => view::browse_request(reader, out),
        Service::BrowseNext => view::browse_next_request(reader, out),
        Service::TranslateBrowsePathsToNodeIds => view::translate_request(reader, out),
        Service::RegisterNodes => view::register_request(reader, out),
        Service::UnregisterNodes => view::unregister_request(reader, out),
        Service::QueryFirst => query::first_request(reader, out),
        Service::QueryNext => query::next_request(reader, out),
        Service::Read => attribute::read_request(reader, out),
        Service::HistoryRead => history::read_request(reader, out),
        Service::Write => attribute::write_request(reader, out),
        Service::HistoryUpdate => history::update_request(reader, out),
        Service::Call => method::call_request(reader, out),
        Service::CreateMonitoredItems => monitored_item::create_request(reader, out),
        Service::ModifyMonitoredItems => monitored_item::modify_request(reader, out),
        Service::SetMonitoringMode => monitored_item::set_monitoring_mode_request(reader, out),
        Service::SetTriggering => monitored_item::set_triggering_request(reader, out),
        Service::DeleteMonitoredItems => monitored_item::delete_request(reader, out),
        Service::CreateSubscription => subscription::create_request(reader, out),
        Service::ModifySubscription => subscription::modify_request(reader, out),
        Service::SetPublishingMode => subscription::set_publishing_mode_request(reader, out),
        Service::Publish => subscription::publish_request(reader, out),
        Service::Republish => subscription::republish_request(reader, out),
        Service::TransferSubscriptions => subscription::transfer_request(reader, out),
        Service::DeleteSubscriptions => subscription::delete_request(reader, out),
        // Nothing but their headers.
        Service::CloseSecureChannel | Service::ServiceFault | Service::SessionlessInvoke => Ok(()),
    }
}

fn response<'a>(service: Service, reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    match service {
        Service::FindServers => discovery::find_servers_response(reader, out),
        Service::FindServersOnNetwork => discovery::find_servers_on_network_response(reader, out),
        Service::GetEndpoints => discovery::get_endpoints_response(reader, out),
        Service::RegisterServer2 => statuses(reader, out),
        Service::OpenSecureChannel => channel::open_response(reader, out),
        Service::CreateSession => session::create_response(reader, out),
        Service::ActivateSession => session::activate_response(reader, out),
        Service::Cancel => session::cancel_response(reader, out),
        Service::AddNodes => node_management::add_nodes_response(reader, out),
        Service::AddReferences | Service::DeleteNodes | Service::DeleteReferences => statuses(reader, out),
        Service::Browse | Service::BrowseNext => view::browse_response(reader, out),
        Service::TranslateBrowsePathsToNodeIds => view::translate_response(reader, out),
        Service::RegisterNodes => view::register_response(reader, out),
        Service::QueryFirst => query::first_response(reader, out),
        Service::QueryNext => query::next_response(reader, out),
        Service::Read => attribute::read_response(reader, out),
        Service::HistoryRead => history::read_response(reader, out),
        Service::Write => statuses(reader, out),
        Service::HistoryUpdate => history::update_response(reader, out),
        Service::Call => method::call_response(reader, out),
        Service::CreateMonitoredItems => monitored_item::create_response(reader, out),
        Service::ModifyMonitoredItems => monitored_item::modify_response(reader, out),
        Service::SetTriggering => monitored_item::set_triggering_response(reader, out),
        Service::SetMonitoringMode | Service::DeleteMonitoredItems => statuses(reader, out),
        Service::CreateSubscription => subscription::create_response(reader, out),
        Service::ModifySubscription => subscription::modify_response(reader, out),
        Service::SetPublishingMode | Service::DeleteSubscriptions => statuses(reader, out),
        Service::Publish => subscription::publish_response(reader, out),
        Service::Republish => subscription::republish_response(reader, out),
        Service::TransferSubscriptions => subscription::transfer_response(reader, out),
        // Nothing but their headers.
        Service::RegisterServer
        | Service::CloseSecureChannel
        | Service::CloseSession
        | Service::UnregisterNodes
        | Service::ServiceFault
        | Service::SessionlessInvoke => Ok(()),
    }
}

/// A response that is a status and maybe diagnostics of each item.
fn statuses<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    out.each(reader, Operand::Status)?;
    out.diagnostics(reader)
}
