//! `plot` calls to figures: numbers in their units, names as the user wrote them.

mod axes;

use std::sync::Arc;

use nnm_figures::figure::Cloud;
use nnm_figures::{Axis, Curve, Figure, Heatmap, Kind, Panel, Series, SpikeGroup};
use nnm_syntax::ast::{Arg, Clause, ExprId, ExprKind, Init};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use crate::eval::{Call, Stretch, spikes_of};
use crate::session::{Mode, ScopeId, Session};
use crate::suggest;
use crate::sweep::sweep_parts;
use crate::unit::{Unit, from_si};
use crate::value::{Num, Times, Value};
use axes::Scaled;

/// A plotted argument: its name and value.
struct Shown {
    name: String,
    value: Value,
    span: Span,
}

impl Shown {
    /// Whether its numbers are there, and not only their unit.
    fn is_known(&self) -> bool {
        matches!(&self.value, Value::Num(num) if num.as_const().is_some())
    }
}

type Draw = fn(&mut Session, &Call, Vec<Shown>) -> Option<Kind>;

const PLOTS: &[(&str, Draw)] = &[
    ("line", line),
    ("phase_plane", phase_plane),
    ("spectrum", spectrum),
    ("connectivity", connectivity),
    ("traces", traces),
    ("raster", raster),
    ("histogram", histogram),
    ("heatmap", heatmap),
    ("bar", bar),
    ("curves", curves),
    ("filters", filters),
    ("scatter", scatter),
    ("confusion", confusion),
];

/// What plots may be told by name.
const OPTIONS: [&str; 11] =
    ["title", "x_label", "y_label", "log", "from", "to", "at", "bins", "bin", "window", "stacked"];

impl Session<'_> {
    /// The figure of one `plot` call, with the name of its file.
    pub fn figure(&mut self, scope: ScopeId, e: ExprId) -> Option<(String, Figure)> {
        let (_, expr) = self.bare_expr(scope, e);
        let span = expr.span;
        let ExprKind::Call { callee, args, clauses } = expr.kind else {
            self.error("E0550", span, "a plot is a call: `plot line(x, y)`");
            return None;
        };
        let name_span = self.expr_span(scope, callee);
        let name = self.text(name_span).to_string();
        let Some((_, draw)) = PLOTS.iter().find(|(n, _)| *n == name) else {
            let d = Diagnostic::error("E0551", name_span, format!("there is no plot `{name}`"));
            let near = suggest::nearest(&name, PLOTS.iter().map(|(n, _)| *n));
            let list: Vec<String> = PLOTS.iter().map(|(n, _)| format!("`{n}`")).collect();
            self.report(suggest::did_you_mean(d, name_span, near).help(format!("the plots are {}", list.join(", "))));
            return None;
        };
        let call = Call { clauses, ..Call::written(scope, name.clone(), args, span) };
        let title = match call.named("title") {
            Some(id) => match self.eval(scope, id) {
                Value::Text(text) => text.to_string(),
                other => {
                    let at = self.expr_span(scope, id);
                    self.error("E0553", at, format!("a title is a text in double quotes, found {}", other.describe()));
                    return None;
                }
            },
            None => String::new(),
        };
        let unknown = call.named_args().find(|(n, ..)| !OPTIONS.contains(n)).map(|(n, span, _)| (n.to_string(), span));
        if let Some((option, span)) = unknown {
            self.no_parameter(&name, &option, span, &OPTIONS.map(String::from));
            return None;
        }
        let shown = self.plotted(&call)?;
        if shown.is_empty() {
            self.error("E0553", span, format!("`{name}` shows something: `{name}(…)` needs what"));
            return None;
        }
        let label = shown.first().map_or(String::new(), |s| format!(" {}", s.name));
        let mut kind = draw(self, &call, shown)?;
        self.name_axes(&call, &mut kind)?;
        Some((format!("{name}{label}"), Figure::new(title, kind)))
    }

    fn plotted(&mut self, call: &Call) -> Option<Vec<Shown>> {
        if matches!(call.name.as_str(), "confusion") || (call.clause("on").is_some() && call.name != "curves") {
            return self.plotted_on_data(call);
        }
        let ids: Vec<ExprId> = call.args.iter().filter(|a| a.name.is_none()).map(|a| a.value.expr()).collect();
        let mut out = vec![];
        for id in ids {
            let span = self.expr_span(call.scope, id);
            let name = self.text(span).to_string();
            let value = self.eval(call.scope, id);
            if matches!(value, Value::Missing) {
                return None;
            }
            out.push(Shown { name, value, span });
        }
        Some(out)
    }

    /// Arguments that are computed for each sample of a data set.
    fn plotted_on_data(&mut self, call: &Call) -> Option<Vec<Shown>> {
        let ids: Vec<ExprId> = call.args.iter().filter(|a| a.name.is_none()).map(|a| a.value.expr()).collect();
        let mut out = vec![];
        for id in ids {
            let span = self.expr_span(call.scope, id);
            let one = Arg { name: None, value: Init::Value(id) };
            let clauses: Vec<Clause> = call.clauses.clone();
            let inner = Call { args: vec![one], clauses, ..call.clone() };
            self.keeps_series = true;
            let num = self.collected(&inner);
            self.keeps_series = false;
            let num = num?;
            out.push(Shown { name: self.text(span).to_string(), value: Value::Num(num), span });
        }
        Some(out)
    }

    fn plot_numbers(&mut self, s: &Shown) -> Option<(Vec<f64>, Vec<usize>, Unit)> {
        let mut own = Scaled::default();
        let (values, shape) = self.numbers_along(&mut own, s)?;
        Some((values, shape, own.unit()))
    }
}

fn axis_of(name: &str, unit: &Unit) -> Axis {
    Axis::new(name, unit.shown().name.to_string())
}

fn times_of(value: &Value) -> Option<Arc<Times>> {
    match value {
        Value::Num(Num { times: Some(times), .. }) => Some(times.clone()),
        _ => None,
    }
}

/// The axis that suits the span of several lists of instants, and what a second is on it.
fn time_axis<'a>(all: impl Iterator<Item = &'a Arc<Times>> + Clone) -> (Axis, f64) {
    if all.clone().any(|times| times.untimed) {
        return (Axis::new("step", ""), 1.0);
    }
    let longest = all.flat_map(|times| times.iter()).copied().fold(0.0, f64::max);
    let (unit, scale) = if longest > 10.0 { ("s", 1.0) } else { ("ms", 1e3) };
    (Axis::new("time", unit), scale)
}

fn scaled(times: &[f64], scale: f64) -> Vec<f64> {
    times.iter().map(|t| t * scale).collect()
}

fn line(s: &mut Session, _call: &Call, shown: Vec<Shown>) -> Option<Kind> {
    let first = shown.first()?;
    if let Some(times) = times_of(&first.value) {
        return lines_over_time(s, &times, &shown);
    }
    let (x, x_axis, rest) = if shown.len() == 1 {
        let (y, shape, _) = s.plot_numbers(first)?;
        let rows = shape.first().copied().unwrap_or(y.len());
        ((0..rows).map(|k| k as f64).collect(), Axis::new("", ""), &shown[..])
    } else {
        let (x, shape, unit) = s.plot_numbers(first)?;
        if shape.is_empty() && first.is_known() {
            s.error("E0642", first.span, "`line` joins points: this is one number, and it takes a list of them");
            return None;
        }
        (x, axis_of(&first.name, &unit), &shown[1..])
    };
    let mut along = Scaled::default();
    let mut series = vec![];
    for item in rest {
        let (y, shape) = s.numbers_along(&mut along, item)?;
        let rows = shape.first().copied().unwrap_or(y.len());
        s.hold_pairs(x.len(), rows, item.span)?;
        series.extend(columns(&item.name, &y, &shape).map(|(name, y)| Series::new(name, y)));
    }
    Some(Kind::Line { x, series, x_axis, y_axis: along.axis(rest) })
}

/// Recorded series, each over its own times.
fn lines_over_time(s: &mut Session, times: &Arc<Times>, shown: &[Shown]) -> Option<Kind> {
    let all: Vec<Option<Arc<Times>>> = shown.iter().map(|item| times_of(&item.value)).collect();
    let (x_axis, scale) = time_axis(all.iter().flatten());
    let mut along = Scaled::default();
    let mut curves = vec![];
    for (item, own) in shown.iter().zip(&all) {
        let (y, shape) = s.numbers_along(&mut along, item)?;
        let own = own.as_ref().unwrap_or(times);
        s.hold_pairs(own.len(), shape.first().copied().unwrap_or(y.len()), item.span)?;
        let x = scaled(own, scale);
        curves.extend(columns(&item.name, &y, &shape).map(|(name, y)| Curve { name, x: x.clone(), y }));
    }
    let y_axis = along.axis(shown);
    if all.iter().all(|own| own.as_ref().is_none_or(|own| own == times)) {
        let series = curves.into_iter().map(|curve| Series::new(curve.name, curve.y)).collect();
        return Some(Kind::Line { x: scaled(times, scale), series, x_axis, y_axis });
    }
    Some(Kind::Curves { curves, x_axis, y_axis })
}

/// The columns of values whose rows are points, each with its name.
fn columns(name: &str, values: &[f64], shape: &[usize]) -> impl Iterator<Item = (String, Vec<f64>)> {
    let count = shape.get(1..).map_or(1, |rest| rest.iter().product::<usize>()).max(1);
    (0..count).map(move |k| {
        let name = if count > 1 { format!("{name} {k}") } else { name.to_string() };
        (name, values.iter().skip(k).step_by(count).copied().collect())
    })
}

/// Pairs of quantities against one another: trajectories, nullclines.
fn phase_plane(s: &mut Session, call: &Call, shown: Vec<Shown>) -> Option<Kind> {
    if shown.len() < 2 || shown.len() % 2 == 1 {
        s.error("E0553", call.span, "`phase_plane` takes pairs: `phase_plane(run.n.v, run.n.w)`, and more of them");
        return None;
    }
    let mut curves = vec![];
    let mut along = [Scaled::default(), Scaled::default()];
    for pair in shown.chunks(2) {
        let (x, shape) = s.numbers_along(&mut along[0], &pair[0])?;
        let (y, of_y) = s.numbers_along(&mut along[1], &pair[1])?;
        s.hold_pairs(x.len(), y.len(), pair[1].span)?;
        let (x, y) = (columns("", &x, &shape), columns(&pair[1].name, &y, &of_y));
        curves.extend(x.zip(y).map(|((_, x), (name, y))| Curve { name, x, y }));
    }
    let [x_axis, y_axis] = [0, 1].map(|k| along[k].axis(&shown[k..=k]));
    Some(Kind::Curves { curves, x_axis, y_axis })
}

/// Power over frequency, of what `spectrum(…)` gives or of a series or spikes themselves.
fn spectrum(s: &mut Session, call: &Call, shown: Vec<Shown>) -> Option<Kind> {
    let mut series = vec![];
    let (mut frequency, mut unit) = (vec![], Unit::REAL);
    for item in shown {
        let is_spectrum = matches!(&item.value, Value::Record(r) if r.contains_key("power"));
        let value = if is_spectrum { item.value.clone() } else { s.spectrum_of(call, &item.value) };
        let Value::Record(record) = value else { return None };
        let mut parts = vec![];
        for name in ["frequency", "power"] {
            let one = Shown { name: item.name.clone(), value: record.get(name)?.clone(), span: item.span };
            parts.push(s.plot_numbers(&one)?);
        }
        let [(f, ..), (p, _, u)] = parts.as_slice() else { return None };
        // The mean was taken out: what is left at 0 says nothing, and a logarithmic axis has no 0.
        frequency = f.iter().skip(1).copied().collect();
        unit = u.clone();
        series.push(Series::new(item.name.clone(), p.iter().skip(1).copied().collect()));
    }
    let y_axis = axis_of("power", &unit).log();
    Some(Kind::Spectrum { frequency, series, x_axis: Axis::new("frequency", "Hz"), y_axis })
}

/// Who is connected to whom, the strength as colour.
fn connectivity(s: &mut Session, call: &Call, shown: Vec<Shown>) -> Option<Kind> {
    let Some(Shown { value: Value::Projection(p), .. }) = shown.first() else {
        s.error("E0553", call.span, "`connectivity` shows a connection: `connectivity(net.E_I)`");
        return None;
    };
    s.connectivity_of(p)
}

/// How many cells a panel of traces shows: more lines than these cannot be told from one another.
const MOST_TRACES: usize = 12;

fn traces(s: &mut Session, call: &Call, shown: Vec<Shown>) -> Option<Kind> {
    let stacked = match call.named("stacked") {
        Some(id) => s.known(call.scope, id, "`stacked`")?.as_f64()? != 0.0,
        None => false,
    };
    let mut cut = vec![];
    for item in shown {
        let Value::Num(num) = item.value else {
            s.error("E0553", item.span, "`traces` shows recorded states: `traces(run.E.v)`");
            return None;
        };
        let operand = crate::eval::operators::Operand { num, span: item.span };
        let windowed = s.windowed_series(call, operand)?;
        let Some(times) = windowed.num.times.clone() else {
            if s.mode == Mode::Run {
                let message = "`traces` shows a recorded series; `line(x, y)` shows other lists of numbers";
                s.error("E0553", item.span, message);
                return None;
            }
            continue;
        };
        cut.push((times, Shown { value: Value::Num(windowed.num), ..item }));
    }
    let (x_axis, scale) = time_axis(cut.iter().map(|(times, _)| times));
    let mut panels = vec![];
    for (times, item) in &cut {
        let (y, shape, in_y) = s.plot_numbers(item)?;
        let all = columns("", &y, &shape).map(|(_, y)| y).collect::<Vec<_>>();
        let left_out =
            if all.len() > MOST_TRACES { format!(", the first {MOST_TRACES} of {}", all.len()) } else { String::new() };
        let several = all.len() > 1;
        let named = all.into_iter().take(MOST_TRACES).enumerate();
        let panel = |label: &str, series| Panel { axis: axis_of(label, &in_y), time: scaled(times, scale), series };
        if stacked && several {
            panels.extend(named.map(|(k, y)| {
                let note = if k + 1 == MOST_TRACES { left_out.as_str() } else { "" };
                panel(&format!("{k}{note}"), vec![Series::new(String::new(), y)])
            }));
        } else {
            let name = |k: usize| if several { format!("{k}") } else { String::new() };
            let series = named.map(|(k, y)| Series::new(name(k), y)).collect();
            panels.push(panel(&format!("{}{left_out}", item.name), series));
        }
    }
    Some(Kind::Traces { panels, x_axis })
}

fn raster(s: &mut Session, call: &Call, shown: Vec<Shown>) -> Option<Kind> {
    let (from, to) = s.call_window(call)?;
    let untimed = |item: &Shown| spikes_of(&item.value).is_some_and(|spikes| spikes.untimed);
    let (x_axis, scale) = match shown.iter().any(untimed) {
        true => (Axis::new("step", ""), 1.0),
        false => (Axis::new("time", "ms"), 1e3),
    };
    let mut groups = vec![];
    for item in &shown {
        if let Some(spikes) = spikes_of(&item.value) {
            let stretch = Stretch::of(&spikes, from, to);
            let inside = spikes.times.iter().zip(&spikes.cells).filter(|(t, _)| stretch.has(**t));
            let points = inside.map(|(t, c)| (t * scale, *c)).collect();
            let seen = Some((stretch.from * scale, stretch.to * scale));
            groups.push(SpikeGroup { name: spikes.name.clone(), cells: spikes.n, spikes: points, seen });
            continue;
        }
        let (values, shape, unit) = s.plot_numbers(item)?;
        if !unit.is_real() {
            let message = format!("`raster` shows spikes: `raster(run.E)`; this is a series in {}", unit.describe());
            s.error("E0553", item.span, message);
            return None;
        }
        let cells = shape.last().copied().unwrap_or(1).max(1);
        let points = values
            .iter()
            .enumerate()
            .filter(|(_, v)| **v != 0.0)
            .map(|(k, _)| ((k / cells) as f64, (k % cells) as u32));
        groups.push(SpikeGroup { name: item.name.clone(), cells, spikes: points.collect(), seen: None });
    }
    Some(Kind::Raster { groups, x_axis })
}

fn histogram(s: &mut Session, call: &Call, shown: Vec<Shown>) -> Option<Kind> {
    let bins = s.optional_int(call, "bins", 1)?.map(|b| b as usize);
    let mut along = Scaled::default();
    let mut series = vec![];
    for item in &shown {
        let (y, _) = s.numbers_along(&mut along, item)?;
        series.push(Series::new(item.name.clone(), y));
    }
    Some(Kind::Histogram { series, bins, x_axis: along.axis(&shown) })
}

fn heatmap(s: &mut Session, call: &Call, shown: Vec<Shown>) -> Option<Kind> {
    let item = s.only_one(call, &shown)?;
    let times = times_of(&item.value);
    let (values, shape, unit) = s.plot_numbers(item)?;
    let (rows, columns) = match shape.as_slice() {
        // All cells of a moment are one row of it.
        [r, rest @ ..] if times.is_some() && !rest.is_empty() => (*r, rest.iter().product()),
        [lead @ .., r, c] if lead.iter().all(|n| *n == 1) => (*r, *c),
        _ if !item.is_known() => (1, values.len()),
        other => {
            let found = crate::eval::types::shape_text(other);
            let message = format!("`heatmap` shows two axes, and this has the shape {found}");
            let help = match other.len() {
                0 | 1 => "a list is drawn by `line(x)` or `bar(x)`, and has two axes by `x.reshape(4, 4)`",
                _ => "one of them is `x[0]`; images in a grid are `filters(x)`",
            };
            s.report(Diagnostic::error("E0642", item.span, message).help(help));
            return None;
        }
    };
    let value_axis = axis_of(&item.name, &unit);
    if let Some(times) = times {
        // Time runs to the right, cells upwards.
        let (x_axis, scale) = time_axis([&times].into_iter());
        let t = scaled(&times, scale);
        let turned =
            (0..columns).flat_map(|c| (0..rows).map(|r| values[r * columns + c]).collect::<Vec<_>>()).collect();
        let range = (t.first().copied().unwrap_or(0.0), t.last().copied().unwrap_or(1.0));
        let y_range = (0.0, columns as f64);
        let y_axis = Axis::new("cell", "");
        return Some(Kind::Heatmap(Heatmap {
            rows: columns,
            columns: rows,
            values: turned,
            x_axis,
            x_range: range,
            y_axis,
            y_range,
            value_axis,
        }));
    }
    let (x_range, y_range) = ((0.0, columns as f64), (0.0, rows as f64));
    Some(Kind::Heatmap(Heatmap {
        rows,
        columns,
        values,
        x_axis: Axis::default(),
        x_range,
        y_axis: Axis::default(),
        y_range,
        value_axis,
    }))
}

fn bar(s: &mut Session, _call: &Call, shown: Vec<Shown>) -> Option<Kind> {
    let mut categories: Vec<String> = vec![];
    let mut series = vec![];
    let mut along = Scaled::default();
    for item in &shown {
        if let Some((keys, values)) = sweep_parts(&item.value) {
            categories = keys.iter().map(|k| s.label(k)).collect();
            let mut y = vec![];
            for value in values {
                let one = Shown { name: item.name.clone(), value, span: item.span };
                let (v, _) = s.numbers_along(&mut along, &one)?;
                y.push(v.first().copied().unwrap_or(f64::NAN));
            }
            series.push(Series::new(item.name.clone(), y));
        } else {
            let (y, _) = s.numbers_along(&mut along, item)?;
            categories = (0..y.len()).map(|k| k.to_string()).collect();
            series.push(Series::new(item.name.clone(), y));
        }
    }
    Some(Kind::Bar { categories, series, y_axis: along.axis(&shown[shown.len().saturating_sub(1)..]) })
}

fn curves(s: &mut Session, _call: &Call, shown: Vec<Shown>) -> Option<Kind> {
    let mut out = vec![];
    let mut along = Scaled::default();
    for item in &shown {
        let parts: Vec<(String, Value)> = match (&item.value, sweep_parts(&item.value)) {
            (_, Some((keys, values))) => keys.iter().map(|k| s.label(k)).zip(values).collect(),
            (Value::List(items), None) => {
                items.iter().enumerate().map(|(k, v)| (format!("{} {k}", item.name), v.clone())).collect()
            }
            _ => vec![(item.name.clone(), item.value.clone())],
        };
        for (name, value) in parts {
            let one = Shown { name: name.clone(), value, span: item.span };
            let (y, _) = s.numbers_along(&mut along, &one)?;
            out.push(Curve::counted(name, 1.0, y));
        }
    }
    let longest = out.iter().map(|c| c.x.len()).max().unwrap_or(0);
    for curve in &mut out {
        // A curve taken every few epochs is spread over all of them.
        let every = (longest / curve.x.len().max(1)).max(1);
        curve.x.iter_mut().enumerate().for_each(|(k, x)| *x = ((k + 1) * every) as f64);
    }
    let last = shown.last().and_then(|item| item.name.rsplit('.').next()).unwrap_or("");
    let y_axis = Axis { label: last.to_string(), ..along.axis(&[]) };
    Some(Kind::Curves { curves: out, x_axis: Axis::new("epoch", ""), y_axis })
}

fn filters(s: &mut Session, call: &Call, shown: Vec<Shown>) -> Option<Kind> {
    let item = s.only_one(call, &shown)?;
    let (values, shape, _) = s.plot_numbers(item)?;
    let (height, width) = match shape.as_slice() {
        [.., h, w] if shape.len() >= 3 => (*h, *w),
        [_, n] => {
            let side = (*n as f64).sqrt() as usize;
            if side * side == *n { (side, side) } else { (1, *n) }
        }
        _ => (1, values.len().max(1)),
    };
    let images = values.chunks((height * width).max(1)).take(256).map(<[f64]>::to_vec).collect();
    Some(Kind::Filters { height, width, images })
}

fn scatter(s: &mut Session, call: &Call, shown: Vec<Shown>) -> Option<Kind> {
    let [x, y] = shown.as_slice() else {
        let message = format!("`scatter` takes x and y, `scatter(net.c.w, net.c.delay)`; here are {}", shown.len());
        s.error("E0553", call.span, message);
        return None;
    };
    let ((a, _, ua), (b, _, ub)) = (s.plot_numbers(x)?, s.plot_numbers(y)?);
    s.hold_pairs(a.len(), b.len(), y.span)?;
    let points = a.into_iter().zip(b).collect();
    let clouds = vec![Cloud { name: String::new(), points }];
    Some(Kind::Scatter { clouds, x_axis: axis_of(&x.name, &ua), y_axis: axis_of(&y.name, &ub) })
}

fn confusion(s: &mut Session, _call: &Call, shown: Vec<Shown>) -> Option<Kind> {
    let [y, label, ..] = shown.as_slice() else { return None };
    let ((values, shape, _), (labels, _, _)) = (s.plot_numbers(y)?, s.plot_numbers(label)?);
    let classes = shape.last().copied().unwrap_or(1).max(1);
    let mut counts = vec![vec![0.0; classes]; classes];
    for (row, label) in values.chunks(classes).zip(labels) {
        let guess = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(k, _)| k);
        if let Some(cell) = counts.get_mut(label as usize).and_then(|r| r.get_mut(guess)) {
            *cell += 1.0;
        }
    }
    Some(Kind::Confusion { labels: (0..classes).map(|k| k.to_string()).collect(), counts })
}

impl Session<'_> {
    /// The edges of a connection as a picture: those of a dense one from its weights.
    fn connectivity_of(&mut self, p: &crate::value::ProjectionRef) -> Option<Kind> {
        let id = self.owner_net(&p.owner);
        let projection = self.net(id).projections[p.index].clone();
        let target = self.net(id).populations[projection.target].clone();
        let source = projection.source.map(|(s, _)| self.net(id).populations[s].clone());
        let first = projection.first_sender() as u32;
        let weights = self.stored_weight(id, &format!("{}.w", projection.name));
        let shown = projection.weight.as_ref().map(|q| q.unit.shown());
        let entries = match &projection.edges {
            Some(e) => {
                let flat: Vec<f64> = match (&weights, &shown) {
                    (Some(w), Some(unit)) if w.len() == e.count() => w.iter().map(|v| from_si(*v, unit)).collect(),
                    _ => vec![1.0; e.count()],
                };
                e.sender().iter().zip(e.target.iter()).zip(flat).map(|((s, t), w)| (s + first, *t, w)).collect()
            }
            None => {
                let senders = projection.weight.as_ref().and_then(|w| w.shape.get(1)).copied().unwrap_or(1);
                let all = (0..senders as u32 * target.size() as u32).map(|k| (k % senders as u32, k / senders as u32));
                let flat: Vec<f64> = match (&weights, &shown) {
                    (Some(w), Some(unit)) => w.iter().map(|v| from_si(*v, unit)).collect(),
                    _ => vec![],
                };
                all.zip(flat).map(|((s, t), w)| (s + first, t, w)).collect()
            }
        };
        Some(Kind::ConnectivityMatrix {
            pre: source.as_ref().map_or(0, crate::network::Population::size),
            post: target.size(),
            entries,
            pre_name: source.map_or_else(|| "input".into(), |s| s.name),
            post_name: target.name,
            value_axis: Axis::new("weight", shown.map_or(String::new(), |u| u.name.to_string())),
        })
    }
}
