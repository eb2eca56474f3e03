//! The functions of the runtime that compiled kernels call: their names, addresses and signatures.

use crate::CodegenError;
use crate::jit::fetch::fetch_row;
use cranelift_codegen::ir::{AbiParam, FuncRef, Function, Signature, types};
use cranelift_codegen::isa::CallConv;
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{Linkage, Module};
use nnm_kir::ir::{Draw, Kernel, Math, Precision, Stmt};
use nnm_kir::names::Named;
use nnm_kir::{Prims, runtime};
use nnm_runtime::abi::PrimDef;
use nnm_runtime::{math, random};
use std::collections::BTreeMap;

/// What a kernel may call.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Callee<'a> {
    Math(Math),
    Draw(Draw),
    Prim(&'a str),
    /// Prefetches a cell's connections.
    FetchRow,
}

impl Callee<'_> {
    fn symbol(self, precision: Precision) -> String {
        let precision = precision.name();
        match self {
            Callee::Math(f) => format!("{}.{precision}", f.name()),
            Callee::Draw(draw) => format!("draw.{}.{precision}", draw.name()),
            Callee::Prim(name) => format!("prim.{name}.{precision}"),
            Callee::FetchRow => String::from("fetch_row"),
        }
    }

    fn signature(self, convention: CallConv) -> Signature {
        let mut signature = Signature::new(convention);
        let words = match self {
            Callee::Math(f) => 2 + f.arity(),
            Callee::Draw(draw) => 5 + draw.arity(),
            Callee::Prim(_) => 1,
            Callee::FetchRow => 7,
        };
        signature.params = vec![AbiParam::new(types::I64); words];
        if let Callee::Prim(_) = self {
            signature.returns.push(AbiParam::new(types::I32));
        }
        signature
    }
}

/// Tells the linker where the runtime's functions are.
pub(crate) fn define_symbols(builder: &mut JITBuilder, kernel: &Kernel, prims: Prims<'_>) {
    for (f, _) in Math::TABLE {
        builder.symbol(Callee::Math(*f).symbol(kernel.precision), math_address(*f, kernel.precision));
    }
    for (draw, _) in Draw::TABLE {
        builder.symbol(Callee::Draw(*draw).symbol(kernel.precision), draw_address(*draw, kernel.precision));
    }
    builder.symbol(Callee::FetchRow.symbol(kernel.precision), fetch_row as *const u8);
    let mut names = Vec::new();
    prims_of(&kernel.body, &mut names);
    for name in names {
        if let Some(def) = prims(name) {
            builder.symbol(Callee::Prim(name).symbol(kernel.precision), prim_address(def, kernel.precision));
        }
    }
}

fn prims_of<'k>(body: &'k [Stmt], names: &mut Vec<&'k str>) {
    for stmt in body {
        match stmt {
            Stmt::Call { prim, .. } => names.push(prim),
            Stmt::For { body, .. } => prims_of(body, names),
            Stmt::If { then, otherwise, .. } => {
                prims_of(then, names);
                prims_of(otherwise, names);
            }
            _ => {}
        }
    }
}

fn math_address(f: Math, precision: Precision) -> *const u8 {
    let fun = runtime::fun(f);
    match precision {
        Precision::F32 => math::f32_block(fun).address(),
        Precision::F64 => math::f64_block(fun).address(),
    }
}

fn draw_address(draw: Draw, precision: Precision) -> *const u8 {
    match (draw, precision) {
        (Draw::Uniform, Precision::F32) => random::uniform_f32_block() as *const u8,
        (Draw::Uniform, Precision::F64) => random::uniform_f64_block() as *const u8,
        (Draw::Normal, Precision::F32) => random::normal_f32_block() as *const u8,
        (Draw::Normal, Precision::F64) => random::normal_f64_block() as *const u8,
        (Draw::Poisson, Precision::F32) => random::poisson_f32_block() as *const u8,
        (Draw::Poisson, Precision::F64) => random::poisson_f64_block() as *const u8,
    }
}

fn prim_address(def: &PrimDef, precision: Precision) -> *const u8 {
    match precision {
        Precision::F32 => def.f32 as *const u8,
        Precision::F64 => def.f64 as *const u8,
    }
}

/// The callees that a function has declared.
pub(crate) struct Callees<'a> {
    module: &'a mut JITModule,
    precision: Precision,
    declared: BTreeMap<String, FuncRef>,
}

impl<'a> Callees<'a> {
    pub fn new(module: &'a mut JITModule, precision: Precision) -> Callees<'a> {
        Callees { module, precision, declared: BTreeMap::new() }
    }

    /// The names of the functions, in the order in which they were declared.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<(FuncRef, &String)> = self.declared.iter().map(|(name, known)| (*known, name)).collect();
        names.sort_unstable();
        names.into_iter().map(|(_, name)| name.clone()).collect()
    }

    pub fn reference(&mut self, callee: Callee<'_>, function: &mut Function) -> Result<FuncRef, CodegenError> {
        let symbol = callee.symbol(self.precision);
        if let Some(known) = self.declared.get(&symbol) {
            return Ok(*known);
        }
        let signature = callee.signature(self.module.isa().default_call_conv());
        let id = self.module.declare_function(&symbol, Linkage::Import, &signature)?;
        let reference = self.module.declare_func_in_func(id, function);
        self.declared.insert(symbol, reference);
        Ok(reference)
    }
}
