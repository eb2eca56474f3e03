//! Connection patterns: which sender meets which target, and the linear operation that a dense one is.

use nnm_graph::ir::{Conv, Pool};
use nnm_syntax::ast::ExprId;
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use crate::eval::{Call, Closure};
use crate::session::{ScopeId, Session};
use crate::suggest;
use crate::unit::Unit;

#[derive(Clone, Debug)]
pub enum Pattern {
    Dense {
        bias: bool,
    },
    All {
        autapses: bool,
    },
    OneToOne,
    /// Each ordered pair with this probability.
    Random {
        p: f64,
        autapses: bool,
    },
    /// Each unordered pair with this probability, then both ways.
    Symmetric {
        p: f64,
        autapses: bool,
    },
    /// A Poisson number of edges of this mean for each pair.
    Poisson {
        mean: f64,
        autapses: bool,
    },
    FanIn {
        k: usize,
        autapses: bool,
        multapses: bool,
    },
    FanOut {
        k: usize,
        autapses: bool,
        multapses: bool,
    },
    Total {
        n: usize,
        autapses: bool,
        multapses: bool,
    },
    /// Where a condition over the pair holds / with a probability over the pair.
    Where(Closure),
    Probability(Closure, bool),
    /// Each cell with its parent, both ways; -1 has none. Repeated along a population of several trees.
    Tree(std::sync::Arc<Vec<i64>>),
    /// Pairs from a table of a file.
    From(String, Span),
    Conv {
        size: [usize; 2],
        conv: Conv,
        bias: bool,
    },
    MaxPool(Pool),
    AvgPool(Pool),
    /// Each value repeated over so many rows and columns.
    Upsample(Pool),
}

const NAMES: [&str; 16] = [
    "dense",
    "all",
    "one_to_one",
    "random",
    "poisson",
    "fan_in",
    "fan_out",
    "total",
    "where",
    "probability",
    "tree",
    "from",
    "conv",
    "max_pool",
    "avg_pool",
    "upsample",
];

/// What patterns of other simulators are here.
const FOREIGN: [(&str, &str); 19] = [
    ("fixed_indegree", "`fan_in(k = …)`: so many senders for each target"),
    ("fixed_outdegree", "`fan_out(k = …)`: so many targets for each sender"),
    ("fixed_total_number", "`total(n = …)`: so many connections in all"),
    ("pairwise_bernoulli", "`random(p = …)`: each pair with this probability"),
    ("symmetric_pairwise_bernoulli", "`random(p = …, symmetric = true)`"),
    ("pairwise_poisson", "`poisson(mean = …)`: a Poisson number of connections for each pair"),
    ("pairwise_bernoulli_distance", "`probability(…)`: a formula of `pre` and `post`"),
    ("all_to_all", "`all()`"),
    ("full", "`all()`"),
    ("fully_connected", "`all()`, or `dense()` of trained weights"),
    ("linear", "`dense()`"),
    ("FixedNumberPreConnector", "`fan_in(k = …)`: so many senders for each target"),
    ("FixedNumberPostConnector", "`fan_out(k = …)`: so many targets for each sender"),
    ("FixedTotalNumberConnector", "`total(n = …)`: so many connections in all"),
    ("FixedProbabilityConnector", "`random(p = …)`: each pair with this probability"),
    ("AllToAllConnector", "`all()`"),
    ("OneToOneConnector", "`one_to_one()`"),
    ("FromFileConnector", "`from(\"pairs.csv\")`"),
    ("sparse", "`random(p = …)`: each pair with this probability"),
];

impl Pattern {
    /// Whether its weights are trained without further word.
    pub fn is_trained(&self) -> bool {
        matches!(self, Pattern::Dense { .. } | Pattern::Conv { .. })
    }

    /// Whether every sender meets every target.
    pub fn is_full(&self) -> bool {
        matches!(self, Pattern::Dense { .. } | Pattern::All { autapses: true })
    }

    pub fn has_bias(&self) -> bool {
        matches!(self, Pattern::Dense { bias: true } | Pattern::Conv { bias: true, .. })
    }

    /// Whether a linear operation of its own stands for it: a product with the full matrix, a convolution, pooling.
    pub fn is_plain_product(&self) -> bool {
        use Pattern::{All, AvgPool, Conv, Dense, MaxPool, OneToOne, Upsample};
        matches!(self, Dense { .. } | All { autapses: true } | OneToOne | Conv { .. })
            || matches!(self, MaxPool(_) | AvgPool(_) | Upsample(_))
    }

    /// Whether it is a list of pairs: convolutions and pooling are operations of their own.
    pub fn has_edges(&self) -> bool {
        !matches!(self, Pattern::Conv { .. } | Pattern::MaxPool(_) | Pattern::AvgPool(_) | Pattern::Upsample(_))
    }

    pub fn has_weight(&self) -> bool {
        !matches!(self, Pattern::MaxPool(_) | Pattern::AvgPool(_) | Pattern::Upsample(_))
    }
}

impl Session<'_> {
    /// The pattern after a connection's colon.
    pub fn pattern(&mut self, scope: ScopeId, id: ExprId) -> Option<Pattern> {
        let call = self.call_by_name(scope, id)?;
        let (name, span) = (call.name.clone(), call.span);
        let allowed = allowed(&name);
        let extra: Vec<(String, Span)> =
            call.named_args().filter(|(n, _, _)| !allowed.contains(n)).map(|(n, s, _)| (n.to_string(), s)).collect();
        for (n, s) in extra {
            if matches!(name.as_str(), "where" | "probability") && matches!(n.as_str(), "i" | "j") {
                let message = format!("`=` names an argument; to compare write `==`: `{name}({n} == …)`");
                self.error("E0011", s, message);
                return None;
            }
            if !NAMES.contains(&name.as_str()) {
                continue;
            }
            let names: Vec<String> = allowed.iter().map(|a| a.to_string()).collect();
            self.no_parameter(&name, &n, s, &names);
        }
        match name.as_str() {
            "dense" => Some(Pattern::Dense { bias: self.flag(&call, "bias", true)? }),
            "all" => Some(Pattern::All { autapses: self.flag(&call, "autapses", true)? }),
            "one_to_one" => Some(Pattern::OneToOne),
            "random" | "poisson" | "fan_in" | "fan_out" | "total" if self.varies_by_place(&call) => None,
            "random" => self.random_pattern(&call),
            "poisson" => self.poisson_pattern(&call),
            "fan_in" | "fan_out" | "total" => self.counted_pattern(&name, &call),
            "where" | "probability" => self.pair_pattern(&name, &call),
            "tree" => self.tree_pattern(&call),
            "from" => self.file_pattern(&call),
            "conv" => self.conv_pattern(&call),
            "max_pool" | "avg_pool" | "upsample" => self.pool_pattern(&name, &call),
            _ => {
                let d = Diagnostic::error("E0410", span, format!("`{name}` is no connection pattern"));
                if let Some((_, own)) = FOREIGN.iter().find(|(other, _)| *other == name) {
                    self.report(d.help(format!("it is {own}")));
                    return None;
                }
                let near = suggest::nearest(&name, NAMES.into_iter());
                let d = suggest::did_you_mean(d, span, near);
                self.report(d.help(format!("the patterns are {}", NAMES.map(|n| format!("`{n}`")).join(", "))));
                None
            }
        }
    }

    /// Reports a number of a pattern that is to be another one for each pair or cell.
    fn varies_by_place(&mut self, call: &Call) -> bool {
        let given: Vec<ExprId> = call.named_args().map(|(_, _, id)| id).chain(call.positional(0)).collect();
        let module = self.module_of(call.scope);
        for (id, name) in given.iter().flat_map(|id| ["i", "j", "pre", "post"].map(|name| (*id, name))) {
            let Some(at) = crate::eval::name_in(&self.modules.get(module).file, id, name) else { continue };
            let span = self.expr_span(call.scope, at);
            if self.local(call.scope, name, span).is_some() {
                continue;
            }
            let (what, help) = match call.name.as_str() {
                "random" => ("one probability for all pairs", "a probability of each pair is `probability(…)`"),
                "poisson" => ("one mean for all pairs", "a probability of each pair is `probability(…)`"),
                "total" => ("one number for the whole connection", "which pairs are joined is said by `where(…)`"),
                _ => (
                    "one number for all cells",
                    "cells of other numbers are connected by statements of their own: `connect a[0 .. 2] -> b: …`",
                ),
            };
            let message = format!("`{}` takes {what}; `{name}` is another one for each", call.name);
            let d = Diagnostic::error("E0683", span, message).help(help);
            self.report(d.help("`i`, `j`, `pre` and `post` stand in `where`, `probability`, weights and delays"));
            return true;
        }
        false
    }

    fn flag(&mut self, call: &Call, name: &str, default: bool) -> Option<bool> {
        match call.named(name) {
            None => Some(default),
            Some(id) => Some(self.known(call.scope, id, &format!("`{name}`"))?.as_f64()? != 0.0),
        }
    }

    fn first(&mut self, call: &Call, name: &str) -> Option<ExprId> {
        let found = call.named(name).or_else(|| call.positional(0));
        if found.is_none() {
            self.error("E0222", call.span, format!("`{}` needs `{name}`", call.name));
        }
        found
    }

    fn random_pattern(&mut self, call: &Call) -> Option<Pattern> {
        let id = self.first(call, "p")?;
        let p = self.known_quantity(call.scope, id, "a probability", &Unit::REAL)?;
        if !(0.0..=1.0).contains(&p) {
            let span = self.expr_span(call.scope, id);
            self.error("E0411", span, format!("a probability is between 0 and 1 (100 %), not {p}"));
            return None;
        }
        let autapses = self.flag(call, "autapses", true)?;
        Some(match self.flag(call, "symmetric", false)? {
            true => Pattern::Symmetric { p, autapses },
            false => Pattern::Random { p, autapses },
        })
    }

    fn poisson_pattern(&mut self, call: &Call) -> Option<Pattern> {
        let id = self.first(call, "mean")?;
        let mean = self.known_quantity(call.scope, id, "a mean number of connections", &Unit::REAL)?;
        if mean < 0.0 {
            let span = self.expr_span(call.scope, id);
            self.error("E0411", span, format!("a mean number of connections is not below 0, found {mean}"));
            return None;
        }
        Some(Pattern::Poisson { mean, autapses: self.flag(call, "autapses", true)? })
    }

    fn counted_pattern(&mut self, name: &str, call: &Call) -> Option<Pattern> {
        let id = self.first(call, if name == "total" { "n" } else { "k" })?;
        let k = self.known_int(call.scope, id, "a number of connections", 0)? as usize;
        let (autapses, multapses) = (self.flag(call, "autapses", true)?, self.flag(call, "multapses", true)?);
        Some(match name {
            "fan_in" => Pattern::FanIn { k, autapses, multapses },
            "fan_out" => Pattern::FanOut { k, autapses, multapses },
            _ => Pattern::Total { n: k, autapses, multapses },
        })
    }

    fn pair_pattern(&mut self, name: &str, call: &Call) -> Option<Pattern> {
        let id = self.first(call, if name == "where" { "condition" } else { "p" })?;
        let closure = self.closure(call.scope, id);
        Some(match name {
            "where" => Pattern::Where(closure),
            _ => Pattern::Probability(closure, self.flag(call, "autapses", true)?),
        })
    }

    /// `tree([-1, 0, 1, 1])`: each cell's parent by its place, -1 for a root, parents before their children.
    fn tree_pattern(&mut self, call: &Call) -> Option<Pattern> {
        let id = self.first(call, "parents")?;
        let num = self.operand(call.scope, id)?;
        let values: Vec<f64> = num.num.as_const().map(|a| a.iter().copied().collect()).unwrap_or_default();
        let good = |k: usize, p: f64| p.fract() == 0.0 && p >= -1.0 && p < k as f64;
        if values.is_empty() || !values.iter().enumerate().all(|(k, p)| good(k, *p)) {
            let message = "a tree lists each cell's parent: a place before its own, or -1 for a root";
            self.error("E0558", num.span, message);
            return None;
        }
        Some(Pattern::Tree(values.into_iter().map(|p| p as i64).collect::<Vec<i64>>().into()))
    }

    fn file_pattern(&mut self, call: &Call) -> Option<Pattern> {
        let id = self.first(call, "file")?;
        match self.eval(call.scope, id) {
            crate::value::Value::Text(text) => Some(Pattern::From(text.to_string(), call.span)),
            _ => {
                self.error("E0412", call.span, "`from` takes the name of a file: `from(\"pairs.csv\")`");
                None
            }
        }
    }

    fn sizes(&mut self, call: &Call) -> Option<[usize; 2]> {
        let first = self.first(call, "h")?;
        let h = self.known_int(call.scope, first, "a height", 1)? as usize;
        let w = match call.named("w").or_else(|| call.positional(1)) {
            Some(id) => self.known_int(call.scope, id, "a width", 1)? as usize,
            None => h,
        };
        Some([h, w])
    }

    fn count(&mut self, call: &Call, name: &str, default: usize) -> Option<usize> {
        match call.named(name) {
            Some(id) => Some(self.known_int(call.scope, id, &format!("`{name}`"), 0)? as usize),
            None => Some(default),
        }
    }

    fn conv_pattern(&mut self, call: &Call) -> Option<Pattern> {
        let size = self.sizes(call)?;
        let stride = self.count(call, "stride", 1)?.max(1);
        let groups = self.count(call, "groups", 1)?.max(1);
        let pad = match call.named("pad") {
            Some(id) if self.text(self.expr_span(call.scope, id)).trim() == "same" => {
                size.map(|n| [(n - 1) / 2, (n - 1) - (n - 1) / 2])
            }
            Some(id) => [[self.known_int(call.scope, id, "`pad`", 0)? as usize; 2]; 2],
            None => [[0; 2]; 2],
        };
        let bias = self.flag(call, "bias", true)?;
        Some(Pattern::Conv { size, conv: Conv { stride: [stride; 2], pad, groups }, bias })
    }

    fn pool_pattern(&mut self, name: &str, call: &Call) -> Option<Pattern> {
        let size = self.sizes(call)?;
        let stride = match self.count(call, "stride", 0)? {
            0 => size,
            n => [n; 2],
        };
        let pool = Pool { size, stride };
        Some(match name {
            "max_pool" => Pattern::MaxPool(pool),
            "avg_pool" => Pattern::AvgPool(pool),
            _ => Pattern::Upsample(pool),
        })
    }
}

fn allowed(name: &str) -> &'static [&'static str] {
    match name {
        "dense" => &["bias"],
        "all" => &["autapses"],
        "random" => &["p", "autapses", "symmetric"],
        "poisson" => &["mean", "autapses"],
        "fan_in" | "fan_out" => &["k", "autapses", "multapses"],
        "total" => &["n", "autapses", "multapses"],
        "where" => &["condition"],
        "probability" => &["p", "autapses"],
        "tree" => &["parents"],
        "from" => &["file"],
        "conv" => &["h", "w", "stride", "pad", "groups", "bias"],
        "max_pool" | "avg_pool" => &["h", "w", "stride"],
        "upsample" => &["h", "w"],
        _ => &[],
    }
}
