//! Data files: csv, npy, npz, idx and safetensors as arrays of f64.
//!
//! All access goes through [`Files`]. Every reader checks the sizes that a file declares against its length before it
//! allocates, and its errors name the file, the place, what was expected and what was found. Integers beyond 2^53
//! round.

mod elements;
mod files;
mod idx;
mod npy;
mod table;
mod tensors;

pub use elements::Kind;
pub use files::{Files, Source};
pub use idx::read_idx;
pub use npy::{read_npy, read_npz, write_npy, write_npy_single};
pub use table::{Column, CsvTable, read_csv};
pub use tensors::{Tensor, read_safetensors, write_safetensors};

use std::path::PathBuf;

/// What can go wrong with a data file.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error("no file `{file}`; looked in {}", list(.tried))]
    NotFound { file: String, tried: Vec<PathBuf> },
    #[error("`{file}` is outside of the folders that may be read: {why}")]
    Outside { file: String, why: &'static str },
    #[error("`{file}` is not a regular file")]
    NotAFile { file: String },
    #[error("cannot read `{file}`: {source}")]
    Io { file: String, source: std::io::Error },
    #[error("`{file}`, {place}: expected {expected}, found {found}")]
    Format { file: String, place: String, expected: String, found: String },
    #[error("`{file}` needs {bytes} bytes of memory, which are not to be had")]
    Memory { file: String, bytes: u64 },
}

fn list(paths: &[PathBuf]) -> String {
    if paths.is_empty() {
        return "no folder at all".to_owned();
    }
    paths.iter().map(|p| format!("`{}`", p.display())).collect::<Vec<_>>().join(", ")
}

/// A format error.
fn wrong(file: &str, place: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> DataError {
    DataError::Format { file: file.to_owned(), place: place.into(), expected: expected.into(), found: found.into() }
}

fn io(file: &str) -> impl Fn(std::io::Error) -> DataError {
    |source| match source.kind() {
        std::io::ErrorKind::UnexpectedEof => wrong(file, "the end", "more data", "the end of the file"),
        _ => DataError::Io { file: file.to_owned(), source },
    }
}
