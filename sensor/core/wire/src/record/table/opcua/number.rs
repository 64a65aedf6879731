//! Rows of table `opcua_item` that tell numbers: the bulk of what plants say. Most columns are the same in all rows of a call: these are filled
//! for all of them at once, and those that are null need no touch.

use super::{ItemKind, NodeAttribute, OpcuaItem, ServiceName};
use crate::record::column::Grow;
use crate::record::party::PartyKey;

/// What rows one behind the other have in common. Texts are keys that `intern` gave since the last cut.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NumberRun {
    /// Time.
    pub ts: i64,
    /// Between whom.
    pub party: PartyKey,
    /// What the operands did.
    pub kind: ItemKind,
    /// Service.
    pub service: ServiceName,
    /// Session.
    pub session: Option<i32>,
    /// Number of the request.
    pub request_id: Option<u32>,
    /// Type of the numbers.
    pub data_type: i32,
    /// Status of the numbers.
    pub status: i32,
    /// Subscription that notifies.
    pub subscription_id: Option<u32>,
    /// Whether the nodes are inferred.
    pub inferred: bool,
}

/// What is a row's own.
#[derive(Clone, Copy, Debug)]
pub struct NumberRow<'a> {
    /// Key of the node.
    pub node_id: i32,
    /// Key of its name.
    pub name: Option<i32>,
    /// The value's text.
    pub value: &'a str,
    /// The value.
    pub number: f64,
    /// When its source took it.
    pub source_time: Option<i64>,
    /// When the server knew it.
    pub server_time: Option<i64>,
    /// The server's number of the monitored item.
    pub monitored_item_id: Option<u32>,
    /// The client's.
    pub client_handle: Option<u32>,
}

impl OpcuaItem {
    /// Fills the own columns of a row, which is `ahead` behind those that are complete. Its run is to be closed before any other row is added.
    #[inline]
    pub fn push_number(&mut self, ahead: usize, row: &NumberRow<'_>) {
        let at = self.common.rows() + ahead;
        self.node_id.push(at, row.node_id);
        if let Some(name) = row.name {
            self.name.push(at, name);
        }
        self.value.grow(at, row.value);
        self.number.grow(at, Some(row.number));
        self.source_time.grow(at, row.source_time);
        self.server_time.grow(at, row.server_time);
        self.monitored_item_id.grow(at, row.monitored_item_id);
        self.client_handle.grow(at, row.client_handle);
    }

    /// Completes so many rows with what they have in common.
    pub fn close_run(&mut self, count: usize, run: &NumberRun) {
        let at = self.common.rows();
        self.common.extend(count, run.ts, run.party);
        self.kind.extend(at, count, run.kind);
        self.service.extend(at, count, run.service);
        if let Some(session) = run.session {
            self.session.extend(at, count, session);
        }
        if let Some(request_id) = run.request_id {
            self.request_id.extend(at, count, request_id);
        }
        self.attribute.extend(at, count, NodeAttribute::Value);
        self.data_type.extend(at, count, run.data_type);
        self.status.extend(at, count, run.status);
        if let Some(subscription_id) = run.subscription_id {
            self.subscription_id.extend(at, count, subscription_id);
        }
        self.inferred.extend(count, run.inferred);
    }
}
