//! What rules do at spikes: every block of one time reads traces and weights as they were before any event of that time.
//!
//! A block that reads what an earlier one changes computes its changes first, from the old values; then all changes are
//! applied in source order, each held to its bounds. Traces jump last.

use std::collections::BTreeSet;

use nnm_graph::ir::{Assign, NodeId, Place, Rows, Stmt, Var, VarElem, VarId};
use nnm_kir::ir::Int;
use nnm_syntax::ast::{AssignOp, StmtKind};

use super::ends::{Seen, Site};
use super::learn::Work;
use super::{Build, STEP, Simulation, add, rem};
use crate::hir::On;
use crate::program::{Leaf, NewLeaf, Role};
use crate::session::Session;
use crate::unit::Unit;
use crate::value::Num;

impl Session<'_> {
    /// `on pre { … }` at arrivals, `on post { … }` at the target's spikes, of all rules together.
    pub fn rule_events(&mut self, b: &mut Build, sim: &Simulation, works: &[Work]) -> Option<()> {
        let mut first = vec![];
        let mut then = vec![];
        for (number, work) in works.iter().enumerate() {
            let others = works[..number].iter().filter(|w| w.learn.projection == work.learn.projection);
            let mut changed: BTreeSet<String> = BTreeSet::new();
            for other in others {
                changed.extend(self.changed_by(&other.learn.rule.dynamics.ons).into_iter().filter(|n| n == "w"));
            }
            for on in work.learn.rule.dynamics.ons.iter().filter(|o| o.period.is_none()) {
                let pending = self.reads_changed(work, on, &changed);
                let post = on.event.text == "post";
                if !post && on.event.text != "pre" {
                    let message = format!("a rule waits for `pre` or `post`, not for `{}`", on.event.text);
                    self.error("E0408", on.event.span, message);
                    return None;
                }
                for route in 0..work.path.routes.len() {
                    let seen = if post { Seen::FromPost } else { Seen::FromPre };
                    let site = Site { seen, route, after: false, ..work.all };
                    match pending {
                        false => {
                            let body = self.changes(sim, work, site, on)?;
                            then.extend(self.at_spikes(b, work, site, body));
                        }
                        true => {
                            let (ahead, apply) = self.pending_changes(b, sim, work, site, on)?;
                            first.extend(self.at_spikes(b, work, site, ahead));
                            then.extend(self.at_spikes(b, work, site, apply));
                        }
                    }
                }
                changed.extend(self.changed_by(std::slice::from_ref(on)));
            }
        }
        b.deliveries.extend(first);
        b.deliveries.extend(then);
        Some(())
    }

    fn changed_by(&self, ons: &[On]) -> BTreeSet<String> {
        let blocks = ons.iter().filter(|o| o.period.is_none()).flat_map(|o| &o.block);
        let places = blocks.filter_map(|stmt| match &stmt.kind {
            StmtKind::Assign { place, .. } => place.first().map(|n| n.text.clone()),
            _ => None,
        });
        places.collect()
    }

    /// Whether a block reads what blocks before it change; to add to it is not to read it.
    fn reads_changed(&self, work: &Work, on: &On, changed: &BTreeSet<String>) -> bool {
        let file = &self.modules.get(self.modules.item(work.learn.kind.item).module).file;
        on.block.iter().any(|stmt| match &stmt.kind {
            StmtKind::Assign { place, op, value, .. } => {
                let own = place.first().is_some_and(|n| changed.contains(&n.text));
                let scales = own && !matches!(op, AssignOp::Add | AssignOp::Sub);
                let names = crate::eval::names_through(file, *value, &work.learn.rule.dynamics.lets);
                scales || names.iter().any(|n| changed.contains(n))
            }
            StmtKind::Let { value, .. } => {
                let names = crate::eval::names_through(file, *value, &work.learn.rule.dynamics.lets);
                names.iter().any(|n| changed.contains(n))
            }
            _ => false,
        })
    }

    /// The new values of what a block changes, at one edge.
    fn changes(&mut self, sim: &Simulation, work: &Work, site: Site, on: &On) -> Option<Vec<Assign>> {
        let before = self.connection_values(work, site);
        let here = self.rule_block(sim, work, site, &on.block, &before, true)?;
        let mut body = vec![];
        for (name, num) in &here {
            let (old, value) = (self.lift(before.get(name)?), self.lift(num));
            if old != value {
                body.push(Assign { to: self.stored_at(work, name)?, place: Place::Edge, add: false, value });
            }
        }
        Some(body)
    }

    fn stored_at(&self, work: &Work, name: &str) -> Option<VarId> {
        if name == "w" { Some(work.w) } else { work.states.get(name).map(|s| s.0) }
    }

    /// The same in two parts: the changes computed from old values, and their application.
    fn pending_changes(
        &mut self,
        b: &Build,
        sim: &Simulation,
        work: &Work,
        site: Site,
        on: &On,
    ) -> Option<(Vec<Assign>, Vec<Assign>)> {
        let before = self.connection_values(work, site);
        let here = self.rule_block(sim, work, site, &on.block, &before, false)?;
        let (mut ahead, mut apply) = (vec![], vec![]);
        let shape = self.shape_of_all(work);
        for (name, num) in &here {
            let old = before.get(name)?.clone();
            if self.lift(&old) == self.lift(num) {
                continue;
            }
            let rule = &self.modules.item(work.learn.kind.item).name.text;
            let path = format!("{}.{}.{rule}.{name}@{}", self.net(b.net).path, work.p.name, on.event.text);
            let unit = old.unit.clone();
            let leaf = NewLeaf {
                path: &path,
                role: Role::Work,
                unit: unit.clone(),
                shape: &shape,
                batched: false,
                home: None,
            };
            let change = self.leaf_var(&leaf);
            let by = self.binary(nnm_graph::ir::Binary::Sub, num, &old, unit.clone(), on.span);
            ahead.push(Assign { to: change, place: Place::Edge, add: false, value: self.lift(&by) });
            let node = self.read_at(change, Place::Edge);
            let new = self.add(&old, &Num::node(unit, node), on.span);
            let new = if name == "w" { self.bounded_weight(sim, work, site, &before, new)? } else { new };
            apply.push(Assign {
                to: self.stored_at(work, name)?,
                place: Place::Edge,
                add: false,
                value: self.lift(&new),
            });
        }
        Some((ahead, apply))
    }

    /// The delivery of one side's spikes over one route.
    fn at_spikes(&mut self, b: &mut Build, work: &Work, site: Site, body: Vec<Assign>) -> Option<Stmt> {
        if body.is_empty() {
            return None;
        }
        let route = work.path.routes.get(site.route)?.clone();
        let post = site.seen == Seen::FromPost;
        let (population, delay) =
            if post { (work.p.target, route.dendritic) } else { (work.p.source?.0, route.axonal) };
        if post && !self.net(b.net).populations[population].spiking {
            return None;
        }
        self.need_list(b, population, delay);
        let rows = if post { self.columns(b, work, site.route)? } else { route.rows? };
        let list = b.lists[population]?;
        let side = if post { "post" } else { "pre" };
        Some(Stmt::Deliver {
            about: format!("{}: {} on {side}", work.p.name, work.learn.kind.text),
            list: list.list,
            count: list.count,
            slot: list.slot(delay),
            rows,
            body,
        })
    }

    /// A route's edges by target, for the targets' spikes.
    fn columns(&mut self, b: &mut Build, work: &Work, number: usize) -> Option<Rows> {
        let route = work.path.routes.get(number)?;
        let base = format!("{}.{}.columns{number}", self.net(b.net).path, work.p.name);
        let (edge_name, other_name) = (format!("{base}@edge"), format!("{base}@sender"));
        if let (Some(ptr), Some(edge), Some(other)) =
            (self.leaf_of(&base), self.leaf_of(&edge_name), self.leaf_of(&other_name))
        {
            return Some(Rows { ptr: ptr.var, edge: Some(edge.var), other: other.var });
        }
        let n = self.net(b.net).populations[work.p.target].size();
        let edges = work.path.edges.clone()?;
        let mut order: Vec<u32> = match &route.chosen {
            Some(chosen) => chosen.to_vec(),
            None => (0..edges.count() as u32).collect(),
        };
        order.sort_by_key(|e| (edges.target[*e as usize], *e));
        let mut ptr = vec![0u32; n + 1];
        for e in &order {
            ptr[edges.target[*e as usize] as usize + 1] += 1;
        }
        for k in 0..n {
            ptr[k + 1] += ptr[k];
        }
        let cells = work.path.edge_cells(false);
        let senders: Vec<u32> = order.iter().map(|e| cells[*e as usize]).collect();
        let size = vec![order.len().max(1)];
        let ptr_var = self.index_var(base, vec![n + 1], None, VarElem::Index);
        let edge = self.index_var(edge_name, size.clone(), None, VarElem::Index);
        let other = self.index_var(other_name, size, None, VarElem::Index);
        b.indices.extend([(ptr_var, ptr.into()), (edge, order.into()), (other, senders.into())]);
        Some(Rows { ptr: ptr_var, edge: Some(edge), other })
    }

    /// Traces jump after all blocks of their time have read them.
    pub fn trace_increments(&mut self, b: &mut Build, sim: &Simulation, work: &Work) -> Option<()> {
        let mut assigns = vec![];
        for trace in &work.learn.rule.traces {
            let known = work.traces.get(&trace.name.text)?.clone();
            let population = if trace.post { work.p.target } else { work.p.source?.0 };
            if trace.on_spike.is_empty() {
                continue;
            }
            for (delay, var) in known.vars {
                let fired = self.fired_before(b, population, delay)?;
                let node = self.read_whole(var);
                let mut value = Num::node(known.unit.clone(), node);
                for stmt in &trace.on_spike {
                    let StmtKind::Assign { op, value: right, .. } = &stmt.kind else { continue };
                    let scope = self.rule_names(sim, work)?;
                    let shape = self.side_shape(work, trace.post)?;
                    self.bind_shape(scope, &shape);
                    self.bind(scope, trace.name.text.clone(), crate::value::Value::Num(value.clone()));
                    let right = self.operand(scope, *right)?;
                    let sum = matches!(op, AssignOp::Set | AssignOp::Add | AssignOp::Sub);
                    if sum && !right.num.unit.fits(&known.unit) {
                        let (found, wanted) = (right.num.unit.describe(), known.unit.describe());
                        let message = format!("the trace `{}` is in {wanted}, but this is in {found}", trace.name.text);
                        self.error("E0436", right.span, message);
                        return None;
                    }
                    value = match op {
                        AssignOp::Add => {
                            let amount = self.mul(&fired, &right.num, stmt.span);
                            self.add(&value, &amount, stmt.span)
                        }
                        _ => {
                            let new = self.assigned(*op, &value, &right.num, stmt.span);
                            self.select(&fired, &new, &value, stmt.span)
                        }
                    };
                }
                let shape = self.net(b.net).populations[population].shape.clone();
                let value = self.to_shape(value, &shape, trace.span);
                assigns.push(Assign { to: var, place: Place::Whole, add: false, value: self.lift(&value) });
            }
        }
        if !assigns.is_empty() {
            b.deliveries.push(Stmt::Stage { about: format!("{}: traces", work.p.name), assigns });
        }
        Some(())
    }

    /// How often each cell fired at the time that now reaches the synapse, `delay` steps ago.
    fn fired_before(&mut self, b: &mut Build, population: usize, delay: i64) -> Option<Num> {
        let flags = self.spike_flags(b.frame, population);
        if delay == 0 {
            return Some(flags);
        }
        let p = self.net(b.net).populations[population].clone();
        let name = format!("{}.{}.spike@{delay}", self.net(b.net).path, p.name);
        let ring = delay + 1;
        let var = match self.leaf_of(&name) {
            Some(leaf) => leaf.var,
            None => {
                let (elem, shape, times) = (VarElem::Real, p.shape, Some(ring as usize));
                let var = self.graph.add_var(Var { name: name.clone(), elem, shape, batched: false, times });
                let leaf = Leaf { var, role: Role::History, unit: Unit::REAL, class: None, home: None };
                self.program.as_mut()?.leaves.insert(name, leaf);
                let value = self.lift(&flags);
                let now = Place::Time(rem(Int::Loop(STEP), ring));
                let assigns = vec![Assign { to: var, place: now, add: false, value }];
                b.deliveries.insert(0, Stmt::Stage { about: format!("{}: spikes kept", p.name), assigns });
                var
            }
        };
        let node: NodeId = self.read_at(var, Place::Time(rem(add(Int::Loop(STEP), 1), ring)));
        Some(Num::node(Unit::REAL, node))
    }
}
