//! Elements to text: lines, their indentation, their columns.

use crate::format::align;
use crate::format::elements::{Element, Kind};
use crate::token::Tok;

const INDENT: usize = 2;

/// Where a line starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    Column(usize),
    /// At the indentation of another line, plus some.
    Line(usize, usize),
    /// At the column of a bracket, plus some.
    Bracket(usize, usize),
}

/// A line of the result: elements `first .. end`.
pub struct Line {
    pub first: usize,
    pub end: usize,
    pub start: Start,
    /// The number of blocks around it, if a statement starts here.
    pub statement_depth: Option<usize>,
}

/// A bracket that is open.
struct Open {
    element: usize,
    width: usize,
    line: usize,
    /// Whether a line break follows it.
    hanging: bool,
}

/// The formatted text.
pub fn layout(elements: &[Element<'_>]) -> String {
    let lines = lines(elements);
    let mut gaps: Vec<usize> = elements.iter().map(|element| element.gap).collect();
    align::align(elements, &lines, &mut gaps);
    let mut columns = vec![0usize; elements.len()];
    let mut starts = vec![0usize; lines.len()];
    for (index, line) in lines.iter().enumerate() {
        starts[index] = match line.start {
            Start::Column(column) => column,
            Start::Line(other, more) => starts[other] + more,
            Start::Bracket(element, more) => columns[element] + more,
        };
        let mut column = starts[index];
        for element in line.first..line.end {
            column += if element == line.first { 0 } else { gaps[element] };
            columns[element] = column;
            column += elements[element].width();
        }
    }
    align::comments(elements, &lines, &starts, &mut columns);
    render(elements, &lines, &columns)
}

fn render(elements: &[Element<'_>], lines: &[Line], columns: &[usize]) -> String {
    let mut out = String::new();
    for line in lines {
        if elements[line.first].blank_before {
            out.push('\n');
        }
        let mut column = 0;
        for index in line.first..line.end {
            out.extend(std::iter::repeat_n(' ', columns[index].saturating_sub(column)));
            out.push_str(&elements[index].text);
            column = columns[index] + elements[index].width();
        }
        out.push('\n');
    }
    out
}

/// Cuts the elements into lines and says where each starts.
fn lines(elements: &[Element<'_>]) -> Vec<Line> {
    let mut lines: Vec<Line> = vec![];
    let mut blocks: Vec<Vec<Open>> = vec![vec![]];
    for (index, element) in elements.iter().enumerate() {
        if element.new_line {
            let (start, statement_depth) = line_start(element, &blocks);
            lines.push(Line { first: index, end: index, start, statement_depth });
        }
        let current = lines.len().saturating_sub(1);
        if let Some(line) = lines.last_mut() {
            line.end = index + 1;
        }
        match element.kind {
            Kind::Token(Tok::OpenBlock) => blocks.push(vec![]),
            Kind::Token(Tok::CloseBlock) if blocks.len() > 1 => {
                blocks.pop();
            }
            _ => {}
        }
        let Some(open) = blocks.last_mut() else { continue };
        if element.opens_bracket() {
            let hanging = elements.get(index + 1).is_some_and(|next| next.new_line || next.kind == Kind::Comment);
            open.push(Open { element: index, width: element.width(), line: current, hanging });
        } else if element.closes_bracket() {
            open.pop();
        }
    }
    lines
}

fn line_start(element: &Element<'_>, blocks: &[Vec<Open>]) -> (Start, Option<usize>) {
    let depth = blocks.len().saturating_sub(1);
    if element.is(Tok::CloseBlock) {
        return (Start::Column(depth.saturating_sub(1) * INDENT), None);
    }
    if element.starts_statement {
        let aligned = (element.kind != Kind::Comment).then_some(depth);
        return (Start::Column(depth * INDENT), aligned);
    }
    let start = match blocks.last().and_then(|open| open.last()) {
        Some(open) if element.closes_bracket() && open.hanging => Start::Line(open.line, 0),
        Some(open) if element.closes_bracket() => Start::Bracket(open.element, 0),
        Some(open) if open.hanging => Start::Line(open.line, INDENT),
        Some(open) => Start::Bracket(open.element, open.width),
        None if element.is(Tok::OpenBlock) => Start::Column(depth * INDENT),
        None => Start::Column((depth + 1) * INDENT),
    };
    (start, None)
}
