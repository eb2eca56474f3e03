//! Series: what becomes of a leading axis of time, whether it was recorded or is being computed step by step.

use nnm_graph::ir::{Binary, Reduce, Unary};
use nnm_syntax::ast::ExprId;
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::{Builtin, done};
use crate::eval::Call;
use crate::eval::operators::Operand;
use crate::samples::OverTime;
use crate::session::{Mode, Session};
use crate::unit::Unit;
use crate::value::{Num, Spikes, Value};

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
    Builtin {
        name: "min_t",
        about: "`min_t(x)`: the smallest value over time of a recorded series",
        run: |s, c| over_series(s, c, min_of),
    },
    Builtin {
        name: "var_t",
        about: "`var_t(x)`: the mean squared distance from the mean over time of a recorded series",
        run: |s, c| over_series(s, c, |s, x, span| spread_of(s, x, span, false)),
    },
    Builtin {
        name: "std_t",
        about: "`std_t(x)`: the square root of `var_t`",
        run: |s, c| over_series(s, c, |s, x, span| spread_of(s, x, span, true)),
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

/// Reductions of what was recorded only: a presentation does not keep its steps.
fn over_series(s: &mut Session, call: &Call, f: fn(&mut Session, &Operand, Span) -> Num) -> Value {
    done((|| {
        let x = s.num_arg(call, 0, "x")?;
        if x.num.stepwise {
            let message = format!(
                "`{}` takes a recorded series; of a presentation there are `mean_t`, `sum_t`, `max_t`, `last`",
                call.name
            );
            s.error("E0447", x.span, message);
            return None;
        }
        let x = windowed(s, call, x)?;
        Some(f(s, &x, call.span))
    })())
}

fn min_of(s: &mut Session, x: &Operand, span: Span) -> Num {
    s.apply(span, x.num.unit.clone(), &[&x.num], |g, n| match g.shape(n[0]).is_empty() {
        true => Ok(n[0]),
        false => g.reduce(Reduce::Min, n[0], &[0]),
    })
}

fn spread_of(s: &mut Session, x: &Operand, span: Span, root: bool) -> Num {
    let mean = reduce_series(s, x, OverTime::Mean, span);
    let away = s.binary(Binary::Sub, &x.num, &mean, x.num.unit.clone(), span);
    let square = Num { unit: x.num.unit.squared(), ..s.mul(&away, &away, span) };
    let variance = reduce_series(s, &Operand { num: square, span }, OverTime::Mean, span);
    if root { s.unary(Unary::Sqrt, &variance, x.num.unit.clone(), span) } else { variance }
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
    let time = s.known_quantity(call.scope, id, &format!("`{name}`"), &milliseconds())?;
    if time.is_nan() && certain(s, call, id) {
        let span = s.expr_span(call.scope, id);
        s.error("E0446", span, format!("`{name}` of `{}` is a time, this is NaN", call.name));
        return None;
    }
    Some(Some(time))
}

/// Whether a value is known as it will be: before the run, what has names in it may stand for something else.
fn certain(s: &Session, call: &Call, id: ExprId) -> bool {
    let file = &s.modules.get(s.module_of(call.scope)).file;
    s.mode == Mode::Run || crate::eval::names_in(file, id).is_empty()
}

fn milliseconds() -> Unit {
    Unit::parse("ms").unwrap_or(Unit::REAL)
}

/// As [`seconds`] with a default: a time above 0.
pub fn positive_seconds(s: &mut Session, call: &Call, name: &str, default: f64) -> Option<f64> {
    let value = seconds(s, call, name)?.unwrap_or(default);
    if value > 0.0 {
        return Some(value);
    }
    s.error("E0446", call.span, format!("`{name}` of `{}` is a time above 0", call.name));
    None
}

/// A width of bins of spikes, or a default: at least a step, and whole steps, for bins of unequal numbers of them show a
/// rhythm that is none of the spikes'.
pub fn bin_width(s: &mut Session, call: &Call, name: &str, default: f64, spikes: &Spikes) -> Option<f64> {
    let width = positive_seconds(s, call, name, default)?;
    let steps = width / spikes.grain;
    if spikes.grain == 0.0 || width.is_infinite() {
        return Some(width);
    }
    let span = call.named(name).map_or(call.span, |e| s.expr_span(call.scope, e));
    let shown = |x: f64| crate::table::quantity(x, &milliseconds());
    let (wide, step) = (shown(width), shown(spikes.grain));
    if steps < 1.0 - 1e-6 {
        let d = Diagnostic::error("E0645", span, format!("`{name}` of `{}` is {wide}, and a step {step}", call.name));
        report_bin(s, d, name, spikes.grain, 10.0);
        return None;
    }
    if (steps - steps.round()).abs() > 1e-6 * steps.max(1.0) {
        let message = format!("{wide} is no whole number of steps of {step}: some bins hold more of them than others");
        report_bin(s, Diagnostic::warning("W0001", span, message), name, spikes.grain, steps.round());
    }
    Some(width)
}

fn report_bin(s: &mut Session, d: Diagnostic, name: &str, step: f64, steps: f64) {
    let fitting = crate::table::quantity(step * steps, &milliseconds());
    s.report(d.help(format!("`{name} = {fitting}` is {steps} steps")));
}

/// How many bins of a width a length has; more than any picture or memory holds are refused.
pub fn whole_bins(s: &mut Session, call: &Call, length: f64, width: f64) -> Option<usize> {
    const MOST: f64 = 1e7;
    let bins = (length / width).round();
    if bins <= MOST {
        return Some(bins as usize);
    }
    let shown = |x: f64| crate::table::quantity(x, &milliseconds());
    let message = format!("`{}` would have {bins:.0} bins of {}: at most {MOST:.0} are made", call.name, shown(width));
    s.error("E0446", call.span, message);
    None
}

/// The part of a series that `from =`, `to =` or `at =` asks for.
pub fn windowed(s: &mut Session, call: &Call, x: Operand) -> Option<Operand> {
    let (from, to, at) = (seconds(s, call, "from")?, seconds(s, call, "to")?, seconds(s, call, "at")?);
    let Some(times) = x.num.times.clone() else { return Some(x) };
    if from.is_none() && to.is_none() && at.is_none() {
        return Some(x);
    }
    let tiny = 1e-9;
    let shown = |x: f64| crate::table::quantity(x, &milliseconds());
    if let Some(at) = at {
        let around = times.first().zip(times.last());
        let step = times.get(1).map_or(0.0, |t| t - times[0]);
        if let Some((a, b)) =
            around.filter(|(a, b)| s.mode == Mode::Run && !(**a - step - tiny..=**b + step + tiny).contains(&at))
        {
            let message =
                format!("the series goes from {} to {}: nothing of it is at {}", shown(*a), shown(*b), shown(at));
            s.error("E0566", call.span, message);
            return None;
        }
        let k =
            times.iter().enumerate().min_by(|a, b| (a.1 - at).abs().total_cmp(&(b.1 - at).abs())).map_or(0, |(k, _)| k);
        let num = s.apply(x.span, x.num.unit.clone(), &[&x.num], |g, n| g.at(n[0], 0, k));
        return Some(Operand { num, span: x.span });
    }
    let first = times.iter().position(|t| *t >= from.unwrap_or(f64::MIN) - tiny).unwrap_or(times.len());
    let last = times.iter().position(|t| *t >= to.unwrap_or(f64::MAX) - tiny).unwrap_or(times.len()).max(first);
    if first == last && s.mode == Mode::Run {
        let message = match (times.first(), times.last()) {
            _ if from.zip(to).is_some_and(|(a, b)| b <= a) => {
                format!("the window of `{}` ends before it begins", call.name)
            }
            (Some(a), Some(b)) => {
                format!("the series goes from {} to {}: nothing of it is in this window", shown(*a), shown(*b))
            }
            _ => "the series is empty".to_string(),
        };
        s.error("E0566", call.span, message);
        return None;
    }
    let num = s.apply(x.span, x.num.unit.clone(), &[&x.num], |g, n| g.slice(n[0], 0, first, 1, last - first));
    let times = Some(times.part(first..last));
    Some(Operand { num: Num { times, ..num }, span: x.span })
}

fn window(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let x = s.num_arg(call, 0, "x")?;
        windowed(s, call, x).map(|o| o.num)
    })())
}

impl Session<'_> {
    /// What a call's `from =` and `to =` ask for, in seconds; without them, all of time.
    pub fn call_window(&mut self, call: &Call) -> Option<(f64, f64)> {
        let (from, to) = (seconds(self, call, "from")?, seconds(self, call, "to")?);
        Some((from.unwrap_or(f64::NEG_INFINITY), to.unwrap_or(f64::INFINITY)))
    }

    /// The part of a series that a call's `from =` and `to =` ask for.
    pub fn windowed_series(&mut self, call: &Call, x: Operand) -> Option<Operand> {
        windowed(self, call, x)
    }
}
