fn main() {
    let path = std::env::args().nth(1).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    if std::env::args().nth(2).is_some() { print!("{}", nnm_syntax::print_tokens(&text)); return; }
    print!("{}", nnm_syntax::print_ast(&nnm_syntax::parse(nnm_syntax::span::FileId(0), &text).file));
}
