//! The end: what was answered against what was sent.

use super::Ours;
use super::findings::Findings;
use crate::load::traffic::{Kind, Order};
use crate::report::result::Check;

/// How far a generator came: follow-ups of one kind are sent in the order of their orders, so a number for each kind
/// says it all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SentUpTo {
    /// By kind: every command of it was sent whose order (or movement) has a number below this, and no other.
    pub numbers: [u64; Kind::ALL.len()],
    /// Commands that were not acknowledged. They may have been stored all the same, so as many may be missing.
    pub failed: u64,
}

/// What closing found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Closed {
    /// Commands that had to be answered, or could be.
    pub checked: u64,
    /// Of those that had to, the ones that were not.
    pub findings: Findings,
}

/// The counters of [`Life::answers`](super::life::Life::answers), in its order, with the kinds that each counts.
const COUNTERS: [(&str, &[Kind]); 5] = [
    ("place", &[Kind::Place, Kind::Duplicate, Kind::Changed]),
    ("confirm", &[Kind::Confirm]),
    ("cancel", &[Kind::Cancel, Kind::CancelEarly]),
    ("second attempt", &[Kind::Again]),
    ("shipment", &[Kind::Ship]),
];

/// Compares each order's answers with what was sent of it.
pub fn close(ours: &Ours, sent: &SentUpTo) -> Closed {
    let mut closed = Closed::default();
    let mut lost = Findings::default();
    let of_orders = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Move);
    let placed = of_orders.map(|kind| sent.numbers[kind as usize]).max().unwrap_or(0);
    for number in 0..placed.max(ours.lives.end()) {
        let answers = ours.lives.get(number).answers();
        if number >= placed && answers == [0; 5] {
            continue;
        }
        let order = ours.plan.order(number);
        for ((name, kinds), answered) in COUNTERS.iter().zip(answers) {
            let due = kinds.iter().filter(|kind| was_sent(ours, sent, **kind, number, &order)).count() as u8;
            if due == 0 && answered == 0 {
                continue;
            }
            closed.checked += u64::from(due);
            let example =
                || format!("order {number} ({:?}): {name} sent {due} times, answered {answered} times", order.fate);
            if answered > due {
                let check = if due == 0 { Check::Unexpected } else { Check::Doubled };
                closed.findings.add_many(check, u64::from(answered - due), example);
            } else {
                lost.add_many(Check::Lost, u64::from(due - answered), example);
            }
        }
    }
    let (checked, findings, moves_lost) = ours.moves.close(sent.numbers[Kind::Move as usize]);
    closed.checked += checked;
    closed.findings.merge(findings);
    lost.merge(moves_lost);
    closed.findings.merge(lost.less(Check::Lost, sent.failed));
    closed
}

fn was_sent(ours: &Ours, sent: &SentUpTo, kind: Kind, number: u64, order: &Order) -> bool {
    number < sent.numbers[kind as usize] && ours.plan.sends(kind, order)
}
