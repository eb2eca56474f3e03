//! Which sender meets which target over a connection: where a rule's formula, written for one pair, sees its values, and
//! what becomes of it once it is summed over the pairs that share a weight.
//!
//! Over a full connection a sender's values are a row, a target's a column. Over single synapses both are picked at their
//! ends. Over a convolution a weight serves all places of the image: senders are seen through windows
//! `[groups, 1, window, places]`, targets as `[groups, outputs, 1, places]`, weights as `[groups, outputs, window, 1]`; a
//! formula that is a sum of products of the three becomes one gradient of the convolution for each term, and only what
//! is no such sum is formed for every pair.

use std::sync::Arc;

use nnm_graph::ir::{Binary, Conv, Graph, NodeId, Op, Reduce, Unary};
use nnm_graph::{Built, ShapeError};
use nnm_runtime::array::Array;

use super::separate;
use crate::network::{Edges, Pattern, Projection};
use crate::value::{shaped, vector};

/// A sum is formed whole where it would have more terms than this.
const MOST: usize = 16;

/// How the cells at the two ends of a connection meet.
#[derive(Clone, Debug)]
pub enum Meeting {
    /// Every sender meets every target.
    Full { senders: usize, targets: usize },
    /// One weight for each pair listed. While a model is checked the pairs are not drawn, only their number is known.
    Pairs { edges: Arc<Edges>, weights: usize },
    /// One weight for all pairs at the same place of a window.
    Windows(Box<Windows>),
}

/// A convolution as the pairs that it joins.
#[derive(Clone, Debug)]
pub struct Windows {
    conv: Conv,
    image: [usize; 3],
    out: [usize; 3],
    weights: [usize; 4],
    /// Senders seen through windows so far, and the images that they are.
    seen: Vec<(NodeId, NodeId)>,
}

impl Meeting {
    /// How a connection's ends meet, given the sender's shape and the target's.
    pub fn of(projection: &Projection, sender: &[usize], target: &[usize]) -> Meeting {
        let weights = projection.weight.as_ref().map(|q| q.shape.clone()).unwrap_or_default();
        if let (Pattern::Conv { conv, .. }, &[a, b, c], &[d, e, f], &[o, i, h, w]) =
            (&projection.pattern, sender, target, weights.as_slice())
        {
            let (image, out, weights) = ([a, b, c], [d, e, f], [o, i, h, w]);
            return Meeting::Windows(Box::new(Windows { conv: *conv, image, out, weights, seen: vec![] }));
        }
        match &projection.edges {
            Some(edges) if !projection.pattern.is_full() => {
                Meeting::Pairs { edges: edges.clone(), weights: weights.iter().product() }
            }
            _ => Meeting::Full { senders: sender.iter().product(), targets: target.iter().product() },
        }
    }

    pub fn senders(&self) -> usize {
        match self {
            Meeting::Full { senders, .. } => *senders,
            Meeting::Pairs { edges, .. } => edges.senders,
            Meeting::Windows(w) => w.image.iter().product(),
        }
    }

    pub fn targets(&self) -> usize {
        match self {
            Meeting::Full { targets, .. } => *targets,
            Meeting::Pairs { edges, .. } => edges.targets,
            Meeting::Windows(w) => w.out.iter().product(),
        }
    }

    /// One value a sender, as a formula sees it.
    pub fn sender(&mut self, g: &mut Graph, x: NodeId) -> Built {
        match self {
            Meeting::Full { senders, .. } => g.reshape(x, &[1, *senders]),
            Meeting::Pairs { edges, weights } => picked(g, x, &edges.sender(), *weights),
            Meeting::Windows(w) => w.window(g, x),
        }
    }

    /// One value a target, as a formula sees it.
    pub fn target(&self, g: &mut Graph, x: NodeId) -> Built {
        match self {
            Meeting::Full { targets, .. } => g.reshape(x, &[*targets, 1]),
            Meeting::Pairs { edges, weights } => picked(g, x, &edges.target, *weights),
            Meeting::Windows(w) => g.reshape(x, &w.column()),
        }
    }

    /// One value a weight, as a formula sees it.
    pub fn weight(&self, g: &mut Graph, x: NodeId) -> Built {
        match self {
            Meeting::Windows(w) => g.reshape(x, &w.matrix()),
            _ => Ok(x),
        }
    }

    /// One value a bias (or one for all), as a formula sees it.
    pub fn bias(&self, g: &mut Graph, x: NodeId) -> Built {
        match self {
            Meeting::Windows(w) => g.reshape(x, &[w.conv.groups, w.outs(), 1, 1]),
            _ => {
                let length: usize = g.shape(x).iter().product();
                g.reshape(x, &[length, 1])
            }
        }
    }

    /// One value a target: the sum over the pairs that it is in. Of a convolution there is none: its pairs share weights.
    pub fn sum_of_pairs(&self, g: &mut Graph, pairs: NodeId) -> Built {
        match self {
            Meeting::Pairs { edges, weights } => {
                let targets = places(g, &edges.target, *weights)?;
                let pairs = g.broadcast_to(pairs, &[*weights])?;
                g.scatter_add(pairs, 0, targets, &[edges.targets])
            }
            _ => {
                let [targets, senders] = [self.targets(), self.senders()];
                let pairs = g.broadcast_to(pairs, &[targets, senders])?;
                g.reduce(Reduce::Sum, pairs, &[1])
            }
        }
    }

    /// The sum of the weights at each target, in the place of each of its weights.
    pub fn sum_at_targets(&self, g: &mut Graph, weights: NodeId) -> Built {
        let shape = g.shape(weights).to_vec();
        if let Meeting::Pairs { edges, .. } = self {
            let targets = places(g, &edges.target, shape.iter().product())?;
            let sums = g.scatter_add(weights, 0, targets, &[edges.targets])?;
            return g.gather(sums, 0, targets);
        }
        let rest: Vec<usize> = (1..shape.len()).collect();
        let sums = g.reduce(Reduce::Sum, weights, &rest)?;
        let mut column = vec![1; shape.len()];
        column[0] = shape[0];
        let sums = g.reshape(sums, &column)?;
        g.broadcast_to(sums, &shape)
    }

    /// The sum of a formula over the samples and the pairs that share a weight, in the weights' shape.
    pub fn summed(&self, g: &mut Graph, formula: NodeId, weights: &[usize], count: NodeId) -> Built {
        match self {
            Meeting::Windows(w) if w.is_of_weights(g, formula) => {
                let sum = separate::batch_sum(g, formula, &w.matrix(), count)?;
                g.reshape(sum, weights)
            }
            Meeting::Windows(w) => w.summed(g, formula),
            _ => separate::batch_sum(g, formula, weights, count),
        }
    }

    /// The same for biases, whose formula has one value a target.
    pub fn summed_bias(&self, g: &mut Graph, formula: NodeId, biases: usize, count: NodeId) -> Built {
        let Meeting::Windows(w) = self else {
            let sum = separate::batch_sum(g, formula, &[biases, 1], count)?;
            return g.reshape(sum, &[biases]);
        };
        if w.is_of_weights(g, formula) {
            let sum = separate::batch_sum(g, formula, &[w.conv.groups, w.outs(), 1, 1], count)?;
            return g.reshape(sum, &[biases]);
        }
        let all = g.broadcast_to(formula, &w.column())?;
        let sum = g.reduce(Reduce::Sum, all, &[2, 3])?;
        let sum = g.batch_sum(sum)?;
        g.reshape(sum, &[biases])
    }
}

fn picked(g: &mut Graph, x: NodeId, cells: &[u32], weights: usize) -> Built {
    let length: usize = g.shape(x).iter().product();
    let flat = g.reshape(x, &[length])?;
    let places = places(g, cells, weights)?;
    g.gather(flat, 0, places)
}

/// The cells at one end of each pair.
fn places(g: &mut Graph, cells: &[u32], weights: usize) -> Built {
    let mut cells: Vec<f64> = cells.iter().map(|c| f64::from(*c)).collect();
    cells.resize(weights, 0.0);
    let places = g.tensor(vector(cells));
    g.broadcast_to(places, &[weights])
}

/// One product: weights, and what varies over the targets, over the senders and over the samples alone.
#[derive(Clone, Default)]
struct Term {
    weights: Vec<NodeId>,
    each: Vec<NodeId>,
    targets: Vec<NodeId>,
    senders: Vec<NodeId>,
}

impl Term {
    fn times(&self, other: &Term) -> Term {
        let both = |a: &[NodeId], b: &[NodeId]| [a, b].concat();
        Term {
            weights: both(&self.weights, &other.weights),
            each: both(&self.each, &other.each),
            targets: both(&self.targets, &other.targets),
            senders: both(&self.senders, &other.senders),
        }
    }

    fn inverse(&self, g: &mut Graph) -> Result<Term, ShapeError> {
        let one = g.constant(1.0);
        let mut over = |list: &[NodeId]| list.iter().map(|f| g.binary(Binary::Div, one, *f)).collect();
        let (weights, each): (Result<_, ShapeError>, Result<_, ShapeError>) = (over(&self.weights), over(&self.each));
        Ok(Term { weights: weights?, each: each?, targets: over(&self.targets)?, senders: over(&self.senders)? })
    }
}

impl Windows {
    /// Whether a formula is the same at all places of the image: one number a weight, not one a pair.
    fn is_of_weights(&self, g: &Graph, formula: NodeId) -> bool {
        self.places() > 1 && matches!(g.shape(formula), [] | [_, _, _, 1])
    }

    fn outs(&self) -> usize {
        self.weights[0] / self.conv.groups
    }

    fn places(&self) -> usize {
        self.out[1] * self.out[2]
    }

    fn window_size(&self) -> usize {
        self.weights[1] * self.weights[2] * self.weights[3]
    }

    fn column(&self) -> [usize; 4] {
        [self.conv.groups, self.outs(), 1, self.places()]
    }

    fn matrix(&self) -> [usize; 4] {
        [self.conv.groups, self.outs(), self.window_size(), 1]
    }

    /// For each group, place of the window and place of the output: the sender met, if there is one.
    fn met(&self) -> Vec<Option<usize>> {
        let [_, height, width] = self.image;
        let [_, channels, kernel_h, kernel_w] = self.weights;
        let mut out = Vec::with_capacity(self.conv.groups * self.window_size() * self.places());
        for flat in 0..self.conv.groups * channels * kernel_h * kernel_w {
            let (channel, u, v) = (flat / (kernel_h * kernel_w), flat / kernel_w % kernel_h, flat % kernel_w);
            for place in 0..self.places() {
                let (i, j) = (place / self.out[2], place % self.out[2]);
                let row = (i * self.conv.stride[0] + u).checked_sub(self.conv.pad[0][0]).filter(|r| *r < height);
                let column = (j * self.conv.stride[1] + v).checked_sub(self.conv.pad[1][0]).filter(|c| *c < width);
                out.push(row.zip(column).map(|(r, c)| (channel * height + r) * width + c));
            }
        }
        out
    }

    fn seen_shape(&self) -> [usize; 4] {
        [self.conv.groups, 1, self.window_size(), self.places()]
    }

    /// Senders seen through the windows; beyond the image's edge stands any of them.
    fn window(&mut self, g: &mut Graph, x: NodeId) -> Built {
        let x = g.reshape(x, &self.image)?;
        if let Some((window, _)) = self.seen.iter().find(|(_, image)| *image == x) {
            return Ok(*window);
        }
        let flat = g.reshape(x, &[self.image.iter().product()])?;
        let places: Vec<f64> = self.met().into_iter().map(|s| s.unwrap_or(0) as f64).collect();
        let length = places.len();
        let places = g.tensor(vector(places));
        let places = g.broadcast_to(places, &[length])?;
        let met = g.gather(flat, 0, places)?;
        let window = g.reshape(met, &self.seen_shape())?;
        self.seen.push((window, x));
        Ok(window)
    }

    fn summed(&self, g: &mut Graph, formula: NodeId) -> Built {
        match self.terms(g, formula)? {
            Some(terms) => {
                let mut sum = g.filled(0.0, &self.weights);
                for term in terms {
                    let part = self.term_sum(g, &term)?;
                    sum = g.binary(Binary::Add, sum, part)?;
                }
                Ok(sum)
            }
            None => self.whole_sum(g, formula),
        }
    }

    /// A product over targets times one over senders, summed over the places: a gradient of the convolution.
    fn term_sum(&self, g: &mut Graph, term: &Term) -> Built {
        let mut targets = multiplied(g, &term.targets)?;
        for each in &term.each {
            targets = g.binary(Binary::Mul, targets, *each)?;
        }
        let senders = multiplied(g, &term.senders)?;
        let targets = g.broadcast_to(targets, &self.column())?;
        let targets = g.reshape(targets, &self.out)?;
        let senders = g.broadcast_to(senders, &self.image)?;
        let sum = g.conv2d_weight_grad(senders, targets, self.conv, &self.weights)?;
        let mut sum = g.batch_sum(sum)?;
        for factor in &term.weights {
            let factor = g.broadcast_to(*factor, &self.matrix())?;
            let factor = g.reshape(factor, &self.weights)?;
            sum = g.binary(Binary::Mul, factor, sum)?;
        }
        Ok(sum)
    }

    /// The formula for every pair, summed where there is one.
    fn whole_sum(&self, g: &mut Graph, formula: NodeId) -> Built {
        let there: Vec<f64> = self.met().into_iter().map(|s| f64::from(s.is_some())).collect();
        let there: Array = shaped(&self.seen_shape(), there);
        let there = g.tensor(there);
        let zero = g.constant(0.0);
        let full = [self.conv.groups, self.outs(), self.window_size(), self.places()];
        let (there, formula) = (g.broadcast_to(there, &full)?, g.broadcast_to(formula, &full)?);
        let kept = g.select(there, formula, zero)?;
        let sum = g.reduce(Reduce::Sum, kept, &[3])?;
        let sum = g.batch_sum(sum)?;
        g.reshape(sum, &self.weights)
    }

    /// The formula as a sum of products, if it is one.
    fn terms(&self, g: &mut Graph, id: NodeId) -> Result<Option<Vec<Term>>, ShapeError> {
        let node = g.node(id).clone();
        if let Some(term) = self.factor(g, id)? {
            return Ok(Some(vec![term]));
        }
        let all = match node.op {
            Op::Unary(Unary::Neg) => {
                let minus = g.constant(-1.0);
                let minus = Term { weights: vec![minus], ..Term::default() };
                let Some(terms) = self.terms(g, node.args[0])? else { return Ok(None) };
                terms.iter().map(|t| t.times(&minus)).collect()
            }
            Op::Broadcast => return self.terms(g, node.args[0]),
            Op::Binary(op @ (Binary::Add | Binary::Sub | Binary::Mul | Binary::Div)) => {
                let Some(a) = self.terms(g, node.args[0])? else { return Ok(None) };
                let Some(b) = self.terms(g, node.args[1])? else { return Ok(None) };
                match combined(g, op, a, b)? {
                    Some(all) => all,
                    None => return Ok(None),
                }
            }
            _ => return Ok(None),
        };
        Ok((all.len() <= MOST).then_some(all))
    }

    /// What varies along one side only, as a factor of that side.
    fn factor(&self, g: &mut Graph, id: NodeId) -> Result<Option<Term>, ShapeError> {
        let node = g.node(id).clone();
        let windows = nnm_graph::depends_on(g, id, &|n, _| self.seen.iter().any(|(w, _)| *w == n));
        let mut term = Term::default();
        match node.shape.as_slice() {
            [] if node.batched => term.each.push(id),
            [] => term.weights.push(id),
            [_, 1, _, _] if windows => match self.in_image(g, id)? {
                Some(sender) => term.senders.push(sender),
                None => return Ok(None),
            },
            _ if windows => return Ok(None),
            [_, _, _, 1] if !node.batched => term.weights.push(id),
            [_, _, 1, _] => term.targets.push(id),
            _ => return Ok(None),
        }
        Ok(Some(term))
    }

    /// A function of windows alone, element by element, as the same function of their images.
    fn in_image(&self, g: &mut Graph, id: NodeId) -> Result<Option<NodeId>, ShapeError> {
        if let Some((_, image)) = self.seen.iter().find(|(w, _)| *w == id) {
            return Ok(Some(*image));
        }
        let node = g.node(id).clone();
        if node.shape.is_empty() {
            return Ok(Some(id));
        }
        if !matches!(node.op, Op::Unary(_) | Op::Binary(_) | Op::Select | Op::Surrogate | Op::StopGradient) {
            return Ok(g.constant_value(id).map(|value| g.constant(value)));
        }
        let mut args = vec![];
        for arg in &node.args {
            let Some(arg) = self.in_image(g, *arg)? else { return Ok(None) };
            args.push(arg);
        }
        g.rebuild(&node, &args).map(Some)
    }
}

fn combined(g: &mut Graph, op: Binary, a: Vec<Term>, b: Vec<Term>) -> Result<Option<Vec<Term>>, ShapeError> {
    Ok(Some(match op {
        Binary::Add => [a, b].concat(),
        Binary::Sub => {
            let minus = g.constant(-1.0);
            let minus = Term { weights: vec![minus], ..Term::default() };
            a.into_iter().chain(b.iter().map(|t| t.times(&minus))).collect()
        }
        Binary::Mul => a.iter().flat_map(|a| b.iter().map(move |b| a.times(b))).collect(),
        _ => {
            let [below] = b.as_slice() else { return Ok(None) };
            let below = below.inverse(g)?;
            a.iter().map(|t| t.times(&below)).collect()
        }
    }))
}

fn multiplied(g: &mut Graph, factors: &[NodeId]) -> Built {
    let mut out = g.constant(1.0);
    for factor in factors {
        out = g.binary(Binary::Mul, out, *factor)?;
    }
    Ok(out)
}
