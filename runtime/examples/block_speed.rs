//! Times the block functions: nanoseconds an element, in place, on 4096 elements, the best of many short runs.

use nnm_runtime::math::{AnyBlock, Fun, Level, f32_block_at, f64_block_at};
use nnm_runtime::random;
use std::time::Instant;

const N: usize = 4096;

/// The shortest of many runs, in nanoseconds an element.
fn best(n: usize, mut run: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..300 {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed().as_nanos() as f64 / n as f64);
    }
    best
}

fn time<T: Copy>(block: AnyBlock<T>, values: &[T]) -> f64 {
    let mut buffer = values.to_vec();
    best(N, || {
        buffer.copy_from_slice(values);
        let p = buffer.as_mut_ptr();
        // SAFETY: all pointers are to N elements; the call is in place.
        unsafe {
            match block {
                AnyBlock::One(f) => f(p, p, N),
                AnyBlock::Two(f) => f(p, p, p, N),
            }
        }
    })
}

fn mathematics() {
    let doubles: Vec<f64> = (0..N).map(|i| (i as f64 + 0.5) / N as f64 * 0.98 + 0.01).collect();
    let floats: Vec<f32> = doubles.iter().map(|x| *x as f32).collect();
    println!("{:10} {:>24} {:>24}", "function", "f64 base / v3 / v4", "f32 base / v3 / v4");
    for fun in Fun::all() {
        let d = [Level::Base, Level::V3, Level::V4].map(|level| time(f64_block_at(fun, level), &doubles));
        let f = [Level::Base, Level::V3, Level::V4].map(|level| time(f32_block_at(fun, level), &floats));
        println!("{:10} {:7.2} {:7.2} {:7.2}   {:7.2} {:7.2} {:7.2}", fun.name(), d[0], d[1], d[2], f[0], f[1], f[2]);
    }
}

fn draws() {
    let mut doubles = vec![0f64; N];
    let mut floats = vec![0f32; N];
    println!("uniform f64 {:6.2}", best(N, || random::uniforms_f64(&mut doubles, 1, 2, 0)));
    println!("uniform f32 {:6.2}", best(N, || random::uniforms_f32(&mut floats, 1, 2, 0)));
    println!("normal  f64 {:6.2}", best(N, || random::normals_f64(&mut doubles, 1, 2, 0)));
    println!("normal  f32 {:6.2}", best(N, || random::normals_f32(&mut floats, 1, 2, 0)));
    for mean in [0.001, 0.1, 1.0, 5.0, 50.0] {
        let means = vec![mean; N];
        let time = best(N, || {
            // SAFETY: both are of N elements.
            unsafe { random::fill_poisson_f64(doubles.as_mut_ptr(), means.as_ptr(), N, 1, 2, 0) }
        });
        println!("poisson f64 of mean {mean:5}: {time:6.2}");
    }
}

fn main() {
    mathematics();
    draws();
}
