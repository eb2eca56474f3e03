//! The formatter on what authors write.

use super::{format, keeps_meaning, reformat};

fn formatted(text: &str) -> String {
    let once = reformat(text).unwrap_or_else(|errors| panic!("{text}\n{errors:?}"));
    assert!(keeps_meaning(text, &once), "meaning of\n{text}\nchanged to\n{once}");
    assert_eq!(reformat(&once), Ok(once.clone()), "not idempotent");
    once
}

#[test]
fn messy_text() {
    let messy = "\n\n//! doc   \nneuron  A(n:int=3,k : neuron=LIF)\n{\n\n\n    param p=3mV;param q = 80%// note\n\tv' =-v/tau\n    + 3*x ^ 2\n  when v>3 {v=0;hold v for 2ms}\n\n\n\n  output y=f( x,-y , [ 1,2 ] )[0]\n}\nneuron B{}\n";
    let clean = "//! doc\nneuron A(n: int = 3, k: neuron = LIF) {\n  param p = 3 mV; param q = 80 % // note\n  v' = -v / tau\n    + 3 * x^2\n  when v > 3 { v = 0; hold v for 2 ms }\n\n  output y = f(x, -y, [1, 2])[0]\n}\nneuron B {}\n";
    assert_eq!(formatted(messy), clean);
}

#[test]
fn comments_stay() {
    let text = "// one\nneuron A { // two\n  // three\n  param p = [ // four\n    1, // five\n    // six\n    2\n    // seven\n  ]\n  // eight\n} // nine\n// ten\n";
    assert_eq!(formatted(text), text);
}

#[test]
fn columns_stay_aligned() {
    let text = "neuron A {\n  param  tau = 5 ms\n  weight w: nS      // one\n  state  g: nS = 0  // two\n  x'   = 3\n  abc' = 4\n}\n";
    assert_eq!(formatted(text), text);
    let squeezed = text.replace("5 ms", "5ms").replace("x'   = 3", "x'   =3");
    assert_eq!(formatted(&squeezed), text);
}

#[test]
fn lone_blanks_go() {
    assert_eq!(formatted("neuron A {\n  param   x =   3\n}\n"), "neuron A {\n  param x = 3\n}\n");
}

#[test]
fn lists_and_continuations() {
    let text = "experiment E {\n  for r in [A(), B(),\n            C()] {\n    seed 1\n  }\n  let x = f(\n    a,\n    b\n  )\n  minimize f(x)\n    by Backprop\n}\n";
    assert_eq!(formatted(text), text);
}

#[test]
fn brace_on_its_own_line() {
    assert_eq!(formatted("neuron A\n{\n  x = 3 }\n"), "neuron A {\n  x = 3\n}\n");
    assert_eq!(formatted("neuron A // why\n{ x = 3 }\n"), "neuron A // why\n{ x = 3 }\n");
}

#[test]
fn units_in_types_are_tight() {
    let text = "neuron A { param c: uF / cm ^ 2 = 1 uF/cm^2\n param d: mV*ms^-0.5\n param r: 1 / s }\n";
    assert_eq!(formatted(text), "neuron A { param c: uF/cm^2 = 1 uF/cm^2\n  param d: mV*ms^-0.5\n  param r: 1/s\n}\n");
}

#[test]
fn errors_are_refused() {
    assert!(format("neuron A {").is_err());
}

#[test]
fn empty_files() {
    assert_eq!(formatted(""), "");
    assert_eq!(formatted("\n\n"), "");
    assert_eq!(formatted("// a"), "// a\n");
}
