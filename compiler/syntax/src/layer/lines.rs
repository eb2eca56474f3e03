//! What the first tokens of a line say about it: a declaration, surely a statement, or more of the line before.

use crate::layer::{starts_operand, word_class};
use crate::token::{Bad, Symbol, Tok, Token};
use crate::words::{self, Class};

/// The tokens from a line's first on.
pub struct Ahead<'a> {
    pub text: &'a str,
    pub tokens: &'a [Token],
}

/// Whether a statement may end with this token.
pub fn can_end_statement(token: Token, text: &str) -> bool {
    match token.tok {
        Tok::Symbol(symbol) => {
            matches!(
                symbol,
                Symbol::CloseParen | Symbol::CloseBracket | Symbol::CloseBrace | Symbol::Prime | Symbol::DotStar
            ) || symbol == Symbol::Semicolon
        }
        Tok::Bad(bad) => !matches!(bad, Bad::AndAnd | Bad::OrOr | Bad::Bang),
        Tok::Word(Class::True | Class::False) => true,
        Tok::Word(_) => !words::is_reserved(token.text(text)),
        _ => true,
    }
}

impl Ahead<'_> {
    fn get(&self, index: usize) -> Option<&Token> {
        self.tokens.get(index)
    }

    fn class(&self, index: usize) -> Option<Class> {
        word_class(self.get(index)?)
    }

    fn is_name(&self, index: usize) -> bool {
        self.get(index).is_some_and(|token| token.is_name(self.text))
    }

    fn is_symbol(&self, index: usize, symbols: &[Symbol]) -> bool {
        self.get(index).is_some_and(|token| symbols.iter().any(|symbol| token.is_symbol(*symbol)))
    }

    /// `neuron X`, `fn f`, `use a`, `local rule`; the caller has seen that it stands at column 1.
    pub fn starts_item(&self) -> bool {
        match self.class(0) {
            Some(Class::Item | Class::Use | Class::Fn) => self.is_name(1) && !self.follows_value(1),
            Some(Class::Local) => self.class(1) == Some(Class::Item),
            _ => false,
        }
    }

    fn follows_value(&self, index: usize) -> bool {
        self.get(index).is_some_and(|token| words::follows_value(token.text(self.text)))
    }

    /// Whether the line can be nothing but the start of a statement, wherever it stands.
    pub fn only_a_statement(&self) -> bool {
        let Some(first) = self.get(0) else { return false };
        match self.class(0) {
            Some(Class::Let) => return self.is_name(1) && self.is_symbol(2, &[Symbol::Equal, Symbol::Colon]),
            Some(Class::Next) => return self.is_name(1) && self.is_symbol(2, &[Symbol::Equal]),
            _ => {}
        }
        if !first.is_name(self.text) {
            return false;
        }
        self.starts_change() || self.starts_with_statement_word()
    }

    /// `name' =`, `a.b +=`.
    fn starts_change(&self) -> bool {
        let mut index = 1;
        while self.is_symbol(index, &[Symbol::Dot]) && self.is_name(index + 1) {
            index += 2;
        }
        let changes = [Symbol::PlusEqual, Symbol::MinusEqual, Symbol::StarEqual, Symbol::SlashEqual];
        self.is_symbol(index, &changes)
            || (self.is_symbol(index, &[Symbol::Prime]) && self.is_symbol(index + 1, &[Symbol::Equal]))
    }

    /// A statement word, no clause word, followed by what only an operand or a name can be.
    fn starts_with_statement_word(&self) -> bool {
        let (Some(first), Some(second)) = (self.get(0), self.get(1)) else { return false };
        let word = first.text(self.text);
        if !words::is_statement_word(word) || words::is_clause_word(word) {
            return false;
        }
        match second.tok {
            Tok::Number | Tok::Quantity | Tok::Ident | Tok::Word(Class::When) => true,
            Tok::Word(_) => second.is_name(self.text) && !self.follows_value(1),
            _ => false,
        }
    }

    /// Whether the line continues the one before, if that one may have ended.
    pub fn goes_on(&self) -> bool {
        let Some(first) = self.get(0) else { return false };
        match first.tok {
            Tok::Symbol(Symbol::OpenParen | Symbol::OpenBracket) => false,
            Tok::Symbol(Symbol::Minus) => self.get(1).is_none_or(|next| next.start > first.end),
            Tok::Symbol(_) => true,
            Tok::Bad(bad) => matches!(bad, Bad::AndAnd | Bad::OrOr),
            Tok::Word(class) => self.word_goes_on(class, first.text(self.text)),
            _ => false,
        }
    }

    fn word_goes_on(&self, class: Class, word: &str) -> bool {
        let operand = self.get(1).is_some_and(|token| starts_operand(token, self.get(2), self.text));
        match class {
            Class::And | Class::Or | Class::In | Class::Then | Class::Else => true,
            Class::For => operand && self.class(2) != Some(Class::In),
            Class::Step => self.get(1).is_some_and(|token| matches!(token.tok, Tok::Number | Tok::Quantity)),
            Class::Every => operand && !self.line_has_block(),
            Class::Flag | Class::Direction | Class::Side => words::continues_line(word) && !self.is_left_side(),
            _ => words::continues_line(word) && operand,
        }
    }

    /// `shared = 3`, `upward.x`, `plastic * x`: the word is a variable.
    fn is_left_side(&self) -> bool {
        self.get(1).is_some_and(|token| match token.tok {
            Tok::Symbol(symbol) => !matches!(symbol, Symbol::CloseBrace | Symbol::OpenBrace | Symbol::Semicolon),
            _ => false,
        })
    }

    /// `every 5 ms { … }` and `every 5 ms: x += 1` are statements of their own.
    fn line_has_block(&self) -> bool {
        let line = self.tokens.iter().skip(1).take_while(|token| !token.first_on_line);
        let mut depth = 0usize;
        for token in line {
            match token.tok {
                Tok::Symbol(Symbol::OpenParen | Symbol::OpenBracket | Symbol::DotBrace) => depth += 1,
                Tok::Symbol(Symbol::CloseParen | Symbol::CloseBracket) => depth = depth.saturating_sub(1),
                Tok::Symbol(Symbol::CloseBrace) => depth = depth.saturating_sub(1),
                Tok::Symbol(Symbol::OpenBrace | Symbol::Colon) if depth == 0 => return true,
                Tok::Symbol(Symbol::Semicolon) => return false,
                _ => {}
            }
        }
        false
    }

    /// Whether these tokens, after a `{` inside parentheses, are a block's: then the parenthesis was not closed.
    pub fn is_block_content(&self) -> bool {
        let Some(first) = self.get(0) else { return true };
        first.first_on_line
            || self.only_a_statement()
            || (first.is_name(self.text) && self.is_symbol(1, &[Symbol::Equal]))
    }
}
