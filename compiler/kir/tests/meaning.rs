//! What the interpreter makes of small kernels, and what it refuses.

use nnm_kir::interp::{Options, run};
use nnm_kir::parse::parse;
use nnm_runtime::abi::{ArgKind, PrimDef};
use nnm_runtime::memory::Aligned;

fn reals(values: &[f64]) -> Aligned {
    Aligned::from_slice(values).unwrap()
}

fn counts(values: &[u32]) -> Aligned {
    Aligned::from_slice(values).unwrap()
}

fn fault(text: &str, buffers: &mut [Aligned]) -> String {
    run(&parse(text).unwrap(), buffers, &mut [], Options::default()).unwrap_err().to_string()
}

#[test]
fn loops_slots_and_maps() {
    let kernel = parse(
        "kernel k f64
        buffer x: f64[5]
        slot steps
        body {
          for i0 in 0 .. 4 down {
            map 5 {
              %0 = load x[0] unit
              %1 = int i0
              %2 = index
              %3 = fma %0 %1 %2
              store x[0] unit = %3
            }
            set $steps = $steps + 1
            if $steps == 3 {
              return 9
            }
          }
        }",
    )
    .unwrap();
    let mut buffers = [reals(&[1.0, 2.0, 3.0, 4.0, 5.0])];
    let mut slots = [0];
    assert_eq!(run(&kernel, &mut buffers, &mut slots, Options::default()), Ok(9));
    assert_eq!(slots, [3]);
    let by_hand: Vec<f64> =
        (0..5).map(|i| ((f64::from(i + 1) * 3.0 + f64::from(i)) * 2.0 + f64::from(i)) + f64::from(i)).collect();
    assert_eq!(buffers[0].f64(), by_hand);
}

#[test]
fn deliveries_go_edge_by_edge() {
    let kernel = parse(
        "kernel k f64
        buffer list: u32[2]
        buffer ptr: u32[4]
        buffer edge: u32[4]
        buffer other: u32[4]
        buffer w: f64[4]
        buffer g: f64[3]
        buffer own: f64[3]
        body {
          rows list list[0] count 2 ptr ptr[0] edge edge[0] other other[0] {
            %0 = load w[0] edge
            addto g[0] other += %0
            %2 = load g[0] other
            addto own[0] own += %2
          }
        }",
    )
    .unwrap();
    let mut buffers = [
        counts(&[2, 0]),
        counts(&[0, 2, 2, 4]),
        counts(&[3, 2, 1, 0]),
        counts(&[0, 0, 0, 2]),
        reals(&[1.0, 10.0, 100.0, 1000.0]),
        reals(&[0.0; 3]),
        reals(&[0.0; 3]),
    ];
    assert_eq!(run(&kernel, &mut buffers, &mut [], Options::default()), Ok(0));
    assert_eq!(buffers[5].f64(), [1110.0, 0.0, 1.0]);
    assert_eq!(buffers[6].f64(), [1010.0 + 1110.0, 0.0, 10.0 + 1.0]);
}

#[test]
fn reaches_are_checked() {
    let map = |body: &str| format!("kernel k f64\nbuffer x: f64[20]\nbuffer n: u32[2]\nbody {{\n{body}\n}}");
    let memory = || [reals(&[0.0; 20]), counts(&[30, 9])];
    let cases = [
        ("map n[1] * 3 {\n%0 = load x[0] unit\n}", "elements 0 .. 0 + 27 of `x` are outside its 20"),
        ("map n[1] {\n%0 = load x[5] unit\n}", ""),
        ("map n[1] {\n%0 = load x[11] unit\n}", ""),
        ("map n[1] * 2 {\n%0 = load x[2] unit\n}", "18 elements from 2 of `x`, padded to 16, leave its 20"),
        ("map n[2] {\n%0 = const 1.0\n}", "element 2 of `n` is outside its 2"),
        ("map 2 {\n%0 = load x[0] gather n[0]\n}", "element 30 of `x` is outside its 20"),
        ("map 1 {\n%0 = load x[n[0]] splat\n}", "element 30 of `x` is outside its 20"),
        ("map 5 / (n[0] - 30) {\n}", "5 is to be divided by 0"),
    ];
    for (body, message) in cases {
        let kernel = parse(&map(body)).unwrap();
        let result = run(&kernel, &mut memory(), &mut [], Options::default());
        match (result, message) {
            (Ok(0), "") => {}
            (Err(fault), message) if !message.is_empty() => assert!(fault.message.contains(message), "{body}: {fault}"),
            (result, _) => panic!("{body}: {result:?}"),
        }
    }
}

#[test]
fn memory_must_fit_the_declarations() {
    let text = "kernel k f64\nbuffer x: f64[20]\nbody {\n}";
    assert_eq!(fault(text, &mut []), "kernel `k`: the kernel has 1 buffers, given 0");
    assert_eq!(fault(text, &mut [reals(&[0.0; 3])]), "kernel `k`: `x` has 20 elements of f64, given memory for 3");
    let slots = run(&parse("kernel k f64\nslot s\nbody {\n}").unwrap(), &mut [], &mut [], Options::default());
    assert_eq!(slots.unwrap_err().message, "the kernel has 1 slots, given 0");
}

unsafe extern "C" fn twice(args: *const u64) -> i32 {
    // SAFETY: the interpreter gives three words, of which the first two are addresses of n elements.
    unsafe {
        let (y, x, n) = (*args as *mut f64, *args.add(1) as *const f64, *args.add(2) as usize);
        for i in 0..n {
            *y.add(i) = 2.0 * *x.add(i);
        }
    }
    5
}

static TWICE: PrimDef = PrimDef {
    name: "twice",
    about: "y = 2 x",
    args: &[("y", ArgKind::Out), ("x", ArgKind::In), ("n", ArgKind::Int)],
    f32: twice,
    f64: twice,
    reach: |ints| vec![ints[0], ints[0]],
};

#[test]
fn primitives_are_called_within_their_reach() {
    let prims = |name: &str| (name == "twice").then_some(&TWICE);
    let options = Options { prims: &prims, poison: false };
    let text = |n: i64, y: i64| {
        format!(
            "kernel k f64\nbuffer x: f64[20]\nbuffer y: f64[20]\nbody {{\ncall twice(&y[{y}], &x[1], {n})\nreturn 1\n}}"
        )
    };
    let mut buffers = [reals(&(0..20).map(f64::from).collect::<Vec<_>>()), reals(&[0.0; 20])];
    assert_eq!(run(&parse(&text(3, 2)).unwrap(), &mut buffers, &mut [], options), Ok(5));
    assert_eq!(buffers[1].f64()[..6], [0.0, 0.0, 2.0, 4.0, 6.0, 0.0]);
    let fault = run(&parse(&text(19, 2)).unwrap(), &mut buffers, &mut [], options).unwrap_err();
    assert_eq!(fault.to_string(), "kernel `k`, statement 0: `twice`: elements 2 .. 2 + 19 of `y` are outside its 20");
    let overlap = text(3, 2).replace("&x[1]", "&y[4]");
    let fault = run(&parse(&overlap).unwrap(), &mut buffers, &mut [], options).unwrap_err();
    assert!(fault.message.contains("writes elements of `y` that it also takes"), "{fault}");
}

#[test]
fn denormals_are_zero() {
    let kernel = parse(
        "kernel k f64
        buffer x: f64[2]
        body {
          map 2 {
            %0 = load x[0] unit
            %1 = const 0.5
            %2 = mul %0 %1
            store x[0] unit = %2
          }
        }",
    )
    .unwrap();
    let mut buffers = [reals(&[f64::MIN_POSITIVE, 1.0])];
    run(&kernel, &mut buffers, &mut [], Options::default()).unwrap();
    assert_eq!(buffers[0].f64(), [0.0, 0.5]);
    assert!(std::hint::black_box(f64::MIN_POSITIVE) * 0.5 > 0.0, "the mode is put back");
}

#[test]
fn poison_finds_what_counts_on_padding() {
    let kernel = parse(
        "kernel k f32
        buffer x: f32[32]
        body {
          map 3 {
            %0 = const 2.0
            store x[0] unit = %0
          }
        }",
    )
    .unwrap();
    let mut buffers = [Aligned::from_slice(&[1.0f32; 32]).unwrap()];
    run(&kernel, &mut buffers, &mut [], Options { poison: true, ..Options::default() }).unwrap();
    let found = buffers[0].f32();
    assert_eq!(found[..3], [2.0; 3]);
    assert!(found[3..16].iter().all(|x| x.is_nan()));
    assert_eq!(found[16..], [1.0; 16]);
}
