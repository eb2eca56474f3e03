//! From `connect` statements to projections: which ends, which synapse, which port, and the name.

use nnm_syntax::ast::{ExprId, ExprKind, Init};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::*;
use crate::hir::{Build, Connect, ItemKind};
use crate::session::{Lazy, ScopeId, Session};
use crate::suggest;
use crate::value::{Argument, Value};

/// A connection's target: the population, which of its cells, the port named.
type TargetEnd = (usize, Option<(usize, usize)>, Option<Name>);

/// A `connect` statement at work.
struct Joining<'c> {
    id: NetId,
    connect: &'c Connect,
    scope: ScopeId,
    /// Whether it makes several connections, which are told apart by their ends.
    several: bool,
}

impl Session<'_> {
    pub(super) fn add_connections(&mut self, id: NetId, body: &[Build], scope: ScopeId) {
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
        let joining = Joining { id, connect, scope, several };
        let before = self.net(id).projections.len();
        for source in &sources {
            for target in &targets {
                self.add_projection(&joining, source, target);
            }
        }
        if self.net(id).projections.len() - before < sources.len() * targets.len() {
            // Why it is not there has been said, and is not said again where its name is read.
            let by_ends = |s: &Self, from: ExprId, to: ExprId| {
                format!("{}_{}", s.source_name(scope, from), s.source_name(scope, to))
            };
            let names: Vec<String> = match &connect.name {
                Some(name) => vec![name.text.clone()],
                None => sources.iter().flat_map(|s| targets.iter().map(|t| by_ends(self, s.0, t.0))).collect(),
            };
            self.net_mut(id).broken.extend(names);
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

    fn add_projection(&mut self, joining: &Joining, source: &(ExprId, Option<Name>), target: &(ExprId, Option<Name>)) {
        let Joining { id, connect, scope, .. } = *joining;
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
        let Some(port) = self.port_of(joining, to, port, synapse, target) else { return };
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
        if !self.sends_events(id, sender.map(|(s, _)| s), (to, port), connect.span) {
            return;
        }
        let (name, by_ends) = self.projection_name(joining, source.0, to, port);
        if let Some(own) = &connect.name
            && self.net(id).member_names().contains(&name)
        {
            self.name_is_taken(joining, own, &name);
            return;
        }
        let projection = Projection {
            name,
            by_ends,
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

    /// Reports a port that waits for events of a population that has none.
    fn sends_events(&mut self, id: NetId, sender: Option<usize>, end: (usize, Option<usize>), span: Span) -> bool {
        let net = self.net(id);
        let (Some(sender), Some(port)) = (sender, end.1) else { return true };
        let (sender, port) = (&net.populations[sender], &net.populations[end.0].ports[port]);
        if !port.event || sender.spiking {
            return true;
        }
        let message = format!("`{}` waits for events, and `{}` has no spikes", port.name, sender.name);
        let (at, name, from) = (port.span, port.name.clone(), sender.span);
        let d = Diagnostic::error("E0684", span, message)
            .label(at, format!("a port for values is `input {name}: UNIT`"))
            .label(from, "a neuron has spikes by `spike when c { … }`");
        self.report(d);
        false
    }

    fn name_is_taken(&mut self, joining: &Joining, own: &Name, name: &str) {
        let Joining { id, connect, .. } = *joining;
        let same = self.net(id).projections.iter().any(|p| p.name == name && p.span == connect.span);
        let d = match same {
            true => Diagnostic::error("E0674", own.span, format!("`{name}` is one name, and this joins several populations"))
                .help("each connection has a name of its own: write one `connect` for each, or leave the name out, then it is `SOURCE_TARGET`"),
            false => Diagnostic::error("E0201", own.span, format!("`{name}` is declared twice")),
        };
        self.report(d);
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

    /// A connection's name, and the one that its ends give it where it has none of its own.
    fn projection_name(
        &self,
        joining: &Joining,
        source: ExprId,
        to: usize,
        port: Option<usize>,
    ) -> (String, Option<String>) {
        let Joining { id, connect, scope, several } = *joining;
        let net = self.net(id);
        let population = &net.populations[to];
        let by_port = population.ports.len() > 1;
        let suffix = match port {
            Some(p) if by_port => format!("_{}", population.ports[p].name),
            _ => String::new(),
        };
        let base = match &connect.name {
            Some(name) if !several => return (name.text.clone(), None),
            Some(name) => return (format!("{}{suffix}", name.text), None),
            None => format!("{}_{}", self.source_name(scope, source), population.name),
        };
        let name = format!("{base}{suffix}");
        let mut unique = name.clone();
        let mut k = 2;
        while net.projections.iter().any(|p| p.name == unique) {
            unique = format!("{name}{k}");
            k += 1;
        }
        (unique, Some(name))
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
                let rows = self.index_range(scope, *indices.first()?, size)?;
                Some((p, Some(self.net(id).populations[p].cells_in(rows))))
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
        joining: &Joining,
        to: usize,
        port: Option<Name>,
        synapse: Option<ItemId>,
        target: &(ExprId, Option<Name>),
    ) -> Option<Option<usize>> {
        let Joining { id, connect, .. } = *joining;
        let population = self.net(id).populations[to].clone();
        let names: Vec<&str> = population.ports.iter().map(|p| p.name.as_str()).collect();
        if let Some(port) = port {
            if let Some(k) = names.iter().position(|n| *n == port.text) {
                return self.brings_to_port(synapse, &port).then_some(Some(k));
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

    /// Whether a synapse has an output for the port that is named. One with states has been looked at where it is declared.
    fn brings_to_port(&mut self, synapse: Option<ItemId>, port: &Name) -> bool {
        let Some(item) = synapse.filter(|s| self.synapse_outputs(*s).is_empty()) else { return true };
        let Some(declared) = self.synapse_item(item) else { return true };
        let jumps = declared.dynamics.changes_target();
        if declared.dynamics.states.is_empty() || jumps {
            let name = self.modules.item(item).name.clone();
            let message = format!("`{}` has no output that could arrive at `{}`", name.text, port.text);
            let d = Diagnostic::error("E0681", port.span, message).label(name.span, "declared here");
            self.report(match jumps {
                true => d.help("it changes states of its target: leave the port out"),
                false => d.help(format!("say what it brings: `output {} = w * pre.y`", port.text)),
            });
        }
        false
    }

    fn synapse_outputs(&self, synapse: ItemId) -> Vec<String> {
        match &self.modules.item(synapse).kind {
            ItemKind::Synapse(s) => s.dynamics.outputs.iter().map(|o| o.name.text.clone()).collect(),
            _ => vec![],
        }
    }
}

fn list_ports(d: Diagnostic, names: &[&str]) -> Diagnostic {
    if names.is_empty() {
        return d;
    }
    let list: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
    d.help(format!("its ports are {}", list.join(", ")))
}
