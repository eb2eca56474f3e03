//! Kernels in files: the valid ones print back to themselves, the invalid ones are refused with the fault they name.

use nnm_kir::{Prims, parse, print, verify};
use nnm_runtime::abi::{ArgKind, PrimDef};
use std::path::{Path, PathBuf};

unsafe extern "C" fn never(_: *const u64) -> i32 {
    0
}

static TWICE: PrimDef = PrimDef {
    name: "twice",
    about: "y = 2 x",
    args: &[("y", ArgKind::Out), ("x", ArgKind::In), ("n", ArgKind::Int)],
    f32: never,
    f64: never,
    reach: |ints| vec![ints[0], ints[0]],
};

fn prims(name: &str) -> Option<&'static PrimDef> {
    (name == "twice").then_some(&TWICE)
}

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

#[test]
fn valid_kernels_print_back_and_verify() {
    for file in files("valid") {
        let text = std::fs::read_to_string(&file).unwrap();
        let kernel = parse::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let written: String =
            text.lines().filter(|line| !line.starts_with("//")).map(|line| format!("{line}\n")).collect();
        assert_eq!(print::print(&kernel), written, "{}", file.display());
        let prims: Prims<'_> = &prims;
        assert_eq!(verify::verify(&kernel, prims), Vec::<String>::new(), "{}", file.display());
    }
}

#[test]
fn invalid_kernels_are_refused() {
    for file in files("invalid") {
        let text = std::fs::read_to_string(&file).unwrap();
        let expected =
            text.lines().next().unwrap().strip_prefix("// expect: ").expect("the first line expects a fault");
        let kernel = parse::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let faults = verify::verify(&kernel, &prims);
        assert!(faults.iter().any(|fault| fault.contains(expected)), "{}: {faults:?}", file.display());
        let printed = print::print(&kernel);
        assert_eq!(parse::parse(&printed).unwrap(), kernel, "{}", file.display());
    }
}

#[test]
fn texts_that_are_no_kernels_say_why() {
    let cases = [
        ("", "line 1: expected `kernel`, found the end of the text"),
        ("kernel k f16", "line 1: expected `f32` or `f64`, found `f16`"),
        ("kernel k f32\nbody {\n  maps 3 {\n  }\n}", "line 3: expected a statement, found `maps`"),
        (
            "kernel k f32\nbody {\n  map 3 {\n    %1 = index\n  }\n}",
            "line 4: expected `%0`: values are numbered by place",
        ),
        ("kernel k f32\nbody {\n  map 3 {\n    %0 = frob %0\n  }\n}", "line 4: there is no instruction `frob`"),
        ("kernel k f32\nbody {\n  set $x = 1\n}", "line 3: there is no slot `x`"),
        ("kernel k f32\nbody {\n  return 99999999999\n}", "line 3: a status is a number of 32 bits"),
        ("kernel k f32\nbody {\n}\n}", "line 4: expected the end of the kernel, found `}`"),
        ("kernel \"k f32", "line 1: a name in quotes has no end"),
        ("kernel k f32 ?", "line 1: unexpected character `?`"),
    ];
    for (text, message) in cases {
        assert_eq!(parse::parse(text).unwrap_err().to_string(), message, "{text}");
    }
    let deep = format!("kernel k f32\nslot s\nbody {{\n  set $s = {}1{}\n}}", "(".repeat(5000), ")".repeat(5000));
    assert_eq!(parse::parse(&deep).unwrap_err().message, "nested too deep");
}

/// Any cut or damage of a text is an error or a kernel, never a crash.
#[test]
fn damaged_texts_never_crash() {
    for file in files("valid") {
        let text = std::fs::read_to_string(&file).unwrap();
        for cut in (0..text.len()).filter(|cut| text.is_char_boundary(*cut)) {
            let _ = parse::parse(&text[..cut]);
            let mut damaged = text.clone();
            damaged.replace_range(cut..(cut + 3).min(text.len()), "%9[");
            if let Ok(kernel) = parse::parse(&damaged) {
                verify::verify(&kernel, &prims);
                assert_eq!(parse::parse(&print::print(&kernel)).map(|k| print::print(&k)), Ok(print::print(&kernel)));
            }
        }
    }
}
