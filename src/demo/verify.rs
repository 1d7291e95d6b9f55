//! What the demo proves at its end, from what it sent and from what a plain reader saw in `decisions`: every command
//! answered exactly once, repeats answered as the original, nothing oversold.

use std::collections::{BTreeMap, HashMap};

use super::traffic::ORDER_PREFIX;
use crate::wire::proto::{Asked, Decision, Input, Outcome, Reason};

/// Violations kept for the summary; more are only counted.
const SHOWN_VIOLATIONS: usize = 10;

/// Sees what was sent and what was decided, in any order between the two.
#[derive(Debug, Default)]
pub(super) struct Verifier {
    records: HashMap<(Input, u32, i64), Record>,
    unanswered: i64,
    sent: u64,
    answered: u64,
    own_held: i64,
    stock: HashMap<(String, String), Level>,
    orders: HashMap<(String, String, u32), Order>,
    outcomes: BTreeMap<(Outcome, Reason), u64>,
    violations: Vec<String>,
    violation_count: u64,
}

#[derive(Debug, Default)]
struct Record {
    commands: Option<u32>,
    answers: Vec<u32>,
}

#[derive(Debug, Default)]
struct Level {
    on_hand: i64,
    reserved: i64,
    committed: i64,
}

#[derive(Debug)]
struct Order {
    sequence: u64,
    outcome: Outcome,
    reason: Reason,
    lines: Vec<(String, i64)>,
    /// Units of all lines, if it is one of the demo's.
    own_units: i64,
    committed: bool,
}

impl Verifier {
    /// A record with `commands` commands is handed to the client.
    pub(super) fn sending(&mut self, commands: u32) {
        self.sent += u64::from(commands);
        self.unanswered += i64::from(commands);
    }

    /// A record with `commands` commands was acknowledged by the broker.
    pub(super) fn sent(&mut self, input: Input, partition: u32, offset: i64, commands: u32) {
        let record = self.records.entry((input, partition, offset)).or_default();
        record.commands = Some(commands);
        let answers = record.answers.len();
        self.note_answered(answers);
    }

    /// Commands of records that are known to be the demo's were answered.
    fn note_answered(&mut self, commands: usize) {
        self.answered += commands as u64;
        self.unanswered -= commands as i64;
    }

    /// A decision of the shard with this number, that of its partition of the inputs, was read.
    pub(super) fn decided(&mut self, shard: u32, decision: &Decision) {
        *self.outcomes.entry((decision.outcome(), decision.reason())).or_default() += 1;
        if decision.asked() == Asked::Tick {
            return;
        }
        if decision.asked() != Asked::Expire {
            let key = (decision.input(), shard, decision.offset);
            let record = self.records.entry(key).or_default();
            record.answers.push(decision.index);
            // Of a record that was not acknowledged yet, or that somebody else sent.
            if record.commands.is_some() {
                self.note_answered(1);
            }
        }
        self.follow(decision);
    }

    /// Commands sent and not answered yet; below 0 only if one was answered twice.
    pub(super) fn unanswered(&self) -> i64 {
        self.unanswered
    }

    /// Commands sent and answered so far.
    pub(super) fn totals(&self) -> (u64, u64) {
        (self.sent, self.answered)
    }

    /// How often each outcome and reason was decided.
    pub(super) fn outcomes(&self) -> &BTreeMap<(Outcome, Reason), u64> {
        &self.outcomes
    }

    /// Units that are held and not paid, over all SKUs.
    pub(super) fn held(&self) -> i64 {
        self.stock.values().map(|level| level.reserved).sum()
    }

    /// Those of them that the demo's own orders hold.
    pub(super) fn own_held(&self) -> i64 {
        self.own_held
    }

    /// SKUs of which nothing is left to sell.
    pub(super) fn sold_out(&self) -> usize {
        self.stock.values().filter(|level| level.on_hand > 0 && level.available() == 0).count()
    }

    /// Commands of records that somebody else sent, and that were answered.
    pub(super) fn of_others(&self) -> usize {
        let others = self.records.values().filter(|record| record.commands.is_none());
        others.map(|record| record.answers.len()).sum()
    }

    /// Ends the demo: what does not hold, in words, and how many such findings there are in all.
    pub(super) fn finish(mut self) -> (Vec<String>, u64) {
        let records = std::mem::take(&mut self.records);
        for ((input, partition, offset), mut record) in records {
            let place = format!("{} partition {partition} offset {offset}", input.as_str_name());
            record.answers.sort_unstable();
            // How many commands somebody else put into a record is not known; none is answered twice.
            let commands = record.commands.unwrap_or(record.answers.len() as u32);
            if !record.answers.iter().copied().eq(0..commands) {
                self.violation(format!("{place}: {commands} commands, answers to {:?}", record.answers));
            }
        }
        (self.violations, self.violation_count)
    }

    fn follow(&mut self, decision: &Decision) {
        let identity = (decision.pool.clone(), decision.order_id.clone(), decision.attempt);
        match decision.outcome() {
            Outcome::Reserved | Outcome::Rejected => self.placed(identity, decision),
            Outcome::Confirmed => {
                self.move_lines(&identity, |level, units| {
                    level.reserved -= units;
                    level.committed += units;
                });
                let Some(order) = self.orders.get_mut(&identity) else { return };
                order.committed = true;
                self.own_held -= order.own_units;
            }
            Outcome::Cancelled | Outcome::Expired => {
                let order = self.orders.get(&identity);
                let committed = order.is_some_and(|order| order.committed);
                self.own_held -= order.filter(|_| !committed).map_or(0, |order| order.own_units);
                self.move_lines(&identity, |level, units| {
                    *(if committed { &mut level.committed } else { &mut level.reserved }) -= units;
                });
            }
            Outcome::Duplicate | Outcome::Conflict if decision.asked() == Asked::Place => {
                let first = self.orders.get(&identity).map(|order| (order.sequence, order.outcome, order.reason));
                let told = decision.original.as_ref().map(|told| (told.sequence, told.outcome(), told.reason()));
                if first.is_none() || first != told {
                    self.violation(format!("{}: repeat told {told:?}, first was {first:?}", decision.order_id));
                }
            }
            Outcome::Applied => {
                if let Some(row) = &decision.stock {
                    self.stock.entry((identity.0, row.sku.clone())).or_default().on_hand += row.change;
                }
            }
            _ => {}
        }
    }

    fn placed(&mut self, identity: (String, String, u32), decision: &Decision) {
        let reserved = decision.outcome() == Outcome::Reserved;
        let mut lines = Vec::new();
        if reserved {
            for line in &decision.lines {
                let units = i64::from(line.allocated);
                let level = self.stock.entry((identity.0.clone(), line.sku.clone())).or_default();
                level.reserved += units;
                if level.available() < 0 {
                    let found = format!("{} {}: oversold by {}", identity.0, line.sku, -level.available());
                    self.violation(found);
                }
                lines.push((line.sku.clone(), units));
            }
        }
        let (sequence, outcome, reason) = (decision.sequence, decision.outcome(), decision.reason());
        let own_units = match identity.1.starts_with(ORDER_PREFIX) {
            true => lines.iter().map(|(_, units)| units).sum(),
            false => 0,
        };
        self.own_held += own_units;
        let order = Order { sequence, outcome, reason, lines, own_units, committed: false };
        if let Some(earlier) = self.orders.insert(identity, order) {
            let found = format!("{}: decided at {} and again at {sequence}", decision.order_id, earlier.sequence);
            self.violation(found);
        }
    }

    fn move_lines(&mut self, identity: &(String, String, u32), change: impl Fn(&mut Level, i64)) {
        let Some(order) = self.orders.get(identity) else {
            return self.violation(format!("{}: changed, but never reserved", identity.1));
        };
        let mut negative = None;
        for (sku, units) in &order.lines {
            let level = self.stock.entry((identity.0.clone(), sku.clone())).or_default();
            change(level, *units);
            if level.reserved < 0 || level.committed < 0 {
                negative = Some(format!("{} {sku}: released more than was held", identity.0));
            }
        }
        if let Some(found) = negative {
            self.violation(found);
        }
    }

    /// Something does not hold.
    pub(super) fn violation(&mut self, found: String) {
        self.violation_count += 1;
        if self.violations.len() < SHOWN_VIOLATIONS {
            self.violations.push(found);
        }
    }
}

impl Level {
    fn available(&self) -> i64 {
        self.on_hand - self.reserved - self.committed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::proto::{LineDecision, Original, StockLevel};

    fn received(units: i64) -> Decision {
        Decision {
            asked: Asked::Receive.into(),
            outcome: Outcome::Applied.into(),
            pool: "p".into(),
            input: Input::Stock.into(),
            stock: Some(StockLevel { sku: "s".into(), change: units, on_hand: units, ..Default::default() }),
            ..Default::default()
        }
    }

    fn reserved(order_id: &str, offset: i64, units: u32) -> Decision {
        Decision {
            sequence: 10 + offset as u64,
            asked: Asked::Place.into(),
            outcome: Outcome::Reserved.into(),
            pool: "p".into(),
            order_id: order_id.into(),
            input: Input::Orders.into(),
            offset,
            lines: vec![LineDecision { sku: "s".into(), quantity: units, allocated: units, ..Default::default() }],
            ..Default::default()
        }
    }

    fn check(decisions: &[Decision], expected: &[&str]) {
        let mut verifier = Verifier::default();
        verifier.sending(3);
        verifier.sent(Input::Stock, 0, 0, 1);
        verifier.sent(Input::Orders, 0, 0, 1);
        verifier.sent(Input::Orders, 0, 1, 1);
        decisions.iter().for_each(|decision| verifier.decided(0, decision));
        let (mut found, count) = verifier.finish();
        found.sort();
        assert_eq!(found, expected);
        assert_eq!(count, expected.len() as u64);
    }

    #[test]
    fn what_was_answered_once_and_fits_is_passed() {
        check(&[received(5), reserved("a", 0, 2), reserved("b", 1, 3)], &[]);
        // An operator who raises the rules is one of the others.
        let (asked, outcome) = (Asked::RaiseRulesLevel.into(), Outcome::Applied.into());
        let raised = Decision { asked, outcome, input: Input::Stock.into(), offset: 9, ..Decision::default() };
        check(&[received(5), raised, reserved("a", 0, 2), reserved("b", 1, 3)], &[]);
    }

    #[test]
    fn what_others_send_is_answered_too_and_does_not_count() {
        let mut verifier = Verifier::default();
        verifier.sending(2);
        let theirs = reserved("theirs", 7, 2);
        for decision in [received(5), theirs, reserved("demo-order-1", 8, 1)] {
            verifier.decided(0, &decision);
        }
        assert_eq!((verifier.unanswered(), verifier.held(), verifier.own_held()), (2, 3, 1));
        verifier.sent(Input::Stock, 0, 0, 1);
        verifier.sent(Input::Orders, 0, 8, 1);
        assert_eq!((verifier.unanswered(), verifier.totals(), verifier.of_others()), (0, (2, 2), 1));
        let expired = Decision {
            asked: Asked::Expire.into(),
            outcome: Outcome::Expired.into(),
            ..reserved("demo-order-1", 0, 1)
        };
        verifier.decided(0, &expired);
        assert_eq!((verifier.held(), verifier.own_held()), (2, 0));
        assert_eq!(verifier.finish(), (Vec::new(), 0));
    }

    #[test]
    fn an_answer_that_somebody_else_gets_twice_is_found() {
        let mut verifier = Verifier::default();
        [received(5), reserved("theirs", 7, 2), reserved("other", 7, 2)].iter().for_each(|it| verifier.decided(0, it));
        assert_eq!(verifier.finish().1, 1);
    }

    #[test]
    fn an_oversold_sku_is_found() {
        check(&[received(5), reserved("a", 0, 2), reserved("b", 1, 4)], &["p s: oversold by 1"]);
    }

    #[test]
    fn a_lost_answer_is_found() {
        check(&[received(5), reserved("a", 0, 2)], &["INPUT_ORDERS partition 0 offset 1: 1 commands, answers to []"]);
    }

    #[test]
    fn an_order_decided_twice_is_found() {
        check(&[received(5), reserved("a", 0, 1), reserved("a", 1, 1)], &["a: decided at 10 and again at 11"]);
    }

    #[test]
    fn a_repeat_that_is_told_another_original_is_found() {
        let mut repeat = reserved("a", 1, 1);
        repeat.outcome = Outcome::Duplicate.into();
        repeat.original = Some(Original { sequence: 99, outcome: Outcome::Reserved.into(), reason: 0 });
        check(
            &[received(5), reserved("a", 0, 1), repeat],
            &["a: repeat told Some((99, Reserved, Unspecified)), first was Some((10, Reserved, Unspecified))"],
        );
    }
}
