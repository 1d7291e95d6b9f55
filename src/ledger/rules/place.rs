//! Place: all lines of an order or none.

use super::delivery::asked_fault;
use super::id_fault;
use super::ladder::{Asker, Brought};
use super::sale::has_doubled;
use super::verdict::{Bar, Barred, LineBar, LinesAtHand, OnDay, Passed, ShownLines, ShownSelling, Verdict};
use crate::ledger::foresight::Foresight;
use crate::ledger::state::closed::{Ending, Remembered};
use crate::ledger::state::identity::Identity;
use crate::ledger::state::known::Found;
use crate::ledger::state::orders::{CountedBy, Kept, NewDelivery, NewOrder, OpenOrder, Taken};
use crate::ledger::state::{Reserve, State};
use crate::wire::content;
use crate::wire::limits::{MAX_ID_BYTES, MAX_KEYS, MAX_LINES, MAX_QUANTITY, MAX_SEGMENTS};
use crate::wire::proto::{OrderState, Outcome, Reason};
use crate::wire::{Place, Text, Vouched};

impl State {
    pub(crate) fn place(
        &mut self,
        (pool, known_pool): (Text<'_>, Option<u32>),
        it: &Place<'_>,
        foresight: &Foresight,
        engine_time_ms: i64,
        lines: &mut LinesAtHand,
    ) -> Verdict {
        if let Some(reason) = self.fault_of(it) {
            return Verdict::invalid(reason);
        }
        if self.is_too_old(it.placed_at_ms) {
            return Verdict::of(Outcome::TooOld);
        }
        let identity = Identity::Order { pool, order_id: it.order_id, attempt: it.attempt };
        let fingerprint = self.fingerprint(identity, foresight.fingerprint);
        let found = self.find(fingerprint);
        let content = content::of_order(pool, it.customer, it.channel, it.placed_at_ms, it.lines, &it.vouched);
        if let Some((original, placed)) = self.original(found) {
            let outcome = if placed == content { Outcome::Duplicate } else { Outcome::Conflict };
            let copy = Verdict { original: Some(original), ..Verdict::order(outcome, self.state(found)) };
            return match found {
                // A retry learns what it needs: what the order holds, and until when.
                Found::Open(slot) if outcome == Outcome::Duplicate => {
                    let OpenOrder { kept, expires_at_ms, .. } = *self.orders.get(slot);
                    let whole = self.shown_whole(kept, lines);
                    let selling = self.delivery_of(kept, lines);
                    Verdict { lines: whole, expires_at_ms, selling, ..copy }
                }
                _ => copy,
            };
        }
        if self.is_busy(Reserve::Orders) {
            return Verdict::of(Outcome::Busy);
        }
        if it.answer_by_ms != 0 && engine_time_ms > it.answer_by_ms {
            return Verdict::of(Outcome::Deadline);
        }
        if let Some(reason) = self.attempt_fault(pool, it) {
            return Verdict::invalid(reason);
        }
        let brought = (!it.vouched.is_empty()).then(|| Brought::of(&it.vouched));
        let asker = Asker { customer: it.customer, channel: it.channel, ahead: foresight, brought: brought.as_ref() };
        if let Some(reason) = self.service_fault(known_pool, &asker.delivery()) {
            return Verdict::invalid(reason);
        }
        let barred = match found {
            Found::Unknown => self.reserve(known_pool, it.lines, &asker, foresight, lines),
            _ => Err(Bar::of_pool(LineBar::new(Reason::Cancelled))),
        };
        let Err(bar) = barred else {
            let asked_ms = self.shard_time_ms.saturating_add_unsigned(match it.hold_ms {
                0 => self.rules.default_hold_ms,
                asked => asked,
            });
            let expires_at_ms = lines.delivery.map_or(asked_ms, |it| asked_ms.min(it.hold_until_ms));
            let pool = known_pool.expect("stock was reserved in it");
            let selling = self.passed(pool, &asker, lines);
            let delivery = lines.delivery.map(|it| {
                let (OnDay { day, cutoff_ms, hold_until_ms, count }, service) = (it, (&*lines.service).into());
                NewDelivery { service, day, cutoff_ms, hold_until_ms, count }
            });
            self.hold(&NewOrder {
                fingerprint,
                pool,
                order_id: it.order_id,
                attempt: it.attempt,
                content,
                sequence: self.sequence,
                expires_at_ms,
                lines: &lines.held,
                taken: &lines.taken,
                parts: &lines.parts,
                delivery,
            });
            let lines = if lines.parts.is_empty() { ShownLines::Asked } else { ShownLines::AskedOfLots };
            let reserved = Verdict::order(Outcome::Reserved, OrderState::Held);
            return Verdict { lines, expires_at_ms, content, selling, ..reserved };
        };
        let Bar { outcome, reason, lines: shown, opens_at_ms, rule } = bar;
        let channel = reason == Reason::Quota;
        let told = opens_at_ms != 0 || rule != 0 || channel;
        let selling = if told { ShownSelling::Barred } else { ShownSelling::None };
        lines.barred = Barred { opens_at_ms, rule, issued_at_ms: 0, channel };
        if !matches!(reason, Reason::Late | Reason::DeliveryFull) {
            // It has a day, and is not sold for another reason.
            lines.delivery = None;
        }
        let lines = shown;
        if outcome != Outcome::Rejected {
            return Verdict { reason, lines, selling, ..Verdict::of(outcome) };
        }
        let ending = Ending::rejected(reason).expect("a reason that an order is rejected for");
        self.remember(identity, fingerprint, found, Remembered { content, sequence: self.sequence, ending });
        Verdict { reason, lines, content, selling, ..Verdict::order(outcome, OrderState::Rejected) }
    }

    /// All lines of an open order, with the lots that they take from.
    fn shown_whole(&self, kept: Kept, at_hand: &mut LinesAtHand) -> ShownLines {
        if !kept.has_parts() {
            return ShownLines::Held(kept);
        }
        at_hand.clear();
        at_hand.ruled = true;
        at_hand.parts.extend(self.orders.parts(kept));
        ShownLines::HeldOfLots(kept)
    }

    /// What the decision about an order that was reserved tells of the rules that it passed.
    #[inline]
    fn passed(&self, pool: u32, asker: &Asker<'_, '_>, at_hand: &mut LinesAtHand) -> ShownSelling {
        if !at_hand.ruled && asker.brought.is_none() {
            return ShownSelling::None;
        }
        self.note_passed(pool, asker, at_hand)
    }

    #[inline(never)]
    fn note_passed(&self, pool: u32, asker: &Asker<'_, '_>, at_hand: &mut LinesAtHand) -> ShownSelling {
        let (keys, customer) = self.keys_used(asker, at_hand);
        let segments = if asker.brought.is_none() { 0 } else { self.all_segments_used(pool, asker, at_hand) };
        at_hand.counted.clear();
        at_hand.counted.extend(at_hand.taken.iter().map(Taken::shown));
        let channel = at_hand.taken.iter().any(|taken| matches!(taken.by, CountedBy::Share { .. }));
        at_hand.passed = Passed { segments, keys, customer, channel };
        let nothing = at_hand.taken.is_empty() && segments == 0 && at_hand.delivery.is_none();
        if nothing { ShownSelling::None } else { ShownSelling::Passed }
    }

    /// What the answer to a copy tells of the delivery of its order.
    fn delivery_of(&self, kept: Kept, at_hand: &mut LinesAtHand) -> ShownSelling {
        let Some(NewDelivery { service, day, cutoff_ms, hold_until_ms, count }) = self.orders.delivery(kept) else {
            return ShownSelling::None;
        };
        at_hand.ruled = true;
        at_hand.service.clear();
        at_hand.service.push_str(service.as_str());
        at_hand.delivery = Some(OnDay { day, cutoff_ms, hold_until_ms, count });
        ShownSelling::Delivery
    }

    /// What is wrong with the command itself.
    fn fault_of(&self, it: &Place<'_>) -> Option<Reason> {
        if let Some(reason) = id_fault(it.order_id).or_else(|| id_fault(it.customer)) {
            return Some(reason);
        }
        if it.channel.len() > MAX_ID_BYTES {
            return Some(Reason::IdTooLong);
        }
        if it.lines.is_empty() {
            return Some(Reason::NoLines);
        }
        if it.lines.len() > MAX_LINES {
            return Some(Reason::TooManyLines);
        }
        for line in it.lines {
            if let Some(reason) = id_fault(line.sku) {
                return Some(reason);
            }
            if !(1..=MAX_QUANTITY).contains(&line.quantity) {
                return Some(Reason::Quantity);
            }
        }
        if it.hold_ms > self.rules.max_hold_ms {
            return Some(Reason::HoldTooLong);
        }
        if !it.vouched.is_empty()
            && let Some(reason) = vouched_fault(&it.vouched)
        {
            return Some(reason);
        }
        self.clock_fault(it.placed_at_ms)
    }

    /// A raised attempt, though the one before has not been placed and ended.
    fn attempt_fault(&self, pool: Text<'_>, it: &Place<'_>) -> Option<Reason> {
        let before = it.attempt.checked_sub(1)?;
        let found = self.find(self.fingerprints.of(Identity::Order { pool, order_id: it.order_id, attempt: before }));
        // Cancelled in advance is not ended: were it, two attempts could be open at once, this one and that on which
        // the one before would have had to wait.
        self.original(found).map_or(Some(Reason::AttemptUnknown), |_| match self.state(found) {
            OrderState::Held | OrderState::Committed | OrderState::Shipped => Some(Reason::AttemptOpen),
            _ => None,
        })
    }
}

/// What is wrong with what the checkout vouches for, or with what it asks of a delivery.
fn vouched_fault(vouched: &Vouched<'_>) -> Option<Reason> {
    let names = vouched.keys().map(|(name, _)| name);
    let values = vouched.keys().map(|(_, value)| value);
    if let Some(reason) = vouched.segments().chain(names.clone()).chain(values).find_map(id_fault) {
        return Some(reason);
    }
    if vouched.segment_count() > MAX_SEGMENTS || vouched.key_count() > MAX_KEYS {
        return Some(Reason::TooMany);
    }
    let doubled = has_doubled::<MAX_SEGMENTS>(vouched.segments()) || has_doubled::<MAX_KEYS>(names);
    doubled.then_some(Reason::Doubled).or_else(|| asked_fault(&vouched.delivery()))
}
