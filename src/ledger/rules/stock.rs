//! Stock commands: receive, adjust, count, set safety stock, halt and resume.

use super::effects::StockEffect;
use super::verdict::{Barred, LinesAtHand, ShownSelling, ShownStock, Verdict};
use super::{channels, delivery, id_fault, limit, lots, sale};
use crate::ledger::state::closed::{Ending, Remembered};
use crate::ledger::state::identity::Identity;
use crate::ledger::state::known::Found;
use crate::ledger::state::{Reserve, State};
use crate::ledger::store::index::Fingerprint;
use crate::wire::content;
use crate::wire::limits::{MAX_ID_BYTES, MAX_STOCK_FIGURE, MAX_STOCK_QUANTITY};
use crate::wire::proto::{Outcome, Reason};
use crate::wire::{Rule, StockChange, Text};

impl State {
    pub(crate) fn stock_command(
        &mut self,
        pool: Text<'_>,
        id: Text<'_>,
        issued_at_ms: i64,
        it: &StockChange<'_>,
        at_hand: &mut LinesAtHand,
    ) -> Verdict {
        if let Some(reason) = id_fault(id).or_else(|| change_fault(it)).or_else(|| self.clock_fault(issued_at_ms)) {
            return Verdict::invalid(reason);
        }
        if self.is_too_old(issued_at_ms) {
            return Verdict::of(Outcome::TooOld);
        }
        let identity = Identity::Stock { pool, id };
        let fingerprint = self.fingerprints.of(identity);
        let content = content::of_stock(pool, issued_at_ms, it);
        if let Some((original, applied)) = self.original(self.find(fingerprint)) {
            let outcome = if applied == content { Outcome::Duplicate } else { Outcome::Conflict };
            return Verdict { original: Some(original), ..Verdict::of(outcome) };
        }
        if self.is_busy_for_stock(it) {
            return Verdict::of(Outcome::Busy);
        }
        if let Some(rule) = it.rule() {
            return self.rule_command((pool, identity, fingerprint), issued_at_ms, content, &rule, at_hand);
        }
        let (sku, effect) = effect_of(it);
        let row = self.rows.pool(pool).and_then(|pool| self.rows.row(pool, sku));
        if let (StockEffect::Halted(_), None) = (effect, row) {
            return Verdict::invalid(Reason::NoSuchSku);
        }
        let meant = match self.meant_lot(row, it) {
            Ok(meant) => meant,
            Err(reason) => return Verdict::invalid(reason),
        };
        let change = if let StockEffect::OnHand(change) = effect { change } else { 0 };
        let of_row = row.map_or(0, |row| self.rows.figures(row).on_hand);
        let of_lot = meant.as_ref().map_or(0, |lot| lot.on_hand);
        if [of_row, of_lot].iter().any(|on_hand| (on_hand + change).abs() > MAX_STOCK_FIGURE) {
            return Verdict::invalid(Reason::Quantity);
        }
        let stock = match meant {
            Some(lot) => {
                let row = self.move_lot(pool, sku, &lot, effect);
                ShownStock::Lot { row, change, number: lot.number, expiry: lot.expiry }
            }
            None => match (self.move_stock(pool, sku, effect), effect) {
                (Some(row), _) => ShownStock::Row { row, change },
                (None, effect) => ShownStock::Pool { halted: effect == StockEffect::PoolHalted(true) },
            },
        };
        let what = Remembered { content, sequence: self.sequence, ending: Ending::Applied };
        self.remember(identity, fingerprint, Found::Unknown, what);
        Verdict { stock, content, ..Verdict::of(Outcome::Applied) }
    }
}

impl State {
    /// Sets a selling rule, unless a later one stands.
    fn rule_command(
        &mut self,
        (pool, identity, fingerprint): (Text<'_>, Identity<'_>, Fingerprint),
        issued_at_ms: i64,
        content: u64,
        rule: &Rule<'_>,
        at_hand: &mut LinesAtHand,
    ) -> Verdict {
        let before = match rule {
            Rule::Sale(sale) => self.sale_stamp(pool, sale.sku),
            Rule::Limit(limit) if self.is_one_too_many(pool, limit) => return Verdict::invalid(Reason::TooMany),
            Rule::Limit(limit) => self.limit_stamp(pool, limit.name),
            Rule::Channels(channels) => self.channels_stamp(pool, channels.sku),
            Rule::Freshness(freshness) => self.freshness_stamp(pool, freshness.sku),
            Rule::Delivery(_) => self.delivery_stamp(pool),
        };
        if let Some(later) = before.filter(|before| issued_at_ms < before.issued_at_ms) {
            let (rule, issued_at_ms) = (later.sequence, later.issued_at_ms);
            at_hand.delivery = None;
            at_hand.barred = Barred { rule, issued_at_ms, ..Barred::default() };
            let (reason, selling) = (Reason::Stale, ShownSelling::Barred);
            return Verdict { reason, selling, ..Verdict::of(Outcome::NotAllowed) };
        }
        self.set_rule(pool, rule, issued_at_ms);
        let what = Remembered { content, sequence: self.sequence, ending: Ending::Applied };
        self.remember(identity, fingerprint, Found::Unknown, what);
        Verdict { content, selling: ShownSelling::Set, ..Verdict::of(Outcome::Applied) }
    }

    /// Whether there is no memory left to remember this command. What stops a sale is taken for longest, and
    /// what removes a rule: a limit's counters go with it.
    fn is_busy_for_stock(&self, it: &StockChange<'_>) -> bool {
        let stops_or_frees = match it {
            StockChange::Halt { .. } => true,
            _ => it.rule().is_some_and(|rule| rule.removes()),
        };
        self.is_busy(if stops_or_frees { Reserve::Halts } else { Reserve::Stock })
    }
}

/// The SKU and the effect of a command whose figures are in range.
fn effect_of<'a>(it: &StockChange<'a>) -> (Text<'a>, StockEffect) {
    match *it {
        StockChange::Receive { sku, quantity, .. } => (sku, StockEffect::OnHand(quantity as i64)),
        StockChange::Adjust { sku, change, .. } => (sku, StockEffect::OnHand(change)),
        StockChange::Count { sku, counted, on_hand_seen, .. } => {
            (sku, StockEffect::OnHand(counted as i64 - on_hand_seen))
        }
        StockChange::SetSafetyStock { sku, quantity } => (sku, StockEffect::SafetyStock(quantity as i64)),
        StockChange::Halt { sku, .. } => (sku, halt_of(sku, true)),
        StockChange::Resume { sku, .. } => (sku, halt_of(sku, false)),
        StockChange::SetSale(_)
        | StockChange::SetLimit(_)
        | StockChange::SetChannels(_)
        | StockChange::SetFreshness(_)
        | StockChange::SetDelivery(_) => {
            unreachable!("a rule moves no stock")
        }
    }
}

/// Of the SKU, or of the whole pool if none is named.
pub(crate) fn halt_of(sku: Text<'_>, halted: bool) -> StockEffect {
    if sku.is_empty() { StockEffect::PoolHalted(halted) } else { StockEffect::Halted(halted) }
}

/// What is wrong with the command itself: its SKU, then its texts, then its figures, then its day.
fn change_fault(it: &StockChange<'_>) -> Option<Reason> {
    let (sku, reason, in_range) = match *it {
        StockChange::Receive { sku, quantity, .. } => (sku, Text::EMPTY, (1..=MAX_STOCK_QUANTITY).contains(&quantity)),
        StockChange::Adjust { sku, change, reason, .. } => {
            (sku, reason, change != 0 && change.unsigned_abs() <= MAX_STOCK_QUANTITY)
        }
        StockChange::Count { sku, counted, on_hand_seen, .. } => {
            (sku, Text::EMPTY, counted <= MAX_STOCK_QUANTITY && on_hand_seen.unsigned_abs() <= MAX_STOCK_FIGURE as u64)
        }
        StockChange::SetSafetyStock { sku, quantity } => (sku, Text::EMPTY, quantity <= MAX_STOCK_QUANTITY),
        StockChange::Halt { sku, .. } | StockChange::Resume { sku, .. } => (sku, Text::EMPTY, true),
        StockChange::SetSale(ref rule) => return sale::fault(rule),
        StockChange::SetLimit(ref rule) => return limit::fault(rule),
        StockChange::SetChannels(ref rule) => return id_fault(rule.sku).or_else(|| channels::fault(rule)),
        StockChange::SetFreshness(ref rule) => return lots::fault(rule),
        StockChange::SetDelivery(ref rule) => return delivery::fault(rule),
    };
    let whole_pool = matches!(it, StockChange::Halt { .. } | StockChange::Resume { .. }) && sku.is_empty();
    if whole_pool && it.lot().is_none() {
        return None;
    }
    id_fault(sku)
        .or(lots::name_fault(it.lot().lot))
        .or((reason.len() > MAX_ID_BYTES).then_some(Reason::IdTooLong))
        .or((!in_range).then_some(Reason::Quantity))
        .or(lots::expiry_fault(it))
}
