//! Weights of connections: their unit, shape and first values; the edges of sparse patterns; delays.

use std::sync::Arc;

use nnm_runtime::array::Array;
use nnm_runtime::topology::{self, Csr, Options};
use nnm_syntax::ast::Init;
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::ends::Pairs;
use super::*;
use crate::hir::ItemKind;
use crate::session::{Mode, Session};
use crate::value::{Repr, Value, scalar};

impl Session<'_> {
    /// Finds the unit and shape of a connection's weight from its sender, and draws its first values.
    pub fn size_weights(&mut self, id: NetId, k: usize, sender: &Num, port: &Port) -> Option<()> {
        let projection = self.net(id).projections[k].clone();
        if projection.weight.is_some() || !projection.pattern.has_weight() {
            return Some(());
        }
        let unit = self.weight_unit(&projection, sender, port)?;
        let target = self.net(id).populations[projection.target].clone();
        let Some(from) = self.shape(sender) else {
            self.net_mut(id).projections[k].weight = Some(quantity("w", unit, vec![], projection.span));
            return Some(());
        };
        let senders: usize = from.iter().product();
        if projection.pattern.is_full() {
            let targets = self.target_count(&projection, &target);
            self.refuse_too_large(id, k, senders, targets)?;
        }
        let shape = self.weight_shape(id, k, &projection, &target, &from)?;
        let w = self.first_weights(id, &projection, &target, &unit, &shape, senders);
        let name = projection.name.clone();
        let full = format!("{name}.w");
        let w = w?;
        let net = self.net_mut(id);
        net.store.insert(full, w);
        net.projections[k].weight = Some(quantity("w", unit, shape, projection.span));
        if projection.pattern.has_bias() {
            let cells = match projection.pattern {
                Pattern::Conv { .. } => target.shape[0],
                _ => target.size(),
            };
            let bias = quantity("b", port.unit.clone(), vec![cells], projection.span);
            let net = self.net_mut(id);
            net.store.insert(format!("{name}.b"), crate::value::vector(vec![0.0; cells]));
            net.projections[k].bias = Some(bias);
        }
        Some(())
    }

    /// `w`'s unit: what the synapse declares, or port over sender.
    fn weight_unit(&mut self, projection: &Projection, sender: &Num, port: &Port) -> Option<Unit> {
        match projection.synapse {
            None => {
                let unit = port.unit.over(&sender.unit);
                let pretty = if sender.unit.is_real() { port.unit.clone() } else { unit };
                Some(pretty)
            }
            Some(item) => {
                let ItemKind::Synapse(synapse) = &self.modules.item(item).kind else { return None };
                let Some(weight) = synapse.dynamics.weights.first().cloned() else { return Some(Unit::REAL) };
                let scope = self.scope(self.modules.item(item).module, None);
                self.bind(scope, "port", Value::Num(Num::unknown(port.unit.clone())));
                match (&weight.ty, weight.init) {
                    (Some(ty), _) => Some(self.declared(scope, ty)?.unit),
                    (None, Some(Init::Value(e) | Init::Draw(e))) => Some(self.operand(scope, e)?.num.unit),
                    (None, None) if sender.unit.is_real() => Some(port.unit.clone()),
                    (None, None) => Some(port.unit.over(&sender.unit)),
                }
            }
        }
    }

    fn weight_shape(
        &mut self,
        id: NetId,
        k: usize,
        p: &Projection,
        target: &Population,
        from: &[usize],
    ) -> Option<Vec<usize>> {
        let senders: usize = from.iter().product();
        match &p.pattern {
            Pattern::Dense { .. } | Pattern::All { autapses: true } => {
                Some(vec![self.target_count(p, target), senders])
            }
            Pattern::OneToOne => {
                let targets = self.target_count(p, target);
                if senders != targets {
                    let message =
                        format!("`one_to_one` joins {senders} senders to {targets} cells: the numbers differ");
                    self.error("E0420", p.pattern_span, message);
                    return None;
                }
                self.make_edges(id, k, senders)?;
                Some(vec![targets])
            }
            Pattern::Conv { size, conv, .. } => {
                let (Some(channels), Some(out)) = (from.first(), target.shape.first()) else { return None };
                if from.len() != 3 || target.shape.len() != 3 {
                    let d = Diagnostic::error(
                        "E0421",
                        p.pattern_span,
                        "`conv` joins [channels, height, width] to the same",
                    )
                    .label(target.span, format!("this has {}", self.shape_text(&target.shape)));
                    self.report(d);
                    return None;
                }
                Some(vec![*out, channels / conv.groups, size[0], size[1]])
            }
            Pattern::MaxPool(_) | Pattern::AvgPool(_) | Pattern::Upsample(_) => Some(vec![]),
            _ => {
                let edges = self.make_edges(id, k, senders)?;
                Some(vec![edges.count()])
            }
        }
    }

    fn target_count(&self, p: &Projection, target: &Population) -> usize {
        p.target_cells.map_or(target.size(), |(a, b)| b - a)
    }

    /// The edges of a connection, made once: sorted by sender, then target.
    pub fn make_edges(&mut self, id: NetId, k: usize, senders: usize) -> Option<Arc<Edges>> {
        let p = self.net(id).projections[k].clone();
        if let Some(edges) = &p.edges {
            return Some(edges.clone());
        }
        let target = self.net(id).populations[p.target].clone();
        let targets = self.target_count(&p, &target);
        let first_target = p.target_cells.map_or(0, |(a, _)| a);
        let path = format!("{}.{}", self.net(id).path, p.name);
        self.refuse_too_large(id, k, senders, targets)?;
        let key = nnm_runtime::random::key(self.seed, &format!("{path}.edges"));
        let same = p.source.is_some_and(|(s, _)| s == p.target);
        let apart = (p.first_sender() as i64) - (first_target as i64);
        let options =
            |autapses: bool, multapses: bool| Options { apart: (same && !autapses).then_some(apart), multapses };
        let (m, n) = (senders as u32, targets as u32);
        let drawn = |pattern, autapses, multapses| topology::connect(pattern, m, n, options(autapses, multapses), key);
        if matches!(p.pattern, Pattern::Symmetric { .. }) && senders != targets && self.lengths.is_empty() {
            let message = format!(
                "`symmetric = true` joins cells both ways: it takes as many senders as targets, not {senders} and {targets}"
            );
            self.error("E0422", p.pattern_span, message);
            return None;
        }
        use topology::Pattern as Drawn;
        let rows = match &p.pattern {
            Pattern::OneToOne => drawn(Drawn::OneToOne, true, true),
            Pattern::Where(closure) | Pattern::Probability(closure, _) if self.mode == Mode::Check => {
                self.look_at_pair(id, &p, *closure)?;
                Ok(one_edge(senders))
            }
            Pattern::From(..) if !self.lengths.is_empty() => Ok(one_edge(senders)),
            _ if self.has_unknown_edges(&p.pattern) => Ok(one_edge(senders)),
            Pattern::Dense { .. } => drawn(Drawn::All, true, true),
            Pattern::All { autapses } => drawn(Drawn::All, *autapses, true),
            Pattern::Random { p, autapses } => drawn(Drawn::Random { p: *p }, *autapses, true),
            Pattern::Symmetric { p, autapses } => drawn(Drawn::Symmetric { p: *p }, *autapses, true),
            Pattern::Poisson { mean, autapses } => drawn(Drawn::Poisson { mean: *mean }, *autapses, true),
            Pattern::FanIn { k, autapses, multapses } => drawn(Drawn::FanIn { k: *k as u32 }, *autapses, *multapses),
            Pattern::FanOut { k, autapses, multapses } => drawn(Drawn::FanOut { k: *k as u32 }, *autapses, *multapses),
            Pattern::Total { n, autapses, multapses } => drawn(Drawn::Total { n: *n as u64 }, *autapses, *multapses),
            Pattern::Where(closure) => {
                Ok(self.pairs_where(id, &p, *closure, [targets, senders], options(true, true), None)?)
            }
            Pattern::Probability(closure, autapses) => {
                Ok(self.pairs_where(id, &p, *closure, [targets, senders], options(*autapses, true), Some(key))?)
            }
            Pattern::Tree(parents) => Ok(self.pairs_of_tree(parents, p.pattern_span, [senders, targets])?),
            Pattern::From(file, span) => {
                let (rows, columns) = self.pairs_from(file, *span, senders, targets)?;
                self.net_mut(id).projections[k].columns = columns;
                Ok(rows)
            }
            Pattern::Conv { .. } | Pattern::MaxPool(_) | Pattern::AvgPool(_) | Pattern::Upsample(_) => {
                return None;
            }
        };
        let rows = match rows {
            Ok(rows) => rows,
            Err(error) => {
                self.error("E0422", p.pattern_span, error.to_string());
                return None;
            }
        };
        let edges = Arc::new(edges_of(rows, senders, target.size(), first_target as u32));
        self.net_mut(id).projections[k].edges = Some(edges.clone());
        Some(edges)
    }

    /// Looks at a condition or probability over a pair of which only the units are known.
    fn look_at_pair(&mut self, id: NetId, p: &Projection, closure: Closure) -> Option<()> {
        let scope = self.inner(closure.scope);
        for name in ["i", "j"] {
            self.bind(scope, name, Value::Num(Num::unknown(Unit::REAL)));
        }
        let (pre, post) = self.end_populations(id, p);
        for (name, population) in [("pre", pre), ("post", Some(post))] {
            let Some(population) = population else { continue };
            let side = self.scope(self.module_of(scope), None);
            let places = [("angle", &population.angle), ("position", &population.position)];
            let known = places.iter().filter_map(|(n, num)| num.as_ref().map(|num| (n.to_string(), num.clone())));
            for (name, num) in population.params.iter().cloned().chain(known) {
                self.bind(side, name, Value::Num(Num::unknown(num.unit)));
            }
            self.bind(side, "index", Value::Num(Num::unknown(Unit::REAL)));
            self.bind(scope, name, Value::Names(side));
        }
        let found = self.operand(scope, closure.expr.id)?;
        let condition = matches!(p.pattern, Pattern::Where(_));
        if condition && crate::eval::only_counts(&self.modules.get(closure.expr.module).file, closure.expr.id) {
            self.error("E0310", found.span, "a condition is true or false: `where(i != j)`; this is a number");
            return None;
        }
        if !found.num.unit.is_real() {
            let what = found.num.unit.describe();
            self.error("E0310", found.span, format!("whether a pair is joined is a plain number, not {what}"));
            return None;
        }
        Some(())
    }

    /// Pairs for which a condition holds, or (`key`) each with a probability of its own.
    fn pairs_where(
        &mut self,
        id: NetId,
        p: &Projection,
        closure: Closure,
        [targets, senders]: [usize; 2],
        options: Options,
        key: Option<u64>,
    ) -> Option<Csr> {
        let mut table: Vec<f64> = vec![];
        let mut failed = false;
        let mut number = None;
        // A few rows of the table of all pairs at a time.
        let rows = ((1 << 20) / targets.max(1)).clamp(1, senders.max(1));
        let fill = |s: u32, out: &mut [f64]| {
            let row = s as usize % rows;
            if row == 0 && !failed {
                let from = s as usize;
                match self.pair_table(id, p, closure, [from, (from + rows).min(senders)]) {
                    Some(values) => table = values,
                    None => failed = true,
                }
            }
            let values = table.get(row * targets..(row + 1) * targets).filter(|_| !failed);
            match (values, key) {
                (None, _) => out.fill(0.0),
                (Some(values), Some(_)) => out.copy_from_slice(values),
                (Some(values), None) => {
                    number = number.or(values.iter().copied().find(|v| *v != 0.0 && *v != 1.0));
                    out.iter_mut().zip(values).for_each(|(o, v)| *o = f64::from(*v != 0.0));
                }
            }
        };
        let made = topology::by_probability(senders as u32, targets as u32, options, key.unwrap_or(0), fill);
        if let Some(number) = number.filter(|_| !failed) {
            let message = format!("a condition is true or false: `where(i != j)`; this is a number, such as {number}");
            self.error("E0310", p.pattern_span, message);
            return None;
        }
        match made {
            _ if failed => None,
            Ok(rows) => Some(rows),
            Err(error) => {
                self.error("E0422", p.pattern_span, error.to_string());
                None
            }
        }
    }

    /// The values of an expression over some senders and all targets of a projection, by sender.
    pub(super) fn pair_table(
        &mut self,
        id: NetId,
        p: &Projection,
        closure: Closure,
        [from, to]: [usize; 2],
    ) -> Option<Vec<f64>> {
        let (pre, post) = self.end_populations(id, p);
        let first = p.first_sender();
        let (t0, t1) = p.target_cells.unwrap_or((0, post.size()));
        let list = |a: usize, b: usize| (a as u32..b as u32).collect::<Vec<u32>>();
        let pairs = Pairs::Grid { senders: list(first + from, first + to), targets: list(t0, t1) };
        let scope = self.pair_scope(closure.scope, pre.as_ref(), &post, &pairs);
        let num = self.operand(scope, closure.expr.id)?.num;
        if !num.unit.is_real() {
            let message = format!("a pattern's condition is a plain number, not {}", num.unit.describe());
            self.error("E0310", p.pattern_span, message);
            return None;
        }
        let table = self.spread(&num, &[t1 - t0, to - from], p.pattern_span)?;
        Some(table.t().iter().copied().collect())
    }

    /// Every cell and its parent, both ways, tree after tree.
    fn pairs_of_tree(&mut self, parents: &[i64], span: Span, [senders, targets]: [usize; 2]) -> Option<Csr> {
        if senders != targets || !senders.is_multiple_of(parents.len()) {
            let message = format!(
                "a tree of {} cells does not divide {senders} senders and {targets} targets into whole trees",
                parents.len()
            );
            self.error("E0558", span, message);
            return None;
        }
        let mut pairs = vec![];
        for first in (0..senders).step_by(parents.len()) {
            for (k, parent) in parents.iter().enumerate().filter(|(_, p)| **p >= 0) {
                let (child, parent) = ((first + k) as u32, (first as i64 + parent) as u32);
                pairs.extend([(child, parent), (parent, child)]);
            }
        }
        Csr::from_pairs(senders as u32, targets as u32, &pairs).map(|(rows, _)| rows).ok()
    }

    /// Whether nobody has drawn or counted the pairs of a pattern yet.
    pub fn has_unknown_edges(&self, pattern: &Pattern) -> bool {
        let known =
            matches!(pattern, Pattern::OneToOne | Pattern::From(..)) || pattern.is_full() || !pattern.has_edges();
        self.mode == Mode::Check && !known
    }

    /// The pairs of a table's first two columns, and its columns in the order of the edges.
    fn pairs_from(
        &mut self,
        file: &str,
        span: Span,
        senders: usize,
        targets: usize,
    ) -> Option<(Csr, Vec<(String, Array)>)> {
        let table = match crate::files::csv(self.host.files(), file) {
            Ok(table) => table,
            Err(error) => {
                self.error("E0601", span, error.to_string());
                return None;
            }
        };
        let columns: Vec<&Array> = table.columns.iter().map(|(_, c)| c).collect();
        let (Some(s), Some(t)) = (columns.first(), columns.get(1)) else {
            self.error("E0602", span, "a file of connections has two columns: sender and target");
            return None;
        };
        let mut pairs = vec![];
        for ((s, t), line) in s.iter().zip(t.iter()).zip(&table.lines) {
            let good = |x: f64, n: usize| x >= 0.0 && x.fract() == 0.0 && (x as usize) < n;
            if !good(*s, senders) || !good(*t, targets) {
                let wrong = match s.fract() == 0.0 && t.fract() == 0.0 {
                    true => format!("is outside of {senders} senders and {targets} targets, counted from 0"),
                    false => "is not of whole numbers".into(),
                };
                let message = format!("the pair {s}, {t} on line {line} of `{file}` {wrong}");
                self.error("E0603", span, message);
                return None;
            }
            pairs.push((*s as u32, *t as u32));
        }
        match Csr::from_pairs(senders as u32, targets as u32, &pairs) {
            Ok((rows, order)) => {
                let sorted = |column: &Array| {
                    let values: Vec<f64> = column.iter().copied().collect();
                    crate::value::vector(order.iter().filter_map(|k| values.get(*k as usize).copied()).collect())
                };
                Some((rows, table.columns.iter().map(|(name, column)| (name.clone(), sorted(column))).collect()))
            }
            Err(error) => {
                self.error("E0603", span, error.to_string());
                None
            }
        }
    }

    pub fn end_populations(&self, id: NetId, p: &Projection) -> (Option<Population>, Population) {
        let net = self.net(id);
        (p.source.map(|(s, _)| net.populations[s].clone()), net.populations[p.target].clone())
    }

    /// The first values of `w`: as `via` says, as the synapse declares, else the pattern's default.
    fn first_weights(
        &mut self,
        id: NetId,
        p: &Projection,
        target: &Population,
        unit: &Unit,
        shape: &[usize],
        senders: usize,
    ) -> Option<Array> {
        let path = format!("{}.{}.w", self.net(id).path, p.name);
        let given = p.args.iter().find(|(n, _)| n == "w").map(|(_, a)| a.clone());
        let declared = p.synapse.and_then(|item| match &self.modules.item(item).kind {
            ItemKind::Synapse(s) => s.dynamics.weights.first().map(|w| (self.modules.item(item).module, w.clone())),
            _ => None,
        });
        let _ = target;
        let num = match (given, declared) {
            (Some(argument), _) => self.pair_argument(id, p, &argument, shape, senders, &path)?,
            (None, Some((module, decl))) => {
                let scope = self.scope(module, None);
                match decl.init {
                    Some(Init::Draw(e)) => self.draw_values(self.closure(scope, e), scope, shape, &path)?,
                    Some(Init::Value(e)) => self.operand(scope, e)?.num,
                    None if p.trained => self.glorot(shape, &path),
                    // That it has another name has been said.
                    None if decl.name.text != "w" && self.has_errors() => return None,
                    None => {
                        // A value without a name may have gone to another parameter than was meant.
                        if let Some(synapse) = p.synapse.and_then(|item| self.synapse_item(item)) {
                            let k = self.net(id).projections.iter().position(|q| q.name == p.name)?;
                            self.synapse_params(id, k, &synapse)?;
                        }
                        let d = Diagnostic::error(
                            "E0423",
                            p.span,
                            "the synapse's `w` has no value: give one, `via …(w = …)`",
                        )
                        .label(decl.span, "declared here without one");
                        self.report(d);
                        return None;
                    }
                }
            }
            (None, None) if !unit.fits(&Unit::REAL) => {
                let wanted = unit.describe();
                let message = format!("the weight of `{}` is in {wanted} and has no value", p.name);
                let d = Diagnostic::error("E0423", p.span, message).help("give it one: `via Direct(w = …)`");
                self.report(d.help("a weight without one is 1, or drawn where it is trained, if it is a plain number"));
                return None;
            }
            (None, None) if p.trained => self.glorot(shape, &path),
            (None, None) => Num { unit: Unit::Zero, ..Num::real(1.0) },
        };
        let given_at = p.args.iter().find(|(n, _)| n == "w").and_then(|(_, a)| match a {
            Argument::Expr(c) => Some((c.scope, Init::Value(c.expr.id))),
            Argument::Draw(c) => Some((c.scope, Init::Draw(c.expr.id))),
            Argument::Value(_) => None,
        });
        let at = given_at.map_or(p.span, |(scope, Init::Value(e) | Init::Draw(e))| self.expr_span(scope, e));
        if !num.unit.fits(unit) {
            let found = num.unit.describe();
            let [is, other] = [unit, &num.unit].map(|u| if u.is_real() { "" } else { "in " });
            let wanted = unit.describe();
            let whence = match p.synapse {
                Some(item) => format!("as `{}` declares it", self.modules.item(item).name.text),
                None => "that of the port over that of the sender".into(),
            };
            let message = format!("the weight of `{}` is {is}{wanted}, {whence}, not {other}{found}", p.name);
            let d = self.blame_bare_port(id, p, unit, Diagnostic::error("E0424", at, message));
            self.report(match self.order_of_arguments(p, at) {
                Some(help) => d.help(help),
                None => d,
            });
            return None;
        }
        let num = if self.has_unknown_edges(&p.pattern) { any_of(num) } else { num };
        // One number for a list of edges is kept as one number.
        let listed = shape.len() == 1 && !p.trained && !p.pattern.is_plain_product();
        if let (Some(values), Some((scope, given))) = (num.as_const(), given_at) {
            self.refuse_nan(&format!("{}.w", p.name), values, scope, given, at)?;
        }
        match num.as_const() {
            Some(one) if listed && one.len() == 1 && self.mode == Mode::Run && self.lengths.is_empty() => {
                self.spread(&num, &[1], at)
            }
            _ => self.spread(&num, shape, at),
        }
    }

    /// An argument without a name: in which order a synapse takes such.
    fn order_of_arguments(&self, p: &Projection, at: Span) -> Option<String> {
        let item = p.synapse?;
        let before = self.modules.sources.get(at.file).text.get(..at.start as usize)?.trim_end();
        let declared = self.modules.item(item);
        let names = crate::eval::parameter_names(declared).join(", ");
        (!before.ends_with(['=', '~'])).then(|| {
            format!(
                "without names arguments are taken in the order `{}({names})`; say which they are: `w = …`",
                declared.name.text
            )
        })
    }

    /// A stored value in its whole shape.
    pub fn stored_weight(&self, id: NetId, local: &str) -> Option<Array> {
        let net = self.net(id);
        let array = net.store.get(local)?;
        let of = |p: &&Projection| local.strip_prefix(p.name.as_str()) == Some(".w");
        let shape = net.projections.iter().find(of).and_then(|p| p.weight.as_ref()).map(|q| q.shape.as_slice());
        let wide = shape.filter(|_| array.len() == 1).and_then(|shape| array.broadcast(ndarray::IxDyn(shape)));
        Some(wide.map_or_else(|| array.clone(), |wide| wide.to_owned().into_shared()))
    }

    /// Reports a member of the network in an argument of a connection, which is needed before anything is computed.
    fn not_yet_known(&mut self, id: NetId, names: &[String], span: Span) {
        let net = self.net(id);
        let own = net.member_names();
        let Some(name) = names.iter().find(|n| own.contains(n) && !net.broken.contains(n)) else { return };
        let trained = net.weights.iter().any(|q| q.name == *name);
        let message = format!("`{name}` is not known before the run, and what a connection is given is");
        let mut d = Diagnostic::error("E0239", span, message);
        if trained {
            d = d.help(
                "`dense()` has a trained weight of its own: `via Direct(w ~ normal(0, 1))` draws its first values",
            );
            d = d
                .help(format!("a weight that is used in several places stands in an expression: `let z = {name} @ x`"));
        }
        self.report(d);
    }

    /// An argument over the pairs of a connection: a value, an expression of `pre`, `post`, `i`, `j`, or a distribution.
    pub fn pair_argument(
        &mut self,
        id: NetId,
        p: &Projection,
        argument: &Argument,
        shape: &[usize],
        senders: usize,
        path: &str,
    ) -> Option<Num> {
        match argument {
            Argument::Value(value) => self.number(value.clone(), p.span),
            Argument::Draw(closure) => self.draw_values(*closure, closure.scope, shape, path),
            Argument::Expr(closure) => {
                let file = &self.modules.get(closure.expr.module).file;
                let names = crate::eval::names_in(file, closure.expr.id);
                let paired = names.iter().any(|n| matches!(n.as_str(), "pre" | "post" | "i" | "j" | "row"));
                let span = self.expr_span(closure.scope, closure.expr.id);
                if !paired {
                    return match self.eval(closure.scope, closure.expr.id) {
                        Value::Text(file) => self.weights_from(&file, span),
                        Value::Missing => {
                            self.not_yet_known(id, &names, span);
                            None
                        }
                        value => self.number(value, span),
                    };
                }
                let (pre, post) = self.end_populations(id, p);
                let first = p.first_sender() as u32;
                let edges = self.net(id).projections.iter().find(|q| q.name == p.name).and_then(|q| q.edges.clone());
                let pairs = match edges.filter(|_| !p.pattern.is_full()) {
                    Some(e) => Pairs::Listed {
                        senders: e.sender().into_iter().map(|s| s + first).collect(),
                        targets: e.target.to_vec(),
                    },
                    None => {
                        let (t0, t1) = p.target_cells.unwrap_or((0, post.size()));
                        let senders = (first..first + senders as u32).collect();
                        Pairs::Grid { senders, targets: (t0 as u32..t1 as u32).collect() }
                    }
                };
                let scope = self.pair_scope(closure.scope, pre.as_ref(), &post, &pairs);
                self.bind_row(scope, id, &p.name);
                let value = self.eval(scope, closure.expr.id);
                self.number(value, span)
            }
        }
    }

    /// A weight with a unit at a port without one: the port's unit may be what is missing.
    fn blame_bare_port(&self, id: NetId, p: &Projection, wanted: &Unit, d: Diagnostic) -> Diagnostic {
        let port = p.port.map(|port| &self.net(id).populations[p.target].ports[port]);
        let bare = |port: &&Port| wanted.is_real() && port.unit.is_real() && port.span.file == p.span.file;
        match port.filter(bare) {
            Some(port) => d.label(port.span, format!("`{}` is declared without a unit: `input {0}: UNIT`", port.name)),
            None => d,
        }
    }

    /// `row.weight`: a column of the table that a connection's pairs come from.
    fn bind_row(&mut self, scope: ScopeId, id: NetId, name: &str) {
        let projection = self.net(id).projections.iter().find(|q| q.name == name);
        let columns = projection.map_or(vec![], |q| q.columns.clone());
        let file = projection.and_then(|q| match &q.pattern {
            Pattern::From(file, _) => Some(file.clone()),
            _ => None,
        });
        if columns.is_empty() {
            return;
        }
        let row = self.scope(self.module_of(scope), None);
        for (column, values) in columns {
            self.bind(row, column, Value::Num(Num::array(Unit::REAL, values)));
        }
        self.scopes[row.0 as usize].table = file;
        self.bind(scope, "row", Value::Names(row));
    }

    fn weights_from(&mut self, file: &str, span: Span) -> Option<Num> {
        match crate::files::npy(self.host.files(), file) {
            Ok(array) => Some(Num::array(Unit::Zero, array)),
            Err(error) => {
                self.error("E0601", span, error.to_string());
                None
            }
        }
    }

    /// Glorot and Bengio (2010): uniform on ± sqrt(6 / (fan in + fan out)).
    pub fn glorot(&mut self, shape: &[usize], path: &str) -> Num {
        if self.mode == Mode::Check {
            return Num::scalar(Unit::Zero, 0.0);
        }
        let (fan_out, fan_in) = fans(shape);
        let bound = (6.0 / (fan_in + fan_out) as f64).sqrt();
        let key = nnm_runtime::random::key(self.seed, path);
        let size: usize = shape.iter().product();
        let values =
            (0..size).map(|k| (2.0 * nnm_runtime::random::uniform_f64(key, 0, k as u64) - 1.0) * bound).collect();
        Num { unit: Unit::Zero, ..Num::array(Unit::REAL, crate::value::shaped(shape, values)) }
    }

    /// A connection's delay in whole steps, one number or one an edge; axonal and dendritic.
    pub fn delays(&mut self, id: NetId, k: usize, dt: f64) -> Option<[Array; 2]> {
        let p = self.net(id).projections[k].clone();
        let mut out = [scalar(0.0), scalar(0.0)];
        for (side, num, span, rounded) in self.given_delays(id, &p)? {
            out[side] = self.whole_steps(&p, &num, dt, rounded, span)?;
        }
        Some(out)
    }

    /// A connection's delay from its sender's spike to the target: one number, or one for each of its synapses.
    pub fn delay_of(&mut self, id: NetId, k: usize) -> Option<Num> {
        let p = self.net(id).projections[k].clone();
        let mut sum: Option<Num> = None;
        for (_, num, span, _) in self.given_delays(id, &p)? {
            sum = Some(match sum {
                None => num,
                Some(sum) => self.add(&sum, &num, span),
            });
        }
        Some(sum.unwrap_or(Num::scalar(Unit::parse("ms")?, 0.0)))
    }

    /// What is given as delay, by side: the axon's (0) and the dendrite's (1); where, and whether it is rounded to steps.
    fn given_delays(&mut self, id: NetId, p: &Projection) -> Option<Vec<(usize, Num, Span, bool)>> {
        let argument = p.args.iter().find(|(n, _)| n == "delay").map(|(_, a)| a.clone());
        let (closure, drawn) = match argument {
            Some(Argument::Expr(c)) => (c, false),
            Some(Argument::Draw(c)) => (c, true),
            Some(Argument::Value(_)) | None => return Some(vec![]),
        };
        // What comes out of distances or of chance meets no grid: it is rounded to it.
        let rounded = p.args.iter().any(|(n, a)| n == "delay" && self.varies_by_pair(a));
        let span = self.expr_span(closure.scope, closure.expr.id);
        let mut out = vec![];
        for (side, expr) in self.delay_sides(closure) {
            let argument = if drawn { Argument::Draw(expr) } else { Argument::Expr(expr) };
            let edges = p.edges.clone();
            let shape: Vec<usize> = edges.as_ref().map_or(vec![], |e| vec![e.count()]);
            let senders = edges.as_ref().map_or(0, |e| e.senders);
            let path = format!("{}.{}.delay", self.net(id).origin, p.name);
            let sparse = Projection { pattern: Pattern::Total { n: 0, autapses: true, multapses: true }, ..p.clone() };
            out.push((side, self.pair_argument(id, &sparse, &argument, &shape, senders, &path)?, span, rounded));
        }
        Some(out)
    }

    fn delay_sides(&self, closure: Closure) -> Vec<(usize, Closure)> {
        use nnm_syntax::ast::{BinaryOp, ExprKind};
        let (id, expr) = self.bare_expr(closure.scope, closure.expr.id);
        let here = |id| Closure { expr: crate::hir::ExprRef { id, ..closure.expr }, ..closure };
        match expr.kind {
            ExprKind::Binary(BinaryOp::Add, a, b) => {
                let mut sides = self.delay_sides(here(a));
                sides.extend(self.delay_sides(here(b)));
                let sided = |id| matches!(self.bare_expr(closure.scope, id).1.kind, ExprKind::Sided(..));
                if sided(a) || sided(b) { sides } else { vec![(0, here(id))] }
            }
            ExprKind::Sided(inner, word) => vec![(usize::from(word.text == "dendritic"), here(inner))],
            _ => vec![(0, here(id))],
        }
    }

    /// Seconds (or a plain number of steps) as whole steps: an error where a given delay is none, rounded where it is
    /// drawn or computed from the ends.
    fn whole_steps(&mut self, p: &Projection, num: &Num, dt: f64, rounded: bool, span: Span) -> Option<Array> {
        let num = if self.has_unknown_edges(&p.pattern) { any_of(num.clone()) } else { num.clone() };
        let Repr::Const(array) = &num.repr else { return Some(scalar(0.0)) };
        let Some(array) = by_edge(p, array) else {
            let count = p.edges.as_ref().map_or(0, |e| e.count());
            let found = crate::eval::types::shape_text(array.shape());
            let message = format!("`{}` has {count} synapses, these are delays of the shape {found}", p.name);
            self.error("E0313", span, message);
            return None;
        };
        let per_step = if num.unit.is_real() { 1.0 } else { dt };
        if !num.unit.is_real() && num.unit.dim() != Some(crate::unit::TIME) {
            self.error("E0425", span, format!("a delay is a time or a number of steps, not {}", num.unit.describe()));
            return None;
        }
        let timed =
            self.program.as_ref().is_some_and(|p| p.purpose != crate::program::Purpose::Probe && p.dt.is_some());
        if timed && num.unit.is_real() && array.iter().any(|d| *d != 0.0) && self.is_bare_number(span) {
            let d = Diagnostic::error("E0425", span, "the network's steps have a length, and this delay has no unit");
            self.report(d.help("a delay is a time, `delay = 1 ms`, or counts steps, `delay = 1 step`"));
            return None;
        }
        let steps = array.mapv(|d| d / per_step);
        if steps.iter().any(|s| *s < -1e-9) {
            self.error("E0426", span, "a delay cannot be negative");
            return None;
        }
        if let Some(far) = steps.iter().find(|s| s.is_nan() || **s > LONGEST) {
            let message =
                if far.is_finite() { format!("a delay of {far:.0} steps") } else { format!("a delay of {far}") };
            self.error("E0426", span, format!("{message}: spikes wait for at most {LONGEST} steps"));
            return None;
        }
        if !rounded && steps.iter().any(|s| (s - s.round()).abs() > 1e-6) {
            let odd = steps.iter().copied().find(|s| (s - s.round()).abs() > 1e-6).unwrap_or(0.0);
            let step = crate::table::plain(dt * 1e3);
            let near = crate::table::plain(odd.round().max(1.0) * dt * 1e3);
            let message = format!("this delay is no whole number of steps of {step} ms");
            let d = Diagnostic::error("E0427", span, message);
            self.report(d.help(format!("`{near} ms` is one, or the simulation takes a smaller `step`")));
            return None;
        }
        Some(steps.mapv(f64::round).into_shared())
    }
}

/// One number for all synapses, or one for each in their order; of a table by targets and senders, those of the pairs.
fn by_edge(p: &Projection, array: &Array) -> Option<Array> {
    let Some(edges) = p.edges.as_ref().filter(|_| array.len() != 1) else { return Some(array.clone()) };
    let first = p.target_cells.map_or(0, |(a, _)| a);
    let targets = p.target_cells.map_or(edges.targets, |(a, b)| b - a);
    match array.shape() {
        [n] if *n == edges.count() => Some(array.clone()),
        [t, s] if (*t, *s) == (targets, edges.senders) => {
            let ends = edges.sender().into_iter().zip(edges.target.iter());
            Some(crate::value::vector(ends.map(|(s, t)| array[[*t as usize - first, s as usize]]).collect()))
        }
        _ => None,
    }
}

/// Steps of the longest delay: what is on its way is kept for so long.
const LONGEST: f64 = 1e7;

/// One of the numbers, for all: of synapses whose number is not known yet.
fn any_of(num: Num) -> Num {
    match num.as_const().filter(|a| a.ndim() == 1).and_then(|a| a.iter().next().copied()) {
        Some(first) => Num { repr: Repr::Const(scalar(first)), ..num },
        None => num,
    }
}

fn quantity(name: &str, unit: Unit, shape: Vec<usize>, span: Span) -> Quantity {
    Quantity { name: name.into(), unit, shape, open: false, class: None, span }
}

fn edges_of(rows: Csr, senders: usize, targets: usize, first_target: u32) -> Edges {
    let target: Vec<u32> = rows.other.into_iter().map(|t| t + first_target).collect();
    Edges { senders, targets, target: target.into(), rows: rows.ptr }
}

/// What stands for the edges while a model is checked: one, so that what is said of each has something to be said of.
fn one_edge(senders: usize) -> Csr {
    let ptr = std::iter::once(0).chain(std::iter::repeat_n(1, senders)).collect();
    Csr { ptr, other: if senders == 0 { vec![] } else { vec![0] } }
}

/// Fan out and fan in of a weight's shape `[out, in, …]`.
fn fans(shape: &[usize]) -> (usize, usize) {
    match shape {
        [] => (1, 1),
        [n] => (*n, 1),
        [out, inner, rest @ ..] => {
            let field: usize = rest.iter().product();
            (out * field, inner * field)
        }
    }
}
