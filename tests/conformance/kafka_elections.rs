//! Three brokers of a real Apache Kafka, of which the first only keeps the cluster alive.

use std::time::Duration;

use sluice::broker::Input;
use sluice::devbroker::{Cluster, Options};

use crate::conformance::elections::{Elections, Replicas};
use crate::conformance::{Plain, Watched, World};
use crate::kafka::{self, Alone};
use crate::kafka_world::KafkaWorld;

/// Leads the inputs.
const LEADER: usize = 1;

/// Follows it, if anybody does.
const FOLLOWER: usize = 2;

pub(crate) struct KafkaElections {
    world: KafkaWorld,
    cluster: Cluster,
    replicas: Replicas,
    /// Other tests wait: four brokers at work would be too many for two cores.
    _alone: Alone,
}

impl KafkaElections {
    /// A shard for each of these lists of brokers, which hold its inputs.
    fn held_by(replicas: Replicas, held_by: &[&[i32]]) -> Self {
        let alone = kafka::alone();
        let options = Options { brokers: 3, heap_mib: 384, ..Options::default() };
        let cluster = Cluster::start(&options).unwrap_or_else(|error| panic!("{error}"));
        let world = KafkaWorld::fresh_at(&cluster.bootstrap(), held_by.len() as u32, held_by);
        Self { world, cluster, replicas, _alone: alone }
    }

    /// Waits until both inputs are led by this broker.
    fn await_leader(&self, leader: Option<usize>) {
        let leader = leader.map_or(-1, |broker| broker as i32);
        for topic in [Watched::Orders, Watched::Stock] {
            self.world.await_leader(topic, leader);
        }
    }
}

impl Elections for KafkaElections {
    type World = KafkaWorld;

    /// A question to the leader that died is given up after 3 s; the rest is for a machine that is busy.
    const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

    fn fresh(replicas: Replicas) -> Self {
        let holders = [LEADER, FOLLOWER].map(|broker| broker as i32);
        let held_by = if replicas == Replicas::Followed { &holders[..] } else { &holders[..1] };
        Self::held_by(replicas, &[held_by])
    }

    fn with_neighbours(shards: u32) -> Self {
        let [leader, other] = [LEADER, FOLLOWER].map(|broker| [broker as i32]);
        let held_by: Vec<&[i32]> = (0..shards).map(|shard| if shard == 0 { &leader[..] } else { &other }).collect();
        Self::held_by(Replicas::LeaderAlone, &held_by)
    }

    fn world(&self) -> &KafkaWorld {
        &self.world
    }

    fn take_leader_away(&mut self) {
        self.cluster.kill(LEADER).expect("it is killed");
    }

    fn await_absence(&mut self) {
        self.await_leader((self.replicas == Replicas::Followed).then_some(FOLLOWER));
    }

    fn bring_leader_back(&mut self) {
        self.cluster.restart(LEADER).expect("it starts again");
        self.await_leader(Some(LEADER));
    }

    fn publish_to_leader_alone(&mut self, records: &[Plain]) {
        // Stopped in order, it leaves the in-sync replicas at once.
        self.cluster.stop(FOLLOWER).expect("it stops");
        self.world.publish(Input::Orders, 0, records);
    }

    fn elect_uncleanly(&mut self) {
        self.cluster.kill(LEADER).expect("it is killed");
        self.cluster.restart(FOLLOWER).expect("it starts again");
    }
}
