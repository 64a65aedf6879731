//! A record batch without some of its rows: what a spool keeps of it when there is no room for all.

use std::collections::HashMap;
use std::io::Cursor;
use std::panic::catch_unwind;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt8Type;
use arrow_array::{Array, BooleanArray, RecordBatch, UInt32Array};
use arrow_ipc::CompressionType;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use arrow_select::concat::concat_batches;
use arrow_select::filter::filter_record_batch;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// Column that holds the numbers of the rows that are left.
const ROW: &str = "icsight.row";

/// The rows of a batch whose `column` holds none of `values`, or whose column `unless` holds any, and how many these are.
#[pyfunction]
#[pyo3(signature = (data, column, values, unless = None))]
pub fn without<'py>(
    py: Python<'py>,
    data: &[u8],
    column: &str,
    values: Vec<String>,
    unless: Option<String>,
) -> PyResult<(Bound<'py, PyBytes>, usize)> {
    // What another program has put into the spool may have a right checksum and still be no batch.
    let thinned = py.detach(|| catch_unwind(|| thin(data, column, &values, unless.as_deref())));
    let (bytes, rows) = thinned
        .map_err(|_| PyValueError::new_err("not a record batch"))?
        .map_err(|error| PyValueError::new_err(error.to_string()))?;
    Ok((PyBytes::new(py, &bytes), rows))
}

fn thin(data: &[u8], column: &str, values: &[String], unless: Option<&str>) -> Result<(Vec<u8>, usize), ArrowError> {
    let reader = StreamReader::try_new(Cursor::new(data), None)?;
    let schema = reader.schema();
    let parts: Vec<RecordBatch> = reader.collect::<Result<_, _>>()?;
    let batch = numbered(concat_batches(&schema, &parts)?)?;
    let mut mask = kept(&batch, column, values)?;
    if let Some(column) = unless {
        let told = found(&batch, column)?;
        mask = mask.values().iter().enumerate().map(|(row, stays)| Some(stays || told.is_valid(row))).collect();
    }
    let kept = filter_record_batch(&batch, &mask)?;
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME))?;
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &kept.schema(), options)?;
    writer.write(&kept)?;
    writer.finish()?;
    Ok((writer.into_inner()?, kept.num_rows()))
}

/// The batch with the number of each row in its last column.
fn numbered(batch: RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = batch.schema();
    if schema.column_with_name(ROW).is_some() {
        return Ok(batch);
    }
    let numbers = UInt32Array::from_iter_values((0..).take(batch.num_rows()));
    let metadata: HashMap<String, String> = schema.metadata().clone().into();
    let fields = schema.fields().iter().cloned().chain([Arc::new(Field::new(ROW, DataType::UInt32, false))]);
    let columns = batch.columns().iter().cloned().chain([Arc::new(numbers) as Arc<dyn Array>]);
    RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>()).with_metadata(metadata)), columns.collect())
}

fn found<'a>(batch: &'a RecordBatch, column: &str) -> Result<&'a Arc<dyn Array>, ArrowError> {
    batch.column_by_name(column).ok_or_else(|| ArrowError::SchemaError(format!("there is no column {column}")))
}

/// Which rows stay: those that hold no value, and those that hold another.
fn kept(batch: &RecordBatch, column: &str, values: &[String]) -> Result<BooleanArray, ArrowError> {
    let found = found(batch, column)?;
    let goes = |word: &str| values.iter().any(|value| value == word);
    if let Some(flags) = found.as_boolean_opt() {
        let stays = |flag: Option<bool>| flag.is_none_or(|flag| !goes(if flag { "true" } else { "false" }));
        return Ok(flags.iter().map(|flag| Some(stays(flag))).collect());
    }
    let choices = found
        .as_dictionary_opt::<UInt8Type>()
        .ok_or_else(|| ArrowError::SchemaError(format!("column {column} is neither a choice nor a flag")))?;
    let words = choices
        .values()
        .as_string_opt::<i32>()
        .ok_or_else(|| ArrowError::SchemaError(format!("column {column} does not hold words")))?;
    let stays: Vec<bool> = words.iter().map(|word| !word.is_some_and(goes)).collect();
    let of = |key: u8| stays.get(usize::from(key)).copied().unwrap_or(true);
    Ok(choices.keys().iter().map(|key| Some(key.is_none_or(of))).collect())
}
