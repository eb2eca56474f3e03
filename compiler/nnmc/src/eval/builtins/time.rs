//! Series: what becomes of a leading axis of time, whether it was recorded or is being computed step by step.

use nnm_graph::ir::Reduce;
use nnm_syntax::span::Span;

use super::{Builtin, done};
use crate::eval::Call;
use crate::eval::operators::Operand;
use crate::samples::OverTime;
use crate::session::Session;
use crate::unit::Unit;
use crate::value::{Num, Value};

pub const FUNCTIONS: &[Builtin] = &[
    Builtin {
        name: "mean_t",
        about: "`mean_t(x)`: the mean over time of a series (`from =`, `to =`)",
        run: |s, c| over_time(s, c, OverTime::Mean),
    },
    Builtin {
        name: "sum_t",
        about: "`sum_t(x)`: the sum over the steps of a series",
        run: |s, c| over_time(s, c, OverTime::Sum),
    },
    Builtin {
        name: "max_t",
        about: "`max_t(x)`: the largest value over time of a series",
        run: |s, c| over_time(s, c, OverTime::Max),
    },
    Builtin { name: "last", about: "`last(x)`: a series' last value", run: |s, c| over_time(s, c, OverTime::Last) },
    Builtin { name: "window", about: "`window(x, from = a, to = b)`: the part of a series in [a, b)", run: window },
];

fn over_time(s: &mut Session, call: &Call, how: OverTime) -> Value {
    done((|| {
        let x = s.num_arg(call, 0, "x")?;
        if x.num.stepwise {
            return Some(s.reduce_steps(&x.num, how, call.span));
        }
        let x = windowed(s, call, x)?;
        Some(reduce_series(s, &x, how, call.span))
    })())
}

fn reduce_series(s: &mut Session, x: &Operand, how: OverTime, span: Span) -> Num {
    let unit = x.num.unit.clone();
    s.apply(span, unit, &[&x.num], |g, n| {
        let steps = g.shape(n[0]).first().copied().unwrap_or(1);
        match how {
            _ if g.shape(n[0]).is_empty() => Ok(n[0]),
            OverTime::Mean => g.mean(n[0], &[0]),
            OverTime::Sum => g.reduce(Reduce::Sum, n[0], &[0]),
            OverTime::Max => g.reduce(Reduce::Max, n[0], &[0]),
            OverTime::Last => g.at(n[0], 0, steps.saturating_sub(1)),
        }
    })
}

/// A time argument in seconds.
pub fn seconds(s: &mut Session, call: &Call, name: &str) -> Option<Option<f64>> {
    let Some(id) = call.named(name) else { return Some(None) };
    let unit = Unit::parse("ms").unwrap_or(Unit::REAL);
    s.known_quantity(call.scope, id, &format!("`{name}`"), &unit).map(Some)
}

/// The part of a series that `from =`, `to =` or `at =` asks for.
pub fn windowed(s: &mut Session, call: &Call, x: Operand) -> Option<Operand> {
    let (from, to, at) = (seconds(s, call, "from")?, seconds(s, call, "to")?, seconds(s, call, "at")?);
    let Some(times) = x.num.times.clone() else { return Some(x) };
    if from.is_none() && to.is_none() && at.is_none() {
        return Some(x);
    }
    let tiny = 1e-9;
    if let Some(at) = at {
        let k =
            times.iter().enumerate().min_by(|a, b| (a.1 - at).abs().total_cmp(&(b.1 - at).abs())).map_or(0, |(k, _)| k);
        let num = s.apply(x.span, x.num.unit.clone(), &[&x.num], |g, n| g.at(n[0], 0, k));
        return Some(Operand { num, span: x.span });
    }
    let first = times.iter().position(|t| *t >= from.unwrap_or(f64::MIN) - tiny).unwrap_or(times.len());
    let last = times.iter().position(|t| *t >= to.unwrap_or(f64::MAX) - tiny).unwrap_or(times.len()).max(first);
    let num = s.apply(x.span, x.num.unit.clone(), &[&x.num], |g, n| g.slice(n[0], 0, first, 1, last - first));
    let times = Some(times[first..last].to_vec().into());
    Some(Operand { num: Num { times, ..num }, span: x.span })
}

fn window(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let x = s.num_arg(call, 0, "x")?;
        windowed(s, call, x).map(|o| o.num)
    })())
}

impl Session<'_> {
    /// The part of a series that a call's `from =` and `to =` ask for.
    pub fn windowed_series(&mut self, call: &Call, x: Operand) -> Option<Operand> {
        windowed(self, call, x)
    }
}
