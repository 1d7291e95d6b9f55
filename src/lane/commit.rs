//! The commit half: takes the shard, recovers its ledger, hands it to apply, and commits one batch after the other.

use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::Sender;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::exchange::{Exchange, Start, Stop};
use super::recover::Recovering;
use super::settings::{
    FAILED_RETRY_MS, LOG_END_TIMEOUT, LONGEST_WAIT, LaneSettings, RETAKE_FIRST_MS, RETAKE_LONGEST_MS,
};
use super::snapshot::Phase;
use super::status::{BatchFigures, LaneStatus};
use super::work::Work;
use super::{LaneEvent, Step};
use crate::broker::Broker;
use crate::log::driver::{self, Driver, Taken};
use crate::log::settings::Settings as LogSettings;
use crate::log::step::Now;

/// The commit half of one lane.
pub struct CommitHalf<B: Broker> {
    broker: Arc<B>,
    shard: u32,
    settings: Arc<LaneSettings>,
    exchange: Arc<Exchange>,
    status: Arc<LaneStatus>,
    events: Sender<LaneEvent>,
    rng: StdRng,
    driver: Driver<B, Recovering>,
    state: State,
    /// The next pause before the shard is taken again.
    pause_ms: u64,
    /// Faults of this driver before the last commit.
    faults: u64,
}

enum State {
    /// Nothing is held; the shard is to be taken then.
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
    /// A half that takes the shard at its first step. `rng` draws nonces and jitter.
    pub fn new(
        broker: Arc<B>,
        shard: u32,
        settings: Arc<LaneSettings>,
        exchange: Arc<Exchange>,
        status: Arc<LaneStatus>,
        events: Sender<LaneEvent>,
        mut rng: StdRng,
    ) -> Self {
        let driver = new_driver(&broker, shard, &settings, &mut rng);
        let state = State::Down { until_ms: 0 };
        let pause_ms = RETAKE_FIRST_MS;
        CommitHalf { broker, shard, settings, exchange, status, events, rng, driver, state, pause_ms, faults: 0 }
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
                self.driver.take(Recovering::new(self.settings.ledger));
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
            driver::Step::Taken(taken) => self.taken(*taken),
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
                let reason = format!("the shard was lost: {}", lost.why);
                let jitter_ms = self.rng.random_range(0..self.pause_ms);
                let until_ms = now.steady_ms + self.pause_ms + jitter_ms;
                self.pause_ms = (self.pause_ms * 2).min(RETAKE_LONGEST_MS);
                self.status.set_phase(Phase::BackingOff, Some(reason.clone()));
                self.tell(LaneEvent::Lost { shard: self.shard, reason });
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
                self.status.set_recovery_end(self.broker.log_end(self.shard, LOG_END_TIMEOUT));
            }
            self.status.set_recovery(progress);
        }
    }

    fn taken(&mut self, taken: Taken<Recovering>) -> Step {
        let Taken { recovered, tail } = taken;
        self.status.set_recovered(&tail);
        let life = self.exchange.next_life();
        let ledger = recovered.into_ledger().expect("a shard is taken only after its genesis was read");
        self.status.begin_life(life);
        let (orders_from, stock_from) = (tail.orders_next, tail.stock_next);
        let leader_epochs = tail.leader_epochs;
        self.exchange.begin(Start { life, ledger, orders_from, stock_from, leader_epochs });
        self.tell(LaneEvent::Running { shard: self.shard, epoch: tail.epoch });
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
            self.driver = new_driver(&self.broker, self.shard, &self.settings, &mut self.rng);
            self.faults = 0;
            return self.fail(fault.to_string(), now);
        }
        if self.exchange.stopping() == Stop::Graceful && self.exchange.is_drained() && !self.exchange.has_full() {
            return Step::Ended;
        }
        self.exchange.set_idle(true);
        Step::Wait(LONGEST_WAIT)
    }

    fn committed(&mut self, now: Now) -> Step {
        let State::Committed { work, since_ms } = std::mem::replace(&mut self.state, State::Idle) else {
            unreachable!("the caller looked");
        };
        self.pause_ms = RETAKE_FIRST_MS;
        let figures = BatchFigures {
            sequence: work.sequence,
            decisions: work.decisions.into(),
            links: work.batch.links.len() as u64,
            bytes: work.bytes as u64,
            dead_letters: work.batch.dead_letters.len() as u64,
            lost_replies: work.lost_replies,
            commit_ms: now.steady_ms.saturating_sub(since_ms),
            next: work.next,
            shard_time_ms: work.shard_time_ms,
        };
        self.status.committed(&figures, &work.tally);
        let (shard, counts) = (self.shard, self.driver.counts());
        let faults = counts.faults - std::mem::replace(&mut self.faults, counts.faults);
        if faults > 0 {
            tracing::info!(shard, faults, commit_ms = figures.commit_ms, "commits again");
        }
        self.status.set_counts(counts);
        self.exchange.give_back(work);
        Step::Again
    }

    fn fail(&mut self, reason: String, now: Now) -> Step {
        self.status.set_phase(Phase::Failed, Some(reason.clone()));
        self.tell(LaneEvent::Failed { shard: self.shard, reason });
        self.go_down(now.steady_ms + FAILED_RETRY_MS)
    }

    /// Ends the present life: whatever is held of it, here and in apply, is void.
    fn go_down(&mut self, until_ms: u64) -> Step {
        self.exchange.next_life();
        if let State::Committing { work, .. } = std::mem::replace(&mut self.state, State::Down { until_ms }) {
            self.exchange.give_back(work);
        }
        while let Some(work) = self.exchange.take_full() {
            self.exchange.give_back(work);
        }
        if self.exchange.stopping() == Stop::No { Step::Again } else { Step::Ended }
    }

    fn tell(&self, event: LaneEvent) {
        // A node that no longer listens is ending, and will end its lanes too.
        drop(self.events.try_send(event));
    }
}

fn new_driver<B: Broker>(
    broker: &Arc<B>,
    shard: u32,
    settings: &LaneSettings,
    rng: &mut StdRng,
) -> Driver<B, Recovering> {
    let (owner, accept_loss) = (settings.owner.clone(), settings.accept_loss);
    let log = LogSettings { shard, owner, accept_loss, commit_timeout: settings.commit_timeout };
    Driver::new(broker.clone(), log, StdRng::from_rng(rng))
}
