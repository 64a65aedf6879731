//! MonitoredItem service set (OPC 10000-4, 5.13).

use super::{FilterResult, MonitoringFilter, Operand, Out, ReadItem};
use crate::protocol::opcua::binary::{Fault, Reader, structure};

structure! {
    /// How an item is to be monitored (7.21).
    pub struct MonitoringParameters<'a> {
        /// Number by which notifications will name the item.
        pub client_handle: u32,
        /// Interval at which it is sampled, milliseconds; −1 is the publishing interval, 0 as fast as can be.
        pub sampling_interval: f64,
        /// Which changes count.
        pub filter: MonitoringFilter<'a>,
        /// Length of its queue.
        pub queue_size: u32,
        /// Whether a full queue drops the oldest.
        pub discard_oldest: bool,
    }
}

structure! {
    /// An item to monitor (5.13.2.2).
    pub struct CreateMonitored<'a> {
        /// Node and attribute.
        pub item: ReadItem<'a>,
        /// 0 disabled, 1 sampling, 2 reporting.
        pub mode: u32,
        /// How.
        pub parameters: MonitoringParameters<'a>,
    }
}

structure! {
    /// What became of an item to monitor (5.13.2.2).
    pub struct CreatedMonitored<'a> {
        /// Whether it is monitored.
        pub status: u32,
        /// The server's number of the item.
        pub monitored_item_id: u32,
        /// Sampling interval that the server gives, milliseconds.
        pub sampling_interval: f64,
        /// Queue that the server gives.
        pub queue_size: u32,
        /// What the server made of the filter.
        pub filter_result: FilterResult<'a>,
    }
}

structure! {
    /// A change of a monitored item (5.13.3.2).
    pub struct ModifyMonitored<'a> {
        /// The server's number of the item.
        pub monitored_item_id: u32,
        /// How it is to be monitored from now on.
        pub parameters: MonitoringParameters<'a>,
    }
}

structure! {
    /// What became of a change of a monitored item (5.13.3.2).
    pub struct ModifiedMonitored<'a> {
        /// Whether it was changed.
        pub status: u32,
        /// Sampling interval that the server gives, milliseconds.
        pub sampling_interval: f64,
        /// Queue that the server gives.
        pub queue_size: u32,
        /// What the server made of the filter.
        pub filter_result: FilterResult<'a>,
    }
}

fn options<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let subscription_id = reader.u32()?;
    let timestamps = reader.u32()?;
    out.say(Operand::MonitorOptions { subscription_id, timestamps });
    Ok(())
}

pub(super) fn create_request<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    options(reader, out)?;
    out.each(reader, Operand::CreateMonitored)
}

pub(super) fn create_response<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    out.each(reader, Operand::CreatedMonitored)?;
    out.diagnostics(reader)
}

pub(super) fn modify_request<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    options(reader, out)?;
    out.each(reader, Operand::ModifyMonitored)
}

pub(super) fn modify_response<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    out.each(reader, Operand::ModifiedMonitored)?;
    out.diagnostics(reader)
}

pub(super) fn set_monitoring_mode_request<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let subscription_id = reader.u32()?;
    let mode = reader.u32()?;
    out.each(reader, |monitored_item_id| Operand::SetMonitoringMode { subscription_id, monitored_item_id, mode })
}

pub(super) fn set_triggering_request<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let subscription_id = reader.u32()?;
    let triggering_item_id = reader.u32()?;
    for remove in [false, true] {
        out.each(reader, |linked_item_id| Operand::SetTriggering {
            subscription_id,
            triggering_item_id,
            linked_item_id,
            remove,
        })?;
    }
    Ok(())
}

pub(super) fn set_triggering_response<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    for _ in 0..2 {
        out.each(reader, Operand::Status)?;
        out.diagnostics(reader)?;
    }
    Ok(())
}

pub(super) fn delete_request<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let subscription_id = reader.u32()?;
    out.each(reader, |monitored_item_id| Operand::DeleteMonitored { subscription_id, monitored_item_id })
}
