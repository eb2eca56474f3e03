//! Arithmetic on shapes: sizes, strides, broadcasting, axes.

/// Number of elements.
pub fn size(shape: &[usize]) -> usize {
    shape.iter().product()
}

/// Row-major strides in elements.
pub fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for k in (1..shape.len()).rev() {
        strides[k - 1] = strides[k] * shape[k];
    }
    strides
}

/// The common shape of two, as in numpy: trailing axes aligned, an axis of 1 fits any.
pub fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    (0..rank)
        .map(|k| match (aligned(a, rank, k), aligned(b, rank, k)) {
            (m, n) if m == n => Some(m),
            (1, n) => Some(n),
            (m, 1) => Some(m),
            _ => None,
        })
        .collect()
}

/// Whether `from` broadcasts to exactly `to`.
pub fn broadcasts_to(from: &[usize], to: &[usize]) -> bool {
    from.len() <= to.len() && (0..to.len()).all(|k| matches!(aligned(from, to.len(), k), n if n == 1 || n == to[k]))
}

/// Extent of axis `k` of a shape that is seen with leading axes of 1 up to `rank`.
fn aligned(shape: &[usize], rank: usize, k: usize) -> usize {
    let missing = rank - shape.len();
    if k < missing { 1 } else { shape[k - missing] }
}

/// Strides with which an array of shape `from` is read as one of shape `to`: 0 along the axes that repeat.
pub fn broadcast_strides(from: &[usize], to: &[usize]) -> Vec<usize> {
    let own = strides(from);
    let missing = to.len() - from.len();
    (0..to.len())
        .map(|k| if k < missing || (from[k - missing] == 1 && to[k] != 1) { 0 } else { own[k - missing] })
        .collect()
}

/// An axis seen from outside and inside: (product of the axes before, its extent, product of the axes after).
pub fn around(shape: &[usize], axis: usize) -> (usize, usize, usize) {
    (size(&shape[..axis]), shape[axis], size(&shape[axis + 1..]))
}

/// The shape with one axis of another extent.
pub fn with_axis(shape: &[usize], axis: usize, extent: usize) -> Vec<usize> {
    let mut shape = shape.to_vec();
    shape[axis] = extent;
    shape
}

/// The shape without some axes.
pub fn without(shape: &[usize], axes: &[usize]) -> Vec<usize> {
    shape.iter().enumerate().filter(|(k, _)| !axes.contains(k)).map(|(_, n)| *n).collect()
}

/// The shape with some axes of extent 1.
pub fn with_ones(shape: &[usize], axes: &[usize]) -> Vec<usize> {
    shape.iter().enumerate().map(|(k, n)| if axes.contains(&k) { 1 } else { *n }).collect()
}

/// All multi-indices of a shape in row-major order, each given to `visit` with the offset that `strides` make of it.
pub fn for_each_offset(shape: &[usize], strides: &[isize], start: isize, mut visit: impl FnMut(usize, isize)) {
    let mut index = vec![0usize; shape.len()];
    let mut offset = start;
    for flat in 0..size(shape) {
        visit(flat, offset);
        for k in (0..shape.len()).rev() {
            index[k] += 1;
            offset += strides[k];
            if index[k] < shape[k] {
                break;
            }
            offset -= strides[k] * shape[k] as isize;
            index[k] = 0;
        }
    }
}
