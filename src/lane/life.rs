//! What the apply half does during one ownership of the shard: poll, merge, decide, tick, hand over.

use std::sync::Arc;
use std::time::Duration;

use super::Step;
use super::decide::Decider;
use super::exchange::{ApplyFault, Exchange, Start};
use super::merge::{Merge, Next};
use super::pace::Pace;
use super::pending::Pending;
use super::place;
use super::settings::{
    ASK_AGAIN_AFTER_MS, ASK_ENDS_EVERY_MS, FETCH_RETRY_MS, LONGEST_WAIT, LaneSettings, MAX_POLL_RECORDS,
    MAX_RUN_RECORDS,
};
use super::snapshot::Phase;
use super::status::LaneStatus;
use super::tick::{Situation, Ticker};
use super::work::Work;
use crate::broker::{Broker, End, Fault, Input, Inputs, Position, Records};
use crate::log::refusal::{Refusal, resume_after_loss};
use crate::log::step::Now;

/// Both inputs, in the order in which they are polled: what is equal in time is applied stock first.
const INPUTS: [Input; 2] = [Input::Stock, Input::Orders];

/// What a lane's lives have in common.
pub(super) struct Common<B> {
    pub(super) broker: Arc<B>,
    pub(super) shard: u32,
    pub(super) settings: Arc<LaneSettings>,
    pub(super) exchange: Arc<Exchange>,
    pub(super) status: Arc<LaneStatus>,
}

/// What is held during one ownership of the shard.
pub(super) struct Life<I: Inputs> {
    number: u64,
    inputs: I,
    merge: Merge,
    ticker: Ticker,
    decider: Decider,
    /// Records received and not yet applied, of `orders` and of `stock`.
    pending: [Pending<I::Records>; 2],
    pace: Pace,
    /// No fetch before then: the last one failed.
    fetch_from_ms: u64,
    /// The inputs failed, and are to be opened anew: what failed once fails ever after.
    broken: bool,
    /// The ends that were first answered: once they are reached, the shard has caught up.
    catching_up: CatchUp,
    /// Leader epochs of the last records decided, of `orders` and of `stock`; -1 where none is to be compared.
    leader_epochs: [i32; 2],
    /// The last step applied a run and left so much that more of it is there than comes between two commits.
    backlog: bool,
}

#[derive(Clone, Copy)]
enum CatchUp {
    EndsUnknown,
    Until { orders: i64, stock: i64 },
    Done,
}

impl<I: Inputs> Life<I> {
    /// Begins where the recovered ledger ends. `work` is the batch to be filled first.
    pub(super) fn new<B: Broker<Inputs = I>>(common: &Common<B>, start: Start, inputs: I, work: Box<Work>) -> Self {
        common.status.set_rules_level(start.ledger.rules_level());
        Life {
            number: start.life,
            leader_epochs: start.leader_epochs,
            inputs,
            merge: Merge::new(start.orders_from, start.stock_from),
            ticker: Ticker::default(),
            decider: Decider::new(common.shard, common.settings.clone(), start, work),
            pending: Default::default(),
            pace: Pace::new(common.settings.batch),
            fetch_from_ms: 0,
            broken: false,
            catching_up: CatchUp::EndsUnknown,
            backlog: false,
        }
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
        self.decider.into_work()
    }

    /// Does what there is to do now.
    pub(super) fn step<B: Broker<Inputs = I>>(&mut self, common: &Common<B>, now: Now) -> Result<Step, ApplyFault> {
        self.decider.outbox().set_engine_time(now.unix_ms);
        if common.exchange.wants_work() {
            self.pace.commit_is_idle(now.steady_ms);
        }
        self.take_ends(common, now);
        let mut progress = self.poll(common, now)?;
        let applied = self.apply_next(now);
        self.backlog = applied && self.pending.iter().any(Pending::is_half_full);
        progress |= applied;
        self.ask_for_status(now);
        self.tick(common, now);
        progress |= self.hand_over(common, now);
        self.note_caught_up(common);
        Ok(if progress { Step::Again } else { Step::Wait(self.longest_wait(common, now)) })
    }

    /// Hands over what is open and takes nothing more.
    pub(super) fn drain<B: Broker<Inputs = I>>(&mut self, common: &Common<B>, now: Now) -> Step {
        self.backlog = false;
        self.take_ends(common, now);
        if self.decider.outbox().is_empty() {
            return Step::Ended;
        }
        self.pace.hurry();
        if self.hand_over(common, now) { Step::Again } else { Step::Wait(LONGEST_WAIT) }
    }

    fn take_ends<B: Broker<Inputs = I>>(&mut self, common: &Common<B>, now: Now) {
        let Some((_, ends)) = self.inputs.ends() else { return };
        self.merge.answered(ends);
        self.pace.answered(now.steady_ms);
        common.status.set_ends(ends, now.steady_ms);
        if let CatchUp::EndsUnknown = self.catching_up {
            let (End { stable: orders, .. }, End { stable: stock, .. }) = (ends.orders, ends.stock);
            self.catching_up = CatchUp::Until { orders, stock };
        }
    }

    fn poll<B: Broker<Inputs = I>>(&mut self, common: &Common<B>, now: Now) -> Result<bool, ApplyFault> {
        if self.decider.outbox().is_full() || now.steady_ms < self.fetch_from_ms {
            return Ok(false);
        }
        if self.broken {
            match self.reopen(self.next(Input::Orders), self.next(Input::Stock)) {
                Ok(()) => {}
                Err(Fault::Transient(_) | Fault::Fenced(_)) => {
                    self.fetch_from_ms = now.steady_ms + FETCH_RETRY_MS;
                    return Ok(false);
                }
                Err(fault) => return Err(ApplyFault::Inputs(fault)),
            }
        }
        let mut any = false;
        for input in INPUTS {
            if self.pending[place(input)].is_full() {
                continue;
            }
            match self.inputs.poll(0, input, MAX_POLL_RECORDS) {
                Ok(Some(records)) => {
                    any = true;
                    self.received(input, records)?;
                }
                Ok(None) => {}
                Err(fault @ (Fault::Transient(_) | Fault::Fenced(_))) => {
                    common.status.set_reason_in(self.number, Some(fault.to_string()));
                    self.broken = true;
                    self.fetch_from_ms = now.steady_ms + FETCH_RETRY_MS;
                    return Ok(any);
                }
                Err(Fault::OutOfRange { asked, begin, end, .. }) => {
                    self.give_up_lost(common, input, asked, begin, end)?;
                    return Ok(true);
                }
                Err(Fault::Overwritten { asked, .. }) => {
                    let (shard, topic) = (common.shard, name(input));
                    return Err(ApplyFault::Lost(Refusal::Overwritten { shard, topic, asked }));
                }
                Err(fault @ Fault::Fatal(_)) => return Err(ApplyFault::Inputs(fault)),
            }
            self.merge.position(input, self.inputs.position(0, input));
        }
        if std::mem::take(&mut self.fetch_from_ms) > 0 {
            common.status.set_reason_in(self.number, None);
        }
        Ok(any)
    }

    fn received(&mut self, input: Input, records: I::Records) -> Result<(), ApplyFault> {
        let mut bytes = 0;
        let all = (0..records.len()).map(|i| records.get(i));
        self.merge.received(input, all.inspect(|record| bytes += record.value.map_or(0, <[u8]>::len)))?;
        self.pending[place(input)].push(records, bytes);
        Ok(())
    }

    /// Records that were to come next are gone. If the operator accepts it, both inputs are opened anew, this one
    /// behind the gap; the other one loses only what was received and not applied, and reads it again.
    fn give_up_lost<B: Broker<Inputs = I>>(
        &mut self,
        common: &Common<B>,
        input: Input,
        asked: i64,
        begin: i64,
        end: i64,
    ) -> Result<(), ApplyFault> {
        let accept = common.settings.accept_loss;
        let from = resume_after_loss(common.shard, name(input), asked, begin, end, accept).map_err(ApplyFault::Lost)?;
        let next = |of| if of == input { Position::at(from) } else { self.next(of) };
        let (orders, stock) = (next(Input::Orders), next(Input::Stock));
        self.reopen(orders, stock).map_err(ApplyFault::Inputs)
    }

    /// Behind the last record decided.
    fn next(&self, input: Input) -> Position {
        Position { offset: self.decider.next_offset(input), leader_epoch: self.leader_epochs[place(input)] }
    }

    /// Opens both inputs anew. What was received and not applied is dropped, and read again if it stands behind the
    /// offsets given.
    fn reopen(&mut self, orders: Position, stock: Position) -> Result<(), Fault> {
        self.inputs.reopen(0, orders, stock)?;
        self.merge = Merge::new(orders.offset, stock.offset);
        self.pending = Default::default();
        self.broken = false;
        Ok(())
    }

    /// Applies one run, if the merge lets one through and there is room for it.
    fn apply_next(&mut self, now: Now) -> bool {
        if self.decider.outbox().is_full() {
            return false;
        }
        let may_ask = now.steady_ms >= self.ask_ms();
        let (input, count) = match self.merge.what_next(may_ask) {
            Next::Apply { input, count } => (input, count),
            Next::AskEnds { ticket } => {
                self.ask_ends(ticket, now);
                return true;
            }
            Next::Wait => return false,
        };
        if may_ask {
            self.ask_ahead(input, count, now);
        }
        let pending = &mut self.pending[place(input)];
        let (records, from) = pending.first();
        let to = records.len().min(from + count.min(MAX_RUN_RECORDS));
        let applied = self.decider.decide(input, records, from, to);
        if applied > 0 {
            self.leader_epochs[place(input)] = records.get(from + applied - 1).leader_epoch;
        }
        pending.applied(applied);
        self.merge.applied(input, applied);
        true
    }

    /// Asks for the ends before the last record that they let through is applied, where much more waits: a lane that is
    /// behind would otherwise stand still for as long as each answer takes.
    fn ask_ahead(&mut self, input: Input, free: usize, now: Now) {
        let pending = &self.pending[place(input)];
        if pending.is_half_full()
            && 2 * free < pending.records()
            && let Some(ticket) = self.merge.ask_ahead(input)
        {
            self.ask_ends(ticket, now);
        }
    }

    fn ask_ends(&mut self, ticket: u64, now: Now) {
        self.inputs.ask_ends(0, ticket);
        self.pace.asked(now.steady_ms);
    }

    /// When what is pending is worth a question.
    fn ask_ms(&self) -> u64 {
        self.pace.ask_ms(self.pending.iter().all(Pending::is_less_than_a_run))
    }

    /// Asks for the ends when nobody has for a while, and again when an answer is overdue.
    fn ask_for_status(&mut self, now: Now) {
        let since_ms = self.pace.since_asked_ms(now.steady_ms);
        let ticket = match self.merge.unanswered() {
            Some(ticket) if since_ms >= ASK_AGAIN_AFTER_MS => ticket,
            None if since_ms >= ASK_ENDS_EVERY_MS || matches!(self.catching_up, CatchUp::EndsUnknown) => {
                self.merge.ask()
            }
            _ => return,
        };
        self.ask_ends(ticket, now);
    }

    fn tick<B: Broker<Inputs = I>>(&mut self, common: &Common<B>, now: Now) {
        // One that cannot be published is as one that is lost: another follows.
        if self.ticker.step(self.situation(now)) && self.inputs.tick(0).is_ok() {
            common.status.add_tick();
        }
    }

    fn situation(&self, now: Now) -> Situation {
        Situation { now, due_ms: self.decider.next_due_ms(), pending_ms: self.merge.latest_pending_ms() }
    }

    /// Hands the open batch over if the commit half waits for one and the last was not just now.
    fn hand_over<B: Broker<Inputs = I>>(&mut self, common: &Common<B>, now: Now) -> bool {
        let outbox = self.decider.outbox();
        let due = now.steady_ms >= self.pace.due_ms(self.backlog) || outbox.is_full();
        if outbox.is_empty() || !common.exchange.wants_work() || !due {
            return false;
        }
        let Some(empty) = common.exchange.take_empty() else { return false };
        let full = self.decider.close_batch(self.number, empty);
        self.note_pressure(common);
        common.exchange.hand_over(full);
        self.pace.handed(now.steady_ms);
        true
    }

    /// Tells how full the ledger is, with every batch: what lasts is folded by the log, which also tells its end.
    fn note_pressure<B: Broker<Inputs = I>>(&self, common: &Common<B>) {
        let pressure = self.decider.pressure();
        common.status.set_pressure(pressure);
        common.status.set_rules_level(self.decider.rules_level());
        let (shard, remembered, open) = (common.shard, pressure.remembered, pressure.open);
        let counters = pressure.counters;
        if pressure.busy {
            tracing::warn!(shard, remembered, open, counters, "{BUSY}");
        } else if pressure.alarm {
            tracing::warn!(shard, remembered, open, counters, "{ALARM}");
        }
    }

    fn note_caught_up<B: Broker<Inputs = I>>(&mut self, common: &Common<B>) {
        let CatchUp::Until { orders, stock } = self.catching_up else { return };
        // Not until nothing is pending: while orders flow something always is.
        let past = |input, end| {
            let first = self.pending[place(input)].first_offset();
            self.inputs.position(0, input) >= end && first.is_none_or(|first| first >= end)
        };
        if past(Input::Orders, orders) && past(Input::Stock, stock) {
            self.catching_up = CatchUp::Done;
            common.status.set_phase_in(self.number, Phase::Running, None);
        }
    }

    fn longest_wait<B: Broker<Inputs = I>>(&mut self, common: &Common<B>, now: Now) -> Duration {
        let mut wait_ms = self.ticker.wait_ms(self.situation(now)).unwrap_or(u64::MAX);
        if !self.decider.outbox().is_empty() && common.exchange.wants_work() {
            wait_ms = wait_ms.min(self.pace.due_ms(self.backlog).saturating_sub(now.steady_ms));
        }
        let ask_ms = self.ask_ms();
        if now.steady_ms < ask_ms && self.pending.iter().any(|pending| !pending.is_empty()) {
            wait_ms = wait_ms.min(ask_ms - now.steady_ms);
        }
        // Not less than 1 ms: a Tick that is due while its record is pending would make this a spin.
        Duration::from_millis(wait_ms.max(1)).min(LONGEST_WAIT)
    }
}

/// What an input is called.
fn name(input: Input) -> &'static str {
    if input == Input::Stock { "stock" } else { "orders" }
}

/// Said while a shard's ledger fills.
const ALARM: &str = "80% of ledger.max_remembered_bytes are used up: near the end of it new orders are answered BUSY. Raise \
                     it and start the node again";

/// Said while a shard's ledger is full.
const BUSY: &str = "ledger.max_remembered_bytes is nearly used up: new orders are answered BUSY until ids leave the \
                    window or orders are closed. Raise it and start the node again";
