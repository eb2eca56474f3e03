//! Where a draw is made, for its key: whose it is and what comes before it in its declaration, never its line.

use nnm_runtime::random;
use nnm_syntax::ast::ExprKind;
use nnm_syntax::span::Span;

use super::Call;
use crate::session::{ScopeId, Session};

impl Session<'_> {
    /// A call by its declaration and by how often the function's name stands before it there: `LIF.xi.0`.
    pub fn place_in_declaration(&self, call: &Call) -> String {
        let at = call.span;
        let within = |span: Span| span.file == at.file && span.start <= at.start && at.end <= span.end;
        let item = self.modules.items.iter().find(|item| within(item.span));
        let file = self.modules.modules.iter().map(|m| &m.file).find(|f| f.id == at.file);
        let (Some(item), Some(file)) = (item, file) else { return call.name.clone() };
        let named = |kind: &ExprKind| matches!(kind, ExprKind::Name(name) if *name == call.name);
        let before = |span: Span| span.start >= item.span.start && span.start < at.start;
        let count = file.exprs.iter().filter(|e| named(&e.kind) && before(e.span)).count();
        format!("{}.{}.{count}", item.name.text, call.name)
    }

    /// Where a draw belongs: a function draws for whom it is called, as if its body stood there.
    pub fn drawing_scope(&self, scope: ScopeId) -> ScopeId {
        let mut belongs = scope;
        let mut at = Some(scope);
        while let Some(id) = at {
            let scope = &self.scopes[id.0 as usize];
            at = match scope.caller {
                Some(caller) => {
                    belongs = caller;
                    Some(caller)
                }
                None => scope.parent,
            };
        }
        belongs
    }

    /// Whether a scope is that of a population's cells.
    pub fn is_owned(&self, scope: ScopeId) -> bool {
        let parent = |id: &ScopeId| self.scopes[id.0 as usize].parent;
        std::iter::successors(Some(scope), parent).any(|id| self.scopes[id.0 as usize].owner.is_some())
    }

    /// Whose value is being computed: the population, else the name for which something is asked.
    pub fn drawn_for(&self, scope: ScopeId) -> String {
        let mut at = Some(scope);
        while let Some(id) = at {
            let scope = &self.scopes[id.0 as usize];
            if let Some(owner) = &scope.owner {
                return owner.clone();
            }
            at = scope.parent;
        }
        self.chain.last().map_or_else(String::new, |link| self.owned(link.scope, &link.name))
    }

    /// The key of a draw of the program being built. What is drawn again at the same place has a number; what a name of a
    /// cell, a synapse or a rule stands for is one draw, wherever in the step it is read.
    pub fn draw_key(&mut self, place: String) -> Option<u64> {
        let named = self.named_draw(&place);
        let program = self.program.as_mut()?;
        let named = named.map(|name| format!("{name}{}", program.salt));
        if let Some(key) = named.as_ref().and_then(|name| program.named_draws.get(name)) {
            return Some(*key);
        }
        let text = format!("{place}{}", program.salt);
        let number = program.draws.entry(place).or_insert(0);
        *number += 1;
        let key = random::key(self.seed, &format!("{text}#{number}"));
        program.named_draws.extend(named.map(|name| (name, key)));
        Some(key)
    }

    /// Which draw of which name this is, where a name is being evaluated that has one value in a step.
    fn named_draw(&mut self, place: &str) -> Option<String> {
        let link = self.chain.last()?;
        let parent = |id: &ScopeId| self.scopes[id.0 as usize].parent;
        let mut around = std::iter::successors(Some(link.scope), parent);
        let whose = around.find_map(|id| self.scopes[id.0 as usize].place.clone())?;
        let link = self.chain.last_mut()?;
        let before = link.drawn.iter().filter(|other| *other == place).count();
        link.drawn.push(place.to_string());
        Some(format!("{whose} {} {place} {before}", link.name))
    }
}
