//! Compiled code gives the bits of the interpreter.

use crate::sample::{Sample, prims};
use nnm_codegen::{Options, compile};
use nnm_kir::{interp, parse, print, verify};

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
