//! Subscription service set (OPC 10000-4, 5.14).

use super::notification::notification_message;
use super::{Operand, Out};
use crate::protocol::opcua::binary::{Fault, List, Reader, structure};

structure! {
    /// Asks for a subscription (5.14.2.2).
    pub struct SubscriptionRequest {
        /// Interval at which notifications are published, milliseconds.
        pub publishing_interval: f64,
        /// Publishing intervals without a Publish request after which the server deletes it.
        pub lifetime_count: u32,
        /// Publishing intervals after which an empty notification says that it is alive.
        pub max_keep_alive_count: u32,
        /// Most notifications in a response; 0 is no limit.
        pub max_notifications: u32,
        /// Whether it publishes from the start.
        pub publishing_enabled: bool,
        /// Its priority, higher is earlier.
        pub priority: u8,
    }
}

structure! {
    /// A subscription that a server created (5.14.2.2).
    pub struct SubscriptionCreated {
        /// Its number.
        pub subscription_id: u32,
        /// Interval that the server gives, milliseconds.
        pub publishing_interval: f64,
        /// Lifetime that the server gives, in publishing intervals.
        pub lifetime_count: u32,
        /// Keep-alive that the server gives, in publishing intervals.
        pub max_keep_alive_count: u32,
    }
}

structure! {
    /// Changes of a subscription (5.14.3.2).
    pub struct SubscriptionChange {
        /// Its number.
        pub subscription_id: u32,
        /// Interval at which notifications are published, milliseconds.
        pub publishing_interval: f64,
        /// Publishing intervals without a Publish request after which the server deletes it.
        pub lifetime_count: u32,
        /// Publishing intervals after which an empty notification says that it is alive.
        pub max_keep_alive_count: u32,
        /// Most notifications in a response; 0 is no limit.
        pub max_notifications: u32,
        /// Its priority, higher is earlier.
        pub priority: u8,
    }
}

structure! {
    /// What a server made of changes of a subscription (5.14.3.2).
    pub struct SubscriptionChanged {
        /// Interval that the server gives, milliseconds.
        pub publishing_interval: f64,
        /// Lifetime that the server gives, in publishing intervals.
        pub lifetime_count: u32,
        /// Keep-alive that the server gives, in publishing intervals.
        pub max_keep_alive_count: u32,
    }
}

structure! {
    /// A notification that the client has (5.14.5.2).
    pub struct Acknowledgement {
        /// The subscription.
        pub subscription_id: u32,
        /// The notification's number.
        pub sequence_number: u32,
    }
}

pub(super) fn create_request<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let request = reader.read()?;
    out.one(Operand::CreateSubscription(request));
    Ok(())
}

pub(super) fn create_response<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let created = reader.read()?;
    out.one(Operand::SubscriptionCreated(created));
    Ok(())
}

pub(super) fn modify_request<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let change = reader.read()?;
    out.one(Operand::ModifySubscription(change));
    Ok(())
}

pub(super) fn modify_response<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let changed = reader.read()?;
    out.one(Operand::SubscriptionModified(changed));
    Ok(())
}

pub(super) fn set_publishing_mode_request<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let enabled = reader.boolean()?;
    out.each(reader, |subscription_id| Operand::SetPublishingMode { subscription_id, enabled })
}

pub(super) fn publish_request<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    out.each(reader, Operand::Acknowledge)
}

pub(super) fn publish_response<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let subscription_id = reader.u32()?;
    let available: List<'a, u32> = reader.list()?;
    let more = reader.boolean()?;
    out.say(Operand::Publish { subscription_id, available, more });
    notification_message(reader, out)?;
    reader.each(|status| out.say(Operand::AcknowledgeResult(status)))?;
    out.diagnostics(reader)
}

pub(super) fn republish_request<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let subscription_id = reader.u32()?;
    let sequence_number = reader.u32()?;
    out.one(Operand::Republish { subscription_id, sequence_number });
    Ok(())
}

pub(super) fn republish_response<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    notification_message(reader, out)
}

pub(super) fn transfer_request<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    out.each(reader, Operand::TransferSubscription)?;
    let send_initial_values = reader.boolean()?;
    out.say(Operand::TransferOptions { send_initial_values });
    Ok(())
}

pub(super) fn transfer_response<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let count = reader.array_length(8)?;
    out.count(count);
    for _ in 0..count {
        let status = reader.status_code()?;
        let available = reader.list()?;
        out.say(Operand::TransferResult { status, available });
    }
    out.diagnostics(reader)
}

pub(super) fn delete_request<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    out.each(reader, Operand::DeleteSubscription)
}
