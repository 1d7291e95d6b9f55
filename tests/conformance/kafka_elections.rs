//! Three brokers of a real Apache Kafka, of which the first only keeps the cluster alive.

use sluice::broker::Input;
use sluice::devbroker::{Cluster, Options};

use crate::conformance::elections::Elections;
use crate::conformance::{Plain, World};
use crate::kafka::{self, Shared};
use crate::kafka_world::KafkaWorld;

/// Leads `orders`.
const LEADER: usize = 1;

/// Follows `orders`.
const FOLLOWER: usize = 2;

pub(crate) struct KafkaElections {
    world: KafkaWorld,
    cluster: Cluster,
    /// Other tests wait: four brokers at work would be too many for two cores.
    _alone: Shared,
}

impl Elections for KafkaElections {
    type World = KafkaWorld;

    fn fresh() -> Self {
        let alone = kafka::lock();
        let options = Options { brokers: 3, heap_mib: 384, ..Options::default() };
        let cluster = Cluster::start(&options).unwrap_or_else(|error| panic!("{error}"));
        let [leader, follower] = [LEADER, FOLLOWER].map(|broker| broker as i32);
        let world = KafkaWorld::fresh_at(&cluster.bootstrap(), 1, [&[leader, follower], &[leader]]);
        Self { world, cluster, _alone: alone }
    }

    fn world(&self) -> &KafkaWorld {
        &self.world
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
