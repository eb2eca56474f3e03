//! The parser that LALRPOP makes of `grammar.lalrpop`.

lalrpop_util::lalrpop_mod!(
    #[allow(clippy::all, unused, rustdoc::all, elided_lifetimes_in_paths)]
    generated,
    "/grammar.rs"
);

pub use generated::{ExprParser, ItemParser, StmtParser};
