//! Tokens: what the lexer and the token layer hand to the grammar.

use crate::words::Class;

/// A token's kind. Text is found in the source by the token's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tok {
    Ident,
    Word(Class),
    Number,
    /// A number with its unit.
    Quantity,
    Text,
    Symbol(Symbol),
    /// Something the language does not have; no grammar rule uses it.
    Bad(Bad),
    /// Between two statements.
    Separator,
    /// `{` of a block; the token layer pairs it with its `CloseBlock`.
    OpenBlock,
    CloseBlock,
    /// `{` of a set of names; `.{` is [`Symbol::DotBrace`].
    OpenSet,
    CloseSet,
    /// A whole block, parsed: its place in the builder.
    Block(u32),
    /// A whole body of `let`s and a value, parsed: its place in the builder.
    Lets(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Symbol {
    Plus,
    Minus,
    Star,
    Slash,
    At,
    Caret,
    Equal,
    EqualEqual,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    PlusEqual,
    MinusEqual,
    StarEqual,
    SlashEqual,
    DotDot,
    Dot,
    DotStar,
    DotBrace,
    Comma,
    Colon,
    Semicolon,
    OpenParen,
    CloseParen,
    OpenBracket,
    CloseBracket,
    OpenBrace,
    CloseBrace,
    Prime,
    Arrow,
    Pipe,
    Tilde,
    Percent,
}

/// Why a token is not part of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bad {
    Character,
    AndAnd,
    OrOr,
    Bang,
    /// `'text'`
    SingleQuoted,
    /// A text that does not end on its line.
    OpenText,
    /// A text with an unknown `\x`.
    Escape,
    /// `10 mV/tau`
    UnitTail,
    /// `5 mV^n`
    UnitPower,
    /// `1e999`
    NumberRange,
    /// An identifier that is too long.
    LongName,
}

/// A token with its place: bytes `start .. end` of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    pub tok: Tok,
    pub start: u32,
    pub end: u32,
    /// Whether it is the first on its line.
    pub first_on_line: bool,
}

impl Token {
    pub fn text<'text>(&self, source: &'text str) -> &'text str {
        source.get(self.start as usize..self.end as usize).unwrap_or("")
    }

    pub fn is_symbol(&self, symbol: Symbol) -> bool {
        self.tok == Tok::Symbol(symbol)
    }

    /// An identifier or a word of the grammar, reserved ones included.
    pub fn is_word(&self) -> bool {
        matches!(self.tok, Tok::Ident | Tok::Word(_))
    }

    /// Whether a name may be this token: any word that is not reserved.
    pub fn is_name(&self, source: &str) -> bool {
        self.is_word() && !crate::words::is_reserved(self.text(source))
    }
}
