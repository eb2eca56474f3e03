//! Integer expressions, conditions and addresses.

use super::{Emitted, Emitter, memory};
use crate::shape::bytes;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use nnm_kir::ir::{BufId, Cond, Elem, Int, IntCmp, Ref};
use nnm_runtime::abi::status;

impl Emitter<'_> {
    /// An integer; what the statement has computed already is not computed again.
    pub fn int(&mut self, int: &Int) -> Emitted<Value> {
        if let Int::Slot(slot) = int {
            return Ok(match self.slots[slot.0 as usize] {
                Some((variable, _)) => self.builder.use_var(variable),
                None => self.iconst(0),
            });
        }
        if let Some(known) = self.ints.get(int) {
            return Ok(*known);
        }
        let value = match int {
            Int::Const(value) => self.iconst(*value),
            Int::Loop(index) => {
                let found = self.loops.iter().rev().find(|(number, _)| number == index);
                found.map(|(_, value)| *value).unwrap_or(self.buffers)
            }
            Int::Load(place) => self.load_int(place)?,
            Int::Add(a, b) => self.offset_by(a, b)?,
            Int::Sub(a, b) => {
                let (a, b) = (self.int(a)?, self.int(b)?);
                self.builder.ins().isub(a, b)
            }
            Int::Mul(a, b) => self.multiple(a, b)?,
            Int::Div(a, b) | Int::Rem(a, b) => self.divide(a, b, matches!(int, Int::Div(..)))?,
            Int::Slot(_) => self.buffers,
        };
        self.ints.insert(int.clone(), value);
        Ok(value)
    }

    fn load_int(&mut self, place: &Ref) -> Emitted<Value> {
        let address = self.address(place)?;
        let elem = self.elem(place);
        Ok(match elem {
            Elem::I64 => self.builder.ins().load(types::I64, memory(), address, 0),
            _ => self.builder.ins().uload32(memory(), address, 0),
        })
    }

    fn offset_by(&mut self, a: &Int, b: &Int) -> Emitted<Value> {
        let value = self.int(a)?;
        if let Some(by) = b.as_const() {
            return Ok(self.builder.ins().iadd_imm_s(value, by));
        }
        let other = self.int(b)?;
        Ok(self.builder.ins().iadd(value, other))
    }

    fn multiple(&mut self, a: &Int, b: &Int) -> Emitted<Value> {
        let (value, by) = match (a.as_const(), b.as_const()) {
            (_, Some(by)) => (a, by),
            (Some(by), _) => (b, by),
            _ => {
                let (a, b) = (self.int(a)?, self.int(b)?);
                return Ok(self.builder.ins().imul(a, b));
            }
        };
        let value = self.int(value)?;
        Ok(self.scaled(value, by))
    }

    /// A multiple by a constant.
    pub fn scaled(&mut self, value: Value, by: i64) -> Value {
        match by {
            1 => value,
            by if by > 0 && by.count_ones() == 1 => {
                self.builder.ins().ishl_imm_s(value, i64::from(by.trailing_zeros()))
            }
            by => self.builder.ins().imul_imm_s(value, by),
        }
    }

    /// Quotient or remainder of a non-negative number by a positive one; a divisor that turns out to be zero ends the
    /// kernel as a bug.
    fn divide(&mut self, a: &Int, b: &Int, quotient: bool) -> Emitted<Value> {
        let value = self.int(a)?;
        if let Some(by) = b.as_const().filter(|by| *by > 0 && by.count_ones() == 1) {
            let builder = self.builder.ins();
            return Ok(match quotient {
                true => builder.ushr_imm_s(value, i64::from(by.trailing_zeros())),
                false => builder.band_imm_s(value, by - 1),
            });
        }
        if let Some(by) = b.as_const().filter(|by| *by > 0) {
            let whole = self.quotient(value, by);
            if quotient {
                return Ok(whole);
            }
            let taken = self.builder.ins().imul_imm_s(whole, by);
            return Ok(self.builder.ins().isub(value, taken));
        }
        let by = self.int(b)?;
        if b.as_const().is_none() {
            let (good, bad) = (self.builder.create_block(), self.builder.create_block());
            self.builder.set_cold_block(bad);
            self.builder.ins().brif(by, good, &[], bad, &[]);
            self.continue_in(bad);
            let bug = self.builder.ins().iconst(types::I32, i64::from(status::BUG));
            self.leave(bug);
            self.continue_in(good);
        }
        let builder = self.builder.ins();
        Ok(if quotient { builder.udiv(value, by) } else { builder.urem(value, by) })
    }

    /// Quotient of a non-negative number by a constant that is no power of two, by multiplication (Granlund and
    /// Montgomery, 1994). With 2^(l-1) < d < 2^l and m = floor(2^(63+l) / d) + 1 < 2^64, m d exceeds 2^(63+l) by at most
    /// d < 2^l, so that for x < 2^63 the quotient is exactly floor(x m / 2^(63+l)).
    fn quotient(&mut self, value: Value, by: i64) -> Value {
        let bits = 64 - by.leading_zeros();
        let magic = (1u128 << (63 + bits)) / by as u128 + 1;
        let magic = self.iconst(magic as u64 as i64);
        let high = self.builder.ins().umulhi(value, magic);
        self.builder.ins().ushr_imm_s(high, i64::from(bits) - 1)
    }

    /// Whether a condition holds, as an integer.
    pub fn cond(&mut self, cond: &Cond) -> Emitted<Value> {
        let code = match cond.op {
            IntCmp::Eq => IntCC::Equal,
            IntCmp::Ne => IntCC::NotEqual,
            IntCmp::Lt => IntCC::SignedLessThan,
            IntCmp::Le => IntCC::SignedLessThanOrEqual,
        };
        let a = self.int(&cond.a)?;
        if let Some(b) = cond.b.as_const() {
            return Ok(self.builder.ins().icmp_imm_s(code, a, b));
        }
        let b = self.int(&cond.b)?;
        Ok(self.builder.ins().icmp(code, a, b))
    }

    /// The address of a place.
    pub fn address(&mut self, place: &Ref) -> Emitted<Value> {
        if let Some(known) = self.addresses.get(place) {
            return Ok(*known);
        }
        let base = self.base(place.buffer);
        let size = i64::from(bytes(self.elem(place)));
        let address = match place.offset.as_const() {
            Some(0) => base,
            Some(offset) => self.builder.ins().iadd_imm_s(base, offset.wrapping_mul(size)),
            None => {
                let offset = self.int(&place.offset)?;
                let distance = self.scaled(offset, size);
                self.builder.ins().iadd(base, distance)
            }
        };
        self.addresses.insert(place.clone(), address);
        Ok(address)
    }

    /// The address of a buffer.
    fn base(&mut self, buffer: BufId) -> Value {
        let table = self.buffers;
        self.builder.ins().load(types::I64, memory(), table, buffer.0 as i32 * 8)
    }

    /// What the buffer of a place holds.
    pub fn elem(&self, place: &Ref) -> Elem {
        crate::plan::elem_of(self.kernel, place)
    }

    /// Starts a statement: what was computed before may no longer hold.
    pub fn forget(&mut self) {
        self.ints.clear();
        self.addresses.clear();
    }
}
