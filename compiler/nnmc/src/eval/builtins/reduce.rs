//! Reductions: over all elements, or along `axis`.

use nnm_graph::ShapeError;
use nnm_graph::ir::{Binary, Graph, NodeId, Reduce, Unary};

use super::{Builtin, done};
use crate::eval::Call;
use crate::eval::operators::Operand;
use crate::session::Session;
use crate::unit::Unit;
use crate::value::{Num, Value};

pub const FUNCTIONS: &[Builtin] = &[
    Builtin {
        name: "sum",
        about: "`sum(x)`, `sum(x, axis = k)`: the sum of the elements; `keep = true` leaves the axis, of length 1; in a rule `sum(w over post)`: over the synapses of the same target",
        run: sum,
    },
    Builtin {
        name: "mean",
        about: "`mean(x)`, `mean(x, axis = k)`: the mean of the elements; `keep = true` leaves the axis, of length 1",
        run: mean,
    },
    Builtin { name: "prod", about: "`prod(x)`: the product of plain numbers", run: prod },
    Builtin {
        name: "var",
        about: "`var(x)`, `var(x, axis = k)`: the mean squared distance from the mean",
        run: |s, c| spread(s, c, false),
    },
    Builtin {
        name: "std",
        about: "`std(x)`, `std(x, axis = k)`: the square root of `var`",
        run: |s, c| spread(s, c, true),
    },
    Builtin { name: "fraction", about: "`fraction(c)`: how many of the conditions hold, 0 to 1", run: fraction },
    Builtin {
        name: "any",
        about: "`any(c)`: whether at least one condition holds",
        run: |s, c| logical(s, c, Reduce::Max),
    },
    Builtin {
        name: "every_one",
        about: "`every_one(c)`: whether all conditions hold",
        run: |s, c| logical(s, c, Reduce::Min),
    },
    Builtin { name: "norm", about: "`norm(x)`: sqrt(sum(x^2))", run: norm },
    Builtin {
        name: "argmax",
        about: "`argmax(x)`, `argmax(x, axis = k)`: the place of the largest element",
        run: argmax,
    },
    Builtin { name: "dot", about: "`dot(a, b)`: sum(a * b)", run: dot },
    Builtin { name: "cosine", about: "`cosine(a, b)`: dot(a, b) / (norm(a) norm(b))", run: cosine },
    Builtin {
        name: "softmax",
        about: "`softmax(x)`: exp(x) / sum(exp(x)) along the last axis",
        run: |s, c| along_last(s, c, |g, n, a| g.softmax(n, a)),
    },
    Builtin {
        name: "log_softmax",
        about: "`log_softmax(x)`: x - log(sum(exp(x))) along the last axis",
        run: |s, c| along_last(s, c, |g, n, a| g.log_softmax(n, a)),
    },
    Builtin {
        name: "logsumexp",
        about: "`logsumexp(x)`: log(sum(exp(x))) along the last axis",
        run: |s, c| along_last(s, c, |g, n, a| g.logsumexp(n, a)),
    },
    Builtin { name: "cumsum", about: "`cumsum(x)`: running sums along the last axis (or `axis = k`)", run: cumsum },
];

/// The axis asked for: `Some(None)` where none is.
fn axis_of(s: &mut Session, call: &Call) -> Option<Option<usize>> {
    if let Some(axis) = end_axis(s, call) {
        return Some(Some(axis));
    }
    let Some(axis) = s.optional_int(call, "axis", -8)? else { return Some(None) };
    if axis >= 0 {
        return Some(Some(axis as usize));
    }
    // From the last axis on: -1 is the last.
    let x = s.num_arg(call, 0, "x")?;
    let rank = s.shape(&x.num).map_or(0, |shape| shape.len()) as i64;
    Some(Some((rank + axis).max(0) as usize))
}

/// In a rule `axis = post` and `axis = pre` go over the targets or the senders of a connection.
fn end_axis(s: &mut Session, call: &Call) -> Option<usize> {
    let e = call.named("axis")?;
    let (_, expr) = s.bare_expr(call.scope, e);
    let nnm_syntax::ast::ExprKind::Name(name) = &expr.kind else { return None };
    let axis = ["post", "pre"].iter().position(|end| end == name)?;
    // In a rule that is looked at by itself the ends are not known yet.
    let is_end = match s.local(call.scope, name, expr.span) {
        Some(Value::Names(_)) => true,
        Some(Value::Num(num)) => matches!(num.repr, crate::value::Repr::Unknown),
        _ => false,
    };
    is_end.then_some(axis)
}

/// Reduces along the axis of the call, or everything.
pub fn reduce(s: &mut Session, call: &Call, op: Reduce, unit: impl Fn(&Unit) -> Unit) -> Option<Num> {
    let x = s.num_arg(call, 0, "x")?;
    reduce_of(s, call, x, op, unit)
}

fn reduce_of(s: &mut Session, call: &Call, x: Operand, op: Reduce, unit: impl Fn(&Unit) -> Unit) -> Option<Num> {
    let axis = axis_of(s, call)?;
    let unit = unit(&x.num.unit);
    let times = x.num.times.clone().filter(|_| axis.is_some_and(|a| a > 0));
    let keep = keeps(s, call)? || end_axis(s, call).is_some();
    let out = s.apply(call.span, unit, &[&x.num], |g, n| {
        let reduced = reduce_axis(g, op, n[0], axis)?;
        if keep { with_axis(g, n[0], reduced, axis) } else { Ok(reduced) }
    });
    Some(Num { times, ..out })
}

/// Whether a reduced axis stays, with length 1.
fn keeps(s: &mut Session, call: &Call) -> Option<bool> {
    match call.named("keep") {
        Some(id) => Some(s.known(call.scope, id, "`keep`")?.as_f64()? != 0.0),
        None => Some(false),
    }
}

/// A reduced value with the axes that it was reduced along, of length 1.
fn with_axis(g: &mut Graph, x: NodeId, reduced: NodeId, axis: Option<usize>) -> Result<NodeId, ShapeError> {
    let mut shape = g.shape(x).to_vec();
    match axis {
        Some(axis) => shape.iter_mut().skip(axis).take(1).for_each(|n| *n = 1),
        None => shape.fill(1),
    }
    g.reshape(reduced, &shape)
}

fn reduce_axis(g: &mut Graph, op: Reduce, x: NodeId, axis: Option<usize>) -> Result<NodeId, ShapeError> {
    match axis {
        Some(axis) => g.reduce(op, x, &[axis]),
        None => g.reduce_all(op, x),
    }
}

fn sum(s: &mut Session, call: &Call) -> Value {
    if let Some(end) = call.clause("over") {
        let x = s.num_arg(call, 0, "x");
        return done(x.and_then(|x| s.sum_over_end(call.scope, &x, end, call.span)));
    }
    let span = call.positional(0).map_or(call.span, |id| s.expr_span(call.scope, id));
    match s.arg(call, 0, "x") {
        Some(Value::Params(tree)) => Value::Num(sum_of_tree(s, &tree, call)),
        Some(value) => done((|| {
            let x = Operand { num: s.number(value, span)?, span };
            reduce_of(s, call, x, Reduce::Sum, Unit::clone)
        })()),
        None => s.error("E0222", call.span, "`sum` needs `x`"),
    }
}

/// The sum of all elements of all tensors.
fn sum_of_tree(s: &mut Session, tree: &crate::value::Params, call: &Call) -> Num {
    let mut total = Num::real(0.0);
    for num in tree.values() {
        let part = s.apply(call.span, Unit::REAL, &[num], |g, n| g.reduce_all(Reduce::Sum, n[0]));
        total = s.binary(Binary::Add, &total, &part, Unit::REAL, call.span);
    }
    total
}

fn mean(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let x = s.num_arg(call, 0, "x")?;
        let axis = axis_of(s, call)?;
        let mean = mean_of(s, call, &x, axis);
        if !keeps(s, call)? {
            return Some(mean);
        }
        Some(s.apply(call.span, mean.unit.clone(), &[&x.num, &mean], |g, n| with_axis(g, n[0], n[1], axis)))
    })())
}

pub fn mean_of(s: &mut Session, call: &Call, x: &Operand, axis: Option<usize>) -> Num {
    let times = x.num.times.clone().filter(|_| axis.is_some_and(|a| a > 0));
    let keep = end_axis(s, call).is_some();
    let out = s.apply(call.span, x.num.unit.clone(), &[&x.num], |g, n| {
        let axes: Vec<usize> = match axis {
            Some(axis) => vec![axis],
            None => (0..g.shape(n[0]).len()).collect(),
        };
        let y = g.mean(n[0], &axes)?;
        if keep { with_axis(g, n[0], y, axis) } else { Ok(y) }
    });
    Num { times, ..out }
}

fn prod(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let x = s.num_arg(call, 0, "x")?;
        s.plain(&x, "prod")?;
        reduce(s, call, Reduce::Prod, |_| Unit::REAL)
    })())
}

pub fn extremum(s: &mut Session, call: &Call, op: Binary) -> Value {
    let op = if op == Binary::Max { Reduce::Max } else { Reduce::Min };
    done(reduce(s, call, op, Unit::clone))
}

fn spread(s: &mut Session, call: &Call, root: bool) -> Value {
    done((|| {
        let x = s.num_arg(call, 0, "x")?;
        let axis = axis_of(s, call)?;
        let keep = keeps(s, call)?;
        let unit = x.num.unit.power(2.0)?;
        let out = s.apply(call.span, unit, &[&x.num], |g, n| {
            let axes: Vec<usize> = match axis {
                Some(axis) => vec![axis],
                None => (0..g.shape(n[0]).len()).collect(),
            };
            let mean = g.mean(n[0], &axes)?;
            let mut kept = g.shape(n[0]).to_vec();
            for a in &axes {
                if let Some(k) = kept.get_mut(*a) {
                    *k = 1;
                }
            }
            let mean = g.reshape(mean, &kept)?;
            let d = g.binary(Binary::Sub, n[0], mean)?;
            let square = g.binary(Binary::Mul, d, d)?;
            let out = g.mean(square, &axes)?;
            if keep { g.reshape(out, &kept) } else { Ok(out) }
        });
        Some(if root { s.unary(Unary::Sqrt, &out, x.num.unit, call.span) } else { out })
    })())
}

fn fraction(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let x = s.num_arg(call, 0, "condition")?;
        s.plain(&x, "fraction")?;
        let out = mean_of(s, call, &x, None);
        Some(Num { unit: Unit::parse("%").unwrap_or(Unit::REAL), ..out })
    })())
}

fn logical(s: &mut Session, call: &Call, op: Reduce) -> Value {
    done((|| {
        let x = s.num_arg(call, 0, "condition")?;
        s.plain(&x, &call.name)?;
        reduce(s, call, op, |_| Unit::REAL)
    })())
}

fn norm(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let x = s.num_arg(call, 0, "x")?;
        Some(norm_of(s, call, &x))
    })())
}

fn norm_of(s: &mut Session, call: &Call, x: &Operand) -> Num {
    s.apply(call.span, x.num.unit.clone(), &[&x.num], |g, n| {
        let square = g.binary(Binary::Mul, n[0], n[0])?;
        let sum = g.reduce_all(Reduce::Sum, square)?;
        g.unary(Unary::Sqrt, sum)
    })
}

fn argmax(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let x = s.num_arg(call, 0, "x")?;
        let axis = axis_of(s, call)?;
        Some(s.apply(call.span, Unit::REAL, &[&x.num], |g, n| match axis {
            Some(axis) => g.argmax(n[0], axis),
            None => {
                let length: usize = g.shape(n[0]).iter().product();
                let flat = g.reshape(n[0], &[length])?;
                g.argmax(flat, 0)
            }
        }))
    })())
}

fn dot_of(s: &mut Session, call: &Call, a: &Operand, b: &Operand) -> Num {
    s.apply(call.span, a.num.unit.times(&b.num.unit), &[&a.num, &b.num], |g, n| {
        let product = g.binary(Binary::Mul, n[0], n[1])?;
        g.reduce_all(Reduce::Sum, product)
    })
}

fn dot(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let (a, b) = (s.num_arg(call, 0, "a")?, s.num_arg(call, 1, "b")?);
        Some(dot_of(s, call, &a, &b))
    })())
}

fn cosine(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let (a, b) = (s.num_arg(call, 0, "a")?, s.num_arg(call, 1, "b")?);
        let product = dot_of(s, call, &a, &b);
        let (na, nb) = (norm_of(s, call, &a), norm_of(s, call, &b));
        let scale = s.mul(&na, &nb, call.span);
        Some(s.binary(Binary::Div, &product, &scale, Unit::REAL, call.span))
    })())
}

fn along_last(s: &mut Session, call: &Call, f: fn(&mut Graph, NodeId, usize) -> Result<NodeId, ShapeError>) -> Value {
    done((|| {
        let x = s.num_arg(call, 0, "x")?;
        s.plain(&x, &call.name)?;
        let axis = axis_of(s, call)?;
        Some(s.apply(call.span, Unit::REAL, &[&x.num], |g, n| {
            let last = g.shape(n[0]).len().saturating_sub(1);
            f(g, n[0], axis.unwrap_or(last))
        }))
    })())
}

fn cumsum(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let x = s.num_arg(call, 0, "x")?;
        let axis = axis_of(s, call)?;
        Some(s.apply(call.span, x.num.unit.clone(), &[&x.num], |g, n| {
            let last = g.shape(n[0]).len().saturating_sub(1);
            g.cumsum(n[0], axis.unwrap_or(last), false)
        }))
    })())
}
