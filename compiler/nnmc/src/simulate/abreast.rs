//! Events between cells and their counterparts: where each sender meets the one target of its own number at once, what
//! they bring is computed for all cells together, and nobody has to list who fired.

use std::collections::BTreeSet;

use nnm_graph::ir::{Assign, Binary, NodeId, Op, Place, Stmt, Unary, VarId};

use super::Build;
use super::transport::Route;
use crate::failure::Noted;
use crate::network::{Pattern, Projection};
use crate::session::Session;

impl Session<'_> {
    /// A delivery of sums to the targets as one stage over all cells; none where it is not of this kind.
    pub fn deliver_abreast(
        &mut self,
        b: &Build,
        p: &Projection,
        route: &Route,
        about: &str,
        body: &[Assign],
    ) -> Option<Stmt> {
        let (source, cells) = p.source?;
        let net = self.net(b.net);
        let shape = net.populations[source].shape.clone();
        let n: usize = shape.iter().product();
        let whole = |part: Option<(usize, usize)>| part.is_none_or(|part| part == (0, n));
        let sums = body.iter().all(|a| a.add && a.place == Place::Other);
        let alike = shape == net.populations[p.target].shape && whole(cells) && whole(p.target_cells);
        let at_once = route.axonal + route.dendritic == 0 && route.chosen.is_none();
        if !matches!(p.pattern, Pattern::OneToOne) || !sums || !alike || !at_once {
            return None;
        }
        let changed: BTreeSet<VarId> = body.iter().map(|a| a.to).collect();
        let times = self.times_fired(b, source)?;
        let mut assigns = vec![];
        for a in body {
            let each = self.over_all_cells(a.value, &shape, &changed)?;
            let amount = self.graph.binary(Binary::Mul, times, each).noted(self)?;
            let before = self.read_whole(a.to);
            let value = self.graph.binary(Binary::Add, before, amount).noted(self)?;
            assigns.push(Assign { to: a.to, place: Place::Whole, add: false, value });
        }
        Some(Stmt::Stage { about: about.to_string(), assigns })
    }

    /// How often each cell fired in the step before, as its list would have it.
    fn times_fired(&mut self, b: &Build, source: usize) -> Option<NodeId> {
        let flags = self.spike_flags(b.frame, source);
        let flags = self.lift(&flags);
        let zero = self.graph.constant(0.0);
        let whole = self.graph.unary(Unary::Ceil, flags).noted(self)?;
        self.graph.binary(Binary::Max, whole, zero).noted(self)
    }

    /// The value at an edge as a value over the cells, which have its number; none where it reads anything else.
    fn over_all_cells(&mut self, value: NodeId, shape: &[usize], changed: &BTreeSet<VarId>) -> Option<NodeId> {
        let node = self.graph.node(value).clone();
        if let Op::Read { var, place } = &node.op {
            let fits = self.graph.var(*var).shape == shape && !changed.contains(var);
            return match place {
                Place::Edge | Place::Own | Place::Other if fits => Some(self.read_whole(*var)),
                Place::Whole if !changed.contains(var) && node.shape.is_empty() => Some(value),
                _ => None,
            };
        }
        let args = node.args.iter().map(|a| self.over_all_cells(*a, shape, changed)).collect::<Option<Vec<_>>>()?;
        match (node.op, args.as_slice()) {
            (Op::Const(_), _) => Some(value),
            (Op::Unary(op), [a]) => self.graph.unary(op, *a).noted(self),
            (Op::Binary(op), [a, b]) => self.graph.binary(op, *a, *b).noted(self),
            (Op::Select, [c, a, b]) => self.graph.select(*c, *a, *b).noted(self),
            _ => None,
        }
    }
}

/// Whether a population's list of spikes is read by a delivery.
pub fn is_listed(body: &[Stmt], wanted: VarId) -> bool {
    body.iter().any(|stmt| match stmt {
        Stmt::Deliver { list, .. } => *list == wanted,
        Stmt::For { body, .. } | Stmt::IfEqual { body, .. } | Stmt::IfLess { body, .. } => is_listed(body, wanted),
        _ => false,
    })
}
