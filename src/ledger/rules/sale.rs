//! Sale: from when, until when and to whom a SKU is sold, or anything of a pool.

use super::ladder::Asker;
use super::{id_fault, verdict::LineBar};
use crate::ledger::state::State;
use crate::ledger::state::selling;
use crate::ledger::state::selling::{NONE, SaleSlot, Scope, Stamp};
use crate::wire::limits::MAX_SEGMENTS;
use crate::wire::proto::{Outcome, Reason};
use crate::wire::{Sale, Text};

impl State {
    /// From when on a sale is open to this customer: the earliest of the general opening and those of his segments.
    pub(super) fn not_open(&self, asker: &Asker<'_, '_>, scope: &Scope) -> Option<LineBar> {
        let (slot, sale) = standing(scope)?;
        let opens_at_ms = opening(sale, asker);
        let bar = LineBar { outcome: Outcome::NotOpen, opens_at_ms, ..LineBar::new(Reason::Unspecified) };
        (self.shard_time_ms < opens_at_ms).then_some(LineBar { rule: slot.stamp.sequence, ..bar })
    }

    pub(super) fn closed(&self, _: &Asker<'_, '_>, scope: &Scope) -> Option<LineBar> {
        let (slot, sale) = standing(scope)?;
        let bar = LineBar { rule: slot.stamp.sequence, ..LineBar::new(Reason::Closed) };
        sale.is_over(self.shard_time_ms).then_some(bar)
    }

    pub(super) fn not_eligible(&self, asker: &Asker<'_, '_>, scope: &Scope) -> Option<LineBar> {
        let (slot, sale) = standing(scope)?;
        let bar = LineBar { rule: slot.stamp.sequence, ..LineBar::new(Reason::NotEligible) };
        (!sale.only.is_empty() && first_of(sale, asker).is_none()).then_some(bar)
    }

    /// The segments by which an order passed a sale that asked for some: a bit for each that it brought.
    pub(super) fn segments_used(&self, asker: &Asker<'_, '_>, scope: &Scope) -> u16 {
        let Some((_, sale)) = standing(scope) else { return 0 };
        let mut used = first_of(sale, asker).map_or(0, |at| 1 << at);
        if self.shard_time_ms < sale.opens_at_ms {
            let openings = asker.segments().enumerate().filter_map(|(at, segment)| Some((early(sale, segment)?, at)));
            used |= openings.min().map_or(0, |(_, at)| 1 << at);
        }
        used
    }

    /// Sets a sale, or removes it. The SKU, or the pool, is made known.
    pub(crate) fn set_sale(&mut self, pool: Text<'_>, sale: &Sale<'_>, issued_at_ms: i64) {
        let generation = self.records.now();
        let scope = self.make_scope(pool, sale.sku);
        let stamp = Stamp { issued_at_ms, sequence: self.sequence, generation };
        let stands = !sale.removes();
        self.canonical.begin(6).str(pool.as_bytes()).str(sale.sku.as_bytes());
        self.canonical.stamp(&stamp).u8(stands.into());
        if stands {
            self.canonical.rule(&crate::wire::Rule::Sale(*sale));
        }
        let sale = stands.then(|| selling::Sale::of(sale));
        self.selling.put_sale(scope, stamp, sale, self.canonical.bytes());
    }

    /// When the sale that stands was set, or the one that is remembered removed.
    pub(super) fn sale_stamp(&self, pool: Text<'_>, sku: Text<'_>) -> Option<Stamp> {
        let scope = self.rows.pool(pool).and_then(|pool| {
            if sku.is_empty() { self.rows.pool_scope(pool) } else { self.rows.scope(self.rows.row(pool, sku)?) }
        });
        scope.and_then(|scope| self.selling.scopes[scope].sale.as_ref()).map(|slot| slot.stamp)
    }

    /// The scope of a SKU, or of a pool if none is named, made if there is none; a rule changes the row.
    pub(super) fn make_scope(&mut self, pool: Text<'_>, sku: Text<'_>) -> u32 {
        let generation = self.records.now();
        if sku.is_empty() {
            let pool = self.rows.make_pool(pool);
            return self.rows.pool_scope(pool).unwrap_or_else(|| {
                let scope = self.selling.make_scope(pool, NONE);
                self.rows.set_pool_scope(pool, Some(scope));
                scope
            });
        }
        let row = self.rows.make(pool, sku, generation);
        self.rows.note(row, generation);
        self.rows.scope(row).unwrap_or_else(|| {
            let scope = self.selling.make_scope(self.rows.pool_of(row), row);
            self.rows.set_scope(row, Some(scope));
            scope
        })
    }
}

/// What is wrong with the command itself.
pub(super) fn fault(sale: &Sale<'_>) -> Option<Reason> {
    let segments = sale.early().map(|(segment, _)| segment).chain(sale.only());
    if let Some(reason) =
        (!sale.sku.is_empty()).then(|| id_fault(sale.sku)).flatten().or(segments.clone().find_map(id_fault))
    {
        return Some(reason);
    }
    if sale.early().count() > MAX_SEGMENTS || sale.only().count() > MAX_SEGMENTS {
        return Some(Reason::TooMany);
    }
    if has_doubled::<MAX_SEGMENTS>(sale.early().map(|(segment, _)| segment)) || has_doubled::<MAX_SEGMENTS>(sale.only())
    {
        return Some(Reason::Doubled);
    }
    let Sale { opens_at_ms, closes_at_ms, .. } = *sale;
    let negative = opens_at_ms < 0 || closes_at_ms < 0 || sale.early().any(|(_, early_ms)| early_ms < 0);
    let closes_first = closes_at_ms != 0 && closes_at_ms <= opens_at_ms;
    let late = sale.early().any(|(_, early_ms)| early_ms >= opens_at_ms);
    (negative || closes_first || late).then_some(Reason::Times)
}

/// Whether a list of up to `MOST` entries has one twice. It is walked once: it stands in a message that may be long, and
/// a walk for each entry would hold its shard up for long.
pub(super) fn has_doubled<'a, const MOST: usize>(list: impl Iterator<Item = Text<'a>>) -> bool {
    let mut before = [Text::EMPTY; MOST];
    for (i, entry) in list.take(MOST).enumerate() {
        if before[..i].contains(&entry) {
            return true;
        }
        before[i] = entry;
    }
    false
}

fn standing(scope: &Scope) -> Option<(&SaleSlot, &selling::Sale)> {
    scope.sale.as_deref().and_then(|slot| Some((slot, slot.sale.as_ref()?)))
}

/// When a sale opens early for a segment.
fn early(sale: &selling::Sale, segment: Text<'_>) -> Option<i64> {
    sale.early.iter().find(|(known, _)| segment == &**known).map(|(_, opens_at_ms)| *opens_at_ms)
}

fn opening(sale: &selling::Sale, asker: &Asker<'_, '_>) -> i64 {
    let openings = asker.segments().filter_map(|segment| early(sale, segment));
    openings.fold(sale.opens_at_ms, i64::min)
}

/// Place of the first segment of the customer that the sale is for, if it is for some only.
fn first_of(sale: &selling::Sale, asker: &Asker<'_, '_>) -> Option<usize> {
    asker.segments().position(|segment| sale.only.iter().any(|known| segment == &**known))
}
