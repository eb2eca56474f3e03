//! One kernel for several sets of numbers: kernels that differ in constants alone become one that reads them from memory.

use crate::ir::{At, BufId, Buffer, Elem, Inst, Int, Kernel, Precision, Ref, Stmt};

/// The constants in the bodies of a kernel, in the order of its text.
pub fn constants(kernel: &Kernel) -> Vec<f64> {
    let mut found = vec![];
    // The visitor changes nothing here.
    each_constant(&mut kernel.body.clone(), &mut |inst| {
        if let Inst::Const(value) = inst {
            found.push(*value);
        }
    });
    found
}

/// What is left without the constants and the name: kernels of one form can be one.
pub fn form(kernel: &Kernel) -> Kernel {
    let mut form = Kernel { name: String::new(), ..kernel.clone() };
    each_constant(&mut form.body, &mut |inst| *inst = Inst::Const(0.0));
    form
}

/// The kernel that reads some of its constants, by their places in [`constants`], from a buffer behind its own.
pub fn general(kernel: &Kernel, read: &[usize]) -> Kernel {
    let mut kernel = kernel.clone();
    let buffer = BufId(kernel.buffers.len() as u32);
    let elem = match kernel.precision {
        Precision::F32 => Elem::F32,
        Precision::F64 => Elem::F64,
    };
    kernel.buffers.push(Buffer { name: "@constants".into(), elem, len: read.len() as u64 });
    let mut place = 0;
    each_constant(&mut kernel.body, &mut |inst| {
        if let Some(k) = read.iter().position(|number| *number == place) {
            *inst = Inst::Load { from: Ref { buffer, offset: Int::Const(k as i64) }, at: At::Splat };
        }
        place += 1;
    });
    kernel
}

fn each_constant(block: &mut [Stmt], act: &mut dyn FnMut(&mut Inst)) {
    for stmt in block {
        let body = match stmt {
            Stmt::For { body, .. } => {
                each_constant(body, act);
                continue;
            }
            Stmt::If { then, otherwise, .. } => {
                each_constant(then, act);
                each_constant(otherwise, act);
                continue;
            }
            Stmt::Map(map) => &mut map.body,
            Stmt::Rows(rows) => &mut rows.body,
            Stmt::Set { .. } | Stmt::Call { .. } | Stmt::Return { .. } | Stmt::Note(_) => continue,
        };
        body.insts.iter_mut().filter(|inst| matches!(inst, Inst::Const(_))).for_each(&mut *act);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{Body, Map, Val};

    fn scale(by: f64, and: f64) -> Kernel {
        let x = Ref { buffer: BufId(0), offset: Int::Const(0) };
        let insts = vec![
            Inst::Load { from: x.clone(), at: At::Unit },
            Inst::Const(by),
            Inst::Const(and),
            Inst::Fma { a: Val(1), b: Val(0), c: Val(2) },
            Inst::Store { to: x, at: At::Unit, value: Val(3) },
        ];
        Kernel {
            name: format!("scale by {by}"),
            precision: Precision::F32,
            buffers: vec![Buffer { name: "x".into(), elem: Elem::F32, len: 3 }],
            slots: vec![],
            body: vec![Stmt::Map(Map { len: Int::Const(3), body: Body { insts } })],
        }
    }

    #[test]
    fn constants_that_differ_are_read() {
        let (one, other) = (scale(2.0, 3.0), scale(2.0, 5.0));
        assert_eq!((constants(&one), constants(&other)), (vec![2.0, 3.0], vec![2.0, 5.0]));
        assert_eq!(form(&one), form(&other));
        let both = general(&one, &[1]);
        assert_eq!(constants(&both), [2.0]);
        assert_eq!(both, general(&other, &[1]));
        assert_eq!(crate::verify::verify(&both, &crate::no_prims), Vec::<String>::new());
        assert_ne!(form(&one), form(&both));
    }
}
