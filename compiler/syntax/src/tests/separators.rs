//! The rule of line ends, each case of it with one text that goes on and one that does not.

use super::{body, messages, parsed};
use crate::print::print_ast;

#[test]
fn inside_brackets_lines_go_on() {
    assert_eq!(body("y = (a\n  b)".replace("\n  b", "\n  + b").as_str()), ["y = (paren (+ a b))"]);
    assert_eq!(body("y = [a,\n  b\n]"), ["y = (list a b)"]);
    assert_eq!(body("connect a -> {\n  b,\n  c\n}: all()"), ["connect a -> (set b c): (call all)"]);
}

#[test]
fn a_sure_statement_ends_open_parentheses() {
    assert_eq!(messages("neuron A {\n  y = (a + b\n  v' = 3\n}"), ["this `(` is never closed"]);
    assert_eq!(messages("neuron A {\n  y = f(a,\n  param p = 3\n}"), ["this `(` is never closed"]);
    assert_eq!(body("y = f(a,\n  data = 3,\n  state)"), ["y = (call f a data = 3 state)"]);
}

#[test]
fn a_declaration_at_column_one_ends_everything() {
    let found = messages("neuron A {\n  param p = 3\nneuron B { param q = 4 }");
    assert_eq!(found, ["this `{` is never closed: a new declaration starts at line 3"]);
    assert_eq!(body("rule = 3\n  rule' = 4"), ["rule = 3", "rule' = 4"]);
}

#[test]
fn a_sure_statement_ends_the_line_before() {
    assert_eq!(
        messages("neuron A {\n  v' = a +\n  w' = b\n}"),
        ["the line ends after `+`, where a value should follow"]
    );
    assert_eq!(body("y = a +\n  w"), ["y = (+ a w)"]);
    assert_eq!(body("y = a +\n  record"), ["y = (+ a record)"]);
}

#[test]
fn a_line_that_cannot_end_goes_on() {
    assert_eq!(body("y = a and\n  b"), ["y = (and a b)"]);
    assert_eq!(body("connect a ->\n  b"), ["connect a -> b"]);
    assert_eq!(body("plot a,\n  b"), ["plot a, b"]);
    assert_eq!(body("y = if a\n  then b\n  else c"), ["y = (if a b c)"]);
    let parsed = parsed("use a.*\nuse b");
    assert_eq!(print_ast(&parsed.file), "use a *\nuse b\n");
}

#[test]
fn a_line_that_goes_on_by_its_start() {
    assert_eq!(body("y = a\n  + b"), ["y = (+ a b)"]);
    assert_eq!(body("y = a\n  - b"), ["y = (- a b)"]);
    assert_eq!(body("y = a\n  .b"), ["y = (field a b)"]);
    assert_eq!(body("y = a\n  |> b"), ["y = (|> a b)"]);
    assert_eq!(body("minimize a\n  by b\n  with c"), ["minimize a :by b :with c"]);
    assert_eq!(body("record a\n  every 1 ms"), ["record a :every 1_ms"]);
    assert_eq!(body("simulate n\n  for 1 s\n  step 1 ms"), ["simulate n :for 1_s :step 1_ms"]);
    assert_eq!(body("weight w: nS\n  shared"), ["weight w: nS :shared"]);
}

#[test]
fn a_line_that_starts_anew() {
    let text = "fn f(x) = {\n  let a = x\n  -a\n}";
    assert_eq!(print_ast(&parsed(text).file), "fn f (x) =\n  let a = x\n  (neg a)\n");
    assert_eq!(body("y = a\nby = b\nwith' = c\nover += 1"), ["y = a", "by = b", "with' = c", "over += 1"]);
    assert_eq!(body("record a\nevery 5 ms { v = 0 }"), ["record a", "every 5_ms", "  v = 0"]);
    assert_eq!(body("record a\nevery 5 ms: v = 0"), ["record a", "every 5_ms", "  v = 0"]);
    assert_eq!(body("y = a\nfor k in b { z = k }"), ["y = a", "for k in b", "  z = k"]);
    assert_eq!(body("y = a\non kick { z = 1 }"), ["y = a", "on kick", "  z = 1"]);
    assert_eq!(body("y = a\nwhen c { z = 1 }"), ["y = a", "when c", "  z = 1"]);
    let scaled = "fn f(x) = {\n  let scale = x\n  scale * x\n}";
    assert_eq!(print_ast(&parsed(scaled).file), "fn f (x) =\n  let scale = x\n  (* scale x)\n");
}

#[test]
fn blocks_and_semicolons_separate() {
    assert_eq!(body("a = 1; b = 2;"), ["a = 1", "b = 2"]);
    assert_eq!(
        body("on a { x = 1 } on b { x = 2 } solve v by rk4"),
        ["on a", "  x = 1", "on b", "  x = 2", "solve v :by rk4"]
    );
    assert_eq!(body("when c\n{ x = 1 }"), ["when c", "  x = 1"]);
    assert_eq!(body(";;\n;"), Vec::<String>::new());
}

#[test]
fn comments_do_not_separate() {
    assert_eq!(body("y = a // one\n  // two\n  + b // three"), ["y = (+ a b)"]);
}

#[test]
fn documents() {
    let text = "//! file\n/// one\n/// two\nneuron A {\n  /// three\n  param p = 3 /// not this\n}\n";
    let printed = print_ast(&parsed(text).file);
    assert_eq!(printed, "//! file\n/// one\n/// two\nneuron A ()\n  /// three\n  param p = 3\n");
}
