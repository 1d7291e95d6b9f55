//! Channels: what of a SKU is kept for one channel, and how much each may have.

use xxhash_rust::xxh3::xxh3_128;

use super::ladder::Asker;
use super::sale::has_doubled;
use super::verdict::{LineBar, Shared, SharesAtHand};
use crate::ledger::state::State;
use crate::ledger::state::channels::{Share, Shares};
use crate::ledger::state::counts::CountKey;
use crate::ledger::state::selling::Stamp;
use crate::wire::decision::HeldLine;
use crate::wire::limits::{MAX_CHANNELS, MAX_ID_BYTES, MAX_STOCK_QUANTITY};
use crate::wire::proto::Reason;
use crate::wire::{ChannelShare, Channels, Rule, Text};

impl State {
    /// The shares of a row's channels, if some stand.
    #[inline]
    pub(super) fn shares(&self, row: u32) -> Option<Shares<'_>> {
        self.selling.shares(self.rows.scope(row)?)
    }

    /// Whether a line asks for more than the channels of its SKU leave to the order's. `available` is what is there
    /// after the earlier lines of the order. Adds the line to what the order has of shares.
    pub(super) fn over_quota(
        &self,
        asker: &Asker<'_, '_>,
        line: &HeldLine,
        available: i64,
        at_hand: &mut SharesAtHand,
    ) -> Option<LineBar> {
        let scope = self.rows.scope(line.row)?;
        let shares = self.selling.shares(scope)?;
        let channel = *at_hand
            .channel
            .get_or_insert_with(|| asker.ahead.channel().unwrap_or_else(|| self.fingerprints.of_key(asker.channel)));
        let at = match at_hand.shared.iter().position(|it| it.row == line.row) {
            Some(at) => at,
            None => {
                let own = shares.of(channel);
                let taken = own.map(|own| shares.taken(own, line.row, 0));
                at_hand.shared.push(Shared { row: line.row, own, units: 0, taken });
                at_hand.shared.len() - 1
            }
        };
        let it = &mut at_hand.shared[at];
        let (own, earlier) = (it.own, u64::from(it.units));
        it.units += line.quantity;
        if shares.leave_plenty(own, (available, earlier), line.quantity, self.shard_time_ms) {
            return None;
        }
        let left = shares.left(own, available, earlier, self.shard_time_ms);
        if left >= u64::from(line.quantity) {
            return None;
        }
        let rule = self.selling.scopes[scope].channels.as_ref().map_or(0, |slot| slot.stamp.sequence);
        Some(LineBar { left: Some(left), rule, ..LineBar::new(Reason::Quota) })
    }

    pub(super) fn channel_key(&self, channel: Text<'_>) -> CountKey {
        CountKey { fingerprint: self.fingerprints.of_key(channel), hash: xxh3_128(channel.as_bytes()) }
    }

    /// Sets the channels of a SKU, or removes them. The SKU is made known.
    pub(crate) fn set_channels(&mut self, pool: Text<'_>, channels: &Channels<'_>, issued_at_ms: i64) {
        let scope = self.make_scope(pool, channels.sku);
        let stamp = Stamp { issued_at_ms, sequence: self.sequence, generation: self.records.now() };
        self.canonical.begin(9).str(pool.as_bytes()).stamp(&stamp).u8((!channels.removes()).into());
        self.canonical.str(channels.sku.as_bytes());
        let terms = (!channels.removes()).then(|| {
            let shares = self.shares_of(scope, channels);
            shares.iter().for_each(|share| _ = self.canonical.u64(share.count));
            self.canonical.rule(&Rule::Channels(*channels));
            let protected_until_ms = match channels.protected_until_ms {
                0 => i64::MAX,
                until_ms => until_ms,
            };
            let others = channels.shares().position(|share| share.channel.is_empty());
            self.selling.keep_shares(protected_until_ms, others, &shares)
        });
        self.selling.put_channels(scope, stamp, terms, self.canonical.bytes());
    }

    /// The shares that `channels` make in a scope: one that has been there before goes on counting.
    fn shares_of(&self, scope: u32, channels: &Channels<'_>) -> Vec<Share> {
        let before = self.selling.shares(scope).map_or(&[][..], |shares| shares.list);
        let share = |ChannelShare { channel, protected, at_most }: ChannelShare<'_>| {
            let channel = self.channel_key(channel);
            let same = before.iter().find(|share| share.channel.fingerprint == channel.fingerprint);
            let (count, used) = same.map_or((self.sequence, 0), |share| (share.count, share.used));
            Share { channel, count, protected, at_most: at_most.unwrap_or(u64::MAX), used }
        };
        channels.shares().map(share).collect()
    }

    /// When the channels that stand were set, or those that are remembered removed.
    pub(super) fn channels_stamp(&self, pool: Text<'_>, sku: Text<'_>) -> Option<Stamp> {
        let scope = self.rows.scope(self.rows.row(self.rows.pool(pool)?, sku)?)?;
        self.selling.scopes[scope].channels.as_ref().map(|slot| slot.stamp)
    }
}

/// What is wrong with the command itself, its SKU apart.
pub(super) fn fault(channels: &Channels<'_>) -> Option<Reason> {
    let names = channels.shares().map(|share| share.channel);
    if names.clone().any(|name| name.len() > MAX_ID_BYTES) {
        return Some(Reason::IdTooLong);
    }
    if names.clone().count() > MAX_CHANNELS {
        return Some(Reason::TooMany);
    }
    if has_doubled::<MAX_CHANNELS>(names) {
        return Some(Reason::Doubled);
    }
    let out_of_range = |share: ChannelShare<'_>| {
        let at_most = share.at_most.unwrap_or(MAX_STOCK_QUANTITY);
        at_most > MAX_STOCK_QUANTITY || share.protected > at_most
    };
    if channels.shares().any(out_of_range) {
        return Some(Reason::Quantity);
    }
    let until_ms = channels.protected_until_ms;
    let nothing_to_end = until_ms != 0 && channels.shares().all(|share| share.protected == 0);
    (until_ms < 0 || nothing_to_end).then_some(Reason::Times)
}
