//! Compiled kernels: memory that holds code, and the calls into it.

use crate::callees::{Callees, define_symbols};
use crate::emit::emit;
use crate::shape::bytes;
use crate::{CodegenError, Options, RunError};
use cranelift_codegen::Context;
use cranelift_codegen::ir::{Function, UserFuncName};
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_codegen::settings::{self, Configurable};
use cranelift_frontend::FunctionBuilderContext;
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{Linkage, Module, default_libcall_names};
use nnm_kir::affine::padded;
use nnm_kir::ir::Kernel;
use nnm_kir::verify::verify;
use nnm_runtime::abi::KernelFn;
use nnm_runtime::flush;
use nnm_runtime::memory::Aligned;
use std::fmt;
use std::mem::ManuallyDrop;
use std::sync::Arc;

pub(crate) mod fetch;
mod together;

pub use together::Together;

/// The code of one kernel; its memory is freed with it.
pub struct JitCode {
    entry: KernelFn,
    /// Holds the memory that `entry` points into.
    _module: OwnedModule,
    /// Names and bytes of the buffers, with their padding.
    buffers: Vec<(String, u64)>,
    slots: usize,
    size: usize,
}

// SAFETY: after compilation the module is neither read nor changed until it is dropped, by one owner; the code itself has
// no state but what its caller hands in.
unsafe impl Send for JitCode {}
// SAFETY: as above; a shared reference gives the entry point and plain numbers alone.
unsafe impl Sync for JitCode {}

impl JitCode {
    /// Runs the kernel with denormals taken as zero; its status.
    ///
    /// # Safety
    /// The buffers are those of the kernel, in its order, of their declared kinds, 64-byte aligned and padded, and no two
    /// share memory; the slots are as many as it has. Every index that the kernel reads from its buffers (cells, edges,
    /// gathered elements, counts, offsets from slots) stays within the buffers. The interpreter checks just that.
    pub unsafe fn call(&self, buffers: &[*mut u8], slots: &mut [i64]) -> i32 {
        // SAFETY: the entry point is alive as long as `self`; the rest is the caller's.
        unsafe { flush::call(self.entry, buffers.as_ptr(), slots.as_mut_ptr()) }
    }

    /// Runs the kernel after checking that the memory is there.
    ///
    /// The contents of index buffers are trusted: they are to be checked where they come from.
    pub fn run(&self, buffers: &mut [Aligned], slots: &mut [i64]) -> Result<i32, RunError> {
        let lengths: Vec<u64> = buffers.iter().map(|memory| memory.allocated_bytes() as u64).collect();
        self.fits(&lengths, slots.len())?;
        let addresses: Vec<*mut u8> = buffers.iter_mut().map(Aligned::as_mut_ptr).collect();
        // SAFETY: the memory is as long as declared, padded, and exclusively ours; indices are trusted as documented.
        Ok(unsafe { self.call(&addresses, slots) })
    }

    /// Whether memory of these lengths, in bytes, is what the kernel asks for.
    fn fits(&self, lengths: &[u64], slots: usize) -> Result<(), RunError> {
        if lengths.len() != self.buffers.len() {
            return Err(RunError::Buffers { expected: self.buffers.len(), given: lengths.len() });
        }
        if slots != self.slots {
            return Err(RunError::Slots { expected: self.slots, given: slots });
        }
        for (given, (name, needed)) in lengths.iter().zip(&self.buffers) {
            if given < needed {
                return Err(RunError::Short { buffer: name.clone(), needed: *needed, given: *given });
            }
        }
        Ok(())
    }

    /// The entry point, for callers that set the treatment of denormals themselves. It is valid as long as `self`.
    pub fn entry(&self) -> KernelFn {
        self.entry
    }

    /// Bytes of machine code.
    pub fn size(&self) -> usize {
        self.size
    }
}

/// A module that frees its memory, which otherwise outlives it.
struct OwnedModule(ManuallyDrop<JITModule>);

impl Drop for OwnedModule {
    fn drop(&mut self) {
        // SAFETY: taken once, here. Whoever runs code of the module holds a reference to its owner, so nobody does.
        unsafe { ManuallyDrop::take(&mut self.0).free_memory() };
    }
}

impl fmt::Debug for JitCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JitCode({} bytes)", self.size)
    }
}

pub(crate) fn compile(kernel: &Kernel, options: &Options<'_>) -> Result<Arc<JitCode>, CodegenError> {
    let mut unit = Unit::new(kernel, options)?;
    let signature = &unit.context.func.signature;
    let id = unit.module.0.declare_function("kernel", Linkage::Export, signature)?;
    unit.module.0.define_function(id, &mut unit.context)?;
    unit.module.0.finalize_definitions()?;
    let address = unit.module.0.get_finalized_function(id);
    let size = unit.context.compiled_code().map_or(0, |code| code.code_buffer().len());
    // SAFETY: the function was compiled with this signature, in the machine's own calling convention.
    let entry = unsafe { std::mem::transmute::<*const u8, KernelFn>(address) };
    let needed = |len: u64| padded(i64::try_from(len).unwrap_or(i64::MAX)) as u64;
    let buffers = kernel.buffers.iter();
    let buffers = buffers.map(|b| (b.name.clone(), needed(b.len).saturating_mul(u64::from(bytes(b.elem))))).collect();
    Ok(Arc::new(JitCode { entry, _module: unit.module, buffers, slots: kernel.slots.len(), size }))
}

pub(crate) fn clif(kernel: &Kernel, options: &Options<'_>) -> Result<String, CodegenError> {
    let unit = Unit::new(kernel, options)?;
    Ok(unit.legend("fn") + &unit.context.func.display().to_string())
}

pub(crate) fn asm(kernel: &Kernel, options: &Options<'_>) -> Result<String, CodegenError> {
    let mut unit = Unit::new(kernel, options)?;
    unit.context.set_disasm(true);
    let compiled = unit.context.compile(unit.module.0.isa(), &mut Default::default());
    let text = match compiled {
        Ok(code) => code.vcode.clone().unwrap_or_default(),
        Err(error) => return Err(CodegenError::Backend(format!("{:?}", error.inner))),
    };
    Ok(unit.legend("userextname") + &text)
}

/// A kernel's function before it is machine code.
struct Unit {
    module: OwnedModule,
    context: Context,
    /// The functions it calls.
    names: Vec<String>,
}

impl Unit {
    fn new(kernel: &Kernel, options: &Options<'_>) -> Result<Unit, CodegenError> {
        let faults = verify(kernel, options.prims);
        if !faults.is_empty() {
            return Err(CodegenError::Invalid(faults));
        }
        let isa = machine(options)?;
        let mut builder = JITBuilder::with_isa(isa.clone(), default_libcall_names());
        define_symbols(&mut builder, kernel, options.prims);
        let module = OwnedModule(ManuallyDrop::new(JITModule::new(builder)));
        let mut unit = Unit { module, context: Context::new(), names: Vec::new() };
        unit.context.func =
            Function::with_name_signature(UserFuncName::testcase("kernel"), unit.module.0.make_signature());
        let callees = Callees::new(&mut unit.module.0, kernel.precision);
        let function = &mut unit.context.func;
        unit.names = emit(kernel, options, &*isa, callees, function, &mut FunctionBuilderContext::new())?;
        Ok(unit)
    }

    /// What the numbered functions in a text are.
    fn legend(&self, prefix: &str) -> String {
        self.names.iter().enumerate().map(|(number, name)| format!("; {prefix}{number} = {name}\n")).collect()
    }
}

fn machine(options: &Options<'_>) -> Result<OwnedTargetIsa, CodegenError> {
    let mut flags = settings::builder();
    let chosen = [
        ("opt_level", if options.reorder { "speed" } else { "none" }),
        ("enable_verifier", if options.check { "true" } else { "false" }),
        ("use_colocated_libcalls", "false"),
        ("is_pic", "false"),
        ("unwind_info", "false"),
        ("enable_probestack", "true"),
        ("probestack_strategy", "inline"),
    ];
    for (name, value) in chosen {
        flags.set(name, value).map_err(|error| CodegenError::Machine(error.to_string()))?;
    }
    let host = cranelift_native::builder().map_err(|why| CodegenError::Machine(why.to_string()))?;
    host.finish(settings::Flags::new(flags)).map_err(|error| CodegenError::Machine(error.to_string()))
}
