//! Sums of products of rows and columns as matrix products.
//!
//! A rule written for each connection, summed over the samples, is a sum of terms `shared · f(post) · g(pre)`; each is
//! `shared` times a matrix product along the samples. A sum over the senders of `w[i, j] · x[j]` is a product too.

use std::collections::HashMap;

use super::{replace_values, values};
use crate::error::{Built, ShapeError};
use crate::ir::{Binary, Graph, Node, NodeId, Op, Program, Reduce, Unary};
use crate::walk;

/// A sum is left alone where it would have more terms than this.
const MOST: usize = 8;

pub(super) fn run(program: &mut Program) -> Result<(), ShapeError> {
    for _ in 0..4 {
        let roots = values(&program.body);
        let graph = &mut program.graph;
        let mut known: HashMap<NodeId, NodeId> = HashMap::new();
        for id in walk::needed(graph, &roots) {
            if let Some(new) = separated(graph, id)?.filter(|new| *new != id) {
                known.insert(id, new);
            }
        }
        if known.is_empty() {
            break;
        }
        let new = walk::substitute_all(graph, &roots, &|_, id| known.get(&id).copied())?;
        replace_values(&mut program.body, new);
    }
    Ok(())
}

fn separated(graph: &mut Graph, id: NodeId) -> Result<Option<NodeId>, ShapeError> {
    let node = graph.node(id).clone();
    match &node.op {
        Op::BatchSum => {
            let summed = graph.bare(node.args[0]);
            summed_over_samples(graph, summed)
        }
        Op::Reduce { reduce: Reduce::Sum, axes } if axes.len() == 1 => {
            let summed = graph.bare(node.args[0]);
            summed_over_axis(graph, summed, axes[0])
        }
        _ => Ok(None),
    }
}

/// One product: factors of each kind. Those of rows have shape [m], those of columns [n], `each` are numbers of a sample.
#[derive(Clone, Default)]
struct Term {
    shared: Vec<NodeId>,
    each: Vec<NodeId>,
    rows: Vec<NodeId>,
    columns: Vec<NodeId>,
}

impl Term {
    fn times(&self, other: &Term) -> Term {
        let both = |a: &[NodeId], b: &[NodeId]| [a, b].concat();
        Term {
            shared: both(&self.shared, &other.shared),
            each: both(&self.each, &other.each),
            rows: both(&self.rows, &other.rows),
            columns: both(&self.columns, &other.columns),
        }
    }
}

fn summed_over_samples(graph: &mut Graph, id: NodeId) -> Result<Option<NodeId>, ShapeError> {
    let node = graph.node(id).clone();
    let plain = matches!(node.op, Op::Binary(_) | Op::Unary(Unary::Neg));
    let (&[m, n], true) = (node.shape.as_slice(), plain) else { return Ok(None) };
    let Some(terms) = terms(graph, id, [m, n])? else { return Ok(None) };
    let mut sum = graph.filled(0.0, &[m, n]);
    for term in terms {
        let part = term_sum(graph, &term, [m, n])?;
        sum = graph.binary(Binary::Add, sum, part)?;
    }
    Ok(Some(sum))
}

/// The sum of a term over the samples.
fn term_sum(graph: &mut Graph, term: &Term, [m, n]: [usize; 2]) -> Built {
    let each = product(graph, &term.each)?;
    let mut rows = product(graph, &term.rows)?;
    let mut columns = product(graph, &term.columns)?;
    if let Some(each) = each {
        let thinner = if columns.is_some() && (rows.is_none() || n < m) { &mut columns } else { &mut rows };
        *thinner = Some(match *thinner {
            Some(factor) => graph.binary(Binary::Mul, factor, each)?,
            None => each,
        });
    }
    let sum = match (rows, columns) {
        (Some(rows), Some(columns)) => {
            let (rows, columns) = (graph.broadcast_to(rows, &[m])?, graph.broadcast_to(columns, &[n])?);
            let outer = graph.outer(rows, columns)?;
            graph.batch_sum(outer)?
        }
        (Some(rows), None) => {
            let sum = graph.batch_sum(rows)?;
            let sum = graph.broadcast_to(sum, &[m])?;
            graph.reshape(sum, &[m, 1])?
        }
        (None, Some(columns)) => graph.batch_sum(columns)?,
        (None, None) => {
            let one = graph.constant(1.0);
            graph.batch_sum(one)?
        }
    };
    let mut sum = graph.broadcast_to(sum, &[m, n])?;
    for factor in &term.shared {
        sum = graph.binary(Binary::Mul, sum, *factor)?;
    }
    Ok(sum)
}

fn product(graph: &mut Graph, factors: &[NodeId]) -> Result<Option<NodeId>, ShapeError> {
    let mut factors = factors.iter().copied();
    let Some(mut product) = factors.next() else { return Ok(None) };
    for factor in factors {
        product = graph.binary(Binary::Mul, product, factor)?;
    }
    Ok(Some(product))
}

/// A value of shape [m, n] as a sum of terms, if it is one.
fn terms(graph: &mut Graph, id: NodeId, shape: [usize; 2]) -> Result<Option<Vec<Term>>, ShapeError> {
    let id = graph.bare(id);
    let node = graph.node(id).clone();
    if !node.batched {
        return Ok(Some(vec![Term { shared: vec![id], ..Term::default() }]));
    }
    if node.shape.is_empty() {
        return Ok(Some(vec![Term { each: vec![id], ..Term::default() }]));
    }
    match node.op {
        Op::Unary(Unary::Neg) => {
            let minus = graph.constant(-1.0);
            let minus = vec![Term { shared: vec![minus], ..Term::default() }];
            Ok(terms(graph, node.args[0], shape)?.map(|terms| crossed(&terms, &minus)))
        }
        Op::Binary(Binary::Add | Binary::Sub | Binary::Mul | Binary::Div) => terms_of_two(graph, &node, shape),
        Op::Broadcast => Ok(Some(vec![match spread(graph, node.args[0], shape)? {
            Some(term) => term,
            None => return Ok(None),
        }])),
        Op::MatMul { transpose_a: true, transpose_b: false } if outer(graph, &node) => {
            let rows = graph.reshape(node.args[0], &[shape[0]])?;
            let columns = graph.reshape(node.args[1], &[shape[1]])?;
            Ok(Some(vec![Term { rows: vec![rows], columns: vec![columns], ..Term::default() }]))
        }
        _ => Ok(None),
    }
}

/// Whether a product is that of one row and one column.
fn outer(graph: &Graph, node: &Node) -> bool {
    node.args.iter().all(|a| graph.shape(*a).len() == 2 && graph.shape(*a)[0] == 1)
}

/// What a broadcast value is a factor of.
fn spread(graph: &mut Graph, inner: NodeId, [m, n]: [usize; 2]) -> Result<Option<Term>, ShapeError> {
    let from = graph.shape(inner).to_vec();
    let mut term = Term::default();
    match from.as_slice() {
        [] => term.each.push(inner),
        [rows, 1] if *rows == m => term.rows.push(graph.reshape(inner, &[m])?),
        [columns] | [1, columns] if *columns == n => term.columns.push(graph.reshape(inner, &[n])?),
        _ => return Ok(None),
    }
    Ok(Some(term))
}

fn terms_of_two(graph: &mut Graph, node: &Node, shape: [usize; 2]) -> Result<Option<Vec<Term>>, ShapeError> {
    let Some(a) = terms(graph, node.args[0], shape)? else { return Ok(None) };
    let Some(mut b) = terms(graph, node.args[1], shape)? else { return Ok(None) };
    let all = match node.op {
        Op::Binary(Binary::Add) => [a, b].concat(),
        Op::Binary(Binary::Sub) => {
            let minus = graph.constant(-1.0);
            b.iter_mut().for_each(|term| term.shared.push(minus));
            [a, b].concat()
        }
        Op::Binary(Binary::Mul) => crossed(&a, &b),
        _ => {
            let [below] = b.as_slice() else { return Ok(None) };
            let inverse = inverse(graph, below)?;
            crossed(&a, &[inverse])
        }
    };
    Ok((all.len() <= MOST).then_some(all))
}

fn crossed(a: &[Term], b: &[Term]) -> Vec<Term> {
    a.iter().flat_map(|a| b.iter().map(move |b| a.times(b))).collect()
}

fn inverse(graph: &mut Graph, term: &Term) -> Result<Term, ShapeError> {
    let one = graph.constant(1.0);
    let mut over = |factors: &[NodeId]| -> Result<Vec<NodeId>, ShapeError> {
        factors.iter().map(|factor| graph.binary(Binary::Div, one, *factor)).collect()
    };
    let (shared, each) = (over(&term.shared)?, over(&term.each)?);
    Ok(Term { shared, each, rows: over(&term.rows)?, columns: over(&term.columns)? })
}

/// `Σ_j w[i, j] · x[j]` and `Σ_i w[i, j] · x[i]`.
fn summed_over_axis(graph: &mut Graph, id: NodeId, axis: usize) -> Result<Option<NodeId>, ShapeError> {
    let node = graph.node(id).clone();
    let (Op::Binary(Binary::Mul), &[m, n]) = (&node.op, node.shape.as_slice()) else { return Ok(None) };
    for (w, x) in [(node.args[0], node.args[1]), (node.args[1], node.args[0])] {
        let spread = graph.node(graph.bare(x)).clone();
        if !matches!(spread.op, Op::Broadcast) || graph.shape(w) != [m, n] {
            continue;
        }
        let from = graph.shape(spread.args[0]).to_vec();
        match (axis, from.as_slice()) {
            (1, [columns] | [1, columns]) if *columns == n => {
                let vector = graph.reshape(spread.args[0], &[n])?;
                return graph.matmul(w, vector).map(Some);
            }
            (0, [rows, 1]) if *rows == m => {
                let vector = graph.reshape(spread.args[0], &[m])?;
                return graph.matmul(vector, w).map(Some);
            }
            _ => {}
        }
    }
    Ok(None)
}
