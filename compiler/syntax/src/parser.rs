//! Tokens to tree: the file in declarations, blocks in statements, each parsed by itself, so that a fault costs one.

use std::collections::HashMap;

use lalrpop_util::ParseError;

use crate::ast::{Body, ExprId, File, Item, ItemKind, Stmt, StmtKind};
use crate::builder::{Builder, MAX_DEPTH, Notes};
use crate::diag::Diagnostic;
use crate::grammar::{ExprParser, ItemParser, StmtParser};
use crate::layer::{self, Layered};
use crate::lexer::{self, Lexed, MAX_BYTES};
use crate::messages::{self, Fault, Scope};
use crate::span::{FileId, Span};
use crate::token::{Symbol, Tok, Token};
use crate::trivia::{CommentKind, Trivia};
use crate::words::{self, Class};

/// A file's tree, its comments, and what is wrong with it.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    pub file: File,
    pub trivia: Trivia,
    /// Sorted by place.
    pub diagnostics: Vec<Diagnostic>,
}

/// Parses a file. There is always a tree; what could not be parsed is an error node and a diagnostic.
pub fn parse(file: FileId, text: &str) -> Parsed {
    parse_with_notes(file, text).0
}

/// The layered tokens and the notes beside the tree, for the formatter.
pub(crate) struct Details {
    pub tokens: Vec<Token>,
    pub notes: Notes,
}

pub(crate) fn parse_with_notes(file: FileId, text: &str) -> (Parsed, Details) {
    if text.len() > MAX_BYTES {
        let message = format!("the file is larger than {} MiB", MAX_BYTES >> 20);
        let diagnostic = Diagnostic::error("E0113", Span::new(file, 0, 0), message)
            .help("put large arrays into a data file and read it with `npy`, `npz` or `csv`");
        let parsed =
            Parsed { file: File { id: file, ..File::default() }, diagnostics: vec![diagnostic], ..Parsed::default() };
        return (parsed, Details { tokens: vec![], notes: Notes::default() });
    }
    let Lexed { tokens, trivia, diagnostics } = lexer::lex(file, text);
    let Layered { tokens, diagnostics: brackets, stray } = layer::layer(file, text, &tokens);
    let docs = doc_comments(text, &tokens, &trivia);
    let mut known = diagnostics;
    known.extend(brackets);
    known.sort_by_key(|diagnostic| diagnostic.span.start);
    let builder = Builder::new(file, text);
    let closing = closing_braces(&tokens);
    let mut parser = Parser { builder, tokens: &tokens, closing, docs, known, found: vec![], stray };
    let items = parser.items();
    let Parser { builder: Builder { exprs, notes, too_deep, .. }, known, found, stray, .. } = parser;
    let mut diagnostics = known;
    diagnostics.extend(found);
    diagnostics.extend(stray);
    if let Some(span) = too_deep {
        let message = format!("this expression is nested deeper than {MAX_DEPTH} levels");
        diagnostics.push(Diagnostic::error("E0111", span, message));
    }
    diagnostics.sort_by_key(|diagnostic| (diagnostic.span.start, diagnostic.span.end));
    let tree = File { id: file, doc: file_doc(text, &trivia), items, exprs };
    (Parsed { file: tree, trivia, diagnostics }, Details { tokens, notes })
}

/// For each token that opens a block, the place of the one that closes it; its own place for all others.
fn closing_braces(tokens: &[Token]) -> Vec<u32> {
    let mut closing: Vec<u32> = (0..tokens.len() as u32).collect();
    let mut open = vec![];
    for (index, token) in tokens.iter().enumerate() {
        match token.tok {
            Tok::OpenBlock => open.push(index),
            Tok::CloseBlock => {
                if let Some(opening) = open.pop() {
                    closing[opening] = index as u32;
                }
            }
            _ => {}
        }
    }
    closing
}

/// The text of a `///` or `//!` comment.
fn doc_text(comment: &str) -> String {
    let body = &comment[3.min(comment.len())..];
    body.strip_prefix(' ').unwrap_or(body).trim_end().to_owned()
}

fn file_doc(text: &str, trivia: &Trivia) -> Vec<String> {
    let docs = trivia.comments.iter().filter(|comment| comment.kind == CommentKind::FileDoc && comment.own_line);
    docs.filter_map(|comment| text.get(comment.span.range())).map(doc_text).collect()
}

/// `///` comments by the start of the token that they stand in front of.
fn doc_comments(text: &str, tokens: &[Token], trivia: &Trivia) -> HashMap<u32, Vec<String>> {
    let mut docs: HashMap<u32, Vec<String>> = HashMap::new();
    let mut tokens = tokens.iter().filter(|token| token.end > token.start).peekable();
    for comment in trivia.comments.iter().filter(|comment| comment.kind == CommentKind::Doc && comment.own_line) {
        while tokens.next_if(|token| token.start < comment.span.start).is_some() {}
        let (Some(token), Some(body)) = (tokens.peek(), text.get(comment.span.range())) else { continue };
        docs.entry(token.start).or_default().push(doc_text(body));
    }
    docs
}

struct Parser<'text> {
    builder: Builder<'text>,
    tokens: &'text [Token],
    /// Where each block that a token opens is closed.
    closing: Vec<u32>,
    docs: HashMap<u32, Vec<String>>,
    /// What lexer and layer reported, sorted: a statement with one of these is not reported again.
    known: Vec<Diagnostic>,
    found: Vec<Diagnostic>,
    /// Closing brackets that closed nothing.
    stray: Vec<Diagnostic>,
}

/// A declaration or statement: tokens `start .. end`, of which `body .. end` are its block, braces included.
#[derive(Clone, Copy)]
struct Piece {
    start: usize,
    body: usize,
    end: usize,
}

impl Parser<'_> {
    fn text(&self, index: usize) -> &str {
        self.tokens.get(index).map_or("", |token| token.text(self.builder.text))
    }

    fn class(&self, index: usize) -> Option<Class> {
        match self.tokens.get(index)?.tok {
            Tok::Word(class) => Some(class),
            _ => None,
        }
    }

    /// Splits the tokens `from .. to` at the separators that no block encloses.
    fn pieces(&self, from: usize, to: usize) -> Vec<Piece> {
        let mut pieces = vec![];
        let mut start = from;
        while start < to {
            let piece = self.piece(start, to);
            if piece.end > piece.start {
                pieces.push(piece);
            }
            start = piece.end + 1;
        }
        pieces
    }

    fn piece(&self, start: usize, to: usize) -> Piece {
        let mut index = start;
        while index < to {
            match self.tokens[index].tok {
                Tok::Separator => break,
                Tok::OpenBlock => {
                    let end = (self.closing[index] as usize + 1).min(to);
                    return Piece { start, body: index, end };
                }
                _ => index += 1,
            }
        }
        Piece { start, body: index, end: index }
    }

    /// The declarations. After a header without a body, or a statement outside of one, what follows up to the next
    /// declaration is not reported again.
    fn items(&mut self) -> Vec<Item> {
        let mut items = vec![];
        let mut lost = None;
        for piece in self.pieces(0, self.tokens.len()) {
            if self.looks_like_item(piece) {
                self.drop_stray(lost.take(), self.tokens[piece.start].start);
            } else if lost.is_some() {
                continue;
            }
            let before = self.found.len();
            let item = self.item(piece);
            if matches!(item.kind, ItemKind::Error) && self.loses_its_body(piece) {
                lost = Some(item.span.start);
            }
            if self.found.len() > before {
                self.label_end_before(piece);
            }
            items.push(item);
        }
        self.drop_stray(lost, u32::MAX);
        items
    }

    fn starts_item(&self, index: usize) -> bool {
        let is_declaration = matches!(self.class(index), Some(Class::Item | Class::Use | Class::Fn | Class::Local));
        is_declaration && self.tokens.get(index + 1).is_some_and(|token| token.is_word())
    }

    /// A declaration, or a header with a body whose word is misspelled.
    fn looks_like_item(&self, piece: Piece) -> bool {
        let header = &self.tokens[piece.start..piece.body];
        let named = header.len() >= 2 && header[0].tok == Tok::Ident && header[1].is_word();
        self.starts_item(piece.start) || (named && piece.body < piece.end)
    }

    fn loses_its_body(&self, piece: Piece) -> bool {
        let complete = matches!(self.class(piece.start), Some(Class::Use | Class::Fn));
        !complete && (piece.body == piece.end || !self.looks_like_item(piece))
    }

    /// The brace that ends a body without a beginning is not reported again either.
    fn drop_stray(&mut self, from: Option<u32>, to: u32) {
        if let Some(from) = from {
            self.stray.retain(|diagnostic| !(from..to).contains(&diagnostic.span.start));
        }
    }

    /// A statement at the top of the file often means that the brace before it is one too many.
    fn label_end_before(&mut self, piece: Piece) {
        let is_statement = words::is_statement_word(self.text(piece.start));
        let brace = self.tokens[..piece.start].iter().rev().find(|token| token.end > token.start);
        let Some(brace) = brace.filter(|brace| is_statement && brace.tok == Tok::CloseBlock) else { return };
        let span = self.builder.span(brace.start, brace.end);
        if let Some(diagnostic) = self.found.pop() {
            self.found.push(diagnostic.label(span, "the declaration before it ends here"));
        }
    }

    fn item(&mut self, piece: Piece) -> Item {
        let (span, doc) = self.place(piece);
        let mark = self.found.len();
        let block = self.body(piece);
        let tokens = self.header(piece, block);
        let kind = ItemParser::new().parse(&mut self.builder, tokens).unwrap_or_else(|error| {
            self.report(piece, &error, Scope::File, mark);
            ItemKind::Error
        });
        Item { kind, span, doc }
    }

    fn stmt(&mut self, piece: Piece, scope: &str) -> Stmt {
        let (span, doc) = self.place(piece);
        let mark = self.found.len();
        let block = self.body(piece);
        let tokens = self.header(piece, block);
        let kind = StmtParser::new().parse(&mut self.builder, tokens).unwrap_or_else(|error| {
            self.report(piece, &error, Scope::Block(scope), mark);
            StmtKind::Error
        });
        Stmt { kind, span, doc }
    }

    fn place(&mut self, piece: Piece) -> (Span, Vec<String>) {
        let start = self.tokens.get(piece.start).map_or(0, |token| token.start);
        let end = self.tokens[..piece.end].last().map_or(start, |token| token.end);
        (self.builder.span(start, end.max(start)), self.docs.remove(&start).unwrap_or_default())
    }

    /// Parses a piece's block, if it has one, and gives the token that stands for it.
    fn body(&mut self, piece: Piece) -> Option<Tok> {
        if piece.body == piece.end {
            return None;
        }
        let (from, to) = (piece.body + 1, piece.end - 1);
        let after_equal = piece.body > piece.start && self.tokens[piece.body - 1].is_symbol(Symbol::Equal);
        if after_equal {
            let body = self.lets(from, to);
            return Some(Tok::Lets(self.builder.keep_body(body)));
        }
        let scope = self.header_word(piece).to_owned();
        let block = self.block(from, to, &scope);
        Some(Tok::Block(self.builder.keep_block(block)))
    }

    fn header_word(&self, piece: Piece) -> &str {
        let local = self.class(piece.start) == Some(Class::Local);
        self.text(piece.start + usize::from(local))
    }

    fn block(&mut self, from: usize, to: usize, scope: &str) -> Vec<Stmt> {
        let mut stmts: Vec<Stmt> = vec![];
        for piece in self.pieces(from, to) {
            let after_error = stmts.last().is_some_and(|stmt| matches!(stmt.kind, StmtKind::Error));
            if !(after_error && self.class(piece.start) == Some(Class::Else)) {
                stmts.push(self.stmt(piece, scope));
            }
        }
        stmts
    }

    /// `{ let …; EXPR }`
    fn lets(&mut self, from: usize, to: usize) -> Option<Body> {
        let pieces = self.pieces(from, to);
        let Some((last, lets)) = pieces.split_last() else {
            let span = self.builder.span(self.tokens[from - 1].start, self.tokens[to].end);
            self.found.push(messages::empty_body(span));
            return None;
        };
        let lets = lets.iter().map(|piece| self.let_stmt(*piece)).collect();
        let value = self.value(*last)?;
        Some(Body::Lets { lets, value })
    }

    fn let_stmt(&mut self, piece: Piece) -> Stmt {
        let stmt = self.stmt(piece, "fn");
        self.hold_to_lets(&stmt);
        stmt
    }

    /// In the body of a function stand `let`s and loops of them.
    fn hold_to_lets(&mut self, stmt: &Stmt) {
        match &stmt.kind {
            StmtKind::Let { .. } | StmtKind::Error => {}
            StmtKind::For { block, .. } => block.iter().for_each(|inner| self.hold_to_lets(inner)),
            _ => {
                let text = self.builder.text.get(stmt.span.start as usize..).unwrap_or("");
                let word = text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("").to_string();
                self.found.push(messages::not_a_let(stmt.span, &word));
            }
        }
    }

    fn value(&mut self, piece: Piece) -> Option<ExprId> {
        let mark = self.found.len();
        let block = self.body(piece);
        let tokens = self.header(piece, block);
        let value = ExprParser::new().parse(&mut self.builder, tokens);
        value.map_err(|error| self.report(piece, &error, Scope::Value, mark)).ok()
    }

    /// The piece's tokens as the grammar wants them: the block as one token, and the subject of a `let run = train …`
    /// as an identifier, whatever else its word means.
    fn header(&self, piece: Piece, block: Option<Tok>) -> Vec<(u32, Tok, u32)> {
        let tokens = &self.tokens[piece.start..piece.body];
        let mut header: Vec<_> = tokens.iter().map(|token| (token.start, token.tok, token.end)).collect();
        if let Some(tok) = block {
            header.push((self.tokens[piece.body].start, tok, self.tokens[piece.end - 1].end));
        }
        let is_run = self.class(piece.start) == Some(Class::Let)
            && self.class(piece.start + 3) == Some(Class::Sim)
            && self.tokens.get(piece.start + 2).is_some_and(|token| token.is_symbol(Symbol::Equal));
        if let (true, Some(subject)) = (is_run, tokens.get(4))
            && subject.is_name(self.builder.text)
            && !words::follows_value(subject.text(self.builder.text))
        {
            header[4].1 = Tok::Ident;
        }
        header
    }

    /// Reports a fault, unless lexer or layer did so within the same header; a block that stands where none can
    /// takes what was found inside it along.
    fn report(&mut self, piece: Piece, error: &ParseError<u32, Tok, ()>, scope: Scope<'_>, mark: usize) {
        let (place, expected) = match error {
            ParseError::UnrecognizedToken { token, expected } => (token.0, expected.as_slice()),
            ParseError::UnrecognizedEof { expected, .. } => (u32::MAX, expected.as_slice()),
            ParseError::InvalidToken { location } => (*location, &[][..]),
            ParseError::ExtraToken { token } => (token.0, &[][..]),
            ParseError::User { .. } => (u32::MAX, &[][..]),
        };
        let header_end = if piece.body < piece.end { piece.body + 1 } else { piece.end };
        let tokens = &self.tokens[piece.start..header_end];
        let found = tokens.iter().position(|token| token.start >= place && token.end > token.start);
        let found = found.unwrap_or(tokens.len());
        let at = tokens.get(found).map(|token| token.tok);
        let no_place = matches!(at, Some(Tok::OpenBlock | Tok::Word(Class::Else)));
        let inner_declaration = matches!(scope, Scope::Block(_)) && self.starts_item(piece.start);
        if scope == Scope::Value || no_place || inner_declaration {
            self.found.truncate(mark);
        }
        if self.is_known(tokens) {
            return;
        }
        let fault = Fault { file: self.builder.file, text: self.builder.text, tokens, found, expected, scope };
        self.found.push(messages::sentence(&fault));
    }

    fn is_known(&self, tokens: &[Token]) -> bool {
        let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else { return false };
        let from = self.known.partition_point(|diagnostic| diagnostic.span.start < first.start);
        self.known.get(from).is_some_and(|diagnostic| diagnostic.span.start < last.end.max(last.start + 1))
    }
}
