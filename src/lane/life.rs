//! What the apply half does during one ownership of the lane: poll, apply each shard in its turn, tick, hand over.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::decide::Scratches;
use super::exchange::{ApplyFault, Exchange, ShardStart};
use super::outbox::Outbox;
use super::pace::Pace;
use super::panic::words;
use super::parked::Parked;
use super::pending::Held;
use super::settings::{ASK_ENDS_EVERY_MS, LONGEST_WAIT, TURN_COST_BYTES};
use super::shard::{Polled, Shard};
use super::site::LaneSite;
use super::snapshot::Phase;
use super::status::LaneStatus;
use super::work::Work;
use super::{LaneEvent, Step};
use crate::broker::Inputs;
use crate::log::step::Now;

/// What a lane's lives have in common.
pub(super) struct Common<B> {
    pub(super) site: LaneSite<B>,
    pub(super) exchange: Arc<Exchange>,
    pub(super) status: Arc<LaneStatus>,
}

/// A shard of the lane, at work or not.
enum Member<R> {
    Works(Box<Shard<R>>),
    /// Waits for its time or for its ledger.
    Parked(Parked<R>),
}

/// What is held during one ownership of the lane.
pub(super) struct Life<I: Inputs> {
    number: u64,
    inputs: I,
    members: Vec<Member<I::Records>>,
    /// Whose turn it is.
    turn: usize,
    outbox: Outbox,
    scratches: Box<Scratches>,
    pace: Pace,
    /// When the ends of all inputs were last asked for though nothing waited for them.
    status_ms: Option<u64>,
}

impl<I: Inputs> Life<I> {
    /// Begins where the recovered ledgers end. `work` is the batch to be filled first.
    pub(super) fn new<B>(
        common: &Common<B>,
        number: u64,
        shards: Vec<ShardStart>,
        inputs: I,
        work: Box<Work>,
        now: Now,
    ) -> Self {
        let outbox = Outbox::new(shards.iter().map(|start| start.shard), common.site.settings.clone(), work);
        let mut life = Life {
            number,
            inputs,
            members: Vec::new(),
            turn: 0,
            outbox,
            scratches: Box::default(),
            pace: Pace::new(common.site.settings.batch),
            status_ms: None,
        };
        for (at, start) in shards.into_iter().enumerate() {
            let (shard, accept_loss) = (start.shard, common.site.settings.accept_loss);
            let member = match Shard::new(at, start, 0, accept_loss) {
                Ok(works) => {
                    common.status.shard(at).set_rules_level(works.rules_level());
                    Member::Works(Box::new(works))
                }
                Err(refusal) => {
                    life.tell_parked(common, at, shard, refusal.to_string());
                    Member::Parked(Parked::without(0, common.site.settings.parked_retry_ms, 0, now))
                }
            };
            life.members.push(member);
        }
        life
    }

    /// Which ownership it is.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Sleeps until something may be there, `most` at the most.
    pub(super) fn wait(&mut self, most: Duration) {
        self.inputs.wait(most);
    }

    /// The buffers of the open batch; everything else is dropped.
    pub(super) fn into_work(self) -> Box<Work> {
        self.outbox.into_work()
    }

    /// Does what there is to do now. An error ends the ownership: no shard of the lane can go on.
    pub(super) fn step<B>(&mut self, common: &Common<B>, now: Now) -> Result<Step, ApplyFault> {
        self.outbox.set_engine_time(now.unix_ms);
        if common.exchange.wants_work() {
            self.pace.commit_is_idle(now.steady_ms);
        }
        self.take_ends(common, now);
        let mut progress = self.poll(common, now)?;
        progress |= self.take_turns(common, now)?;
        self.ask_for_status(now);
        self.tick(common, now);
        progress |= self.hand_over(common, now);
        self.note_caught_up(common);
        self.resume(common, now);
        Ok(if progress { Step::Again } else { Step::Wait(self.longest_wait(common, now)) })
    }

    /// Hands over what is open and takes nothing more.
    pub(super) fn drain<B>(&mut self, common: &Common<B>, now: Now) -> Step {
        self.take_ends(common, now);
        if self.outbox.is_empty() {
            return Step::Ended;
        }
        self.pace.hurry();
        if self.hand_over(common, now) { Step::Again } else { Step::Wait(LONGEST_WAIT) }
    }

    fn shards(&self) -> impl Iterator<Item = &Shard<I::Records>> {
        self.members.iter().filter_map(|member| match member {
            Member::Works(shard) => Some(&**shard),
            Member::Parked(_) => None,
        })
    }

    fn take_ends<B>(&mut self, common: &Common<B>, now: Now) {
        while let Some((at, ends)) = self.inputs.ends() {
            self.pace.answered(now.steady_ms);
            common.status.shard(at).set_ends(ends, now.steady_ms);
            if let Member::Works(shard) = &mut self.members[at] {
                shard.answered(ends);
            }
        }
    }

    fn poll<B>(&mut self, common: &Common<B>, now: Now) -> Result<bool, ApplyFault> {
        if self.outbox.is_full() {
            return Ok(false);
        }
        let held = self.shards().fold(Held::default(), |held, shard| shard.held(held));
        let mut any = false;
        for at in 0..self.members.len() {
            let Member::Works(shard) = &mut self.members[at] else { continue };
            match shard.poll(&mut self.inputs, held, now) {
                Ok(Polled::Nothing) => {}
                Ok(Polled::Some) => any = true,
                Ok(Polled::Mended) => {
                    any = true;
                    common.status.set_shard_reason(self.number, at, None);
                }
                Ok(Polled::Fails(fault)) => {
                    common.status.set_shard_reason(self.number, at, Some(fault.to_string()));
                }
                Err(fault) => self.fails(common, at, fault, now)?,
            }
        }
        Ok(any)
    }

    /// A shard that cannot go on is parked, with its ledger: what it has decided stands. If it was the last that worked,
    /// the lane cannot go on either.
    fn fails<B>(&mut self, common: &Common<B>, at: usize, fault: ApplyFault, now: Now) -> Result<(), ApplyFault> {
        if self.shards().count() == 1 {
            return Err(fault);
        }
        // In its place until it is put back: nothing.
        let nothing = Member::Parked(Parked::without(0, 0, 0, now));
        let Member::Works(mut shard) = std::mem::replace(&mut self.members[at], nothing) else {
            unreachable!("it was polled")
        };
        if self.outbox.has(at) {
            shard.close(&mut self.outbox.of(at));
        }
        self.tell_parked(common, at, shard.number, fault.to_string());
        self.members[at] = Member::Parked(Parked::with(shard, common.site.settings.parked_retry_ms, now));
        Ok(())
    }

    fn tell_parked<B>(&self, common: &Common<B>, at: usize, shard: u32, reason: String) {
        common.status.set_shard_phase(self.number, at, Phase::Parked, Some(reason.clone()));
        common.site.tell(LaneEvent::Parked { shard, reason });
    }

    /// Gives shards their turns, one after the other, until they have cost as much as one may or none has anything to do.
    /// Who is next stays so for the next batch.
    fn take_turns<B>(&mut self, common: &Common<B>, now: Now) -> Result<bool, ApplyFault> {
        let may_ask = now.steady_ms >= self.ask_ms(common, now);
        let mut left = TURN_COST_BYTES;
        let mut progress = false;
        for _ in 0..self.members.len() {
            if left == 0 || self.outbox.is_full() {
                break;
            }
            let at = self.turn;
            self.turn = (at + 1) % self.members.len();
            let Member::Works(shard) = &mut self.members[at] else { continue };
            let mut part = self.outbox.of(at);
            let before = part.cost();
            let (inputs, scratches) = (&mut self.inputs, &mut *self.scratches);
            let mut asked = false;
            let turn = AssertUnwindSafe(|| {
                shard.turn(&mut part, scratches, may_ask, &mut |ticket| {
                    inputs.ask_ends(at, ticket);
                    asked = true;
                })
            });
            match catch_unwind(turn) {
                Ok(applied) => progress |= applied,
                Err(panic) => {
                    self.drop_ledger(common, at, &words(&*panic), now)?;
                    progress = true;
                    continue;
                }
            }
            progress |= shard.is_in_debt();
            left = left.saturating_sub(self.outbox.of(at).cost() - before);
            if asked {
                let Member::Works(shard) = &mut self.members[at] else { unreachable!("it had its turn") };
                shard.asked(now);
                self.pace.asked(now.steady_ms);
                progress = true;
            }
        }
        Ok(progress)
    }

    /// A bug in a shard's ledger: what it has in the open batch is void, what was handed over stands. It is rebuilt from
    /// the log after a while; with the whole lane, if it was the last shard that worked.
    fn drop_ledger<B>(&mut self, common: &Common<B>, at: usize, words: &str, now: Now) -> Result<(), ApplyFault> {
        self.outbox.discard(at);
        *self.scratches = Scratches::default();
        let reason = format!("a bug in the engine: {words}");
        if self.shards().count() == 1 {
            return Err(ApplyFault::Bug(reason));
        }
        let Member::Works(shard) = &self.members[at] else { unreachable!("it had its turn") };
        let ticket = shard.ticket();
        self.tell_parked(common, at, shard.number, reason);
        self.members[at] = Member::Parked(Parked::without(ticket, common.site.settings.parked_retry_ms, 0, now));
        Ok(())
    }

    /// When what is pending is worth a question.
    fn ask_ms<B>(&self, common: &Common<B>, now: Now) -> u64 {
        let lanes = common.site.load.committing(now.steady_ms);
        self.pace.ask_ms(self.shards().all(Shard::is_little_pending), lanes)
    }

    /// Asks for the ends of all inputs when nobody has for a while, and for those again whose answer is overdue.
    fn ask_for_status(&mut self, now: Now) {
        let is_time = self.status_ms.is_none_or(|asked_ms| now.steady_ms >= asked_ms + ASK_ENDS_EVERY_MS);
        if is_time {
            self.status_ms = Some(now.steady_ms);
        }
        for (at, member) in self.members.iter_mut().enumerate() {
            match member {
                Member::Works(shard) => {
                    if let Some(ticket) = shard.ask_for_status(is_time, now) {
                        self.inputs.ask_ends(at, ticket);
                        shard.asked(now);
                        self.pace.asked(now.steady_ms);
                    }
                }
                // For whoever looks at how far behind it is.
                Member::Parked(parked) if is_time => self.inputs.ask_ends(at, parked.ask()),
                Member::Parked(_) => {}
            }
        }
    }

    fn tick<B>(&mut self, common: &Common<B>, now: Now) {
        for (at, member) in self.members.iter_mut().enumerate() {
            let Member::Works(shard) = member else { continue };
            // One that cannot be published is as one that is lost: another follows.
            if shard.wants_tick(now) && self.inputs.tick(at).is_ok() {
                common.status.shard(at).add_tick();
            }
        }
    }

    /// Hands the open batch over if the commit half waits for one and the last was not just now.
    fn hand_over<B>(&mut self, common: &Common<B>, now: Now) -> bool {
        if self.outbox.is_empty() || !common.exchange.wants_work() {
            return false;
        }
        if !self.outbox.is_full() && now.steady_ms < self.due_ms(common, now) {
            return false;
        }
        let Some(empty) = common.exchange.take_empty() else { return false };
        for (at, member) in self.members.iter_mut().enumerate() {
            let Member::Works(shard) = member else { continue };
            if self.outbox.has(at) {
                shard.close(&mut self.outbox.of(at));
                common.status.shard(at).note_pressure(shard.pressure(), shard.rules_level());
            }
        }
        common.exchange.hand_over(self.outbox.swap(self.number, empty));
        self.pace.handed(now.steady_ms);
        common.site.load.handed(now.steady_ms);
        true
    }

    fn due_ms<B>(&self, common: &Common<B>, now: Now) -> u64 {
        self.pace.due_ms(self.shards().any(Shard::backlog), common.site.load.committing(now.steady_ms))
    }

    fn note_caught_up<B>(&mut self, common: &Common<B>) {
        for (at, member) in self.members.iter_mut().enumerate() {
            if let Member::Works(shard) = member
                && shard.has_caught_up(&self.inputs)
            {
                common.status.set_shard_phase(self.number, at, Phase::Running, None);
            }
        }
    }

    /// Lets parked shards try again when it is time: one that has its ledger goes on, one without asks for it to be
    /// rebuilt from the log. It counts as parked until it has caught up, and nobody waits for that.
    fn resume<B>(&mut self, common: &Common<B>, now: Now) {
        while let Some((at, start)) = common.exchange.take_rebuilt(self.number) {
            let Member::Parked(parked) = &self.members[at] else { continue };
            if !parked.waits() {
                continue;
            }
            let (in_vain, ticket, accept_loss) = (parked.in_vain(), parked.ticket(), common.site.settings.accept_loss);
            let start = start.map(|start| start.map(|start| Shard::new(at, start, ticket, accept_loss)));
            self.members[at] = match start {
                Ok(Some(Ok(mut works))) => {
                    works.rest();
                    common.status.shard(at).set_rules_level(works.rules_level());
                    Member::Works(Box::new(works))
                }
                in_vain_again => {
                    if let Err(refusal) | Ok(Some(Err(refusal))) = in_vain_again {
                        common.status.set_shard_reason(self.number, at, Some(refusal.to_string()));
                    }
                    Member::Parked(Parked::without(ticket, common.site.settings.parked_retry_ms, in_vain, now))
                }
            };
        }
        for (at, member) in self.members.iter_mut().enumerate() {
            let Member::Parked(parked) = member else { continue };
            if !parked.is_time(now) {
                continue;
            }
            match parked.take() {
                Some(works) => *member = Member::Works(works),
                None => parked.asked(common.exchange.ask_rebuild(self.number, at)),
            }
        }
    }

    fn longest_wait<B>(&mut self, common: &Common<B>, now: Now) -> Duration {
        let ticks = self.shards().filter_map(|shard| shard.tick_wait_ms(now));
        let mut wait_ms = ticks.min().unwrap_or(u64::MAX);
        if !self.outbox.is_empty() && common.exchange.wants_work() {
            wait_ms = wait_ms.min(self.due_ms(common, now).saturating_sub(now.steady_ms));
        }
        let ask_ms = self.ask_ms(common, now);
        if now.steady_ms < ask_ms && self.shards().any(Shard::is_anything_pending) {
            wait_ms = wait_ms.min(ask_ms - now.steady_ms);
        }
        // Not less than 1 ms: a Tick that is due while its record is pending would make this a spin.
        Duration::from_millis(wait_ms.max(1)).min(LONGEST_WAIT)
    }
}
