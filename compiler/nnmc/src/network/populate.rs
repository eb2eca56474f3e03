//! From a neuron and its arguments to a population: its parameters, ports, states and weights.

use nnm_syntax::ast::{ExprId, Init};
use nnm_syntax::diag::Diagnostic;

use super::build::find_arg;
use super::*;
use crate::hir::{self, ItemKind, Member};
use crate::session::{ScopeId, Session};
use crate::suggest;
use crate::value::{Argument, Value};

impl Session<'_> {
    pub(super) fn add_population(&mut self, id: NetId, member: &Member, scope: ScopeId) {
        let Some((kind, shape)) = self.kind_and_shape(scope, member.kind) else {
            self.broken_member(id, member, scope);
            return;
        };
        let item = self.modules.item(kind.item).clone();
        let ItemKind::Neuron(neuron) = &item.kind else {
            let word = item.kind.word();
            self.error(
                "E0404",
                member.span,
                format!("a population is made of neurons; `{}` is {}", item.name.text, suggest::with_article(word)),
            );
            return;
        };
        let taken = self.net(id).member_names().contains(&member.name.text);
        if taken {
            self.error("E0201", member.name.span, format!("`{}` is declared twice", member.name.text));
        }
        let mut population = Population {
            name: member.name.text.clone(),
            item: kind.item,
            kind: kind.clone(),
            shape: if shape.is_empty() { vec![1] } else { shape },
            ports: vec![],
            params: vec![],
            states: vec![],
            weights: vec![],
            position: None,
            angle: None,
            spiking: neuron.dynamics.whens.iter().any(|w| w.spike),
            span: member.span,
        };
        if let Some(place) = member.place {
            self.place_population(&mut population, scope, place);
        }
        let path = format!("{}.{}", self.net(id).path, population.name);
        self.fill_population(&mut population, &item, neuron, &path);
        let net = self.net_mut(id);
        for state in &population.states {
            net.store.insert(format!("{}.{}", population.name, state.name), state.initial.clone());
        }
        net.populations.push(population);
        self.first_neuron_weights(id, &item, neuron);
    }

    /// The first values of the last population's own weights.
    fn first_neuron_weights(&mut self, id: NetId, item: &hir::Item, neuron: &hir::Neuron) {
        let Some(population) = self.net(id).populations.last().cloned() else { return };
        let cells = self.cell_scope(item.module, &population);
        for (name, num) in &population.params {
            self.bind(cells, name.clone(), Value::Num(num.clone()));
        }
        for decl in &neuron.dynamics.weights {
            let Some(q) = population.weights.iter().find(|q| q.name == decl.name.text).cloned() else { continue };
            let local = format!("{}.{}", population.name, q.name);
            let path = format!("{}.{local}", self.net(id).path);
            let first = match find_arg(&population.kind, &q.name).cloned() {
                Some(Argument::Draw(c)) => self.draw_values(c, cells, &q.shape, &path),
                Some(Argument::Expr(c)) => self.cell_value(c, cells),
                Some(Argument::Value(value)) => self.number(value, decl.span),
                None => {
                    let first = self.initial_value(cells, decl, &q.unit, &q.shape, &path, false);
                    first.map(|a| Num::array(q.unit.clone(), a))
                }
            };
            let Some(first) = first else { continue };
            let declared =
                crate::eval::types::Declared { unit: q.unit.clone(), ..crate::eval::types::Declared::real() };
            let Some(first) = self.hold_number(first, &declared, decl.name.span, population.span) else { continue };
            if let Some(array) = self.spread(&first, &q.shape, population.span) {
                self.net_mut(id).store.insert(local, array);
            }
        }
    }

    fn fill_population(&mut self, population: &mut Population, item: &hir::Item, neuron: &hir::Neuron, path: &str) {
        let scope = self.cell_scope(item.module, population);
        for param in &neuron.dynamics.params {
            let arg = find_arg(&population.kind, &param.name.text).cloned();
            let num = self.param_value(scope, param, arg.as_ref(), &population.shape.clone(), (path, population.span));
            let num = num.unwrap_or_else(|| Num::unknown(Unit::Unknown));
            population.params.push((param.name.text.clone(), num.clone()));
            self.bind(scope, param.name.text.clone(), Value::Num(num));
        }
        let args = population.kind.args.clone();
        let holder = Holder { item: population.item, args: &args, span: population.span };
        for name in self.hold_population(population, &holder) {
            // Nothing more is said of what it would lead to.
            let wrong = population.params.iter_mut().filter(|(n, _)| *n == name);
            wrong.for_each(|(_, num)| *num = Num::unknown(num.unit.clone()));
            self.bind(scope, name, Value::Num(Num::unknown(Unit::Unknown)));
        }
        for decl in &neuron.inputs {
            let Some(q) = self.quantity_of_cell(decl, scope) else { continue };
            if matches!(decl.name.text.as_str(), "t" | "dt" | "index" | "n" | "training") {
                let message =
                    format!("a port cannot be called `{}`: every neuron has that name already", decl.name.text);
                self.error("E0405", decl.name.span, message);
            }
            let event = decl.ty.as_ref().is_some_and(|t| matches!(t.kind, nnm_syntax::ast::TypeKind::Event { .. }));
            let default = self.default_of_port(decl, event);
            population.ports.push(Port { name: q.name, unit: q.unit, event, default, span: decl.span });
        }
        for on in neuron.dynamics.ons.iter().filter(|o| o.period.is_none()) {
            if !population.ports.iter().any(|p| p.event && p.name == on.event.text) {
                let message = format!("there is no event port `{}` for this block", on.event.text);
                let d = Diagnostic::error("E0408", on.event.span, message)
                    .help(format!("declare it: `input {}: event`", on.event.text));
                self.report(d);
            }
        }
        for (decls, running) in [(&neuron.dynamics.states, false), (&neuron.dynamics.running, true)] {
            for decl in decls {
                // What is wrong with a state has been said; its name stays, so that nothing more is said of it.
                let state = self.state_of(scope, decl, running, population, path).unwrap_or_else(|| State {
                    name: decl.name.text.clone(),
                    unit: Unit::Unknown,
                    initial: crate::value::shaped(&population.shape, vec![0.0; population.size()]),
                    running,
                    span: decl.span,
                });
                population.states.push(state);
            }
        }
        for decl in &neuron.dynamics.weights {
            let shape = if decl.flag("shared") { vec![] } else { population.shape.clone() };
            let Some(mut q) = self.quantity_of_cell(decl, scope) else { continue };
            q.shape = shape;
            population.weights.push(q);
        }
    }

    /// What a port has where nothing ends in it: a value, but no draw, and nothing where events arrive.
    pub fn default_of_port(&mut self, decl: &Decl, event: bool) -> Option<ExprId> {
        let what = match (decl.init, event) {
            (None, _) => return None,
            (Some(Init::Value(value)), false) => return Some(value),
            (Some(_), true) => "an event port has no value to begin with: it waits for events",
            (Some(Init::Draw(_)), false) => "the default of a port is a value: `input I: real = 1`",
        };
        self.error("E0670", decl.span, what);
        None
    }

    /// The unit of a declaration, from its type or its value.
    pub fn quantity_of_cell(&mut self, decl: &Decl, scope: ScopeId) -> Option<Quantity> {
        if decl.ty.is_none()
            && let Some(Init::Value(id) | Init::Draw(id)) = decl.init
        {
            let num = self.operand(scope, id)?.num;
            let unit = if matches!(num.unit, Unit::Zero) { Unit::REAL } else { num.unit };
            let name = decl.name.text.clone();
            return Some(Quantity { name, unit, shape: vec![], open: false, class: None, span: decl.span });
        }
        self.quantity_of(decl, scope)
    }

    fn state_of(
        &mut self,
        scope: ScopeId,
        decl: &Decl,
        running: bool,
        population: &Population,
        path: &str,
    ) -> Option<State> {
        let q = self.quantity_of_cell(decl, scope)?;
        let mut shape = population.shape.clone();
        shape.extend(&q.shape);
        let arg = find_arg(&population.kind, &decl.name.text).cloned();
        let path = format!("{path}.{}", decl.name.text);
        let num = match &arg {
            Some(Argument::Draw(closure)) => self.draw_values(*closure, scope, &shape, &path)?,
            Some(Argument::Expr(closure)) => self.cell_value(*closure, scope)?,
            Some(Argument::Value(value)) => self.number(value.clone(), decl.span)?,
            None => match decl.init {
                Some(Init::Draw(id)) => self.draw_values(self.closure(scope, id), scope, &shape, &path)?,
                Some(Init::Value(id)) => self.operand(scope, id)?.num,
                None => Num::scalar(Unit::Zero, 0.0),
            },
        };
        let declared = crate::eval::types::Declared { unit: q.unit.clone(), ..crate::eval::types::Declared::real() };
        let at = match &arg {
            Some(Argument::Expr(c) | Argument::Draw(c)) => self.expr_span(c.scope, c.expr.id),
            _ => decl.span,
        };
        let num = self.hold_number(num, &declared, decl.name.span, at)?;
        let initial = self.spread(&num, &shape, at)?;
        Some(State { name: decl.name.text.clone(), unit: q.unit, initial, running, span: decl.span })
    }

    /// A parameter's value: one number, or one a cell.
    fn param_value(
        &mut self,
        scope: ScopeId,
        param: &Decl,
        arg: Option<&Argument>,
        shape: &[usize],
        (path, whose): (&str, Span),
    ) -> Option<Num> {
        let path = format!("{path}.{}", param.name.text);
        let num = match (arg, param.init) {
            (Some(Argument::Expr(c)), _) => self.cell_value(*c, scope)?,
            (Some(Argument::Draw(c)), _) => self.draw_values(*c, scope, shape, &path)?,
            (Some(Argument::Value(v)), _) => self.number(v.clone(), param.span)?,
            (None, Some(Init::Value(id))) => self.operand(scope, id)?.num,
            (None, Some(Init::Draw(id))) => self.draw_values(self.closure(scope, id), scope, shape, &path)?,
            (None, None) => {
                if self.mode == crate::session::Mode::Check && path.starts_with('?') {
                    let unit = match &param.ty {
                        Some(ty) => self.declared(scope, ty)?.unit,
                        None => Unit::Unknown,
                    };
                    return Some(Num::unknown(unit));
                }
                let name = &param.name.text;
                let message = format!("`{name}` has no value and none is given");
                let d = Diagnostic::error("E0222", whose, message).label(param.span, "declared here without one");
                self.report(d);
                return None;
            }
        };
        let at = arg.and_then(|a| match a {
            Argument::Expr(c) | Argument::Draw(c) => Some(self.expr_span(c.scope, c.expr.id)),
            Argument::Value(_) => None,
        });
        if let Some(ty) = &param.ty {
            self.bind_lengths_of(scope, &num, ty);
        }
        let declared = self.declared_of(scope, param)?;
        let num = self.hold_number(num, &declared, param.name.span, at.unwrap_or(param.span))?;
        let plain = param
            .ty
            .as_ref()
            .is_none_or(|ty| matches!(&ty.kind, nnm_syntax::ast::TypeKind::Named { shape, .. } if shape.is_empty()));
        match at.filter(|_| plain && declared.shape.is_empty()) {
            Some(at) => self.one_for_each(num, shape, at),
            None => Some(num),
        }
    }

    /// A parameter that is one number may be given one for each cell.
    fn one_for_each(&mut self, num: Num, shape: &[usize], at: Span) -> Option<Num> {
        let Some(found) = self.shape(&num).filter(|found| !found.is_empty()) else {
            return Some(num);
        };
        if nnm_graph::shape::broadcasts_to(&found, shape) || shape.starts_with(&found) {
            return Some(num);
        }
        if !self.lengths.is_empty() {
            // Said where sizes are what they are.
            return Some(Num::unknown(num.unit));
        }
        let (found, wanted) = (self.shape_text(&found), self.shape_text(shape));
        self.error("E0313", at, format!("expected one value for each of {wanted} cells, found {found}"));
        None
    }

    /// What a declaration holds its value to: its type, else the unit of its default.
    fn declared_of(&mut self, scope: ScopeId, decl: &Decl) -> Option<crate::eval::types::Declared> {
        if let Some(ty) = &decl.ty {
            return self.declared(scope, ty);
        }
        let unit = match decl.init {
            Some(Init::Value(id)) => self.operand(scope, id)?.num.unit,
            _ => Unit::Unknown,
        };
        let unit = if matches!(unit, Unit::Zero) { Unit::Unknown } else { unit };
        Some(crate::eval::types::Declared { unit, ..crate::eval::types::Declared::real() })
    }
}
