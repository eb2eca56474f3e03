//! Arrays of a cell in its equations: a value has its own axes first and the population's behind them.
//!
//! What a population binds in such a scope is marked as one of each cell, and so is what is computed from it. A list of
//! constants is not: all its axes are the cell's own, whatever the number of cells.

use nnm_graph::ShapeError;
use nnm_graph::ir::{Binary, Reduce};
use nnm_syntax::ast::BinaryOp;
use nnm_syntax::span::Span;

use super::operators::Operand;
use crate::session::{ScopeId, Session};
use crate::unit::Unit;
use crate::value::{Num, Repr, Value, shaped, vector};

impl Session<'_> {
    /// The population's shape, in a scope of its cells' equations or of a function that they call.
    pub fn cells_in(&mut self, scope: ScopeId) -> Option<Vec<usize>> {
        let context = self.drawing_scope(scope);
        if !self.is_owned(context) {
            return None;
        }
        match self.local(context, "index", Span::default()) {
            Some(Value::Num(index)) => self.shape(&index),
            _ => None,
        }
    }

    /// How many axes of its own a value has in front of the population's; `None` where those are not behind them.
    pub fn own_axes(&self, num: &Num, cells: &[usize]) -> Option<usize> {
        let shape = self.shape(num)?;
        if shape.is_empty() {
            return Some(0);
        }
        if !num.each && matches!(num.repr, Repr::Const(_)) {
            return None;
        }
        let own = shape.len().checked_sub(cells.len())?;
        let fits = shape[own..].iter().zip(cells).all(|(n, cells)| n == cells || *n == 1);
        fits.then_some(own)
    }

    /// A value of each cell, where it is an array of the cell's own.
    fn own_array(&self, num: &Num, cells: &[usize]) -> Option<usize> {
        self.own_axes(num, cells).filter(|own| num.each && *own > 0)
    }

    /// A value as arrays of a cell meet it: one that is the same for all cells has an axis of length 1 for each of the
    /// population's. With it, how many axes are its own.
    pub fn as_array(&mut self, num: &Num, cells: &[usize]) -> Option<(Num, usize)> {
        let shape = self.shape(num)?;
        if num.each || shape.is_empty() {
            return Some((num.clone(), self.own_axes(num, cells)?));
        }
        let wide = [&shape[..], &vec![1; cells.len()][..]].concat();
        let out = self.apply(Span::default(), num.unit.clone(), &[num], |g, n| g.reshape(n[0], &wide));
        Some((Num { each: true, ..out }, shape.len()))
    }

    /// Operands of an element-wise operation in a cell: what is the same for all cells is, beside an array of the cell, one
    /// of the cell's own. `None` where their own shapes do not fit, which is reported.
    pub fn meet_in_cell(
        &mut self,
        scope: ScopeId,
        (op, span): (&'static str, Span),
        mut sides: [Operand; 2],
    ) -> Option<[Operand; 2]> {
        if !sides.iter().any(|x| x.num.each) {
            return Some(sides);
        }
        let Some(cells) = self.cells_in(scope) else { return Some(sides) };
        let is_list = |x: &Operand| !x.num.each && x.num.as_const().is_some_and(|list| list.ndim() > 0);
        if sides.iter().all(|x| self.own_array(&x.num, &cells).is_none() && !is_list(x)) {
            return Some(sides);
        }
        for x in &mut sides {
            if !x.num.each
                && let Some((num, _)) = self.as_array(&x.num, &cells)
            {
                x.num = num;
            }
        }
        let [Some(a), Some(b)] = [0, 1].map(|k| self.own_shape(&sides[k].num, &cells)) else { return Some(sides) };
        if nnm_graph::shape::broadcast(&a, &b).is_some() {
            return Some(sides);
        }
        let error = ShapeError { op, shapes: vec![a, b], reason: "they do not fit".into() };
        self.shape_error(span, &[sides[0].span, sides[1].span], &error);
        None
    }

    /// The shape of a value as a cell has it.
    pub fn own_shape(&self, num: &Num, cells: &[usize]) -> Option<Vec<usize>> {
        let own = self.own_axes(num, cells)?;
        self.shape(num).map(|shape| shape[..own].to_vec())
    }

    /// The shape of a value as a declaration says it: of a cell's array its own axes.
    pub fn declared_shape(&mut self, scope: ScopeId, num: &Num) -> Option<Vec<usize>> {
        let shape = self.shape(num)?;
        let cells = if num.each { self.cells_in(scope) } else { None };
        let own = cells.and_then(|cells| self.own_array(num, &cells));
        Some(own.map_or(shape.clone(), |own| shape[..own].to_vec()))
    }

    /// `@` of a cell's own arrays: vectors and matrices of each cell. `None` where neither side is one.
    pub fn product_in_cell(&mut self, scope: ScopeId, a: &Operand, b: &Operand, span: Span) -> Option<Option<Num>> {
        if !a.num.each && !b.num.each {
            return None;
        }
        let cells = self.cells_in(scope)?;
        if self.own_array(&a.num, &cells).is_none() && self.own_array(&b.num, &cells).is_none() {
            return None;
        }
        let ((left, m), (right, n)) = (self.as_array(&a.num, &cells)?, self.as_array(&b.num, &cells)?);
        let (sa, sb) = (self.shape(&left)?, self.shape(&right)?);
        let inner = if n > 1 { n - 2 } else { 0 };
        let known = (1..=2).contains(&m) && (1..=2).contains(&n);
        if !known || sa[m - 1] != sb[inner] {
            let shapes = vec![sa[..m].to_vec(), sb[..n].to_vec()];
            let reason = "a cell multiplies vectors and matrices".into();
            self.shape_error(span, &[a.span, b.span], &ShapeError { op: "matmul", shapes, reason });
            return Some(None);
        }
        // [.., k, 1, cells] * [k, .., cells], summed over k.
        let column = if n == 2 { [&sa[..m], &[1], &sa[m..]].concat() } else { sa.clone() };
        let unit = a.num.unit.times(&b.num.unit);
        Some(Some(self.apply_at(span, &[a.span, b.span], unit, &[&left, &right], |g, x| {
            let left = g.reshape(x[0], &column)?;
            let products = g.binary(Binary::Mul, left, x[1])?;
            g.reduce(Reduce::Sum, products, &[m - 1])
        })))
    }

    /// Elements of a cell's array along one of its `own` axes, each cell at a place of its own. The places' own axes stand
    /// instead of the axis.
    pub fn pick_in_cell(
        &mut self,
        num: &Num,
        (axis, own): (usize, usize),
        at: &Num,
        cells: &[usize],
        span: Span,
    ) -> Option<Num> {
        let shape = self.shape(num)?;
        let length = shape[axis];
        let at = self.place_within(at, length, span);
        let of_places = self.own_axes(&at, cells)?;
        let wide = [&self.shape(&at)?[..of_places], cells].concat();
        let count: usize = cells.iter().product();
        let (unit, rank) = (num.unit.clone(), cells.len());
        if shape[own..].iter().all(|n| *n == 1) {
            // One table for all cells: [before, axis, behind] gives [before, places, cells, behind].
            let order: Vec<usize> = [
                (0..axis + of_places).collect::<Vec<usize>>(),
                (axis + of_places + rank..own - 1 + of_places + rank).collect(),
                (axis + of_places..axis + of_places + rank).collect(),
            ]
            .concat();
            return Some(self.apply(span, unit, &[num, &at], |g, n| {
                let (table, at) = (g.reshape(n[0], &shape[..own])?, g.broadcast_to(n[1], &wide)?);
                let picked = g.gather(table, axis, at)?;
                g.permute(picked, &order)
            }));
        }
        // All lines of all cells one after another, as states are stored: [cells, axis, others].
        let others: Vec<usize> = (0..own).filter(|k| *k != axis).collect();
        let lines: Vec<usize> = (own..own + rank).chain([axis]).chain(others.iter().copied()).collect();
        let rest: Vec<usize> = others.iter().map(|k| shape[*k]).collect();
        let first = Num::array(Unit::REAL, shaped(cells, (0..count).map(|c| (c * length) as f64).collect()));
        // [places, cells, others] with the axes before in front, the places next, and the cells last.
        let order: Vec<usize> = [
            (of_places + rank..of_places + rank + axis).collect::<Vec<usize>>(),
            (0..of_places).collect(),
            (of_places + rank + axis..of_places + rank + rest.len()).collect(),
            (of_places..of_places + rank).collect(),
        ]
        .concat();
        Some(self.apply(span, unit, &[num, &at, &first], |g, n| {
            let full = g.broadcast_to(n[0], &[&shape[..own], cells].concat())?;
            let lines = g.permute(full, &lines)?;
            let lines = g.reshape(lines, &[&[count * length], &rest[..]].concat())?;
            let places = g.binary(Binary::Add, n[1], n[2])?;
            let places = g.broadcast_to(places, &wide)?;
            let picked = g.gather(lines, 0, places)?;
            g.permute(picked, &order)
        }))
    }

    /// A place of each cell, held against the length of its axis where it counts: in a branch of `if` and in a block it
    /// counts in the cells for which that acts.
    pub fn place_within(&mut self, at: &Num, length: usize, span: Span) -> Num {
        let mut at = at.clone();
        for acts in self.acting.clone() {
            if self.shape(&acts).is_some_and(|s| s.is_empty() || self.shape(&at).is_some_and(|a| a.ends_with(&s))) {
                at = self.select(&acts, &at, &Num::real(0.0), span);
            }
        }
        // What is looked up among the places themselves is refused where it is none of them.
        let places = Num::array(Unit::REAL, vector((0..length).map(|k| k as f64).collect()));
        self.apply(span, Unit::REAL, &[&places, &at], |g, n| g.gather(n[0], 0, n[1]))
    }

    /// What is evaluated counts only in the cells where a condition holds.
    pub fn where_acts<T>(&mut self, acts: &Num, evaluate: impl FnOnce(&mut Self) -> T) -> T {
        self.acting.push(acts.clone());
        let out = evaluate(self);
        self.acting.pop();
        out
    }
}

/// An element-wise operator, as messages about shapes know it.
pub fn operation(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Add => "add",
        BinaryOp::Sub => "sub",
        BinaryOp::Mul => "mul",
        BinaryOp::Div => "div",
        BinaryOp::Pow => "pow",
        BinaryOp::And => "and",
        BinaryOp::Or => "or",
        BinaryOp::MatMul => "matmul",
    }
}
