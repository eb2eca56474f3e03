//! Compiled kernels, kept for programs that come again: passes of a sweep mostly differ in some numbers alone, and then one
//! kernel that reads these serves all of them.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use nnm_codegen::{CodegenError, JitCode};
use nnm_kir::general::{constants, form, general};
use nnm_kir::ir::Kernel;

/// So many forms are kept; the oldest goes first.
const MOST: usize = 16;

/// What runs, and with which numbers in the buffer that it has behind the kernel's own.
pub struct Ready {
    pub kernel: Kernel,
    pub code: Arc<JitCode>,
    pub values: Vec<f64>,
}

/// A form of kernels, and what has been compiled for it.
struct Known {
    form: Kernel,
    /// The kernel that came first.
    first: Kernel,
    code: Arc<JitCode>,
    /// The places of constants that were others since, and the code that reads them.
    varied: BTreeSet<usize>,
    general: Option<(Kernel, Arc<JitCode>)>,
}

#[derive(Default)]
struct Kernels(Mutex<Vec<Known>>);

static KERNELS: LazyLock<Kernels> = LazyLock::new(Kernels::default);

/// The code of a kernel: compiled now, or before.
pub fn ready(
    kernel: &Kernel,
    compile: impl Fn(&Kernel) -> Result<Arc<JitCode>, CodegenError>,
) -> Result<Ready, CodegenError> {
    KERNELS.ready(kernel, compile)
}

impl Kernels {
    fn all(&self) -> MutexGuard<'_, Vec<Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ready(
        &self,
        kernel: &Kernel,
        compile: impl Fn(&Kernel) -> Result<Arc<JitCode>, CodegenError>,
    ) -> Result<Ready, CodegenError> {
        let (form, values) = (form(kernel), constants(kernel));
        let (first, varied) = match self.all().iter().find(|known| known.form == form) {
            None => (None, BTreeSet::new()),
            Some(known) => {
                let differs = |(a, b): (&f64, &f64)| a.to_bits() != b.to_bits();
                let before = constants(&known.first);
                let now = before.iter().zip(&values).enumerate().filter(|(_, pair)| differs(*pair)).map(|(k, _)| k);
                let now: BTreeSet<usize> = now.collect();
                if now.is_empty() {
                    return Ok(Ready { kernel: kernel.clone(), code: known.code.clone(), values: vec![] });
                }
                if let Some((one, code)) = known.general.as_ref().filter(|_| now.is_subset(&known.varied)) {
                    let values = known.varied.iter().map(|k| values[*k]).collect();
                    let one = Kernel { name: kernel.name.clone(), ..one.clone() };
                    return Ok(Ready { kernel: one, code: code.clone(), values });
                }
                (Some(known.first.clone()), &now | &known.varied)
            }
        };
        // Nobody waits while this one is compiled; two may do it at once.
        match first {
            None => {
                let code = compile(kernel)?;
                let known =
                    Known { form, first: kernel.clone(), code: code.clone(), varied: BTreeSet::new(), general: None };
                let mut all = self.all();
                all.truncate(MOST - 1);
                all.insert(0, known);
                Ok(Ready { kernel: kernel.clone(), code, values: vec![] })
            }
            Some(first) => {
                let places: Vec<usize> = varied.iter().copied().collect();
                let one = Kernel { name: kernel.name.clone(), ..general(&first, &places) };
                let code = compile(&one)?;
                let values = places.iter().map(|k| values[*k]).collect();
                if let Some(known) = self.all().iter_mut().find(|known| known.form == form && known.first == first) {
                    known.varied = varied;
                    known.general = Some((one.clone(), code.clone()));
                }
                Ok(Ready { kernel: one, code, values })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nnm_kir::ir::{At, Body, BufId, Buffer, Elem, Inst, Int, Map, Precision, Ref, Stmt, Val};
    use nnm_runtime::memory::Aligned;
    use std::cell::Cell;

    /// x = a x + b, of three elements.
    fn line(a: f64, b: f64) -> Kernel {
        let x = Ref { buffer: BufId(0), offset: Int::Const(0) };
        let insts = vec![
            Inst::Load { from: x.clone(), at: At::Unit },
            Inst::Const(a),
            Inst::Const(b),
            Inst::Fma { a: Val(1), b: Val(0), c: Val(2) },
            Inst::Store { to: x, at: At::Unit, value: Val(3) },
        ];
        Kernel {
            name: "line".into(),
            precision: Precision::F64,
            buffers: vec![Buffer { name: "x".into(), elem: Elem::F64, len: 3 }],
            slots: vec![],
            body: vec![Stmt::Map(Map { len: Int::Const(3), body: Body { insts } })],
        }
    }

    #[test]
    fn kernels_of_one_form_are_compiled_twice_at_most() {
        let (kernels, compiled) = (Kernels::default(), Cell::new(0));
        let compile = |kernel: &Kernel| {
            compiled.set(compiled.get() + 1);
            nnm_codegen::compile(kernel, &nnm_codegen::Options::default())
        };
        let run = |a: f64, b: f64| {
            let ready = kernels.ready(&line(a, b), compile).expect("it compiles");
            let mut memory = vec![Aligned::zeroed::<f64>(3).expect("memory")];
            memory[0].f64_mut()[..3].copy_from_slice(&[1.0, 2.0, -3.0]);
            if ready.kernel.buffers.len() > 1 {
                let mut values = Aligned::zeroed::<f64>(ready.values.len()).expect("memory");
                values.f64_mut()[..ready.values.len()].copy_from_slice(&ready.values);
                memory.push(values);
            }
            assert_eq!(ready.code.run(&mut memory, &mut []), Ok(0));
            (memory[0].f64()[..3].to_vec(), compiled.get())
        };
        let wanted = |a: f64, b: f64| [1.0f64, 2.0, -3.0].map(|x| a.mul_add(x, b)).to_vec();
        assert_eq!(run(2.0, 3.0), (wanted(2.0, 3.0), 1));
        assert_eq!(run(2.0, 3.0), (wanted(2.0, 3.0), 1));
        assert_eq!(run(2.0, 5.0), (wanted(2.0, 5.0), 2));
        for b in [0.1, -7.0, f64::INFINITY, -0.0] {
            assert_eq!(run(2.0, b), (wanted(2.0, b), 2));
        }
        // Another constant varies too: once more, and then for all.
        assert_eq!(run(0.3, 1.0), (wanted(0.3, 1.0), 3));
        assert_eq!(run(0.7, 5.0), (wanted(0.7, 5.0), 3));
        assert_eq!(run(2.0, 3.0), (wanted(2.0, 3.0), 3));
    }
}
