//! The `loadtest` program.

fn main() {}
