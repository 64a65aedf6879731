//! What OPC UA tells of devices: applications describe themselves, and servers their builds.

use super::binary::{Body, Decode, LocalizedText, Reader, Scalar, Text, Variant};
use super::item_text::plain;
use super::service::ApplicationDescription;
use crate::device::Device;
use crate::protocol::{Context, Side};
use crate::record::table::Attribute;

/// Longest fact.
const FACT_BYTES: usize = 256;
const APPLICATION: &str = "opcua application description";
const BUILD: &str = "opcua build info";
/// Nodes of a server's status and build (OPC 10000-6, annex A.1).
const SERVER_STATUS: u32 = 2256;
const BUILD_INFO: u32 = 2260;
const PRODUCT_NAME: u32 = 2261;
const MANUFACTURER_NAME: u32 = 2263;
const SOFTWARE_VERSION: u32 = 2264;
/// Binary encodings of these structures (OPC 10000-6, annex A.1).
const BUILD_INFO_ENCODING: u32 = 340;
const SERVER_STATUS_ENCODING: u32 = 864;

/// Records a fact about a party.
pub fn learn(side: Side, attribute: Attribute, value: &str, source: &'static str, context: &mut Context<'_>) {
    if value.is_empty() {
        return;
    }
    let party = context.records.parties.get(context.party).copied().unwrap_or_default();
    let device = match side {
        Side::Client => Device { mac: party.client_mac, ip: party.client_ip },
        Side::Server => Device { mac: context.server_mac, ip: Some(context.server) },
    };
    let at = (context.ts, context.party);
    let shared = &mut *context.shared;
    shared.devices.learn(device, attribute, value, source, at, context.records, &mut shared.counters);
}

fn learn_text(side: Side, attribute: Attribute, value: Text<'_>, source: &'static str, context: &mut Context<'_>) {
    if let Some(value) = plain(value, FACT_BYTES) {
        learn(side, attribute, value.trim(), source, context);
    }
}

/// Records what an application says of itself (OPC 10000-4, 7.2).
pub fn learn_application(side: Side, application: &ApplicationDescription<'_>, context: &mut Context<'_>) {
    let LocalizedText { text, .. } = application.application_name;
    learn_text(side, Attribute::Name, text, APPLICATION, context);
    learn_text(side, Attribute::Product, application.product_uri, APPLICATION, context);
}

/// Records what a server says of its build when the value of one of these nodes is read (OPC 10000-5, 12.4).
pub fn learn_value(node: u32, value: &Variant<'_>, context: &mut Context<'_>) {
    let attribute = match node {
        SERVER_STATUS | BUILD_INFO => return learn_build(value, context),
        PRODUCT_NAME => Attribute::Product,
        MANUFACTURER_NAME => Attribute::Vendor,
        SOFTWARE_VERSION => Attribute::Version,
        _ => return,
    };
    if let Variant::Scalar(Scalar::String(text)) = value {
        learn_text(Side::Server, attribute, *text, BUILD, context);
    }
}

fn learn_build(value: &Variant<'_>, context: &mut Context<'_>) {
    let Variant::Scalar(Scalar::ExtensionObject(object)) = value else {
        return;
    };
    let Body::Binary(body) = object.body else {
        return;
    };
    let mut reader = Reader::new(body);
    let build = match object.type_id.standard_number() {
        Some(BUILD_INFO_ENCODING) => build(&mut reader),
        // Start time, current time, state, then the build.
        Some(SERVER_STATUS_ENCODING) if reader.u64().is_ok() && reader.u64().is_ok() && reader.u32().is_ok() => {
            build(&mut reader)
        }
        _ => None,
    };
    if let Some([vendor, product, version]) = build {
        learn_text(Side::Server, Attribute::Vendor, vendor, BUILD, context);
        learn_text(Side::Server, Attribute::Product, product, BUILD, context);
        learn_text(Side::Server, Attribute::Version, version, BUILD, context);
    }
}

/// Manufacturer, product and version of a build (OPC 10000-5, 12.4).
fn build<'a>(reader: &mut Reader<'a>) -> Option<[Text<'a>; 3]> {
    let _product_uri = Text::decode(reader).ok()?;
    Some([reader.string().ok()?, reader.string().ok()?, reader.string().ok()?])
}
