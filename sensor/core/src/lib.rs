//! The Python module `sensor._core`: `sensor/_core.pyi` is its documented face.

/// Batches are built in buffers of some hundred kilobytes that come and go with each cut: an allocator that keeps them saves a tenth of the time,
/// which the kernel would spend on clearing their pages again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use wire::record::table::Table;
use wire::record::{Identity, Records};

mod batch;
mod clock;
mod confine;
mod evidence;
pub mod live;
mod live_reader;
mod memory;
pub mod packets;
mod reader;
pub mod source;
mod span;
mod thinning;

/// The columns that the core builds for a table: name, kind, nullable.
#[pyfunction]
fn schema(table: &str) -> PyResult<Vec<(&'static str, &'static str, bool)>> {
    with_table(table, |table| table.fields().into_iter().map(|(name, kind, field)| (name, kind, field.is_nullable())).collect())
}

/// The dictionary of a choice column, in key order.
#[pyfunction]
fn choices(table: &str, column: &str) -> PyResult<Vec<&'static str>> {
    let found = with_table(table, |table| {
        let columns = table.columns().into_iter();
        columns
            .filter(|(name, _, _)| *name == column)
            .find_map(|(_, _, column)| Some(column.choices()).filter(|words| !words.is_empty()))
    })?;
    found.map(<[_]>::to_vec).ok_or_else(|| PyKeyError::new_err(format!("{table}: no choice column {column}")))
}

fn with_table<T>(name: &str, action: impl FnOnce(&dyn Table) -> T) -> PyResult<T> {
    let mut records = Records::new(Identity::default(), 0);
    let table = records.tables().into_iter().find(|table| table.name() == name);
    table.map(|table| action(table)).ok_or_else(|| PyKeyError::new_err(format!("no table {name}")))
}

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("CaptureError", module.py().get_type::<reader::CaptureError>())?;
    module.add_class::<batch::Batch>()?;
    module.add_class::<evidence::Evidence>()?;
    module.add_class::<live_reader::LiveReader>()?;
    module.add_class::<reader::Reader>()?;
    module.add_function(wrap_pyfunction!(clock::clock_offset, module)?)?;
    module.add_function(wrap_pyfunction!(confine::drop_privileges, module)?)?;
    module.add_function(wrap_pyfunction!(confine::restrict_system_calls, module)?)?;
    module.add_function(wrap_pyfunction!(evidence::evidence, module)?)?;
    module.add_function(wrap_pyfunction!(thinning::without, module)?)?;
    module.add_function(wrap_pyfunction!(span::capture_span, module)?)?;
    module.add_function(wrap_pyfunction!(schema, module)?)?;
    module.add_function(wrap_pyfunction!(choices, module)?)
}
