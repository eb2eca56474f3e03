//! How often each value occurs.

use super::line::{filled, sole_name};
use crate::axes::Axes;
use crate::figure::{Axis, Scale, Series};
use crate::page::{Area, PLOT_HEIGHT, Page, RIM, Swatch, WIDTH};
use crate::scale::{bounds, drawable, short};
use crate::svg::number;
use crate::theme::Theme;

pub fn render(title: &str, series: &[Series], bins: Option<usize>, x_axis: &Axis, theme: Theme) -> String {
    let mut page = Page::new(title, WIDTH, theme);
    let Some(grid) = Grid::of(series, bins) else {
        return page.nothing("no data");
    };
    let names: Vec<&str> = series.iter().map(|one| one.name.as_str()).collect();
    page.legend(&names, Swatch::Box);
    let counts: Vec<Vec<f64>> = series.iter().map(|one| grid.count(&one.y)).collect();
    let most = counts.iter().flatten().copied().fold(1.0, f64::max);
    let (x_axis, y_axis) = (sole_name(&names, x_axis), Axis::new("count", ""));
    let area = Area { left: RIM, top: page.top + 6.0, right: WIDTH - RIM - 6.0, bottom: page.top + 6.0 + PLOT_HEIGHT };
    let frame = Axes::new(&x_axis, (grid.low, grid.high), &y_axis, (0.0, most * 1.04)).draw(&mut page.svg, area);
    for (place, counts) in counts.iter().enumerate() {
        let mark = page.mark(place, series.len());
        let points: Vec<(f64, f64)> = counts
            .iter()
            .enumerate()
            .flat_map(|(bin, &count)| [bin, bin + 1].map(|edge| (frame.x.place(grid.edge(edge)), frame.y.place(count))))
            .collect();
        page.svg.path(&format!("{} area", mark.fill_class), &filled(&points, frame.inside.bottom), &mark.fill);
        let bottom = number(frame.inside.bottom);
        let mut outline = String::new();
        for (bin, pair) in points.chunks(2).enumerate() {
            let start = if bin == 0 { format!("M{} {bottom}", number(pair[0].0)) } else { String::new() };
            outline.push_str(&format!("{start}V{}H{}", number(pair[0].1), number(pair[1].0)));
        }
        outline.push_str(&format!("V{bottom}"));
        page.svg.path(&format!("{} thin", mark.class), &outline, &mark.stroke);
    }
    page.finish(area.bottom + RIM, title, &describe(series, &x_axis, &grid))
}

/// Bins of one width.
pub struct Grid {
    pub low: f64,
    pub high: f64,
    pub bins: usize,
}

impl Grid {
    /// The given number of bins; for few integers one each; else after Freedman and Diaconis, at least Sturges' number.
    pub fn of(series: &[Series], bins: Option<usize>) -> Option<Grid> {
        let mut values: Vec<f64> =
            series.iter().flat_map(|one| one.y.iter().copied()).filter(|value| value.is_finite()).collect();
        let (low, high) = bounds(values.iter().copied())?;
        if let Some(bins) = bins {
            let (low, high) = drawable((low, high), Scale::Linear);
            return Some(Grid { low, high, bins: bins.clamp(1, 1000) });
        }
        if high - low <= 60.0 && values.iter().all(|value| value.fract() == 0.0) {
            return Some(Grid { low: low - 0.5, high: high + 0.5, bins: (high - low) as usize + 1 });
        }
        values.sort_unstable_by(f64::total_cmp);
        let quartile = |share: f64| values[((values.len() - 1) as f64 * share) as usize];
        let width = 2.0 * (quartile(0.75) - quartile(0.25)) / (values.len() as f64).cbrt();
        let sturges = (values.len() as f64).log2().ceil() as usize + 1;
        let wanted = if width > 0.0 { ((high - low) / width).ceil() as usize } else { sturges };
        let (low, high) = drawable((low, high), Scale::Linear);
        Some(Grid { low, high, bins: wanted.max(sturges).clamp(5, 80) })
    }

    pub fn edge(&self, place: usize) -> f64 {
        self.low + (self.high - self.low) * place as f64 / self.bins as f64
    }

    pub fn count(&self, values: &[f64]) -> Vec<f64> {
        let mut counts = vec![0.0; self.bins];
        for value in values.iter().filter(|value| value.is_finite()) {
            let bin = ((value - self.low) / (self.high - self.low) * self.bins as f64) as usize;
            counts[bin.min(self.bins - 1)] += 1.0;
        }
        counts
    }
}

fn describe(series: &[Series], x_axis: &Axis, grid: &Grid) -> String {
    let count: usize = series.iter().map(|one| one.y.iter().filter(|value| value.is_finite()).count()).sum();
    let what = super::line::or_values(&x_axis.caption()).to_string();
    format!(
        "Histogram of {count} values of {what} from {} to {} in {} bins.",
        short(grid.low),
        short(grid.high),
        grid.bins
    )
}
