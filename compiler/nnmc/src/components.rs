//! What a training is made of, each of the three by a hash: the same architecture, objective or rule has the same one,
//! whatever the other two are.

use std::collections::BTreeSet;

use nnm_syntax::ast::{self, ExprId};
use sha2::{Digest, Sha256};

use crate::hir::{ItemId, ModuleId};
use crate::network::NetId;
use crate::session::{ScopeId, Session};

/// A component: how it is written where it is used, and the hash of all that it is declared by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    pub text: String,
    pub hash: String,
}

/// The three components of one training.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Components {
    /// How the experiment calls the network.
    pub network: String,
    pub architecture: Component,
    pub objective: Component,
    pub rule: Component,
}

impl Session<'_> {
    pub fn components(&self, scope: ScopeId, net: NetId, objectives: &[ExprId], rules: &[ExprId]) -> Components {
        let module = self.module_of(scope);
        let n = self.net(net);
        let item = self.modules.item(n.item);
        let sizes = self.made_sizes(net);
        Components {
            network: n.path.clone(),
            architecture: Component {
                text: item.name.text.clone(),
                hash: self.hash_of(item.module, &format!("{} {sizes}", item.name.text)),
            },
            objective: self.component(scope, module, objectives),
            rule: self.component(scope, module, rules),
        }
    }

    fn component(&self, scope: ScopeId, module: ModuleId, parts: &[ExprId]) -> Component {
        let texts: Vec<String> = parts.iter().map(|e| bare(self.text(self.expr_span(scope, *e)))).collect();
        let text = texts.join("; ");
        let hash = self.hash_of(module, &text);
        Component { text, hash }
    }

    /// What the arguments of an architecture made of it: populations and connections with their shapes.
    fn made_sizes(&self, id: NetId) -> String {
        let net = self.net(id);
        let populations = net.populations.iter().map(|p| format!("{}:{}{:?}", p.name, p.kind.text, p.shape));
        let shape = |q: &Option<crate::network::Quantity>| q.as_ref().map(|q| q.shape.clone());
        let projections = net.projections.iter().map(|p| format!("{}:{:?}", p.name, shape(&p.weight)));
        let weights = net.weights.iter().map(|q| format!("{}:{:?}", q.name, q.shape));
        let parts = net.parts.iter().flat_map(|p| &p.nets).map(|n| self.made_sizes(*n));
        populations.chain(projections).chain(weights).chain(parts).collect::<Vec<_>>().join(" ")
    }

    /// The hash of a text and of all declarations that it names, directly or not.
    fn hash_of(&self, module: ModuleId, text: &str) -> String {
        // By name and text alone: where a file lies makes no difference.
        let mut declared: BTreeSet<(String, String)> = BTreeSet::new();
        let mut seen: BTreeSet<ItemId> = BTreeSet::new();
        let mut open = vec![(module, text.to_string())];
        while let Some((module, text)) = open.pop() {
            for word in text.split(|c: char| !(c.is_alphanumeric() || c == '_')) {
                let Some(item) = self.modules.get(module).seen.get(word).copied() else { continue };
                if !seen.insert(item) {
                    continue;
                }
                let Some((home, body)) = self.declaration(item) else { continue };
                declared.insert((word.to_string(), body.clone()));
                open.push((home, body));
            }
        }
        let mut hash = Sha256::new();
        hash.update(bare(text));
        for (name, body) in declared {
            hash.update(format!("\n{name}\n{body}"));
        }
        hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// A declaration's text without comments and layout.
    fn declaration(&self, id: ItemId) -> Option<(ModuleId, String)> {
        let item = self.modules.item(id);
        let found = self.modules.get(item.module).file.items.iter().find(|i| match &i.kind {
            ast::ItemKind::Fn { name, .. } | ast::ItemKind::Decl { name, .. } => name.text == item.name.text,
            _ => false,
        });
        found.map(|i| (item.module, bare(self.text(i.span))))
    }
}

/// A text without comments, its words apart by one blank.
fn bare(text: &str) -> String {
    let lines = text.lines().map(|line| match line.find("//") {
        // Two slashes inside a text are no comment.
        Some(at) if line[..at].matches('"').count().is_multiple_of(2) => &line[..at],
        _ => line,
    });
    lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}
