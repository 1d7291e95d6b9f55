//! Nodes, their clocks and their lanes, and one seeded scheduler that decides who does what next and what goes wrong.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::{Result, bail};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sluice::broker::Broker;
use sluice::broker::memory::{Cluster, FaultPlan, Message, Partitions, Rates, Topic};
use sluice::lane::apply::ApplyHalf;
use sluice::lane::commit::CommitHalf;
use sluice::lane::exchange::{Exchange, Stop};
use sluice::lane::{LaneSettings, LaneSite, LaneStatus, Load, Phase, Step};
use sluice::log::step::Now;
use sluice::wire::Layout;
use sluice::wire::link::{RULES_LEVEL, genesis, genesis_value};

use crate::planted::{Bug, Planted};
use crate::rules;
use crate::traffic::Traffic;

/// Where the cluster's clock begins.
const START_MS: i64 = 1_700_000_000_000;
/// The same, eight seconds before a midnight (UTC).
const LATE_START_MS: i64 = 1_700_006_392_000;
/// Steps of a run before everything is healed.
const ROUGH_STEPS: u32 = 4_000;
/// Simulated time in which a healed world must come to rest.
const SETTLE_MS: u64 = 120_000;
/// By how much longer a world may take whose commits are always slow.
const SLOW_SETTLE_MS: u64 = 3_600_000;
/// What a commit takes in a slow world, ms: from what was once thought suspicious to beyond every other bound.
const SLOW_COMMIT_MS: std::ops::Range<u64> = 1_500..25_000;
/// How long it then goes on, so that what is held falls due with nothing but Ticks to move time.
const IDLE_MS: u64 = 3_000;

pub struct World {
    pub cluster: Cluster,
    rng: StdRng,
    bug: Bug,
    layout: Layout,
    nodes: Vec<Node>,
    /// By lane: the node to which it is assigned.
    owners: Vec<usize>,
    traffic: Traffic,
    steady_ms: u64,
    /// What each commit takes; 0 in most worlds.
    commit_ms: u64,
}

struct Node {
    broker: Arc<Planted>,
    settings: Arc<LaneSettings>,
    loads: Vec<Load>,
    /// By how much its wall clock is off.
    skew_ms: i64,
    frozen: bool,
    lanes: BTreeMap<u32, SimLane>,
}

/// A lane without its threads.
struct SimLane {
    exchange: Arc<Exchange>,
    status: Arc<LaneStatus>,
    apply: Half<ApplyHalf<Planted>>,
    commit: Half<CommitHalf<Planted>>,
}

struct Half<H> {
    machine: H,
    /// It asked not to be stepped before; it may be all the same.
    until_ms: u64,
    ended: bool,
}

impl<H> Half<H> {
    fn new(machine: H) -> Self {
        Half { machine, until_ms: 0, ended: false }
    }

    fn step(&mut self, now: Now, step: impl Fn(&mut H, Now) -> Step) {
        if self.ended {
            return;
        }
        self.until_ms = match step(&mut self.machine, now) {
            Step::Again => now.steady_ms,
            Step::Wait(time) => now.steady_ms + (time.as_millis() as u64).max(1),
            Step::Ended => {
                self.ended = true;
                u64::MAX
            }
        };
    }
}

impl SimLane {
    fn new(node: &Node, lane: u32, layout: Layout, seed: u64) -> Self {
        let (events, _) = crossbeam::channel::unbounded();
        let (broker, settings, load) = (node.broker.clone(), node.settings.clone(), node.loads[lane as usize].clone());
        let site = LaneSite { broker, lane, layout, settings, load, events };
        let (exchange, status) = (Arc::new(Exchange::default()), Arc::new(site.status()));
        let apply = ApplyHalf::new(site.clone(), exchange.clone(), status.clone());
        let commit = CommitHalf::new(site, exchange.clone(), status.clone(), StdRng::seed_from_u64(seed));
        SimLane { exchange, status, apply: Half::new(apply), commit: Half::new(commit) }
    }

    fn step(&mut self, apply: bool, now: Now) {
        if apply {
            self.apply.step(now, ApplyHalf::step);
        } else {
            self.commit.step(now, CommitHalf::step);
        }
    }
}

impl World {
    pub fn new(seed: u64, bug: Bug) -> World {
        Self::with(seed, bug, 0..1)
    }

    /// A world whose coordinator is sound and always slow.
    pub fn slow(seed: u64) -> World {
        Self::with(seed, Bug::None, SLOW_COMMIT_MS)
    }

    fn with(seed: u64, bug: Bug, commit_ms: std::ops::Range<u64>) -> World {
        let mut rng = StdRng::seed_from_u64(seed);
        let commit_ms = rng.random_range(commit_ms);
        let shards = rng.random_range(1..5);
        // Half of them as the first logs were.
        let lanes = if rng.random() { shards } else { rng.random_range(1..=shards) };
        let layout = Layout { shards, lanes };
        let partitions = Partitions { lanes, replies: rules::REPLY_PARTITIONS, ..Partitions::new(shards) };
        // Some run into the next day.
        let cluster = Cluster::new(partitions, if seed.is_multiple_of(3) { LATE_START_MS } else { START_MS });
        let ids = cluster.node().topics(Duration::ZERO).expect("the topics were just made").ids;
        // Logs of older days, which a command raises, and logs of today.
        let rules_level = seed as u32 % (RULES_LEVEL + 1);
        for lane in 0..lanes {
            let (window_ms, skew_ms) = (rules::WINDOW_MS as u64, rules::SKEW_MS as u64);
            let genesis = genesis(lane, layout, ids, window_ms, skew_ms, rules_level);
            let message = Message::value(genesis_value(genesis));
            cluster.publish(Topic::Decisions, lane, message).expect("nothing is in its way");
        }
        let nodes = (0..rng.random_range(1..4usize)).map(|i| Node {
            broker: Arc::new(Planted::new(cluster.node(), bug)),
            settings: Arc::new(rules::settings(&format!("node-{i}"))),
            loads: Load::of_node(lanes),
            skew_ms: rng.random_range(-400..400),
            frozen: false,
            lanes: BTreeMap::new(),
        });
        let nodes: Vec<_> = nodes.collect();
        let owners = (0..lanes as usize).map(|lane| lane % nodes.len()).collect();
        let traffic = Traffic::new(&cluster, shards);
        let mut world = World { cluster, rng, bug, layout, nodes, owners, traffic, steady_ms: 1_000, commit_ms };
        (0..lanes).for_each(|lane| world.start(lane));
        world
    }

    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Lets everything happen that may happen.
    pub fn rough(&mut self) {
        let quiet = Rates::NONE;
        let rates = if self.rng.random_bool(0.2) { quiet } else { Rates::ROUGH };
        self.cluster.set_faults(FaultPlan::new(self.rng.random(), rates));
        for _ in 0..ROUGH_STEPS {
            match self.rng.random_range(0..1_000) {
                0..200 => self.traffic.step(&self.cluster, &mut self.rng),
                200..900 => self.step_somebody(),
                900..980 => self.advance(1..20),
                980..984 => self.advance(100..1_500),
                _ => self.trouble(),
            }
        }
    }

    /// Heals everything and waits until nothing is left to decide.
    pub fn settle(&mut self) -> Result<()> {
        self.heal();
        let mut idle_until_ms = None;
        let until_ms = self.steady_ms + if self.commit_ms > 0 { SLOW_SETTLE_MS } else { SETTLE_MS };
        while self.steady_ms < until_ms {
            self.step_everybody();
            if !self.is_settled() {
                continue;
            }
            match idle_until_ms {
                None => idle_until_ms = Some(self.steady_ms + IDLE_MS),
                Some(idle_until_ms) if self.steady_ms >= idle_until_ms => return Ok(()),
                Some(_) => {}
            }
        }
        bail!("the world does not come to rest:{}", self.describe())
    }

    fn start(&mut self, number: u32) {
        let seed = self.rng.random();
        let node = &mut self.nodes[self.owners[number as usize]];
        let lane = SimLane::new(node, number, self.layout, seed);
        node.lanes.insert(number, lane);
    }

    fn now(&self, node: usize) -> Now {
        Now { steady_ms: self.steady_ms, unix_ms: self.cluster.now_ms() + self.nodes[node].skew_ms }
    }

    fn advance(&mut self, by_ms: std::ops::Range<u64>) {
        let by_ms = self.rng.random_range(by_ms);
        self.steady_ms += by_ms;
        self.cluster.advance_ms(by_ms.cast_signed());
    }

    fn step_somebody(&mut self) {
        let node = self.rng.random_range(0..self.nodes.len());
        let now = self.now(node);
        if self.nodes[node].frozen || self.nodes[node].lanes.is_empty() {
            return;
        }
        let (at, apply) = (self.rng.random_range(0..self.nodes[node].lanes.len()), self.rng.random());
        let lane = self.nodes[node].lanes.values_mut().nth(at).expect("it is one of them");
        // Mostly a few steps in a row, or a take would rarely get through before the next trouble.
        for _ in 0..self.rng.random_range(1..6) {
            lane.step(apply, now);
        }
        self.pass_commits();
    }

    /// Lets the time pass that commits took.
    fn pass_commits(&mut self) {
        let commits: u64 = self.nodes.iter().map(|node| node.broker.commits.swap(0, Relaxed)).sum();
        let took_ms = commits * self.commit_ms;
        if took_ms > 0 {
            self.steady_ms += took_ms;
            self.cluster.advance_ms(took_ms.cast_signed());
        }
    }

    fn step_everybody(&mut self) {
        let mut busy = false;
        for node in 0..self.nodes.len() {
            let now = self.now(node);
            for lane in self.nodes[node].lanes.values_mut() {
                for apply in [true, false] {
                    lane.step(apply, now);
                }
                busy |= lane.apply.until_ms.min(lane.commit.until_ms) <= self.steady_ms;
            }
        }
        self.pass_commits();
        // Time goes on even while somebody always has more to do: who spins must not stop the clock.
        self.advance(if busy { 0..2 } else { 1..20 });
    }

    fn trouble(&mut self) {
        let shard = self.rng.random_range(0..self.layout.shards);
        let lane = self.rng.random_range(0..self.layout.lanes);
        let node = self.rng.random_range(0..self.nodes.len());
        let topic = Topic::ALL[self.rng.random_range(0..Topic::ALL.len())];
        match self.rng.random_range(0..19) {
            // Killed and started again: nothing is left of what its lanes held.
            0 => {
                let lanes: Vec<u32> = std::mem::take(&mut self.nodes[node].lanes).into_keys().collect();
                self.nodes[node].frozen = false;
                for lane in lanes {
                    if self.owners[lane as usize] == node {
                        self.start(lane);
                    }
                }
            }
            1 | 2 => self.nodes[node].frozen ^= true,
            // Given to another node; the old one may hear of it later.
            3 => {
                let old = std::mem::replace(&mut self.owners[lane as usize], node);
                if self.rng.random() {
                    self.nodes[old].lanes.remove(&lane);
                }
                self.start(lane);
            }
            4 | 5 => self.drop_strays(),
            6 => {
                if let Some(lane) = self.nodes[node].lanes.get(&lane) {
                    lane.exchange.finish(self.steady_ms + self.rng.random_range(0..2_000));
                }
            }
            7 => self.restart_ended(),
            8 => {
                let is_cut_off = self.rng.random();
                self.nodes[node].broker.inner.set_cut_off(is_cut_off);
            }
            9 => self.cluster.complete(),
            10 => self.cluster.time_out(lane),
            11 | 12 => self.cluster.elect(topic, self.partition(topic, shard)).expect("the partition is there"),
            13 | 14 => {
                let is_there = self.rng.random_bool(0.7);
                let partition = self.partition(topic, shard);
                self.cluster.set_leader(topic, partition, is_there).expect("the partition is there");
            }
            // After a week of silence the coordinator knows the lane's producer no more.
            15 => self.cluster.forget(lane),
            16 => {
                let is_full = self.rng.random_bool(0.4);
                self.cluster.set_disk_full(topic, is_full).expect("the topic is there");
            }
            // A bug in a ledger, which parks its shard for a while.
            17 => {
                self.nodes[node].broker.breaks.store(true, Relaxed);
                if self.rng.random() {
                    self.nodes[node].broker.stalls.store(self.rng.random_range(0..60), Relaxed);
                }
            }
            _ => self.cluster.advance_ms(-self.rng.random_range(0..300)),
        }
    }

    /// A partition that the topic has: the shard's own, or its lane's.
    fn partition(&self, topic: Topic, shard: u32) -> u32 {
        match topic {
            Topic::Replies => shard % rules::REPLY_PARTITIONS,
            Topic::Decisions => self.layout.lane(shard),
            _ => shard,
        }
    }

    /// Nodes hear that lanes are no longer theirs.
    fn drop_strays(&mut self) {
        for (i, node) in self.nodes.iter_mut().enumerate() {
            node.lanes.retain(|&lane, _| self.owners[lane as usize] == i);
        }
    }

    fn restart_ended(&mut self) {
        for number in 0..self.layout.lanes {
            let lanes = &self.nodes[self.owners[number as usize]].lanes;
            if lanes.get(&number).is_none_or(|lane| lane.apply.ended && lane.commit.ended) {
                self.start(number);
            }
        }
    }

    fn heal(&mut self) {
        self.cluster.clear_faults();
        for topic in Topic::ALL {
            for shard in 0..self.layout.shards {
                let partition = self.partition(topic, shard);
                self.cluster.set_leader(topic, partition, true).expect("the partition is there");
            }
            self.cluster.set_disk_full(topic, false).expect("the topic is there");
        }
        for node in &mut self.nodes {
            node.frozen = false;
            node.broker.inner.set_cut_off(false);
            node.broker.breaks.store(false, Relaxed);
            node.broker.stalls.store(0, Relaxed);
        }
        self.cluster.complete();
        self.traffic.finish();
        self.drop_strays();
        for number in 0..self.layout.lanes {
            let lane = self.nodes[self.owners[number as usize]].lanes.get(&number);
            if lane.is_none_or(|lane| lane.exchange.stopping() != Stop::No) {
                self.start(number);
            }
        }
    }

    /// Everything readable is decided and committed.
    fn is_settled(&self) -> bool {
        let lanes = self.nodes.iter().flat_map(|node| node.lanes.values());
        lanes.flat_map(|lane| lane.status.snapshot(self.steady_ms).shards).all(|state| {
            let rest =
                |topic, position| self.cluster.read(topic, state.shard, position).is_ok_and(|rest| rest.is_empty());
            state.phase == Phase::Running
                && rest(Topic::Orders, state.orders.position)
                && rest(Topic::Stock, state.stock.position)
        })
    }

    fn describe(&self) -> String {
        let mut text = format!(" bug {:?}", self.bug);
        for (i, node) in self.nodes.iter().enumerate() {
            for (number, lane) in &node.lanes {
                let state = lane.status.snapshot(self.steady_ms);
                let ends = |topic| state.shards.iter().map(move |shard| self.cluster.end(topic, shard.shard));
                let ends: Vec<_> = ends(Topic::Orders).chain(ends(Topic::Stock)).collect();
                write!(text, "\nnode {i}, lane {number}: {state:?}, ends {ends:?}").expect("a String has room");
            }
        }
        text
    }
}
