//! Data type dictionaries: structures and enumerations as servers told them before there was the DataTypeDefinition attribute, in the XML of the
//! OPC Binary type description (OPC 10000-3, annex C; OPC 10000-5, annex D).

use roxmltree::{Document, Node, ParsingOptions};

use super::NodeId;
use super::structure::{Definition, FIELDS, Field, NAME_BYTES, OwnedNodeId, StructureKind, described};

/// Longest dictionary that is read.
const DICTIONARY_BYTES: usize = 4 * 1024 * 1024;
/// Elements, attributes and texts of a dictionary that are read, at most.
const NODES: u32 = 65_536;
/// Namespace of the elements.
const NAMESPACE: &str = "http://opcfoundation.org/BinarySchema/";
/// Namespaces of type names: of the description itself, and of OPC UA.
const UA: &str = "http://opcfoundation.org/UA/";
/// Bits of the mask in front of a structure with optional fields (OPC 10000-6, 5.2.7).
const MASK_BITS: u32 = 32;

/// Whether a ByteString may be a dictionary: one look at its beginning.
pub(in crate::protocol::opcua) fn looks_like_one(bytes: &[u8]) -> bool {
    let head = bytes.get(..bytes.len().min(512)).unwrap_or_default();
    let start = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    start.starts_with(b"<") && head.windows(14).any(|window| window == b"TypeDictionary")
}

/// The types of a dictionary by name. Those that say more than our definitions can hold (bits, lengths elsewhere, terminators) are left out: their
/// values stay what they are without a definition.
pub(super) fn types(xml: &[u8]) -> Vec<(String, Definition)> {
    let Some(text) = (xml.len() <= DICTIONARY_BYTES).then(|| std::str::from_utf8(xml).ok()).flatten() else {
        return Vec::new();
    };
    let options = ParsingOptions { allow_dtd: false, nodes_limit: NODES, ..ParsingOptions::default() };
    let Ok(document) = Document::parse_with_options(text, options) else {
        return Vec::new();
    };
    let root = document.root_element();
    if !root.has_tag_name((NAMESPACE, "TypeDictionary")) {
        return Vec::new();
    }
    let named = |node: Node<'_, '_>| {
        let name = node.attribute("Name").filter(|name| name.len() <= NAME_BYTES)?;
        let definition = match node.tag_name().name() {
            "StructuredType" => structure(node)?,
            "EnumeratedType" => enumeration(node)?,
            _ => return None,
        };
        Some((name.to_owned(), definition))
    };
    root.children().filter_map(named).collect()
}

fn enumeration(node: Node<'_, '_>) -> Option<Definition> {
    // Enumerations are Int32 in messages (OPC 10000-6, 5.2.4).
    if node.attribute("LengthInBits").is_some_and(|bits| bits != "32") {
        return None;
    }
    let values = node.children().filter(|child| child.has_tag_name((NAMESPACE, "EnumeratedValue"))).take(FIELDS);
    let values = values.map(|value| Some((value.attribute("Value")?.parse().ok()?, value.attribute("Name")?.into())));
    Some(Definition::Enumeration(values.collect::<Option<_>>()?))
}

fn structure(node: Node<'_, '_>) -> Option<Definition> {
    let fields: Vec<Node<'_, '_>> = node.children().filter(|child| child.has_tag_name((NAMESPACE, "Field"))).collect();
    let is_strange = |field: &Node<'_, '_>| {
        ["Terminator", "SwitchOperand", "IsLengthInBytes"].iter().any(|name| field.attribute(*name).is_some())
    };
    if fields.len() > FIELDS || fields.iter().any(is_strange) {
        return None;
    }
    let first = fields.iter().position(|field| !is_bit(field)).unwrap_or(fields.len());
    let (bits, rest) = fields.split_at(first);
    if !bits.is_empty() {
        return optional_fields(bits, rest);
    }
    let switch = rest.first().filter(|field| {
        let name = field.attribute("Name");
        name.is_some() && rest.iter().skip(1).any(|other| other.attribute("SwitchField") == name)
    });
    match switch {
        Some(switch) => union(switch.attribute("Name")?, rest.get(1..).unwrap_or_default()),
        None if rest.iter().any(|field| field.attribute("SwitchField").is_some()) => None,
        None => Some(Definition::Structure(StructureKind::Plain, plain(rest, |_| Some(false))?)),
    }
}

fn is_bit(field: &Node<'_, '_>) -> bool {
    field.attribute("TypeName").is_some_and(|name| name.rsplit(':').next() == Some("Bit"))
}

/// Behind a mask: each field whose switch is a bit may be missing, and the bits are in the order of the fields.
fn optional_fields(bits: &[Node<'_, '_>], rest: &[Node<'_, '_>]) -> Option<Definition> {
    let (mut switches, mut count) = (Vec::new(), 0_u32);
    for bit in bits {
        let length: u32 = bit.attribute("Length").map_or(Some(1), |length| length.parse().ok())?;
        count = count.checked_add(length)?;
        if length == 1 {
            switches.push(bit.attribute("Name")?);
        }
    }
    if count != MASK_BITS {
        return None;
    }
    let mut next = 0_usize;
    let fields = plain(rest, |field| match field.attribute("SwitchField") {
        None => Some(false),
        Some(switch) => {
            let is_next = switches.get(next) == Some(&switch);
            next = next.saturating_add(1);
            is_next.then_some(true)
        }
    })?;
    Some(Definition::Structure(StructureKind::OptionalFields, fields))
}

/// One field, behind its number from 1.
fn union(switch: &str, rest: &[Node<'_, '_>]) -> Option<Definition> {
    let mut next = 0_u32;
    let fields = plain(rest, |field| {
        next = next.saturating_add(1);
        let is_next = field.attribute("SwitchValue")?.parse() == Ok(next);
        (is_next && field.attribute("SwitchField") == Some(switch)).then_some(false)
    })?;
    Some(Definition::Structure(StructureKind::Union, fields))
}

/// Fields in order; those that are the length of the next one belong to it. None where a field is not as messages have fields.
fn plain(nodes: &[Node<'_, '_>], mut is_optional: impl FnMut(&Node<'_, '_>) -> Option<bool>) -> Option<Box<[Field]>> {
    let (mut fields, mut length) = (Vec::new(), None);
    for (at, node) in nodes.iter().enumerate() {
        let name = node.attribute("Name")?;
        let counts = nodes.get(at.saturating_add(1)).is_some_and(|next| next.attribute("LengthField") == Some(name));
        if counts {
            length = (node.attribute("TypeName")?.rsplit(':').next() == Some("Int32")).then_some(name);
            continue;
        }
        if node.attribute("LengthField") != length.take() || node.attribute("Length").is_some() {
            return None;
        }
        fields.push(Field {
            name: name.get(..NAME_BYTES).unwrap_or(name).into(),
            data_type: data_type(node)?,
            value_rank: if node.attribute("LengthField").is_some() { 1 } else { -1 },
            dimensions: Box::default(),
            max_string_length: 0,
            is_optional: is_optional(node)?,
        });
    }
    Some(fields.into())
}

/// The node that stands for the type of a field.
fn data_type(field: &Node<'_, '_>) -> Option<OwnedNodeId> {
    let (prefix, name) = field.attribute("TypeName")?.split_once(':')?;
    let namespace = field.lookup_namespace_uri(Some(prefix))?;
    if namespace == NAMESPACE || namespace == UA {
        let number = standard(name)?;
        return Some(OwnedNodeId::from(&NodeId::standard(number)));
    }
    (name.len() <= NAME_BYTES).then(|| OwnedNodeId::from(&described(name.as_bytes())))
}

/// Data types of the OPC UA namespace by their names in dictionaries.
fn standard(name: &str) -> Option<u32> {
    Some(match name {
        "Boolean" => 1,
        "SByte" => 2,
        "Byte" => 3,
        "Int16" => 4,
        "UInt16" => 5,
        "Int32" => 6,
        "UInt32" => 7,
        "Int64" => 8,
        "UInt64" => 9,
        "Float" => 10,
        "Double" => 11,
        "String" | "CharArray" => 12,
        "DateTime" => 13,
        "Guid" => 14,
        "ByteString" => 15,
        "XmlElement" => 16,
        "NodeId" => 17,
        "ExpandedNodeId" => 18,
        "StatusCode" => 19,
        "QualifiedName" => 20,
        "LocalizedText" => 21,
        "ExtensionObject" => 22,
        "DataValue" => 23,
        "Variant" => 24,
        "DiagnosticInfo" => 25,
        "Argument" => 296,
        "ServerState" => 852,
        "BuildInfo" => 338,
        "Range" => 884,
        "EUInformation" => 887,
        "EnumValueType" => 7594,
        "TimeZoneDataType" => 8912,
        "AxisInformation" => 12079,
        "XVType" => 12080,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Body, Definitions, ExtensionObject, Identifier};
    use super::*;

    const HEAD: &str = r#"<opc:TypeDictionary xmlns:opc="http://opcfoundation.org/BinarySchema/" xmlns:ua="http://opcfoundation.org/UA/"
        xmlns:tns="urn:plant" DefaultByteOrder="LittleEndian" TargetNamespace="urn:plant">"#;

    /// Text of a structure of the type `Recipe` of a dictionary.
    fn text(types: &str, body: &[u8]) -> String {
        let xml = format!("{HEAD}{types}</opc:TypeDictionary>");
        assert!(looks_like_one(xml.as_bytes()));
        let encoding = NodeId { namespace: 2, identifier: Identifier::Numeric(5) };
        let mut definitions = Definitions::default();
        // The reference to the description may be seen before the dictionary.
        definitions.describe(&encoding, "Recipe");
        definitions.learn_dictionary(xml.as_bytes());
        let mut out = String::new();
        ExtensionObject { type_id: encoding, body: Body::Binary(body) }.value_text_with(&mut out, 200, &definitions);
        out
    }

    #[test]
    fn fields_arrays_and_enumerations_are_told() {
        let types = r#"<opc:EnumeratedType Name="Mode" LengthInBits="32">
              <opc:EnumeratedValue Name="Off" Value="0"/><opc:EnumeratedValue Name="On" Value="1"/></opc:EnumeratedType>
            <opc:StructuredType Name="Recipe" BaseType="ua:ExtensionObject"><opc:Documentation>mixes</opc:Documentation>
              <opc:Field Name="Mode" TypeName="tns:Mode"/><opc:Field Name="NoOfLevels" TypeName="opc:Int32"/>
              <opc:Field Name="Levels" TypeName="opc:Byte" LengthField="NoOfLevels"/><opc:Field Name="Span" TypeName="ua:Range"/>
            </opc:StructuredType>"#;
        let body = [&[1, 0, 0, 0, 2, 0, 0, 0, 7, 8][..], &1.0_f64.to_le_bytes(), &2.0_f64.to_le_bytes()].concat();
        assert_eq!(text(types, &body), "{Mode: On (1), Levels: [7, 8], Span: {Low: 1.0, High: 2.0}}");
        assert_eq!(text(types, &body[1..]), "ns=2;i=5 (25 bytes)");
    }

    #[test]
    fn optional_fields_and_unions_are_told() {
        let optional = r#"<opc:StructuredType Name="Recipe"><opc:Field Name="ASpecified" TypeName="opc:Bit"/>
              <opc:Field Name="BSpecified" TypeName="opc:Bit"/><opc:Field Name="Reserved1" TypeName="opc:Bit" Length="30"/>
              <opc:Field Name="A" TypeName="opc:Byte" SwitchField="ASpecified"/><opc:Field Name="C" TypeName="opc:Byte"/>
              <opc:Field Name="B" TypeName="opc:Byte" SwitchField="BSpecified"/></opc:StructuredType>"#;
        assert_eq!(text(optional, &[2, 0, 0, 0, 7, 8]), "{C: 7, B: 8}");
        // Bits that are not in the order of the fields, and a mask of another length.
        let swapped = optional.replace("SwitchField=\"ASpecified\"", "SwitchField=\"BSpecified\"");
        assert_eq!(text(&swapped, &[2, 0, 0, 0, 7, 8]), "ns=2;i=5 (6 bytes)");
        assert_eq!(text(&optional.replace("\"30\"", "\"6\""), &[2, 0, 0, 0, 7, 8]), "ns=2;i=5 (6 bytes)");
        let union = r#"<opc:StructuredType Name="Recipe"><opc:Field Name="SwitchField" TypeName="opc:UInt32"/>
              <opc:Field Name="A" TypeName="opc:Byte" SwitchField="SwitchField" SwitchValue="1"/>
              <opc:Field Name="B" TypeName="opc:UInt16" SwitchField="SwitchField" SwitchValue="2"/></opc:StructuredType>"#;
        assert_eq!(text(union, &[2, 0, 0, 0, 7, 0]), "{B: 7}");
    }

    #[test]
    fn what_is_no_dictionary_says_nothing() {
        let entities = format!(r#"<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>{HEAD}</opc:TypeDictionary>"#);
        let many = format!("{HEAD}{}</opc:TypeDictionary>", "<opc:Import/>".repeat(70_000));
        for xml in ["<TypeDictionary/>", "<opc:TypeDictionary", "\u{0}", &entities, &many] {
            assert!(types(xml.as_bytes()).is_empty(), "{}", &xml[..xml.len().min(40)]);
        }
        assert!(!looks_like_one(b"<html/>") && !looks_like_one(b"TypeDictionary") && !looks_like_one(&[0xff; 600]));
    }
}
