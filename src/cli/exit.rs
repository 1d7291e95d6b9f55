//! How commands end: one list of exit codes, so that scripts can tell what to do next, and the failures behind them.

use std::io;
use std::process::{ExitCode, Termination};

use thiserror::Error;

use crate::admin::{CreateError, RaiseError};
use crate::broker::Fault;
use crate::config::{ConfigError, ConfigErrors};
use crate::kafka::Trouble;
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
    /// The command line or the configuration, certificates and passwords included, is wrong; trying again will not
    /// help.
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
    #[error("{asked}: {fault}{}", why(fault, trouble.as_deref()))]
    Kafka {
        /// Whom we asked.
        asked: String,
        /// What went wrong.
        fault: Fault,
        /// The last connection that failed: why there was no answer.
        trouble: Option<Box<Trouble>>,
    },
    /// A file that the configuration names.
    #[error("{key} = {path:?}: {error}")]
    File {
        /// The key that names it.
        key: String,
        /// The file.
        path: String,
        /// The system's reason.
        error: io::Error,
    },
    /// librdkafka makes no client of these settings.
    #[error("{0}; see [kafka.common], [kafka.consumer] and [kafka.producer] of the configuration")]
    Client(Fault),
    /// Topics could not be made.
    #[error("{0}")]
    Create(#[from] CreateError),
    /// Rules could not be raised.
    #[error("{0}")]
    Raise(#[from] RaiseError),
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

/// Why a fault that more waiting may end came about, and what to do.
fn why(fault: &Fault, trouble: Option<&Trouble>) -> String {
    match (fault, trouble) {
        (Fault::Transient(_), Some(trouble)) => format!("\n  why: {trouble}\n  do: {}", trouble.kind.advice()),
        (Fault::Transient(_), None) => {
            "\n  why: no broker refused, and none answered in time\n  do: see that kafka.bootstrap_servers \
             (--bootstrap-servers) names brokers that run and can be reached from here"
                .to_owned()
        }
        _ => String::new(),
    }
}

impl Failure {
    /// The exit code for it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Create(CreateError::Plan(_))
            | Self::Config(_)
            | Self::Flag(_)
            | Self::File { .. }
            | Self::Client(_)
            | Self::Service(StartError::Http(HttpError::Listen { .. })) => Exit::Usage,
            Self::Kafka { fault: Fault::Transient(_), trouble: Some(trouble), .. }
                if trouble.kind.is_configuration() =>
            {
                Exit::Usage
            }
            Self::Kafka { fault: Fault::Transient(_), .. } => Exit::Unavailable,
            Self::Kafka { .. }
            | Self::Create(_)
            | Self::Raise(_)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::TroubleKind;

    fn failure(kind: Option<TroubleKind>) -> Failure {
        let trouble = kind.map(|kind| Trouble { kind, broker: "kafka:9092".to_owned(), words: "no".to_owned() });
        let fault = Fault::Transient("ask for the brokers: timed out".to_owned());
        Failure::Kafka { asked: "kafka:9092".to_owned(), fault, trouble: trouble.map(Box::new) }
    }

    #[test]
    fn a_broker_out_of_reach_is_told_with_the_reason_and_what_to_do() {
        for kind in [TroubleKind::Refused, TroubleKind::Name, TroubleKind::Silence, TroubleKind::Closed] {
            let failure = failure(Some(kind));
            assert_eq!(failure.exit(), Exit::Unavailable);
            assert!(failure.to_string().contains(kind.advice()), "{failure}");
        }
        assert_eq!(failure(None).exit(), Exit::Unavailable);
    }

    #[test]
    fn a_wrong_certificate_or_password_is_a_wrong_configuration() {
        for kind in [TroubleKind::Tls, TroubleKind::Authentication] {
            assert_eq!(failure(Some(kind)).exit(), Exit::Usage);
        }
    }
}
