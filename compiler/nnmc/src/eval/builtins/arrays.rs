//! Arrays as in numpy: what their shape is, elements by index along any axis, edges, order, comparison as a whole.

use nnm_graph::ShapeError;
use nnm_graph::ir::{Graph, NodeId, Reduce};
use nnm_syntax::ast::ExprId;
use nnm_syntax::span::Span;

use super::reduce::axis_of;
use super::{Builtin, done};
use crate::eval::Call;
use crate::eval::operators::Operand;
use crate::session::Session;
use crate::unit::Unit;
use crate::value::{Num, Repr, Value, shaped, vector};

pub const FUNCTIONS: &[Builtin] = &[
    Builtin { name: "shape", about: "`shape(x)`: its lengths, one for each axis", run: shape },
    Builtin {
        name: "take",
        about: "`take(x, places, axis = 0)`: the elements of x at places along an axis; the shape of the places stands in its stead",
        run: take,
    },
    Builtin {
        name: "scatter",
        about: "`scatter(x, places, n)`: n zeros along the first axis, plus the elements of x at their places: the reverse of `take`; `reduce = \"max\"`, `\"min\"`: the largest, the smallest of those that share a place, -inf, inf where there are none",
        run: scatter,
    },
    Builtin {
        name: "broadcast",
        about: "`broadcast(x, [a, b])`: x repeated to a larger shape, trailing axes aligned",
        run: broadcast,
    },
    Builtin {
        name: "pad",
        about: "`pad(x, [[a, b], [c, d]], value = 0)`: so many elements before and after along the last axes, negative numbers cut off; `mode = \"edge\"`, `\"reflect\"`, `\"wrap\"` instead of a value",
        run: pad,
    },
    Builtin {
        name: "argsort",
        about: "`argsort(x)`, `argsort(x, axis = k, descending = true)`: the places of the elements in order along the last axis; equal ones keep theirs",
        run: argsort,
    },
    Builtin {
        name: "all_close",
        about: "`all_close(a, b, rtol = 1e-5, atol = 1e-8)`: whether both have one shape and \\|a - b\\| <= atol + rtol \\|b\\| everywhere; NaN equals NaN, inf equals inf",
        run: all_close,
    },
];

fn shape(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let x = s.num_arg(call, 0, "x")?;
        Some(match s.shape(&x.num) {
            Some(shape) => Num::array(Unit::REAL, vector(shape.into_iter().map(|n| n as f64).collect())),
            None => Num::unknown(Unit::REAL),
        })
    })())
}

/// Reports places that are no plain numbers.
fn places_of(s: &mut Session, call: &Call) -> Option<Operand> {
    let places = s.num_arg(call, 1, "places")?;
    if places.num.unit.is_real() {
        return Some(places);
    }
    let message = format!("a place is a whole number, not {}", places.num.unit.describe());
    s.error("E0308", places.span, message);
    None
}

/// Whether places may be inside of an axis; reports one that is known and is not.
fn good_places(s: &mut Session, places: &Operand, length: usize) -> bool {
    let wrong = |k: &f64| k.fract() != 0.0 || *k < 0.0 || *k >= length as f64;
    let Some(k) = places.num.as_const().and_then(|known| known.iter().copied().find(wrong)) else { return true };
    let (code, message) = match k.fract() != 0.0 {
        true => ("E0308", format!("a place is a whole number, not {k}")),
        false => ("E0316", format!("the place {k} is outside of 0 .. {length}")),
    };
    s.error(code, places.span, message);
    false
}

fn take(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let x = s.num_arg(call, 0, "x")?;
        let places = places_of(s, call)?;
        let axis = axis_of(s, call, &x.num)?.filter(|_| call.named("axis").is_some()).unwrap_or(0);
        if let Some(shape) = s.shape(&x.num)
            && let Some(length) = shape.get(axis).copied()
            && !good_places(s, &places, length)
        {
            return None;
        }
        if let Some(cells) = s.cells_in(call.scope)
            && let Some(own) = s.own_axes(&x.num, &cells).filter(|own| *own > 0)
            && s.shape(&places.num).is_some_and(|shape| !shape.is_empty())
            && s.own_axes(&places.num, &cells).is_some()
        {
            return s.pick_in_cell(&x.num, (axis, own), &places.num, &cells, call.span);
        }
        let unit = x.num.unit.clone();
        Some(s.apply(call.span, unit, &[&x.num, &places.num], |g, n| g.gather(n[0], axis, n[1])))
    })())
}

fn scatter(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let x = s.num_arg(call, 0, "x")?;
        let places = places_of(s, call)?;
        let Some(n) = s.num_arg(call, 2, "n")?.num.as_f64() else { return Some(Num::unknown(x.num.unit)) };
        if !good_places(s, &places, n as usize) {
            return None;
        }
        let reduce = reduce_of(s, call)?;
        let unit = x.num.unit.clone();
        Some(s.apply(call.span, unit, &[&x.num, &places.num], |g, m| {
            let (whole, index) = (g.shape(m[0]).to_vec(), g.shape(m[1]).to_vec());
            let rest = whole.get(index.len()..).unwrap_or(&[]);
            let to = [&[n as usize], rest].concat();
            g.scatter(reduce, m[0], 0, m[1], &to)
        }))
    })())
}

/// How `scatter` joins what has the same place.
fn reduce_of(s: &mut Session, call: &Call) -> Option<Reduce> {
    let Some(id) = call.named("reduce") else { return Some(Reduce::Sum) };
    let known = [("sum", Reduce::Sum), ("max", Reduce::Max), ("min", Reduce::Min)];
    choice(s, call, id, "reduce", &known)
}

/// Numbers, their shape, and where they are written.
type KnownList = (Vec<f64>, Vec<usize>, Span);

/// The numbers of an argument that is known before the run, `None` inside where it is not known yet.
fn known_list(s: &mut Session, call: &Call, k: usize, name: &str) -> Option<Option<KnownList>> {
    let x = s.num_arg(call, k, name)?;
    if let Repr::Node(_) = x.num.repr {
        s.error("E0307", x.span, format!("`{name}` is known before the run"));
        return None;
    }
    Some(x.num.as_const().map(|a| (a.iter().copied().collect(), a.shape().to_vec(), x.span)))
}

fn broadcast(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let x = s.num_arg(call, 0, "x")?;
        let unit = x.num.unit.clone();
        let Some((lengths, _, span)) = known_list(s, call, 1, "shape")? else { return Some(Num::unknown(unit)) };
        if let Some(wrong) = lengths.iter().find(|n| n.fract() != 0.0 || **n < 0.0) {
            s.error("E0308", span, format!("a length is a whole number from 0 on, not {wrong}"));
            return None;
        }
        let to: Vec<usize> = lengths.iter().map(|n| *n as usize).collect();
        Some(s.apply(call.span, unit, &[&x.num], |g, n| g.broadcast_to(n[0], &to)))
    })())
}

/// What stands beyond the ends of an axis.
#[derive(Clone, Copy, PartialEq)]
enum Beyond {
    Value,
    Edge,
    Reflect,
    Wrap,
}

fn pad(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let x = s.num_arg(call, 0, "x")?;
        let unit = x.num.unit.clone();
        let beyond = beyond_of(s, call)?;
        let value = match call.named("value") {
            Some(_) => s.num_arg(call, usize::MAX, "value")?,
            None => Operand { num: Num::scalar(Unit::Zero, 0.0), span: call.span },
        };
        if !s.same_unit("pad with", &x, &value, call.span) {
            return None;
        }
        let Some((widths, form, span)) = known_list(s, call, 1, "widths")? else { return Some(Num::unknown(unit)) };
        let rank = s.shape(&x.num).map_or(usize::MAX, |shape| shape.len());
        let pairs = form.len() == 2 && form[1] == 2 && form[0] <= rank;
        if !pairs || widths.iter().any(|w| w.fract() != 0.0) {
            let message = "`pad` takes a pair of whole numbers for each of the last axes: `[[1, 1], [2, 2]]`";
            s.error("E0233", span, message);
            return None;
        }
        Some(s.apply(call.span, unit, &[&x.num, &value.num], |g, n| padded(g, n[0], n[1], &widths, beyond)))
    })())
}

fn beyond_of(s: &mut Session, call: &Call) -> Option<Beyond> {
    let Some(id) = call.named("mode") else { return Some(Beyond::Value) };
    let known =
        [("value", Beyond::Value), ("edge", Beyond::Edge), ("reflect", Beyond::Reflect), ("wrap", Beyond::Wrap)];
    choice(s, call, id, "mode", &known)
}

/// One of some texts; the first stands for one that is not known yet.
fn choice<T: Copy>(s: &mut Session, call: &Call, id: ExprId, what: &str, known: &[(&str, T)]) -> Option<T> {
    match s.eval(call.scope, id) {
        Value::Text(text) => {
            if let Some((_, mode)) = known.iter().find(|(name, _)| **name == *text) {
                return Some(*mode);
            }
            let names: Vec<String> = known.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            let span = s.expr_span(call.scope, id);
            let message = format!("`{}` has no {what} \"{text}\"; there are {}", call.name, names.join(", "));
            s.error("E0234", span, message);
            None
        }
        // Known by its type alone, while a function is checked.
        Value::Num(num) if matches!(num.repr, Repr::Unknown) => known.first().map(|(_, first)| *first),
        Value::Missing => None,
        _ => {
            s.error("E0230", call.span, format!("`{}` takes a text for `{what}`", call.name));
            None
        }
    }
}

fn padded(g: &mut Graph, x: NodeId, value: NodeId, widths: &[f64], beyond: Beyond) -> Result<NodeId, ShapeError> {
    let mut out = x;
    let first = g.shape(x).len() - widths.len() / 2;
    for (k, pair) in widths.chunks_exact(2).enumerate() {
        let (axis, before, after) = (first + k, pair[0] as i64, pair[1] as i64);
        out = match beyond {
            Beyond::Value => with_value(g, out, value, axis, [before, after])?,
            _ => from_inside(g, out, axis, [before, after], beyond)?,
        };
    }
    Ok(out)
}

/// An axis with a value before and after it.
fn with_value(g: &mut Graph, x: NodeId, value: NodeId, axis: usize, [a, b]: [i64; 2]) -> Result<NodeId, ShapeError> {
    let extent = g.shape(x)[axis] as i64;
    let (start, len) = ((-a).max(0), extent + a.min(0) + b.min(0));
    let kept = if len == extent { x } else { g.slice(x, axis, start as usize, 1, len.max(0) as usize)? };
    let mut parts = vec![];
    for (place, width) in [(0, a), (2, b)] {
        if width > 0 {
            let mut shape = g.shape(kept).to_vec();
            shape[axis] = width as usize;
            parts.push((place, g.broadcast_to(value, &shape)?));
        }
    }
    parts.push((1, kept));
    parts.sort_by_key(|(place, _)| *place);
    let parts: Vec<NodeId> = parts.into_iter().map(|(_, part)| part).collect();
    g.concat(axis, &parts)
}

/// An axis that goes on beyond its ends with elements of its own.
fn from_inside(
    g: &mut Graph,
    x: NodeId,
    axis: usize,
    [before, after]: [i64; 2],
    beyond: Beyond,
) -> Result<NodeId, ShapeError> {
    let n = g.shape(x)[axis] as i64;
    let places: Vec<f64> = (-before..n + after).map(|k| inside(k, n, beyond) as f64).collect();
    let places = g.tensor(vector(places));
    g.gather(x, axis, places)
}

/// The element that stands at place k of an axis of n.
fn inside(k: i64, n: i64, beyond: Beyond) -> i64 {
    match beyond {
        Beyond::Reflect if n > 1 => {
            let round = k.rem_euclid(2 * (n - 1));
            round.min(2 * (n - 1) - round)
        }
        Beyond::Wrap => k.rem_euclid(n.max(1)),
        _ => k.clamp(0, (n - 1).max(0)),
    }
}

fn flag(s: &mut Session, call: &Call, name: &str) -> Option<bool> {
    match call.named(name) {
        Some(id) => Some(s.known(call.scope, id, &format!("`{name}`"))?.as_f64()? != 0.0),
        None => Some(false),
    }
}

fn argsort(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let x = s.num_arg(call, 0, "x")?;
        let axis = axis_of(s, call, &x.num)?;
        let descending = flag(s, call, "descending")?;
        Some(s.apply(call.span, Unit::REAL, &[&x.num], |g, n| {
            let last = g.shape(n[0]).len().saturating_sub(1);
            g.argsort(n[0], axis.unwrap_or(last), descending)
        }))
    })())
}

fn tolerance(s: &mut Session, call: &Call, name: &str, default: f64) -> Option<f64> {
    match call.named(name) {
        Some(id) => s.known(call.scope, id, &format!("`{name}`"))?.as_f64(),
        None => Some(default),
    }
}

fn all_close(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let (a, b) = (s.num_arg(call, 0, "a")?, s.num_arg(call, 1, "b")?);
        if !s.same_unit("compare", &a, &b, call.span) {
            return None;
        }
        let (rtol, atol) = (tolerance(s, call, "rtol", 1e-5)?, tolerance(s, call, "atol", 1e-8)?);
        let (Some(x), Some(y)) = (a.num.as_const(), b.num.as_const()) else {
            if matches!(a.num.repr, Repr::Node(_)) || matches!(b.num.repr, Repr::Node(_)) {
                s.error("E0235", call.span, "`all_close` compares what is known: use it in an experiment");
                return None;
            }
            return Some(Num::unknown(Unit::REAL));
        };
        let close = |x: f64, y: f64| x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() <= atol + rtol * y.abs();
        let all = x.shape() == y.shape() && x.iter().zip(y.iter()).all(|(x, y)| close(*x, *y));
        Some(Num::array(Unit::REAL, shaped(&[], vec![f64::from(all)])))
    })())
}
