//! Faults, and what only this cluster can show. What it has in common with the real one is in the conformance suite.

use std::time::Duration;

use super::{Cluster, MemoryBroker, MemoryWriter, Partitions, Topic};
use crate::broker::{Broker, Committed, Fault, LogReader, LogWriter, Outgoing, Output, Position};

mod visibility; // what a read_committed fetch sees of a partition
mod states; // what lasts until it is undone: a node cut off, a leader gone, a disk full
mod strikes; // troubles that befall a single call
mod plan; // faults drawn from a seed

const NOW_MS: i64 = 1_700_000_000_000;
const CLEAN: Result<Committed, Fault> = Ok(Committed { suspicious: false });
const SUSPICIOUS: Result<Committed, Fault> = Ok(Committed { suspicious: true });

fn cluster() -> (Cluster, MemoryBroker) {
    let cluster = Cluster::new(Partitions::new(1), NOW_MS);
    let node = cluster.node();
    (cluster, node)
}

fn try_init(writer: &mut MemoryWriter) -> Result<(), Fault> {
    writer.init(Duration::ZERO)
}

fn writer(node: &MemoryBroker) -> MemoryWriter {
    let mut writer = node.writer(0).unwrap();
    try_init(&mut writer).unwrap();
    writer
}

fn send_to(writer: &mut MemoryWriter, output: Output, value: &str) -> Result<(), Fault> {
    writer.send(Outgoing { output, key: None, value: Some(value.as_bytes()), headers: &[] })
}

fn send(writer: &mut MemoryWriter, value: &str) -> Result<(), Fault> {
    send_to(writer, Output::Decisions, value)
}

fn commit(writer: &mut MemoryWriter) -> Result<Committed, Fault> {
    writer.commit(Duration::ZERO)
}

/// One transaction with these records for the log.
fn transact(writer: &mut MemoryWriter, values: &[&str]) -> Result<Committed, Fault> {
    writer.begin()?;
    for value in values {
        send(writer, value)?;
    }
    commit(writer)
}

/// What a reader of an output finds.
fn found(cluster: &Cluster, topic: Topic) -> Vec<String> {
    let begin = cluster.begin(topic, 0).unwrap();
    let values = cluster.read(topic, 0, begin).unwrap().into_iter().map(|stored| stored.message.value.unwrap());
    values.map(|value| String::from_utf8(value.to_vec()).unwrap()).collect()
}

fn log(cluster: &Cluster) -> Vec<String> {
    found(cluster, Topic::Decisions)
}

fn read(reader: &mut impl LogReader) -> Result<Vec<i64>, Fault> {
    let mut offsets = Vec::new();
    reader.read(Duration::ZERO, &mut |offset, _| offsets.push(offset))?;
    Ok(offsets)
}

fn is_transient<T>(result: &Result<T, Fault>) -> bool {
    matches!(result, Err(Fault::Transient(_)))
}

fn is_fenced<T>(result: &Result<T, Fault>) -> bool {
    matches!(result, Err(Fault::Fenced(_)))
}
