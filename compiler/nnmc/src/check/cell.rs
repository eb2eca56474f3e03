//! Neurons, synapses and optimizers on their own: equations and blocks of one cell, one connection, one weight.

use nnm_syntax::ast::{Init, Name};
use nnm_syntax::diag::Diagnostic;

use crate::hir::{Decl, Dynamics, ItemId, ItemKind};
use crate::network::Holder;
use crate::session::{Lazy, ScopeId, Session};
use crate::unit::Unit;
use crate::value::{Num, Value};

const RULE_ACTS: &str =
    "what happens at the target's spikes and at intervals is said by a rule: `rule R { on post { … } }`";

impl Session<'_> {
    /// Names that every declaration with a time sees.
    pub(super) fn bind_clock(&mut self, scope: ScopeId) {
        let ms = Unit::parse("ms").unwrap_or(Unit::REAL);
        self.bind_unknown(scope, &["t", "dt"], &ms);
        self.bind_unknown(scope, &["training", "n"], &Unit::REAL);
    }

    /// Parameters in parentheses: given by a default, else not known.
    pub(super) fn bind_parameters(&mut self, scope: ScopeId, item: ItemId) {
        for param in self.modules.item(item).params.clone() {
            let value = match param.default {
                Some(default) => self.eval(scope, default),
                None => Value::Num(Num::unknown(Unit::Unknown)),
            };
            let value = match &param.ty {
                Some(ty) => self.hold_at(scope, value, ty, param.name.span),
                None => value,
            };
            self.bind(scope, param.name.text, value);
        }
    }

    pub(super) fn check_neuron(&mut self, item: ItemId) {
        let declared = self.modules.item(item).clone();
        let ItemKind::Neuron(neuron) = &declared.kind else { return };
        let scope = self.scope(declared.module, None);
        self.bind_unknown(scope, &["index"], &Unit::REAL);
        // In metres on a grid, of one on a ring.
        self.bind_unknown(scope, &["position"], &Unit::Unknown);
        self.bind_unknown(scope, &["angle"], &Unit::parse("deg").unwrap_or(Unit::REAL));
        self.bind_clock(scope);
        let d = &neuron.dynamics;
        let lists: [&[Decl]; 6] = [&d.params, &neuron.inputs, &d.states, &d.running, &d.weights, &d.lets];
        self.hold_names(item, &lists, &d.outputs);
        self.in_probe(|s| {
            s.bind_parameters(scope, item);
            for decl in &d.params {
                s.bind_declared(scope, decl, false);
            }
            s.hold_conditions(scope, &d.params, &Holder::alone(item, declared.name.span));
            for decl in neuron.inputs.iter().chain(&d.states).chain(&d.running).chain(&d.weights) {
                s.bind_declared(scope, decl, true);
            }
            s.bind_equations(scope, neuron);
            let states: Vec<&str> = d.states.iter().chain(&d.running).map(|x| x.name.text.as_str()).collect();
            for block in d.whens.iter().map(|w| &w.block).chain(d.ons.iter().map(|o| &o.block)) {
                s.check_places(block, &states, "neuron", false);
            }
            s.check_names(scope, d);
            s.check_solves(d);
        });
    }

    /// What `solve` names has an equation.
    pub(super) fn check_solves(&mut self, dynamics: &Dynamics) {
        let all: Vec<&Name> = dynamics.solves.iter().flat_map(|(names, _)| names).collect();
        for (k, name) in all.iter().enumerate() {
            if let Some(first) = all[..k].iter().find(|n| n.text == name.text) {
                let d = Diagnostic::error("E0201", name.span, format!("`{}` is solved by two methods", name.text));
                self.report(d.label(first.span, "the first is here"));
            }
            let equations = || dynamics.equations.iter().map(|e| e.name.text.as_str());
            if !equations().any(|n| n == name.text) {
                let d = Diagnostic::error(
                    "E0439",
                    name.span,
                    format!("`{0}` has no equation `{0}\' = …` to solve", name.text),
                );
                let near = crate::suggest::nearest(&name.text, equations());
                self.report(crate::suggest::did_you_mean(d, name.span, near));
            }
        }
    }

    pub(super) fn check_lone_synapse(&mut self, item: ItemId) {
        let declared = self.modules.item(item).clone();
        let ItemKind::Synapse(synapse) = &declared.kind else { return };
        let d = &synapse.dynamics;
        let scope = self.scope(declared.module, None);
        self.bind_clock(scope);
        self.bind_unknown(scope, &["pre", "post", "port", "delay"], &Unit::Unknown);
        self.hold_names(item, &[&d.params, &d.states, &d.running, &d.weights, &d.lets], &d.outputs);
        self.in_probe(|s| {
            s.bind_parameters(scope, item);
            for decl in &d.params {
                s.bind_declared(scope, decl, false);
            }
            s.hold_conditions(scope, &d.params, &Holder::alone(item, declared.name.span));
            for decl in d.weights.iter().chain(&d.states).chain(&d.running) {
                s.bind_declared(scope, decl, true);
            }
            s.bind_formulas(scope, d);
            let states: Vec<&str> = d.states.iter().chain(&d.running).map(|x| x.name.text.as_str()).collect();
            for on in &d.ons {
                s.check_places(&on.block, &states, "synapse", true);
            }
            s.check_names(scope, d);
            s.check_solves(d);
        });
        self.hold_brings(&declared.name, d);
        self.hold_weight(d);
        for on in d.ons.iter().filter(|o| o.event.text != "pre") {
            let (message, help) = match (on.period, on.event.text.as_str()) {
                (Some(_), _) => ("a synapse acts at spikes, not at intervals".into(), RULE_ACTS),
                (None, "post") => ("a synapse acts when a spike arrives: `on pre { … }`".into(), RULE_ACTS),
                (None, event) => {
                    (format!("a synapse has no event `{event}`"), "a spike that arrives is `on pre { … }`")
                }
            };
            self.report(Diagnostic::error("E0408", on.event.span, message).help(help));
        }
        for when in &d.whens {
            let message = "a synapse acts at spikes: `when` belongs in a `neuron`";
            self.report(Diagnostic::error("E0408", when.span, message).help(RULE_ACTS));
        }
        for stmt in d.ons.iter().flat_map(|on| &on.block) {
            if let nnm_syntax::ast::StmtKind::Hold { name, .. } = &stmt.kind {
                let message = "`hold` stops a state of a neuron: synapses have none that stand still";
                self.error("E0439", name.span, message);
            }
        }
    }

    /// A synapse has one weight, and all others know it as `w`.
    fn hold_weight(&mut self, d: &Dynamics) {
        let message = match d.weights.as_slice() {
            [only] if only.name.text != "w" => {
                format!("the weight of a synapse is called `w`, not `{}`", only.name.text)
            }
            [_, second, ..] => format!("a synapse has one weight, `w`; `{}` is a second", second.name.text),
            _ => return,
        };
        let at = d.weights.iter().find(|weight| weight.name.text != "w").map_or(d.weights[0].span, |w| w.name.span);
        let help = match d.weights.len() {
            1 => "so `via NAME(w = …)` gives it, `net.syn.w` reads it, and rules change it",
            _ => "what else differs from synapse to synapse is a `param`: `param tau = 5 ms`, `via NAME(tau ~ …)`",
        };
        self.report(Diagnostic::error("E0685", at, message).help(help));
    }

    /// A synapse with states brings something: an output at its port, or a jump of its target.
    fn hold_brings(&mut self, name: &Name, d: &Dynamics) {
        let Some(state) = d.states.first().filter(|_| d.outputs.is_empty() && !d.changes_target()) else { return };
        let message = format!("`{}` says nothing of what it brings to its target", name.text);
        let help = format!("what arrives at a port is an output, `output I = {}`", state.name.text);
        let d = Diagnostic::error("E0681", name.span, message).help(help);
        self.report(d.help("what makes a state of the target jump stands in `on pre { post.v += w }`"));
    }

    /// `let`s, outputs and next values, evaluated when they are read.
    pub(super) fn bind_formulas(&mut self, scope: ScopeId, dynamics: &Dynamics) {
        for decl in dynamics.lets.iter().chain(&dynamics.outputs) {
            if let Some(Init::Value(id)) = decl.init {
                let closure = self.closure(scope, id);
                self.bind_lazy(scope, decl.name.text.clone(), Lazy::Expr(closure, decl.ty.clone()));
            }
        }
        for next in &dynamics.nexts {
            let closure = self.closure(scope, next.value);
            self.bind_lazy(scope, format!("next {}", next.name.text), Lazy::Expr(closure, None));
        }
    }

    pub(super) fn check_optimizer(&mut self, item: ItemId) {
        let declared = self.modules.item(item).clone();
        let ItemKind::Optimizer(optimizer) = &declared.kind else { return };
        let d = &optimizer.dynamics;
        let scope = self.scope(declared.module, None);
        self.hold_names(item, &[&d.params, &d.states, &d.lets], &d.outputs);
        self.bind_unknown(scope, &["w", "dw", "kink", "epoch", "n", "progress", "training"], &Unit::REAL);
        self.in_probe(|s| {
            s.bind_parameters(scope, item);
            for decl in d.params.iter().chain(&d.states) {
                s.bind_declared(scope, decl, false);
                if let Some(Value::Num(num)) = s.local(scope, &decl.name.text, decl.name.span) {
                    let what = format!("`{}` of an optimizer, which sees weights in their scale,", decl.name.text);
                    s.hold_unit("E0524", &num, decl.span, &Unit::REAL, &what);
                }
            }
            s.hold_conditions(scope, &d.params, &Holder::alone(item, declared.name.span));
            s.bind_formulas(scope, d);
            s.check_names(scope, d);
            if let Some(change) = optimizer.change.and_then(|e| s.operand(scope, e)) {
                s.hold_unit("E0524", &change.num, change.span, &Unit::REAL, "the change of a weight, in its scale,");
            }
        });
        if optimizer.change.is_none() {
            let name = &declared.name;
            let d = Diagnostic::error("E0222", name.span, format!("`{}` needs its `change`", name.text))
                .help("`change EXPR` is what is added to a weight, in its scale: `change rate * dw`");
            self.report(d);
        }
    }
}
