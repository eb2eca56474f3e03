//! From an architecture and its arguments to a network of known size.

use std::sync::Arc;

use nnm_syntax::ast::{ExprId, ExprKind, Init};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::*;
use crate::eval::Closure;
use crate::hir::{self, Architecture, Build, ItemKind, Member};
use crate::session::{Lazy, ScopeId, Session};
use crate::suggest;
use crate::value::{Argument, Value};

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
        self.bind_sizes(&arch.body, scope);
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
        self.hold_conditions(scope, params, &Holder { item: kind.item, args: &kind.args, span: kind.span });
    }

    pub fn argument_value(&mut self, argument: &Argument) -> Value {
        match argument {
            Argument::Value(value) => value.clone(),
            Argument::Expr(closure) | Argument::Draw(closure) => self.eval(closure.scope, closure.expr.id),
        }
    }

    fn add_quantities(&mut self, id: NetId, arch: &Architecture, scope: ScopeId) {
        for decl in &arch.inputs {
            if decl.init.is_some() {
                let d = Diagnostic::error("E0670", decl.span, format!("the input `{}` has no value of its own", decl.name.text))
                    .help("an input is given by what uses the network: `given x = …` in `train`, an argument of a part; what is fixed is a parameter, `NAME(x = 3)`");
                self.report(d);
            }
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

    pub(super) fn quantity_of(&mut self, decl: &Decl, scope: ScopeId) -> Option<Quantity> {
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
    pub(super) fn broken_member(&mut self, id: NetId, member: &Member, scope: ScopeId) {
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

    pub fn closure(&self, scope: ScopeId, id: ExprId) -> Closure {
        Closure::new(scope, self.module_of(scope), id)
    }

    /// Binds the `let`s that name no member: sizes of populations may use them.
    fn bind_sizes(&mut self, body: &[Build], scope: ScopeId) {
        let of = |part: &Build| match part {
            Build::Population(m) | Build::Part(m) => Some(m.name.text.clone()),
            Build::Let(d) => Some(d.name.text.clone()),
            Build::Connect(_) | Build::For { .. } => None,
        };
        let names: Vec<String> = body.iter().filter_map(of).collect();
        let module = self.module_of(scope);
        let mut known: Vec<String> = vec![];
        for part in body {
            let Build::Let(decl) = part else { continue };
            let Some(Init::Value(value)) = decl.init else { continue };
            let uses = crate::eval::names_in(&self.modules.get(module).file, value);
            let once = names.iter().filter(|n| **n == decl.name.text).count() == 1;
            let in_scope = |n: &String| known.contains(n) || !names.contains(n);
            if once && uses.iter().all(in_scope) && self.plain_sizes(scope, &uses, &known) {
                let closure = self.closure(scope, value);
                self.bind_lazy(scope, decl.name.text.clone(), Lazy::Expr(closure, decl.ty.clone()));
                known.push(decl.name.text.clone());
            }
        }
    }

    /// Whether names stand for parameters, or `let`s of such, alone.
    fn plain_sizes(&self, scope: ScopeId, names: &[String], known: &[String]) -> bool {
        let bound = &self.scopes[scope.0 as usize].names;
        names.iter().all(|n| known.contains(n) || bound.contains_key(n) || crate::eval::is_builtin(n))
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

pub fn find_arg<'k>(kind: &'k Kind, name: &str) -> Option<&'k Argument> {
    kind.args.iter().find(|(n, _)| n == name).map(|(_, a)| a)
}

fn empty(kind: &Kind, path: &str, scope: ScopeId) -> Network {
    Network {
        item: kind.item,
        path: path.into(),
        origin: path.into(),
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
        kept: IndexMap::new(),
        clock: Clock::default(),
        given: vec![],
        with: None,
        settles: vec![],
        span: kind.span,
    }
}
