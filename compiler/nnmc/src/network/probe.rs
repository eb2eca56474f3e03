//! A network looked at once, in a program that is never run: the sizes of its weights, and all that is wrong.

use nnm_syntax::span::Span;

use super::*;
use crate::program::{Program, Purpose};
use crate::session::Session;

impl Session<'_> {
    /// Looks at every port and output of a network once, in a program that is never run: finds the sizes of weights,
    /// and everything that is wrong.
    pub fn probe(&mut self, id: NetId) {
        let graph = std::mem::take(&mut self.graph);
        let program = self.program.replace(Program::new(Purpose::Probe, false));
        if let Some(program) = &mut self.program {
            program.dt = Some(1e-3);
        }
        let frame = self.frame_of(id);
        for p in 0..self.net(id).populations.len() {
            self.probe_population(frame, p);
        }
        let scope = self.frame(frame).scope;
        let names: Vec<(String, Span)> = self
            .net(id)
            .lets
            .iter()
            .map(|l| &l.decl)
            .chain(&self.net(id).outputs)
            .map(|d| (d.name.text.clone(), d.span))
            .collect();
        for (name, span) in names {
            self.local(scope, &name, span);
        }
        self.graph = graph;
        self.program = program;
    }

    fn probe_population(&mut self, frame: FrameId, p: usize) {
        let population = self.net(self.frame(frame).net).populations[p].clone();
        for k in 0..population.ports.len() {
            self.port_of_frame(frame, p, k);
        }
        self.check_dynamics(frame, p);
        let id = self.frame(frame).net;
        for k in 0..self.net(id).projections.len() {
            let projection = &self.net(id).projections[k];
            if projection.target == p && projection.port.is_none() {
                self.probe_portless(frame, k);
            }
        }
    }

    /// A synapse that acts on its target's states alone: its weight is sized, its blocks are looked at.
    fn probe_portless(&mut self, frame: FrameId, k: usize) -> Option<()> {
        let sender = self.sender(frame, k)?;
        let id = self.frame(frame).net;
        let p = self.net(id).projections[k].clone();
        let none = Port { name: String::new(), unit: Unit::Unknown, event: false, default: None, span: p.span };
        self.size_weights(id, k, &sender, &none)?;
        let item = p.synapse?;
        self.synapse_output(frame, k, item, &sender);
        Some(())
    }
}
