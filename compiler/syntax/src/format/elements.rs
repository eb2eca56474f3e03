//! Tokens and comments in one sequence, each with what the layout needs to know of its place in the source.

use std::borrow::Cow;

use crate::format::spacing;
use crate::lexer;
use crate::parser::Details;
use crate::token::{Symbol, Tok, Token};
use crate::trivia::Trivia;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Token(Tok),
    Comment,
    /// `;` between two statements on a line.
    Semicolon,
}

/// A token or comment.
pub struct Element<'text> {
    pub text: Cow<'text, str>,
    pub kind: Kind,
    /// Whether it is the first on its line, in the source and in the result.
    pub new_line: bool,
    /// Whether a blank line stands before it.
    pub blank_before: bool,
    /// Whether a statement, a declaration or a comment between statements starts here.
    pub starts_statement: bool,
    /// The blanks before it if it is not the first on its line: none or one.
    pub gap: usize,
    /// Column in the source, in characters.
    pub column: usize,
    /// How many blanks the source has before it.
    pub source_gap: usize,
}

impl Element<'_> {
    pub fn is(&self, tok: Tok) -> bool {
        self.kind == Kind::Token(tok)
    }

    pub fn width(&self) -> usize {
        self.text.chars().count()
    }

    pub fn opens_bracket(&self) -> bool {
        let opening = [Symbol::OpenParen, Symbol::OpenBracket, Symbol::DotBrace];
        self.is(Tok::OpenSet) || opening.iter().any(|symbol| self.is(Tok::Symbol(*symbol)))
    }

    pub fn closes_bracket(&self) -> bool {
        self.is(Tok::CloseSet) || [Symbol::CloseParen, Symbol::CloseBracket].iter().any(|s| self.is(Tok::Symbol(*s)))
    }
}

/// A token or comment and its place.
#[derive(Clone, Copy)]
struct Raw {
    kind: Kind,
    start: usize,
    end: usize,
    first_on_line: bool,
    /// Whether statements are separated before it.
    separated: bool,
}

/// All tokens and comments of a file without errors, in order.
pub fn elements<'text>(text: &'text str, details: &Details, trivia: &Trivia) -> Vec<Element<'text>> {
    let raws = merge(&details.tokens, trivia);
    let spacing = spacing::Spacing::new(&details.notes);
    let multi_line = multi_line_closers(&raws);
    let mut columns = Columns { text, seen: 0, column: 0 };
    let mut blank_lines = trivia.blank_lines.iter().copied().peekable();
    let mut out: Vec<Element<'text>> = Vec::with_capacity(raws.len());
    let mut before: Option<Raw> = None;
    for (index, raw) in raws.iter().enumerate() {
        let mut blank = false;
        while blank_lines.next_if(|line| (*line as usize) < raw.start).is_some() {
            blank = true;
        }
        let after_comment = before.is_some_and(|before| before.kind == Kind::Comment);
        let joins = raw.kind == Kind::Token(Tok::OpenBlock) && !after_comment;
        let new_line = index == 0 || after_comment || multi_line[index] || (raw.first_on_line && !joins);
        let opens = before.is_some_and(|before| opens(before.kind));
        if let Some(before) = before.filter(|_| raw.separated && !new_line)
            && needs_semicolon(before.kind, raw.kind)
        {
            out.push(semicolon());
        }
        let column = columns.column(raw.start);
        out.push(Element {
            text: source_text(text, raw),
            kind: raw.kind,
            new_line,
            blank_before: blank && new_line && !opens && !closes(raw.kind) && index > 0,
            starts_statement: raw.separated,
            gap: before.map_or(0, |before| gap(&spacing, before, *raw)),
            column,
            source_gap: before.map_or(0, |before| raw.start - before.end),
        });
        before = Some(*raw);
    }
    out
}

/// Tokens of some width and comments by place. A comment counts as separated if what follows it is.
fn merge(tokens: &[Token], trivia: &Trivia) -> Vec<Raw> {
    let mut out: Vec<Raw> = Vec::with_capacity(tokens.len() + trivia.comments.len());
    let mut comments = trivia.comments.iter().peekable();
    let mut separated = true;
    for token in tokens {
        if matches!(token.tok, Tok::Separator) {
            separated = true;
            continue;
        }
        let boundary = separated || token.tok == Tok::CloseBlock;
        while let Some(comment) = comments.next_if(|comment| comment.span.start < token.start) {
            out.push(raw_comment(comment.span.range(), comment.own_line, boundary));
        }
        out.push(Raw {
            kind: Kind::Token(token.tok),
            start: token.start as usize,
            end: token.end as usize,
            first_on_line: token.first_on_line,
            separated: separated && token.tok != Tok::CloseBlock,
        });
        separated = token.tok == Tok::OpenBlock;
    }
    out.extend(comments.map(|comment| raw_comment(comment.span.range(), comment.own_line, true)));
    out
}

fn raw_comment(range: std::ops::Range<usize>, own_line: bool, separated: bool) -> Raw {
    Raw { kind: Kind::Comment, start: range.start, end: range.end, first_on_line: own_line, separated }
}

/// For each element, whether it closes a block that has a line break inside.
fn multi_line_closers(raws: &[Raw]) -> Vec<bool> {
    let mut out = vec![false; raws.len()];
    let mut open: Vec<usize> = vec![];
    let mut last_break = 0;
    for (index, raw) in raws.iter().enumerate() {
        let after_comment = index > 0 && raws[index - 1].kind == Kind::Comment;
        if (raw.first_on_line && raw.kind != Kind::Token(Tok::OpenBlock)) || after_comment {
            last_break = index;
        }
        match raw.kind {
            Kind::Token(Tok::OpenBlock) => open.push(index),
            Kind::Token(Tok::CloseBlock) => {
                out[index] = open.pop().is_some_and(|opening| last_break > opening);
                if out[index] {
                    last_break = index;
                }
            }
            _ => {}
        }
    }
    out
}

fn opens(kind: Kind) -> bool {
    let symbols = [Symbol::OpenParen, Symbol::OpenBracket, Symbol::DotBrace];
    matches!(kind, Kind::Token(Tok::OpenBlock | Tok::OpenSet))
        || symbols.iter().any(|s| kind == Kind::Token(Tok::Symbol(*s)))
}

fn closes(kind: Kind) -> bool {
    let symbols = [Symbol::CloseParen, Symbol::CloseBracket];
    matches!(kind, Kind::Token(Tok::CloseBlock | Tok::CloseSet))
        || symbols.iter().any(|s| kind == Kind::Token(Tok::Symbol(*s)))
}

fn needs_semicolon(before: Kind, after: Kind) -> bool {
    !matches!(before, Kind::Token(Tok::OpenBlock | Tok::CloseBlock) | Kind::Comment) && after != Kind::Comment
}

fn semicolon() -> Element<'static> {
    Element {
        text: Cow::Borrowed(";"),
        kind: Kind::Semicolon,
        new_line: false,
        blank_before: false,
        starts_statement: false,
        gap: 0,
        column: 0,
        source_gap: 0,
    }
}

fn gap(spacing: &spacing::Spacing<'_>, before: Raw, raw: Raw) -> usize {
    match (before.kind, raw.kind) {
        (Kind::Token(left), Kind::Token(right)) => {
            usize::from(raw.separated || spacing.between((left, before.start), (right, raw.start)))
        }
        _ => 1,
    }
}

fn source_text<'text>(text: &'text str, raw: &Raw) -> Cow<'text, str> {
    let slice = text.get(raw.start..raw.end).unwrap_or("");
    match raw.kind {
        Kind::Token(Tok::Quantity) => {
            let (number, unit) = lexer::split_quantity(slice);
            Cow::Owned(format!("{number} {unit}"))
        }
        _ => Cow::Borrowed(slice),
    }
}

/// Columns of increasing places, in one walk over the text.
struct Columns<'text> {
    text: &'text str,
    seen: usize,
    column: usize,
}

impl Columns<'_> {
    fn column(&mut self, at: usize) -> usize {
        let between = self.text.get(self.seen..at).unwrap_or("");
        match between.rfind('\n') {
            Some(end) => self.column = between[end + 1..].chars().count(),
            None => self.column += between.chars().count(),
        }
        self.seen = at;
        self.column
    }
}
