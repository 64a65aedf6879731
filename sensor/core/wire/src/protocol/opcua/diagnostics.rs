//! Diagnostics as rows tell them: what a server adds to the status codes of a call and of its operands (OPC 10000-4, 7.12).

use std::fmt::Write as _;

use super::binary::text::write_escaped;
use super::binary::{DiagnosticInfo, Text};
use super::service::ResponseHeader;
use super::status;

/// Operands of one call whose diagnostics are told, at most.
pub const OPERANDS: usize = 32;
/// Diagnostics within each other that are told.
const DEPTH: usize = 8;
/// Longest text.
const BYTES: usize = 1_024;

/// Diagnostics of a call as a whole, then those of its operands with their numbers. None where there are none.
pub fn text(header: &ResponseHeader<'_>, operands: &[(usize, DiagnosticInfo<'_>)]) -> Option<String> {
    if header.service_diagnostics.is_empty() && operands.is_empty() {
        return None;
    }
    let mut out = String::new();
    write(&header.service_diagnostics, header, &mut out);
    for (index, diagnostic) in operands {
        if out.len() >= BYTES {
            break;
        }
        let _ = write!(out, "{}{index}: ", if out.is_empty() { "" } else { "; " });
        write(diagnostic, header, &mut out);
    }
    let end = (0..=BYTES.min(out.len())).rev().find(|at| out.is_char_boundary(*at)).unwrap_or(0);
    out.truncate(end);
    (!out.is_empty()).then_some(out)
}

fn write(diagnostic: &DiagnosticInfo<'_>, header: &ResponseHeader<'_>, out: &mut String) {
    let named =
        |index: Option<i32>| index.and_then(|index| header.string_table.iter().nth(usize::try_from(index).ok()?)).flatten();
    let mut next = Some(*diagnostic);
    for depth in 0..DEPTH {
        let Some(one) = next else { return };
        let mut parts: Vec<Text<'_>> = vec![named(one.localized_text), named(one.symbolic_id), one.additional_info];
        parts.retain(|part| part.is_some_and(|part| !part.is_empty()));
        let start = out.len();
        if depth > 0 {
            out.push_str(" < ");
        }
        for (at, part) in parts.into_iter().flatten().enumerate() {
            out.push_str(if at == 0 { "" } else { ", " });
            write_escaped(part.get(..BYTES).unwrap_or(part), out);
        }
        if let Some(code) = one.inner_status_code {
            if out.len() > start && !out.ends_with("< ") {
                out.push(' ');
            }
            out.push_str(status::name(code));
        }
        next = one.inner();
    }
}
