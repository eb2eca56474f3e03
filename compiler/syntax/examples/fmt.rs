fn main() {
    let path = std::env::args().nth(1).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    match nnm_syntax::format(&text) { Ok(t) => { print!("{t}"); let u = nnm_syntax::format(&t).unwrap(); if u != t { eprintln!("NOT IDEMPOTENT"); } } Err(e) => println!("{e:?}") }
}
