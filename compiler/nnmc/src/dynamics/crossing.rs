//! `v crosses 0 mV upward`: on one side of a level at the end of the step before, on the other at the end of this one.

use nnm_graph::ir::Binary;
use nnm_syntax::ast::{CmpOp, ExprId};
use nnm_syntax::span::Span;

use super::cell::Walk;
use crate::hir::Neuron;
use crate::network::FrameId;
use crate::program::{NewLeaf, Role};
use crate::session::{ScopeId, Session};
use crate::unit::Unit;
use crate::value::{Num, Repr, Value};

impl Session<'_> {
    /// Whether the two sides pass one another in this step; `before` has the states that the step began with.
    pub(super) fn crossing(
        &mut self,
        before: ScopeId,
        walk: &mut Walk,
        neuron: &Neuron,
        [x, level]: [ExprId; 2],
        op: CmpOp,
        span: Span,
    ) -> Option<Num> {
        let (was, is) = if op == CmpOp::CrossesUp { (Binary::Lt, Binary::Ge) } else { (Binary::Gt, Binary::Le) };
        let (x1, l1) = (self.operand(walk.scope, x)?, self.operand(walk.scope, level)?);
        if !self.same_unit("compare", &x1, &l1, span) {
            return None;
        }
        let is = self.binary(is, &x1.num, &l1.num, Unit::REAL, span);
        let events = self.has_events(walk.frame, walk.index);
        let side = |s: &mut Self, scope: ScopeId| -> Option<Num> {
            let (x, level) = (s.operand(scope, x)?, s.operand(scope, level)?);
            let side = s.binary(was, &x.num, &level.num, Unit::REAL, span);
            Some(if events { s.before_events(side) } else { side })
        };
        let first = side(self, before)?;
        let was = match self.past_scope(walk, neuron, [x, level]) {
            None => first,
            // At the start there is no step before: what reaches the cell then has been there.
            Some(past) => {
                let later = side(self, past)?;
                let begins = self.is_first_step(span)?;
                self.select(&begins, &first, &later, span)
            }
        };
        Some(self.binary(Binary::And, &was, &is, Unit::REAL, span))
    }

    /// The population with the states that the step began with and the ports and the time of the step before; none where
    /// the expressions read neither.
    fn past_scope(&mut self, walk: &mut Walk, neuron: &Neuron, read: [ExprId; 2]) -> Option<ScopeId> {
        let file = self.modules.get(self.module_of(walk.scope)).file.clone();
        let lets: Vec<_> = neuron.dynamics.lets.iter().chain(&neuron.dynamics.outputs).cloned().collect();
        let names: Vec<String> = read.iter().flat_map(|e| crate::eval::names_through(&file, *e, &lets)).collect();
        let (frame, index) = (walk.frame, walk.index);
        let id = self.frame(frame).net;
        let population = self.net(id).populations[index].clone();
        let ports: Vec<_> = walk.ports.iter().filter(|(name, _)| names.contains(name)).cloned().collect();
        let timed = names.iter().any(|name| name == "t") && self.program.as_ref().is_some_and(|p| p.dt.is_some());
        if ports.is_empty() && !timed {
            return None;
        }
        let states = self.frame(frame).populations[index].states.clone();
        let scope = self.population_scope(frame, index, &states);
        let batched = self.program.as_ref().is_some_and(|p| p.batched);
        for (name, value) in ports {
            let now = self.number(value, population.span)?;
            let now = self.to_shape(now, &population.shape, population.span);
            let path = format!("{}.{name}@before", self.state_base(frame, index));
            let (unit, shape) = (now.unit.clone(), &population.shape);
            let leaf = NewLeaf { path: &path, role: Role::State, unit, shape, batched, home: None };
            let before = self.leaf(leaf);
            self.bind(scope, name, Value::Num(before));
            if walk.past.iter().all(|(kept, _)| *kept != path) {
                walk.past.push((path, now));
            }
        }
        if timed {
            let (t, dt) = (self.local_number(scope, "t")?, self.local_number(scope, "dt")?);
            let unit = t.unit.clone();
            let before = self.binary(Binary::Sub, &t, &dt, unit, population.span);
            self.bind(scope, "t", Value::Num(before));
        }
        Some(scope)
    }

    fn local_number(&mut self, scope: ScopeId, name: &str) -> Option<Num> {
        let value = self.local(scope, name, Span::default())?;
        self.number(value, Span::default())
    }

    fn is_first_step(&mut self, span: Span) -> Option<Num> {
        let step = self.program.as_ref()?.step.clone();
        let count = Num::node(Unit::REAL, self.graph.count(step));
        Some(self.binary(Binary::Eq, &count, &Num::real(0.0), Unit::REAL, span))
    }

    /// Whether events of this step may have changed the population's states.
    pub(super) fn has_events(&self, frame: FrameId, index: usize) -> bool {
        let own = |f: FrameId, k: usize| (f, k) == (frame, index);
        self.program.as_ref().is_some_and(|p| {
            p.jumps.keys().any(|jump| own(jump.frame, jump.population))
                || p.events.keys().any(|(frame, index, _)| own(*frame, *index))
        })
    }

    /// A value of the states as it was at the end of the step before.
    pub(super) fn before_events(&mut self, num: Num) -> Num {
        let Repr::Node(node) = num.repr else { return num };
        if self.reads_ports(node) {
            return num;
        }
        let var = self.kept_value(node, &num.unit);
        Num::node(num.unit, self.read_whole(var))
    }
}
