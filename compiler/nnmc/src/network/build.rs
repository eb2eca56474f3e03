//! From an architecture and its arguments to a network of known size.

use std::sync::Arc;

use nnm_syntax::ast::{ExprId, ExprKind, Init};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::*;
use crate::eval::Closure;
use crate::hir::{self, Architecture, Build, Connect, ItemKind, Member};
use crate::session::{Lazy, ScopeId, Session};
use crate::suggest;
use crate::value::{Argument, Value};

/// A connection's target: the population, which of its cells, the port named.
type TargetEnd = (usize, Option<(usize, usize)>, Option<Name>);

impl Session<'_> {
    /// Builds the network that an architecture with its arguments declares; `path` is how the experiment calls it.
    pub fn build_network(&mut self, kind: &Kind, path: &str) -> Option<NetId> {
        let item = self.modules.item(kind.item).clone();
        let ItemKind::Architecture(arch) = &item.kind else {
            let word = item.kind.word();
            self.error(
                "E0402",
                kind.span,
                format!("`{}` is {}, not an architecture", item.name.text, suggest::with_article(word)),
            );
            return None;
        };
        let errors = self.error_count();
        let scope = self.scope(item.module, None);
        self.bind_kind_params(&item, &arch.params, kind, scope);
        let id = NetId(self.nets.len() as u32);
        self.nets.push(empty(kind, path, scope));
        self.add_quantities(id, arch, scope);
        let last: Vec<Decl> = arch.outputs.clone();
        self.net_mut(id).outputs = last;
        self.add_members(id, &arch.body, scope);
        self.bind_known_lets(id, scope);
        self.add_connections(id, &arch.body, scope);
        if self.error_count() == errors {
            self.probe(id);
        }
        Some(id)
    }

    /// Gives parameters their arguments or defaults: those in parentheses and those declared by `param`.
    pub fn bind_kind_params(&mut self, item: &hir::Item, params: &[Decl], kind: &Kind, scope: ScopeId) {
        for param in &item.params {
            let at = param.name.span;
            let set = self.setting(&param.name.text);
            let value = match (find_arg(kind, &param.name.text), param.default) {
                _ if set.is_some() => set.unwrap_or(Value::Missing),
                (Some(arg), _) => self.argument_value(arg),
                (None, Some(default)) => self.eval(scope, default),
                (None, None) if self.mode == crate::session::Mode::Check && kind.args.is_empty() => {
                    let unknown = Num::unknown(Unit::Unknown);
                    self.bind(scope, param.name.text.clone(), Value::Num(unknown));
                    continue;
                }
                (None, None) => {
                    let d = Diagnostic::error(
                        "E0222",
                        kind.span,
                        format!("`{}` needs `{}`", item.name.text, param.name.text),
                    )
                    .label(at, "declared here");
                    self.fail(d)
                }
            };
            let value = match &param.ty {
                Some(ty) => self.hold_at(scope, value, ty, kind.span),
                None => value,
            };
            self.bind(scope, param.name.text.clone(), value);
        }
        for param in params {
            let value = match (find_arg(kind, &param.name.text), param.init) {
                (Some(arg), _) => self.argument_value(arg),
                (None, Some(Init::Value(id) | Init::Draw(id))) => self.eval(scope, id),
                (None, None) => {
                    let d = Diagnostic::error(
                        "E0222",
                        kind.span,
                        format!("`{}` needs `{}`", item.name.text, param.name.text),
                    )
                    .label(param.span, "declared here");
                    self.fail(d)
                }
            };
            let value = match &param.ty {
                Some(ty) => self.hold_at(scope, value, ty, param.span),
                None => value,
            };
            self.bind(scope, param.name.text.clone(), value);
        }
    }

    pub fn argument_value(&mut self, argument: &Argument) -> Value {
        match argument {
            Argument::Value(value) => value.clone(),
            Argument::Expr(closure) | Argument::Draw(closure) => self.eval(closure.scope, closure.expr.id),
        }
    }

    fn add_quantities(&mut self, id: NetId, arch: &Architecture, scope: ScopeId) {
        for decl in &arch.inputs {
            if let Some(q) = self.quantity_of(decl, scope) {
                self.net_mut(id).inputs.push(q);
            }
        }
        for (decls, latent) in [(&arch.weights, false), (&arch.latents, true)] {
            for decl in decls {
                let Some(q) = self.quantity_of(decl, scope) else { continue };
                let path = format!("{}.{}", self.net(id).path, q.name);
                let initial = self.initial_value(scope, decl, &q.unit, &q.shape, &path, false);
                let net = self.net_mut(id);
                if let Some(initial) = initial {
                    net.store.insert(q.name.clone(), initial);
                }
                if latent { net.latents.push(q) } else { net.weights.push(q) }
            }
        }
    }

    fn quantity_of(&mut self, decl: &Decl, scope: ScopeId) -> Option<Quantity> {
        let declared = match &decl.ty {
            Some(ty) => self.declared(scope, ty)?,
            None => crate::eval::types::Declared::real(),
        };
        let (name, span) = (decl.name.text.clone(), decl.span);
        let (shape, open) = (declared.shape, declared.open);
        Some(Quantity { name, unit: declared.unit, shape, open, class: declared.class, span })
    }

    /// Populations, parts and lets first, so that connections may stand anywhere.
    fn add_members(&mut self, id: NetId, body: &[Build], scope: ScopeId) {
        for part in body {
            match part {
                Build::Population(member) => self.add_population(id, member, scope),
                Build::Part(member) => self.add_part(id, member, scope),
                Build::Let(decl) => self.net_mut(id).lets.push(NetLet { decl: decl.clone(), pass: None }),
                Build::For { name, list, body } => self.add_loop(id, name, *list, body, scope),
                Build::Connect(_) => {}
            }
        }
    }

    /// `for k in 0 .. depth { let z = block[k](z) }`: each pass is a let in its own scope, the last one stays.
    fn add_loop(&mut self, id: NetId, name: &Name, list: ExprId, body: &[Build], scope: ScopeId) {
        let values = self.loop_values(scope, list);
        for value in values {
            let inner = self.inner(scope);
            self.bind(inner, name.text.clone(), value);
            for part in body {
                if let Build::Let(decl) = part {
                    self.net_mut(id).lets.push(NetLet { decl: decl.clone(), pass: Some(inner) });
                }
            }
        }
    }

    fn add_part(&mut self, id: NetId, member: &Member, scope: ScopeId) {
        let Some((kind, shape)) = self.kind_and_shape(scope, member.kind) else {
            self.broken_member(id, member, scope);
            return;
        };
        let array = !shape.is_empty();
        let count: usize = shape.iter().product();
        let mut nets = vec![];
        for k in 0..count {
            let base = self.net(id).path.clone();
            let name = &member.name.text;
            let path = if array { format!("{base}.{name}[{k}]") } else { format!("{base}.{name}") };
            nets.extend(self.build_network(&kind, &path));
        }
        self.net_mut(id).parts.push(Part { name: member.name.text.clone(), nets, array });
    }

    /// A member of which nothing is known, because its declaration is wrong or its size is open: its name is silent.
    fn broken_member(&mut self, id: NetId, member: &Member, scope: ScopeId) {
        self.net_mut(id).broken.push(member.name.text.clone());
        self.bind(scope, member.name.text.clone(), Value::Missing);
    }

    /// `LIF(tau = 10 ms)[100]`: the kind and the shape.
    pub fn kind_and_shape(&mut self, scope: ScopeId, expr: ExprId) -> Option<(Arc<Kind>, Vec<usize>)> {
        let (id, bare) = self.bare_expr(scope, expr);
        let (kind, indices) = match &bare.kind {
            ExprKind::Index { base, indices } => (*base, indices.clone()),
            _ => (id, vec![]),
        };
        let span = self.expr_span(scope, kind);
        let kind = match self.eval(scope, kind) {
            Value::Kind(kind) => kind,
            Value::Missing => return None,
            Value::Num(n) if matches!(n.unit, Unit::Unknown) => return None,
            other => {
                self.error(
                    "E0403",
                    span,
                    format!("expected a declared kind such as `LIF`, found {}", other.describe()),
                );
                return None;
            }
        };
        let mut shape = vec![];
        for index in indices {
            shape.push(self.known_int(scope, index, "a size", 1)? as usize);
        }
        let cells: f64 = shape.iter().map(|n| *n as f64).product();
        if cells > f64::from(u32::MAX) {
            self.error("E0308", bare.span, format!("a population has at most {} cells, not {cells:.1e}", u32::MAX));
            return None;
        }
        Some((kind, shape))
    }

    fn add_population(&mut self, id: NetId, member: &Member, scope: ScopeId) {
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
            let num = self.param_value(scope, param, arg.as_ref(), &population.shape.clone(), path);
            let num = num.unwrap_or_else(|| Num::unknown(Unit::Unknown));
            population.params.push((param.name.text.clone(), num.clone()));
            self.bind(scope, param.name.text.clone(), Value::Num(num));
        }
        for decl in &neuron.inputs {
            let Some(q) = self.quantity_of_cell(decl, scope) else { continue };
            if matches!(decl.name.text.as_str(), "t" | "dt" | "index" | "n" | "training") {
                let message =
                    format!("a port cannot be called `{}`: every neuron has that name already", decl.name.text);
                self.error("E0405", decl.name.span, message);
            }
            let event = decl.ty.as_ref().is_some_and(|t| matches!(t.kind, nnm_syntax::ast::TypeKind::Event { .. }));
            population.ports.push(Port { name: q.name, unit: q.unit, event, span: decl.span });
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
        let num = self.hold_number(num, &declared, decl.name.span, decl.span)?;
        let initial = self.spread(&num, &shape, decl.span)?;
        Some(State { name: decl.name.text.clone(), unit: q.unit, initial, running, span: decl.span })
    }

    /// A parameter's value: one number, or one a cell.
    fn param_value(
        &mut self,
        scope: ScopeId,
        param: &Decl,
        arg: Option<&Argument>,
        shape: &[usize],
        path: &str,
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
                self.error("E0222", param.span, format!("`{name}` has no value and none is given"));
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
        let plain = matches!(&param.ty, Some(ty) if matches!(&ty.kind, nnm_syntax::ast::TypeKind::Named { shape, .. } if shape.is_empty()));
        match at.filter(|_| plain && declared.shape.is_empty()) {
            Some(at) => self.one_for_each(num, shape, at),
            None => Some(num),
        }
    }

    /// A parameter that is one number may be given one for each cell.
    fn one_for_each(&mut self, num: Num, shape: &[usize], at: Span) -> Option<Num> {
        let Some(found) = self.shape(&num).filter(|found| !found.is_empty() && self.lengths.is_empty()) else {
            return Some(num);
        };
        if nnm_graph::shape::broadcasts_to(&found, shape) || shape.starts_with(&found) {
            return Some(num);
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

    pub fn closure(&self, scope: ScopeId, id: ExprId) -> Closure {
        Closure::new(scope, self.module_of(scope), id)
    }

    /// Binds the `let`s of what is known before the run: weights, delays and patterns may use them.
    fn bind_known_lets(&mut self, id: NetId, scope: ScopeId) {
        let lets = self.net(id).lets.clone();
        let own: Vec<&str> = lets.iter().map(|l| l.decl.name.text.as_str()).collect();
        let mut unknown: Vec<String> = self.net(id).member_names();
        unknown.retain(|n| !own.contains(&n.as_str()));
        let module = self.module_of(scope);
        for NetLet { decl, pass } in &lets {
            let Some(Init::Value(value)) = decl.init else { continue };
            let name = &decl.name.text;
            let again = own.iter().filter(|n| *n == name).count() > 1;
            let uses = crate::eval::names_in(&self.modules.get(module).file, value);
            if pass.is_some() || again || uses.iter().any(|n| unknown.contains(n)) {
                unknown.push(name.clone());
                continue;
            }
            let closure = self.closure(scope, value);
            self.bind_lazy(scope, name.clone(), Lazy::Expr(closure, decl.ty.clone()));
        }
    }

    fn add_connections(&mut self, id: NetId, body: &[Build], scope: ScopeId) {
        // A `let` of plain numbers may give a weight; what depends on populations has its value in a step alone.
        let lets: Vec<Decl> = self.net(id).lets.iter().filter(|l| l.pass.is_none()).map(|l| l.decl.clone()).collect();
        for decl in lets {
            if let (Some(Init::Value(e)), false) =
                (decl.init, self.scopes[scope.0 as usize].names.contains_key(&decl.name.text))
            {
                let closure = self.closure(scope, e);
                self.bind_lazy(scope, decl.name.text.clone(), Lazy::Expr(closure, decl.ty.clone()));
            }
        }
        let names = self.net(id).member_names();
        for name in &names {
            if !self.scopes[scope.0 as usize].names.contains_key(name) {
                self.bind(scope, name.clone(), Value::Missing);
            }
        }
        for part in body {
            match part {
                Build::Connect(connect) => self.add_connect(id, connect, scope),
                Build::For { name, list, body } => {
                    for value in self.loop_values(scope, *list) {
                        let inner = self.inner(scope);
                        self.bind(inner, name.text.clone(), value);
                        self.add_connections(id, body, inner);
                    }
                }
                _ => {}
            }
        }
    }

    fn add_connect(&mut self, id: NetId, connect: &Connect, scope: ScopeId) {
        let sources = self.set_members(scope, connect.from);
        let targets = self.set_members(scope, connect.to);
        let several = sources.len() * targets.len() > 1;
        for source in &sources {
            for target in &targets {
                self.add_projection(id, connect, scope, source.clone(), target, several);
            }
        }
    }

    /// The ends that a set `{E, I}` or `h.{i, f}` stands for, as (expression, field).
    fn set_members(&self, scope: ScopeId, end: ExprId) -> Vec<(ExprId, Option<Name>)> {
        let (id, expr) = self.bare_expr(scope, end);
        match expr.kind {
            ExprKind::Braces(items) => items.into_iter().flat_map(|i| self.set_members(scope, i)).collect(),
            ExprKind::Fields { base, names } => names.into_iter().map(|n| (base, Some(n))).collect(),
            _ => vec![(id, None)],
        }
    }

    fn add_projection(
        &mut self,
        id: NetId,
        connect: &Connect,
        scope: ScopeId,
        source: (ExprId, Option<Name>),
        target: &(ExprId, Option<Name>),
        several: bool,
    ) {
        let Some((to, cells, port)) = self.target_of(id, scope, target) else { return };
        let sender = self.source_of(id, scope, source.0);
        let from = self.closure(scope, source.0);
        let via = connect.via.map(|v| self.eval(scope, v));
        let (synapse, args) = match via {
            None => (None, vec![]),
            Some(Value::Kind(kind)) => self.synapse_of(&kind, connect.span),
            Some(Value::Missing) => return,
            Some(other) => {
                self.error("E0406", connect.span, format!("`via` takes a synapse, found {}", other.describe()));
                return;
            }
        };
        let Some(port) = self.port_of(id, to, port, synapse, connect, target) else { return };
        let (pattern, pattern_span) = match connect.pattern {
            Some(p) => (self.pattern(scope, p), self.expr_span(scope, p)),
            None => {
                let d = Diagnostic::error("E0442", connect.span, "this connection does not say which cell meets which")
                    .help("a pattern follows the ends: `: all()`, `: one_to_one()`, `: random(p = 10 %)`, `: dense()`");
                self.report(d);
                return;
            }
        };
        let Some(pattern) = pattern else { return };
        let name = self.projection_name(id, connect, scope, source.0, to, port, several);
        if let Some(own) = &connect.name
            && self.net(id).member_names().contains(&name)
        {
            self.error("E0201", own.span, format!("`{name}` is declared twice"));
            return;
        }
        let projection = Projection {
            name,
            from,
            source: sender,
            target: to,
            target_cells: cells,
            port,
            trained: pattern.is_trained(),
            pattern,
            pattern_span,
            synapse,
            args,
            weight: None,
            bias: None,
            plastic: connect.plastic,
            edges: None,
            columns: vec![],
            span: connect.span,
        };
        self.net_mut(id).projections.push(projection);
    }

    fn synapse_of(&mut self, kind: &Kind, span: Span) -> (Option<ItemId>, Vec<(String, Argument)>) {
        let word = self.item_word(kind.item);
        if word != "synapse" {
            self.error(
                "E0406",
                span,
                format!("`via` takes a synapse; `{}` is {}", kind.text, suggest::with_article(word)),
            );
        }
        // The library's own default is the pattern's plain product.
        let default = Some(self.modules.item(kind.item).module) == self.modules.prelude;
        (if default { None } else { Some(kind.item) }, kind.args.clone())
    }

    #[allow(clippy::too_many_arguments)]
    fn projection_name(
        &self,
        id: NetId,
        connect: &Connect,
        scope: ScopeId,
        source: ExprId,
        to: usize,
        port: Option<usize>,
        several: bool,
    ) -> String {
        let net = self.net(id);
        let population = &net.populations[to];
        let by_port = population.ports.len() > 1;
        let suffix = match port {
            Some(p) if by_port => format!("_{}", population.ports[p].name),
            _ => String::new(),
        };
        let base = match &connect.name {
            Some(name) if !several => return name.text.clone(),
            Some(name) => name.text.clone(),
            None => format!("{}_{}", self.source_name(scope, source), population.name),
        };
        let name = format!("{base}{suffix}");
        let mut unique = name.clone();
        let mut k = 2;
        while net.projections.iter().any(|p| p.name == unique) {
            unique = format!("{name}{k}");
            k += 1;
        }
        unique
    }

    /// The name that a source gives a connection: the first member that it reads.
    fn source_name(&self, scope: ScopeId, id: ExprId) -> String {
        let (_, expr) = self.bare_expr(scope, id);
        match expr.kind {
            ExprKind::Name(name) => name,
            ExprKind::Index { base, .. } | ExprKind::Field { base, .. } => self.source_name(scope, base),
            ExprKind::Pipe(a, _) => self.source_name(scope, a),
            ExprKind::Call { args, .. } => match args.first().map(|a| a.value) {
                Some(Init::Value(a) | Init::Draw(a)) => self.source_name(scope, a),
                None => "input".into(),
            },
            _ => "input".into(),
        }
    }

    /// The population that an end names, and which of its cells.
    fn source_of(&mut self, id: NetId, scope: ScopeId, end: ExprId) -> Option<(usize, Option<(usize, usize)>)> {
        let (_, expr) = self.bare_expr(scope, end);
        match expr.kind {
            ExprKind::Name(name) => self.net(id).population(&name).map(|p| (p, None)),
            ExprKind::Index { base, indices } => {
                let (p, _) = self.source_of(id, scope, base)?;
                let size = self.net(id).populations[p].shape[0];
                let range = self.index_range(scope, *indices.first()?, size)?;
                Some((p, Some(range)))
            }
            _ => None,
        }
    }

    fn target_of(&mut self, id: NetId, scope: ScopeId, target: &(ExprId, Option<Name>)) -> Option<TargetEnd> {
        let (at, expr) = self.bare_expr(scope, target.0);
        let span = expr.span;
        match expr.kind {
            ExprKind::Field { base, name } if target.1.is_none() => {
                let (p, cells, _) = self.target_of(id, scope, &(base, None))?;
                Some((p, cells, Some(name)))
            }
            _ => match self.source_of(id, scope, at) {
                Some((p, cells)) => Some((p, cells, target.1.clone())),
                None => {
                    self.no_target(id, scope, at, span);
                    None
                }
            },
        }
    }

    fn no_target(&mut self, id: NetId, scope: ScopeId, at: ExprId, span: Span) {
        let name = self.source_name(scope, at);
        if self.net(id).broken.contains(&name) {
            return;
        }
        let names: Vec<String> = self.net(id).populations.iter().map(|p| p.name.clone()).collect();
        let d = Diagnostic::error("E0407", span, format!("a connection ends at a population; `{name}` is none"));
        let near = suggest::nearest(&name, names.iter().map(String::as_str));
        let list = names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
        self.report(match near {
            None if !names.is_empty() && names.len() <= 24 => d.help(format!("there are {list}")),
            near => suggest::did_you_mean(d, span, near),
        });
    }

    fn port_of(
        &mut self,
        id: NetId,
        to: usize,
        port: Option<Name>,
        synapse: Option<ItemId>,
        connect: &Connect,
        target: &(ExprId, Option<Name>),
    ) -> Option<Option<usize>> {
        let population = self.net(id).populations[to].clone();
        let names: Vec<&str> = population.ports.iter().map(|p| p.name.as_str()).collect();
        if let Some(port) = port {
            if let Some(k) = names.iter().position(|n| *n == port.text) {
                return Some(Some(k));
            }
            let message = format!("`{}` has no port `{}`", population.name, port.text);
            let d = Diagnostic::error("E0408", port.span, message).label(population.span, "declared here");
            let d = suggest::did_you_mean(d, port.span, suggest::nearest(&port.text, names.iter().copied()));
            self.report(list_ports(d, &names));
            return None;
        }
        let outputs = synapse.map(|s| self.synapse_outputs(s));
        if outputs.as_ref().is_some_and(Vec::is_empty) {
            return Some(None);
        }
        if let [_] = names.as_slice() {
            return Some(Some(0));
        }
        let named = outputs.iter().flatten().find_map(|o| names.iter().position(|n| n == o));
        if let Some(k) = named {
            return Some(Some(k));
        }
        let span = self.modules.get(self.module_of(self.net(id).scope)).file.expr(target.0).span;
        let message = if names.is_empty() {
            format!("`{}` has no port to connect to", population.name)
        } else {
            format!("`{}` has several ports: say which", population.name)
        };
        let d = Diagnostic::error("E0409", span, message).label(connect.span, "in this connection");
        self.report(list_ports(d, &names));
        None
    }

    fn synapse_outputs(&self, synapse: ItemId) -> Vec<String> {
        match &self.modules.item(synapse).kind {
            ItemKind::Synapse(s) => s.dynamics.outputs.iter().map(|o| o.name.text.clone()).collect(),
            _ => vec![],
        }
    }

    /// The values of `for k in LIST`, or none after a report.
    pub fn loop_values(&mut self, scope: ScopeId, list: ExprId) -> Vec<Value> {
        let span = self.expr_span(scope, list);
        match self.eval(scope, list) {
            Value::List(items) => items.to_vec(),
            // While checking, one pass stands for those that are not known yet.
            Value::Num(num) if matches!(num.repr, crate::value::Repr::Unknown) => {
                vec![Value::Num(Num::unknown(num.unit))]
            }
            Value::Num(num) => self.rows_of(&num, span),
            Value::Range(Some(from), Some(to)) => match (from.as_f64(), to.as_f64()) {
                (Some(a), Some(b)) => (a as i64..b as i64).map(|k| Value::real(k as f64)).collect(),
                _ => vec![Value::Num(Num::unknown(crate::unit::Unit::REAL))],
            },
            Value::Missing => vec![],
            other => {
                self.error("E0209", span, format!("`for` goes through a list or a range, not {}", other.describe()));
                vec![]
            }
        }
    }

    /// The elements of a tensor along its first axis.
    pub fn rows_of(&mut self, num: &Num, span: Span) -> Vec<Value> {
        let Some(array) = num.as_const().cloned() else { return vec![] };
        if array.ndim() == 0 {
            self.error("E0209", span, "`for` goes through a list or a range, not one number");
            return vec![];
        }
        array.outer_iter().map(|row| Value::Num(Num::array(num.unit.clone(), row.to_owned().into_shared()))).collect()
    }

    /// Binds an architecture's lets lazily; a later one of the same name reads the earlier.
    pub fn bind_net_lets(&mut self, lets: &[NetLet], scope: ScopeId) -> ScopeId {
        let mut at = scope;
        for NetLet { decl, pass } in lets {
            let Some(Init::Value(id)) = decl.init else { continue };
            let again = self.scopes[at.0 as usize].names.contains_key(&decl.name.text);
            let from = at;
            if again {
                at = self.inner(from);
            }
            let inside = self.loop_scope(*pass, from);
            let closure = self.closure(inside, id);
            self.bind_lazy(at, decl.name.text.clone(), Lazy::Expr(closure, decl.ty.clone()));
        }
        at
    }

    /// The scope of a loop's pass, placed over the frame's names.
    fn loop_scope(&mut self, pass: Option<ScopeId>, frame: ScopeId) -> ScopeId {
        let Some(pass) = pass else { return frame };
        let names = self.scopes[pass.0 as usize].names.clone();
        let inner = self.inner(frame);
        self.scopes[inner.0 as usize].names = names;
        inner
    }
}

fn list_ports(d: Diagnostic, names: &[&str]) -> Diagnostic {
    if names.is_empty() {
        return d;
    }
    let list: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
    d.help(format!("its ports are {}", list.join(", ")))
}

pub fn find_arg<'k>(kind: &'k Kind, name: &str) -> Option<&'k Argument> {
    kind.args.iter().find(|(n, _)| n == name).map(|(_, a)| a)
}

fn empty(kind: &Kind, path: &str, scope: ScopeId) -> Network {
    Network {
        item: kind.item,
        path: path.into(),
        scope,
        inputs: vec![],
        weights: vec![],
        latents: vec![],
        populations: vec![],
        projections: vec![],
        parts: vec![],
        broken: vec![],
        lets: vec![],
        outputs: vec![],
        store: IndexMap::new(),
        clock: Clock::default(),
        given: vec![],
        with: None,
        settles: vec![],
        span: kind.span,
    }
}
