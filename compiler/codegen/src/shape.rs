//! The machine types of a kernel's values.

use cranelift_codegen::ir::{Type, types};
use nnm_kir::ir::{Elem, Precision};

/// Reals are vectors of 128 bits, masks integer vectors of the same lanes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub precision: Precision,
    pub scalar: Type,
    pub vector: Type,
    pub mask: Type,
    /// Elements in a vector.
    pub lanes: u32,
    /// Bytes in an element.
    pub bytes: u32,
}

impl Shape {
    pub fn of(precision: Precision) -> Shape {
        match precision {
            Precision::F32 => {
                let (vector, mask) = (types::F32X4, types::I32X4);
                Shape { precision, scalar: types::F32, vector, mask, lanes: 4, bytes: 4 }
            }
            Precision::F64 => {
                let (vector, mask) = (types::F64X2, types::I64X2);
                Shape { precision, scalar: types::F64, vector, mask, lanes: 2, bytes: 8 }
            }
        }
    }

    /// The kind of buffer whose elements need no conversion.
    pub fn elem(self) -> Elem {
        match self.precision {
            Precision::F32 => Elem::F32,
            Precision::F64 => Elem::F64,
        }
    }
}

/// Bytes of a buffer's element.
pub(crate) fn bytes(elem: Elem) -> u32 {
    match elem {
        Elem::F32 | Elem::U32 => 4,
        Elem::F64 | Elem::I64 => 8,
    }
}
