//! What stands in brackets: elements and slices of tensors, rows of data, cells, parts, and look-ups in sweeps.

use nnm_syntax::ast::{ExprId, ExprKind};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::operators::Operand;
use crate::network::NetId;
use crate::session::{ScopeId, Session};
use crate::value::{FunctionKind, Num, Owner, Value};

impl Session<'_> {
    pub fn eval_index(&mut self, scope: ScopeId, base: ExprId, indices: &[ExprId], span: Span) -> Value {
        let value = self.eval(scope, base);
        match value {
            Value::Missing => Value::Missing,
            Value::Num(num) => self.index_number(scope, num, indices, span).map_or(Value::Missing, Value::Num),
            Value::List(items) | Value::Many(items) => self.index_list(scope, &items, indices, span),
            Value::Data(data) => self.index_data(scope, &data, indices, span),
            Value::Record(record) if record.contains_key("sweep keys") => {
                self.index_sweep(scope, &record, indices, span)
            }
            // What was recorded of an array of parts.
            Value::Record(record) if record.keys().all(|k| k.starts_with('[')) => {
                let [index] = indices else { return self.error("E0228", span, "one number picks a part") };
                let Some(k) = self.known_int(scope, *index, "an index", 0) else { return Value::Missing };
                match record.get(&format!("[{k}]")) {
                    Some(value) => value.clone(),
                    None => {
                        let at = self.expr_span(scope, *index);
                        self.error("E0316", at, format!("nothing was recorded of part {k}"))
                    }
                }
            }
            Value::Population(mut p) => {
                let size = self.population_length(&p.owner, p.index);
                let [first] = indices else {
                    let d =
                        Diagnostic::error("E0317", span, "cells are picked along the first axis of their population");
                    return self.fail(d.help("of their values along any: `net.E.v[1, 3]`"));
                };
                match self.index_range(scope, *first, size) {
                    Some(range) => {
                        p.cells = Some(range);
                        Value::Population(p)
                    }
                    None => Value::Missing,
                }
            }
            Value::Projection(mut p) => {
                let (senders, targets) = self.projection_sizes(&p.owner, p.index);
                let [pre, post] = indices else {
                    return self.error("E0227", span, "synapses are picked by sender and target: `net.syn[0, 1 .. 5]`");
                };
                match (self.index_range(scope, *pre, senders), self.index_range(scope, *post, targets)) {
                    (Some(pre), Some(post)) => {
                        p.select = Some([pre, post]);
                        Value::Projection(p)
                    }
                    _ => Value::Missing,
                }
            }
            other @ (Value::Frame(_) | Value::Network(_)) => match self.number(other, span) {
                Some(num) => self.index_number(scope, num, indices, span).map_or(Value::Missing, Value::Num),
                None => Value::Missing,
            },
            Value::Kind(kind) => {
                let name = &self.modules.item(kind.item).name.text;
                let message = format!("`{name}` with a size is a population, which an architecture declares");
                let d = Diagnostic::error("E0228", span, message)
                    .help(format!("`architecture Net {{ population a: {} }}`", self.text(span)));
                self.fail(d)
            }
            other => {
                let d = Diagnostic::error("E0228", span, format!("{} is not indexed", other.describe()));
                let spikes = super::builtins::spikes_of(&other).is_some();
                self.fail(match spikes {
                    true => d.help("the spikes of one cell are `spike_times(run.E, cell = 0)`, their intervals `isi(run.E, cell = 0)`"),
                    false => d,
                })
            }
        }
    }

    fn net_of(&self, owner: &Owner) -> NetId {
        match owner {
            Owner::Net(id) => *id,
            Owner::Frame(frame) => self.frame(*frame).net,
        }
    }

    fn population_length(&self, owner: &Owner, index: usize) -> usize {
        self.net(self.net_of(owner)).populations[index].shape.first().copied().unwrap_or(1)
    }

    fn projection_sizes(&self, owner: &Owner, index: usize) -> (usize, usize) {
        let net = self.net(self.net_of(owner));
        let p = &net.projections[index];
        let targets = net.populations[p.target].size();
        let senders = match (&p.edges, &p.weight, p.source) {
            (_, _, Some((source, _))) => net.populations[source].size(),
            (Some(edges), _, None) => edges.senders,
            (None, Some(w), None) => w.shape.get(1).copied().unwrap_or(1),
            _ => usize::MAX,
        };
        (senders, targets)
    }

    /// The half-open range that an index or slice picks of `length`.
    pub fn index_range(&mut self, scope: ScopeId, id: ExprId, length: usize) -> Option<(usize, usize)> {
        let (_, expr) = self.bare_expr(scope, id);
        let span = expr.span;
        let (from, to) = match expr.kind {
            ExprKind::Range { from, to } => {
                let from = match from {
                    Some(e) => self.known_int(scope, e, "an index", 0)? as usize,
                    None => 0,
                };
                let to = match to {
                    Some(e) => self.known_int(scope, e, "an index", 0)? as usize,
                    None => length,
                };
                (from, to)
            }
            _ => {
                let k = self.known_int(scope, id, "an index", 0)? as usize;
                (k, k + 1)
            }
        };
        if from > to || to > length {
            let found = if to == from + 1 { format!("{from}") } else { format!("{from} .. {to}") };
            self.error("E0316", span, format!("the index {found} is outside of 0 .. {length}"));
            return None;
        }
        Some((from, to))
    }

    pub fn index_number(&mut self, scope: ScopeId, num: Num, indices: &[ExprId], span: Span) -> Option<Num> {
        if let Some(cells) = self.cells_in(scope)
            && let Some(own) = self.own_axes(&num, &cells).filter(|own| *own > 0)
        {
            return self.index_in_cell(scope, (num, own), &cells, indices, span);
        }
        if let Some(picked) = self.pick_together(scope, &num, indices, span)? {
            return Some(picked);
        }
        let whole = self.shape(&num).unwrap_or_default();
        let mut out = num;
        let mut axis = 0;
        for (k, id) in indices.iter().enumerate() {
            let (_, expr) = self.bare_expr(scope, *id);
            let Some(shape) = self.shape(&out) else {
                self.eval(scope, *id);
                return Some(Num::unknown(out.unit));
            };
            let Some(length) = shape.get(axis).copied() else {
                self.no_axis(&whole, k, span);
                return None;
            };
            let times = out.times.clone();
            let unit = out.unit.clone();
            if matches!(expr.kind, ExprKind::Range { .. }) {
                let (from, to) = self.index_range(scope, *id, length)?;
                out = self.apply(span, unit, &[&out], |g, n| g.slice(n[0], axis, from, 1, to - from));
                out.times = times.map(|t| if axis == 0 { t.part(from..to) } else { t });
                axis += 1;
                continue;
            }
            let rank = self.shape(&out).map_or(0, |s| s.len());
            out = self.pick(scope, &out, axis, length, *id, span)?;
            out.times = if axis > 0 { times } else { None };
            // A list of places has axes of its own in the place of the one that it indexes.
            axis = (axis + 1 + self.shape(&out).map_or(rank, |s| s.len())).saturating_sub(rank);
        }
        Some(out)
    }

    /// There are more indices than axes.
    pub fn no_axis(&mut self, shape: &[usize], axis: usize, span: Span) {
        let message = format!("{} has no axis {axis} to index", self.shape_text(shape));
        self.error("E0317", span, message);
    }

    /// An index that is none of an axis; one below 0 was meant to count from its end.
    fn outside(&mut self, index: f64, length: usize, span: Span) {
        let d = Diagnostic::error("E0316", span, format!("the index {index} is outside of 0 .. {length}"));
        let from_end = length as f64 + index;
        self.report(if index < 0.0 && from_end >= 0.0 && index.fract() == 0.0 {
            let last = if index == -1.0 { " or `last(x)`" } else { "" };
            d.help(format!("indices count from 0 on, not back from the end: `x[{from_end}]`{last}"))
        } else {
            d
        });
    }

    /// Elements and slices of a cell's array: its own axes are indexed, and each cell may be asked at a place of its own.
    fn index_in_cell(
        &mut self,
        scope: ScopeId,
        (num, own): (Num, usize),
        cells: &[usize],
        indices: &[ExprId],
        span: Span,
    ) -> Option<Num> {
        let whole = self.shape(&num)?[..own].to_vec();
        let (mut out, mut own, mut axis) = (num, own, 0);
        for (k, id) in indices.iter().enumerate() {
            let shape = self.shape(&out)?;
            if axis >= own {
                self.no_axis(&whole, k, span);
                return None;
            }
            if matches!(self.bare_expr(scope, *id).1.kind, ExprKind::Range { .. }) {
                let (from, to) = self.index_range(scope, *id, shape[axis])?;
                out = self.apply(span, out.unit.clone(), &[&out], |g, n| g.slice(n[0], axis, from, 1, to - from));
                axis += 1;
                continue;
            }
            let at = self.operand(scope, *id)?;
            self.hold_place(&at, shape[axis], span)?;
            let each = self.shape(&at.num).is_some_and(|s| !s.is_empty()) && self.own_axes(&at.num, cells).is_some();
            out = match each {
                true => self.pick_in_cell(&out, (axis, own), &at.num, cells, span)?,
                false => self.apply(span, out.unit.clone(), &[&out, &at.num], |g, n| g.gather(n[0], axis, n[1])),
            };
            let rank = self.shape(&out).map_or(shape.len(), |s| s.len());
            // A list of places has axes of its own in the place of the one that it indexes.
            (axis, own) = ((axis + 1 + rank).saturating_sub(shape.len()), (own + rank).saturating_sub(shape.len()));
        }
        Some(out)
    }

    /// One element along an axis, or those at the places of a tensor.
    /// `x[rows, columns]` with lists at the first axes goes through them together, as numpy does: one element for each
    /// pair. `None` where there are not two lists.
    fn pick_together(&mut self, scope: ScopeId, num: &Num, indices: &[ExprId], span: Span) -> Option<Option<Num>> {
        let Some(shape) = self.shape(num) else { return Some(None) };
        let ranges = indices.iter().map(|id| matches!(self.bare_expr(scope, *id).1.kind, ExprKind::Range { .. }));
        if indices.len() < 2 || indices.len() > shape.len() || ranges.into_iter().any(|range| range) {
            return Some(None);
        }
        let mut places = vec![];
        for id in indices {
            let at = self.operand(scope, *id)?;
            places.push((at.num.clone(), at.span));
        }
        let lists = places.iter().filter(|(at, _)| self.shape(at).is_some_and(|s| !s.is_empty())).count();
        if lists < 2 {
            return Some(None);
        }
        let mut flat = Num::real(0.0);
        for ((at, at_span), length) in places.iter().zip(&shape) {
            let outside = |x: &&f64| **x < 0.0 || **x >= *length as f64 || x.fract() != 0.0;
            if let Some(wrong) = at.as_const().and_then(|a| a.iter().find(outside).copied()) {
                self.error("E0316", *at_span, format!("the index {wrong} is outside of 0 .. {length}"));
                return None;
            }
            flat = self.mul(&flat, &Num::real(*length as f64), span);
            flat = self.add(&flat, at, span);
        }
        let (axes, rest) = shape.split_at(indices.len());
        let merged = [&[axes.iter().product()], rest].concat();
        Some(Some(self.apply(span, num.unit.clone(), &[num, &flat], |g, n| {
            let rows = g.reshape(n[0], &merged)?;
            g.gather(rows, 0, n[1])
        })))
    }

    fn pick(&mut self, scope: ScopeId, num: &Num, axis: usize, length: usize, id: ExprId, span: Span) -> Option<Num> {
        let at = self.operand(scope, id)?;
        self.hold_place(&at, length, span)?;
        Some(self.apply(span, num.unit.clone(), &[num, &at.num], |g, n| g.gather(n[0], axis, n[1])))
    }

    /// Holds what is known of a place against the axis that it picks of.
    pub fn hold_place(&mut self, at: &Operand, length: usize, span: Span) -> Option<()> {
        if !at.num.unit.is_real() {
            self.error("E0308", at.span, format!("an index is a whole number, not {}", at.num.unit.describe()));
            return None;
        }
        if let Some(known) = at.num.as_f64()
            && known.fract() != 0.0
        {
            self.error("E0308", at.span, format!("an index is a whole number, not {known}"));
            return None;
        }
        if let Some(known) = at.num.as_f64()
            && self.shape(&at.num).is_some_and(|s| s.is_empty())
            && (known < 0.0 || known as usize >= length)
        {
            self.outside(known, length, at.span);
            return None;
        }
        if let Some(places) = at.num.as_const()
            && let Some(beyond) = places.iter().find(|k| k.is_nan() || **k < 0.0 || **k >= length as f64)
        {
            let beyond = *beyond;
            self.outside(beyond, length, at.span);
            return None;
        }
        if let Some(class) = at.num.class
            && class > length
        {
            let message = format!(
                "a label of {} classes picks among {} values",
                self.length_text(class),
                self.length_text(length)
            );
            self.error("E0318", span, message);
            return None;
        }
        Some(())
    }

    fn index_list(&mut self, scope: ScopeId, items: &[Value], indices: &[ExprId], span: Span) -> Value {
        let Some(first) = indices.first() else { return Value::Missing };
        let (_, expr) = self.bare_expr(scope, *first);
        match self.index_range(scope, *first, items.len()) {
            Some((from, to)) if matches!(expr.kind, ExprKind::Range { .. }) => {
                Value::List(items[from..to].to_vec().into())
            }
            Some((from, _)) => items[from].clone(),
            None => {
                let _ = span;
                Value::Missing
            }
        }
    }

    fn index_data(&mut self, scope: ScopeId, data: &crate::value::Dataset, indices: &[ExprId], _span: Span) -> Value {
        let Some(first) = indices.first() else { return Value::Missing };
        if data.is_open() {
            // While checking: any rows may be there.
            return match self.index_range(scope, *first, usize::MAX >> 1) {
                Some(_) => Value::Data(data.clone().into()),
                None => Value::Missing,
            };
        }
        match self.index_range(scope, *first, data.rows) {
            Some((from, to)) => {
                let rows: Vec<usize> = (from..to).collect();
                Value::Data(self.take_rows(data, &rows).into())
            }
            None => Value::Missing,
        }
    }

    /// `accuracy[Backprop]`: the value of the pass whose list element this is.
    fn index_sweep(
        &mut self,
        scope: ScopeId,
        record: &indexmap::IndexMap<String, Value>,
        indices: &[ExprId],
        span: Span,
    ) -> Value {
        let (Some(Value::List(keys)), Some(Value::List(values))) =
            (record.get("sweep keys"), record.get("sweep values"))
        else {
            return Value::Missing;
        };
        let (keys, values) = (keys.clone(), values.clone());
        let Some(first) = indices.first() else { return Value::Missing };
        let wanted = self.eval(scope, *first);
        if matches!(wanted, Value::Missing) {
            return wanted;
        }
        for (key, value) in keys.iter().zip(values.iter()) {
            if self.same_key(key, &wanted) {
                return match indices.len() {
                    1 => value.clone(),
                    _ => match value {
                        Value::Num(num) => self
                            .index_number(scope, num.clone(), &indices[1..], span)
                            .map_or(Value::Missing, Value::Num),
                        Value::Record(inner) => self.index_sweep(scope, inner, &indices[1..], span),
                        _ => Value::Missing,
                    },
                };
            }
        }
        if self.mode == crate::session::Mode::Check && matches!(wanted, Value::Num(_)) {
            // While checking, only the first pass of a sweep over numbers is looked at.
            return match values.first() {
                Some(Value::Num(num)) => Value::Num(Num::unknown(num.unit.clone())),
                _ => Value::Missing,
            };
        }
        let place = self.expr_span(scope, *first);
        let list: Vec<String> = keys.iter().map(|k| format!("`{}`", self.label(k))).collect();
        self.error("E0229", place, format!("the sweep has no pass for this; it went through {}", list.join(", ")))
    }

    fn same_key(&self, key: &Value, wanted: &Value) -> bool {
        match (key, wanted) {
            (Value::Kind(a), Value::Kind(b)) => a.item == b.item && (b.args.is_empty() || a.text == b.text),
            (Value::Text(a), Value::Text(b)) => a == b,
            (Value::Function(a), Value::Function(b)) => match (&a.kind, &b.kind) {
                (FunctionKind::User(a), FunctionKind::User(b)) => a == b,
                (FunctionKind::Builtin(a), FunctionKind::Builtin(b)) => a.name == b.name,
                _ => false,
            },
            (Value::Num(a), Value::Num(b)) => match (a.as_f64(), b.as_f64()) {
                (Some(a), Some(b)) => a == b || ((a - b) / b).abs() < 1e-12,
                _ => false,
            },
            _ => false,
        }
    }

    /// How a value of a sweep is called in tables.
    pub fn label(&self, value: &Value) -> String {
        match value {
            Value::Kind(kind) if kind.args.is_empty() => self.modules.item(kind.item).name.text.clone(),
            Value::Kind(kind) => kind.text.to_string(),
            Value::Text(text) => text.to_string(),
            Value::Function(function) => match function.kind {
                FunctionKind::User(item) => self.modules.item(item).name.text.clone(),
                FunctionKind::Builtin(builtin) => builtin.name.into(),
            },
            Value::Num(num) => match num.as_f64() {
                Some(x) => crate::table::quantity(x, &num.unit),
                None => "…".into(),
            },
            other => other.describe().into(),
        }
    }
}
