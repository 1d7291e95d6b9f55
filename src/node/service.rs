//! A node at work: joins the group, runs the lanes that it is given, and stops in order.
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
use crate::lane::{self, Lane, LaneEvent, LaneSettings, LaneSite, Load};
use crate::wire::Layout;

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
    /// A lane ended by a bug; the group gives it to another node.
    #[error(
        "lane {lane} ended by a fault of the engine itself: {reason}. Its last words are in the log; please report them"
    )]
    Bug {
        /// Which.
        lane: u32,
        /// The panic's words.
        reason: String,
    },
    /// A lane's thread made no step for longer than `node.stall_timeout_ms`.
    #[error("lane {lane} made no step for {} s: left the group, so that another node takes it", stalled.as_secs())]
    Stalled {
        /// Which.
        lane: u32,
        /// For how long.
        stalled: Duration,
    },
    /// No thread could be started.
    #[error("no thread for lane {lane}: {source}. Raise the limit on processes (ulimit -u)")]
    Thread {
        /// Which.
        lane: u32,
        /// The system's words.
        source: std::io::Error,
    },
}

/// What a node is made of.
#[derive(Debug)]
pub struct Plan<B> {
    /// Opens what the lanes need.
    pub broker: Arc<B>,
    /// How many shards and lanes there are.
    pub layout: Layout,
    /// What each lane is told.
    pub lane: Arc<LaneSettings>,
    /// How long a lane may take to commit what is open when it is given up.
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
    let loads = Load::of_node(plan.layout.lanes);
    let mut service = Service {
        plan,
        loads,
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
        warn!("the group did not confirm that this node left; it gives the lanes away when the session times out");
    }
    service.failure.map_or(Ok(()), Err)
}

struct Service<'a, B> {
    plan: Plan<B>,
    /// Of every lane that there is.
    loads: Vec<Load>,
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

/// Lanes as the log names them.
fn names(lanes: &[u32]) -> String {
    let mut lanes: Vec<_> = lanes.iter().map(|lane| u64::from(*lane)).collect();
    lanes.sort_unstable();
    list(&lanes)
}

impl<B: Broker> Service<'_, B> {
    fn member(&mut self, event: membership::Event) {
        match event {
            membership::Event::Assigned(lanes) => {
                match lanes.len() {
                    0 => info!("nothing more is assigned to this node for now"),
                    count => info!(lanes = names(&lanes), count, "assigned"),
                }
                self.given(&lanes);
                self.on(Event::Assigned(lanes));
            }
            membership::Event::Revoked(lanes, ack) => {
                info!(lanes = names(&lanes), count = lanes.len(), "revoked: committing what is open");
                self.lanes.take_back(&lanes);
                self.next_ack += 1;
                self.acks.insert(self.next_ack, ack);
                self.on(Event::Revoked { lanes, ack: self.next_ack });
            }
            membership::Event::Lost(lanes) => {
                warn!(lanes = names(&lanes), count = lanes.len(), "lost: other nodes may have them already");
                self.lanes.forget_given();
                self.spare.forget();
                self.on(Event::Lost(lanes));
            }
            membership::Event::Trouble(fault @ Fault::Fatal(_)) => self.refused(fault),
            membership::Event::Trouble(fault) => {
                warn!(kind = fault.kind(), %fault, "trouble with the consumer group");
            }
        }
    }

    /// A node that joins is given nothing at first: others hold its lanes, and have to commit what is open in them.
    fn given(&mut self, lanes: &[u32]) {
        if lanes.is_empty() && !self.lanes.is_assigned() {
            self.spare.left_without(Instant::now());
        } else {
            self.spare.forget();
            self.lanes.give(lanes);
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
            LaneEvent::Running { lane, epoch } => info!(lane, epoch, "recovered, deciding"),
            LaneEvent::Lost { lane, reason } => warn!(lane, reason, "lost the lane's log, taking it again"),
            LaneEvent::Failed { lane, reason } => error!(lane, reason, "needs a person"),
            LaneEvent::Parked { shard, reason } => error!(shard, reason, "parked: the other shards of its lane go on"),
            LaneEvent::Panicked { lane, reason } => self.fail(NodeError::Bug { lane, reason }),
        }
    }

    fn ended(&mut self, lane: u32) {
        self.lanes.remove(lane);
        self.on(Event::Ended(lane));
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
            Action::Start(number) => {
                let site = LaneSite {
                    broker: self.plan.broker.clone(),
                    lane: number,
                    layout: self.plan.layout,
                    settings: self.plan.lane.clone(),
                    load: self.loads[number as usize].clone(),
                    events: self.lane_events.clone(),
                };
                match Lane::spawn(site) {
                    Ok(lane) => {
                        self.lanes.enter(number, lane.status().clone());
                        self.running.insert(number, Running { lane, deadline: None });
                    }
                    Err(source) => {
                        self.ended(number);
                        self.fail(NodeError::Thread { lane: number, source });
                    }
                }
            }
            Action::Finish(lane) => {
                if let Some(running) = self.running.get_mut(&lane) {
                    running.lane.begin_stop(self.plan.shutdown_timeout);
                    running.deadline = Some((Instant::now() + self.plan.shutdown_timeout, false));
                }
            }
            Action::Abandon(lane) => self.abandon(lane),
            Action::Acknowledge(ack) => drop(self.acks.remove(&ack)),
            Action::Leave => self.leave = true,
        }
    }

    fn abandon(&mut self, lane: u32) {
        if let Some(running) = self.running.get_mut(&lane) {
            self.lanes.remove(lane);
            running.lane.discard();
            running.deadline = Some((Instant::now() + ABANDON_TIMEOUT, true));
        }
    }

    /// Takes leave of the lanes that have ended, and of patience with those that should have.
    fn collect(&mut self) {
        let ended: Vec<u32> =
            self.running.iter().filter(|(_, running)| running.lane.has_ended()).map(|(&lane, _)| lane).collect();
        for lane in ended {
            self.running.remove(&lane);
            self.ended(lane);
        }
        let now = Instant::now();
        let late: Vec<(u32, bool)> = self
            .running
            .iter()
            .filter_map(|(&lane, running)| running.deadline.map(|deadline| (lane, deadline)))
            .filter(|&(_, (deadline, _))| deadline <= now)
            .map(|(lane, (_, abandoned))| (lane, abandoned))
            .collect();
        for (lane, abandoned) in late {
            if abandoned {
                warn!(
                    lane,
                    "given up while a call into the Kafka client had not returned: nothing is lost or decided twice, the \
                     next owner fences what is open. Nothing to do while brokers are away; if they are well and this \
                     comes again, restart the node and report it"
                );
                self.running.remove(&lane);
                self.ended(lane);
            } else {
                warn!(lane, "did not finish in time; what is open is left to the next owner");
                self.abandon(lane);
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
            .map(|(&lane, running)| (lane, running.lane.status().since_step(lane::clock::steady_ms())))
            .find(|&(_, since)| since > self.plan.stall_timeout);
        if let Some((lane, stalled)) = stalled {
            self.fail(NodeError::Stalled { lane, stalled });
        }
        for shard in self.lanes.snapshots().into_iter().flat_map(|(_, lane, _)| lane.shards) {
            let (shard, lost) = (shard.shard, shard.lost_replies);
            let before = self.lost_replies.insert(shard, lost).unwrap_or(0);
            if lost > before {
                warn!(
                    shard,
                    kind = "lost_replies",
                    lost,
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
        let lanes: Vec<_> = self.lanes.snapshots().into_iter().map(|(number, lane, _)| (number, lane)).collect();
        match self.progress.step(Instant::now(), self.lanes.is_assigned(), &lanes) {
            Some(Report::Unassigned { waited }) => info!(
                waited_s = waited.as_secs(),
                "waiting for the group to assign lanes: it first hears of every other member, and of one that died when \
                 its session times out"
            ),
            Some(Report::Starting { taking, recovering, catching_up, per_second, percent, left_s, behind }) => {
                info!(taking, recovering, catching_up, per_second, percent, left_s, behind, "lanes on their way");
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
