//! What has gone wrong in code generators before: leaks, writable code, scalar selects, denormals, wrong memory.

use crate::sample::{Sample, prims};
use nnm_codegen::{CodegenError, Options, RunError, compile, emit_asm, emit_clif};
use nnm_kir::ir::Kernel;
use nnm_kir::parse::parse;
use nnm_runtime::memory::Aligned;

fn options() -> Options<'static> {
    Options { prims: &prims, ..Options::default() }
}

fn kernel(text: &str) -> Kernel {
    parse(text).unwrap()
}

fn decay() -> Kernel {
    kernel(
        "kernel decay f64
        buffer x: f64[100]
        slot steps
        body {
          map 100 {
            %0 = load x[0] unit
            %1 = const 0.5
            %2 = mul %0 %1
            store x[0] unit = %2
          }
          set $steps = $steps + 1
        }",
    )
}

fn mappings() -> Vec<String> {
    std::fs::read_to_string("/proc/self/maps").unwrap_or_default().lines().map(String::from).collect()
}

/// Bytes of executable memory that belongs to no file.
fn code_bytes() -> u64 {
    let mut sum = 0;
    for mapping in mappings() {
        let words: Vec<&str> = mapping.split_whitespace().collect();
        let ends: Vec<u64> = words[0].split('-').map(|end| u64::from_str_radix(end, 16).unwrap()).collect();
        if words[1].contains('x') && words.len() == 5 {
            sum += ends[1] - ends[0];
        }
    }
    sum
}

#[test]
fn code_memory_is_freed_with_its_owner() {
    let kernel = decay();
    let before = code_bytes();
    for _ in 0..1000 {
        drop(compile(&kernel, &options()).unwrap());
        drop(emit_clif(&kernel, &options()).unwrap());
    }
    // other tests of this program compile at the same time
    assert!(code_bytes() < before + 300 * 4096, "{before} bytes before, {} after 1000 kernels", code_bytes());
    let kept: Vec<_> = (0..1000).map(|_| compile(&kernel, &options()).unwrap()).collect();
    assert!(code_bytes() >= before + 700 * 4096, "code is not seen");
    drop(kept);
}

#[test]
fn no_memory_is_writable_and_executable() {
    let code = compile(&decay(), &options()).unwrap();
    assert!(code.size() > 0);
    for mapping in mappings() {
        let rights = mapping.split_whitespace().nth(1).unwrap_or("");
        assert!(!(rights.contains('w') && rights.contains('x')), "{mapping}");
    }
}

#[test]
fn nothing_selects_between_scalars() {
    for seed in 0..150 {
        let sample = Sample::new(seed);
        let text = emit_clif(&sample.kernel, &options()).unwrap();
        assert!(text.lines().any(|line| line.contains("block0")));
        for line in text.lines() {
            assert!(!line.contains("= select"), "{line}");
        }
    }
}

#[test]
fn texts_are_stable() {
    for seed in 0..20 {
        let sample = Sample::new(seed);
        assert_eq!(emit_clif(&sample.kernel, &options()), emit_clif(&sample.kernel, &options()));
        let asm = emit_asm(&sample.kernel, &options()).unwrap();
        assert_eq!(asm, emit_asm(&sample.kernel, &options()).unwrap());
        assert!(asm.contains("ret"));
    }
}

#[test]
fn denormals_are_zero_within_and_whole_without() {
    let code = compile(&decay(), &options()).unwrap();
    let mut buffers = [Aligned::from_slice(&[f64::MIN_POSITIVE; 100]).unwrap()];
    assert_eq!(code.run(&mut buffers, &mut [0]), Ok(0));
    assert_eq!(buffers[0].f64(), [0.0; 100]);
    assert!(std::hint::black_box(f64::MIN_POSITIVE) * 0.5 > 0.0);
}

#[test]
fn memory_is_checked_before_the_call() {
    let code = compile(&decay(), &options()).unwrap();
    assert_eq!(code.run(&mut [], &mut [0]), Err(RunError::Buffers { expected: 1, given: 0 }));
    let mut right = [Aligned::zeroed::<f64>(100).unwrap()];
    assert_eq!(code.run(&mut right, &mut []), Err(RunError::Slots { expected: 1, given: 0 }));
    let mut short = [Aligned::zeroed::<f64>(96).unwrap()];
    assert_eq!(
        code.run(&mut short, &mut [0]),
        Err(RunError::Short { buffer: String::from("x"), needed: 112 * 8, given: 96 * 8 })
    );
}

#[test]
fn invalid_kernels_are_refused() {
    let error = compile(&kernel("kernel k f32\nbody {\n  call nothing()\n}"), &options()).unwrap_err();
    assert!(matches!(error, CodegenError::Invalid(faults) if faults[0].contains("no primitive `nothing`")));
}

#[test]
fn one_code_runs_on_many_threads_at_once() {
    let kernel = kernel(
        "kernel k f64
        buffer x: f64[1000]
        body {
          for i0 in 0 .. 20 {
            map 1000 {
              %0 = load x[0] unit
              %1 = tanh %0
              %2 = exp %1
              %3 = sub %2 %0
              store x[0] unit = %3
            }
          }
        }",
    );
    let code = compile(&kernel, &options()).unwrap();
    let run = |start: f64| {
        let mut buffers = [Aligned::from_slice(&[start; 1000]).unwrap()];
        code.run(&mut buffers, &mut []).unwrap();
        buffers[0].f64().to_vec()
    };
    let alone: Vec<Vec<f64>> = (0..4).map(|start| run(f64::from(start))).collect();
    std::thread::scope(|scope| {
        let run = &run;
        let threads: Vec<_> = (0..4).map(|start| scope.spawn(move || run(f64::from(start)))).collect();
        for (thread, alone) in threads.into_iter().zip(&alone) {
            assert_eq!(&thread.join().unwrap(), alone);
        }
    });
}

#[test]
fn texts_name_what_is_called() {
    let text = "kernel k f64\nbuffer x: f64[9]\nbody {\n  map 9 {\n    %0 = load x[0] unit\n    %1 = exp %0\n    store x[0] unit = %1\n  }\n}";
    let kernel = kernel(text);
    assert!(emit_clif(&kernel, &options()).unwrap().starts_with("; fn0 = exp.f64\nfunction %kernel(i64, i64) -> i32"));
    assert!(emit_asm(&kernel, &options()).unwrap().starts_with("; userextname0 = exp.f64\n"));
}

#[test]
fn divisions_by_constants_are_exact() {
    let divisors =
        [3, 5, 6, 7, 10, 11, 100, 641, 1000, 65_537, 1_000_003, (1 << 31) - 1, (1 << 40) + 1, i64::MAX - 1, i64::MAX];
    for by in divisors {
        let text =
            format!("kernel k f64\nslot x\nslot q\nslot r\nbody {{\n  set $q = $x / {by}\n  set $r = $x % {by}\n}}");
        let code = compile(&kernel(&text), &options()).unwrap();
        let near = |x: i64| [x.saturating_sub(1), x, x.saturating_add(1)];
        let tried = [1, by, by.saturating_mul(2), i64::MAX / by * by, i64::MAX - 1, 1 << 52, 123_456_789_012].map(near);
        for x in tried.into_iter().flatten().filter(|x| *x >= 0) {
            let mut slots = [x, 0, 0];
            assert_eq!(code.run(&mut [], &mut slots), Ok(0));
            assert_eq!(slots, [x, x / by, x % by], "{x} by {by}");
        }
    }
}

/// A divisor that turns out to be zero is a bug with a status, not a trap.
#[test]
fn division_by_nothing_is_a_status() {
    let code = compile(&kernel("kernel k f64\nslot a\nbody {\n  set $a = 7 / $a\n}"), &options()).unwrap();
    assert_eq!(code.run(&mut [], &mut [2]), Ok(0));
    assert_eq!(code.run(&mut [], &mut [0]), Ok(nnm_runtime::abi::status::BUG));
}

/// The back end's own optimiser would undo the order in which vectors overlap.
#[test]
fn the_back_end_does_not_reorder_by_itself() {
    assert!(!Options::default().reorder);
}
