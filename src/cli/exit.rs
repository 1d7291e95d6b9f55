//! How commands end: one list of exit codes, so that scripts can tell what to do next, and the failures behind them.

use std::io;
use std::process::{ExitCode, Termination};

use thiserror::Error;

use crate::admin::CreateError;
use crate::broker::Fault;
use crate::config::{ConfigError, ConfigErrors};
use crate::node::http::HttpError;
use crate::node::logging::LoggingError;
use crate::node::start::StartError;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It did what it was asked, or was told to stop and stopped in order.
    Success = 0,
    /// It ran and failed, or a check found something that must be put right.
    Failure = 1,
    /// The command line or the configuration is wrong; trying again will not help.
    Usage = 2,
    /// Kafka could not be reached; trying again may help.
    Unavailable = 3,
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self as u8)
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug, Error)]
pub enum Failure {
    /// The configuration is wrong.
    #[error("{0}")]
    Config(#[from] ConfigErrors),
    /// A flag is wrong.
    #[error("{0}")]
    Flag(#[from] ConfigError),
    /// Kafka.
    #[error("{bootstrap_servers}: {fault}{hint}", hint = unreachable_hint(fault))]
    Kafka {
        /// Whom we asked.
        bootstrap_servers: String,
        /// What went wrong.
        fault: Fault,
    },
    /// Topics could not be made.
    #[error("{0}{hint}", hint = create_hint(.0))]
    Create(#[from] CreateError),
    /// The logs could not be set up.
    #[error("{0}")]
    Logging(#[from] LoggingError),
    /// Nothing can be written to standard output, or the system refuses a thread or a signal.
    #[error("{0}")]
    Output(#[from] io::Error),
    /// The service could not be started, or failed.
    #[error("{0}")]
    Service(#[from] StartError),
    /// The demo could not be shown.
    #[error("{0:#}")]
    Demo(#[from] anyhow::Error),
}

/// What to do about a fault that more waiting may end.
fn unreachable_hint(fault: &Fault) -> &'static str {
    match fault {
        Fault::Transient(_) => {
            "; see that kafka.bootstrap_servers (--bootstrap-servers) names brokers that run and can be reached from here, \
             and that security.protocol in [kafka.common] is what this port speaks"
        }
        _ => "",
    }
}

fn create_hint(error: &CreateError) -> &'static str {
    match error {
        CreateError::Fault(fault) => unreachable_hint(fault),
        _ => "",
    }
}

impl Failure {
    /// The exit code for it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Create(CreateError::Plan(_))
            | Self::Config(_)
            | Self::Flag(_)
            | Self::Service(StartError::Http(HttpError::Listen { .. })) => Exit::Usage,
            Self::Kafka { fault: Fault::Transient(_), .. } | Self::Create(CreateError::Fault(Fault::Transient(_))) => {
                Exit::Unavailable
            }
            Self::Kafka { .. }
            | Self::Create(_)
            | Self::Logging(_)
            | Self::Output(_)
            | Self::Service(_)
            | Self::Demo(_) => Exit::Failure,
        }
    }

    /// Whoever read our output has had enough (`sluice … | head`): no failure.
    pub(super) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
