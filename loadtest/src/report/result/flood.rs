//! What the flood of a pool costs the others.

use serde::{Deserialize, Serialize};

use super::Latency;

/// Latency of what is due while pools are flooded, and of what was due before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Flood {
    /// Of the pools that are flooded.
    pub flooded: Latency,
    /// Of all others at the same time.
    pub others: Latency,
    /// Of all others before, for as long as the first flood lasts.
    pub others_before: Latency,
}

impl Flood {
    /// Its parts, as people read them and as thresholds name them.
    pub fn parts(&self) -> [(&'static str, &Latency); 3] {
        [("others_before", &self.others_before), ("others", &self.others), ("flooded", &self.flooded)]
    }

    /// Whether nothing was flooded.
    pub fn is_empty(&self) -> bool {
        self.parts().iter().all(|(_, latency)| latency.is_empty())
    }

    /// Adds what was measured elsewhere.
    pub fn add(&mut self, other: &Self) {
        self.flooded.add(&other.flooded);
        self.others.add(&other.others);
        self.others_before.add(&other.others_before);
    }
}
