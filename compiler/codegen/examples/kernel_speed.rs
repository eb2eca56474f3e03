//! Times compiled kernels against the same loops in Rust, compiled ahead of time for this machine's vectors.
//!
//! Prints the least of many short runs, in nanoseconds an element; run it with `--release`.

use nnm_codegen::{Options, compile};
use nnm_kir::ir::Kernel;
use nnm_kir::parse::parse;
use nnm_runtime::flush::Flush;
use nnm_runtime::math;
use nnm_runtime::memory::Aligned;
use std::hint::black_box;
use std::time::Instant;

/// The least time of a call, in nanoseconds, over many calls of about a millisecond's work.
fn least(mut run: impl FnMut(), calls: u32) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..40 {
        let start = Instant::now();
        for _ in 0..calls {
            run();
        }
        best = best.min(start.elapsed().as_secs_f64() / f64::from(calls));
    }
    best * 1e9
}

fn kernel(text: &str) -> Kernel {
    parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn memory(kernel: &Kernel, value: f64) -> Vec<Aligned> {
    let filled = |buffer: &nnm_kir::ir::Buffer| {
        let len = buffer.len as usize;
        match buffer.elem {
            nnm_kir::ir::Elem::F32 => Aligned::from_slice(&vec![value as f32; len]),
            nnm_kir::ir::Elem::F64 => Aligned::from_slice(&vec![value; len]),
            nnm_kir::ir::Elem::U32 => Aligned::zeroed::<u32>(len),
            nnm_kir::ir::Elem::I64 => Aligned::zeroed::<i64>(len),
        }
    };
    kernel.buffers.iter().map(|buffer| filled(buffer).unwrap()).collect()
}

fn time_kernel(kernel: &Kernel, buffers: &mut [Aligned], calls: u32) -> f64 {
    let code = compile(kernel, &Options::default()).unwrap();
    let mut slots = vec![0; kernel.slots.len()];
    let addresses: Vec<*mut u8> = buffers.iter_mut().map(Aligned::as_mut_ptr).collect();
    // SAFETY: the memory was made for the kernel.
    least(|| assert_eq!(unsafe { code.call(&addresses, &mut slots) }, 0), calls)
}

/// Exact propagator, refractory counter, threshold and reset.
fn lif(precision: &str, n: usize) -> Kernel {
    kernel(&format!(
        "kernel lif {precision}
        buffer v: {precision}[{n}]
        buffer refractory: {precision}[{n}]
        buffer current: {precision}[{n}]
        buffer spiked: {precision}[{n}]
        body {{
          map {n} {{
            %0 = load v[0] unit
            %1 = load refractory[0] unit
            %2 = load current[0] unit
            %3 = const 0.95
            %4 = const 0.05
            %5 = mul %2 %4
            %6 = fma %0 %3 %5
            %7 = const 0.0
            %8 = gt %1 %7
            %9 = select %8 %0 %6
            %10 = const 1.0
            %11 = ge %9 %10
            %12 = const 20.0
            %13 = sub %1 %10
            %14 = max %13 %7
            %15 = select %11 %12 %14
            %16 = select %11 %7 %9
            %17 = select %11 %10 %7
            store v[0] unit = %16
            store refractory[0] unit = %15
            store spiked[0] unit = %17
          }}
        }}"
    ))
}

macro_rules! lif_in_rust {
    ($name:ident, $ty:ty) => {
        #[target_feature(enable = "avx2,fma")]
        fn $name(v: &mut [$ty], refractory: &mut [$ty], current: &[$ty], spiked: &mut [$ty]) {
            let n = v.len();
            let (refractory, current, spiked) = (&mut refractory[..n], &current[..n], &mut spiked[..n]);
            for i in 0..n {
                let new = v[i].mul_add(0.95, current[i] * 0.05);
                let held = if refractory[i] > 0.0 { v[i] } else { new };
                let fires = held >= 1.0;
                let rest = refractory[i] - 1.0;
                let rest = if rest > 0.0 { rest } else { 0.0 };
                refractory[i] = if fires { 20.0 } else { rest };
                v[i] = if fires { 0.0 } else { held };
                spiked[i] = if fires { 1.0 } else { 0.0 };
            }
        }
    };
}
lif_in_rust!(lif_f32, f32);
lif_in_rust!(lif_f64, f64);

fn report(what: &str, n: f64, jit: f64, rust: f64) {
    println!("{what:<34} {:8.3} ns   rust {:8.3} ns   ratio {:5.2}", jit / n, rust / n, jit / rust);
}

fn lif_maps() {
    for n in [4096, 100_000] {
        let calls = (4_000_000 / n) as u32;
        let kernel = lif("f32", n);
        let jit = time_kernel(&kernel, &mut memory(&kernel, 0.3), calls);
        let (mut v, mut r, c, mut s) = (vec![0.3f32; n], vec![0.3f32; n], vec![0.3f32; n], vec![0f32; n]);
        // SAFETY: this program is for machines with AVX2 and FMA, as `main` checks.
        let rust = least(|| unsafe { lif_f32(&mut v, &mut r, black_box(&c), &mut s) }, calls);
        report(&format!("lif f32, {n}"), n as f64, jit, rust);
        let kernel = lif("f64", n);
        let jit = time_kernel(&kernel, &mut memory(&kernel, 0.3), calls);
        let (mut v, mut r, c, mut s) = (vec![0.3f64; n], vec![0.3f64; n], vec![0.3f64; n], vec![0f64; n]);
        // SAFETY: as above.
        let rust = least(|| unsafe { lif_f64(&mut v, &mut r, black_box(&c), &mut s) }, calls);
        report(&format!("lif f64, {n}"), n as f64, jit, rust);
    }
}

/// Hodgkin and Huxley's equations: six exponentials, six rates, currents and four Euler steps.
const HODGKIN_HUXLEY: &str = "kernel hh PRECISION
        buffer v: PRECISION[COUNT]
        buffer m: PRECISION[COUNT]
        buffer h: PRECISION[COUNT]
        buffer n: PRECISION[COUNT]
        buffer i: PRECISION[COUNT]
        body {
          map COUNT {
            %0 = load v[0] unit
            %1 = load m[0] unit
            %2 = load h[0] unit
            %3 = load n[0] unit
            %4 = load i[0] unit
            %5 = const 0.1
            %6 = const 25.0
            %7 = sub %6 %0
            %8 = mul %7 %5
            %9 = exp %8
            %10 = const 1.0
            %11 = sub %9 %10
            %12 = div %8 %11
            %13 = const -0.055555556
            %14 = mul %0 %13
            %15 = exp %14
            %16 = const 4.0
            %17 = mul %15 %16
            %18 = const -0.05
            %19 = mul %0 %18
            %20 = exp %19
            %21 = const 0.07
            %22 = mul %20 %21
            %23 = const 30.0
            %24 = sub %23 %0
            %25 = mul %24 %5
            %26 = exp %25
            %27 = add %26 %10
            %28 = div %10 %27
            %29 = const 10.0
            %30 = sub %29 %0
            %31 = mul %30 %5
            %32 = exp %31
            %33 = sub %32 %10
            %34 = div %31 %33
            %35 = mul %34 %5
            %36 = const -0.0125
            %37 = mul %0 %36
            %38 = exp %37
            %39 = const 0.125
            %40 = mul %38 %39
            %41 = mul %1 %1
            %42 = mul %41 %1
            %43 = mul %42 %2
            %44 = const 120.0
            %45 = mul %43 %44
            %46 = const 115.0
            %47 = sub %0 %46
            %48 = mul %3 %3
            %49 = mul %48 %48
            %50 = const 36.0
            %51 = mul %49 %50
            %52 = const -12.0
            %53 = sub %0 %52
            %54 = const 0.3
            %55 = const 10.6
            %56 = sub %0 %55
            %57 = mul %45 %47
            %58 = fma %51 %53 %57
            %59 = fma %54 %56 %58
            %60 = sub %4 %59
            %61 = const 0.01
            %62 = fma %60 %61 %0
            store v[0] unit = %62
            %64 = sub %10 %1
            %65 = mul %17 %1
            %66 = mul %12 %64
            %67 = sub %66 %65
            %68 = fma %67 %61 %1
            store m[0] unit = %68
            %70 = sub %10 %2
            %71 = mul %28 %2
            %72 = mul %22 %70
            %73 = sub %72 %71
            %74 = fma %73 %61 %2
            store h[0] unit = %74
            %76 = sub %10 %3
            %77 = mul %40 %3
            %78 = mul %35 %76
            %79 = sub %78 %77
            %80 = fma %79 %61 %3
            store n[0] unit = %80
          }
        }";

fn hodgkin_huxley(precision: &str, n: usize) -> Kernel {
    kernel(&HODGKIN_HUXLEY.replace("PRECISION", precision).replace("COUNT", &n.to_string()))
}

/// The same in Rust, array by array, with the runtime's `exp` on tiles.
macro_rules! hh_in_rust {
    ($name:ident, $ty:ty, $exp:path) => {
        #[target_feature(enable = "avx2,fma")]
        fn $name(v: &mut [$ty], m: &mut [$ty], h: &mut [$ty], n: &mut [$ty], i: &[$ty]) {
            const T: usize = 256;
            let mut e = [[0 as $ty; T]; 6];
            for start in (0..v.len()).step_by(T) {
                let (v, m) = (&mut v[start..start + T], &mut m[start..start + T]);
                let (h, n, i) = (&mut h[start..start + T], &mut n[start..start + T], &i[start..start + T]);
                for k in 0..T {
                    e[0][k] = (25.0 - v[k]) * 0.1;
                    e[1][k] = v[k] * -0.055555556;
                    e[2][k] = v[k] * -0.05;
                    e[3][k] = (30.0 - v[k]) * 0.1;
                    e[4][k] = (10.0 - v[k]) * 0.1;
                    e[5][k] = v[k] * -0.0125;
                }
                e.iter_mut().for_each(|e| $exp(math::Fun::Exp, e));
                for k in 0..T {
                    let (x, y) = ((25.0 - v[k]) * 0.1, (10.0 - v[k]) * 0.1);
                    let (am, bm) = (x / (e[0][k] - 1.0), e[1][k] * 4.0);
                    let (ah, bh) = (e[2][k] * 0.07, 1.0 / (e[3][k] + 1.0));
                    let (an, bn) = (y / (e[4][k] - 1.0) * 0.1, e[5][k] * 0.125);
                    let g = m[k] * m[k] * m[k] * h[k] * 120.0 * (v[k] - 115.0);
                    let n4 = n[k] * n[k] * (n[k] * n[k]) * 36.0;
                    let total = (0.3 as $ty).mul_add(v[k] - 10.6, n4.mul_add(v[k] + 12.0, g));
                    v[k] = (i[k] - total).mul_add(0.01, v[k]);
                    m[k] = (am * (1.0 - m[k]) - bm * m[k]).mul_add(0.01, m[k]);
                    h[k] = (ah * (1.0 - h[k]) - bh * h[k]).mul_add(0.01, h[k]);
                    n[k] = (an * (1.0 - n[k]) - bn * n[k]).mul_add(0.01, n[k]);
                }
            }
        }
    };
}
hh_in_rust!(hh_f32, f32, math::apply_f32);
hh_in_rust!(hh_f64, f64, math::apply_f64);

fn hodgkin_huxley_maps() {
    let n = 4096;
    let calls = 200;
    let kernel = hodgkin_huxley("f32", n);
    let jit = time_kernel(&kernel, &mut memory(&kernel, 0.4), calls);
    let x = || vec![0.4f32; n];
    let (mut v, mut m, mut h, mut g, i) = (x(), x(), x(), x(), x());
    // SAFETY: as above.
    let rust = least(|| unsafe { hh_f32(&mut v, &mut m, &mut h, &mut g, black_box(&i)) }, calls);
    report("hodgkin-huxley f32, 4096", n as f64, jit, rust);
    let kernel = hodgkin_huxley("f64", n);
    let jit = time_kernel(&kernel, &mut memory(&kernel, 0.4), calls);
    let x = || vec![0.4f64; n];
    let (mut v, mut m, mut h, mut g, i) = (x(), x(), x(), x(), x());
    // SAFETY: as above.
    let rust = least(|| unsafe { hh_f64(&mut v, &mut m, &mut h, &mut g, black_box(&i)) }, calls);
    report("hodgkin-huxley f64, 4096", n as f64, jit, rust);
}

/// A leak whose factor follows from a parameter: `v = v exp(-dt / tau) + i`.
fn leak(precision: &str, n: usize) -> Kernel {
    kernel(&format!(
        "kernel leak {precision}
        buffer v: {precision}[{n}]
        buffer i: {precision}[{n}]
        buffer tau: {precision}[1]
        body {{
          map {n} {{
            %0 = load v[0] unit
            %1 = load i[0] unit
            %2 = load tau[0] splat
            %3 = const -0.1
            %4 = div %3 %2
            %5 = exp %4
            %6 = fma %0 %5 %1
            store v[0] unit = %6
          }}
        }}"
    ))
}

/// A leak with noise: a normal number each step.
fn noise(precision: &str, n: usize) -> Kernel {
    kernel(&format!(
        "kernel noise {precision}
        buffer v: {precision}[{n}]
        slot step
        body {{
          map {n} {{
            %0 = load v[0] unit
            %1 = draw normal key 0x123 step $step base 0
            %2 = const 0.9
            %3 = fma %0 %2 %1
            store v[0] unit = %3
          }}
          set $step = $step + 1
        }}"
    ))
}

/// Few neurons for many steps in one call.
fn few_neurons() {
    let steps = 20_000;
    type Make = fn(&str, usize) -> Kernel;
    let kernels: [(&str, Make); 4] =
        [("lif", lif), ("leak by parameter", leak), ("noise", noise), ("hodgkin-huxley", hodgkin_huxley)];
    for (name, make) in kernels {
        for (precision, n) in [("f32", 1), ("f64", 1), ("f64", 10), ("f64", 100)] {
            let mut kernel = make(precision, n);
            let body = std::mem::take(&mut kernel.body);
            let (from, to) = (nnm_kir::ir::Int::Const(0), nnm_kir::ir::Int::Const(steps));
            kernel.body = vec![nnm_kir::ir::Stmt::For { index: nnm_kir::ir::LoopId(0), from, to, down: false, body }];
            let jit = time_kernel(&kernel, &mut memory(&kernel, 0.3), 2);
            println!("{:<34} {:8.3} ns a step", format!("{n} neurons, {name} {precision}"), jit / steps as f64);
        }
    }
}

fn delivery_kernel(precision: &str, cells: usize, fan_out: usize) -> Kernel {
    let edges = cells * fan_out;
    kernel(&format!(
        "kernel delivery {precision}
        buffer list: u32[{cells}]
        buffer ptr: u32[{}]
        buffer other: u32[{edges}]
        buffer w: {precision}[{edges}]
        buffer g: {precision}[{cells}]
        body {{
          rows list list[0] count {cells} ptr ptr[0] other other[0] {{
            %0 = load w[0] edge
            addto g[0] other += %0
          }}
        }}",
        cells + 1
    ))
}

/// All cells in any order, each with as many connections anywhere.
fn connected(kernel: &Kernel, cells: usize, fan_out: usize) -> Vec<Aligned> {
    let mut buffers = memory(kernel, 0.0);
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as u32
    };
    buffers[0].u32_mut().iter_mut().for_each(|cell| *cell = random() % cells as u32);
    buffers[1].u32_mut().iter_mut().enumerate().for_each(|(cell, start)| *start = (cell * fan_out) as u32);
    buffers[2].u32_mut().iter_mut().for_each(|other| *other = random() % cells as u32);
    buffers
}

/// `to[other] += w`, 80 edges from each of 4096 cells, of which all fire.
fn delivery() {
    let (cells, fan_out) = (4096usize, 80usize);
    let edges = cells * fan_out;
    for precision in ["f32", "f64"] {
        let kernel = delivery_kernel(precision, cells, fan_out);
        let mut buffers = connected(&kernel, cells, fan_out);
        let jit = time_kernel(&kernel, &mut buffers, 4);
        println!("{:<34} {:8.3} ns an event", format!("delivery {precision}, 4096 x 80"), jit / edges as f64);
    }
}

/// A weight falls by a trace of the other end and is kept within bounds, 80 edges from each of 4096 cells.
fn plasticity() {
    let (cells, fan_out) = (4096usize, 80usize);
    for precision in ["f32", "f64"] {
        let mut kernel = delivery_kernel(precision, cells, fan_out);
        let body = kernel_body(
            "%0 = load w[0] edge
            %1 = load g[0] other
            %2 = const -0.01
            %3 = fma %1 %2 %0
            %4 = const 0.0
            %5 = max %3 %4
            %6 = const 1.0
            %7 = min %5 %6
            store w[0] edge = %7",
        );
        let nnm_kir::ir::Stmt::Rows(rows) = &mut kernel.body[0] else { continue };
        rows.body = body;
        let jit = time_kernel(&kernel, &mut connected(&kernel, cells, fan_out), 4);
        println!(
            "{:<34} {:8.3} ns an edge",
            format!("plasticity {precision}, 4096 x 80"),
            jit / (cells * fan_out) as f64
        );
    }
}

/// Instructions on the buffers of a delivery.
fn kernel_body(insts: &str) -> nnm_kir::ir::Body {
    let mut kernel = delivery_kernel("f32", 1, 1);
    let text = nnm_kir::print::print(&kernel);
    let (head, _) = text.split_once("{\n    %0").unwrap_or((&text, ""));
    kernel = self::kernel(&format!("{head}{{\n{insts}\n}}\n}}"));
    match kernel.body.remove(0) {
        nnm_kir::ir::Stmt::Rows(rows) => rows.body,
        _ => nnm_kir::ir::Body::default(),
    }
}

fn compile_time() {
    let kernel = hodgkin_huxley("f64", 4096);
    let time = least(|| drop(compile(&kernel, &Options { check: false, ..Options::default() }).unwrap()), 20);
    println!("compiling hodgkin-huxley f64 ({} instructions): {:.0} us", 82, time / 1e3);
}

fn main() {
    if !(is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")) {
        println!("this machine has no AVX2 and FMA to compare with");
        return;
    }
    if std::env::args().nth(1).as_deref() == Some("asm") {
        for kernel in [lif("f32", 4096), hodgkin_huxley("f64", 4096), lif("f32", 1), delivery_kernel("f32", 100, 100)] {
            println!("{}", nnm_codegen::emit_asm(&kernel, &Options::default()).unwrap_or_default());
        }
        return;
    }
    let _flush = Flush::new();
    lif_maps();
    hodgkin_huxley_maps();
    few_neurons();
    delivery();
    plasticity();
    compile_time();
}
