//! Several shards in one lane: what they share, and whose trouble stays whose.

use super::*;
use crate::lane::settings::PARKED_RETRY_MS;
use crate::wire::proto::Input;

const SHARDS: u32 = 3;

/// A cluster with this many shards on one lane.
fn cluster_of(shards: u32) -> Cluster {
    let cluster = Cluster::new(Partitions { lanes: 1, ..Partitions::new(shards) }, clock::now().unix_ms);
    let ids = cluster.node().topics(Duration::ZERO).unwrap().ids;
    let genesis = genesis(0, Layout { shards, lanes: 1 }, ids, 3_600_000, 60_000, RULES_LEVEL);
    cluster.publish(Topic::Decisions, 0, Message::value(genesis_value(genesis))).unwrap();
    cluster
}

/// The lane, stepped by hand, and its clock.
struct Stepped {
    halves: Halves<MemoryBroker>,
    now: Now,
}

impl Stepped {
    fn new(cluster: &Cluster) -> Self {
        let (events, _) = unbounded();
        let site = LaneSite { layout: Layout { shards: SHARDS, lanes: 1 }, ..site(cluster.node(), settings(), events) };
        let (exchange, status) = (Arc::new(Exchange::default()), Arc::new(site.status()));
        let apply = ApplyHalf::new(site.clone(), exchange.clone(), status.clone());
        let commit = CommitHalf::new(site, exchange.clone(), status.clone(), StdRng::seed_from_u64(1));
        let now = Now { steady_ms: 1_000, unix_ms: cluster.now_ms() };
        Stepped { halves: Halves { commit, apply, exchange, status }, now }
    }

    fn snapshot(&self) -> LaneSnapshot {
        self.halves.status.snapshot(self.now.steady_ms)
    }

    /// Steps both halves until it is `reached`; a step takes 1 ms.
    fn until(&mut self, reached: impl Fn(&LaneSnapshot) -> bool) {
        let from_ms = self.now.steady_ms;
        while !reached(&self.snapshot()) {
            assert!(self.now.steady_ms < from_ms + 100_000, "it is not reached: {:?}", self.snapshot());
            self.now.steady_ms += 1;
            self.halves.apply.step(self.now);
            self.halves.commit.step(self.now);
        }
    }
}

/// A lane at work, each of whose shards has decided one order.
fn one_order_each() -> (Cluster, Stepped) {
    let cluster = cluster_of(SHARDS);
    let mut lane = Stepped::new(&cluster);
    lane.until(|lane| lane.phase == Phase::Running);
    for shard in 0..SHARDS {
        cluster.publish(Topic::Orders, shard, place(&cluster, shard)).unwrap();
    }
    lane.until(|lane| sequences(lane) == [1; 3]);
    (cluster, lane)
}

fn sequences(lane: &LaneSnapshot) -> Vec<u64> {
    lane.shards.iter().map(|shard| shard.sequence).collect()
}

/// The headers of the links in the log.
fn headers(cluster: &Cluster) -> Vec<crate::wire::proto::LinkHeader> {
    let stored = cluster.read(Topic::Decisions, 0, 0).unwrap();
    let values = stored.into_iter().filter_map(|stored| stored.message.value);
    let records = values.map(|value| LogRecord::decode(value).unwrap());
    records
        .filter_map(|record| if let Some(log_record::Kind::Link(link)) = record.kind { link.header } else { None })
        .collect()
}

#[test]
fn what_shards_decide_while_a_batch_is_committed_is_committed_together() {
    let (cluster, lane) = one_order_each();
    assert_eq!(lane.snapshot().batches, 1);
    let of_shards: Vec<_> = headers(&cluster).iter().map(|header| (header.shard, header.first_sequence)).collect();
    assert_eq!(of_shards, [(0, 1), (1, 1), (2, 1)]);
}

#[test]
fn a_shard_whose_input_is_lost_is_parked_with_what_it_decided_and_the_others_go_on() {
    let (cluster, mut lane) = one_order_each();
    for number in [7, 8] {
        cluster.publish(Topic::Orders, 1, place(&cluster, number)).unwrap();
    }
    cluster.trim(Topic::Orders, 1, 2).unwrap();
    cluster.publish(Topic::Orders, 0, place(&cluster, 9)).unwrap();
    lane.until(|lane| sequences(lane) == [2, 1, 1]);
    let lane_then = lane.snapshot();
    let parked = &lane_then.shards[1];
    assert_eq!((lane_then.phase, parked.phase), (Phase::Running, Phase::Parked));
    assert!(parked.reason.as_ref().is_some_and(|reason| reason.contains("--accept-loss")), "{:?}", parked.reason);
    // Nobody takes the lane anew, then or when it is tried again.
    let until_ms = lane.now.steady_ms + 2 * PARKED_RETRY_MS;
    while lane.now.steady_ms < until_ms {
        lane.now.steady_ms += 50;
        lane.halves.apply.step(lane.now);
        lane.halves.commit.step(lane.now);
    }
    assert_eq!((lane.snapshot().epoch, lane.snapshot().shards[1].phase), (1, Phase::Parked));
}

#[test]
fn a_shard_whose_input_has_no_leader_waits_alone() {
    let cluster = cluster_of(SHARDS);
    let mut lane = Stepped::new(&cluster);
    lane.until(|lane| lane.phase == Phase::Running);
    cluster.set_leader(Topic::Stock, 2, false).unwrap();
    for shard in [0, 2] {
        cluster.publish(Topic::Orders, shard, place(&cluster, shard)).unwrap();
    }
    lane.until(|lane| sequences(lane) == [1, 0, 0]);
    cluster.set_leader(Topic::Stock, 2, true).unwrap();
    lane.until(|lane| sequences(lane) == [1, 0, 1]);
}

#[test]
fn a_shard_that_is_far_behind_leaves_its_neighbours_their_turn_in_every_batch() {
    let cluster = cluster_of(SHARDS);
    let backlog = 60;
    for record in 0..backlog {
        cluster.publish(Topic::Orders, 0, places(&cluster, record * 1_000..(record + 1) * 1_000)).unwrap();
    }
    for shard in [1, 2] {
        cluster.publish(Topic::Orders, shard, place(&cluster, shard)).unwrap();
    }
    let mut lane = Stepped::new(&cluster);
    lane.until(|lane| lane.batches == 2);
    assert_eq!(sequences(&lane.snapshot())[1..], [1, 1], "the first batch went off after one turn");
    lane.until(|lane| sequences(lane)[0] == u64::from(backlog) * 1_000);
}

#[test]
fn a_log_whose_links_break_one_shard_parks_that_shard_and_begins_it_again_with_the_log() {
    let (cluster, first) = one_order_each();
    drop(first);
    // A link of shard 1 that leaves a gap, as nobody writes it who follows the protocol.
    let log = cluster.read(Topic::Decisions, 0, 0).unwrap();
    let last = log.iter().rev().filter_map(|stored| stored.message.value.clone());
    let last = last.into_iter().find(|value| matches!(LogEntry::parse(value), Ok(LogEntry::Link(_)))).unwrap();
    let mut link = LinkDraft::default();
    link.begin(1, 5, 0, cluster.now_ms());
    link.cover(Input::Orders, 0, 1, 0);
    link.seal(1, LinkHash::of(&last));
    cluster.publish(Topic::Decisions, 0, Message::value(link.sealed().unwrap().0.to_vec())).unwrap();
    let mut second = Stepped::new(&cluster);
    second.until(|lane| lane.phase == Phase::Running);
    let lane = second.snapshot();
    assert_eq!(lane.shards[1].phase, Phase::Parked);
    assert!(lane.shards[1].reason.as_ref().is_some_and(|reason| reason.contains("sequence 5")), "{lane:?}");
    for shard in 0..SHARDS {
        cluster.publish(Topic::Orders, shard, place(&cluster, 10 + shard)).unwrap();
    }
    second.until(|lane| sequences(lane) == [2, 1, 2]);
}
