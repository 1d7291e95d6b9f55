//! What can be wrong with a configuration, said so that the reader knows where, what and how to put it right.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

/// Where a setting was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The defaults that are compiled in.
    Default,
    /// A line of a file, counted from 1.
    File {
        /// The file as it was named.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// An environment variable, by its name.
    Environment(String),
    /// A flag, by its name.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => write!(f, "default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// One thing that is wrong with a configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("{}: cannot be read: {source}; `sluice config --default` prints one to begin with", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{origin}: not TOML: {what}")]
    Syntax {
        /// Where it stops being TOML.
        origin: Origin,
        /// The parser's reason.
        what: String,
    },
    /// No such key.
    #[error("{origin}: unknown key {key}: {hint}")]
    UnknownKey {
        /// Where it stands.
        origin: Origin,
        /// The key, whole.
        key: String,
        /// The known key that is most like it, or where to look.
        hint: String,
    },
    /// A value that is not allowed.
    #[error("{origin}: {key} = {value}: {rule}")]
    Value {
        /// Where it stands.
        origin: Origin,
        /// The key, whole.
        key: String,
        /// The value as it was written, unless it is a secret.
        value: String,
        /// What is allowed, and what to do.
        rule: String,
    },
    /// `--set` without a key or without a value.
    #[error("flag --set {written}: must be section.key=value, for example --set log.level=debug")]
    Flag {
        /// What followed `--set`, up to the equals sign.
        written: String,
    },
}

impl ConfigError {
    /// The line of the file at which it stands; after all of them if it stands elsewhere.
    pub(super) fn line(&self) -> usize {
        match self {
            Self::Unreadable { .. } => 0,
            Self::Syntax { origin, .. } | Self::UnknownKey { origin, .. } | Self::Value { origin, .. } => {
                match origin {
                    Origin::File { line, .. } => *line,
                    Origin::Default | Origin::Environment(_) | Origin::Flag(_) => usize::MAX,
                }
            }
            Self::Flag { .. } => usize::MAX,
        }
    }
}

/// Everything that is wrong with a configuration, in the order of the layers, the file from top to bottom.
#[derive(Debug)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
