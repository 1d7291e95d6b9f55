//! The log protocol against the cluster in memory: each path taken once, refusals, and two owners at random.

mod world; // a cluster with one shard, and owners that want it
mod paths; // every path of an owner, taken once
mod refusals; // logs that are not taken, and what a person is told
mod reading; // the log as another program reads it
mod random; // two owners of one shard, stepped in any order
