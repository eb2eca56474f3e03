//! The primitives that compiled kernels call by name: matrix products, copies, access by index, reductions, events,
//! images. Each family has one file; here is the table.
//!
//! A primitive allocates nothing, writes only what its formula names, and gives the same bits for the same arguments.

mod call;
mod cast;
mod conv;
mod copy;
mod event;
mod gather;
mod level;
mod order;
mod pool;
mod product;
mod reduce;
mod strided;
#[cfg(test)]
mod tests;
mod together;
mod tree;

pub use order::in_order;

use crate::abi::PrimDef;

static FAMILIES: &[&[PrimDef]] = &[
    product::PRIMS,
    copy::PRIMS,
    strided::PRIMS,
    gather::PRIMS,
    reduce::PRIMS,
    order::PRIMS,
    event::PRIMS,
    cast::PRIMS,
    conv::PRIMS,
    pool::PRIMS,
    tree::PRIMS,
    together::PRIMS,
];

/// Every primitive, family by family.
pub fn all() -> impl Iterator<Item = &'static PrimDef> {
    FAMILIES.iter().flat_map(|family| family.iter())
}

/// The primitive of this name.
pub fn find(name: &str) -> Option<&'static PrimDef> {
    all().find(|def| def.name == name)
}
