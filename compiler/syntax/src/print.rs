//! Tokens and trees as text: stable, readable, without byte offsets; the form that `emit` shows and tests compare.
//!
//! A statement is a line, its block is indented below it, an expression is in prefix form: `a + 2 mV * b` is
//! `(+ a (* 2_mV b))`.

mod expr;

use crate::ast::{
    AssignOp, Body, Clause, ClauseValue, File, Init, Item, ItemKind, Name, Param, Stmt, StmtKind, Type, TypeKind,
    UseNames,
};
use crate::layer;
use crate::lexer;
use crate::span::FileId;
use crate::token::Tok;

/// The tokens of a text, one a line: line number, kind, text. Separators that the line breaks mean are shown.
pub fn print_tokens(text: &str) -> String {
    let file = FileId(0);
    let lexed = lexer::lex(file, text);
    let mut out = String::new();
    let mut line = 1;
    let mut seen = 0;
    for token in layer::layer(file, text, &lexed.tokens).tokens {
        let start = token.start as usize;
        line += text.get(seen..start).map_or(0, |between| between.matches('\n').count());
        seen = seen.max(start);
        let row = format!("{line:>4}  {:<9}  {}", kind_name(token.tok), token.text(text));
        out.push_str(row.trim_end());
        out.push('\n');
    }
    out
}

fn kind_name(tok: Tok) -> &'static str {
    match tok {
        Tok::Ident => "name",
        Tok::Word(_) => "word",
        Tok::Number => "number",
        Tok::Quantity => "quantity",
        Tok::Text => "text",
        Tok::Symbol(_) => "sign",
        Tok::Bad(_) => "bad",
        Tok::Separator => "separator",
        Tok::OpenBlock | Tok::OpenSet => "open",
        Tok::CloseBlock | Tok::CloseSet => "close",
        Tok::Block(_) | Tok::Lets(_) => "block",
    }
}

/// The tree of a file.
pub fn print_ast(file: &File) -> String {
    let mut printer = Printer { file, out: String::new(), depth: 0 };
    for line in &file.doc {
        printer.line(&format!("//! {line}"));
    }
    for item in &file.items {
        printer.item(item);
    }
    printer.out
}

/// Whether two trees are the same but for places.
pub fn equal_modulo_spans(left: &File, right: &File) -> bool {
    print_ast(left) == print_ast(right)
}

struct Printer<'a> {
    file: &'a File,
    out: String,
    depth: usize,
}

impl Printer<'_> {
    fn line(&mut self, text: &str) {
        self.out.extend(std::iter::repeat_n("  ", self.depth));
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn docs(&mut self, docs: &[String]) {
        for doc in docs {
            self.line(&format!("/// {doc}"));
        }
    }

    fn item(&mut self, item: &Item) {
        self.docs(&item.doc);
        match &item.kind {
            ItemKind::Use { path, names } => {
                let names = match names {
                    UseNames::Last => String::new(),
                    UseNames::All => " *".to_owned(),
                    UseNames::Set(names) => format!(" {{{}}}", names_text(names, " ")),
                };
                self.line(&format!("use {}{names}", names_text(path, ".")));
            }
            ItemKind::Fn { name, params, result, body } => {
                let result = result.as_ref().map_or(String::new(), |ty| format!(" -> {}", self.ty(ty)));
                let header = format!("fn {} ({}){result}", name.text, self.params(params));
                self.body(&header, body);
            }
            ItemKind::Decl { local, word, name, params, body } => {
                let local = if *local { "local " } else { "" };
                let header = format!("{local}{} {} ({})", word.text, name.text, self.params(params));
                self.body(&header, body);
            }
            ItemKind::Error => self.line("error"),
        }
    }

    fn params(&self, params: &[Param]) -> String {
        let params = params.iter().map(|param| {
            let default = param.default.map_or(String::new(), |value| format!(" = {}", self.expr(value)));
            format!("{}{}{default}", param.name.text, self.typed(param.ty.as_ref()))
        });
        params.collect::<Vec<_>>().join(", ")
    }

    fn body(&mut self, header: &str, body: &Body) {
        match body {
            Body::Value(value) => self.line(&format!("{header} = {}", self.expr(*value))),
            Body::Block(stmts) => {
                self.line(header);
                self.block(stmts);
            }
            Body::Lets { lets, value } => {
                self.line(&format!("{header} ="));
                self.block(lets);
                self.depth += 1;
                self.line(&self.expr(*value));
                self.depth -= 1;
            }
        }
    }

    fn block(&mut self, stmts: &[Stmt]) {
        self.depth += 1;
        for stmt in stmts {
            self.docs(&stmt.doc);
            self.line(&self.stmt(&stmt.kind));
            self.block(stmt.kind.block());
        }
        self.depth -= 1;
    }

    fn stmt(&self, kind: &StmtKind) -> String {
        match kind {
            StmtKind::Let { name, ty, value } => {
                format!("let {}{} = {}", name.text, self.typed(ty.as_ref()), self.expr(*value))
            }
            StmtKind::Run { name, word, subject, world, clauses, .. } => {
                let name = name.as_ref().map_or(String::new(), |name| format!("let {} = ", name.text));
                let world = world.map_or(String::new(), |world| format!(" in {}", self.expr(world)));
                format!("{name}{} {}{world}{}", word.text, self.expr(*subject), self.clauses(clauses))
            }
            StmtKind::Decl { word, name, ty, value, clauses } => {
                let value = value.map_or(String::new(), |value| self.init(value));
                format!("{} {}{}{value}{}", word.text, name.text, self.typed(ty.as_ref()), self.clauses(clauses))
            }
            StmtKind::List { word, items, clauses } => {
                let items = items.iter().map(|item| {
                    let alias = item.alias.as_ref().map_or(String::new(), |alias| format!(" as {}", alias.text));
                    format!(" {}{alias}", self.expr(item.expr))
                });
                format!("{}{}{}", word.text, items.collect::<Vec<_>>().join(","), self.clauses(clauses))
            }
            StmtKind::Bare { word, clauses } => format!("{}{}", word.text, self.clauses(clauses)),
            StmtKind::Error => "error".to_owned(),
            other => self.network_stmt(other),
        }
    }

    fn network_stmt(&self, kind: &StmtKind) -> String {
        match kind {
            StmtKind::Member { word, name, kind, clauses } => {
                format!("{} {}: {}{}", word.text, name.text, self.expr(*kind), self.clauses(clauses))
            }
            StmtKind::Connect { from, to, name, pattern, clauses } => {
                let name = name.as_ref().map_or(String::new(), |name| format!(" as {}", name.text));
                let pattern = pattern.map_or(String::new(), |pattern| format!(": {}", self.expr(pattern)));
                let clauses = self.clauses(clauses);
                format!("connect {} -> {}{name}{pattern}{clauses}", self.expr(*from), self.expr(*to))
            }
            StmtKind::Equation { place, value } => format!("{}' = {}", names_text(place, "."), self.expr(*value)),
            StmtKind::Assign { place, index, op, value } => {
                let index: Vec<String> = index.iter().map(|i| self.expr(*i)).collect();
                let index = if index.is_empty() { String::new() } else { format!("[{}]", index.join(", ")) };
                format!("{}{index} {} {}", names_text(place, "."), assign_text(*op), self.expr(*value))
            }
            StmtKind::Next { place, value } => format!("next {} = {}", names_text(place, "."), self.expr(*value)),
            StmtKind::Hold { name, clauses } => format!("hold {}{}", name.text, self.clauses(clauses)),
            StmtKind::SpikeWhen { cond, clauses, .. } => {
                format!("spike when {}{}", self.expr(*cond), self.clauses(clauses))
            }
            StmtKind::When { cond, .. } => format!("when {}", self.expr(*cond)),
            StmtKind::On { place, .. } => format!("on {}", names_text(place, ".")),
            StmtKind::Every { period, .. } => format!("every {}", self.expr(*period)),
            StmtKind::CondWhen { word, cond } => format!("{} when {}", word.text, self.expr(*cond)),
            other => self.learning_stmt(other),
        }
    }

    fn learning_stmt(&self, kind: &StmtKind) -> String {
        match kind {
            StmtKind::Trace { side, name, ty, value, .. } => {
                let value = value.map_or(String::new(), |value| self.init(value));
                format!("{} trace {}{}{value}", side.text, name.text, self.typed(ty.as_ref()))
            }
            StmtKind::Perturbed { name, .. } => format!("perturbed {}", name.text),
            StmtKind::Feedback { direct, value } => {
                format!("feedback{} {}", if *direct { " direct" } else { "" }, self.expr(*value))
            }
            StmtKind::Bound { value } => format!("bound {}", self.expr(*value)),
            StmtKind::Given { name, value, clauses } => {
                format!("given {} = {}{}", name.text, self.expr(*value), self.clauses(clauses))
            }
            StmtKind::Set { target, value } => format!("set {}{}", self.expr(*target), self.init(*value)),
            StmtKind::Stimulate { target, value, clauses } => {
                format!("stimulate {}{}{}", self.expr(*target), self.init(*value), self.clauses(clauses))
            }
            StmtKind::Act { name, value } => format!("act {} ~ {}", name.text, self.expr(*value)),
            StmtKind::Clip { what, value } => format!("clip {} {}", what.text, self.expr(*value)),
            StmtKind::Constrain { target, what, value } => {
                format!("constrain {} to {} {}", self.expr(*target), what.text, self.expr(*value))
            }
            StmtKind::For { name, list, clauses, .. } => {
                format!("for {} in {}{}", name.text, self.expr(*list), self.clauses(clauses))
            }
            _ => String::new(),
        }
    }

    fn init(&self, init: Init) -> String {
        match init {
            Init::Value(value) => format!(" = {}", self.expr(value)),
            Init::Draw(value) => format!(" ~ {}", self.expr(value)),
        }
    }

    fn typed(&self, ty: Option<&Type>) -> String {
        ty.map_or(String::new(), |ty| format!(": {}", self.ty(ty)))
    }

    fn ty(&self, ty: &Type) -> String {
        let shape = |shape: &[_]| match shape {
            [] => String::new(),
            sizes => format!("[{}]", sizes.iter().map(|size| self.expr(*size)).collect::<Vec<_>>().join(" ")),
        };
        match &ty.kind {
            TypeKind::Like(name) => format!("like {}", name.text),
            TypeKind::Event { unit, shape: sizes } => {
                let unit = unit.as_ref().map_or(String::new(), |unit| format!(" {}", unit.text));
                format!("event{unit}{}", shape(sizes))
            }
            TypeKind::Named { name, shape: sizes } => format!("{}{}", name.text, shape(sizes)),
        }
    }

    fn clauses(&self, clauses: &[Clause]) -> String {
        clauses.iter().map(|clause| format!(" {}", self.clause(clause))).collect()
    }

    fn clause(&self, clause: &Clause) -> String {
        let word = &clause.word.text;
        match &clause.value {
            ClauseValue::None => format!(":{word}"),
            ClauseValue::Expr(value) => format!(":{word} {}", self.expr(*value)),
            ClauseValue::Counted(value, count) => format!(":{word} {} {}", self.expr(*value), count.text),
            ClauseValue::Named(what, value) => format!(":{word} {} {}", what.text, self.expr(*value)),
            ClauseValue::Given(name, value) => format!(":{word} {} = {}", name.text, self.expr(*value)),
        }
    }

    fn expr(&self, id: crate::ast::ExprId) -> String {
        expr::print(self.file, id)
    }
}

fn names_text(names: &[Name], between: &str) -> String {
    names.iter().map(|name| name.text.as_str()).collect::<Vec<_>>().join(between)
}

fn assign_text(op: AssignOp) -> &'static str {
    match op {
        AssignOp::Set => "=",
        AssignOp::Add => "+=",
        AssignOp::Sub => "-=",
        AssignOp::Mul => "*=",
        AssignOp::Div => "/=",
    }
}
