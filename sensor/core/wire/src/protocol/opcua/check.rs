//! What an exchange breaks: encoding, answers that do not answer, secrets in clear, certificates that must not be used.

use super::binary::{Fault, FaultKind};
use super::certificate::Facts;
use super::service::{Decoded, Service};
use super::status;
use super::violation::Broken;

/// A message of an exchange: whether its end is missing, what it is, and where decoding ended.
pub type Half<'d, 'a> = Option<(bool, &'d Decoded<'a>, Option<Fault>)>;

/// Checks a request and its response. `counts`: items asked for, results seen; none where continuation points are only let go, whose results are
/// empty (OPC 10000-4, 5.9.3.2, 5.11.3.2).
pub fn exchange(halves: &[Half<'_, '_>; 2], counts: Option<(usize, usize)>, broken: &mut Vec<Broken>) {
    for (is_cut, decoded, fault) in halves.iter().flatten() {
        // Where the end of a message is missing, a length points behind what is there.
        let is_expected = |fault: &Fault| *is_cut && matches!(fault.kind, FaultKind::Truncated | FaultKind::LengthTooLong);
        for fault in decoded.irregular.iter().chain(fault.iter().filter(|fault| !is_expected(fault))) {
            broken.push(Broken::encoding(fault));
        }
    }
    let [Some((request_cut, request, None)), Some((response_cut, response, None))] = halves else {
        return;
    };
    if let (Some(asked), Some(answered)) = (request.request, response.response)
        && asked.request_handle != answered.request_handle
    {
        let detail = format!("expected the request's handle {}, seen {}", asked.request_handle, answered.request_handle);
        broken.push(Broken { kind: "request_handle", clause: "OPC 10000-4, 7.33", detail });
    }
    let (Some(asked), Some(answered)) = (request.service, response.service) else {
        return;
    };
    if asked != answered && answered != Service::ServiceFault {
        let detail = format!("expected an answer of {}, seen one of {}", asked.name(), answered.name());
        broken.push(Broken { kind: "response_service", clause: "OPC 10000-4, 5.3", detail });
        return;
    }
    let is_bad = response.response.is_some_and(|header| status::is_bad(header.service_result));
    let Some((items, results)) = counts else { return };
    if answered == asked && !is_bad && !request_cut && !response_cut && has_results(asked) && items != results {
        let detail = format!("expected {items} results as the request has items, seen {results}");
        broken.push(Broken { kind: "result_count", clause: "OPC 10000-4, 5.3", detail });
    }
}

/// Whether a service has a result for each item, in the same order.
fn has_results(service: Service) -> bool {
    use Service::*;
    matches!(
        service,
        Read | Write
            | HistoryRead
            | HistoryUpdate
            | Call
            | Browse
            | BrowseNext
            | TranslateBrowsePathsToNodeIds
            | RegisterNodes
            | AddNodes
            | AddReferences
            | DeleteNodes
            | DeleteReferences
            | CreateMonitoredItems
            | ModifyMonitoredItems
            | SetMonitoringMode
            | DeleteMonitoredItems
            | SetPublishingMode
            | TransferSubscriptions
            | DeleteSubscriptions
    )
}

/// A user's secret that neither an algorithm nor the channel hides.
pub fn secret_in_clear() -> Broken {
    Broken {
        kind: "user_secret_in_clear",
        clause: "OPC 10000-4, 7.41",
        detail: "expected the secret of a user token to be encrypted, by itself or by the channel; seen in clear".to_owned(),
    }
}

/// Checks the certificates of client and server at the time at which they are shown.
pub fn certificates(shown: &[Option<Box<Facts>>; 2], policy: Option<&str>, ts: i64, broken: &mut Vec<Broken>) {
    for (whose, facts) in ["client", "server"].into_iter().zip(shown) {
        let Some(facts) = facts else { continue };
        let is_early = facts.not_before.is_some_and(|from| ts < from);
        if is_early || facts.not_after.is_some_and(|until| ts > until) {
            let seen = if is_early { "not valid yet" } else { "expired" };
            let detail = format!("expected a certificate of the {whose} that is valid, seen {} {seen}", facts.thumbprint);
            broken.push(Broken { kind: "certificate_validity", clause: "OPC 10000-4, 6.1.3", detail });
        }
        if let (Some(bits), Some((least, most))) = (facts.key_bits, policy.and_then(key_bits))
            && !(least..=most).contains(&bits)
        {
            let detail = format!("expected a key of {least} to {most} bits of the {whose}, seen {bits}");
            broken.push(Broken { kind: "certificate_key_length", clause: "OPC 10000-7, 6.6", detail });
        }
    }
}

/// Least and most bits of an asymmetric key under a policy (OPC 10000-7, 6.6).
fn key_bits(policy: &str) -> Option<(u16, u16)> {
    match policy {
        "Basic128Rsa15" | "Basic256" => Some((1_024, 2_048)),
        "Basic256Sha256" | "Aes128_Sha256_RsaOaep" | "Aes256_Sha256_RsaPss" => Some((2_048, 4_096)),
        _ => None,
    }
}
