//! What the benchmarks without a broker share: orders, the engine's core and a naive one beside it, at a steady number
//! of remembered ids.

pub(crate) mod agree; // the two cores held against each other
pub(crate) mod content; // the hash of an order's content
pub(crate) mod engine; // the engine's core: record bytes to decision bytes
pub(crate) mod naive; // the same with prost, HashMap and owned strings
pub(crate) mod orders; // records of orders, from a seed
pub(crate) mod steady; // both cores at a steady number of ids
