//! What a run found: the report, the thresholds that judge it, and the exit code that follows.

pub mod report; // everything a run found, as JSON with a format version
pub mod latency; // a histogram of microseconds, stored so that other tools can load it
mod saturation; // what limited the run
pub mod metric; // the figures of a run by name
pub mod threshold; // what a run must keep to
pub mod exit; // what the process answers with
mod flood; // what the flood of a pool costs the others
mod merge; // several generators' reports are one
mod store; // written to and read from files
pub mod format; // figures as people read them
pub(crate) mod table; // what is printed at the end

#[cfg(test)]
pub(crate) mod example; // a run that never was
#[cfg(test)]
mod tests;

pub use exit::Exit;
pub use flood::Flood;
pub use latency::Latency;
pub use merge::MergeError;
pub use report::{
    Check, Ended, Finding, Footprint, Known, Mark, Meta, OutcomeTotal, Report, Saturation, Second, Side, SideTotal,
    Totals, Usage, Verdict, Verification,
};
pub use store::StoreError;
pub use threshold::{Threshold, ThresholdError};
