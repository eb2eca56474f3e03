//! `report.html`: what a run gave, on one page that can be mailed.

use nnm_figures::report::{Block, Section, report_html};
use serde_json::Value as Json;

use crate::folder::Ended;
use crate::provenance;
use crate::tables::{self, Table};

/// The page; figures are name, file and SVG text.
pub fn report(ended: &Ended, figures: &[(String, String, String)]) -> String {
    let outcome = ended.outcome;
    let mut sections = vec![summary(ended)];
    let tables = tables::of_reports(&outcome.reports, true);
    if !tables.is_empty() {
        let blocks = tables.into_iter().map(block).collect();
        sections.push(Section { heading: "Results".into(), blocks });
    }
    if !outcome.expectations.is_empty() {
        let row = |e: &nnm_compiler::experiment::Expectation| {
            vec![if e.held { "✓ held" } else { "✗ failed" }.to_string(), e.text.clone(), e.found.clone()]
        };
        let rows = outcome.expectations.iter().map(row).collect();
        let columns = ["", "expected", "found"].map(String::from).to_vec();
        sections.push(Section { heading: "Expectations".into(), blocks: vec![Block::Table { columns, rows }] });
    }
    if !figures.is_empty() {
        let figure =
            |(name, _, svg): &(String, String, String)| Block::Figure { svg: svg.clone(), caption: name.clone() };
        sections.push(Section { heading: "Figures".into(), blocks: figures.iter().map(figure).collect() });
    }
    if !outcome.components.is_empty() {
        let mut rows = vec![];
        for c in &outcome.components {
            for (what, part) in [("architecture", &c.architecture), ("objective", &c.objective), ("rule", &c.rule)] {
                rows.push(vec![c.network.clone(), what.to_string(), part.text.clone(), part.hash.clone()]);
            }
        }
        let columns = ["network", "component", "", "hash"].map(String::from).to_vec();
        sections.push(Section { heading: "Components".into(), blocks: vec![Block::Table { columns, rows }] });
    }
    sections.push(Section { heading: "Model".into(), blocks: vec![Block::Code(ended.source.to_string())] });
    report_html(&outcome.name, &sections)
}

fn block(table: Table) -> Block {
    if table.columns.is_empty() {
        let pair = |row: Vec<String>| {
            let mut cells = row.into_iter();
            (cells.next().unwrap_or_default(), cells.next().unwrap_or_default())
        };
        Block::KeyValues(table.rows.into_iter().map(pair).collect())
    } else {
        Block::Table { columns: table.columns, rows: table.rows }
    }
}

fn summary(ended: &Ended) -> Section {
    let manifest = &ended.manifest;
    let text = |key: &str| match &manifest[key] {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    let words: Vec<&str> = manifest["command"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    let mut pairs = vec![
        ("model".to_string(), ended.model.to_string()),
        ("outcome".to_string(), ended.status.to_string()),
        ("started".to_string(), text("started")),
        ("took".to_string(), provenance::duration(manifest["wall_seconds"].as_f64().unwrap_or(0.0))),
        ("nnmc".to_string(), text("nnmc")),
    ];
    if let Some(seed) = ended.seed {
        pairs.push(("seed".to_string(), seed.to_string()));
    }
    if !words.is_empty() {
        pairs.push(("command".to_string(), words.join(" ")));
    }
    let doc: Vec<&str> = ended.source.lines().take_while(|l| l.starts_with("//!")).map(|l| l[3..].trim()).collect();
    let mut blocks = vec![];
    if !doc.is_empty() {
        blocks.push(Block::Text(doc.join(" ")));
    }
    blocks.push(Block::KeyValues(pairs));
    Section { heading: "Summary".into(), blocks }
}
