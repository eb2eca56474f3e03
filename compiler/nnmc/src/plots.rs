//! `plot` calls to figures: numbers in their units, names as the user wrote them.

use nnm_figures::figure::Cloud;
use nnm_figures::{Axis, Curve, Figure, Heatmap, Kind, Panel, Series, SpikeGroup};
use nnm_syntax::ast::{Arg, Clause, ExprId, ExprKind, Init};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use crate::eval::{Call, spikes_of};
use crate::session::{Mode, ScopeId, Session};
use crate::suggest;
use crate::sweep::sweep_parts;
use crate::unit::{Unit, from_si};
use crate::value::{Num, Value};

/// A plotted argument: its name and value.
struct Shown {
    name: String,
    value: Value,
    span: Span,
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

    /// `x_label = "…"`, `y_label = "…"`, `log = "x"`: what the axes are called, and powers of ten along them.
    fn name_axes(&mut self, call: &Call, kind: &mut Kind) -> Option<()> {
        for (option, place) in [("x_label", 0), ("y_label", 1)] {
            if call.named(option).is_some() {
                let text = self.text_arg(call, usize::MAX, option)?;
                if let Some(axis) = axes_of(kind)[place].as_mut() {
                    // The unit is added: one that the text ends with already is that one.
                    let unit = format!("({})", axis.unit);
                    axis.label = text.strip_suffix(&unit).map_or(text.clone(), |t| t.trim_end().to_string());
                }
            }
        }
        if call.named("log").is_some() {
            let text = self.text_arg(call, usize::MAX, "log")?;
            if !["x", "y", "xy"].contains(&text.as_str()) {
                self.error("E0553", call.span, "`log` is \"x\", \"y\" or \"xy\"");
                return None;
            }
            for (k, letter) in ["x", "y"].into_iter().enumerate() {
                if let Some(axis) = axes_of(kind)[k].as_mut().filter(|_| text.contains(letter)) {
                    axis.scale = nnm_figures::Scale::Log;
                }
            }
        }
        Some(())
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

    /// Each value of x has one of y; what is not known yet has none.
    fn hold_pairs(&mut self, x: usize, y: usize, span: Span) -> Option<()> {
        if x == y || x == 0 || y == 0 {
            return Some(());
        }
        self.error("E0313", span, format!("one value is drawn for each x: there are {x} of x, and {y} here"));
        None
    }

    fn plot_numbers(&mut self, s: &Shown) -> Option<(Vec<f64>, Vec<usize>, Unit)> {
        let num = self.number(s.value.clone(), s.span)?;
        let Some(array) = num.as_const() else {
            if self.mode == Mode::Run {
                let bug = format!("`{}` is no number after the run", s.name);
                self.failure.get_or_insert_with(|| crate::failure::Failure::bug(bug));
            }
            return Some((vec![], vec![0], num.unit));
        };
        let shown = num.unit.shown();
        Some((array.iter().map(|v| from_si(*v, &shown)).collect(), array.shape().to_vec(), num.unit))
    }
}

/// The axes along x and y of a figure that has them.
fn axes_of(kind: &mut Kind) -> [Option<&mut Axis>; 2] {
    match kind {
        Kind::Line { x_axis, y_axis, .. }
        | Kind::Curves { x_axis, y_axis, .. }
        | Kind::Scatter { x_axis, y_axis, .. }
        | Kind::Spectrum { x_axis, y_axis, .. } => [Some(x_axis), Some(y_axis)],
        Kind::Heatmap(map) => [Some(&mut map.x_axis), Some(&mut map.y_axis)],
        Kind::Histogram { x_axis, .. } | Kind::Raster { x_axis, .. } | Kind::Traces { x_axis, .. } => {
            [Some(x_axis), None]
        }
        Kind::Bar { y_axis, .. } => [None, Some(y_axis)],
        Kind::Filters { .. } | Kind::Confusion { .. } | Kind::ConnectivityMatrix { .. } => [None, None],
    }
}

fn axis_of(name: &str, unit: &Unit) -> Axis {
    Axis::new(name, unit.shown().name.to_string())
}

fn times_of(value: &Value) -> Option<Vec<f64>> {
    match value {
        Value::Num(Num { times: Some(times), .. }) => Some(times.to_vec()),
        _ => None,
    }
}

/// Seconds in a unit that suits their span, with its name.
fn readable_times(times: &[f64]) -> (Vec<f64>, &'static str) {
    let longest = times.iter().copied().fold(0.0, f64::max);
    if longest > 10.0 { (times.to_vec(), "s") } else { (times.iter().map(|t| t * 1e3).collect(), "ms") }
}

fn line(s: &mut Session, _call: &Call, shown: Vec<Shown>) -> Option<Kind> {
    let first = shown.first()?;
    let (x, x_axis, rest) = if let Some(times) = times_of(&first.value) {
        let (x, unit) = readable_times(&times);
        (x, Axis::new("time", unit), &shown[..])
    } else if shown.len() == 1 {
        let (y, shape, _) = s.plot_numbers(first)?;
        let rows = shape.first().copied().unwrap_or(y.len());
        ((0..rows).map(|k| k as f64).collect(), Axis::new("", ""), &shown[..])
    } else {
        let (x, _, unit) = s.plot_numbers(first)?;
        (x, axis_of(&first.name, &unit), &shown[1..])
    };
    let mut series = vec![];
    let mut unit = Unit::REAL;
    for item in rest {
        let (y, shape, u) = s.plot_numbers(item)?;
        let rows = shape.first().copied().unwrap_or(y.len());
        s.hold_pairs(x.len(), rows, item.span)?;
        unit = u;
        let lines = shape.get(1..).map_or(1, |r| r.iter().product::<usize>()).max(1);
        for k in 0..lines {
            let name = if lines > 1 { format!("{} {k}", item.name) } else { item.name.clone() };
            series.push(Series::new(name, y.iter().skip(k).step_by(lines).copied().collect()));
        }
    }
    let label = if let [one] = rest { one.name.clone() } else { String::new() };
    Some(Kind::Line { x, series, x_axis, y_axis: axis_of(&label, &unit) })
}

/// Pairs of quantities against one another: trajectories, nullclines.
fn phase_plane(s: &mut Session, call: &Call, shown: Vec<Shown>) -> Option<Kind> {
    if shown.len() < 2 || shown.len() % 2 == 1 {
        s.error("E0553", call.span, "`phase_plane` takes pairs: `phase_plane(run.n.v, run.n.w)`, and more of them");
        return None;
    }
    let mut curves = vec![];
    let mut axes = [Axis::default(), Axis::default()];
    for (k, pair) in shown.chunks(2).enumerate() {
        let ((x, shape, ux), (y, _, uy)) = (s.plot_numbers(&pair[0])?, s.plot_numbers(&pair[1])?);
        s.hold_pairs(x.len(), y.len(), pair[1].span)?;
        if k == 0 {
            axes = [axis_of(&pair[0].name, &ux), axis_of(&pair[1].name, &uy)];
        }
        let lines = shape.get(1..).map_or(1, |r| r.iter().product::<usize>()).max(1);
        for c in 0..lines {
            let of = |v: &[f64]| v.iter().skip(c).step_by(lines).copied().collect();
            let name = if lines > 1 { format!("{} {c}", pair[1].name) } else { pair[1].name.clone() };
            curves.push(Curve { name, x: of(&x), y: of(&y) });
        }
    }
    let [x_axis, y_axis] = axes;
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

fn traces(s: &mut Session, call: &Call, shown: Vec<Shown>) -> Option<Kind> {
    let stacked = match call.named("stacked") {
        Some(id) => s.known(call.scope, id, "`stacked`")?.as_f64()? != 0.0,
        None => false,
    };
    let mut panels = vec![];
    let mut time = vec![];
    let mut unit_of_time = "ms";
    for item in &shown {
        let Value::Num(num) = &item.value else {
            s.error("E0553", item.span, "`traces` shows recorded states: `traces(run.E.v)`");
            return None;
        };
        let operand = crate::eval::operators::Operand { num: num.clone(), span: item.span };
        let windowed = s.windowed_series(call, operand)?;
        let Some(times) = windowed.num.times.clone() else { continue };
        let (t, unit) = readable_times(&times);
        (time, unit_of_time) = (t, unit);
        let cut = Shown { name: item.name.clone(), value: Value::Num(windowed.num), span: item.span };
        let (y, shape, unit) = s.plot_numbers(&cut)?;
        let cells = shape.get(1..).map_or(1, |r| r.iter().product::<usize>()).max(1);
        let of = |k: usize| y.iter().skip(k).step_by(cells).copied().collect::<Vec<f64>>();
        if stacked && cells > 1 {
            panels.extend((0..cells.min(12)).map(|k| Panel {
                axis: axis_of(&format!("{k}"), &unit),
                series: vec![Series::new(String::new(), of(k))],
            }));
            continue;
        }
        let name = |k: usize| if cells > 1 { format!("{k}") } else { String::new() };
        let series = (0..cells.min(12)).map(|k| Series::new(name(k), of(k))).collect();
        panels.push(Panel { axis: axis_of(&item.name, &unit), series });
    }
    Some(Kind::Traces { time, panels, x_axis: Axis::new("time", unit_of_time) })
}

fn raster(s: &mut Session, call: &Call, shown: Vec<Shown>) -> Option<Kind> {
    let (from, to) = s.call_window(call)?;
    let mut groups = vec![];
    for item in &shown {
        if let Some(spikes) = spikes_of(&item.value) {
            let inside = spikes.times.iter().zip(&spikes.cells).filter(|(t, _)| (from..to).contains(*t));
            let points = inside.map(|(t, c)| (t * 1e3, *c)).collect();
            groups.push(SpikeGroup { name: spikes.name.clone(), cells: spikes.n, spikes: points });
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
        groups.push(SpikeGroup { name: item.name.clone(), cells, spikes: points.collect() });
    }
    Some(Kind::Raster { groups, x_axis: Axis::new("time", "ms") })
}

fn histogram(s: &mut Session, call: &Call, shown: Vec<Shown>) -> Option<Kind> {
    let bins = s.optional_int(call, "bins", 1)?.map(|b| b as usize);
    let mut series = vec![];
    let mut axis = Axis::default();
    for item in &shown {
        let (y, _, unit) = s.plot_numbers(item)?;
        axis = axis_of(&item.name, &unit);
        series.push(Series::new(item.name.clone(), y));
    }
    Some(Kind::Histogram { series, bins, x_axis: axis })
}

fn heatmap(s: &mut Session, _call: &Call, shown: Vec<Shown>) -> Option<Kind> {
    let item = shown.first()?;
    let times = times_of(&item.value);
    let (values, shape, unit) = s.plot_numbers(item)?;
    let (rows, columns) = match shape.as_slice() {
        [.., r, c] => (*r, *c),
        [n] => (1, *n),
        [] => (1, 1),
    };
    let values: Vec<f64> = values.into_iter().take(rows * columns).collect();
    let value_axis = axis_of(&item.name, &unit);
    if let Some(times) = times {
        // Time runs to the right, cells upwards.
        let (t, name) = readable_times(&times);
        let turned =
            (0..columns).flat_map(|c| (0..rows).map(|r| values[r * columns + c]).collect::<Vec<_>>()).collect();
        let range = (t.first().copied().unwrap_or(0.0), t.last().copied().unwrap_or(1.0));
        let y_range = (0.0, columns as f64);
        let (x_axis, y_axis) = (Axis::new("time", name), Axis::new("cell", ""));
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
    let mut axis = Axis::default();
    for item in &shown {
        if let Some((keys, values)) = sweep_parts(&item.value) {
            categories = keys.iter().map(|k| s.label(k)).collect();
            let mut y = vec![];
            for value in values {
                let one = Shown { name: item.name.clone(), value, span: item.span };
                let (v, _, unit) = s.plot_numbers(&one)?;
                axis = axis_of(&item.name, &unit);
                y.push(v.first().copied().unwrap_or(f64::NAN));
            }
            series.push(Series::new(item.name.clone(), y));
        } else {
            let (y, _, unit) = s.plot_numbers(item)?;
            axis = axis_of(&item.name, &unit);
            categories = (0..y.len()).map(|k| k.to_string()).collect();
            series.push(Series::new(item.name.clone(), y));
        }
    }
    Some(Kind::Bar { categories, series, y_axis: axis })
}

fn curves(s: &mut Session, _call: &Call, shown: Vec<Shown>) -> Option<Kind> {
    let mut out = vec![];
    let mut axis = Axis::default();
    for item in &shown {
        let parts: Vec<(String, Value)> = match (&item.value, sweep_parts(&item.value)) {
            (_, Some((keys, values))) => keys.iter().map(|k| s.label(k)).zip(values).collect(),
            (Value::List(items), None) => {
                items.iter().enumerate().map(|(k, v)| (format!("{} {k}", item.name), v.clone())).collect()
            }
            _ => vec![(item.name.clone(), item.value.clone())],
        };
        axis = Axis::new(item.name.rsplit('.').next().unwrap_or(""), "");
        for (name, value) in parts {
            let one = Shown { name: name.clone(), value, span: item.span };
            let (y, _, _) = s.plot_numbers(&one)?;
            out.push(Curve::counted(name, 1.0, y));
        }
    }
    let longest = out.iter().map(|c| c.x.len()).max().unwrap_or(0);
    for curve in &mut out {
        // A curve taken every few epochs is spread over all of them.
        let every = (longest / curve.x.len().max(1)).max(1);
        curve.x.iter_mut().enumerate().for_each(|(k, x)| *x = ((k + 1) * every) as f64);
    }
    Some(Kind::Curves { curves: out, x_axis: Axis::new("epoch", ""), y_axis: axis })
}

fn filters(s: &mut Session, _call: &Call, shown: Vec<Shown>) -> Option<Kind> {
    let item = shown.first()?;
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

fn scatter(s: &mut Session, _call: &Call, shown: Vec<Shown>) -> Option<Kind> {
    let [x, y, ..] = shown.as_slice() else { return None };
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
