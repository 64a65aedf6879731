//! Every OPC UA service: bodies of an independent encoder in, each field of each statement out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails says so by panicking"
)]

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use wire::protocol::opcua::binary::{ExpandedNodeId, List, NodeId, Text, Variant};
use wire::protocol::opcua::service::*;
use wire::protocol::opcua::status;

/// Bodies by name.
static MESSAGES: LazyLock<HashMap<&'static str, Vec<u8>>> = LazyLock::new(|| {
    let lines = include_str!("opcua/messages.txt").lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split_once(' ').unwrap()).map(|(name, hex)| (name, bytes(hex))).collect()
});

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// 2026-01-02T03:04:05Z, the time of everything in the bodies.
const TIME: Option<i64> = Some(1_767_323_045_000_000_000);
const BAD: u32 = 0x8034_0000;

fn statements(name: &str) -> (Decoded<'static>, Vec<Operand<'static>>) {
    let body = &MESSAGES[name];
    let mut operands = Vec::new();
    let (decoded, result) = decode(body, &mut |operand| operands.push(*operand));
    assert_eq!((result, decoded.irregular), (Ok(body.len()), None), "{name}");
    (decoded, operands)
}

/// The statements of a body of so many operations.
fn operands(name: &str, operations: u32) -> Vec<Operand<'static>> {
    let (decoded, operands) = statements(name);
    assert_eq!(decoded.operations, operations, "{name}");
    operands
}

fn text(text: Text<'_>) -> &str {
    std::str::from_utf8(text.unwrap()).unwrap()
}

fn texts<'a>(list: List<'a, Text<'a>>) -> Vec<&'a str> {
    list.iter().map(|entry| text(entry)).collect()
}

fn node(node: NodeId<'_>) -> String {
    let mut out = String::new();
    node.write_text(&mut out);
    out
}

fn expanded(node: ExpandedNodeId<'_>) -> String {
    let mut out = String::new();
    node.write_text(&mut out);
    out
}

fn value(value: Variant<'_>) -> String {
    let mut out = String::new();
    value.value_text(&mut out, 100);
    out
}

#[test]
fn every_body_is_of_the_service_that_its_name_says() {
    let mut seen = HashSet::new();
    for name in MESSAGES.keys() {
        let (decoded, _) = statements(name);
        let service = decoded.service.unwrap();
        seen.insert((service, decoded.is_response));
        if service != Service::ServiceFault {
            let plain: String = service.name().to_lowercase();
            let short = plain.replace("browsepathstonodeids", "");
            assert!(name.replace('_', "").starts_with(&short), "{name} is {plain}");
            assert_eq!(name.contains("_response"), decoded.is_response, "{name}");
        }
        match (decoded.request, decoded.response) {
            (Some(header), None) => {
                assert_eq!((header.timestamp, header.request_handle, header.timeout_hint), (TIME, 7, 4000), "{name}");
                assert_eq!((node(header.authentication_token).as_str(), text(header.audit_entry_id)), ("i=9", "audit"), "{name}");
            }
            (None, Some(header)) => assert_eq!((header.timestamp, header.request_handle), (TIME, 7), "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    // All but the call without a session, which has a test of its own, and the fault, which is a response.
    let expected = (Service::ALL.len() - 2) * 2 + 1;
    assert_eq!(seen.len(), expected);
}

fn assert_application(application: ApplicationDescription<'_>) {
    assert_eq!((text(application.application_uri), text(application.product_uri)), ("urn:plant:server", "urn:plant"));
    assert_eq!((text(application.application_name.text), text(application.application_name.locale)), ("Plant", "en"));
    assert_eq!(application.application_type, 0);
    assert_eq!((application.gateway_server_uri, application.discovery_profile_uri), (None, None));
    assert_eq!(texts(application.discovery_urls), ["opc.tcp://plant:4840"]);
}

fn assert_endpoint(endpoint: EndpointDescription<'_>) {
    assert_application(endpoint.server);
    assert_eq!(text(endpoint.endpoint_url), "opc.tcp://plant:4840");
    assert_eq!((endpoint.server_certificate, endpoint.security_mode), (Some(&b"\x30\x01"[..]), 3));
    assert!(text(endpoint.security_policy_uri).ends_with("#Basic256Sha256"));
    assert!(text(endpoint.transport_profile_uri).ends_with("uatcp-uasc-uabinary"));
    assert_eq!(endpoint.security_level, 3);
    let tokens: Vec<_> = endpoint.user_identity_tokens.iter().map(|token| (text(token.policy_id), token.token_type)).collect();
    assert_eq!(tokens, [("anonymous", 0), ("user", 1)]);
}

fn assert_registered(server: RegisteredServer<'_>) {
    assert_eq!((text(server.server_uri), text(server.product_uri)), ("urn:plant:server", "urn:plant"));
    assert_eq!(server.server_names.iter().map(|name| text(name.text)).collect::<Vec<_>>(), ["Plant"]);
    assert_eq!((server.server_type, server.gateway_server_uri, server.semaphore_file_path), (0, None, None));
    assert_eq!((texts(server.discovery_urls), server.is_online), (vec!["opc.tcp://plant:4840"], true));
}

#[test]
fn discovery_tells_servers_and_endpoints() {
    let [Operand::DiscoveryQuery(query)] = operands("find_servers_request", 1)[..] else { panic!() };
    assert_eq!((text(query.endpoint_url), texts(query.locales)), ("opc.tcp://plant:4840", vec!["en"]));
    assert_eq!(texts(query.uris), ["urn:plant:server"]);
    let [Operand::Application(application)] = operands("find_servers_response", 1)[..] else { panic!() };
    assert_application(application);
    let [Operand::NetworkQuery(query)] = operands("find_servers_on_network_request", 1)[..] else { panic!() };
    assert_eq!((query.starting_record_id, query.max_records, texts(query.capabilities)), (3, 10, vec!["DA"]));
    let [Operand::NetworkRecords { last_counter_reset_time }, Operand::NetworkServer(server)] =
        operands("find_servers_on_network_response", 1)[..]
    else {
        panic!()
    };
    assert_eq!((last_counter_reset_time, server.record_id), (TIME, 4));
    assert_eq!((text(server.server_name), text(server.discovery_url)), ("plant", "opc.tcp://plant:4840"));
    assert_eq!(texts(server.capabilities), ["DA", "HD"]);
    let [Operand::DiscoveryQuery(query)] = operands("get_endpoints_request", 1)[..] else { panic!() };
    assert_eq!((query.locales.len(), texts(query.uris)), (0, vec!["uatcp"]));
    let [Operand::Endpoint(endpoint)] = operands("get_endpoints_response", 1)[..] else { panic!() };
    assert_endpoint(endpoint);
}

#[test]
fn servers_register_with_what_they_announce() {
    let [Operand::RegisteredServer(server)] = operands("register_server_request", 1)[..] else { panic!() };
    assert_registered(server);
    assert!(operands("register_server_response", 0).is_empty());
    let [Operand::RegisteredServer(server), Operand::DiscoveryConfiguration(configuration)] =
        operands("register_server2_request", 1)[..]
    else {
        panic!()
    };
    assert_registered(server);
    assert_eq!((text(configuration.server_name), texts(configuration.capabilities)), ("plant", vec!["DA"]));
    let [Operand::Status(BAD), Operand::Diagnostic { index: 0, diagnostic }] = operands("register_server2_response", 1)[..]
    else {
        panic!()
    };
    assert_eq!((diagnostic.symbolic_id, diagnostic.namespace_uri), (Some(1), Some(2)));
    assert_eq!((text(diagnostic.additional_info), diagnostic.inner_status_code), ("why", Some(BAD)));
}

#[test]
fn channels_open_with_mode_token_and_lifetime() {
    let [Operand::ChannelRequest(request)] = operands("open_secure_channel_request", 1)[..] else { panic!() };
    assert_eq!((request.protocol_version, request.request_type, request.security_mode), (0, 1, 2));
    assert_eq!((request.client_nonce, request.requested_lifetime), (Some(&[1, 2][..]), 3_600_000));
    let [Operand::ChannelToken(token)] = operands("open_secure_channel_response", 1)[..] else { panic!() };
    assert_eq!((token.channel_id, token.token_id, token.created_at), (5, 6, TIME));
    assert_eq!((token.revised_lifetime, token.server_nonce), (3_600_000, Some(&[3][..])));
}

#[test]
fn sessions_tell_who_talks_to_whom() {
    let [Operand::SessionRequest(request)] = operands("create_session_request", 1)[..] else { panic!() };
    assert_application(request.client);
    assert_eq!((request.server_uri, text(request.endpoint_url)), (None, "opc.tcp://plant:4840"));
    assert_eq!((text(request.session_name), request.client_certificate), ("session 1", Some(&b"\x30\x01"[..])));
    assert_eq!((request.requested_timeout, request.max_response_size), (60_000.0, 65_536));
    let created = operands("create_session_response", 1);
    let [
        Operand::SessionCreated(session),
        Operand::Endpoint(endpoint),
        Operand::SessionSignature { algorithm, max_request_size },
    ] = created[..]
    else {
        panic!()
    };
    assert_endpoint(endpoint);
    assert_eq!((node(session.session_id).as_str(), node(session.authentication_token).as_str()), ("ns=1;i=77", "b=qrs="));
    assert_eq!((session.revised_timeout, session.server_certificate), (60_000.0, Some(&b"\x30\x01"[..])));
    assert_eq!((text(algorithm), max_request_size), ("rsa-sha256", 65_536));
    let [Operand::CloseSession { delete_subscriptions: true }] = operands("close_session_request", 1)[..] else { panic!() };
    let [Operand::Cancel { request_handle: 41 }] = operands("cancel_request", 1)[..] else { panic!() };
    let [Operand::Cancelled { count: 2 }] = operands("cancel_response", 1)[..] else { panic!() };
    let [Operand::SessionNonce(Some(nonce)), Operand::Status(0)] = operands("activate_session_response", 1)[..] else { panic!() };
    assert_eq!(nonce, [5; 32]);
}

fn user_token(name: &str) -> UserToken<'static> {
    let operands = operands(name, 1);
    let [Operand::SessionActivation(activation), Operand::Locale(first), Operand::Locale(second), Operand::UserToken(token)] =
        operands[..]
    else {
        panic!("{operands:?}")
    };
    assert_eq!((text(activation.client_signature_algorithm), activation.signed), ("rsa-sha256", true));
    assert_eq!((text(first), text(second)), ("en", "de"));
    token
}

#[test]
fn users_are_told_without_their_secrets() {
    let token = user_token("activate_session_request_anonymous");
    assert_eq!((token.kind, text(token.policy_id), token.user_name), (UserTokenKind::Anonymous, "anonymous", None));
    let token = user_token("activate_session_request_user_name");
    assert_eq!((token.kind, text(token.policy_id), text(token.user_name)), (UserTokenKind::UserName, "user", "operator"));
    assert_eq!((token.encryption_algorithm, token.secret_in_clear), (None, true));
    let token = user_token("activate_session_request_user_name_encrypted");
    assert_eq!((text(token.encryption_algorithm), token.secret_in_clear), ("rsa-oaep", false));
    let token = user_token("activate_session_request_certificate");
    assert_eq!(
        (token.kind, token.certificate, token.secret_in_clear),
        (UserTokenKind::Certificate, Some(&b"\x30\x02"[..]), false)
    );
    let token = user_token("activate_session_request_issued");
    assert_eq!((token.kind, text(token.policy_id), token.secret_in_clear), (UserTokenKind::Issued, "jwt", true));

    let secret = format!("{:?}", b"geheim").replace(['[', ']'], "");
    for name in ["activate_session_request_user_name", "activate_session_request_issued", "call_request_password"] {
        assert!(MESSAGES[name].windows(6).any(|window| window == b"geheim"));
        assert!(!format!("{:?}", statements(name)).contains(&secret), "{name}");
    }
}

#[test]
fn node_management_tells_what_is_added_and_deleted() {
    let [Operand::AddNode(add)] = operands("add_nodes_request", 1)[..] else { panic!() };
    assert_eq!((expanded(add.parent).as_str(), node(add.reference_type).as_str()), ("ns=2;s=Tank", "i=47"));
    assert_eq!((expanded(add.requested).as_str(), text(add.browse_name.name)), ("ns=2;s=Tank.Level", "Level"));
    assert_eq!((add.node_class, expanded(add.type_definition).as_str()), (2, "i=63"));
    let attributes = NodeAttributes::read(&add.attributes).unwrap().unwrap();
    assert_eq!((text(attributes.common.display_name.text), attributes.common.specified), ("Level", 0x003F_FFFF));
    let ClassAttributes::Variable(variable) = attributes.class else { panic!() };
    assert_eq!((variable.value.number(), node(variable.data_type).as_str(), variable.value_rank), (Some(1.5), "i=11", -1));
    assert_eq!((variable.access_level, variable.user_access_level), (3, 1));
    let [Operand::AddedNode(added)] = operands("add_nodes_response", 1)[..] else { panic!() };
    assert_eq!((added.status, node(added.node).as_str()), (0, "ns=2;s=Tank.Level"));
    let [Operand::AddReference(add)] = operands("add_references_request", 1)[..] else { panic!() };
    assert_eq!((node(add.source).as_str(), node(add.reference_type).as_str(), add.is_forward), ("ns=2;s=Tank", "i=47", true));
    assert_eq!((text(add.target_server_uri), expanded(add.target).as_str()), ("urn:other", "ns=2;s=Tank.Level"));
    assert_eq!(add.target_node_class, 2);
    let [Operand::DeleteNode(delete)] = operands("delete_nodes_request", 1)[..] else { panic!() };
    assert_eq!((node(delete.node).as_str(), delete.delete_target_references), ("ns=2;s=Tank.Level", true));
    let [Operand::DeleteReference(delete)] = operands("delete_references_request", 1)[..] else { panic!() };
    assert_eq!((node(delete.source).as_str(), delete.is_forward), ("ns=2;s=Tank", true));
    assert_eq!((expanded(delete.target).as_str(), delete.delete_bidirectional), ("ns=2;s=Tank.Level", true));
    let expected = [("add_references_response", BAD), ("delete_nodes_response", 0), ("delete_references_response", BAD)];
    for (name, status) in expected {
        assert_eq!(operands(name, 1), [Operand::Status(status)], "{name}");
    }
}

fn assert_reference(reference: Reference<'_>) {
    assert_eq!((node(reference.reference_type).as_str(), reference.is_forward), ("i=47", true));
    assert_eq!((expanded(reference.target).as_str(), reference.browse_name.namespace), ("ns=2;s=Tank.Level", 2));
    assert_eq!((text(reference.browse_name.name), text(reference.display_name.text)), ("Level", "Level of the tank"));
    assert_eq!((reference.node_class, expanded(reference.type_definition).as_str()), (2, "i=63"));
}

fn assert_path(path: List<'_, RelativePathElement<'_>>) {
    let steps: Vec<_> = path.iter().collect();
    let [step] = steps[..] else { panic!("{steps:?}") };
    assert_eq!((node(step.reference_type).as_str(), step.is_inverse, step.include_subtypes), ("i=33", false, true));
    assert_eq!((step.target_name.namespace, text(step.target_name.name)), (2, "Level"));
}

#[test]
fn browsing_tells_nodes_references_and_paths() {
    let [Operand::BrowseOptions { view, max_references: 100 }, Operand::Browse(browse)] = operands("browse_request", 1)[..]
    else {
        panic!()
    };
    assert_eq!((view.view.is_null(), view.timestamp, view.version), (true, TIME, 0));
    assert_eq!((node(browse.node).as_str(), browse.direction, node(browse.reference_type).as_str()), ("i=85", 2, "i=33"));
    assert_eq!((browse.include_subtypes, browse.node_class_mask, browse.result_mask), (true, 0, 63));
    let browsed = operands("browse_response", 1);
    let [
        Operand::BrowseResult { status: 0, continuation_point: Some([7]) },
        Operand::Reference(reference),
        Operand::Diagnostic { .. },
    ] = browsed[..]
    else {
        panic!("{browsed:?}")
    };
    assert_reference(reference);
    let [Operand::BrowseNext { release: false, continuation_point: Some([7]) }] = operands("browse_next_request", 1)[..] else {
        panic!()
    };
    let browsed = operands("browse_next_response", 1);
    let [Operand::BrowseResult { status: 0, continuation_point: None }, Operand::Reference(first), Operand::Reference(second)] =
        browsed[..]
    else {
        panic!("{browsed:?}")
    };
    assert_eq!(first, second);
    let [Operand::BrowsePath(path)] = operands("translate_request", 1)[..] else { panic!() };
    assert_eq!(node(path.starting_node), "i=85");
    assert_path(path.path);
    let [Operand::PathResult { status: 0 }, Operand::PathTarget(target)] = operands("translate_response", 1)[..] else {
        panic!()
    };
    assert_eq!((expanded(target.target).as_str(), target.remaining_path_index), ("ns=2;s=Tank.Level", u32::MAX));
    let [Operand::RegisterNode(registered)] = operands("register_nodes_request", 1)[..] else { panic!() };
    assert_eq!(node(registered), "ns=2;s=Tank.Level");
    let [Operand::RegisteredNode(registered)] = operands("register_nodes_response", 1)[..] else { panic!() };
    assert_eq!(node(registered), "ns=2;i=5");
    assert_eq!(operands("unregister_nodes_request", 1), [Operand::UnregisterNode(registered)]);
}

fn assert_condition(condition: ContentFilter<'_>) {
    let elements: Vec<_> = condition.iter().collect();
    let [element] = elements[..] else { panic!("{elements:?}") };
    assert_eq!(element.operator, 2);
    let operands: Vec<_> = element.operands.iter().collect();
    let [FilterOperand::SimpleAttribute(field), FilterOperand::Literal(literal)] = operands[..] else { panic!("{operands:?}") };
    assert_severity(field);
    assert_eq!(literal.number(), Some(500.0));
}

fn assert_severity(field: SimpleAttributeOperand<'_>) {
    assert_eq!((node(field.type_definition).as_str(), field.attribute, field.index_range), ("i=2041", 13, None));
    assert_eq!(field.path.iter().map(|name| text(name.name)).collect::<Vec<_>>(), ["Severity"]);
}

fn assert_event_filter(filter: EventFilter<'_>) {
    filter.select.iter().for_each(assert_severity);
    assert_eq!(filter.select.len(), 1);
    assert_condition(filter.condition);
}

#[test]
fn queries_tell_types_conditions_and_nodes() {
    let query = operands("query_first_request", 1);
    let [Operand::QueryView(view), Operand::QueryNodeType(kind), Operand::QueryOptions(options)] = query[..] else {
        panic!("{query:?}")
    };
    assert_eq!((view.timestamp, expanded(kind.type_definition).as_str(), kind.include_subtypes), (TIME, "i=63", true));
    let data: Vec<_> = kind.data.iter().collect();
    assert_eq!((data.len(), data[0].attribute, data[0].index_range), (1, 13, None));
    assert_path(data[0].path);
    assert_condition(options.filter);
    assert_eq!((options.max_data_sets, options.max_references), (10, 20));
    let found = operands("query_first_response", 1);
    let [
        Operand::QueryDataSet(set),
        Operand::QueryContinuation(Some([7])),
        Operand::QueryParsing(parsing),
        Operand::QueryFilterResult(result),
    ] = found[..]
    else {
        panic!("{found:?}")
    };
    assert_eq!((expanded(set.node).as_str(), expanded(set.type_definition).as_str()), ("ns=2;s=Tank.Level", "i=63"));
    assert_eq!(set.values.iter().map(value).collect::<Vec<_>>(), ["21.5"]);
    assert_eq!((parsing.status, parsing.data.iter().collect::<Vec<_>>()), (BAD, vec![BAD]));
    assert_eq!(result.elements.iter().map(|element| element.status).collect::<Vec<_>>(), [BAD]);
    let [Operand::QueryNext { release: true, continuation_point: Some([7]) }] = operands("query_next_request", 1)[..] else {
        panic!()
    };
    assert_eq!(operands("query_next_response", 1), [Operand::QueryDataSet(set), Operand::QueryContinuation(None)]);
}

#[test]
fn attributes_are_read_and_written() {
    let [Operand::ReadOptions { max_age: 500.0, timestamps: 2 }, Operand::ReadItem(item)] = operands("read_request", 1)[..]
    else {
        panic!()
    };
    assert_eq!((node(item.node).as_str(), item.attribute, text(item.index_range)), ("ns=2;s=Tank.Level", 13, "1:3"));
    assert_eq!((attribute_name(item.attribute), attribute_name(0), attribute_name(28)), (Some("Value"), None, None));
    let results = operands("read_response", 2);
    let [Operand::ReadResult(good), Operand::ReadResult(bad), Operand::Diagnostic { index: 0, .. }] = results[..] else {
        panic!("{results:?}")
    };
    assert_eq!((good.value.and_then(|value| value.number()), good.source_time, good.server_time), (Some(21.5), TIME, TIME));
    assert_eq!((bad.value, bad.status, status::name(bad.status)), (Some(Variant::Null), BAD, "BadNodeIdUnknown"));
    let [Operand::WriteItem(item)] = operands("write_request", 1)[..] else { panic!() };
    assert_eq!((node(item.node).as_str(), item.attribute, item.index_range, item.value), ("ns=2;s=Tank.Level", 13, None, good));
    assert_eq!(operands("write_response", 2), [Operand::Status(0), Operand::Status(BAD)]);
}

#[test]
fn histories_are_read() {
    let details = |name| {
        let operands = operands(name, 1);
        let [Operand::HistoryOptions { details, timestamps: 0, release: false }, Operand::HistoryReadItem(item)] = operands[..]
        else {
            panic!("{operands:?}")
        };
        assert_eq!(
            (node(item.node).as_str(), item.index_range, item.continuation_point),
            ("ns=2;s=Tank.Level", None, Some(&[7][..]))
        );
        details
    };
    let HistoryDetails::RawModified(raw) = details("history_read_request_raw") else { panic!() };
    assert_eq!(
        (raw.is_modified, raw.start_time, raw.end_time, raw.max_values, raw.return_bounds),
        (false, TIME, TIME, 100, true)
    );
    let HistoryDetails::Processed(processed) = details("history_read_request_processed") else { panic!() };
    assert_eq!((processed.start_time, processed.processing_interval), (TIME, 1000.0));
    assert_eq!(processed.aggregates.iter().map(node).collect::<Vec<_>>(), ["i=2342"]);
    assert_eq!((processed.configuration.use_server_defaults, processed.configuration.percent_data_bad), (true, 100));
    let HistoryDetails::AtTime(at_time) = details("history_read_request_at_time") else { panic!() };
    assert_eq!((at_time.times.iter().collect::<Vec<_>>(), at_time.use_simple_bounds), (vec![TIME, TIME], true));
    let HistoryDetails::Event(event) = details("history_read_request_event") else { panic!() };
    assert_eq!((event.max_values, event.start_time, event.end_time), (10, TIME, TIME));
    assert_event_filter(event.filter);
    let HistoryDetails::AnnotationData(times) = details("history_read_request_annotations") else { panic!() };
    assert_eq!(times.iter().collect::<Vec<_>>(), [TIME]);

    let found = operands("history_read_response", 4);
    let [
        Operand::HistoryResult { status: 0, continuation_point: Some([7]) },
        Operand::HistoryValue(first),
        Operand::HistoryValue(second),
        Operand::HistoryResult { status: 0, continuation_point: None },
        Operand::HistoryValue(_),
        Operand::HistoryModification(modification),
        Operand::HistoryResult { status: 0, continuation_point: None },
        Operand::HistoryEvent { fields },
        Operand::HistoryResult { status: BAD, continuation_point: None },
    ] = found[..]
    else {
        panic!("{found:?}")
    };
    assert_eq!((first, first.value.unwrap().number()), (second, Some(21.5)));
    assert_eq!((modification.time, modification.update_type, text(modification.user_name)), (TIME, 2, "operator"));
    assert_eq!(fields.iter().map(value).collect::<Vec<_>>(), ["500"]);
}

#[test]
fn histories_are_changed() {
    let found = operands("history_update_request", 6);
    let [
        Operand::HistoryUpdate(data),
        Operand::HistoryValue(_),
        Operand::HistoryUpdate(structure),
        Operand::HistoryValue(_),
        Operand::HistoryUpdate(event),
        Operand::HistoryEvent { .. },
        Operand::HistoryUpdate(raw),
        Operand::HistoryUpdate(times),
        Operand::HistoryUpdate(ids),
    ] = found[..]
    else {
        panic!("{found:?}")
    };
    for update in [data, structure, event, raw, times, ids] {
        assert_eq!(node(update.node), "ns=2;s=Tank.Level");
    }
    assert_eq!((data.action, structure.action), (HistoryAction::Data(2), HistoryAction::StructureData(1)));
    let HistoryAction::Event(1, filter) = event.action else { panic!() };
    assert_event_filter(filter);
    assert_eq!(raw.action, HistoryAction::DeleteRawModified { is_modified: true, start_time: TIME, end_time: TIME });
    let (HistoryAction::DeleteAtTime(times), HistoryAction::DeleteEvent(ids)) = (times.action, ids.action) else { panic!() };
    assert_eq!((times.iter().collect::<Vec<_>>(), ids.iter().collect::<Vec<_>>()), (vec![TIME], vec![Some(&[1][..])]));
    assert_eq!(
        operands("history_update_response", 1),
        [Operand::HistoryUpdateResult { status: 0 }, Operand::HistoryOperationStatus(0), Operand::HistoryOperationStatus(BAD)]
    );
}

#[test]
fn methods_are_called_with_arguments() {
    let call = operands("call_request", 1);
    let [Operand::Call { object, method }, Operand::Argument(level), Operand::Argument(speed)] = call[..] else {
        panic!("{call:?}")
    };
    assert_eq!((node(object).as_str(), node(method).as_str()), ("ns=2;s=Tank", "ns=2;s=Tank.Fill"));
    assert_eq!((level.number(), value(speed).as_str()), (Some(80.0), "fast"));
    let call = operands("call_request_password", 1);
    let [
        Operand::Call { .. },
        Operand::Argument(user),
        Operand::SecretArgument(kind),
        Operand::Argument(_),
        Operand::Argument(_),
    ] = call[..]
    else {
        panic!("{call:?}")
    };
    assert_eq!((value(user).as_str(), kind.name()), ("eve", "String"));
    let result = operands("call_response", 1);
    let [
        Operand::CallResult { status: BAD },
        Operand::ArgumentStatus(0),
        Operand::ArgumentStatus(BAD),
        Operand::Diagnostic { .. },
        Operand::OutputArgument(output),
    ] = result[..]
    else {
        panic!("{result:?}")
    };
    assert_eq!(value(output), "true");
}

#[test]
fn monitored_items_are_created_with_filters() {
    let found = operands("create_monitored_items_request", 4);
    let [
        Operand::MonitorOptions { subscription_id: 3, timestamps: 2 },
        Operand::CreateMonitored(plain),
        Operand::CreateMonitored(deadband),
        Operand::CreateMonitored(event),
        Operand::CreateMonitored(aggregate),
    ] = found[..]
    else {
        panic!("{found:?}")
    };
    assert_eq!((node(plain.item.node).as_str(), plain.item.attribute, plain.mode), ("ns=2;s=Tank.Level", 13, 2));
    let parameters = plain.parameters;
    assert_eq!((parameters.client_handle, parameters.sampling_interval, parameters.filter), (9, 250.0, MonitoringFilter::None));
    assert_eq!((parameters.queue_size, parameters.discard_oldest), (5, true));
    let expected = DataChangeFilter { trigger: 1, deadband_type: 1, deadband_value: 0.5 };
    assert_eq!(deadband.parameters.filter, MonitoringFilter::DataChange(expected));
    let MonitoringFilter::Event(filter) = event.parameters.filter else { panic!() };
    assert_event_filter(filter);
    let MonitoringFilter::Aggregate(filter) = aggregate.parameters.filter else { panic!() };
    assert_eq!((filter.start_time, node(filter.aggregate).as_str(), filter.processing_interval), (TIME, "i=2342", 1000.0));
    assert_eq!(aggregate.mode, 1);
    let found = operands("create_monitored_items_response", 3);
    let [Operand::CreatedMonitored(plain), Operand::CreatedMonitored(event), Operand::CreatedMonitored(aggregate)] = found[..]
    else {
        panic!("{found:?}")
    };
    assert_eq!((plain.status, plain.monitored_item_id, plain.sampling_interval, plain.queue_size), (0, 11, 500.0, 5));
    assert_eq!(plain.filter_result, FilterResult::None);
    let FilterResult::Event(result) = event.filter_result else { panic!() };
    assert_eq!(result.select.iter().collect::<Vec<_>>(), [0]);
    let FilterResult::Aggregate(result) = aggregate.filter_result else { panic!() };
    assert_eq!((result.start_time, result.processing_interval), (TIME, 2000.0));
}

#[test]
fn monitored_items_are_changed_and_deleted() {
    let found = operands("modify_monitored_items_request", 1);
    let [Operand::MonitorOptions { subscription_id: 3, .. }, Operand::ModifyMonitored(modify)] = found[..] else {
        panic!("{found:?}")
    };
    assert_eq!((modify.monitored_item_id, modify.parameters.client_handle), (11, 9));
    let [Operand::ModifiedMonitored(modified)] = operands("modify_monitored_items_response", 1)[..] else { panic!() };
    assert_eq!((modified.status, modified.sampling_interval, modified.queue_size), (0, 500.0, 5));
    let mode = |monitored_item_id| Operand::SetMonitoringMode { subscription_id: 3, monitored_item_id, mode: 0 };
    assert_eq!(operands("set_monitoring_mode_request", 2), [mode(11), mode(12)]);
    assert_eq!(operands("set_monitoring_mode_response", 2), [Operand::Status(0), Operand::Status(BAD)]);
    let link =
        |linked_item_id, remove| Operand::SetTriggering { subscription_id: 3, triggering_item_id: 11, linked_item_id, remove };
    assert_eq!(operands("set_triggering_request", 2), [link(12, false), link(13, true)]);
    assert_eq!(operands("set_triggering_response", 2), [Operand::Status(0), Operand::Status(BAD)]);
    let deleted = Operand::DeleteMonitored { subscription_id: 3, monitored_item_id: 11 };
    assert_eq!(operands("delete_monitored_items_request", 1), [deleted]);
    assert_eq!(operands("delete_monitored_items_response", 1), [Operand::Status(0)]);
}

#[test]
fn subscriptions_are_created_changed_and_moved() {
    let request = SubscriptionRequest {
        publishing_interval: 500.0,
        lifetime_count: 10_000,
        max_keep_alive_count: 10,
        max_notifications: 1000,
        publishing_enabled: true,
        priority: 5,
    };
    assert_eq!(operands("create_subscription_request", 1), [Operand::CreateSubscription(request)]);
    let created =
        SubscriptionCreated { subscription_id: 3, publishing_interval: 500.0, lifetime_count: 10_000, max_keep_alive_count: 10 };
    assert_eq!(operands("create_subscription_response", 1), [Operand::SubscriptionCreated(created)]);
    let change = SubscriptionChange {
        subscription_id: 3,
        publishing_interval: 250.0,
        lifetime_count: 10_000,
        max_keep_alive_count: 10,
        max_notifications: 1000,
        priority: 6,
    };
    assert_eq!(operands("modify_subscription_request", 1), [Operand::ModifySubscription(change)]);
    let changed = SubscriptionChanged { publishing_interval: 250.0, lifetime_count: 10_000, max_keep_alive_count: 10 };
    assert_eq!(operands("modify_subscription_response", 1), [Operand::SubscriptionModified(changed)]);
    let publishing = |subscription_id| Operand::SetPublishingMode { subscription_id, enabled: false };
    assert_eq!(operands("set_publishing_mode_request", 2), [publishing(3), publishing(4)]);
    assert_eq!(operands("set_publishing_mode_response", 2), [Operand::Status(0), Operand::Status(BAD)]);
    let transfer = [Operand::TransferSubscription(3), Operand::TransferOptions { send_initial_values: true }];
    assert_eq!(operands("transfer_subscriptions_request", 1), transfer);
    let [Operand::TransferResult { status: 0, available }] = operands("transfer_subscriptions_response", 1)[..] else { panic!() };
    assert_eq!(available.iter().collect::<Vec<_>>(), [17]);
    assert_eq!(operands("delete_subscriptions_request", 1), [Operand::DeleteSubscription(3)]);
    assert_eq!(operands("delete_subscriptions_response", 1), [Operand::Status(0)]);
}

fn assert_notifications(operands: &[Operand<'_>]) {
    let [
        Operand::NotificationMessage { sequence_number: 18, publish_time: TIME, notifications: 3 },
        Operand::DataChange { client_handle: 9, value: level },
        Operand::Event { client_handle: 10, fields },
        Operand::StatusChange { status: BAD, .. },
    ] = operands
    else {
        panic!("{operands:?}")
    };
    assert_eq!(level.value.unwrap().number(), Some(21.5));
    assert_eq!(fields.iter().map(value).collect::<Vec<_>>(), ["500"]);
}

#[test]
fn notifications_are_published() {
    let acknowledged = Acknowledgement { subscription_id: 3, sequence_number: 17 };
    assert_eq!(operands("publish_request", 1), [Operand::Acknowledge(acknowledged)]);
    let published = operands("publish_response", 3);
    let [Operand::Publish { subscription_id: 3, available, more: true }, message @ .., Operand::AcknowledgeResult(0)] =
        &published[..]
    else {
        panic!("{published:?}")
    };
    assert_eq!(available.iter().collect::<Vec<_>>(), [17, 18]);
    assert_notifications(message);
    assert_eq!(operands("republish_request", 1), [Operand::Republish { subscription_id: 3, sequence_number: 17 }]);
    assert_notifications(&operands("republish_response", 3));
}

#[test]
fn a_call_without_a_session_is_decoded_by_what_stands_inside() {
    // Type, versions of the tables, three tables, the number of ReadRequest, and its body without its type.
    let mut body = bytes("01001f3e01000000ffffffffffffffff0100000002000000656e77020000");
    body.extend(&MESSAGES["read_request"][4..]);
    let mut operands = Vec::new();
    let (decoded, result) = decode(&body, &mut |operand| operands.push(*operand));
    assert_eq!((decoded.service, result), (Some(Service::SessionlessInvoke), Ok(body.len())));
    assert_eq!(decoded.request.unwrap().request_handle, 7);
    assert!(matches!(
        operands[..],
        [Operand::Sessionless { service_id: 631 }, Operand::ReadOptions { .. }, Operand::ReadItem(_)]
    ));
}

#[test]
fn any_body_cut_anywhere_tells_what_came_before_and_names_a_clause() {
    for (name, body) in MESSAGES.iter() {
        let (_, all) = statements(name);
        for length in 0..body.len() {
            let mut operands = Vec::new();
            let (_, result) = decode(&body[..length], &mut |operand| operands.push(*operand));
            let fault = result.expect_err(name);
            assert!(fault.at <= length && fault.clause.starts_with("OPC 10000-"), "{name}: {fault:?}");
            assert!(operands.len() <= all.len(), "{name}");
        }
    }
}
