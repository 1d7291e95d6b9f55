//! The pure core: commands in, decisions out, time as an argument. It knows no Kafka, clock, disk or thread, so that
//! live work, recovery, audit, simulation and benchmarks all run the same ledger.
//!
//! - [`Ledger::apply`] climbs a flat ladder of guards, one file for each rule; a rejection is a value.
//! - [`Ledger::foresee`] does ahead what does not depend on the commands in between.
//! - [`Ledger::replay`] takes a decision from the log and comes to the state in which it left the ledger that made it.
//!
//! Three rooms, each of which knows those below it only: `rules` decide, `state` is what a shard knows, `store` are the
//! containers that it stands in. What is done to the state (hold, commit, release, hand over, remember) is done by one
//! function each, which live work and replay both call. `CHANGING.md` tells how a rule is added.
//!
//! Once warm, no command allocates but the stock commands that make a pool or SKU known. Nothing is moved or forgotten
//! in large steps: slots, records and holds stand in chunks that stay where they are once they are full, index and table
//! of rows grow in small parts, and what a generation leaves behind is cleared out a few entries at a time. The exceptions, for
//! lists of numbers only: dropping the empty rows of a generation, sweeping out what no longer counts of the few
//! holds that fit no run, and once a day forgetting the counts of delivery days that are over.
//!
#![doc = include_str!("RULES.md")]

mod foresight; // what is looked up ahead of a command
mod rules; // what decides: guards, effects, verdicts, replay
mod state; // what a shard knows: stock, orders, identities, digest
mod store; // containers in recycled memory
mod terms; // what a ledger is told at its making, and what it tells about itself

#[cfg(test)]
mod tests;

pub use foresight::{Foresight, READ_AHEAD};
pub use rules::replay::ReplayError;
pub use terms::{BYTES_PER_REMEMBERED_ID, FingerprintKey, Moment, Pressure, Rules, StockRow};

use crate::wire::decision::{CountedUnits, Selling};
use crate::wire::encode::asked_of;
use crate::wire::limits::MAX_ID_BYTES;
use crate::wire::proto::{Asked, OrderState, Outcome};
use crate::wire::{Command, Decision, DecisionLines, Kind, Place, StockLevel, Text};

use rules::verdict::{Barred, LinesAtHand, OnDay, Passed, ShownLines, ShownSelling, ShownStock, Verdict};
use state::State;
use state::closed::Ending;
use state::rows::Figures;

/// Everything that one shard knows: stock, open orders, remembered identities.
#[derive(Debug)]
pub struct Ledger {
    state: State,
    /// What was found out about the lines of the order decided last; its decision borrows from here.
    lines: LinesAtHand,
}

impl Ledger {
    /// An empty ledger, as it is right after the genesis record.
    pub fn new(rules: Rules, key: FingerprintKey) -> Ledger {
        Ledger { state: State::new(rules, key), lines: LinesAtHand::default() }
    }

    /// Moves shard time on, never back, and forgets what is no longer known then. Constant time when nothing is due.
    /// Holds that fall due are not ended here but by [`Ledger::expire_one`], which must be called until it returns
    /// `None` before the next command is applied.
    #[inline]
    pub fn advance(&mut self, shard_time_ms: i64) {
        self.state.advance(shard_time_ms);
    }

    /// The earliest end of a hold, in ms since the epoch.
    pub fn next_due_ms(&self) -> Option<i64> {
        self.state.orders.next_due_ms()
    }

    /// Ends the next hold that is due by `at`, if one is.
    pub fn expire_one(&mut self, at: Moment) -> Option<Decision<'_>> {
        self.advance(at.shard_time_ms);
        let slot = self.state.orders.due(self.state.shard_time_ms)?;
        self.state.sequence += 1;
        let order = *self.state.orders.get(slot);
        let lines = ShownLines::Held(self.state.release(slot, Ending::Expired));
        let verdict = Verdict { lines, ..Verdict::order(Outcome::Expired, OrderState::Expired) };
        let (pool, order_id) = (self.state.rows.pool_name(order.pool), self.state.orders.id(order.kept));
        let (attempt, id, lot) = (order.attempt, Text::EMPTY, Text::EMPTY);
        let echo = Echo { asked: Asked::Expire, pool, order_id, attempt, id, lot };
        Some(self.decision(echo, self.held_lines(lines), &verdict, None))
    }

    /// Decides one command. Holds that are due by `at` must have been ended.
    pub fn apply<'a>(&'a mut self, command: &Command<'a>, at: Moment) -> Decision<'a> {
        let foresight = self.foresee(command);
        self.apply_foreseen(command, &foresight, at)
    }

    /// As [`Ledger::apply`], with what [`Ledger::foresee`] said of the very same command.
    #[inline]
    pub fn apply_foreseen<'a>(&'a mut self, command: &Command<'a>, foresight: &Foresight, at: Moment) -> Decision<'a> {
        self.advance(at.shard_time_ms);
        assert!(
            self.state.orders.due(self.state.shard_time_ms).is_none(),
            "holds that are due are ended before a command"
        );
        self.state.sequence += 1;
        let verdict = self.state.judge(command, foresight, at.engine_time_ms, &mut self.lines);
        self.answer(command, &verdict)
    }

    /// Brings the ledger to the state in which `decision` left the ledger that made it: same stock, same open orders,
    /// same knowledge, same digest. Answers and refusals only move sequence and time.
    ///
    /// # Errors
    /// [`ReplayError`] where the decision cannot have been made in this state. Not everything can be seen here: the
    /// digest in the link says the rest.
    pub fn replay(&mut self, decision: &Decision<'_>) -> Result<(), ReplayError> {
        self.replay_foreseen(decision, &Foresight::default())
    }

    /// As [`Ledger::replay`], with what [`Ledger::foresee_replay`] said of the very same decision.
    ///
    /// # Errors
    /// As [`Ledger::replay`].
    pub fn replay_foreseen(&mut self, decision: &Decision<'_>, foresight: &Foresight) -> Result<(), ReplayError> {
        self.state.replay(decision, foresight, &mut self.lines)
    }

    /// "xxh3-128-sum": additive hash over all that the ledger knows, equal for equal knowledge, whatever the
    /// fingerprint key and whatever the way there. Costs one hash for each row and order changed since the last call.
    pub fn digest(&mut self) -> [u8; 16] {
        self.state.digest().to_be_bytes()
    }

    /// Sequence of the last decision; 0 before the first.
    pub fn sequence(&self) -> u64 {
        self.state.sequence
    }

    /// The shard's time, in ms since the epoch; 0 before the first record.
    pub fn shard_time_ms(&self) -> i64 {
        self.state.shard_time_ms
    }

    /// The rules level of the log: that of its genesis, or to which it was raised since.
    pub fn rules_level(&self) -> u32 {
        self.state.rules_level
    }

    /// How full the ledger is.
    pub fn pressure(&self) -> Pressure {
        self.state.pressure()
    }

    /// One stock row.
    pub fn stock(&self, pool: &str, sku: &str) -> Option<StockRow<'_>> {
        let rows = &self.state.rows;
        rows.row(rows.pool(pool.into())?, sku.into()).map(|row| rows.view(row))
    }

    /// Every stock row, in no order.
    pub fn stock_rows(&self) -> impl Iterator<Item = StockRow<'_>> {
        self.state.rows.all()
    }

    /// A verdict, with what it echoes of the command and shows of the ledger.
    #[inline]
    fn answer<'a>(&'a self, command: &Command<'a>, verdict: &Verdict) -> Decision<'a> {
        let lines = match (verdict.lines, &command.kind) {
            (ShownLines::Asked, Kind::Place(it)) => DecisionLines::Asked(it.lines, &self.lines.results),
            (ShownLines::AskedOfLots, Kind::Place(it)) => DecisionLines::AskedOfLots(it.lines, &self.lines.parts),
            (held, _) => self.held_lines(held),
        };
        let selling = match verdict.selling {
            ShownSelling::None => None,
            told => Some(self.told(command, told)),
        };
        let echo = match verdict.outcome {
            Outcome::Unsupported => Echo::of_unsupported(command, self.state.rules_level),
            _ => Echo::of(command),
        };
        self.decision(echo, lines, verdict, selling)
    }

    /// What selling rules came to.
    #[inline(never)]
    fn told<'a>(&'a self, command: &Command<'a>, told: ShownSelling) -> Selling<'a> {
        match (told, &command.kind) {
            (ShownSelling::Delivery, _) => self.with_delivery(Selling::default()),
            (ShownSelling::Set, Kind::Stock { change, issued_at_ms, .. }) => {
                Selling { set: change.rule(), issued_at_ms: *issued_at_ms, ..Selling::default() }
            }
            (ShownSelling::Passed, Kind::Place(it)) => {
                let Passed { segments, keys, customer, channel } = self.lines.passed;
                self.with_delivery(Selling {
                    counted: CountedUnits::Made(&self.lines.counted),
                    customer: if customer { it.customer } else { Text::EMPTY },
                    channel: if channel { it.channel } else { Text::EMPTY },
                    keys: it.vouched.some_keys(keys),
                    segments: it.vouched.some_segments(segments),
                    ..Selling::default()
                })
            }
            (ShownSelling::Barred, kind) => {
                let Barred { opens_at_ms, rule, issued_at_ms, channel } = self.lines.barred;
                let channel = match kind {
                    Kind::Place(it) if channel => it.channel,
                    _ => Text::EMPTY,
                };
                self.with_delivery(Selling { opens_at_ms, rule, issued_at_ms, channel, ..Selling::default() })
            }
            _ => unreachable!("only stock commands set rules, and only orders pass them"),
        }
    }

    /// Adds the delivery of the order at hand, if it has one.
    fn with_delivery<'a>(&'a self, told: Selling<'a>) -> Selling<'a> {
        match self.lines.delivery {
            None => told,
            Some(OnDay { day, cutoff_ms, hold_until_ms, .. }) => {
                Selling { service: (&*self.lines.service).into(), day, cutoff_ms, hold_until_ms, ..told }
            }
        }
    }

    #[inline(always)]
    fn decision<'a>(
        &'a self,
        echo: Echo<'a>,
        lines: DecisionLines<'a>,
        verdict: &Verdict,
        selling: Option<Selling<'a>>,
    ) -> Decision<'a> {
        Decision {
            sequence: self.state.sequence,
            asked: echo.asked,
            pool: echo.pool,
            order_id: echo.order_id,
            attempt: echo.attempt,
            id: echo.id,
            outcome: verdict.outcome,
            reason: verdict.reason,
            state: verdict.state,
            lines,
            stock: self.shown(verdict.stock, echo.lot),
            expires_at_ms: verdict.expires_at_ms,
            decided_at_ms: self.state.shard_time_ms,
            content: verdict.content,
            original: verdict.original,
            field: verdict.field,
            rules_level: verdict.rules_level,
            selling,
        }
    }

    #[inline]
    fn shown<'a>(&'a self, stock: ShownStock, lot: Text<'a>) -> Option<StockLevel<'a>> {
        let rows = &self.state.rows;
        match stock {
            ShownStock::None => None,
            ShownStock::Row { row, change } => Some(rows.figures(row).level(rows.view(row).sku.into(), change)),
            ShownStock::Lot { row, change, number, expiry } => {
                let lot = Some(self.state.lot_level(row, lot, number, expiry));
                Some(StockLevel { lot, ..rows.figures(row).level(rows.view(row).sku.into(), change) })
            }
            ShownStock::Pool { halted } => Some(StockLevel { halted, ..Figures::default().level(Text::EMPTY, 0) }),
        }
    }

    fn held_lines(&self, lines: ShownLines) -> DecisionLines<'_> {
        let (kept, results): (_, &[_]) = match lines {
            ShownLines::Held(kept) => (kept, &[]),
            ShownLines::HeldWithResults(kept) => (kept, &self.lines.results),
            ShownLines::HeldOfLots(kept) => {
                let (lines, names) = (self.state.orders.lines(kept), &self.state.rows);
                let LinesAtHand { results, parts, .. } = &self.lines;
                return DecisionLines::HeldOfLots { lines, names, results, parts };
            }
            ShownLines::None | ShownLines::Asked | ShownLines::AskedOfLots => return DecisionLines::None,
        };
        DecisionLines::Held { lines: self.state.orders.lines(kept), names: &self.state.rows, results }
    }
}

/// What a decision repeats of its command.
struct Echo<'a> {
    asked: Asked,
    pool: Text<'a>,
    order_id: Text<'a>,
    attempt: u32,
    id: Text<'a>,
    /// The lot that it names.
    lot: Text<'a>,
}

impl<'a> Echo<'a> {
    #[inline]
    fn of(command: &Command<'a>) -> Echo<'a> {
        let none = Echo {
            asked: asked_of(&command.kind),
            pool: within_limit(command.pool),
            order_id: Text::EMPTY,
            attempt: 0,
            id: Text::EMPTY,
            lot: Text::EMPTY,
        };
        match command.kind {
            Kind::Place(Place { order_id, attempt, .. })
            | Kind::Confirm { order_id, attempt, .. }
            | Kind::Extend { order_id, attempt, .. }
            | Kind::Cancel { order_id, attempt, .. }
            | Kind::Ship { order_id, attempt, .. } => Echo { order_id: within_limit(order_id), attempt, ..none },
            Kind::Stock { id, change, .. } => Echo { id: within_limit(id), lot: change.lot().lot, ..none },
            Kind::Tick { .. } | Kind::RaiseRulesLevel { .. } => Echo { pool: Text::EMPTY, ..none },
            Kind::Unknown | Kind::Malformed => none,
        }
    }

    /// Of a kind that needs a higher level than the log has, what an engine says that knows no more than that level: a
    /// newer name of what was asked would keep it from replaying the log.
    #[cold]
    fn of_unsupported(command: &Command<'a>, rules_level: u32) -> Echo<'a> {
        match command.kind {
            // The kinds that came with a level are those of rules; of others only a field may have.
            Kind::Stock { change, .. }
                if change.rule().is_some()
                    && command.kind.needs_level(rules_level).is_some_and(|(level, _)| level > rules_level) =>
            {
                Echo::of(&Command { kind: Kind::Unknown, ..*command })
            }
            _ => Echo::of(command),
        }
    }
}

/// Nothing of a text that is over-long, or the largest input might have no output.
#[inline]
fn within_limit(id: Text<'_>) -> Text<'_> {
    if id.len() <= MAX_ID_BYTES { id } else { Text::EMPTY }
}
