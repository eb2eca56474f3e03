//! Names: the scope's, then the module's, then the library's; and what to say when there is none.

use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::builtins;
use crate::hir::{ItemId, ItemKind};
use crate::session::{Lazy, Naming, ScopeId, Session, Slot};
use crate::suggest;
use crate::value::{Function, FunctionKind, Kind, Num, Value};

impl Session<'_> {
    /// What a name stands for here.
    pub fn name(&mut self, scope: ScopeId, name: &str, span: Span) -> Value {
        if let Some(value) = self.local(scope, name, span) {
            return value;
        }
        let module = self.module_of(scope);
        if let Some(item) = self.modules.get(module).seen.get(name).copied() {
            return self.item_value(item, span);
        }
        if let Some(value) = self.predeclared(scope, name) {
            return value;
        }
        self.unknown_name(scope, name, span)
    }

    /// What a name stands for in the scope and its parents, if anything.
    pub fn local(&mut self, scope: ScopeId, name: &str, span: Span) -> Option<Value> {
        let mut at = Some(scope);
        while let Some(id) = at {
            if self.scopes[id.0 as usize].names.contains_key(name) {
                return Some(self.force(id, name, span));
            }
            at = self.scopes[id.0 as usize].parent;
        }
        None
    }

    /// Reads a slot, evaluating it first where it waits to be.
    pub fn force(&mut self, scope: ScopeId, name: &str, span: Span) -> Value {
        let Some(slot) = self.scopes[scope.0 as usize].names.get_mut(name) else { return Value::Missing };
        match slot {
            Slot::Value(value) => value.clone(),
            Slot::Busy => self.cycle(scope, name, span),
            Slot::Lazy(lazy) => {
                let lazy = lazy.clone();
                *slot = Slot::Busy;
                self.chain.push(Naming { name: name.to_string(), span, scope, drawn: vec![] });
                let value = self.evaluate_lazy(lazy);
                self.chain.pop();
                self.bind(scope, name, value.clone());
                value
            }
        }
    }

    fn evaluate_lazy(&mut self, lazy: Lazy) -> Value {
        match lazy {
            Lazy::Expr(closure, ty) => {
                // What a name stands for is computed whole, wherever it is read.
                let acting = std::mem::take(&mut self.acting);
                let value = self.eval(closure.scope, closure.expr.id);
                self.acting = acting;
                match ty {
                    Some(ty) => self.hold_to_type(closure.scope, value, &ty, closure.expr),
                    None => value,
                }
            }
            Lazy::Port { frame, population, port } => match self.port_value(frame, population, port) {
                Value::Num(num) => Value::Num(Num { each: true, ..num }),
                value => value,
            },
            Lazy::Input { frame, name } => self.input_value(frame, &name),
            Lazy::End { site, post, name } => self.end_value(site, post, &name),
        }
    }

    fn cycle(&mut self, scope: ScopeId, name: &str, span: Span) -> Value {
        let start = self.chain.iter().rposition(|l| l.name == name && l.scope == scope).unwrap_or(0);
        let links: Vec<(String, Span)> =
            self.chain[start..].iter().map(|l| (self.owned(l.scope, &l.name), l.span)).collect();
        let mut chain: Vec<String> = links.iter().map(|(n, _)| format!("`{n}`")).collect();
        chain.push(format!("`{}`", self.owned(scope, name)));
        let place = if links.len() > 1 { links[0].1 } else { span };
        let message = format!("an instantaneous cycle: {}", chain.join(" needs "));
        let mut d = Diagnostic::error("E0401", place, message)
            .help("let something pass through a `state`, a spike, or a connection with `delay = 1 step`");
        for (n, at) in links.into_iter().skip(1) {
            // A cell's formula is one text for all populations of its kind.
            if !d.labels.iter().any(|l| l.span == at) {
                d = d.label(at, format!("`{n}` is needed here"));
            }
        }
        self.fail(d)
    }

    /// A name with the population whose it is: `E.v`.
    pub fn owned(&self, scope: ScopeId, name: &str) -> String {
        match &self.scopes[scope.0 as usize].owner {
            Some(owner) => format!("{owner}.{name}"),
            None => name.to_string(),
        }
    }

    pub fn item_value(&mut self, item: ItemId, span: Span) -> Value {
        match &self.modules.item(item).kind {
            ItemKind::Function(_) | ItemKind::Objective(_) => {
                Value::Function(Function { kind: FunctionKind::User(item), bound: vec![] }.into())
            }
            ItemKind::Experiment(_) => {
                let name = self.modules.item(item).name.text.clone();
                self.error("E0205", span, format!("`{name}` is an experiment: it is run, not used in an expression"))
            }
            _ => {
                let text = self.modules.item(item).name.text.as_str().into();
                Value::Kind(Kind { item, args: vec![], span, text }.into())
            }
        }
    }

    fn predeclared(&mut self, _scope: ScopeId, name: &str) -> Option<Value> {
        if let Some(builtin) = builtins::find(name) {
            return Some(Value::Function(Function { kind: FunctionKind::Builtin(builtin), bound: vec![] }.into()));
        }
        match name {
            "pi" => Some(Value::real(std::f64::consts::PI)),
            "inf" => Some(Value::real(f64::INFINITY)),
            "training" => Some(Value::real(f64::from(self.is_training()))),
            _ => None,
        }
    }

    /// Whether what is being built trains: then functions such as `dropout` act.
    pub fn is_training(&self) -> bool {
        let trains =
            |p: &crate::program::Program| matches!(p.purpose, crate::program::Purpose::Samples { training: true });
        self.program.as_ref().is_some_and(|p| p.learning || trains(p))
    }

    /// All names that could stand in an expression here.
    pub fn names_in_sight(&self, scope: ScopeId) -> Vec<String> {
        let mut names: Vec<String> = vec![];
        let mut at = Some(scope);
        while let Some(id) = at {
            let scope = &self.scopes[id.0 as usize];
            names.extend(scope.names.keys().filter(|n| !n.contains(' ')).cloned());
            at = scope.parent;
        }
        let module = self.module_of(scope);
        names.extend(self.modules.get(module).seen.keys().cloned());
        names.extend(builtins::all().map(|b| b.name.to_string()));
        names
    }

    /// `net.E` for `E`, where a network in sight has that member.
    fn member_in_sight(&self, scope: ScopeId, name: &str) -> Option<String> {
        let scopes = std::iter::successors(Some(scope), |id| self.scopes[id.0 as usize].parent);
        let mut slots = scopes.flat_map(|id| self.scopes[id.0 as usize].names.iter());
        slots.find_map(|(owner, slot)| {
            let net = match slot {
                Slot::Value(Value::Network(id)) => *id,
                Slot::Value(Value::Frame(frame)) => self.frame(*frame).net,
                _ => return None,
            };
            self.net(net).member_names().iter().any(|m| m == name).then(|| format!("{owner}.{name}"))
        })
    }

    /// What a name of other languages is here: a function that is called otherwise, the place of a cell.
    fn other_ways(&self, scope: ScopeId, name: &str, span: Span) -> Option<String> {
        let called = self.text(Span { start: span.end, end: span.end + 1, ..span }) == "(";
        if let (true, Some((_, own))) = (called, FUNCTIONS.iter().find(|(other, _)| *other == name)) {
            return Some(format!("`{name}(…)` is `{own}`"));
        }
        let scopes = std::iter::successors(Some(scope), |id| self.scopes[id.0 as usize].parent);
        let mut scopes = scopes.map(|id| &self.scopes[id.0 as usize].names);
        let counts = matches!(name, "i" | "j") && scopes.any(|names| names.contains_key("index"));
        counts.then(|| "the place of a cell in its population is `index`".to_string())
    }

    fn unknown_name(&mut self, scope: ScopeId, name: &str, span: Span) -> Value {
        let names = self.names_in_sight(scope);
        let mut d = Diagnostic::error("E0204", span, format!("there is no `{name}` here"));
        let word = WORDS.iter().find(|(other, _)| *other == name).map(|(_, own)| *own);
        let is_unit = crate::unit::Unit::parse(name).is_some();
        let near = word.or_else(|| suggest::nearest(name, names.iter().map(String::as_str)).filter(|_| !is_unit));
        if let Some(help) = self.other_ways(scope, name, span) {
            return self.fail(d.help(help));
        }
        let from = (near.is_none()).then(|| library_home(name)).flatten();
        if let Some(path) = self.member_in_sight(scope, name) {
            let d = d.at("a network's member is named with the network").fix(span, path.clone());
            return self.fail(d.help(format!("did you mean `{path}`?")));
        }
        if let Some((_, statement)) = STATEMENTS.iter().find(|(word, _)| *word == name) {
            return self.fail(d.at("this is a statement, no function").help(*statement));
        }
        d = suggest::did_you_mean(d, span, near);
        if let Some(module) = from {
            d = d.help(format!("the library has it: `use std.{module}.{name}`"));
        }
        if near.is_none() && is_unit {
            d = d.help(format!(
                "`{name}` is a unit, and a unit stands right after a number: `2 {name}`, `x / (1 {name})`, per {name} `2 {name}^-1`"
            ));
        }
        self.fail(d)
    }
}

/// Functions of other languages, and what they are here.
const FUNCTIONS: [(&str, &str); 10] = [
    ("N", "normal(mean, deviation)"),
    ("Normal", "normal(mean, deviation)"),
    ("gauss", "normal(mean, deviation)"),
    ("U", "uniform(low, high)"),
    ("Uniform", "uniform(low, high)"),
    ("rand", "uniform(0, 1)"),
    ("randn", "normal(0, 1)"),
    ("len", "length(x)"),
    ("size", "length(x)"),
    ("heaviside", "step(x)"),
];

/// Words of other languages for what is a word of this one.
const WORDS: [(&str, &str); 8] = [
    ("True", "true"),
    ("yes", "true"),
    ("False", "false"),
    ("no", "false"),
    ("Inf", "inf"),
    ("infinity", "inf"),
    ("PI", "pi"),
    ("Pi", "pi"),
];

/// Statements that are functions elsewhere.
const STATEMENTS: [(&str, &str); 2] = [
    ("simulate", "`let run = simulate net for 1 s step 0.1 ms { … }`"),
    ("train", "`let run = train net on data { … }`"),
];

/// The library module that declares a name.
fn library_home(name: &str) -> Option<&'static str> {
    let declares = |text: &str| {
        text.lines().any(|line| {
            let line = line.strip_prefix("local ").unwrap_or(line);
            let mut words = line.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|w| !w.is_empty());
            matches!(
                words.next(),
                Some("fn" | "neuron" | "synapse" | "rule" | "optimizer" | "objective" | "architecture" | "environment")
            ) && words.next() == Some(name)
        })
    };
    nnm_stdlib::modules().iter().find(|(_, text)| declares(text)).map(|(module, _)| *module)
}
