//! `erf`: a polynomial below 1, and 1 - e^-q(x) from there on, where q is a polynomial for -ln(1 - erf x).

use super::block::Unary;
use super::exponential::exp;
use super::real::{Real, min, poly};

pub struct Erf;

impl<T: Real> Unary<T> for Erf {
    #[inline(always)]
    fn eval<const F: bool>(x: T) -> T {
        let a = min(x.abs(), T::ERF_ONE);
        let small = a.fma::<F>(poly::<T, F>(a * a, T::ERF_SMALL), a);
        let large = T::ONE - exp::<T, F>(-poly::<T, F>(a, T::ERF_LARGE));
        (if a < T::ONE { small } else { large }).copysign(x)
    }
}
