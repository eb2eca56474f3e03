//! Sums over a loop are formed before linear operations whose other arguments the loop does not change.
//!
//! `for t { D = D + L(r_t) }` with a linear L is `for t { S = S + r_t }; D = D + L(S)`: a matrix product in each step
//! becomes one after the last. A spiking net that looks at a still image has its weights' change in this form.

use std::collections::HashMap;

use crate::effects::Effects;
use crate::error::ShapeError;
use crate::ir::{Assign, Binary, Graph, NodeId, Op, Place, Program, Stmt, Unary, Var, VarElem, VarId};
use crate::walk;

pub(super) fn run(program: &mut Program) -> Result<(), ShapeError> {
    let body = std::mem::take(&mut program.body);
    program.body = postponed(&mut program.graph, body)?;
    Ok(())
}

fn postponed(graph: &mut Graph, body: Vec<Stmt>) -> Result<Vec<Stmt>, ShapeError> {
    let mut out = vec![];
    for mut stmt in body {
        match &mut stmt {
            Stmt::For { index, body, .. } => {
                if let [Stmt::Stage { assigns, .. }] = body.as_mut_slice() {
                    let list = std::mem::take(assigns);
                    let effects =
                        Effects::of_loop(*index, &[Stmt::Stage { about: String::new(), assigns: list.clone() }]);
                    let mut sums = Sums { graph, fixed: HashMap::new(), effects, sums: vec![], after: vec![] };
                    *assigns = sums.assigns(list)?;
                    let (before, after) = sums.around()?;
                    out.extend(before);
                    out.push(stmt);
                    out.extend(after);
                    continue;
                }
                *body = postponed(graph, std::mem::take(body))?;
            }
            Stmt::IfEqual { body, .. } | Stmt::IfLess { body, .. } => *body = postponed(graph, std::mem::take(body))?,
            _ => {}
        }
        out.push(stmt);
    }
    Ok(out)
}

/// The sums of one loop.
struct Sums<'a> {
    graph: &'a mut Graph,
    effects: Effects,
    /// Whether the loop leaves a node as it is.
    fixed: HashMap<NodeId, bool>,
    /// What is summed up, and where.
    sums: Vec<(NodeId, VarId)>,
    /// What is added after the loop.
    after: Vec<Assign>,
}

impl Sums<'_> {
    /// The loop's stores, with sums in place of what is postponed.
    fn assigns(&mut self, list: Vec<Assign>) -> Result<Vec<Assign>, ShapeError> {
        let mut kept = vec![];
        for (k, assign) in list.iter().enumerate() {
            match self.increments(assign, &list, k) {
                Some(parts) => self.split(assign, parts, &mut kept)?,
                None => kept.push(assign.clone()),
            }
        }
        for (value, var) in self.sums.clone() {
            let before = self.graph.read(var, Place::Whole)?;
            let value = self.graph.binary(Binary::Add, before, value)?;
            kept.push(Assign { to: var, place: Place::Whole, add: false, value });
        }
        Ok(kept)
    }

    /// The summands of `D = D + …`, where nothing else in the loop looks at D.
    fn increments(&self, assign: &Assign, list: &[Assign], at: usize) -> Option<Vec<NodeId>> {
        let var = assign.to;
        if assign.place != Place::Whole || assign.add || self.graph.var(var).elem != VarElem::Real {
            return None;
        }
        let mut parts = vec![];
        flatten(self.graph, assign.value, &mut parts);
        let own = |id: NodeId| self.graph.node(id).op == Op::Read { var, place: Place::Whole };
        let (before, rest): (Vec<NodeId>, Vec<NodeId>) = parts.into_iter().partition(|id| own(*id));
        let others = list.iter().enumerate().filter(|(k, _)| *k != at).map(|(_, a)| a.value);
        let roots: Vec<NodeId> = rest.iter().copied().chain(others).collect();
        let again = list.iter().filter(|a| a.to == var).count() > 1;
        let looked_at = walk::needed(self.graph, &roots)
            .into_iter()
            .any(|id| matches!(&self.graph.node(id).op, Op::Read { var: other, .. } if *other == var));
        (before.len() == 1 && !again && !looked_at).then_some(rest)
    }

    /// Postpones the parts for which that saves a product; the rest stays.
    fn split(&mut self, assign: &Assign, parts: Vec<NodeId>, kept: &mut Vec<Assign>) -> Result<(), ShapeError> {
        let mut stay = vec![];
        for part in parts {
            match self.varying(part) {
                Some(value) => self.postpone(assign, part, value)?,
                None => stay.push(part),
            }
        }
        if !stay.is_empty() {
            let mut value = self.graph.read(assign.to, Place::Whole)?;
            for part in stay {
                value = self.graph.binary(Binary::Add, value, part)?;
            }
            kept.push(Assign { value, ..assign.clone() });
        }
        Ok(())
    }

    fn postpone(&mut self, assign: &Assign, part: NodeId, value: NodeId) -> Result<(), ShapeError> {
        let var = match self.sums.iter().find(|(summed, _)| *summed == value) {
            Some((_, var)) => *var,
            None => {
                let (shape, batched) = (self.graph.shape(value).to_vec(), self.graph.node(value).batched);
                let name = format!("{}@sum {}", self.graph.var(assign.to).name, self.sums.len());
                let var = self.graph.add_var(Var { name, elem: VarElem::Real, shape, batched, times: None });
                self.sums.push((value, var));
                var
            }
        };
        let sum = self.graph.read(var, Place::Whole)?;
        let whole = walk::substitute(self.graph, part, &|_, id| (id == value).then_some(sum))?;
        let before = match self.after.iter().position(|a| a.to == assign.to) {
            Some(place) => self.after.remove(place).value,
            None => self.graph.read(assign.to, Place::Whole)?,
        };
        let value = self.graph.binary(Binary::Add, before, whole)?;
        self.after.push(Assign { value, ..assign.clone() });
        Ok(())
    }

    /// What a value is a linear function of, if there is one and a product with a fixed factor lies between.
    fn varying(&mut self, part: NodeId) -> Option<NodeId> {
        let (mut at, mut below_product) = (part, None);
        while let Some(inner) = self.linear_in(at) {
            if matches!(self.graph.node(at).op, Op::MatMul { .. }) {
                below_product = Some(inner);
            }
            at = inner;
        }
        let mut cut = below_product?;
        // Reshaping costs nothing, and several products may share what is below it.
        while let (Op::Reshape, [inner]) = (&self.graph.node(cut).op, self.graph.node(cut).args.as_slice()) {
            cut = *inner;
        }
        Some(cut)
    }

    /// The argument that a node is linear in, if the loop leaves the others as they are.
    fn linear_in(&mut self, id: NodeId) -> Option<NodeId> {
        let node = self.graph.node(id).clone();
        match (&node.op, node.args.as_slice()) {
            (Op::Unary(Unary::Neg) | Op::Reshape | Op::Permute(_) | Op::BatchSum | Op::Broadcast | Op::Stored, [a]) => {
                Some(*a)
            }
            (Op::Binary(Binary::Div), [a, b]) if self.is_fixed(*b) => Some(*a),
            (Op::Binary(Binary::Mul) | Op::MatMul { .. }, [a, b]) => match (self.is_fixed(*a), self.is_fixed(*b)) {
                (false, true) => Some(*a),
                (true, false) => Some(*b),
                _ => None,
            },
            _ => None,
        }
    }

    fn is_fixed(&mut self, id: NodeId) -> bool {
        if let Some(fixed) = self.fixed.get(&id) {
            return *fixed;
        }
        for id in walk::needed(self.graph, &[id]) {
            if self.fixed.contains_key(&id) {
                continue;
            }
            let inputs = self.graph.node(id).args.iter().all(|a| self.fixed.get(a).copied().unwrap_or(false));
            let fixed = inputs && self.effects.keeps(self.graph, id);
            self.fixed.insert(id, fixed);
        }
        self.fixed.get(&id).copied().unwrap_or(false)
    }

    /// The stages before and after the loop.
    fn around(self) -> Result<(Option<Stmt>, Option<Stmt>), ShapeError> {
        if self.sums.is_empty() {
            return Ok((None, None));
        }
        let mut zero = vec![];
        for (_, var) in &self.sums {
            let shape = self.graph.var(*var).shape.clone();
            let value = self.graph.filled(0.0, &shape);
            zero.push(Assign { to: *var, place: Place::Whole, add: false, value });
        }
        let before = Stmt::Stage { about: "sums over the loop begin".into(), assigns: zero };
        let after = Stmt::Stage { about: "what the sums bring".into(), assigns: self.after };
        Ok((Some(before), Some(after)))
    }
}

/// The summands of a value.
fn flatten(graph: &Graph, id: NodeId, parts: &mut Vec<NodeId>) {
    let node = graph.node(id);
    match (&node.op, node.args.as_slice()) {
        (Op::Binary(Binary::Add), [a, b]) if graph.shape(*a) == graph.shape(*b) => {
            flatten(graph, *a, parts);
            flatten(graph, *b, parts);
        }
        (Op::Stored, [a]) => flatten(graph, *a, parts),
        _ => parts.push(id),
    }
}
