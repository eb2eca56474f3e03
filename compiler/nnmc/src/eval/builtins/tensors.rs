//! Making and reshaping tensors.

use super::{Builtin, done};
use crate::eval::Call;
use crate::session::Session;
use crate::unit::Unit;
use crate::value::{Num, Value, vector};

pub const FUNCTIONS: &[Builtin] = &[
    Builtin {
        name: "linspace",
        about: "`linspace(a, b, n)`: n equally spaced numbers from a to b, both included; inside a population n is its size",
        run: linspace,
    },
    Builtin { name: "zeros", about: "`zeros(n, …)`: a tensor of zeros", run: |s, c| filled(s, c, 0.0) },
    Builtin { name: "ones", about: "`ones(n, …)`: a tensor of ones", run: |s, c| filled(s, c, 1.0) },
    Builtin { name: "range", about: "`range(n)`: 0, 1, … n - 1", run: range },
    Builtin { name: "arange", about: "`arange(n)`: 0, 1, … n - 1", run: range },
    Builtin { name: "length", about: "`length(x)`: how many elements the first axis has", run: length },
    Builtin {
        name: "transpose",
        about: "`transpose(x)`: the last two axes exchanged; `transpose(x, 2, 0, 1)`: its axes in this order",
        run: transpose,
    },
    Builtin {
        name: "reshape",
        about: "`x.reshape(a, b)`, `reshape(x, [a, b])`: the same elements in another shape, where one length may be -1; `reshape(x, like = y)`: in the shape of y",
        run: reshape,
    },
    Builtin { name: "flatten", about: "`flatten(x)`: all elements along one axis", run: flatten },
    Builtin {
        name: "split",
        about: "`split(x, heads)`: [T, d] to [heads, T, d / heads]; axes before them pass through",
        run: split,
    },
    Builtin { name: "join", about: "`join(x)`: [heads, T, k] to [T, heads * k]; the reverse of `split`", run: join },
    Builtin {
        name: "columns",
        about: "`columns(W)`: the columns of a matrix along a new first axis; `columns(a .. b)` inside `csv`: columns side by side",
        run: columns,
    },
    Builtin {
        name: "concat",
        about: "`concat(a, b, axis = 0)`: one after the other, also along `axis = -1`; of data, all rows",
        run: concat,
    },
    Builtin {
        name: "one_hot",
        about: "`one_hot(label)`, `one_hot(k, n)`: 1 at the label's place, else 0; a label is a whole number from 0 on below the number of classes",
        run: one_hot,
    },
    Builtin { name: "identity", about: "`identity(n)`: the unit matrix", run: identity },
    Builtin { name: "reverse", about: "`reverse(x)`: the first axis backwards (or `axis = k`)", run: reverse },
];

fn linspace(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let (a, b) = (s.num_arg(call, 0, "a")?, s.num_arg(call, 1, "b")?);
        if !s.same_unit("space between", &a, &b, call.span) {
            return None;
        }
        let n = match call.named("n").or_else(|| call.positional(2)) {
            Some(id) => {
                let n = s.known_int(call.scope, id, "the number of points", 1)? as usize;
                s.spell_length(call.scope, id, n);
                n
            }
            None => match s.local(call.scope, "n", call.span) {
                Some(Value::Num(n)) => n.as_f64()? as usize,
                _ => {
                    s.error("E0222", call.span, "`linspace` needs how many points: `linspace(a, b, n)`");
                    return None;
                }
            },
        };
        let unit = a.num.unit.join(&b.num.unit);
        let (Some(from), Some(to)) = (a.num.as_f64(), b.num.as_f64()) else { return Some(Num::unknown(unit)) };
        let last = (n.max(2) - 1) as f64;
        let values = (0..n).map(|k| from + (to - from) * k as f64 / last).collect();
        Some(Num::array(unit, vector(values)))
    })())
}

fn sizes(s: &mut Session, call: &Call, from: usize) -> Option<Vec<usize>> {
    let lengths: Option<Vec<usize>> = (from..call.count())
        .map(|k| Some(s.known_int(call.scope, call.positional(k)?, "a length", 0)? as usize))
        .collect();
    let lengths = lengths?;
    let bytes = 8.0 * lengths.iter().map(|n| *n as f64).product::<f64>();
    let room = s.host.memory().map_or(1e15, |bytes| bytes as f64);
    if bytes > room {
        let (bytes, room) = (crate::network::bytes_text(bytes), crate::network::bytes_text(room));
        s.error("E0308", call.span, format!("a tensor of this size takes {bytes} of memory, and there are {room}"));
        return None;
    }
    Some(lengths)
}

fn filled(s: &mut Session, call: &Call, value: f64) -> Value {
    let Some(shape) = sizes(s, call, 0) else { return Value::Missing };
    let unit = if value == 0.0 { Unit::Zero } else { Unit::REAL };
    let size = shape.iter().product();
    Value::Num(Num::array(unit, crate::value::shaped(&shape, vec![value; size])))
}

fn range(s: &mut Session, call: &Call) -> Value {
    if call.positional(0).is_some_and(|id| is_unknown(s, call, id)) {
        return Value::Num(Num::unknown(Unit::REAL));
    }
    let Some(n) = s.int_arg(call, 0, "n", 0) else { return Value::Missing };
    Value::Num(Num::array(Unit::REAL, vector((0..n).map(|k| k as f64).collect())))
}

fn length(s: &mut Session, call: &Call) -> Value {
    match s.arg(call, 0, "x") {
        Some(Value::List(items)) => Value::real(items.len() as f64),
        Some(Value::Data(data)) if data.is_open() => Value::Num(Num::unknown(Unit::REAL)),
        Some(Value::Data(data)) => Value::real(data.rows as f64),
        Some(Value::Missing) | None => Value::Missing,
        Some(other) => done((|| {
            let num = s.number(other, call.span)?;
            Some(match s.shape(&num) {
                Some(shape) => Num::real(shape.first().copied().unwrap_or(1) as f64),
                None => Num::unknown(Unit::REAL),
            })
        })()),
    }
}

fn transpose(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let x = s.num_arg(call, 0, "x")?;
        if call.count() > 1 {
            let unit = x.num.unit.clone();
            let Some(axes) = lengths(s, call)? else { return Some(Num::unknown(unit)) };
            let axes: Vec<usize> = axes.into_iter().map(|a| a.max(0) as usize).collect();
            return Some(s.apply(call.span, unit, &[&x.num], |g, n| g.permute(n[0], &axes)));
        }
        let own = s.cells_in(call.scope).and_then(|cells| s.own_axes(&x.num, &cells)).filter(|own| *own > 1);
        Some(s.apply(call.span, x.num.unit.clone(), &[&x.num], |g, n| match own {
            // The last two axes of a cell's array have the population's behind them.
            Some(own) => {
                let mut axes: Vec<usize> = (0..g.shape(n[0]).len()).collect();
                axes.swap(own - 2, own - 1);
                g.permute(n[0], &axes)
            }
            None => g.transpose(n[0]),
        }))
    })())
}

fn columns(s: &mut Session, call: &Call) -> Value {
    match super::data::table_columns(s, call) {
        Some(value) => value,
        None => transpose(s, call),
    }
}

/// Whether an argument is a size that is not known yet, as while a declaration is checked alone.
fn is_unknown(s: &mut Session, call: &Call, id: nnm_syntax::ast::ExprId) -> bool {
    matches!(s.eval(call.scope, id), Value::Num(Num { repr: crate::value::Repr::Unknown, .. }) | Value::Missing)
}

/// The lengths after the first argument, side by side or as a list; `None` inside where one is not known yet. -1 stands
/// for what is left.
fn lengths(s: &mut Session, call: &Call) -> Option<Option<Vec<i64>>> {
    let mut out = vec![];
    for k in 1..call.count() {
        let id = call.positional(k)?;
        let x = s.operand(call.scope, id)?;
        let Some(array) = x.num.as_const().cloned() else { return Some(None) };
        for value in array.iter() {
            if value.fract() != 0.0 || *value < -1.0 {
                s.error("E0308", x.span, format!("a length is a whole number, or -1 for what is left, not {value}"));
                return None;
            }
            out.push(*value as i64);
        }
    }
    if out.iter().filter(|n| **n < 0).count() > 1 {
        s.error("E0308", call.span, "only one length may be -1, for what is left");
        return None;
    }
    Some(Some(out))
}

/// Lengths with what is left in place of -1.
fn filled_in(lengths: &[i64], have: usize) -> Vec<usize> {
    let known: i64 = lengths.iter().filter(|n| **n >= 0).product();
    let left = have as i64 / known.max(1);
    lengths.iter().map(|n| if *n < 0 { left } else { *n } as usize).collect()
}

fn reshape(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let x = s.num_arg(call, 0, "x")?;
        let unit = x.num.unit.clone();
        if let Some(like) = call.named("like") {
            let like = s.operand(call.scope, like)?;
            return Some(s.apply(call.span, unit, &[&x.num, &like.num], |g, n| {
                let shape = g.shape(n[1]).to_vec();
                g.reshape(n[0], &shape)
            }));
        }
        let Some(lengths) = lengths(s, call)? else { return Some(Num::unknown(unit)) };
        Some(s.apply(call.span, unit, &[&x.num], |g, n| {
            let have: usize = g.shape(n[0]).iter().product();
            let shape = filled_in(&lengths, have);
            let wanted: usize = shape.iter().product();
            let first = g.shape(n[0]).first().copied().unwrap_or(1);
            // Rows of data and lists of images keep their leading axis.
            if have != wanted && wanted * first == have {
                let mut full = vec![first];
                full.extend(&shape);
                return g.reshape(n[0], &full);
            }
            g.reshape(n[0], &shape)
        }))
    })())
}

fn flatten(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let x = s.num_arg(call, 0, "x")?;
        Some(s.apply(call.span, x.num.unit.clone(), &[&x.num], |g, n| {
            let length: usize = g.shape(n[0]).iter().product();
            g.reshape(n[0], &[length])
        }))
    })())
}

fn split(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let x = s.num_arg(call, 0, "x")?;
        let heads = s.num_arg(call, 1, "heads")?.num.as_f64();
        let Some(heads) = heads.map(|h| h as usize) else { return Some(Num::unknown(x.num.unit)) };
        if s.shape(&x.num).is_some_and(|shape| shape.len() < 2) {
            s.error("E0301", x.span, "`split` takes [T, d]: one row a position");
            return None;
        }
        let last = s.shape(&x.num).and_then(|shape| shape.last().copied());
        if let Some(d) = last.filter(|d| heads == 0 || !d.is_multiple_of(heads)) {
            let message = format!("{d} elements of a position do not part into {heads} heads of one size");
            let d = nnm_syntax::diag::Diagnostic::error("E0301", call.span, message)
                .help("choose a width that the number of heads divides");
            s.report(d);
            return None;
        }
        Some(s.apply(call.span, x.num.unit.clone(), &[&x.num], |g, n| {
            let shape = g.shape(n[0]).to_vec();
            let (before, last) = shape.split_at(shape.len() - 2);
            let parts = g.reshape(n[0], &[before, &[last[0], heads, last[1] / heads.max(1)]].concat())?;
            let axes = exchanged(before.len());
            g.permute(parts, &axes)
        }))
    })())
}

/// The order of axes that exchanges two of the last three, `k` standing before them.
fn exchanged(k: usize) -> Vec<usize> {
    (0..k).chain([k + 1, k, k + 2]).collect()
}

fn join(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let x = s.num_arg(call, 0, "x")?;
        if s.shape(&x.num).is_some_and(|shape| shape.len() < 3) {
            s.error("E0301", x.span, "`join` takes [heads, T, k], as `split` gives it");
            return None;
        }
        Some(s.apply(call.span, x.num.unit.clone(), &[&x.num], |g, n| {
            let shape = g.shape(n[0]).to_vec();
            let (before, last) = shape.split_at(shape.len() - 3);
            let axes = exchanged(before.len());
            let moved = g.permute(n[0], &axes)?;
            g.reshape(moved, &[before, &[last[1], last[0] * last[2]]].concat())
        }))
    })())
}

fn concat(s: &mut Session, call: &Call) -> Value {
    if let Some(Value::Data(_)) = s.arg(call, 0, "a") {
        return super::data::concat(s, call);
    }
    done((|| {
        let axis = s.optional_int(call, "axis", -8)?.unwrap_or(0);
        let mut parts = vec![];
        for k in 0..call.count() {
            parts.push(s.num_arg(call, k, "part")?);
        }
        for pair in parts.windows(2) {
            if !s.same_unit("join", &pair[0], &pair[1], call.span) {
                return None;
            }
        }
        let unit = parts.first()?.num.unit.clone();
        let nums: Vec<&Num> = parts.iter().map(|p| &p.num).collect();
        Some(s.apply(call.span, unit, &nums, |g, n| {
            let rank = n.first().map_or(0, |x| g.shape(*x).len()) as i64;
            let axis = if axis < 0 { (rank + axis).max(0) } else { axis };
            g.concat(axis as usize, n)
        }))
    })())
}

fn one_hot(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let x = s.num_arg(call, 0, "label")?;
        let n = match (call.positional(1), x.num.class) {
            (Some(id), _) => s.known_int(call.scope, id, "the number of classes", 1)? as usize,
            (None, Some(class)) => class,
            (None, None) => {
                if s.shape(&x.num).is_some() {
                    s.error("E0222", call.span, "`one_hot` needs how many classes there are: `one_hot(k, n)`");
                    return None;
                }
                return Some(Num::unknown(Unit::REAL));
            }
        };
        if let Some(class) = x.num.class.filter(|class| *class > n) {
            let (class, n) = (s.length_text(class), s.length_text(n));
            s.error("E0318", call.span, format!("a label of {class} classes has no place among {n}"));
            return None;
        }
        let classes = Num::array(Unit::REAL, vector((0..n).map(|k| k as f64).collect()));
        if let Some(cells) = s.cells_in(call.scope)
            && let Some(own) = s.own_axes(&x.num, &cells)
        {
            // Of each cell: the classes are an axis of its own.
            let label = s.place_within(&x.num, n, call.span);
            return Some(s.apply(call.span, Unit::REAL, &[&label, &classes], |g, m| {
                let behind = g.shape(m[0]).len() - own;
                let shape = [g.shape(m[0])[..own].to_vec(), vec![1], g.shape(m[0])[own..].to_vec()].concat();
                let label = g.reshape(m[0], &shape)?;
                let classes = g.reshape(m[1], &[vec![n], vec![1; behind]].concat())?;
                g.binary(nnm_graph::ir::Binary::Eq, label, classes)
            }));
        }
        Some(s.apply(call.span, Unit::REAL, &[&x.num, &classes], |g, m| {
            let mut shape = g.shape(m[0]).to_vec();
            shape.push(1);
            // Of the classes at the labels' places, for a label that is none of them is refused there.
            let label = g.gather(m[1], 0, m[0])?;
            let label = g.reshape(label, &shape)?;
            g.binary(nnm_graph::ir::Binary::Eq, label, m[1])
        }))
    })())
}

fn identity(s: &mut Session, call: &Call) -> Value {
    let Some(n) = s.int_arg(call, 0, "n", 1) else { return Value::Missing };
    let n = n as usize;
    let values = (0..n * n).map(|k| f64::from(k / n == k % n)).collect();
    Value::Num(Num::array(Unit::REAL, crate::value::shaped(&[n, n], values)))
}

fn reverse(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let x = s.num_arg(call, 0, "x")?;
        let axis = s.optional_int(call, "axis", 0)?.unwrap_or(0) as usize;
        Some(s.apply(call.span, x.num.unit.clone(), &[&x.num], |g, n| g.reverse(n[0], axis)))
    })())
}
