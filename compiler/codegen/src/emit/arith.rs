//! Instructions on vectors: each lane is one element, so lane 0 of a scalar has the bits of a map's elements.

use super::Emitter;
use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use nnm_kir::ir::{Binary, Compare, Inst, Precision, Unary};

impl Emitter<'_> {
    /// An instruction that only computes, on the vectors of its operands in written order.
    pub fn arithmetic(&mut self, inst: &Inst, operands: &[Value]) -> Option<Value> {
        Some(match (inst, operands) {
            (Inst::Const(value), _) => self.constant(*value),
            (Inst::Unary { op, .. }, &[a]) => self.unary(*op, a),
            (Inst::Binary { op, .. }, &[a, b]) => self.binary(*op, a, b),
            (Inst::Fma { .. }, &[a, b, c]) => self.builder.ins().fma(a, b, c),
            (Inst::Compare { op, .. }, &[a, b]) => self.compare(*op, a, b),
            (Inst::And { .. }, &[a, b]) => self.builder.ins().band(a, b),
            (Inst::Or { .. }, &[a, b]) => self.builder.ins().bor(a, b),
            (Inst::Not { .. }, &[a]) => self.builder.ins().bnot(a),
            (Inst::Select { .. }, &[mask, a, b]) => self.select(mask, a, b),
            _ => return None,
        })
    }

    fn unary(&mut self, op: Unary, a: Value) -> Value {
        let builder = self.builder.ins();
        match op {
            Unary::Neg => builder.fneg(a),
            Unary::Abs => builder.fabs(a),
            Unary::Sqrt => builder.sqrt(a),
            Unary::Floor => builder.floor(a),
            Unary::Ceil => builder.ceil(a),
            Unary::Trunc => builder.trunc(a),
            Unary::Round => builder.nearest(a),
        }
    }

    fn binary(&mut self, op: Binary, a: Value, b: Value) -> Value {
        match op {
            Binary::Add => self.builder.ins().fadd(a, b),
            Binary::Sub => self.builder.ins().fsub(a, b),
            Binary::Mul => self.builder.ins().fmul(a, b),
            Binary::Div => self.builder.ins().fdiv(a, b),
            // the forms of which the back end makes one instruction
            Binary::Min => self.pick(a, b, a, b),
            Binary::Max => self.pick(b, a, a, b),
        }
    }

    /// `x < y ? a : b`
    fn pick(&mut self, x: Value, y: Value, a: Value, b: Value) -> Value {
        let mask = self.builder.ins().fcmp(FloatCC::LessThan, x, y);
        let mask = self.cast(self.shape.vector, mask);
        self.builder.ins().bitselect(mask, a, b)
    }

    fn compare(&mut self, op: Compare, a: Value, b: Value) -> Value {
        let code = match op {
            Compare::Eq => FloatCC::Equal,
            Compare::Ne => FloatCC::NotEqual,
            Compare::Lt => FloatCC::LessThan,
            Compare::Le => FloatCC::LessThanOrEqual,
            Compare::Gt => FloatCC::GreaterThan,
            Compare::Ge => FloatCC::GreaterThanOrEqual,
        };
        self.builder.ins().fcmp(code, a, b)
    }

    /// Lanes of a mask are all ones or all zeros, so blending by their upper bits is selecting by all bits.
    fn select(&mut self, mask: Value, a: Value, b: Value) -> Value {
        if self.blend {
            let (a, b) = (self.cast(self.shape.mask, a), self.cast(self.shape.mask, b));
            let blended = self.builder.ins().blendv(mask, a, b);
            return self.cast(self.shape.vector, blended);
        }
        let mask = self.cast(self.shape.vector, mask);
        self.builder.ins().bitselect(mask, a, b)
    }

    /// A constant in all lanes.
    pub fn constant(&mut self, value: f64) -> Value {
        let bytes: Vec<u8> = match self.shape.precision {
            Precision::F32 => (value as f32).to_le_bytes().repeat(4),
            Precision::F64 => value.to_le_bytes().repeat(2),
        };
        let constant = self.builder.func.dfg.constants.insert(bytes.into());
        self.builder.ins().vconst(self.shape.vector, constant)
    }

    /// An integer as a real, in all lanes.
    pub fn real_of(&mut self, value: Value) -> Value {
        let scalar = self.builder.ins().fcvt_from_sint(self.shape.scalar, value);
        self.builder.ins().splat(self.shape.vector, scalar)
    }

    /// The numbers `first + 0, first + 1, ..` as reals; they stay below 2^31.
    pub fn numbers_from(&mut self, first: Value, distance: i64) -> Value {
        match self.shape.precision {
            Precision::F32 => {
                let first = self.builder.ins().ireduce(types::I32, first);
                let first = self.builder.ins().splat(types::I32X4, first);
                let steps: Vec<u8> = (0..4).flat_map(|lane| (distance as i32 + lane).to_le_bytes()).collect();
                let constant = self.builder.func.dfg.constants.insert(steps.into());
                let steps = self.builder.ins().vconst(types::I32X4, constant);
                let numbers = self.builder.ins().iadd(first, steps);
                self.builder.ins().fcvt_from_sint(types::F32X4, numbers)
            }
            Precision::F64 => {
                let first = self.real_of(first);
                let steps: Vec<u8> = (0..2).flat_map(|lane| ((distance + lane) as f64).to_le_bytes()).collect();
                let constant = self.builder.func.dfg.constants.insert(steps.into());
                let steps = self.builder.ins().vconst(types::F64X2, constant);
                self.builder.ins().fadd(first, steps)
            }
        }
    }
}
