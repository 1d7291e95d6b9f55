//! Setting up the logs: lines of text or JSON on standard error, so that standard output stays the command's own.
//!
//! What recurs is folded ([`fold`]), whoever says it, so that an outage does not drown what else happens.

use std::io::{self, IsTerminal};
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Log, LogFormat};

mod fold; // tells a trouble that lasts once, then by counts

use fold::Fold;
pub(super) use fold::list;

/// How often it is looked whether a trouble lasts or is over.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// Why logs could not be set up.
#[derive(Debug, Error)]
pub enum LoggingError {
    /// `log.level` was not checked.
    #[error("log.level = {level:?}: {source}")]
    Level {
        /// The level.
        level: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Something in this process has set up logs before.
    #[error("logs are set up already: {0}")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
    /// The system gives no thread for the summaries.
    #[error("no thread for the summaries of the log: {0}. Raise the limit on processes (ulimit -u)")]
    Thread(#[source] io::Error),
}

/// Sets up the logs of this process, once.
///
/// # Errors
/// See [`LoggingError`].
pub fn init(log: &Log) -> Result<(), LoggingError> {
    let filter = EnvFilter::builder()
        .parse(&log.level)
        .map_err(|source| LoggingError::Level { level: log.level.clone(), source })?;
    let fold = Fold::default();
    let registry = tracing_subscriber::registry().with(filter);
    let lines = fmt::layer().with_writer(io::stderr);
    match log.format {
        LogFormat::Text => {
            let colours = io::stderr().is_terminal();
            registry.with(lines.with_ansi(colours).with_filter(fold.clone())).try_init()?;
        }
        LogFormat::Json => {
            registry.with(lines.json().flatten_event(true).with_filter(fold.clone())).try_init()?;
        }
    }
    let report = move || {
        loop {
            thread::park_timeout(REPORT_EVERY);
            fold.report(Instant::now());
        }
    };
    thread::Builder::new().name("log".to_owned()).spawn(report).map_err(LoggingError::Thread)?;
    Ok(())
}
