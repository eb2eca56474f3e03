//! Every declaration of a module, looked at on its own, whether or not anything uses it.

mod architecture;
mod cell;
mod function;
mod lengths;
mod rule;

use nnm_syntax::ast::Name;
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use crate::hir::{Decl, ItemId, ItemKind, ModuleId};
use crate::program::{NewLeaf, Program, Purpose, Role};
use crate::session::{ScopeId, Session};
use crate::unit::Unit;
use crate::value::{Num, Value};

impl Session<'_> {
    pub fn check_declarations(&mut self, module: ModuleId) {
        let items: Vec<ItemId> = self.modules.get(module).own.values().copied().collect();
        for item in items {
            match &self.modules.item(item).kind {
                ItemKind::Architecture(_) => self.check_architecture(item),
                ItemKind::Neuron(_) => self.check_neuron(item),
                ItemKind::Synapse(_) => self.check_lone_synapse(item),
                ItemKind::Function(_) | ItemKind::Objective(_) => self.check_function(item),
                ItemKind::Rule(_) => self.check_rule(item),
                ItemKind::Optimizer(_) => self.check_optimizer(item),
                ItemKind::Environment(world) => {
                    let (world, d) = (world.clone(), world.dynamics.clone());
                    self.hold_names(item, &[&d.params, &d.states, &d.running, &d.lets, &world.actions], &d.outputs);
                    self.check_environment(item);
                }
                ItemKind::Experiment(_) => {}
            }
        }
    }

    /// Looks at something as if it were in a step of a simulation that is never run.
    fn in_probe(&mut self, look: impl FnOnce(&mut Self)) {
        let graph = std::mem::take(&mut self.graph);
        let mut program = Program::new(Purpose::Probe, false);
        program.dt = Some(1e-3);
        let before = self.program.replace(program);
        look(self);
        self.program = before;
        self.graph = graph;
    }

    /// A tensor of which the unit and shape are known, and nothing else.
    fn tensor_of(&mut self, unit: Unit, shape: &[usize], name: &str) -> Num {
        let path = format!("?{}.{name}", self.graph.vars.len());
        self.leaf(NewLeaf { path: &path, role: Role::Work, unit, shape, batched: false, home: None })
    }

    /// Binds names to numbers of which only the unit is known.
    fn bind_unknown(&mut self, scope: ScopeId, names: &[&str], unit: &Unit) {
        for name in names {
            self.bind(scope, *name, Value::Num(Num::unknown(unit.clone())));
        }
    }

    /// A declared quantity by its unit alone; of a state also its shape, where that is known.
    fn bind_declared(&mut self, scope: ScopeId, decl: &Decl, per_cell: bool) {
        let value = self.declared_number(scope, decl, per_cell);
        self.bind(scope, decl.name.text.clone(), value);
    }

    fn declared_number(&mut self, scope: ScopeId, decl: &Decl, per_cell: bool) -> Value {
        if decl.ty.is_none() && decl.init.is_none() {
            return Value::Num(Num::unknown(Unit::Unknown));
        }
        if let Some(ty) = &decl.ty {
            self.bind_open_lengths(scope, ty);
        }
        self.hold_default(scope, decl);
        let Some(quantity) = self.quantity_of_cell(decl, scope) else { return Value::Missing };
        let open = decl.ty.as_ref().is_some_and(|ty| has_axes(ty) && quantity.shape.is_empty());
        if open || !per_cell {
            return Value::Num(Num::unknown(quantity.unit));
        }
        Value::Num(self.tensor_of(quantity.unit, &quantity.shape, &decl.name.text))
    }

    /// `times: ms[k]`: `k` is whatever length is given.
    fn bind_open_lengths(&mut self, scope: ScopeId, ty: &nnm_syntax::ast::Type) {
        if let nnm_syntax::ast::TypeKind::Named { shape, .. } = &ty.kind {
            self.bind_unknown_lengths(scope, shape);
        }
    }

    /// Holds a default to the declared type, as a network that uses it does.
    fn hold_default(&mut self, scope: ScopeId, decl: &Decl) {
        use nnm_syntax::ast::Init;
        let Some(ty) = &decl.ty else { return };
        let num = match decl.init {
            Some(Init::Draw(id)) => {
                let path = format!("?{}", decl.name.text);
                self.draw_values(self.closure(scope, id), scope, &[], &path)
            }
            Some(Init::Value(id)) => self.operand(scope, id).map(|o| o.num),
            None => None,
        };
        if let (Some(num), Some(declared)) = (num, self.declared(scope, ty)) {
            self.hold_number(num, &declared, decl.name.span, decl.span);
        }
    }

    /// Reports names that a declaration gives twice; `output v` of a state is no second declaration.
    fn hold_names(&mut self, item: ItemId, lists: &[&[Decl]], outputs: &[Decl]) {
        let params = self.modules.item(item).params.clone();
        let of_params = params.iter().map(|p| &p.name);
        let shown: Vec<&str> = outputs.iter().filter(|o| o.init.is_none()).map(|o| o.name.text.as_str()).collect();
        let declared = lists.iter().flat_map(|l| l.iter()).chain(outputs.iter().filter(|o| o.init.is_some()));
        let names: Vec<Name> = of_params.chain(declared.map(|d| &d.name)).cloned().collect();
        for (k, name) in names.iter().enumerate() {
            if let Some(first) = names[..k].iter().find(|n| n.text == name.text) {
                self.declared_twice(name, first.span);
            }
        }
        for (k, name) in shown.iter().enumerate() {
            if shown[..k].contains(name) {
                let again = outputs.iter().filter(|o| o.name.text == *name).nth(1);
                let first = outputs.iter().find(|o| o.name.text == *name);
                if let (Some(again), Some(first)) = (again, first) {
                    self.declared_twice(&again.name, first.name.span);
                }
            }
        }
    }

    fn declared_twice(&mut self, name: &Name, first: Span) {
        let d = Diagnostic::error("E0201", name.span, format!("`{}` is declared twice", name.text))
            .label(first, "first declared here");
        self.report(d);
    }

    /// Holds a right side to a unit.
    fn hold_unit(&mut self, code: &'static str, num: &Num, span: Span, wanted: &Unit, what: &str) {
        if !num.unit.fits(wanted) {
            let message = format!("{what} is {}, not {}", wanted.describe(), num.unit.describe());
            self.error(code, span, message);
        }
    }
}

fn has_axes(ty: &nnm_syntax::ast::Type) -> bool {
    use nnm_syntax::ast::TypeKind;
    matches!(&ty.kind, TypeKind::Named { shape, .. } | TypeKind::Event { shape, .. } if !shape.is_empty())
}
