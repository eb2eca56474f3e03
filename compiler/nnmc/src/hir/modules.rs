//! Modules: one file each, the embedded library and the files beside the user's; who sees which name.

use std::path::PathBuf;

use indexmap::IndexMap;
use nnm_syntax::ast::{self, Name, StmtKind, UseNames};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::{FileId, SourceMap, Span};

use super::{Item, ItemId, ItemKind, build};
use crate::suggest;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModuleId(pub u32);

/// Gives the text of a module file beside the user's (`mylab/cortex.nnm`), where there is one.
pub trait Reader {
    fn read(&self, path: &str) -> Option<String>;
}

#[derive(Clone, Debug)]
pub struct Module {
    pub path: String,
    pub file: ast::File,
    /// Names declared here.
    pub own: IndexMap<String, ItemId>,
    /// Names in sight: own ones and those that `use` brings.
    pub seen: IndexMap<String, ItemId>,
}

#[derive(Clone, Debug, Default)]
pub struct Modules {
    pub sources: SourceMap,
    pub modules: Vec<Module>,
    pub items: Vec<Item>,
    pub diagnostics: Vec<Diagnostic>,
    /// What every file sees without `use`.
    pub prelude: Option<ModuleId>,
    by_path: IndexMap<String, Option<ModuleId>>,
}

impl Modules {
    /// Reads the user's file and everything that it uses. Never fails: faults are in `diagnostics`.
    pub fn load(name: &str, text: &str, reader: &dyn Reader) -> (Modules, ModuleId) {
        let mut modules = Modules::default();
        // The user's file comes first, so that its number and places are the first.
        let file = modules.sources.add(name, text);
        modules.prelude = modules.find("std.prelude", Span::default(), reader);
        let id = modules.add_file(name, file, reader);
        (modules, id)
    }

    pub fn get(&self, id: ModuleId) -> &Module {
        &self.modules[id.0 as usize]
    }

    pub fn item(&self, id: ItemId) -> &Item {
        &self.items[id.0 as usize]
    }

    /// The statement that gave a name to something, in the declaration that a place is in, and its word.
    pub fn taker(&self, name: &str, place: Span) -> Option<(Name, String)> {
        let inside = |span: Span| span.file == place.file && span.start <= place.start && place.end <= span.end;
        let item = self.modules.iter().flat_map(|module| &module.file.items).find(|item| inside(item.span))?;
        let mut open: Vec<&ast::Stmt> = match &item.kind {
            ast::ItemKind::Fn { body, .. } | ast::ItemKind::Decl { body, .. } => match body {
                ast::Body::Block(stmts) | ast::Body::Lets { lets: stmts, .. } => stmts.iter().collect(),
                ast::Body::Value(_) => vec![],
            },
            _ => vec![],
        };
        let mut found: Option<(Name, String)> = None;
        while let Some(stmt) = open.pop() {
            open.extend(stmt.kind.block());
            let (own, word) = match &stmt.kind {
                StmtKind::Let { name, .. } | StmtKind::Run { name: Some(name), .. } => (name, "let"),
                StmtKind::Decl { name, word, .. } => (name, word.text.as_str()),
                StmtKind::For { name, .. } => (name, "for"),
                _ => continue,
            };
            let last = found.as_ref().is_none_or(|(other, _)| other.span.start < own.span.start);
            if own.text == name && own.span.start < place.start && last {
                found = Some((own.clone(), word.to_string()));
            }
        }
        found
    }

    /// Whether an item is a function that draws random numbers, itself or by another one.
    pub fn draws(&self, item: ItemId) -> bool {
        let (mut seen, mut open) = (vec![], vec![item]);
        while let Some(id) = open.pop() {
            let ItemKind::Function(function) = &self.item(id).kind else { continue };
            if seen.contains(&id) {
                continue;
            }
            seen.push(id);
            let module = self.get(self.item(id).module);
            let lets = function.lets.iter().filter_map(|stmt| match &stmt.kind {
                StmtKind::Let { value, .. } => Some(*value),
                _ => None,
            });
            for name in lets.chain(function.value).flat_map(|e| crate::eval::names_in(&module.file, e)) {
                match module.seen.get(&name) {
                    Some(inner) => open.push(*inner),
                    None if crate::eval::draws(&name) => return true,
                    None => {}
                }
            }
        }
        false
    }

    /// A module for a text given on the command line.
    pub fn add_setting(&mut self, file: FileId) -> ModuleId {
        let text = self.sources.get(file).text.clone();
        let parsed = nnm_syntax::parse(file, &text);
        self.diagnostics.extend(parsed.diagnostics);
        let id = ModuleId(self.modules.len() as u32);
        self.modules.push(Module {
            path: "--set".into(),
            file: parsed.file,
            own: IndexMap::new(),
            seen: IndexMap::new(),
        });
        id
    }

    fn add(&mut self, name: &str, text: &str, reader: &dyn Reader) -> ModuleId {
        let file = self.sources.add(name, text);
        self.add_file(name, file, reader)
    }

    fn add_file(&mut self, name: &str, file: FileId, reader: &dyn Reader) -> ModuleId {
        let text = self.sources.get(file).text.clone();
        let parsed = nnm_syntax::parse(file, &text);
        self.diagnostics.extend(parsed.diagnostics);
        let id = ModuleId(self.modules.len() as u32);
        let seen = self.prelude.map(|p| self.get(p).own.clone()).unwrap_or_default();
        self.modules.push(Module { path: name.into(), file: parsed.file, own: IndexMap::new(), seen });
        self.declare(id);
        self.bring(id, reader);
        id
    }

    fn declare(&mut self, id: ModuleId) {
        let items = self.modules[id.0 as usize].file.items.clone();
        for item in items {
            let file = &self.modules[id.0 as usize].file;
            let text = self.sources.get(file.id).text.as_str();
            let Some(built) = build::item(id, (file, text), &item, &mut self.diagnostics) else { continue };
            let name = built.name.clone();
            let item_id = ItemId(self.items.len() as u32);
            let module = &mut self.modules[id.0 as usize];
            if let Some(first) = module.own.get(&name.text) {
                let place = self.items[first.0 as usize].name.span;
                self.diagnostics.push(
                    Diagnostic::error("E0201", name.span, format!("`{}` is declared twice", name.text))
                        .label(place, "first declared here"),
                );
                continue;
            }
            module.own.insert(name.text.clone(), item_id);
            module.seen.insert(name.text, item_id);
            self.items.push(built);
        }
    }

    fn bring(&mut self, id: ModuleId, reader: &dyn Reader) {
        let items = self.modules[id.0 as usize].file.items.clone();
        for item in &items {
            if let ast::ItemKind::Use { path, names } = &item.kind {
                self.bring_one(id, path, names, reader);
            }
        }
    }

    fn bring_one(&mut self, id: ModuleId, path: &[Name], names: &UseNames, reader: &dyn Reader) {
        let (prefix, wanted): (&[Name], Option<Vec<Name>>) = match names {
            UseNames::Last => {
                let Some((last, prefix)) = path.split_last() else { return };
                (prefix, Some(vec![last.clone()]))
            }
            UseNames::All => (path, None),
            UseNames::Set(set) => (path, Some(set.clone())),
        };
        let Some(first) = prefix.first() else { return };
        let span = prefix.iter().fold(first.span, |s, n| s.to(n.span));
        let dotted = prefix.iter().map(|n| n.text.as_str()).collect::<Vec<_>>().join(".");
        let Some(from) = self.find(&dotted, span, reader) else { return };
        let own = self.modules[from.0 as usize].own.clone();
        match wanted {
            None => {
                let module = &mut self.modules[id.0 as usize];
                for (name, item) in own {
                    module.seen.entry(name).or_insert(item);
                }
            }
            Some(wanted) => self.bring_names(id, &dotted, &own, wanted),
        }
    }

    fn bring_names(&mut self, id: ModuleId, dotted: &str, own: &IndexMap<String, ItemId>, wanted: Vec<Name>) {
        for name in wanted {
            match own.get(&name.text) {
                Some(item) => {
                    let module = &mut self.modules[id.0 as usize];
                    match module.own.get(&name.text) {
                        None => drop(module.seen.insert(name.text, *item)),
                        Some(own) => {
                            let place = self.items[own.0 as usize].name.span;
                            let message = format!("`{}` is declared here, and brought in by `use` too", name.text);
                            let d = Diagnostic::error("E0201", place, message).label(name.span, "brought in here");
                            self.diagnostics.push(d);
                        }
                    }
                }
                None => {
                    let message = format!("`{dotted}` declares no `{}`", name.text);
                    let diagnostic = Diagnostic::error("E0202", name.span, message);
                    let near = suggest::nearest(&name.text, own.keys().map(String::as_str));
                    self.diagnostics.push(suggest::did_you_mean(diagnostic, name.span, near));
                }
            }
        }
    }

    fn find(&mut self, dotted: &str, span: Span, reader: &dyn Reader) -> Option<ModuleId> {
        if let Some(known) = self.by_path.get(dotted) {
            return *known;
        }
        let standard = dotted.strip_prefix("std.");
        let text = match standard {
            Some(name) => nnm_stdlib::modules().iter().find(|(n, _)| *n == name).map(|(_, t)| (*t).to_string()),
            None => reader.read(&module_file(dotted)),
        };
        self.by_path.insert(dotted.into(), None);
        let Some(text) = text else {
            self.no_module(dotted, span, standard.is_some());
            return None;
        };
        let name = match standard {
            Some(name) => format!("std/{name}.nnm"),
            None => module_file(dotted),
        };
        let id = self.add(&name, &text, reader);
        self.by_path.insert(dotted.into(), Some(id));
        Some(id)
    }

    fn no_module(&mut self, dotted: &str, span: Span, standard: bool) {
        let diagnostic = Diagnostic::error("E0203", span, format!("there is no module `{dotted}`"));
        let diagnostic = if standard || dotted == "std" {
            let names: Vec<String> = nnm_stdlib::modules().iter().map(|(n, _)| format!("std.{n}")).collect();
            let near = suggest::nearest(dotted, names.iter().map(String::as_str));
            suggest::did_you_mean(diagnostic, span, near)
        } else {
            diagnostic.help(format!("a module is a file: `{}` beside this one", module_file(dotted)))
        };
        self.diagnostics.push(diagnostic);
    }
}

fn module_file(dotted: &str) -> String {
    let path: PathBuf = dotted.split('.').collect();
    format!("{}.nnm", path.display())
}
