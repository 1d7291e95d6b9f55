//! Days in the log of one pool of a run: for each decision what [`delivery`](super::delivery) and [`lots`](super::lots)
//! make of it, and what is [`held`](super::held) of each open order.

use sluice::wire::decision::Selling;
use sluice::wire::proto::{Asked as Kind, Outcome, Reason};
use sluice::wire::{Decision, LotUnits, Rule, StockLevel};

use super::Ours;
use super::delivery::{Delivery, Due};
use super::held::{Held, Open, Part, Told};
use super::lots::{LotFault, Lots};
use crate::load::traffic::OrderId;
use crate::load::traffic::days::{Asked, written};

/// A day, UTC, in milliseconds.
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// See the module.
#[derive(Debug)]
pub(super) struct Dated {
    delivery: Delivery,
    lots: Lots,
    held: Held,
    /// How long orders ask to be held; 0: as the engine has it.
    hold_ms: i64,
    /// What must be decided of the order that is looked at, and the day to which lots must last for it.
    due: Due,
    day: i32,
    days: Days,
}

/// What days came to, by what decisions say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Days {
    /// Orders that were reserved for a later day, because one that they might have had was full.
    pub rolled: u64,
    /// Orders that were refused because their days were full.
    pub full: u64,
    /// Orders that were refused because their day was no longer to be had.
    pub too_late: u64,
    /// Units that were sold although they expire too early.
    pub expired_sold: u64,
}

impl std::ops::AddAssign for Days {
    fn add_assign(&mut self, other: Self) {
        self.rolled += other.rolled;
        self.full += other.full;
        self.too_late += other.too_late;
        self.expired_sold += other.expired_sold;
    }
}

/// What a decision says that days do not bear out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DayFault {
    /// More was promised than was there.
    Oversold(String),
    /// It was sold all the same.
    Sold(String),
    /// Something else.
    Wrong(String),
}

fn wrong(text: String) -> DayFault {
    DayFault::Wrong(text)
}

impl From<LotFault> for DayFault {
    fn from(fault: LotFault) -> Self {
        match fault {
            LotFault::Oversold(text) => Self::Oversold(text),
            LotFault::Expired(_, text) => Self::Sold(text),
            LotFault::Wrong(text) => Self::Wrong(text),
        }
    }
}

impl Dated {
    /// A pool of a run, of which nothing was decided yet.
    pub(super) fn new(ours: &Ours) -> Self {
        Self {
            delivery: Delivery::default(),
            lots: Lots::new(ours.run, ours.skus),
            held: Held::default(),
            hold_ms: ours.hold_ms,
            due: Due::Free,
            day: 0,
            days: Days::default(),
        }
    }

    /// A rule was set by the decision of this sequence.
    pub(super) fn set(&mut self, rule: &Rule<'_>, sequence: u64) {
        match rule {
            Rule::Freshness(freshness) => self.lots.set(freshness),
            Rule::Delivery(delivery) => self.delivery.set(delivery, sequence),
            Rule::Sale(_) | Rule::Limit(_) | Rule::Channels(_) => {}
        }
    }

    /// A stock command took effect.
    ///
    /// # Errors
    /// What is told of lots is not what they are.
    pub(super) fn applied(&mut self, level: &StockLevel<'_>) -> Result<(), DayFault> {
        Ok(self.lots.applied(level)?)
    }

    /// An order is looked at that asks for this: what must be decided of it.
    pub(super) fn look(&mut self, asked: &Asked, at_ms: i64) {
        self.due = self.delivery.due(at_ms, asked);
        self.day = match &self.due {
            Due::On { offer, .. } => offer.day,
            _ => at_ms.div_euclid(DAY_MS) as i32,
        };
    }

    /// Free units of a lotted SKU that the order which is looked at might have; none if it is not lotted.
    pub(super) fn eligible(&self, row: usize) -> Option<i64> {
        self.lots.eligible(row, self.day)
    }

    /// What days came to so far.
    pub(super) fn days(&self) -> Days {
        self.days
    }

    /// A decision about an order of the run; it was looked at before, if it was placed.
    ///
    /// # Errors
    /// It is not what the days make of it.
    pub(super) fn decided(&mut self, id: OrderId, decision: &Decision<'_>) -> Result<(), DayFault> {
        let told = told(decision);
        match (decision.asked, decision.outcome, decision.reason) {
            (Kind::Place, Outcome::Reserved, _) => self.reserved(id, decision, told),
            (Kind::Place, Outcome::Rejected, Reason::Late | Reason::DeliveryFull) => self.refused(decision, &told),
            (Kind::Place, Outcome::Duplicate, _) => self.repeated(id, decision, &told),
            (Kind::Place, Outcome::NotOpen, _) | (Kind::Place, Outcome::Rejected, _)
                if decision.reason != Reason::Cancelled =>
            {
                // Whatever stood in its way, its day did not.
                match &self.due {
                    Due::On { .. } | Due::Free => silent(decision, &told),
                    due => Err(wrong(format!("{:?}, due was {due:?}", decision.reason))),
                }
            }
            (_, Outcome::Confirmed | Outcome::Cancelled | Outcome::Expired | Outcome::Shipped, _) => {
                silent(decision, &told).and(self.moved_on(id, decision))
            }
            _ => silent(decision, &told),
        }
    }

    fn reserved(&mut self, id: OrderId, decision: &Decision<'_>, told: Told) -> Result<(), DayFault> {
        let expires_at_ms = decision.expires_at_ms;
        let (parts, of_lots) = self.lots.reserved(decision.lines(), self.day);
        if let Err(LotFault::Expired(units, _)) = &of_lots {
            self.days.expired_sold += units;
        }
        if !told.service.is_empty() {
            let day = crate::load::traffic::days::day_of(told.day).unwrap_or(0);
            self.delivery.took(&told.service, day);
        }
        let as_due = match &self.due {
            Due::Free if told == Told::default() => Ok(()),
            Due::On { service, offer, hold_until_ms, rolled } => {
                self.days.rolled += u64::from(*rolled);
                let day = written(offer.day);
                let due =
                    Told { service: service.clone(), day, cutoff_ms: offer.cutoff_ms, hold_until_ms: *hold_until_ms };
                if told == due { Ok(()) } else { Err(wrong(format!("told {told:?}, due was {due:?}"))) }
            }
            Due::Late { .. } | Due::Full { .. } => {
                Err(DayFault::Sold(format!("told {told:?} at {}, due was {:?}", decision.decided_at_ms, self.due)))
            }
            due => Err(wrong(format!("told {told:?}, due was {due:?}"))),
        };
        let clip_ms = if told.service.is_empty() { i64::MAX } else { told.hold_until_ms };
        let due_ms = (decision.decided_at_ms + self.hold_ms).min(clip_ms);
        let ends = if self.hold_ms > 0 && expires_at_ms != due_ms {
            Err(wrong(format!("held until {expires_at_ms}, due was {due_ms}")))
        } else {
            Ok(())
        };
        let open = Open { told, expires_at_ms, is_committed: false, parts: parts.into() };
        self.held.add(id, decision.attempt, open);
        as_due.and(of_lots.map_err(DayFault::from)).and(ends)
    }

    fn refused(&mut self, decision: &Decision<'_>, told: &Told) -> Result<(), DayFault> {
        let is_late = decision.reason == Reason::Late;
        self.days.too_late += u64::from(is_late);
        self.days.full += u64::from(!is_late);
        let (service, next) = match &self.due {
            Due::Late { service, next } if is_late => (service, next),
            Due::Full { service, next } if !is_late => (service, next),
            due => return Err(wrong(format!("{:?} at {}, due was {due:?}", decision.reason, decision.decided_at_ms))),
        };
        let (day, cutoff_ms) = next.map_or((0, 0), |offer| (written(offer.day), offer.cutoff_ms));
        let due = Told { service: service.clone(), day, cutoff_ms, hold_until_ms: 0 };
        let rule = decision.selling.map_or(0, |selling| selling.rule);
        if (told, rule) != (&due, self.delivery.rule()) {
            return Err(wrong(format!("told {told:?} by rule {rule}, due was {due:?} by {}", self.delivery.rule())));
        }
        if decision.lines().next().is_some() {
            return Err(wrong("refused as a whole, and lines are told".to_owned()));
        }
        Ok(())
    }

    /// A copy is told of an open order what that was told.
    fn repeated(&mut self, id: OrderId, decision: &Decision<'_>, told: &Told) -> Result<(), DayFault> {
        let Some(open) = self.held.get(id, decision.attempt) else { return silent(decision, told) };
        let parts = parts_told(decision);
        let due = open.parts.iter().map(|part| (part.line, part.lot, part.units));
        if *told != open.told {
            return Err(wrong(format!("a copy was told {told:?}, its order has {:?}", open.told)));
        }
        if parts.iter().map(|(line, part)| (*line, part.lot, part.units)).ne(due) {
            return Err(wrong(format!("a copy was told the lots {parts:?}, its order has {:?}", open.parts)));
        }
        Ok(())
    }

    /// An open order was paid, or ended.
    fn moved_on(&mut self, id: OrderId, decision: &Decision<'_>) -> Result<(), DayFault> {
        let (at_ms, attempt) = (decision.decided_at_ms, decision.attempt);
        // What is wrong with one that is not open is told by its life.
        let Some(open) = self.held.get(id, attempt) else { return Ok(()) };
        let ended = !open.is_committed && at_ms >= open.expires_at_ms;
        let in_time = match decision.outcome {
            Outcome::Expired if !ended => {
                Err(wrong(format!("expired at {at_ms}, its hold ends at {}", open.expires_at_ms)))
            }
            Outcome::Confirmed | Outcome::Cancelled if ended => {
                Err(wrong(format!("held at {at_ms}, and its hold ended at {}", open.expires_at_ms)))
            }
            _ => Ok(()),
        };
        if decision.outcome == Outcome::Confirmed {
            open.is_committed = true;
            let parts = open.parts.clone();
            self.lots.committed(&parts);
            return in_time;
        }
        let Some(open) = self.held.end(id, attempt) else { return in_time };
        if decision.outcome == Outcome::Shipped {
            self.lots.shipped(&open.parts);
            return in_time;
        }
        self.lots.released(&open.parts, open.is_committed);
        let Told { service, day, cutoff_ms, .. } = open.told;
        if !service.is_empty() && at_ms < cutoff_ms {
            let day = crate::load::traffic::days::day_of(day).unwrap_or(0);
            self.delivery.gave_back(&service, day);
        }
        in_time
    }
}

/// What a decision tells of a delivery.
fn told(decision: &Decision<'_>) -> Told {
    let Selling { service, day, cutoff_ms, hold_until_ms, .. } = decision.selling.unwrap_or_default();
    Told { service: service.to_string(), day, cutoff_ms, hold_until_ms }
}

/// The lots that a decision tells, with the place of the line of each.
fn parts_told(decision: &Decision<'_>) -> Vec<(u32, LotUnits)> {
    (0..).zip(decision.lines()).flat_map(|(at, line)| line.lots.iter().map(move |part| (at, part))).collect()
}

/// A decision must tell nothing of days and lots.
fn silent(decision: &Decision<'_>, told: &Told) -> Result<(), DayFault> {
    let parts = parts_told(decision);
    if *told == Told::default() && parts.is_empty() {
        return Ok(());
    }
    Err(wrong(format!("told {told:?} and the lots {parts:?} where neither was due")))
}

/// Parts are compared by what they are.
const _: () = assert!(size_of::<Part>() == 16);
