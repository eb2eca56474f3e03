//! Element-wise functions.

use nnm_graph::ir::{Binary, Reduce, Unary};
use nnm_syntax::ast::BinaryOp;
use nnm_syntax::diag::Diagnostic;

use super::{Builtin, done};
use crate::eval::Call;
use crate::eval::operators::Operand;
use crate::session::Session;
use crate::unit::Unit;
use crate::value::{Num, Value};

macro_rules! plain {
    ($($name:literal, $op:ident, $about:literal;)*) => {
        &[$(Builtin { name: $name, about: $about, run: |s, c| plain_function(s, c, Unary::$op) },)*
          Builtin { name: "abs", about: "`abs(x)`: |x|; keeps the unit", run: |s, c| keeping(s, c, Unary::Abs) },
          Builtin { name: "floor", about: "`floor(x)`: the largest whole number not above x", run: |s, c| plain_function(s, c, Unary::Floor) },
          Builtin { name: "ceil", about: "`ceil(x)`: the smallest whole number not below x", run: |s, c| plain_function(s, c, Unary::Ceil) },
          Builtin { name: "round", about: "`round(x)`: the nearest whole number, halves to even", run: |s, c| plain_function(s, c, Unary::Round) },
          Builtin { name: "trunc", about: "`trunc(x)`: the whole number next to x towards 0", run: |s, c| plain_function(s, c, Unary::Trunc) },
          Builtin { name: "sign", about: "`sign(x)`: -1, 0 or 1", run: sign },
          Builtin { name: "sqrt", about: "`sqrt(x)`: the square root; halves the unit's exponents", run: sqrt },
          Builtin { name: "sin", about: "`sin(x)`, x in rad or deg", run: |s, c| plain_function(s, c, Unary::Sin) },
          Builtin { name: "cos", about: "`cos(x)`, x in rad or deg", run: |s, c| plain_function(s, c, Unary::Cos) },
          Builtin { name: "tan", about: "`tan(x)`, x in rad or deg", run: |s, c| plain_function(s, c, Unary::Tan) },
          Builtin { name: "min", about: "`min(a, b)`, element by element; `min(x)`, `min(x, axis = k)`: the smallest element", run: |s, c| extremum(s, c, Binary::Min) },
          Builtin { name: "max", about: "`max(a, b)`, element by element; `max(x)`, `max(x, axis = k)`: the largest element", run: |s, c| extremum(s, c, Binary::Max) },
          Builtin { name: "clamp", about: "`clamp(x, a, b)`: x, held between a and b", run: clamp },
          Builtin { name: "pow", about: "`pow(x, y)`: x^y", run: pow },
          Builtin { name: "atan2", about: "`atan2(y, x)`: the angle of the point (x, y), in rad", run: atan2 },
          Builtin {
        name: "distance",
        about: "`distance(a, b)` between points, the last axis their components; `period = L` (or one for each component): on a torus",
        run: distance,
    },
    Builtin { name: "whole_steps", about: "`whole_steps(x)`: a time in steps of the simulation, rounded; a warning where a known one is no whole number of them", run: whole_steps },
    Builtin { name: "mod", about: "`mod(a, b)`: a - b * floor(a / b)", run: modulo },
          Builtin { name: "angle_difference", about: "`angle_difference(a, b)`: a - b, wrapped to (-180 deg, 180 deg]", run: angle_difference },
        ]
    };
}

pub const FUNCTIONS: &[Builtin] = plain! {
    "exp", Exp, "`exp(x)`: e^x; x is a plain number";
    "expm1", Expm1, "`expm1(x)`: e^x - 1, exact near 0";
    "log", Log, "`log(x)`: the natural logarithm";
    "ln", Log, "`ln(x)`: the natural logarithm";
    "log1p", Log1p, "`log1p(x)`: log(1 + x), exact near 0";
    "asin", Asin, "`asin(x)`, in rad";
    "acos", Acos, "`acos(x)`, in rad";
    "atan", Atan, "`atan(x)`, in rad";
    "sinh", Sinh, "`sinh(x)`";
    "cosh", Cosh, "`cosh(x)`";
    "tanh", Tanh, "`tanh(x)`";
    "sigmoid", Sigmoid, "`sigmoid(x)`: 1 / (1 + exp(-x))";
    "softplus", Softplus, "`softplus(x)`: log(1 + exp(x))";
    "erf", Erf, "`erf(x)`: 2 / sqrt(pi) times the integral of exp(-s^2) from 0 to x";
};

fn plain_function(s: &mut Session, call: &Call, op: Unary) -> Value {
    let Some(x) = s.num_arg(call, 0, "x") else { return Value::Missing };
    if s.plain(&x, &call.name).is_none() {
        return Value::Missing;
    }
    Value::Num(s.unary(op, &x.num, Unit::REAL, call.span))
}

/// Times on the grid of steps. A time that is not on it is moved, which the user has to know.
fn whole_steps(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let x = s.num_arg(call, 0, "x")?;
        let unit = Unit::parse("ms").unwrap_or(Unit::REAL);
        if !x.num.unit.fits(&unit) {
            let found = x.num.unit.describe();
            s.error("E0302", x.span, format!("`whole_steps` takes a time, not {found}"));
            return None;
        }
        let Some(dt) = s.program.as_ref().and_then(|p| p.dt) else { return Some(Num::unknown(Unit::REAL)) };
        let steps = s.binary(Binary::Div, &x.num, &Num::scalar(unit, dt), Unit::REAL, call.span);
        let simulates = s.program.as_ref().is_some_and(|p| p.purpose == crate::program::Purpose::Simulate);
        let odd = |n: &f64| simulates && n.is_finite() && (n - n.round()).abs() > 1e-6;
        if let Some(time) = steps.as_const().and_then(|a| a.iter().copied().find(odd)) {
            let shown = |steps: f64| crate::table::quantity(steps * dt, &x.num.unit);
            let message = format!("{} is no whole number of steps of {}: it is rounded", shown(time), shown(1.0));
            let place = s.given_to_cells(call, 0).unwrap_or(x.span);
            s.report(Diagnostic::warning("W0001", place, message).help(format!(
                "a step of the simulation earlier or later is {} or {}",
                shown(time.floor()),
                shown(time.ceil())
            )));
        }
        Some(s.unary(Unary::Round, &steps, Unit::REAL, call.span))
    })())
}

fn keeping(s: &mut Session, call: &Call, op: Unary) -> Value {
    let Some(x) = s.num_arg(call, 0, "x") else { return Value::Missing };
    let unit = x.num.unit.clone();
    Value::Num(s.unary(op, &x.num, unit, call.span))
}

fn sign(s: &mut Session, call: &Call) -> Value {
    let Some(x) = s.num_arg(call, 0, "x") else { return Value::Missing };
    Value::Num(s.unary(Unary::Sign, &x.num, Unit::REAL, call.span))
}

fn sqrt(s: &mut Session, call: &Call) -> Value {
    let Some(x) = s.num_arg(call, 0, "x") else { return Value::Missing };
    match x.num.unit.power(0.5) {
        Some(unit) => Value::Num(s.unary(Unary::Sqrt, &x.num, unit, call.span)),
        None => {
            let message = format!("the square root of {} has no unit with half exponents", x.num.unit.describe());
            s.error("E0303", x.span, message)
        }
    }
}

fn extremum(s: &mut Session, call: &Call, op: Binary) -> Value {
    if call.count() < 2 {
        return super::reduce::extremum(s, call, op);
    }
    done((|| {
        let (a, b) = (s.num_arg(call, 0, "a")?, s.num_arg(call, 1, "b")?);
        if !s.same_unit("compare", &a, &b, call.span) {
            return None;
        }
        let unit = a.num.unit.join(&b.num.unit);
        Some(s.binary(op, &a.num, &b.num, unit, call.span))
    })())
}

fn clamp(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let (x, a, b) = (s.num_arg(call, 0, "x")?, s.num_arg(call, 1, "a")?, s.num_arg(call, 2, "b")?);
        if !s.same_unit("compare", &x, &a, call.span) || !s.same_unit("compare", &x, &b, call.span) {
            return None;
        }
        let unit = x.num.unit.join(&a.num.unit);
        let low = s.binary(Binary::Max, &x.num, &a.num, unit.clone(), call.span);
        Some(s.binary(Binary::Min, &low, &b.num, unit, call.span))
    })())
}

fn pow(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let (x, y) = (s.num_arg(call, 0, "x")?, s.num_arg(call, 1, "y")?);
        s.eval_binary(nnm_syntax::ast::BinaryOp::Pow, x, y, call.span)
    })())
}

fn atan2(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let (y, x) = (s.num_arg(call, 0, "y")?, s.num_arg(call, 1, "x")?);
        if !s.same_unit("compare", &y, &x, call.span) {
            return None;
        }
        Some(s.binary(Binary::Atan2, &y.num, &x.num, Unit::parse("rad").unwrap_or(Unit::REAL), call.span))
    })())
}

fn modulo(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let (a, b) = (s.num_arg(call, 0, "a")?, s.num_arg(call, 1, "b")?);
        if !s.same_unit("compare", &a, &b, call.span) {
            return None;
        }
        Some(wrapped(s, &a.num, &b.num, call))
    })())
}

fn wrapped(s: &mut Session, a: &Num, b: &Num, call: &Call) -> Num {
    let ratio = s.binary(Binary::Div, a, b, Unit::REAL, call.span);
    let whole = s.unary(Unary::Floor, &ratio, Unit::REAL, call.span);
    let back = s.mul(&whole, b, call.span);
    s.binary(Binary::Sub, a, &back, a.unit.clone(), call.span)
}

fn angle_difference(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let (a, b) = (s.num_arg(call, 0, "a")?, s.num_arg(call, 1, "b")?);
        let difference = s.binary(Binary::Sub, &a.num, &b.num, a.num.unit.clone(), call.span);
        let half = Num::scalar(a.num.unit.clone(), std::f64::consts::PI);
        let whole = Num::scalar(a.num.unit.clone(), 2.0 * std::f64::consts::PI);
        // pi - mod(pi - d, 2 pi) lies in (-pi, pi]
        let flipped = s.binary(Binary::Sub, &half, &difference, a.num.unit.clone(), call.span);
        let turned = wrapped(s, &flipped, &whole, call);
        let out = s.binary(Binary::Sub, &half, &turned, a.num.unit.clone(), call.span);
        // As the user wrote them: in rad where one is.
        let unit = a.num.unit.join(&b.num.unit);
        Some(Num { unit: if unit.shown().name.is_empty() { angle_unit() } else { unit }, ..out })
    })())
}

pub fn angle_unit() -> Unit {
    Unit::parse("deg").unwrap_or(Unit::REAL)
}

/// The length of `a - b` along the last axis, components taken the short way around where there is a period.
fn distance(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let (a, b) = (s.num_arg(call, 0, "a")?, s.num_arg(call, 1, "b")?);
        let mut d = s.eval_binary(BinaryOp::Sub, a, b, call.span)?;
        if call.named("period").is_some() {
            let period = s.num_arg(call, usize::MAX, "period")?;
            let turns =
                s.eval_binary(BinaryOp::Div, Operand { num: d.clone(), span: call.span }, period.clone(), call.span)?;
            s.plain(&Operand { num: turns.clone(), span: period.span }, "distance")?;
            let whole = s.unary(Unary::Round, &turns, Unit::REAL, call.span);
            let around = s.mul(&whole, &period.num, call.span);
            d = s.binary(Binary::Sub, &d, &around, d.unit.clone(), call.span);
        }
        let square = s.mul(&d, &d, call.span);
        let sum = s.apply(call.span, square.unit.clone(), &[&square], |g, n| match g.shape(n[0]).len() {
            0 => Ok(n[0]),
            axes => g.reduce(Reduce::Sum, n[0], &[axes - 1]),
        });
        Some(s.unary(Unary::Sqrt, &sum, d.unit, call.span))
    })())
}
