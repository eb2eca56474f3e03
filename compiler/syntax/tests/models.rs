//! The example models parse without a word.

use nnm_syntax::span::FileId;

#[test]
fn models_parse() {
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/models")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let parsed = nnm_syntax::parse(FileId(0), &text);
        for d in &parsed.diagnostics { println!("{} {}: {} `{}`", path.display(), text[..d.span.start as usize].matches('\n').count()+1, d.message, &text[d.span.range()]); }
        assert!(parsed.diagnostics.is_empty());
    }
}
