//! Segments: one loop over the elements of a tile, several vectors at a time, instruction by instruction.
//!
//! The copies of an instruction for neighbouring vectors stand side by side, so that their latencies overlap: the back
//! end keeps this order. How many there are follows from how many values are alive at once, for there are 16 registers.

use super::element::Place;
use super::map::{Layout, Uniform};
use super::{Emitted, Emitter, memory, misplaced};
use crate::plan::{Home, Item, Segment};
use crate::shape::bytes;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use nnm_kir::insts::Gives;
use nnm_kir::ir::{At, Elem, Inst, Val};

/// How many elements a tile has.
#[derive(Clone, Copy)]
pub(super) enum Count {
    Known(i64),
    Given(Value),
}

/// The address of a load's or store's first element, for a gather of its base and of its first index.
pub(super) type Start = (Value, Option<Value>);

/// The elements at hand and where everything of them is.
pub(super) struct Tile<'a> {
    pub insts: &'a [Inst],
    pub uniforms: Vec<Option<Uniform>>,
    /// By instruction.
    pub starts: Vec<Option<Start>>,
    pub scratch: Option<Value>,
    pub layout: Layout,
    pub count: Count,
    /// The number of the tile's first element, if there are several tiles.
    pub first: Option<Value>,
}

/// Registers for values and uniform values together.
const REGISTERS: usize = 15;
/// A tile of at most this many vectors, and vectors times instructions, is written out without a loop.
const STRAIGHT: i64 = 8;
const STRAIGHT_ITEMS: i64 = 400;

/// Neighbouring vectors that are computed together.
struct Strip {
    /// The number of the first element, where there is a loop.
    index: Option<Value>,
    /// Elements from there to the first vector.
    first: i64,
    copies: usize,
    /// The most an index may be gathered at.
    last: Option<Limit>,
}

#[derive(Clone, Copy)]
enum Limit {
    Known(i64),
    Given(Value),
}

/// The state of one strip.
struct Values {
    /// By instruction and copy.
    of: Vec<Vec<Value>>,
    /// The index times 4 and times 8.
    scaled: [Option<Value>; 2],
}

impl Emitter<'_> {
    pub fn segment(&mut self, segment: &Segment, tile: &Tile<'_>) -> Emitted<()> {
        if segment.items.is_empty() {
            return Ok(());
        }
        let alive = most_alive(segment, tile);
        let lanes = i64::from(self.shape.lanes);
        let copies = self.copies(tile, alive);
        if let Count::Known(count) = tile.count {
            let vectors = (count + lanes - 1) / lanes;
            let items = segment.items.len() as i64;
            if vectors <= copies as i64 || (vectors <= STRAIGHT && vectors * items <= STRAIGHT_ITEMS) {
                return self.straight(segment, tile, vectors, copies as i64);
            }
        }
        let room = REGISTERS.saturating_sub(copies * alive).max(2);
        let uniforms = self.hoist(segment, tile, room);
        let tile = Tile { uniforms, starts: tile.starts.clone(), ..*tile };
        let step = lanes * copies as i64;
        let (end, last) = match tile.count {
            Count::Known(count) => {
                let last = if count % step == 0 { None } else { Some(Limit::Given(self.iconst(count - 1))) };
                (self.iconst(count), last)
            }
            Count::Given(count) if has_gather(segment, &tile) => {
                (count, Some(Limit::Given(self.builder.ins().iadd_imm_s(count, -1))))
            }
            Count::Given(count) => (count, None),
        };
        let start = self.iconst(0);
        self.counted(start, end, step, |emitter, index| {
            emitter.strip(segment, &tile, &Strip { index: Some(index), first: 0, copies, last })
        })
    }

    /// How many vectors are computed together: as many as registers allow, and as scratch tiles have room for.
    fn copies(&self, tile: &Tile<'_>, alive: usize) -> usize {
        let most = self.options.unroll.unwrap_or(4).clamp(1, 4) as usize;
        let fits = |copies: usize| match tile.count {
            Count::Known(count) if tile.scratch.is_some() => {
                let step = i64::from(self.shape.lanes) * copies as i64;
                (count + step - 1) / step * step * i64::from(self.shape.bytes) <= tile.layout.tile
            }
            _ => true,
        };
        let possible = |copies: &usize| *copies <= most && copies * alive <= 12 && fits(*copies);
        [4, 2, 1].into_iter().find(possible).unwrap_or(1)
    }

    /// All vectors without a loop.
    fn straight(&mut self, segment: &Segment, tile: &Tile<'_>, vectors: i64, copies: i64) -> Emitted<()> {
        let last = match tile.count {
            Count::Known(count) => Some(Limit::Known(count - 1)),
            Count::Given(_) => None,
        };
        let mut done = 0;
        while done < vectors {
            let copies = copies.min(vectors - done);
            let first = done * i64::from(self.shape.lanes);
            self.strip(segment, tile, &Strip { index: None, first, copies: copies as usize, last })?;
            done += copies;
        }
        Ok(())
    }

    /// Brings the uniform values that are used most into registers.
    fn hoist(&mut self, segment: &Segment, tile: &Tile<'_>, room: usize) -> Vec<Option<Uniform>> {
        let mut uses = vec![0u32; tile.insts.len()];
        for item in &segment.items {
            if let Item::Compute(value) = item {
                tile.insts[value.0 as usize].operands().for_each(|operand| uses[operand.0 as usize] += 1);
            }
        }
        let mut uniforms = tile.uniforms.clone();
        let is_used = |number: &usize| uses[*number] > 0 && uniforms[*number].is_some();
        let mut order: Vec<usize> = (0..uses.len()).filter(is_used).collect();
        order.sort_by_key(|number| (std::cmp::Reverse(uses[*number]), *number));
        order.truncate(room);
        for number in order {
            if let Some(uniform) = uniforms[number] {
                uniforms[number] = Some(Uniform::Value(self.uniform_value(uniform)));
            }
        }
        uniforms
    }

    fn uniform_value(&mut self, uniform: Uniform) -> Value {
        match uniform {
            Uniform::Constant(value) => self.constant(value),
            Uniform::Value(value) => value,
            Uniform::Saved(place, ty) => self.builder.ins().load(ty, memory(), place.base, place.distance),
        }
    }

    fn strip(&mut self, segment: &Segment, tile: &Tile<'_>, strip: &Strip) -> Emitted<()> {
        let mut values = Values { of: vec![Vec::new(); tile.insts.len()], scaled: [None; 2] };
        for item in &segment.items {
            match *item {
                Item::Compute(value) => self.compute(value, tile, strip, &mut values)?,
                Item::Reload(value, home) => {
                    for copy in 0..strip.copies {
                        let place = self.home_element(home, tile, strip, copy, &mut values);
                        let loaded = self.load_spilled(tile, place);
                        let is_mask = tile.insts[value.0 as usize].gives() == Gives::Mask;
                        let loaded = if is_mask { self.cast(self.shape.mask, loaded) } else { loaded };
                        values.of[value.0 as usize].push(loaded);
                    }
                }
                Item::Spill(value, home) => {
                    for copy in 0..strip.copies {
                        let place = self.home_element(home, tile, strip, copy, &mut values);
                        let spilled = values.of[value.0 as usize][copy];
                        let is_mask = tile.insts[value.0 as usize].gives() == Gives::Mask;
                        let spilled = if is_mask { self.cast(self.shape.vector, spilled) } else { spilled };
                        self.spill(tile, place, spilled);
                    }
                }
            }
        }
        Ok(())
    }

    /// A vector from a tile, or the single element of it.
    fn load_spilled(&mut self, tile: &Tile<'_>, place: Place) -> Value {
        let elem = self.shape.elem();
        if self.is_single(tile) { self.load_lane(elem, place) } else { self.load_vector(elem, place) }
    }

    fn spill(&mut self, tile: &Tile<'_>, place: Place, value: Value) {
        let elem = self.shape.elem();
        if self.is_single(tile) { self.store_lane(elem, place, value) } else { self.store_vector(elem, place, value) }
    }

    /// Whether a tile has room for no more than one element.
    fn is_single(&self, tile: &Tile<'_>) -> bool {
        tile.layout.tile == i64::from(self.shape.bytes)
    }

    /// All copies of one instruction.
    fn compute(&mut self, value: Val, tile: &Tile<'_>, strip: &Strip, values: &mut Values) -> Emitted<()> {
        let inst = &tile.insts[value.0 as usize];
        // a constant that found no register is loaded once for all copies
        let mut constants: Vec<(Val, Value)> = Vec::new();
        for copy in 0..strip.copies {
            let mut operands = Vec::new();
            for operand in inst.operands() {
                operands.push(match tile.uniforms[operand.0 as usize] {
                    Some(Uniform::Constant(constant)) => match constants.iter().find(|(known, _)| *known == operand) {
                        Some((_, made)) => *made,
                        None => {
                            let made = self.constant(constant);
                            constants.push((operand, made));
                            made
                        }
                    },
                    Some(uniform) => self.uniform_value(uniform),
                    None => values.of[operand.0 as usize].get(copy).copied().ok_or_else(|| misplaced(inst))?,
                });
            }
            let result = match inst {
                Inst::Load { from, at: At::Unit } => {
                    let elem = self.elem(from);
                    let place = self.element(value, elem, tile, strip, copy, values);
                    self.load_vector(elem, place)
                }
                Inst::Load { at: At::Gather(_), .. } => self.gather(value, tile, strip, copy)?,
                Inst::Index => self.numbers(tile, strip, copy),
                Inst::Store { to, .. } => {
                    let elem = self.elem(to);
                    let place = self.element(value, elem, tile, strip, copy, values);
                    self.store_vector(elem, place, operands[0]);
                    continue;
                }
                _ => self.arithmetic(inst, &operands).ok_or_else(|| misplaced(inst))?,
            };
            values.of[value.0 as usize].push(result);
        }
        Ok(())
    }

    /// The elements that one copy of a load or store takes.
    fn element(
        &mut self,
        value: Val,
        elem: Elem,
        tile: &Tile<'_>,
        strip: &Strip,
        copy: usize,
        values: &mut Values,
    ) -> Place {
        let base = self.home(Home::Place(value), tile);
        self.nth(base, elem, strip, copy, values)
    }

    fn home_element(&mut self, home: Home, tile: &Tile<'_>, strip: &Strip, copy: usize, values: &mut Values) -> Place {
        let base = self.home(home, tile);
        self.nth(base, self.shape.elem(), strip, copy, values)
    }

    /// From the first element of a tile to the first of a copy.
    fn nth(&mut self, start: Place, elem: Elem, strip: &Strip, copy: usize, values: &mut Values) -> Place {
        let size = i64::from(bytes(elem));
        let elements = strip.first + copy as i64 * i64::from(self.shape.lanes);
        let distance = start.distance + (elements * size) as i32;
        let Some(index) = strip.index else { return Place { base: start.base, distance } };
        let which = usize::from(size == 8);
        let scaled = match values.scaled[which] {
            Some(scaled) => scaled,
            None => self.scaled(index, size),
        };
        values.scaled[which] = Some(scaled);
        Place { base: self.builder.ins().iadd(start.base, scaled), distance }
    }

    /// Elements by index; beyond the map's end the last index is taken again.
    fn gather(&mut self, value: Val, tile: &Tile<'_>, strip: &Strip, copy: usize) -> Emitted<Value> {
        let inst = &tile.insts[value.0 as usize];
        let (Some((start, Some(indices))), Inst::Load { from, .. }) = (tile.starts[value.0 as usize], inst) else {
            return Err(misplaced(inst));
        };
        let elem = self.elem(from);
        let mut vector = None;
        for lane in 0..self.shape.lanes {
            let number = strip.first + copy as i64 * i64::from(self.shape.lanes) + i64::from(lane);
            let address = self.index_address(indices, number, strip);
            let index = self.builder.ins().uload32(memory(), address.base, address.distance);
            let base = self.indexed(start, index, elem);
            let scalar = self.load_scalar(elem, Place { base, distance: 0 });
            vector = Some(match vector {
                None => self.builder.ins().scalar_to_vector(self.shape.vector, scalar),
                Some(vector) => self.builder.ins().insertlane(vector, scalar, lane as u8),
            });
        }
        vector.ok_or_else(|| misplaced(inst))
    }

    fn index_address(&mut self, indices: Value, number: i64, strip: &Strip) -> Place {
        match (strip.index, strip.last) {
            (None, Some(Limit::Known(last))) => Place { base: indices, distance: (number.min(last) * 4) as i32 },
            (Some(index), Some(Limit::Given(last))) => {
                let number = self.builder.ins().iadd_imm_s(index, number);
                let number = self.builder.ins().umin(number, last);
                Place { base: self.indexed(indices, number, Elem::U32), distance: 0 }
            }
            (Some(index), _) => Place { base: self.indexed(indices, index, Elem::U32), distance: (number * 4) as i32 },
            (None, _) => Place { base: indices, distance: (number * 4) as i32 },
        }
    }

    fn numbers(&mut self, tile: &Tile<'_>, strip: &Strip, copy: usize) -> Value {
        let distance = strip.first + copy as i64 * i64::from(self.shape.lanes);
        let index = match (tile.first, strip.index) {
            (Some(first), Some(index)) => self.builder.ins().iadd(first, index),
            (Some(index), None) | (None, Some(index)) => index,
            (None, None) => self.builder.ins().iconst(types::I64, 0),
        };
        self.numbers_from(index, distance)
    }
}

fn has_gather(segment: &Segment, tile: &Tile<'_>) -> bool {
    segment.items.iter().any(|item| {
        matches!(item, Item::Compute(value)
            if matches!(tile.insts[value.0 as usize], Inst::Load { at: At::Gather(_), .. }))
    })
}

/// How many values of one copy are alive at once, at most.
fn most_alive(segment: &Segment, tile: &Tile<'_>) -> usize {
    let mut alive = std::collections::BTreeSet::new();
    let mut most = 1;
    for item in segment.items.iter().rev() {
        match item {
            Item::Compute(value) => {
                alive.remove(value);
                let operands = tile.insts[value.0 as usize].operands();
                alive.extend(operands.filter(|operand| tile.uniforms[operand.0 as usize].is_none()));
            }
            Item::Reload(value, _) => {
                alive.remove(value);
            }
            Item::Spill(value, _) => {
                alive.insert(*value);
            }
        }
        most = most.max(alive.len());
    }
    most
}
