//! Maps: one fused loop, or tiles with block calls between segments of arithmetic.

use super::element::Place;
use super::segment::{Count, Start, Tile};
use super::uniform::Known;
use super::{Emitted, Emitter, memory};
use crate::plan::{Call, Home, Plan};
use cranelift_codegen::ir::{InstBuilder, Type, Value};
use nnm_kir::ir::{At, Elem, Inst, Map, Val};
use std::collections::BTreeMap;

/// Where the parts of a map's scratch memory begin, in bytes.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    /// Bytes of a tile; tiles come first.
    pub tile: i64,
    uniforms: i64,
    /// For block calls on one element.
    pub line: i64,
}

/// Where a uniform value is while segments run.
#[derive(Clone, Copy, Debug)]
pub(super) enum Uniform {
    Constant(f64),
    Value(Value),
    /// In scratch memory, for calls leave no vector register alone; and the type.
    Saved(Place, Type),
}

impl Emitter<'_> {
    pub fn map(&mut self, map: &Map, plan: &Plan) -> Emitted<()> {
        match map.len.as_const() {
            Some(len) if len <= 0 => Ok(()),
            Some(len) => self.elements(map, plan, Count::Known(len)),
            None => {
                let len = self.int(&map.len)?;
                self.if_positive(len, |emitter| emitter.elements(map, plan, Count::Given(len)))
            }
        }
    }

    fn elements(&mut self, map: &Map, plan: &Plan, count: Count) -> Emitted<()> {
        let insts = &map.body.insts;
        let layout = self.layout(map, plan);
        let scratch = if self.scratch_bytes(map, plan) > 0 { Some(self.scratch_address()) } else { None };
        let line = scratch.map(|base| Place { base, distance: layout.line as i32 });
        let known = self.uniforms(insts, &plan.uniform, &plan.kept, line)?;
        let starts = self.starts(insts)?;
        if !plan.has_calls() {
            let uniforms = insts.iter().zip(&known).map(|(inst, known)| found(inst, *known)).collect();
            let tile = Tile { insts, uniforms, starts, scratch, layout, count, first: None };
            return plan.segments.iter().try_for_each(|segment| self.segment(segment, &tile));
        }
        let scratch_base = scratch.unwrap_or(self.buffers);
        for (value, home) in &plan.fills {
            if let (Home::Tile(number), Some(uniform)) = (home, known[value.0 as usize]) {
                let to = Place { base: scratch_base, distance: (i64::from(*number) * layout.tile) as i32 };
                self.fill(to, uniform, self.tile_len(map))?;
            }
        }
        let uniforms = self.save(insts, &known, Place { base: scratch_base, distance: layout.uniforms as i32 });
        // integers that draws need are computed before the loop over tiles
        for int in insts.iter().filter(|inst| inst.is_block_call()).flat_map(Inst::ints) {
            self.int(int)?;
        }
        self.tiles(map, plan, Tile { insts, uniforms, starts, scratch, layout, count, first: None })
    }

    /// Runs the tiles one after another; a short map of known length is one tile.
    fn tiles(&mut self, map: &Map, plan: &Plan, whole: Tile<'_>) -> Emitted<()> {
        let len = self.tile_len(map);
        let count = match whole.count {
            Count::Known(count) if count <= len => return self.tile(plan, &whole),
            Count::Known(count) => self.iconst(count),
            Count::Given(count) => count,
        };
        let all_whole = matches!(whole.count, Count::Known(count) if count % len == 0);
        let start = self.iconst(0);
        self.counted(start, count, len, |emitter, first| {
            let starts = emitter.moved_starts(&whole, first);
            let count = if all_whole {
                Count::Known(len)
            } else {
                let rest = emitter.builder.ins().isub(count, first);
                let most = emitter.iconst(len);
                Count::Given(emitter.builder.ins().smin(rest, most))
            };
            let tile = Tile { starts, count, first: Some(first), uniforms: whole.uniforms.clone(), ..whole };
            emitter.tile(plan, &tile)
        })
    }

    fn tile(&mut self, plan: &Plan, tile: &Tile<'_>) -> Emitted<()> {
        for (number, calls) in plan.boundaries.iter().enumerate() {
            for call in calls {
                self.tile_call(call, tile)?;
            }
            if let Some(segment) = plan.segments.get(number) {
                self.segment(segment, tile)?;
            }
        }
        Ok(())
    }

    fn tile_call(&mut self, call: &Call, tile: &Tile<'_>) -> Emitted<()> {
        let mut args = Vec::new();
        for home in &call.args {
            let place = self.home(*home, tile);
            args.push(self.at(place));
        }
        let result = self.home(call.result, tile);
        let result = self.at(result);
        let count = match tile.count {
            Count::Known(_) if call.tiles > 1 => {
                self.iconst(i64::from(call.tiles) * tile.layout.tile / i64::from(self.shape.bytes))
            }
            Count::Known(count) => self.iconst(count),
            Count::Given(count) => count,
        };
        self.block_call(&tile.insts[call.inst.0 as usize], result, &args, count, tile.first)
    }

    /// Where a value's first element in this tile is.
    pub fn home(&mut self, home: Home, tile: &Tile<'_>) -> Place {
        let nowhere = self.buffers;
        match home {
            Home::Tile(number) => {
                Place { base: tile.scratch.unwrap_or(nowhere), distance: (i64::from(number) * tile.layout.tile) as i32 }
            }
            Home::Place(Val(number)) => {
                Place { base: tile.starts[number as usize].map_or(nowhere, |(start, _)| start), distance: 0 }
            }
        }
    }

    pub fn layout(&self, map: &Map, plan: &Plan) -> Layout {
        let tile = self.tile_len(map) * i64::from(self.shape.bytes);
        let uniforms = i64::from(plan.tiles) * tile;
        let line = uniforms + plan.uniform.iter().filter(|uniform| **uniform).count() as i64 * 16;
        Layout { tile, uniforms, line }
    }

    /// The addresses of the first elements: of what is loaded and stored one by one, and of gathers with their indices.
    fn starts(&mut self, insts: &[Inst]) -> Emitted<Vec<Option<Start>>> {
        let mut starts = Vec::new();
        for inst in insts {
            starts.push(match (inst.read().or(inst.written()), inst) {
                (Some((place, At::Unit)), _) => Some((self.address(place)?, None)),
                (Some((place, At::Gather(index))), _) => Some((self.address(place)?, Some(self.address(index)?))),
                _ => None,
            });
        }
        Ok(starts)
    }

    /// The same for the tile that begins at element `first`.
    fn moved_starts(&mut self, whole: &Tile<'_>, first: Value) -> Vec<Option<Start>> {
        let mut known: BTreeMap<Value, Value> = BTreeMap::new();
        let mut moved = |emitter: &mut Self, start: Value, elem: Elem| {
            *known.entry(start).or_insert_with(|| emitter.indexed(start, first, elem))
        };
        let mut starts = Vec::new();
        for (inst, start) in whole.insts.iter().zip(&whole.starts) {
            let elem = inst.read().or(inst.written()).map_or(Elem::F64, |(place, _)| self.elem(place));
            starts.push(match *start {
                Some((start, Some(index))) => Some((start, Some(moved(self, index, Elem::U32)))),
                Some((start, None)) => Some((moved(self, start, elem), None)),
                None => None,
            });
        }
        starts
    }

    /// Leaves uniform values in scratch memory.
    fn save(&mut self, insts: &[Inst], known: &Known, to: Place) -> Vec<Option<Uniform>> {
        let mut distance = to.distance;
        let mut saved = Vec::new();
        for (inst, known) in insts.iter().zip(known) {
            let mut uniform = found(inst, *known);
            if let Some(Uniform::Value(value)) = uniform {
                let place = Place { base: to.base, distance };
                self.builder.ins().store(memory(), value, place.base, place.distance);
                uniform = Some(Uniform::Saved(place, self.builder.func.dfg.value_type(value)));
                distance += 16;
            }
            saved.push(uniform);
        }
        saved
    }
}

fn found(inst: &Inst, known: Option<Value>) -> Option<Uniform> {
    match (inst, known) {
        (Inst::Const(value), _) => Some(Uniform::Constant(*value)),
        (_, Some(value)) => Some(Uniform::Value(value)),
        _ => None,
    }
}
