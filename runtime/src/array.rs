//! The host container of numbers: arrays of f64 with any number of axes, shared on copy.
//!
//! For input, output and what experiments compute between runs; kernels work on `memory::Aligned`.

use ndarray::{ArcArray, IxDyn};

/// Row-major, f64, copied only when one of several owners writes.
pub type Array = ArcArray<f64, IxDyn>;

/// A shape and a number of values that do not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{values} values do not fill the shape {shape:?}")]
pub struct ShapeError {
    pub shape: Vec<usize>,
    pub values: usize,
}

/// The array of this shape with these values in row-major order.
pub fn from_vec(shape: &[usize], values: Vec<f64>) -> Result<Array, ShapeError> {
    let count = values.len();
    Array::from_shape_vec(IxDyn(shape), values).map_err(|_| ShapeError { shape: shape.to_vec(), values: count })
}

/// One axis.
pub fn vector(values: Vec<f64>) -> Array {
    ndarray::Array1::from_vec(values).into_dyn().into_shared()
}

/// No axis, one number.
pub fn scalar(value: f64) -> Array {
    ndarray::arr0(value).into_dyn().into_shared()
}

/// The values in row-major order, whatever the layout.
pub fn to_vec(array: &Array) -> Vec<f64> {
    match array.as_slice() {
        Some(values) => values.to_vec(),
        None => array.iter().copied().collect(),
    }
}

/// The same values in another shape of as many elements.
pub fn reshape(array: &Array, shape: &[usize]) -> Result<Array, ShapeError> {
    if array.shape() == shape {
        return Ok(array.clone());
    }
    from_vec(shape, to_vec(array))
}

/// The rows (elements of the first axis) with these numbers; a number beyond the end is left out.
pub fn take_rows(array: &Array, rows: &[u32]) -> Array {
    let Some(&length) = array.shape().first() else { return array.clone() };
    let wanted: Vec<usize> = rows.iter().map(|row| *row as usize).filter(|row| *row < length).collect();
    array.select(ndarray::Axis(0), &wanted).into_shared()
}

/// How many values are NaN or infinite.
pub fn count_not_finite(array: &Array) -> usize {
    array.iter().filter(|x| !x.is_finite()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_checked() {
        let a = from_vec(&[2, 3], (0..6).map(f64::from).collect()).unwrap();
        assert_eq!(a[[1, 0]], 3.0);
        let error = from_vec(&[2, 3], vec![0.0; 5]).unwrap_err();
        assert_eq!(error.to_string(), "5 values do not fill the shape [2, 3]");
        assert!(reshape(&a, &[4]).is_err());
        assert_eq!(to_vec(&reshape(&a, &[3, 2]).unwrap()), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    }

    #[test]
    fn rows_are_taken_in_order() {
        let a = from_vec(&[3, 2], (0..6).map(f64::from).collect()).unwrap();
        let b = take_rows(&a, &[2, 0, 9]);
        assert_eq!((b.shape(), to_vec(&b)), (&[2, 2][..], vec![4.0, 5.0, 0.0, 1.0]));
    }

    #[test]
    fn transposed_arrays_are_read_in_row_major_order() {
        let a = from_vec(&[2, 3], (0..6).map(f64::from).collect()).unwrap();
        let t = a.t().to_shared();
        assert_eq!(to_vec(&t), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        assert_eq!(count_not_finite(&vector(vec![1.0, f64::NAN, f64::INFINITY])), 2);
        assert_eq!(scalar(2.0).ndim(), 0);
    }
}
