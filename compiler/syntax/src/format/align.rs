//! Columns that the author aligned: equal signs, types, arguments, trailing comments of neighbouring lines.
//!
//! Tokens of neighbouring statements that start in the same source column belong together if one of them has more than
//! one blank before it; they are put in one column again, the leftmost that fits all.

use crate::format::elements::{Element, Kind};
use crate::format::layout::{Line, Start};
use crate::token::{Symbol, Tok};

/// What may stand below each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Column {
    Operand,
    Gives,
    Compares,
    Block,
    Other(Tok),
}

fn column_kind(kind: Kind) -> Option<Column> {
    use Symbol as S;
    let Kind::Token(tok) = kind else { return None };
    Some(match tok {
        Tok::Ident | Tok::Word(_) | Tok::Number | Tok::Quantity | Tok::Text => Column::Operand,
        Tok::Symbol(S::OpenParen | S::OpenBracket | S::Minus) | Tok::OpenSet => Column::Operand,
        Tok::Symbol(S::Equal | S::Tilde | S::PlusEqual | S::MinusEqual | S::StarEqual | S::SlashEqual) => Column::Gives,
        Tok::Symbol(S::EqualEqual | S::NotEqual | S::Less | S::LessEqual | S::Greater | S::GreaterEqual) => {
            Column::Compares
        }
        Tok::OpenBlock | Tok::CloseBlock => Column::Block,
        other => Column::Other(other),
    })
}

/// A token that could be part of a column.
#[derive(Clone, Copy)]
struct Cell {
    element: usize,
    line: usize,
    column: usize,
    /// Brackets that are open on its line.
    depth: i32,
    kind: Column,
}

/// Widens gaps so that aligned tokens stay aligned.
pub fn align(elements: &[Element<'_>], lines: &[Line], gaps: &mut [usize]) {
    let mut groups = groups(elements, lines);
    groups.retain(|group| group.len() > 1 && group.iter().any(|cell| elements[cell.element].source_gap > 1));
    groups.sort_by_key(|group| group.first().map(|cell| (cell.column, cell.line)));
    for group in groups {
        let natural: Vec<usize> =
            group.iter().map(|cell| column_of(elements, &lines[cell.line], gaps, *cell)).collect();
        let target = natural.iter().copied().max().unwrap_or(0);
        for (cell, column) in group.iter().zip(natural) {
            gaps[cell.element] += target - column;
        }
    }
}

/// The column of a cell with the gaps so far.
fn column_of(elements: &[Element<'_>], line: &Line, gaps: &[usize], cell: Cell) -> usize {
    let Start::Column(start) = line.start else { return 0 };
    let before = (line.first..cell.element).map(|index| elements[index].width() + gaps[index + 1]);
    start + before.sum::<usize>()
}

/// Cells that stand below each other in neighbouring lines of one block.
fn groups(elements: &[Element<'_>], lines: &[Line]) -> Vec<Vec<Cell>> {
    let mut done: Vec<Vec<Cell>> = vec![];
    let mut open: Vec<Vec<Cell>> = vec![];
    for (index, line) in lines.iter().enumerate() {
        let neighbours = index > 0
            && line.statement_depth.is_some()
            && lines[index - 1].statement_depth == line.statement_depth
            && !elements[line.first].blank_before;
        if !neighbours {
            done.append(&mut open);
        }
        let cells = if line.statement_depth.is_some() { cells(elements, line, index) } else { vec![] };
        for cell in cells {
            let above = open.iter_mut().find(|group| {
                group.last().is_some_and(|last| {
                    (last.line + 1, last.column, last.depth) == (index, cell.column, cell.depth)
                        && last.kind == cell.kind
                })
            });
            match above {
                Some(group) => group.push(cell),
                None => open.push(vec![cell]),
            }
        }
        let (going_on, ended) = open.into_iter().partition(|group| group.last().is_some_and(|last| last.line == index));
        open = going_on;
        done.extend(ended);
    }
    done.append(&mut open);
    done
}

/// At most so many tokens of a line take part, so that long lines cost no more than others.
const MAX_CELLS: usize = 64;

fn cells(elements: &[Element<'_>], line: &Line, line_index: usize) -> Vec<Cell> {
    let mut depth = 0;
    let mut out = vec![];
    for (index, element) in elements.iter().enumerate().take(line.end).skip(line.first) {
        if element.closes_bracket() || element.is(Tok::CloseBlock) {
            depth -= 1;
        }
        if let Some(kind) = column_kind(element.kind).filter(|_| index > line.first && element.gap > 0) {
            out.push(Cell { element: index, line: line_index, column: element.column, depth, kind });
        }
        if element.opens_bracket() || element.is(Tok::OpenBlock) {
            depth += 1;
        }
        if out.len() >= MAX_CELLS {
            break;
        }
    }
    out
}

/// Puts trailing comments into their source column, or further right where the line is too long; comments of
/// neighbouring lines that shared a column share it still.
pub fn comments(elements: &[Element<'_>], lines: &[Line], starts: &[usize], columns: &mut [usize]) {
    let trailing =
        |line: &Line| (line.end > line.first + 1 && elements[line.end - 1].kind == Kind::Comment).then(|| line.end - 1);
    let mut index = 0;
    while index < lines.len() {
        let Some(first) = trailing(&lines[index]) else {
            index += 1;
            continue;
        };
        let column = elements[first].column;
        let same = |line: &&Line| trailing(line).is_some_and(|comment| elements[comment].column == column);
        let count = lines[index..].iter().take_while(same).count();
        let group = index..index + count;
        let shifted = (column + starts[index]).saturating_sub(elements[lines[index].first].column);
        let natural = group.clone().map(|line| columns[lines[line].end - 1]).max().unwrap_or(0);
        for line in group {
            columns[lines[line].end - 1] = shifted.max(natural);
        }
        index += count;
    }
}
