//! What a run found: the report, the thresholds that judge it, and the exit code that follows.

pub mod exit; // what the process answers with
pub mod format; // figures as people read them
pub mod latency; // a histogram of microseconds, stored so that other tools can load it
pub mod metric; // the figures of a run by name
pub mod report; // everything a run found, as JSON with a format version
pub mod threshold; // what a run must keep to

#[cfg(test)]
pub(crate) mod example; // a run that never was
#[cfg(test)]
mod tests;

mod merge; // several generators' reports are one
mod saturation; // what limited the run
mod store; // written to and read from files
pub(crate) mod table; // what is printed at the end

pub use exit::Exit;
pub use latency::Latency;
pub use merge::MergeError;
pub use report::{
    Check, Ended, Finding, Mark, Meta, OutcomeTotal, Report, Saturation, Second, Side, SideTotal, Totals, Usage,
    Verdict, Verification,
};
pub use store::StoreError;
pub use threshold::{Threshold, ThresholdError};
