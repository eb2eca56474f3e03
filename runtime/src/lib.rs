//! What compiled kernels stand on: the ABI, random numbers, block mathematics, primitives, data and result files.
pub mod abi;
pub mod array;
pub mod data;
pub mod flush;
pub mod math;
pub mod matmul;
pub mod memory;
pub mod prims;
pub mod random;
pub mod results;
pub mod together;
pub mod topology;
