//! Reading of printed kernels; the result may still be one that [`crate::verify`] refuses.

use crate::ir::{
    Arg, At, Binary, Body, BufId, Buffer, Compare, Cond, Draw, Elem, Inst, Int, IntCmp, Kernel, LoopId, Map, Math,
    Precision, Ref, Rows, SlotId, Stmt, Unary, Val,
};
use crate::names::Named;
use lex::Token;
use std::collections::HashMap;
use std::error::Error;
use std::fmt;

mod lex;

/// Why a text is no kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    pub line: u32,
    pub message: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl Error for ParseError {}

/// Reads one kernel. Text after `//` is for the reader and is dropped.
pub fn parse(text: &str) -> Result<Kernel, ParseError> {
    let tokens = lex::lex(text)?;
    let mut parser = Parser { tokens, place: 0, depth: 0, buffers: HashMap::new(), slots: HashMap::new() };
    let kernel = parser.kernel()?;
    match parser.peek() {
        Token::End => Ok(kernel),
        _ => Err(parser.expected("the end of the kernel")),
    }
}

/// Blocks and parentheses may nest this deep.
const DEEPEST: u32 = 200;

type Parsed<T> = Result<T, ParseError>;

struct Parser {
    tokens: Vec<(Token, u32)>,
    place: usize,
    depth: u32,
    buffers: HashMap<String, BufId>,
    slots: HashMap<String, SlotId>,
}

impl Parser {
    fn kernel(&mut self) -> Parsed<Kernel> {
        self.word("kernel")?;
        let name = self.name()?;
        let precision = self.named::<Precision>("`f32` or `f64`")?;
        let mut kernel = Kernel { name, precision, buffers: Vec::new(), slots: Vec::new(), body: Vec::new() };
        loop {
            if self.take_word("buffer") {
                let buffer = self.buffer()?;
                self.buffers.entry(buffer.name.clone()).or_insert(BufId(kernel.buffers.len() as u32));
                kernel.buffers.push(buffer);
            } else if self.take_word("slot") {
                let slot = self.name()?;
                self.slots.entry(slot.clone()).or_insert(SlotId(kernel.slots.len() as u32));
                kernel.slots.push(slot);
            } else {
                self.word("body")?;
                kernel.body = self.block()?;
                return Ok(kernel);
            }
        }
    }

    fn buffer(&mut self) -> Parsed<Buffer> {
        let name = self.name()?;
        self.symbol(":")?;
        let elem = self.named::<Elem>("`f32`, `f64`, `u32` or `i64`")?;
        self.symbol("[")?;
        let len = self.unsigned()?;
        self.symbol("]")?;
        Ok(Buffer { name, elem, len })
    }

    fn block(&mut self) -> Parsed<Vec<Stmt>> {
        self.symbol("{")?;
        self.nested(|parser| {
            let mut body = Vec::new();
            while !parser.take_symbol("}") {
                body.push(parser.stmt()?);
            }
            Ok(body)
        })
    }

    fn stmt(&mut self) -> Parsed<Stmt> {
        if let Token::Note(text) = self.peek() {
            let text = text.clone();
            self.place += 1;
            return Ok(Stmt::Note(text));
        }
        match self.any_word("a statement")?.as_str() {
            "for" => self.for_loop(),
            "if" => self.branch(),
            "set" => {
                self.symbol("$")?;
                let slot = self.slot()?;
                self.symbol("=")?;
                Ok(Stmt::Set { slot, value: self.int()? })
            }
            "map" => {
                let len = self.int()?;
                Ok(Stmt::Map(Map { len, body: self.body()? }))
            }
            "rows" => self.rows(),
            "call" => self.call(),
            "return" => {
                let status = self.signed()?;
                let status = i32::try_from(status).map_err(|_| self.error("a status is a number of 32 bits"))?;
                Ok(Stmt::Return { status })
            }
            _ => {
                self.place -= 1;
                Err(self.expected("a statement"))
            }
        }
    }

    fn for_loop(&mut self) -> Parsed<Stmt> {
        let word = self.any_word("a loop index such as `i0`")?;
        let index = loop_index(&word).ok_or_else(|| self.error("a loop index is `i` and a number"))?;
        self.word("in")?;
        let from = self.int()?;
        self.symbol("..")?;
        let to = self.int()?;
        let down = self.take_word("down");
        Ok(Stmt::For { index, from, to, down, body: self.block()? })
    }

    fn branch(&mut self) -> Parsed<Stmt> {
        let a = self.int()?;
        let op = match self.next() {
            Token::Symbol(symbol) => IntCmp::from_name(symbol),
            _ => None,
        };
        let op = op.ok_or_else(|| self.error("expected `==`, `!=`, `<` or `<=`"))?;
        let cond = Cond { op, a, b: self.int()? };
        let then = self.block()?;
        let otherwise = if self.take_word("else") { self.block()? } else { Vec::new() };
        Ok(Stmt::If { cond, then, otherwise })
    }

    fn rows(&mut self) -> Parsed<Stmt> {
        self.word("list")?;
        let list = self.reference()?;
        self.word("count")?;
        let count = self.int()?;
        self.word("ptr")?;
        let ptr = self.reference()?;
        let end = if self.take_word("end") { Some(self.reference()?) } else { None };
        let edge = if self.take_word("edge") { Some(self.reference()?) } else { None };
        self.word("other")?;
        let other = self.reference()?;
        Ok(Stmt::Rows(Rows { list, count, ptr, end, edge, other, body: self.body()? }))
    }

    fn call(&mut self) -> Parsed<Stmt> {
        let prim = self.name()?;
        self.symbol("(")?;
        let mut args = Vec::new();
        while !self.take_symbol(")") {
            if !args.is_empty() {
                self.symbol(",")?;
            }
            args.push(self.arg()?);
        }
        Ok(Stmt::Call { prim, args })
    }

    fn arg(&mut self) -> Parsed<Arg> {
        if self.take_symbol("&") {
            return Ok(Arg::Buf(self.reference()?));
        }
        let sign = usize::from(*self.peek() == Token::Symbol("-"));
        let is_real = match self.at(sign) {
            Token::Real(_) => true,
            Token::Word(word) => (word == "inf" || word == "nan") && *self.at(sign + 1) != Token::Symbol("["),
            _ => false,
        };
        if is_real { Ok(Arg::Real(self.real()?)) } else { Ok(Arg::Int(self.int()?)) }
    }

    fn body(&mut self) -> Parsed<Body> {
        self.symbol("{")?;
        let mut insts = Vec::new();
        while !self.take_symbol("}") {
            let inst = match *self.peek() {
                Token::Value(number) => {
                    self.place += 1;
                    if number as usize != insts.len() {
                        return Err(self.error(&format!("expected `%{}`: values are numbered by place", insts.len())));
                    }
                    self.symbol("=")?;
                    self.inst()?
                }
                _ => self.effect()?,
            };
            insts.push(inst);
        }
        Ok(Body { insts })
    }

    fn effect(&mut self) -> Parsed<Inst> {
        if self.take_word("store") {
            let (to, at) = self.element()?;
            self.symbol("=")?;
            Ok(Inst::Store { to, at, value: self.value()? })
        } else if self.take_word("addto") {
            let (to, at) = self.element()?;
            self.symbol("+=")?;
            Ok(Inst::AddTo { to, at, value: self.value()? })
        } else {
            Err(self.expected("a value, `store` or `addto`"))
        }
    }

    fn inst(&mut self) -> Parsed<Inst> {
        let word = self.any_word("an instruction")?;
        match word.as_str() {
            "const" => Ok(Inst::Const(self.real()?)),
            "int" => Ok(Inst::Int(self.int()?)),
            "index" => Ok(Inst::Index),
            "load" => {
                let (from, at) = self.element()?;
                Ok(Inst::Load { from, at })
            }
            "fma" => Ok(Inst::Fma { a: self.value()?, b: self.value()?, c: self.value()? }),
            "and" => Ok(Inst::And { a: self.value()?, b: self.value()? }),
            "or" => Ok(Inst::Or { a: self.value()?, b: self.value()? }),
            "not" => Ok(Inst::Not { a: self.value()? }),
            "select" => Ok(Inst::Select { mask: self.value()?, a: self.value()?, b: self.value()? }),
            "draw" => self.draw(),
            name => self.operation(name),
        }
    }

    fn operation(&mut self, name: &str) -> Parsed<Inst> {
        if let Some(op) = Unary::from_name(name) {
            Ok(Inst::Unary { op, a: self.value()? })
        } else if let Some(op) = Binary::from_name(name) {
            Ok(Inst::Binary { op, a: self.value()?, b: self.value()? })
        } else if let Some(op) = Compare::from_name(name) {
            Ok(Inst::Compare { op, a: self.value()?, b: self.value()? })
        } else if let Some(f) = Math::from_name(name) {
            Ok(Inst::Math { f, args: self.values() })
        } else {
            Err(self.error(&format!("there is no instruction `{name}`")))
        }
    }

    fn draw(&mut self) -> Parsed<Inst> {
        let draw = self.named::<Draw>("`uniform`, `normal` or `poisson`")?;
        self.word("key")?;
        let key = self.unsigned()?;
        self.word("step")?;
        let step = self.int()?;
        self.word("base")?;
        let base = self.int()?;
        Ok(Inst::Draw { draw, key, step, base, args: self.values() })
    }

    fn element(&mut self) -> Parsed<(Ref, At)> {
        let place = self.reference()?;
        let at = match self.any_word("`unit`, `splat`, `gather`, `edge`, `own` or `other`")?.as_str() {
            "unit" => At::Unit,
            "splat" => At::Splat,
            "gather" => At::Gather(self.reference()?),
            "edge" => At::Edge,
            "own" => At::Own,
            "other" => At::Other,
            _ => return Err(self.error("expected `unit`, `splat`, `gather`, `edge`, `own` or `other`")),
        };
        Ok((place, at))
    }

    fn value(&mut self) -> Parsed<Val> {
        match *self.next() {
            Token::Value(number) => Ok(Val(number)),
            _ => Err(self.error("expected a value such as `%0`")),
        }
    }

    /// As many values as follow.
    fn values(&mut self) -> Vec<Val> {
        let mut list = Vec::new();
        while let Token::Value(number) = *self.peek() {
            // a value that starts the next line is a definition
            if *self.at(1) == Token::Symbol("=") {
                break;
            }
            list.push(Val(number));
            self.place += 1;
        }
        list
    }

    fn reference(&mut self) -> Parsed<Ref> {
        let buffer = self.buffer_id()?;
        self.symbol("[")?;
        let offset = self.int()?;
        self.symbol("]")?;
        Ok(Ref { buffer, offset })
    }

    fn buffer_id(&mut self) -> Parsed<BufId> {
        if self.take_symbol("@") {
            return Ok(BufId(self.id()?));
        }
        let name = self.any_word("a buffer")?;
        self.buffers.get(&name).copied().ok_or_else(|| self.error(&format!("there is no buffer `{name}`")))
    }

    fn slot(&mut self) -> Parsed<SlotId> {
        if self.take_symbol("@") {
            return Ok(SlotId(self.id()?));
        }
        let name = self.any_word("a slot")?;
        self.slots.get(&name).copied().ok_or_else(|| self.error(&format!("there is no slot `{name}`")))
    }

    fn int(&mut self) -> Parsed<Int> {
        self.nested(|parser| {
            let mut left = parser.product()?;
            loop {
                let make = match parser.peek() {
                    Token::Symbol("+") => Int::Add,
                    Token::Symbol("-") => Int::Sub,
                    _ => return Ok(left),
                };
                parser.place += 1;
                left = make(Box::new(left), Box::new(parser.product()?));
            }
        })
    }

    fn product(&mut self) -> Parsed<Int> {
        let mut left = self.factor()?;
        loop {
            let make = match self.peek() {
                Token::Symbol("*") => Int::Mul,
                Token::Symbol("/") => Int::Div,
                Token::Symbol("%") => Int::Rem,
                _ => return Ok(left),
            };
            self.place += 1;
            left = make(Box::new(left), Box::new(self.factor()?));
        }
    }

    fn factor(&mut self) -> Parsed<Int> {
        if self.take_symbol("(") {
            let inner = self.int()?;
            self.symbol(")")?;
            return Ok(inner);
        }
        if self.take_symbol("$") {
            return Ok(Int::Slot(self.slot()?));
        }
        let is_load = *self.at(1) == Token::Symbol("[");
        match self.peek() {
            Token::Integer(_) | Token::Symbol("-") => Ok(Int::Const(self.signed()?)),
            Token::Word(word) if !is_load => {
                let index = loop_index(word).ok_or_else(|| self.expected("an integer"))?;
                self.place += 1;
                Ok(Int::Loop(index))
            }
            Token::Word(_) | Token::Symbol("@") => Ok(Int::Load(Box::new(self.reference()?))),
            _ => Err(self.expected("an integer")),
        }
    }
}

/// Words and numbers.
impl Parser {
    fn at(&self, ahead: usize) -> &Token {
        let last = self.tokens.len() - 1;
        &self.tokens[(self.place + ahead).min(last)].0
    }

    fn peek(&self) -> &Token {
        self.at(0)
    }

    fn next(&mut self) -> &Token {
        self.place += 1;
        let last = self.tokens.len() - 1;
        &self.tokens[(self.place - 1).min(last)].0
    }

    /// An error about the word before.
    fn error(&self, message: &str) -> ParseError {
        let place = self.place.saturating_sub(1).min(self.tokens.len() - 1);
        ParseError { line: self.tokens[place].1, message: message.to_string() }
    }

    /// An error about the word to come.
    fn expected(&self, what: &str) -> ParseError {
        let (token, line) = &self.tokens[self.place.min(self.tokens.len() - 1)];
        let found = match token {
            Token::Word(text) | Token::Integer(text) | Token::Real(text) | Token::Quoted(text) => format!("`{text}`"),
            Token::Value(number) => format!("`%{number}`"),
            Token::Symbol(symbol) => format!("`{symbol}`"),
            Token::Note(_) => String::from("a note"),
            Token::End => String::from("the end of the text"),
        };
        ParseError { line: *line, message: format!("expected {what}, found {found}") }
    }

    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == DEEPEST {
            return Err(self.error("nested too deep"));
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    fn take_symbol(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Token::Symbol(found) if *found == symbol);
        self.place += usize::from(found);
        found
    }

    fn symbol(&mut self, symbol: &str) -> Parsed<()> {
        if self.take_symbol(symbol) { Ok(()) } else { Err(self.expected(&format!("`{symbol}`"))) }
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Token::Word(found) if found == word);
        self.place += usize::from(found);
        found
    }

    fn word(&mut self, word: &str) -> Parsed<()> {
        if self.take_word(word) { Ok(()) } else { Err(self.expected(&format!("`{word}`"))) }
    }

    fn any_word(&mut self, what: &str) -> Parsed<String> {
        match self.peek() {
            Token::Word(word) => {
                let word = word.clone();
                self.place += 1;
                Ok(word)
            }
            _ => Err(self.expected(what)),
        }
    }

    fn name(&mut self) -> Parsed<String> {
        if let Token::Quoted(name) = self.peek() {
            let name = name.clone();
            self.place += 1;
            return Ok(name);
        }
        self.any_word("a name")
    }

    fn named<T: Named>(&mut self, what: &str) -> Parsed<T> {
        let word = self.any_word(what)?;
        T::from_name(&word).ok_or_else(|| self.error(&format!("expected {what}, found `{word}`")))
    }

    fn unsigned(&mut self) -> Parsed<u64> {
        let number = match self.next() {
            Token::Integer(text) => match text.strip_prefix("0x") {
                Some(digits) => u64::from_str_radix(digits, 16).ok(),
                None => text.parse().ok(),
            },
            _ => None,
        };
        number.ok_or_else(|| self.error("expected a number of 64 bits without a sign"))
    }

    fn signed(&mut self) -> Parsed<i64> {
        let sign = if self.take_symbol("-") { "-" } else { "" };
        let number = match self.next() {
            Token::Integer(text) => format!("{sign}{text}").parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| self.error("expected an integer of 64 bits"))
    }

    fn id(&mut self) -> Parsed<u32> {
        let number = self.unsigned()?;
        u32::try_from(number).map_err(|_| self.error("expected a number of 32 bits"))
    }

    fn real(&mut self) -> Parsed<f64> {
        let negative = self.take_symbol("-");
        let number = match self.next() {
            Token::Real(text) | Token::Integer(text) | Token::Word(text) => match text.strip_prefix("nan:") {
                Some(bits) => u64::from_str_radix(bits, 16).ok().map(f64::from_bits),
                None if text == "nan" => Some(f64::NAN),
                None => text.parse().ok(),
            },
            _ => None,
        };
        let number = number.ok_or_else(|| self.error("expected a real number"))?;
        Ok(if negative { -number } else { number })
    }
}

/// The loop that `i3` stands for.
fn loop_index(word: &str) -> Option<LoopId> {
    let digits = word.strip_prefix('i')?;
    let canonical = digits == "0" || !digits.starts_with('0');
    (canonical && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok().map(LoopId))?
}
