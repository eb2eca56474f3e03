//! Every derivative against central finite differences, first and second order.

mod common;

use common::{Numbers, Values, flat};
use nnm_graph::ir::{Binary, Conv, Graph, NodeId, Op, Place, Pool, Reduce, Unary};
use nnm_graph::{Built, ShapeError, grad};

type Inputs = &'static [(&'static [usize], bool, (f64, f64))];

struct Case {
    name: &'static str,
    inputs: Inputs,
    build: fn(&mut Graph, &[NodeId]) -> Built,
}

const BATCH: usize = 3;
const ANY: (f64, f64) = (-1.5, 1.5);
const POSITIVE: (f64, f64) = (0.3, 2.0);
const INSIDE: (f64, f64) = (-0.8, 0.8);

fn unary_cases() -> Vec<(Unary, (f64, f64))> {
    use Unary::*;
    let any = [Neg, Exp, Expm1, Sin, Cos, Tan, Atan, Sinh, Cosh, Tanh, Sigmoid, Softplus, Erf, Floor, Ceil];
    let positive = [Abs, Sign, Sqrt, Log, Log1p, Not, Trunc, Round];
    let inside = [Asin, Acos];
    let with = |ops: &[Unary], range| ops.iter().map(|op| (*op, range)).collect::<Vec<_>>();
    [with(&any, INSIDE), with(&positive, POSITIVE), with(&inside, INSIDE)].concat()
}

fn binary_cases() -> Vec<Binary> {
    use Binary::*;
    vec![Add, Sub, Mul, Div, Min, Max, Pow, Atan2, Eq, Ne, Lt, Le, Gt, Ge, And, Or]
}

fn conv(stride: usize, pad: usize, groups: usize) -> Conv {
    Conv { stride: [stride, 1], pad: [[pad, 0], [0, pad]], groups }
}

const POOL: Pool = Pool { size: [2, 3], stride: [2, 1] };

const CASES: &[Case] = &[
    Case {
        name: "select",
        inputs: &[(&[4], true, ANY), (&[4], false, ANY), (&[], true, ANY)],
        build: |g, x| {
            let zero = g.constant(0.0);
            let c = g.binary(Binary::Gt, x[0], zero)?;
            let (a, b) = (g.binary(Binary::Mul, x[1], x[0])?, g.binary(Binary::Mul, x[2], x[2])?);
            g.select(c, a, b)
        },
    },
    Case {
        name: "broadcast",
        inputs: &[(&[3], false, ANY), (&[2, 1], true, ANY), (&[2, 3], true, ANY)],
        build: |g, x| {
            let (a, b) = (g.broadcast_to(x[0], &[2, 3])?, g.broadcast_to(x[1], &[2, 3])?);
            let ab = g.binary(Binary::Mul, a, b)?;
            let abc = g.binary(Binary::Mul, ab, x[2])?;
            g.binary(Binary::Mul, abc, a)
        },
    },
    Case {
        name: "reshape permute",
        inputs: &[(&[2, 3, 4], true, ANY), (&[4, 6], false, ANY)],
        build: |g, x| {
            let p = g.permute(x[0], &[2, 0, 1])?;
            let r = g.reshape(p, &[4, 6])?;
            let square = g.binary(Binary::Mul, r, r)?;
            let product = g.binary(Binary::Mul, square, x[1])?;
            g.transpose(product)
        },
    },
    Case {
        name: "slice unslice concat reverse",
        inputs: &[(&[5, 4], false, ANY), (&[2, 4], true, ANY)],
        build: |g, x| {
            let s = g.slice(x[0], 0, 1, 2, 2)?;
            let m = g.binary(Binary::Mul, s, x[1])?;
            let c = g.concat(0, &[m, x[1], s])?;
            let r = g.reverse(c, 0)?;
            let rc = g.binary(Binary::Mul, r, c)?;
            g.unslice(rc, 1, 1, 2, 9)
        },
    },
    Case {
        name: "stack at",
        inputs: &[(&[3], true, ANY), (&[3], false, ANY)],
        build: |g, x| {
            let s = g.stack(1, &[x[0], x[1], x[0]])?;
            let a = g.at(s, 1, 1)?;
            let a = g.expand(a, 1)?;
            g.binary(Binary::Mul, s, a)
        },
    },
    Case {
        name: "gather scatter",
        inputs: &[(&[4, 3], false, ANY), (&[2, 3], true, ANY)],
        build: |g, x| {
            let i = g.tensor(common::array(&[2], vec![3.0, 1.0]));
            let a = g.gather(x[0], 0, i)?;
            let m = g.binary(Binary::Mul, a, x[1])?;
            let s = g.scatter_add(m, 0, i, &[5, 3])?;
            g.binary(Binary::Mul, s, s)
        },
    },
    Case {
        name: "scatter extremes",
        inputs: &[(&[5, 3], true, ANY), (&[4, 3], false, ANY)],
        build: |g, x| {
            let i = g.tensor(common::array(&[5], vec![3.0, 1.0, 1.0, 0.0, 3.0]));
            let a = g.scatter(Reduce::Max, x[0], 0, i, &[4, 3])?;
            let b = g.scatter(Reduce::Min, x[0], 0, i, &[4, 3])?;
            // What no element comes to is infinite: it is left out.
            let a = g.binary(Binary::Max, a, x[1])?;
            let b = g.binary(Binary::Min, b, x[1])?;
            g.binary(Binary::Mul, a, b)
        },
    },
    Case {
        name: "gather inner",
        inputs: &[(&[2, 3, 2], true, ANY)],
        build: |g, x| {
            let i = g.tensor(common::array(&[2, 2], vec![2.0, 0.0, 0.0, 1.0]));
            let a = g.gather(x[0], 1, i)?;
            g.binary(Binary::Mul, a, a)
        },
    },
    Case {
        name: "sum",
        inputs: &[(&[2, 3, 2], true, ANY), (&[2], false, ANY)],
        build: |g, x| {
            let square = g.binary(Binary::Mul, x[0], x[0])?;
            let s = g.reduce(Reduce::Sum, square, &[1, 2])?;
            g.binary(Binary::Mul, s, x[1])
        },
    },
    Case {
        name: "max min prod mean",
        inputs: &[(&[3, 4], true, POSITIVE), (&[3, 4], false, POSITIVE)],
        build: |g, x| {
            let m = g.binary(Binary::Mul, x[0], x[1])?;
            let a = g.reduce(Reduce::Max, m, &[1])?;
            let b = g.reduce(Reduce::Min, m, &[1])?;
            let c = g.reduce(Reduce::Prod, m, &[1])?;
            let d = g.mean(m, &[1])?;
            g.stack(0, &[a, b, c, d])
        },
    },
    Case {
        name: "products with zeros",
        inputs: &[(&[2, 4], true, ANY)],
        build: |g, x| {
            let zeros = g.tensor(common::array(&[2, 4], vec![1.0, 0.0, 2.0, 1.0, 0.0, 1.0, 0.0, 3.0]));
            let m = g.binary(Binary::Mul, x[0], zeros)?;
            let all = g.reduce(Reduce::Prod, m, &[1])?;
            let some = g.reduce(Reduce::Prod, x[0], &[0, 1])?;
            g.binary(Binary::Add, all, some)
        },
    },
    Case {
        name: "cumprod",
        inputs: &[(&[3, 5], true, ANY)],
        build: |g, x| {
            let a = g.cumprod(x[0], 1, false, false)?;
            let b = g.cumprod(x[0], 0, true, true)?;
            g.binary(Binary::Mul, a, b)
        },
    },
    Case {
        name: "cumsum",
        inputs: &[(&[3, 4], true, ANY)],
        build: |g, x| {
            let square = g.binary(Binary::Mul, x[0], x[0])?;
            let a = g.cumsum(square, 1, false)?;
            let b = g.cumsum(x[0], 0, true)?;
            g.binary(Binary::Mul, a, b)
        },
    },
    Case {
        name: "batch sum",
        inputs: &[(&[3], true, ANY), (&[3], false, ANY)],
        build: |g, x| {
            let m = g.binary(Binary::Mul, x[0], x[0])?;
            let m = g.binary(Binary::Pow, m, x[1])?;
            let s = g.batch_sum(m)?;
            let t = g.batch_sum(x[1])?;
            let product = g.binary(Binary::Mul, s, x[0])?;
            g.binary(Binary::Mul, product, t)
        },
    },
    Case {
        name: "matmul layer",
        inputs: &[(&[4, 3], false, ANY), (&[3], true, ANY), (&[4], false, ANY)],
        build: |g, x| {
            let y = g.matmul(x[0], x[1])?;
            let y = g.binary(Binary::Add, y, x[2])?;
            g.unary(Unary::Tanh, y)
        },
    },
    Case {
        name: "matmul vectors",
        inputs: &[(&[4], true, ANY), (&[4, 2], false, ANY), (&[2], true, ANY), (&[3, 2, 4], true, ANY)],
        build: |g, x| {
            let row = g.matmul(x[0], x[1])?;
            let dot = g.matmul(row, x[2])?;
            let stack = g.matmul(x[3], x[0])?;
            g.binary(Binary::Mul, stack, dot)
        },
    },
    Case {
        name: "matmul stacks",
        inputs: &[(&[2, 3, 4], true, ANY), (&[4, 2], false, ANY), (&[1, 2, 3], false, ANY)],
        build: |g, x| {
            let a = g.matmul(x[0], x[1])?;
            let b = g.matmul(x[2], a)?;
            let t = g.transpose(a)?;
            let c = g.matmul(t, x[0])?;
            let c = g.slice(c, 2, 0, 1, 2)?;
            g.binary(Binary::Mul, b, c)
        },
    },
    Case {
        name: "matmul transposed",
        inputs: &[(&[4, 3], true, ANY), (&[2, 4], false, ANY)],
        build: |g, x| {
            let (a, b) = (g.transpose(x[0])?, g.transpose(x[1])?);
            g.matmul(a, b)
        },
    },
    Case {
        name: "outer",
        inputs: &[(&[3], true, ANY), (&[2], true, ANY)],
        build: |g, x| {
            let o = g.outer(x[0], x[1])?;
            g.batch_sum(o)
        },
    },
    Case {
        name: "conv",
        inputs: &[(&[4, 5, 4], true, ANY), (&[6, 2, 3, 2], false, ANY)],
        build: |g, x| {
            let y = g.conv2d(x[0], x[1], conv(2, 1, 2))?;
            g.binary(Binary::Mul, y, y)
        },
    },
    Case {
        name: "conv grads",
        inputs: &[(&[2, 4, 4], true, ANY), (&[3, 2, 2, 2], false, ANY), (&[3, 4, 4], true, ANY)],
        build: |g, x| {
            let c = conv(1, 1, 1);
            let a = g.conv2d_input_grad(x[2], x[1], c, &[2, 4, 4])?;
            let b = g.conv2d_weight_grad(x[0], x[2], c, &[3, 2, 2, 2])?;
            let a = g.reduce_all(Reduce::Sum, a)?;
            g.binary(Binary::Mul, a, b)
        },
    },
    Case {
        name: "max pool",
        inputs: &[(&[2, 5, 4], true, ANY), (&[2, 5, 4], false, ANY)],
        build: |g, x| {
            let m = g.binary(Binary::Mul, x[0], x[1])?;
            let y = g.max_pool(m, POOL)?;
            let z = g.max_pool_grad(m, y, POOL)?;
            g.max_pool_take(m, z, POOL)
        },
    },
    Case {
        name: "avg pool",
        inputs: &[(&[2, 5, 4], true, ANY), (&[2, 5, 4], false, ANY)],
        build: |g, x| {
            let m = g.binary(Binary::Mul, x[0], x[1])?;
            let y = g.avg_pool(m, POOL)?;
            let yy = g.binary(Binary::Mul, y, y)?;
            g.avg_pool_grad(yy, POOL, &[2, 5, 4])
        },
    },
    Case {
        name: "softmax",
        inputs: &[(&[2, 4], true, ANY), (&[2, 4], false, ANY)],
        build: |g, x| {
            let m = g.binary(Binary::Mul, x[0], x[1])?;
            let a = g.softmax(m, 1)?;
            let b = g.log_softmax(m, 0)?;
            let c = g.logsumexp(m, 0)?;
            let ab = g.binary(Binary::Mul, a, b)?;
            g.binary(Binary::Add, ab, c)
        },
    },
    Case {
        name: "scalars",
        inputs: &[(&[], true, POSITIVE), (&[], false, POSITIVE), (&[3], false, POSITIVE)],
        build: |g, x| {
            let a = g.binary(Binary::Pow, x[2], x[0])?;
            let b = g.binary(Binary::Div, a, x[1])?;
            g.unary(Unary::Sqrt, b)
        },
    },
];

/// Σ over elements and samples of `y` times fixed numbers.
fn weighted(graph: &mut Graph, y: NodeId, numbers: &mut Numbers) -> Built {
    let shape = graph.shape(y).to_vec();
    let weights = graph.tensor(numbers.array(&shape, 0.5, 1.5));
    let product = graph.binary(Binary::Mul, y, weights)?;
    let sum = graph.reduce_all(Reduce::Sum, product)?;
    if graph.node(sum).batched { graph.batch_sum(sum) } else { Ok(sum) }
}

/// The derivative of `loss` by every input against finite differences; gives the derivatives.
fn check(name: &str, graph: &mut Graph, values: &Values, loss: NodeId, inputs: &[NodeId]) -> Vec<Option<NodeId>> {
    let one = graph.constant(1.0);
    let grads = grad(graph, &[(loss, one)], inputs).unwrap();
    for (k, (input, grad)) in inputs.iter().zip(&grads).enumerate() {
        let expected = differences(graph, values, loss, *input);
        let Some(grad) = grad else {
            assert!(expected.iter().all(|d| d.abs() < 1e-6), "{name}: input {k} has a derivative: {expected:?}");
            continue;
        };
        assert_eq!(graph.shape(*grad), graph.shape(*input), "{name}: input {k}");
        let found = flat(&values.eval(graph, &[*grad])[0]);
        let repeat = expected.len() / found.len();
        let found: Vec<f64> = found.iter().copied().cycle().take(found.len() * repeat).collect();
        for (e, f) in expected.iter().zip(&found) {
            assert!((e - f).abs() <= 1e-6 * (1.0 + e.abs()), "{name}: input {k}\n{expected:?}\n{found:?}");
        }
    }
    grads
}

fn differences(graph: &Graph, values: &Values, loss: NodeId, input: NodeId) -> Vec<f64> {
    let Op::Read { var, place: Place::Whole } = graph.node(input).op else { panic!("an input is a var") };
    let base = values.of[&var].clone();
    let h = 1e-5;
    (0..base.len())
        .map(|i| {
            let at = |by: f64| {
                let mut moved = values.clone();
                let mut data = flat(&base);
                data[i] += by;
                moved.of.insert(var, common::array(base.shape(), data));
                flat(&moved.eval(graph, &[loss])[0])[0]
            };
            (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h)
        })
        .collect()
}

/// First and second order.
fn check_both(name: &str, inputs: &[(&[usize], bool, (f64, f64))], build: &dyn Fn(&mut Graph, &[NodeId]) -> Built) {
    let mut graph = Graph::default();
    let mut numbers = Numbers(name.len() as u64 * 77 + 5);
    let mut values = Values::new(BATCH);
    let reads: Vec<NodeId> = inputs
        .iter()
        .map(|(shape, batched, range)| values.var(&mut graph, &mut numbers, shape, *batched, *range))
        .collect();
    let run = |graph: &mut Graph, numbers: &mut Numbers| -> Result<(), ShapeError> {
        let y = build(graph, &reads)?;
        let loss = weighted(graph, y, numbers)?;
        let grads = check(name, graph, &values, loss, &reads);
        let mut second = graph.constant(0.0);
        for grad in grads.into_iter().flatten() {
            let part = weighted(graph, grad, numbers)?;
            second = graph.binary(Binary::Add, second, part)?;
        }
        check(&format!("{name}, second order"), graph, &values, second, &reads);
        Ok(())
    };
    run(&mut graph, &mut numbers).unwrap();
}

#[test]
fn structure_and_reductions() {
    for case in CASES {
        check_both(case.name, case.inputs, &case.build);
    }
}

#[test]
fn unary_functions() {
    let cases = unary_cases();
    assert_eq!(cases.len(), nnm_graph::ops::unary::UNARIES.len());
    for (op, range) in cases {
        let build = move |g: &mut Graph, x: &[NodeId]| {
            let y = g.unary(op, x[0])?;
            g.binary(Binary::Mul, y, x[1])
        };
        check_both(op.def().name, &[(&[5], true, range), (&[5], false, ANY)], &build);
        check_both(op.def().name, &[(&[], false, range), (&[5], true, ANY)], &build);
    }
}

#[test]
fn binary_functions() {
    let cases = binary_cases();
    assert_eq!(cases.len(), nnm_graph::ops::binary::BINARIES.len());
    let shapes: [Inputs; 4] = [
        &[(&[4], true, POSITIVE), (&[4], false, POSITIVE)],
        &[(&[3, 1], false, POSITIVE), (&[2], true, POSITIVE)],
        &[(&[], true, POSITIVE), (&[4], false, POSITIVE)],
        &[(&[4], true, POSITIVE), (&[], false, POSITIVE)],
    ];
    for op in cases {
        for inputs in shapes {
            let build = move |g: &mut Graph, x: &[NodeId]| {
                let y = g.binary(op, x[0], x[1])?;
                let z = g.binary(Binary::Mul, y, x[0])?;
                let half = g.constant(0.7);
                let w = g.binary(op, x[1], half)?;
                g.binary(Binary::Add, z, w)
            };
            check_both(op.def().name, inputs, &build);
        }
    }
}

#[test]
fn surrogate_and_stop() {
    let mut g = Graph::default();
    let mut values = Values::new(1);
    let x = values.var_of(&mut g, common::array(&[2], vec![0.5, -0.25]), false);
    let zero = g.constant(0.0);
    let step = g.binary(Binary::Gt, x, zero).unwrap();
    let soft = g.unary(Unary::Sigmoid, x).unwrap();
    let spike = g.surrogate(step, soft).unwrap();
    let stopped = g.stop_gradient(x).unwrap();
    let y = g.binary(Binary::Mul, spike, stopped).unwrap();
    let one = g.constant(1.0);
    let dx = grad(&mut g, &[(y, one)], &[x]).unwrap()[0].unwrap();
    let got = values.eval(&g, &[y, dx]);
    let slope = |x: f64| 1.0 / (1.0 + (-x).exp()) / (1.0 + x.exp());
    assert_eq!(flat(&got[0]), vec![0.5, 0.0]);
    let expected = [0.5 * slope(0.5), -0.25 * slope(-0.25)];
    assert!(flat(&got[1]).iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12));
}

#[test]
fn stops_at_interior_nodes() {
    let mut g = Graph::default();
    let mut values = Values::new(1);
    let x = values.var_of(&mut g, common::array(&[2], vec![0.5, -0.25]), false);
    let h = g.unary(Unary::Tanh, x).unwrap();
    let y = g.binary(Binary::Mul, h, x).unwrap();
    let one = g.constant(1.0);
    let grads = grad(&mut g, &[(y, one)], &[x, h]).unwrap();
    assert_eq!(grads, vec![Some(h), Some(x)]);
    let none = g.constant(4.0);
    assert_eq!(grad(&mut g, &[(y, one)], &[none]).unwrap(), vec![None]);
}
