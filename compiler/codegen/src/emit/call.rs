//! Calls of block functions: on tiles, and on single elements through a line of scratch memory.

use super::element::Place;
use super::{Emitted, Emitter, memory};
use crate::callees::Callee;
use cranelift_codegen::ir::{InstBuilder, Value};
use nnm_kir::ir::Inst;

impl Emitter<'_> {
    /// Calls a block function on `count` elements. `first` is the number of the first element, for draws.
    pub fn block_call(
        &mut self,
        inst: &Inst,
        result: Value,
        args: &[Value],
        count: Value,
        first: Option<Value>,
    ) -> Emitted<()> {
        let mut words = vec![result];
        words.extend_from_slice(args);
        words.push(count);
        let callee = match inst {
            Inst::Math { f, .. } => Callee::Math(*f),
            Inst::Draw { draw, key, step, base, .. } => {
                let (key, step) = (self.iconst(*key as i64), self.int(step)?);
                let base = self.int(base)?;
                let base = first.map_or(base, |first| self.builder.ins().iadd(base, first));
                words.extend([key, step, base]);
                Callee::Draw(*draw)
            }
            _ => return Ok(()),
        };
        let callee = self.callee(callee)?;
        self.builder.ins().call(callee, &words);
        Ok(())
    }

    /// Calls a block function on lane 0 of its arguments; the address of the result.
    pub fn single_call(&mut self, inst: &Inst, args: &[Value], line: Place, first: Option<Value>) -> Emitted<Place> {
        let elem = self.shape.elem();
        let mut addresses = Vec::new();
        for (number, arg) in args.iter().enumerate() {
            let cell = Place { base: line.base, distance: line.distance + 16 * (number as i32 + 1) };
            self.store_lane(elem, cell, *arg);
            addresses.push(self.at(cell));
        }
        let result = self.at(line);
        let one = self.iconst(1);
        self.block_call(inst, result, &addresses, one, first)?;
        Ok(line)
    }

    /// The address of a place.
    pub fn at(&mut self, place: Place) -> Value {
        match place.distance {
            0 => place.base,
            distance => self.builder.ins().iadd_imm_s(place.base, i64::from(distance)),
        }
    }

    /// Fills `count` elements, a whole number of vectors or one element, with one value.
    pub fn fill(&mut self, to: Place, value: Value, count: i64) -> Emitted<()> {
        let elem = self.shape.elem();
        if count == 1 {
            self.store_lane(elem, to, value);
            return Ok(());
        }
        let (start, end) = (self.iconst(0), self.iconst(count));
        self.counted(start, end, i64::from(self.shape.lanes), |emitter, index| {
            let address = emitter.indexed(to.base, index, elem);
            emitter.builder.ins().store(memory(), value, address, to.distance);
            Ok(())
        })
    }
}
