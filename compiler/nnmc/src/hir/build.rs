//! From statements as written to declarations with their parts sorted; what stands in the wrong place is reported.

use nnm_syntax::ast::{
    self, Body, Clause, ClauseValue, ExprId, ExprKind, Init, ItemKind as AstItem, Name, Stmt, StmtKind,
};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::*;

/// The declaration that an item of the tree makes, if it makes one.
pub fn item(
    module: ModuleId,
    (file, text): (&ast::File, &str),
    item: &ast::Item,
    out: &mut Vec<Diagnostic>,
) -> Option<Item> {
    let mut build = Build { file, text, word: "fn", out };
    let (name, params, kind) = match &item.kind {
        AstItem::Fn { name, params, result, body } => {
            let (lets, value) = build.lets_and_value(body);
            clauses::check(("fn", text), &lets, build.out);
            (name, params, ItemKind::Function(Function { result: result.clone(), lets, value }))
        }
        AstItem::Decl { local, word, name, params, body } => {
            (name, params, build.declaration(*local, word, body, item.span)?)
        }
        AstItem::Use { .. } | AstItem::Error => return None,
    };
    let (name, mut params, doc) = (name.clone(), params.clone(), item.doc.clone());
    let mut kind = kind;
    if let Some(declared) = params_inside(&mut kind)
        && let Some(first) = params.first()
    {
        let word = kind_word(&item.kind);
        let message = format!("parameters of {} are declared inside of it", crate::suggest::with_article(&word));
        let d = Diagnostic::error("E0238", first.name.span, message)
            .help(format!("`param {} = …`, one line for each", first.name.text));
        out.push(d);
        // As what they were meant for, so that nothing more is said of them.
        declared.extend(params.drain(..).map(|p| Decl {
            span: p.name.span,
            init: p.default.map(ast::Init::Value),
            name: p.name,
            ty: p.ty,
            clauses: vec![],
            doc: vec![],
        }));
    }
    Some(Item { module, name, doc, span: item.span, params, kind })
}

/// Where a kind declares its parameters, if not in parentheses after its name.
fn params_inside(kind: &mut ItemKind) -> Option<&mut Vec<Decl>> {
    match kind {
        ItemKind::Neuron(n) => Some(&mut n.dynamics.params),
        ItemKind::Synapse(s) => Some(&mut s.dynamics.params),
        ItemKind::Rule(r) => Some(&mut r.dynamics.params),
        ItemKind::Optimizer(o) => Some(&mut o.dynamics.params),
        _ => None,
    }
}

fn kind_word(kind: &AstItem) -> String {
    match kind {
        AstItem::Decl { word, .. } => word.text.clone(),
        _ => String::new(),
    }
}

struct Build<'a> {
    file: &'a ast::File,
    text: &'a str,
    word: &'static str,
    out: &'a mut Vec<Diagnostic>,
}

impl Build<'_> {
    fn declaration(&mut self, local: bool, word: &Name, body: &Body, span: Span) -> Option<ItemKind> {
        if local && word.text != "rule" {
            let message = format!("`local` stands before a `rule`, not before `{}`", word.text);
            self.out.push(Diagnostic::error("E0210", word.span, message));
        }
        if word.text == "objective" {
            self.word = "objective";
            return Some(ItemKind::Objective(self.objective(body)));
        }
        let Body::Block(stmts) = body else {
            let message = format!("the body of `{}` is a block in braces", word.text);
            self.out.push(Diagnostic::error("E0211", span, message));
            return None;
        };
        clauses::check((&word.text, self.text), stmts, self.out);
        Some(match word.text.as_str() {
            "neuron" => self.with("neuron", |b| ItemKind::Neuron(b.neuron(stmts))),
            "synapse" => self.with("synapse", |b| ItemKind::Synapse(Synapse { dynamics: b.dynamics(stmts) })),
            "rule" => self.with("rule", |b| ItemKind::Rule(b.rule(local, stmts))),
            "optimizer" => self.with("optimizer", |b| ItemKind::Optimizer(b.optimizer(stmts))),
            "architecture" => self.with("architecture", |b| ItemKind::Architecture(b.architecture(stmts))),
            "environment" => self.with("environment", |b| ItemKind::Environment(b.environment(stmts))),
            "experiment" => ItemKind::Experiment(stmts.clone()),
            _ => return None,
        })
    }

    fn with(&mut self, word: &'static str, f: impl FnOnce(&mut Self) -> ItemKind) -> ItemKind {
        self.word = word;
        f(self)
    }

    fn lets_and_value(&mut self, body: &Body) -> (Vec<Stmt>, Option<ExprId>) {
        match body {
            Body::Value(value) => (vec![], Some(*value)),
            Body::Lets { lets, value } => (lets.clone(), Some(*value)),
            Body::Block(_) => (vec![], None),
        }
    }

    fn objective(&mut self, body: &Body) -> Objective {
        let (mut lets, value) = self.lets_and_value(body);
        let mut terms = vec![];
        if let Body::Block(stmts) = body {
            for stmt in stmts {
                match &stmt.kind {
                    StmtKind::Let { .. } | StmtKind::For { .. } => lets.push(stmt.clone()),
                    StmtKind::Decl { word, .. } if word.text == "term" => terms.extend(decl(stmt).map(|(_, d)| d)),
                    _ => self.misplaced(stmt),
                }
            }
        }
        Objective { lets, value, terms }
    }

    fn misplaced(&mut self, stmt: &Stmt) {
        let Some((word, span)) = statement_word(stmt) else { return };
        let said = placement::said(&word);
        let mut d = Diagnostic::error("E0212", span, format!("{said} does not belong in `{}`", self.word));
        let homes = placement::homes(&word);
        if word == "assignment" {
            d = d.help("a name for a value is `let x = …`; values change in blocks, as in `when … { x = … }`");
        } else if !homes.contains(&self.word) {
            let homes: Vec<String> = homes.iter().map(|h| format!("`{h}`")).collect();
            d = d.help(format!("{said} belongs in {}", homes.join(", ")));
        }
        self.out.push(d.help(format!("in `{}` there go {}", self.word, placement::contents(self.word))));
    }

    fn neuron(&mut self, stmts: &[Stmt]) -> Neuron {
        let (inputs, rest) = split(stmts, "input");
        Neuron { dynamics: self.dynamics(&rest), inputs }
    }

    fn dynamics(&mut self, stmts: &[Stmt]) -> Dynamics {
        let mut dynamics = Dynamics::default();
        for stmt in stmts {
            if !self.dynamic(stmt, &mut dynamics) {
                self.misplaced(stmt);
            }
        }
        dynamics
    }

    /// Sorts one statement in, if it is one of those that everything with dynamics shares.
    fn dynamic(&mut self, stmt: &Stmt, to: &mut Dynamics) -> bool {
        if matches!(stmt.kind, StmtKind::Error) {
            return true;
        }
        if let Some((word, decl)) = decl(stmt) {
            if !placement::homes(&word).contains(&self.word) {
                return false;
            }
            return self.sort_decl(&word, decl, to);
        }
        if let Some((word, _)) = statement_word(stmt)
            && !placement::homes(&word).contains(&self.word)
        {
            return false;
        }
        self.sort_action(stmt, to)
    }

    fn sort_decl(&mut self, word: &str, decl: Decl, to: &mut Dynamics) -> bool {
        match word {
            "param" => to.params.push(decl),
            "weight" => to.weights.push(decl),
            "state" => to.states.push(decl),
            "running" => to.running.push(decl),
            "let" => to.lets.push(decl),
            "output" => to.outputs.push(decl),
            _ => return false,
        }
        true
    }

    fn sort_action(&mut self, stmt: &Stmt, to: &mut Dynamics) -> bool {
        match &stmt.kind {
            StmtKind::Equation { place, value } => {
                if let Some(name) = self.single(place, "a derivative") {
                    to.equations.push(Equation { name, value: *value, span: stmt.span });
                }
            }
            StmtKind::Next { place, value } => {
                if let Some(name) = self.single(place, "`next`") {
                    to.nexts.push(Equation { name, value: *value, span: stmt.span });
                }
            }
            StmtKind::SpikeWhen { cond, clauses, block } => to.whens.push(self.spike(stmt.span, *cond, clauses, block)),
            StmtKind::When { cond, block } => {
                let (surrogate, through_reset) = (None, false);
                let (cond, block) = (*cond, block.clone());
                to.whens.push(When { cond, block, spike: false, surrogate, through_reset, span: stmt.span });
            }
            StmtKind::On { place, block } => {
                if let Some(event) = self.single(place, "an event") {
                    to.ons.push(On { event, period: None, block: block.clone(), span: stmt.span });
                }
            }
            StmtKind::Every { period, block } => {
                let event = Name { text: "every".into(), span: stmt.span };
                to.ons.push(On { event, period: Some(*period), block: block.clone(), span: stmt.span });
            }
            StmtKind::List { word, items, clauses } if word.text == "solve" => {
                let names = items.iter().filter_map(|i| self.plain_name(i.expr)).collect();
                if let Some(method) = clause(clauses, "by") {
                    to.solves.push((names, method));
                }
            }
            _ => return false,
        }
        true
    }

    fn spike(&mut self, span: Span, cond: ExprId, clauses: &[Clause], block: &[Stmt]) -> When {
        let through_reset = clauses.iter().any(|c| c.word.text == "through");
        When { cond, block: block.to_vec(), spike: true, surrogate: clause(clauses, "surrogate"), through_reset, span }
    }

    fn single(&mut self, place: &[Name], what: &str) -> Option<Name> {
        if let [name] = place {
            return Some(name.clone());
        }
        let (first, last) = (place.first()?, place.last()?);
        let message = format!("{what} takes one plain name");
        self.out.push(Diagnostic::error("E0213", first.span.to(last.span), message));
        None
    }

    fn plain_name(&mut self, expr: ExprId) -> Option<Name> {
        let expr = self.file.expr(expr);
        match &expr.kind {
            ExprKind::Name(text) => Some(Name { text: text.clone(), span: expr.span }),
            _ => {
                self.out.push(Diagnostic::error("E0213", expr.span, "expected a plain name here"));
                None
            }
        }
    }

    fn rule(&mut self, local: bool, stmts: &[Stmt]) -> Rule {
        let mut rule = Rule { local, ..Rule::default() };
        for stmt in stmts {
            if !self.rule_part(stmt, &mut rule) && !self.dynamic(stmt, &mut rule.dynamics) {
                self.misplaced(stmt);
            }
        }
        rule
    }

    fn rule_part(&mut self, stmt: &Stmt, rule: &mut Rule) -> bool {
        match &stmt.kind {
            StmtKind::Decl { word, .. } => match (word.text.as_str(), decl(stmt)) {
                ("modulator", Some((_, d))) => rule.modulators.push(d),
                ("const", Some((_, d))) => rule.consts.push(d),
                ("noise", Some((_, d))) => rule.noises.push(d),
                _ => return false,
            },
            StmtKind::Assign { place, index, op: ast::AssignOp::Set, value } if index.is_empty() => {
                let [name] = place.as_slice() else { return false };
                let equation = Equation { name: name.clone(), value: *value, span: stmt.span };
                match name.text.as_str() {
                    "dw" => rule.change = Some(equation),
                    "dW" => rule.matrix_change = Some(equation),
                    _ => return false,
                }
            }
            StmtKind::Trace { side, name, ty, value, block } => {
                let trace = self.trace(stmt.span, side, name, ty.clone(), *value, block);
                rule.traces.push(trace);
            }
            StmtKind::Feedback { direct, value } => rule.feedback = Some((*direct, *value, stmt.span)),
            StmtKind::Perturbed { name, block } => rule.perturbed.push((name.clone(), block.clone())),
            StmtKind::Bound { value } => rule.bound = Some(*value),
            StmtKind::Bare { word, .. } if word.text == "normalize" => rule.normalize = true,
            StmtKind::List { word, items, clauses } if word.text == "settle" => {
                rule.settles.extend(items.iter().filter_map(|i| self.settle(stmt.span, i, clauses)));
            }
            _ => return false,
        }
        true
    }

    fn settle(&mut self, span: Span, item: &ast::ListItem, clauses: &[Clause]) -> Option<Settle> {
        let Some(energy) = clause(clauses, "minimizing") else {
            let message = "`settle` needs what it minimizes: `settle post.y minimizing ENERGY for N steps at RATE`";
            self.out.push(Diagnostic::error("E0214", span, message));
            return None;
        };
        let (steps, rate, by) = (clause(clauses, "for"), clause(clauses, "at"), clause(clauses, "by"));
        let (name, target) = (item.alias.clone(), item.expr);
        Some(Settle { name, target, energy, steps, rate, by, span })
    }

    fn trace(
        &mut self,
        span: Span,
        side: &Name,
        name: &Name,
        ty: Option<ast::Type>,
        init: Option<Init>,
        block: &[Stmt],
    ) -> Trace {
        let post = side.text == "post";
        let mut trace =
            Trace { post, name: name.clone(), ty, init, equation: None, next: None, on_spike: vec![], span };
        for stmt in block {
            match &stmt.kind {
                StmtKind::Equation { place, value } => {
                    self.trace_has_none(&trace, stmt.span);
                    trace.equation = self.trace_equation(name, place, *value, stmt.span);
                }
                StmtKind::Next { place, value } => {
                    self.trace_has_none(&trace, stmt.span);
                    trace.next = self.trace_equation(name, place, *value, stmt.span);
                }
                StmtKind::On { place, block } if place.len() == 1 && place[0].text == "spike" => {
                    trace.on_spike.extend(block.iter().cloned());
                }
                StmtKind::Error => {}
                _ => {
                    let message = "a trace has its equation and `on spike { … }`, nothing else";
                    self.out.push(Diagnostic::error("E0215", stmt.span, message));
                }
            }
        }
        trace
    }

    /// A trace goes by one equation.
    fn trace_has_none(&mut self, trace: &Trace, again: Span) {
        if let Some(first) = trace.equation.as_ref().or(trace.next.as_ref()) {
            let message = format!("`{}` has two equations", trace.name.text);
            self.out.push(Diagnostic::error("E0201", again, message).label(first.span, "the first is here"));
        }
    }

    fn trace_equation(&mut self, trace: &Name, place: &[Name], value: ExprId, span: Span) -> Option<Equation> {
        let name = self.single(place, "a derivative")?;
        if name.text != trace.text {
            let message =
                format!("the trace `{}` has an equation for itself alone, not for `{}`", trace.text, name.text);
            self.out.push(Diagnostic::error("E0215", name.span, message));
            return None;
        }
        Some(Equation { name, value, span })
    }

    fn optimizer(&mut self, stmts: &[Stmt]) -> Optimizer {
        let mut optimizer = Optimizer::default();
        for stmt in stmts {
            match &stmt.kind {
                StmtKind::List { word, items, .. } if word.text == "change" => {
                    optimizer.change = items.first().map(|i| i.expr);
                }
                _ if self.dynamic(stmt, &mut optimizer.dynamics) => {}
                _ => self.misplaced(stmt),
            }
        }
        optimizer
    }

    fn architecture(&mut self, stmts: &[Stmt]) -> Architecture {
        let mut arch = Architecture::default();
        for stmt in stmts {
            if let Some((word, d)) = decl(stmt) {
                match word.as_str() {
                    "input" => arch.inputs.push(d),
                    "weight" => arch.weights.push(d),
                    "latent" => arch.latents.push(d),
                    "param" => arch.params.push(d),
                    "output" => arch.outputs.push(d),
                    "let" => arch.body.push(super::Build::Let(d)),
                    _ => self.misplaced(stmt),
                }
            } else if let Some(part) = self.architecture_part(stmt) {
                arch.body.push(part);
            }
        }
        arch
    }

    fn not_repeated(&mut self, stmt: &Stmt) {
        let message = "a loop of an architecture repeats `let`s, nothing else";
        let help = "populations and connections are repeated by an array of parts: `part layer: Layer[3]`";
        self.out.push(Diagnostic::error("E0212", stmt.span, message).help(help));
    }

    fn architecture_part(&mut self, stmt: &Stmt) -> Option<super::Build> {
        let span = stmt.span;
        match &stmt.kind {
            StmtKind::Member { word, name, kind, clauses } => {
                let member = Member { name: name.clone(), kind: *kind, place: clause(clauses, "at"), span };
                let population = word.text == "population";
                Some(if population { super::Build::Population(member) } else { super::Build::Part(member) })
            }
            StmtKind::Connect { from, to, name, pattern, clauses } => {
                let plastic = clauses.iter().any(|c| c.word.text == "plastic");
                let (via, name) = (clause(clauses, "via"), name.clone());
                Some(super::Build::Connect(Connect {
                    from: *from,
                    to: *to,
                    name,
                    pattern: *pattern,
                    via,
                    plastic,
                    span,
                }))
            }
            StmtKind::For { name, list, block, .. } => {
                let mut body = vec![];
                for stmt in block {
                    match decl(stmt) {
                        Some((word, d)) if word == "let" => body.push(super::Build::Let(d)),
                        _ if matches!(stmt.kind, StmtKind::For { .. } | StmtKind::Error) => {
                            body.extend(self.architecture_part(stmt));
                        }
                        _ => self.not_repeated(stmt),
                    }
                }
                Some(super::Build::For { name: name.clone(), list: *list, body })
            }
            StmtKind::Error => None,
            _ => {
                self.misplaced(stmt);
                None
            }
        }
    }

    fn environment(&mut self, stmts: &[Stmt]) -> Environment {
        let mut world = Environment::default();
        for stmt in stmts {
            match &stmt.kind {
                StmtKind::List { word, items, .. } if word.text == "observe" => {
                    world.observe = items.first().map(|i| i.expr)
                }
                StmtKind::List { word, items, .. } if word.text == "reward" => {
                    world.reward = items.first().map(|i| i.expr)
                }
                StmtKind::CondWhen { word, cond } if word.text == "done" => world.done = Some(*cond),
                StmtKind::Decl { word, .. } if word.text == "action" => {
                    world.actions.extend(decl(stmt).map(|(_, d)| d))
                }
                _ if self.dynamic(stmt, &mut world.dynamics) => {}
                _ => self.misplaced(stmt),
            }
        }
        world
    }
}

/// A `word name: type = value` or `let`, with its word.
fn decl(stmt: &Stmt) -> Option<(String, Decl)> {
    let (word, name, ty, init, clauses) = match &stmt.kind {
        StmtKind::Decl { word, name, ty, value, clauses } => (word.text.clone(), name, ty, *value, clauses.clone()),
        StmtKind::Let { name, ty, value } => ("let".into(), name, ty, Some(Init::Value(*value)), vec![]),
        _ => return None,
    };
    Some((word, Decl { name: name.clone(), ty: ty.clone(), init, clauses, span: stmt.span, doc: stmt.doc.clone() }))
}

fn split(stmts: &[Stmt], word: &str) -> (Vec<Decl>, Vec<Stmt>) {
    let (mut taken, mut rest) = (vec![], vec![]);
    for stmt in stmts {
        match decl(stmt) {
            Some((w, d)) if w == word => taken.push(d),
            _ => rest.push(stmt.clone()),
        }
    }
    (taken, rest)
}

/// The expression of a clause.
pub fn clause(clauses: &[Clause], word: &str) -> Option<ExprId> {
    clauses.iter().find(|c| c.word.text == word).and_then(|c| match &c.value {
        ClauseValue::Expr(e) | ClauseValue::Counted(e, _) | ClauseValue::Named(_, e) | ClauseValue::Given(_, e) => {
            Some(*e)
        }
        ClauseValue::None => None,
    })
}

/// The word that a statement starts with, for messages, and where it is.
pub fn statement_word(stmt: &Stmt) -> Option<(String, Span)> {
    let first = |span: Span, length: usize| Span { end: (span.start + length as u32).min(span.end), ..span };
    let fixed = |word: &str| Some((word.to_string(), first(stmt.span, word.len())));
    match &stmt.kind {
        StmtKind::Run { word, .. }
        | StmtKind::Decl { word, .. }
        | StmtKind::List { word, .. }
        | StmtKind::Bare { word, .. }
        | StmtKind::Member { word, .. }
        | StmtKind::CondWhen { word, .. } => Some((word.text.clone(), word.span)),
        StmtKind::Let { .. } => fixed("let"),
        StmtKind::Given { .. } => fixed("given"),
        StmtKind::Set { .. } => fixed("set"),
        StmtKind::Stimulate { .. } => fixed("stimulate"),
        StmtKind::Act { .. } => fixed("act"),
        StmtKind::Connect { .. } => fixed("connect"),
        StmtKind::Equation { .. } => Some(("equation".into(), stmt.span)),
        StmtKind::Assign { place, .. } => match place.as_slice() {
            [name] if matches!(name.text.as_str(), "dw" | "dW") => Some((name.text.clone(), stmt.span)),
            _ => Some(("assignment".into(), stmt.span)),
        },
        StmtKind::Next { .. } => fixed("next"),
        StmtKind::Hold { .. } => fixed("hold"),
        StmtKind::SpikeWhen { .. } => fixed("spike"),
        StmtKind::When { .. } => fixed("when"),
        StmtKind::On { .. } => fixed("on"),
        StmtKind::Every { .. } => fixed("every"),
        StmtKind::Trace { .. } => Some(("trace".into(), stmt.span)),
        StmtKind::Perturbed { .. } => fixed("perturbed"),
        StmtKind::Feedback { .. } => fixed("feedback"),
        StmtKind::Clip { .. } => fixed("clip"),
        StmtKind::Constrain { .. } => fixed("constrain"),
        StmtKind::Bound { .. } => fixed("bound"),
        StmtKind::For { .. } => fixed("for"),
        StmtKind::Error => None,
    }
}
