//! The log protocol against the cluster in memory: each path taken once, refusals, and two owners at random.

mod paths;
mod random;
mod reading;
mod refusals;
mod world;
