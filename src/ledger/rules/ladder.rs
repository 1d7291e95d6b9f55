//! The ladder that an order's pool and lines climb once the order itself is in order. Its guards stand here once, in
//! RULES.md's order. Most orders meet none that holds: they are reserved line by line in one go, and only where that fails
//! is each guard asked over all lines, so that the answer is that of the first one that holds.

use super::verdict::{Bar, LineBar, LinesAtHand};
use crate::ledger::foresight::Foresight;
use crate::ledger::state::State;
use crate::ledger::state::selling::Scope;
use crate::wire::decision::{HeldLine, LineResult};
use crate::wire::limits::{MAX_KEYS, MAX_PARTS, MAX_SEGMENTS};
use crate::wire::proto::{Outcome, Reason};
use crate::wire::{DeliveryAsked, OrderLines, Text, Vouched};

/// Who asks, as far as rules look at it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker<'b, 'a> {
    pub(crate) customer: Text<'a>,
    pub(crate) channel: Text<'a>,
    /// What was looked up of him ahead.
    pub(crate) ahead: &'b Foresight,
    /// None if he brought nothing.
    pub(crate) brought: Option<&'b Brought<'a>>,
}

impl<'a> Asker<'_, 'a> {
    pub(crate) fn segments(&self) -> impl Iterator<Item = Text<'a>> + Clone {
        self.brought.into_iter().flat_map(|it| it.segments[..it.segment_count].iter().copied())
    }

    /// Names and values.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (Text<'a>, Text<'a>)> + Clone {
        self.brought.into_iter().flat_map(|it| it.keys[..it.key_count].iter().copied())
    }

    /// What is asked of the pool's delivery.
    pub(crate) fn delivery(&self) -> DeliveryAsked<'a> {
        self.brought.map(|it| it.delivery).unwrap_or_default()
    }
}

/// What an order brings beside its lines, read once: each line asks for them again, and they stand somewhere in a message
/// that may be long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Brought<'a> {
    segments: [Text<'a>; MAX_SEGMENTS],
    segment_count: usize,
    keys: [(Text<'a>, Text<'a>); MAX_KEYS],
    key_count: usize,
    delivery: DeliveryAsked<'a>,
}

impl<'a> Brought<'a> {
    /// What was checked to be no more than an order may bring.
    pub(crate) fn of(vouched: &Vouched<'a>) -> Brought<'a> {
        let (segments, keys) = ([Text::EMPTY; MAX_SEGMENTS], [(Text::EMPTY, Text::EMPTY); MAX_KEYS]);
        let delivery = vouched.delivery();
        let mut brought = Brought { segments, segment_count: 0, keys, key_count: 0, delivery };
        for (to, segment) in brought.segments.iter_mut().zip(vouched.segments()) {
            *to = segment;
            brought.segment_count += 1;
        }
        for (to, key) in brought.keys.iter_mut().zip(vouched.keys()) {
            *to = key;
            brought.key_count += 1;
        }
        brought
    }
}

/// A guard of a sale: of that of the pool, then of that of each line.
type SaleGuard = fn(&State, &Asker<'_, '_>, &Scope) -> Option<LineBar>;

/// The guards of sales, in RULES.md's order.
const SALE_GUARDS: [SaleGuard; 3] = [State::not_open, State::closed, State::not_eligible];

impl State {
    /// Takes the units of all lines, which then stand in `at_hand.held`, with what the order is counted as in
    /// `at_hand.taken`, what it takes of lots in `at_hand.parts` and its delivery; or nothing, for the bar given. What is
    /// known of each line stands in `at_hand.results` if the bar is one of lines.
    #[inline]
    pub(crate) fn reserve(
        &mut self,
        pool: Option<u32>,
        lines: OrderLines<'_>,
        asker: &Asker<'_, '_>,
        foresight: &Foresight,
        at_hand: &mut LinesAtHand,
    ) -> Result<(), Bar> {
        at_hand.clear();
        let Some(number) = pool else { return self.climb_all(pool, lines, asker, at_hand) };
        let ruled = !self.rows.is_pool_free(number);
        if ruled && !self.passes_pool(number, asker, at_hand) {
            return self.climb_all(pool, lines, asker, at_hand);
        }
        for (i, line) in lines.iter().enumerate() {
            match self.row(number, line.sku, foresight, i) {
                Some(row)
                    if self.rows.has(row, line.quantity)
                        && (!ruled && self.rows.is_free(row)
                            || self.passes(
                                number,
                                (i as u32, HeldLine { row, quantity: line.quantity }),
                                asker,
                                at_hand,
                            )) =>
                {
                    self.rows.hold(row, line.quantity);
                    at_hand.held.push(HeldLine { row, quantity: line.quantity });
                }
                _ => {
                    self.put_back(at_hand);
                    return self.climb_all(pool, lines, asker, at_hand);
                }
            }
        }
        if at_hand.ruled {
            self.note_taken(at_hand);
            if at_hand.parts.len() > MAX_PARTS {
                self.put_back(at_hand);
                return self.climb_all(pool, lines, asker, at_hand);
            }
        }
        debug_assert!(self.climbs_too(pool, lines, asker, at_hand), "the ladder bars what was reserved in one go");
        Ok(())
    }

    /// Whether no guard of the pool holds.
    #[inline(never)]
    fn passes_pool(&self, pool: u32, asker: &Asker<'_, '_>, at_hand: &mut LinesAtHand) -> bool {
        at_hand.ruled = true;
        self.pool_bar(pool, asker, at_hand).is_none()
    }

    /// Whether none of a line's guards about rules holds, so much being there, and its lots give as much. Adds the line to
    /// what is tallied, and takes its units from the lots; those of the row itself are the caller's.
    #[inline(never)]
    fn passes(
        &mut self,
        pool: u32,
        (number, line): (u32, HeldLine),
        asker: &Asker<'_, '_>,
        at_hand: &mut LinesAtHand,
    ) -> bool {
        at_hand.ruled = true;
        let HeldLine { row, quantity } = line;
        if self.rows.figures(row).halted {
            return false;
        }
        let (mut is_shared, mut has_lots) = (false, false);
        if let Some(scope) = self.rows.scope(row) {
            let scope = &self.selling.scopes[scope];
            if !scope.bars_nobody(self.shard_time_ms)
                && SALE_GUARDS.iter().any(|guard| guard(self, asker, scope).is_some())
            {
                return false;
            }
            (is_shared, has_lots) = (scope.channels.is_some(), scope.lots.is_some());
        }
        if self.selling.limits.slots() > 0 {
            let limits = self.limits_of(pool, row);
            if self.lacks_key(asker, limits.clone()).is_some()
                || self.over_limit(asker, limits, quantity, &mut at_hand.tally).is_some()
            {
                return false;
            }
        }
        let available = self.rows.figures(row).available();
        (!is_shared || self.over_quota(asker, &line, available, &mut at_hand.shares).is_none())
            && (!has_lots || self.take_lots(row, (number, quantity), at_hand.delivery.as_ref(), &mut at_hand.parts))
    }

    /// The stock row of line `i`, which somebody may have foreseen.
    #[inline]
    pub(crate) fn row(&self, pool: u32, sku: Text<'_>, foresight: &Foresight, i: usize) -> Option<u32> {
        match foresight.row(i) {
            Some(row) if self.rows.is(row, pool, sku) => Some(row),
            _ => self.rows.row(pool, sku),
        }
    }

    /// The guards of the pool, then those of the lines. Takes the units if none holds.
    #[inline(never)]
    fn climb_all(
        &mut self,
        pool: Option<u32>,
        lines: OrderLines<'_>,
        asker: &Asker<'_, '_>,
        at_hand: &mut LinesAtHand,
    ) -> Result<(), Bar> {
        at_hand.ruled = true;
        if let Some(bar) = pool.and_then(|pool| self.pool_bar(pool, asker, at_hand)) {
            return Err(Bar::of_pool(bar));
        }
        self.climb(pool, lines, asker, at_hand)
    }

    fn pool_bar(&self, pool: u32, asker: &Asker<'_, '_>, at_hand: &mut LinesAtHand) -> Option<LineBar> {
        if self.rows.pool_halted(pool) {
            return Some(LineBar::new(Reason::Halted));
        }
        let scope = &self.selling.scopes[self.rows.pool_scope(pool)?];
        let sale = SALE_GUARDS.iter().find_map(|guard| guard(self, asker, scope));
        sale.or_else(|| self.late_or_full(pool, asker, at_hand))
    }

    /// Every guard of the lines, one after the other over all lines: a SKU that is unknown outweighs one that is halted,
    /// and that one that is short. Takes the units if none holds.
    fn climb(
        &mut self,
        pool: Option<u32>,
        lines: OrderLines<'_>,
        asker: &Asker<'_, '_>,
        at_hand: &mut LinesAtHand,
    ) -> Result<(), Bar> {
        let LinesAtHand { held, results, tally, .. } = at_hand;
        for line in lines {
            let row = pool.and_then(|pool| self.rows.row(pool, line.sku));
            held.extend(row.map(|row| HeldLine { row, quantity: line.quantity }));
            let reason = if row.is_none() { Reason::UnknownSku } else { Reason::Unspecified };
            results.push(LineResult { reason, ..LineResult::allocated(0) });
        }
        let Some(pool) = pool.filter(|_| held.len() == results.len()) else {
            return Err(Bar::of_lines(Outcome::Rejected, Reason::UnknownSku));
        };
        let halted = |state: &State, row| state.rows.figures(row).halted.then(|| LineBar::new(Reason::Halted));
        self.over_lines(held, results, |state, line| halted(state, line.row))?;
        for guard in SALE_GUARDS {
            self.over_lines(held, results, |state, line| {
                guard(state, asker, &state.selling.scopes[state.rows.scope(line.row)?])
            })?;
        }
        self.over_lines(held, results, |state, line| state.lacks_key(asker, state.limits_of(pool, line.row)))?;
        self.over_lines(held, results, |state, line| {
            state.over_limit(asker, state.limits_of(pool, line.row), line.quantity, tally)
        })?;
        self.take_or_explain(at_hand)?;
        if let Err(bar) = self.keep_quota(asker, at_hand) {
            self.put_back_parts(at_hand);
            at_hand.parts.clear();
            at_hand.held.iter().for_each(|line| self.rows.put_back(line.row, line.quantity));
            return Err(bar);
        }
        self.note_taken(at_hand);
        Ok(())
    }

    /// Asks one guard about every line; the bar of the first that it holds for, with what was found out of all.
    fn over_lines(
        &self,
        held: &[HeldLine],
        results: &mut [LineResult],
        mut guard: impl FnMut(&State, &HeldLine) -> Option<LineBar>,
    ) -> Result<(), Bar> {
        let mut first: Option<Bar> = None;
        for (line, result) in held.iter().zip(results) {
            let Some(bar) = guard(self, line) else { continue };
            let LineBar { outcome, reason, opens_at_ms, left, rule } = bar;
            *result = LineResult { reason, opens_at_ms, left, rule, ..LineResult::allocated(0) };
            let order = first.get_or_insert(Bar::of_lines(outcome, reason));
            // All of it may be sold once its last line may.
            order.opens_at_ms = order.opens_at_ms.max(opens_at_ms);
        }
        first.map_or(Ok(()), Err)
    }

    /// Takes the units of the rows in `at_hand.held`, or none of them and says which lines are short of what.
    fn take_or_explain(&mut self, at_hand: &mut LinesAtHand) -> Result<(), Bar> {
        let mut short = false;
        let LinesAtHand { held, results, parts, delivery, .. } = at_hand;
        for ((i, line), result) in (0..).zip(held.iter()).zip(results.iter_mut()) {
            let available = self.available_to(line.row, delivery.as_ref());
            if available >= i64::from(line.quantity)
                && self.take_lots(line.row, (i, line.quantity), delivery.as_ref(), parts)
            {
                self.rows.hold(line.row, line.quantity);
                result.allocated = line.quantity;
            } else {
                short = true;
                let reason = Reason::OutOfStock;
                *result = LineResult { available: Some(available), reason, ..LineResult::allocated(0) };
            }
        }
        let scattered = parts.get(MAX_PARTS).map(|part| part.line as usize);
        if !short && scattered.is_none() {
            at_hand.results.clear();
            return Ok(());
        }
        self.put_back_parts(at_hand);
        at_hand.parts.clear();
        for (line, result) in at_hand.held.iter().zip(&mut at_hand.results) {
            self.rows.put_back(line.row, result.allocated);
            result.allocated = 0;
        }
        if short {
            return Err(Bar::of_lines(Outcome::Rejected, Reason::OutOfStock));
        }
        let all = at_hand.held.iter().zip(&mut at_hand.results);
        for (line, result) in all.skip(scattered.unwrap_or_default()) {
            if self.lots_of(line.row).is_some() {
                result.reason = Reason::Scattered;
            }
        }
        Err(Bar::of_lines(Outcome::Rejected, Reason::Scattered))
    }

    /// The guard of channels over all lines, whose units were taken.
    fn keep_quota(&self, asker: &Asker<'_, '_>, at_hand: &mut LinesAtHand) -> Result<(), Bar> {
        let LinesAtHand { held, results, shares, .. } = at_hand;
        if held.iter().all(|line| self.shares(line.row).is_none()) {
            return Ok(());
        }
        results.extend(held.iter().map(|_| LineResult::allocated(0)));
        let kept = self.over_lines(held, results, |state, line| {
            // What was there before this line, although it and those behind it were taken too.
            let taken = held.iter().filter(|it| it.row == line.row).map(|it| i64::from(it.quantity)).sum::<i64>();
            let earlier = shares.shared.iter().find(|it| it.row == line.row).map_or(0, |it| i64::from(it.units));
            state.over_quota(asker, line, state.rows.figures(line.row).available() + taken - earlier, shares)
        });
        if kept.is_ok() {
            results.clear();
        }
        kept
    }

    /// Puts back what was taken for the order at hand, before anybody noted it.
    fn put_back(&mut self, at_hand: &mut LinesAtHand) {
        self.put_back_parts(at_hand);
        for line in &at_hand.held {
            self.rows.put_back(line.row, line.quantity);
        }
        at_hand.clear();
    }

    /// Whether the ladder lets an order through that was reserved in one go. Leaves everything as it is.
    fn climbs_too(
        &mut self,
        pool: Option<u32>,
        lines: OrderLines<'_>,
        asker: &Asker<'_, '_>,
        at_hand: &mut LinesAtHand,
    ) -> bool {
        at_hand.in_one_go.clone_from(&at_hand.held);
        at_hand.taken_in_one_go.clone_from(&at_hand.taken);
        at_hand.parts_in_one_go.clone_from(&at_hand.parts);
        self.put_back(at_hand);
        let climbs = self.climb_all(pool, lines, asker, at_hand).is_ok();
        climbs
            && at_hand.held == at_hand.in_one_go
            && at_hand.taken == at_hand.taken_in_one_go
            && at_hand.parts == at_hand.parts_in_one_go
    }

    /// The segments by which an order passed, of those that it brought, of its pool's sale and those of its lines.
    pub(crate) fn all_segments_used(&self, pool: u32, asker: &Asker<'_, '_>, at_hand: &LinesAtHand) -> u16 {
        let scopes = at_hand.held.iter().map(|line| self.rows.scope(line.row)).chain([self.rows.pool_scope(pool)]);
        scopes.flatten().fold(0, |used, scope| used | self.segments_used(asker, &self.selling.scopes[scope]))
    }
}
