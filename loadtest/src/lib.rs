//! Rehearses a peak day against a cluster and an engine, of which it knows the wire contract only.
//!
//! An order is asked for by a `scenario`, due by `profile` and `arrival`, made by `traffic` and sent by `generator`
//! ([`load`]); its decision is seen by `reader` and proven by `verify` ([`proof`]); `run` puts these together, `local`
//! also starts what they need ([`rig`]); what was found is judged, shown and kept ([`report`]).

#![warn(missing_docs)]

pub mod cli; // the commands and their flags
pub mod load; // what is asked for, and sent when it is due
pub mod proof; // the decisions, read and verified
pub mod rig; // a run against a cluster and an engine that are there, or started for it, and broken on purpose
pub mod report; // what was found: judged, shown, compared, stored

pub mod clock; // the time of a run, the same for everyone who takes part
pub mod failure; // why a command could not do what it was asked
