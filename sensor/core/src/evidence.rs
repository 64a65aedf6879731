//! Slices of rings for Python.

use std::path::PathBuf;
use std::str::FromStr;

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use wire::packet::Address;

use crate::packets::slice::{self, Query};

/// Packets out of rings, as a pcapng file.
#[pyclass(module = "sensor._core", frozen)]
pub struct Evidence(slice::Slice);

#[pymethods]
impl Evidence {
    /// The pcapng file.
    #[getter]
    fn file<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.file)
    }

    /// Number of packets.
    #[getter]
    fn packets(&self) -> u64 {
        self.0.packets
    }

    /// Time of the first and of the last packet; None where there is none.
    #[getter]
    fn span(&self) -> Option<(i64, i64)> {
        self.0.span
    }

    /// Whether there are more packets than the limit allows.
    #[getter]
    fn limited(&self) -> bool {
        self.0.is_limited
    }

    /// Segments that packets were taken from: file, bytes, SHA-256 of these bytes, packets taken.
    #[getter]
    fn parts(&self) -> Vec<(String, u64, String, u64)> {
        let hex = |hash: &[u8; 32]| hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let told = |part: &slice::Part| {
            (part.path.to_string_lossy().into_owned(), part.summary.bytes, hex(&part.summary.sha256), part.packets)
        };
        self.0.parts.iter().map(told).collect()
    }
}

/// The packets of some conversations, in order of time.
#[pyfunction]
#[pyo3(signature = (folders, *, start, end, flows = Vec::new(), pairs = Vec::new(), limit_bytes, mask_values = false, comment = ""))]
#[expect(clippy::too_many_arguments, reason = "keywords of Python")]
pub fn evidence(
    py: Python<'_>,
    folders: Vec<(PathBuf, i64, i64)>,
    start: i64,
    end: i64,
    flows: Vec<String>,
    pairs: Vec<(String, Option<String>)>,
    limit_bytes: usize,
    mask_values: bool,
    comment: &str,
) -> PyResult<Evidence> {
    let pairs = pairs.iter().map(|(one, other)| Ok((address(one)?, other.as_deref().map(address).transpose()?)));
    let pairs = pairs.collect::<PyResult<Vec<_>>>()?;
    let query = Query { flows, pairs, from: start, to: end, limit: limit_bytes, masks: mask_values };
    let found = py.detach(|| slice::slice(&folders, &query, comment)).map_err(|error| PyOSError::new_err(error.to_string()))?;
    Ok(Evidence(found))
}

fn address(text: &str) -> PyResult<Address> {
    let parsed = std::net::IpAddr::from_str(text).map_err(|_| PyValueError::new_err(format!("{text:?} is no address")))?;
    Ok(match parsed {
        std::net::IpAddr::V4(four) => Address::v4(four.octets()),
        std::net::IpAddr::V6(six) => Address::v6(six.octets()),
    })
}
