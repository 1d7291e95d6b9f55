//! Why a command could not do what it was asked: the person's to put right, or the environment's.

use thiserror::Error;

use crate::result::Exit;

/// What ended a command before it had a result.
#[derive(Debug, Error)]
pub enum Failure {
    /// The arguments, the scenario or a file cannot be used; nothing was sent.
    #[error("{0:#}")]
    Usage(anyhow::Error),
    /// What is needed is not there, or went away.
    #[error("{0:#}")]
    Environment(anyhow::Error),
}

impl Failure {
    /// Wraps what the person who called can put right.
    pub fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self::Usage(error.into())
    }

    /// Wraps what is missing around the program.
    pub fn environment(error: impl Into<anyhow::Error>) -> Self {
        Self::Environment(error.into())
    }

    /// What the process answers with.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Environment(_) => Exit::Environment,
        }
    }
}
