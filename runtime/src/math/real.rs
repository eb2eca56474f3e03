//! The two float types as one trait: constants, coefficients and the bit operations that the functions are made of.
//!
//! Coefficients are minimax polynomials computed for this crate with 200-bit arithmetic; the comment beside each says
//! the largest error relative to the function's value. `F` says whether a fused multiply-add is one instruction: where
//! it is not, `a * b + c` rounds twice, so that results differ in the last bits from machines that have it.

use std::ops::{Add, Div, Mul, Neg, Sub};

pub trait Real:
    Copy
    + Default
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + 'static
{
    const ZERO: Self;
    const HALF: Self;
    const ONE: Self;
    const TWO: Self;
    const NAN: Self;
    const INFINITY: Self;
    /// Adding it rounds to an integer, which then stands in the low bits.
    const MAGIC: Self;
    const LOG2_E: Self;
    /// ln 2 in two parts; the first has so few bits that small integers times it are exact.
    const LN2: (Self, Self);
    const TWO_OVER_PI: Self;
    /// pi / 2 in three parts of full precision.
    const HALF_PI: (Self, Self, Self);
    const PI: (Self, Self);
    const QUARTER_PI: (Self, Self);
    const TAN_PI_8: Self;
    const TAN_3_PI_8: Self;

    /// Where `exp` has overflowed or has become 0 for good.
    const EXP_RANGE: (Self, Self);
    /// Below it `expm1` is -1.
    const EXPM1_LOW: Self;
    /// From here on tanh is 1.
    const TANH_ONE: Self;
    /// Below it sinh x is x.
    const SINH_TINY: Self;
    /// Beyond it sine and cosine leave the fast range reduction.
    const TRIG_LIMIT: Self;
    /// From here on erf is 1.
    const ERF_ONE: Self;
    /// A factor that brings two sides near overflow back, and where it is needed.
    const SHRINK: (Self, Self);

    /// (exp r - 1 - r) / r^2 for exp.
    const EXP: &'static [Self];
    /// The same for expm1.
    const EXPM1: &'static [Self];
    /// (2 atanh s - 2 s) / s^3 in s^2.
    const LOG: &'static [Self];
    /// (sin r / r - 1) / r^2 and (cos r - 1 + r^2 / 2) / r^4 in r^2.
    const SIN: &'static [Self];
    const COS: &'static [Self];
    /// (asin x / x - 1) / x^2 and (atan x / x - 1) / x^2 in x^2.
    const ASIN: &'static [Self];
    const ATAN: &'static [Self];
    /// erf x / x - 1 in x^2 below 1, and -ln(1 - erf x) in x from 1.
    const ERF_SMALL: &'static [Self];
    const ERF_LARGE: &'static [Self];

    fn to_f64(self) -> f64;
    fn from_f64(x: f64) -> Self;
    /// `self * a + b`.
    fn fma<const F: bool>(self, a: Self, b: Self) -> Self;
    fn abs(self) -> Self;
    fn sqrt(self) -> Self;
    fn copysign(self, sign: Self) -> Self;
    /// The lowest bits of a number to which `MAGIC` was added: its integer modulo 4.
    fn quadrant(shifted: Self) -> u32;
    /// 2^n in two factors, and the inverse of the second, of n + `MAGIC`.
    fn scales(shifted: Self) -> (Self, Self, Self);
    /// m in [sqrt 1/2, sqrt 2), k and 2^-k with x = m 2^k, of a normal x.
    fn split(x: Self) -> (Self, Self, Self);
    /// A subnormal x times 2^j, and j; else x and 0.
    fn lift(x: Self) -> (Self, Self);
    /// a b as a sum of two numbers.
    fn product<const F: bool>(a: Self, b: Self) -> (Self, Self);
    /// x - n c, of which the result is known to be exact.
    #[inline(always)]
    fn minus_product<const F: bool>(x: Self, n: Self, c: Self) -> Self {
        if F {
            (-n).fma::<F>(c, x)
        } else {
            let (high, low) = Self::product::<F>(n, c);
            (x - high) - low
        }
    }
}

/// The polynomial with these coefficients, lowest first, at x: the even and the odd powers side by side, for a chain of
/// half the length. In a loop of few elements the chain is what takes the time.
#[inline(always)]
pub fn poly<T: Real, const F: bool>(x: T, coefficients: &[T]) -> T {
    let square = x * x;
    let (mut even, mut odd) = (T::ZERO, T::ZERO);
    let last = coefficients.len() - 1;
    for (power, &c) in coefficients.iter().enumerate().rev() {
        let sum = if power % 2 == 0 { &mut even } else { &mut odd };
        *sum = if power + 2 > last { c } else { sum.fma::<F>(square, c) };
    }
    odd.fma::<F>(x, even)
}

/// a + b as a sum of two numbers.
#[inline(always)]
pub fn two_sum<T: Real>(a: T, b: T) -> (T, T) {
    let sum = a + b;
    let back = sum - a;
    (sum, (a - (sum - back)) + (b - back))
}

/// a + b as a sum of two numbers, where |a| >= |b|.
#[inline(always)]
pub fn quick_sum<T: Real>(a: T, b: T) -> (T, T) {
    let sum = a + b;
    (sum, b - (sum - a))
}

#[inline(always)]
pub fn min<T: Real>(a: T, high: T) -> T {
    if a > high { high } else { a }
}

#[inline(always)]
pub fn max<T: Real>(a: T, low: T) -> T {
    if a < low { low } else { a }
}

macro_rules! bit_operations {
    ($t:ident, $bits:ident, $mantissa:expr, $bias:expr, $lift:expr, $split:expr) => {
        #[inline(always)]
        fn to_f64(self) -> f64 {
            self as f64
        }
        #[inline(always)]
        fn from_f64(x: f64) -> Self {
            x as $t
        }
        #[inline(always)]
        fn fma<const F: bool>(self, a: Self, b: Self) -> Self {
            if F { self.mul_add(a, b) } else { self * a + b }
        }
        #[inline(always)]
        fn abs(self) -> Self {
            <$t>::from_bits(self.to_bits() & (<$bits>::MAX >> 1))
        }
        #[inline(always)]
        fn sqrt(self) -> Self {
            <$t>::sqrt(self)
        }
        #[inline(always)]
        fn copysign(self, sign: Self) -> Self {
            let mask = <$bits>::MAX >> 1;
            <$t>::from_bits((self.to_bits() & mask) | (sign.to_bits() & !mask))
        }
        #[inline(always)]
        fn quadrant(shifted: Self) -> u32 {
            (shifted.to_bits() & 3) as u32
        }
        #[inline(always)]
        fn scales(shifted: Self) -> (Self, Self, Self) {
            // The two halves of n + 4 bias, each of which is then half of n + 2 bias.
            let both = shifted.to_bits().wrapping_sub(Self::MAGIC.to_bits()).wrapping_add(4 * $bias);
            let first = both >> 1;
            let second = both.wrapping_sub(first).wrapping_sub($bias);
            let first = first.wrapping_sub($bias);
            (
                <$t>::from_bits(first << $mantissa),
                <$t>::from_bits(second << $mantissa),
                <$t>::from_bits((2 * $bias as $bits).wrapping_sub(second) << $mantissa),
            )
        }
        #[inline(always)]
        fn split(x: Self) -> (Self, Self, Self) {
            let root: $bits = std::$t::consts::FRAC_1_SQRT_2.to_bits();
            let one: $bits = (1.0 as $t).to_bits();
            let moved = x.to_bits().wrapping_add(one - root);
            let exponent = moved >> $mantissa;
            let m = <$t>::from_bits((moved & ((1 << $mantissa) - 1)) + root);
            // An integer below 2^mantissa becomes a float by standing in the mantissa of 2^mantissa.
            let base = <$t>::from_bits(($bias + $mantissa as $bits) << $mantissa);
            let k = <$t>::from_bits(base.to_bits() | exponent) - (base + $bias as $t);
            (m, k, <$t>::from_bits((2 * $bias as $bits).wrapping_sub(exponent) << $mantissa))
        }
        #[inline(always)]
        fn lift(x: Self) -> (Self, Self) {
            let small = x < <$t>::MIN_POSITIVE;
            let factor = <$t>::from_bits(($bias + $lift as $bits) << $mantissa);
            (if small { x * factor } else { x }, if small { $lift as $t } else { 0.0 })
        }
        #[inline(always)]
        fn product<const F: bool>(a: Self, b: Self) -> (Self, Self) {
            let high = a * b;
            if F {
                return (high, a.mul_add(b, -high));
            }
            // Dekker's splitting into halves.
            let (a_wide, b_wide) = (a * $split, b * $split);
            let a_high = a_wide - (a_wide - a);
            let b_high = b_wide - (b_wide - b);
            let (a_low, b_low) = (a - a_high, b - b_high);
            (high, ((a_high * b_high - high) + a_high * b_low + a_low * b_high) + a_low * b_low)
        }
    };
}

impl Real for f64 {
    const ZERO: f64 = 0.0;
    const HALF: f64 = 0.5;
    const ONE: f64 = 1.0;
    const TWO: f64 = 2.0;
    const NAN: f64 = f64::NAN;
    const INFINITY: f64 = f64::INFINITY;
    const MAGIC: f64 = 6_755_399_441_055_744.0;
    const LOG2_E: f64 = std::f64::consts::LOG2_E;
    const LN2: (f64, f64) = (0.6931471805592082, 7.371002565167799e-13);
    const TWO_OVER_PI: f64 = std::f64::consts::FRAC_2_PI;
    const HALF_PI: (f64, f64, f64) = (std::f64::consts::FRAC_PI_2, 6.123233995736766e-17, -1.4973849048591698e-33);
    const PI: (f64, f64) = (std::f64::consts::PI, 1.2246467991473532e-16);
    const QUARTER_PI: (f64, f64) = (std::f64::consts::FRAC_PI_4, 3.061616997868383e-17);
    const TAN_PI_8: f64 = 0.41421356237309503;
    const TAN_3_PI_8: f64 = 2.414213562373095;

    const EXP_RANGE: (f64, f64) = (-750.0, 720.0);
    const EXPM1_LOW: f64 = -42.0;
    const TANH_ONE: f64 = 22.0;
    const SINH_TINY: f64 = 1e-100;
    const TRIG_LIMIT: f64 = 1_073_741_824.0;
    const ERF_ONE: f64 = 6.0;
    const SHRINK: (f64, f64) = (1e300, 0.25);

    // 2^-57.9
    const EXP: &'static [f64] = &[
        0.5000000000000011,
        0.16666666666666405,
        0.04166666666652701,
        0.008333333333498241,
        0.0013888888944577568,
        0.00019841269500685954,
        2.480149201253308e-05,
        2.7557589524083915e-06,
        2.763066849134759e-07,
        2.4999744068467463e-08,
    ];
    // 2^-61.7
    const EXPM1: &'static [f64] = &[
        0.5,
        0.16666666666666677,
        0.0416666666666667,
        0.008333333333321345,
        0.00138888888888663,
        0.00019841269886938177,
        2.4801587361646623e-05,
        2.755724331413143e-06,
        2.755724181168945e-07,
        2.5109373613800936e-08,
        2.092473971952168e-09,
    ];
    // 2^-59.4
    const LOG: &'static [f64] = &[
        0.6666666666666727,
        0.3999999999944842,
        0.2857142873655892,
        0.22222199050208902,
        0.18183544342443989,
        0.15314462659573405,
        0.1479265718967253,
    ];
    // 2^-57.6
    const SIN: &'static [f64] = &[
        -0.16666666666666624,
        0.008333333333320057,
        -0.0001984126982786578,
        2.755731300254616e-06,
        -2.505064817026534e-08,
        1.589032714160831e-10,
    ];
    // 2^-63.8
    const COS: &'static [f64] = &[
        0.04166666666666658,
        -0.0013888888888871048,
        2.4801587287489282e-05,
        -2.755731375968271e-07,
        2.0875640812987085e-09,
        -1.1355296438772352e-11,
    ];
    // 2^-55.8
    const ASIN: &'static [f64] = &[
        0.1666666666666564,
        0.0750000000029865,
        0.04464285685252217,
        0.030381958341320146,
        0.02237177368755067,
        0.017359507853620372,
        0.013886880866022454,
        0.01215998763666636,
        0.006562253922343514,
        0.019447328431880784,
        -0.01611444058706,
        0.03184716862096435,
    ];
    // 2^-59.3
    const ATAN: &'static [f64] = &[
        -0.3333333333333323,
        0.19999999999960605,
        -0.14285714280763176,
        0.111111108070263,
        -0.09090898334792825,
        0.07692069093667094,
        -0.0666319229522867,
        0.05848455007926308,
        -0.05041562350745054,
        0.038115549143019005,
        -0.01795695631966726,
    ];
    // 2^-62.8
    const ERF_SMALL: &'static [f64] = &[
        0.1283791670955126,
        -0.3761263890318375,
        0.11283791670954885,
        -0.02686617064507787,
        0.005223977624828394,
        -0.0008548326981423858,
        0.0001205533113290754,
        -1.4925595771308064e-05,
        1.646100846796314e-06,
        -1.635039615814245e-07,
        1.4660328525181357e-08,
        -1.1374955789778035e-09,
        5.960686654847134e-11,
    ];
    // 2^-59.5
    const ERF_LARGE: &'static [f64] = &[
        1.8436670593720383e-07,
        1.1283772825767906,
        0.6366287029235089,
        0.10274664483320158,
        -0.019076959635859314,
        -0.00028222246915883835,
        0.0017709184942109905,
        -0.0006428275419532777,
        4.595157347525708e-05,
        6.975292839585752e-05,
        -4.477104067309751e-05,
        1.6421880853173548e-05,
        -4.30188979974732e-06,
        8.452159932342104e-07,
        -1.2483448493062734e-07,
        1.352264155972935e-08,
        -1.0170791752007128e-09,
        4.7518562860271855e-11,
        -1.039081280693458e-12,
    ];

    bit_operations!(f64, u64, 52, 1023, 54, 134_217_729.0);
}

impl Real for f32 {
    const ZERO: f32 = 0.0;
    const HALF: f32 = 0.5;
    const ONE: f32 = 1.0;
    const TWO: f32 = 2.0;
    const NAN: f32 = f32::NAN;
    const INFINITY: f32 = f32::INFINITY;
    const MAGIC: f32 = 12_582_912.0;
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    const LN2: (f32, f32) = (0.693_115_23, 3.194_618_3e-5);
    const TWO_OVER_PI: f32 = std::f32::consts::FRAC_2_PI;
    const HALF_PI: (f32, f32, f32) = (std::f32::consts::FRAC_PI_2, -4.371_139e-8, -1.715_124_5e-15);
    const PI: (f32, f32) = (std::f32::consts::PI, -8.742_278e-8);
    const QUARTER_PI: (f32, f32) = (std::f32::consts::FRAC_PI_4, -2.185_569_4e-8);
    const TAN_PI_8: f32 = 0.414_213_57;
    const TAN_3_PI_8: f32 = 2.414_213_7;

    const EXP_RANGE: (f32, f32) = (-106.0, 92.0);
    const EXPM1_LOW: f32 = -18.0;
    const TANH_ONE: f32 = 10.0;
    const SINH_TINY: f32 = 1e-15;
    const TRIG_LIMIT: f32 = 131_072.0;
    const ERF_ONE: f32 = 4.0;
    const SHRINK: (f32, f32) = (1e37, 0.25);

    // 2^-28.3
    const EXP: &'static [f32] = &[4.999_999_4e-1, 1.666_652e-1, 4.166_840_8e-2, 8.368_922e-3, 1.381_425_5e-3];
    // 2^-32.0
    const EXPM1: &'static [f32] = &[5.0e-1, 1.666_666_7e-1, 4.166_635e-2, 8.333_272e-3, 1.394_130_8e-3, 1.991_466_6e-4];
    // 2^-30.1
    const LOG: &'static [f32] = &[6.666_677_6e-1, 3.997_762_8e-1, 2.987_070_7e-1];
    // 2^-27.8
    const SIN: &'static [f32] = &[-1.666_665_4e-1, 8.332_084e-3, -1.950_434_7e-4];
    // 2^-33.0
    const COS: &'static [f32] = &[4.166_664_6e-2, -1.388_724_4e-3, 2.442_399e-5];
    // 2^-27.5
    const ASIN: &'static [f32] = &[1.666_675e-1, 7.495_321e-2, 4.546_932e-2, 2.417_842_1e-2, 4.217_59e-2];
    // 2^-30.4
    const ATAN: &'static [f32] = &[-3.333_331_6e-1, 1.999_851_8e-1, -1.424_422_1e-1, 1.059_791_15e-1, -6.086_678_4e-2];
    // 2^-29.7
    const ERF_SMALL: &'static [f32] =
        &[1.283_791_7e-1, -3.761_262_6e-1, 1.128_36e-1, -2.685_444_4e-2, 5.189_535e-3, -8.020_841_6e-4, 7.889_119e-5];
    // 2^-35.5
    const ERF_LARGE: &'static [f32] = &[
        -1.880_288_2e-4,
        1.129_578_4,
        6.332_2e-1,
        1.084_184_8e-1,
        -2.520_82e-2,
        4.204_541_4e-3,
        -4.413_325e-4,
        2.168_653_7e-5,
    ];

    bit_operations!(f32, u32, 23, 127, 25, 4097.0);
}
