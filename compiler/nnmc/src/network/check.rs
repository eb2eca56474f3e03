//! Units of equations and blocks: every right side is looked at once, whether or not the neuron ever runs.

use nnm_syntax::ast::{AssignOp, ExprId, ExprKind, Stmt, StmtKind};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::*;
use crate::eval::operators::Operand;
use crate::hir::{Dynamics, Equation, ItemKind, Synapse, When};
use crate::session::Session;
use crate::value::{Repr, Value};

impl Session<'_> {
    /// Looks at all equations, conditions and blocks of a population in a frame.
    pub fn check_dynamics(&mut self, frame: FrameId, p: usize) {
        let population = self.net(self.frame(frame).net).populations[p].clone();
        let ItemKind::Neuron(neuron) = self.modules.item(population.item).kind.clone() else { return };
        let scope = self.frame(frame).populations[p].scope;
        for port in &population.ports {
            self.local(scope, &port.name, port.span);
        }
        self.check_names(scope, &neuron.dynamics);
    }

    pub fn check_synapse(&mut self, synapse: &Synapse, scope: ScopeId) {
        self.check_names(scope, &synapse.dynamics);
    }

    pub fn check_names(&mut self, scope: ScopeId, dynamics: &Dynamics) {
        // An equation without a state is reported as such, and not again where the name is read.
        for equation in dynamics.equations.iter().chain(&dynamics.nexts) {
            let name = &equation.name;
            if !dynamics.states.iter().chain(&dynamics.running).any(|s| s.name.text == name.text)
                && self.local(scope, &name.text, name.span).is_none()
            {
                self.bind(scope, name.text.clone(), Value::Missing);
            }
        }
        for decl in dynamics.lets.iter().chain(&dynamics.outputs) {
            match self.local(scope, &decl.name.text, decl.name.span) {
                Some(_) => {}
                None => {
                    let message = format!("`output {0}` has no value, and there is no state `{0}`", decl.name.text);
                    self.error("E0430", decl.span, message);
                }
            }
        }
        self.hold_single_equations(dynamics);
        for equation in &dynamics.equations {
            self.check_equation(scope, dynamics, equation, true);
        }
        for equation in &dynamics.nexts {
            self.check_equation(scope, dynamics, equation, false);
        }
        for when in &dynamics.whens {
            self.check_when(scope, when);
        }
        for on in &dynamics.ons {
            self.check_block(scope, &on.block);
        }
    }

    /// What changes goes by one equation.
    pub fn hold_single_equations(&mut self, dynamics: &Dynamics) {
        let all: Vec<&Equation> = dynamics.equations.iter().chain(&dynamics.nexts).collect();
        for (k, equation) in all.iter().enumerate() {
            let name = &equation.name;
            if let Some(first) = all[..k].iter().find(|e| e.name.text == name.text) {
                let d = Diagnostic::error("E0201", name.span, format!("`{}` has two equations", name.text))
                    .label(first.span, "the first is here");
                self.report(d);
            }
        }
    }

    /// Holds the places that a block assigns to those that may change there: names, or members of `post`.
    pub fn check_places(&mut self, block: &[Stmt], names: &[&str], whose: &str, post: bool) {
        for stmt in block {
            let place = match &stmt.kind {
                StmtKind::Assign { place, .. } => place.as_slice(),
                StmtKind::Hold { name, .. } => std::slice::from_ref(name),
                _ => continue,
            };
            match place {
                [name] if names.contains(&name.text.as_str()) => {}
                [name] => {
                    let message = format!("`{}` is no state of this {whose}", name.text);
                    let d = Diagnostic::error("E0439", name.span, message);
                    let near = crate::suggest::nearest(&name.text, names.iter().copied());
                    self.report(crate::suggest::did_you_mean(d, name.span, near));
                }
                [end, _] if post && end.text == "post" => {}
                _ => {
                    self.error("E0439", stmt.span, format!("a block of a {whose} changes its own states"));
                }
            }
        }
    }

    /// Reports an element of what is one number.
    pub fn refuse_elements(&mut self, span: Span) {
        let d = Diagnostic::error("E0317", span, "this is one number, without elements");
        self.report(d.help("arrays are states and parameters of neurons: `state x: real[3] = 0`"));
    }

    pub fn check_equation(&mut self, scope: ScopeId, dynamics: &Dynamics, equation: &Equation, rate: bool) {
        let name = &equation.name;
        let Some(declared) = dynamics.states.iter().chain(&dynamics.running).find(|s| s.name.text == name.text) else {
            let form = if rate { format!("{}' = …", name.text) } else { format!("next {} = …", name.text) };
            let d = Diagnostic::error(
                "E0431",
                name.span,
                format!("`{form}` is an equation for a state, and there is no `state {}`", name.text),
            );
            let names: Vec<&str> = dynamics.states.iter().map(|s| s.name.text.as_str()).collect();
            let d = crate::suggest::did_you_mean(d, name.span, crate::suggest::nearest(&name.text, names.into_iter()));
            self.report(d.help(format!("declare it: `state {}: UNIT = VALUE`", name.text)));
            return;
        };
        let Some(state) = self.state_number(scope, &name.text, name.span) else { return };
        let Some(right) = self.operand(scope, equation.value) else { return };
        self.hold_right_side(&right, equation, &state.unit, declared.span, rate);
        self.hold_right_shape(scope, &right, &state, declared.span);
    }

    /// Holds a right side to its state's unit, per time for a derivative.
    pub fn hold_right_side(
        &mut self,
        right: &Operand,
        equation: &Equation,
        state: &Unit,
        declared: Span,
        rate: bool,
    ) -> bool {
        let name = &equation.name;
        let second = Unit::parse("s").unwrap_or(Unit::REAL);
        let wanted = if rate { state.over(&second) } else { state.clone() };
        if right.num.unit.fits(&wanted) {
            if let (Repr::Node(node), true) = (&right.num.repr, rate) {
                self.hold_noise_linear(*node, &format!("`{}'`", name.text), equation.span);
            }
            return true;
        }
        let found = right.num.unit.describe();
        let (code, message) = if rate {
            let of = state.shown().name;
            let per = if of.is_empty() { "1/time".into() } else { format!("{of} per time") };
            ("E0432", format!("the derivative of `{}` is in {per}, but the right side is in {found}", name.text))
        } else {
            ("E0433", format!("`next {}` is in {}, but the right side is in {found}", name.text, state.describe()))
        };
        let mut d = Diagnostic::error(code, right.span, message)
            .at(format!("this is in {found}"))
            .label(declared, format!("`{}` is in {}", name.text, state.describe()));
        if rate && has_noise(right, &wanted) {
            d = d.help("noise goes with the root of a time constant: `… * xi() / tau^(1/2)`");
        } else if rate && right.num.unit.fits(state) {
            d = d.help("divide by a time constant: `… / tau`");
        }
        self.report(d);
        false
    }

    /// Holds a right side to its state's shape.
    fn hold_right_shape(&mut self, scope: ScopeId, right: &Operand, state: &Num, declared: Span) {
        let cells = self.cells_in(scope).unwrap_or_default();
        let own = self.own_shape(&right.num, &cells).zip(self.own_shape(state, &cells));
        let Some((found, wanted)) = own.or_else(|| self.shape(&right.num).zip(self.shape(state))) else { return };
        if nnm_graph::shape::broadcasts_to(&found, &wanted) {
            return;
        }
        let (found, wanted) = (self.shape_text(&found), self.shape_text(&wanted));
        let d = Diagnostic::error("E0313", right.span, format!("expected the shape {wanted}, found {found}"))
            .label(declared, format!("{wanted} is declared here"));
        self.report(d);
    }

    fn state_number(&mut self, scope: ScopeId, name: &str, span: Span) -> Option<Num> {
        match self.local(scope, name, span)? {
            Value::Num(num) => Some(num),
            _ => None,
        }
    }

    pub fn check_when(&mut self, scope: ScopeId, when: &When) {
        let (_, expr) = self.bare_expr(scope, when.cond);
        if let ExprKind::Compare { first, rest } = &expr.kind
            && let [(nnm_syntax::ast::CmpOp::CrossesUp | nnm_syntax::ast::CmpOp::CrossesDown, right)] = rest.as_slice()
        {
            if let (Some(a), Some(b)) = (self.operand(scope, *first), self.operand(scope, *right)) {
                self.same_unit("compare", &a, &b, expr.span);
                for side in [a, b] {
                    self.hold_condition_still(&side);
                }
            }
        } else if let Some(cond) = self.operand(scope, when.cond) {
            if !cond.num.unit.is_real() {
                let message = format!("a condition is true or false, not {}", cond.num.unit.describe());
                self.error("E0310", cond.span, message);
            }
            self.hold_condition_still(&cond);
        }
        if let Some(surrogate) = when.surrogate {
            self.eval(scope, surrogate);
        }
        self.check_block(scope, &when.block);
    }

    fn hold_condition_still(&mut self, cond: &Operand) {
        if let Repr::Node(node) = &cond.num.repr {
            self.hold_no_noise(*node, cond.span);
        }
    }

    /// Holds every assignment of a block to the unit of what it changes.
    pub fn check_block(&mut self, scope: ScopeId, block: &[Stmt]) {
        for stmt in block {
            match &stmt.kind {
                StmtKind::Assign { place, index, op, value } => {
                    self.check_assign(scope, (place, index), *op, *value, stmt.span)
                }
                StmtKind::Hold { name, clauses } => self.check_hold(scope, name, clauses),
                StmtKind::Let { name, value, .. } => {
                    let value = self.eval(scope, *value);
                    self.bind(scope, name.text.clone(), value);
                }
                StmtKind::Error => {}
                _ => {
                    let message = "in a block there go assignments (`v = …`, `w += …`) and `hold v for T`";
                    self.error("E0434", stmt.span, message);
                }
            }
        }
    }

    fn check_hold(&mut self, scope: ScopeId, name: &Name, clauses: &[nnm_syntax::ast::Clause]) {
        let Some(time) = clause_of(clauses, "for") else {
            self.error("E0435", name.span, format!("`hold {0}` needs how long: `hold {0} for 2 ms`", name.text));
            return;
        };
        let Some(time) = self.operand(scope, time) else { return };
        let second = Unit::parse("ms").unwrap_or(Unit::REAL);
        if !time.num.unit.fits(&second) {
            let message = format!("`hold` is for a time, not for {}", time.num.unit.describe());
            self.error("E0309", time.span, message);
        }
    }

    fn check_assign(
        &mut self,
        scope: ScopeId,
        (place, index): (&[Name], &[ExprId]),
        op: AssignOp,
        value: ExprId,
        span: Span,
    ) {
        let Some(target) = self.place_value(scope, place) else { return };
        let target = match index {
            [] => target,
            _ if self.shape(&target).is_some_and(|shape| shape.is_empty()) => return self.refuse_elements(span),
            _ => match self.index_number(scope, target, index, span) {
                Some(element) => element,
                None => return,
            },
        };
        let Some(right) = self.operand(scope, value) else { return };
        let first = place.first().map_or(span, |n| n.span);
        let left = Operand { num: target, span: first };
        match op {
            AssignOp::Set | AssignOp::Add | AssignOp::Sub => {
                if left.num.unit.fits(&right.num.unit) {
                    return;
                }
                let (found, wanted) = (right.num.unit.describe(), left.num.unit.describe());
                let name = place.iter().map(|n| n.text.as_str()).collect::<Vec<_>>().join(".");
                let d =
                    Diagnostic::error("E0436", right.span, format!("`{name}` is in {wanted}, but this is in {found}"))
                        .label(first, format!("this is in {wanted}"));
                self.report(d);
            }
            AssignOp::Mul | AssignOp::Div => {
                if !right.num.unit.is_real() {
                    let message = format!(
                        "a factor of a quantity that keeps its unit is a plain number, not {}",
                        right.num.unit.describe()
                    );
                    self.error("E0436", right.span, message);
                }
            }
        }
    }

    /// The present value of what an assignment changes.
    fn place_value(&mut self, scope: ScopeId, place: &[Name]) -> Option<Num> {
        let first = place.first()?;
        let mut value = match self.local(scope, &first.text, first.span) {
            Some(value) => value,
            None if place.len() == 1 => {
                let d = Diagnostic::error("E0439", first.span, format!("`{}` is no state here", first.text));
                self.fail(d.help(format!("declare it: `state {}: UNIT = VALUE`", first.text)))
            }
            None => self.name(scope, &first.text, first.span),
        };
        for name in &place[1..] {
            value = self.field(value, name);
        }
        match value {
            Value::Num(num) => Some(num),
            _ => None,
        }
    }
}

/// Whether a right side is off by the root of a time, as white noise is that was scaled like a number.
fn has_noise(right: &Operand, wanted: &Unit) -> bool {
    let root = Unit::parse("s").and_then(|s| s.power(0.5)).unwrap_or(Unit::REAL);
    right.num.unit.fits(&wanted.times(&root))
}

pub fn clause_of(clauses: &[nnm_syntax::ast::Clause], word: &str) -> Option<ExprId> {
    use nnm_syntax::ast::ClauseValue;
    clauses.iter().find(|c| c.word.text == word).and_then(|c| match &c.value {
        ClauseValue::Expr(e) | ClauseValue::Counted(e, _) | ClauseValue::Named(_, e) | ClauseValue::Given(_, e) => {
            Some(*e)
        }
        ClauseValue::None => None,
    })
}
