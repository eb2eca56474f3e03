//! Kernels as text: stable, readable, and read back by [`crate::parse`] to an equal kernel.
//!
//! Buffers and slots are called by name where the name is an identifier of its own, otherwise by number (`@3`).

use crate::ir::{Arg, At, Body, BufId, Cond, Draw, Inst, Int, Kernel, Map, Ref, Rows, SlotId, Stmt, Val};
use crate::names::Named;
use std::collections::HashSet;
use std::fmt::{self, Display, Formatter, Write};

/// The whole kernel.
pub fn print(kernel: &Kernel) -> String {
    let mut printer = Printer { names: Names::new(kernel), out: String::new(), depth: 0 };
    printer.kernel(kernel);
    printer.out
}

/// Whether text is a name that needs no quotes.
fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.')
}

/// Quotes and escapes a name.
fn quote(name: &str) -> String {
    format!("\"{}\"", escape(name).replace('"', "\\\""))
}

/// Text on one line: backslash and control characters escaped.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

/// A real constant that reads back to the same bits.
fn real(value: f64) -> String {
    if value.is_nan() && value.to_bits() != f64::NAN.to_bits() {
        return format!("nan:{:016x}", value.to_bits());
    }
    if value.is_nan() { String::from("nan") } else { format!("{value:?}") }
}

/// What each buffer and slot is called.
struct Names {
    buffers: Vec<String>,
    slots: Vec<String>,
}

impl Names {
    fn new(kernel: &Kernel) -> Names {
        Names {
            buffers: callable(kernel.buffers.iter().map(|buffer| buffer.name.as_str())),
            slots: callable(kernel.slots.iter().map(String::as_str)),
        }
    }

    fn buffer(&self, id: BufId) -> String {
        self.buffers.get(id.0 as usize).cloned().unwrap_or_else(|| format!("@{}", id.0))
    }

    fn slot(&self, id: SlotId) -> String {
        self.slots.get(id.0 as usize).cloned().unwrap_or_else(|| format!("@{}", id.0))
    }
}

/// Names in order; one that is no identifier or was there before gives way to its number.
fn callable<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut seen = HashSet::new();
    names
        .enumerate()
        .map(|(id, name)| {
            let unique = seen.insert(name);
            if unique && is_identifier(name) { name.to_string() } else { format!("@{id}") }
        })
        .collect()
}

struct Printer {
    names: Names,
    out: String,
    depth: usize,
}

impl Printer {
    fn line(&mut self, text: fmt::Arguments<'_>) {
        for _ in 0..self.depth {
            self.out.push_str("  ");
        }
        let _ = self.out.write_fmt(text);
        self.out.push('\n');
    }

    fn kernel(&mut self, kernel: &Kernel) {
        let declared = |name: &str| if is_identifier(name) { name.to_string() } else { quote(name) };
        self.line(format_args!("kernel {} {}", declared(&kernel.name), kernel.precision.name()));
        for buffer in &kernel.buffers {
            self.line(format_args!("buffer {}: {}[{}]", declared(&buffer.name), buffer.elem.name(), buffer.len));
        }
        for slot in &kernel.slots {
            self.line(format_args!("slot {}", declared(slot)));
        }
        self.block("body", &kernel.body);
    }

    fn block(&mut self, head: &str, body: &[Stmt]) {
        self.line(format_args!("{head} {{"));
        self.indented(|printer| body.iter().for_each(|stmt| printer.stmt(stmt)));
        self.line(format_args!("}}"));
    }

    fn indented(&mut self, write: impl FnOnce(&mut Self)) {
        self.depth += 1;
        write(self);
        self.depth -= 1;
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::For { index, from, to, down, body } => {
                let range = format!("{} .. {}", self.int(from), self.int(to));
                let head = format!("for i{} in {range}{}", index.0, if *down { " down" } else { "" });
                self.block(&head, body);
            }
            Stmt::If { cond, then, otherwise } => self.branch(cond, then, otherwise),
            Stmt::Set { slot, value } => {
                let text = format!("set ${} = {}", self.names.slot(*slot), self.int(value));
                self.line(format_args!("{text}"));
            }
            Stmt::Map(map) => self.map(map),
            Stmt::Rows(rows) => self.rows(rows),
            Stmt::Call { prim, args } => self.call(prim, args),
            Stmt::Return { status } => self.line(format_args!("return {status}")),
            Stmt::Note(text) => {
                let escaped = escape(text);
                self.line(format_args!("#{}{escaped}", if escaped.is_empty() { "" } else { " " }));
            }
        }
    }

    fn branch(&mut self, cond: &Cond, then: &[Stmt], otherwise: &[Stmt]) {
        let head = format!("if {} {} {}", self.int(&cond.a), cond.op.name(), self.int(&cond.b));
        self.line(format_args!("{head} {{"));
        self.indented(|printer| then.iter().for_each(|stmt| printer.stmt(stmt)));
        if !otherwise.is_empty() {
            self.line(format_args!("}} else {{"));
            self.indented(|printer| otherwise.iter().for_each(|stmt| printer.stmt(stmt)));
        }
        self.line(format_args!("}}"));
    }

    fn call(&mut self, prim: &str, args: &[Arg]) {
        let args: Vec<String> = args
            .iter()
            .map(|arg| match arg {
                Arg::Buf(place) => format!("&{}", self.place(place)),
                Arg::Int(value) => self.int(value),
                Arg::Real(value) => real(*value),
            })
            .collect();
        let prim = if is_identifier(prim) { prim.to_string() } else { quote(prim) };
        self.line(format_args!("call {prim}({})", args.join(", ")));
    }

    fn map(&mut self, map: &Map) {
        let head = format!("map {}", self.int(&map.len));
        self.line(format_args!("{head} {{"));
        self.insts(&map.body);
        self.line(format_args!("}}"));
    }

    fn rows(&mut self, rows: &Rows) {
        let (list, count, ptr) = (self.place(&rows.list), self.int(&rows.count), self.place(&rows.ptr));
        let edge = rows.edge.as_ref().map_or(String::new(), |edge| format!(" edge {}", self.place(edge)));
        let end = rows.end.as_ref().map_or(String::new(), |end| format!(" end {}", self.place(end)));
        let other = self.place(&rows.other);
        self.line(format_args!("rows list {list} count {count} ptr {ptr}{end}{edge} other {other} {{"));
        self.insts(&rows.body);
        self.line(format_args!("}}"));
    }

    fn insts(&mut self, body: &Body) {
        self.indented(|printer| {
            for (number, inst) in body.insts.iter().enumerate() {
                let text = printer.inst(inst);
                match inst.has_effect() {
                    true => printer.line(format_args!("{text}")),
                    false => printer.line(format_args!("%{number} = {text}")),
                }
            }
        });
    }

    fn inst(&self, inst: &Inst) -> String {
        match inst {
            Inst::Const(value) => format!("const {}", real(*value)),
            Inst::Int(value) => format!("int {}", self.int(value)),
            Inst::Index => String::from("index"),
            Inst::Load { from, at } => format!("load {}", self.element(from, at)),
            Inst::Unary { op, a } => format!("{} {}", op.name(), Value(*a)),
            Inst::Binary { op, a, b } => format!("{} {} {}", op.name(), Value(*a), Value(*b)),
            Inst::Fma { a, b, c } => format!("fma {} {} {}", Value(*a), Value(*b), Value(*c)),
            Inst::Compare { op, a, b } => format!("{} {} {}", op.name(), Value(*a), Value(*b)),
            Inst::And { a, b } => format!("and {} {}", Value(*a), Value(*b)),
            Inst::Or { a, b } => format!("or {} {}", Value(*a), Value(*b)),
            Inst::Not { a } => format!("not {}", Value(*a)),
            Inst::Select { mask, a, b } => format!("select {} {} {}", Value(*mask), Value(*a), Value(*b)),
            Inst::Math { f, args } => format!("{}{}", f.name(), values(args)),
            Inst::Draw { draw, key, step, base, args } => self.draw(*draw, *key, (step, base), args),
            Inst::Store { to, at, value } => format!("store {} = {}", self.element(to, at), Value(*value)),
            Inst::AddTo { to, at, value } => format!("addto {} += {}", self.element(to, at), Value(*value)),
        }
    }

    fn draw(&self, draw: Draw, key: u64, (step, base): (&Int, &Int), args: &[Val]) -> String {
        let (step, base) = (self.int(step), self.int(base));
        format!("draw {} key {key:#x} step {step} base {base}{}", draw.name(), values(args))
    }

    fn element(&self, place: &Ref, at: &At) -> String {
        let place = self.place(place);
        match at {
            At::Unit => format!("{place} unit"),
            At::Splat => format!("{place} splat"),
            At::Gather(index) => format!("{place} gather {}", self.place(index)),
            At::Edge => format!("{place} edge"),
            At::Own => format!("{place} own"),
            At::Other => format!("{place} other"),
        }
    }

    fn place(&self, place: &Ref) -> String {
        format!("{}[{}]", self.names.buffer(place.buffer), self.int(&place.offset))
    }

    fn int(&self, value: &Int) -> String {
        let mut out = String::new();
        self.write_int(value, 0, &mut out);
        out
    }

    /// `tight` is how strongly the surroundings bind: 0 nothing, 1 a sum's left, 2 a sum's right or a product's left,
    /// 3 a product's right.
    fn write_int(&self, value: &Int, tight: u8, out: &mut String) {
        let (symbol, level) = match value {
            Int::Const(value) => return out.push_str(&value.to_string()),
            Int::Slot(slot) => return out.push_str(&format!("${}", self.names.slot(*slot))),
            Int::Loop(index) => return out.push_str(&format!("i{}", index.0)),
            Int::Load(place) => return out.push_str(&self.place(place)),
            Int::Add(..) => ("+", 1),
            Int::Sub(..) => ("-", 1),
            Int::Mul(..) => ("*", 2),
            Int::Div(..) => ("/", 2),
            Int::Rem(..) => ("%", 2),
        };
        let Some((a, b)) = value.operands() else { return };
        if level < tight {
            out.push('(');
        }
        self.write_int(a, level, out);
        out.push_str(&format!(" {symbol} "));
        self.write_int(b, level + 1, out);
        if level < tight {
            out.push(')');
        }
    }
}

struct Value(Val);

impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0.0)
    }
}

fn values(list: &[Val]) -> String {
    list.iter().map(|value| format!(" {}", Value(*value))).collect()
}
