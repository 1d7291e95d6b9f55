//! Setting up the logs: lines of text or JSON on standard error, so that standard output stays the command's own.
//!
//! librdkafka's words come through the `log` facade, which is led into the same stream.

use std::io::{self, IsTerminal};

use thiserror::Error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Log, LogFormat};

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
}

/// Sets up the logs of this process, once.
///
/// # Errors
/// See [`LoggingError`].
pub fn init(log: &Log) -> Result<(), LoggingError> {
    let filter = EnvFilter::builder()
        .parse(&log.level)
        .map_err(|source| LoggingError::Level { level: log.level.clone(), source })?;
    let registry = tracing_subscriber::registry().with(filter);
    match log.format {
        LogFormat::Text => {
            let colours = io::stderr().is_terminal();
            registry.with(fmt::layer().with_writer(io::stderr).with_ansi(colours)).try_init()?;
        }
        LogFormat::Json => {
            registry.with(fmt::layer().json().flatten_event(true).with_writer(io::stderr)).try_init()?;
        }
    }
    Ok(())
}
