//! Matrix products on raw pointers, on one thread.
//!
//! The kernels are faer's. For k up to a cache block each element is one chain of fused multiply-adds in the order of
//! k; longer sums and products with one column are cut in a way that depends on the machine's caches and vectors, but
//! never on addresses or on the run.

use faer::{Accum, MatMut, MatRef, Par};

macro_rules! gemm {
    ($name:ident, $t:ty) => {
        /// `c = alpha * a * b + beta * c` with a of m x k, b of k x n, c of m x n; strides in elements: `rs` from a row
        /// to the next, `cs` from a column to the next. With `beta` 0 what c held does not matter.
        ///
        /// # Safety
        /// The elements that the sizes and strides name are readable in `a` and `b` and writable in `c`; distinct
        /// indices of `c` are distinct elements, and `c` does not overlap `a` or `b`.
        #[allow(clippy::too_many_arguments)]
        pub unsafe fn $name(
            m: usize,
            k: usize,
            n: usize,
            alpha: $t,
            a: *const $t,
            rsa: isize,
            csa: isize,
            b: *const $t,
            rsb: isize,
            csb: isize,
            beta: $t,
            c: *mut $t,
            rsc: isize,
            csc: isize,
        ) {
            // SAFETY: the caller's.
            let (a, b, mut c) = unsafe {
                (
                    MatRef::from_raw_parts(a, m, k, rsa, csa),
                    MatRef::from_raw_parts(b, k, n, rsb, csb),
                    MatMut::from_raw_parts_mut(c, m, n, rsc, csc),
                )
            };
            if beta != 0.0 && beta != 1.0 {
                for j in 0..n {
                    for i in 0..m {
                        c[(i, j)] *= beta;
                    }
                }
            }
            let mode = if beta == 0.0 { Accum::Replace } else { Accum::Add };
            faer::linalg::matmul::matmul(c, mode, a, b, alpha, Par::Seq);
        }
    };
}
gemm!(gemm_f32, f32);
gemm!(gemm_f64, f64);

#[cfg(test)]
mod tests {
    use super::*;

    fn value(i: usize) -> f64 {
        ((i * 7919 + 13) % 1009) as f64 / 1009.0 - 0.5
    }

    fn direct(m: usize, k: usize, n: usize, a: &[f64], b: &[f64]) -> Vec<f64> {
        let cell = |i: usize, j: usize| (0..k).map(|l| a[i * k + l] * b[l * n + j]).sum();
        (0..m * n).map(|at| cell(at / n, at % n)).collect()
    }

    #[test]
    fn equals_the_definition_for_all_layouts() {
        for (m, k, n) in [(1, 1, 1), (3, 5, 2), (32, 64, 10), (1, 50, 40), (40, 50, 1), (17, 300, 33), (4, 0, 3)] {
            let a: Vec<f64> = (0..m * k).map(value).collect();
            let b: Vec<f64> = (0..k * n).map(|i| value(i + 500)).collect();
            let a_t: Vec<f64> = (0..m * k).map(|i| a[(i % m) * k + i / m]).collect();
            let b_t: Vec<f64> = (0..k * n).map(|i| b[(i % k) * n + i / k]).collect();
            let want = direct(m, k, n, &a, &b);
            for layout in 0..4 {
                let (pa, rsa, csa) = if layout & 1 == 0 { (&a, k, 1) } else { (&a_t, 1, m) };
                let (pb, rsb, csb) = if layout & 2 == 0 { (&b, n, 1) } else { (&b_t, 1, k) };
                for beta in [0.0, 1.0, 0.5] {
                    let mut c = vec![if beta == 0.0 { f64::NAN } else { 2.0 }; m * n];
                    // SAFETY: sizes and strides are those of the vectors.
                    unsafe {
                        gemm_f64(
                            m,
                            k,
                            n,
                            3.0,
                            pa.as_ptr(),
                            rsa as isize,
                            csa as isize,
                            pb.as_ptr(),
                            rsb as isize,
                            csb as isize,
                            beta,
                            c.as_mut_ptr(),
                            n as isize,
                            1,
                        );
                    }
                    for (got, want) in c.iter().zip(&want) {
                        let want = 3.0 * want + if beta == 0.0 { 0.0 } else { 2.0 * beta };
                        assert!((got - want).abs() < 1e-11, "{m}x{k}x{n} layout {layout} beta {beta}: {got} {want}");
                    }
                }
            }
        }
    }

    /// The same product at another address, and again, has the same bits.
    #[test]
    fn bits_depend_on_neither_address_nor_run() {
        for (m, k, n) in [(32, 64, 10), (64, 784, 128), (1, 512, 512), (512, 512, 1)] {
            let run = |offset: usize| {
                let a: Vec<f32> = (0..offset + m * k).map(|i| value(i.wrapping_sub(offset) % 4001) as f32).collect();
                let b: Vec<f32> = (0..offset + k * n).map(|i| value(i.wrapping_sub(offset) % 3001) as f32).collect();
                let mut c = vec![0f32; offset + m * n];
                let (k_stride, n_stride) = (k as isize, n as isize);
                // SAFETY: offset and size lie in the vectors.
                unsafe {
                    let (a, b) = (a.as_ptr().add(offset), b.as_ptr().add(offset));
                    let c = c.as_mut_ptr().add(offset);
                    gemm_f32(m, k, n, 1.0, a, k_stride, 1, b, n_stride, 1, 0.0, c, n_stride, 1);
                }
                c[offset..].to_vec()
            };
            let first = run(0);
            for offset in [0, 1, 3, 8] {
                assert!(run(offset) == first, "{m}x{k}x{n} at offset {offset}");
            }
        }
    }
}
