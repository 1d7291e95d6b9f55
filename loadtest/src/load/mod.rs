//! The load: which orders there are, when each is due, and sending them then, whatever the engine does. It reads
//! nothing back: what came of the orders is for [`proof`](crate::proof).

pub mod scenario; // what is asked for: a TOML file, overrides on top
pub mod profile; // how many orders a second, over time
pub mod arrival; // when each record is due
pub mod traffic; // which records: the same seed is the same stream
pub mod safety; // only pools that are meant for rehearsals
pub mod generator; // sends them when they are due
