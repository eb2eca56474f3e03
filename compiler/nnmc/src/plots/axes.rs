//! What lies along an axis of a figure: numbers in one unit, as many along x as along y, and above 0 where it is logarithmic.

use nnm_figures::{Axis, Kind, Scale};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::Shown;
use crate::eval::Call;
use crate::session::{Mode, Session};
use crate::unit::{Unit, from_si};

/// The unit of an axis: that of the first thing drawn along it.
#[derive(Default)]
pub struct Scaled {
    first: Option<(Unit, Span)>,
}

impl Scaled {
    pub fn unit(&self) -> Unit {
        self.first.as_ref().map_or(Unit::REAL, |(unit, _)| unit.clone())
    }

    /// The axis, with the name of what is drawn along it where that is one thing.
    pub fn axis(&self, shown: &[Shown]) -> Axis {
        let label = if let [one] = shown { one.name.clone() } else { String::new() };
        Axis::new(label, self.unit().shown().name.to_string())
    }
}

impl Session<'_> {
    /// Numbers in the unit of an axis, and their shape; without values while they are not known.
    pub(super) fn numbers_along(&mut self, along: &mut Scaled, s: &Shown) -> Option<(Vec<f64>, Vec<usize>)> {
        let num = self.number(s.value.clone(), s.span)?;
        match &along.first {
            Some((unit, first)) if !num.unit.fits(unit) => {
                let message =
                    format!("two units along one axis: {} here, and {} before", num.unit.describe(), unit.describe());
                let d = Diagnostic::error("E0641", s.span, message).label(*first, "along the same axis");
                self.report(d.help("an axis has one unit: make two pictures of it, `plot line(a), line(b)`"));
                return None;
            }
            Some((unit, _)) if unit.dim().is_some() => {}
            _ => along.first = Some((num.unit.clone(), s.span)),
        }
        let Some(array) = num.as_const() else {
            if self.mode == Mode::Run {
                let bug = format!("`{}` is no number after the run", s.name);
                self.failure.get_or_insert_with(|| crate::failure::Failure::bug(bug));
            }
            return Some((vec![], vec![0]));
        };
        let shown = along.unit().shown();
        Some((array.iter().map(|v| from_si(*v, &shown)).collect(), array.shape().to_vec()))
    }

    /// Each value of x has one of y; what is not known yet has none.
    pub(super) fn hold_pairs(&mut self, x: usize, y: usize, span: Span) -> Option<()> {
        if x == y || x == 0 || y == 0 {
            return Some(());
        }
        self.error("E0313", span, format!("one value is drawn for each x: there are {x} of x, and {y} here"));
        None
    }

    /// The one thing that a plot shows.
    pub(super) fn only_one<'a>(&mut self, call: &Call, shown: &'a [Shown]) -> Option<&'a Shown> {
        if let [_, second, ..] = shown {
            let name = &call.name;
            let d = Diagnostic::error("E0553", second.span, format!("`{name}` shows one thing"));
            self.report(d.help(format!("`plot {name}(a), {name}(b)` are two pictures")));
            return None;
        }
        shown.first()
    }

    /// `x_label = "…"`, `y_label = "…"`: what the axes are called.
    pub(super) fn name_axes(&mut self, call: &Call, kind: &mut Kind) -> Option<()> {
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
            for (k, letter) in ["x", "y"].into_iter().enumerate().filter(|(_, letter)| text.contains(letter)) {
                self.hold_logarithm(call, kind, k, letter)?;
            }
        }
        Some(())
    }

    /// Powers of ten along an axis: a picture without any value above 0 would be empty, and others say how many they lack.
    fn hold_logarithm(&mut self, call: &Call, kind: &mut Kind, place: usize, letter: &str) -> Option<()> {
        let values = values_along(kind, place);
        let lost = values.iter().filter(|v| **v <= 0.0).count();
        if lost > 0 && lost == values.iter().filter(|v| v.is_finite()).count() {
            let message =
                format!("nothing can be drawn: no value along {letter} is above 0, and it goes in powers of ten");
            let d = Diagnostic::error("E0643", call.span, message);
            self.report(d.help("leave `log` out, or draw `abs(x)` or a difference that is above 0"));
            return None;
        }
        if let Some(axis) = axes_of(kind)[place].as_mut() {
            axis.scale = Scale::Log;
            if lost > 0 {
                let join = if axis.label.is_empty() { "" } else { ", " };
                axis.label = format!("{}{join}without {lost} at or below 0", axis.label);
            }
        }
        Some(())
    }
}

/// The numbers along x (0) or y (1) of a figure that has them.
fn values_along(kind: &Kind, place: usize) -> Vec<f64> {
    match (kind, place) {
        (Kind::Line { x, .. } | Kind::Spectrum { frequency: x, .. }, 0) => x.clone(),
        (Kind::Line { series, .. } | Kind::Spectrum { series, .. } | Kind::Bar { series, .. }, 1)
        | (Kind::Histogram { series, .. }, 0) => series.iter().flat_map(|s| s.y.iter().copied()).collect(),
        (Kind::Curves { curves, .. }, _) => {
            curves.iter().flat_map(|c| if place == 0 { &c.x } else { &c.y }).copied().collect()
        }
        (Kind::Scatter { clouds, .. }, _) => {
            let points = clouds.iter().flat_map(|c| &c.points);
            points.map(|p| if place == 0 { p.0 } else { p.1 }).collect()
        }
        _ => vec![],
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
