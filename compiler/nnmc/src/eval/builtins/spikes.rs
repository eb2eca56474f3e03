//! Statistics of spike trains and of activity on a ring.

use indexmap::IndexMap;
use nnm_graph::ir::Binary;
use nnm_syntax::diag::Diagnostic;

use super::stretch::Stretch;
use super::time::seconds;
use super::{Builtin, done};
use crate::analysis;
use crate::eval::Call;
use crate::samples::OverTime;
use crate::session::{Mode, Session};
use crate::unit::{FREQUENCY, Unit};
use crate::value::{Num, Owner, Spikes, Times, Value, scalar, vector};

pub const FUNCTIONS: &[Builtin] = &[
    Builtin {
        name: "mean_rate",
        about: "`mean_rate(run.E, from =, to =)`: spikes per time of each cell",
        run: mean_rate,
    },
    Builtin { name: "count", about: "`count(run.E)`: how many spikes each cell fired", run: count },
    Builtin {
        name: "cv_isi",
        about: "`cv_isi(run.E, from =, to =)`: standard deviation over mean of the inter-spike intervals, of each cell with at least three",
        run: cv_isi,
    },
    Builtin {
        name: "fano",
        about: "`fano(run.E, window = 100 ms)`: variance over mean of the spike counts in windows, of each cell",
        run: fano,
    },
    Builtin { name: "psth", about: "`psth(run.E, bin = 1 ms)`: the population's rate over time", run: psth },
    Builtin {
        name: "population_vector",
        about: "`population_vector(r, at = t)`: direction and length of the activity of cells on a ring",
        run: population_vector,
    },
    Builtin {
        name: "spike_times",
        about: "`spike_times(run.E, cell = k, from =, to =)`: all spike times in order, or those of one cell",
        run: spike_times,
    },
];

pub fn hertz() -> Unit {
    Unit::parse("Hz").unwrap_or(Unit::of(FREQUENCY))
}

/// The spikes that the first argument means: recorded ones, or those of a recorded population.
pub fn spikes_of(value: &Value) -> Option<std::sync::Arc<Spikes>> {
    match value {
        Value::Spikes(spikes) => Some(spikes.clone()),
        Value::Record(record) => match record.get("spikes") {
            Some(Value::Spikes(spikes)) => Some(spikes.clone()),
            _ => None,
        },
        _ => None,
    }
}

pub enum Train {
    Known(std::sync::Arc<Spikes>, Stretch),
    Other(Value),
}

/// What a function of activity may be told by name: what stands in its call as it is described, and the window.
fn options(name: &str) -> Vec<String> {
    let about = super::all().find(|b| b.name == name).map_or("", |b| b.about);
    let named =
        about.match_indices(" =").filter_map(|(at, _)| about[..at].split(|c: char| !c.is_alphanumeric()).next_back());
    let call = about.split('(').nth(1).and_then(|rest| rest.split(')').next()).unwrap_or("");
    let placed = call.split(',').map(str::trim).filter(|p| !p.is_empty() && p.chars().all(char::is_alphabetic));
    let mut all: Vec<String> = named.chain(placed).map(String::from).collect();
    all.extend(["spikes", "from", "to"].map(String::from));
    all.sort();
    all.dedup();
    all
}

/// Reports named arguments that a function of activity does not have.
pub fn known_options(s: &mut Session, call: &Call) {
    let options = options(&call.name);
    let unknown = call.named_args().filter(|(n, ..)| !options.iter().any(|o| o == n));
    let unknown: Vec<(String, _)> = unknown.map(|(n, span, _)| (n.to_string(), span)).collect();
    for (name, span) in unknown {
        s.no_parameter(&call.name, &name, span, &options);
    }
}

pub fn train(s: &mut Session, call: &Call) -> Option<Train> {
    known_options(s, call);
    let value = s.arg(call, 0, "spikes")?;
    if matches!(value, Value::Missing) {
        return None;
    }
    match spikes_of(&value) {
        Some(spikes) => {
            let (from, to) = (seconds(s, call, "from")?, seconds(s, call, "to")?);
            let stretch = Stretch::of(&spikes, from.unwrap_or(f64::NEG_INFINITY), to.unwrap_or(f64::INFINITY));
            if stretch.to <= stretch.from && s.mode == Mode::Run {
                let shown = |x: f64| crate::table::quantity(x, &Unit::parse("ms").unwrap_or(Unit::REAL));
                let message = match (from, to) {
                    (Some(a), Some(b)) if b <= a => format!("the window of `{}` ends before it begins", call.name),
                    _ => format!(
                        "the recording goes from {} to {}: nothing of it is in this window",
                        shown(spikes.from),
                        shown(spikes.to)
                    ),
                };
                s.error("E0566", call.span, message);
                return None;
            }
            Some(Train::Known(spikes, stretch))
        }
        None => Some(Train::Other(value)),
    }
}

pub fn not_recorded(s: &mut Session, call: &Call) -> Value {
    s.error(
        "E0441",
        call.span,
        format!("`{}` takes recorded spikes: `record net.E.spikes` in the simulation", call.name),
    )
}

fn mean_rate(s: &mut Session, call: &Call) -> Value {
    match train(s, call) {
        None => Value::Missing,
        Some(Train::Known(spikes, stretch)) => {
            if s.mode == Mode::Check {
                return Value::Num(s.unknown_shape(hertz(), &[spikes.n]));
            }
            let rates = stretch.counts(&spikes).into_iter().map(|c| c / stretch.length()).collect();
            Value::Num(Num::array(hertz(), vector(rates)))
        }
        Some(Train::Other(Value::Population(p))) if s.program.as_ref().is_some_and(|p| p.stepped) => {
            let frame = match p.owner {
                Owner::Frame(frame) => Some(frame),
                Owner::Net(id) => s.program.as_ref().and_then(|x| x.frames.get(&id)).copied(),
            };
            let (Some(frame), Some(dt)) = (frame, s.program.as_ref().and_then(|p| p.dt)) else {
                return not_recorded(s, call);
            };
            let fired = s.fired(frame, p.index);
            let mean = s.reduce_steps(&fired, OverTime::Mean, call.span);
            let rate = Num::scalar(hertz(), 1.0 / dt);
            Value::Num(s.binary(Binary::Mul, &mean, &rate, hertz(), call.span))
        }
        Some(Train::Other(_)) => not_recorded(s, call),
    }
}

fn count(s: &mut Session, call: &Call) -> Value {
    match train(s, call) {
        None => Value::Missing,
        Some(Train::Known(spikes, stretch)) => Value::Num(Num::array(Unit::REAL, vector(stretch.counts(&spikes)))),
        Some(Train::Other(_)) => not_recorded(s, call),
    }
}

fn cv_isi(s: &mut Session, call: &Call) -> Value {
    match train(s, call) {
        None => Value::Missing,
        Some(Train::Known(..)) if s.mode == Mode::Check => Value::Num(Num::unknown(Unit::REAL)),
        Some(Train::Known(spikes, stretch)) => {
            let out = stretch.by_cell(&spikes).iter().filter_map(|times| analysis::cv(times)).collect();
            Value::Num(Num::array(Unit::REAL, vector(out)))
        }
        Some(Train::Other(_)) => not_recorded(s, call),
    }
}

fn fano(s: &mut Session, call: &Call) -> Value {
    match train(s, call) {
        None => Value::Missing,
        Some(Train::Known(spikes, stretch)) => {
            let Some(width) = super::time::bin_width(s, call, "window", 0.1, &spikes) else { return Value::Missing };
            let windows = (stretch.length() / width + 1e-6).floor() as usize;
            let mut out = vec![];
            for times in stretch.by_cell(&spikes) {
                let mut counts = vec![0.0; windows];
                times.iter().filter_map(|t| stretch.bin(*t, width, windows)).for_each(|place| counts[place] += 1.0);
                let (mean, var) = analysis::moments(&counts);
                if mean > 0.0 {
                    out.push(var / mean);
                }
            }
            Value::Num(Num::array(Unit::REAL, vector(out)))
        }
        Some(Train::Other(_)) => not_recorded(s, call),
    }
}

fn psth(s: &mut Session, call: &Call) -> Value {
    match train(s, call) {
        None => Value::Missing,
        Some(Train::Known(spikes, stretch)) => {
            let Some(bin) = super::time::bin_width(s, call, "bin", 1e-3, &spikes) else { return Value::Missing };
            if super::time::whole_bins(s, call, stretch.length(), bin).is_none() {
                return Value::Missing;
            }
            let rate = stretch.rate(&spikes, bin);
            let times: Vec<f64> = (0..rate.len()).map(|k| stretch.from + k as f64 * bin).collect();
            let num = Num::array(hertz(), vector(rate));
            Value::Num(Num { times: Some(Times::new(times, spikes.untimed).into()), ..num })
        }
        Some(Train::Other(_)) => not_recorded(s, call),
    }
}

/// `cell = k`, within the population.
pub fn chosen_cell(s: &mut Session, call: &Call, spikes: &Spikes) -> Option<Option<i64>> {
    let cell = s.optional_int(call, "cell", 0)?;
    if let Some(k) = cell.filter(|k| *k as usize >= spikes.n) {
        s.error("E0316", call.span, format!("the index {k} is outside of 0 .. {}", spikes.n));
        return None;
    }
    Some(cell)
}

fn spike_times(s: &mut Session, call: &Call) -> Value {
    match train(s, call) {
        None => Value::Missing,
        Some(Train::Known(spikes, stretch)) => {
            let unit = Unit::parse("ms").unwrap_or(Unit::REAL);
            let Some(cell) = chosen_cell(s, call, &spikes) else { return Value::Missing };
            if s.mode == Mode::Check {
                return Value::Num(Num::unknown(unit));
            }
            let all = spikes.times.iter().zip(&spikes.cells);
            let chosen = all.filter(|(t, c)| stretch.has(**t) && cell.is_none_or(|k| k == i64::from(**c)));
            Value::Num(Num::array(unit, vector(chosen.map(|(t, _)| *t).collect())))
        }
        Some(Train::Other(_)) => not_recorded(s, call),
    }
}

fn population_vector(s: &mut Session, call: &Call) -> Value {
    let out = (|| {
        let x = s.num_arg(call, 0, "r")?;
        let x = super::time::windowed(s, call, x)?;
        let mut record = IndexMap::new();
        let Some(r) = x.num.as_const() else {
            record.insert("angle".to_string(), Value::Num(Num::unknown(super::math::angle_unit())));
            record.insert("length".to_string(), Value::Num(Num::unknown(Unit::REAL)));
            return Some(record);
        };
        if s.mode == Mode::Run && (x.num.times.is_some() || r.ndim() > 1) {
            let help = if x.num.times.is_some() {
                "one moment is `at = 100 ms`, a mean `population_vector(mean_t(x))`"
            } else {
                "one row is `x[0]`"
            };
            let found = crate::eval::types::shape_text(r.shape());
            let message = format!("`population_vector` takes one number for each cell, and this has the shape {found}");
            s.report(Diagnostic::error("E0644", x.span, message).help(help));
            return None;
        }
        if s.mode == Mode::Run && r.sum() <= 0.0 {
            let message = "the activity of a population vector is above 0 in sum, and this is not";
            s.report(
                Diagnostic::error("E0644", x.span, message)
                    .help("it takes rates: a voltage has no 0 that means silence"),
            );
            return None;
        }
        let n = r.len().max(1) as f64;
        let (mut c, mut q, mut total) = (0.0, 0.0, 0.0);
        for (k, value) in r.iter().enumerate() {
            let [x, y] = crate::ring_point(2.0 * std::f64::consts::PI * k as f64 / n);
            c += value * x;
            q += value * y;
            total += value;
        }
        let angle = nnm_runtime::math::atan2(q, c);
        let length = (c * c + q * q).sqrt() / total;
        record.insert("angle".to_string(), Value::Num(Num::array(super::math::angle_unit(), scalar(angle))));
        record.insert("length".to_string(), Value::Num(Num::real(length)));
        Some(record)
    })();
    match out {
        Some(record) => Value::Record(record.into()),
        None => done(None),
    }
}
