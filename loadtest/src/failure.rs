//! Why a command could not do what it was asked: the person's to put right, or the environment's.

use thiserror::Error;

use crate::report::result::Exit;

/// What ended a command before it had a result.
#[derive(Debug, Error)]
pub enum Failure {
    /// The arguments, the scenario or a file cannot be used; nothing was sent.
    #[error("{}", told(.0))]
    Usage(anyhow::Error),
    /// What is needed is not there, or went away.
    #[error("{}", told(.0))]
    Environment(anyhow::Error),
}

/// An error and what caused it. Some errors say their cause themselves; it is not said twice.
fn told(error: &anyhow::Error) -> String {
    let causes = error.chain().map(ToString::to_string);
    causes
        .reduce(|text, cause| if text.ends_with(&cause) { text } else { format!("{text}: {cause}") })
        .unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::result::Report;
    use std::path::Path;

    #[test]
    fn a_cause_is_said_once() {
        let missing = Report::load(Path::new("/nowhere")).expect_err("there is none");
        assert_eq!(Failure::usage(missing).to_string(), "/nowhere: No such file or directory (os error 2)");
        let wrapped = anyhow::anyhow!("refused").context("ask");
        assert_eq!(Failure::environment(wrapped).to_string(), "ask: refused");
    }
}
