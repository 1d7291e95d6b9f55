//! The commands of `sluice`: their flags, their help, their exit codes.

use std::io::{self, Write};

use clap::Parser;

pub mod args; // the flags, with their help
mod commands; // each command, from its flags to its exit code
pub mod exit; // exit codes, and the failures behind them

pub use args::{Cli, Command};
pub use exit::{Exit, Failure};

/// Does what the command line says, and says on standard error, once, what went wrong.
pub fn main() -> Exit {
    let cli = Cli::parse();
    match commands::run(cli.command) {
        Ok(exit) => exit,
        Err(failure) if failure.is_broken_pipe() => Exit::Success,
        Err(failure) => {
            // Nowhere is left to say that standard error is closed.
            let _ = writeln!(io::stderr(), "{failure}");
            failure.exit()
        }
    }
}
