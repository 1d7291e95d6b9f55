//! Containers: memory that is recycled and never moved in large steps. They know nothing of orders or stock.

pub(crate) mod arena; // runs of small values in recycled memory
pub(crate) mod index; // from a fingerprint to a position
pub(crate) mod names; // texts, short ones in place
pub(crate) mod slab; // numbered slots that never move
pub(crate) mod table; // from a hash to a number
