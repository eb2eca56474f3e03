//! A report on one self-contained page: tables, numbers, figures, light and dark, from 360 pixels up.

use crate::svg::escape;
use std::fmt::Write as _;

/// A part of the report under a heading of its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Section {
    pub heading: String,
    pub blocks: Vec<Block>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    Text(String),
    /// Names and values, one a line.
    KeyValues(Vec<(String, String)>),
    /// A table; cells that are numbers are set flush right.
    Table {
        columns: Vec<String>,
        rows: Vec<Vec<String>>,
    },
    /// SVG text as [`crate::render`] gives it, with a caption that may be empty.
    Figure {
        svg: String,
        caption: String,
    },
    /// Source text or output, in a fixed width.
    Code(String),
}

const STYLE: &str = "\
:root{color-scheme:light dark;--page:#fff;--ink:#1a1a1a;--quiet:#595959;--line:#dcdcdc;--card:#f6f6f6;--accent:#0072b2}
@media (prefers-color-scheme:dark){:root{--page:#16181c;--ink:#ececec;--quiet:#a8abb0;--line:#3a3d43;--card:#1f2227;\
--accent:#56b4e9}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 Helvetica,Arial,'Liberation Sans','DejaVu Sans',\
sans-serif}
main{max-width:46rem;margin:0 auto;padding:1.5rem 1rem 4rem}
h1{font-size:1.7rem;line-height:1.2;margin:0 0 1rem;overflow-wrap:anywhere}
h2{font-size:1.2rem;margin:2.5rem 0 .8rem;padding-bottom:.3rem;border-bottom:1px solid var(--line)}
nav{display:flex;flex-wrap:wrap;gap:.3rem 1.2rem;margin-bottom:1rem}
a{color:var(--accent)}
.scroll{overflow-x:auto;margin:1rem 0}
figure .scroll{margin:0}
table{border-collapse:collapse;min-width:50%;font-variant-numeric:tabular-nums}
th,td{padding:.35rem .9rem .35rem 0;text-align:left;border-bottom:1px solid var(--line);vertical-align:top}
th{font-weight:600}
.number{text-align:right}
dl{display:grid;grid-template-columns:minmax(6rem,max-content) 1fr;gap:.3rem 1.2rem;margin:0}
dt{color:var(--quiet)}
dd{margin:0;overflow-wrap:anywhere;font-variant-numeric:tabular-nums}
figure{margin:1.2rem 0}
figure svg{display:block;max-width:100%;height:auto}
@media (max-width:480px){figure svg{max-width:none;width:30rem}}
figcaption{color:var(--quiet);font-size:.9rem;margin-top:.3rem}
pre{background:var(--card);border:1px solid var(--line);border-radius:4px;padding:.8rem;overflow-x:auto;\
font:13px/1.45 Menlo,Consolas,'DejaVu Sans Mono',monospace}
@media print{nav{display:none}h2{break-after:avoid}figure{break-inside:avoid}}";

/// Writes the page: inline style, no script, nothing from elsewhere, and a policy that forbids both.
pub fn report_html(title: &str, sections: &[Section]) -> String {
    let mut body = String::new();
    let _ = writeln!(body, "<h1>{}</h1>", escape(title));
    if sections.len() > 2 {
        let link = |(place, section): (usize, &Section)| {
            format!(r##"<a href="#part{}">{}</a>"##, place + 1, escape(&section.heading))
        };
        let links: Vec<String> = sections.iter().enumerate().map(link).collect();
        let _ = writeln!(body, r#"<nav aria-label="parts">{}</nav>"#, links.join("\n"));
    }
    for (place, section) in sections.iter().enumerate() {
        let _ = writeln!(body, r#"<section id="part{}">"#, place + 1);
        if !section.heading.is_empty() {
            let _ = writeln!(body, "<h2>{}</h2>", escape(&section.heading));
        }
        section.blocks.iter().for_each(|block| write_block(&mut body, block));
        body.push_str("</section>\n");
    }
    format!(
        concat!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n",
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n",
            "<meta http-equiv=\"Content-Security-Policy\" ",
            "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\"/>\n",
            "<title>{}</title>\n<style>\n{}\n</style>\n</head>\n<body>\n<main>\n{}</main>\n</body>\n</html>\n"
        ),
        escape(title),
        STYLE,
        body
    )
}

fn write_block(page: &mut String, block: &Block) {
    match block {
        Block::Text(text) => {
            for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
                let _ = writeln!(page, "<p>{}</p>", escape(paragraph));
            }
        }
        Block::KeyValues(pairs) => {
            page.push_str("<dl>\n");
            for (name, value) in pairs {
                let _ = writeln!(page, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(value));
            }
            page.push_str("</dl>\n");
        }
        Block::Table { columns, rows } => write_table(page, columns, rows),
        Block::Figure { svg, caption } => {
            let _ = write!(page, "<figure>\n<div class=\"scroll\">\n{svg}</div>\n");
            if !caption.is_empty() {
                let _ = writeln!(page, "<figcaption>{}</figcaption>", escape(caption));
            }
            page.push_str("</figure>\n");
        }
        Block::Code(text) => {
            let lines: Vec<String> = text.lines().map(escape).collect();
            let _ = writeln!(page, "<pre><code>{}</code></pre>", lines.join("\n"));
        }
    }
}

fn write_table(page: &mut String, columns: &[String], rows: &[Vec<String>]) {
    let width = columns.len();
    let numeric: Vec<bool> = (0..width)
        .map(|column| !rows.is_empty() && rows.iter().all(|row| row.get(column).is_none_or(|cell| is_number(cell))))
        .collect();
    let class = |column: usize| if numeric.get(column) == Some(&true) { r#" class="number""# } else { "" };
    page.push_str("<div class=\"scroll\">\n<table>\n<thead><tr>");
    for (column, name) in columns.iter().enumerate() {
        let _ = write!(page, r#"<th scope="col"{}>{}</th>"#, class(column), escape(name));
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        page.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            let _ = write!(page, "<td{}>{}</td>", class(column), escape(cell));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody>\n</table>\n</div>\n");
}

/// Whether a cell begins like a number: `95.8`, `−3 mV`, `1.2e-3`, `—`.
fn is_number(cell: &str) -> bool {
    let text = cell.trim().trim_start_matches(['-', '−', '+']);
    text.is_empty() || text == "—" || text.starts_with(|c: char| c.is_ascii_digit() || c == '.') || text == "NaN"
}
