//! Every kind of figure: what it draws, that it is well-formed and small, and what it does with odd data.

use nnm_figures::report::{Block, Section, report_html};
use nnm_figures::terminal::{self, Ink, draw, draw_in, sparkline};
use nnm_figures::{Axis, Cloud, Curve, Figure, Heatmap, Kind, Panel, Series, SpikeGroup, Theme, render};

fn axis(name: &str) -> Axis {
    Axis::new(name, "")
}

fn line(x: Vec<f64>, y: Vec<f64>) -> Figure {
    let kind = Kind::Line { x, series: vec![Series::new("a", y)], x_axis: axis("x"), y_axis: axis("y") };
    Figure::new("A line", kind)
}

/// One figure of every kind with few data.
fn small() -> Vec<Figure> {
    let nan = f64::NAN;
    let spikes = vec![(0.01, 0), (0.2, 2), (0.5, 1)];
    let series = || vec![Series::new("a", vec![1.0, nan, 3.0]), Series::new("b", vec![2.0, 0.5, -1.0])];
    let map = Heatmap {
        rows: 2,
        columns: 3,
        values: vec![0.0, 1.0, nan, -1.0, 0.5, 0.25],
        x_range: (0.0, 3.0),
        y_range: (0.0, 2.0),
        ..Heatmap::default()
    };
    let kinds = [
        Kind::Line { x: vec![0.0, 1.0, 2.0], series: series(), x_axis: axis("x"), y_axis: axis("y") },
        Kind::Traces {
            panels: vec![
                Panel { axis: Axis::new("v", "mV"), time: vec![0.0, 1.0, 2.0], series: series() },
                Panel::default(),
            ],
            x_axis: Axis::new("time", "ms"),
        },
        Kind::Raster {
            groups: vec![
                SpikeGroup { name: "E".into(), cells: 4, spikes, ..SpikeGroup::default() },
                SpikeGroup::default(),
            ],
            x_axis: Axis::new("time", "s"),
        },
        Kind::Histogram { series: series(), bins: Some(4), x_axis: axis("w") },
        Kind::Heatmap(map),
        Kind::Bar {
            categories: vec!["p".into(), "q".into(), "r".into()],
            series: series(),
            y_axis: Axis::new("score", "%"),
        },
        Kind::Curves {
            curves: vec![Curve::counted("loss", 1.0, vec![1.0, 0.1, 0.01])],
            x_axis: axis("epoch"),
            y_axis: axis("loss").log(),
        },
        Kind::Filters { height: 2, width: 2, images: vec![vec![0.0, 1.0, -1.0, nan], vec![1.0; 4]] },
        Kind::Scatter {
            clouds: vec![Cloud { name: "c".into(), points: vec![(0.0, 1.0), (nan, 1.0), (2.0, 3.0)] }],
            x_axis: axis("x"),
            y_axis: axis("y"),
        },
        Kind::Confusion { labels: vec!["cat".into(), "dog".into()], counts: vec![vec![8.0, 2.0], vec![0.0, 10.0]] },
        Kind::ConnectivityMatrix {
            pre: 3,
            post: 2,
            entries: vec![(0, 1, 1.0), (2, 0, -0.5), (99, 99, 1.0)],
            pre_name: "E".into(),
            post_name: "I".into(),
            value_axis: Axis::new("weight", ""),
        },
        Kind::Spectrum {
            frequency: vec![0.0, 1.0, 10.0],
            series: vec![Series::new("", vec![1.0, 2.0, 0.1])],
            x_axis: Axis::new("frequency", "Hz").log(),
            y_axis: axis("power").log(),
        },
    ];
    kinds.into_iter().map(|kind| Figure::new("A <figure> & \"its\" title", kind)).collect()
}

/// The same kinds without any data, and with nothing but NaN.
fn hollow() -> Vec<Figure> {
    let nothing = |y: Vec<f64>, name: &str| vec![Series::new(name, y)];
    let mut found = Vec::new();
    for y in [vec![], vec![f64::NAN; 3], vec![f64::INFINITY, f64::NEG_INFINITY, f64::NAN]] {
        let x = vec![f64::NAN; y.len()];
        let kinds = [
            Kind::Line { x: x.clone(), series: nothing(y.clone(), "a"), x_axis: axis(""), y_axis: axis("") },
            Kind::Line { x: vec![1.0; 3], series: vec![], x_axis: axis(""), y_axis: axis("").log() },
            Kind::Traces { panels: vec![], x_axis: axis("") },
            Kind::Raster {
                groups: vec![SpikeGroup { name: "E".into(), cells: 9, spikes: vec![], ..SpikeGroup::default() }],
                x_axis: axis(""),
            },
            Kind::Histogram { series: nothing(y.clone(), ""), bins: None, x_axis: axis("") },
            Kind::Heatmap(Heatmap { rows: 1, columns: y.len(), values: y.clone(), ..Heatmap::default() }),
            Kind::Bar { categories: vec![], series: nothing(y.clone(), ""), y_axis: axis("") },
            Kind::Curves { curves: vec![], x_axis: axis(""), y_axis: axis("") },
            Kind::Filters { height: 0, width: 3, images: vec![y.clone()] },
            Kind::Scatter { clouds: vec![], x_axis: axis(""), y_axis: axis("") },
            Kind::Confusion { labels: vec![], counts: vec![] },
            Kind::ConnectivityMatrix {
                pre: 5,
                post: 0,
                entries: vec![],
                pre_name: String::new(),
                post_name: String::new(),
                value_axis: axis(""),
            },
            Kind::Spectrum { frequency: x, series: nothing(y, ""), x_axis: axis("").log(), y_axis: axis("").log() },
        ];
        found.extend(kinds.map(|kind| Figure::new("", kind)));
    }
    found
}

fn check_xml(text: &str) {
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    let parsed = roxmltree::Document::parse_with_options(text, options);
    assert!(parsed.is_ok(), "{:?}\n{text}", parsed.err());
    for part in ["NaN", "inf"] {
        assert!(!text.contains(&format!("\"{part}")), "a coordinate is {part}: {text}");
    }
}

#[test]
fn every_kind_is_well_formed() {
    for figure in small() {
        for theme in [Theme::Light, Theme::Dark, Theme::Auto] {
            let text = render(&figure, theme);
            check_xml(&text);
            assert!(text.contains("<title>A &lt;figure&gt; &amp; &quot;its&quot; title</title>"), "{text}");
            assert!(text.contains("<desc>") && text.contains("role=\"img\""));
            assert_eq!(text.contains("prefers-color-scheme"), theme == Theme::Auto);
        }
    }
}

#[test]
fn nothing_to_show_is_said() {
    for figure in hollow() {
        let text = render(&figure, Theme::Auto);
        check_xml(&text);
        assert!(["no data", "no spikes", "no connections"].iter().any(|words| text.contains(words)), "{text}");
        assert_eq!(draw(&figure, 60, 12), "no data");
    }
}

#[test]
fn equal_input_gives_equal_output() {
    for figure in small() {
        assert_eq!(render(&figure, Theme::Auto), render(&figure.clone(), Theme::Auto));
    }
}

#[test]
fn constant_and_lone_values() {
    for y in [vec![5.0; 4], vec![0.0; 4], vec![-3.0, f64::NAN, f64::NAN, f64::NAN]] {
        let figure = line(vec![0.0, 1.0, 2.0, 3.0], y);
        check_xml(&render(&figure, Theme::Light));
        assert!(draw(&figure, 40, 8).lines().count() <= 8);
    }
    check_xml(&render(&line(vec![1.0], vec![1e-300]), Theme::Light));
    check_xml(&render(&line(vec![0.0, 1.0], vec![-1e300, 1e300]), Theme::Light));
}

#[test]
fn a_million_points_stay_small() {
    let count = 1_000_000;
    let x: Vec<f64> = (0..count).map(f64::from).collect();
    let y: Vec<f64> = x.iter().map(|t| (t * 0.37).sin() * (1.0 + (t * 1e-5).cos())).collect();
    let text = render(&line(x.clone(), y.clone()), Theme::Auto);
    assert!(text.len() < 120_000, "line: {} bytes", text.len());

    let spikes = x.iter().map(|&t| (t / 1e6, ((t * 0.618).fract() * 4000.0) as u32)).collect();
    let groups = vec![SpikeGroup { name: "E".into(), cells: 4000, spikes, ..SpikeGroup::default() }];
    let text = render(&Figure::new("", Kind::Raster { groups, x_axis: Axis::new("time", "s") }), Theme::Auto);
    assert!(text.len() < 600_000, "raster: {} bytes", text.len());

    let points = x.iter().zip(&y).map(|(&x, &y)| (x, y)).collect();
    let clouds = vec![Cloud { name: String::new(), points }];
    let text = render(&Figure::new("", Kind::Scatter { clouds, x_axis: axis(""), y_axis: axis("") }), Theme::Auto);
    assert!(text.len() < 300_000, "scatter: {} bytes", text.len());

    let map = Heatmap {
        rows: 1000,
        columns: 1000,
        values: y,
        x_range: (0.0, 1.0),
        y_range: (0.0, 1.0),
        ..Heatmap::default()
    };
    let text = render(&Figure::new("", Kind::Heatmap(map)), Theme::Auto);
    assert!(text.len() < 900_000, "matrix: {} bytes", text.len());
}

#[test]
fn a_spike_survives_decimation() {
    let y: Vec<f64> = (0..100_000).map(|k| if k == 54_321 { 40.0 } else { -65.0 }).collect();
    let x: Vec<f64> = (0..100_000).map(|k| f64::from(k) * 0.01).collect();
    let figure = line(x, y);
    let text = render(&figure, Theme::Light);
    let path = text.lines().find(|line| line.contains("class=\"s s0\"")).expect("the line's path");
    let heights: Vec<f64> =
        path.split(['M', 'L', 'h', '"']).filter_map(|point| point.split_whitespace().nth(1)?.parse().ok()).collect();
    let (top, bottom) = heights.iter().fold((f64::MAX, f64::MIN), |(a, b), &h| (a.min(h), b.max(h)));
    assert!(bottom - top > 200.0, "the spike is {top}..{bottom} high");
}

#[test]
fn a_line_that_would_hide_another_is_dashed() {
    let x: Vec<f64> = (0..50).map(f64::from).collect();
    let y: Vec<f64> = x.iter().map(|x| x * x).collect();
    let near = y.iter().map(|y| y + 0.01).collect();
    let series = vec![Series::new("measured", y), Series::new("theory", near)];
    let text = render(&Figure::new("", Kind::Line { x, series, x_axis: axis(""), y_axis: axis("") }), Theme::Light);
    assert!(text.contains("class=\"s s1 dash\"") && !text.contains("class=\"s s0 dash\""));
}

#[test]
fn terminal_drawings_fit() {
    for figure in small() {
        for (width, height) in [(76, 18), (40, 10), (20, 5)] {
            let text = draw(&figure, width, height);
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
            assert!(widest <= width, "{widest} > {width}:\n{text}");
            assert!(!text.contains('\x1b'));
        }
    }
    let coloured = draw_in(&small()[0], 60, 12, Ink::Ansi);
    assert!(coloured.contains("\x1b[34m") && coloured.ends_with("\x1b[0m"));
    assert_eq!(terminal::draw(&line(vec![0.0, 1.0], vec![0.0, 1.0]), 30, 6).lines().count(), 6);
}

#[test]
fn sparklines() {
    assert_eq!(sparkline(&[0.0, 1.0, 2.0, 3.0, 7.0], 10), "▁▂▃▄█");
    assert_eq!(sparkline(&[0.0, 0.0, 7.0, 7.0], 2), "▁█");
    assert_eq!(sparkline(&[1.0, f64::NAN, 1.0], 10), "▄ ▄");
    assert_eq!(sparkline(&[], 10), "");
}

#[test]
fn pictures_of_small_figures() {
    let curves =
        vec![Curve::counted("loss", 0.0, vec![2.0, 1.0, 0.5]), Curve::counted("validation", 0.0, vec![2.1, 1.2, 0.9])];
    let kind = Kind::Curves { curves, x_axis: axis("epoch"), y_axis: Axis::new("loss", "nat") };
    let figure = Figure::new("Learning curves", kind);
    insta::assert_snapshot!("curves_svg", render(&figure, Theme::Auto));
    insta::assert_snapshot!("curves_terminal", draw(&figure, 48, 12));
    let bars = Figure::new(
        "Accuracy",
        Kind::Bar {
            categories: vec!["plain".into(), "elastic".into()],
            series: vec![Series::new("accuracy", vec![37.5, 90.7])],
            y_axis: Axis::new("", "%"),
        },
    );
    insta::assert_snapshot!("bar_svg", render(&bars, Theme::Light));
    insta::assert_snapshot!("bar_terminal", draw(&bars, 48, 12));
}

fn sections() -> Vec<Section> {
    let table = Block::Table {
        columns: vec!["rule".into(), "accuracy (%)".into()],
        rows: vec![vec!["Backprop".into(), "95.8".into()], vec!["<Feedback>".into(), "−3".into()]],
    };
    let figure = Block::Figure { svg: render(&small()[0], Theme::Auto), caption: "A & B".into() };
    let blocks = vec![
        Block::Text("One.\n\nTwo.".into()),
        Block::KeyValues(vec![("seed".into(), "7".into())]),
        table,
        figure,
        Block::Code("a < b\n  c".into()),
    ];
    ["Results", "Figures", "Source"].map(|heading| Section { heading: heading.into(), blocks: blocks.clone() }).to_vec()
}

#[test]
fn the_report_is_one_well_formed_page() {
    let page = report_html("A <model>", &sections());
    check_xml(&page);
    for forbidden in ["<script", "http://", "https://", "src=", "@import", "url("] {
        let outside = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
        assert!(!outside.contains(forbidden), "the page contains {forbidden}");
    }
    assert!(page.contains("<th scope=\"col\" class=\"number\">accuracy (%)</th>"));
    assert!(page.contains("<td>&lt;Feedback&gt;</td>") && page.contains("<p>Two.</p>"));
    assert!(page.contains("a &lt; b\n  c"));
    assert!(page.contains("prefers-color-scheme") && page.contains("width=device-width"));
}

#[test]
fn an_empty_report_is_a_page() {
    check_xml(&report_html("", &[]));
}

/// Width and height of the matrix in a picture.
fn picture_size(map: &Heatmap) -> (f64, f64) {
    let svg = render(&Figure::new("map", Kind::Heatmap(map.clone())), Theme::default());
    let image = svg.split("<image").nth(1).unwrap();
    let number = |name: &str| {
        let text = image.split(&format!(" {name}=\"")).nth(1).unwrap();
        text.split('"').next().unwrap().parse::<f64>().unwrap()
    };
    (number("width"), number("height"))
}

#[test]
fn cells_of_a_matrix_are_square_where_both_sides_count_the_same() {
    let map = |rows: usize, columns: usize, units: (&str, &str)| Heatmap {
        rows,
        columns,
        values: (0..rows * columns).map(|k| k as f64).collect(),
        x_axis: Axis::new("x", units.0),
        x_range: (0.0, columns as f64),
        y_axis: Axis::new("y", units.1),
        y_range: (0.0, rows as f64),
        ..Heatmap::default()
    };
    for (rows, columns) in [(1, 1), (20, 20), (28, 28), (3, 9), (300, 300), (8, 2)] {
        for units in [("", ""), ("mm", "mm")] {
            let (width, height) = picture_size(&map(rows, columns, units));
            let (x, y) = (width / columns as f64, height / rows as f64);
            assert!((x / y - 1.0).abs() < 0.01, "{rows} by {columns}: cells of {x} by {y}");
            assert!(width < 620.0 && height < 480.0, "{width} by {height}");
        }
    }
    let (width, height) = picture_size(&map(20, 20, ("ms", "")));
    assert!(width > 1.5 * height, "time takes the page's width: {width} by {height}");
    let (width, height) = picture_size(&map(2, 500, ("", "")));
    assert!(width > 400.0 && height > 50.0, "a line is stretched: {width} by {height}");
}
