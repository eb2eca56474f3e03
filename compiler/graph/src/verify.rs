//! What is wrong with a program: ids out of range, shapes that do not follow from arguments, places that a statement
//! cannot have. An empty list is a sound program.

use nnm_kir::ir::Int;

use crate::ir::{Assign, Graph, NodeId, Op, Place, Program, Stmt, VarElem, VarId};
use crate::shape;
use crate::walk;

/// The program's faults, in order.
pub fn verify(program: &Program) -> Vec<String> {
    let mut check = Check { program, faults: vec![] };
    check.program();
    check.faults
}

struct Check<'a> {
    program: &'a Program,
    faults: Vec<String>,
}

impl Check<'_> {
    fn fault(&mut self, holds: bool, text: impl FnOnce() -> String) {
        if !holds {
            self.faults.push(text());
        }
    }

    fn program(&mut self) {
        let program = self.program;
        self.fault(program.batch > 0, || "a batch has at least one sample".into());
        self.fault(program.slots.first().is_some_and(|s| s == "batch"), || "slot 0 is `batch`".into());
        self.nodes(&program.graph);
        if self.faults.is_empty() {
            self.body(&program.body, &mut vec![]);
        }
    }

    /// Arguments come first, and each shape is what the builder would infer.
    fn nodes(&mut self, graph: &Graph) {
        let mut scratch = graph.clone();
        for (k, node) in graph.nodes.iter().enumerate() {
            let earlier = node.args.iter().all(|a| (a.0 as usize) < k);
            self.fault(earlier, || format!("node {k} is older than its arguments"));
            if !earlier {
                return;
            }
            let shared = node.args.iter().all(|a| !graph.node(*a).batched);
            let free = matches!(node.op, Op::Read { .. } | Op::Draw { .. } | Op::Broadcast);
            let mixes = node.op == Op::BatchSum;
            self.fault(free || node.batched == (!shared && !mixes), || format!("node {k} has a wrong `batched`"));
            let known = match &node.op {
                Op::Read { var, place } => scratch.read(*var, place.clone()),
                _ => scratch.rebuild(node, &node.args),
            };
            match known {
                Ok(id) => {
                    let expected = scratch.shape(id).to_vec();
                    self.fault(expected == node.shape, || {
                        format!("node {k} has shape {:?}, not {expected:?}", node.shape)
                    });
                }
                Err(error) => self.faults.push(format!("node {k}: {error}")),
            }
        }
    }

    fn body(&mut self, body: &[Stmt], loops: &mut Vec<u32>) {
        for stmt in body {
            self.statement(stmt, loops);
        }
    }

    fn statement(&mut self, stmt: &Stmt, loops: &mut Vec<u32>) {
        match stmt {
            Stmt::Stage { about, assigns } => {
                for assign in assigns {
                    self.assign(about, assign, false, loops);
                }
            }
            Stmt::For { index, from, to, body, .. } => {
                let limit = self.program.loops;
                self.fault(index.0 < limit && !loops.contains(&index.0), || format!("loop i{} is taken", index.0));
                self.int(from, loops);
                self.int(to, loops);
                loops.push(index.0);
                self.body(body, loops);
                loops.pop();
            }
            Stmt::IfEqual { a, b, body } | Stmt::IfLess { a, b, body } => {
                self.int(a, loops);
                self.int(b, loops);
                self.body(body, loops);
            }
            Stmt::SetSlot { slot, value } => {
                let slots = self.program.slots.len();
                self.fault((*slot as usize) < slots, || format!("there is no slot {slot}"));
                self.int(value, loops);
            }
            Stmt::Note(_) => {}
            _ => self.event(stmt, loops),
        }
    }

    fn event(&mut self, stmt: &Stmt, loops: &[u32]) {
        match stmt {
            Stmt::Deliver { about, list, count, slot, rows, body } => {
                for var in [Some(*list), Some(rows.ptr), rows.edge, Some(rows.other)].into_iter().flatten() {
                    self.var(var, VarElem::Index);
                }
                self.var(*count, VarElem::Count);
                self.int(slot, loops);
                for assign in body {
                    self.assign(about, assign, true, loops);
                }
            }
            Stmt::Compact { flags, list, count, slot } => {
                self.value("compact", *flags, false, loops);
                self.var(*list, VarElem::Index);
                self.var(*count, VarElem::Count);
                self.int(slot, loops);
            }
            Stmt::Fetch { into, from, index, offset } => {
                self.var(*into, VarElem::Real);
                self.var(*from, VarElem::Real);
                self.var(*index, VarElem::Index);
                self.int(offset, loops);
                self.fetch(*into, *from);
            }
            Stmt::Log { list, count, slot, step, log_cell, log_step, log_count } => {
                for var in [list, log_cell, log_step] {
                    self.var(*var, VarElem::Index);
                }
                self.var(*count, VarElem::Count);
                self.var(*log_count, VarElem::Count);
                self.int(slot, loops);
                self.int(step, loops);
            }
            Stmt::LogValues { list, count, slot, values, log_value, log_count } => {
                self.var(*list, VarElem::Index);
                [values, log_value].into_iter().for_each(|var| self.var(*var, VarElem::Real));
                [count, log_count].into_iter().for_each(|var| self.var(*var, VarElem::Count));
                self.int(slot, loops);
            }
            Stmt::CheckFinite { var, place, .. } => {
                self.var(*var, VarElem::Real);
                let fits = matches!(place, Place::Whole | Place::Time(_));
                self.fault(fits, || "only whole vars and copies in time are checked".into());
            }
            _ => {}
        }
    }

    fn fetch(&mut self, into: VarId, from: VarId) {
        let vars = &self.program.graph.vars;
        let (Some(into), Some(from)) = (vars.get(into.0 as usize), vars.get(from.0 as usize)) else { return };
        let fits = !from.batched && !from.shape.is_empty() && from.shape[1..] == into.shape[..];
        self.fault(fits, || format!("`{}` cannot be fetched from `{}`", into.name, from.name));
    }

    fn var(&mut self, var: VarId, elem: VarElem) {
        let known = self.program.graph.vars.get(var.0 as usize);
        self.fault(known.is_some_and(|v| v.elem == elem), || format!("var {} is no {elem:?} var", var.0));
    }

    fn int(&mut self, int: &Int, loops: &[u32]) {
        match int {
            Int::Const(_) => {}
            Int::Slot(slot) => {
                let known = (slot.0 as usize) < self.program.slots.len();
                self.fault(known, || format!("there is no slot {}", slot.0));
            }
            Int::Loop(index) => {
                self.fault(loops.contains(&index.0), || format!("i{} is read outside of its loop", index.0));
            }
            Int::Load(place) => {
                let known = self.program.graph.vars.get(place.buffer.0 as usize);
                let fits = known.is_some_and(|v| v.elem != VarElem::Real);
                self.fault(fits, || format!("var {} holds no integers", place.buffer.0));
                self.int(&place.offset, loops);
            }
            Int::Add(a, b) | Int::Sub(a, b) | Int::Mul(a, b) | Int::Div(a, b) | Int::Rem(a, b) => {
                self.int(a, loops);
                self.int(b, loops);
            }
        }
    }

    /// Everything that a value reads can be read here.
    fn value(&mut self, about: &str, value: NodeId, delivery: bool, loops: &[u32]) {
        let graph = &self.program.graph;
        if value.0 as usize >= graph.nodes.len() {
            self.faults.push(format!("{about}: there is no node {}", value.0));
            return;
        }
        for id in walk::needed(graph, &[value]) {
            match &graph.node(id).op {
                Op::Read { place, .. } => self.place(about, place, delivery, loops),
                Op::Count(int) => self.int(int, loops),
                Op::Draw { step, first, .. } => {
                    self.int(step, loops);
                    self.int(first, loops);
                }
                _ => {}
            }
        }
    }

    fn place(&mut self, about: &str, place: &Place, delivery: bool, loops: &[u32]) {
        let event = matches!(place, Place::Edge | Place::Own | Place::Other);
        self.fault(!event || delivery, || format!("{about}: {place:?} is a place in deliveries only"));
        if let Place::Time(time) = place {
            self.int(time, loops);
        }
    }

    fn assign(&mut self, about: &str, assign: &Assign, delivery: bool, loops: &[u32]) {
        self.value(about, assign.value, delivery, loops);
        self.place(about, &assign.place, delivery, loops);
        let graph = &self.program.graph;
        let Some(var) = graph.vars.get(assign.to.0 as usize) else {
            return self.faults.push(format!("{about}: there is no var {}", assign.to.0));
        };
        let Some(value) = graph.nodes.get(assign.value.0 as usize) else { return };
        let timed = matches!(assign.place, Place::Time(_));
        let whole = timed || assign.place == Place::Whole;
        self.fault(!whole || timed == var.times.is_some(), || format!("{about}: which copy of `{}`?", var.name));
        let fits = !whole || delivery || shape::broadcasts_to(&value.shape, &var.shape);
        self.fault(fits, || format!("{about}: {:?} into `{}` of {:?}", value.shape, var.name, var.shape));
        let shared = var.batched || !value.batched || self.program.batch == 1;
        self.fault(shared, || format!("{about}: a value of each sample into the shared `{}`", var.name));
    }
}
