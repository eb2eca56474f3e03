//! Reductions: over all elements, or along `axis`.

use nnm_graph::ShapeError;
use nnm_graph::ir::{Binary, Graph, NodeId, Reduce, Unary};
use nnm_syntax::span::Span;

use super::{Builtin, done};
use crate::eval::Call;
use crate::eval::operators::Operand;
use crate::session::Session;
use crate::unit::Unit;
use crate::value::{Num, Value};

pub const FUNCTIONS: &[Builtin] = &[
    Builtin {
        name: "sum",
        about: "`sum(x)`, `sum(x, axis = k)`, `sum(x, axis = [j, k])`: the sum of the elements; `keep = true` leaves the axes, of length 1; in a rule `sum(w over post)`, and `mean`, `max`, `min` alike: over the synapses of the same target",
        run: sum,
    },
    Builtin {
        name: "mean",
        about: "`mean(x)`, `mean(x, axis = k)`: the mean of the elements; several axes and `keep` as in `sum`",
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
    Builtin { name: "norm", about: "`norm(x)`, `norm(x, axis = k)`: sqrt(sum(x^2))", run: norm },
    Builtin {
        name: "argmax",
        about: "`argmax(x)`, `argmax(x, axis = k)`: the place of the largest element",
        run: argmax,
    },
    Builtin { name: "dot", about: "`dot(a, b)`: sum(a * b)", run: dot },
    Builtin { name: "cosine", about: "`cosine(a, b)`: dot(a, b) / (norm(a) norm(b))", run: cosine },
    Builtin {
        name: "softmax",
        about: "`softmax(x)`: exp(x) / sum(exp(x)) along the last axis (or `axis = k`)",
        run: |s, c| along_last(s, c, |g, n, a| g.softmax(n, a)),
    },
    Builtin {
        name: "log_softmax",
        about: "`log_softmax(x)`: x - log(sum(exp(x))) along the last axis (or `axis = k`)",
        run: |s, c| along_last(s, c, |g, n, a| g.log_softmax(n, a)),
    },
    Builtin {
        name: "logsumexp",
        about: "`logsumexp(x)`: log(sum(exp(x))) along the last axis (or `axis = k`); `keep` as in `sum`",
        run: logsumexp,
    },
    Builtin {
        name: "cumprod",
        about: "`cumprod(x)`: running products of plain numbers along the last axis (or `axis = k`)",
        run: cumprod,
    },
    Builtin { name: "cumsum", about: "`cumsum(x)`: running sums along the last axis (or `axis = k`)", run: cumsum },
];

/// How many axes of a value, from the first on, are its own. Of an array in a neuron each cell has one, and the
/// population's axes come behind; a number of each cell has those alone, and what reduces it runs over the cells.
fn own_rank(s: &mut Session, call: &Call, x: &Num) -> Option<usize> {
    let rank = s.shape(x)?.len();
    let cells = s.cells_in(call.scope);
    Some(cells.and_then(|cells| s.own_axes(x, &cells)).filter(|own| *own > 0).unwrap_or(rank))
}

/// The axes asked for: `Some(None)` where all are meant. Counted from the last one on where they are negative.
pub fn axes_of(s: &mut Session, call: &Call, x: &Num) -> Option<Option<Vec<usize>>> {
    if let Some(axis) = end_axis(s, call) {
        return Some(Some(vec![axis]));
    }
    let own = own_rank(s, call, x).zip(s.shape(x).map(|shape| shape.len()));
    let Some(id) = call.named("axis") else {
        return Some(own.filter(|(own, rank)| own < rank).map(|(own, _)| (0..own).collect()));
    };
    let at = s.operand(call.scope, id)?;
    let Some(wanted) = at.num.as_const().cloned() else {
        if s.shape(&at.num).is_some() {
            s.error("E0307", at.span, "`axis` is a number, or a list of numbers, that is known before the run");
            return None;
        }
        return Some(Some(vec![]));
    };
    let (Some(shape), Some((own, _))) = (s.shape(x), own) else { return Some(Some(vec![])) };
    let mut axes = vec![];
    for axis in wanted.iter() {
        axes.push(s.axis_among(*axis, &shape[..own], at.span)?);
    }
    axes.sort_unstable();
    axes.dedup();
    Some(Some(axes))
}

/// The one axis asked for, of functions that go along one; the last of an array in a neuron where none is asked for.
pub fn axis_of(s: &mut Session, call: &Call, x: &Num) -> Option<Option<usize>> {
    let Some(axes) = axes_of(s, call, x)? else { return Some(None) };
    if call.named("axis").is_none() {
        return Some(axes.last().copied());
    }
    if axes.len() > 1 {
        let span = call.named("axis").map_or(call.span, |id| s.expr_span(call.scope, id));
        s.error("E0308", span, format!("`{}` goes along one axis, not along {}", call.name, axes.len()));
        return None;
    }
    Some(axes.first().copied().or(Some(0)))
}

impl Session<'_> {
    /// An axis of a shape by its number, -1 being the last.
    pub fn axis_among(&mut self, axis: f64, shape: &[usize], span: Span) -> Option<usize> {
        let rank = shape.len() as f64;
        let place = if axis < 0.0 { rank + axis } else { axis };
        if axis.fract() != 0.0 {
            self.error("E0308", span, format!("an axis is a whole number, not {axis}"));
            return None;
        }
        if !(0.0..rank).contains(&place) {
            let message = format!("{} has no axis {axis}", self.shape_text(shape));
            self.error("E0317", span, message);
            return None;
        }
        Some(place as usize)
    }
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
    let axes = axes_of(s, call, &x.num)?;
    let unit = unit(&x.num.unit);
    let times = kept_times(&x.num, &axes);
    let keep = keeps(s, call)?;
    let out = s.apply(call.span, unit, &[&x.num], |g, n| {
        let axes = all_or(g, n[0], &axes);
        if keep { g.reduce_keep(op, n[0], &axes) } else { g.reduce(op, n[0], &axes) }
    });
    Some(Num { times, ..out })
}

/// A series stays one where the axis of time does.
fn kept_times(x: &Num, axes: &Option<Vec<usize>>) -> Option<std::sync::Arc<crate::value::Times>> {
    x.times.clone().filter(|_| axes.as_ref().is_some_and(|a| !a.contains(&0)))
}

/// The axes given, or all.
fn all_or(g: &Graph, x: NodeId, axes: &Option<Vec<usize>>) -> Vec<usize> {
    axes.clone().unwrap_or_else(|| (0..g.shape(x).len()).collect())
}

/// Whether reduced axes stay, with length 1.
fn keeps(s: &mut Session, call: &Call) -> Option<bool> {
    if end_axis(s, call).is_some() {
        return Some(true);
    }
    match call.named("keep") {
        Some(id) => Some(s.known(call.scope, id, "`keep`")?.as_f64()? != 0.0),
        None => Some(false),
    }
}

fn sum(s: &mut Session, call: &Call) -> Value {
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
        let axes = axes_of(s, call, &x.num)?;
        let keep = keeps(s, call)?;
        Some(mean_of(s, call, &x, axes, keep))
    })())
}

fn mean_of(s: &mut Session, call: &Call, x: &Operand, axes: Option<Vec<usize>>, keep: bool) -> Num {
    let times = kept_times(&x.num, &axes);
    let out = s.apply(call.span, x.num.unit.clone(), &[&x.num], |g, n| mean_along(g, n[0], &axes, keep));
    Num { times, ..out }
}

fn mean_along(g: &mut Graph, x: NodeId, axes: &Option<Vec<usize>>, keep: bool) -> Result<NodeId, ShapeError> {
    let axes = all_or(g, x, axes);
    let mean = g.mean(x, &axes)?;
    if !keep {
        return Ok(mean);
    }
    let mut shape = g.shape(x).to_vec();
    axes.iter().for_each(|a| shape[*a] = 1);
    g.reshape(mean, &shape)
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
        let axes = axes_of(s, call, &x.num)?;
        let keep = keeps(s, call)?;
        let unit = x.num.unit.power(2.0)?;
        let out = s.apply(call.span, unit, &[&x.num], |g, n| {
            let mean = mean_along(g, n[0], &axes, true)?;
            let d = g.binary(Binary::Sub, n[0], mean)?;
            let square = g.binary(Binary::Mul, d, d)?;
            mean_along(g, square, &axes, keep)
        });
        Some(if root { s.unary(Unary::Sqrt, &out, x.num.unit, call.span) } else { out })
    })())
}

fn fraction(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let x = s.num_arg(call, 0, "condition")?;
        s.plain(&x, "fraction")?;
        let axes = axes_of(s, call, &x.num)?;
        let out = mean_of(s, call, &x, axes, false);
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
        let axes = axes_of(s, call, &x.num)?;
        let keep = keeps(s, call)?;
        Some(norm_of(s, call, &x, &axes, keep))
    })())
}

fn norm_of(s: &mut Session, call: &Call, x: &Operand, axes: &Option<Vec<usize>>, keep: bool) -> Num {
    s.apply(call.span, x.num.unit.clone(), &[&x.num], |g, n| {
        let square = g.binary(Binary::Mul, n[0], n[0])?;
        let axes = all_or(g, n[0], axes);
        let sum = if keep { g.reduce_keep(Reduce::Sum, square, &axes) } else { g.reduce(Reduce::Sum, square, &axes) };
        g.unary(Unary::Sqrt, sum?)
    })
}

fn argmax(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let x = s.num_arg(call, 0, "x")?;
        let axis = axis_of(s, call, &x.num)?;
        let keep = keeps(s, call)?;
        Some(s.apply(call.span, Unit::REAL, &[&x.num], |g, n| match axis {
            Some(axis) => {
                let mut shape = g.shape(n[0]).to_vec();
                shape[axis] = 1;
                let place = g.argmax(n[0], axis)?;
                if keep { g.reshape(place, &shape) } else { Ok(place) }
            }
            None => {
                let length: usize = g.shape(n[0]).iter().product();
                let flat = g.reshape(n[0], &[length])?;
                g.argmax(flat, 0)
            }
        }))
    })())
}

fn dot_of(s: &mut Session, call: &Call, a: &Operand, b: &Operand) -> Num {
    let product = s.mul(&a.num, &b.num, call.span);
    let rank = own_rank(s, call, &product).unwrap_or(0);
    let axes: Vec<usize> = (0..rank).collect();
    s.apply(call.span, product.unit.clone(), &[&product], |g, n| g.reduce(Reduce::Sum, n[0], &axes))
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
        let (along_a, along_b) = (axes_of(s, call, &a.num)?, axes_of(s, call, &b.num)?);
        let (na, nb) = (norm_of(s, call, &a, &along_a, false), norm_of(s, call, &b, &along_b, false));
        let scale = s.mul(&na, &nb, call.span);
        Some(s.binary(Binary::Div, &product, &scale, Unit::REAL, call.span))
    })())
}

fn along_last(s: &mut Session, call: &Call, f: fn(&mut Graph, NodeId, usize) -> Result<NodeId, ShapeError>) -> Value {
    done((|| {
        let x = s.num_arg(call, 0, "x")?;
        s.plain(&x, &call.name)?;
        let axis = axis_of(s, call, &x.num)?;
        Some(s.apply(call.span, Unit::REAL, &[&x.num], |g, n| {
            let last = g.shape(n[0]).len().saturating_sub(1);
            f(g, n[0], axis.unwrap_or(last))
        }))
    })())
}

fn logsumexp(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let x = s.num_arg(call, 0, "x")?;
        s.plain(&x, &call.name)?;
        let axis = axis_of(s, call, &x.num)?;
        let keep = keeps(s, call)?;
        Some(s.apply(call.span, Unit::REAL, &[&x.num], |g, n| {
            let mut shape = g.shape(n[0]).to_vec();
            let axis = axis.unwrap_or(shape.len().saturating_sub(1));
            let out = g.logsumexp(n[0], axis)?;
            shape.iter_mut().skip(axis).take(1).for_each(|n| *n = 1);
            if keep { g.reshape(out, &shape) } else { Ok(out) }
        }))
    })())
}

fn cumprod(s: &mut Session, call: &Call) -> Value {
    along_last(s, call, |g, n, axis| g.cumprod(n, axis, false, false))
}

fn cumsum(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let x = s.num_arg(call, 0, "x")?;
        let axis = axis_of(s, call, &x.num)?;
        Some(s.apply(call.span, x.num.unit.clone(), &[&x.num], |g, n| {
            let last = g.shape(n[0]).len().saturating_sub(1);
            g.cumsum(n[0], axis.unwrap_or(last), false)
        }))
    })())
}
