//! Analysis of what was recorded: intervals and bursts of spikes, correlations, synchrony and spectra.

use indexmap::IndexMap;
use nnm_syntax::diag::Diagnostic;

use super::spikes::{Train, chosen_cell, hertz, known_options, not_recorded, train};
use super::stretch::Stretch;
use super::time::{bin_width, positive_seconds};
use super::{Builtin, done};
use crate::analysis;
use crate::eval::Call;
use crate::eval::operators::Operand;
use crate::session::{Mode, Session};
use crate::unit::{FREQUENCY, Unit};
use crate::value::{Num, Spikes, Value, shaped, vector};

pub const FUNCTIONS: &[Builtin] = &[
    Builtin {
        name: "isi",
        about: "`isi(run.E, cell = k, from =, to =)`: the intervals between spikes of one cell, or of all, one cell after another",
        run: isi,
    },
    Builtin {
        name: "first_spike",
        about: "`first_spike(run.E, from =, to =)`: when each cell fired first; `inf` where it did not",
        run: first_spike,
    },
    Builtin {
        name: "cv2",
        about: "`cv2(run.E, from =, to =)`: mean of `2 |b - a| / (a + b)` over neighbouring intervals, of each cell with at least three (Holt et al. 1996)",
        run: |s, c| of_cells(s, c, |_, cell| analysis::cv2(cell)),
    },
    Builtin {
        name: "bursts",
        about: "`bursts(run.E, gap = 10 ms, least = 3)`: runs of at least `least` spikes at most `gap` apart: `.count` of each cell, `.share` of its spikes inside, mean `.size` and `.duration`",
        run: bursts,
    },
    Builtin {
        name: "vector_strength",
        about: "`vector_strength(run.E, f)`: how well all spikes keep to one phase of the frequency f, 0 to 1 (Goldberg and Brown 1969)",
        run: vector_strength,
    },
    Builtin {
        name: "spike_correlation",
        about: "`spike_correlation(run.E, bin = 10 ms)`: mean over all pairs of cells of the correlation of their spike counts",
        run: spike_correlation,
    },
    Builtin {
        name: "correlogram",
        about: "`correlogram(run.A, run.B, bin = 1 ms, width = 50 ms)`: `.rate` of a cell of B at `.lag` after a spike of A",
        run: correlogram,
    },
    Builtin {
        name: "correlation",
        about: "`correlation(a, b)`: Pearson's correlation of two tensors",
        run: correlation,
    },
    Builtin {
        name: "autocorrelation",
        about: "`autocorrelation(x, width = 100 ms)`: of a series: `.value` (1 at lag 0) over `.lag`",
        run: autocorrelation,
    },
    Builtin {
        name: "synchrony",
        about: "`synchrony(run.E.v)`: sqrt(variance of the mean / mean of the variances): 1 if all cells go together, 1 / sqrt(n) if none do (Golomb and Rinzel 1994)",
        run: synchrony,
    },
    Builtin {
        name: "smooth",
        about: "`smooth(x, width = 10 ms)`: a series under a Gaussian of this standard deviation",
        run: smooth,
    },
    Builtin {
        name: "spectrum",
        about: "`spectrum(x, window = 1 s)`, of spikes also `bin = 1 ms`: `.power` (density, x^2 / Hz) over `.frequency`, by Welch (1967): Hann windows that overlap by half",
        run: spectrum,
    },
    Builtin {
        name: "band_power",
        about: "`band_power(spectrum(x), 30 Hz, 80 Hz)`: the power between two frequencies: the variance that they carry",
        run: band_power,
    },
    Builtin { name: "times", about: "`times(x)`: the instants of a series", run: times },
];

fn milliseconds() -> Unit {
    Unit::parse("ms").unwrap_or(Unit::REAL)
}

fn record(parts: Vec<(&str, Num)>) -> Value {
    let map: IndexMap<String, Value> = parts.into_iter().map(|(n, v)| (n.to_string(), Value::Num(v))).collect();
    Value::Record(map.into())
}

/// Recorded spikes of the call's first argument with its window; reports where there are none.
fn spikes(s: &mut Session, call: &Call) -> Option<(std::sync::Arc<Spikes>, Stretch)> {
    match train(s, call)? {
        Train::Known(spikes, stretch) => Some((spikes, stretch)),
        Train::Other(_) => {
            not_recorded(s, call);
            None
        }
    }
}

/// One number of each cell that has one.
fn of_cells(s: &mut Session, call: &Call, f: fn(&Spikes, &[f64]) -> Option<f64>) -> Value {
    let Some((spikes, stretch)) = spikes(s, call) else { return Value::Missing };
    if s.mode == Mode::Check {
        return Value::Num(Num::unknown(Unit::REAL));
    }
    let out = stretch.by_cell(&spikes).iter().filter_map(|cell| f(&spikes, cell)).collect();
    Value::Num(Num::array(Unit::REAL, vector(out)))
}

fn isi(s: &mut Session, call: &Call) -> Value {
    let Some((spikes, stretch)) = spikes(s, call) else { return Value::Missing };
    let Some(cell) = chosen_cell(s, call, &spikes) else { return Value::Missing };
    if s.mode == Mode::Check {
        return Value::Num(Num::unknown(milliseconds()));
    }
    let cells = stretch.by_cell(&spikes);
    let chosen = cells.iter().enumerate().filter(|(k, _)| cell.is_none_or(|c| c as usize == *k));
    let out = chosen.flat_map(|(_, times)| analysis::intervals(times)).collect();
    Value::Num(Num::array(milliseconds(), vector(out)))
}

fn first_spike(s: &mut Session, call: &Call) -> Value {
    let Some((spikes, stretch)) = spikes(s, call) else { return Value::Missing };
    if s.mode == Mode::Check {
        return Value::Num(s.unknown_shape(milliseconds(), &[spikes.n]));
    }
    let out = stretch.by_cell(&spikes).iter().map(|t| t.first().copied().unwrap_or(f64::INFINITY)).collect();
    Value::Num(Num::array(milliseconds(), vector(out)))
}

fn bursts(s: &mut Session, call: &Call) -> Value {
    let Some((spikes, stretch)) = spikes(s, call) else { return Value::Missing };
    let Some(gap) = positive_seconds(s, call, "gap", 0.01) else { return Value::Missing };
    let Some(least) = s.optional_int(call, "least", 2) else { return Value::Missing };
    if s.mode == Mode::Check {
        let per_cell = s.unknown_shape(Unit::REAL, &[spikes.n]);
        let mean = Num::unknown(Unit::REAL);
        return record(vec![
            ("count", per_cell.clone()),
            ("share", per_cell),
            ("size", mean),
            ("duration", Num::unknown(milliseconds())),
        ]);
    }
    let (mut count, mut share, mut sizes, mut lengths) = (vec![], vec![], vec![], vec![]);
    for times in stretch.by_cell(&spikes) {
        let found = analysis::bursts(&times, gap, least.unwrap_or(3) as usize);
        let inside: usize = found.iter().map(|(a, b)| b - a + 1).sum();
        count.push(found.len() as f64);
        share.push(if times.is_empty() { 0.0 } else { inside as f64 / times.len() as f64 });
        sizes.extend(found.iter().map(|(a, b)| (b - a + 1) as f64));
        lengths.extend(found.iter().map(|(a, b)| times[*b] - times[*a]));
    }
    let mean = |x: &[f64]| if x.is_empty() { 0.0 } else { x.iter().sum::<f64>() / x.len() as f64 };
    record(vec![
        ("count", Num::array(Unit::REAL, vector(count))),
        ("share", Num::array(Unit::REAL, vector(share))),
        ("size", Num::real(mean(&sizes))),
        ("duration", Num::scalar(milliseconds(), mean(&lengths))),
    ])
}

fn vector_strength(s: &mut Session, call: &Call) -> Value {
    let Some((spikes, stretch)) = spikes(s, call) else { return Value::Missing };
    let Some(id) = call.named("f").or_else(|| call.positional(1)) else {
        return s.error("E0222", call.span, "`vector_strength` needs a frequency `f`");
    };
    let Some(f) = s.known_quantity(call.scope, id, "a frequency", &hertz()) else { return Value::Missing };
    if f.is_nan() || f <= 0.0 {
        return s.error("E0446", call.span, "`f` of `vector_strength` is a frequency above 0");
    }
    let inside = stretch.times(&spikes);
    if inside.is_empty() {
        return Value::Num(Num::real(f64::NAN));
    }
    let turn = 2.0 * std::f64::consts::PI * f;
    let (c, q) = inside
        .iter()
        .fold((0.0, 0.0), |(c, q), t| (c + nnm_runtime::math::cos(turn * t), q + nnm_runtime::math::sin(turn * t)));
    Value::Num(Num::real((c * c + q * q).sqrt() / inside.len() as f64))
}

fn spike_correlation(s: &mut Session, call: &Call) -> Value {
    let Some((spikes, stretch)) = spikes(s, call) else { return Value::Missing };
    let Some(bin) = bin_width(s, call, "bin", 0.01, &spikes) else { return Value::Missing };
    let Some(bins) = super::time::whole_bins(s, call, stretch.length(), bin) else { return Value::Missing };
    if spikes.n < 2 {
        let message = format!("`spike_correlation` is of pairs of cells, and `{}` has one", spikes.name);
        let d = Diagnostic::error("E0679", call.span, message)
            .help("of two populations it is `correlogram(run.A, run.B)`; of one cell with itself `correlogram(run.A)`");
        s.report(d);
        return Value::Missing;
    }
    let bins = bins.min((stretch.length() / bin + 1e-6).floor() as usize);
    let mut rows = vec![vec![0.0; bins]; spikes.n];
    for (row, times) in rows.iter_mut().zip(stretch.by_cell(&spikes)) {
        times.iter().filter_map(|t| stretch.bin(*t, bin, bins)).for_each(|place| row[place] += 1.0);
    }
    Value::Num(Num::real(analysis::mean_pair_correlation(&rows)))
}

fn correlogram(s: &mut Session, call: &Call) -> Value {
    let Some((a, stretch)) = spikes(s, call) else { return Value::Missing };
    let b = match s.arg(call, 1, "other").as_ref().map(super::spikes_of) {
        Some(Some(b)) => b,
        None if call.positional(1).is_none() => a.clone(),
        _ => return not_recorded(s, call),
    };
    let (Some(bin), Some(width)) = (bin_width(s, call, "bin", 1e-3, &a), positive_seconds(s, call, "width", 0.05))
    else {
        return Value::Missing;
    };
    if width < bin {
        let shown = |x: f64| crate::table::quantity(x, &milliseconds());
        let message = format!("`width` of `correlogram` is {}, and a bin {}", shown(width), shown(bin));
        s.report(Diagnostic::error("E0645", call.span, message).help("`width` is how far the lags go to either side"));
        return Value::Missing;
    }
    let Some(m) = super::time::whole_bins(s, call, width, bin) else { return Value::Missing };
    let (x, y) = (stretch.times(&a), stretch.times(&b));
    let same = std::sync::Arc::ptr_eq(&a, &b);
    let scale = 1.0 / (bin * x.len().max(1) as f64 * b.n as f64);
    let rate = analysis::correlogram(&x, &y, bin, m, same).into_iter().map(|c| c * scale).collect();
    let lag = (0..=2 * m).map(|k| (k as f64 - m as f64) * bin).collect();
    record(vec![("lag", Num::array(milliseconds(), vector(lag))), ("rate", Num::array(hertz(), vector(rate)))])
}

fn correlation(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let (a, b) = (s.num_arg(call, 0, "a")?, s.num_arg(call, 1, "b")?);
        let (Some(x), Some(y)) = (a.num.as_const(), b.num.as_const()) else { return Some(Num::unknown(Unit::REAL)) };
        if x.len() != y.len() {
            let message = format!("`correlation` compares element by element: {} and {} of them", x.len(), y.len());
            s.error("E0313", call.span, message);
            return None;
        }
        let (x, y): (Vec<f64>, Vec<f64>) = (x.iter().copied().collect(), y.iter().copied().collect());
        Some(Num::real(analysis::correlation(&x, &y)))
    })())
}

/// A recorded series: its values, the columns of each row, and the time between rows.
fn series(s: &mut Session, call: &Call, x: &Operand) -> Option<(Vec<f64>, usize, f64)> {
    let (Some(times), Some(array)) = (x.num.times.clone(), x.num.as_const()) else {
        s.error("E0447", x.span, format!("`{}` takes a recorded series, as `run.E.v`", call.name));
        return None;
    };
    let rows = array.shape().first().copied().unwrap_or(1).max(1);
    let dt = times.get(1).map_or(1.0, |t| t - times[0]);
    Some((array.iter().copied().collect(), array.len() / rows, dt))
}

/// The call's first argument, cut to its window; `None` while its values are not known.
fn windowed(s: &mut Session, call: &Call) -> Option<(Operand, bool)> {
    known_options(s, call);
    let x = s.num_arg(call, 0, "x")?;
    let x = s.windowed_series(call, x)?;
    let known = x.num.as_const().is_some();
    Some((x, known))
}

fn autocorrelation(s: &mut Session, call: &Call) -> Value {
    let Some((x, known)) = windowed(s, call) else { return Value::Missing };
    if !known {
        return record(vec![("lag", Num::unknown(milliseconds())), ("value", Num::unknown(Unit::REAL))]);
    }
    let (Some((values, columns, dt)), Some(width)) = (series(s, call, &x), positive_seconds(s, call, "width", 0.1))
    else {
        return Value::Missing;
    };
    let mean = row_means(&values, columns);
    let value = analysis::autocorrelation(&mean, (width / dt).round() as usize);
    let lag = (0..value.len()).map(|k| k as f64 * dt).collect();
    record(vec![("lag", Num::array(milliseconds(), vector(lag))), ("value", Num::array(Unit::REAL, vector(value)))])
}

fn row_means(values: &[f64], columns: usize) -> Vec<f64> {
    values.chunks(columns.max(1)).map(|row| row.iter().sum::<f64>() / row.len() as f64).collect()
}

fn synchrony(s: &mut Session, call: &Call) -> Value {
    let Some((x, known)) = windowed(s, call) else { return Value::Missing };
    if !known {
        return Value::Num(Num::unknown(Unit::REAL));
    }
    match series(s, call, &x) {
        Some((values, columns, _)) => Value::Num(Num::real(analysis::synchrony(&values, columns.max(1)))),
        None => Value::Missing,
    }
}

fn smooth(s: &mut Session, call: &Call) -> Value {
    let Some((x, known)) = windowed(s, call) else { return Value::Missing };
    if !known {
        return Value::Num(x.num);
    }
    let (Some((values, columns, dt)), Some(width)) = (series(s, call, &x), positive_seconds(s, call, "width", 0.01))
    else {
        return Value::Missing;
    };
    let mut out = vec![0.0; values.len()];
    for c in 0..columns {
        let column: Vec<f64> = values.iter().skip(c).step_by(columns).copied().collect();
        for (k, v) in analysis::smooth(&column, width / dt).into_iter().enumerate() {
            out[k * columns + c] = v;
        }
    }
    let shape = x.num.as_const().map(|a| a.shape().to_vec()).unwrap_or_default();
    Value::Num(Num { times: x.num.times.clone(), ..Num::array(x.num.unit.clone(), shaped(&shape, out)) })
}

/// A unit per hertz times hertz, in the spelling that it had.
fn of_density(unit: &Unit) -> Unit {
    let name = unit.shown().name;
    let pretty = name.strip_suffix("/Hz").and_then(Unit::parse);
    pretty.unwrap_or_else(|| unit.times(&Unit::of(FREQUENCY)))
}

/// The power's unit: that of the values, squared, over Hz; in the user's spelling where that is one word.
fn density(unit: &Unit) -> Unit {
    let name = unit.shown().name;
    let spelled = name.chars().all(char::is_alphabetic) && !name.is_empty() && &*name != "Hz";
    let pretty = if spelled { Unit::parse(&format!("{name}^2/Hz")) } else { None };
    pretty.unwrap_or_else(|| unit.times(unit).over(&Unit::of(FREQUENCY)))
}

fn spectrum(s: &mut Session, call: &Call) -> Value {
    let Some(length) = positive_seconds(s, call, "window", 1.0) else { return Value::Missing };
    let is_spikes = s.arg(call, 0, "x").is_some_and(|v| super::spikes_of(&v).is_some());
    let (values, unit, dt) = if is_spikes {
        let Some((spikes, stretch)) = spikes(s, call) else { return Value::Missing };
        let Some(bin) = bin_width(s, call, "bin", 1e-3, &spikes) else { return Value::Missing };
        if super::time::whole_bins(s, call, stretch.length(), bin).is_none() {
            return Value::Missing;
        }
        (stretch.rate(&spikes, bin), hertz(), bin)
    } else {
        let Some((x, known)) = windowed(s, call) else { return Value::Missing };
        if !known {
            return record(vec![("frequency", Num::unknown(hertz())), ("power", Num::unknown(density(&x.num.unit)))]);
        }
        let Some((values, columns, dt)) = series(s, call, &x) else { return Value::Missing };
        (row_means(&values, columns), x.num.unit.clone(), dt)
    };
    let n = ((length / dt).round() as usize).clamp(1, values.len().max(1));
    let own = call.named("window").is_some();
    if own && length > values.len() as f64 * dt * (1.0 + 1e-6) {
        let shown = |x: f64| crate::table::quantity(x, &milliseconds());
        let whole = shown(values.len() as f64 * dt);
        let message = format!("a window of {} is longer than the series, which is {whole} long", shown(length));
        return s.error("E0446", call.span, message);
    }
    let power = analysis::welch(&values, n, dt);
    let frequency = (0..power.len()).map(|k| k as f64 / (n as f64 * dt)).collect();
    record(vec![
        ("frequency", Num::array(hertz(), vector(frequency))),
        ("power", Num::array(density(&unit), vector(power))),
    ])
}

impl Session<'_> {
    /// The spectrum of a series or of spikes, with the options of a call.
    pub fn spectrum_of(&mut self, call: &Call, value: &Value) -> Value {
        let inner = Call { receiver: Some(value.clone()), ..call.clone() };
        spectrum(self, &inner)
    }
}

fn band_power(s: &mut Session, call: &Call) -> Value {
    let parts = match s.arg(call, 0, "spectrum") {
        Some(Value::Missing) => return Value::Missing,
        Some(Value::Record(record)) => match (record.get("frequency"), record.get("power")) {
            (Some(Value::Num(f)), Some(Value::Num(p))) => Some((f.clone(), p.clone())),
            _ => None,
        },
        _ => None,
    };
    let Some((f, p)) = parts else {
        return s.error("E0447", call.span, "`band_power` takes a spectrum: `band_power(spectrum(x), 30 Hz, 80 Hz)`");
    };
    let mut ends = [0.0; 2];
    for (k, name) in ["from", "to"].into_iter().enumerate() {
        let Some(id) = call.named(name).or_else(|| call.positional(k + 1)) else {
            return s.error("E0222", call.span, format!("`band_power` needs `{name}`"));
        };
        let Some(end) = s.known_quantity(call.scope, id, "a frequency", &hertz()) else { return Value::Missing };
        ends[k] = end;
    }
    if ends[1] <= ends[0] {
        let message = "the band of `band_power` ends before it begins: the lower frequency comes first";
        return s.error("E0566", call.span, message);
    }
    let unit = of_density(&p.unit);
    let (Some(f), Some(p)) = (f.as_const(), p.as_const()) else { return Value::Num(Num::unknown(unit)) };
    let width = f.get([1].as_slice()).copied().unwrap_or(0.0);
    let inside = f.iter().zip(p.iter()).filter(|(f, _)| **f >= ends[0] && **f < ends[1]);
    Value::Num(Num::scalar(unit, inside.map(|(_, p)| p * width).sum()))
}

fn times(s: &mut Session, call: &Call) -> Value {
    let Some((x, known)) = windowed(s, call) else { return Value::Missing };
    match (x.num.times.clone(), known) {
        (Some(times), _) => Value::Num(Num::array(milliseconds(), vector(times.to_vec()))),
        (None, false) => Value::Num(Num::unknown(milliseconds())),
        (None, true) => s.error("E0447", x.span, "`times` takes a recorded series, as `run.E.v`"),
    }
}
