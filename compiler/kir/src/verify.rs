//! The rules of [`crate::ir`] that can be seen without running: each fault found, as one line.

use crate::Prims;
use crate::affine::{apart, padded};
use crate::insts::Gives;
use crate::ir::{
    Arg, At, Body, BufId, Cond, Elem, Inst, Int, Kernel, LoopId, Map, Precision, Ref, Rows, SlotId, Stmt, Val,
};
use crate::names::Named;
use nnm_runtime::abi::ArgKind;

/// The faults of a kernel; a kernel without any may be compiled.
pub fn verify(kernel: &Kernel, prims: Prims<'_>) -> Vec<String> {
    let mut verifier = Verifier { kernel, prims, loops: Vec::new(), place: String::new(), faults: Vec::new() };
    verifier.block(&kernel.body, "");
    verifier.faults
}

/// Integer expressions may nest this deep.
const DEEPEST: u32 = 200;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Map,
    Rows,
}

struct Verifier<'a> {
    kernel: &'a Kernel,
    prims: Prims<'a>,
    /// The loops around the place.
    loops: Vec<LoopId>,
    /// Where in the kernel: numbers of statements from the outermost in.
    place: String,
    faults: Vec<String>,
}

impl<'a> Verifier<'a> {
    fn fault(&mut self, message: impl AsRef<str>) {
        self.faults.push(format!("statement {}: {}", self.place, message.as_ref()));
    }

    fn block(&mut self, body: &'a [Stmt], outer: &str) {
        for (number, stmt) in body.iter().enumerate() {
            let place = format!("{outer}{number}");
            self.place.clone_from(&place);
            self.stmt(stmt);
            match stmt {
                Stmt::For { index, body, .. } => {
                    self.loops.push(*index);
                    self.block(body, &format!("{place}."));
                    self.loops.pop();
                }
                Stmt::If { then, otherwise, .. } => {
                    self.block(then, &format!("{place}."));
                    self.block(otherwise, &format!("{place}.else."));
                }
                _ => {}
            }
        }
    }

    /// The statement itself, without the blocks in it.
    fn stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::For { index, from, to, .. } => {
                self.int(from);
                self.int(to);
                if self.loops.contains(index) {
                    self.fault(format!("loop `i{}` is already the index of a loop around it", index.0));
                }
            }
            Stmt::If { cond: Cond { a, b, .. }, .. } => {
                self.int(a);
                self.int(b);
            }
            Stmt::Set { slot, value } => {
                self.slot(*slot);
                self.int(value);
            }
            Stmt::Map(map) => self.map(map),
            Stmt::Rows(rows) => self.rows(rows),
            Stmt::Call { prim, args } => self.call(prim, args),
            Stmt::Return { .. } | Stmt::Note(_) => {}
        }
    }

    fn map(&mut self, map: &'a Map) {
        self.int(&map.len);
        if map.len.as_const().is_some_and(|len| len < 0) {
            self.fault("the length of a map is negative");
        }
        self.body(&map.body, Kind::Map);
        for inst in &map.body.insts {
            if let Some((place, At::Unit)) = inst.read().or(inst.written()) {
                self.fits(place, &map.len);
            }
        }
        self.in_place(map);
    }

    /// A map reads and writes a place that it writes only element by element.
    fn in_place(&mut self, map: &'a Map) {
        let insts = &map.body.insts;
        for (written, _) in insts.iter().filter_map(Inst::written) {
            for inst in insts {
                let Some((place, at)) = inst.read().or(inst.written()) else { continue };
                let same = place == written && *at == At::Unit;
                let distinct = !matches!(at, At::Gather(_)) && apart(place, written, &map.len);
                if place.buffer == written.buffer && !same && !distinct {
                    let name = self.buffer_name(written.buffer);
                    self.fault(format!("the map stores to `{name}` and also takes elements of it from another place"));
                    return;
                }
            }
        }
    }

    fn rows(&mut self, rows: &'a Rows) {
        self.int(&rows.count);
        self.place_of(&rows.list, &[Elem::U32], "the list of a delivery");
        self.place_of(&rows.ptr, &[Elem::U32], "the row starts of a delivery");
        if let Some(end) = &rows.end {
            self.place_of(end, &[Elem::U32], "the row ends of a delivery");
        }
        if let Some(edge) = &rows.edge {
            self.place_of(edge, &[Elem::U32], "the edge numbers of a delivery");
        }
        self.place_of(&rows.other, &[Elem::U32], "the other ends of a delivery");
        self.body(&rows.body, Kind::Rows);
    }

    fn body(&mut self, body: &'a Body, kind: Kind) {
        for (number, inst) in body.insts.iter().enumerate() {
            let earlier = &body.insts[..number];
            if inst.operands().any(|value| value.0 as usize >= number) {
                self.fault(format!("instruction {number} takes a value that is not defined before it"));
                continue;
            }
            self.inst(inst, earlier, kind, number);
        }
    }

    fn inst(&mut self, inst: &'a Inst, earlier: &[Inst], kind: Kind, number: usize) {
        let gives = |value: Val| earlier.get(value.0 as usize).map_or(Gives::Nothing, Inst::gives);
        for (position, value) in inst.operands().enumerate() {
            let wants_mask = match inst {
                Inst::And { .. } | Inst::Or { .. } | Inst::Not { .. } => true,
                Inst::Select { .. } => position == 0,
                _ => false,
            };
            let wanted = if wants_mask { Gives::Mask } else { Gives::Real };
            if gives(value) != wanted {
                let wanted = if wants_mask { "mask" } else { "real" };
                self.fault(format!("instruction {number} needs a {wanted}, and `%{}` is none", value.0));
            }
        }
        match inst {
            Inst::Int(value) => self.int(value),
            Inst::Index if kind == Kind::Rows => self.fault("`index` has no meaning in a delivery"),
            Inst::Math { f, args } if args.len() != f.arity() => {
                self.fault(format!("`{}` takes {} arguments, given {}", f.name(), f.arity(), args.len()));
            }
            Inst::Draw { draw, step, base, args, .. } => {
                self.int(step);
                self.int(base);
                if args.len() != draw.arity() {
                    self.fault(format!("`{}` takes {} arguments, given {}", draw.name(), draw.arity(), args.len()));
                }
            }
            Inst::Load { from, at } => self.element(from, at, kind, false),
            Inst::Store { to, at, .. } => self.element(to, at, kind, true),
            Inst::AddTo { to, at, .. } => {
                self.element(to, at, kind, true);
                if kind == Kind::Map {
                    self.fault("`addto` is for deliveries");
                }
            }
            _ => {}
        }
    }

    fn element(&mut self, place: &'a Ref, at: &'a At, kind: Kind, written: bool) {
        self.place_of(place, &[Elem::F32, Elem::F64], if written { "a store" } else { "a load" });
        let allowed = match (kind, at) {
            (Kind::Map, At::Unit) => true,
            (Kind::Map, At::Splat | At::Gather(_)) => !written,
            (Kind::Rows, At::Splat | At::Edge | At::Own | At::Other) => true,
            _ => false,
        };
        if !allowed {
            let (verb, here) =
                (if written { "stores" } else { "loads" }, if kind == Kind::Map { "a map" } else { "a delivery" });
            self.fault(format!("{here} {verb} no element in this way: {at:?}"));
        }
        if let At::Gather(index) = at {
            self.place_of(index, &[Elem::U32], "the index of a gather");
        }
    }

    fn call(&mut self, prim: &str, args: &'a [Arg]) {
        for arg in args {
            match arg {
                Arg::Buf(place) => self.reference(place),
                Arg::Int(value) => self.int(value),
                Arg::Real(_) => {}
            }
        }
        let Some(def) = (self.prims)(prim) else {
            return self.fault(format!("there is no primitive `{prim}`"));
        };
        if args.len() != def.args.len() {
            return self.fault(format!("`{prim}` takes {} arguments, given {}", def.args.len(), args.len()));
        }
        for (arg, (name, kind)) in args.iter().zip(def.args) {
            if !self.suits(arg, *kind) {
                self.fault(format!(
                    "argument `{name}` of `{prim}` is to be {}",
                    describe(*kind, self.kernel.precision)
                ));
            }
        }
    }

    fn suits(&self, arg: &Arg, kind: ArgKind) -> bool {
        let elem = match arg {
            Arg::Buf(place) => match self.kernel.buffers.get(place.buffer.0 as usize) {
                Some(buffer) => buffer.elem,
                None => return true,
            },
            Arg::Int(_) => return kind == ArgKind::Int,
            Arg::Real(_) => return kind == ArgKind::Real,
        };
        buffer_elem(kind, self.kernel.precision) == Some(elem)
    }

    /// A place in a buffer of one of the kinds.
    fn place_of(&mut self, place: &'a Ref, kinds: &[Elem], what: &str) {
        self.reference(place);
        if let Some(buffer) = self.kernel.buffers.get(place.buffer.0 as usize)
            && !kinds.contains(&buffer.elem)
        {
            let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
            let message = format!(
                "{what} needs a buffer of {}, `{}` holds {}",
                names.join(" or "),
                buffer.name,
                buffer.elem.name()
            );
            self.fault(message);
        }
    }

    fn reference(&mut self, place: &'a Ref) {
        self.int(&place.offset);
        let Some(buffer) = self.kernel.buffers.get(place.buffer.0 as usize) else {
            return self.fault(format!("there is no buffer {}", place.buffer.0));
        };
        // the place after the last element may be named by what takes no elements from it
        if place.offset.as_const().is_some_and(|at| at < 0 || at as u64 > buffer.len) {
            self.fault(format!("`{}` has {} elements and the place is outside", buffer.name, buffer.len));
        }
    }

    /// Elements taken one by one from a place known in advance lie in the buffer, with their padding in its allocation.
    fn fits(&mut self, place: &Ref, len: &Int) {
        let Some(buffer) = self.kernel.buffers.get(place.buffer.0 as usize) else { return };
        let (Some(offset), Some(len)) = (place.offset.as_const(), len.as_const()) else { return };
        let end = offset.saturating_add(len);
        let padded_end = offset.saturating_add(padded(len));
        if len > 0 && (end > buffer.len as i64 || padded_end > padded(buffer.len as i64)) {
            let (name, all) = (&buffer.name, buffer.len);
            self.fault(format!(
                "elements {offset} .. {end}, padded to {padded_end}, do not fit in the {all} of `{name}`"
            ));
        }
    }

    fn buffer_name(&self, id: BufId) -> &'a str {
        self.kernel.buffers.get(id.0 as usize).map_or("?", |buffer| &buffer.name)
    }

    fn slot(&mut self, slot: SlotId) {
        if slot.0 as usize >= self.kernel.slots.len() {
            self.fault(format!("there is no slot {}", slot.0));
        }
    }

    fn int(&mut self, value: &'a Int) {
        self.int_at(value, 0);
    }

    fn int_at(&mut self, value: &'a Int, depth: u32) {
        if depth > DEEPEST {
            return self.fault("an integer expression is nested too deep");
        }
        match value {
            Int::Const(_) => {}
            Int::Slot(slot) => self.slot(*slot),
            Int::Loop(index) if !self.loops.contains(index) => {
                self.fault(format!("no loop around has the index `i{}`", index.0));
            }
            Int::Loop(_) => {}
            Int::Load(place) => {
                if let Some(buffer) = self.kernel.buffers.get(place.buffer.0 as usize)
                    && !matches!(buffer.elem, Elem::U32 | Elem::I64)
                {
                    let message =
                        format!("an integer is read from `{}`, which holds {}", buffer.name, buffer.elem.name());
                    self.fault(message);
                } else if place.buffer.0 as usize >= self.kernel.buffers.len() {
                    self.fault(format!("there is no buffer {}", place.buffer.0));
                }
                self.int_at(&place.offset, depth + 1);
            }
            Int::Div(_, by) | Int::Rem(_, by) if by.as_const().is_some_and(|by| by <= 0) => {
                self.fault("a divisor is not positive");
            }
            Int::Add(a, b) | Int::Sub(a, b) | Int::Mul(a, b) | Int::Div(a, b) | Int::Rem(a, b) => {
                self.int_at(a, depth + 1);
                self.int_at(b, depth + 1);
            }
        }
    }
}

/// What a buffer argument's elements are.
pub(crate) fn buffer_elem(kind: ArgKind, precision: Precision) -> Option<Elem> {
    let real = match precision {
        Precision::F32 => Elem::F32,
        Precision::F64 => Elem::F64,
    };
    match kind {
        ArgKind::In | ArgKind::Out => Some(real),
        ArgKind::InIndex | ArgKind::OutIndex => Some(Elem::U32),
        ArgKind::OutCount => Some(Elem::I64),
        ArgKind::Int | ArgKind::Real => None,
    }
}

fn describe(kind: ArgKind, precision: Precision) -> String {
    match (buffer_elem(kind, precision), kind) {
        (Some(elem), _) => format!("a buffer of {}", elem.name()),
        (None, ArgKind::Int) => String::from("an integer"),
        (None, _) => String::from("a real"),
    }
}
