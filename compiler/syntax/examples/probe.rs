fn show(name: &str, text: &str, base: usize) {
    let parsed = nnm_syntax::parse(nnm_syntax::span::FileId(0), text);
    if parsed.diagnostics.is_empty() { println!("{name}: ACCEPTED"); }
    for d in &parsed.diagnostics {
        let line = text[..d.span.start as usize].matches('\n').count() + 1 - base;
        println!("{}:{} [{}] {} | `{}` {} {:?} {:?}", name, line, d.code, d.message, text.get(d.span.range()).unwrap_or("?"), d.at, d.help, d.fix.as_ref().map(|f| (&text[f.span.range()], &f.replacement)));
        for l in &d.labels { println!("      label {} `{}`", l.text, &text[l.span.range()]); }
    }
}
fn main() {
    let path = std::env::args().nth(1).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    if path.ends_with("files.txt") {
        for part in text.split("----\n") { println!("== {part}"); show("", part, 0); }
    } else if path.ends_with(".txt") {
        let word = path.rsplit('/').next().unwrap().trim_end_matches(".txt");
        for line in text.lines() { show(line, &format!("{word} X {{\n  {line}\n}}\n"), 1); }
    } else { show(&path, &text, 0); }
}
