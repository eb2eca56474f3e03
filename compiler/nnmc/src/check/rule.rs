//! Rules on their own: units of traces, states and changes for a connection of which nothing is known.

use nnm_syntax::ast::{ExprId, Init, StmtKind, TypeKind};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use crate::hir::{Decl, ItemId, ItemKind, Rule, Trace};
use crate::network::{FrameId, Holder};
use crate::session::{ScopeId, Session};
use crate::unit::Unit;
use crate::value::{Kind, Num, Value};

impl Session<'_> {
    pub(super) fn check_rule(&mut self, item: ItemId) {
        let declared = self.modules.item(item).clone();
        let ItemKind::Rule(rule) = &declared.kind else { return };
        let span = declared.name.span;
        let d = &rule.dynamics;
        let lists: [&[Decl]; 7] =
            [&d.params, &d.states, &d.running, &d.lets, &rule.modulators, &rule.consts, &rule.noises];
        self.hold_names(item, &lists, &d.outputs);
        self.check_local(&Kind { item, args: vec![], span, text: "".into() }, rule);
        self.in_probe(|s| {
            let scope = s.scope(declared.module, None);
            s.lone_rule = true;
            s.bind_rule_names(scope, item, rule);
            s.check_traces(scope, rule);
            s.check_rule_dynamics(scope, rule);
            s.check_rule_states(rule);
            s.check_changes(scope, rule);
            s.lone_rule = false;
        });
    }

    /// What a rule sees of a connection: everything that depends on where it acts fits everything.
    fn bind_rule_names(&mut self, scope: ScopeId, item: ItemId, rule: &Rule) {
        self.bind_clock(scope);
        self.bind_unknown(scope, &["epoch", "progress", "objective"], &Unit::REAL);
        let ends = ["w", "W", "pre", "post", "Pre", "Post", "gradient", "eligibility", "score", "direct", "none"];
        self.bind_unknown(scope, &ends, &Unit::Unknown);
        self.bind_parameters(scope, item);
        let d = &rule.dynamics;
        for decl in d.params.iter().chain(&rule.modulators).chain(&rule.consts).chain(&rule.noises) {
            self.bind_rule_decl(scope, decl);
        }
        let span = self.modules.item(item).name.span;
        self.hold_conditions(scope, &d.params, &Holder::alone(item, span));
        for decl in d.states.iter().chain(&d.running) {
            self.bind_rule_decl(scope, decl);
        }
        for trace in &rule.traces {
            let unit = self.trace_unit(scope, trace);
            self.bind(scope, trace.name.text.clone(), Value::Num(Num::unknown(unit)));
        }
        let settled = rule.settles.iter().filter_map(|settle| settle.name.as_ref());
        for name in rule.perturbed.iter().map(|(name, _)| name).chain(settled) {
            self.bind(scope, name.text.clone(), Value::Num(Num::unknown(Unit::Unknown)));
        }
        self.bind_formulas(scope, d);
        if !d.nexts.iter().any(|n| n.name.text == "w") {
            self.bind(scope, "next w", Value::Num(Num::unknown(Unit::Unknown)));
        }
    }

    fn bind_rule_decl(&mut self, scope: ScopeId, decl: &Decl) {
        // `like direct` and `like post` say a shape; of what unit is known where the rule is used.
        let Some(TypeKind::Like(what)) = decl.ty.as_ref().map(|t| &t.kind) else {
            return self.bind_declared(scope, decl, false);
        };
        let known = ["w", "pre", "post", "direct", "port"];
        if !known.contains(&what.text.as_str()) {
            let d = Diagnostic::error("E0537", what.span, format!("a rule has nothing that `like {}` could mean", what.text))
                .help("`like w`: one for each weight; `like pre`, `like post`: one for each sender, target; `like direct`: from the objective's outputs to the targets");
            let near = crate::suggest::nearest(&what.text, known.into_iter());
            self.report(crate::suggest::did_you_mean(d, what.span, near));
        }
        match decl.init {
            Some(Init::Draw(id)) => {
                let path = format!("?{}", decl.name.text);
                self.draw_values(self.closure(scope, id), scope, &[], &path);
            }
            Some(Init::Value(id)) => {
                self.operand(scope, id);
            }
            None => {}
        }
        self.bind(scope, decl.name.text.clone(), Value::Num(Num::unknown(Unit::Unknown)));
    }

    fn trace_unit(&mut self, scope: ScopeId, trace: &Trace) -> Unit {
        match (&trace.ty, trace.init) {
            (Some(ty), _) => self.declared(scope, ty).map_or(Unit::Unknown, |d| d.unit),
            (None, Some(Init::Value(e))) => match self.operand(scope, e).map(|o| o.num.unit) {
                Some(Unit::Zero) => Unit::REAL,
                Some(unit) => unit,
                None => Unit::Unknown,
            },
            _ => Unit::REAL,
        }
    }

    fn check_traces(&mut self, scope: ScopeId, rule: &Rule) {
        for trace in &rule.traces {
            let unit = self.trace_unit(scope, trace);
            for (equation, rate) in [(&trace.equation, true), (&trace.next, false)] {
                if let Some(e) = equation {
                    self.check_right_side(scope, e, &unit, trace.span, rate);
                }
            }
            self.hold_to_side(scope, rule, trace);
            self.check_places(&trace.on_spike, &[trace.name.text.as_str()], "trace", false);
            self.check_block(scope, &trace.on_spike);
        }
    }

    /// A trace is one for each cell of its side: it reads nothing of single connections, nor of the other side.
    fn hold_to_side(&mut self, scope: ScopeId, rule: &Rule, trace: &Trace) {
        let equations = [&trace.equation, &trace.next].into_iter().flatten().map(|e| e.value);
        let jumps = trace.on_spike.iter().filter_map(|stmt| match &stmt.kind {
            StmtKind::Assign { value, .. } => Some(*value),
            _ => None,
        });
        let (own, other) = if trace.post { ("target", "pre") } else { ("sender", "post") };
        for value in equations.chain(jumps).collect::<Vec<_>>() {
            let modules = self.modules.clone();
            let file = &modules.get(self.module_of(scope)).file;
            let foreign = crate::eval::names_in(file, value).into_iter().find_map(|name| {
                let of_connection = name == "w" || rule.dynamics.states.iter().any(|s| s.name.text == name);
                let of_other = name == other || rule.traces.iter().any(|t| t.post != trace.post && t.name.text == name);
                match (of_connection, of_other) {
                    (true, _) => Some((name, "differs between its connections".to_string())),
                    (_, true) => Some((name, format!("is of the {}", if trace.post { "senders" } else { "targets" }))),
                    _ => None,
                }
            });
            let Some((name, why)) = foreign else { continue };
            let place = crate::eval::name_in(file, value, &name).map_or(trace.span, |at| file.expr(at).span);
            let message = format!("the trace `{}` is one number for each {own}, and `{name}` {why}", trace.name.text);
            let d = Diagnostic::error("E0673", place, message)
                .help("what each connection keeps is a state of the rule: `state c = 0`, and `on pre { c += w }`");
            self.report(d);
        }
    }

    fn check_rule_dynamics(&mut self, scope: ScopeId, rule: &Rule) {
        let d = &rule.dynamics;
        for decl in d.lets.iter().chain(&d.outputs) {
            self.local(scope, &decl.name.text, decl.name.span);
        }
        self.hold_single_equations(d);
        for (equation, rate) in d.equations.iter().map(|e| (e, true)).chain(d.nexts.iter().map(|e| (e, false))) {
            if equation.name.text == "w" {
                self.operand(scope, equation.value);
            } else {
                self.check_equation(scope, d, equation, rate);
            }
        }
        for on in &d.ons {
            let events = ["pre", "post", "every"];
            if !events.contains(&on.event.text.as_str())
                && !rule.modulators.iter().any(|m| m.name.text == on.event.text)
            {
                let message = format!("a rule has no event `{}`", on.event.text);
                let d = Diagnostic::error("E0408", on.event.span, message)
                    .help("spikes are `on pre { … }` and `on post { … }`");
                let modulators = rule.modulators.iter().map(|m| m.name.text.as_str());
                let near = crate::suggest::nearest(&on.event.text, events[..2].iter().copied().chain(modulators));
                self.report(crate::suggest::did_you_mean(d, on.event.span, near));
            }
            let own = d.states.iter().chain(&d.running).map(|x| x.name.text.as_str());
            let names: Vec<&str> = own.chain(["w"]).collect();
            self.check_places(&on.block, &names, "rule", false);
            self.check_block(scope, &on.block);
        }
        for when in &d.whens {
            self.check_when(scope, when);
        }
    }

    /// A state that nothing changes is a constant, and what is made of it too.
    fn check_rule_states(&mut self, rule: &Rule) {
        let d = &rule.dynamics;
        let blocks = d.ons.iter().map(|on| &on.block).chain(d.whens.iter().map(|when| &when.block));
        let assigned: Vec<&str> = blocks
            .flatten()
            .filter_map(|stmt| match &stmt.kind {
                StmtKind::Assign { place, .. } => place.first().map(|name| name.text.as_str()),
                _ => None,
            })
            .collect();
        for state in &d.states {
            let name = state.name.text.as_str();
            let advanced = d.equations.iter().chain(&d.nexts).any(|equation| equation.name.text == name);
            if advanced || assigned.contains(&name) {
                continue;
            }
            let d = Diagnostic::error("E0589", state.span, format!("the state `{name}` never changes"))
                .help(format!("say how it goes on: `next {name} = …`, or in a block `{name} += …`"))
                .help(format!("what stays as it is, is a parameter: `param {name} = …`"));
            self.report(d);
        }
    }

    fn check_changes(&mut self, scope: ScopeId, rule: &Rule) {
        for change in [&rule.change, &rule.matrix_change].into_iter().flatten() {
            self.operand(scope, change.value);
        }
        for (_, block) in &rule.perturbed {
            for stmt in block {
                if let StmtKind::Assign { value, .. } = &stmt.kind {
                    self.operand(scope, *value);
                }
            }
        }
        if let Some((_, value, _)) = rule.feedback {
            self.eval(scope, value);
        }
        for settle in &rule.settles {
            self.in_energy = true;
            self.operand(scope, settle.energy);
            self.in_energy = false;
            for extra in [settle.steps, settle.rate].into_iter().flatten() {
                self.operand(scope, extra);
            }
        }
        if let Some(bound) = rule.bound {
            self.eval(scope, bound);
        }
    }

    /// Holds an equation's right side to its state's unit, per time for a derivative.
    pub fn check_right_side(
        &mut self,
        scope: ScopeId,
        equation: &crate::hir::Equation,
        unit: &Unit,
        declared: Span,
        rate: bool,
    ) {
        let Some(right) = self.operand(scope, equation.value) else { return };
        self.hold_right_side(&right, equation, unit, declared, rate);
    }

    /// A rule that reads derivatives asks of a spiking target what its spike's derivative is.
    pub fn hold_differentiable(
        &mut self,
        kind: &Kind,
        change: ExprId,
        frame: FrameId,
        projection: usize,
    ) -> Option<()> {
        let file = &self.modules.get(self.modules.item(kind.item).module).file;
        let read: Vec<String> = crate::hir::credit_reads(file, change).map(|(name, _)| name).collect();
        let Some(derivative) = read.iter().find(|name| matches!(name.as_str(), "gradient" | "post.error")) else {
            return Some(());
        };
        let net = self.net(self.frame(frame).net);
        let p = net.projections[projection].clone();
        let target = net.populations[p.target].clone();
        let ItemKind::Neuron(neuron) = &self.modules.item(target.item).kind else { return Some(()) };
        let Some(spike) = neuron.dynamics.whens.iter().find(|w| w.spike && w.surrogate.is_none()) else {
            return Some(());
        };
        let at = spike.span;
        let message =
            format!("`{}` reads `{derivative}`, and a spike of `{}` has no derivative", kind.text, target.name);
        let d = Diagnostic::error("E0443", p.span, message)
            .at("no error passes through what this connection drives")
            .label(at, "the spike is here")
            .help("say what stands for its derivative: `spike when v > v_th surrogate fast_sigmoid(slope = 25) { … }`");
        self.report(d);
        None
    }
}
