//! The one binary: argument parsing and wiring only.
fn main() {}
