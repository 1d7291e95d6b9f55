//! The report: figures of a run, whether they are good enough, and every way in which they are shown or kept. It starts
//! and sends nothing.

pub mod result; // what was found, thresholds, exit codes
pub mod live; // what is seen while it runs
pub mod output; // where a result goes
pub mod html; // what is looked at afterwards
pub mod bencher; // what CI keeps over time
pub mod compare; // two runs side by side
pub mod merge; // several generators' results made one, or one shown again
pub mod peak; // the highest rate that holds an objective, searched for trial by trial
