//! A node at work: joins the group, runs a lane for each shard that it is given, and stops in order.
//!
//! Nothing is decided here: [`Assignment`] says what to start and stop, and the lanes do the rest.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, select, tick, unbounded};
use thiserror::Error;
use tracing::{error, info, warn};

use super::assignment::{Action, Assignment, Event};
use super::lanes::Lanes;
use super::logging::list;
use super::progress::{Progress, Report};
use super::spare::Spare;
use crate::broker::{Broker, Fault};
use crate::kafka::membership::{self, Ack, Membership};
use crate::lane::{self, Lane, LaneEvent, LaneSettings};

/// How often lanes that are to end are looked at: what a rebalance waits for.
const ROUND: Duration = Duration::from_millis(20);
/// How often positions are reported and stalled lanes looked for, in rounds.
const REPORT_ROUNDS: u64 = 50;
/// How long the group may refuse in a way that does not pass by itself before the node gives up: a broker that has just
/// started does not know its topics yet.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(30);
/// How long a lane that was told to leave everything as it is may take to end; then its threads are left to themselves.
const ABANDON_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a node ended otherwise than by being told to.
#[derive(Debug, Error)]
pub enum NodeError {
    /// The group cannot be joined, and will not be without a person.
    #[error("the consumer group cannot be joined: {0}")]
    Membership(#[source] Fault),
    /// A lane ended by a bug; the group gives its shard to another node.
    #[error(
        "shard {shard} ended by a fault of the engine itself: {reason}. Its last words are in the log; please report them"
    )]
    Bug {
        /// Which shard.
        shard: u32,
        /// The panic's words.
        reason: String,
    },
    /// A lane's thread made no step for longer than `node.stall_timeout_ms`.
    #[error("shard {shard} made no step for {} s: left the group, so that another node takes it", stalled.as_secs())]
    Stalled {
        /// Which shard.
        shard: u32,
        /// For how long.
        stalled: Duration,
    },
    /// No thread could be started.
    #[error("no thread for shard {shard}: {source}. Raise the limit on processes (ulimit -u)")]
    Thread {
        /// Which shard.
        shard: u32,
        /// The system's words.
        source: std::io::Error,
    },
}

/// What a node is made of.
#[derive(Debug)]
pub struct Plan<B> {
    /// Opens what the shards need.
    pub broker: Arc<B>,
    /// What each lane is told.
    pub lane: Arc<LaneSettings>,
    /// How long a shard may take to commit what is open when it is given up.
    pub shutdown_timeout: Duration,
    /// How long a member may take to hear of what changed in the group.
    pub heartbeat: Duration,
    /// How long a lane's thread may go without a step.
    pub stall_timeout: Duration,
}

/// Works until a message comes on `stop`; then commits what is open, leaves the group and returns.
///
/// # Errors
/// As [`NodeError`]; what was open is committed as far as possible and the group is left all the same.
pub fn run<B: Broker>(
    plan: Plan<B>,
    membership: Membership,
    lanes: &Lanes,
    stop: &Receiver<()>,
) -> Result<(), NodeError> {
    let (lane_events, from_lanes) = unbounded();
    let spare = Spare::new(plan.heartbeat, plan.shutdown_timeout);
    let mut service = Service {
        plan,
        lanes,
        lane_events,
        assignment: Assignment::new(),
        running: BTreeMap::new(),
        acks: HashMap::new(),
        next_ack: 0,
        leave: false,
        spare,
        refused: None,
        progress: Progress::new(Instant::now()),
        lost_replies: BTreeMap::new(),
        failure: None,
    };
    let rounds = tick(ROUND);
    let mut round: u64 = 0;
    while !service.leave {
        select! {
            recv(membership.events()) -> event => match event {
                Ok(event) => service.member(event),
                Err(_) => service.fail(NodeError::Membership(Fault::Fatal("its thread ended".to_owned()))),
            },
            recv(from_lanes) -> event => service.lane(event.expect("the service holds a sender itself")),
            recv(stop) -> _ => {
                if !service.assignment.is_stopping() {
                    info!("stopping: committing what is open, then leaving the group");
                    service.shut_down();
                }
            }
            recv(rounds) -> _ => {
                round += 1;
                service.collect();
                service.settle_for_nothing();
                if round.is_multiple_of(REPORT_ROUNDS) {
                    membership.report_positions(&lanes.positions());
                    service.watch();
                    service.tell_progress();
                }
            }
        }
    }
    membership.report_positions(&lanes.positions());
    let plan = service.plan;
    if !membership.leave(plan.shutdown_timeout) {
        warn!("the group did not confirm that this node left; it gives the shards away when the session times out");
    }
    service.failure.map_or(Ok(()), Err)
}

struct Service<'a, B> {
    plan: Plan<B>,
    lanes: &'a Lanes,
    lane_events: Sender<LaneEvent>,
    assignment: Assignment,
    running: BTreeMap<u32, Running>,
    acks: HashMap<u64, Ack>,
    next_ack: u64,
    leave: bool,
    spare: Spare,
    /// When the group began to refuse, and when it last did.
    refused: Option<(Instant, Instant)>,
    progress: Progress,
    /// By shard, as last seen.
    lost_replies: BTreeMap<u32, u64>,
    failure: Option<NodeError>,
}

struct Running {
    lane: Lane,
    /// When it must have ended, once it was told to; and whether that was without another commit.
    deadline: Option<(Instant, bool)>,
}

/// Shards as the log names them.
fn names(shards: &[u32]) -> String {
    let mut shards: Vec<_> = shards.iter().map(|shard| u64::from(*shard)).collect();
    shards.sort_unstable();
    list(&shards)
}

impl<B: Broker> Service<'_, B> {
    fn member(&mut self, event: membership::Event) {
        match event {
            membership::Event::Assigned(shards) => {
                match shards.len() {
                    0 => info!("nothing more is assigned to this node for now"),
                    count => info!(shards = names(&shards), count, "assigned"),
                }
                self.given(&shards);
                self.on(Event::Assigned(shards));
            }
            membership::Event::Revoked(shards, ack) => {
                info!(shards = names(&shards), count = shards.len(), "revoked: committing what is open");
                self.lanes.take_back(&shards);
                self.next_ack += 1;
                self.acks.insert(self.next_ack, ack);
                self.on(Event::Revoked { shards, ack: self.next_ack });
            }
            membership::Event::Lost(shards) => {
                warn!(shards = names(&shards), count = shards.len(), "lost: other nodes may have them already");
                self.lanes.forget_given();
                self.spare.forget();
                self.on(Event::Lost(shards));
            }
            membership::Event::Trouble(fault @ Fault::Fatal(_)) => self.refused(fault),
            membership::Event::Trouble(fault) => {
                warn!(kind = fault.kind(), %fault, "trouble with the consumer group");
            }
        }
    }

    /// A node that joins is given nothing at first: others hold its shards, and have to commit what is open in them.
    fn given(&mut self, shards: &[u32]) {
        if shards.is_empty() && !self.lanes.is_assigned() {
            self.spare.left_without(Instant::now());
        } else {
            self.spare.forget();
            self.lanes.give(shards);
        }
    }

    /// A node that is given nothing for long enough is a spare.
    fn settle_for_nothing(&mut self) {
        if self.spare.is_over(Instant::now()) {
            self.lanes.give(&[]);
        }
    }

    fn refused(&mut self, fault: Fault) {
        let now = Instant::now();
        let lasting = self.refused.filter(|&(_, last)| now.duration_since(last) < REFUSAL_PATIENCE);
        let since = lasting.map_or(now, |(since, _)| since);
        self.refused = Some((since, now));
        if now.duration_since(since) >= REFUSAL_PATIENCE {
            self.fail(NodeError::Membership(fault));
        } else {
            warn!(kind = fault.kind(), %fault, "the consumer group refuses");
        }
    }

    fn lane(&mut self, event: LaneEvent) {
        match event {
            LaneEvent::Running { shard, epoch } => info!(shard, epoch, "recovered, deciding"),
            LaneEvent::Lost { shard, reason } => warn!(shard, reason, "lost the shard's log, taking it again"),
            LaneEvent::Failed { shard, reason } => error!(shard, reason, "needs a person"),
            LaneEvent::Panicked { shard, reason } => self.fail(NodeError::Bug { shard, reason }),
        }
    }

    fn ended(&mut self, shard: u32) {
        self.lanes.remove(shard);
        self.on(Event::Ended(shard));
    }

    fn on(&mut self, event: Event) {
        let mut actions = Vec::new();
        self.assignment.on(event, &mut actions);
        for action in actions {
            self.act(action);
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Start(shard) => {
                let (broker, settings) = (self.plan.broker.clone(), self.plan.lane.clone());
                match Lane::spawn(broker, shard, settings, self.lane_events.clone()) {
                    Ok(lane) => {
                        self.lanes.enter(shard, lane.status().clone());
                        self.running.insert(shard, Running { lane, deadline: None });
                    }
                    Err(source) => {
                        self.ended(shard);
                        self.fail(NodeError::Thread { shard, source });
                    }
                }
            }
            Action::Finish(shard) => {
                if let Some(running) = self.running.get_mut(&shard) {
                    running.lane.begin_stop(self.plan.shutdown_timeout);
                    running.deadline = Some((Instant::now() + self.plan.shutdown_timeout, false));
                }
            }
            Action::Abandon(shard) => self.abandon(shard),
            Action::Acknowledge(ack) => drop(self.acks.remove(&ack)),
            Action::Leave => self.leave = true,
        }
    }

    fn abandon(&mut self, shard: u32) {
        if let Some(running) = self.running.get_mut(&shard) {
            self.lanes.remove(shard);
            running.lane.discard();
            running.deadline = Some((Instant::now() + ABANDON_TIMEOUT, true));
        }
    }

    /// Takes leave of the lanes that have ended, and of patience with those that should have.
    fn collect(&mut self) {
        let ended: Vec<u32> =
            self.running.iter().filter(|(_, running)| running.lane.has_ended()).map(|(&shard, _)| shard).collect();
        for shard in ended {
            self.running.remove(&shard);
            self.ended(shard);
        }
        let now = Instant::now();
        let late: Vec<(u32, bool)> = self
            .running
            .iter()
            .filter_map(|(&shard, running)| running.deadline.map(|deadline| (shard, deadline)))
            .filter(|&(_, (deadline, _))| deadline <= now)
            .map(|(shard, (_, abandoned))| (shard, abandoned))
            .collect();
        for (shard, abandoned) in late {
            if abandoned {
                warn!(
                    shard,
                    "given up while a call into the Kafka client had not returned: nothing is lost or decided twice, the \
                     next owner fences what is open. Nothing to do while brokers are away; if they are well and this \
                     comes again, restart the node and report it"
                );
                self.running.remove(&shard);
                self.ended(shard);
            } else {
                warn!(shard, "did not finish in time; what is open is left to the next owner");
                self.abandon(shard);
            }
        }
    }

    /// The membership consumer beats on whatever its lanes do: a lane that hangs must be noticed here.
    fn watch(&mut self) {
        if self.assignment.is_stopping() {
            return;
        }
        let stalled = self
            .running
            .iter()
            .map(|(&shard, running)| (shard, running.lane.status().since_step(lane::clock::steady_ms())))
            .find(|&(_, since)| since > self.plan.stall_timeout);
        if let Some((shard, stalled)) = stalled {
            self.fail(NodeError::Stalled { shard, stalled });
        }
        for (shard, lane, _) in self.lanes.snapshots() {
            let before = self.lost_replies.insert(shard, lane.lost_replies).unwrap_or(0);
            if lane.lost_replies > before {
                warn!(
                    shard,
                    kind = "lost_replies",
                    lost = lane.lost_replies,
                    "answers are asked for in partitions that `replies` did not have when this node started. If they \
                     were added since, restart the nodes one by one; else a client asks for a wrong reply_partition. \
                     The decisions stand in the log"
                );
            }
        }
    }

    fn tell_progress(&mut self) {
        if self.assignment.is_stopping() {
            return;
        }
        let shards: Vec<_> = self.lanes.snapshots().into_iter().map(|(shard, lane, _)| (shard, lane)).collect();
        match self.progress.step(Instant::now(), self.lanes.is_assigned(), &shards) {
            Some(Report::Unassigned { waited }) => info!(
                waited_s = waited.as_secs(),
                "waiting for the group to assign shards: it first hears of every other member, and of one that died when \
                 its session times out"
            ),
            Some(Report::Starting { taking, recovering, catching_up, per_second, percent, left_s, behind }) => {
                info!(taking, recovering, catching_up, per_second, percent, left_s, behind, "shards on their way");
            }
            None => {}
        }
    }

    fn shut_down(&mut self) {
        self.lanes.set_stopping();
        self.on(Event::Shutdown);
    }

    /// Keeps the first failure and stops.
    fn fail(&mut self, failure: NodeError) {
        error!("{failure}");
        self.failure.get_or_insert(failure);
        self.shut_down();
    }
}
