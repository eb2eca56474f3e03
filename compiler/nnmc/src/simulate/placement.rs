//! Where a synapse's states live: one value a sender, one a target, or one a connection, and why.
//!
//! A state that depends on the sender alone is the same for all synapses of that sender. A state that is linear, with
//! coefficients that all synapses of a target share, and that grows by what arrives, adds up over the synapses of a
//! target. Anything else differs from connection to connection.

use std::collections::BTreeSet;

use nnm_syntax::ast::{AssignOp, BinaryOp, ExprId, ExprKind, File, Init, StmtKind, UnaryOp};

use crate::hir::{Decl, Equation, Synapse};
use crate::network::Home;

/// What is known of the connection that a synapse serves.
pub struct Surroundings<'a> {
    pub file: &'a File,
    /// Functions in sight that draw random numbers.
    pub drawing: Vec<&'a str>,
    /// Parameters that differ between synapses.
    pub uneven: Vec<String>,
    /// Whether all synapses have one delay.
    pub one_delay: bool,
}

/// The home of each state, with the reason, in the order of declaration.
pub fn place(synapse: &Synapse, around: &Surroundings) -> Vec<(String, Home, &'static str)> {
    let forms = Forms { synapse, around };
    let senders = forms.of_senders();
    let (targets, refused) = forms.of_targets(&senders);
    let place = |name: &str| {
        if senders.contains(name) {
            return (Home::Sender, "it depends on the sender alone");
        }
        if targets.contains(name) {
            return (Home::Target, "it is linear and alike for all senders, so that its sum is enough");
        }
        let reason = refused.iter().find(|(n, _)| n == name).map_or("it differs between connections", |(_, r)| *r);
        (Home::Connection, reason)
    };
    synapse
        .dynamics
        .states
        .iter()
        .map(|s| (s.name.text.clone(), place(&s.name.text).0, place(&s.name.text).1))
        .collect()
}

/// Whether an output is a multiple of what the sender gives now, so that it arrives with its spikes alone.
pub fn follows_spikes(synapse: &Synapse, around: &Surroundings, output: &str) -> bool {
    let forms = Forms { synapse, around };
    let pre: BTreeSet<String> = ["pre".to_string()].into();
    let Some(value) = forms.value_of(output) else { return false };
    let form = forms.form(value, &pre);
    let reads = forms.reads(value);
    form.degree == Degree::Linear && form.rest.is_none() && reads.pre_bare && !reads.pre_named && !reads.draw
}

/// Whether the part of an expression that is free of these states is anything at all.
pub fn has_rest(synapse: &Synapse, around: &Surroundings, value: ExprId, states: &BTreeSet<String>) -> bool {
    let form = Forms { synapse, around }.form(value, states);
    form.degree == Degree::Free || form.rest.is_some()
}

/// Whether an expression reads any of these states.
pub fn reads_states(synapse: &Synapse, around: &Surroundings, value: ExprId, states: &BTreeSet<String>) -> bool {
    !Forms { synapse, around }.reads(value).states.is_disjoint(states)
}

/// What an expression reads of what matters to the place of a state.
#[derive(Clone, Debug, Default)]
struct Reads {
    states: BTreeSet<String>,
    weight: bool,
    /// `pre` as a number; `pre.v`.
    pre_bare: bool,
    pre_named: bool,
    post: bool,
    /// A parameter that differs between synapses.
    uneven: bool,
    draw: bool,
}

impl Reads {
    fn join(mut self, other: &Reads) -> Reads {
        self.states.extend(other.states.iter().cloned());
        self.weight |= other.weight;
        self.pre_bare |= other.pre_bare;
        self.pre_named |= other.pre_named;
        self.post |= other.post;
        self.uneven |= other.uneven;
        self.draw |= other.draw;
        self
    }

    /// Whether all synapses of a target give it the same value.
    fn common_to_target(&self) -> bool {
        self.states.is_empty() && !(self.weight || self.pre_bare || self.pre_named || self.uneven || self.draw)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Degree {
    Free,
    Linear,
    Other,
}

/// How an expression depends on some names: not at all, as `coefficient * name + rest`, or otherwise.
struct Form {
    degree: Degree,
    zero: bool,
    coefficient: Reads,
    rest: Option<Reads>,
}

impl Form {
    fn free(reads: Reads, zero: bool) -> Form {
        Form { degree: Degree::Free, zero, coefficient: Reads::default(), rest: Some(reads) }
    }

    fn other() -> Form {
        Form { degree: Degree::Other, zero: false, coefficient: Reads::default(), rest: None }
    }

    fn rest(&self) -> Reads {
        self.rest.clone().unwrap_or_default()
    }

    fn sum(self, other: Form) -> Form {
        match (self.degree, other.degree) {
            (Degree::Other, _) | (_, Degree::Other) => Form::other(),
            _ if self.zero => other,
            _ if other.zero => self,
            (Degree::Free, Degree::Free) => Form::free(self.rest().join(&other.rest()), false),
            _ => Form {
                degree: Degree::Linear,
                zero: false,
                rest: match (&self.rest, &other.rest) {
                    (None, None) => None,
                    _ => Some(self.rest().join(&other.rest())),
                },
                coefficient: self.coefficient.join(&other.coefficient),
            },
        }
    }

    /// Times a factor that is free of the names.
    fn times(self, factor: &Reads) -> Form {
        let rest = self.rest.map(|r| r.join(factor));
        let coefficient = if self.degree == Degree::Linear { self.coefficient.join(factor) } else { self.coefficient };
        Form { degree: self.degree, zero: self.zero, coefficient, rest }
    }
}

struct Forms<'a> {
    synapse: &'a Synapse,
    around: &'a Surroundings<'a>,
}

impl Forms<'_> {
    fn is_state(&self, name: &str) -> bool {
        self.synapse.dynamics.states.iter().any(|s| s.name.text == name)
    }

    fn let_of(&self, name: &str) -> Option<ExprId> {
        let dynamics = &self.synapse.dynamics;
        dynamics.lets.iter().find(|d| d.name.text == name).and_then(value)
    }

    /// What a name inside of blocks is computed from.
    fn lets_in_blocks(&self, name: &str) -> impl Iterator<Item = ExprId> {
        let blocks = self.synapse.dynamics.ons.iter().flat_map(|o| &o.block);
        blocks.filter_map(move |stmt| match &stmt.kind {
            StmtKind::Let { name: known, value, .. } if known.text == name => Some(*value),
            _ => None,
        })
    }

    /// What a name of the synapse is computed from: an output that is a state is that state.
    fn value_of(&self, output: &str) -> Option<ExprId> {
        self.synapse.dynamics.outputs.iter().find(|d| d.name.text == output).and_then(value)
    }

    fn equations(&self, name: &str) -> impl Iterator<Item = &Equation> {
        let dynamics = &self.synapse.dynamics;
        dynamics.equations.iter().chain(&dynamics.nexts).filter(move |e| e.name.text == name)
    }

    /// The assignments to a state at arrivals.
    fn assignments(&self, name: &str) -> impl Iterator<Item = (AssignOp, ExprId)> {
        let blocks = self.synapse.dynamics.ons.iter().flat_map(|o| &o.block);
        blocks.filter_map(move |stmt| match &stmt.kind {
            StmtKind::Assign { place, op, value, .. } if place.len() == 1 && place[0].text == name => {
                Some((*op, *value))
            }
            _ => None,
        })
    }

    fn reads(&self, id: ExprId) -> Reads {
        let mut out = Reads::default();
        self.add_reads(id, &mut out, 0);
        out
    }

    fn add_reads(&self, id: ExprId, out: &mut Reads, depth: usize) {
        let kind = &self.around.file.expr(id).kind;
        match kind {
            ExprKind::Name(name) => self.add_name(name, out, depth),
            ExprKind::Field { base, .. } => match &self.around.file.expr(*base).kind {
                ExprKind::Name(end) if end == "pre" => out.pre_named = true,
                ExprKind::Name(end) if end == "post" => out.post = true,
                _ => self.add_reads(*base, out, depth),
            },
            _ => crate::eval::children(kind).into_iter().for_each(|child| self.add_reads(child, out, depth)),
        }
    }

    fn add_name(&self, name: &str, out: &mut Reads, depth: usize) {
        let weight = self.synapse.dynamics.weights.first().map_or("w", |w| w.name.text.as_str());
        match name {
            "pre" => out.pre_bare = true,
            "post" | "port" => out.post = true,
            "delay" => out.uneven |= !self.around.one_delay,
            _ if name == weight => out.weight = true,
            _ if self.is_state(name) => {
                out.states.insert(name.to_string());
            }
            _ if crate::eval::draws(name) || self.around.drawing.contains(&name) => out.draw = true,
            _ if self.around.uneven.iter().any(|p| p == name) => out.uneven = true,
            _ => {
                // A chain of lets that comes back to itself is reported elsewhere.
                for inner in self.let_of(name).into_iter().chain(self.lets_in_blocks(name)).filter(|_| depth < 64) {
                    self.add_reads(inner, out, depth + 1);
                }
            }
        }
    }

    fn form(&self, id: ExprId, names: &BTreeSet<String>) -> Form {
        self.form_at(id, names, 0)
    }

    fn form_at(&self, id: ExprId, names: &BTreeSet<String>, depth: usize) -> Form {
        let kind = &self.around.file.expr(id).kind;
        let of = |e: ExprId| self.form_at(e, names, depth);
        match kind {
            ExprKind::Paren(a) => of(*a),
            ExprKind::Unary(UnaryOp::Neg, a) => of(*a),
            ExprKind::Number { value, .. } if *value == 0.0 => Form::free(Reads::default(), true),
            ExprKind::Name(name) if names.contains(name) => {
                Form { degree: Degree::Linear, zero: false, coefficient: Reads::default(), rest: None }
            }
            ExprKind::Name(name) => match self.let_of(name) {
                Some(inner) if depth < 64 && !self.is_state(name) => self.form_at(inner, names, depth + 1),
                _ => self.opaque(id, names),
            },
            ExprKind::Binary(BinaryOp::Add | BinaryOp::Sub, a, b) => of(*a).sum(of(*b)),
            ExprKind::Binary(BinaryOp::Mul, a, b) => {
                let (a, b) = (of(*a), of(*b));
                match (a.degree, b.degree) {
                    (Degree::Free, Degree::Free) => Form::free(a.rest().join(&b.rest()), a.zero || b.zero),
                    (Degree::Free, Degree::Linear) => b.times(&a.rest()),
                    (Degree::Linear, Degree::Free) => a.times(&b.rest()),
                    _ => Form::other(),
                }
            }
            ExprKind::Binary(BinaryOp::Div, a, b) => {
                let (a, b) = (of(*a), of(*b));
                match b.degree {
                    Degree::Free if a.degree != Degree::Other => a.times(&b.rest()),
                    _ => Form::other(),
                }
            }
            ExprKind::If { cond, then, otherwise } => {
                let (c, a, b) = (of(*cond), of(*then), of(*otherwise));
                match c.degree {
                    Degree::Free => a.sum(b).times(&c.rest()),
                    _ => Form::other(),
                }
            }
            _ => self.opaque(id, names),
        }
    }

    /// A function of its arguments: free of the names, or of unknown form.
    fn opaque(&self, id: ExprId, names: &BTreeSet<String>) -> Form {
        let reads = self.reads(id);
        let pre = names.contains("pre") && (reads.pre_bare || reads.pre_named);
        if pre || reads.states.iter().any(|s| names.contains(s)) {
            return Form::other();
        }
        Form::free(reads, false)
    }

    /// States that nothing of the target, of the weight or of chance enters.
    fn of_senders(&self) -> BTreeSet<String> {
        let mut found: BTreeSet<String> = self.synapse.dynamics.states.iter().map(|s| s.name.text.clone()).collect();
        if !self.around.one_delay {
            return BTreeSet::new();
        }
        loop {
            let kept: BTreeSet<String> = found.iter().filter(|s| self.of_sender(s, &found)).cloned().collect();
            if kept.len() == found.len() {
                return kept;
            }
            found = kept;
        }
    }

    fn of_sender(&self, state: &str, senders: &BTreeSet<String>) -> bool {
        let from_sender = |reads: &Reads| {
            !(reads.weight || reads.post || reads.uneven || reads.draw) && reads.states.is_subset(senders)
        };
        let mut moved = self.equations(state).map(|e| e.value).chain(self.assignments(state).map(|(_, value)| value));
        let initial = self.synapse.dynamics.states.iter().find(|s| s.name.text == state);
        let drawn = initial.is_some_and(|s| matches!(s.init, Some(Init::Draw(_))));
        !drawn && moved.all(|value| from_sender(&self.reads(value)))
    }

    /// States whose sum over a target's synapses is enough, and why others' is not.
    fn of_targets(&self, senders: &BTreeSet<String>) -> (BTreeSet<String>, Vec<(String, &'static str)>) {
        let states = self.synapse.dynamics.states.iter().map(|s| s.name.text.clone());
        let mut found: BTreeSet<String> = states.filter(|s| !senders.contains(s)).collect();
        let mut refused = vec![];
        loop {
            let next = found.iter().find_map(|s| self.why_not(s, &found).map(|reason| (s.clone(), reason)));
            let Some((state, reason)) = next else { return (found, refused) };
            found.remove(&state);
            refused.push((state, reason));
        }
    }

    /// What keeps a state from being summed up, together with the others that are.
    fn why_not(&self, state: &str, summed: &BTreeSet<String>) -> Option<&'static str> {
        let declared = self.synapse.dynamics.states.iter().find(|s| s.name.text == state)?;
        if !self.begins_at_zero(declared) {
            return Some("it does not begin at 0");
        }
        let own: BTreeSet<String> = [state.to_string()].into();
        for equation in self.equations(state) {
            let form = self.form(equation.value, summed);
            if form.degree == Degree::Other {
                return Some("its equation is not linear in it");
            }
            if form.degree == Degree::Linear && !form.coefficient.common_to_target() {
                return Some("its equation differs between the synapses of a target");
            }
            if self.reads(equation.value).draw {
                return Some("its equation draws for each connection");
            }
        }
        for (op, value) in self.assignments(state) {
            if !matches!(op, AssignOp::Add | AssignOp::Sub) {
                return Some("a block sets or scales it, instead of adding to it");
            }
            if self.form(value, summed).degree != Degree::Free {
                return Some("what a spike adds depends on it");
            }
        }
        if self.read_elsewhere(state, summed) {
            return Some("another state of each connection reads it");
        }
        self.outputs_refuse(&own, summed)
    }

    fn begins_at_zero(&self, declared: &Decl) -> bool {
        match declared.init {
            None => true,
            Some(Init::Draw(_)) => false,
            Some(Init::Value(e)) => match &self.around.file.expr(e).kind {
                ExprKind::Number { value, .. } | ExprKind::Quantity { value, .. } => *value == 0.0,
                _ => false,
            },
        }
    }

    /// Whether something that is not summed up reads the state.
    fn read_elsewhere(&self, state: &str, summed: &BTreeSet<String>) -> bool {
        let others = self.synapse.dynamics.states.iter().map(|s| &s.name.text).filter(|s| !summed.contains(*s));
        let jumps = self.synapse.dynamics.ons.iter().flat_map(|o| &o.block).filter_map(|stmt| match &stmt.kind {
            StmtKind::Assign { place, value, .. } if place.len() > 1 => Some(*value),
            _ => None,
        });
        let moved = others.flat_map(|s| {
            let equations = self.equations(s).map(|e| e.value);
            equations.chain(self.assignments(s).map(|(_, value)| value)).collect::<Vec<_>>()
        });
        moved.chain(jumps).any(|value| self.reads(value).states.contains(state))
    }

    fn outputs_refuse(&self, own: &BTreeSet<String>, summed: &BTreeSet<String>) -> Option<&'static str> {
        for output in &self.synapse.dynamics.outputs {
            let Some(value) = value(output) else { continue };
            let reads = self.reads(value);
            if reads.states.is_disjoint(own) {
                continue;
            }
            let form = self.form(value, summed);
            if form.degree != Degree::Linear {
                return Some("the output is not linear in it");
            }
            if !form.coefficient.common_to_target() {
                return Some("the output scales it differently for the synapses of a target");
            }
            if reads.draw {
                return Some("the output draws for each connection");
            }
        }
        None
    }
}

fn value(decl: &Decl) -> Option<ExprId> {
    match decl.init {
        Some(Init::Value(e)) => Some(e),
        _ => None,
    }
}
