//! Safetensors: named arrays, shared with PyTorch and JAX.

use super::elements::Kind;
use super::files::{Source, reserve};
use super::{DataError, wrong};
use crate::array::{self, Array};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

/// A named array and the precision in which it is stored.
#[derive(Clone, Debug)]
pub struct Tensor {
    pub name: String,
    pub values: Array,
    /// `F32` or `F64`; anything else is stored as `F64`.
    pub kind: Kind,
}

/// The arrays of a file, ordered by name.
pub fn read_safetensors(source: Source) -> Result<Vec<Tensor>, DataError> {
    let file = source.name.clone();
    let bytes = source.read_all()?;
    let tensors = SafeTensors::deserialize(&bytes)
        .map_err(|e| wrong(&file, "the header", "a safetensors file", e.to_string()))?;
    let mut names: Vec<&str> = tensors.iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    names
        .into_iter()
        .map(|name| {
            let view = tensors.tensor(name).map_err(|e| wrong(&file, "the header", "the tensor", e.to_string()))?;
            read_tensor(&file, name, &view)
        })
        .collect()
}

fn read_tensor(file: &str, name: &str, view: &TensorView<'_>) -> Result<Tensor, DataError> {
    let kind = element(view.dtype()).ok_or_else(|| {
        wrong(file, format!("tensor `{name}`"), "whole or real numbers", format!("{:?}", view.dtype()))
    })?;
    let mut values = reserve(file, (view.data().len() / kind.size()) as u64)?;
    kind.decode(view.data(), false, &mut values);
    let values = array::from_vec(view.shape(), values)
        .map_err(|e| wrong(file, format!("tensor `{name}`"), "data for its shape", e.to_string()))?;
    Ok(Tensor { name: name.to_owned(), values, kind })
}

fn element(dtype: Dtype) -> Option<Kind> {
    match dtype {
        Dtype::BOOL => Some(Kind::Bool),
        Dtype::U8 => Some(Kind::U8),
        Dtype::I8 => Some(Kind::I8),
        Dtype::U16 => Some(Kind::U16),
        Dtype::I16 => Some(Kind::I16),
        Dtype::U32 => Some(Kind::U32),
        Dtype::I32 => Some(Kind::I32),
        Dtype::U64 => Some(Kind::U64),
        Dtype::I64 => Some(Kind::I64),
        Dtype::F16 => Some(Kind::F16),
        Dtype::BF16 => Some(Kind::Bf16),
        Dtype::F32 => Some(Kind::F32),
        Dtype::F64 => Some(Kind::F64),
        _ => None,
    }
}

/// The bytes of a safetensors file.
pub fn write_safetensors(tensors: &[Tensor]) -> Result<Vec<u8>, safetensors::SafeTensorError> {
    let stored: Vec<(Dtype, Vec<u8>)> = tensors
        .iter()
        .map(|tensor| match tensor.kind {
            Kind::F32 => (Dtype::F32, tensor.values.iter().flat_map(|x| (*x as f32).to_le_bytes()).collect()),
            _ => (Dtype::F64, tensor.values.iter().flat_map(|x| x.to_le_bytes()).collect()),
        })
        .collect();
    let mut views = Vec::with_capacity(tensors.len());
    for (tensor, (dtype, bytes)) in tensors.iter().zip(&stored) {
        views.push((tensor.name.as_str(), TensorView::new(*dtype, tensor.values.shape().to_vec(), bytes)?));
    }
    safetensors::serialize(views, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Files;

    fn read(bytes: &[u8]) -> Result<Vec<Tensor>, DataError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), bytes).unwrap();
        read_safetensors(Files::new([folder.path().to_owned()]).open("a").unwrap())
    }

    fn tensor(name: &str, shape: &[usize], kind: Kind) -> Tensor {
        let n = shape.iter().product::<usize>();
        let values = array::from_vec(shape, (0..n).map(|i| i as f64 * 0.1).collect()).unwrap();
        Tensor { name: name.to_owned(), values, kind }
    }

    #[test]
    fn names_shapes_and_precision_are_kept() {
        let tensors = [tensor("net.h_y.w", &[2, 3], Kind::F64), tensor("net.h.b", &[3], Kind::F32)];
        let back = read(&write_safetensors(&tensors).unwrap()).unwrap();
        assert_eq!(back.iter().map(|t| t.name.as_str()).collect::<Vec<_>>(), ["net.h.b", "net.h_y.w"]);
        assert_eq!(back[1].values, tensors[0].values);
        assert_eq!((back[0].kind, back[0].values[[1]]), (Kind::F32, f64::from(0.1f32)));
        assert_eq!(write_safetensors(&tensors).unwrap(), write_safetensors(&tensors).unwrap());
    }

    #[test]
    fn malformed_files_are_refused_with_a_reason() {
        let good = write_safetensors(&[tensor("w", &[4], Kind::F64)]).unwrap();
        let mut long_header = good.clone();
        long_header[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        for bytes in [&good[..4], &good[..20], &good[..good.len() - 1], &long_header[..]] {
            let error = read(bytes).unwrap_err().to_string();
            assert!(error.starts_with("`a`, the header: expected a safetensors file, found "), "{error}");
        }
    }
}
