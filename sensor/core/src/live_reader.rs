//! A live capture for Python: batches come out, the GIL is released while they are waited for.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use wire::engine::State;
use wire::record::Identity;

use crate::batch::Batch;
use crate::live::{INTERFACES, Live, Next, RING_BYTES, Settings, Shared, WORKERS};
use crate::reader::{CaptureError, given_epoch, opened};
use crate::source::PATIENCE;

/// Captures from interfaces and yields record batches in order of `sequence`.
#[pyclass(module = "sensor._core", frozen)]
pub struct LiveReader {
    live: Mutex<Live>,
    shared: Arc<Shared>,
    epoch: String,
    format: String,
}

#[pymethods]
impl LiveReader {
    #[new]
    #[pyo3(signature = (
        interfaces, *, site = String::new(), sensor = String::new(), epoch = None, first_sequence = 0, bpf = None, workers = 1,
        ring_bytes = RING_BYTES, packets = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "keywords of Python")]
    fn new(
        py: Python<'_>,
        interfaces: Vec<String>,
        site: String,
        sensor: String,
        epoch: Option<String>,
        first_sequence: u64,
        bpf: Option<String>,
        workers: usize,
        ring_bytes: usize,
        packets: Option<(PathBuf, u64)>,
    ) -> PyResult<Self> {
        if interfaces.is_empty() || interfaces.len() > INTERFACES {
            return Err(PyValueError::new_err(format!("{} interfaces: 1 to {INTERFACES} are possible", interfaces.len())));
        }
        if !(1..=WORKERS).contains(&workers) {
            return Err(PyValueError::new_err(format!("{workers} workers: 1 to {WORKERS} are possible")));
        }
        let epoch = given_epoch(epoch)?;
        let format = interfaces.join(", ");
        let ring = opened(py, packets, &sensor, &epoch, workers, false)?;
        let identity = Identity { site, sensor, epoch: epoch.clone() };
        let settings =
            Settings { interfaces, filter: bpf, workers, ring_bytes, version: env!("CARGO_PKG_VERSION"), packets: ring };
        let live =
            py.detach(|| Live::open(&identity, first_sequence, &settings)).map_err(|error| CaptureError::new_err(error.0))?;
        let shared = live.shared();
        Ok(Self { live: Mutex::new(live), shared, epoch, format })
    }

    fn __iter__(reader: PyRef<'_, Self>) -> PyRef<'_, Self> {
        reader
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Batch>> {
        loop {
            let next = py.detach(|| self.live.lock().unwrap_or_else(PoisonError::into_inner).next(PATIENCE));
            match next {
                Next::Batch(batch) => return Ok(Some(Batch(*batch))),
                Next::Late => py.check_signals()?,
                Next::End => return Ok(None),
                Next::Failed(reason) => {
                    return Err(PyRuntimeError::new_err(format!("the packet core failed, please report it: {reason}")));
                }
            }
        }
    }

    /// Take in no more packets; iteration ends once the records of those that have come are out. Safe from any thread.
    fn stop(&self) {
        self.shared.stop();
    }

    /// Tell table `sensor` what has been counted behind the capture; safe from any thread.
    #[pyo3(signature = (*, spool_depth, bytes_written, drops))]
    fn tell(&self, spool_depth: u64, bytes_written: u64, drops: std::collections::BTreeMap<String, u64>) {
        let drops = drops.into_iter().filter(|(_, count)| *count > 0);
        self.shared.tell(State {
            spool_depth: Some(spool_depth),
            bytes_written: Some(bytes_written),
            drops: drops.map(|(cause, count)| (Cow::Owned(cause), count)).collect(),
            ..State::default()
        });
    }

    /// Bytes that the ring of packets has written to the disk.
    #[getter]
    fn kept_bytes(&self) -> u64 {
        self.shared.kept_bytes()
    }

    /// 32 hexadecimal digits.
    #[getter]
    fn epoch(&self) -> &str {
        &self.epoch
    }

    /// The interfaces, as in "eth1, eth2".
    #[getter]
    fn format(&self) -> &str {
        &self.format
    }

    /// Packets taken in so far.
    #[getter]
    fn packets(&self) -> u64 {
        self.shared.packets()
    }

    /// Packets lost and interfaces away since the start, by cause and interface.
    #[getter]
    fn losses(&self) -> std::collections::HashMap<String, u64> {
        self.shared.losses().into_iter().map(|(cause, count)| (cause.into_owned(), count)).collect()
    }

    /// One line for each thing that happened to an interface since the last look.
    fn take_warnings(&self) -> Vec<String> {
        self.shared.take_warnings()
    }
}
