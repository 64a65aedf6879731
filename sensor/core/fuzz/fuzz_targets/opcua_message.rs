//! Any bytes as an OPC UA message body: every statement, every list and every text of it, and none out of the input.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use wire::protocol::opcua::binary::{Decode, Definition, Definitions, ExtensionObject, NodeId, Reader, Variant};
use wire::protocol::opcua::service::{Operand, decode};

const LIMIT: usize = 256;

fn text(value: &Variant<'_>, definitions: &Definitions) {
    let mut out = String::new();
    value.value_text_with(&mut out, LIMIT, definitions);
    assert!(out.len() <= LIMIT + '…'.len_utf8());
    out.clear();
    value.write_shape(&mut out);
    let _ = value.number();
    if let Variant::Array(array) = value {
        assert_eq!(array.iter().count(), array.len());
    }
}

thread_local! {
    /// The standard structures, which are dear to make; made anew where an input has taught more.
    static DEFINITIONS: RefCell<Definitions> = RefCell::default();
}

fuzz_target!(|data: &[u8]| {
    DEFINITIONS.with_borrow_mut(|definitions| {
        let standard = definitions.len();
        decode_all(data, definitions);
        if definitions.len() != standard {
            *definitions = Definitions::default();
        }
    });
});

fn decode_all(data: &[u8], definitions: &mut Definitions) {
    let mut statements = 0_usize;
    let (decoded, result) = decode(data, &mut |operand| {
        statements += 1;
        match *operand {
            Operand::ReadResult(value) | Operand::HistoryValue(value) | Operand::DataChange { value, .. } => {
                let value = value.value.unwrap_or_default();
                if let Variant::Scalar(wire::protocol::opcua::binary::Scalar::ExtensionObject(object)) = value {
                    definitions.learn(&NodeId { namespace: 1, ..NodeId::standard(1) }, &object);
                }
                text(&value, definitions);
            }
            Operand::WriteItem(item) => text(&item.value.value.unwrap_or_default(), definitions),
            Operand::Argument(value) | Operand::OutputArgument(value) => text(&value, definitions),
            Operand::Event { fields, .. } | Operand::HistoryEvent { fields } => {
                assert_eq!(fields.iter().count(), fields.len());
                fields.iter().for_each(|value| text(&value, definitions));
            }
            Operand::Endpoint(endpoint) => {
                assert_eq!(endpoint.user_identity_tokens.iter().count(), endpoint.user_identity_tokens.len())
            }
            Operand::BrowsePath(path) => assert_eq!(path.path.iter().count(), path.path.len()),
            Operand::Reference(reference) => {
                let mut out = String::new();
                reference.target.write_text(&mut out);
                reference.browse_name.write_text(&mut out);
            }
            Operand::Diagnostic { diagnostic, .. } => {
                let mut inner = Some(diagnostic);
                while let Some(diagnostic) = inner {
                    inner = diagnostic.inner();
                }
            }
            _ => {}
        }
    });
    // Every statement took at least a byte, but for the few that stand before an array or behind it.
    assert!(statements <= data.len() + 8);
    match result {
        Ok(used) => assert!(used <= data.len()),
        Err(fault) => assert!(fault.at <= data.len()),
    }
    assert!(decoded.irregular.is_none_or(|fault| fault.at <= data.len()));
    // The same bytes as a definition, and as a value of what they define.
    let object = ExtensionObject::decode(&mut Reader::new(data));
    if let Some(Ok((definition, encoding))) = object.ok().and_then(|object| Definition::read(&object)) {
        let _ = (definition, encoding);
    }
}
