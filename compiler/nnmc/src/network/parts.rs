//! Parts and networks used as functions: each use is a run of its own, with its own states and the same weights.

use nnm_syntax::ast::{ExprId, Init};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::{FrameId, NetId, Quantity};
use crate::eval::operators::Operand;
use crate::session::{ScopeId, Session, Slot};
use crate::value::{Num, Value};

impl Session<'_> {
    /// Runs a part or a network on tensors: its inputs, in order, are the arguments.
    pub fn run_frame(
        &mut self,
        id: NetId,
        owner: Option<FrameId>,
        args: Vec<Operand>,
        fresh: bool,
        span: Span,
    ) -> Value {
        let net = self.net(id);
        let (expected, inputs, name) = (net.inputs.len(), net.inputs.clone(), net.path.clone());
        if args.len() != expected {
            let message = format!("`{name}` has {expected} inputs, here are {}", args.len());
            return self.error("E0419", span, message);
        }
        let run = self.run_name(id);
        let frame = self.new_frame(id, fresh, owner, run);
        if let Some(program) = &mut self.program {
            program.runs.push(frame);
        }
        for (input, arg) in inputs.iter().zip(args) {
            let declared = crate::eval::types::Declared {
                unit: input.unit.clone(),
                shape: input.shape.clone(),
                ..crate::eval::types::Declared::real()
            };
            let Some(num) = self.hold_number(arg.num, &declared, input.span, arg.span) else { return Value::Missing };
            let Some(num) = self.labelled(num, input, arg.span) else { return Value::Missing };
            self.frame_mut(frame).inputs.insert(input.name.clone(), Value::Num(num));
        }
        self.frame_output(frame, span)
    }

    /// What an input of labels is given: labels of as many classes.
    pub fn labelled(&mut self, num: Num, input: &Quantity, span: Span) -> Option<Num> {
        if let (Some(found), Some(wanted)) = (num.class, input.class)
            && found > wanted
        {
            let (found, wanted) = (self.length_text(found), self.length_text(wanted));
            let message = format!("labels of {found} classes are given to `{}`, which takes {wanted}", input.name);
            self.report(Diagnostic::error("E0318", span, message).label(input.span, "declared here"));
            return None;
        }
        Some(Num { class: input.class.or(num.class), ..num })
    }

    /// Runs a part that stands in a frame.
    pub fn run_part(&mut self, frame: FrameId, args: Vec<Operand>, span: Span) -> Value {
        let (id, owner) = (self.frame(frame).net, self.frame(frame).owner);
        let fresh = self.frame(frame).fresh;
        self.run_frame(id, owner, args, fresh, span)
    }

    /// What tells the states of this run from those of earlier ones.
    fn run_name(&self, id: NetId) -> String {
        let Some(program) = &self.program else { return String::new() };
        let before = program.runs.iter().filter(|r| self.frame(**r).net == id).count();
        match before + usize::from(program.frames.contains_key(&id)) {
            0 => String::new(),
            n => format!("@{}", n + 1),
        }
    }

    /// The path of the states of a population in a frame.
    pub fn state_base(&self, frame: FrameId, population: usize) -> String {
        let frame = self.frame(frame);
        let net = self.net(frame.net);
        format!("{}{}.{}", net.path, frame.run, net.populations[population].name)
    }

    /// All frames in which something runs: the networks themselves, and each use of a part.
    pub fn live_frames(&self) -> Vec<FrameId> {
        let Some(program) = &self.program else { return vec![] };
        program.frames.values().chain(&program.runs).copied().collect()
    }

    /// Frames of a network and of its parts in which something runs.
    pub fn frames_below(&self, id: NetId) -> Vec<FrameId> {
        let nets = self.nets_below(id);
        self.live_frames().into_iter().filter(|f| nets.contains(&self.frame(*f).net)).collect()
    }

    /// A network and its parts, and theirs.
    pub fn nets_below(&self, id: NetId) -> Vec<NetId> {
        let mut out = vec![id];
        for inner in self.net(id).parts.iter().flat_map(|p| &p.nets) {
            out.extend(self.nets_below(*inner));
        }
        out
    }

    /// Where a part runs that a name stands for: its last use. One without inputs runs by itself.
    pub fn run_of(&mut self, frame: FrameId) -> FrameId {
        if self.frame(frame).owner.is_none() || self.live_frames().contains(&frame) {
            return frame;
        }
        let id = self.frame(frame).net;
        if let Some(run) = self.last_run(id) {
            return run;
        }
        // What needs nothing from outside runs by itself; else what uses the part runs it.
        if !self.net(id).inputs.is_empty() {
            // Whoever asks for a part while it is being reached uses it without feeding it.
            if self.program.as_mut().is_some_and(|p| p.reaching.insert(frame)) {
                self.reach_part(frame);
                self.program.iter_mut().for_each(|p| {
                    p.reaching.remove(&frame);
                });
            }
            return self.last_run(id).unwrap_or(frame);
        }
        if let Some(program) = &mut self.program {
            program.runs.push(frame);
        }
        frame
    }

    fn last_run(&self, id: NetId) -> Option<FrameId> {
        let runs = &self.program.as_ref()?.runs;
        runs.iter().rev().find(|r| self.frame(**r).net == id).copied()
    }

    /// Whether a name is being evaluated.
    fn is_busy(&self, scope: ScopeId, name: &str) -> bool {
        let mut at = Some(scope);
        while let Some(id) = at {
            let scope = &self.scopes[id.0 as usize];
            if let Some(slot) = scope.names.get(name) {
                return matches!(slot, Slot::Busy);
            }
            at = scope.parent;
        }
        false
    }

    /// Evaluates what uses a part in the network that it belongs to.
    fn reach_part(&mut self, frame: FrameId) {
        let Some(owner) = self.frame(frame).owner else { return };
        let owner = self.run_of(owner);
        let id = self.frame(owner).net;
        let net = self.net(id);
        let Some(part) = net.parts.iter().find(|p| p.nets.contains(&self.frame(frame).net)) else { return };
        let name = part.name.clone();
        let decls = net.lets.iter().map(|l| &l.decl).chain(&net.outputs);
        let exprs = decls.filter_map(|d| match d.init {
            Some(Init::Value(e)) => Some((d.name.text.clone(), d.span, e)),
            _ => None,
        });
        let named: Vec<(String, Span, ExprId)> = exprs.collect();
        let senders: Vec<(usize, usize, ExprId)> =
            net.projections.iter().filter_map(|p| Some((p.target, p.port?, p.from.expr.id))).collect();
        let scope = self.frame(owner).scope;
        let uses = |s: &Self, e: ExprId| {
            crate::eval::names_in(&s.modules.get(s.module_of(s.net(id).scope)).file, e).contains(&name)
        };
        for (let_name, span, e) in named {
            // What asks for the part is not what runs it.
            if uses(self, e) && !self.is_busy(scope, &let_name) {
                self.local(scope, &let_name, span);
            }
        }
        for (population, port, e) in senders {
            if uses(self, e) {
                self.port_value(owner, population, port);
            }
        }
    }
}
