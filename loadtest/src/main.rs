//! The `loadtest` program.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use loadtest::cli::{Cli, Command};
use loadtest::load::{generator, scenario};
use loadtest::report::{compare, merge};
use loadtest::rig::{local, run};

/// As in the engine: it also serves librdkafka, whose allocations are most of a generator's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Run(args) => run::command(&args),
        Command::Local(args) => local::command(&args),
        Command::Peak(args) => run::peak(&args),
        Command::Generate(args) => generator::command(&args),
        Command::Scenarios(args) => scenario::command(&args),
        Command::Compare(args) => compare::command(&args),
        Command::Report(args) => merge::report(&args),
        Command::Merge(args) => merge::command(&args),
    };
    let exit = ended.unwrap_or_else(|error| {
        // Nowhere is left to say that standard error is closed.
        let _ = writeln!(std::io::stderr(), "{error}");
        error.exit()
    });
    exit.into()
}
