//! Every word with a meaning in the grammar: its class, and whether it starts statements, clauses or declarations.

use std::collections::HashMap;
use std::sync::LazyLock;

/// How the grammar sees a word. Words that share a syntax share a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    And,
    Or,
    Not,
    In,
    If,
    Then,
    Else,
    Let,
    Next,
    True,
    False,
    /// `param tau: ms = 20 ms`: a name, a type, a value, clauses.
    Decl,
    /// `record a, b every 1 ms`: expressions and clauses.
    List,
    /// `epochs 20`, also in `during epochs 0 .. 5` and after a count.
    Span,
    /// `normalize`: needs no operand.
    Bare,
    /// `simulate`, `train`.
    Sim,
    /// `neuron Name { … }`.
    Item,
    /// `by EXPR`.
    Clause,
    /// `shared`: a clause without operand.
    Flag,
    /// `upward` after `crosses`.
    Direction,
    /// `axonal` after a delay.
    Side,
    /// `steps` after a name: `for N steps`.
    Count,
    /// `population`, `part`.
    Member,
    /// `stop`, `done` before `when`.
    Cond,
    /// `pre`, `post` before `trace`.
    PrePost,
    Use,
    Fn,
    Local,
    Connect,
    Stimulate,
    Given,
    Set,
    Act,
    Clip,
    Constrain,
    Spike,
    When,
    On,
    Trace,
    Perturbed,
    Feedback,
    Direct,
    For,
    Hold,
    Every,
    Bound,
    To,
    Step,
    As,
    During,
    Event,
    Like,
    Before,
    Crosses,
}

/// What a word may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Roles {
    reserved: bool,
    declaration: bool,
    statement: bool,
    clause: bool,
    /// At a line's start it continues the line before.
    continues: bool,
}

const PLAIN: Roles = Roles { reserved: false, declaration: false, statement: false, clause: false, continues: false };
const RESERVED_WORD: Roles = Roles { reserved: true, ..PLAIN };
const DECLARATION: Roles = Roles { declaration: true, ..PLAIN };
const STATEMENT: Roles = Roles { statement: true, ..PLAIN };
const CLAUSE: Roles = Roles { clause: true, continues: true, ..PLAIN };
const CONTINUES: Roles = Roles { continues: true, ..PLAIN };
const BOTH: Roles = Roles { statement: true, clause: true, ..PLAIN };

/// The one table of words.
const TABLE: &[(Class, Roles, &[&str])] = &[
    (Class::And, RESERVED_WORD, &["and"]),
    (Class::Or, RESERVED_WORD, &["or"]),
    (Class::Not, RESERVED_WORD, &["not"]),
    (Class::In, RESERVED_WORD, &["in"]),
    (Class::If, RESERVED_WORD, &["if"]),
    (Class::Then, RESERVED_WORD, &["then"]),
    (Class::Else, RESERVED_WORD, &["else"]),
    (Class::Let, Roles { statement: true, ..RESERVED_WORD }, &["let"]),
    (Class::Next, Roles { statement: true, ..RESERVED_WORD }, &["next"]),
    (Class::True, RESERVED_WORD, &["true"]),
    (Class::False, RESERVED_WORD, &["false"]),
    (
        Class::Decl,
        STATEMENT,
        &[
            "param",
            "state",
            "input",
            "weight",
            "running",
            "const",
            "noise",
            "modulator",
            "latent",
            "report",
            "data",
            "output",
            "action",
            "term",
        ],
    ),
    (
        Class::List,
        STATEMENT,
        &[
            "record",
            "plot",
            "expect",
            "minimize",
            "maximize",
            "learn",
            "save",
            "load",
            "seed",
            "batch",
            "solve",
            "freeze",
            "observe",
            "reward",
            "change",
            "settle",
            "precision",
            "truncate",
            "accumulate",
            "reset",
            "interpolate",
        ],
    ),
    (Class::Span, STATEMENT, &["epochs", "updates"]),
    (Class::Bare, STATEMENT, &["normalize", "validate", "checkpoint", "early_stop"]),
    (Class::Sim, STATEMENT, &["simulate", "train"]),
    (
        Class::Item,
        DECLARATION,
        &["neuron", "synapse", "rule", "optimizer", "architecture", "objective", "environment", "experiment"],
    ),
    (
        Class::Clause,
        CLAUSE,
        &["by", "with", "over", "via", "at", "scale", "surrogate", "through", "minimizing", "from", "after", "where"],
    ),
    (Class::Flag, CLAUSE, &["shared", "plastic", "parallel"]),
    (Class::Direction, CONTINUES, &["upward", "downward"]),
    (Class::Side, CONTINUES, &["axonal", "dendritic"]),
    (Class::Count, PLAIN, &["steps", "episodes"]),
    (Class::Member, STATEMENT, &["population", "part"]),
    (Class::Cond, STATEMENT, &["stop", "done"]),
    (Class::PrePost, PLAIN, &["pre", "post"]),
    (Class::Use, DECLARATION, &["use"]),
    (Class::Fn, DECLARATION, &["fn"]),
    (Class::Local, DECLARATION, &["local"]),
    (Class::Connect, STATEMENT, &["connect"]),
    (Class::Stimulate, STATEMENT, &["stimulate"]),
    (Class::Given, BOTH, &["given"]),
    (Class::Set, STATEMENT, &["set"]),
    (Class::Act, STATEMENT, &["act"]),
    (Class::Clip, STATEMENT, &["clip"]),
    (Class::Constrain, STATEMENT, &["constrain"]),
    (Class::Spike, STATEMENT, &["spike"]),
    (Class::When, STATEMENT, &["when"]),
    (Class::On, BOTH, &["on"]),
    (Class::Trace, PLAIN, &["trace"]),
    (Class::Perturbed, STATEMENT, &["perturbed"]),
    (Class::Feedback, STATEMENT, &["feedback"]),
    (Class::Direct, PLAIN, &["direct"]),
    (Class::For, BOTH, &["for"]),
    (Class::Hold, STATEMENT, &["hold"]),
    (Class::Every, Roles { continues: true, ..BOTH }, &["every"]),
    (Class::Bound, STATEMENT, &["bound"]),
    (Class::To, CLAUSE, &["to"]),
    (Class::Step, Roles { clause: true, ..PLAIN }, &["step"]),
    (Class::As, CLAUSE, &["as"]),
    (Class::During, CLAUSE, &["during"]),
    (Class::Event, PLAIN, &["event"]),
    (Class::Like, PLAIN, &["like"]),
    (Class::Before, PLAIN, &["before"]),
    (Class::Crosses, CONTINUES, &["crosses"]),
];

/// The words that are never names.
pub const RESERVED: [&str; 11] = ["and", "or", "not", "in", "if", "then", "else", "let", "next", "true", "false"];

static INDEX: LazyLock<HashMap<&'static str, (Class, Roles)>> = LazyLock::new(|| {
    let rows = TABLE.iter().flat_map(|(class, roles, words)| words.iter().map(move |word| (*word, (*class, *roles))));
    rows.collect()
});

/// The class of a word that the grammar knows.
pub fn class(word: &str) -> Option<Class> {
    INDEX.get(word).map(|row| row.0)
}

fn roles(word: &str) -> Roles {
    INDEX.get(word).map_or(PLAIN, |row| row.1)
}

fn words_with(role: impl Fn(&Roles) -> bool) -> Vec<&'static str> {
    TABLE.iter().filter(|row| role(&row.1)).flat_map(|row| row.2.iter().copied()).collect()
}

/// The words that a statement may begin with, in the order of the table.
pub fn statement_words() -> Vec<&'static str> {
    words_with(|roles| roles.statement)
}

/// The words that a clause may begin with.
pub fn clause_words() -> Vec<&'static str> {
    words_with(|roles| roles.clause)
}

/// The words that a declaration at the top of a file may begin with.
pub fn declaration_words() -> Vec<&'static str> {
    words_with(|roles| roles.declaration)
}

pub fn is_reserved(word: &str) -> bool {
    roles(word).reserved
}

pub fn is_statement_word(word: &str) -> bool {
    roles(word).statement
}

pub fn is_clause_word(word: &str) -> bool {
    roles(word).clause
}

/// Whether a line that starts with this word continues the line before.
pub fn continues_line(word: &str) -> bool {
    roles(word).continues
}

/// Whether the word may follow a complete expression: clauses, flags, directions, sides, counts, operators.
pub fn follows_value(word: &str) -> bool {
    let Some(class) = class(word) else { return false };
    is_clause_word(word)
        || matches!(
            class,
            Class::And
                | Class::Or
                | Class::In
                | Class::Then
                | Class::Else
                | Class::Direction
                | Class::Side
                | Class::Count
                | Class::Span
                | Class::Crosses
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserved_list_is_the_table() {
        assert_eq!(words_with(|roles| roles.reserved), RESERVED);
    }

    #[test]
    fn no_word_is_listed_twice() {
        let rows = TABLE.iter().flat_map(|row| row.2.iter()).count();
        assert_eq!(rows, INDEX.len());
    }
}
