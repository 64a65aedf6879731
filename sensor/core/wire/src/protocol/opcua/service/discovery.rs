//! Discovery service set (OPC 10000-4, 5.5).

use super::{Operand, Out};
use crate::protocol::opcua::binary::{Body, Decode, ExtensionObject, Fault, List, LocalizedText, Reader, Text, structure};

/// Binary encoding of MdnsDiscoveryConfiguration (OPC 10000-6, annex A).
const MDNS_DISCOVERY_CONFIGURATION: u32 = 12901;

structure! {
    /// What FindServers and GetEndpoints ask for (5.5.2.2, 5.5.4.2).
    pub struct DiscoveryQuery<'a> {
        /// URL by which the client reached the server.
        pub endpoint_url: Text<'a>,
        /// Languages that it wants.
        pub locales: List<'a, Text<'a>>,
        /// FindServers: servers that it wants to know of, by URI. GetEndpoints: transport profiles that it can use.
        pub uris: List<'a, Text<'a>>,
    }
}

structure! {
    /// An application (7.2).
    pub struct ApplicationDescription<'a> {
        /// Name of this installation, world-wide.
        pub application_uri: Text<'a>,
        /// Name of the product.
        pub product_uri: Text<'a>,
        /// Name for people.
        pub application_name: LocalizedText<'a>,
        /// 0 server, 1 client, 2 both, 3 discovery server.
        pub application_type: u32,
        /// Gateway in front of it.
        pub gateway_server_uri: Text<'a>,
        /// How its discovery URLs are to be used.
        pub discovery_profile_uri: Text<'a>,
        /// Where it can be asked for its endpoints.
        pub discovery_urls: List<'a, Text<'a>>,
    }
}

structure! {
    /// How users may identify themselves (7.42).
    pub struct UserTokenPolicy<'a> {
        /// Its name at this endpoint.
        pub policy_id: Text<'a>,
        /// 0 anonymous, 1 user name, 2 certificate, 3 issued token.
        pub token_type: u32,
        /// Type of an issued token.
        pub issued_token_type: Text<'a>,
        /// Who issues it.
        pub issuer_endpoint_url: Text<'a>,
        /// Security policy for secrets, if it is not the channel's.
        pub security_policy_uri: Text<'a>,
    }
}

structure! {
    /// An endpoint of a server (7.14).
    pub struct EndpointDescription<'a> {
        /// URL to connect to.
        pub endpoint_url: Text<'a>,
        /// The server.
        pub server: ApplicationDescription<'a>,
        /// The server's certificate, DER; several in a row where its issuers are given too.
        pub server_certificate: Text<'a>,
        /// 1 none, 2 sign, 3 sign and encrypt.
        pub security_mode: u32,
        /// Security policy.
        pub security_policy_uri: Text<'a>,
        /// How users may identify themselves.
        pub user_identity_tokens: List<'a, UserTokenPolicy<'a>>,
        /// Transport profile.
        pub transport_profile_uri: Text<'a>,
        /// The server's own rating, higher is more secure; 0 is not recommended.
        pub security_level: u8,
    }
}

structure! {
    /// What FindServersOnNetwork asks for (5.5.3.2).
    pub struct NetworkQuery<'a> {
        /// First record.
        pub starting_record_id: u32,
        /// Most records; 0 is no limit.
        pub max_records: u32,
        /// Capabilities that all must have.
        pub capabilities: List<'a, Text<'a>>,
    }
}

structure! {
    /// A server that announced itself (5.5.3.2).
    pub struct ServerOnNetwork<'a> {
        /// Number of the record.
        pub record_id: u32,
        /// Name that it announced.
        pub server_name: Text<'a>,
        /// Where it can be asked for its endpoints.
        pub discovery_url: Text<'a>,
        /// Its capabilities (OPC 10000-12, annex D).
        pub capabilities: List<'a, Text<'a>>,
    }
}

structure! {
    /// A server that registers with a discovery server (7.36).
    pub struct RegisteredServer<'a> {
        /// Name of this installation, world-wide.
        pub server_uri: Text<'a>,
        /// Name of the product.
        pub product_uri: Text<'a>,
        /// Names for people.
        pub server_names: List<'a, LocalizedText<'a>>,
        /// 0 server, 1 client, 2 both, 3 discovery server.
        pub server_type: u32,
        /// Gateway in front of it.
        pub gateway_server_uri: Text<'a>,
        /// Where it can be asked for its endpoints.
        pub discovery_urls: List<'a, Text<'a>>,
        /// File on the discovery server's machine that exists while the server does.
        pub semaphore_file_path: Text<'a>,
        /// Whether it can be reached; false unregisters it.
        pub is_online: bool,
    }
}

structure! {
    /// How a server wants to be announced (OPC 10000-4, 7.13.2).
    pub struct MdnsDiscoveryConfiguration<'a> {
        /// Name to announce.
        pub server_name: Text<'a>,
        /// Capabilities to announce.
        pub capabilities: List<'a, Text<'a>>,
    }
}

pub(super) fn find_servers_request<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let query = reader.read()?;
    out.one(Operand::DiscoveryQuery(query));
    Ok(())
}

pub(super) fn find_servers_response<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    out.each(reader, Operand::Application)
}

pub(super) fn get_endpoints_request<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    find_servers_request(reader, out)
}

pub(super) fn get_endpoints_response<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    out.each(reader, Operand::Endpoint)
}

pub(super) fn find_servers_on_network_request<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let query = reader.read()?;
    out.one(Operand::NetworkQuery(query));
    Ok(())
}

pub(super) fn find_servers_on_network_response<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let last_counter_reset_time = reader.date_time()?;
    out.say(Operand::NetworkRecords { last_counter_reset_time });
    out.each(reader, Operand::NetworkServer)
}

pub(super) fn register_server_request<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let server = reader.read()?;
    out.one(Operand::RegisteredServer(server));
    Ok(())
}

pub(super) fn register_server2_request<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    register_server_request(reader, out)?;
    let count = reader.array_length(ExtensionObject::LEAST)?;
    for _ in 0..count {
        let configuration = ExtensionObject::decode(reader)?;
        match configuration.body {
            Body::Binary(body) if configuration.type_id.standard_number() == Some(MDNS_DISCOVERY_CONFIGURATION) => {
                let configuration = reader.within(body, "OPC 10000-4, 7.13.2", MdnsDiscoveryConfiguration::decode)?;
                out.say(Operand::DiscoveryConfiguration(configuration));
            }
            _ => out.say(Operand::Unknown(configuration)),
        }
    }
    Ok(())
}
