//! What rows tell of requests whose operands have no value: how often, how long, on which condition.

use std::fmt::Write as _;

use super::binary::NodeId;
use super::service::{
    DataChangeFilter, MonitoringFilter, MonitoringParameters, QueryNodeType, SubscriptionChange, SubscriptionRequest,
};

/// What a row tells behind its word.
#[derive(Clone, Copy, Debug, Default)]
pub enum About<'a> {
    /// Nothing.
    #[default]
    Nothing,
    /// How an item is monitored.
    Sampling(Sampling<'a>),
    /// How a subscription publishes.
    Publishing(Publishing),
    /// What is wanted of nodes of a type: with those of its subtypes, and so many values of each.
    Query(bool, usize),
}

/// How an item is monitored (OPC 10000-4, 7.21).
#[derive(Clone, Copy, Debug)]
pub struct Sampling<'a> {
    interval: f64,
    queue: u32,
    condition: Condition<'a>,
}

/// What counts as a change (OPC 10000-4, 7.22).
#[derive(Clone, Copy, Debug)]
enum Condition<'a> {
    None,
    DataChange(DataChangeFilter),
    /// Fields wanted, and elements of the condition.
    Events(usize, usize),
    Aggregate(NodeId<'a>, f64),
    Other,
}

/// How a subscription publishes (OPC 10000-4, 5.14.2.2).
#[derive(Clone, Copy, Debug)]
pub struct Publishing {
    interval: f64,
    lifetime: u32,
    keep_alive: u32,
    priority: u8,
}

impl<'a> About<'a> {
    /// Of a monitored item.
    pub fn sampling(parameters: &MonitoringParameters<'a>) -> Self {
        let condition = match parameters.filter {
            MonitoringFilter::None => Condition::None,
            MonitoringFilter::DataChange(filter) => Condition::DataChange(filter),
            MonitoringFilter::Event(filter) => Condition::Events(filter.select.len(), filter.condition.len()),
            MonitoringFilter::Aggregate(filter) => Condition::Aggregate(filter.aggregate, filter.processing_interval),
            MonitoringFilter::Other(_) => Condition::Other,
        };
        Self::Sampling(Sampling { interval: parameters.sampling_interval, queue: parameters.queue_size, condition })
    }

    /// Of a subscription that is asked for.
    pub fn creation(asked: &SubscriptionRequest) -> Self {
        let (lifetime, keep_alive) = (asked.lifetime_count, asked.max_keep_alive_count);
        Self::Publishing(Publishing { interval: asked.publishing_interval, lifetime, keep_alive, priority: asked.priority })
    }

    /// Of a subscription that is to be changed.
    pub fn change(asked: &SubscriptionChange) -> Self {
        let (lifetime, keep_alive) = (asked.lifetime_count, asked.max_keep_alive_count);
        Self::Publishing(Publishing { interval: asked.publishing_interval, lifetime, keep_alive, priority: asked.priority })
    }

    /// Of a query.
    pub fn query(asked: &QueryNodeType<'_>) -> Self {
        Self::Query(asked.include_subtypes, asked.data.len())
    }

    /// Writes it behind a word.
    pub fn write(&self, out: &mut String) {
        if !out.is_empty() && !matches!(self, Self::Nothing) {
            out.push(' ');
        }
        let _ = match self {
            Self::Nothing => Ok(()),
            Self::Sampling(Sampling { interval, queue, condition }) => {
                let _ = write!(out, "every {interval} ms queue {queue}");
                condition.write(out)
            }
            Self::Publishing(Publishing { interval, lifetime, keep_alive, priority }) => {
                write!(out, "every {interval} ms lifetime {lifetime} keep-alive {keep_alive} priority {priority}")
            }
            Self::Query(with_subtypes, values) => {
                let kinds = if *with_subtypes { "with subtypes" } else { "without subtypes" };
                write!(out, "{kinds} values {values}")
            }
        };
    }
}

impl Condition<'_> {
    fn write(&self, out: &mut String) -> std::fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::DataChange(DataChangeFilter { trigger, deadband_type, deadband_value }) => {
                let on = match trigger {
                    0 => "status",
                    1 => "value",
                    2 => "time",
                    _ => "invalid",
                };
                write!(out, " on {on}")?;
                match deadband_type {
                    0 => Ok(()),
                    1 => write!(out, " deadband {deadband_value}"),
                    2 => write!(out, " deadband {deadband_value} %"),
                    _ => write!(out, " deadband invalid"),
                }
            }
            Self::Events(fields, conditions) => write!(out, " events fields {fields} conditions {conditions}"),
            Self::Aggregate(aggregate, interval) => {
                out.push_str(" aggregate ");
                aggregate.write_text(out);
                write!(out, " every {interval} ms")
            }
            Self::Other => write!(out, " filter other"),
        }
    }
}
