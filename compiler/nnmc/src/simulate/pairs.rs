//! What a connection brings to its port where it is not carried by events: a formula of both ends, summed over senders.
//!
//! Where the formula is a product whose factors each belong to one side, the sum is taken over the senders' side alone:
//! `w * s * B(post.v) * (E - post.v)` is `B(post.v) * (E - post.v)` times a product of the weights with the `s`. Equal
//! weights over all pairs make that one sum for all targets. Else the formula is computed for every pair or edge.

use std::collections::BTreeSet;

use nnm_graph::ir::{Binary, NodeId, Op, Reduce, Unary, VarId};
use nnm_syntax::ast::{ExprId, Init};
use nnm_syntax::span::Span;

use super::ends::{Seen, Site};
use super::placement;
use super::transport::{Path, Weight};
use crate::failure::Noted;
use crate::network::{FrameId, Home};
use crate::session::{ScopeId, Session};
use crate::unit::Unit;
use crate::value::{Num, Value};

/// What is summed: a name of the synapse, or an expression of it.
#[derive(Clone, Debug)]
pub enum Formula {
    Name(String, Span),
    Expr(ExprId, Span),
}

impl Formula {
    fn span(&self) -> Span {
        match self {
            Formula::Name(_, span) | Formula::Expr(_, span) => *span,
        }
    }
}

/// A product taken apart by what its factors read.
#[derive(Default)]
struct Factors {
    /// Of the connection: weights, parameters, states.
    edge: Vec<(NodeId, bool)>,
    sender: Vec<(NodeId, bool)>,
    target: Vec<(NodeId, bool)>,
    negative: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    None,
    Edge,
    Sender,
    Target,
    Several,
}

impl Session<'_> {
    /// What a connection with a path of its own adds to its port.
    pub fn path_contribution(&mut self, frame: FrameId, projection: usize) -> Option<Num> {
        let site = Site { frame, projection, seen: Seen::Targets, route: 0, after: false };
        let path = self.path_of(site)?;
        let Some((_, synapse)) = path.synapse.clone() else { return self.direct_pairs(site, &path) };
        let output = synapse.dynamics.outputs.first()?;
        let (name, span) = (output.name.text.clone(), output.span);
        let formula = Formula::Name(name.clone(), span);
        let summed: BTreeSet<String> = path.at_home(Home::Target);
        let (reads_summed, rest) = match output.init {
            Some(Init::Value(e)) => {
                let around = self.around(&path)?;
                let reads = placement::reads_states(&synapse, &around, e, &summed);
                (reads, placement::has_rest(&synapse, &around, e, &summed))
            }
            _ => (summed.contains(&name), !summed.contains(&name)),
        };
        if reads_summed && !rest {
            let scope = self.synapse_names(site, &[])?;
            return self.formula_in(scope, &formula);
        }
        let zeros = self.zero_states(&path, &summed);
        let drive = self.pair_sum(site, &formula, &zeros)?;
        if !reads_summed {
            self.note_tie(site, &path, &formula, &drive)?;
            return Some(drive);
        }
        // A multiple of the summed states, and a part of each connection.
        let own = self.multiple_of(site, &path, &formula, &summed)?;
        Some(self.add(&own, &drive, span))
    }

    pub fn formula_in(&mut self, scope: ScopeId, formula: &Formula) -> Option<Num> {
        match formula {
            Formula::Name(name, span) => {
                let value = self.local(scope, name, *span)?;
                self.number(value, *span)
            }
            Formula::Expr(e, _) => self.operand(scope, *e).map(|x| x.num),
        }
    }

    /// The default synapse of a sender without spikes: `w * pre`.
    fn direct_pairs(&mut self, site: Site, path: &Path) -> Option<Num> {
        let span = path.span;
        let view = Site { seen: path.pair_view(), ..site };
        let w = self.weight_seen(view, path)?;
        let Value::Num(pre) = self.end_value(view, false, "y") else { return None };
        let unit = w.unit.times(&pre.unit);
        let sum = match (&path.weight, view.seen) {
            (Weight::Matrix { .. }, Seen::Pairs) => self.product(view, &w, &pre, unit)?,
            _ => {
                let each = self.mul(&w, &pre, span);
                self.summed_at_targets(view, &each, span)?
            }
        };
        self.mark_foreign(&sum);
        Some(sum)
    }

    pub fn mark_foreign(&mut self, num: &Num) {
        let (crate::value::Repr::Node(node), Some(program)) = (&num.repr, &mut self.program) else { return };
        program.foreign.push(*node);
        // What is spread over the cells is often read before it is spread.
        let mut inner = self.graph.node(*node);
        while let (Op::Broadcast | Op::Reshape, [arg]) = (&inner.op, inner.args.as_slice()) {
            inner = self.graph.node(*arg);
            if !matches!(inner.op, Op::Const(_) | Op::Tensor(_)) {
                program.foreign.push(*arg);
            }
        }
    }

    /// States set to 0, to see what is left of a formula.
    pub fn zero_states(&mut self, path: &Path, names: &BTreeSet<String>) -> Vec<(String, Num)> {
        names.iter().filter_map(|n| path.vars.get(n).map(|v| (n.clone(), Num::scalar(v.1.clone(), 0.0)))).collect()
    }

    /// The part of a formula that is a multiple of the summed states, at the targets.
    pub fn multiple_of(
        &mut self,
        site: Site,
        path: &Path,
        formula: &Formula,
        summed: &BTreeSet<String>,
    ) -> Option<Num> {
        let symbols = Site { seen: Seen::Symbols, ..site };
        let mut states = vec![];
        for name in summed {
            let symbol = self.state_seen(symbols, path, name)?;
            states.push(self.lift(&symbol));
        }
        let scope = self.synapse_names(symbols, &[])?;
        let all = self.formula_in(scope, formula)?;
        let node = self.lift(&all);
        let one = self.graph.constant(1.0);
        let slopes = nnm_graph::grad(&mut self.graph, &[(node, one)], &states).noted(self)?;
        let mut sum = self.graph.constant(0.0);
        for (state, slope) in states.into_iter().zip(slopes) {
            let Some(slope) = slope else { continue };
            let term = self.graph.binary(Binary::Mul, slope, state).noted(self)?;
            sum = self.graph.binary(Binary::Add, sum, term).noted(self)?;
        }
        let placed = self.at_site(site, sum)?;
        Some(Num::node(all.unit, placed))
    }

    /// The sum of a synapse's formula over all senders of each target.
    pub fn pair_sum(&mut self, site: Site, formula: &Formula, states: &[(String, Num)]) -> Option<Num> {
        let path = self.path_of(site)?;
        let symbols = Site { seen: Seen::Symbols, ..site };
        let scope = self.synapse_names(symbols, states)?;
        let form = self.formula_in(scope, formula)?;
        let node = self.lift(&form);
        let drawn = nnm_graph::depends_on(&self.graph, node, &|_, n| matches!(n.op, Op::Draw { .. }));
        if !drawn && let Some(factors) = self.factors_of(&path, node) {
            return self.separated(site, &path, factors, form.unit);
        }
        let view = Site { seen: path.pair_view(), ..site };
        let scope = self.synapse_names(view, states)?;
        let each = self.formula_in(scope, formula)?;
        let sum = self.summed_at_targets(view, &each, formula.span())?;
        self.mark_foreign(&sum);
        Some(sum)
    }

    /// A product's factors by side; nothing where one reads both sides.
    fn factors_of(&mut self, path: &Path, node: NodeId) -> Option<Factors> {
        let mut factors = Factors::default();
        let mut open = vec![(node, true)];
        while let Some((id, above)) = open.pop() {
            let known = self.graph.node(id).clone();
            match (&known.op, known.args.as_slice()) {
                (Op::Binary(Binary::Mul), [a, b]) => open.extend([(*b, above), (*a, above)]),
                (Op::Binary(Binary::Div), [a, b]) => open.extend([(*b, !above), (*a, above)]),
                (Op::Unary(Unary::Neg), [a]) => {
                    factors.negative = !factors.negative;
                    open.push((*a, above));
                }
                _ => match self.side_of(path, id) {
                    Side::Several => return None,
                    Side::Edge => factors.edge.push((id, above)),
                    Side::Sender => factors.sender.push((id, above)),
                    Side::Target | Side::None => factors.target.push((id, above)),
                },
            }
        }
        Some(factors)
    }

    fn side_of(&self, path: &Path, node: NodeId) -> Side {
        let mut side = Side::None;
        for var in nnm_graph::free_vars(&self.graph, node) {
            let one = self.side_of_var(path, var);
            side = match (side, one) {
                (_, Side::None) => side,
                (Side::None, _) => one,
                _ if side == one => side,
                _ => Side::Several,
            };
        }
        side
    }

    fn side_of_var(&self, path: &Path, var: VarId) -> Side {
        let Some((post, name)) = self.program.as_ref().and_then(|p| p.symbols.get(&var)) else { return Side::None };
        let of_sender = |state: &str| path.vars.get(state).is_some_and(|v| v.2 == Home::Sender);
        match name {
            _ if *post => Side::Target,
            name if name.ends_with('@') => Side::Edge,
            name => match name.strip_suffix('#') {
                Some(state) if !of_sender(state) => Side::Edge,
                _ => Side::Sender,
            },
        }
    }

    fn multiplied(&mut self, site: Site, factors: &[(NodeId, bool)]) -> Option<NodeId> {
        let mut product = self.graph.constant(1.0);
        for (node, above) in factors {
            let value = self.at_site(site, *node)?;
            let op = if *above { Binary::Mul } else { Binary::Div };
            product = self.graph.binary(op, product, value).noted(self)?;
        }
        Some(product)
    }

    /// The sum over the senders' side, times the target's.
    fn separated(&mut self, site: Site, path: &Path, factors: Factors, unit: Unit) -> Option<Num> {
        let view = Site { seen: path.pair_view(), ..site };
        let edge = self.multiplied(view, &factors.edge)?;
        let sender = self.multiplied(view, &factors.sender)?;
        let plain = |node| Num::node(Unit::REAL, node);
        let (edge, sender) = (plain(edge), plain(sender));
        let sum = match view.seen {
            Seen::Pairs => self.product(view, &edge, &sender, Unit::REAL)?,
            _ => {
                let each = self.mul(&edge, &sender, path.span);
                self.summed_at_targets(view, &each, path.span)?
            }
        };
        self.mark_foreign(&sum);
        let target = self.multiplied(site, &factors.target)?;
        let all = self.mul(&sum, &plain(target), path.span);
        let all = if factors.negative { self.unary(Unary::Neg, &all, Unit::REAL, path.span) } else { all };
        Some(Num { unit, ..all })
    }

    /// A value of each pair times one of each sender, summed: a matrix product, or one sum for all.
    fn product(&mut self, site: Site, edge: &Num, sender: &Num, unit: Unit) -> Option<Num> {
        let id = self.frame(site.frame).net;
        let target = self.net(id).projections[site.projection].target;
        let shape = self.net(id).populations[target].shape.clone();
        let path = self.path_of(site)?;
        let row = self.to_shape(sender.clone(), &[1, path.senders], path.span);
        let matrix = self.shape(edge).is_some_and(|s| s.len() == 2);
        Some(self.apply(path.span, unit, &[edge, &row], |g, n| {
            if matrix {
                let flat = g.reshape(n[1], &[path.senders])?;
                let sum = g.matmul(n[0], flat)?;
                return g.reshape(sum, &shape);
            }
            let one = g.reduce(Reduce::Sum, n[1], &[0, 1])?;
            let weighted = g.binary(Binary::Mul, n[0], one)?;
            g.broadcast_to(weighted, &shape)
        }))
    }
}
