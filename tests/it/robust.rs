//! No text makes the compiler panic: cut models, models with tokens missing or doubled, and plain noise.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crate::support::{Chance, errors, files_below, read, root};

/// All models, those of the tests, and the library.
fn models() -> Vec<(PathBuf, String)> {
    let folders = ["models", "tests/run", "stdlib/std"];
    let files: Vec<PathBuf> = folders.iter().flat_map(|f| files_below(&root().join(f), ".nnm")).collect();
    assert!(files.len() > 20, "{}", files.len());
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

/// How often each file is cut; one with fewer tokens is cut after each.
const CUTS: usize = 60;

/// Each file, cut after its tokens.
#[test]
fn no_prefix_of_a_model_panics() {
    let mut failed = vec![];
    for (path, text) in models() {
        let mut ends = vec![];
        let mut end = 0;
        for token in tokens(&text) {
            end += token.len();
            if !token.trim().is_empty() {
                ends.push(end);
            }
        }
        let step = ends.len().div_ceil(CUTS).max(1);
        for end in ends.into_iter().step_by(step) {
            failed.extend(panics(&path, &text[..end]));
        }
    }
    report(&failed);
}

/// Texts as deep and as long as no person writes them.
#[test]
fn nothing_deep_or_long_panics() {
    let many = |n: usize, part: &str| part.repeat(n);
    let texts = [
        format!("fn f(x) = {}x{}", many(10_000, "("), many(10_000, ")")),
        format!("fn f(x) = {}x", many(10_000, "-")),
        format!("fn f(x) = {}x", many(10_000, "not ")),
        format!("fn f(x) = x{}", many(100_000, " + x")),
        format!("fn f(x) = x{}", many(5_000, "^x")),
        format!("fn f(x) = x{}", many(10_000, "[0]")),
        format!("fn f(x) = x{}", many(10_000, ".a")),
        format!("fn f(x) = x{}", many(10_000, " |> f")),
        format!("fn f(x) = {}x", many(10_000, "if x then x else ")),
        format!("experiment E {{ let a = [{}] }}", many(100_000, "1, ")),
        format!("neuron N {{ {} }}", many(20_000, "state v: mV = 0 mV; ")),
        format!("experiment E {{ {} {} }}", many(3_000, "for x in [1] { "), many(3_000, "}")),
        many(100_000, "{"),
        many(100_000, "fn "),
        many(50_000, "\"\n"),
    ];
    let failed: Vec<String> = texts
        .iter()
        .filter_map(|text| panics(Path::new("large.nnm"), text))
        .map(|text| format!("{} …", text.chars().take(200).collect::<String>()))
        .collect();
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
