//! A program as text, and as a drawing for graphviz.
//!
//! Nodes are numbered in the order in which they are first printed, so the text does not depend on how the graph was
//! built; scalar constants are written in place. Each statement lists the nodes that it evaluates.

use std::collections::HashMap;
use std::fmt::Write;

use nnm_kir::ir::{Int, LoopId};
use nnm_kir::names::Named;

use crate::ir::{Assign, Node, NodeId, Op, Place, Program, Stmt, Tensor, Var, VarElem, VarId};
use crate::ops;
use crate::walk;

/// The program in a stable, readable form.
pub fn print(program: &Program) -> String {
    let mut printer = Printer { program, out: String::new(), numbers: HashMap::new() };
    printer.head();
    printer.statements(&program.body, 0);
    printer.out
}

/// The nodes and storage of a program as a graphviz digraph.
pub fn dot(program: &Program) -> String {
    let printer = Printer { program, out: String::new(), numbers: HashMap::new() };
    let mut roots = vec![];
    each_assign(&program.body, &mut |value, target| roots.push((value, target.clone())));
    let values: Vec<NodeId> = roots.iter().map(|(value, _)| *value).collect();
    let mut out = format!("digraph {:?} {{\n  rankdir = BT; node [shape = box, fontname = monospace];\n", program.name);
    for id in walk::needed(&program.graph, &values) {
        let node = program.graph.node(id);
        let label = format!("{}\n{}", printer.op(node), shape_text(&node.shape, node.batched));
        let _ = writeln!(out, "  n{} [label = {label:?}];", id.0);
        for arg in &node.args {
            let _ = writeln!(out, "  n{} -> n{};", arg.0, id.0);
        }
    }
    for (k, (value, target)) in roots.iter().enumerate() {
        let _ = writeln!(out, "  a{k} [label = {target:?}, style = rounded];\n  n{} -> a{k};", value.0);
    }
    out.push_str("}\n");
    out
}

/// Every value that a body computes, with the name of where it goes.
fn each_assign(body: &[Stmt], visit: &mut dyn FnMut(NodeId, &String)) {
    for stmt in body {
        match stmt {
            Stmt::Stage { about, assigns } | Stmt::Deliver { about, body: assigns, .. } => {
                for assign in assigns {
                    visit(assign.value, &format!("{about}: v{} {}", assign.to.0, if assign.add { "+=" } else { "=" }));
                }
            }
            Stmt::Compact { flags, list, .. } => visit(*flags, &format!("compact v{}", list.0)),
            Stmt::For { body, .. } | Stmt::IfEqual { body, .. } | Stmt::IfLess { body, .. } => each_assign(body, visit),
            _ => {}
        }
    }
}

struct Printer<'a> {
    program: &'a Program,
    out: String,
    numbers: HashMap<NodeId, usize>,
}

impl Printer<'_> {
    fn head(&mut self) {
        let Program { name, precision, batch, slots, .. } = self.program;
        let precision = precision.name();
        let _ = writeln!(self.out, "program {name}: {precision}, batch {batch}, slots {}", slots.join(" "));
        for var in &self.program.graph.vars {
            let _ = writeln!(self.out, "var {}", var_text(var));
        }
    }

    fn line(&mut self, depth: usize, text: &str) {
        let _ = writeln!(self.out, "{:width$}{text}", "", width = 2 * depth);
    }

    fn statements(&mut self, body: &[Stmt], depth: usize) {
        for stmt in body {
            self.statement(stmt, depth);
        }
    }

    fn statement(&mut self, stmt: &Stmt, depth: usize) {
        match stmt {
            Stmt::Stage { about, assigns } => self.assigns(&format!("stage {about:?}"), assigns, depth),
            Stmt::For { index, from, to, down, body } => {
                let (from, to) = (self.int(from), self.int(to));
                let head = format!("for i{} in {from} .. {to}{}", index.0, if *down { " down" } else { "" });
                self.block(&head, body, depth);
            }
            Stmt::IfEqual { a, b, body } => self.block(&format!("if {} == {}", self.int(a), self.int(b)), body, depth),
            Stmt::IfLess { a, b, body } => self.block(&format!("if {} < {}", self.int(a), self.int(b)), body, depth),
            Stmt::SetSlot { slot, value } => {
                let text = format!("{} = {}", self.slot(*slot), self.int(value));
                self.line(depth, &text);
            }
            Stmt::Note(text) => self.line(depth, &format!("// {text}")),
            _ => self.event(stmt, depth),
        }
    }

    /// Statements about events and checks.
    fn event(&mut self, stmt: &Stmt, depth: usize) {
        match stmt {
            Stmt::Deliver { about, list, count, slot, rows, body } => {
                let edge = rows.edge.map(|e| format!(", edge {}", self.var(e))).unwrap_or_default();
                let (list, slot) = (self.var(*list), self.int(slot));
                let rows = format!("ptr {}{edge}, other {}", self.var(rows.ptr), self.var(rows.other));
                let head = format!("deliver {about:?} {list}[{slot}] of {} by {rows}", self.var(*count));
                self.assigns(&head, body, depth);
            }
            Stmt::Compact { flags, list, count, slot } => {
                self.nodes(&[*flags], depth);
                let text = format!(
                    "compact {} into {}[{}], {}",
                    self.name(*flags),
                    self.var(*list),
                    self.int(slot),
                    self.var(*count)
                );
                self.line(depth, &text);
            }
            Stmt::Fetch { into, from, index, offset } => {
                let (into, from, index) = (self.var(*into), self.var(*from), self.var(*index));
                let text = format!("fetch {into} = {from}[{index}[{} ..]]", self.int(offset));
                self.line(depth, &text);
            }
            Stmt::Log { list, slot, step, log_cell, log_step, .. } => {
                let (cell, when) = (self.var(*log_cell), self.var(*log_step));
                let text =
                    format!("log {}[{}] at {} to {cell}, {when}", self.var(*list), self.int(slot), self.int(step));
                self.line(depth, &text);
            }
            Stmt::LogValues { list, slot, values, log_value, .. } => {
                let (values, to) = (self.var(*values), self.var(*log_value));
                let text = format!("log {values} of {}[{}] to {to}", self.var(*list), self.int(slot));
                self.line(depth, &text);
            }
            Stmt::CheckFinite { var, place, code } => {
                let text = format!("check {}{} else {code}", self.var(*var), self.place(place));
                self.line(depth, &text);
            }
            _ => {}
        }
    }

    fn block(&mut self, head: &str, body: &[Stmt], depth: usize) {
        self.line(depth, &format!("{head} {{"));
        self.statements(body, depth + 1);
        self.line(depth, "}");
    }

    fn assigns(&mut self, head: &str, assigns: &[Assign], depth: usize) {
        self.line(depth, &format!("{head} {{"));
        let values: Vec<NodeId> = assigns.iter().map(|a| a.value).collect();
        self.nodes(&values, depth + 1);
        for assign in assigns {
            let sign = if assign.add { "+=" } else { "=" };
            let text =
                format!("{}{} {sign} {}", self.var(assign.to), self.place(&assign.place), self.name(assign.value));
            self.line(depth + 1, &text);
        }
        self.line(depth, "}");
    }

    /// The definitions of all nodes that some values need.
    fn nodes(&mut self, values: &[NodeId], depth: usize) {
        for id in walk::needed(&self.program.graph, values) {
            let node = self.program.graph.node(id);
            if matches!(node.op, Op::Const(_)) {
                continue;
            }
            let args: Vec<String> = node.args.iter().map(|a| self.name(*a)).collect();
            let shape = shape_text(&node.shape, node.batched);
            let text = format!("{}: {shape} = {} {}", self.name(id), self.op(node), args.join(", "));
            self.line(depth, text.trim_end());
        }
    }

    fn name(&mut self, id: NodeId) -> String {
        if let Op::Const(value) = self.program.graph.node(id).op {
            return format!("{value:?}");
        }
        let next = self.numbers.len();
        format!("%{}", self.numbers.entry(id).or_insert(next))
    }

    fn op(&self, node: &Node) -> String {
        match &node.op {
            Op::Const(value) => format!("{value:?}"),
            Op::Tensor(tensor) => tensor_text(tensor),
            Op::Read { var, place } => format!("read {}{}", self.var(*var), self.place(place)),
            Op::Count(int) => format!("count {}", self.int(int)),
            Op::Draw { draw, key, step, first: Int::Const(0) } => {
                format!("{} key {key:#x} step {}", draw.name(), self.int(step))
            }
            Op::Draw { draw, key, step, first } => {
                format!("{} key {key:#x} step {} from sample {}", draw.name(), self.int(step), self.int(first))
            }
            Op::Unary(op) => op.def().name.to_string(),
            Op::Binary(op) => op.def().name.to_string(),
            Op::Reduce { reduce, axes } => format!("{} over {axes:?} of", reduce.def().name),
            op => attributes(op),
        }
    }

    fn var(&self, id: VarId) -> String {
        self.program.graph.vars.get(id.0 as usize).map_or_else(|| format!("v{}?", id.0), |var| var.name.clone())
    }

    fn place(&self, place: &Place) -> String {
        match place {
            Place::Whole => String::new(),
            Place::Time(time) => format!("[time {}]", self.int(time)),
            Place::Gather(index) => format!("[{}]", self.var(*index)),
            Place::Edge => "[edge]".into(),
            Place::Own => "[own]".into(),
            Place::Other => "[other]".into(),
        }
    }

    fn slot(&self, slot: u32) -> String {
        self.program.slots.get(slot as usize).cloned().unwrap_or_else(|| format!("slot{slot}?"))
    }

    fn int(&self, int: &Int) -> String {
        let of = |int: &Int| match int {
            Int::Add(..) | Int::Sub(..) => format!("({})", self.int(int)),
            _ => self.int(int),
        };
        match int {
            Int::Const(value) => value.to_string(),
            Int::Slot(slot) => self.slot(slot.0),
            Int::Loop(LoopId(index)) => format!("i{index}"),
            Int::Load(place) => format!("{}[{}]", self.var(VarId(place.buffer.0)), self.int(&place.offset)),
            Int::Add(a, b) => format!("{} + {}", self.int(a), of(b)),
            Int::Sub(a, b) => format!("{} - {}", self.int(a), of(b)),
            Int::Mul(a, b) => format!("{} * {}", of(a), of(b)),
            Int::Div(a, b) => format!("{} / {}", of(a), of(b)),
            Int::Rem(a, b) => format!("{} % {}", of(a), of(b)),
        }
    }
}

fn shape_text(shape: &[usize], batched: bool) -> String {
    format!("{shape:?}{}", if batched { " batched" } else { "" })
}

fn var_text(var: &Var) -> String {
    let elem = match var.elem {
        VarElem::Real => "real",
        VarElem::Index => "index",
        VarElem::Count => "count",
    };
    let times = var.times.map(|n| format!(" times {n}")).unwrap_or_default();
    format!("{}: {elem} {}{times}", var.name, shape_text(&var.shape, var.batched))
}

/// The first elements of a constant.
fn tensor_text(tensor: &Tensor) -> String {
    let first: Vec<String> = tensor.0.iter().take(4).map(|x| format!("{x:?}")).collect();
    let more = if tensor.0.len() > 4 { ", …" } else { "" };
    format!("tensor {}{more}", first.join(", "))
}

/// An op with its attributes.
fn attributes(op: &Op) -> String {
    let name = ops::def(op).name;
    match op {
        Op::Permute(axes) => format!("{name} {axes:?}"),
        Op::Slice { axis, start, step } | Op::Unslice { axis, start, step } => {
            format!("{name} axis {axis} from {start} by {step} of")
        }
        Op::Concat { axis } | Op::Gather { axis } => format!("{name} axis {axis} of"),
        Op::Scatter { axis, reduce } => format!("{name} {} axis {axis} of", reduce.def().name),
        Op::Reverse { axis } | Op::ArgMax { axis } => format!("{name} axis {axis} of"),
        Op::ArgSort { descending } => format!("{name}{} of", if *descending { " downwards" } else { "" }),
        Op::CumSum { axis, reverse } => format!("{name} axis {axis}{} of", if *reverse { " backwards" } else { "" }),
        Op::MatMul { transpose_a, transpose_b } => {
            let mark = |t: &bool| if *t { "t" } else { "n" };
            format!("{name} {}{}", mark(transpose_a), mark(transpose_b))
        }
        Op::Conv2d(conv) | Op::Conv2dInputGrad(conv) | Op::Conv2dWeightGrad(conv) => {
            format!("{name} stride {:?} pad {:?} groups {} of", conv.stride, conv.pad, conv.groups)
        }
        Op::MaxPool(pool) | Op::MaxPoolGrad(pool) | Op::MaxPoolTake(pool) => pool_text(name, pool.size, pool.stride),
        Op::AvgPool(pool) | Op::AvgPoolGrad(pool) => pool_text(name, pool.size, pool.stride),
        _ => name.to_string(),
    }
}

fn pool_text(name: &str, size: [usize; 2], stride: [usize; 2]) -> String {
    format!("{name} size {size:?} stride {stride:?} of")
}
