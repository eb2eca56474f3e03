//! Compiled code gives the bits of the interpreter.

use crate::sample::{Sample, prims};
use nnm_codegen::{Options, compile};
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
