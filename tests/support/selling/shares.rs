//! Channels from the decisions alone: no share beyond the most that it may have, and no unit that was covered for one sold
//! to another. What is covered is worked out from how much of the list, up to each share, there is enough of.

use std::collections::{BTreeMap, HashMap};

use sluice::wire::proto::{ChannelShare, Counted, Decision, LineDecision, SetChannels, ShareOf};

use super::{holds, order};

/// Pool and SKU.
type Shelf = (String, String);

/// A list of shares that stands.
#[derive(Clone, Debug)]
struct Standing {
    sequence: u64,
    shares: Vec<Share>,
    protected_until_ms: i64,
}

#[derive(Clone, Debug)]
struct Share {
    says: ChannelShare,
    /// Sequence with which it began to count.
    count: u64,
    used: u64,
}

/// Units of an order that a share counts, by shelf, sequence and channel.
type Taken = (Shelf, u64, String, u64);

/// All lists, and what they are held against.
#[derive(Debug, Default)]
pub(super) struct ShareBook {
    lists: BTreeMap<Shelf, Standing>,
    /// Units that may be promised, of every shelf that was ever spoken of.
    available: HashMap<Shelf, i64>,
    orders: HashMap<(String, String, u32), Vec<Taken>>,
}

impl Standing {
    /// Units that are covered for shares other than `own`, where so many are available.
    fn kept_from(&self, own: Option<usize>, available: i64, now: i64) -> i64 {
        if self.protected_until_ms != 0 && now >= self.protected_until_ms {
            return 0;
        }
        let (mut wanted, mut kept) = (0, 0);
        for (at, share) in self.shares.iter().enumerate() {
            let reached = |wanted: i64| wanted.min(available.max(0));
            let before = reached(wanted);
            wanted += (share.says.protected as i64 - share.used as i64).max(0);
            if own != Some(at) {
                kept += reached(wanted) - before;
            }
        }
        kept
    }

    /// What an order that draws on `own` may have.
    fn leaves(&self, own: Option<usize>, available: i64, now: i64) -> u64 {
        let free = (available - self.kept_from(own, available, now)).max(0) as u64;
        let most = own.and_then(|at| Some(self.shares[at].says.at_most?.saturating_sub(self.shares[at].used)));
        most.map_or(free, |most| most.min(free))
    }

    fn named(&self, channel: &str) -> Option<usize> {
        self.shares.iter().position(|share| share.says.channel == channel)
    }
}

impl ShareBook {
    pub(super) fn set(&mut self, decision: &Decision) -> Result<(), &'static str> {
        let SetChannels { sku, channels, protected_until_ms } =
            decision.channels.clone().ok_or("the rule is missing")?;
        let shelf = (decision.pool.clone(), sku);
        let before = self.lists.remove(&shelf);
        if channels.is_empty() {
            return Ok(());
        }
        let share = |says: ChannelShare| {
            let goes_on = before.as_ref().and_then(|before| Some(&before.shares[before.named(&says.channel)?]));
            let (count, used) = goes_on.map_or((decision.sequence, 0), |share| (share.count, share.used));
            Share { says, count, used }
        };
        let shares = channels.into_iter().map(share).collect();
        self.lists.insert(shelf, Standing { sequence: decision.sequence, shares, protected_until_ms });
        Ok(())
    }

    /// Takes note of what a stock command leaves.
    pub(super) fn restocked(&mut self, decision: &Decision) {
        let Some(level) = decision.stock.as_ref().filter(|level| !level.sku.is_empty()) else { return };
        let available = level.on_hand - level.reserved as i64 - level.committed as i64 - level.safety_stock as i64;
        self.available.insert((decision.pool.clone(), level.sku.clone()), available);
    }

    /// An order is reserved; `counted` is what it is told of shares.
    pub(super) fn reserved(&mut self, decision: &Decision, counted: &[Counted]) -> Result<(), &'static str> {
        let mut told = counted.iter();
        let mut taken = Vec::new();
        for (shelf, units) in asked(decision) {
            let available = self.available.entry(shelf.clone()).or_default();
            let before = std::mem::replace(available, *available - units);
            let Some(list) = self.lists.get_mut(&shelf) else { continue };
            let of_channel = list.named(&decision.channel).filter(|_| !decision.channel.is_empty());
            let own = of_channel.or_else(|| list.named(""));
            let left = list.leaves(own, before, decision.decided_at_ms);
            holds(units <= left as i64, "more than the channel may have")?;
            let Some(share) = own.map(|at| &mut list.shares[at]) else { continue };
            share.used += units as u64;
            let of = if of_channel.is_some() { ShareOf::Channel } else { ShareOf::Others };
            let expected = Counted { count: share.count, period: 0, units: units as u32, share: of.into() };
            holds(told.next() == Some(&expected), "not counted in the share that it draws on")?;
            taken.push((shelf, share.count, share.says.channel.clone(), units as u64));
        }
        holds(told.next().is_none(), "counted in a share that it does not draw on")?;
        holds(!taken.is_empty() || decision.channel.is_empty(), "states a channel that no share counts")?;
        self.orders.insert(order(decision), taken);
        Ok(())
    }

    /// An order gives back what it held.
    pub(super) fn released(&mut self, decision: &Decision) -> Result<(), &'static str> {
        for (shelf, units) in asked(decision) {
            *self.available.entry(shelf).or_default() += units;
        }
        for (shelf, count, channel, units) in self.orders.remove(&order(decision)).unwrap_or_default() {
            let Some(list) = self.lists.get_mut(&shelf) else { continue };
            let counts = |share: &&mut Share| share.count == count && share.says.channel == channel;
            let Some(share) = list.shares.iter_mut().find(counts) else { continue };
            share.used = share.used.checked_sub(units).ok_or("gives back more than was counted")?;
        }
        Ok(())
    }

    /// Whether the list that was set with this sequence bars the flagged lines of an order as it is told.
    pub(super) fn bars(&self, decision: &Decision, rule: u64) -> bool {
        let mut earlier: HashMap<&str, i64> = HashMap::new();
        decision.lines.iter().all(|line| {
            let before = earlier.entry(&line.sku).or_default();
            let units = std::mem::replace(before, *before + i64::from(line.quantity));
            line.rule != rule || self.bars_line(decision, line, units)
        })
    }

    /// The share of the channel that the decision states leaves as much as it says.
    fn bars_line(&self, decision: &Decision, line: &LineDecision, earlier: i64) -> bool {
        let shelf = (decision.pool.clone(), line.sku.clone());
        let Some(list) = self.lists.get(&shelf).filter(|list| list.sequence == line.rule) else { return false };
        let available = self.available.get(&shelf).copied().unwrap_or(0) - earlier;
        let own = list.named(&decision.channel).or_else(|| list.named(""));
        let mut list = list.clone();
        if let Some(at) = own {
            list.shares[at].used += earlier as u64;
        }
        line.left == Some(list.leaves(own, available, decision.decided_at_ms))
    }
}

/// Units of each shelf that an order takes, in the order in which its lines meet them.
fn asked(decision: &Decision) -> Vec<(Shelf, i64)> {
    let mut asked: Vec<(Shelf, i64)> = Vec::new();
    for line in &decision.lines {
        let known = asked.iter_mut().find(|((_, sku), _)| *sku == line.sku);
        match known {
            Some((_, units)) => *units += i64::from(line.quantity),
            None => asked.push(((decision.pool.clone(), line.sku.clone()), line.quantity.into())),
        }
    }
    asked
}
