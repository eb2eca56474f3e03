//! What a rule's formula sees at the two ends of a connection: the sender's values, the target's, and the credit there.

use nnm_graph::Built;
use nnm_graph::ir::{Graph, NodeId, Unary};
use nnm_syntax::span::Span;

use super::formula::Formula;
use super::meeting::Meeting;
use super::target::Link;
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
                    true => self.bind(f.pre, "y", Value::real(1.0)),
                    false => self.bind_sender(f, link)?,
                }
                self.bind_receiver(f, link)?;
                self.bind_own_tensors(f, link)
            }
            None => {
                self.bind(f.pre, "y", Value::real(1.0));
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

    fn bind_sender(&mut self, f: &mut Formula, link: Link) -> Option<()> {
        let Some(meeting) = &mut f.meeting else { return Some(()) };
        let sender = self.program.as_ref()?.senders.get(&(link.frame, link.projection)).cloned()?;
        let p = &self.net(self.frame(link.frame).net).projections[link.projection];
        let (span, source) = (p.span, p.source);
        let y = self.viewed(&sender, span, |g, n| meeting.sender(g, n));
        self.bind(f.pre, "y", Value::Num(Num { stepwise: false, ..y }));
        if let Some((index, None)) = source {
            let states = self.frame(link.frame).populations[index].states.clone();
            for (name, num) in states {
                let seen = self.viewed(&num, span, |g, n| meeting.sender(g, n));
                self.bind(f.pre, name, Value::Num(seen));
            }
        }
        Some(())
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
        seen.extend(self.frame(link.frame).populations[p.target].states.clone());
        if f.credit.objective.is_some() {
            seen.push(("error".into(), self.delivered_error(f.credit, link, out, port)?));
        }
        for (name, num) in seen {
            let num = self.viewed(&num, span, |g, n| f.of_targets(g, n));
            self.bind(f.post, name, Value::Num(num));
        }
        Some(())
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
        let error = match f.target.link() {
            None => self.local(f.post, "error", f.span()),
            Some(link) => {
                let error = self.true_error(f.credit, link)?;
                Some(Value::Num(self.viewed(&error, f.span(), |g, n| f.of_targets(g, n))))
            }
        };
        let (Some(Value::Num(error)), Some(Value::Num(y))) = (error, self.local(f.pre, "y", f.span())) else {
            return Some(());
        };
        let product = self.mul(&error, &y, f.span());
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
        if let (Some(Value::Num(slope)), Some(Value::Num(y))) = (slope, self.local(f.pre, "y", f.span())) {
            let eligibility = self.mul(&slope, &y, f.span());
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
