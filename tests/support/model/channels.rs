//! Channels: how a SKU is shared among those through which it is sold.

use std::collections::BTreeMap;

use sluice::wire::proto::{ChannelShare, Counted, Decision, Place, Reason, SetChannels, ShareOf};

use super::limit::InCount;
use super::place::Bar;
use super::{LONGEST_ID, MOST_SHARES, MOST_STOCK, Model, Stamp, doubled};

/// What was last said about the channels of a SKU: the rule that stands, or none once it was removed.
#[derive(Clone, Debug)]
pub(super) struct Channels {
    pub(super) stamp: Stamp,
    pub(super) rule: Option<SetChannels>,
    /// Sequence with which each share began to count, in the order of the list.
    pub(super) counts: Vec<u64>,
}

/// A share that stands, and since when it counts.
struct Share<'a> {
    count: u64,
    says: &'a ChannelShare,
}

impl Channels {
    fn shares(&self) -> Vec<Share<'_>> {
        let says = self.rule.iter().flat_map(|rule| &rule.channels);
        self.counts.iter().zip(says).map(|(&count, says)| Share { count, says }).collect()
    }

    /// Which of the shares an order through this channel draws on.
    fn drawn_on(&self, channel: &str) -> Option<usize> {
        let named = |name: &str| self.shares().iter().position(|share| share.says.channel == name);
        named(channel).or_else(|| named(""))
    }

    fn protects(&self, now: i64) -> bool {
        self.rule.as_ref().is_some_and(|rule| rule.protected_until_ms == 0 || now < rule.protected_until_ms)
    }
}

/// All channels, by pool and SKU.
pub(super) type AllChannels = BTreeMap<(String, String), Channels>;

/// Units by count and channel (empty: the others); of shares that stand only, and only where there are some.
pub(super) type Shares = BTreeMap<(u64, String), u64>;

impl Model {
    fn channels_of(&self, pool: &str, sku: &str) -> Option<&Channels> {
        self.channels.get(&(pool.to_owned(), sku.to_owned())).filter(|channels| channels.rule.is_some())
    }

    fn used(&self, share: &Share<'_>) -> u64 {
        self.shares.get(&(share.count, share.says.channel.clone())).copied().unwrap_or(0)
    }

    /// What a line of this SKU may have of it, `earlier` units of the order being spoken for.
    fn share_leaves(&self, it: &Place, sku: &str, channels: &Channels, earlier: u64) -> u64 {
        let drawn_on = channels.drawn_on(&it.channel);
        let available = self.rows[&(it.pool.clone(), sku.to_owned())].available() - earlier as i64;
        let mut uncovered = available.max(0) as u64;
        let (mut covered_for_others, mut most) = (0, u64::MAX);
        for (at, share) in channels.shares().iter().enumerate() {
            let mut used = self.used(share);
            if drawn_on == Some(at) {
                used += earlier;
            }
            let wanted = if channels.protects(self.now) { share.says.protected.saturating_sub(used) } else { 0 };
            let covered = wanted.min(uncovered);
            uncovered -= covered;
            if drawn_on == Some(at) {
                most = share.says.at_most.map_or(u64::MAX, |at_most| at_most.saturating_sub(used));
            } else {
                covered_for_others += covered;
            }
        }
        (available.max(0) as u64 - covered_for_others).min(most)
    }

    /// Of each line, whether more is asked than the SKU's channels leave to the order's.
    pub(super) fn over_shares(&self, it: &Place) -> Vec<Option<Bar>> {
        let mut earlier: BTreeMap<&str, u64> = BTreeMap::new();
        let mut bars = Vec::new();
        for line in &it.lines {
            let earlier = earlier.entry(&line.sku).or_default();
            let asked = u64::from(line.quantity);
            bars.push(self.channels_of(&it.pool, &line.sku).and_then(|channels| {
                let left = self.share_leaves(it, &line.sku, channels, *earlier);
                let rule = channels.stamp.sequence;
                (asked > left).then(|| Bar { rule, left: Some(left), ..Bar::of(Reason::Quota) })
            }));
            *earlier += asked;
        }
        bars
    }

    /// Counts an order that is reserved in the shares that it draws on, and says so in its decision.
    pub(super) fn count_shares(&mut self, it: &Place, decision: &mut Decision) -> Vec<InCount> {
        let mut units: Vec<(&str, u32)> = Vec::new();
        for line in &it.lines {
            match units.iter_mut().find(|(sku, _)| *sku == line.sku) {
                Some((_, units)) => *units += line.quantity,
                None => units.push((&line.sku, line.quantity)),
            }
        }
        let mut counts = Vec::new();
        for (sku, units) in units {
            let Some(channels) = self.channels_of(&it.pool, sku) else { continue };
            let Some(at) = channels.drawn_on(&it.channel) else { continue };
            let Share { count, says } = &channels.shares()[at];
            let of = if says.channel.is_empty() { ShareOf::Others } else { ShareOf::Channel };
            decision.counted.push(Counted { count: *count, period: 0, units, share: of.into() });
            decision.channel.clone_from(&it.channel);
            counts.push(InCount { count: *count, period: 0, key: says.channel.clone(), units, of_share: true });
        }
        for known in &counts {
            *self.shares.entry((known.count, known.key.clone())).or_default() += u64::from(known.units);
        }
        counts
    }

    /// Gives back what an order was counted as in a share, where that is still looked at.
    pub(super) fn give_back_to_share(&mut self, known: &InCount) {
        if let Some(units) = self.shares.get_mut(&(known.count, known.key.clone())) {
            *units -= u64::from(known.units);
        }
        self.shares.retain(|_, units| *units > 0);
    }

    /// Sets the channels of a SKU, or removes them; `stamp` is that of the decision.
    pub(super) fn set_channels(&mut self, pool: &str, it: &SetChannels, stamp: Stamp) {
        self.change(pool, &it.sku, |_| {});
        let before = self.channels_of(pool, &it.sku);
        let since = |channel: &str| {
            let shares = before.map(Channels::shares).unwrap_or_default();
            shares.iter().find(|share| share.says.channel == channel).map_or(stamp.sequence, |share| share.count)
        };
        let counts = it.channels.iter().map(|share| since(&share.channel)).collect();
        let rule = (!it.channels.is_empty()).then(|| it.clone());
        self.channels.insert((pool.to_owned(), it.sku.clone()), Channels { stamp, rule, counts });
        let standing = self.channels.values().flat_map(Channels::shares);
        let standing: Vec<_> = standing.map(|share| (share.count, share.says.channel.clone())).collect();
        self.shares.retain(|share, _| standing.contains(share));
    }
}

/// What is wrong with the command itself, but for its SKU.
pub(super) fn channels_fault(it: &SetChannels) -> Option<Reason> {
    let names: Vec<&str> = it.channels.iter().map(|share| share.channel.as_str()).collect();
    if names.iter().any(|name| name.len() > LONGEST_ID) {
        return Some(Reason::IdTooLong);
    }
    if names.len() > MOST_SHARES {
        return Some(Reason::TooMany);
    }
    if doubled(&names) {
        return Some(Reason::Doubled);
    }
    let most = |share: &ChannelShare| share.at_most.unwrap_or(MOST_STOCK);
    if it.channels.iter().any(|share| share.protected > most(share) || most(share) > MOST_STOCK) {
        return Some(Reason::Quantity);
    }
    let protects = it.channels.iter().any(|share| share.protected > 0);
    (it.protected_until_ms < 0 || it.protected_until_ms != 0 && !protects).then_some(Reason::Times)
}
