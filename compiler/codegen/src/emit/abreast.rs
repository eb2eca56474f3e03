//! Deliveries that take a vector of edges at once, where no edge can see what another does.
//!
//! That is so where each buffer that the body writes is either taken by edge alone, at one place, or only added to, once;
//! and where rows are the order of edges. Additions are then made lane after lane, so their order stays that of the edges.

use super::element::Place;
use super::rows::{Delivery, Level};
use super::uniform::Known;
use super::{Emitted, Emitter, memory, misplaced};
use cranelift_codegen::ir::{InstBuilder, Value};
use nnm_kir::insts::written_buffers;
use nnm_kir::ir::{At, BufId, Elem, Inst, Ref, Rows};

/// Bodies with less arithmetic gain nothing.
const LEAST_ARITHMETIC: usize = 2;

/// Whether edges of a delivery can be taken together.
pub(super) fn is_abreast(rows: &Rows, levels: &[Level]) -> bool {
    let insts = &rows.body.insts;
    let by_edge = |number: &usize| levels[*number] > Level::Own;
    let computes = |inst: &Inst| inst.read().is_none() && inst.written().is_none();
    let arithmetic = (0..insts.len()).filter(by_edge).filter(|number| computes(&insts[*number])).count();
    rows.edge.is_none()
        && arithmetic >= LEAST_ARITHMETIC
        && !insts.iter().any(Inst::is_block_call)
        && written_buffers(insts).into_iter().all(|buffer| is_independent(insts, buffer))
}

fn is_independent(insts: &[Inst], buffer: BufId) -> bool {
    let touching = insts.iter().filter_map(|inst| Some((inst, inst.read().or(inst.written())?)));
    let touching: Vec<(&Inst, (&Ref, &At))> = touching.filter(|(_, (place, _))| place.buffer == buffer).collect();
    let first = touching.first().map(|(_, (place, _))| *place);
    let only_edges = touching.iter().all(|(_, (place, at))| **at == At::Edge && Some(*place) == first);
    only_edges || matches!(touching[..], [(Inst::AddTo { .. }, _)])
}

impl Emitter<'_> {
    /// Values of a list entry, in all lanes.
    pub fn widened(&mut self, known: &Known) -> Known {
        let mut widen = |value: Value| {
            let ty = self.builder.func.dfg.value_type(value);
            let scalar = self.builder.ins().extractlane(value, 0);
            self.builder.ins().splat(ty, scalar)
        };
        known.iter().map(|value| value.map(&mut widen)).collect()
    }

    /// The body on as many edges from the k-th as a vector has lanes.
    pub fn edges_abreast(&mut self, delivery: &Delivery<'_>, wide: &Known, own: Value, k: Value) -> Emitted<()> {
        let mut others = Vec::new();
        if let Some(other) = delivery.other {
            let address = self.indexed(other, k, Elem::U32);
            for lane in 0..self.shape.lanes {
                others.push(self.builder.ins().uload32(memory(), address, lane as i32 * 4));
            }
        }
        let mut values = wide.clone();
        for number in delivery.at(|level| level > Level::Own) {
            let inst = &delivery.rows.body.insts[number];
            let operands: Vec<Value> = inst.operands().filter_map(|value| values[value.0 as usize]).collect();
            if operands.len() != inst.operands().count() {
                return Err(misplaced(inst));
            }
            let place = inst.read().or(inst.written()).zip(delivery.starts[number]);
            values[number] = match place {
                Some(((place, At::Edge), start)) => self.by_edge(inst, self.elem(place), start, k, &operands),
                Some(((place, At::Other), start)) if !inst.has_effect() => {
                    Some(self.by_other(self.elem(place), start, &others)?)
                }
                Some(((place, at), start)) => {
                    let elem = self.elem(place);
                    for lane in 0..self.shape.lanes {
                        let index = match at {
                            At::Other => others.get(lane as usize).copied(),
                            At::Own => Some(own),
                            _ => None,
                        };
                        let base = index.map_or(start, |index| self.indexed(start, index, elem));
                        self.add_lane(elem, Place { base, distance: 0 }, operands[0], lane);
                    }
                    None
                }
                None => Some(self.arithmetic(inst, &operands).ok_or_else(|| misplaced(inst))?),
            };
        }
        Ok(())
    }

    /// A load, a store or an addition by edge.
    fn by_edge(&mut self, inst: &Inst, elem: Elem, start: Value, k: Value, operands: &[Value]) -> Option<Value> {
        let place = Place { base: self.indexed(start, k, elem), distance: 0 };
        let value = match inst {
            Inst::Store { .. } => operands[0],
            Inst::AddTo { .. } => {
                let before = self.load_vector(elem, place);
                self.builder.ins().fadd(before, operands[0])
            }
            _ => return Some(self.load_vector(elem, place)),
        };
        self.store_vector(elem, place, value);
        None
    }

    /// The elements of the cells at the other ends.
    fn by_other(&mut self, elem: Elem, start: Value, others: &[Value]) -> Emitted<Value> {
        let mut vector = None;
        for (lane, other) in others.iter().enumerate() {
            let base = self.indexed(start, *other, elem);
            let scalar = self.load_scalar(elem, Place { base, distance: 0 });
            vector = Some(match vector {
                None => self.builder.ins().scalar_to_vector(self.shape.vector, scalar),
                Some(vector) => self.builder.ins().insertlane(vector, scalar, lane as u8),
            });
        }
        vector.ok_or_else(|| crate::CodegenError::Backend(String::from("a delivery without other ends")))
    }

    /// `to += value`, one lane of it.
    fn add_lane(&mut self, elem: Elem, to: Place, value: Value, lane: u32) {
        let scalar = self.builder.ins().extractlane(value, lane as u8);
        let vector = self.builder.ins().scalar_to_vector(self.shape.vector, scalar);
        let before = self.load_lane(elem, to);
        let sum = self.builder.ins().fadd(before, vector);
        self.store_lane(elem, to, sum);
    }
}
