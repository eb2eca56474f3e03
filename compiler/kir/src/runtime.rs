//! Which functions of the runtime the IR's block functions are.

use crate::ir::Math;
use nnm_runtime::math::Fun;

/// The runtime's function.
pub fn fun(f: Math) -> Fun {
    match f {
        Math::Exp => Fun::Exp,
        Math::Expm1 => Fun::Expm1,
        Math::Log => Fun::Log,
        Math::Log1p => Fun::Log1p,
        Math::Sin => Fun::Sin,
        Math::Cos => Fun::Cos,
        Math::Tan => Fun::Tan,
        Math::Asin => Fun::Asin,
        Math::Acos => Fun::Acos,
        Math::Atan => Fun::Atan,
        Math::Sinh => Fun::Sinh,
        Math::Cosh => Fun::Cosh,
        Math::Tanh => Fun::Tanh,
        Math::Sigmoid => Fun::Sigmoid,
        Math::Softplus => Fun::Softplus,
        Math::Erf => Fun::Erf,
        Math::Pow => Fun::Pow,
        Math::Atan2 => Fun::Atan2,
    }
}
