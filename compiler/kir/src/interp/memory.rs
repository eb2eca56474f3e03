//! The buffers of a run: every read and write is held against the declared length.

use super::real::{Real, each};
use crate::ir::{BufId, Buffer, Elem};
use crate::names::Named;
use nnm_runtime::memory::Aligned;

/// A buffer's elements.
enum Cells<'a> {
    F32(&'a mut [f32]),
    F64(&'a mut [f64]),
    U32(&'a mut [u32]),
    I64(&'a mut [i64]),
}

impl<'a> Cells<'a> {
    fn of(memory: &'a mut Aligned, elem: Elem) -> Cells<'a> {
        match elem {
            Elem::F32 => Cells::F32(memory.f32_mut()),
            Elem::F64 => Cells::F64(memory.f64_mut()),
            Elem::U32 => Cells::U32(memory.u32_mut()),
            Elem::I64 => Cells::I64(memory.i64_mut()),
        }
    }

    fn len(&self) -> usize {
        match self {
            Cells::F32(cells) => cells.len(),
            Cells::F64(cells) => cells.len(),
            Cells::U32(cells) => cells.len(),
            Cells::I64(cells) => cells.len(),
        }
    }

    /// The address of element `at`, or of the place after the last.
    fn address(&mut self, at: usize) -> *mut u8 {
        match self {
            Cells::F32(cells) => cells[at..].as_mut_ptr().cast(),
            Cells::F64(cells) => cells[at..].as_mut_ptr().cast(),
            Cells::U32(cells) => cells[at..].as_mut_ptr().cast(),
            Cells::I64(cells) => cells[at..].as_mut_ptr().cast(),
        }
    }
}

pub(super) struct Memory<'a> {
    buffers: &'a [Buffer],
    cells: Vec<Cells<'a>>,
}

type Checked<T> = Result<T, String>;

impl<'a> Memory<'a> {
    /// Buffers and their memory, in the same order.
    pub fn new(buffers: &'a [Buffer], memory: &'a mut [Aligned]) -> Checked<Memory<'a>> {
        if buffers.len() != memory.len() {
            return Err(format!("the kernel has {} buffers, given {}", buffers.len(), memory.len()));
        }
        let cells: Vec<Cells> =
            buffers.iter().zip(memory).map(|(buffer, memory)| Cells::of(memory, buffer.elem)).collect();
        for (buffer, given) in buffers.iter().zip(&cells) {
            if (given.len() as u64) < buffer.len {
                let (name, elem) = (&buffer.name, buffer.elem.name());
                return Err(format!(
                    "`{name}` has {} elements of {elem}, given memory for {}",
                    buffer.len,
                    given.len()
                ));
            }
        }
        Ok(Memory { buffers, cells })
    }

    pub fn len(&self, id: BufId) -> i64 {
        self.buffers[id.0 as usize].len as i64
    }

    pub fn name(&self, id: BufId) -> &str {
        &self.buffers[id.0 as usize].name
    }

    /// The elements `start .. start + count` lie in the buffer.
    pub fn check(&self, id: BufId, start: i64, count: usize) -> Checked<usize> {
        let len = self.len(id);
        let end = start.checked_add(count as i64);
        if start >= 0 && end.is_some_and(|end| end <= len) {
            return Ok(start as usize);
        }
        let name = self.name(id);
        match count {
            1 => Err(format!("element {start} of `{name}` is outside its {len}")),
            _ => Err(format!("elements {start} .. {start} + {count} of `{name}` are outside its {len}")),
        }
    }

    /// One element of a buffer of integers.
    pub fn int(&self, id: BufId, at: i64) -> Checked<i64> {
        let at = self.check(id, at, 1)?;
        match &self.cells[id.0 as usize] {
            Cells::U32(cells) => Ok(i64::from(cells[at])),
            Cells::I64(cells) => Ok(cells[at]),
            _ => Err(format!("`{}` holds no integers", self.name(id))),
        }
    }

    pub fn load<T: Real>(&self, id: BufId, start: i64, out: &mut [T]) -> Checked<()> {
        let start = self.check(id, start, out.len())?;
        match &self.cells[id.0 as usize] {
            Cells::F32(cells) => each(out, &cells[start..], T::from_f32),
            Cells::F64(cells) => each(out, &cells[start..], T::from_f64),
            _ => return Err(format!("`{}` holds no reals", self.name(id))),
        }
        Ok(())
    }

    pub fn load_one<T: Real>(&self, id: BufId, at: i64) -> Checked<T> {
        let mut value = [T::default()];
        self.load(id, at, &mut value)?;
        Ok(value[0])
    }

    pub fn store<T: Real>(&mut self, id: BufId, start: i64, values: &[T]) -> Checked<()> {
        let start = self.check(id, start, values.len())?;
        match &mut self.cells[id.0 as usize] {
            Cells::F32(cells) => each(&mut cells[start..], values, T::to_f32),
            Cells::F64(cells) => each(&mut cells[start..], values, T::to_f64),
            _ => return Err(format!("`{}` holds no reals", self.name(id))),
        }
        Ok(())
    }

    /// Makes the elements `from .. to`, as far as the buffer has them, not a number.
    pub fn poison(&mut self, id: BufId, from: i64, to: i64) {
        let cells = &mut self.cells[id.0 as usize];
        let to = (to.max(0) as usize).min(cells.len());
        let range = (from.max(0) as usize).min(to)..to;
        match cells {
            Cells::F32(cells) => cells[range].fill(f32::NAN),
            Cells::F64(cells) => cells[range].fill(f64::NAN),
            Cells::U32(_) | Cells::I64(_) => {}
        }
    }

    /// The address of `count` elements for a primitive.
    pub fn address(&mut self, id: BufId, start: i64, count: i64) -> Checked<*mut u8> {
        let count = usize::try_from(count).map_err(|_| String::from("a negative number of elements"))?;
        let start = self.check(id, start, count)?;
        Ok(self.cells[id.0 as usize].address(start))
    }
}
