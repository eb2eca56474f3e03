//! What the grammar's actions need: the expression arena, the source text, the parsed blocks, and notes on how tokens
//! were read, for the formatter.

use std::collections::HashSet;

use crate::ast::{BinaryOp, Body, Expr, ExprId, ExprKind, Name, Param, Stmt, StmtKind, UnaryOp};
use crate::lexer;
use crate::span::{FileId, Span};

/// The deepest nesting of expressions, operators to the left of a chain not counted.
pub const MAX_DEPTH: u32 = 1000;

/// How tokens were read where that is not plain from the tokens alone, by their place.
#[derive(Default)]
pub struct Notes {
    /// Minus signs with one operand.
    pub unary: HashSet<u32>,
    /// Brackets that touch what is before them: calls, indices, shapes, parameter lists.
    pub tight: HashSet<u32>,
    /// Units in types, written without blanks: start and end.
    pub units: Vec<(u32, u32)>,
}

pub struct Builder<'text> {
    pub file: FileId,
    pub text: &'text str,
    pub exprs: Vec<Expr>,
    /// The depth of each expression of the arena.
    depths: Vec<u32>,
    /// The first expression that is nested too deeply.
    pub too_deep: Option<Span>,
    pub notes: Notes,
    blocks: Vec<Vec<Stmt>>,
    bodies: Vec<Option<Body>>,
}

impl<'text> Builder<'text> {
    pub fn new(file: FileId, text: &'text str) -> Self {
        Builder {
            file,
            text,
            exprs: vec![],
            depths: vec![],
            too_deep: None,
            notes: Notes::default(),
            blocks: vec![],
            bodies: vec![],
        }
    }

    pub fn span(&self, start: u32, end: u32) -> Span {
        Span { file: self.file, start, end }
    }

    pub fn slice(&self, start: u32, end: u32) -> &'text str {
        self.text.get(start as usize..end as usize).unwrap_or("")
    }

    pub fn name(&self, start: u32, end: u32) -> Name {
        Name { text: self.slice(start, end).to_owned(), span: self.span(start, end) }
    }

    /// Keeps a parsed block; the number is for [`Builder::take_block`].
    pub fn keep_block(&mut self, block: Vec<Stmt>) -> u32 {
        self.blocks.push(block);
        self.blocks.len() as u32 - 1
    }

    pub fn take_block(&mut self, index: u32) -> Vec<Stmt> {
        self.blocks.get_mut(index as usize).map(std::mem::take).unwrap_or_default()
    }

    pub fn keep_body(&mut self, body: Option<Body>) -> u32 {
        self.bodies.push(body);
        self.bodies.len() as u32 - 1
    }

    pub fn take_body(&mut self, index: u32, place: u32) -> Body {
        let body = self.bodies.get_mut(index as usize).and_then(Option::take);
        body.unwrap_or_else(|| Body::Value(self.expr(ExprKind::Error, place, place)))
    }

    pub fn expr(&mut self, kind: ExprKind, start: u32, end: u32) -> ExprId {
        let span = self.span(start, end);
        let depth = self.depth_of(&kind);
        if depth > MAX_DEPTH && self.too_deep.is_none() {
            self.too_deep = Some(span);
        }
        self.exprs.push(Expr { kind, span });
        self.depths.push(depth);
        ExprId(self.exprs.len() as u32 - 1)
    }

    fn depth(&self, id: ExprId) -> u32 {
        self.depths.get(id.0 as usize).copied().unwrap_or(0)
    }

    fn depth_of(&self, kind: &ExprKind) -> u32 {
        if let ExprKind::Binary(_, left, right) = kind {
            let left_is_chain = matches!(self.exprs[left.0 as usize].kind, ExprKind::Binary(..));
            return (self.depth(*left) + u32::from(!left_is_chain)).max(self.depth(*right) + 1);
        }
        let mut deepest = 0;
        kind.for_each_child(|child| deepest = deepest.max(self.depth(child)));
        deepest + 1
    }

    pub fn binary(&mut self, op: BinaryOp, left: ExprId, right: ExprId, start: u32, end: u32) -> ExprId {
        self.expr(ExprKind::Binary(op, left, right), start, end)
    }

    /// `-x`; the minus sign stands at `start`.
    pub fn negate(&mut self, operand: ExprId, start: u32, end: u32) -> ExprId {
        self.note_unary(start);
        self.expr(ExprKind::Unary(UnaryOp::Neg, operand), start, end)
    }

    pub fn number(&mut self, start: u32, end: u32) -> ExprId {
        let text = self.slice(start, end);
        self.expr(ExprKind::Number { value: lexer::number_value(text), text: text.to_owned() }, start, end)
    }

    pub fn quantity(&mut self, start: u32, end: u32) -> ExprId {
        let (number, unit_text) = lexer::split_quantity(self.slice(start, end));
        let unit = self.name(end - unit_text.len() as u32, end);
        let kind = ExprKind::Quantity { value: lexer::number_value(number), number: number.to_owned(), unit };
        self.expr(kind, start, end)
    }

    pub fn text_literal(&mut self, start: u32, end: u32) -> ExprId {
        let value = lexer::unescape(self.slice(start, end)).unwrap_or_default();
        self.expr(ExprKind::Text(value), start, end)
    }

    pub fn name_expr(&mut self, name: Name) -> ExprId {
        self.expr(ExprKind::Name(name.text), name.span.start, name.span.end)
    }

    /// A unit in a type: its text without blanks.
    pub fn unit_name(&mut self, start: u32, end: u32) -> Name {
        self.notes.units.push((start, end));
        let text = self.slice(start, end).split_ascii_whitespace().collect();
        Name { text, span: self.span(start, end) }
    }

    pub fn note_tight(&mut self, bracket: u32) {
        self.notes.tight.insert(bracket);
    }

    pub fn note_unary(&mut self, minus: u32) {
        self.notes.unary.insert(minus);
    }

    pub fn stmt(&self, kind: StmtKind, start: u32, end: u32) -> Stmt {
        Stmt { kind, span: self.span(start, end), doc: vec![] }
    }

    pub fn params(&mut self, bracket: u32, params: Vec<Param>) -> Vec<Param> {
        self.note_tight(bracket);
        params
    }
}
