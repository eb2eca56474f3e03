//! No input breaks the parser, and one fault gives few messages.

use super::{messages, models, parsed};
use crate::lexer;
use crate::span::FileId;
use crate::{equal_modulo_spans, format, print_ast};

#[test]
fn every_prefix_of_every_model() {
    for (_, text) in models() {
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
            parsed(&text[..end]);
        }
    }
}

/// Deletes each token in turn.
#[test]
fn delete_one_token() {
    let mut cases = 0;
    let mut still_valid = 0;
    for (name, text) in models() {
        for token in lexer::lex(FileId(0), &text).tokens {
            let mutant = format!("{}{}", &text[..token.start as usize], &text[token.end as usize..]);
            let found = messages(&mutant);
            let line = text[..token.start as usize].matches('\n').count() + 1;
            assert!(found.len() <= 3, "{name}:{line} without `{}`: {found:#?}", token.text(&text));
            cases += 1;
            still_valid += usize::from(found.is_empty());
        }
    }
    assert!(still_valid * 2 < cases, "{still_valid} of {cases} are valid");
}

#[test]
fn doubled_tokens() {
    for (name, text) in models() {
        for token in lexer::lex(FileId(0), &text).tokens {
            let word = token.text(&text);
            let mutant = format!("{} {word} {}", &text[..token.start as usize], &text[token.start as usize..]);
            let found = messages(&mutant);
            let line = text[..token.start as usize].matches('\n').count() + 1;
            assert!(found.len() <= 3, "{name}:{line} with `{word}` twice: {found:#?}");
        }
    }
}

/// A small generator of pseudo-random numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

#[test]
fn random_bytes() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..2000 {
        let bytes: Vec<u8> = (0..random.below(200)).map(|_| random.below(256) as u8).collect();
        parsed(&String::from_utf8_lossy(&bytes));
    }
}

/// Pieces of the language in random order: deeper into the grammar than bytes come. What is accepted is formatted.
#[test]
fn random_tokens() {
    let mut random = Random(42);
    let pieces: Vec<String> = models()
        .into_iter()
        .flat_map(|(_, text)| {
            let tokens = lexer::lex(FileId(0), &text).tokens;
            tokens.into_iter().map(|token| token.text(&text).to_owned()).collect::<Vec<_>>()
        })
        .collect();
    for _ in 0..5000 {
        let mut text = String::from("neuron A {\n");
        for _ in 0..random.below(12) {
            text.push_str(&pieces[random.below(pieces.len())]);
            text.push_str([" ", " ", " ", "\n", ""][random.below(5)]);
        }
        text.push_str("\n}\n");
        let before = parsed(&text);
        let lost = print_ast(&before.file).lines().any(|line| line.trim() == "error");
        assert!(!lost || !before.diagnostics.is_empty(), "something is lost without a word in\n{text}");
        if let Ok(formatted) = format(&text) {
            let after = parsed(&formatted);
            assert!(
                after.diagnostics.is_empty() && equal_modulo_spans(&before.file, &after.file),
                "{text}\n{formatted}"
            );
            assert_eq!(format(&formatted), Ok(formatted.clone()), "{text}");
        }
    }
}

#[test]
fn a_million_terms() {
    let mut text = String::from("neuron A {\n  y = 1");
    text.push_str(&" + x * 2".repeat(1_000_000));
    text.push_str("\n}\n");
    let parsed = parsed(&text);
    assert!(parsed.diagnostics.is_empty());
    assert!(parsed.file.exprs.len() > 4_000_000 - 10);
    drop(parsed);
}

#[test]
fn printing_and_formatting_of_long_sums() {
    let text = format!("neuron A {{\n  y = 1{}\n}}\n", "+ x".repeat(200_000));
    let formatted = format(&text).expect("a valid file");
    assert_eq!(formatted.len(), text.len() + 200_000);
}

#[test]
fn deep_nesting() {
    let nested = |depth: usize| format!("neuron A {{ y = {}1{} }}", "(".repeat(depth), ")".repeat(depth));
    assert!(messages(&nested(255)).is_empty());
    assert_eq!(messages(&nested(256)), ["brackets are nested deeper than 256 levels; the rest is not read"]);
    assert_eq!(messages(&nested(100_000)).len(), 1);
    assert!(messages(&"(".repeat(100_000)).len() <= 3);
    assert!(messages(&"{".repeat(100_000)).len() <= 3);
    assert!(messages(&"x = {".repeat(250)).len() <= 4);
    assert!(messages(&"neuron A {".repeat(250)).len() <= 4);
}

#[test]
fn deep_expressions_without_brackets() {
    let deep = |head: &str| format!("neuron A {{ y = {}x }}", head.repeat(100_000));
    for head in ["- ", "not ", "x ^ ", "if a then b else "] {
        assert_eq!(messages(&deep(head)), ["this expression is nested deeper than 1000 levels"], "{head}");
    }
    assert!(messages(&format!("neuron A {{ y = x{} }}", ".a".repeat(100_000))).len() == 1);
    assert!(messages(&format!("neuron A {{ y = x{} }}", " - x".repeat(100_000))).is_empty());
}

#[test]
fn limits() {
    assert_eq!(messages(&"x".repeat(2000)), ["this identifier is longer than 1024 bytes"]);
    assert_eq!(messages(&" ".repeat((64 << 20) + 1)), ["the file is larger than 64 MiB"]);
    let many = "use a\n".repeat(2_500_001);
    assert!(messages(&many)[0].starts_with("the file has more than 5000000 tokens"));
}

#[test]
fn every_model_is_formatted() {
    for (name, text) in models() {
        assert_eq!(format(&text), Ok(text), "{name}");
    }
}
