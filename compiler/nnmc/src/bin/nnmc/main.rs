//! `nnmc`, the command line.
fn main() {}
