//! What decides. A command climbs the guards of RULES.md in their order, each of which may answer it; whoever reaches the
//! top has its effect.

mod channels; // what of a SKU is kept for one channel, and how much each may have
mod delivery; // on which day an order is delivered
pub(crate) mod effects; // hold, commit, release, hand over: each effect once
mod ladder; // the guards of an order's pool and lines
mod level; // the rules level of the log
mod limit; // how much each customer may have
mod lots; // which units of a row an order takes, and which left in fact
mod lifecycle; // confirm, extend, cancel, ship
mod place; // the guards of an order itself
pub(crate) mod replay; // decisions from the log
mod sale; // from when, until when and to whom
mod stock; // stock commands, and those that set rules
pub(crate) mod verdict; // what was decided, before it is given its texts

use super::foresight::Foresight;
use super::state::State;
use super::state::identity::OrderRef;
use crate::wire::limits::MAX_ID_BYTES;
use crate::wire::proto::{Outcome, Reason};
use crate::wire::route::partition_of;
use crate::wire::{Command, Kind, Text};
use verdict::{LinesAtHand, Verdict};

impl State {
    /// The guards that all commands share, then those of the command's family.
    #[inline]
    pub(crate) fn judge(
        &mut self,
        command: &Command<'_>,
        foresight: &Foresight,
        engine_time_ms: i64,
        lines: &mut LinesAtHand,
    ) -> Verdict {
        if let Some(field) = command.unsupported {
            return Verdict { field, ..Verdict::of(Outcome::Unsupported) };
        }
        if let Some((level, field)) = command.kind.needs_level(self.rules_level)
            && level > self.rules_level
        {
            return Verdict { field, ..Verdict::of(Outcome::Unsupported) };
        }
        match command.kind {
            Kind::Place(_) => {}
            Kind::Malformed => return Verdict::invalid(Reason::Malformed),
            Kind::Unknown => return Verdict::invalid(Reason::NoKind),
            Kind::Tick { shard } if shard != self.rules.shard => return Verdict::invalid(Reason::WrongShard),
            Kind::Tick { .. } => return Verdict::of(Outcome::Applied),
            Kind::RaiseRulesLevel { shard, level } => return self.raise_rules_level(shard, level),
            _ => {}
        }
        let pool = command.pool;
        if let Some(reason) = id_fault(pool) {
            return Verdict::invalid(reason);
        }
        // A pool that has rows was found to belong here when it got them.
        let ours = || partition_of(pool.as_bytes(), self.rules.partitions) == self.rules.shard;
        let known = self.rows.pool(pool);
        if known.is_none() && !ours() {
            return Verdict::of(Outcome::Misrouted);
        }
        match command.kind {
            Kind::Place(ref it) => self.place((pool, known), it, foresight, engine_time_ms, lines),
            Kind::Confirm { order_id, attempt, placed_at_ms } => {
                self.confirm(OrderRef { pool, order_id, attempt }, placed_at_ms, foresight)
            }
            Kind::Extend { order_id, attempt, expires_at_ms, placed_at_ms } => {
                self.extend(OrderRef { pool, order_id, attempt }, placed_at_ms, foresight, expires_at_ms)
            }
            Kind::Cancel { order_id, attempt, placed_at_ms } => {
                self.cancel(OrderRef { pool, order_id, attempt }, placed_at_ms, foresight)
            }
            Kind::Ship { order_id, attempt, lots } => {
                self.ship(OrderRef { pool, order_id, attempt }, &lots, foresight, lines)
            }
            Kind::Stock { id, issued_at_ms, change } => self.stock_command(pool, id, issued_at_ms, &change, lines),
            Kind::Tick { .. } | Kind::RaiseRulesLevel { .. } | Kind::Unknown | Kind::Malformed => {
                unreachable!("answered above")
            }
        }
    }

    /// Why a client's `placed_at` or `issued_at` can't be that of something to be decided now.
    fn placed_at_fault(&self, at_ms: i64) -> Option<Verdict> {
        match self.clock_fault(at_ms) {
            Some(reason) => Some(Verdict::invalid(reason)),
            None => self.is_too_old(at_ms).then(|| Verdict::of(Outcome::TooOld)),
        }
    }

    /// A client's `placed_at` or `issued_at` that is missing or too far ahead.
    fn clock_fault(&self, at_ms: i64) -> Option<Reason> {
        let latest_ms = self.shard_time_ms.saturating_add_unsigned(self.rules.skew_ms);
        (at_ms <= 0 || at_ms > latest_ms).then_some(Reason::PlacedAt)
    }

    /// A client's time that lies before the window.
    fn is_too_old(&self, at_ms: i64) -> bool {
        at_ms < self.shard_time_ms.saturating_sub_unsigned(self.rules.window_ms)
    }
}

/// An id that is missing or too long.
fn id_fault(id: Text<'_>) -> Option<Reason> {
    match id.len() {
        0 => Some(Reason::MissingId),
        1..=MAX_ID_BYTES => None,
        _ => Some(Reason::IdTooLong),
    }
}
