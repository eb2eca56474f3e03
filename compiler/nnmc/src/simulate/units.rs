//! Parts with states in a simulated network: each runs as a unit of its own, beside the others in the same step.
//!
//! A part that has no inputs runs by itself; one with inputs runs where it is used, once. A unit is prepared as soon as
//! anything asks what arrives at one of its ports, and stepped after the network that it belongs to.

use nnm_syntax::diag::Diagnostic;

use super::learn::Learn;
use super::{Build, Simulation};
use crate::network::{FrameId, NetId};
use crate::program::Purpose;
use crate::session::Session;

impl Build {
    pub fn new(frame: FrameId, net: NetId, populations: usize, dt: f64, start: i64) -> Build {
        Build {
            frame,
            net,
            dt,
            arrivals: vec![],
            deliveries: vec![],
            events: vec![],
            assigns: vec![],
            after: vec![],
            rules: vec![],
            lists: vec![None; populations],
            unlisted: vec![],
            tables: vec![],
            indices: vec![],
            lumped: vec![vec![]; populations],
            learned: vec![],
            paths: vec![],
            choices: vec![],
            placements: vec![],
            logs: vec![],
            records: vec![],
            start,
            units: vec![],
            checkpoints: None,
            often: false,
        }
    }

    /// The network itself, and the parts that run beside it.
    pub fn all(&self) -> impl Iterator<Item = &Build> {
        std::iter::once(self).chain(&self.units)
    }

    /// Takes over what a unit does in each step; it keeps what it needs between simulations.
    fn take_in(&mut self, mut unit: Build) {
        self.arrivals.append(&mut unit.arrivals);
        self.deliveries.append(&mut unit.deliveries);
        self.events.append(&mut unit.events);
        self.assigns.append(&mut unit.assigns);
        self.after.append(&mut unit.after);
        self.rules.append(&mut unit.rules);
        self.tables.append(&mut unit.tables);
        self.indices.append(&mut unit.indices);
        self.choices.append(&mut unit.choices);
        self.placements.append(&mut unit.placements);
        self.logs.append(&mut unit.logs);
        self.often |= unit.often;
        self.units.push(unit);
    }
}

impl Session<'_> {
    /// Parts without inputs run from the start.
    pub fn start_parts(&mut self, frame: FrameId) {
        let inner: Vec<FrameId> =
            (0..self.frames.len() as u32).map(FrameId).filter(|f| self.frame(*f).owner == Some(frame)).collect();
        for part in inner {
            if self.net(self.frame(part).net).inputs.is_empty() {
                if let Some(program) = &mut self.program {
                    program.runs.push(part);
                }
                self.start_parts(part);
            }
        }
    }

    fn remembers(&self, id: NetId) -> bool {
        self.net(id).populations.iter().any(|p| p.spiking || p.states.iter().any(|s| !s.running))
    }

    /// Prepares the unit of a part that runs in the program being built.
    pub fn ensure_unit(&mut self, frame: FrameId) -> Option<()> {
        let id = self.frame(frame).net;
        let program = self.program.as_ref()?;
        let simulates = program.purpose == Purpose::Simulate && program.runs.contains(&frame);
        if !simulates || program.units_begun.contains(&frame) || !self.remembers(id) {
            return Some(());
        }
        let dt = program.dt.unwrap_or(1.0);
        self.program.as_mut()?.units_begun.insert(frame);
        if !self.frame(frame).run.is_empty() {
            let net = self.net(id);
            let message = format!("`{}` has states and is used twice in a simulated network", net.path);
            let d = Diagnostic::error("E0560", net.span, message);
            self.report(d.help("make an array of parts, `part b: Block()[2]`, and use each once"));
            return None;
        }
        let mut unit = Build::new(frame, id, self.net(id).populations.len(), dt, 0);
        unit.learned =
            self.program.iter().flat_map(|p| &p.learned).filter(|(net, _)| *net == id).map(|(_, k)| *k).collect();
        self.make_paths(&mut unit)?;
        self.prepare(&mut unit)?;
        self.program.as_mut()?.units.insert(frame, unit);
        Some(())
    }

    /// What events bring to a network in a step, before anything reads it.
    pub fn prepare(&mut self, b: &mut Build) -> Option<()> {
        let paths = b.paths.clone();
        paths.iter().try_for_each(|k| self.direct_arrivals(b, *k))?;
        paths.iter().try_for_each(|k| self.synapse_arrivals(b, *k))?;
        self.port_events(b)?;
        paths.iter().try_for_each(|k| self.synapse_equations(b, *k))
    }

    /// Rules and equations of all parts that run.
    pub fn step_units(&mut self, b: &Build, sim: &Simulation, learns: &[Learn]) -> Option<()> {
        self.reach_parts(b.frame, sim)?;
        let mut done = 0;
        while let Some(frame) = self.program.as_ref().and_then(|p| p.runs.get(done)).copied() {
            done += 1;
            self.ensure_unit(frame)?;
            let Some(mut unit) = self.program.as_mut().and_then(|p| p.units.swap_remove(&frame)) else { continue };
            let own: Vec<Learn> = learns.iter().filter(|l| l.net == unit.net).cloned().collect();
            self.add_rules(&mut unit, sim, &own)?;
            for index in 0..unit.lists.len() {
                self.step_population(&mut unit, index)?;
            }
            self.program.as_mut()?.units.insert(frame, unit);
        }
        Some(())
    }

    /// Runs what has not been asked for yet; a part with states and inputs that nothing uses cannot run.
    fn reach_parts(&mut self, frame: FrameId, sim: &Simulation) -> Option<()> {
        let inner: Vec<FrameId> =
            (0..self.frames.len() as u32).map(FrameId).filter(|f| self.frame(*f).owner == Some(frame)).collect();
        for part in inner {
            let id = self.frame(part).net;
            let known = self.live_frames().iter().any(|f| self.frame(*f).net == id);
            let run = if known { part } else { self.run_of(part) };
            let runs = self.live_frames().iter().any(|f| self.frame(*f).net == id);
            if !runs && self.remembers(id) {
                let (path, at) = (self.net(id).path.clone(), self.net(id).span);
                let message = format!("`{path}` has inputs, and nothing in the network uses it: it does not run");
                let d = Diagnostic::error("E0560", sim.span, message).label(at, "declared here");
                self.report(
                    d.help("use it as a function of its inputs, or give it a population in place of the input"),
                );
                return None;
            }
            self.reach_parts(run, sim)?;
        }
        Some(())
    }

    /// Lists who fired, of the network and of its units, and adds the units to its program.
    pub fn take_units(&mut self, b: &mut Build) {
        let mut units = self.program.as_mut().map(|p| std::mem::take(&mut p.units)).unwrap_or_default();
        units.sort_keys();
        let read = self.lists_read(std::iter::once(&*b).chain(units.values()));
        self.spike_lists(b, &read);
        for (_, mut unit) in units {
            self.spike_lists(&mut unit, &read);
            b.take_in(unit);
        }
    }

    /// Does something with the unit of a frame: the network's own, or that of a part.
    pub fn with_unit<R>(
        &mut self,
        b: &mut Build,
        frame: FrameId,
        act: impl FnOnce(&mut Self, &mut Build) -> Option<R>,
    ) -> Option<R> {
        if frame == b.frame {
            return act(self, b);
        }
        let mut unit = self.program.as_mut().and_then(|p| p.units.swap_remove(&frame))?;
        let result = act(self, &mut unit);
        self.program.as_mut()?.units.insert(frame, unit);
        result
    }
}
