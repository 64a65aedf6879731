//! The span of time of a capture, without a look into its packets.

use pyo3::prelude::*;

use crate::reader::CaptureError;
use crate::source::{Progress, Source};

/// Packets between two looks at signals: some milliseconds.
const PACKETS: usize = 1 << 18;

/// Earliest and latest time of a capture file's packets, nanoseconds since 1970; None where it has none.
#[pyfunction]
pub fn capture_span(py: Python<'_>, path: &str) -> PyResult<Option<(i64, i64)>> {
    let mut source = py.detach(|| Source::open(path)).map_err(|error| CaptureError::new_err(error.0))?;
    let mut span: Option<(i64, i64)> = None;
    loop {
        let progress = py.detach(|| {
            source.read(PACKETS, None, |packet| {
                let (first, last) = span.unwrap_or((packet.ts, packet.ts));
                span = Some((first.min(packet.ts), last.max(packet.ts)));
                true
            })
        });
        if progress == Progress::End {
            return Ok(span);
        }
        py.check_signals()?;
    }
}
