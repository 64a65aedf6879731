//! What a sensor gives up once it has what it needs: its user, its capabilities, and system calls that it has no use for.

mod privileges;
mod system_calls;

use std::io;

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;

/// Keeps CAP_NET_RAW and gives up every other capability; becomes the given user and group where they are given. Raises OSError.
#[pyfunction]
#[pyo3(signature = (user_id = None, group_id = None))]
pub fn drop_privileges(user_id: Option<u32>, group_id: Option<u32>) -> PyResult<()> {
    privileges::drop(user_id.zip(group_id)).map_err(|error| refused(&error))
}

/// Refuses all threads the system calls that a sensor has no use for: they fail with EPERM. There is no way back. Raises OSError.
#[pyfunction]
pub fn restrict_system_calls() -> PyResult<()> {
    system_calls::restrict().map_err(|reason| PyOSError::new_err(format!("system calls cannot be restricted: {reason}")))
}

fn refused(error: &io::Error) -> PyErr {
    PyOSError::new_err(format!("privileges cannot be given up: {error}"))
}
