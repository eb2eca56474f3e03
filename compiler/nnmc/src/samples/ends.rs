//! What a rule's formula sees at the two ends of a connection: the sender's values, the target's, and the credit there.

use nnm_graph::Built;
use nnm_graph::ir::{Graph, NodeId, Unary};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::credit::Credit;
use super::formula::Formula;
use super::meeting::Meeting;
use super::target::{Link, Target};
use crate::failure::Noted;
use crate::network::FrameId;
use crate::session::Session;
use crate::unit::Unit;
use crate::value::{Num, Owner, PopulationRef, Value};

impl Session<'_> {
    /// `pre` and `post` of a formula. A bias is a weight from a sender whose output is 1; so is a plain weight, whose
    /// target is the weight itself.
    pub fn bind_ends(&mut self, f: &mut Formula) -> Option<()> {
        match f.target.link() {
            Some(link) => {
                match f.target.is_bias() {
                    true => self.bind_constant_sender(f),
                    false => self.bind_sender(f, link)?,
                }
                self.bind_receiver(f, link)?;
                self.bind_own_tensors(f, link)
            }
            None => {
                self.bind_constant_sender(f);
                let Some(objective) = f.credit.objective else { return Some(()) };
                let error = self.minus_gradient(objective, f.target.read, f.span())?;
                let unit = Unit::REAL.over(&f.target.unit);
                // What is shared by the samples has their sum; here the mean is wanted.
                let error = self.per_sample(error)?;
                self.bind(f.post, "error", Value::Num(Num::node(unit, error)));
                Some(())
            }
        }
    }

    fn bind_constant_sender(&mut self, f: &Formula) {
        for name in ["y", "slope"] {
            self.bind(f.pre, name, Value::real(1.0));
        }
    }

    fn bind_sender(&mut self, f: &mut Formula, link: Link) -> Option<()> {
        let Some(meeting) = &mut f.meeting else { return Some(()) };
        let sender = self.program.as_ref()?.senders.get(&(link.frame, link.projection)).cloned()?;
        let p = &self.net(self.frame(link.frame).net).projections[link.projection];
        let (span, source) = (p.span, p.source);
        let y = self.viewed(&sender, span, |g, n| meeting.sender(g, n));
        let y = Num { stepwise: false, ..y };
        let slope = match self.program.as_ref()?.transmitted.get(&(link.frame, link.projection)).copied() {
            Some(all) => self.slope_by_weight(all, f.target, &sender.unit)?,
            None => y.clone(),
        };
        self.bind(f.pre, "y", Value::Num(y));
        self.bind(f.pre, "slope", Value::Num(slope));
        if let Some((index, None)) = source {
            let states = self.numbers_at(f.credit, ["pre", "Pre"], link.frame, index)?;
            let named = self.named_of(f.credit, ["pre", "Pre"], link.frame, index);
            for (name, num) in states.into_iter().chain(named) {
                let seen = self.viewed(&num, span, |g, n| meeting.sender(g, n));
                self.bind(f.pre, name, Value::Num(seen));
            }
        }
        Some(())
    }

    /// The derivative of what a declared synapse transmits by its weight, pair by pair.
    fn slope_by_weight(&mut self, all: NodeId, target: &Target, unit: &Unit) -> Option<Num> {
        let shape = self.graph.shape(all).to_vec();
        let one = self.graph.filled(1.0, &shape);
        let found = nnm_graph::grad_each(&mut self.graph, &[(all, one)], &[target.read]).noted(self)?;
        let node = match found.first().copied().flatten() {
            Some(node) => node,
            None => self.graph.filled(0.0, &target.shape),
        };
        Some(Num::node(unit.clone(), node))
    }

    fn bind_receiver(&mut self, f: &Formula, link: Link) -> Option<()> {
        let p = self.net(self.frame(link.frame).net).projections[link.projection].clone();
        let span = p.span;
        let output = self.output_of(link)?;
        let (port, unit) = self.port_at(link)?;
        let mut seen = vec![
            ("y".to_string(), Num { stepwise: false, ..output.clone() }),
            ("input".to_string(), Num::node(unit.clone(), port)),
        ];
        let out = self.lift(&output);
        if let Some(slope) = self.slope(out, port) {
            seen.push(("slope".into(), Num::node(output.unit.over(&unit), slope)));
        }
        seen.extend(self.numbers_at(f.credit, ["post", "Post"], link.frame, p.target)?);
        seen.extend(self.named_of(f.credit, ["post", "Post"], link.frame, p.target));
        if f.credit.objective.is_some() {
            seen.push(("error".into(), self.delivered_error(f.credit, link, out, port)?));
        }
        for (name, num) in seen {
            let num = self.viewed(&num, span, |g, n| f.of_targets(g, n));
            self.bind(f.post, name, Value::Num(num));
        }
        Some(())
    }

    /// States of a population at one end, a number for each cell; arrays are read inside of the neuron.
    fn numbers_at(
        &mut self,
        credit: &Credit,
        end: [&str; 2],
        frame: FrameId,
        index: usize,
    ) -> Option<Vec<(String, Num)>> {
        let cells = self.net(self.frame(frame).net).populations[index].shape.len();
        let states = self.frame(frame).populations[index].states.clone();
        let is_array = |s: &Self, num: &Num| s.shape(num).filter(|shape| shape.len() > cells);
        let (arrays, numbers): (Vec<_>, Vec<_>) =
            states.into_iter().partition(|(_, num)| is_array(self, num).is_some());
        for (name, num) in arrays {
            let read = end.map(|end| format!("{end}.{name}"));
            if credit.reads(self, &[&read[0], &read[1]]) {
                let shape = self.shape(&num)?;
                self.refuse_array(&name, &shape[cells..], credit.span);
                return None;
            }
        }
        Some(numbers)
    }

    /// What else a formula reads of a population at one end: ports, outputs and lets, a number for each cell.
    fn named_of(&mut self, credit: &Credit, end: [&str; 2], frame: FrameId, index: usize) -> Vec<(String, Num)> {
        let population = self.net(self.frame(frame).net).populations[index].clone();
        let neuron = self.neuron_of(&population);
        let dynamics = &neuron.dynamics;
        let computed = dynamics.lets.iter().chain(&dynamics.outputs).map(|d| d.name.text.clone());
        let names: Vec<String> = population.ports.iter().map(|p| p.name.clone()).chain(computed).collect();
        let scope = self.frame(frame).populations[index].scope;
        let mut out = vec![];
        for name in names {
            let read = end.map(|end| format!("{end}.{name}"));
            if name == "y" || !credit.reads(self, &[&read[0], &read[1]]) {
                continue;
            }
            let Some(Value::Num(num)) = self.local(scope, &name, population.span) else { continue };
            if self.shape(&num).is_some_and(|s| s == population.shape) {
                out.push((name, Num { stepwise: false, ..num }));
            }
        }
        out
    }

    /// The output of a connection's target population.
    pub fn output_of(&mut self, link: Link) -> Option<Num> {
        let net = self.net(self.frame(link.frame).net);
        let index = net.projections[link.projection].target;
        let span = net.populations[index].span;
        let whole = PopulationRef { owner: Owner::Frame(link.frame), index, cells: None };
        let value = self.population_output(&whole, span);
        self.number(value, span)
    }

    /// `gradient`: the objective's derivative by this weight, of one sample.
    pub fn bind_gradient(&mut self, f: &Formula) -> Option<()> {
        if f.credit.objective.is_none() {
            return Some(());
        }
        if let (Some((false, _, place)), true) = (f.credit.rule.feedback, f.credit.reads(self, &["gradient"])) {
            let message = format!("`{}` reads `gradient`, and has errors carried back otherwise", f.credit.kind.text);
            let d = Diagnostic::error("E0584", f.span(), message).label(place, "over this there is no gradient").help(
                "`post.error * pre.slope` is what this feedback delivers; without `feedback` it is minus the gradient",
            );
            self.report(d);
            return None;
        }
        let error = match f.target.link() {
            None => self.local(f.post, "error", f.span()),
            Some(link) => {
                let error = self.true_error(f.credit, link)?;
                Some(Value::Num(self.viewed(&error, f.span(), |g, n| f.of_targets(g, n))))
            }
        };
        let (Some(Value::Num(error)), Some(Value::Num(slope))) = (error, self.local(f.pre, "slope", f.span())) else {
            return Some(());
        };
        let product = self.mul(&error, &slope, f.span());
        let minus = self.unary(Unary::Neg, &product, product.unit.clone(), f.span());
        self.bind(f.scope, "gradient", Value::Num(minus));
        Some(())
    }

    /// `eligibility` and `post.signal` of one moment: there is no state through which they could come.
    pub fn bind_moment(&mut self, f: &Formula) -> Option<()> {
        let Some(link) = f.target.link() else { return Some(()) };
        if self.program.as_ref().is_some_and(|p| p.stepped) {
            return Some(());
        }
        let slope = self.local(f.post, "slope", f.span());
        if let (Some(Value::Num(slope)), Some(Value::Num(by))) = (slope, self.local(f.pre, "slope", f.span())) {
            let eligibility = self.mul(&slope, &by, f.span());
            self.bind(f.scope, "eligibility", Value::Num(eligibility));
        }
        if f.credit.objective.is_some() && f.credit.reads(self, &["post.signal", "Post.signal"]) {
            let signal = self.delivered_signal(f.credit, link)?;
            let signal = self.viewed(&signal, f.span(), |g, n| f.of_targets(g, n));
            self.bind(f.post, "signal", Value::Num(signal));
        }
        Some(())
    }

    /// How the ends of a connection that has been evaluated meet.
    pub fn meeting(&mut self, link: Link) -> Option<Meeting> {
        let sender = self.program.as_ref()?.senders.get(&(link.frame, link.projection)).cloned()?;
        let from = self.shape(&sender)?;
        let net = self.net(self.frame(link.frame).net);
        let p = &net.projections[link.projection];
        Some(Meeting::of(p, &from, &net.populations[p.target].shape))
    }

    /// A number in the form in which a formula sees it.
    pub fn viewed(&mut self, num: &Num, span: Span, view: impl FnOnce(&mut Graph, NodeId) -> Built) -> Num {
        self.apply(span, num.unit.clone(), &[num], |g, n| view(g, n[0]))
    }

    /// The element-wise derivative of a node by another of the same shape.
    fn slope(&mut self, of: NodeId, by: NodeId) -> Option<NodeId> {
        let shape = self.graph.shape(of).to_vec();
        let one = self.graph.filled(1.0, &shape);
        nnm_graph::grad(&mut self.graph, &[(of, one)], &[by]).ok()?.first().copied().flatten()
    }
}
