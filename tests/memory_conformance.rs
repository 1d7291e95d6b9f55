//! The broker in memory keeps every promise of the seam.

use std::cell::Cell;
use std::time::Duration;

use sluice::broker::memory::{Cluster, MemoryBroker, Message, Partitions, Topic};
use sluice::broker::{Header, Input, Output, TimestampKind};

#[macro_use]
mod conformance;

use conformance::elections::{Elections, Replicas};
use conformance::{Plain, Upstream, Watched, World};

struct MemoryWorld {
    cluster: Cluster,
    upstreams: Cell<u32>,
}

fn message(record: &Plain) -> Message {
    let Plain { key, value, headers } = record.clone();
    let headers: Vec<Header> = headers;
    Message { key: key.map(Into::into), value: value.map(Into::into), headers }
}

fn topic_of(output: Output) -> Topic {
    match output {
        Output::Decisions => Topic::Decisions,
        Output::Replies(_) => Topic::Replies,
        Output::DeadLetters(_) => Topic::DeadLetters,
        Output::PerDecision => Topic::PerDecision,
    }
}

fn watched(topic: Watched) -> Topic {
    match topic {
        Watched::Orders => Topic::Orders,
        Watched::Stock => Topic::Stock,
        Watched::Decisions => Topic::Decisions,
    }
}

impl World for MemoryWorld {
    type Broker = MemoryBroker;
    type Upstream = MemoryUpstream;

    /// Nothing takes time; only a case that fails waits.
    const PATIENCE: Duration = Duration::from_secs(1);
    const REST: Duration = Duration::ZERO;
    const CLOCK_TOLERANCE_MS: i64 = 0;

    fn fresh(shards: u32) -> Self {
        let layout = Partitions { replies: 2, per_decision: 2, ..Partitions::new(shards) };
        Self { cluster: Cluster::new(layout, 1_700_000_000_000), upstreams: Cell::new(0) }
    }

    fn broker(&self) -> MemoryBroker {
        self.cluster.node()
    }

    fn now_ms(&self) -> i64 {
        self.cluster.now_ms()
    }

    fn publish(&self, input: Input, shard: u32, records: &[Plain]) -> i64 {
        let publish = |r| self.cluster.publish(Topic::of(input), shard, message(r)).expect("nothing is wrong");
        let offsets: Vec<i64> = records.iter().map(publish).collect();
        offsets[0]
    }

    fn upstream(&self) -> MemoryUpstream {
        self.upstreams.set(self.upstreams.get() + 1);
        MemoryUpstream(self.cluster.upstream(&self.upstreams.get().to_string()).expect("nothing is wrong"))
    }

    fn read(&self, output: Output, partition: u32) -> Vec<(i64, Plain)> {
        let found = self.cluster.read(topic_of(output), partition, 0).expect("nothing is wrong");
        let plain =
            |Message { key, value, headers }| Plain { key: key.map(Into::into), value: value.map(Into::into), headers };
        found.into_iter().map(|stored| (stored.offset, plain(stored.message))).collect()
    }

    fn high(&self, output: Output, partition: u32) -> i64 {
        self.cluster.end(topic_of(output), partition).expect("nothing is wrong").high
    }

    fn trim(&self, topic: Watched, shard: u32, offset: i64) {
        self.cluster.trim(watched(topic), shard, offset).expect("nothing is wrong");
    }

    fn recreate(&self, topic: Watched, partitions: u32) {
        self.cluster.delete(watched(topic));
        self.cluster.create(watched(topic), partitions);
    }

    fn grow(&self, topic: Watched, partitions: u32) {
        self.cluster.set_partitions(watched(topic), partitions).expect("nothing is wrong");
    }

    fn let_clients_stamp(&self, topic: Watched) {
        self.cluster.set_timestamps(watched(topic), TimestampKind::Other).expect("nothing is wrong");
    }
}

struct MemoryUpstream(sluice::broker::memory::Upstream);

impl Upstream for MemoryUpstream {
    fn publish(&mut self, input: Input, shard: u32, records: &[Plain]) {
        for record in records {
            self.0.publish(Topic::of(input), shard, message(record)).expect("nothing is wrong");
        }
    }

    fn commit(&mut self) {
        self.0.commit().expect("nothing is wrong");
    }

    fn abort(&mut self) {
        self.0.abort().expect("nothing is wrong");
    }
}

/// Its inputs lose their leader when they are told to, and that of `orders` loses records.
struct MemoryElections {
    world: MemoryWorld,
    replicas: Replicas,
    lost_from: i64,
}

impl MemoryElections {
    fn set_leaders(&self, are_there: bool) {
        for topic in [Topic::Orders, Topic::Stock] {
            self.world.cluster.set_leader(topic, 0, are_there).expect("nothing is wrong");
        }
    }
}

impl Elections for MemoryElections {
    type World = MemoryWorld;

    const ANSWERED_WITHIN: Duration = MemoryWorld::PATIENCE;

    fn fresh(replicas: Replicas) -> Self {
        Self { world: MemoryWorld::fresh(1), replicas, lost_from: 0 }
    }

    fn with_neighbours(shards: u32) -> Self {
        Self { world: MemoryWorld::fresh(shards), replicas: Replicas::LeaderAlone, lost_from: 0 }
    }

    fn world(&self) -> &MemoryWorld {
        &self.world
    }

    fn take_leader_away(&mut self) {
        self.set_leaders(false);
    }

    fn await_absence(&mut self) {
        if self.replicas == Replicas::Followed {
            for topic in [Topic::Orders, Topic::Stock] {
                self.world.cluster.elect(topic, 0).expect("nothing is wrong");
            }
            self.set_leaders(true);
        }
    }

    fn bring_leader_back(&mut self) {
        self.set_leaders(true);
    }

    fn publish_to_leader_alone(&mut self, records: &[Plain]) {
        self.lost_from = self.world.publish(Input::Orders, 0, records);
    }

    fn elect_uncleanly(&mut self) {
        self.world.cluster.lose_tail(Topic::Orders, 0, self.lost_from).expect("nothing is wrong");
    }
}

conformance_suite!(MemoryWorld, MemoryElections);
