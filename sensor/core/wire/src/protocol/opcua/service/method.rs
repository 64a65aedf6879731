//! Method service set (OPC 10000-4, 5.12).

use super::{Operand, Out};
use crate::protocol::opcua::binary::{Fault, Reader};

pub(super) fn call_request<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let count = reader.array_length(8)?;
    out.count(count);
    for _ in 0..count {
        let object = reader.read()?;
        let method = reader.read()?;
        out.say(Operand::Call { object, method });
        reader.each(|argument| out.say(Operand::Argument(argument)))?;
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
