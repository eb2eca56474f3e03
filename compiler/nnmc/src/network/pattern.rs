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
            let names: Vec<String> = allowed.iter().map(|a| a.to_string()).collect();
            self.no_parameter(&name, &n, s, &names);
        }
        match name.as_str() {
            "dense" => Some(Pattern::Dense { bias: self.flag(&call, "bias", true)? }),
            "all" => Some(Pattern::All { autapses: self.flag(&call, "autapses", true)? }),
            "one_to_one" => Some(Pattern::OneToOne),
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
                let near = suggest::nearest(&name, NAMES.into_iter());
                let d = suggest::did_you_mean(d, span, near);
                self.report(d.help(format!("the patterns are {}", NAMES.map(|n| format!("`{n}`")).join(", "))));
                None
            }
        }
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
