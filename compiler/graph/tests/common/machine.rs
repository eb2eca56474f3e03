//! Running a lowered program on vars with values.

use std::collections::HashMap;

use nnm_graph::ir::{Program, VarId};
use nnm_graph::{Lowered, lower};
use nnm_kir::interp;
use nnm_kir::ir::{Elem, Kernel};
use nnm_runtime::array::Array;
use nnm_runtime::memory::Aligned;
use nnm_runtime::prims;

use super::{array, flat};

/// The buffers of a kernel, filled.
pub fn buffers(program: &Program, lowered: &Lowered, values: &HashMap<VarId, Array>) -> Vec<Aligned> {
    let mut buffers: Vec<Aligned> = lowered
        .kernel
        .buffers
        .iter()
        .map(|buffer| match buffer.elem {
            Elem::F32 => Aligned::zeroed::<f32>(buffer.len as usize),
            Elem::F64 => Aligned::zeroed::<f64>(buffer.len as usize),
            Elem::U32 => Aligned::zeroed::<u32>(buffer.len as usize),
            Elem::I64 => Aligned::zeroed::<i64>(buffer.len as usize),
        })
        .map(Result::unwrap)
        .collect();
    for (id, constant) in &lowered.constants {
        fill(&mut buffers[id.0 as usize], &lowered.kernel, id.0, &flat(constant));
    }
    for (var, value) in values {
        assert!((var.0 as usize) < program.graph.vars.len());
        fill(&mut buffers[var.0 as usize], &lowered.kernel, var.0, &flat(value));
    }
    buffers
}

fn fill(buffer: &mut Aligned, kernel: &Kernel, id: u32, values: &[f64]) {
    match kernel.buffers[id as usize].elem {
        Elem::F32 => buffer.f32_mut().iter_mut().zip(values).for_each(|(x, v)| *x = *v as f32),
        Elem::F64 => buffer.f64_mut().iter_mut().zip(values).for_each(|(x, v)| *x = *v),
        Elem::U32 => buffer.u32_mut().iter_mut().zip(values).for_each(|(x, v)| *x = *v as u32),
        Elem::I64 => buffer.i64_mut().iter_mut().zip(values).for_each(|(x, v)| *x = *v as i64),
    }
}

/// The first elements of a buffer.
pub fn read(kernel: &Kernel, buffers: &[Aligned], var: VarId, shape: &[usize]) -> Array {
    let len = shape.iter().product();
    let buffer = &buffers[var.0 as usize];
    let data = match kernel.buffers[var.0 as usize].elem {
        Elem::F32 => buffer.f32()[..len].iter().map(|x| f64::from(*x)).collect(),
        Elem::F64 => buffer.f64()[..len].to_vec(),
        Elem::U32 => buffer.u32()[..len].iter().map(|x| f64::from(*x)).collect(),
        Elem::I64 => buffer.i64()[..len].iter().map(|x| *x as f64).collect(),
    };
    array(shape, data)
}

pub fn interpret(kernel: &Kernel, buffers: &mut [Aligned], slots: &mut [i64]) -> i32 {
    let options = interp::Options { prims: &prims::find, poison: true };
    interp::run(kernel, buffers, slots, options).unwrap_or_else(|fault| {
        panic!("{fault}\n{}", nnm_kir::print::print(kernel));
    })
}

pub fn lowered(program: &Program) -> Lowered {
    let faults = nnm_graph::verify(program);
    assert!(faults.is_empty(), "{faults:?}\n{}", nnm_graph::print(program));
    lower(program).unwrap_or_else(|error| panic!("{error}\n{}", nnm_graph::print(program)))
}

pub fn run_compiled(kernel: &Kernel, buffers: &mut [Aligned], slots: &mut [i64]) -> i32 {
    let options = nnm_codegen::Options { prims: &prims::find, ..Default::default() };
    let code = nnm_codegen::compile(kernel, &options)
        .unwrap_or_else(|error| panic!("{error}\n{}", nnm_kir::print::print(kernel)));
    code.run(buffers, slots).unwrap()
}

/// Runs a program on the interpreter and compiled; both leave the same bits in all vars. Gives the interpreter's.
pub fn both(
    program: &Program,
    lowered: &Lowered,
    values: &HashMap<VarId, Array>,
    slots: &[i64],
) -> (Vec<Aligned>, Vec<i64>, i32) {
    let (mut checked, mut compiled) = (buffers(program, lowered, values), buffers(program, lowered, values));
    let (mut checked_slots, mut compiled_slots) = (slots.to_vec(), slots.to_vec());
    let status = interpret(&lowered.kernel, &mut checked, &mut checked_slots);
    assert_eq!(run_compiled(&lowered.kernel, &mut compiled, &mut compiled_slots), status);
    assert_eq!(checked_slots, compiled_slots);
    for (k, var) in program.graph.vars.iter().enumerate() {
        let samples = if var.batched { slots[0] as usize } else { 1 };
        let size = samples * var.shape.iter().product::<usize>();
        for copy in 0..var.times.unwrap_or(1) {
            let start = copy * lowered.strides[k] as usize;
            for i in start..start + size {
                let [a, b] = [&checked, &compiled].map(|memory| bits(&lowered.kernel, memory, k, i));
                let text = || nnm_kir::print::print(&lowered.kernel);
                assert!(a == b, "{}[{i}]: interpreted {a:x}, compiled {b:x}\n{}", var.name, text());
            }
        }
    }
    (checked, checked_slots, status)
}

fn bits(kernel: &Kernel, memory: &[Aligned], buffer: usize, i: usize) -> u64 {
    let words = &memory[buffer];
    match kernel.buffers[buffer].elem {
        Elem::F32 => u64::from(if words.f32()[i].is_nan() { 1 } else { words.f32()[i].to_bits() }),
        Elem::F64 => {
            if words.f64()[i].is_nan() {
                1
            } else {
                words.f64()[i].to_bits()
            }
        }
        Elem::U32 => u64::from(words.u32()[i]),
        Elem::I64 => words.i64()[i] as u64,
    }
}
