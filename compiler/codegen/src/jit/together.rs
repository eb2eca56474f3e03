//! A kernel that is cut into parts, run by as many threads.

use super::JitCode;
use crate::{CodegenError, Options, RunError};
use nnm_kir::ir::{BufId, Elem, Kernel};
use nnm_kir::split::{More, bound, split};
use nnm_runtime::memory::Aligned;
use nnm_runtime::together::together;
use std::sync::{Arc, Mutex};

/// The code of a kernel for some threads, with the memory that it needs besides.
#[derive(Debug)]
pub struct Together {
    code: Arc<JitCode>,
    more: Vec<Aligned>,
    parts: usize,
}

/// Addresses that several threads use.
struct Shared(Vec<*mut u8>);

// SAFETY: between meetings no thread accesses elements that another one writes: so the kernel was cut.
unsafe impl Sync for Shared {}

impl Together {
    /// For a kernel and its buffers, whose index lists have their contents already and keep them. None where there is
    /// nothing to cut, or no memory for it.
    pub fn new(
        kernel: &Kernel,
        buffers: &[Aligned],
        options: &Options<'_>,
        parts: u32,
    ) -> Result<Option<Together>, CodegenError> {
        let Some(split) = split(kernel, options.prims, parts) else { return Ok(None) };
        let added = &split.kernel.buffers[kernel.buffers.len()..];
        let mut more = vec![];
        for (buffer, contents) in added.iter().zip(&split.more) {
            let len = usize::try_from(buffer.len).unwrap_or(usize::MAX);
            let made = match buffer.elem {
                Elem::I64 => Aligned::zeroed::<i64>(len),
                _ => Aligned::zeroed::<u32>(len),
            };
            let Ok(mut memory) = made else { return Ok(None) };
            if buffer.elem == Elem::U32 && !fill(memory.u32_mut(), *contents, buffers, u64::from(parts)) {
                return Ok(None);
            }
            more.push(memory);
        }
        let code = crate::compile(&split.kernel, options)?;
        Ok(Some(Together { code, more, parts: parts as usize }))
    }

    /// Runs the kernel, each part on a thread of its own. Without a status the threads could not be had and nothing was
    /// done.
    pub fn run(&mut self, buffers: &mut [Aligned], slots: &mut [i64]) -> Result<Option<i32>, RunError> {
        let part = slots.len();
        let all = || buffers.iter().chain(&self.more);
        let lengths: Vec<u64> = all().map(|memory| memory.allocated_bytes() as u64).collect();
        self.code.fits(&lengths, part + 1)?;
        let all = buffers.iter_mut().chain(&mut self.more);
        let addresses = Shared(all.map(Aligned::as_mut_ptr).collect());
        let before = slots.to_vec();
        let after = Mutex::new(slots);
        let code = &self.code;
        let status = together(self.parts, &|number: usize| {
            let shared: &Shared = &addresses;
            let mut own = before.clone();
            own.push(number as i64);
            // SAFETY: the memory is as long as declared, padded, and exclusively ours; indices are trusted as for
            // `JitCode::run`, and those that were added are made here.
            let status = unsafe { code.call(&shared.0, &mut own) };
            if let (0, Ok(mut after)) = (number, after.lock()) {
                after.copy_from_slice(&own[..part]);
            }
            status
        });
        Ok(status)
    }
}

/// Fills an added buffer; false where the edges of some row are not in the order of their cells.
fn fill(to: &mut [u32], contents: More, buffers: &[Aligned], parts: u64) -> bool {
    match contents {
        More::Scratch => true,
        More::Bounds { cells } => {
            (0..=parts).zip(to).for_each(|(part, first)| *first = bound(cells, parts, part) as u32);
            true
        }
        More::Cuts { ptr, other, rows, cells } => {
            let index = |id: BufId| buffers.get(id.0 as usize).map_or(&[][..], Aligned::u32);
            cuts(to, index(ptr), index(other), [rows as usize, parts as usize], cells).is_some()
        }
    }
}

/// For each part, for each row, the first edge that ends at a cell of the part or a later one.
fn cuts(to: &mut [u32], ptr: &[u32], other: &[u32], [rows, parts]: [usize; 2], cells: u64) -> Option<()> {
    for row in 0..rows {
        let (from, end) = (*ptr.get(row)? as usize, *ptr.get(row + 1)? as usize);
        let edges = other.get(from..end)?;
        if !edges.is_sorted() {
            return None;
        }
        for part in 0..=parts {
            let first = bound(cells, parts as u64, part as u64);
            let before = edges.partition_point(|cell| u64::from(*cell) < first);
            let last = if part == parts { edges.len() } else { before };
            *to.get_mut(part * rows + row)? = (from + last) as u32;
        }
    }
    Some(())
}
