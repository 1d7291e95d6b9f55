//! The rig: load, proof and report put together to one run, and the machinery under it, which may be broken on purpose
//! while it is watched.

pub mod run; // all of it together, once
pub mod local; // and with a broker and an engine of its own
pub mod faults; // what is broken on purpose, and when
