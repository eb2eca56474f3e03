//! The table of ops. Each family has one file with builder methods (shape rule, simplification), host evaluation and
//! derivative; here is which op is in which.

pub mod batch;
pub mod binary;
mod composite;
mod conv;
mod gather;
mod leaf;
pub(crate) mod matmul;
mod order;
mod pool;
pub mod reduce;
pub(crate) mod reshape;
mod select;
mod simplify;
pub(crate) mod slice;
mod tree;
pub mod unary;

use crate::error::ShapeError;
use crate::eval::{Sample, elementwise};
use crate::grad::Diff;
use crate::ir::{NodeId, Op};

/// Computes one sample of a node's value from one sample of its arguments.
pub(crate) type SampleFn = fn(&Sample, &mut [f64]);
/// Derivatives by each argument, in the shape of the node for element-wise ops, else in the argument's.
pub(crate) type DerivativeFn = fn(&mut Diff) -> Result<Vec<Option<NodeId>>, ShapeError>;

/// What is known of an op.
pub(crate) struct OpDef {
    pub name: &'static str,
    /// `None` for leaves and the batch sum, which the evaluator knows.
    pub sample: Option<SampleFn>,
    /// `None` where no argument has a derivative.
    pub derivative: Option<DerivativeFn>,
}

const fn leaf(name: &'static str) -> OpDef {
    OpDef { name, sample: None, derivative: None }
}

const fn flat(name: &'static str, sample: SampleFn) -> OpDef {
    OpDef { name, sample: Some(sample), derivative: None }
}

const fn op(name: &'static str, sample: SampleFn, derivative: DerivativeFn) -> OpDef {
    OpDef { name, sample: Some(sample), derivative: Some(derivative) }
}

static CONST: OpDef = leaf("const");
static TENSOR: OpDef = leaf("tensor");
static READ: OpDef = leaf("read");
static COUNT: OpDef = leaf("count");
static DRAW: OpDef = leaf("draw");
static UNARY: OpDef = op("unary", elementwise::unary_sample, unary::derivative);
static BINARY: OpDef = op("binary", elementwise::binary_sample, binary::derivative);
static SELECT: OpDef = op("select", elementwise::select_sample, select::derivative);
static SURROGATE: OpDef = op("surrogate", reshape::copy_sample, select::surrogate_derivative);
static STOP: OpDef = flat("stop_gradient", reshape::copy_sample);
static STORED: OpDef = op("stored", reshape::copy_sample, select::stored_derivative);
static BROADCAST: OpDef = op("broadcast", reshape::broadcast_sample, reshape::broadcast_derivative);
static RESHAPE: OpDef = op("reshape", reshape::copy_sample, reshape::reshape_derivative);
static PERMUTE: OpDef = op("permute", reshape::permute_sample, reshape::permute_derivative);
static SLICE: OpDef = op("slice", slice::slice_sample, slice::slice_derivative);
static UNSLICE: OpDef = op("unslice", slice::unslice_sample, slice::unslice_derivative);
static CONCAT: OpDef = op("concat", slice::concat_sample, slice::concat_derivative);
static REVERSE: OpDef = op("reverse", slice::reverse_sample, slice::reverse_derivative);
static GATHER: OpDef = op("gather", gather::gather_sample, gather::gather_derivative);
static SCATTER: OpDef = op("scatter", gather::scatter_sample, gather::scatter_derivative);
static REDUCE: OpDef = op("reduce", reduce::reduce_sample, reduce::derivative);
static ARGMAX: OpDef = flat("argmax", reduce::argmax_sample);
static ARGSORT: OpDef = flat("argsort", order::argsort_sample);
static CUMSUM: OpDef = op("cumsum", reduce::cumsum_sample, reduce::cumsum_derivative);
static BATCH_SUM: OpDef = OpDef { name: "batch_sum", sample: None, derivative: Some(batch::derivative) };
static TREE_SOLVE: OpDef = flat("tree_solve", tree::solve_sample);
static MATMUL: OpDef = op("matmul", matmul::matmul_sample, matmul::derivative);
static CONV: OpDef = op("conv2d", conv::forward_sample, conv::forward_derivative);
static CONV_INPUT: OpDef = op("conv2d_input_grad", conv::input_grad_sample, conv::input_grad_derivative);
static CONV_WEIGHT: OpDef = op("conv2d_weight_grad", conv::weight_grad_sample, conv::weight_grad_derivative);
static MAX_POOL: OpDef = op("max_pool", pool::max_sample, pool::max_derivative);
static MAX_GRAD: OpDef = op("max_pool_grad", pool::max_grad_sample, pool::max_grad_derivative);
static MAX_TAKE: OpDef = op("max_pool_take", pool::max_take_sample, pool::max_take_derivative);
static AVG_POOL: OpDef = op("avg_pool", pool::avg_sample, pool::avg_derivative);
static AVG_GRAD: OpDef = op("avg_pool_grad", pool::avg_grad_sample, pool::avg_grad_derivative);

/// The table's row of an op.
pub(crate) fn def(op: &Op) -> &'static OpDef {
    match op {
        Op::Const(_) => &CONST,
        Op::Tensor(_) => &TENSOR,
        Op::Read { .. } => &READ,
        Op::Count(_) => &COUNT,
        Op::Draw { .. } => &DRAW,
        Op::Unary(_) => &UNARY,
        Op::Binary(_) => &BINARY,
        Op::Select => &SELECT,
        Op::Surrogate => &SURROGATE,
        Op::StopGradient => &STOP,
        Op::Stored => &STORED,
        Op::Broadcast => &BROADCAST,
        Op::Reshape => &RESHAPE,
        Op::Permute(_) => &PERMUTE,
        Op::Slice { .. } => &SLICE,
        Op::Unslice { .. } => &UNSLICE,
        Op::Concat { .. } => &CONCAT,
        Op::Gather { .. } => &GATHER,
        Op::Scatter { .. } => &SCATTER,
        Op::Reverse { .. } => &REVERSE,
        Op::Reduce { .. } => &REDUCE,
        Op::ArgMax { .. } => &ARGMAX,
        Op::ArgSort { .. } => &ARGSORT,
        Op::CumSum { .. } => &CUMSUM,
        Op::BatchSum => &BATCH_SUM,
        Op::TreeSolve => &TREE_SOLVE,
        Op::MatMul { .. } => &MATMUL,
        Op::Conv2d(_) => &CONV,
        Op::Conv2dInputGrad(_) => &CONV_INPUT,
        Op::Conv2dWeightGrad(_) => &CONV_WEIGHT,
        Op::MaxPool(_) => &MAX_POOL,
        Op::MaxPoolGrad(_) => &MAX_GRAD,
        Op::MaxPoolTake(_) => &MAX_TAKE,
        Op::AvgPool(_) => &AVG_POOL,
        Op::AvgPoolGrad(_) => &AVG_GRAD,
    }
}
