//! `set net.E[0 .. 5].v = EXPR`: weights, states and parameters written between runs, all of their elements or some.

use nnm_runtime::array::Array;
use nnm_syntax::ast::{ExprId, ExprKind, Init, Name};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use crate::eval::types::Declared;
use crate::network::{Holder, Home, NetId, Projection};
use crate::session::{Mode, ScopeId, Session};
use crate::value::{Num, PopulationRef, ProjectionRef, Value, shaped};

/// What is given to a quantity, and where it says so.
#[derive(Clone, Copy)]
struct Given {
    scope: ScopeId,
    value: Init,
    span: Span,
}

/// The elements of an array that are written: their places in row-major order, and the shape of what goes there.
struct Chosen {
    places: Vec<usize>,
    shape: Vec<usize>,
}

impl Chosen {
    fn all(shape: &[usize]) -> Chosen {
        Chosen { places: (0..shape.iter().product()).collect(), shape: shape.to_vec() }
    }

    /// The rows of some cells, in an array that begins with the axis along which they were chosen.
    fn rows(cells: Option<(usize, usize)>, shape: &[usize]) -> Chosen {
        let (Some((from, to)), [_, inner @ ..]) = (cells, shape) else { return Chosen::all(shape) };
        let row: usize = inner.iter().product();
        Chosen { places: (from * row..to * row).collect(), shape: [&[to - from], inner].concat() }
    }

    /// Those of some synapses, in an array of all.
    fn synapses(projection: &Projection, select: Option<[(usize, usize); 2]>, shape: &[usize]) -> Chosen {
        let Some(select) = select else { return Chosen::all(shape) };
        let places = projection.synapses(select, shape);
        Chosen { shape: vec![places.len()], places }
    }

    /// The array with these elements replaced.
    fn put(&self, old: &Array, new: &Array) -> Array {
        let mut values: Vec<f64> = old.iter().copied().collect();
        self.places.iter().zip(new).for_each(|(place, value)| values[*place] = *value);
        shaped(old.shape(), values)
    }
}

impl Session<'_> {
    /// `set net.syn[0, 1 .. 5].w = EXPR`
    pub fn run_set(&mut self, scope: ScopeId, target: ExprId, value: Init, span: Span) {
        let (_, expr) = self.bare_expr(scope, target);
        let ExprKind::Field { base, name } = expr.kind else {
            self.error("E0547", span, "`set` writes a weight or a state: `set net.loop.w = …`");
            return;
        };
        let given = Given { scope, value, span };
        let (net, owner, of) = match self.eval(scope, base) {
            Value::Projection(p) => return self.set_synapses(&p, (base, name), target, given),
            Value::Population(PopulationRef { owner, index, cells }) => {
                let net = self.owner_net(&owner);
                let population = &self.net(net).populations[index];
                if population.params.iter().any(|(n, _)| *n == name.text) {
                    return self.set_param((net, index), &name.text, cells, given);
                }
                (net, format!("{}.", population.name), cells)
            }
            Value::Network(net) => (net, String::new(), None),
            Value::Missing => return,
            other => {
                let d = Diagnostic::error("E0547", span, format!("`set` writes nothing of {}", other.describe()));
                self.report(d.help("it writes weights, states of cells and synapses, and parameters of cells"));
                return;
            }
        };
        self.set_stored(net, &format!("{owner}{}", name.text), target, given, |shape| Chosen::rows(of, shape));
    }

    /// Weights and biases of a connection, and states of its synapses, whole or picked by sender and target.
    fn set_synapses(&mut self, p: &ProjectionRef, (base, name): (ExprId, Name), target: ExprId, given: Given) {
        let net = self.owner_net(&p.owner);
        let projection = self.net(net).projections[p.index].clone();
        let path = format!("{}.{}", projection.name, name.text);
        let weights = [&projection.weight, &projection.bias];
        if weights.into_iter().flatten().any(|q| q.name == name.text) {
            if self.has_unknown_edges(&projection.pattern) {
                self.look_at_given(target, given, &path);
                return;
            }
            let shape = projection.layout();
            if !shape.is_empty() && self.refuse_no_synapse(p, &projection, &shape, self.expr_span(given.scope, base)) {
                return;
            }
            return self.set_stored(net, &path, target, given, |shape| Chosen::synapses(&projection, p.select, shape));
        }
        let Value::Num(_) = self.eval(given.scope, target) else { return };
        if !self.synapse_states(&projection).contains(&name.text) {
            let message = format!("`{path}` is no weight or state: `set` does not write it");
            self.report(Diagnostic::error("E0547", name.span, message));
            return;
        }
        let home = self.net(net).kept.get(&path).and_then(|kept| kept.home);
        if p.select.is_some() && home.is_some_and(|home| home != Home::Connection) {
            self.refuse_pick(&projection, &name, "is one number for all synapses of a cell");
            return;
        }
        if self.mode == Mode::Check {
            self.look_at_given(target, given, &path);
            return;
        }
        let shape = projection.layout();
        let by_edge = |places: Vec<usize>| -> Vec<usize> {
            // Of a full connection states go by sender, then by target.
            let &[targets, senders] = shape.as_slice() else { return places };
            places.into_iter().map(|k| k % senders * targets + k / senders).collect()
        };
        let chosen = |stored: &[usize]| match home {
            Some(Home::Connection) if stored.iter().product::<usize>() == shape.iter().product::<usize>() => {
                let Chosen { places, shape } = Chosen::synapses(&projection, p.select, &shape);
                Chosen { places: by_edge(places), shape }
            }
            _ => Chosen::all(stored),
        };
        self.set_stored(net, &path, target, given, chosen);
    }

    /// Looks at what is given to synapses whose number is not known yet.
    fn look_at_given(&mut self, target: ExprId, given: Given, path: &str) {
        let Value::Num(Num { unit, .. }) = self.eval(given.scope, target) else { return };
        let declared = Declared { unit, ..Declared::real() };
        self.given_number(given, &declared, given.span, &[1], path);
    }

    /// Writes elements of what a network stores under a path.
    fn set_stored(
        &mut self,
        net: NetId,
        path: &str,
        target: ExprId,
        given: Given,
        chosen: impl FnOnce(&[usize]) -> Chosen,
    ) {
        let Some(old) = self.stored_weight(net, path) else {
            // What is wrong with the network has been said.
            if self.has_errors() {
                return;
            }
            self.error("E0547", given.span, format!("`{path}` is no weight, state or parameter"));
            return;
        };
        let Value::Num(Num { unit, .. }) = self.eval(given.scope, target) else { return };
        let chosen = chosen(old.shape());
        let declared = Declared { unit, ..Declared::real() };
        let Some(num) = self.given_number(given, &declared, given.span, &chosen.shape, path) else { return };
        if let Some(new) = self.spread(&num, &chosen.shape, given.span)
            && self.refuse_nan(path, &new, given.scope, given.value, given.span).is_some()
        {
            self.net_mut(net).store.insert(path.to_string(), chosen.put(&old, &new));
        }
    }

    /// `set net.E.tau = EXPR`: one number, or one for each cell, from the next simulation on.
    fn set_param(&mut self, (net, index): (NetId, usize), name: &str, cells: Option<(usize, usize)>, given: Given) {
        let population = self.net(net).populations[index].clone();
        let Some((_, old)) = population.params.iter().find(|(n, _)| n == name).cloned() else { return };
        let chosen = Chosen::rows(cells, &population.shape);
        let declared = Declared { unit: old.unit.clone(), ..Declared::real() };
        let path = format!("{}.{name}", population.name);
        let Some(num) = self.given_number(given, &declared, population.span, &chosen.shape, &path) else { return };
        let (Some(array), Some(before)) = (num.as_const(), old.as_const()) else { return };
        if self.refuse_nan(&path, array, given.scope, given.value, given.span).is_none() {
            return;
        }
        let fits =
            array.ndim() == 0 || array.shape() == chosen.shape || (cells.is_none() && array.shape() == before.shape());
        if !fits {
            let (found, wanted) = (self.shape_text(array.shape()), self.shape_text(&chosen.shape));
            let message = format!("`{name}` takes one number or the shape {wanted}, found {found}");
            let d = Diagnostic::error("E0313", given.span, message);
            self.report(d.label(population.span, "of this population"));
            return;
        }
        let num = match cells {
            None => num,
            Some(_) => {
                let (Some(before), Some(new)) =
                    (self.spread(&old, &population.shape, given.span), self.spread(&num, &chosen.shape, given.span))
                else {
                    return;
                };
                Num::array(num.unit.clone(), chosen.put(&before, &new))
            }
        };
        if let Some(param) = self.net_mut(net).populations[index].params.iter_mut().find(|(n, _)| n == name) {
            param.1 = num;
        }
        let population = self.net(net).populations[index].clone();
        self.hold_population(&population, &Holder::alone(population.item, given.span));
    }

    /// What begins as NaN stays it. Before the run only what has no names in it is known for certain.
    pub fn refuse_nan(&mut self, path: &str, values: &Array, scope: ScopeId, given: Init, span: Span) -> Option<()> {
        let Some(first) = values.iter().position(|x| x.is_nan()) else { return Some(()) };
        let (Init::Value(e) | Init::Draw(e)) = given;
        let file = &self.modules.get(self.module_of(scope)).file;
        if self.mode == Mode::Check && !crate::eval::names_in(file, e).is_empty() {
            return Some(());
        }
        let which = if values.len() > 1 { format!(", index {first},") } else { String::new() };
        let d = Diagnostic::error("E0640", span, format!("`{path}`{which} would be NaN, which is no number"));
        self.report(d.help("NaN is what `0 / 0`, `inf - inf` and roots and logarithms of numbers below 0 give"));
        None
    }

    /// The number that is given, or one drawn for each element, in the unit of what it is given to.
    fn given_number(
        &mut self,
        given: Given,
        declared: &Declared,
        declared_at: Span,
        shape: &[usize],
        path: &str,
    ) -> Option<Num> {
        let num = match given.value {
            Init::Value(e) => self.operand(given.scope, e)?.num,
            Init::Draw(e) => {
                self.draw_values(self.closure(given.scope, e), given.scope, shape, &format!("set.{path}"))?
            }
        };
        self.hold_number(num, declared, declared_at, given.span)
    }
}
