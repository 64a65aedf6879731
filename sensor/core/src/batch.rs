//! One record batch for Python.

use arrow_array::RecordBatchIterator;
use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyCapsule};

/// One record batch of one table, at most 65,536 rows or 8 MiB uncompressed.
#[pyclass(module = "sensor._core", frozen)]
pub struct Batch(pub wire::record::Batch);

#[pymethods]
impl Batch {
    /// Name of the table (`sensor.tables.TABLES`).
    #[getter]
    fn table(&self) -> &'static str {
        self.0.table
    }

    /// Number of the batch within (sensor, epoch), from 0, without gaps, over all tables.
    #[getter]
    fn sequence(&self) -> u64 {
        self.0.sequence
    }

    /// Number of rows.
    #[getter]
    fn rows(&self) -> usize {
        self.0.records.num_rows()
    }

    /// Number of the cut; the batches of one cut cover the same packets.
    #[getter]
    fn cut(&self) -> u64 {
        self.0.cut
    }

    /// Packet clock at the end of the cut before, nanoseconds since 1970.
    #[getter]
    fn cut_start(&self) -> i64 {
        self.0.cut_start
    }

    /// Packet clock at the end of this cut, nanoseconds since 1970.
    #[getter]
    fn cut_end(&self) -> i64 {
        self.0.cut_end
    }

    /// Whether this is the last batch of its cut.
    #[getter]
    fn cut_last(&self) -> bool {
        self.0.cut_last
    }

    /// The batch as an Arrow IPC stream, lz4, schema metadata as in `sensor.tables.METADATA`. The GIL is released.
    fn ipc<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes =
            py.detach(|| self.0.ipc()).map_err(|error| PyRuntimeError::new_err(format!("batch cannot be written: {error}")))?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// The batch through the Arrow C stream interface, without a copy (Arrow PyCapsule interface). A requested schema is only a wish.
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let _ = requested_schema;
        let schema = self.0.records.schema();
        let batches = RecordBatchIterator::new([Ok(self.0.records.clone())], schema);
        PyCapsule::new_with_value(py, FFI_ArrowArrayStream::new(Box::new(batches)), c"arrow_array_stream")
    }

    fn __len__(&self) -> usize {
        self.0.records.num_rows()
    }

    fn __repr__(&self) -> String {
        format!("<Batch {} of {}: {} rows>", self.0.sequence, self.0.table, self.0.records.num_rows())
    }
}
