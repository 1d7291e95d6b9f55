//! What the warehouse of a run does while orders come: each command answered once, and with the change that was sent.

use std::sync::atomic::{AtomicU8, Ordering};

use sluice::wire::proto::{Asked, Outcome};
use sluice::wire::{Decision, StockLevel};

use super::findings::Findings;
use crate::load::scenario::MovementKind;
use crate::load::traffic::stock::lot_name;
use crate::load::traffic::{Moved, Movements, PoolSet, RunId, movement_number, sku_number};
use crate::report::result::Check;

/// The movements of a run and how often each was answered, up to 255 times. Readers of several partitions share it: those
/// of a pool are answered in one partition.
#[derive(Debug, Default)]
pub struct Moves {
    movements: Movements,
    answers: Box<[AtomicU8]>,
}

impl Moves {
    /// Nothing is answered yet.
    pub fn new(movements: Movements) -> Self {
        let answers = (0..movements.commands()).map(|_| AtomicU8::new(0)).collect();
        Self { movements, answers }
    }

    /// The movement that a decision answers, counted as answered; none if it answers none.
    pub(super) fn answered(&self, run: RunId, id: &[u8]) -> Option<Moved> {
        let number = movement_number(run, id)?;
        let moved = self.movements.get(number)?;
        let answers = &self.answers[number as usize];
        answers.store(answers.load(Ordering::Relaxed).saturating_add(1), Ordering::Relaxed);
        Some(moved)
    }

    /// Compares the answers with what was sent: every movement with a number below `sent`. How many were checked, and what
    /// was found, what is lost apart from the rest.
    pub(super) fn close(&self, sent: u64) -> (u64, Findings, Findings) {
        let (mut findings, mut lost) = (Findings::default(), Findings::default());
        for (number, answers) in (0..).zip(&self.answers) {
            let (due, answered) = (u8::from(number < sent), answers.load(Ordering::Relaxed));
            let example = || format!("movement {number}: sent {due} times, answered {answered} times");
            if answered > due {
                let check = if due == 0 { Check::Unexpected } else { Check::Doubled };
                findings.add_many(check, u64::from(answered - due), example);
            } else {
                lost.add_many(Check::Lost, u64::from(due - answered), example);
            }
        }
        (sent.min(self.movements.commands()), findings, lost)
    }
}

/// What is decided of a movement must be what was sent, in the pool that it was sent to.
pub(super) fn check(moved: &Moved, decision: &Decision<'_>, run: RunId, pools: &PoolSet) -> Result<(), String> {
    let asked = match moved.what {
        MovementKind::Receive => Asked::Receive,
        MovementKind::Adjust => Asked::Adjust,
        MovementKind::Count => Asked::Count,
    };
    let told = (decision.asked, decision.outcome);
    if told != (asked, Outcome::Applied) {
        return Err(format!("{told:?} where {asked:?} was due to be applied"));
    }
    let lot = moved.lot.map(|(lot, _)| lot_name(lot));
    let is_sent = |level: &StockLevel<'_>| {
        let is_lot = level.lot.map(|told| told.lot.as_str()) == lot.as_deref();
        is_lot && (level.change, sku_number(run, level.sku.as_bytes())) == (moved.change, Some(moved.sku))
    };
    let pool = &pools.list()[moved.pool as usize];
    if decision.stock.as_ref().is_some_and(is_sent) && decision.pool == pool.name.as_str() {
        return Ok(());
    }
    Err(format!("{moved:?} was sent to {}, {:?} was answered", pool.name, decision.stock))
}
