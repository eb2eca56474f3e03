use super::*;

fn place(buffer: u32) -> Ref {
    Ref::new(BufId(buffer), 0)
}

#[test]
fn equal_instructions_are_one_value_and_dead_ones_go() {
    let mut body = BodyBuilder::new(Precision::F32);
    let x = body.load(place(0), At::Unit);
    let again = body.load(place(0), At::Unit);
    assert_eq!(x, again);
    let half = body.constant(0.5);
    let product = body.mul(x, half);
    assert_eq!(body.mul(x, half), product);
    body.add(product, half);
    body.store(place(1), At::Unit, product);
    let body = body.finish();
    assert_eq!(body.insts.len(), 4);
}

#[test]
fn a_load_after_a_write_is_another_value() {
    let mut body = BodyBuilder::new(Precision::F64);
    let before = body.load(place(0), At::Unit);
    body.store(place(0), At::Unit, before);
    assert_ne!(body.load(place(0), At::Unit), before);
}

#[test]
fn only_exact_identities_fold() {
    let mut body = BodyBuilder::new(Precision::F64);
    let x = body.load(place(0), At::Unit);
    let one = body.constant(1.0);
    let zero = body.constant(0.0);
    let minus_zero = body.constant(-0.0);
    assert_ne!(zero, minus_zero);
    assert_ne!(body.mul(x, one), x, "a load may be a denormal");
    let sum = body.add(x, one);
    assert_eq!(body.mul(sum, one), sum);
    assert_ne!(body.add(sum, zero), sum, "-0 + 0 is 0");
    assert_eq!(body.add(sum, minus_zero), sum);
    assert_eq!(body.sub(sum, zero), sum);
    let four = body.constant(4.0);
    let three = body.constant(3.0);
    let quarter = body.constant(0.25);
    assert_eq!(body.div(x, four), body.mul(x, quarter));
    let third = body.div(x, three);
    assert!(matches!(body.inst(third), Some(Inst::Binary { op: Binary::Div, .. })));
    let twelve = body.constant(12.0);
    assert_eq!(body.mul(four, three), twelve);
    assert!(matches!(body.push(Inst::Binary { op: Binary::Div, a: one, b: zero }), v if v != zero));
}

#[test]
fn constants_are_rounded_to_the_precision() {
    let mut single = BodyBuilder::new(Precision::F32);
    let tenth = single.constant(0.1);
    assert_eq!(single.inst(tenth), Some(&Inst::Const(f64::from(0.1f32))));
}
