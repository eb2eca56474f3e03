//! Random valid kernels, with memory for them.

use nnm_kir::builder::BodyBuilder;
use nnm_kir::insts::Gives;
use nnm_kir::ir::{
    Arg, At, Binary, Body, BufId, Buffer, Compare, Cond, Draw, Elem, Inst, Int, IntCmp, Kernel, LoopId, Map, Math,
    Precision, Ref, Rows, SlotId, Stmt, Unary, Val,
};
use nnm_kir::names::Named;
use nnm_runtime::abi::{ArgKind, PrimDef};
use nnm_runtime::memory::Aligned;

/// A source of choices (xorshift).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() >> 33) as usize % n.max(1)
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn real(&mut self) -> f64 {
        match self.below(20) {
            0 => 0.0,
            1 => -0.0,
            2 => f64::from(self.pick(&[f32::INFINITY, f32::NAN, 1e30, -1e-30])),
            3 => 1.0,
            _ => (self.next() >> 11) as f64 / (1u64 << 53) as f64 * 4.0 - 2.0,
        }
    }
}

/// Reals in rows of `n`, of which there are several; each row starts at a multiple of 16.
const STATES: [(&str, Elem, i64); 6] = [
    ("a", Elem::F32, 1),
    ("b", Elem::F64, 1),
    ("c", Elem::F32, 3),
    ("d", Elem::F64, 3),
    ("e", Elem::F32, 1),
    ("f", Elem::F64, 1),
];
const PARAMETERS: BufId = BufId(6);
const INDEX: BufId = BufId(7);
const COUNTS: BufId = BufId(8);
const LIST: BufId = BufId(9);
const PTR: BufId = BufId(10);
const EDGE: BufId = BufId(11);
const OTHER: BufId = BufId(12);
const WEIGHTS: [BufId; 2] = [BufId(13), BufId(14)];
const PARAMETER_COUNT: usize = 16;

unsafe extern "C" fn shift_f32(args: *const u64) -> i32 {
    // SAFETY: three words: y and x of n elements, apart, and n; then a real.
    unsafe {
        let (y, x) = (*args as *mut f32, *args.add(1) as *const f32);
        for i in 0..*args.add(2) as usize {
            *y.add(i) = *x.add(i) * 0.5 + f64::from_bits(*args.add(3)) as f32;
        }
        i32::from(*args.add(2) == 13)
    }
}

unsafe extern "C" fn shift_f64(args: *const u64) -> i32 {
    // SAFETY: as above.
    unsafe {
        let (y, x) = (*args as *mut f64, *args.add(1) as *const f64);
        for i in 0..*args.add(2) as usize {
            *y.add(i) = *x.add(i) * 0.5 + f64::from_bits(*args.add(3));
        }
        i32::from(*args.add(2) == 13)
    }
}

/// Fails with status 1 where n is 13.
pub static SHIFT: PrimDef = PrimDef {
    name: "shift",
    about: "y = x / 2 + c",
    args: &[("y", ArgKind::Out), ("x", ArgKind::In), ("n", ArgKind::Int), ("c", ArgKind::Real)],
    f32: shift_f32,
    f64: shift_f64,
    reach: |ints| vec![ints[0], ints[0]],
};

pub fn prims(name: &str) -> Option<&'static PrimDef> {
    (name == "shift").then_some(&SHIFT)
}

pub struct Sample {
    pub kernel: Kernel,
    /// Elements of a state's row.
    pub n: i64,
    pub edges: usize,
    seed: u64,
}

impl Sample {
    pub fn new(seed: u64) -> Sample {
        let mut dice = Dice::new(seed);
        let n = match dice.below(4) {
            0 => 1 + dice.below(8),
            1 => 1 + dice.below(70),
            2 => dice.pick(&[16, 64, 256, 512, 768]),
            _ => 1 + dice.below(1000),
        } as i64;
        let edges = 3 * n as usize;
        let precision = dice.pick(&[Precision::F32, Precision::F64]);
        let mut maker = Maker { dice, n, precision, loops: 0 };
        let count = 2 + maker.dice.below(4);
        let body = maker.block(count, 0);
        let slots = vec![String::from("step"), String::from("other")];
        let kernel = Kernel { name: format!("k{seed}"), precision, buffers: buffers(n, edges), slots, body };
        Sample { kernel, n, edges, seed }
    }

    pub fn memory(&self) -> Vec<Aligned> {
        let mut dice = Dice::new(self.seed ^ 0xABCD);
        let n = self.n as usize;
        let mut memory = Vec::new();
        for (number, buffer) in self.kernel.buffers.iter().enumerate() {
            let len = buffer.len as usize;
            let below = |dice: &mut Dice, n: usize| (0..len).map(|_| dice.below(n) as u32).collect::<Vec<u32>>();
            let filled = match (BufId(number as u32), buffer.elem) {
                (COUNTS, _) => Aligned::from_slice(&[self.n, self.n / 2, 3, 0]),
                (PTR, _) => {
                    let mut starts = below(&mut dice, self.edges + 1);
                    starts.sort_unstable();
                    Aligned::from_slice(&starts)
                }
                (EDGE, _) => Aligned::from_slice(&below(&mut dice, self.edges)),
                (_, Elem::U32) => Aligned::from_slice(&below(&mut dice, n)),
                (_, Elem::F32) => Aligned::from_slice(&(0..len).map(|_| dice.real() as f32).collect::<Vec<_>>()),
                _ => Aligned::from_slice(&(0..len).map(|_| dice.real()).collect::<Vec<_>>()),
            };
            memory.push(filled.unwrap());
        }
        memory
    }

    /// The reals whose values mean something, as bits, NaN as one of them.
    pub fn results(&self, memory: &[Aligned]) -> Vec<(String, Vec<u64>)> {
        let stride = stride(self.n) as usize;
        let mut results = Vec::new();
        for (number, buffer) in self.kernel.buffers.iter().enumerate() {
            let bits: Vec<u64> = match buffer.elem {
                Elem::F32 => {
                    memory[number].f32().iter().map(|x| u64::from(if x.is_nan() { 7 } else { x.to_bits() })).collect()
                }
                Elem::F64 => memory[number].f64().iter().map(|x| if x.is_nan() { 7 } else { x.to_bits() }).collect(),
                _ => continue,
            };
            let is_state = number < STATES.len();
            let kept = bits.into_iter().enumerate().filter(|(at, _)| !is_state || at % stride < self.n as usize);
            results.push((buffer.name.clone(), kept.map(|(_, bits)| bits).collect()));
        }
        results
    }
}

fn stride(n: i64) -> i64 {
    (n + 15) / 16 * 16
}

fn buffers(n: i64, edges: usize) -> Vec<Buffer> {
    let mut buffers: Vec<Buffer> = Vec::new();
    let mut add =
        |name: &str, elem: Elem, len: usize| buffers.push(Buffer { name: name.into(), elem, len: len as u64 });
    for (name, elem, rows) in STATES {
        add(name, elem, (rows * stride(n)) as usize);
    }
    let n = n as usize;
    add("parameters", Elem::F64, PARAMETER_COUNT);
    add("index", Elem::U32, n);
    add("counts", Elem::I64, 4);
    add("list", Elem::U32, n + 3);
    add("ptr", Elem::U32, n + 1);
    add("edge", Elem::U32, edges);
    add("other", Elem::U32, edges);
    add("w", Elem::F32, edges);
    add("x", Elem::F64, edges);
    buffers
}

struct Maker {
    dice: Dice,
    n: i64,
    precision: Precision,
    /// Loops around, numbered from 0.
    loops: u32,
}

impl Maker {
    fn block(&mut self, count: usize, depth: usize) -> Vec<Stmt> {
        (0..count).map(|_| self.stmt(depth)).collect()
    }

    fn stmt(&mut self, depth: usize) -> Stmt {
        match self.dice.below(if depth < 3 { 12 } else { 8 }) {
            0..=3 => Stmt::Map(self.map()),
            4 | 5 => Stmt::Rows(self.rows()),
            6 => Stmt::Set { slot: SlotId(self.dice.below(2) as u32), value: self.small() },
            7 => self.call(),
            8 | 9 => {
                let (from, to) = (Int::Const(self.dice.below(2) as i64), Int::Const(self.dice.below(4) as i64));
                let index = LoopId(self.loops);
                self.loops += 1;
                let count = 1 + self.dice.below(3);
                let body = self.block(count, depth + 1);
                self.loops -= 1;
                Stmt::For { index, from, to, down: self.dice.chance(40), body }
            }
            10 => {
                let op = self.dice.pick(&[IntCmp::Eq, IntCmp::Ne, IntCmp::Lt, IntCmp::Le]);
                let cond = Cond { op, a: self.small(), b: self.small() };
                let then = self.block(1, depth + 1);
                let otherwise = if self.dice.chance(50) { self.block(1, depth + 1) } else { Vec::new() };
                Stmt::If { cond, then, otherwise }
            }
            _ if self.dice.chance(20) => Stmt::Return { status: self.dice.below(5) as i32 },
            _ => Stmt::Note(String::from("nothing")),
        }
    }

    /// A small integer that is never negative.
    fn small(&mut self) -> Int {
        let leaf = match self.dice.below(4) {
            0 if self.loops > 0 => Int::Loop(LoopId(self.dice.below(self.loops as usize) as u32)),
            1 => Int::Slot(SlotId(self.dice.below(2) as u32)),
            2 => Int::Load(Box::new(Ref::new(COUNTS, self.dice.below(4) as i64))),
            _ => Int::Const(self.dice.below(9) as i64),
        };
        match self.dice.below(6) {
            0 => (leaf + 3).remainder(4),
            1 => (leaf * 3).quotient(2).remainder(7),
            2 => Int::Rem(Box::new(leaf), Box::new(Int::Load(Box::new(Ref::new(COUNTS, 2))))),
            3 => Int::Sub(Box::new(leaf + 5), Box::new(Int::Const(5))).remainder(16),
            _ => leaf.remainder(100),
        }
    }

    /// The first element of one of a state's rows.
    fn row(&mut self, state: usize) -> Int {
        let rows = STATES[state].2;
        if rows == 1 {
            return Int::Const(0);
        }
        self.small().remainder(rows) * stride(self.n)
    }

    fn len(&mut self) -> Int {
        if self.dice.chance(50) { Int::Const(self.n) } else { Int::Load(Box::new(Ref::new(COUNTS, 0))) }
    }

    fn call(&mut self) -> Stmt {
        let own: Vec<usize> = (0..STATES.len()).filter(|state| STATES[*state].1 == self.elem()).collect();
        let (y, x) = (own[0], own[1 + self.dice.below(2)]);
        let args = vec![
            Arg::Buf(Ref::new(BufId(y as u32), self.row(y))),
            Arg::Buf(Ref::new(BufId(x as u32), self.row(x))),
            Arg::Int(Int::Const(self.n)),
            Arg::Real(0.25),
        ];
        Stmt::Call { prim: String::from("shift"), args }
    }

    fn elem(&self) -> Elem {
        match self.precision {
            Precision::F32 => Elem::F32,
            Precision::F64 => Elem::F64,
        }
    }

    fn map(&mut self) -> Map {
        let len = self.len();
        // states that are stored, each at one row, and where
        let mut stored: Vec<(usize, Ref)> = Vec::new();
        for state in 0..STATES.len() {
            if self.dice.chance(35) {
                let row = self.row(state);
                stored.push((state, Ref::new(BufId(state as u32), row)));
            }
        }
        let mut insts = Vec::new();
        let most = if self.dice.chance(10) { 120 } else { 30 };
        let count = 1 + self.dice.below(most);
        for _ in 0..count {
            let inst = self.inst(&insts, |maker| maker.map_load(&stored));
            insts.push(inst);
            if self.dice.chance(8) {
                self.store(&mut insts, &stored);
            }
        }
        for _ in 0..stored.len() {
            self.store(&mut insts, &stored);
        }
        Map { len, body: self.body(insts) }
    }

    fn map_load(&mut self, stored: &[(usize, Ref)]) -> Inst {
        let state = self.dice.below(STATES.len());
        if let Some((_, place)) = stored.iter().find(|(known, _)| *known == state) {
            return Inst::Load { from: place.clone(), at: At::Unit };
        }
        let from = Ref::new(BufId(state as u32), self.row(state));
        match self.dice.below(5) {
            0 => Inst::Load { from, at: At::Gather(Ref::new(INDEX, 0)) },
            1 => Inst::Load { from: Ref::new(PARAMETERS, self.dice.below(PARAMETER_COUNT) as i64), at: At::Splat },
            2 => Inst::Index,
            _ => Inst::Load { from, at: At::Unit },
        }
    }

    /// Stores a value within bounds, so that numbers stay numbers.
    fn store(&mut self, insts: &mut Vec<Inst>, stored: &[(usize, Ref)]) {
        let reals = of_kind(insts, Gives::Real);
        if stored.is_empty() || reals.is_empty() {
            return;
        }
        let mut value = self.dice.pick(&reals);
        if self.dice.chance(70) {
            value = bounded(insts, value, 4.0);
        }
        let (_, place) = &stored[self.dice.below(stored.len())];
        insts.push(Inst::Store { to: place.clone(), at: At::Unit, value });
    }

    fn rows(&mut self) -> Rows {
        let mut insts = Vec::new();
        // some change weights alone, some add to the other end alone, the others do anything
        let kind = self.dice.below(4);
        let count = 1 + self.dice.below(10);
        for _ in 0..count {
            let inst = match kind {
                0 | 1 => self.inst_without_calls(&insts),
                _ => self.inst(&insts, Maker::rows_load),
            };
            insts.push(inst);
            let reals = of_kind(&insts, Gives::Real);
            if !reals.is_empty() && self.dice.chance(40) {
                let value = self.dice.pick(&reals);
                let value = bounded(&mut insts, value, 2.0);
                let (to, at) = match kind {
                    0 => (Ref::new(WEIGHTS[0], 0), At::Edge),
                    1 => (Ref::new(BufId(0), 0), self.dice.pick(&[&At::Other, &At::Own, &At::Splat]).clone()),
                    _ => self.rows_place(),
                };
                insts.push(match kind == 1 || self.dice.chance(60) {
                    true => Inst::AddTo { to, at, value },
                    false => Inst::Store { to, at, value },
                });
            }
        }
        let count = Int::Load(Box::new(Ref::new(COUNTS, self.dice.below(4) as i64)));
        let edge = (kind > 1 && self.dice.chance(40)).then(|| Ref::new(EDGE, 0));
        let (list, ptr, other) = (Ref::new(LIST, 0), Ref::new(PTR, 0), Ref::new(OTHER, 0));
        let end = self.dice.chance(30).then(|| Ref::new(PTR, 1));
        Rows { list, count, ptr, end, edge, other, body: self.body(insts) }
    }

    fn inst_without_calls(&mut self, insts: &[Inst]) -> Inst {
        loop {
            let inst = self.inst(insts, |maker| {
                if maker.dice.chance(30) {
                    return Inst::Load { from: Ref::new(WEIGHTS[0], 0), at: At::Edge };
                }
                maker.rows_load()
            });
            let takes_first = inst.read().is_some_and(|(place, _)| place.buffer == BufId(0));
            if !inst.is_block_call() && !takes_first {
                return inst;
            }
        }
    }

    fn rows_load(&mut self) -> Inst {
        if self.dice.chance(20) {
            return Inst::Load { from: Ref::new(PARAMETERS, self.dice.below(PARAMETER_COUNT) as i64), at: At::Splat };
        }
        let (from, at) = self.rows_place();
        Inst::Load { from, at }
    }

    fn rows_place(&mut self) -> (Ref, At) {
        let state = self.dice.below(STATES.len());
        let place = Ref::new(BufId(state as u32), self.row(state));
        match self.dice.below(6) {
            0 => (place, At::Splat),
            1 | 2 => (place, At::Own),
            3 | 4 => (place, At::Other),
            _ => (Ref::new(self.dice.pick(&WEIGHTS), 0), At::Edge),
        }
    }

    /// Any instruction whose operands there are.
    fn inst(&mut self, insts: &[Inst], load: impl FnOnce(&mut Maker) -> Inst) -> Inst {
        let (reals, masks) = (of_kind(insts, Gives::Real), of_kind(insts, Gives::Mask));
        let kind = self.dice.below(20);
        if reals.is_empty() || kind < 4 {
            return match self.dice.below(6) {
                0 => Inst::Const(self.dice.real()),
                1 => Inst::Int(self.small()),
                _ => load(self),
            };
        }
        let (a, b, c) = (self.dice.pick(&reals), self.dice.pick(&reals), self.dice.pick(&reals));
        match kind {
            4 | 5 => Inst::Unary { op: self.dice.pick(Unary::TABLE).0, a },
            6..=9 => Inst::Binary { op: self.dice.pick(Binary::TABLE).0, a, b },
            10 | 11 => Inst::Fma { a, b, c },
            12 | 13 => Inst::Compare { op: self.dice.pick(Compare::TABLE).0, a, b },
            14 if !masks.is_empty() => {
                let (a, b) = (self.dice.pick(&masks), self.dice.pick(&masks));
                match self.dice.below(3) {
                    0 => Inst::And { a, b },
                    1 => Inst::Or { a, b },
                    _ => Inst::Not { a },
                }
            }
            15 | 16 if !masks.is_empty() => Inst::Select { mask: self.dice.pick(&masks), a, b },
            17 => {
                let (key, step, base) = (self.dice.next(), self.small(), self.small());
                let draw = self.dice.pick(Draw::TABLE).0;
                let args = if draw == Draw::Poisson { vec![a] } else { Vec::new() };
                Inst::Draw { draw, key, step, base, args }
            }
            18 | 19 => {
                let f = if self.dice.chance(60) {
                    self.dice.pick(&[Math::Exp, Math::Tanh])
                } else {
                    self.dice.pick(Math::TABLE).0
                };
                Inst::Math { f, args: if f.arity() == 2 { vec![a, b] } else { vec![a] } }
            }
            _ => Inst::Fma { a: b, b: c, c: a },
        }
    }

    /// Half of the bodies go through the builder.
    fn body(&mut self, insts: Vec<Inst>) -> Body {
        if self.dice.chance(50) {
            return Body { insts };
        }
        let mut builder = BodyBuilder::new(self.precision);
        let mut renamed: Vec<Val> = Vec::new();
        for mut inst in insts {
            inst.rename(|value| renamed[value.0 as usize]);
            renamed.push(builder.push(inst));
        }
        builder.finish()
    }
}

fn of_kind(insts: &[Inst], kind: Gives) -> Vec<Val> {
    (0..insts.len()).filter(|number| insts[*number].gives() == kind).map(|number| Val(number as u32)).collect()
}

/// `max(min(value, most), -most)`, which no NaN passes.
fn bounded(insts: &mut Vec<Inst>, value: Val, most: f64) -> Val {
    let first = insts.len() as u32;
    insts.push(Inst::Const(most));
    insts.push(Inst::Const(-most));
    insts.push(Inst::Binary { op: Binary::Min, a: value, b: Val(first) });
    insts.push(Inst::Binary { op: Binary::Max, a: Val(first + 2), b: Val(first + 1) });
    Val(first + 3)
}
