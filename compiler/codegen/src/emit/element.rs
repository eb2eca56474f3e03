//! Loads and stores: whole vectors, and single elements in lane 0, with conversion between the float types.

use super::{Emitter, memory};
use crate::shape::bytes;
use cranelift_codegen::ir::{Endianness, InstBuilder, MemFlagsData, Type, Value, types};
use nnm_kir::ir::{Elem, Precision};

/// An address: a base, and bytes from there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub base: Value,
    pub distance: i32,
}

/// Bytes of a vector that a shuffle takes: the lower halves of two vectors, or the upper half of one in both places.
const LOWER_HALVES: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23];
const UPPER_HALF: [u8; 16] = [8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15];

impl Emitter<'_> {
    /// A vector of consecutive elements.
    pub fn load_vector(&mut self, elem: Elem, at: Place) -> Value {
        match (elem, self.shape.precision) {
            (Elem::F32, Precision::F64) => {
                let pair = self.builder.ins().load(types::F64, memory(), at.base, at.distance);
                let pair = self.builder.ins().scalar_to_vector(types::F64X2, pair);
                let pair = self.cast(types::F32X4, pair);
                self.builder.ins().fvpromote_low(pair)
            }
            (Elem::F64, Precision::F32) => {
                let low = self.builder.ins().load(types::F64X2, memory(), at.base, at.distance);
                let high = self.builder.ins().load(types::F64X2, memory(), at.base, at.distance + 16);
                let (low, high) = (self.builder.ins().fvdemote(low), self.builder.ins().fvdemote(high));
                self.shuffle(low, high, LOWER_HALVES)
            }
            _ => self.builder.ins().load(self.shape.vector, memory(), at.base, at.distance),
        }
    }

    /// Stores a vector to consecutive elements.
    pub fn store_vector(&mut self, elem: Elem, at: Place, value: Value) {
        match (elem, self.shape.precision) {
            (Elem::F32, Precision::F64) => {
                let pair = self.builder.ins().fvdemote(value);
                let pair = self.cast(types::F64X2, pair);
                let pair = self.builder.ins().extractlane(pair, 0);
                self.builder.ins().store(memory(), pair, at.base, at.distance);
            }
            (Elem::F64, Precision::F32) => {
                let low = self.builder.ins().fvpromote_low(value);
                let high = self.shuffle(value, value, UPPER_HALF);
                let high = self.builder.ins().fvpromote_low(high);
                self.builder.ins().store(memory(), low, at.base, at.distance);
                self.builder.ins().store(memory(), high, at.base, at.distance + 16);
            }
            _ => {
                self.builder.ins().store(memory(), value, at.base, at.distance);
            }
        }
    }

    /// One element, as a scalar of the kernel's precision.
    pub fn load_scalar(&mut self, elem: Elem, at: Place) -> Value {
        match (elem, self.shape.precision) {
            (Elem::F32, Precision::F64) => {
                let value = self.builder.ins().load(types::F32, memory(), at.base, at.distance);
                self.builder.ins().fpromote(types::F64, value)
            }
            (Elem::F64, Precision::F32) => {
                let value = self.builder.ins().load(types::F64, memory(), at.base, at.distance);
                self.builder.ins().fdemote(types::F32, value)
            }
            _ => self.builder.ins().load(self.shape.scalar, memory(), at.base, at.distance),
        }
    }

    /// One element in lane 0.
    pub fn load_lane(&mut self, elem: Elem, at: Place) -> Value {
        let value = self.load_scalar(elem, at);
        self.builder.ins().scalar_to_vector(self.shape.vector, value)
    }

    /// Stores lane 0 to one element.
    pub fn store_lane(&mut self, elem: Elem, at: Place, value: Value) {
        let value = self.builder.ins().extractlane(value, 0);
        let value = match (elem, self.shape.precision) {
            (Elem::F32, Precision::F64) => self.builder.ins().fdemote(types::F32, value),
            (Elem::F64, Precision::F32) => self.builder.ins().fpromote(types::F64, value),
            _ => value,
        };
        self.builder.ins().store(memory(), value, at.base, at.distance);
    }

    /// One element in all lanes.
    pub fn load_splat(&mut self, elem: Elem, at: Place) -> Value {
        let value = self.load_scalar(elem, at);
        self.builder.ins().splat(self.shape.vector, value)
    }

    /// The address of element `index` from `base`.
    pub fn indexed(&mut self, base: Value, index: Value, elem: Elem) -> Value {
        let distance = self.scaled(index, i64::from(bytes(elem)));
        self.builder.ins().iadd(base, distance)
    }

    /// The same bits as another type.
    pub fn cast(&mut self, to: Type, value: Value) -> Value {
        let flags = MemFlagsData::new().with_endianness(Endianness::Little);
        self.builder.ins().bitcast(to, flags, value)
    }

    fn shuffle(&mut self, a: Value, b: Value, bytes: [u8; 16]) -> Value {
        let (a, b) = (self.cast(types::I8X16, a), self.cast(types::I8X16, b));
        let mask = self.builder.func.dfg.immediates.push(bytes.to_vec().into());
        let shuffled = self.builder.ins().shuffle(a, b, mask);
        self.cast(types::F32X4, shuffled)
    }
}
