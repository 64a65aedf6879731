//! Filters of monitored items, queries and histories, and what servers make of them (OPC 10000-4, 7.7 and 7.22).

use super::RelativePathElement;
use crate::protocol::opcua::binary::{
    Body, Decode, DiagnosticInfo, ExtensionObject, Fault, List, NodeId, QualifiedName, Reader, Text, Variant, structure,
};

/// Binary encodings (OPC 10000-6, annex A).
const ELEMENT_OPERAND: u32 = 594;
const LITERAL_OPERAND: u32 = 597;
const ATTRIBUTE_OPERAND: u32 = 600;
const SIMPLE_ATTRIBUTE_OPERAND: u32 = 603;
const DATA_CHANGE_FILTER: u32 = 724;
const EVENT_FILTER: u32 = 727;
const AGGREGATE_FILTER: u32 = 730;
const EVENT_FILTER_RESULT: u32 = 736;
const AGGREGATE_FILTER_RESULT: u32 = 739;

const OPERANDS: &str = "OPC 10000-4, 7.7.4";
const FILTERS: &str = "OPC 10000-4, 7.22";

structure! {
    /// An attribute of a node found from another by a path with an alias (7.7.4.4).
    pub struct AttributeOperand<'a> {
        /// Where the path starts.
        pub node: NodeId<'a>,
        /// Name by which other operands refer to it.
        pub alias: Text<'a>,
        /// The path.
        pub path: List<'a, RelativePathElement<'a>>,
        /// The attribute.
        pub attribute: u32,
        /// Part of the value.
        pub index_range: Text<'a>,
    }
}

structure! {
    /// An attribute of a node found by browse names from a type: a field of an event (7.7.4.5).
    pub struct SimpleAttributeOperand<'a> {
        /// The type of the event that the path starts at.
        pub type_definition: NodeId<'a>,
        /// The path; empty is the event's own node.
        pub path: List<'a, QualifiedName<'a>>,
        /// The attribute.
        pub attribute: u32,
        /// Part of the value.
        pub index_range: Text<'a>,
    }
}

/// What a filter operator works on (7.7.4).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FilterOperand<'a> {
    /// Another element of the filter, by index.
    Element(u32),
    /// A value.
    Literal(Variant<'a>),
    /// An attribute of a node.
    Attribute(AttributeOperand<'a>),
    /// A field of an event.
    SimpleAttribute(SimpleAttributeOperand<'a>),
    /// A type that the specification does not define.
    Other(ExtensionObject<'a>),
}

impl<'a> Decode<'a> for FilterOperand<'a> {
    const LEAST: usize = ExtensionObject::LEAST;

    fn decode(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        let object = ExtensionObject::decode(reader)?;
        let Body::Binary(body) = object.body else { return Ok(Self::Other(object)) };
        match object.type_id.standard_number() {
            Some(ELEMENT_OPERAND) => reader.within(body, OPERANDS, Reader::u32).map(Self::Element),
            Some(LITERAL_OPERAND) => reader.within(body, OPERANDS, Variant::decode).map(Self::Literal),
            Some(ATTRIBUTE_OPERAND) => reader.within(body, OPERANDS, AttributeOperand::decode).map(Self::Attribute),
            Some(SIMPLE_ATTRIBUTE_OPERAND) => {
                reader.within(body, OPERANDS, SimpleAttributeOperand::decode).map(Self::SimpleAttribute)
            }
            _ => Ok(Self::Other(object)),
        }
    }
}

structure! {
    /// One operator with its operands (7.7.1).
    pub struct ContentFilterElement<'a> {
        /// The operator (7.7.3): 0 equals, 1 is null, 2 greater than, … 17 bitwise or.
        pub operator: u32,
        /// Its operands.
        pub operands: List<'a, FilterOperand<'a>>,
    }
}

/// A condition (7.7.1).
pub type ContentFilter<'a> = List<'a, ContentFilterElement<'a>>;

structure! {
    /// When a change of a value is worth a notification (7.22.2).
    pub struct DataChangeFilter {
        /// 0 status, 1 status and value, 2 status, value and source time.
        pub trigger: u32,
        /// 0 none, 1 absolute, 2 percent.
        pub deadband_type: u32,
        /// Least change.
        pub deadband_value: f64,
    }
}

structure! {
    /// Which events, and which of their fields (7.22.3).
    pub struct EventFilter<'a> {
        /// Fields, in the order in which notifications have them.
        pub select: List<'a, SimpleAttributeOperand<'a>>,
        /// Condition on events.
        pub condition: ContentFilter<'a>,
    }
}

structure! {
    /// How an aggregate is computed (OPC 10000-13, 4.2.1.2).
    pub struct AggregateConfiguration {
        /// Whether the server's defaults hold and the rest is ignored.
        pub use_server_defaults: bool,
        /// Whether uncertain values are bad.
        pub treat_uncertain_as_bad: bool,
        /// Percent of bad values that makes the aggregate bad.
        pub percent_data_bad: u8,
        /// Percent of good values that makes it good.
        pub percent_data_good: u8,
        /// Whether it is extrapolated by slope.
        pub use_sloped_extrapolation: bool,
    }
}

structure! {
    /// An aggregate in place of values (7.22.4).
    pub struct AggregateFilter<'a> {
        /// Start of the first interval, nanoseconds since 1970.
        pub start_time: Option<i64>,
        /// The aggregate.
        pub aggregate: NodeId<'a>,
        /// Its interval, milliseconds.
        pub processing_interval: f64,
        /// How it is computed.
        pub configuration: AggregateConfiguration,
    }
}

/// Filter of a monitored item (7.22).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MonitoringFilter<'a> {
    /// None: every change of status or value.
    None,
    /// On changes of a value.
    DataChange(DataChangeFilter),
    /// On events.
    Event(EventFilter<'a>),
    /// An aggregate.
    Aggregate(AggregateFilter<'a>),
    /// A type that the specification does not define, or in XML.
    Other(ExtensionObject<'a>),
}

impl<'a> Decode<'a> for MonitoringFilter<'a> {
    const LEAST: usize = ExtensionObject::LEAST;

    fn decode(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        let object = ExtensionObject::decode(reader)?;
        match (object.type_id.standard_number(), object.body) {
            (Some(DATA_CHANGE_FILTER), Body::Binary(body)) => {
                reader.within(body, FILTERS, DataChangeFilter::decode).map(Self::DataChange)
            }
            (Some(EVENT_FILTER), Body::Binary(body)) => reader.within(body, FILTERS, EventFilter::decode).map(Self::Event),
            (Some(AGGREGATE_FILTER), Body::Binary(body)) => {
                reader.within(body, FILTERS, AggregateFilter::decode).map(Self::Aggregate)
            }
            (_, Body::None) => Ok(Self::None),
            _ => Ok(Self::Other(object)),
        }
    }
}

structure! {
    /// What is wrong with one element of a condition (7.7.2).
    pub struct ContentFilterElementResult<'a> {
        /// Status of the element.
        pub status: u32,
        /// Status of each operand.
        pub operands: List<'a, u32>,
        /// Diagnostics of each operand.
        pub diagnostics: List<'a, DiagnosticInfo<'a>>,
    }
}

structure! {
    /// What is wrong with a condition (7.7.2).
    pub struct ContentFilterResult<'a> {
        /// Elements, as they stand in the condition; empty if all is well.
        pub elements: List<'a, ContentFilterElementResult<'a>>,
        /// Diagnostics of each element.
        pub diagnostics: List<'a, DiagnosticInfo<'a>>,
    }
}

structure! {
    /// What is wrong with an event filter (7.22.3).
    pub struct EventFilterResult<'a> {
        /// Status of each field.
        pub select: List<'a, u32>,
        /// Diagnostics of each field.
        pub diagnostics: List<'a, DiagnosticInfo<'a>>,
        /// The condition.
        pub condition: ContentFilterResult<'a>,
    }
}

structure! {
    /// The aggregate that a server gives (7.22.4).
    pub struct AggregateFilterResult {
        /// Start of the first interval, nanoseconds since 1970.
        pub start_time: Option<i64>,
        /// Its interval, milliseconds.
        pub processing_interval: f64,
        /// How it is computed.
        pub configuration: AggregateConfiguration,
    }
}

/// What a server made of a filter (7.22).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FilterResult<'a> {
    /// Nothing to say.
    None,
    /// Of an event filter.
    Event(EventFilterResult<'a>),
    /// Of an aggregate.
    Aggregate(AggregateFilterResult),
    /// A type that the specification does not define, or in XML.
    Other(ExtensionObject<'a>),
}

impl<'a> Decode<'a> for FilterResult<'a> {
    const LEAST: usize = ExtensionObject::LEAST;

    fn decode(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        let object = ExtensionObject::decode(reader)?;
        match (object.type_id.standard_number(), object.body) {
            (Some(EVENT_FILTER_RESULT), Body::Binary(body)) => {
                reader.within(body, FILTERS, EventFilterResult::decode).map(Self::Event)
            }
            (Some(AGGREGATE_FILTER_RESULT), Body::Binary(body)) => {
                reader.within(body, FILTERS, AggregateFilterResult::decode).map(Self::Aggregate)
            }
            (_, Body::None) => Ok(Self::None),
            _ => Ok(Self::Other(object)),
        }
    }
}
