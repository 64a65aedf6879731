//! What breaks a rule of OPC UA, as rows of table `violation`, and not more of them than help.

use super::binary::Fault;
use crate::protocol::Context;
use crate::record::table::{Layer, ViolationRow};

/// Violations of one kind that a conversation may make within a minute; further ones are counted.
pub const VIOLATIONS_PER_MINUTE: u32 = 100;
const MINUTE_NS: i64 = 60_000_000_000;
/// Bytes of a violation that are kept.
const BYTES: usize = 64;

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// What is broken, stable snake case.
    pub kind: &'static str,
    /// Document and clause.
    pub clause: &'static str,
    /// What was expected and what was seen.
    pub detail: String,
}

impl Broken {
    /// A fault of the encoding.
    pub fn encoding(fault: &Fault) -> Self {
        use super::binary::FaultKind::*;
        let (kind, expected) = match fault.kind {
            Truncated => ("encoding_truncated", "a value that is whole"),
            LengthTooLong => ("encoding_length", "a length that the message can hold"),
            NegativeLength => ("encoding_negative_length", "a length of at least -1"),
            TooDeep => ("encoding_depth", "values nested at most 100 deep"),
            TooMany => ("encoding_count", "fewer elements"),
            UnknownEncoding => ("encoding_unknown", "an encoding that is defined"),
            ReservedBits => ("encoding_reserved_bits", "reserved bits of 0"),
            InvalidValue => ("encoding_value", "a value that its type allows"),
            LengthMismatch => ("encoding_structure_length", "a structure that fills its stated length"),
            UnknownService => ("service_unknown", "a message of a service that is defined"),
            TrailingBytes => ("encoding_trailing_bytes", "the end of the message behind its last field"),
        };
        Self {
            kind,
            clause: fault.clause,
            detail: format!("expected {expected}, seen otherwise at byte {} of the body", fault.at),
        }
    }
}

/// Violations that a conversation made of late, by kind.
#[derive(Default)]
pub struct Budget {
    recent: Vec<(&'static str, i64, u32)>,
}

impl Budget {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.recent.capacity() * size_of::<(&'static str, i64, u32)>()
    }

    /// Records a violation, unless there were too many of its kind.
    #[cold]
    pub fn violate(&mut self, broken: &Broken, bytes: &[u8], context: &mut Context<'_>) {
        let now = context.ts;
        let window = match self.recent.iter_mut().find(|(kind, _, _)| *kind == broken.kind) {
            Some(window) => window,
            None => {
                self.recent.push((broken.kind, now, 0));
                let Some(window) = self.recent.last_mut() else {
                    return;
                };
                window
            }
        };
        if now.saturating_sub(window.1) > MINUTE_NS {
            (window.1, window.2) = (now, 0);
        }
        window.2 = window.2.saturating_add(1);
        if window.2 > VIOLATIONS_PER_MINUTE {
            context.shared.counters.violations_limited += 1;
            return;
        }
        let row = ViolationRow {
            layer: Layer::Application,
            kind: broken.kind,
            clause: broken.clause,
            detail: &broken.detail,
            bytes: bytes.get(..BYTES).unwrap_or(bytes),
            protocol: "opcua",
        };
        context.records.violation.push(now, context.party, &row);
    }
}
