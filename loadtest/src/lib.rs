//! Rehearses a peak day against a cluster and an engine, of which it knows the wire contract only.
//!
//! An order is asked for by a `scenario`, due by `profile` and `arrival`, made by `traffic` and sent by `generator`;
//! its decision is seen by `reader` and proven by `verify`; `run` puts these together, `local` also starts what they
//! need.

#![warn(missing_docs)]

pub mod arrival; // when each record is due
pub mod bencher; // and by CI
pub mod cli; // the commands and their flags
pub mod clock; // the time of a run, the same for everyone who takes part
pub mod compare; // two runs side by side
pub mod failure; // why a command could not do what it was asked
pub mod faults; // what is broken on purpose, and when
pub mod generator; // sends them when they are due, whatever the engine does
pub mod html; // what is looked at afterwards
pub mod live; // what is seen while it runs
pub mod local; // and with a broker and an engine of its own
pub mod merge; // several generators' results made one
pub mod peak; // the highest rate that holds an objective
pub mod profile; // how many orders a second, over time
pub mod reader; // the decisions, as they become readable
pub mod result; // what was found, thresholds, exit codes
pub mod run; // all of it together, once
pub mod safety; // only pools that are meant for rehearsals
pub mod scenario; // what is asked for: a TOML file, overrides on top
pub mod traffic; // which records: the same seed is the same stream
pub mod verify; // each order answered once and rightly, nothing oversold
