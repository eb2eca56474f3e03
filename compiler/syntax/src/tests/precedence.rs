//! Precedence, quantities, words as names.

use super::{body, expr};

#[test]
fn operators() {
    assert_eq!(expr("-x^2"), "(neg (^ x 2))");
    assert_eq!(expr("2^-3^x"), "(^ 2 (neg (^ 3 x)))");
    assert_eq!(expr("a - b - c"), "(- (- a b) c)");
    assert_eq!(expr("a + b * c @ d"), "(+ a (@ (* b c) d))");
    assert_eq!(expr("-a * b"), "(* (neg a) b)");
    assert_eq!(expr("a * -b"), "(* a (neg b))");
    assert_eq!(expr("not a < b and c or d"), "(or (and (not (compare a < b)) c) d)");
    assert_eq!(expr("0 < x <= 1"), "(compare 0 < x <= 1)");
    assert_eq!(expr("x in 0 .. n - 1"), "(compare x in (.. 0 (- n 1)))");
    assert_eq!(expr("x |> f |> g(a)"), "(|> (|> x f) (call g a))");
    assert_eq!(expr("if a then b else if c then d else e"), "(if a b (if c d e))");
    assert_eq!(expr("a == b |> f"), "(|> (compare a == b) f)");
    assert_eq!(expr("next m / 2"), "(/ (next m) 2)");
    assert_eq!(expr("before x + 1"), "(+ (before x) 1)");
    assert_eq!(expr("v crosses 0 mV upward and w"), "(and (compare v crosses-up 0_mV) w)");
    assert_eq!(expr("1 ms axonal + 0.5 ms dendritic"), "(+ (sided 1_ms axonal) (sided 0.5_ms dendritic))");
}

#[test]
fn postfix() {
    assert_eq!(expr("f(x)[0].a.{b, c}"), "(fields (field (index (call f x) 0) a) b c)");
    assert_eq!(expr("x[5 ..]"), "(index x (.. 5 -))");
    assert_eq!(expr("x[.., 0]"), "(index x (.. - -) 0)");
    assert_eq!(expr("x[.. n]"), "(index x (.. - n))");
    assert_eq!(expr("f(a, b = 2, c ~ g())"), "(call f a b = 2 c ~ (call g))");
    assert_eq!(
        expr("f(a, b on d.e for 3 steps given x = y, t = 1,)"),
        "(call f a b t = 1 :on (field d e) :for 3_steps :given x = y)"
    );
    assert_eq!(expr("f(a in W(s = 1) for n episodes)"), "(call f (compare a in (call W s = 1)) :for n episodes)");
    assert_eq!(expr("[]"), "(list)");
}

#[test]
fn quantities() {
    assert_eq!(expr("v -65 mV"), "(- v 65_mV)");
    assert_eq!(expr("10ms"), "10_ms");
    assert_eq!(expr("2 mV/ms"), "2_mV/ms");
    assert_eq!(expr("2 mV / ms"), "(/ 2_mV ms)");
    assert_eq!(expr("5 mV^2"), "5_mV^2");
    assert_eq!(expr("(3 mV)^2"), "(^ (paren 3_mV) 2)");
    assert_eq!(expr("0.04 mV^-1*ms^-1"), "0.04_mV^-1*ms^-1");
    assert_eq!(expr("3 mV*ms^0.5 + 1 s^(1/2)"), "(+ 3_mV*ms^0.5 1_s^(1/2))");
    assert_eq!(expr("80 % * 2"), "(* 80_% 2)");
    assert_eq!(expr("1 / 2 mS/cm^2"), "(/ 1 2_mS/cm^2)");
    assert_eq!(expr("10_000 + 1e-3 + 1.5e3 V"), "(+ (+ 10_000 1e-3) 1.5e3_V)");
    assert_eq!(expr("0..10"), "(.. 0 10)");
    assert_eq!(expr("3 µm + 3 μm + 3 um"), "(+ (+ 3_µm 3_μm) 3_um)");
}

#[test]
fn words_are_names_where_an_operand_stands() {
    assert_eq!(body("step' = -step / by"), ["step' = (/ (neg step) by)"]);
    assert_eq!(body("on on { on = on + on }"), ["on on", "  on = (+ on on)"]);
    assert_eq!(
        body("simulate step for step step step { record step every step }"),
        ["simulate step :for step :step step", "  record step :every step"]
    );
    assert_eq!(body("state at: mV = rate"), ["state at: mV = rate"]);
    assert_eq!(body("let x = simulate + train\nlet y = train"), ["let x = (+ simulate train)", "let y = train"]);
    assert_eq!(body("let run = simulate rate for 1 s"), ["let run = simulate rate :for 1_s"]);
    assert_eq!(body("record = 3\nset = 4\nspike.x += 1"), ["record = 3", "set = 4", "spike.x += 1"]);
}

#[test]
fn every_word_but_the_reserved_is_a_variable() {
    let words = crate::words::statement_words().into_iter().chain(crate::clause_words());
    for word in words.filter(|word| !crate::words::is_reserved(word)) {
        let text =
            format!("{word} = 1\n{word}' = {word} + f({word}, {word} = {word})[{word}]\nstate {word}: mV = -{word}");
        assert_eq!(body(&text).len(), 3, "{word}");
    }
}

#[test]
fn types() {
    assert_eq!(body("input u: event"), ["input u: event"]);
    assert_eq!(body("input u: event mV[3] scale 3"), ["input u: event mV[3] :scale 3"]);
    assert_eq!(body("input u: event shared"), ["input u: event :shared"]);
    assert_eq!(body("param w: like w"), ["param w: like w"]);
    assert_eq!(body("param c: uF / cm^2 = 1"), ["param c: uF/cm^2 = 1"]);
    assert_eq!(body("param c: real[T, d / 2] ~ f()"), ["param c: real[T (/ d 2)] ~ (call f)"]);
    assert_eq!(body("param c: mV*s^(-1/2)"), ["param c: mV*s^(-1/2)"]);
    assert_eq!(body("param c: 1/ms"), ["param c: 1/ms"]);
}
