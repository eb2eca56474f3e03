//! A readable form of the declarations, for `emit --stage hir`.

use std::fmt::Write;

use super::*;

/// All declarations of a module, one part a line, in the user's spelling.
pub fn print(modules: &Modules, module: ModuleId) -> String {
    let mut out = String::new();
    for (name, id) in &modules.get(module).own {
        let item = modules.item(*id);
        let params: Vec<&str> = item.params.iter().map(|p| p.name.text.as_str()).collect();
        let _ = writeln!(out, "{} {name}({})", item.kind.word(), params.join(", "));
        match &item.kind {
            ItemKind::Neuron(n) => {
                decls(&mut out, modules, "input", &n.inputs);
                dynamics(&mut out, modules, &n.dynamics);
            }
            ItemKind::Synapse(s) => dynamics(&mut out, modules, &s.dynamics),
            ItemKind::Optimizer(o) => dynamics(&mut out, modules, &o.dynamics),
            ItemKind::Environment(e) => dynamics(&mut out, modules, &e.dynamics),
            ItemKind::Rule(r) => rule(&mut out, modules, r),
            ItemKind::Architecture(a) => architecture(&mut out, modules, a),
            ItemKind::Experiment(stmts) => {
                for stmt in stmts {
                    let text = modules.sources.text(stmt.span).lines().next().unwrap_or("");
                    let _ = writeln!(out, "  {}", text.trim_end_matches('{').trim_end());
                }
            }
            ItemKind::Function(_) | ItemKind::Objective(_) => {}
        }
    }
    out
}

fn decls(out: &mut String, modules: &Modules, word: &str, decls: &[Decl]) {
    for d in decls {
        let ty = d.ty.as_ref().map_or(String::new(), |t| format!(": {}", modules.sources.text(t.span)));
        let _ = writeln!(out, "  {word} {}{ty}", d.name.text);
    }
}

fn equations(out: &mut String, modules: &Modules, equations: &[Equation]) {
    for e in equations {
        let _ = writeln!(out, "  equation {}", modules.sources.text(e.span));
    }
}

fn dynamics(out: &mut String, modules: &Modules, d: &Dynamics) {
    decls(out, modules, "param", &d.params);
    decls(out, modules, "weight", &d.weights);
    decls(out, modules, "state", &d.states);
    decls(out, modules, "running", &d.running);
    decls(out, modules, "let", &d.lets);
    equations(out, modules, &d.equations);
    equations(out, modules, &d.nexts);
    decls(out, modules, "output", &d.outputs);
    for on in &d.ons {
        let _ = writeln!(out, "  event {}", on.event.text);
    }
    for when in &d.whens {
        let _ = writeln!(out, "  {}", if when.spike { "spike" } else { "when" });
    }
}

fn rule(out: &mut String, modules: &Modules, r: &Rule) {
    if r.local {
        let _ = writeln!(out, "  local");
    }
    dynamics(out, modules, &r.dynamics);
    decls(out, modules, "modulator", &r.modulators);
    decls(out, modules, "const", &r.consts);
    decls(out, modules, "noise", &r.noises);
    for t in &r.traces {
        let _ = writeln!(out, "  {} trace {}", if t.post { "post" } else { "pre" }, t.name.text);
    }
    for e in r.change.iter().chain(&r.matrix_change) {
        let _ = writeln!(out, "  change {}", modules.sources.text(e.span));
    }
}

fn architecture(out: &mut String, modules: &Modules, a: &Architecture) {
    decls(out, modules, "input", &a.inputs);
    decls(out, modules, "weight", &a.weights);
    decls(out, modules, "latent", &a.latents);
    for part in &a.body {
        let span = match part {
            Build::Population(m) | Build::Part(m) => m.span,
            Build::Connect(c) => c.span,
            Build::Let(d) => d.span,
            Build::For { name, .. } => name.span,
        };
        let _ = writeln!(out, "  {}", modules.sources.text(span));
    }
    decls(out, modules, "output", &a.outputs);
}
