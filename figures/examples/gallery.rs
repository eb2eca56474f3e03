//! Writes one figure of every kind, from made-up data: `cargo run -p nnm-figures --example gallery -- FOLDER`.

use std::f64::consts::PI;

use nnm_figures::{
    Axis, Cloud, Curve, Figure, Heatmap, Kind, Panel, Series, SpikeGroup, Theme, render, report, terminal,
};

fn main() -> std::io::Result<()> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    std::fs::create_dir_all(&folder)?;
    let mut blocks = Vec::new();
    for (name, figure) in gallery() {
        for (suffix, theme) in [("", Theme::Light), ("-dark", Theme::Dark), ("-auto", Theme::Auto)] {
            std::fs::write(format!("{folder}/{name}{suffix}.svg"), render(&figure, theme))?;
        }
        println!("{}\n", terminal::draw(&figure, 76, 18));
        blocks.push(report::Block::Figure { svg: render(&figure, Theme::Auto), caption: figure.title.clone() });
    }
    let table = report::Block::Table {
        columns: ["rule", "accuracy (%)", "angle (deg)"].map(String::from).to_vec(),
        rows: vec![
            ["Backprop", "95.8", "0.0"].map(String::from).to_vec(),
            ["FeedbackAlignment", "94.2", "52.1"].map(String::from).to_vec(),
        ],
    };
    let values = [("seed", "7"), ("step", "0.1 ms"), ("time", "1.93 s")].map(|(k, v)| (k.into(), v.into())).to_vec();
    let code = report::Block::Code("neuron LIF {\n  v' = (E_L - v + R * I) / tau\n}".into());
    let text = report::Block::Text("Made-up data, one figure of every kind.".into());
    let sections = [
        report::Section { heading: "Results".into(), blocks: vec![text, report::Block::KeyValues(values), table] },
        report::Section { heading: "Figures".into(), blocks },
        report::Section { heading: "Source".into(), blocks: vec![code] },
    ];
    std::fs::write(format!("{folder}/report.html"), report::report_html("WhichRuleLearns", &sections))
}

/// A number between 0 and 1 that looks random.
fn noise(k: usize) -> f64 {
    let mut x = (k as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

fn bell(k: usize) -> f64 {
    (0..12).map(|i| noise(k * 12 + i)).sum::<f64>() - 6.0
}

fn gallery() -> Vec<(&'static str, Figure)> {
    vec![
        ("line", line()),
        ("curves", curves()),
        ("family", family()),
        ("traces", traces()),
        ("trace", trace()),
        ("raster", raster(40, 400)),
        ("raster_dense", raster(3200, 1_000_000)),
        ("histogram", histogram()),
        ("heatmap", heatmap(40, 120, false)),
        ("heatmap_signed", heatmap(12, 16, true)),
        ("bar", bar(&["plain", "elastic", "replay"])),
        ("bar_long", bar(&["Backprop", "FeedbackAlignment", "DirectFeedbackAlignment", "NodePerturbation"])),
        ("filters", filters(100, 10)),
        ("filters_small", filters(16, 3)),
        ("scatter", scatter(120)),
        ("scatter_dense", scatter(200_000)),
        ("confusion", confusion()),
        ("connectivity", connectivity()),
        ("spectrum", spectrum()),
        ("empty", Figure::new("Nothing yet", Kind::Raster { groups: vec![], x_axis: Axis::new("time", "ms") })),
    ]
}

fn line() -> Figure {
    let x: Vec<f64> = (0..81).map(|i| f64::from(i) * 0.01).collect();
    let rate = |i: f64| {
        if i * 100.0 > 15.0 { 1000.0 / (2.0 + 20.0 * (i * 100.0 / (i * 100.0 - 15.0)).ln()) } else { 0.0 }
    };
    let theory: Vec<f64> = x.iter().map(|&i| rate(i)).collect();
    let measured = theory.iter().enumerate().map(|(k, r)| r + 0.3 * noise(k)).collect();
    let series = vec![Series::new("measured", measured), Series::new("theory", theory)];
    let axes = (Axis::new("input current", "nA"), Axis::new("firing rate", "Hz"));
    Figure::new(
        "f–I curve of a leaky integrate-and-fire neuron",
        Kind::Line { x, series, x_axis: axes.0, y_axis: axes.1 },
    )
}

fn curves() -> Figure {
    let loss = |rate: f64, seed: usize| -> Vec<f64> {
        (0..1350).map(|k| 2.3 * (-(k as f64) * rate).exp() + 0.08 + 0.15 * noise(seed + k)).collect()
    };
    let mut curves = vec![
        Curve::counted("Backprop", 0.0, loss(0.01, 0)),
        Curve::counted("FeedbackAlignment", 0.0, loss(0.005, 9000)),
    ];
    let x: Vec<f64> = (0..10).map(|k| f64::from(k) * 150.0).collect();
    curves.push(Curve { name: "validation".into(), y: x.iter().map(|x| 2.0 * (-x * 0.006).exp() + 0.2).collect(), x });
    let kind = Kind::Curves { curves, x_axis: Axis::new("update", ""), y_axis: Axis::new("loss", "nat").log() };
    Figure::new("Learning curves", kind)
}

fn family() -> Figure {
    let x: Vec<f64> = (0..200).map(|i| f64::from(i) * 0.5).collect();
    let one = |g: f64| Series::new(format!("g = {g}"), x.iter().map(|&t| (-t / (5.0 * g)).exp() * g).collect());
    let series = (3..14).map(|g| one(f64::from(g))).collect();
    let kind = Kind::Line { x, series, x_axis: Axis::new("time", "ms"), y_axis: Axis::new("activity", "") };
    Figure::new("A sweep", kind)
}

fn traces() -> Figure {
    let time: Vec<f64> = (0..100_000).map(|i| f64::from(i) * 0.01).collect();
    let v = time.iter().map(|t| -65.0 + 100.0 * (-((t % 14.7) - 4.0).powi(2) / 0.5).exp() + 6.0 * (t % 14.7) / 14.7);
    let gate = |k: f64| time.iter().map(|t| 0.5 + 0.45 * (t / 2.34 + k).sin()).collect::<Vec<f64>>();
    let panel =
        |name, unit, y| Panel { axis: Axis::new(name, unit), time: time.clone(), series: vec![Series::new(name, y)] };
    let panels = vec![panel("v", "mV", v.collect()), panel("m", "", gate(0.0)), panel("h", "", gate(1.0))];
    Figure::new("Hodgkin–Huxley", Kind::Traces { panels, x_axis: Axis::new("time", "ms") })
}

fn trace() -> Figure {
    let time: Vec<f64> = (0..400).map(|i| f64::from(i) * 0.25).collect();
    let one = |c: usize| {
        let y = (0..400)
            .map(|k| if c == 1 && (150..200).contains(&k) { f64::NAN } else { -60.0 + 3.0 * bell(c * 1000 + k) });
        Series::new(format!("E[{c}]"), y.collect())
    };
    let panels = vec![Panel { axis: Axis::new("membrane potential", "mV"), time, series: (0..3).map(one).collect() }];
    Figure::new("Membrane potentials", Kind::Traces { panels, x_axis: Axis::new("time", "ms") })
}

fn raster(cells: usize, spikes: usize) -> Figure {
    let group = |name: &str, cells: usize, spikes: usize, seed: usize| {
        let one = |k: usize| {
            let t = noise(seed + 2 * k) * 2.0;
            (t + 0.03 * (t * 40.0).sin(), (noise(seed + 2 * k + 1) * cells as f64) as u32)
        };
        SpikeGroup { name: name.into(), cells, spikes: (0..spikes).map(one).collect(), ..SpikeGroup::default() }
    };
    let groups = vec![group("E", cells, spikes, 0), group("I", cells / 4, spikes / 4, 77_000_000)];
    Figure::new("Irregular activity", Kind::Raster { groups, x_axis: Axis::new("time", "s") })
}

fn histogram() -> Figure {
    let values = |shift: f64, seed: usize| (0..3000).map(|k| bell(seed + k) * 0.15 + shift).collect();
    let series = vec![Series::new("before", values(0.5, 0)), Series::new("after", values(0.8, 5000))];
    Figure::new("Weights", Kind::Histogram { series, bins: None, x_axis: Axis::new("weight", "nS") })
}

fn heatmap(rows: usize, columns: usize, signed: bool) -> Figure {
    let value = |place: usize| {
        let (row, column) = ((place / columns) as f64 / rows as f64, (place % columns) as f64 / columns as f64);
        let bump = (-((row - 0.25 - 0.3 * column).powi(2)) / 0.01).exp();
        if signed { (6.0 * row).sin() * (9.0 * column).cos() } else { 40.0 * bump + noise(place) }
    };
    let map = Heatmap {
        rows,
        columns,
        values: (0..rows * columns).map(value).collect(),
        x_axis: Axis::new("time", "s"),
        x_range: (0.0, 2.0),
        y_axis: Axis::new("cell", ""),
        y_range: (0.0, rows as f64),
        value_axis: Axis::new("rate", "Hz"),
    };
    Figure::new("A bump that stays", Kind::Heatmap(map))
}

fn bar(names: &[&str]) -> Figure {
    let categories = names.iter().map(ToString::to_string).collect();
    let values = |seed: usize| (0..names.len()).map(|k| 55.0 + 44.0 * noise(seed + k)).collect();
    let series = vec![Series::new("old", values(3)), Series::new("new", values(30))];
    Figure::new("Accuracy on both tasks", Kind::Bar { categories, series, y_axis: Axis::new("accuracy", "%") })
}

fn filters(count: usize, side: usize) -> Figure {
    let image = |k: usize| {
        let (angle, phase) = (noise(k) * PI, noise(k + 999) * 2.0 * PI);
        let half = (side as f64 - 1.0) / 2.0;
        let value = |place: usize| {
            let (x, y) = ((place % side) as f64 - half, (place / side) as f64 - half);
            let along = x * angle.cos() + y * angle.sin();
            (along * 9.0 / side as f64 + phase).cos() * (-(x * x + y * y) / (half * half)).exp()
        };
        (0..side * side).map(value).collect()
    };
    Figure::new(
        "Receptive fields",
        Kind::Filters { height: side, width: side, images: (0..count).map(image).collect() },
    )
}

fn scatter(count: usize) -> Figure {
    let cloud = |name: &str, shift: f64, seed: usize| Cloud {
        name: name.into(),
        points: (0..count)
            .map(|k| (bell(seed + 2 * k) + shift, bell(seed + 2 * k + 1) + shift * bell(seed + 2 * k)))
            .collect(),
    };
    let clouds = vec![cloud("digit 3", -1.0, 0), cloud("digit 8", 1.5, 40_000_000)];
    let kind =
        Kind::Scatter { clouds, x_axis: Axis::new("first component", ""), y_axis: Axis::new("second component", "") };
    Figure::new("Hidden layer", kind)
}

fn confusion() -> Figure {
    let count = |i: usize, j: usize| {
        if i == j { 30.0 + (8.0 * noise(i)).floor() } else { (noise(i * 10 + j) * 1.3).floor() * 3.0 }
    };
    let counts = (0..10).map(|i| (0..10).map(|j| count(i, j)).collect()).collect();
    Figure::new("Confusion", Kind::Confusion { labels: (0..10).map(|k| k.to_string()).collect(), counts })
}

fn connectivity() -> Figure {
    let entry = |k: usize| {
        let (i, j) = ((noise(3 * k) * 100.0) as u32, (noise(3 * k + 1) * 80.0) as u32);
        (i, j, if i < 80 { 1.62 } else { -9.0 } * noise(3 * k + 2))
    };
    let entries = (0..800).map(entry).collect();
    let kind = Kind::ConnectivityMatrix {
        pre: 100,
        post: 80,
        entries,
        pre_name: "E".into(),
        post_name: "I".into(),
        value_axis: Axis::new("weight", "nS"),
    };
    Figure::new("Connections from E to I", kind)
}

fn spectrum() -> Figure {
    let frequency: Vec<f64> = (1..2000).map(|k| f64::from(k) * 0.25).collect();
    let power = frequency
        .iter()
        .enumerate()
        .map(|(k, f)| (1.0 / (1.0 + f * f / 400.0) + 3.0 * (-(f - 40.0).powi(2) / 20.0).exp()) * (0.4 + noise(k)));
    let series = vec![Series::new("", power.collect())];
    let kind = Kind::Spectrum {
        frequency,
        series,
        x_axis: Axis::new("frequency", "Hz").log(),
        y_axis: Axis::new("power", "1/Hz").log(),
    };
    Figure::new("Gamma in the population rate", kind)
}
