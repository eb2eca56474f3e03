//! The two precisions, as the interpreter computes in them.

use crate::ir::{Binary, Compare, Draw, Math, Unary};
use nnm_runtime::{math, random};

/// A float type with the operations of the IR, each on a whole tile.
pub(super) trait Real: Copy + PartialOrd + Default + 'static {
    fn from_f32(value: f32) -> Self;
    fn from_f64(value: f64) -> Self;
    fn from_i64(value: i64) -> Self;
    fn to_f32(self) -> f32;
    fn to_f64(self) -> f64;
    fn add(self, other: Self) -> Self;
    fn unary(op: Unary, out: &mut [Self], a: &[Self]);
    fn binary(op: Binary, out: &mut [Self], a: &[Self], b: &[Self]);
    fn fma(out: &mut [Self], a: &[Self], b: &[Self], c: &[Self]);
    fn math(f: Math, out: &mut [Self], a: &[Self], b: &[Self]);
    /// `place` is the key, the step and the index of the first element.
    fn draw(draw: Draw, out: &mut [Self], place: (u64, i64, i64), mean: &[Self]);
}

/// `out[i] = f(a[i])`
pub(super) fn each<A: Copy, R>(out: &mut [R], a: &[A], f: impl Fn(A) -> R) {
    for (out, a) in out.iter_mut().zip(a) {
        *out = f(*a);
    }
}

/// `out[i] = f(a[i], b[i])`
pub(super) fn each_pair<A: Copy, B: Copy, R>(out: &mut [R], a: &[A], b: &[B], f: impl Fn(A, B) -> R) {
    for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
        *out = f(*a, *b);
    }
}

macro_rules! real {
    ($ty:ident, $apply:path, $eval:path, $uniform:path, $normal:path, $poisson:path) => {
        impl Real for $ty {
            fn from_f32(value: f32) -> Self {
                value as $ty
            }

            fn from_f64(value: f64) -> Self {
                value as $ty
            }

            fn from_i64(value: i64) -> Self {
                value as $ty
            }

            fn to_f32(self) -> f32 {
                self as f32
            }

            fn to_f64(self) -> f64 {
                self as f64
            }

            fn add(self, other: Self) -> Self {
                self + other
            }

            fn unary(op: Unary, out: &mut [Self], a: &[Self]) {
                match op {
                    Unary::Neg => each(out, a, |x| -x),
                    Unary::Abs => each(out, a, $ty::abs),
                    Unary::Sqrt => each(out, a, $ty::sqrt),
                    Unary::Floor => each(out, a, $ty::floor),
                    Unary::Ceil => each(out, a, $ty::ceil),
                    Unary::Trunc => each(out, a, $ty::trunc),
                    Unary::Round => each(out, a, $ty::round_ties_even),
                }
            }

            fn binary(op: Binary, out: &mut [Self], a: &[Self], b: &[Self]) {
                match op {
                    Binary::Add => each_pair(out, a, b, |x, y| x + y),
                    Binary::Sub => each_pair(out, a, b, |x, y| x - y),
                    Binary::Mul => each_pair(out, a, b, |x, y| x * y),
                    Binary::Div => each_pair(out, a, b, |x, y| x / y),
                    Binary::Min => each_pair(out, a, b, |x, y| if x < y { x } else { y }),
                    Binary::Max => each_pair(out, a, b, |x, y| if x > y { x } else { y }),
                }
            }

            fn fma(out: &mut [Self], a: &[Self], b: &[Self], c: &[Self]) {
                for (((out, a), b), c) in out.iter_mut().zip(a).zip(b).zip(c) {
                    *out = a.mul_add(*b, *c);
                }
            }

            fn math(f: Math, out: &mut [Self], a: &[Self], b: &[Self]) {
                let fun = crate::runtime::fun(f);
                if fun.arity() == 1 {
                    out.copy_from_slice(a);
                    $apply(fun, out);
                } else {
                    each_pair(out, a, b, |x, y| $eval(fun, x, y));
                }
            }

            fn draw(draw: Draw, out: &mut [Self], (key, step, base): (u64, i64, i64), mean: &[Self]) {
                let (step, base) = (step as u64, base as u64);
                match draw {
                    Draw::Uniform => $uniform(out, key, step, base),
                    Draw::Normal => $normal(out, key, step, base),
                    Draw::Poisson => {
                        for (lane, (out, mean)) in out.iter_mut().zip(mean).enumerate() {
                            *out = $poisson(*mean, key, step, base.wrapping_add(lane as u64));
                        }
                    }
                }
            }
        }
    };
}
real!(f32, math::apply_f32, math::eval_f32, random::uniforms_f32, random::normals_f32, random::poisson_f32);
real!(f64, math::apply_f64, math::eval_f64, random::uniforms_f64, random::normals_f64, random::poisson_f64);

pub(super) fn compare<T: Real>(op: Compare, out: &mut [bool], a: &[T], b: &[T]) {
    match op {
        Compare::Eq => each_pair(out, a, b, |x, y| x == y),
        Compare::Ne => each_pair(out, a, b, |x, y| x != y),
        Compare::Lt => each_pair(out, a, b, |x, y| x < y),
        Compare::Le => each_pair(out, a, b, |x, y| x <= y),
        Compare::Gt => each_pair(out, a, b, |x, y| x > y),
        Compare::Ge => each_pair(out, a, b, |x, y| x >= y),
    }
}
