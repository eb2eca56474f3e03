//! `score`: the derivative of the logarithm of the probability of what was done, by each weight.

use nnm_syntax::diag::Diagnostic;

use super::credit::Credit;
use super::target::{Target, What};
use crate::session::{ScopeId, Session};
use crate::unit::Unit;
use crate::value::{Num, Value};

impl Session<'_> {
    /// Binds `score` in a rule's formula, where a network acts in a world.
    pub fn bind_score(&mut self, scope: ScopeId, credit: &Credit, target: &Target, pre: ScopeId) -> Option<()> {
        let Some(log) = self.program.as_ref().and_then(|p| p.world.as_ref()?.log_probability) else { return Some(()) };
        if !credit.reads(self, &["score"]) {
            return Some(());
        }
        if self.has_time(target.net) {
            let net = self.net(target.net).path.clone();
            let message = format!("`score` goes back through no state, and `{net}` has states");
            let d = Diagnostic::error("E0579", credit.span, message)
                .help("let a network without states act; what it should remember can be part of the observation");
            self.report(d);
            return None;
        }
        let score = match target.what {
            What::Weight { frame, projection } | What::Bias { frame, projection } => {
                let p = self.net(target.net).projections[projection].clone();
                let port = p.port?;
                let node = *self.program.as_ref()?.port_nodes.get(&(frame, p.target, port))?;
                let unit = Unit::REAL.over(&self.net(target.net).populations[p.target].ports[port].unit);
                // Each sample's own, also where the samples share the sender's value.
                let slope = self.each_derivative(log, &[node], credit.span)?[0];
                let meeting = self.meeting(frame, projection)?;
                let seen = self.viewed(&Num::node(unit, slope), credit.span, |g, n| meeting.target(g, n));
                let Some(Value::Num(y)) = self.local(pre, "y", credit.span) else { return Some(()) };
                self.mul(&seen, &y, credit.span)
            }
            What::Plain => {
                let slope = self.each_derivative(log, &[target.read], credit.span)?[0];
                Num::node(Unit::REAL.over(&target.unit), slope)
            }
        };
        self.bind(scope, "score", Value::Num(score));
        Some(())
    }
}
