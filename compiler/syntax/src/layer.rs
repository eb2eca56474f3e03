//! The layer between lexer and grammar: statement separators at line ends, brackets in pairs, and the nesting limit.
//!
//! What comes out is balanced: every opening bracket has its closing one, if need be a virtual one of no width, and a
//! fault is reported with both places. Blocks end their statement, so a separator follows every block.

mod lines;

use crate::diag::Diagnostic;
use crate::span::{FileId, Span};
use crate::token::{Symbol, Tok, Token};
use crate::words::{self, Class};

/// The deepest nesting of brackets.
pub const MAX_NESTING: usize = 256;

/// Reports of unclosed brackets in one go.
const MAX_UNCLOSED: usize = 2;

/// The layer's result: tokens with separators, all brackets in pairs.
pub struct Layered {
    pub tokens: Vec<Token>,
    pub diagnostics: Vec<Diagnostic>,
    /// Closing brackets that closed nothing and were left out.
    pub stray: Vec<Diagnostic>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bracket {
    Paren,
    Square,
    Set,
    Block,
}

impl Bracket {
    fn closer(self) -> Tok {
        match self {
            Bracket::Paren => Tok::Symbol(Symbol::CloseParen),
            Bracket::Square => Tok::Symbol(Symbol::CloseBracket),
            Bracket::Set => Tok::CloseSet,
            Bracket::Block => Tok::CloseBlock,
        }
    }

    fn opening_text(self) -> &'static str {
        match self {
            Bracket::Paren => "(",
            Bracket::Square => "[",
            Bracket::Set | Bracket::Block => "{",
        }
    }
}

#[derive(Clone, Copy)]
struct Open {
    bracket: Bracket,
    token: Token,
}

/// A block whose closing brace is indented otherwise than the line of its opening one: near a missing brace.
struct CrookedBlock {
    open: Token,
    close: Token,
}

struct Layer<'text> {
    file: FileId,
    text: &'text str,
    input: &'text [Token],
    out: Layered,
    open: Vec<Open>,
    crooked: Vec<CrookedBlock>,
    /// A place and its line, up to which lines are counted.
    counted: (u32, usize),
}

/// Inserts separators and pairs brackets.
pub fn layer(file: FileId, text: &str, input: &[Token]) -> Layered {
    let out = Layered { tokens: Vec::with_capacity(input.len() + input.len() / 4), diagnostics: vec![], stray: vec![] };
    let mut layer = Layer { file, text, input, out, open: vec![], crooked: vec![], counted: (0, 1) };
    for index in 0..input.len() {
        layer.line_break(index);
        if !layer.token(index) {
            break;
        }
    }
    let end = text.len() as u32;
    layer.close_all(end, "the file ends here");
    layer.out
}

impl Layer<'_> {
    fn span(&self, token: Token) -> Span {
        Span { file: self.file, start: token.start, end: token.end }
    }

    /// The character at a place.
    fn mark(&self, at: u32) -> Span {
        let width = self.text[at as usize..].chars().next().map_or(0, char::len_utf8);
        Span { file: self.file, start: at, end: at + width as u32 }
    }

    fn push(&mut self, tok: Tok, at: u32) {
        self.out.tokens.push(Token { tok, start: at, end: at, first_on_line: false });
    }

    fn separate(&mut self) {
        let at = self.out.tokens.last().map_or(0, |token| token.end);
        if !matches!(self.out.tokens.last().map(|token| token.tok), None | Some(Tok::Separator | Tok::OpenBlock)) {
            self.push(Tok::Separator, at);
        }
    }

    /// Decides what the line break in front of a token means.
    fn line_break(&mut self, index: usize) {
        let token = self.input[index];
        if index == 0 || !token.first_on_line {
            return;
        }
        let ahead = lines::Ahead { text: self.text, tokens: &self.input[index..] };
        if self.column(token) == 0 && ahead.starts_item() {
            if !self.open.is_empty() {
                let line = self.line_number(token.start);
                self.close_all(token.start, &format!("a new declaration starts at line {line}"));
            }
            return self.separate();
        }
        let strong = ahead.only_a_statement();
        if self.open.last().is_some_and(|open| open.bracket != Bracket::Block) {
            if strong {
                self.close_inner(token.start, "a new statement starts here");
                self.separate();
            }
            return;
        }
        let before = self.input[index - 1];
        if strong || (lines::can_end_statement(before, self.text) && !ahead.goes_on()) {
            self.separate();
        }
    }

    /// Takes one token over; false if the file is not read on.
    fn token(&mut self, index: usize) -> bool {
        let token = self.input[index];
        match token.tok {
            Tok::Symbol(Symbol::OpenParen) => self.push_open(Bracket::Paren, token, token.tok),
            Tok::Symbol(Symbol::OpenBracket) => self.push_open(Bracket::Square, token, token.tok),
            Tok::Symbol(Symbol::DotBrace) => self.push_open(Bracket::Set, token, token.tok),
            Tok::Symbol(Symbol::OpenBrace) => self.open_brace(index),
            Tok::Symbol(Symbol::CloseParen) => self.close(Bracket::Paren, token),
            Tok::Symbol(Symbol::CloseBracket) => self.close(Bracket::Square, token),
            Tok::Symbol(Symbol::CloseBrace) => self.close_brace(token),
            Tok::Symbol(Symbol::Semicolon) if self.open.last().is_none_or(|open| open.bracket == Bracket::Block) => {
                self.separate();
                true
            }
            _ => {
                self.out.tokens.push(token);
                true
            }
        }
    }

    fn push_open(&mut self, bracket: Bracket, token: Token, tok: Tok) -> bool {
        if self.open.len() >= MAX_NESTING {
            let message = format!("brackets are nested deeper than {MAX_NESTING} levels; the rest is not read");
            self.out.diagnostics.push(Diagnostic::error("E0111", self.span(token), message));
            let at = token.start;
            self.close_while(|_| true, at);
            return false;
        }
        self.open.push(Open { bracket, token });
        self.out.tokens.push(Token { tok, ..token });
        true
    }

    fn open_brace(&mut self, index: usize) -> bool {
        let token = self.input[index];
        let before = self.out.tokens.last().map(|token| token.tok);
        // `over {a, b}` is none of a block; that it is written otherwise is said at its brace.
        let over = || self.out.tokens.last().is_some_and(|token| token.text(self.text) == "over");
        let set = matches!(before, Some(Tok::Symbol(Symbol::Arrow) | Tok::Word(Class::Connect)));
        if set || (matches!(before, Some(Tok::Word(Class::Clause))) && over()) {
            return self.push_open(Bracket::Set, token, Tok::OpenSet);
        }
        if self.open.last().is_some_and(|open| open.bracket != Bracket::Block) {
            let ahead = lines::Ahead { text: self.text, tokens: &self.input[index + 1..] };
            if !ahead.is_block_content() {
                return self.push_open(Bracket::Set, token, Tok::OpenSet);
            }
            self.close_inner(token.start, "a block starts here");
        }
        self.push_open(Bracket::Block, token, Tok::OpenBlock)
    }

    fn close(&mut self, bracket: Bracket, token: Token) -> bool {
        let inner = self.open.iter().rev().take_while(|open| open.bracket != Bracket::Block);
        if !inner.clone().any(|open| open.bracket == bracket) {
            return self.stray(token);
        }
        self.report_while(|open| open.bracket != bracket, token, "this bracket closes another one");
        self.open.pop();
        self.out.tokens.push(token);
        true
    }

    fn close_brace(&mut self, token: Token) -> bool {
        let is_brace = |open: &Open| matches!(open.bracket, Bracket::Set | Bracket::Block);
        if !self.open.iter().any(is_brace) {
            return self.stray(token);
        }
        self.report_while(|open| !is_brace(open), token, "this `}` comes first");
        if self.closes_outer_block(token) {
            self.report_while(|open| open.bracket != Bracket::Block, token, "this `}` closes the block around it");
        }
        let Some(open) = self.open.pop() else { return true };
        if open.bracket == Bracket::Block {
            self.note_closed(open.token, token);
        }
        self.out.tokens.push(Token { tok: open.bracket.closer(), ..token });
        if open.bracket == Bracket::Block {
            self.push(Tok::Separator, token.end);
        }
        true
    }

    /// Whether a `}` at a line's start belongs, by its indentation, to the block around an open set.
    fn closes_outer_block(&self, token: Token) -> bool {
        let Some(set) = self.open.last().filter(|open| open.bracket == Bracket::Set) else { return false };
        let block = self.open.iter().rev().find(|open| open.bracket == Bracket::Block);
        let indentation = self.indentation(token);
        token.first_on_line
            && indentation != self.indentation(set.token)
            && block.is_some_and(|block| self.indentation(block.token) == indentation)
    }

    fn stray(&mut self, token: Token) -> bool {
        let found = token.text(self.text);
        let message = format!("this `{found}` closes nothing");
        self.out
            .stray
            .push(Diagnostic::error("E0007", self.span(token), message).help(format!("remove the `{found}`")));
        true
    }

    /// Closes the innermost brackets as long as they fit, each reported as never closed; `by` is what came instead.
    fn report_while(&mut self, fits: impl Fn(&Open) -> bool, by: Token, why: &str) {
        while let Some(open) = self.open.last().copied().filter(|open| fits(open)) {
            let place = self.span(by);
            let diagnostic = self.unclosed(open).label(place, why);
            self.out.diagnostics.push(diagnostic);
            self.open.pop();
            self.push(open.bracket.closer(), by.start);
        }
    }

    /// Closes all but blocks, reported.
    fn close_inner(&mut self, at: u32, why: &str) {
        let by = self.mark(at);
        let end = self.out.tokens.last().map_or(at, |token| token.end);
        while let Some(open) = self.open.last().copied().filter(|open| open.bracket != Bracket::Block) {
            let diagnostic = self.unclosed(open).label(by, why);
            self.out.diagnostics.push(diagnostic);
            self.open.pop();
            self.push(open.bracket.closer(), end);
        }
    }

    /// Closes everything, the innermost few reported.
    fn close_all(&mut self, at: u32, why: &str) {
        for open in self.open.iter().rev().take(MAX_UNCLOSED).copied().collect::<Vec<_>>() {
            let place = self.mark(at);
            let mut diagnostic = self.unclosed(open);
            diagnostic.message = format!("{}: {why}", diagnostic.message);
            diagnostic = diagnostic.label(place, why);
            self.out.diagnostics.push(diagnostic);
        }
        self.close_while(|_| true, at);
    }

    fn close_while(&mut self, fits: impl Fn(&Open) -> bool, at: u32) {
        while let Some(open) = self.open.pop_if(|open| fits(open)) {
            self.push(open.bracket.closer(), at);
            if open.bracket == Bracket::Block {
                self.push(Tok::Separator, at);
            }
        }
    }

    fn unclosed(&self, open: Open) -> Diagnostic {
        let bracket = open.bracket.opening_text();
        let mut span = self.span(open.token);
        span.start = span.end - 1;
        let diagnostic = Diagnostic::error("E0006", span, format!("this `{bracket}` is never closed"));
        let suspect = self.crooked.iter().find(|block| block.open.start > open.token.start);
        match (open.bracket, suspect) {
            (Bracket::Block, Some(block)) => diagnostic
                .label(self.span(block.close), "this `}` is indented as if it closed another block")
                .label(self.span(block.open), "it closes this `{`"),
            _ => diagnostic,
        }
    }

    fn note_closed(&mut self, open: Token, close: Token) {
        let on_one_line = !self.text[open.start as usize..close.start as usize].contains('\n');
        let crooked = !on_one_line && close.first_on_line && self.indentation(open) != self.indentation(close);
        if crooked {
            self.crooked.push(CrookedBlock { open, close });
        }
    }

    fn line_start(&self, at: u32) -> usize {
        self.text[..at as usize].rfind('\n').map_or(0, |end| end + 1)
    }

    fn column(&self, token: Token) -> usize {
        token.start as usize - self.line_start(token.start)
    }

    fn indentation(&self, token: Token) -> usize {
        let line = &self.text[self.line_start(token.start)..];
        line.len() - line.trim_start_matches([' ', '\t']).len()
    }

    /// The line of a place behind all places asked for before.
    fn line_number(&mut self, at: u32) -> usize {
        let (seen, line) = self.counted;
        let line = line + self.text[seen as usize..at as usize].matches('\n').count();
        self.counted = (at, line);
        line
    }
}

/// Whether a word of the grammar is this token.
fn word_class(token: &Token) -> Option<Class> {
    match token.tok {
        Tok::Word(class) => Some(class),
        _ => None,
    }
}

/// Whether a token may be the first of an operand that follows a word: `by Adam`, `over net.h`, `to -3`.
fn starts_operand(token: &Token, next: Option<&Token>, text: &str) -> bool {
    match token.tok {
        Tok::Ident | Tok::Number | Tok::Quantity | Tok::Text | Tok::Bad(_) => true,
        Tok::Word(_) => match word_class(token) {
            Some(Class::Not | Class::If | Class::Next | Class::True | Class::False) => true,
            _ => !words::is_reserved(token.text(text)),
        },
        Tok::Symbol(Symbol::OpenParen | Symbol::OpenBracket) => true,
        Tok::Symbol(Symbol::Minus) => next.is_some_and(|next| next.start == token.end),
        _ => false,
    }
}
