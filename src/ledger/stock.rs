//! Stock commands: receive, adjust, count, set safety stock, halt and resume.

use super::Ledger;
use super::identity::Identity;
use super::known::Found;
use super::place::id_fault;
use super::records::{Fate, Remembered};
use super::verdict::{Shown, Verdict};
use crate::wire::content;
use crate::wire::limits::{MAX_ID_BYTES, MAX_STOCK_FIGURE, MAX_STOCK_QUANTITY};
use crate::wire::proto::{Outcome, Reason};
use crate::wire::{StockChange, Text};

/// What a stock command does to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// on_hand changes by this much.
    OnHand(i64),
    SafetyStock(i64),
    Halted(bool),
}

impl Ledger {
    pub(super) fn stock_command(
        &mut self,
        pool: Text<'_>,
        id: Text<'_>,
        issued_at_ms: i64,
        it: &StockChange<'_>,
    ) -> Verdict {
        if let Some(reason) = id_fault(id).or_else(|| change_fault(it)).or_else(|| self.clock_fault(issued_at_ms)) {
            return Verdict::invalid(reason);
        }
        if issued_at_ms < self.shard_time_ms.saturating_sub_unsigned(self.rules.window_ms) {
            return Verdict::of(Outcome::TooOld);
        }
        let identity = Identity::Stock { pool, id };
        let fingerprint = self.fingerprints.of(identity);
        let content = content::of_stock(pool, issued_at_ms, it);
        if let Some((original, applied)) = self.original(self.find(fingerprint)) {
            let outcome = if applied == content { Outcome::Duplicate } else { Outcome::Conflict };
            return Verdict { original: Some(original), ..Verdict::of(outcome) };
        }
        let (sku, effect) = effect_of(it);
        let row = self.rows.pool(pool).and_then(|pool| self.rows.row(pool, sku));
        let stock = match (effect, row) {
            (Effect::Halted(halted), _) if sku.is_empty() => {
                self.rows.halt_pool(pool, halted);
                Shown::Pool { halted }
            }
            (Effect::Halted(_), None) => return Verdict::invalid(Reason::NoSuchSku),
            _ => {
                let on_hand = row.map_or(0, |row| self.rows.figures(row).on_hand);
                let change = if let Effect::OnHand(change) = effect { change } else { 0 };
                if (on_hand + change).abs() > MAX_STOCK_FIGURE {
                    return Verdict::invalid(Reason::Quantity);
                }
                Shown::Row { row: self.apply_effect(pool, sku, effect), change }
            }
        };
        let what = Remembered { content, sequence: self.sequence, fate: Fate::Applied };
        self.remember(identity, fingerprint, Found::Unknown, what);
        Verdict { stock, content, ..Verdict::of(Outcome::Applied) }
    }

    /// Changes a row, made known if it was not, and tells which.
    pub(super) fn apply_effect(&mut self, pool: Text<'_>, sku: Text<'_>, effect: Effect) -> u32 {
        let generation = self.records.now();
        let row = self.rows.make(pool, sku, generation);
        self.rows.change(row, generation, |figures| match effect {
            Effect::OnHand(change) => figures.on_hand += change,
            Effect::SafetyStock(units) => figures.safety_stock = units,
            Effect::Halted(halted) => figures.halted = halted,
        });
        row
    }
}

/// The SKU and the effect of a command whose figures are in range.
fn effect_of<'a>(it: &StockChange<'a>) -> (Text<'a>, Effect) {
    match *it {
        StockChange::Receive { sku, quantity } => (sku, Effect::OnHand(quantity as i64)),
        StockChange::Adjust { sku, change, .. } => (sku, Effect::OnHand(change)),
        StockChange::Count { sku, counted, on_hand_seen } => (sku, Effect::OnHand(counted as i64 - on_hand_seen)),
        StockChange::SetSafetyStock { sku, quantity } => (sku, Effect::SafetyStock(quantity as i64)),
        StockChange::Halt { sku } => (sku, Effect::Halted(true)),
        StockChange::Resume { sku } => (sku, Effect::Halted(false)),
    }
}

/// What is wrong with the command itself: its SKU, then its text, then its figures.
fn change_fault(it: &StockChange<'_>) -> Option<Reason> {
    let (sku, reason, in_range) = match *it {
        StockChange::Receive { sku, quantity } => (sku, Text::EMPTY, (1..=MAX_STOCK_QUANTITY).contains(&quantity)),
        StockChange::Adjust { sku, change, reason } => {
            (sku, reason, change != 0 && change.unsigned_abs() <= MAX_STOCK_QUANTITY)
        }
        StockChange::Count { sku, counted, on_hand_seen } => {
            (sku, Text::EMPTY, counted <= MAX_STOCK_QUANTITY && on_hand_seen.unsigned_abs() <= MAX_STOCK_FIGURE as u64)
        }
        StockChange::SetSafetyStock { sku, quantity } => (sku, Text::EMPTY, quantity <= MAX_STOCK_QUANTITY),
        StockChange::Halt { sku } | StockChange::Resume { sku } => (sku, Text::EMPTY, true),
    };
    let whole_pool = matches!(it, StockChange::Halt { .. } | StockChange::Resume { .. }) && sku.is_empty();
    if whole_pool {
        return None;
    }
    id_fault(sku)
        .or((reason.len() > MAX_ID_BYTES).then_some(Reason::IdTooLong))
        .or((!in_range).then_some(Reason::Quantity))
}
