//! What the rules of a training need and whom they reach, for `nnmc explain FILE --rules`.

use nnm_syntax::ast::{ExprId, ExprKind};
use nnm_syntax::span::Span;

use super::super::credit::Credit;
use super::super::target::Directions;
use crate::session::Session;

impl Session<'_> {
    /// Notes a rule at work: what it reads, what that asks of the network, and the weights that it changes.
    pub(super) fn explain_aim(&mut self, net: &str, credit: &Credit, directions: &Directions) {
        let rule = credit.rule;
        let reads = self.read_by(credit);
        let mut text = format!("{net} by {}", credit.kind.text);
        let (mut reached, mut missed) = (vec![], vec![]);
        for (target, direction) in directions {
            let name = target.path.strip_prefix(&format!("{net}.")).unwrap_or(&target.path).to_string();
            if self.is_zero(*direction) { missed.push(name) } else { reached.push(name) }
        }
        text.push_str(&format!("\n  reaches: {}", listed(&reached)));
        if !missed.is_empty() {
            text.push_str(&format!("\n  gives nothing to: {}", listed(&missed)));
        }
        text.push_str(&format!("\n  reads: {}", listed(&reads)));
        text.push_str(&format!("\n  local: {}", self.locality(credit)));
        text.push_str(&format!("\n  weight transport: {}", self.transport(credit, &reads)));
        let mut phases = vec!["forward".to_string()];
        for (name, _) in &rule.perturbed {
            phases.push(format!("forward again, perturbed (`{}`)", name.text));
        }
        for settle in &rule.settles {
            phases.push(settle.name.as_ref().map_or("settling".into(), |n| format!("settling (`{}`)", n.text)));
        }
        if reads.iter().any(|r| matches!(r.as_str(), "post.error" | "Post.error" | "gradient" | "score")) {
            phases.push("backward".into());
        }
        let over_time = self.program.as_ref().is_some_and(|p| p.stepped);
        if over_time && reads.iter().any(|r| r.ends_with(".signal")) {
            phases.push("forward once more, with eligibilities".into());
        }
        text.push_str(&format!("\n  phases: {}", phases.join(", then ")));
        self.rules.push(text);
    }

    fn locality(&self, credit: &Credit) -> String {
        if credit.rule.local {
            return "yes, and declared so".into();
        }
        let file = &self.modules.get(self.modules.item(credit.kind.item).module).file;
        let found = credit.expressions().flat_map(|e| crate::hir::credit_reads(file, e)).next();
        match found {
            Some((what, _)) => format!("no, it reads `{what}`"),
            None if credit.rule.matrix_change.is_some() => "no, `dW` sees the whole connection".into(),
            None if !credit.rule.settles.is_empty() => "no, an energy is of all activities".into(),
            None if credit.expressions().any(|e| sum_over_end(file, e).is_some()) => {
                "no, it sums over other connections".into()
            }
            None => "yes, it could be declared so".into(),
        }
    }

    fn transport(&self, credit: &Credit, reads: &[String]) -> String {
        let file = &self.modules.get(self.modules.item(credit.kind.item).module).file;
        let carried =
            reads.iter().any(|r| matches!(r.as_str(), "post.error" | "Post.error" | "post.signal" | "Post.signal"));
        match credit.rule.feedback {
            _ if reads.iter().any(|r| r == "gradient") => "yes, the gradient itself".into(),
            None if !credit.rule.settles.is_empty() => "yes, while activities settle".into(),
            None if carried => "yes, errors go back by transpose(w)".into(),
            None => "no".into(),
            Some((_, e, _)) => {
                let text = self.text(file.expr(e).span);
                match crate::hir::reads_any(file, e, &["w"]) {
                    true => format!("in part, errors go back by `{text}`"),
                    false if text == "none" => "no, nothing goes back".into(),
                    false => format!("no, errors go back by `{text}`"),
                }
            }
        }
    }

    /// What a rule's formulas read of the connection and of the objective, each once.
    fn read_by(&self, credit: &Credit) -> Vec<String> {
        let file = &self.modules.get(self.modules.item(credit.kind.item).module).file;
        let energies = credit.rule.settles.iter().map(|s| s.energy);
        let mut open: Vec<ExprId> = credit.expressions().chain(energies).collect();
        let mut out: Vec<String> = vec![];
        while let Some(id) = open.pop() {
            let expr = file.expr(id);
            let own = ["w", "W", "objective", "gradient", "score", "eligibility"];
            let found = match &expr.kind {
                ExprKind::Name(n) if own.contains(&n.as_str()) => Some(n.clone()),
                ExprKind::Field { .. } => Some(self.text(expr.span).to_string()),
                _ => None,
            };
            out.extend(found);
            if !matches!(expr.kind, ExprKind::Field { .. }) {
                open.extend(crate::eval::children(&expr.kind));
            }
        }
        out.sort();
        out.dedup();
        out
    }
}

/// Where an expression sums over the senders or the targets of a connection.
pub(super) fn sum_over_end(file: &nnm_syntax::ast::File, e: ExprId) -> Option<Span> {
    let mut open = vec![e];
    while let Some(id) = open.pop() {
        let expr = file.expr(id);
        if let ExprKind::Call { args, .. } = &expr.kind
            && args.iter().any(|a| {
                a.name.as_ref().is_some_and(|n| n.text == "axis")
                    && matches!(&file.expr(a.value.expr()).kind, ExprKind::Name(n) if n == "post" || n == "pre")
            })
        {
            return Some(expr.span);
        }
        open.extend(crate::eval::children(&expr.kind));
    }
    None
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "nothing".into() } else { names.join(", ") }
}
