//! No text makes the compiler panic: cut models, models with tokens missing or doubled, and plain noise.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crate::support::{Chance, errors, files_below, read, root};

/// Five models that between them use most of the language.
fn models() -> Vec<(PathBuf, String)> {
    let wanted =
        ["stdp.nnm", "balanced_network.nnm", "perceptron_xor.nnm", "lstm_is_a_neuron.nnm", "hodgkin_huxley.nnm"];
    let mut files = files_below(&root().join("models"), ".nnm");
    files.retain(|f| wanted.iter().any(|w| f.ends_with(w)));
    assert_eq!(files.len(), wanted.len());
    files.into_iter().map(|f| (f.clone(), read(&f))).collect()
}

/// The text, if checking it panics.
fn panics(path: &Path, text: &str) -> Option<String> {
    let quiet = AssertUnwindSafe(|| errors(path, text));
    catch_unwind(quiet).is_err().then(|| text.to_string())
}

fn report(failed: &[String]) {
    if let Some(first) = failed.iter().min_by_key(|t| t.len()) {
        panic!("{} texts made the compiler panic; the shortest:\n{first}", failed.len());
    }
}

/// Words, numbers and signs with what stands between them.
fn tokens(text: &str) -> Vec<String> {
    let mut out: Vec<String> = vec![];
    let mut last = None;
    for c in text.chars() {
        let class = if c.is_alphanumeric() || c == '_' {
            0
        } else if c.is_whitespace() {
            1
        } else {
            2
        };
        match out.last_mut() {
            Some(token) if last == Some(class) && class < 2 => token.push(c),
            _ => out.push(c.to_string()),
        }
        last = Some(class);
    }
    out
}

#[test]
fn no_prefix_of_a_model_panics() {
    let mut failed = vec![];
    for (path, text) in models() {
        for end in (0..text.len()).step_by(7).filter(|k| text.is_char_boundary(*k)) {
            failed.extend(panics(&path, &text[..end]));
        }
    }
    report(&failed);
}

#[test]
fn no_missing_or_doubled_token_panics() {
    let mut chance = Chance(0x9E37_79B9_7F4A_7C15);
    let models = models();
    let mut failed = vec![];
    for round in 0..300 {
        let (path, text) = &models[round % models.len()];
        let mut tokens = tokens(text);
        let at = chance.below(tokens.len());
        match chance.below(3) {
            0 => drop(tokens.remove(at)),
            1 => tokens.insert(at, tokens[at].clone()),
            _ => {
                let other = chance.below(tokens.len());
                tokens.swap(at, other);
            }
        }
        failed.extend(panics(path, &tokens.concat()));
    }
    report(&failed);
}

#[test]
fn no_noise_panics() {
    let mut chance = Chance(0xD1B5_4A32_D192_ED03);
    let mut failed = vec![];
    for _ in 0..500 {
        let length = chance.below(400);
        let bytes: Vec<u8> = (0..length).map(|_| chance.below(256) as u8).collect();
        failed.extend(panics(Path::new("noise.nnm"), &String::from_utf8_lossy(&bytes)));
    }
    report(&failed);
}

/// Noise of the language's own words gets further than noise of bytes.
#[test]
fn no_shuffled_model_panics() {
    let mut chance = Chance(0x2545_F491_4F6C_DD1D);
    let words: Vec<String> = models().iter().flat_map(|(_, t)| tokens(t)).collect();
    let mut failed = vec![];
    for _ in 0..300 {
        let length = 5 + chance.below(60);
        let text: Vec<&str> = (0..length).map(|_| words[chance.below(words.len())].as_str()).collect();
        failed.extend(panics(Path::new("noise.nnm"), &text.concat()));
    }
    report(&failed);
}
