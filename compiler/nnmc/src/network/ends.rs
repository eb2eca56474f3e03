//! The cells at the ends: where they are, and values given one a cell or one a pair.

use ndarray::{ArrayD, IxDyn};
use nnm_runtime::array::Array;
use nnm_syntax::ast::{ExprId, ExprKind, Init};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::Population;
use crate::eval::{Call, Closure};
use crate::hir::{Decl, ModuleId};
use crate::session::{ScopeId, Session};
use crate::unit::Unit;
use crate::value::{Num, Value, shaped, vector};

/// What a draw is for: the key of its random numbers and the shape that is filled.
#[derive(Clone, Debug)]
pub struct Drawing {
    pub path: String,
    pub shape: Vec<usize>,
    /// How many draws the expression has had so far.
    pub count: usize,
}

impl Session<'_> {
    /// The names that an expression over one cell sees: its place and the population's size.
    pub fn cell_scope(&mut self, module: ModuleId, population: &Population) -> ScopeId {
        let scope = self.scope(module, None);
        self.bind_cells(scope, population);
        scope
    }

    pub fn bind_cells(&mut self, scope: ScopeId, population: &Population) {
        let size = population.size();
        self.bind(scope, "n", Value::real(size as f64));
        let index = shaped(&population.shape, (0..size).map(|k| k as f64).collect());
        let mut named = vec![("index", Num::array(Unit::REAL, index))];
        named.extend(population.position.as_ref().map(|p| ("position", own_coordinates(p, &population.shape))));
        named.extend(population.angle.clone().map(|angle| ("angle", angle)));
        for (name, num) in named {
            self.bind(scope, name, Value::Num(Num { each: true, ..num }));
        }
    }

    /// An argument evaluated per cell: it sees the call's names and the cell's.
    pub fn cell_value(&mut self, closure: Closure, cells: ScopeId) -> Option<Num> {
        let scope = self.overlay(closure.scope, cells);
        let span = self.expr_span(closure.scope, closure.expr.id);
        let value = self.eval(scope, closure.expr.id);
        self.number(value, span)
    }

    /// A scope with the names of `cells`, in front of those of `outer`.
    pub fn overlay(&mut self, outer: ScopeId, cells: ScopeId) -> ScopeId {
        let names = self.scopes[cells.0 as usize].names.clone();
        let scope = self.inner(outer);
        let hide = ["n", "index", "position", "angle"];
        for (name, slot) in names {
            if hide.contains(&name.as_str()) && self.local(outer, &name, Span::default()).is_some() {
                continue;
            }
            self.scopes[scope.0 as usize].names.insert(name, slot);
        }
        scope
    }

    /// A distribution drawn for every element of a shape.
    pub fn draw_values(&mut self, closure: Closure, cells: ScopeId, shape: &[usize], path: &str) -> Option<Num> {
        let scope = self.overlay(closure.scope, cells);
        let span = self.expr_span(closure.scope, closure.expr.id);
        let file = &self.modules.get(closure.expr.module).file;
        let literal = matches!(file.expr(closure.expr.id).kind, ExprKind::Number { .. } | ExprKind::Quantity { .. });
        if literal || crate::eval::only_counts(file, closure.expr.id) {
            let d = Diagnostic::error("E0633", span, "`~` draws from a distribution, and this is one value");
            self.report(d.help("a value is given by `=`; to draw write `~ normal(1, 0.1)`"));
            return None;
        }
        // Of a look at lengths of any size only the unit matters.
        let shape = if self.lengths.is_empty() { shape } else { &[] };
        let before = self.drawing.replace(Drawing { path: path.into(), shape: shape.to_vec(), count: 0 });
        let value = self.eval(scope, closure.expr.id);
        self.drawing = before;
        self.number(value, span)
    }

    /// A number as one value for every element of a shape.
    pub fn spread(&mut self, num: &Num, shape: &[usize], span: Span) -> Option<Array> {
        let Some(array) = num.as_const() else {
            if self.shape(num).is_none() {
                return Some(ArrayD::zeros(IxDyn(shape)).into_shared());
            }
            let message = "this is known before the run: it cannot depend on what a run computes";
            let d = Diagnostic::error("E0307", span, message);
            let draws = |s: &Self| {
                let text = s.text(span);
                crate::eval::distributions().any(|name| text.contains(&format!("{name}(")))
            };
            self.report(if draws(self) {
                d.help("a value is drawn by `~` in place of `=`: `w ~ normal(1, 0.1)`")
            } else {
                d
            });
            return None;
        };
        if array.len() == 1 && !self.lengths.is_empty() {
            return Some(ArrayD::zeros(IxDyn(shape)).into_shared());
        }
        if let Some(wide) = array.broadcast(IxDyn(shape)) {
            return Some(wide.to_owned().into_shared());
        }
        // One value a cell, where each cell holds an array: trailing axes are filled.
        let mut padded = array.shape().to_vec();
        if padded.len() < shape.len() && shape.starts_with(&padded) {
            padded.resize(shape.len(), 1);
            if let Ok(view) = array.to_shape(IxDyn(&padded))
                && let Some(wide) = view.broadcast(IxDyn(shape))
            {
                return Some(wide.to_owned().into_shared());
            }
        }
        let message = format!(
            "expected one value for each of {}, found {}",
            self.shape_text(shape),
            self.shape_text(array.shape())
        );
        self.error("E0313", span, message);
        None
    }

    /// The first value of a weight, latent or running quantity.
    pub fn initial_value(
        &mut self,
        scope: ScopeId,
        decl: &Decl,
        unit: &Unit,
        shape: &[usize],
        path: &str,
        _running: bool,
    ) -> Option<Array> {
        let num = match decl.init {
            Some(Init::Draw(id)) => self.draw_values(self.closure(scope, id), scope, shape, path)?,
            Some(Init::Value(id)) => self.operand(scope, id)?.num,
            None => Num::scalar(Unit::Zero, 0.0),
        };
        let declared = crate::eval::types::Declared { unit: unit.clone(), ..crate::eval::types::Declared::real() };
        let num = self.hold_number(num, &declared, decl.name.span, decl.span)?;
        self.spread(&num, shape, decl.span)
    }

    /// `at ring()`, `at grid(10, 10, spacing = 50 um)`, `at random(…)`: positions in metres, angles on a ring.
    pub fn place_population(&mut self, population: &mut Population, scope: ScopeId, place: ExprId) {
        let Some(call) = self.call_by_name(scope, place) else { return };
        let n = population.size();
        match call.name.as_str() {
            "ring" => {
                let angles: Vec<f64> = (0..n).map(|k| 2.0 * std::f64::consts::PI * k as f64 / n as f64).collect();
                let unit = Unit::parse("rad").unwrap_or(Unit::REAL);
                population.angle = Some(Num::array(unit, shaped(&population.shape, angles.clone())));
                let points: Vec<f64> = angles.iter().flat_map(|a| crate::ring_point(*a)).collect();
                population.position = Some(Num::array(Unit::REAL, shaped(&[n, 2], points)));
            }
            "grid" => population.position = self.grid(&call, n),
            "random" => population.position = self.random_places(&call, n, &population.name.clone()),
            _ => {
                self.error("E0413", call.span, "cells are placed `at grid(…)`, `at ring()` or `at random(…)`");
            }
        }
    }

    fn grid(&mut self, call: &Call, n: usize) -> Option<Num> {
        let mut sizes = vec![];
        for k in 0..call.count() {
            sizes.push(self.known_int(call.scope, call.positional(k)?, "a grid's size", 1)? as usize);
        }
        if sizes.iter().product::<usize>() != n {
            let message = format!(
                "a grid of {} has {} places for {n} cells",
                self.shape_text(&sizes),
                sizes.iter().product::<usize>()
            );
            self.error("E0414", call.span, message);
            return None;
        }
        let spacing = match call.named("spacing") {
            Some(id) => self.known(call.scope, id, "`spacing`")?,
            None => Num::real(1.0),
        };
        let step = spacing.as_f64()?;
        let mut points = vec![];
        for k in 0..n {
            let mut rest = k;
            let mut point = vec![0.0; sizes.len()];
            for (axis, size) in sizes.iter().enumerate().rev() {
                point[axis] = (rest % size) as f64 * step;
                rest /= size;
            }
            points.extend(point);
        }
        Some(Num::array(spacing.unit, shaped(&[n, sizes.len()], points)))
    }

    fn random_places(&mut self, call: &Call, n: usize, name: &str) -> Option<Num> {
        let mut sides = vec![];
        let mut unit = Unit::REAL;
        for k in 0..call.count().max(2) {
            match call.positional(k) {
                Some(id) => {
                    let side = self.known(call.scope, id, "a side")?;
                    unit = side.unit.clone();
                    sides.push(side.as_f64()?);
                }
                None => sides.push(*sides.last().unwrap_or(&1.0)),
            }
        }
        let key = nnm_runtime::random::key(self.seed, &format!("{name}.position"));
        let points = (0..n * sides.len())
            .map(|k| nnm_runtime::random::uniform_f64(key, 0, k as u64) * sides[k % sides.len()])
            .collect();
        Some(Num::array(unit, shaped(&[n, sides.len()], points)))
    }

    /// The names that an expression over a pair sees: `i`, `j`, `pre.…`, `post.…`, by the cells' places in their
    /// populations. One value for each listed pair, or for `Pairs::Grid` `pre` along the last axis, `post` along the first.
    pub fn pair_scope(
        &mut self,
        outer: ScopeId,
        pre: Option<&Population>,
        post: &Population,
        pairs: &Pairs,
    ) -> ScopeId {
        let scope = self.inner(outer);
        let as_real = |list: &[u32]| list.iter().map(|k| f64::from(*k)).collect::<Vec<f64>>();
        let (i, j) = match pairs {
            Pairs::Listed { senders, targets } => (vector(as_real(senders)), vector(as_real(targets))),
            Pairs::Grid { senders, targets } => {
                (shaped(&[1, senders.len()], as_real(senders)), shaped(&[targets.len(), 1], as_real(targets)))
            }
        };
        self.bind(scope, "i", Value::Num(Num::array(Unit::REAL, i)));
        self.bind(scope, "j", Value::Num(Num::array(Unit::REAL, j)));
        if let Some(pre) = pre {
            let side = self.end_scope(scope, pre, pairs, 1);
            self.bind(scope, "pre", Value::Names(side));
        }
        let side = self.end_scope(scope, post, pairs, 0);
        self.bind(scope, "post", Value::Names(side));
        scope
    }

    fn end_scope(&mut self, outer: ScopeId, population: &Population, pairs: &Pairs, axis: usize) -> ScopeId {
        let module = self.module_of(outer);
        let scope = self.scope(module, None);
        let n = population.size();
        let mut values: Vec<(String, Num)> = population.params.clone();
        values.extend(population.angle.clone().map(|a| ("angle".into(), a)));
        let index = vector((0..n).map(|k| k as f64).collect());
        values.push(("index".into(), Num::array(Unit::REAL, index)));
        for (name, num) in values {
            let Some(array) = num.as_const() else { continue };
            let placed = along(array, n, pairs, axis, false);
            self.bind(scope, name, Value::Num(Num { repr: crate::value::Repr::Const(placed), ..num.clone() }));
        }
        if let Some(position) = &population.position
            && let Some(array) = position.as_const()
        {
            let placed = along(array, n, pairs, axis, true);
            self.bind(scope, "position", Value::Num(Num::array(position.unit.clone(), placed)));
        }
        scope
    }
}

/// Positions, one row a cell, as a cell sees its own: the coordinates first.
fn own_coordinates(position: &Num, cells: &[usize]) -> Num {
    let Some(array) = position.as_const() else { return position.clone() };
    let values: Vec<f64> = array.t().iter().copied().collect();
    let own = shaped(&[&[array.shape().get(1).copied().unwrap_or(1)], cells].concat(), values);
    Num { repr: crate::value::Repr::Const(own), ..position.clone() }
}

/// The pairs of an expression over pairs, by the cells' places in their populations.
pub enum Pairs {
    /// Pair k is `senders[k]` to `targets[k]`.
    Listed { senders: Vec<u32>, targets: Vec<u32> },
    /// Every one of the senders with every one of the targets.
    Grid { senders: Vec<u32>, targets: Vec<u32> },
}

/// One value a cell laid along an axis of the pairs' shape, or picked for each pair; a `vector` keeps its components as
/// a last axis.
fn along(array: &Array, n: usize, pairs: &Pairs, axis: usize, vector: bool) -> Array {
    if array.len() < n {
        return array.clone();
    }
    let rest = array.len() / n.max(1);
    let Ok(flat) = array.to_shape(IxDyn(&[n, rest])) else { return array.clone() };
    let (Pairs::Listed { senders, targets } | Pairs::Grid { senders, targets }) = pairs;
    let cells = if axis == 0 { targets } else { senders };
    let mut shape = match (pairs, axis) {
        (Pairs::Listed { .. }, _) => vec![cells.len()],
        (_, 0) => vec![cells.len(), 1],
        _ => vec![1, cells.len()],
    };
    let row = |c: &u32| flat.index_axis(ndarray::Axis(0), *c as usize).iter().copied().collect::<Vec<f64>>();
    let values: Vec<f64> = cells.iter().flat_map(row).collect();
    if vector || rest > 1 {
        shape.push(rest);
    }
    shaped(&shape, values)
}
