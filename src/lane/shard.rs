//! One shard of a lane at work: its inputs merged by time, its ledger, its Ticks, and what keeps it from work.

use super::decide::{Decider, Scratches};
use super::exchange::{ApplyFault, ShardStart};
use super::merge::{Merge, Next};
use super::outbox::Part;
use super::pending::{Held, Pending};
use super::place;
use super::settings::{ASK_AGAIN_AFTER_MS, FETCH_RETRY_MS, MAX_POLL_RECORDS, TURN_COST_BYTES};
use super::tick::{Situation, Ticker};
use crate::broker::{Ends, Fault, Input, Inputs, Position, Records};
use crate::ledger::Pressure;
use crate::log::refusal::{Refusal, resume_after_loss};
use crate::log::step::Now;

/// Both inputs, in the order in which they are polled: what is equal in time is applied stock first.
const INPUTS: [Input; 2] = [Input::Stock, Input::Orders];

/// A shard of a lane, during one ownership.
pub(super) struct Shard<R> {
    /// Its partition.
    pub(super) number: u32,
    /// Its place in the lane.
    at: usize,
    accept_loss: bool,
    decider: Decider,
    merge: Merge,
    ticker: Ticker,
    /// What is kept for each input, of `orders` and of `stock`.
    inputs: [Kept<R>; 2],
    /// No fetch before then: the last one failed, and the inputs are to be opened anew.
    broken_until_ms: Option<u64>,
    catching_up: CatchUp,
    asked_ms: u64,
    /// What it may still cost in this turn; below 0 what it took beyond its last.
    credit: i64,
    /// Its last turn ended with so much left that more of it is there than comes between two commits.
    backlog: bool,
}

/// What is kept for one input.
struct Kept<R> {
    /// Records received and not yet applied.
    pending: Pending<R>,
    /// Leader epoch of the last record decided; -1 where none is to be compared.
    leader_epoch: i32,
}

/// Whether the ends that were first answered are reached.
#[derive(Clone, Copy)]
enum CatchUp {
    EndsUnknown,
    Until { orders: i64, stock: i64 },
    Done,
}

/// What came of a look at the inputs.
pub(super) enum Polled {
    /// Nothing arrived.
    Nothing,
    /// Something arrived, and the shard is as before.
    Some,
    /// They fail, in a way that may pass.
    Fails(Fault),
    /// They were opened anew, or no longer fail.
    Mended,
}

impl<R: Records> Shard<R> {
    /// Begins where the recovered ledger ends. `ticket` is the last one that was handed in for these inputs.
    pub(super) fn new(at: usize, start: ShardStart, ticket: u64, accept_loss: bool) -> Result<Self, Refusal> {
        let ShardStart { shard, ledger, orders, stock } = start;
        let kept = |from: Position| Kept { pending: Pending::default(), leader_epoch: from.leader_epoch };
        Ok(Shard {
            number: shard,
            at,
            accept_loss,
            decider: Decider::new(ledger?, [orders.offset, stock.offset]),
            merge: Merge::after(ticket, orders.offset, stock.offset),
            ticker: Ticker::default(),
            inputs: [kept(orders), kept(stock)],
            broken_until_ms: None,
            catching_up: CatchUp::EndsUnknown,
            asked_ms: 0,
            credit: 0,
            backlog: false,
        })
    }

    pub(super) fn pressure(&self) -> Pressure {
        self.decider.pressure()
    }

    pub(super) fn rules_level(&self) -> u32 {
        self.decider.rules_level()
    }

    pub(super) fn backlog(&self) -> bool {
        self.backlog
    }

    /// What its inputs hold, together with `others`.
    pub(super) fn held(&self, others: Held) -> Held {
        self.inputs.iter().fold(others, |held, kept| kept.pending.with(held))
    }

    /// What waits takes less time to apply than a turn.
    pub(super) fn is_little_pending(&self) -> bool {
        self.inputs.iter().all(|kept| kept.pending.is_little())
    }

    pub(super) fn is_anything_pending(&self) -> bool {
        self.inputs.iter().any(|kept| !kept.pending.is_empty())
    }

    /// The brokers said where its inputs end.
    pub(super) fn answered(&mut self, ends: Ends) {
        self.merge.answered(ends);
        if let CatchUp::EndsUnknown = self.catching_up {
            self.catching_up = CatchUp::Until { orders: ends.orders.stable, stock: ends.stock.stable };
        }
    }

    /// Takes what has arrived, unless it holds enough. An error parks it.
    pub(super) fn poll<I>(&mut self, inputs: &mut I, lane: Held, now: Now) -> Result<Polled, ApplyFault>
    where
        I: Inputs<Records = R>,
    {
        let mut polled = Polled::Nothing;
        if let Some(until_ms) = self.broken_until_ms {
            if now.steady_ms < until_ms {
                return Ok(Polled::Nothing);
            }
            match self.reopen(inputs) {
                Ok(()) => polled = Polled::Mended,
                Err(fault @ (Fault::Transient(_) | Fault::Fenced(_))) => return Ok(self.breaks(fault, now)),
                Err(fault) => return Err(ApplyFault::Inputs(fault)),
            }
        }
        for input in INPUTS {
            if self.inputs[place(input)].pending.is_full(lane) {
                continue;
            }
            match inputs.poll(self.at, input, MAX_POLL_RECORDS) {
                Ok(Some(records)) => {
                    self.received(input, records)?;
                    if let Polled::Nothing = polled {
                        polled = Polled::Some;
                    }
                }
                Ok(None) => {}
                Err(fault @ (Fault::Transient(_) | Fault::Fenced(_))) => return Ok(self.breaks(fault, now)),
                Err(Fault::OutOfRange { asked, begin, end, .. }) => {
                    self.give_up_lost(inputs, input, asked, begin, end)?;
                    return Ok(Polled::Mended);
                }
                Err(Fault::Overwritten { asked, .. }) => {
                    let (shard, topic) = (self.number, name(input));
                    return Err(ApplyFault::Lost(Refusal::Overwritten { shard, topic, asked }));
                }
                Err(fault @ Fault::Fatal(_)) => return Err(ApplyFault::Inputs(fault)),
            }
            self.merge.position(input, inputs.position(self.at, input));
        }
        Ok(polled)
    }

    fn breaks(&mut self, fault: Fault, now: Now) -> Polled {
        self.broken_until_ms = Some(now.steady_ms + FETCH_RETRY_MS);
        Polled::Fails(fault)
    }

    fn received(&mut self, input: Input, records: R) -> Result<(), ApplyFault> {
        let mut bytes = 0;
        let all = (0..records.len()).map(|i| records.get(i));
        self.merge.received(input, all.inspect(|record| bytes += record.value.map_or(0, <[u8]>::len)))?;
        self.inputs[place(input)].pending.push(records, bytes);
        Ok(())
    }

    /// Records that were to come next are gone. If the operator accepts it, both inputs are opened anew, this one
    /// behind the gap; the other one loses only what was received and not applied, and reads it again.
    fn give_up_lost<I>(
        &mut self,
        inputs: &mut I,
        input: Input,
        asked: i64,
        begin: i64,
        end: i64,
    ) -> Result<(), ApplyFault>
    where
        I: Inputs<Records = R>,
    {
        let from = resume_after_loss(self.number, name(input), asked, begin, end, self.accept_loss);
        let from = from.map_err(ApplyFault::Lost)?;
        let next = |of| if of == input { Position::at(from) } else { self.next(of) };
        self.reopen_at(inputs, next(Input::Orders), next(Input::Stock)).map_err(ApplyFault::Inputs)
    }

    /// Behind the last record decided.
    fn next(&self, input: Input) -> Position {
        let leader_epoch = self.inputs[place(input)].leader_epoch;
        Position { offset: self.decider.next_offset(input), leader_epoch }
    }

    fn reopen<I: Inputs>(&mut self, inputs: &mut I) -> Result<(), Fault> {
        self.reopen_at(inputs, self.next(Input::Orders), self.next(Input::Stock))
    }

    /// Opens both inputs anew. What was received and not applied is dropped, and read again if it stands behind the
    /// offsets given.
    fn reopen_at<I: Inputs>(&mut self, inputs: &mut I, orders: Position, stock: Position) -> Result<(), Fault> {
        inputs.reopen(self.at, orders, stock)?;
        self.merge = self.merge.anew(orders.offset, stock.offset);
        self.inputs.iter_mut().for_each(|kept| kept.pending = Pending::default());
        self.broken_until_ms = None;
        Ok(())
    }

    /// Its inputs are to be opened anew before it goes on; what they hold is dropped.
    pub(super) fn rest(&mut self) {
        let next = |input| self.decider.next_offset(input);
        self.merge = self.merge.anew(next(Input::Orders), next(Input::Stock));
        self.inputs.iter_mut().for_each(|kept| kept.pending = Pending::default());
        self.broken_until_ms = Some(0);
        self.catching_up = CatchUp::EndsUnknown;
        self.backlog = false;
    }

    /// The last ticket handed in.
    pub(super) fn ticket(&self) -> u64 {
        self.merge.ticket()
    }

    /// A ticket to hand in though nobody waits for its answer.
    pub(super) fn ask(&mut self) -> u64 {
        self.merge.ask()
    }

    /// It took more than its turn, and has more to do: it pays for that in the turns to come.
    pub(super) fn is_in_debt(&self) -> bool {
        self.credit <= 0 && self.is_anything_pending()
    }

    /// Applies what the merge lets through, up to a turn's worth. `ask` takes the tickets to hand in, where it may. True
    /// if something was applied.
    pub(super) fn turn(
        &mut self,
        part: &mut Part<'_>,
        scratches: &mut Scratches,
        may_ask: bool,
        ask: &mut dyn FnMut(u64),
    ) -> bool {
        self.backlog = false;
        self.credit = (self.credit + TURN_COST_BYTES.cast_signed()).min(TURN_COST_BYTES.cast_signed());
        let mut applied_any = false;
        while self.credit > 0 && !part.is_full() {
            let (input, count) = match self.merge.what_next(may_ask) {
                Next::Apply { input, count } => (input, count),
                Next::AskEnds { ticket } => {
                    ask(ticket);
                    return applied_any;
                }
                Next::Wait => return applied_any,
            };
            if may_ask && let Some(ticket) = self.ask_ahead(input, count) {
                ask(ticket);
            }
            let Kept { pending, leader_epoch } = &mut self.inputs[place(input)];
            let (records, from) = pending.first();
            let to = records.len().min(from + count);
            let before = part.cost();
            let run = (input, records, from, to);
            let applied = self.decider.decide(part, scratches, run, self.credit.unsigned_abs());
            if applied > 0 {
                *leader_epoch = records.get(from + applied - 1).leader_epoch;
            }
            self.credit -= (part.cost() - before).cast_signed().max(1);
            pending.applied(applied);
            self.merge.applied(input, applied);
            applied_any = true;
        }
        self.backlog = self.inputs.iter().any(|kept| kept.pending.is_half_full());
        applied_any
    }

    /// A ticket to be handed in before the last record that is let through is applied, where much more waits: a shard that
    /// is behind would otherwise stand still for as long as each answer takes.
    fn ask_ahead(&mut self, input: Input, free: usize) -> Option<u64> {
        let pending = &self.inputs[place(input)].pending;
        let is_behind = pending.is_half_full() && 2 * free < pending.records();
        if is_behind { self.merge.ask_ahead(input) } else { None }
    }

    /// A ticket was handed in.
    pub(super) fn asked(&mut self, now: Now) {
        self.asked_ms = now.steady_ms;
    }

    /// A ticket to hand in though nothing waits for it: the answer is overdue, or `is_time` for what lag tools see.
    pub(super) fn ask_for_status(&mut self, is_time: bool, now: Now) -> Option<u64> {
        let since_ms = now.steady_ms.saturating_sub(self.asked_ms);
        match self.merge.unanswered() {
            Some(ticket) => (since_ms >= ASK_AGAIN_AFTER_MS).then_some(ticket),
            None => (is_time || matches!(self.catching_up, CatchUp::EndsUnknown)).then(|| self.merge.ask()),
        }
    }

    /// Whether to publish a Tick now.
    pub(super) fn wants_tick(&mut self, now: Now) -> bool {
        let situation = self.situation(now);
        self.ticker.step(situation)
    }

    /// How long until it may want a Tick, in ms.
    pub(super) fn tick_wait_ms(&self, now: Now) -> Option<u64> {
        self.ticker.wait_ms(self.situation(now))
    }

    fn situation(&self, now: Now) -> Situation {
        Situation { now, due_ms: self.decider.next_due_ms(), pending_ms: self.merge.latest_pending_ms() }
    }

    /// Closes its part of the open batch.
    pub(super) fn close(&mut self, part: &mut Part<'_>) {
        self.decider.close(part);
    }

    /// Whether it has just reached the ends that its inputs had when it began; told once. Not until nothing is pending:
    /// while orders flow something always is.
    pub(super) fn has_caught_up<I: Inputs>(&mut self, inputs: &I) -> bool {
        let CatchUp::Until { orders, stock } = self.catching_up else { return false };
        let past = |input, end| {
            let first = self.inputs[place(input)].pending.first_offset();
            inputs.position(self.at, input) >= end && first.is_none_or(|first| first >= end)
        };
        let has = past(Input::Orders, orders) && past(Input::Stock, stock);
        if has {
            self.catching_up = CatchUp::Done;
        }
        has
    }
}

/// What an input is called.
fn name(input: Input) -> &'static str {
    if input == Input::Stock { "stock" } else { "orders" }
}
