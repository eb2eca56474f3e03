//! `save net to` and `load net from`: a network's weights under names that PyTorch uses too.
//!
//! The weight of a connection `fc1` is `fc1.weight`, its bias `fc1.bias`, in the layout `[out, in]` or `[out, in, height,
//! width]`; a `weight W` is `W`, a neuron's `h.a`. Parts come before, as in `enc.fc1.weight`, arrays of parts by number, as
//! in `block.0.fc1.weight`. Running values are kept like buffers. Numbers are in their declared units. Weights of single
//! pairs come with the pairs, `fc1.pre` and `fc1.post`: those of one wiring mean nothing in another.

use indexmap::IndexMap;
use nnm_runtime::array::Array;
use nnm_syntax::ast;
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use crate::eval::types::shape_text;
use crate::hir::clause;
use crate::network::NetId;
use crate::session::{Mode, ScopeId, Session};
use crate::unit::Unit;
use crate::value::Value;

/// A tensor of a network as it is called in a file.
struct Stored {
    name: String,
    /// As the language calls it: `fc1.w`.
    own: String,
    net: NetId,
    place: Place,
    unit: Unit,
}

/// Where a tensor is kept.
enum Place {
    Store(String),
    /// The senders of a projection's edges, or their targets.
    Ends {
        projection: usize,
        post: bool,
    },
}

impl Session<'_> {
    /// The network and the file of `save NET to "FILE"` or `load NET from "FILE"`.
    pub fn net_and_file(
        &mut self,
        scope: ScopeId,
        items: &[ast::ListItem],
        clauses: &[ast::Clause],
        [verb, word]: [&str; 2],
    ) -> Option<(NetId, String, Span)> {
        let item = items.first()?;
        let at = self.expr_span(scope, item.expr);
        let Some(file) = clause(clauses, word) else {
            let asked = if verb == "save" { "where to?" } else { "where from?" };
            self.error("E0546", at, format!("{asked} `{verb} net {word} \"weights.safetensors\"`"));
            return None;
        };
        let span = self.expr_span(scope, file);
        let (value, file) = (self.eval(scope, item.expr), self.eval(scope, file));
        match (value, file) {
            (Value::Network(id), Value::Text(file)) => Some((id, file.to_string(), span)),
            (Value::Missing, _) | (_, Value::Missing) => None,
            (Value::Network(_), other) => {
                self.error("E0546", span, format!("a file's name is a text, found {}", other.describe()));
                None
            }
            (other, _) => {
                self.error("E0542", at, format!("`{verb}` takes a network, found {}", other.describe()));
                None
            }
        }
    }

    /// The tensors of a network by the names that files have for them, in declared units.
    pub fn weights_of(&self, id: NetId) -> Vec<(String, Array)> {
        let stored = self.stored(id, "", "");
        let found = stored.into_iter().filter_map(|s| {
            let factor = s.unit.shown().factor;
            let array = self.kept_at(&s)?;
            Some((s.name, if factor == 1.0 { array } else { array.mapv(|x| x / factor).into_shared() }))
        });
        found.collect()
    }

    fn kept_at(&self, stored: &Stored) -> Option<Array> {
        let net = self.net(stored.net);
        match &stored.place {
            Place::Store(local) => net.store.get(local).cloned(),
            Place::Ends { projection, post } => {
                let p = net.projections.get(*projection)?;
                let edges = p.edges.as_ref()?;
                let (cells, first) =
                    if *post { (edges.target.to_vec(), 0) } else { (edges.sender(), p.first_sender()) };
                Some(crate::value::vector(cells.into_iter().map(|c| f64::from(c) + first as f64).collect()))
            }
        }
    }

    fn stored(&self, id: NetId, prefix: &str, own: &str) -> Vec<Stored> {
        let net = self.net(id);
        let mut out = vec![];
        let mut put = |place: Place, local: String, name: String, unit: &Unit| {
            let (name, own) = (format!("{prefix}{name}"), format!("{own}{local}"));
            out.push(Stored { name, own, net: id, place, unit: unit.clone() });
        };
        let mut add = |local: String, name: String, unit: &Unit| {
            if net.store.contains_key(&local) {
                put(Place::Store(local.clone()), local, name, unit);
            }
        };
        for p in &net.projections {
            for (q, word) in [(&p.weight, "weight"), (&p.bias, "bias")] {
                if let Some(q) = q {
                    add(format!("{}.{}", p.name, q.name), format!("{}.{word}", p.name), &q.unit);
                }
            }
        }
        for q in &net.weights {
            add(q.name.clone(), q.name.clone(), &q.unit);
        }
        for population in &net.populations {
            for q in &population.weights {
                let local = format!("{}.{}", population.name, q.name);
                add(local.clone(), local, &q.unit);
            }
            for state in population.states.iter().filter(|s| s.running) {
                let local = format!("{}.{}", population.name, state.name);
                add(local.clone(), local, &state.unit);
            }
        }
        for (projection, p) in net.projections.iter().enumerate().filter(|(_, p)| p.has_pairs_of_its_own()) {
            for (post, end) in [(false, "pre"), (true, "post")] {
                let name = format!("{}.{end}", p.name);
                put(Place::Ends { projection, post }, name.clone(), name, &Unit::REAL);
            }
        }
        for part in &net.parts {
            for (k, inner) in part.nets.iter().enumerate() {
                let (name, called) = match part.array {
                    true => (format!("{prefix}{}.{k}.", part.name), format!("{own}{}[{k}].", part.name)),
                    false => (format!("{prefix}{}.", part.name), format!("{own}{}.", part.name)),
                };
                out.extend(self.stored(*inner, &name, &called));
            }
        }
        out
    }

    /// `load net from "FILE"`.
    pub fn run_load(&mut self, scope: ScopeId, items: &[ast::ListItem], clauses: &[ast::Clause]) {
        let Some((id, file, span)) = self.net_and_file(scope, items, clauses, ["load", "from"]) else { return };
        if self.mode == Mode::Check {
            return;
        }
        let read = self.host.files().open(&file).and_then(nnm_runtime::data::read_safetensors);
        let tensors = match read {
            Ok(tensors) => tensors,
            Err(error) => {
                let d = Diagnostic::error("E0601", span, error.to_string())
                    .help("paths are relative to the model's file; `--data DIR` or `NNM_DATA` adds a place to look");
                self.report(d);
                return;
            }
        };
        let mut found: IndexMap<String, Array> = tensors.into_iter().map(|t| (t.name, t.values)).collect();
        let stored = self.stored(id, "", "");
        let mut missing = vec![];
        let mut fitting = vec![];
        for s in stored {
            let Some(array) = found.shift_remove(&s.name).or_else(|| found.shift_remove(&s.own)) else {
                missing.push(format!("`{}`", s.name));
                continue;
            };
            let Some(own) = self.kept_at(&s) else { continue };
            // One number stands for as many as there are synapses.
            let whole = match &s.place {
                Place::Store(local) => self.stored_weight(s.net, local).unwrap_or_else(|| own.clone()),
                Place::Ends { .. } => own.clone(),
            };
            if array.shape() != whole.shape() && array.len() != 1 {
                let (a, b) = (shape_text(whole.shape()), shape_text(array.shape()));
                self.error("E0611", span, format!("`{}` has the shape {a}, in `{file}` it is {b}", s.name));
                return;
            }
            let array = match array.first() {
                Some(one) if array.len() == 1 => crate::value::shaped(own.shape(), vec![*one; own.len()]),
                _ => array,
            };
            match s.place {
                Place::Store(local) => fitting.push((s.net, local, s.unit, array)),
                Place::Ends { .. } if array != own => return self.wirings_differ(&s.name, [&own, &array], &file, span),
                Place::Ends { .. } => {}
            }
        }
        let extra: Vec<String> = found.keys().map(|n| format!("`{n}`")).collect();
        if !missing.is_empty() || !extra.is_empty() {
            self.names_differ(id, &file, span, &missing, &extra);
            return;
        }
        for (net, local, unit, array) in fitting {
            let factor = unit.shown().factor;
            let array = if factor == 1.0 { array } else { array.mapv(|x| x * factor).into_shared() };
            self.net_mut(net).store.insert(local, array);
        }
    }

    /// The weights of some pairs would come to others.
    fn wirings_differ(&mut self, name: &str, [own, found]: [&Array; 2], file: &str, span: Span) {
        let places = own.iter().zip(found);
        let Some((k, (own, found))) = places.enumerate().find(|(_, (own, found))| own != found) else { return };
        let message = format!("`{file}` is of another wiring: synapse {k} has `{name}` {own}, in the file {found}");
        let d = Diagnostic::error("E0613", span, message)
            .help("the same `seed` before `let net = …` draws the same wiring")
            .help("to share a wiring between seeds, write its pairs to a table and connect `from` it");
        self.report(d);
    }

    fn names_differ(&mut self, id: NetId, file: &str, span: Span, missing: &[String], extra: &[String]) {
        let net = self.net(id).path.clone();
        let list = |names: &[String]| match names {
            [a, b, c, _, ..] => format!("{a}, {b}, {c} and {} more", names.len() - 3),
            _ => names.join(", "),
        };
        let message = match (missing.is_empty(), extra.is_empty()) {
            (false, true) => format!("`{file}` lacks {} of `{net}`", list(missing)),
            (true, _) => format!("`{net}` has nothing for {} of `{file}`", list(extra)),
            _ => format!("`{file}` has {} where `{net}` has {}", list(extra), list(missing)),
        };
        let d = Diagnostic::error("E0612", span, message)
            .help("names are those of connections and weights: `connect x -> h as fc1: dense()` has `fc1.weight` and `fc1.bias`");
        self.report(d);
    }
}
