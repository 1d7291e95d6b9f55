//! Rehearses a peak day against a cluster and an engine, of which it knows the wire contract only.
