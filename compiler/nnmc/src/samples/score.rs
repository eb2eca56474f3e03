//! `score`: the derivative of the logarithm of the probability of what was drawn, by each weight.

use nnm_graph::Built;
use nnm_graph::ir::{Assign, Binary, Graph, NodeId, Reduce, Unary};
use nnm_syntax::diag::Diagnostic;

use super::credit::Credit;
use super::formula::Formula;
use super::gradient::Flows;
use super::present::Presentation;
use crate::failure::Noted;
use crate::program::Purpose;
use crate::session::Session;
use crate::unit::Unit;
use crate::value::{Num, Value};

/// The least probability of something that was drawn: its logarithm is finite.
const LEAST: f64 = 1e-30;

/// What was drawn in a step, and the logarithm of its probability (or density, but for a constant).
#[derive(Clone, Debug)]
pub struct Drawn {
    pub value: NodeId,
    pub log_probability: NodeId,
}

/// `x` is 1 with probability p, else 0.
pub fn log_of_coin(g: &mut Graph, x: NodeId, p: NodeId) -> Built {
    let one = g.constant(1.0);
    let other = g.binary(Binary::Sub, one, p)?;
    let picked = g.select(x, p, other)?;
    log_of(g, picked)
}

/// `class` is drawn with the probabilities p.
pub fn log_of_class(g: &mut Graph, class: NodeId, p: NodeId) -> Built {
    let picked = g.gather(p, 0, class)?;
    log_of(g, picked)
}

/// `x` is normal with mean m and standard deviation s.
pub fn log_of_normal(g: &mut Graph, x: NodeId, m: NodeId, s: NodeId) -> Built {
    let x = g.stop_gradient(x)?;
    let off = g.binary(Binary::Sub, x, m)?;
    let off = g.binary(Binary::Div, off, s)?;
    let square = g.binary(Binary::Mul, off, off)?;
    let half = g.constant(-0.5);
    let square = g.binary(Binary::Mul, half, square)?;
    let width = g.unary(Unary::Log, s)?;
    g.binary(Binary::Sub, square, width)
}

/// `k` is a Poisson number of mean m.
pub fn log_of_poisson(g: &mut Graph, k: NodeId, m: NodeId) -> Built {
    let k = g.stop_gradient(k)?;
    let log = log_of(g, m)?;
    let weighted = g.binary(Binary::Mul, k, log)?;
    g.binary(Binary::Sub, weighted, m)
}

/// `x` is exponential of mean m.
pub fn log_of_exponential(g: &mut Graph, x: NodeId, m: NodeId) -> Built {
    let x = g.stop_gradient(x)?;
    let log = log_of(g, m)?;
    let relative = g.binary(Binary::Div, x, m)?;
    let sum = g.binary(Binary::Add, log, relative)?;
    g.unary(Unary::Neg, sum)
}

fn log_of(g: &mut Graph, p: NodeId) -> Built {
    let least = g.constant(LEAST);
    let p = g.binary(Binary::Max, p, least)?;
    g.unary(Unary::Log, p)
}

impl Session<'_> {
    /// Keeps a draw of a training with the logarithm of its probability.
    pub fn note_draw(&mut self, value: &Num, log: impl FnOnce(&mut Session, NodeId) -> Option<NodeId>) {
        let training = self.program.as_ref().is_some_and(|p| p.purpose == Purpose::Samples { training: true });
        let crate::value::Repr::Node(node) = value.repr else { return };
        if !training || self.drawing.is_some() {
            return;
        }
        if let Some(log_probability) = log(self, node)
            && let Some(program) = &mut self.program
        {
            program.drawn.push(Drawn { value: node, log_probability });
        }
    }

    /// The draws that what is computed depends on, and the logarithm of their probability, one number a sample.
    fn probability(&mut self, credit: &Credit, new: &[Assign]) -> Option<(Vec<NodeId>, NodeId)> {
        let program = self.program.as_ref()?;
        let mut roots: Vec<NodeId> = new.iter().map(|a| a.value).chain(credit.objective).collect();
        roots.extend(program.reductions.iter().map(|r| r.step));
        let world = program.world.as_ref();
        roots.extend(world.iter().flat_map(|w| w.states.iter().map(|a| a.value)).chain(world.map(|w| w.reward)));
        let drawn = program.drawn.clone();
        let met: std::collections::BTreeSet<NodeId> = nnm_graph::needed(&self.graph, &roots).into_iter().collect();
        let (mut values, mut total) = (vec![], self.graph.constant(0.0));
        for draw in drawn.into_iter().filter(|d| met.contains(&d.value)) {
            let log = self.graph.reduce_all(Reduce::Sum, draw.log_probability).noted(self)?;
            total = self.graph.binary(Binary::Add, total, log).noted(self)?;
            values.push(draw.value);
        }
        Some((values, total))
    }

    /// Through the steps of a presentation: what flows back of the logarithms of the probabilities.
    pub fn score_flows(&mut self, p: &Presentation, credit: &Credit, states: &[Assign]) -> Option<Flows> {
        if !credit.reads(self, &["score"]) {
            return Some(Flows::default());
        }
        let (values, total) = self.probability(credit, states)?;
        let counts = match self.program.as_ref()?.world.as_ref() {
            Some(world) => world.alive,
            None => self.graph.constant(1.0),
        };
        let flows = self.flows(p, states, &[(total, counts)], &values, credit.span)?;
        self.program.as_mut()?.score_seeds = Some((flows.seeds.clone(), values));
        Some(flows)
    }

    /// Binds `score` in a rule's formula.
    pub fn bind_score(&mut self, f: &Formula) -> Option<()> {
        if !f.credit.reads(self, &["score"]) {
            return Some(());
        }
        let (seeds, values) = match self.program.as_ref()?.score_seeds.clone() {
            Some(found) => found,
            None => {
                let (values, total) = self.probability(f.credit, &[])?;
                let one = self.graph.constant(1.0);
                (vec![(total, one)], values)
            }
        };
        if values.is_empty() {
            let message = format!("`{}` reads `score`, but nothing is drawn here", f.credit.kind.text);
            let d = Diagnostic::error("E0519", f.span(), message)
                .at("`score` is about the probability of draws")
                .help("let units draw (`output y = bernoulli(sigmoid(u))`), or let the network act in an environment");
            self.report(d);
            return None;
        }
        let (by, unit) = match f.target.link() {
            Some(link) => self.port_at(link)?,
            None => (f.target.read, f.target.unit.clone()),
        };
        // What was drawn is what it is: credit goes to its probability, and not through it to that of what came after.
        let wrt: Vec<NodeId> = std::iter::once(by).chain(values).collect();
        // Each sample's own, also where the samples share the sender's value.
        let found = match nnm_graph::grad_each(&mut self.graph, &seeds, &wrt) {
            Ok(found) => found,
            Err(error) => {
                self.no_derivative(f.span(), &error);
                return None;
            }
        };
        let slope = match found.first().copied().flatten() {
            Some(slope) => slope,
            None => {
                let shape = self.graph.shape(by).to_vec();
                self.graph.filled(0.0, &shape)
            }
        };
        let slope = Num::node(Unit::REAL.over(&unit), slope);
        let score = match f.target.link() {
            Some(_) => {
                let seen = self.viewed(&slope, f.span(), |g, n| f.of_targets(g, n));
                let Some(Value::Num(by_weight)) = self.local(f.pre, "slope", f.span()) else { return Some(()) };
                self.mul(&seen, &by_weight, f.span())
            }
            None => slope,
        };
        self.bind(f.scope, "score", Value::Num(score));
        Some(())
    }
}
