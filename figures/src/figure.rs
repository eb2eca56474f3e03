//! What a figure shows, said plainly: data, names and units, nothing about pixels or colours.

/// A picture to draw with [`crate::render`] or [`crate::terminal::draw`].
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Drawn above the picture and read out by a screen reader; may be empty.
    pub title: String,
    pub kind: Kind,
}

/// A name and a unit beside an axis. The numbers of the data are in this unit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Axis {
    pub label: String,
    /// Shown in parentheses after the label; empty for a plain number.
    pub unit: String,
    pub scale: Scale,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    #[default]
    Linear,
    /// Powers of ten. Values that are not positive are left out.
    Log,
}

/// One value for each x of the figure, or each category. Missing values are NaN.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    pub name: String,
    pub y: Vec<f64>,
}

/// A curve with places of its own, as a validation loss taken every fifth epoch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve {
    pub name: String,
    pub x: Vec<f64>,
    pub y: Vec<f64>,
}

/// One row of stacked recordings: a quantity with times and a unit of its own, a line per cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Panel {
    pub axis: Axis,
    pub time: Vec<f64>,
    pub series: Vec<Series>,
}

/// The spikes of one population as (time, cell).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpikeGroup {
    pub name: String,
    /// Number of cells, silent ones included; 0 takes the largest cell that fired.
    pub cells: usize,
    pub spikes: Vec<(f64, u32)>,
    /// The times from and to which it was looked at; without it, as far as there are spikes.
    pub seen: Option<(f64, f64)>,
}

/// A cloud of points.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cloud {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// The sort of picture, with its data.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Quantities over a common x, in the order given: x need not grow (a phase plane).
    Line { x: Vec<f64>, series: Vec<Series>, x_axis: Axis, y_axis: Axis },
    /// Recordings under one another over a common axis of time.
    Traces { panels: Vec<Panel>, x_axis: Axis },
    /// A tick for every spike, populations above one another.
    Raster { groups: Vec<SpikeGroup>, x_axis: Axis },
    /// How often each value occurs. Without `bins` the number follows from the data.
    Histogram { series: Vec<Series>, bins: Option<usize>, x_axis: Axis },
    /// A matrix as colours, `values[row * columns + column]`, row 0 at the bottom.
    Heatmap(Heatmap),
    /// Groups of bars, one group a category and one bar a series.
    Bar { categories: Vec<String>, series: Vec<Series>, y_axis: Axis },
    /// Learning curves.
    Curves { curves: Vec<Curve>, x_axis: Axis, y_axis: Axis },
    /// Small grey or signed images in a grid, row-major, row 0 on top; each on its own contrast.
    Filters { height: usize, width: usize, images: Vec<Vec<f64>> },
    /// Points without lines.
    Scatter { clouds: Vec<Cloud>, x_axis: Axis, y_axis: Axis },
    /// `counts[true class][predicted class]`.
    Confusion { labels: Vec<String>, counts: Vec<Vec<f64>> },
    /// Who is connected to whom: (sender, target, weight).
    ConnectivityMatrix {
        pre: usize,
        post: usize,
        entries: Vec<(u32, u32, f64)>,
        pre_name: String,
        post_name: String,
        /// What the colour means.
        value_axis: Axis,
    },
    /// Power over frequency.
    Spectrum { frequency: Vec<f64>, series: Vec<Series>, x_axis: Axis, y_axis: Axis },
}

/// A matrix and the quantities along its sides.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heatmap {
    pub rows: usize,
    pub columns: usize,
    pub values: Vec<f64>,
    /// What a column stands for, and the values at the outer edges of the first and the last one.
    pub x_axis: Axis,
    pub x_range: (f64, f64),
    pub y_axis: Axis,
    pub y_range: (f64, f64),
    /// What the colour means.
    pub value_axis: Axis,
}

impl Heatmap {
    /// Whether a step along one side is the same as one along the other, so that cells are drawn square.
    pub fn is_even(&self) -> bool {
        self.x_axis.unit == self.y_axis.unit && self.x_axis.scale == self.y_axis.scale
    }
}

impl Figure {
    pub fn new(title: impl Into<String>, kind: Kind) -> Self {
        Figure { title: title.into(), kind }
    }
}

impl Axis {
    pub fn new(label: impl Into<String>, unit: impl Into<String>) -> Self {
        Axis { label: label.into(), unit: unit.into(), scale: Scale::Linear }
    }

    /// The same axis with powers of ten.
    pub fn log(self) -> Self {
        Axis { scale: Scale::Log, ..self }
    }

    /// `membrane potential (mV)`, `epoch`, `mV` or nothing.
    pub fn caption(&self) -> String {
        match (self.label.is_empty(), self.unit.is_empty()) {
            (_, true) => self.label.clone(),
            (true, false) => self.unit.clone(),
            (false, false) => format!("{} ({})", self.label, self.unit),
        }
    }
}

impl Series {
    pub fn new(name: impl Into<String>, y: Vec<f64>) -> Self {
        Series { name: name.into(), y }
    }
}

impl Curve {
    /// A curve whose x counts from `first` in steps of one.
    pub fn counted(name: impl Into<String>, first: f64, y: Vec<f64>) -> Self {
        let x = (0..y.len()).map(|i| first + i as f64).collect();
        Curve { name: name.into(), x, y }
    }
}

impl SpikeGroup {
    /// The number of rows that the group takes.
    pub fn rows(&self) -> usize {
        let fired = self.spikes.iter().map(|&(_, cell)| cell as usize + 1).max().unwrap_or(0);
        self.cells.max(fired)
    }
}
