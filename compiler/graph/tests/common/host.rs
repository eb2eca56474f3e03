//! Programs executed on the host, statement by statement: what kernels are held against.

use std::collections::HashMap;

use nnm_graph::ir::{Assign, NodeId, Place, Program, Rows, Stmt, VarId};
use nnm_graph::{Env, eval_all};
use nnm_kir::ir::Int;
use nnm_runtime::array::Array;

use super::{array, flat};

/// All storage, copies in time one after another without padding.
pub struct Host<'a> {
    pub program: &'a Program,
    pub vars: HashMap<VarId, Vec<f64>>,
    pub slots: Vec<i64>,
    loops: HashMap<u32, i64>,
    /// The edge being delivered: its number, its sender and its other end.
    edge: [usize; 3],
}

impl<'a> Host<'a> {
    pub fn new(program: &'a Program, values: &HashMap<VarId, Array>, slots: Vec<i64>) -> Host<'a> {
        let mut host = Host { program, vars: HashMap::new(), slots, loops: HashMap::new(), edge: [0; 3] };
        for k in 0..program.graph.vars.len() {
            let var = VarId(k as u32);
            let mut data = values.get(&var).map(flat).unwrap_or_default();
            data.resize(host.size(var) * program.graph.vars[k].times.unwrap_or(1), 0.0);
            host.vars.insert(var, data);
        }
        host
    }

    /// The elements of one copy, samples that are present only.
    pub fn size(&self, var: VarId) -> usize {
        let var = self.program.graph.var(var);
        let samples = if var.batched { self.slots[0] as usize } else { 1 };
        samples * var.shape.iter().product::<usize>()
    }

    fn int(&self, int: &Int) -> i64 {
        match int {
            Int::Const(value) => *value,
            Int::Slot(slot) => self.slots[slot.0 as usize],
            Int::Loop(index) => self.loops[&index.0],
            Int::Load(place) => self.vars[&VarId(place.buffer.0)][self.int(&place.offset) as usize] as i64,
            Int::Add(a, b) => self.int(a) + self.int(b),
            Int::Sub(a, b) => self.int(a) - self.int(b),
            Int::Mul(a, b) => self.int(a) * self.int(b),
            Int::Div(a, b) => self.int(a) / self.int(b),
            Int::Rem(a, b) => self.int(a) % self.int(b),
        }
    }

    /// The elements of a var's storage at a place.
    fn places(&self, var: VarId, place: &Place) -> Vec<usize> {
        let size = self.size(var);
        match place {
            Place::Whole => (0..size).collect(),
            Place::Time(time) => (0..size).map(|k| self.int(time) as usize * size + k).collect(),
            Place::Gather(index) => {
                let one: usize = self.program.graph.var(var).shape.iter().product();
                let samples = (0..size).step_by(one);
                samples.flat_map(|first| self.vars[index].iter().map(move |k| first + *k as usize)).collect()
            }
            Place::Edge => vec![self.edge[0]],
            Place::Own => vec![self.edge[1]],
            Place::Other => vec![self.edge[2]],
        }
    }

    fn read(&self, var: VarId, place: &Place) -> Array {
        let data: Vec<f64> = self.places(var, place).into_iter().map(|k| self.vars[&var][k]).collect();
        array(&[data.len()], data)
    }

    fn eval(&self, nodes: &[NodeId]) -> Vec<Vec<f64>> {
        let read = |var: VarId, place: &Place| self.read(var, place);
        let int = |int: &Int| self.int(int);
        let env = Env { read: &read, int: &int, batch: self.slots[0] as usize };
        eval_all(&self.program.graph, nodes, &env).iter().map(flat).collect()
    }

    pub fn run(&mut self) -> i32 {
        let body = self.program.body.clone();
        self.block(&body)
    }

    fn block(&mut self, body: &[Stmt]) -> i32 {
        body.iter().map(|stmt| self.stmt(stmt)).find(|status| *status != 0).unwrap_or(0)
    }

    fn stmt(&mut self, stmt: &Stmt) -> i32 {
        match stmt {
            Stmt::Stage { assigns, .. } => self.assigns(assigns),
            Stmt::For { index, from, to, down, body } => {
                let (from, to) = (self.int(from), self.int(to));
                for k in from..to {
                    self.loops.insert(index.0, if *down { to - 1 - (k - from) } else { k });
                    let status = self.block(body);
                    if status != 0 {
                        return status;
                    }
                }
            }
            Stmt::IfEqual { a, b, body } if self.int(a) == self.int(b) => return self.block(body),
            Stmt::IfLess { a, b, body } if self.int(a) < self.int(b) => return self.block(body),
            Stmt::SetSlot { slot, value } => self.slots[*slot as usize] = self.int(value),
            Stmt::Deliver { list, count, slot, rows, body, .. } => self.deliver((*list, *count, slot), rows, body),
            Stmt::Compact { flags, list, count, slot } => self.compact(*flags, *list, *count, slot),
            Stmt::Fetch { into, from, index, offset } => {
                let width = self.program.graph.var(*into).shape.iter().product::<usize>();
                let first = self.int(offset) as usize;
                for k in 0..self.size(*into) {
                    let row = self.vars[index][first + k / width] as usize;
                    let value = self.vars[from][row * width + k % width];
                    self.vars.get_mut(into).unwrap()[k] = value;
                }
            }
            Stmt::Log { list, count, slot, step, log_cell, log_step, log_count } => {
                let slot = self.int(slot) as usize;
                let n = self.vars[count][slot] as usize;
                let used = self.vars[log_count][0] as usize;
                if used + n > self.size(*log_cell) {
                    return 1;
                }
                for k in 0..n {
                    let cell = self.vars[list][slot * self.size(*list) + k];
                    self.vars.get_mut(log_cell).unwrap()[used + k] = cell;
                    let step = self.int(step) as f64;
                    self.vars.get_mut(log_step).unwrap()[used + k] = step;
                }
                self.vars.get_mut(log_count).unwrap()[0] += n as f64;
            }
            Stmt::LogValues { list, count, slot, values, log_value, log_count } => {
                let slot = self.int(slot) as usize;
                let (n, used) = (self.vars[count][slot] as usize, self.vars[log_count][0] as usize);
                for k in 0..n.min(self.size(*log_value) - used) {
                    let cell = self.vars[list][slot * self.size(*list) + k] as usize;
                    let value = self.vars[values][cell];
                    self.vars.get_mut(log_value).unwrap()[used + k] = value;
                }
            }
            Stmt::CheckFinite { var, place, .. } => {
                return if self.read(*var, place).iter().all(|x| x.is_finite()) { 0 } else { 2 };
            }
            _ => {}
        }
        0
    }

    fn assigns(&mut self, assigns: &[Assign]) {
        let values: Vec<NodeId> = assigns.iter().map(|a| a.value).collect();
        let results = self.eval(&values);
        for (assign, value) in assigns.iter().zip(results) {
            let places = self.places(assign.to, &assign.place);
            let stored = self.vars.get_mut(&assign.to).unwrap();
            for (k, at) in places.into_iter().enumerate() {
                let new = value[k % value.len()];
                stored[at] = if assign.add { stored[at] + new } else { new };
            }
        }
    }

    fn deliver(&mut self, (list, count, slot): (VarId, VarId, &Int), rows: &Rows, body: &[Assign]) {
        let slot = self.int(slot) as usize;
        for k in 0..self.vars[&count][slot] as usize {
            let cell = self.vars[&list][slot * self.size(list) + k] as usize;
            let (first, last) = (self.vars[&rows.ptr][cell] as usize, self.vars[&rows.ptr][cell + 1] as usize);
            for place in first..last {
                let edge = rows.edge.map_or(place, |edge| self.vars[&edge][place] as usize);
                self.edge = [edge, cell, self.vars[&rows.other][place] as usize];
                self.assigns(body);
            }
        }
    }

    fn compact(&mut self, flags: NodeId, list: VarId, count: VarId, slot: &Int) {
        let slot = self.int(slot) as usize;
        let start = slot * self.size(list);
        let mut n = 0;
        for (k, times) in self.eval(&[flags])[0].iter().enumerate() {
            for _ in 0..*times as usize {
                self.vars.get_mut(&list).unwrap()[start + n] = k as f64;
                n += 1;
            }
        }
        self.vars.get_mut(&count).unwrap()[slot] = n as f64;
    }
}
