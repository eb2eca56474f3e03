//! Data files by name, through the one handle that may read.

use nnm_runtime::array::Array;
use nnm_runtime::data::{self, DataError, Files};

/// A table's numeric columns by name, each [rows].
pub struct Table {
    pub columns: Vec<(String, Array)>,
    pub rows: usize,
    /// The line of the file on which each row begins, from 1.
    pub lines: Vec<u64>,
}

pub fn csv(files: &Files, name: &str) -> Result<Table, DataError> {
    let table = data::read_csv(files.open(name)?)?;
    let mut columns = vec![];
    for (k, column) in table.names.iter().enumerate() {
        if table.text(k).is_none() {
            columns.push((column.clone(), table.numbers(k)?));
        }
    }
    Ok(Table { columns, rows: table.rows, lines: table.lines })
}

pub fn npy(files: &Files, name: &str) -> Result<Array, DataError> {
    data::read_npy(files.open(name)?)
}

pub fn npz(files: &Files, name: &str) -> Result<Vec<(String, Array)>, DataError> {
    data::read_npz(files.open(name)?)
}

pub fn idx(files: &Files, name: &str) -> Result<Array, DataError> {
    data::read_idx(files.open(name)?)
}
