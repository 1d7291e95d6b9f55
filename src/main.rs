//! The `sluice` command.

use sluice::cli::{self, Exit};

/// With its `override` feature it also serves librdkafka, whose allocations are most of those that there are.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Exit {
    cli::main()
}
