//! Text to tree: source map, diagnostics, lexer, token layer, parser, formatter.
//!
//! [`parse`] never fails: it returns a tree, the comments beside it, and what is wrong. [`format()`] keeps the meaning
//! and every comment. [`print_ast`] and [`print_tokens`] show the stages.

pub mod ast;
pub mod diag;
pub mod span;
pub mod trivia;
pub mod units;
pub mod words;

mod builder;
mod format;
mod grammar;
mod layer;
mod lexer;
mod messages;
mod parser;
mod print;
mod token;

pub use format::format;
pub use messages::{CODES, nearest};
pub use parser::{Parsed, parse};
pub use print::{equal_modulo_spans, print_ast, print_tokens};
pub use trivia::Trivia;
pub use words::{RESERVED, clause_words, statement_words};

#[cfg(test)]
mod tests;
