//! What the builder makes of things: shapes, errors, simplification, shared nodes; printing and checking.

mod common;

use common::{Numbers, Values, array, flat};
use nnm_graph::ir::*;
use nnm_kir::ir::{Int, LoopId, Precision, SlotId};

struct Start {
    g: Graph,
    values: Values,
    numbers: Numbers,
}

impl Start {
    fn new() -> Start {
        Start { g: Graph::default(), values: Values::new(3), numbers: Numbers(1) }
    }

    fn var(&mut self, shape: &[usize], batched: bool) -> NodeId {
        self.values.var(&mut self.g, &mut self.numbers, shape, batched, (0.5, 1.5))
    }
}

#[test]
fn neutral_elements_vanish() {
    let mut s = Start::new();
    let x = s.var(&[2, 3], true);
    let [zero, one, two] = [0.0, 1.0, 2.0].map(|c| s.g.constant(c));
    let ones = s.g.filled(1.0, &[3]);
    let b = |g: &mut Graph, op, a, b| g.binary(op, a, b).unwrap();
    assert_eq!(b(&mut s.g, Binary::Add, x, zero), x);
    assert_eq!(b(&mut s.g, Binary::Mul, ones, x), x);
    assert_eq!(b(&mut s.g, Binary::Div, x, one), x);
    assert_eq!(b(&mut s.g, Binary::Pow, x, one), x);
    let none = b(&mut s.g, Binary::Mul, x, zero);
    assert_eq!((s.g.constant_value(none), s.g.shape(none)), (Some(0.0), &[2, 3][..]));
    let square = b(&mut s.g, Binary::Pow, x, two);
    assert_eq!(square, b(&mut s.g, Binary::Mul, x, x));
    let minus = s.g.unary(Unary::Neg, x).unwrap();
    assert_eq!(s.g.unary(Unary::Neg, minus).unwrap(), x);
    assert_eq!(s.g.select(one, x, minus).unwrap(), x);
    let (left, right) = (b(&mut s.g, Binary::Add, x, square), b(&mut s.g, Binary::Add, square, x));
    assert_eq!(left, right);
}

#[test]
fn structure_that_does_nothing_vanishes() {
    let mut s = Start::new();
    let x = s.var(&[2, 3], false);
    let t = s.g.transpose(x).unwrap();
    assert_eq!(s.g.transpose(t).unwrap(), x);
    let flat = s.g.reshape(x, &[6]).unwrap();
    assert_eq!(s.g.reshape(flat, &[2, 3]).unwrap(), x);
    let r = s.g.reverse(x, 1).unwrap();
    assert_eq!(s.g.reverse(r, 1).unwrap(), x);
    let both = s.g.concat(0, &[x, r]).unwrap();
    assert_eq!(s.g.slice(both, 0, 2, 1, 2).unwrap(), r);
    let wide = s.g.broadcast_to(x, &[4, 2, 3]).unwrap();
    let sum = s.g.reduce(Reduce::Sum, wide, &[0]).unwrap();
    let four = s.g.constant(4.0);
    assert_eq!(sum, s.g.binary(Binary::Mul, x, four).unwrap());
}

#[test]
fn constants_are_computed() {
    let mut g = Graph::default();
    let x = g.tensor(array(&[2], vec![1.0, 4.0]));
    let root = g.unary(Unary::Sqrt, x).unwrap();
    let three = g.constant(3.0);
    let sum = g.binary(Binary::Add, root, three).unwrap();
    assert!(matches!(&g.node(sum).op, Op::Tensor(t) if flat(&t.0) == vec![4.0, 5.0]));
    let same = g.tensor(array(&[3], vec![2.0; 3]));
    assert_eq!(g.constant_value(same), Some(2.0));
}

#[test]
fn sums_over_samples_move_inside() {
    let mut s = Start::new();
    let (x, w) = (s.var(&[3], true), s.var(&[3], false));
    let product = s.g.binary(Binary::Mul, x, w).unwrap();
    let sum = s.g.batch_sum(product).unwrap();
    let inner = s.g.batch_sum(x).unwrap();
    assert_eq!(sum, s.g.binary(Binary::Mul, inner, w).unwrap());
    let samples = s.g.batch_sum(w).unwrap();
    assert_eq!(flat(&s.values.eval(&s.g, &[samples])[0])[0], 3.0 * flat(&s.values.eval(&s.g, &[w])[0])[0]);
}

#[test]
fn shape_errors_say_what_met() {
    let mut s = Start::new();
    let (a, b) = (s.var(&[2, 3], false), s.var(&[4], true));
    let error = s.g.binary(Binary::Mul, a, b).unwrap_err();
    assert_eq!((error.op, error.shapes.clone()), ("mul", vec![vec![2, 3], vec![4]]));
    assert_eq!(error.to_string(), "`mul` of [2, 3] and [4]: the shapes do not broadcast");
    let error = s.g.matmul(a, b).unwrap_err();
    assert_eq!(error.to_string(), "`matmul` of [2, 3] and [4]: 4 columns meet 3 rows");
    assert!(s.g.reduce(Reduce::Sum, b, &[1]).is_err());
    assert!(s.g.slice(a, 1, 2, 1, 2).is_err());
    assert!(s.g.reshape(a, &[5]).is_err());
    let pool = Pool { size: [3, 3], stride: [1, 1] };
    assert!(s.g.max_pool(a, pool).is_err());
}

#[test]
fn parts_are_exchanged() {
    let mut s = Start::new();
    let (x, y) = (s.var(&[3], true), s.var(&[3], true));
    let c = s.g.constant(2.0);
    let sin = s.g.unary(Unary::Sin, x).unwrap();
    let sum = s.g.binary(Binary::Add, sin, c).unwrap();
    let moved = nnm_graph::substitute(&mut s.g, sum, &|_, id| (id == x).then_some(y)).unwrap();
    let sin = s.g.unary(Unary::Sin, y).unwrap();
    assert_eq!(moved, s.g.binary(Binary::Add, sin, c).unwrap());
    assert_eq!(nnm_graph::free_vars(&s.g, moved), vec![VarId(1)]);
    assert!(
        nnm_graph::depends_on(&s.g, moved, &|id, _| id == y) && !nnm_graph::depends_on(&s.g, moved, &|id, _| id == x)
    );
    let folded = nnm_graph::substitute_reads(&mut s.g, sum, &|_, _| Some(c)).unwrap();
    assert!(s.g.constant_value(folded).is_some());
}

/// A small program with one of most things.
fn program() -> Program {
    let mut g = Graph::default();
    let var = |g: &mut Graph, name: &str, elem, shape: &[usize], batched, times| {
        g.add_var(Var { name: name.into(), elem, shape: shape.to_vec(), batched, times })
    };
    let w = var(&mut g, "net.w", VarElem::Real, &[2, 3], false, None);
    let x = var(&mut g, "net.x", VarElem::Real, &[3], true, None);
    let h = var(&mut g, "net.h", VarElem::Real, &[2], true, Some(5));
    let t = Int::Loop(LoopId(0));
    let (rw, rx) = (g.read(w, Place::Whole).unwrap(), g.read(x, Place::Whole).unwrap());
    let rh = g.read(h, Place::Time(t.clone())).unwrap();
    let y = g.matmul(rw, rx).unwrap();
    let sum = g.binary(Binary::Add, y, rh).unwrap();
    let half = g.constant(0.5);
    let next = g.binary(Binary::Mul, sum, half).unwrap();
    let noise = g.draw(nnm_kir::ir::Draw::Normal, 255, [t.clone(), Int::Const(0)], &[3], true, None).unwrap();
    let assigns = vec![Assign { to: h, place: Place::Time(t.clone() + 1), add: false, value: next }];
    let body = vec![
        Stmt::Stage {
            about: "noise".into(),
            assigns: vec![Assign { to: x, place: Place::Whole, add: true, value: noise }],
        },
        Stmt::Stage { about: "step".into(), assigns },
    ];
    let body = vec![Stmt::For { index: LoopId(0), from: Int::Const(0), to: Int::Slot(SlotId(1)), down: false, body }];
    let slots = vec!["batch".to_string(), "steps".to_string()];
    Program {
        name: "small".into(),
        precision: Precision::F32,
        graph: g,
        batch: 8,
        slots,
        loops: 1,
        records: Default::default(),
        body,
    }
}

#[test]
fn programs_print() {
    let expected = r#"program small: f32, batch 8, slots batch steps
var net.w: real [2, 3]
var net.x: real [3] batched
var net.h: real [2] batched times 5
for i0 in 0 .. steps {
  stage "noise" {
    %0: [3] batched = normal key 0xff step i0
    net.x += %0
  }
  stage "step" {
    %1: [2, 3] = read net.w
    %2: [3] batched = read net.x
    %3: [2] batched = read net.h[time i0]
    %4: [1, 3] batched = reshape %2
    %5: [1, 2] batched = matmul nt %4, %1
    %6: [2] batched = reshape %5
    %7: [2] batched = add %3, %6
    %8: [2] batched = mul %7, 0.5
    net.h[time i0 + 1] = %8
  }
}
"#;
    let program = program();
    assert_eq!(nnm_graph::print(&program), expected);
    assert!(nnm_graph::dot(&program).starts_with("digraph \"small\" {\n"));
    assert_eq!(nnm_graph::verify(&program), Vec::<String>::new());
}

#[test]
fn faults_are_found() {
    let mut wrong = program();
    wrong.loops = 0;
    assert_eq!(nnm_graph::verify(&wrong), vec!["loop i0 is taken"]);
    let mut wrong = program();
    let Stmt::For { body, .. } = &mut wrong.body[0] else { panic!("a loop") };
    let Stmt::Stage { assigns, .. } = &mut body[1] else { panic!("a stage") };
    assigns[0].place = Place::Other;
    assert_eq!(nnm_graph::verify(&wrong), vec!["step: Other is a place in deliveries only"]);
    let mut wrong = program();
    let last = wrong.graph.nodes.len() - 1;
    wrong.graph.nodes[last].shape = vec![7, 7];
    assert_eq!(nnm_graph::verify(&wrong), vec!["noise: [7, 7] into `net.x` of [3]"]);
    wrong.graph.nodes[last - 1].shape = vec![7, 7];
    assert_eq!(nnm_graph::verify(&wrong).len(), 1);
}
