//! From a kernel to one function of machine-independent instructions.
//!
//! `fn(buffers, slots) -> status`. Slots that the kernel uses live in variables and are written back where it ends. Base
//! addresses are read where they are used: the table of buffers stays in L1. No instruction here selects between scalar
//! floats: what is a scalar in the IR lives in lane 0 of a vector.

use crate::callees::{Callee, Callees};
use crate::plan::{Extent, Plan};
use crate::shape::Shape;
use crate::{CodegenError, Options, plan};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    AbiParam, Block, FuncRef, Function, InstBuilder, MemFlagsData, StackSlot, StackSlotData, StackSlotKind, Value,
    types,
};
use cranelift_codegen::isa::TargetIsa;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Variable};
use nnm_kir::affine::padded;
use nnm_kir::ir::{Inst, Int, Kernel, LoopId, Map, Ref, Stmt};
use std::collections::{HashMap, VecDeque};

mod abreast;
mod arith;
mod call;
mod element;
mod ints;
mod invariant;
mod map;
mod rows;
mod segment;
mod stmt;
mod uniform;

type Emitted<T> = Result<T, CodegenError>;

/// Elements in a tile.
const TILE: i64 = 256;
/// Maps of up to so many elements make their block calls together.
const FEW: i64 = 64;
/// Scratch memory is aligned to this many bytes.
const LINE: i64 = 64;

/// Fills in a function that has its name and no body; the names of the functions it calls.
pub(crate) fn emit(
    kernel: &Kernel,
    options: &Options<'_>,
    isa: &dyn TargetIsa,
    callees: Callees<'_>,
    function: &mut Function,
    context: &mut FunctionBuilderContext,
) -> Emitted<Vec<String>> {
    let mut builder = FunctionBuilder::new(function, context);
    builder.func.signature.params = vec![AbiParam::new(types::I64); 2];
    builder.func.signature.returns = vec![AbiParam::new(types::I32)];
    let entry = builder.create_block();
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    builder.seal_block(entry);
    let slots = builder.block_params(entry)[1];
    let mut emitter = Emitter::new(kernel, options, callees, builder, entry);
    emitter.blend = has_blend(isa);
    emitter.prepare(slots);
    if emitter.block(&kernel.body)? {
        let ok = emitter.builder.ins().iconst(types::I32, 0);
        emitter.leave(ok);
    }
    emitter.finish(slots);
    let names = emitter.callees.names();
    emitter.builder.finalize(isa.frontend_config());
    Ok(names)
}

/// Whether a select by a mask is one instruction.
fn has_blend(isa: &dyn TargetIsa) -> bool {
    isa.isa_flags().iter().any(|flag| flag.name == "has_sse41" && flag.as_bool() == Some(true))
}

struct Emitter<'a> {
    builder: FunctionBuilder<'a>,
    kernel: &'a Kernel,
    options: &'a Options<'a>,
    callees: Callees<'a>,
    shape: Shape,
    blend: bool,
    /// The address of the table of buffers.
    buffers: Value,
    /// Takes the status.
    exit: Block,
    /// The variables of the slots that the kernel uses, and whether it sets them.
    slots: Vec<Option<(Variable, bool)>>,
    loops: Vec<(LoopId, Value)>,
    /// Plans of the maps, in the order in which they are met.
    plans: VecDeque<Plan>,
    scratch: Option<StackSlot>,
    /// Arguments of primitives.
    words: Option<StackSlot>,
    /// What the statement at hand has computed already.
    ints: HashMap<Int, Value>,
    addresses: HashMap<Ref, Value>,
}

impl<'a> Emitter<'a> {
    fn new(
        kernel: &'a Kernel,
        options: &'a Options<'a>,
        callees: Callees<'a>,
        mut builder: FunctionBuilder<'a>,
        entry: Block,
    ) -> Emitter<'a> {
        let buffers = builder.block_params(entry)[0];
        let exit = builder.create_block();
        builder.append_block_param(exit, types::I32);
        Emitter {
            builder,
            kernel,
            options,
            callees,
            shape: Shape::of(kernel.precision),
            blend: false,
            buffers,
            exit,
            slots: Vec::new(),
            loops: Vec::new(),
            plans: VecDeque::new(),
            scratch: None,
            words: None,
            ints: HashMap::new(),
            addresses: HashMap::new(),
        }
    }

    /// Declares slots and stack memory.
    fn prepare(&mut self, slots: Value) {
        let mut uses = Uses { slots: vec![None; self.kernel.slots.len()], ..Uses::default() };
        uses.block(&self.kernel.body);
        for (number, used) in uses.slots.iter().enumerate() {
            let variable = used.map(|set| {
                let variable = self.builder.declare_var(types::I64);
                let value = self.builder.ins().load(types::I64, memory(), slots, number as i32 * 8);
                self.builder.def_var(variable, value);
                (variable, set)
            });
            self.slots.push(variable);
        }
        let shape = self.shape;
        let mut scratch = 0;
        for map in &uses.maps {
            let plan = plan::plan(self.kernel, &map.body, extent(map));
            scratch = scratch.max(self.scratch_bytes(map, &plan));
            self.plans.push_back(plan);
        }
        if uses.has_calls_in_rows || scratch > 0 {
            let bytes = scratch.max(i64::from(shape.bytes) * 16) + LINE;
            let data = StackSlotData::new(StackSlotKind::ExplicitSlot, bytes as u32, 4);
            self.scratch = Some(self.builder.create_sized_stack_slot(data));
        }
        if uses.words > 0 {
            let data = StackSlotData::new(StackSlotKind::ExplicitSlot, uses.words as u32 * 8, 3);
            self.words = Some(self.builder.create_sized_stack_slot(data));
        }
    }

    /// Writes the slots back and returns.
    fn finish(&mut self, slots: Value) {
        self.builder.switch_to_block(self.exit);
        self.builder.seal_block(self.exit);
        for (number, slot) in self.slots.clone().into_iter().enumerate() {
            if let Some((variable, true)) = slot {
                let value = self.builder.use_var(variable);
                self.builder.ins().store(memory(), value, slots, number as i32 * 8);
            }
        }
        let status = self.builder.block_params(self.exit)[0];
        self.builder.ins().return_(&[status]);
    }

    /// Ends the block at hand with a status.
    fn leave(&mut self, status: Value) {
        let exit = self.exit;
        self.builder.ins().jump(exit, &[status.into()]);
    }

    /// Goes on in a block that all who jump to it have been written for.
    fn continue_in(&mut self, block: Block) {
        self.builder.switch_to_block(block);
        self.builder.seal_block(block);
    }

    /// Runs `body` with each index of `from .. to`, by `step`; what it does may end in another block than it began.
    fn counted(
        &mut self,
        from: Value,
        to: Value,
        step: i64,
        body: impl FnOnce(&mut Self, Value) -> Emitted<()>,
    ) -> Emitted<()> {
        let (inside, after) = (self.builder.create_block(), self.builder.create_block());
        let index = self.builder.append_block_param(inside, types::I64);
        let any = self.builder.ins().icmp(IntCC::SignedLessThan, from, to);
        self.builder.ins().brif(any, inside, &[from.into()], after, &[]);
        self.builder.switch_to_block(inside);
        body(self, index)?;
        let next = self.builder.ins().iadd_imm_s(index, step);
        let more = self.builder.ins().icmp(IntCC::SignedLessThan, next, to);
        self.builder.ins().brif(more, inside, &[next.into()], after, &[]);
        self.builder.seal_block(inside);
        self.continue_in(after);
        Ok(())
    }

    /// Runs `body` if a number is positive.
    fn if_positive(&mut self, number: Value, body: impl FnOnce(&mut Self) -> Emitted<()>) -> Emitted<()> {
        let (inside, after) = (self.builder.create_block(), self.builder.create_block());
        let any = self.builder.ins().icmp_imm_s(IntCC::SignedGreaterThan, number, 0);
        self.builder.ins().brif(any, inside, &[], after, &[]);
        self.continue_in(inside);
        body(self)?;
        self.builder.ins().jump(after, &[]);
        self.continue_in(after);
        Ok(())
    }

    fn callee(&mut self, callee: Callee<'_>) -> Emitted<FuncRef> {
        self.callees.reference(callee, self.builder.func)
    }

    /// The address of the scratch memory.
    fn scratch_address(&mut self) -> Value {
        match self.scratch {
            Some(slot) => {
                let start = self.builder.ins().stack_addr(types::I64, slot, 0);
                let above = self.builder.ins().iadd_imm_s(start, LINE - 1);
                self.builder.ins().band_imm_s(above, -LINE)
            }
            None => self.builder.ins().iconst(types::I64, 0),
        }
    }

    fn iconst(&mut self, value: i64) -> Value {
        self.builder.ins().iconst(types::I64, value)
    }

    /// The elements that a tile of this map has room for: a whole number of vectors, or a single element.
    fn tile_len(&self, map: &Map) -> i64 {
        let lanes = i64::from(self.shape.lanes);
        match map.len.as_const() {
            Some(1) => 1,
            Some(len) if len <= 4 * lanes => (len + lanes - 1) / lanes * lanes,
            Some(len) => padded(len).min(TILE),
            None => TILE,
        }
    }

    /// What a map needs: its tiles, its uniform values, and a line for calls on single elements.
    fn scratch_bytes(&self, map: &Map, plan: &Plan) -> i64 {
        if !map.body.insts.iter().any(|inst| inst.is_block_call()) {
            return 0;
        }
        let tiles = i64::from(plan.tiles) * self.tile_len(map) * i64::from(self.shape.bytes);
        let uniforms = plan.uniform.iter().filter(|uniform| **uniform).count() as i64 * 16;
        tiles + uniforms + LINE
    }
}

fn extent(map: &Map) -> Extent {
    match map.len.as_const() {
        Some(1) => Extent::One,
        Some(len) if (1..=FEW).contains(&len) => Extent::Few,
        _ => Extent::Many,
    }
}

/// Buffers and scratch memory can always be accessed, at any alignment.
fn memory() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}

/// An instruction where it has no meaning: a kernel that does not verify.
fn misplaced(inst: &Inst) -> CodegenError {
    CodegenError::Backend(format!("an instruction in the wrong place: {inst:?}"))
}

/// What a kernel uses, in the order of its text.
#[derive(Default)]
struct Uses<'k> {
    /// Whether a slot is set; none for a slot that is not used.
    slots: Vec<Option<bool>>,
    maps: Vec<&'k Map>,
    has_calls_in_rows: bool,
    /// The most arguments of a primitive.
    words: usize,
}

impl<'k> Uses<'k> {
    fn block(&mut self, body: &'k [Stmt]) {
        for stmt in body {
            stmt.ints().for_each(|int| self.int(int));
            match stmt {
                Stmt::Set { slot, .. } => self.slots[slot.0 as usize] = Some(true),
                Stmt::For { body, .. } => self.block(body),
                Stmt::If { then, otherwise, .. } => {
                    self.block(then);
                    self.block(otherwise);
                }
                Stmt::Map(map) => self.maps.push(map),
                Stmt::Rows(rows) => {
                    self.has_calls_in_rows |= rows.body.insts.iter().any(|inst| inst.is_block_call());
                }
                Stmt::Call { args, .. } => self.words = self.words.max(args.len()),
                Stmt::Return { .. } | Stmt::Note(_) => {}
            }
        }
    }

    fn int(&mut self, value: &Int) {
        match value {
            Int::Slot(slot) => {
                self.slots[slot.0 as usize].get_or_insert(false);
            }
            Int::Load(place) => self.int(&place.offset),
            _ => {
                if let Some((a, b)) = value.operands() {
                    self.int(a);
                    self.int(b);
                }
            }
        }
    }
}
