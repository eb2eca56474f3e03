//! `score`: the derivative of the logarithm of the probability of what was done, by each weight.

use nnm_syntax::diag::Diagnostic;

use super::formula::Formula;
use crate::session::Session;
use crate::unit::Unit;
use crate::value::{Num, Value};

impl Session<'_> {
    /// Binds `score` in a rule's formula, where a network acts in a world.
    pub fn bind_score(&mut self, f: &Formula) -> Option<()> {
        let Some(log) = self.program.as_ref().and_then(|p| p.world.as_ref()?.log_probability) else { return Some(()) };
        if !f.credit.reads(self, &["score"]) {
            return Some(());
        }
        if self.has_time(f.target.net) {
            let net = self.net(f.target.net).path.clone();
            let message = format!("`score` goes back through no state, and `{net}` has states");
            let d = Diagnostic::error("E0579", f.span(), message)
                .help("let a network without states act; what it should remember can be part of the observation");
            self.report(d);
            return None;
        }
        let score = match f.target.link() {
            Some(link) => {
                let (node, unit) = self.port_at(link)?;
                // Each sample's own, also where the samples share the sender's value.
                let slope = self.each_derivative(log, &[node], f.span())?[0];
                let slope = Num::node(Unit::REAL.over(&unit), slope);
                let seen = self.viewed(&slope, f.span(), |g, n| f.of_targets(g, n));
                let Some(Value::Num(y)) = self.local(f.pre, "y", f.span()) else { return Some(()) };
                self.mul(&seen, &y, f.span())
            }
            None => {
                let slope = self.each_derivative(log, &[f.target.read], f.span())?[0];
                Num::node(Unit::REAL.over(&f.target.unit), slope)
            }
        };
        self.bind(f.scope, "score", Value::Num(score));
        Some(())
    }
}
