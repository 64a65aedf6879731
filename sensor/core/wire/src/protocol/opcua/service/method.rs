//! Method service set (OPC 10000-4, 5.12).

use super::{Operand, Out};
use crate::protocol::opcua::binary::{Fault, NodeId, Reader, Variant};

/// Which input arguments of a method are secrets, by index from 0: passwords of users (OPC 10000-18, 5.2), private keys (OPC 10000-12, 7.10.5),
/// credentials (OPC 10000-12, 8.6), keys of PubSub groups (OPC 10000-14, 9.1.3). Of the standard methods, on types and on the server's own objects.
pub fn secret_arguments(method: &NodeId<'_>) -> &'static [usize] {
    match method.standard_number() {
        // UserManagement: AddUser, ModifyUser, ChangePassword.
        Some(24269 | 24304) => &[1],
        Some(24271 | 24306) => &[2],
        Some(24275 | 24310) => &[0, 1],
        // UpdateCertificate, of ServerConfiguration and of applications.
        Some(12616 | 13737 | 18533 | 28005) => &[5],
        // PublishSubscribe: SetSecurityKeys.
        Some(17296 | 17364) => &[3, 4],
        // KeyCredentialConfiguration: UpdateCredential.
        Some(17519 | 18006) => &[1],
        _ => &[],
    }
}

/// Which output arguments of a method are secrets, by index from 0: keys of PubSub groups (OPC 10000-14, 8.3.2). A response does not name its
/// method, so that `decode` hands these on, and who pairs it with its request leaves them out.
pub fn secret_outputs(method: &NodeId<'_>) -> &'static [usize] {
    match method.standard_number() {
        // GetSecurityKeys, of PublishSubscribe and of key services.
        Some(15215 | 15907) => &[2],
        _ => &[],
    }
}

pub(super) fn call_request<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let count = reader.array_length(8)?;
    out.count(count);
    for _ in 0..count {
        let object = reader.read()?;
        let method = reader.read()?;
        out.say(Operand::Call { object, method });
        let (secrets, mut index) = (secret_arguments(&method), 0_usize);
        reader.each(|argument: Variant<'a>| {
            out.say(if secrets.contains(&index) {
                Operand::SecretArgument(argument.built_in())
            } else {
                Operand::Argument(argument)
            });
            index = index.saturating_add(1);
        })?;
    }
    Ok(())
}

pub(super) fn call_response<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let count = reader.array_length(16)?;
    out.count(count);
    for _ in 0..count {
        let status = reader.status_code()?;
        out.say(Operand::CallResult { status });
        reader.each(|status| out.say(Operand::ArgumentStatus(status)))?;
        out.diagnostics(reader)?;
        reader.each(|argument| out.say(Operand::OutputArgument(argument)))?;
    }
    out.diagnostics(reader)
}
