//! The control plane: group membership, starting and stopping lanes, health, metrics, HTTP. Nothing of it stands on the
//! way of an order.

pub mod start; // from a checked configuration to a node at work
pub mod plan; // from the configuration to what a lane is told
pub mod service; // drives the assignment and the lanes by what the group and signals say
pub mod assignment; // which lanes to start and stop, as a stepped machine
pub mod lanes; // the lanes that run, and what they tell
pub mod signals; // stop in order, or at once
pub mod state; // what a node tells about itself
mod progress; // how far a node is that does not decide yet
mod spare; // when a node without shards counts as ready
pub mod http; // /metrics, /live, /ready, /state
pub mod metrics; // the page that Prometheus reads
pub mod logging; // lines of text or JSON
