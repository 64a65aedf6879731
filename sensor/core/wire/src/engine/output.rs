//! Where everything that was found goes: the tables, cut into batches when they are full, and violations within reason.

use crate::packet::ANOMALY_BYTES;
use crate::protocol::Shared;
use crate::record::table::{Layer, ViolationRow};
use crate::record::{Batch, Identity, PartyKey, Records};
use crate::transport::{Counters, Limits};

/// Violations of one kind that are recorded within `WINDOW_NS`: a broken device makes thousands, and each says the same.
const VIOLATIONS: u32 = 100;
/// Window of that bound, in nanoseconds.
const WINDOW_NS: i64 = 60_000_000_000;

/// What is broken: layer, protocol, kind, clause.
pub(super) struct Rule {
    pub layer: Layer,
    pub protocol: &'static str,
    pub kind: &'static str,
    pub clause: &'static str,
}

/// The tables, and what everybody who fills them shares.
pub(super) struct Output {
    pub records: Records,
    pub shared: Shared,
    pub counters: Counters,
    pub limits: Limits,
    /// Highest packet time so far.
    pub clock: i64,
    /// Violations that were not recorded because there were too many of their kind.
    pub violations_limited: u64,
    batches: Vec<Batch>,
    recent: Vec<(&'static str, i64, u32)>,
}

impl Output {
    pub fn new(identity: Identity, first_sequence: u64, limits: Limits) -> Self {
        Self {
            records: Records::new(identity, first_sequence),
            shared: Shared::default(),
            counters: Counters::default(),
            limits,
            clock: i64::MIN,
            violations_limited: 0,
            batches: Vec::new(),
            recent: Vec::new(),
        }
    }

    /// Cuts when the next message might not fit any more. Returns whether it did.
    #[inline]
    pub fn cut_when_full(&mut self) -> bool {
        let is_full = self.records.is_full();
        if is_full {
            self.cut();
        }
        is_full
    }

    /// Cuts all tables.
    pub fn cut(&mut self) {
        self.batches.extend(self.records.cut(self.clock));
    }

    /// Takes out the batches cut so far.
    pub fn take_batches(&mut self) -> Vec<Batch> {
        std::mem::take(&mut self.batches)
    }

    /// Whether there are batches to take out.
    #[inline]
    pub fn has_batches(&self) -> bool {
        !self.batches.is_empty()
    }

    /// Records a violation, unless there were too many of its kind.
    pub fn violation(&mut self, ts: i64, party: PartyKey, rule: &Rule, detail: &str, bytes: &[u8]) {
        if !self.is_within_reason(ts, rule.kind) {
            self.violations_limited += 1;
            return;
        }
        let row = ViolationRow {
            layer: rule.layer,
            kind: rule.kind,
            clause: rule.clause,
            detail,
            bytes: bytes.get(..bytes.len().min(ANOMALY_BYTES)).unwrap_or_default(),
            protocol: rule.protocol,
        };
        self.records.violation.push(ts, party, &row);
        self.cut_when_full();
    }

    fn is_within_reason(&mut self, ts: i64, kind: &'static str) -> bool {
        let Some((_, since, count)) = self.recent.iter_mut().find(|(known, _, _)| *known == kind) else {
            self.recent.push((kind, ts, 1));
            return true;
        };
        if ts.saturating_sub(*since).saturating_abs() >= WINDOW_NS {
            (*since, *count) = (ts, 0);
        }
        *count += 1;
        *count <= VIOLATIONS
    }
}
