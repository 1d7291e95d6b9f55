//! The topics as they must be, and whether a cluster is what the engine relies on.
//!
//! [`required`] says what must be; [`fetch`] asks the cluster and only that; [`findings()`] judges what it said and asks
//! nobody, so that every finding is tested without a cluster; [`create()`] makes what is missing; [`raise_rules()`] lets
//! logs use newer rules.

use std::fmt;

mod required; // what each topic must be
pub mod facts; // what a cluster says about itself, as plain data
mod fetch; // asks a cluster for these facts
mod findings; // judges them
pub mod describe; // shows them as a table
mod plan; // what is to be made, and with how many lanes
mod create; // makes what is missing
mod begin; // begins the logs of what was made
mod genesis; // the first record of each log
mod side; // asks brokers several things side by side
mod raise; // asks every shard to use newer rules, and waits for its answer in the log of its lane

pub use create::{CreateError, create};
pub use facts::Facts;
pub use fetch::fetch;
pub use findings::findings;
pub use plan::Plan;
pub use raise::{Raise, RaiseError, raise_rules};
pub use required::Role;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The engine does not run with it.
    Error,
    /// Works, and will hurt one day.
    Warning,
}

/// Something that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about: a topic, a broker, the cluster, a key of the configuration.
    pub subject: String,
    /// What was found, and why it matters.
    pub found: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}: {}: {}\n    do: {}", self.subject, self.found, self.remedy)
    }
}

/// What a cluster is measured by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demands {
    /// A cluster for development: no replication, and brokers that do not tell about themselves, are warned of only.
    pub dev: bool,
    /// The operator knows that topics were recreated or logs cut, and goes on: warned of only.
    pub accept_loss: bool,
}
