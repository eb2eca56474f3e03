//! What the rules of a simulation need and whom they reach, for `nnmc explain FILE --rules`.

use nnm_syntax::ast::{ExprId, ExprKind, StmtKind};

use super::Build;
use super::learn::Work;
use crate::hir::Trace;
use crate::session::Session;

impl Session<'_> {
    /// Notes a rule at work: the connection that it changes and when, what it reads, and how its traces are kept.
    pub fn explain_work(&mut self, b: &Build, work: &Work) {
        let rule = &work.learn.rule;
        let net = self.net(b.net).path.clone();
        let mut text = format!("{net}.{} by {}", work.p.name, work.learn.kind.text);
        text.push_str(&format!("\n  changes: {}", self.when_changed(work)));
        let reads = self.reads_of(work);
        text.push_str(&format!("\n  reads: {}", if reads.is_empty() { "nothing".into() } else { reads.join(", ") }));
        let sums = self.sums_over_others(work);
        let local = match (rule.local, sums, rule.normalize) {
            (true, ..) => "yes, and declared so".to_string(),
            (_, true, _) => "no, it sums over other connections".into(),
            (_, _, true) => "no, `normalize` sums over the other weights of a target".into(),
            _ if rule.modulators.is_empty() => "yes, it could be declared so".into(),
            _ => "yes, with its modulators from outside; it could be declared so".into(),
        };
        text.push_str(&format!("\n  local: {local}"));
        for trace in &rule.traces {
            text.push_str(&format!("\n  {}", self.trace_kept(b, work, trace)));
        }
        let kept = rule.dynamics.states.iter().chain(&rule.dynamics.running).map(|s| s.name.text.as_str());
        let kept: Vec<&str> = kept.collect();
        if !kept.is_empty() {
            text.push_str(&format!("\n  keeps for each synapse: {}", kept.join(", ")));
        }
        self.rules.push(text);
    }

    /// Which quantities change when.
    fn when_changed(&self, work: &Work) -> String {
        let d = &work.learn.rule.dynamics;
        let module = self.modules.item(work.learn.kind.item).module;
        let file = &self.modules.get(module).file;
        let mut out: Vec<String> = vec![];
        for on in &d.ons {
            let mut names: Vec<&str> = vec![];
            for stmt in &on.block {
                if let StmtKind::Assign { place, .. } = &stmt.kind
                    && let Some(name) = place.first()
                    && !names.contains(&name.text.as_str())
                {
                    names.push(&name.text);
                }
            }
            let when = match (on.period, on.event.text.as_str()) {
                (Some(period), _) => format!("every {}", self.text(file.expr(period).span)),
                (None, "pre") => "when a spike arrives".into(),
                (None, "post") => "when the target fires".into(),
                (None, event) => format!("at `{event}`"),
            };
            out.push(format!("{} {when}", names.join(", ")));
        }
        for e in d.equations.iter().chain(&d.nexts) {
            out.push(format!("{} in each step", e.name.text));
        }
        if work.learn.rule.normalize {
            out.push("w in each step, so that the sum over each target stays".into());
        }
        out.join("; ")
    }

    fn expressions_of(&self, work: &Work) -> Vec<ExprId> {
        let rule = &work.learn.rule;
        let d = &rule.dynamics;
        let lets = d.lets.iter().filter_map(|l| l.init.map(nnm_syntax::ast::Init::expr));
        let equations = d.equations.iter().chain(&d.nexts).map(|e| e.value);
        let traces = rule.traces.iter().flat_map(|t| t.equation.iter().chain(&t.next)).map(|e| e.value);
        let of_traces = rule.traces.iter().flat_map(|t| &t.on_spike);
        let assigned = d.ons.iter().flat_map(|on| &on.block).chain(of_traces).filter_map(|stmt| match &stmt.kind {
            StmtKind::Assign { value, .. } => Some(*value),
            _ => None,
        });
        lets.chain(equations).chain(traces).chain(assigned).collect()
    }

    /// What the rule's formulas read beside its parameters, each once.
    fn reads_of(&self, work: &Work) -> Vec<String> {
        let rule = &work.learn.rule;
        let file = &self.modules.get(self.modules.item(work.learn.kind.item).module).file;
        let own = rule.traces.iter().map(|t| &t.name).chain(rule.modulators.iter().map(|m| &m.name));
        let own: Vec<&str> = own.map(|n| n.text.as_str()).chain(["w"]).collect();
        let mut open = self.expressions_of(work);
        let mut out: Vec<String> = vec![];
        while let Some(id) = open.pop() {
            let expr = file.expr(id);
            match &expr.kind {
                ExprKind::Name(n) if own.contains(&n.as_str()) => out.push(n.clone()),
                ExprKind::Field { .. } => out.push(self.text(expr.span).to_string()),
                kind => open.extend(crate::eval::children(kind)),
            }
        }
        out.sort();
        out.dedup();
        out
    }

    fn sums_over_others(&self, work: &Work) -> bool {
        let file = &self.modules.get(self.modules.item(work.learn.kind.item).module).file;
        let mut open = self.expressions_of(work);
        while let Some(id) = open.pop() {
            let kind = &file.expr(id).kind;
            if matches!(kind, ExprKind::Call { clauses, .. } if clauses.iter().any(|c| c.word.text == "over")) {
                return true;
            }
            open.extend(crate::eval::children(kind));
        }
        false
    }

    /// One trace: of which cells, how many copies for different delays, and how it goes on between spikes.
    fn trace_kept(&self, b: &Build, work: &Work, trace: &Trace) -> String {
        let name = &trace.name.text;
        let side = if trace.post { work.p.target } else { work.p.source.map_or(work.p.target, |s| s.0) };
        let population = &self.net(b.net).populations[side];
        let copies = work.traces.get(name).map_or(1, |t| t.vars.len());
        let of = format!("one for each cell of `{}`", population.name);
        let of = if copies > 1 { format!("{of} and each of {copies} delays") } else { of };
        let own = format!("{}.{name}", work.p.name);
        let chosen = b.choices.iter().find(|(owner, c)| *owner == work.p.name && c.states.contains(&own));
        let how = match (chosen, &trace.equation, &trace.next) {
            (Some((_, choice)), ..) => format!("advanced in each step by {}: {}", choice.method.name(), choice.reason),
            (None, None, None) => "changed at spikes alone".into(),
            _ => "advanced in each step".into(),
        };
        format!("trace {name}: {of}, {how}")
    }
}
