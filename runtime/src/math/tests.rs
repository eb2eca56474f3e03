//! Accuracy, edges and speed of the block functions.
//!
//! References are the platform's f64 functions: for f32 practically exact, for f64 within one unit of the last place
//! themselves, which the bounds below allow for.

use super::*;

const LEVELS: [Level; 3] = [Level::Base, Level::V3, Level::V4];

fn reference(fun: Fun, a: f64, b: f64) -> f64 {
    match fun {
        Fun::Exp => a.exp(),
        Fun::Expm1 => a.exp_m1(),
        Fun::Log => a.ln(),
        Fun::Log1p => a.ln_1p(),
        Fun::Sin => a.sin(),
        Fun::Cos => a.cos(),
        Fun::Tan => a.tan(),
        Fun::Asin => a.asin(),
        Fun::Acos => a.acos(),
        Fun::Atan => a.atan(),
        Fun::Sinh => a.sinh(),
        Fun::Cosh => a.cosh(),
        Fun::Tanh => a.tanh(),
        Fun::Sigmoid if a < 0.0 => a.exp() / (1.0 + a.exp()),
        Fun::Sigmoid => 1.0 / (1.0 + (-a).exp()),
        Fun::Softplus => a.max(0.0) + (-a.abs()).exp().ln_1p() + if a.is_nan() { a } else { 0.0 },
        Fun::Erf => libm::erf(a),
        Fun::Pow => a.powf(b),
        Fun::Atan2 => a.atan2(b),
    }
}

/// The largest error that is allowed, in units of the last place.
fn bound(fun: Fun) -> f64 {
    match fun {
        Fun::Exp => 1.1,
        Fun::Tanh => 3.0,
        _ => 4.0,
    }
}

fn call<T: Copy>(block: AnyBlock<T>, dst: &mut [T], a: &[T], b: &[T]) {
    let n = dst.len().min(a.len()).min(b.len());
    // SAFETY: all slices have at least n elements.
    unsafe {
        match block {
            AnyBlock::One(f) => f(dst.as_mut_ptr(), a.as_ptr(), n),
            AnyBlock::Two(f) => f(dst.as_mut_ptr(), a.as_ptr(), b.as_ptr(), n),
        }
    }
}

/// |got - want| in units of the last place of `want` as an f32; 0 where both are NaN or the same infinity.
fn error_f32(got: f32, want: f64) -> f64 {
    if got.is_nan() || want.is_nan() {
        return if got.is_nan() && want.is_nan() { 0.0 } else { f64::INFINITY };
    }
    let rounded = want as f32;
    if got == rounded {
        let signs_differ = got == 0.0 && got.is_sign_negative() != rounded.is_sign_negative();
        if signs_differ {
            return f64::INFINITY;
        }
        if got.is_infinite() {
            return 0.0;
        }
    }
    let unit = if rounded.is_infinite() {
        2f64.powi(104)
    } else {
        f64::from(rounded.abs().next_up()) - f64::from(rounded.abs())
    };
    let limited = if got.is_infinite() { f64::from(got.signum()) * 2f64.powi(128) } else { f64::from(got) };
    (limited - want).abs() / unit
}

fn error_f64(got: f64, want: f64) -> f64 {
    if got.is_nan() || want.is_nan() {
        return if got.is_nan() && want.is_nan() { 0.0 } else { f64::INFINITY };
    }
    if got.is_sign_negative() != want.is_sign_negative() {
        return f64::INFINITY;
    }
    got.abs().to_bits().abs_diff(want.abs().to_bits()) as f64
}

/// Bit patterns over the whole range of f32, every `stride`th.
fn all_floats(stride: usize) -> Vec<f32> {
    (0..=u32::MAX).step_by(stride).map(f32::from_bits).collect()
}

fn worst_f32(fun: Fun, level: Level, a: &[f32], b: &[f32]) -> (f64, f32, f32) {
    let mut got = vec![0f32; a.len()];
    call(f32_block_at(fun, level), &mut got, a, b);
    let mut worst = (0.0, 0.0, 0.0);
    for i in 0..a.len() {
        let error = error_f32(got[i], reference(fun, f64::from(a[i]), f64::from(b[i])));
        if error > worst.0 {
            worst = (error, a[i], b[i]);
        }
    }
    worst
}

#[test]
fn f32_is_accurate_over_the_whole_range() {
    let all = all_floats(4099);
    let (a, b): (Vec<f32>, Vec<f32>) = pairs(600_000).into_iter().map(|(a, b)| (a as f32, b as f32)).unzip();
    for fun in Fun::all() {
        for level in LEVELS {
            let worst =
                if fun.arity() == 1 { worst_f32(fun, level, &all, &all) } else { worst_f32(fun, level, &a, &b) };
            assert!(worst.0 <= bound(fun), "{} {level:?}: {worst:?}", fun.name());
        }
    }
}

/// A small generator of our own for test points.
fn mix(i: u64) -> u64 {
    let mut z = i.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Points of every magnitude, and many near 1 where these functions live.
fn points(n: u64) -> Vec<f64> {
    let wide = (0..n).map(|i| f64::from_bits(mix(i)));
    let usual = (0..n).map(|i| {
        let u = mix(i + n) as f64 / 2f64.powi(64) - 0.5;
        u * [2.0, 8.0, 50.0, 1500.0, 2e5][(i % 5) as usize]
    });
    wide.chain(usual).collect()
}

/// Pairs for which powers neither all overflow nor all vanish.
fn pairs(n: u64) -> Vec<(f64, f64)> {
    let a = points(n);
    (0..a.len())
        .map(|i| {
            let b = a[(i * 7 + 3) % a.len()];
            match i % 3 {
                0 => (a[i], b),
                1 => (a[i].abs(), (mix(i as u64) % 41) as f64 * 0.25 - 5.0),
                _ => (1.0 + (a[i] % 0.5), b % 300.0),
            }
        })
        .collect()
}

fn worst_f64(fun: Fun, level: Level, a: &[f64], b: &[f64]) -> (f64, f64, f64) {
    let mut got = vec![0f64; a.len()];
    call(f64_block_at(fun, level), &mut got, a, b);
    let mut worst = (0.0, 0.0, 0.0);
    for i in 0..a.len() {
        let error = error_f64(got[i], reference(fun, a[i], b[i]));
        if error > worst.0 {
            worst = (error, a[i], b[i]);
        }
    }
    worst
}

#[test]
fn f64_is_accurate_over_the_whole_range() {
    let one = points(400_000);
    let (a, b): (Vec<f64>, Vec<f64>) = pairs(400_000).into_iter().unzip();
    for fun in Fun::all() {
        for level in LEVELS {
            let worst =
                if fun.arity() == 1 { worst_f64(fun, level, &one, &one) } else { worst_f64(fun, level, &a, &b) };
            // The reference's own error can add one.
            assert!(worst.0 <= (bound(fun) + 1.0).floor(), "{} {level:?}: {worst:?}", fun.name());
        }
    }
}

/// Machines with AVX2 and with AVX-512 give the same results.
#[test]
fn instruction_sets_agree_to_the_bit() {
    let (a, b): (Vec<f64>, Vec<f64>) = pairs(100_000).into_iter().unzip();
    let (c, d): (Vec<f32>, Vec<f32>) = a.iter().zip(&b).map(|(a, b)| (*a as f32, *b as f32)).unzip();
    let n = a.len();
    for fun in Fun::all() {
        let (mut x, mut y) = (vec![0f64; n], vec![0f64; n]);
        call(f64_block_at(fun, Level::V3), &mut x, &a, &b);
        call(f64_block_at(fun, Level::V4), &mut y, &a, &b);
        let differ = (0..n).find(|&i| x[i].to_bits() != y[i].to_bits() && !(x[i].is_nan() && y[i].is_nan()));
        assert_eq!(differ.map(|i| (a[i], b[i], x[i], y[i])), None, "{} f64", fun.name());
        let (mut x, mut y) = (vec![0f32; n], vec![0f32; n]);
        call(f32_block_at(fun, Level::V3), &mut x, &c, &d);
        call(f32_block_at(fun, Level::V4), &mut y, &c, &d);
        let differ = (0..n).find(|&i| x[i].to_bits() != y[i].to_bits() && !(x[i].is_nan() && y[i].is_nan()));
        assert_eq!(differ.map(|i| (c[i], d[i], x[i], y[i])), None, "{} f32", fun.name());
    }
}

/// An element's value depends on neither its place, the length nor the aliasing.
#[test]
fn pieces_places_and_aliases_do_not_matter() {
    let (a, b): (Vec<f64>, Vec<f64>) = pairs(600).into_iter().unzip();
    for fun in Fun::all() {
        let mut whole = vec![0f64; a.len()];
        call(f64_block(fun), &mut whole, &a, &b);
        for (i, value) in whole.iter().enumerate() {
            assert_eq!(value.to_bits(), eval_f64(fun, a[i], b[i]).to_bits(), "{} at {}", fun.name(), a[i]);
        }
        let mut place = a[3..200].to_vec();
        // SAFETY: all pointers are to 197 elements; the result goes where the first argument was.
        unsafe {
            match f64_block(fun) {
                AnyBlock::One(f) => f(place.as_mut_ptr(), place.as_ptr(), place.len()),
                AnyBlock::Two(f) => f(place.as_mut_ptr(), place.as_ptr(), b[3..].as_ptr(), place.len()),
            }
        }
        assert!(place.iter().zip(&whole[3..]).all(|(x, y)| x.to_bits() == y.to_bits()), "{}", fun.name());
    }
}

/// What IEEE 754 and common sense say of special arguments, in both precisions and at every level.
#[test]
fn edges() {
    let (inf, nan, pi) = (f64::INFINITY, f64::NAN, std::f64::consts::PI);
    let cases: Vec<(Fun, f64, f64)> = vec![
        (Fun::Exp, -inf, 0.0),
        (Fun::Exp, inf, inf),
        (Fun::Exp, 0.0, 1.0),
        (Fun::Exp, 1e30, inf),
        (Fun::Exp, -1e30, 0.0),
        (Fun::Expm1, -inf, -1.0),
        (Fun::Expm1, inf, inf),
        (Fun::Expm1, -0.0, -0.0),
        (Fun::Expm1, 0.0, 0.0),
        (Fun::Log, 0.0, -inf),
        (Fun::Log, -0.0, -inf),
        (Fun::Log, -1.0, nan),
        (Fun::Log, inf, inf),
        (Fun::Log, 1.0, 0.0),
        (Fun::Log, -inf, nan),
        (Fun::Log1p, -1.0, -inf),
        (Fun::Log1p, -2.0, nan),
        (Fun::Log1p, inf, inf),
        (Fun::Log1p, -0.0, -0.0),
        (Fun::Sin, -0.0, -0.0),
        (Fun::Sin, inf, nan),
        (Fun::Cos, 0.0, 1.0),
        (Fun::Cos, -inf, nan),
        (Fun::Tan, -0.0, -0.0),
        (Fun::Tan, inf, nan),
        (Fun::Asin, -0.0, -0.0),
        (Fun::Asin, 1.0, pi / 2.0),
        (Fun::Asin, -1.0, -pi / 2.0),
        (Fun::Asin, 1.1, nan),
        (Fun::Acos, 1.0, 0.0),
        (Fun::Acos, -1.0, pi),
        (Fun::Acos, 0.0, pi / 2.0),
        (Fun::Acos, -1.1, nan),
        (Fun::Atan, inf, pi / 2.0),
        (Fun::Atan, -inf, -pi / 2.0),
        (Fun::Atan, -0.0, -0.0),
        (Fun::Sinh, -0.0, -0.0),
        (Fun::Sinh, -inf, -inf),
        (Fun::Sinh, 1e30, inf),
        (Fun::Cosh, -inf, inf),
        (Fun::Cosh, 0.0, 1.0),
        (Fun::Tanh, inf, 1.0),
        (Fun::Tanh, -inf, -1.0),
        (Fun::Tanh, -0.0, -0.0),
        (Fun::Sigmoid, inf, 1.0),
        (Fun::Sigmoid, -inf, 0.0),
        (Fun::Sigmoid, 0.0, 0.5),
        (Fun::Softplus, inf, inf),
        (Fun::Softplus, -inf, 0.0),
        (Fun::Erf, inf, 1.0),
        (Fun::Erf, -inf, -1.0),
        (Fun::Erf, -0.0, -0.0),
    ];
    let same = |got: f64, want: f64| (got.is_nan() && want.is_nan()) || got.to_bits() == want.to_bits();
    for level in LEVELS {
        for &(fun, x, want) in cases.iter().chain(Fun::all().map(|fun| (fun, nan, nan)).collect::<Vec<_>>().iter()) {
            let mut wide = [0f64];
            call(f64_block_at(fun, level), &mut wide, &[x], &[2.0]);
            assert!(same(wide[0], want), "{} of {x} is {}, not {want}", fun.name(), wide[0]);
            let mut narrow = [0f32];
            call(f32_block_at(fun, level), &mut narrow, &[x as f32], &[2.0]);
            assert!(same(f64::from(narrow[0]), f64::from(want as f32)), "{} f32 of {x}: {}", fun.name(), narrow[0]);
        }
    }
}

#[test]
fn edges_of_two_arguments() {
    let values = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        2.0,
        -2.0,
        3.0,
        -3.0,
        0.5,
        -0.5,
        1e18,
        -1e18,
        1e300,
        f64::INFINITY,
        -f64::INFINITY,
        f64::NAN,
    ];
    for level in LEVELS {
        for fun in [Fun::Pow, Fun::Atan2] {
            for a in values {
                for b in values {
                    let mut got = [0f64];
                    call(f64_block_at(fun, level), &mut got, &[a], &[b]);
                    let want = reference(fun, a, b);
                    assert!(error_f64(got[0], want) <= 2.0, "{}({a}, {b}) is {}, not {want}", fun.name(), got[0]);
                }
            }
        }
    }
}

/// Results below the smallest normal number lose bits one at a time, not all at once.
#[test]
fn underflow_is_gradual() {
    for i in 0..400 {
        let x = -708.0 - f64::from(i) * 0.1;
        assert!(error_f64(exp(x), x.exp()) <= 1.0, "exp {x}");
        assert!(error_f64(sigmoid(x), x.exp()) <= 1.0, "sigmoid {x}");
        let x = -87.0 - i as f32 * 0.05;
        assert!(error_f32(eval_f32(Fun::Exp, x, 0.0), f64::from(x).exp()) <= 1.1, "exp f32 {x}");
    }
    assert_eq!(log(5e-324), 5e-324f64.ln());
    assert_eq!((sinh(5e-324), tanh(5e-324), expm1(5e-324), log1p(5e-324)), (5e-324, 5e-324, 5e-324, 5e-324));
}

/// Multiples of pi / 2 are where range reduction is hardest; one argument is the hardest of all doubles.
#[test]
fn range_reduction_holds_everywhere() {
    for x in [1e5, 1e9, 1e10, 1e15, 1e22, 1e100, 1e300, f64::MAX] {
        assert!(error_f64(sin(x), x.sin()) <= 2.0 && error_f64(cos(x), x.cos()) <= 2.0, "{x}: {} {}", sin(x), cos(x));
    }
    assert_eq!(cos(6381956970095103.0 * 2f64.powi(797)), -4.687_165_924_254_628e-19);
    for k in 1..2000 {
        for x in [f64::from(k) * std::f64::consts::FRAC_PI_2, f64::from(k) * 1e6 * std::f64::consts::FRAC_PI_2] {
            assert!(error_f64(sin(x), x.sin()) <= 2.0 && error_f64(cos(x), x.cos()) <= 2.0, "{x}");
            assert!(error_f64(tan(x), x.tan()) <= 4.0, "{x}");
        }
    }
}

#[test]
fn names_are_found() {
    for fun in Fun::all() {
        assert_eq!(Fun::from_name(fun.name()), Some(fun));
        assert_eq!(f64_unary(fun).is_some(), fun.arity() == 1);
        assert_eq!(f32_binary(fun).is_some(), fun.arity() == 2);
    }
    assert_eq!(Fun::from_name("gamma"), None);
}

/// The shortest of many runs over a block of 1024, in seconds.
fn shortest(mut run: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..200 {
        let start = std::time::Instant::now();
        run();
        best = best.min(start.elapsed().as_secs_f64());
    }
    best
}

/// Every function is compiled to vector code at the better levels, and a call in place costs no more. Both have been
/// lost once to a harmless-looking change, by factors of 6 to 22. Only optimised builds are timed.
#[test]
fn blocks_are_vectorised_also_in_place() {
    if cfg!(debug_assertions) || Level::best() == Level::Base {
        return;
    }
    let source: Vec<f32> = (0..1024).map(|i| 0.01 + i as f32 / 1100.0).collect();
    for fun in Fun::all() {
        let mut out = source.clone();
        let base = shortest(|| call(f32_block_at(fun, Level::Base), &mut out, &source, &source));
        let best = shortest(|| call(f32_block(fun), &mut out, &source, &source));
        assert!(best < 0.7 * base, "{}: {best} s against {base} s", fun.name());
        let p = out.as_mut_ptr();
        let in_place = shortest(|| {
            out.copy_from_slice(&source);
            // SAFETY: p is to 1024 elements.
            unsafe {
                match f32_block(fun) {
                    AnyBlock::One(f) => f(p, p, 1024),
                    AnyBlock::Two(f) => f(p, p, p, 1024),
                }
            }
        });
        assert!(in_place < 2.0 * best, "{} in place: {in_place} s against {best} s", fun.name());
    }
}
