//! The mean over a batch of a formula per connection, without ever forming it per sample and connection.
//!
//! A sum is split into its terms; of a product, factors that all samples share move out, a factor that varies over targets
//! times one over senders becomes a matrix product over the batch. Only what remains is formed whole and summed.

use nnm_graph::ShapeError;
use nnm_graph::ir::{Binary, Graph, NodeId, Op, Unary};

/// Sum over the batch of `node` ([post, pre] or smaller), spread to `shape`.
pub fn batch_sum(g: &mut Graph, node: NodeId, shape: &[usize], count: NodeId) -> Result<NodeId, ShapeError> {
    let sum = summed(g, node, shape, count)?;
    g.broadcast_to(sum, shape)
}

fn summed(g: &mut Graph, node: NodeId, shape: &[usize], count: NodeId) -> Result<NodeId, ShapeError> {
    let n = g.node(node).clone();
    if !n.batched {
        return g.binary(Binary::Mul, count, node);
    }
    match n.op {
        Op::Binary(op @ (Binary::Add | Binary::Sub)) => {
            let a = batch_sum(g, n.args[0], shape, count)?;
            let b = batch_sum(g, n.args[1], shape, count)?;
            g.binary(op, a, b)
        }
        Op::Unary(Unary::Neg) => {
            let a = summed(g, n.args[0], shape, count)?;
            g.unary(Unary::Neg, a)
        }
        Op::Broadcast => summed(g, n.args[0], shape, count),
        Op::Binary(Binary::Div) if !g.node(n.args[1]).batched => {
            let a = summed(g, n.args[0], shape, count)?;
            g.binary(Binary::Div, a, n.args[1])
        }
        Op::Binary(Binary::Mul) => product(g, node, shape, count),
        _ => g.batch_sum(node),
    }
}

/// The factors of a product, through broadcasts and negations.
fn factors(g: &Graph, node: NodeId, out: &mut Vec<NodeId>, sign: &mut bool) {
    let n = g.node(node);
    match &n.op {
        Op::Binary(Binary::Mul) => {
            factors(g, n.args[0], out, sign);
            factors(g, n.args[1], out, sign);
        }
        Op::Broadcast => factors(g, n.args[0], out, sign),
        Op::Unary(Unary::Neg) => {
            *sign = !*sign;
            factors(g, n.args[0], out, sign);
        }
        _ => out.push(node),
    }
}

fn product(g: &mut Graph, node: NodeId, shape: &[usize], count: NodeId) -> Result<NodeId, ShapeError> {
    let mut list = vec![];
    let mut negative = false;
    factors(g, node, &mut list, &mut negative);
    let (shared, own): (Vec<NodeId>, Vec<NodeId>) = list.into_iter().partition(|f| !g.node(*f).batched);
    // A sum among the factors of one sample is multiplied out, so that each term can be separated.
    let spread = own.iter().position(|f| {
        let n = g.node(*f);
        matches!(n.op, Op::Binary(Binary::Add | Binary::Sub)) && varies_along_both(&n.shape)
    });
    let sum = match spread {
        Some(at) => expanded(g, &own, at, shape, count)?,
        None => separated(g, &own, shape)?,
    };
    let mut out = sum;
    for factor in shared {
        out = g.binary(Binary::Mul, factor, out)?;
    }
    if negative { g.unary(Unary::Neg, out) } else { Ok(out) }
}

fn varies_along_both(shape: &[usize]) -> bool {
    shape.iter().filter(|n| **n > 1).count() > 1
}

fn multiplied(g: &mut Graph, factors: &[NodeId]) -> Result<NodeId, ShapeError> {
    let mut out = g.constant(1.0);
    for f in factors {
        out = g.binary(Binary::Mul, out, *f)?;
    }
    Ok(out)
}

fn expanded(g: &mut Graph, own: &[NodeId], at: usize, shape: &[usize], count: NodeId) -> Result<NodeId, ShapeError> {
    let n = g.node(own[at]).clone();
    let Op::Binary(op) = n.op else { return g.batch_sum(own[at]) };
    let rest: Vec<NodeId> = own.iter().enumerate().filter(|(k, _)| *k != at).map(|(_, f)| *f).collect();
    let rest = multiplied(g, &rest)?;
    let left = g.binary(Binary::Mul, rest, n.args[0])?;
    let right = g.binary(Binary::Mul, rest, n.args[1])?;
    let a = batch_sum(g, left, shape, count)?;
    let b = batch_sum(g, right, shape, count)?;
    g.binary(op, a, b)
}

/// Factors over targets times factors over senders: one matrix product over the batch.
fn separated(g: &mut Graph, own: &[NodeId], shape: &[usize]) -> Result<NodeId, ShapeError> {
    let rank = |g: &Graph, f: NodeId| {
        let s = g.node(f).shape.clone();
        match s.as_slice() {
            [] | [1] | [_, 1] => 0,
            [_] | [1, _] => 1,
            _ => 2,
        }
    };
    let post: Vec<NodeId> = own.iter().copied().filter(|f| rank(g, *f) == 0).collect();
    let pre: Vec<NodeId> = own.iter().copied().filter(|f| rank(g, *f) == 1).collect();
    let both = own.iter().any(|f| rank(g, *f) == 2);
    if both || shape.len() != 2 {
        let whole = multiplied(g, own)?;
        return g.batch_sum(whole);
    }
    let p = multiplied(g, &post)?;
    let q = multiplied(g, &pre)?;
    if pre.is_empty() {
        return g.batch_sum(p);
    }
    if post.is_empty() {
        return g.batch_sum(q);
    }
    let p = g.broadcast_to(p, &[shape[0], 1])?;
    let q = g.broadcast_to(q, &[1, shape[1]])?;
    let outer = g.matmul(p, q)?;
    g.batch_sum(outer)
}
