//! Derivatives in the program being built, and through the steps of a presentation.

use nnm_graph::ir::{Assign, Binary, NodeId, Place, Stmt, Var, VarElem, VarId};
use nnm_kir::ir::Int;
use nnm_syntax::span::Span;

use super::{OverTime, Presentation, Reduction, TIME};
use crate::failure::Noted;
use crate::session::Session;
use crate::unit::Unit;

impl Session<'_> {
    /// Derivatives of seeded nodes by others; zeros where they do not depend.
    pub fn derivatives(&mut self, of: &[(NodeId, Option<NodeId>)], by: &[NodeId], span: Span) -> Option<Vec<NodeId>> {
        let mut seeds = vec![];
        for (node, seed) in of {
            let seed = match seed {
                Some(seed) => *seed,
                None => {
                    let shape = self.graph.shape(*node).to_vec();
                    self.graph.filled(1.0, &shape)
                }
            };
            seeds.push((*node, seed));
        }
        match nnm_graph::grad(&mut self.graph, &seeds, by) {
            Ok(found) => {
                let zeros = |s: &mut Self, by: NodeId| {
                    let shape = s.graph.shape(by).to_vec();
                    s.graph.filled(0.0, &shape)
                };
                Some(found.into_iter().zip(by).map(|(f, b)| f.unwrap_or_else(|| zeros(self, *b))).collect())
            }
            Err(error) => {
                self.no_derivative(span, &error);
                None
            }
        }
    }
}

/// A presentation that is gone through backwards: states as they were at each step, and what flows back.
pub struct Backward {
    /// Statements before the forward loop's steps: states are kept.
    pub keep: Vec<Assign>,
    /// The backward loop, with what is to be added up in it.
    pub stmts: Vec<Stmt>,
}

/// What flows back through the states of a presentation, from some nodes of each step.
#[derive(Default)]
pub struct Flows {
    /// Where the derivatives of a step begin: at its nodes, and at the states by which the steps after it come.
    pub seeds: Vec<(NodeId, NodeId)>,
    /// What flows into each state's value before the step.
    pub into: Vec<(VarId, NodeId)>,
}

/// What is added up over the steps, going backwards.
pub struct Sum {
    pub total: VarId,
    pub step: NodeId,
}

/// Given the seeds of a step, what is to be added up over the steps.
pub type Sums<'f, 's> = dyn FnMut(&mut Session<'s>, &[(NodeId, NodeId)]) -> Option<Vec<Sum>> + 'f;

impl<'s> Session<'s> {
    /// A var of the program's own.
    pub fn work_var(&mut self, name: &str, shape: &[usize], batched: bool, times: Option<usize>) -> VarId {
        self.graph.add_var(Var { name: name.into(), elem: VarElem::Real, shape: shape.to_vec(), batched, times })
    }

    /// Vars that keep every state at every step, and the reads that put them in place of the states.
    pub fn kept_states(&mut self, p: &Presentation, states: &[Assign]) -> Vec<(VarId, VarId)> {
        let mut out = vec![];
        for state in states {
            let var = self.graph.var(state.to).clone();
            let kept = self.work_var(&format!("{}@kept", var.name), &var.shape, var.batched, Some(p.steps as usize));
            out.push((state.to, kept));
        }
        out
    }

    /// The backward pass through a presentation.
    ///
    /// `states` are the values after a step, `reductions` with the objective's derivative by each total. For every
    /// (port, sums) pair the caller asks for errors at ports: `errors(self, seeds)` gets the step's seeds and returns
    /// the sums to keep. `more` flows back beside the objective's derivative.
    pub fn backward(
        &mut self,
        p: &Presentation,
        states: &[Assign],
        reductions: &[(Reduction, NodeId)],
        sums: &mut Sums<'_, 's>,
        more: Flows,
        span: Span,
    ) -> Option<Backward> {
        let kept = self.kept_states(p, states);
        let keep = self.keeps(&kept);
        let mut begin = vec![];
        let mut held = vec![];
        for (k, (reduction, by)) in reductions.iter().enumerate() {
            let seed = self.reduction_seed(p, k, reduction, *by, &mut begin)?;
            held.push((reduction.step, seed));
        }
        let flows = self.flows(p, states, &held, &[], span)?;
        let added = sums(self, &flows.seeds)?;
        let flows: Vec<(VarId, NodeId)> = flows.into.into_iter().chain(more.into).collect();
        let mut assigns = vec![];
        for (flow, value) in &flows {
            let value = self.at_kept(*value, &kept)?;
            assigns.push(Assign { to: *flow, place: Place::Whole, add: false, value });
        }
        for sum in &added {
            let value = self.at_kept(sum.step, &kept)?;
            let before = self.read_whole(sum.total);
            let value = self.graph.binary(Binary::Add, before, value).noted(self)?;
            assigns.push(Assign { to: sum.total, place: Place::Whole, add: false, value });
        }
        for to in flows.iter().map(|(flow, _)| flow).chain(added.iter().map(|s| &s.total)) {
            let shape = self.graph.var(*to).shape.clone();
            let zero = self.graph.filled(0.0, &shape);
            begin.push(Assign { to: *to, place: Place::Whole, add: false, value: zero });
        }
        let body = vec![Stmt::Stage { about: "step backwards".into(), assigns }];
        let stmts = vec![
            Stmt::Stage { about: "back from the end".into(), assigns: begin },
            Stmt::For { index: TIME, from: Int::Const(0), to: Int::Const(p.steps), down: true, body },
        ];
        Some(Backward { keep, stmts })
    }

    /// What flows back of some nodes of a step, each with its seed, through the states; it ends at `stops`.
    pub fn flows(
        &mut self,
        p: &Presentation,
        states: &[Assign],
        of: &[(NodeId, NodeId)],
        stops: &[NodeId],
        span: Span,
    ) -> Option<Flows> {
        let (mut seeds, mut vars) = (vec![], vec![]);
        for state in states {
            let var = self.graph.var(state.to).clone();
            let flow = self.work_var(&format!("{}@back", var.name), &var.shape, true, None);
            seeds.push((state.value, self.flow_back(p, flow)?));
            vars.push(flow);
        }
        seeds.extend(of);
        let reads: Vec<NodeId> = states.iter().map(|s| self.read_whole(s.to)).chain(stops.iter().copied()).collect();
        let with_seeds: Vec<_> = seeds.iter().map(|(of, by)| (*of, Some(*by))).collect();
        let back = self.derivatives(&with_seeds, &reads, span)?;
        Some(Flows { seeds, into: vars.into_iter().zip(back).collect() })
    }

    /// What flows back into a state's value after a step: nothing at the end of a piece, where credit is cut off.
    pub fn flow_back(&mut self, p: &Presentation, flow: VarId) -> Option<NodeId> {
        let back = self.read_whole(flow);
        let Some(piece) = p.truncate.filter(|k| *k < p.steps) else { return Some(back) };
        let next = Int::Add(Box::new(Int::Loop(TIME)), Box::new(Int::Const(1)));
        let place = self.graph.count(Int::Rem(Box::new(next), Box::new(Int::Const(piece))));
        let zero = self.graph.constant(0.0);
        self.graph.select(place, back, zero).noted(self)
    }

    pub fn keeps(&mut self, kept: &[(VarId, VarId)]) -> Vec<Assign> {
        kept.iter()
            .map(|(state, kept)| {
                let value = self.read_whole(*state);
                Assign { to: *kept, place: Place::Time(Int::Loop(TIME)), add: false, value }
            })
            .collect()
    }

    /// A value of the step with its states read from where they were kept.
    pub fn at_kept(&mut self, node: NodeId, kept: &[(VarId, VarId)]) -> Option<NodeId> {
        let mut map = std::collections::BTreeMap::new();
        for (state, kept) in kept {
            let read = self.read_at(*kept, Place::Time(Int::Loop(TIME)));
            map.insert(*state, read);
        }
        nnm_graph::substitute_reads(&mut self.graph, node, &|var, place| match place {
            Place::Whole => map.get(&var).copied(),
            _ => None,
        })
        .ok()
    }

    /// What a reduction hands back to each step.
    fn reduction_seed(
        &mut self,
        p: &Presentation,
        k: usize,
        r: &Reduction,
        by: NodeId,
        begin: &mut Vec<Assign>,
    ) -> Option<NodeId> {
        let shape = self.graph.shape(r.step).to_vec();
        let var = self.work_var(&format!("over time {k}@back"), &shape, true, None);
        begin.push(Assign { to: var, place: Place::Whole, add: false, value: by });
        let seed = self.read_whole(var);
        match r.how {
            OverTime::Sum => Some(seed),
            OverTime::Mean => {
                let part = self.graph.constant(1.0 / p.steps as f64);
                self.graph.binary(Binary::Mul, part, seed).noted(self)
            }
            OverTime::Last => {
                let now = self.graph.count(Int::Loop(TIME));
                let last = self.graph.constant((p.steps - 1) as f64);
                let is_last = self.graph.binary(Binary::Eq, now, last).noted(self)?;
                let zero = self.graph.constant(0.0);
                self.graph.select(is_last, seed, zero).noted(self)
            }
            OverTime::Max => {
                let held = self.graph.binary(Binary::Eq, r.step, r.read).noted(self)?;
                let zero = self.graph.constant(0.0);
                self.graph.select(held, seed, zero).noted(self)
            }
        }
    }

    /// One over a unit.
    pub fn per(unit: &Unit) -> Unit {
        Unit::REAL.over(unit)
    }
}
