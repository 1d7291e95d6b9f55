//! The commit half: takes the lane, recovers its ledgers, hands them to apply, and commits one batch after the other.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::exchange::{Exchange, ShardStart, Start, Stop};
use super::rebuild::Rebuild;
use super::recover::Recovering;
use super::settings::{
    FAILED_RETRY_MS, LOG_END_TIMEOUT, LONGEST_WAIT, LaneSettings, RETAKE_FIRST_MS, RETAKE_LONGEST_MS,
};
use super::site::LaneSite;
use super::snapshot::Phase;
use super::status::LaneStatus;
use super::work::Work;
use super::{LaneEvent, Step};
use crate::broker::{Broker, Position};
use crate::ledger::Ledger;
use crate::log::driver::{self, Driver, Taken};
use crate::log::settings::Settings as LogSettings;
use crate::log::step::Now;
use crate::log::take::ShardTail;
use crate::wire::Layout;

/// The commit half of one lane.
pub struct CommitHalf<B: Broker> {
    site: LaneSite<B>,
    exchange: Arc<Exchange>,
    status: Arc<LaneStatus>,
    rng: StdRng,
    driver: Driver<B, Recovering>,
    state: State,
    /// The ledger of a parked shard that is rebuilt while the lane goes on.
    rebuild: Option<Rebuild<B::Reader>>,
    /// The next pause before the lane is taken again.
    pause_ms: u64,
    /// Faults of this driver before the last commit.
    faults: u64,
}

enum State {
    /// Nothing is held; the lane is to be taken then.
    Down { until_ms: u64 },
    /// The driver takes and recovers.
    Taking,
    /// Apply works; the driver waits for a batch.
    Idle,
    /// The driver commits a batch, whose shell this is.
    Committing { work: Box<Work>, since_ms: u64 },
    /// It was committed in the last step, which waited for the broker: only this one knows how long that took.
    Committed { work: Box<Work>, since_ms: u64 },
}

impl<B: Broker> CommitHalf<B> {
    /// A half that takes the lane at its first step. `rng` draws nonces and jitter.
    pub fn new(site: LaneSite<B>, exchange: Arc<Exchange>, status: Arc<LaneStatus>, mut rng: StdRng) -> Self {
        let driver = new_driver(&site, &mut rng);
        let state = State::Down { until_ms: 0 };
        let pause_ms = RETAKE_FIRST_MS;
        CommitHalf { site, exchange, status, rng, driver, state, rebuild: None, pause_ms, faults: 0 }
    }

    /// Does one thing, which blocks as long as its time-out says.
    pub fn step(&mut self, now: Now) -> Step {
        if let State::Committed { .. } = self.state {
            return self.committed(now);
        }
        match (self.exchange.stopping(), &self.state) {
            (Stop::AtOnce, _) | (Stop::Graceful, State::Down { .. } | State::Taking) => return Step::Ended,
            (Stop::Graceful, State::Idle | State::Committing { .. }) => {
                self.driver.unassign(self.exchange.finish_by_ms())
            }
            (_, &State::Down { until_ms }) if now.steady_ms < until_ms => {
                return Step::Wait(Duration::from_millis(until_ms - now.steady_ms).min(LONGEST_WAIT));
            }
            (_, State::Down { .. }) => {
                self.status.set_phase(Phase::Taking, None);
                self.driver.take(Recovering::new(self.site.settings.ledger));
                self.state = State::Taking;
            }
            _ => {}
        }
        match self.driver.step(now) {
            driver::Step::Again => {
                self.note_progress();
                Step::Again
            }
            driver::Step::Pause { until_ms } => {
                let pause = Duration::from_millis(until_ms.saturating_sub(now.steady_ms));
                Step::Wait(pause.min(LONGEST_WAIT))
            }
            driver::Step::Taken(taken) => self.taken(*taken, now),
            driver::Step::Idle => self.idle(now),
            driver::Step::Committed(batch) => {
                let State::Committing { mut work, since_ms } = std::mem::replace(&mut self.state, State::Idle) else {
                    unreachable!("the driver commits only what it was handed");
                };
                work.batch = batch;
                self.state = State::Committed { work, since_ms };
                Step::Again
            }
            driver::Step::Lost(lost) => {
                let reason = format!("the lane was lost: {}", lost.why);
                let jitter_ms = self.rng.random_range(0..self.pause_ms);
                let until_ms = now.steady_ms + self.pause_ms + jitter_ms;
                self.pause_ms = (self.pause_ms * 2).min(RETAKE_LONGEST_MS);
                self.status.set_phase(Phase::BackingOff, Some(reason.clone()));
                self.site.tell(LaneEvent::Lost { lane: self.site.lane, reason });
                self.go_down(until_ms)
            }
            driver::Step::Refused(refusal) => self.fail(refusal.to_string(), now),
            driver::Step::Stopped(_) => Step::Ended,
        }
    }

    fn note_progress(&mut self) {
        if let State::Taking = self.state
            && let Some(progress) = self.driver.progress()
        {
            if progress.links > 0 && self.status.phase() == Phase::Taking {
                self.status.set_phase(Phase::Recovering, None);
                self.status.set_recovery_end(self.site.broker.log_end(self.site.lane, LOG_END_TIMEOUT));
            }
            self.status.set_recovery(progress);
        }
    }

    fn taken(&mut self, taken: Taken<Recovering>, now: Now) -> Step {
        let Taken { recovered, tail } = taken;
        let layout = Layout::of(&tail.genesis);
        if layout != self.site.layout {
            let reason = format!(
                "the topics have {} shards and {} lanes now, and {} and {} when this node started: start it again",
                layout.shards, layout.lanes, self.site.layout.shards, self.site.layout.lanes
            );
            self.driver = new_driver(&self.site, &mut self.rng);
            return self.fail(reason, now);
        }
        self.status.set_recovered(&tail);
        let life = self.exchange.next_life();
        self.status.begin_life(life);
        let epoch = tail.epoch;
        let shards = tail.shards.into_iter().zip(recovered.into_ledgers());
        let shards = shards.map(|(shard, ledger)| start_of(shard, ledger)).collect();
        self.exchange.begin(Start { life, shards });
        self.site.tell(LaneEvent::Running { lane: self.site.lane, epoch });
        self.state = State::Idle;
        Step::Again
    }

    fn idle(&mut self, now: Now) -> Step {
        while let Some(mut work) = self.exchange.take_full() {
            if work.life == self.exchange.life() {
                self.driver.hand(std::mem::take(&mut work.batch));
                self.state = State::Committing { work, since_ms: now.steady_ms };
                return Step::Again;
            }
            self.exchange.give_back(work);
        }
        if let Some(fault) = self.exchange.take_fault() {
            self.driver = new_driver(&self.site, &mut self.rng);
            self.faults = 0;
            return self.fail(fault.to_string(), now);
        }
        if self.exchange.stopping() == Stop::Graceful && self.exchange.is_drained() && !self.exchange.has_full() {
            return Step::Ended;
        }
        self.exchange.set_idle(true);
        self.rebuild()
    }

    /// Goes on with rebuilding a parked shard's ledger, a read of the log for each time that the lane has nothing to
    /// commit: it may take long, and the lane's other shards wait for one read at the most.
    fn rebuild(&mut self) -> Step {
        if self.rebuild.is_none()
            && !self.exchange.has_rebuilt()
            && let Some(at) = self.exchange.take_rebuild()
        {
            let until = self.driver.last_hash().expect("it holds the lane");
            self.rebuild = Some(Rebuild::new(&self.site, at, until));
        }
        let Some(rebuild) = &mut self.rebuild else { return Step::Wait(LONGEST_WAIT) };
        if let Some(rebuilt) = rebuild.step(&*self.site.broker) {
            if let Ok(Some(start)) = &rebuilt {
                self.status.shard(rebuild.at()).set_decided_from(start);
            }
            self.exchange.give_rebuilt(rebuild.at(), rebuilt);
            self.rebuild = None;
        }
        Step::Again
    }

    fn committed(&mut self, now: Now) -> Step {
        let State::Committed { work, since_ms } = std::mem::replace(&mut self.state, State::Idle) else {
            unreachable!("the caller looked");
        };
        self.pause_ms = RETAKE_FIRST_MS;
        self.status.committed(&work, now.steady_ms.saturating_sub(since_ms));
        let (lane, counts) = (self.site.lane, self.driver.counts());
        let faults = counts.faults - std::mem::replace(&mut self.faults, counts.faults);
        if faults > 0 {
            let commit_ms = now.steady_ms.saturating_sub(since_ms);
            tracing::info!(lane, faults, commit_ms, "commits again");
        }
        self.status.set_counts(counts);
        self.exchange.give_back(work);
        Step::Again
    }

    fn fail(&mut self, reason: String, now: Now) -> Step {
        self.status.set_phase(Phase::Failed, Some(reason.clone()));
        self.site.tell(LaneEvent::Failed { lane: self.site.lane, reason });
        self.go_down(now.steady_ms + FAILED_RETRY_MS)
    }

    /// Ends the present life: whatever is held of it, here and in apply, is void.
    fn go_down(&mut self, until_ms: u64) -> Step {
        self.exchange.next_life();
        self.rebuild = None;
        if let State::Committing { work, .. } = std::mem::replace(&mut self.state, State::Down { until_ms }) {
            self.exchange.give_back(work);
        }
        while let Some(work) = self.exchange.take_full() {
            self.exchange.give_back(work);
        }
        if self.exchange.stopping() == Stop::No { Step::Again } else { Step::Ended }
    }
}

/// Where a shard goes on.
pub(super) fn start_of(tail: ShardTail, ledger: Option<Box<Ledger>>) -> ShardStart {
    let [orders_epoch, stock_epoch] = tail.leader_epochs;
    ShardStart {
        shard: tail.shard,
        ledger: match tail.refusal {
            Some(refusal) => Err(refusal),
            None => Ok(ledger.expect("the lane is taken only after its genesis was read")),
        },
        orders: Position { offset: tail.orders_next, leader_epoch: orders_epoch },
        stock: Position { offset: tail.stock_next, leader_epoch: stock_epoch },
    }
}

fn new_driver<B: Broker>(site: &LaneSite<B>, rng: &mut StdRng) -> Driver<B, Recovering> {
    let LaneSettings { owner, accept_loss, commit_timeout, .. } = &*site.settings;
    let (owner, accept_loss, commit_timeout) = (owner.clone(), *accept_loss, *commit_timeout);
    let log = LogSettings { lane: site.lane, owner, accept_loss, commit_timeout };
    Driver::new(site.broker.clone(), log, StdRng::from_rng(rng))
}
