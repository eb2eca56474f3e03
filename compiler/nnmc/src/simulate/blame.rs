//! Where the state that ceased to be finite has its equation, and which numbers of it are 0 and may have been divided by.

use nnm_syntax::span::Span;

use super::Simulation;
use crate::hir::{ItemKind, clause};
use crate::network::{NetId, Population};
use crate::session::Session;
use crate::value::{Argument, Num};

/// What is to be said of a state that is no longer finite.
pub struct Blame {
    pub span: Span,
    /// "`tau` of `g` is 0 ms"
    pub zeros: Vec<String>,
}

impl Session<'_> {
    /// Finds the equation of the state at a path, and the parameters near it that are 0.
    pub fn blame(&mut self, sim: &Simulation, path: &str) -> Blame {
        let mut blame = Blame { span: sim.span, zeros: vec![] };
        for id in self.nets_below(sim.net) {
            let Some(inner) = path.strip_prefix(&format!("{}.", self.net(id).path)).map(str::to_string) else {
                continue;
            };
            let Some((owner, state)) = inner.split_once('.') else { continue };
            let net = self.net(id);
            if let Some(p) = net.population(owner) {
                let population = net.populations[p].clone();
                self.blame_population(id, p, &population, state, &mut blame);
            } else if let Some(k) = net.projection(owner) {
                self.blame_connection(sim, id, k, state, &mut blame);
            }
        }
        blame
    }

    fn blame_population(&mut self, id: NetId, p: usize, population: &Population, state: &str, blame: &mut Blame) {
        let ItemKind::Neuron(n) = &self.modules.item(population.item).kind else { return };
        let equations = n.dynamics.equations.iter().chain(&n.dynamics.nexts);
        if let Some(e) = equations.into_iter().find(|e| e.name.text == state) {
            blame.span = e.span;
        }
        for (name, num) in &population.params {
            blame.zeros.extend(zero(num).map(|z| format!("`{name}` of `{}` is {z}", population.name)));
        }
        let arriving: Vec<usize> =
            (0..self.net(id).projections.len()).filter(|k| self.net(id).projections[*k].target == p).collect();
        for k in arriving {
            self.zeros_of_connection(id, k, blame);
        }
    }

    fn zeros_of_connection(&mut self, id: NetId, k: usize, blame: &mut Blame) {
        let p = self.net(id).projections[k].clone();
        for (name, argument) in p.args.iter().filter(|(n, _)| n != "w" && n != "delay") {
            blame.zeros.extend(self.zero_argument(argument).map(|z| format!("`{name}` of `{}` is {z}", p.name)));
        }
    }

    fn blame_connection(&mut self, sim: &Simulation, id: NetId, k: usize, state: &str, blame: &mut Blame) {
        let p = self.net(id).projections[k].clone();
        if let Some(synapse) = p.synapse.and_then(|item| self.synapse_item(item)) {
            let d = &synapse.dynamics;
            if let Some(e) = d.equations.iter().chain(&d.nexts).find(|e| e.name.text == state) {
                blame.span = e.span;
            }
        }
        self.zeros_of_connection(id, k, blame);
        let bys = sim.block.iter().filter_map(|stmt| match &stmt.kind {
            nnm_syntax::ast::StmtKind::List { word, clauses, .. } if word.text == "learn" => clause(clauses, "by"),
            _ => None,
        });
        for by in bys.collect::<Vec<_>>() {
            let at = self.expr_span(sim.scope, by);
            let value = self.eval(sim.scope, by);
            let Some((kind, rule)) = self.rule_of(&value, at) else { continue };
            let declared = self.modules.item(kind.item).name.text.clone();
            let name = match state.split_once('.') {
                Some((owner, name)) if owner == declared => name.split('@').next().unwrap_or(name),
                None if state == "w" || state == "w@edges" => "w",
                _ => continue,
            };
            let d = &rule.dynamics;
            let trace = rule.traces.iter().find(|t| t.name.text == name);
            let of_trace = trace.and_then(|t| t.equation.as_ref().or(t.next.as_ref()).map(|e| e.span));
            let own = d.equations.iter().chain(&d.nexts).find(|e| e.name.text == name).map(|e| e.span);
            blame.span = of_trace.or(own).or(d.ons.first().map(|on| on.span)).unwrap_or(blame.span);
            for (name, argument) in &kind.args {
                blame.zeros.extend(self.zero_argument(argument).map(|z| format!("`{name}` of `{declared}` is {z}")));
            }
        }
    }

    fn zero_argument(&mut self, argument: &Argument) -> Option<String> {
        let (Argument::Expr(c) | Argument::Draw(c)) = argument else { return None };
        let mut found = None;
        // Where the value depends on the cells, a look without them finds nothing, and says nothing.
        self.aside(|s| found = s.operand(c.scope, c.expr.id).and_then(|o| zero(&o.num)));
        found
    }
}

/// A quantity with a unit that is 0 somewhere, as it is shown: `0 ms`.
fn zero(num: &Num) -> Option<String> {
    let zero = num.as_const().is_some_and(|a| a.iter().any(|v| *v == 0.0));
    let divides = num.unit.dim().is_some_and(|d| d == crate::unit::TIME);
    (zero && divides).then(|| crate::table::quantity(0.0, &num.unit))
}
