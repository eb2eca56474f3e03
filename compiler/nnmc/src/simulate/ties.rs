//! Compartments joined into trees: a connection of a population to itself whose current is linear in both ends' state.
//!
//! Where the neuron asks for an implicit solver, such a current is part of the system that it solves: the sum over the
//! neighbours is replaced by its coefficients, laid out by parent and child. A network with loops has no such layout; its
//! currents are held over the step like any other input.

use nnm_graph::ir::NodeId;

use super::ends::{Seen, Site};
use super::pairs::Formula;
use super::transport::Path;
use crate::failure::Noted;
use crate::session::{Mode, Session};
use crate::unit::Unit;
use crate::value::{Num, vector};

/// The coefficients of a sum `Σ a (pre.x) + b (post.x)` over the neighbours in a forest.
#[derive(Clone, Debug)]
pub struct Tie {
    /// The sum as it reaches the port.
    pub sum: NodeId,
    /// The state that both ends share.
    pub state: NodeId,
    /// By cell: what its own state is multiplied by; its parent's; and, in the parent's sum, what its state is.
    pub own: NodeId,
    pub up: NodeId,
    pub down: NodeId,
    /// Constants: each cell's parent (-1 for roots), the same with 0 for roots, and parents before children.
    pub parent: NodeId,
    pub above: NodeId,
    pub order: NodeId,
}

impl Session<'_> {
    /// Notes a sum that an implicit solver may take apart.
    pub fn note_tie(&mut self, site: Site, path: &Path, formula: &Formula, sum: &Num) -> Option<()> {
        let id = self.frame(site.frame).net;
        let p = self.net(id).projections[site.projection].clone();
        let population = self.net(id).populations[p.target].clone();
        let implicit = self.asks_implicit(&population);
        let own = p.source.is_some_and(|(s, cells)| s == p.target && cells.is_none());
        let undelayed = path.routes.iter().all(|r| r.axonal + r.dendritic == 0);
        if !implicit || !own || !undelayed || self.mode == Mode::Check || population.shape.len() != 1 {
            return Some(());
        }
        let Some(edges) = path.edges.clone() else { return Some(()) };
        let Some(layout) = forest(population.size(), &edges.sender(), &edges.target) else { return Some(()) };
        let Some((name, slopes)) = self.slopes_of_ends(site, formula)? else { return Some(()) };
        let state = self.frame(site.frame).populations[p.target].states.get(&name).cloned();
        let Some(state) = state else { return Some(()) };
        let state = self.lift(&state);
        let view = Site { seen: Seen::Edges, ..site };
        let mut placed = vec![];
        for slope in slopes {
            let node = self.at_site(view, slope)?;
            placed.push(self.to_shape(Num::node(Unit::REAL, node), &[path.edge_count()], path.span));
        }
        let own = self.summed_at_targets(view, &placed[1], path.span)?;
        let up = self.picked(path, &placed[0], &layout.from_parent)?;
        let down = self.picked(path, &placed[0], &layout.to_parent)?;
        let number = |s: &mut Self, values: Vec<f64>| s.graph.tensor(vector(values));
        let above = layout.parent.iter().map(|p| p.max(0.0)).collect();
        let tie = Tie {
            sum: self.lift(sum),
            state,
            own: self.lift(&own),
            up,
            down,
            parent: number(self, layout.parent.clone()),
            above: number(self, above),
            order: number(self, layout.order.clone()),
        };
        self.program.as_mut()?.ties.push(tie);
        Some(())
    }

    fn asks_implicit(&mut self, population: &crate::network::Population) -> bool {
        let neuron = self.neuron_of(population);
        let scope = self.scope(self.modules.item(population.item).module, None);
        neuron.dynamics.solves.iter().any(|(_, method)| {
            matches!(&self.bare_expr(scope, *method).1.kind, nnm_syntax::ast::ExprKind::Name(n) if n == "implicit")
        })
    }

    /// The derivatives by the sender's and the target's state, where these are the same state and nothing else enters.
    #[allow(clippy::type_complexity)]
    fn slopes_of_ends(&mut self, site: Site, formula: &Formula) -> Option<Option<(String, [NodeId; 2])>> {
        let symbols = Site { seen: Seen::Symbols, ..site };
        let scope = self.synapse_names(symbols, &[])?;
        let form = self.formula_in(scope, formula)?;
        let node = self.lift(&form);
        let mut ends: [Option<(String, NodeId)>; 2] = [None, None];
        for var in nnm_graph::free_vars(&self.graph, node) {
            let Some((post, name)) = self.program.as_ref()?.symbols.get(&var).cloned() else { continue };
            if name.ends_with('@') {
                continue;
            }
            let end = &mut ends[usize::from(post)];
            if end.is_some() || name.ends_with('#') {
                return Some(None);
            }
            *end = Some((name, self.read_whole(var)));
        }
        let [Some((pre, a)), Some((post, b))] = ends else { return Some(None) };
        if pre != post {
            return Some(None);
        }
        let one = self.graph.constant(1.0);
        let slopes = nnm_graph::grad(&mut self.graph, &[(node, one)], &[a, b]).noted(self)?;
        let [Some(from), Some(to)] = slopes.as_slice() else { return Some(None) };
        let constant = [*from, *to].iter().all(|s| {
            nnm_graph::free_vars(&self.graph, *s).iter().all(|v| {
                let symbol = self.program.as_ref().and_then(|p| p.symbols.get(v));
                symbol.is_some_and(|(_, name)| name.ends_with('@'))
            })
        });
        Some(constant.then_some((post, [*from, *to])))
    }

    /// A value of each cell from one of its edges, 0 where it has none.
    fn picked(&mut self, path: &Path, each: &Num, edges: &[Option<u32>]) -> Option<NodeId> {
        let places = vector(edges.iter().map(|e| e.map_or(0.0, f64::from)).collect());
        let there = vector(edges.iter().map(|e| f64::from(e.is_some())).collect());
        let (places, there) = (Num::array(Unit::REAL, places), Num::array(Unit::REAL, there));
        let num = self.apply(path.span, Unit::REAL, &[each, &places], |g, n| g.gather(n[0], 0, n[1]));
        let num = self.mul(&num, &there, path.span);
        Some(self.lift(&num))
    }
}

/// Trees over cells: parents, an order in which parents come first, and the edges between the two.
struct Layout {
    parent: Vec<f64>,
    order: Vec<f64>,
    from_parent: Vec<Option<u32>>,
    to_parent: Vec<Option<u32>>,
}

/// The layout of a graph without loops; none if it has one, or joins two cells twice.
fn forest(n: usize, senders: &[u32], targets: &[u32]) -> Option<Layout> {
    let mut out: Vec<Vec<(usize, u32)>> = vec![vec![]; n];
    let mut into: Vec<Vec<(usize, u32)>> = vec![vec![]; n];
    for (e, (s, t)) in senders.iter().zip(targets).enumerate() {
        let (s, t) = (*s as usize, *t as usize);
        if s == t || out[s].iter().any(|(cell, _)| *cell == t) {
            return None;
        }
        out[s].push((t, e as u32));
        into[t].push((s, e as u32));
    }
    let mut layout =
        Layout { parent: vec![-1.0; n], order: vec![], from_parent: vec![None; n], to_parent: vec![None; n] };
    let mut seen = vec![false; n];
    for root in 0..n {
        if seen[root] {
            continue;
        }
        seen[root] = true;
        let first = layout.order.len();
        layout.order.push(root as f64);
        let mut at = first;
        while at < layout.order.len() {
            let cell = layout.order[at] as usize;
            at += 1;
            let mut near: Vec<usize> = out[cell].iter().chain(&into[cell]).map(|(c, _)| *c).collect();
            near.sort_unstable();
            near.dedup();
            for next in near {
                if layout.parent[cell] == next as f64 {
                    continue;
                }
                if seen[next] {
                    return None;
                }
                seen[next] = true;
                layout.parent[next] = cell as f64;
                layout.from_parent[next] = out[cell].iter().find(|(c, _)| *c == next).map(|(_, e)| *e);
                layout.to_parent[next] = into[cell].iter().find(|(c, _)| *c == next).map(|(_, e)| *e);
                layout.order.push(next as f64);
            }
        }
    }
    Some(layout)
}
