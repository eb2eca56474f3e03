//! Compiled code gives the bits of the interpreter.

use crate::sample::{Sample, prims};
use nnm_codegen::{Options, Together, compile};
use nnm_kir::ir::Elem;
use nnm_kir::{interp, parse, print, verify};
use nnm_runtime::memory::Aligned;

/// Runs a sample both ways, twice in a row on the same memory.
fn check(seed: u64, options: &Options<'_>) {
    let sample = Sample::new(seed);
    let kernel = &sample.kernel;
    let text = print::print(kernel);
    assert_eq!(verify::verify(kernel, &prims), Vec::<String>::new(), "{text}");
    assert_eq!(print::print(&parse::parse(&text).unwrap()), text);
    let code = compile(kernel, options).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let (mut expected, mut found) = (sample.memory(), sample.memory());
    let (mut expected_slots, mut found_slots) = ([3, 5], [3, 5]);
    for round in 0..2 {
        let options = interp::Options { prims: &prims, poison: round == 1 };
        let status = interp::run(kernel, &mut expected, &mut expected_slots, options)
            .unwrap_or_else(|fault| panic!("{fault}\n{text}"));
        assert_eq!(code.run(&mut found, &mut found_slots), Ok(status), "{text}");
        assert_eq!(found_slots, expected_slots, "{text}");
        let (expected, found) = (sample.results(&expected), sample.results(&found));
        for ((name, expected), (_, found)) in expected.iter().zip(&found) {
            let wrong = expected.iter().zip(found).position(|(expected, found)| expected != found);
            if let Some(at) = wrong {
                let (expected, found) = (expected[at], found[at]);
                panic!(
                    "seed {seed}, round {round}: `{name}` element {at}: {expected:x}, found {found:x}, n {}\n{text}",
                    sample.n
                );
            }
        }
    }
}

/// More kernels than the usual 400 are tried where `KERNELS` says how many.
#[test]
fn random_kernels_agree() {
    let count = std::env::var("KERNELS").ok().and_then(|count| count.parse().ok()).unwrap_or(400);
    for seed in 0..count {
        check(seed, &Options { prims: &prims, check: true, ..Options::default() });
    }
}

#[test]
fn random_kernels_agree_however_they_are_unrolled() {
    for seed in 1000..1120 {
        let unroll = Some([1, 2, 4][seed as usize % 3]);
        check(seed, &Options { prims: &prims, unroll, reorder: seed % 2 == 0, check: true });
    }
}

/// Far connections are fetched ahead of their turn, which changes nothing.
#[test]
fn far_connections_agree() {
    let (cells, fan_out) = (3000u32, 60u32);
    let edges = cells * fan_out;
    let kernel = parse::parse(&format!(
        "kernel far f32
        buffer list: u32[{cells}]
        buffer count: i64[1]
        buffer ptr: u32[{}]
        buffer other: u32[{edges}]
        buffer w: f32[{edges}]
        buffer g: f32[{cells}]
        body {{
          rows list list[0] count count[0] ptr ptr[0] other other[0] {{
            %0 = load w[0] edge
            addto g[0] other += %0
          }}
          rows list list[0] count count[0] ptr ptr[0] edge other[0] other other[0] {{
            %0 = load g[0] other
            addto w[0] edge += %0
          }}
        }}",
        cells + 1
    ))
    .unwrap();
    let code = compile(&kernel, &Options::default()).unwrap();
    for count in [0i64, 1, 2, 3, 1000] {
        let memory = || {
            let numbers =
                |n: u32, f: &dyn Fn(u32) -> u32| Aligned::from_slice(&(0..n).map(f).collect::<Vec<_>>()).unwrap();
            vec![
                numbers(cells, &|k| k * 77 % cells),
                Aligned::from_slice(&[count]).unwrap(),
                numbers(cells + 1, &|k| k * fan_out),
                numbers(edges, &|k| k.wrapping_mul(7919) % cells),
                Aligned::from_slice(&(0..edges).map(|k| (k % 101) as f32 * 0.01).collect::<Vec<_>>()).unwrap(),
                Aligned::zeroed::<f32>(cells as usize).unwrap(),
            ]
        };
        let (mut expected, mut found) = (memory(), memory());
        interp::run(&kernel, &mut expected, &mut [], interp::Options::default()).unwrap();
        assert_eq!(code.run(&mut found, &mut []), Ok(0));
        assert_eq!((expected[4].f32(), expected[5].f32()), (found[4].f32(), found[5].f32()));
    }
}

/// Kernels that are cut into parts give the bits of the whole, whatever the number of parts.
#[test]
fn cut_kernels_agree() {
    let prims = |name: &str| prims(name).or_else(|| nnm_runtime::prims::find(name));
    let mut cut = 0;
    for seed in 2000..2300 {
        let sample = Sample::new(seed);
        let memory = || in_order(&sample);
        let mut expected = memory();
        let mut expected_slots = [3, 5];
        let options = interp::Options { prims: &prims, poison: false };
        let status = interp::run(&sample.kernel, &mut expected, &mut expected_slots, options).unwrap();
        for parts in [2, 3, 7] {
            let mut found = memory();
            let mut slots = [3, 5];
            let options = Options { prims: &prims, check: true, ..Options::default() };
            let Some(mut code) = Together::new(&sample.kernel, &found, &options, parts).unwrap() else { continue };
            assert_eq!(code.run(&mut found, &mut slots), Ok(Some(status)), "seed {seed}, {parts} parts");
            if status == 0 {
                cut += 1;
                let text = print::print(&sample.kernel);
                assert_eq!(slots, expected_slots, "seed {seed}, {parts} parts\n{text}");
                for ((name, left), (_, right)) in sample.results(&expected).iter().zip(&sample.results(&found)) {
                    assert!(left == right, "seed {seed}, {parts} parts: `{name}`\n{text}");
                }
            }
        }
    }
    assert!(cut > 100, "only {cut} kernels were cut");
}

/// A sample's memory with the edges of each row by their other ends, and each edge met once.
fn in_order(sample: &Sample) -> Vec<Aligned> {
    let mut memory = sample.memory();
    let at = |name: &str| sample.kernel.buffers.iter().position(|b| b.name == name && b.elem == Elem::U32).unwrap();
    let starts = memory[at("ptr")].u32().to_vec();
    let other = memory[at("other")].u32_mut();
    starts.windows(2).for_each(|row| other[row[0] as usize..row[1] as usize].sort_unstable());
    memory[at("edge")].u32_mut().iter_mut().enumerate().for_each(|(k, edge)| *edge = k as u32);
    memory
}
