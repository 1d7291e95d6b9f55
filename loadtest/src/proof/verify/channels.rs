//! How the stock of a run's SKUs is shared among channels, as far as its decisions tell: which shares were set, and how many
//! units each has sold. So each order is told what must have been decided of it: whether it could have so many units, and
//! else how many. It knows nothing of how the engine keeps its own.
//!
//! A run sets the shares of a SKU, perhaps again with other figures, and takes none out of the list while orders come: a
//! release gives back to the share that the channel has.

use sluice::wire::proto::{Outcome, Reason, ShareOf};
use sluice::wire::{ChannelShare, Counted, Decision, DecisionLine};

use super::Ours;
use super::rules::{Bar, RuleFault};
use crate::load::traffic::{RunId, sku_number};

/// The shares of one pool of a run.
#[derive(Debug)]
pub(super) struct Channels {
    run: RunId,
    /// Names of the channels that orders come through, by their numbers.
    names: Vec<String>,
    /// By number of the SKU.
    rows: Vec<Option<Box<Shares>>>,
}

/// The shares of a SKU, those that are covered first in front.
#[derive(Debug)]
struct Shares {
    /// Sequence of the decision that set them last.
    rule: u64,
    /// 0: always.
    protected_until_ms: i64,
    list: Vec<Share>,
    /// Units of the order that is looked at in its lines so far, as they were asked.
    in_order: u64,
    sharing: Sharing,
    /// Somebody came after protection had ended.
    is_over: bool,
}

#[derive(Debug)]
struct Share {
    name: String,
    protected: u64,
    at_most: Option<u64>,
    /// Sequence of the decision with which it began to count.
    count: u64,
    used: u64,
}

/// What sharing came to, in units over all SKUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sharing {
    /// Units on the shelf that no channel of the run could have had when somebody was refused for a quota: of each SKU the
    /// most that there were at a time.
    pub stranded: u64,
    /// Units that were kept for a channel until its protection ended.
    pub kept: u64,
    /// Units that nobody had at the end.
    pub left_over: u64,
}

impl std::ops::AddAssign for Sharing {
    fn add_assign(&mut self, other: Self) {
        self.stranded += other.stranded;
        self.kept += other.kept;
        self.left_over += other.left_over;
    }
}

impl Channels {
    /// A pool of a run, of which no shares were set yet.
    pub(super) fn new(ours: &Ours) -> Self {
        let rows = (0..ours.skus).map(|_| None).collect();
        Self { run: ours.run, names: ours.plan.channels().to_vec(), rows }
    }

    /// The shares of a SKU were set, by the decision of this sequence.
    pub(super) fn set(&mut self, row: usize, rule: &sluice::wire::Channels<'_>, sequence: u64) {
        let before = self.rows[row].take();
        let share = |ChannelShare { channel, protected, at_most }: ChannelShare<'_>| {
            let name = channel.to_string();
            let same = before.iter().flat_map(|shares| &shares.list).find(|share| share.name == name);
            let (count, used) = same.map_or((sequence, 0), |share| (share.count, share.used));
            Share { name, protected, at_most, count, used }
        };
        let list: Vec<_> = rule.shares().map(share).collect();
        if list.is_empty() {
            return;
        }
        let sharing = before.as_ref().map(|shares| shares.sharing).unwrap_or_default();
        let protected_until_ms = rule.protected_until_ms;
        let shares = Shares { rule: sequence, protected_until_ms, list, in_order: 0, sharing, is_over: false };
        self.rows[row] = Some(Box::new(shares));
    }

    /// Whether shares of a SKU stand.
    pub(super) fn stand(&self, row: usize) -> bool {
        self.rows[row].is_some()
    }

    /// An order came through this channel that nothing else stood in the way of, and was reserved or refused for a quota.
    /// `available` tells what there was of a SKU before it.
    ///
    /// # Errors
    /// It is not what the shares make of it.
    pub(super) fn placed(
        &mut self,
        channel: u32,
        decision: &Decision<'_>,
        available: &dyn Fn(usize) -> i64,
    ) -> Result<(), RuleFault> {
        let bars = self.bars(channel, decision, available);
        let barred = decision.lines().zip(&bars).find_map(|(line, bar)| bar.map(|bar| (line, bar)));
        if decision.outcome == Outcome::Reserved {
            let counted = self.count(channel, decision);
            let name = &self.names[channel as usize];
            return match barred {
                None => counted,
                Some((DecisionLine { sku, quantity, .. }, Bar { left, .. })) => {
                    let left = left.unwrap_or(0);
                    Err(RuleFault::Sold(format!("{sku}: {quantity} sold through {name:?}, {left} were left to it")))
                }
            };
        }
        if barred.is_none() {
            return Err(RuleFault::Wrong("refused for a quota that left as much as was asked".to_owned()));
        }
        let (name, through) = (&self.names[channel as usize], decision.selling.unwrap_or_default().channel);
        if through != name.as_str() {
            return Err(RuleFault::Wrong(format!("refused as one through {through:?}, which came through {name:?}")));
        }
        for (line, bar) in decision.lines().zip(bars) {
            let (due, told) = (bar.unwrap_or_default(), Bar::told(&line));
            if (told, line.allocated, line.available) != (due, 0, None) {
                return Err(RuleFault::Wrong(format!("{}: told {told:?}, due was {due:?}", line.sku)));
            }
        }
        Ok(())
    }

    /// An order that had come through this channel gave back what it held.
    ///
    /// # Errors
    /// More than the channel had.
    pub(super) fn released(&mut self, channel: u32, decision: &Decision<'_>) -> Result<(), RuleFault> {
        let (mut found, name) = (Ok(()), &self.names[channel as usize]);
        for line in decision.lines() {
            let row = sku_number(self.run, line.sku.as_bytes());
            let Some(shares) = row.and_then(|row| self.rows.get_mut(row as usize)?.as_mut()) else { continue };
            let Some(own) = shares.own(name) else { continue };
            let share = &mut shares.list[own];
            match share.used.checked_sub(u64::from(line.quantity)) {
                Some(left) => share.used = left,
                None => found = Err(RuleFault::Wrong(format!("{}: {name:?} gave back more than it had", line.sku))),
            }
        }
        found
    }

    /// What sharing came to, `available` telling what there is of a SKU now.
    pub(super) fn sharing(&self, available: impl Fn(usize) -> i64) -> Sharing {
        let mut sum = Sharing::default();
        for (row, shares) in self.rows.iter().enumerate() {
            let Some(shares) = shares else { continue };
            sum += Sharing { left_over: available(row).max(0) as u64, ..shares.sharing };
        }
        sum
    }

    /// What the shares have against each line of an order.
    fn bars(&mut self, channel: u32, decision: &Decision<'_>, available: &dyn Fn(usize) -> i64) -> Vec<Option<Bar>> {
        self.begin(decision);
        let (at_ms, names) = (decision.decided_at_ms, &self.names);
        let bar = |line: DecisionLine<'_>| {
            let row = sku_number(self.run, line.sku.as_bytes())? as usize;
            let shares = self.rows.get_mut(row)?.as_mut()?;
            let own = shares.own(&names[channel as usize]);
            let there = (available(row) - shares.in_order as i64).max(0) as u64;
            if shares.in_order == 0 {
                shares.look(there, at_ms);
            }
            let left = shares.left(own, there, at_ms);
            shares.in_order += u64::from(line.quantity);
            if left >= u64::from(line.quantity) {
                return None;
            }
            if decision.outcome == Outcome::Rejected {
                let stranded = shares.stranded(there, at_ms, names);
                shares.sharing.stranded = shares.sharing.stranded.max(stranded);
            }
            Some(Bar { reason: Reason::Quota, left: Some(left), rule: shares.rule, ..Bar::default() })
        };
        decision.lines().map(bar).collect()
    }

    /// No line of this order was looked at yet.
    fn begin(&mut self, decision: &Decision<'_>) {
        for line in decision.lines() {
            let row = sku_number(self.run, line.sku.as_bytes());
            if let Some(shares) = row.and_then(|row| self.rows.get_mut(row as usize)?.as_mut()) {
                shares.in_order = 0;
            }
        }
    }

    /// An order was reserved whose lines were looked at: its units count, and the decision must say so, behind what limits
    /// count and in the order in which its lines meet the SKUs.
    fn count(&mut self, channel: u32, decision: &Decision<'_>) -> Result<(), RuleFault> {
        let name = &self.names[channel as usize];
        let mut due = Vec::new();
        for line in decision.lines() {
            let row = sku_number(self.run, line.sku.as_bytes());
            let Some(shares) = row.and_then(|row| self.rows.get_mut(row as usize)?.as_mut()) else { continue };
            let units = std::mem::take(&mut shares.in_order);
            let Some(own) = shares.own(name).filter(|_| units > 0) else { continue };
            let share = &mut shares.list[own];
            share.used += units;
            let of = if share.name.is_empty() { ShareOf::Others } else { ShareOf::Channel };
            due.push(Counted { count: share.count, period: 0, units: units as u32, share: of });
        }
        let selling = decision.selling.unwrap_or_default();
        let told: Vec<_> = selling.counted.iter().skip_while(|told| told.share == ShareOf::Unspecified).collect();
        let due_channel = if due.is_empty() { "" } else { name.as_str() };
        if told == due && selling.channel == due_channel {
            return Ok(());
        }
        let through = selling.channel;
        Err(RuleFault::Wrong(format!("through {name:?}: counted as {told:?} of {through:?}, due was {due:?}")))
    }
}

impl Shares {
    /// The share that a channel draws on: its own, else that of the others.
    fn own(&self, name: &str) -> Option<usize> {
        let of = |name: &str| self.list.iter().position(|share| share.name == name);
        of(name).or_else(|| of(""))
    }

    /// Units of those that are there that each share covers at an instant, if its protection stands.
    fn covered(&self, there: u64, protects: bool, used: impl Fn(usize) -> u64) -> Vec<u64> {
        let mut free = there;
        let cover = |(at, share): (usize, &Share)| {
            let wanted = if protects { share.protected.saturating_sub(used(at)) } else { 0 };
            let covered = wanted.min(free);
            free -= covered;
            covered
        };
        self.list.iter().enumerate().map(cover).collect()
    }

    fn protects(&self, at_ms: i64) -> bool {
        self.protected_until_ms == 0 || at_ms < self.protected_until_ms
    }

    /// Units of those that are there that a line of the order may have which draws on share `own`, or on none.
    fn left(&self, own: Option<usize>, there: u64, at_ms: i64) -> u64 {
        let used = |at: usize| self.list[at].used + if own == Some(at) { self.in_order } else { 0 };
        let covered = self.covered(there, self.protects(at_ms), used);
        let for_others: u64 = (0..).zip(&covered).filter(|(at, _)| Some(*at) != own).map(|(_, units)| units).sum();
        let most = own.and_then(|own| Some(self.list[own].at_most?.saturating_sub(used(own))));
        (there - for_others).min(most.unwrap_or(u64::MAX))
    }

    /// Units of those that are there that none of the channels `names` could have, whoever came next.
    fn stranded(&self, there: u64, at_ms: i64, names: &[String]) -> u64 {
        let covered = self.covered(there, self.protects(at_ms), |at| self.list[at].used);
        let (mut for_some, mut beyond) = (0_u64, 0_u64);
        for (at, share) in self.list.iter().enumerate() {
            if names.iter().any(|name| self.own(name) == Some(at)) {
                let most = share.at_most.map_or(u64::MAX, |at_most| at_most.saturating_sub(share.used));
                for_some += covered[at];
                beyond = beyond.saturating_add(most.saturating_sub(covered[at]));
            }
        }
        if names.iter().any(|name| self.own(name).is_none()) {
            beyond = u64::MAX;
        }
        let uncovered = there - covered.iter().sum::<u64>();
        there - for_some - uncovered.min(beyond)
    }

    /// Somebody looks at the shelf: the first time after protection has ended it is told what was kept until then.
    fn look(&mut self, there: u64, at_ms: i64) {
        if !self.protects(at_ms) && !self.is_over {
            self.is_over = true;
            self.sharing.kept += self.covered(there, true, |at| self.list[at].used).iter().sum::<u64>();
        }
    }
}
