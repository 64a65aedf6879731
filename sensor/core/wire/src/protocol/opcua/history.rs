//! Histories as rows tell them: what is asked for, what is deleted, who changed what (OPC 10000-11, 6).

use std::fmt::Write as _;

use super::binary::{List, Scalar, Variant, date_time, text};
use super::service::{HistoryAction, HistoryDetails, ModificationInfo};

/// Times and events that are told of one request, at most.
const TOLD: usize = 64;
/// Longest name of a user.
const USER_BYTES: usize = 256;

/// What a HistoryRead asks for: a word, and an interval (ISO 8601) or times.
pub fn range(details: &HistoryDetails<'_>, release: bool) -> String {
    let mut out = String::new();
    match details {
        _ if release => out.push_str("release"),
        HistoryDetails::RawModified(raw) => {
            out.push_str(if raw.is_modified { "modified " } else { "raw " });
            interval(raw.start_time, raw.end_time, &mut out);
            most(raw.max_values, &mut out);
        }
        HistoryDetails::Processed(processed) => {
            out.push_str("processed ");
            interval(processed.start_time, processed.end_time, &mut out);
            let _ = write!(out, " every {} ms", processed.processing_interval);
            for aggregate in processed.aggregates.iter().take(TOLD) {
                out.push(' ');
                aggregate.write_text(&mut out);
            }
        }
        HistoryDetails::AtTime(at) => times("at", at.times, &mut out),
        HistoryDetails::Event(event) => {
            out.push_str("events ");
            interval(event.start_time, event.end_time, &mut out);
            most(event.max_values, &mut out);
        }
        HistoryDetails::AnnotationData(at) => times("annotations", *at, &mut out),
        HistoryDetails::Other(object) => object.write_text(&mut out),
    }
    out
}

fn time(time: Option<i64>, out: &mut String) {
    match time {
        Some(time) => date_time::write_text(time, out),
        None => out.push_str(".."),
    }
}

fn interval(start: Option<i64>, end: Option<i64>, out: &mut String) {
    time(start, out);
    out.push('/');
    time(end, out);
}

fn most(count: u32, out: &mut String) {
    if count > 0 {
        let _ = write!(out, " at most {count}");
    }
}

fn times(word: &str, all: List<'_, Option<i64>>, out: &mut String) {
    out.push_str(word);
    for one in all.iter().take(TOLD) {
        out.push(' ');
        time(one, out);
    }
}

/// What an update deletes: times, start and end of a time span, or ids of events; type and length of one that is not read.
pub fn deleted<'a>(action: &HistoryAction<'a>) -> Vec<Variant<'a>> {
    let time = |time: Option<i64>| Variant::Scalar(Scalar::DateTime(time));
    match action {
        HistoryAction::DeleteRawModified { start_time, end_time, .. } => vec![time(*start_time), time(*end_time)],
        HistoryAction::DeleteAtTime(times) => times.iter().take(TOLD).map(time).collect(),
        HistoryAction::DeleteEvent(ids) => ids.iter().take(TOLD).map(|id| Variant::Scalar(Scalar::ByteString(id))).collect(),
        HistoryAction::Other(object) => vec![Variant::Scalar(Scalar::ExtensionObject(*object))],
        HistoryAction::Data(_) | HistoryAction::StructureData(_) | HistoryAction::Event(..) => Vec::new(),
    }
}

/// How a value of a history was changed: `replace by engineer at 2026-11-24T06:00:00Z`.
pub fn modification(info: &ModificationInfo<'_>) -> String {
    let mut out = String::from(update_word(info.update_type));
    out.push_str(" by ");
    let user = info.user_name.unwrap_or_default();
    text::write_escaped(user.get(..USER_BYTES).unwrap_or(user), &mut out);
    out.push_str(" at ");
    time(info.time, &mut out);
    out
}

/// The word for a change of a history (OPC 10000-11, 6.9.2).
pub fn update_word(kind: u32) -> &'static str {
    match kind {
        1 => "insert",
        2 => "replace",
        3 => "update",
        4 => "remove",
        _ => "other",
    }
}
