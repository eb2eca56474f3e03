//! The spelling of every operation in printed kernels, and the way back.

use crate::ir::{Binary, Compare, Draw, Elem, IntCmp, Math, Precision, Unary};

/// An enumeration whose members have fixed spellings.
pub trait Named: Copy + PartialEq + 'static {
    const TABLE: &'static [(Self, &'static str)];

    fn name(self) -> &'static str {
        Self::TABLE.iter().find(|(member, _)| *member == self).map_or("?", |(_, name)| name)
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::TABLE.iter().find(|(_, spelled)| *spelled == name).map(|(member, _)| *member)
    }
}

impl Named for Precision {
    const TABLE: &'static [(Self, &'static str)] = &[(Precision::F32, "f32"), (Precision::F64, "f64")];
}

impl Named for Elem {
    const TABLE: &'static [(Self, &'static str)] =
        &[(Elem::F32, "f32"), (Elem::F64, "f64"), (Elem::U32, "u32"), (Elem::I64, "i64")];
}

impl Named for IntCmp {
    const TABLE: &'static [(Self, &'static str)] =
        &[(IntCmp::Eq, "=="), (IntCmp::Ne, "!="), (IntCmp::Lt, "<"), (IntCmp::Le, "<=")];
}

impl Named for Unary {
    const TABLE: &'static [(Self, &'static str)] = &[
        (Unary::Neg, "neg"),
        (Unary::Abs, "abs"),
        (Unary::Sqrt, "sqrt"),
        (Unary::Floor, "floor"),
        (Unary::Ceil, "ceil"),
        (Unary::Trunc, "trunc"),
        (Unary::Round, "round"),
    ];
}

impl Named for Binary {
    const TABLE: &'static [(Self, &'static str)] = &[
        (Binary::Add, "add"),
        (Binary::Sub, "sub"),
        (Binary::Mul, "mul"),
        (Binary::Div, "div"),
        (Binary::Min, "min"),
        (Binary::Max, "max"),
    ];
}

impl Named for Compare {
    const TABLE: &'static [(Self, &'static str)] = &[
        (Compare::Eq, "eq"),
        (Compare::Ne, "ne"),
        (Compare::Lt, "lt"),
        (Compare::Le, "le"),
        (Compare::Gt, "gt"),
        (Compare::Ge, "ge"),
    ];
}

impl Named for Math {
    const TABLE: &'static [(Self, &'static str)] = &[
        (Math::Exp, "exp"),
        (Math::Expm1, "expm1"),
        (Math::Log, "log"),
        (Math::Log1p, "log1p"),
        (Math::Sin, "sin"),
        (Math::Cos, "cos"),
        (Math::Tan, "tan"),
        (Math::Asin, "asin"),
        (Math::Acos, "acos"),
        (Math::Atan, "atan"),
        (Math::Sinh, "sinh"),
        (Math::Cosh, "cosh"),
        (Math::Tanh, "tanh"),
        (Math::Sigmoid, "sigmoid"),
        (Math::Softplus, "softplus"),
        (Math::Erf, "erf"),
        (Math::Pow, "pow"),
        (Math::Atan2, "atan2"),
    ];
}

impl Named for Draw {
    const TABLE: &'static [(Self, &'static str)] =
        &[(Draw::Uniform, "uniform"), (Draw::Normal, "normal"), (Draw::Poisson, "poisson")];
}

impl Math {
    /// How many arguments the function takes.
    pub fn arity(self) -> usize {
        if matches!(self, Math::Pow | Math::Atan2) { 2 } else { 1 }
    }
}

impl Draw {
    /// How many arguments the distribution takes.
    pub fn arity(self) -> usize {
        usize::from(self == Draw::Poisson)
    }
}
