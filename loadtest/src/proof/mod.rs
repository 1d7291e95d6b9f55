//! The proof: what was decided, read from the topics as anybody could, held against what was sent. It believes nothing
//! that the engine says of itself.

pub mod reader; // the decisions, as they become readable
pub mod verify; // each order answered once and rightly, nothing oversold
