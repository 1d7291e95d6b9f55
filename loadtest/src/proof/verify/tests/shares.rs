//! Logs of a run whose stock channels share, and whose warehouse moves it: as they must be, and wrong in each way.

use std::collections::HashMap;

use sluice::wire::proto::{self, Counted, LineDecision, Place, ShareOf};

use super::seller::{Flaw, Seller};
use super::*;

/// Six SKUs, two of which nobody shares; a channel that goes quiet, one that others share with another, a count that takes
/// two fifths of the stock away, an end of protection.
const SHARED: &str = r#"
name = "test"
description = "test"
arrival = "constant"
profile = { kind = "constant", rate = 3000.0, duration = "1s" }
[traffic]
pools = ["rehearsal-0"]
skus = 6
units = 300
lines = { least = 1, most = 3, quantity = 3 }
customers = 400
duplicates = { exact = 0.1, after = "10ms" }
confirm = { share = 0.5, after = "20ms" }
ship = { share = 0.3, after = "5ms" }
cancel = { share = 0.3, after = "20ms" }
cancel_early = 0.02
raise_attempt = { share = 0.3, after = "5ms" }
channels = [
    { name = "app", weight = 3 },
    { name = "web", weight = 3 },
    { name = "airline", until = "200ms" },
    { name = "kiosk" },
    { name = "desk" },
]
[[rules.channels]]
skus = [0, 1, 2]
shares = [
    { channel = "airline", protected = 0.25 },
    { channel = "web", protected = 0.2, at_most = 0.3 },
    { channel = "app", protected = 0.1 },
    { channel = "", at_most = 0.2 },
]
protected_until = "700ms"
[[rules.channels]]
skus = [3]
shares = [{ channel = "app", protected = 0.5 }]
[[rules.limit]]
name = "few"
skus = [2, 5]
units = 4
[[warehouse]]
what = "count"
at = "150ms"
share = -0.4
[[warehouse]]
what = "receive"
at = "300ms"
every = "100ms"
skus = [1, 3]
in_turn = true
share = 0.05
[[warehouse]]
what = "adjust"
at = "250ms"
skus = [4]
share = -0.5
"#;

fn shared() -> Sent {
    sent_by(SHARED, 0)
}

#[track_caller]
fn check(log: &[Decision], check: Check, count: u64) {
    check_of(&shared(), log, check, count);
}

#[track_caller]
fn check_flaw(flaw: Flaw, found: Check) {
    check(&shared().decided_by(flaw), found, 0);
}

/// Where a shard that has read a log ends.
fn read_by_shard(sent: &Sent, log: &[Decision]) -> (Sharing, Barred) {
    let ours = sent.ours();
    let mut shard = Shard::new(&ours, 0, sent.memory());
    feed(&mut shard, &ours, log);
    (shard.sharing(), shard.barred())
}

fn refused(log: &[Decision]) -> usize {
    first(log, |decision| decision.reason() == Reason::Quota)
}

fn over(decision: &mut Decision) -> &mut LineDecision {
    decision.lines.iter_mut().find(|line| line.reason() == Reason::Quota).expect("one was over")
}

/// Channels as the small engine keeps them: plainly, by their names.
impl Seller {
    pub(super) fn set_channels(&mut self, channels: proto::SetChannels, sequence: u64) {
        let first = self.channels.get(&channels.sku).map_or(sequence, |(_, first, _)| *first);
        self.channels.insert(channels.sku.clone(), (channels, first, sequence));
    }

    /// The share of a SKU that a channel draws on.
    fn share(&self, sku: &str, channel: &str) -> Option<&proto::ChannelShare> {
        let list = &self.channels.get(sku)?.0.channels;
        list.iter()
            .find(|share| share.channel == channel)
            .or_else(|| list.iter().find(|share| share.channel.is_empty()))
    }

    fn sold_by(&self, sku: &str, share: &str) -> i64 {
        self.sold.get(&(sku.to_owned(), share.to_owned())).copied().unwrap_or(0)
    }

    /// The lines of an order of which some ask for more than their channel may have.
    pub(super) fn over_quota(
        &self,
        place: &Place,
        at_ms: i64,
        available: impl Fn(&str) -> i64,
    ) -> Option<Vec<LineDecision>> {
        let mut before: HashMap<&str, i64> = HashMap::new();
        let mut lines = Vec::new();
        for line in &place.lines {
            let (sku, quantity) = (line.sku.clone(), line.quantity);
            let mut told = LineDecision { sku, quantity, ..LineDecision::default() };
            let asked = before.entry(&line.sku).or_default();
            if let Some((rule, _, sequence)) = self.channels.get(&line.sku) {
                let own = self.share(&line.sku, &place.channel);
                let there = (available(&line.sku) - *asked).max(0);
                let mut free = there;
                let mut kept = 0;
                for share in rule.channels.iter().filter(|_| self.protects(rule, at_ms)) {
                    let is_own = own == Some(share);
                    let sold = self.sold_by(&line.sku, &share.channel) + if is_own { *asked } else { 0 };
                    let covered = (share.protected as i64 - sold).max(0);
                    let covered = if self.flaw == Some(Flaw::Insists) { covered } else { covered.min(free) };
                    free -= covered;
                    kept += if is_own { 0 } else { covered };
                }
                let more = if let Some(Flaw::Allows(more)) = self.flaw { more } else { 0 };
                let most = own.and_then(|own| {
                    let sold = self.sold_by(&line.sku, &own.channel) + *asked;
                    Some((own.at_most? as i64 + more - sold).max(0))
                });
                let left = (there - kept).max(0).min(most.unwrap_or(i64::MAX));
                if left < i64::from(line.quantity) {
                    told.reason = Reason::Quota.into();
                    (told.left, told.rule) = (Some(left as u64), *sequence);
                }
            }
            *asked += i64::from(line.quantity);
            lines.push(told);
        }
        lines.iter().any(|line| line.reason() == Reason::Quota).then_some(lines)
    }

    fn protects(&self, rule: &proto::SetChannels, at_ms: i64) -> bool {
        let until_ms = rule.protected_until_ms;
        match self.flaw {
            Some(Flaw::Exposes) => false,
            Some(Flaw::Protects(more)) => until_ms == 0 || at_ms < until_ms + more,
            _ => until_ms == 0 || at_ms < until_ms,
        }
    }

    /// Counts an order that was reserved; what it then is counted as.
    pub(super) fn count_shares(&mut self, channel: &str, lines: &[LineDecision]) -> Vec<Counted> {
        let mut counted: Vec<(String, Counted)> = Vec::new();
        for line in lines {
            let Some(share) = self.share(&line.sku, channel).map(|share| share.channel.clone()) else { continue };
            *self.sold.entry((line.sku.clone(), share.clone())).or_default() += i64::from(line.quantity);
            match counted.iter_mut().find(|(sku, _)| *sku == line.sku) {
                Some((_, counted)) => counted.units += line.quantity,
                None => {
                    let of = if share.is_empty() { ShareOf::Others } else { ShareOf::Channel };
                    let count = self.channels[&line.sku].1;
                    let units = line.quantity;
                    counted.push((line.sku.clone(), Counted { count, period: 0, units, share: of.into() }));
                }
            }
        }
        counted.into_iter().map(|(_, counted)| counted).collect()
    }

    pub(super) fn release_shares(&mut self, channel: &str, lines: &[LineDecision]) {
        for line in lines {
            if let Some(share) = self.share(&line.sku, channel).map(|share| share.channel.clone()) {
                *self.sold.entry((line.sku.clone(), share)).or_default() -= i64::from(line.quantity);
            }
        }
    }
}

#[test]
fn a_log_as_it_must_be_is_passed() {
    let sent = shared();
    let log = sent.decided(0);
    let (findings, counted, closed) = read(&sent, &log, usize::MAX);
    assert_eq!(findings.into_list(), []);
    assert_eq!((counted.len() as u64, closed.checked), (sent.commands, sent.commands));
    // Nothing was passed because it never came up.
    for outcome in [Outcome::Cancelled, Outcome::Confirmed, Outcome::Shipped, Outcome::Duplicate] {
        of(&log, outcome);
    }
    let at = refused(&log);
    first(&log, |it| it.stock.as_ref().is_some_and(|level| level.shortfall > 0));
    first(&log[at..], |it| it.reason() == Reason::OutOfStock);
    first(&log, |it| it.counted.len() > 1 && it.counted[0].share() == ShareOf::Unspecified && !it.channel.is_empty());
    first(&log, |it| it.counted.iter().any(|counted| counted.share() == ShareOf::Others) && !it.channel.is_empty());
    // An order of two lines of one SKU of which only the first one fits.
    first(&log, |it| {
        let same = it.lines.len() > 1 && it.lines[0].sku == it.lines[1].sku;
        same && it.lines[0].reason() != Reason::Quota && it.lines[1].reason() == Reason::Quota
    });
}

#[test]
fn what_sharing_came_to_is_told() {
    let sent = shared();
    let log = sent.decided(0);
    let (sharing, barred) = read_by_shard(&sent, &log);
    let refused = log.iter().filter(|it| it.reason() == Reason::Quota).count() as u64;
    assert_eq!(barred.over_quota, refused);
    assert!(sharing.kept > 0, "the airline was quiet: {sharing:?}");
    assert_eq!(sharing.stranded, 0, "the app may have all that nobody else may");
    // What lies there at the end, of the SKUs that are shared.
    let run = sent.origin.run;
    let left = |sku: u32| {
        let name = crate::load::traffic::sku_name(run, sku);
        let of = |decision: &&Decision| decision.lines.iter().any(|line| line.sku == name);
        let units = |decision: &Decision| -> i64 {
            let lines = decision.lines.iter().filter(|line| line.sku == name);
            let units: i64 = lines.map(|line| i64::from(line.quantity)).sum();
            match decision.outcome() {
                Outcome::Reserved => units,
                Outcome::Cancelled => -units,
                _ => 0,
            }
        };
        let taken: i64 = log.iter().filter(of).map(units).sum();
        let moved = log.iter().filter_map(|it| it.stock.as_ref()).filter(|level| level.sku == name);
        (moved.map(|level| level.change).sum::<i64>() - taken).max(0) as u64
    };
    assert_eq!(sharing.left_over, (0..4).map(left).sum::<u64>());
}

#[test]
fn units_that_no_channel_could_have_are_told() {
    let bounded = SHARED.replace("{ channel = \"app\", protected = 0.1 }", "{ channel = \"app\", at_most = 0.1 }");
    let bounded =
        bounded.replace("{ channel = \"airline\", protected = 0.25 }", "{ channel = \"airline\", at_most = 0.02 }");
    let sent = sent_by(&bounded, 0);
    let (sharing, _) = read_by_shard(&sent, &sent.decided(0));
    assert!(sharing.stranded > 0, "{sharing:?}");
}

#[test]
fn a_unit_that_was_covered_for_another_channel_is_found() {
    check_flaw(Flaw::Exposes, Check::RuledOut);
    check_flaw(Flaw::Protects(-20), Check::RuledOut);
}

#[test]
fn a_channel_that_has_more_than_its_share_is_found() {
    check_flaw(Flaw::Allows(1), Check::RuledOut);
}

#[test]
fn a_quota_without_reason_is_found() {
    check_flaw(Flaw::Allows(-1), Check::Wrong);
    check_flaw(Flaw::Protects(20), Check::Wrong);
    // What is protected and not there must not keep from others what is.
    check_flaw(Flaw::Insists, Check::Wrong);
}

#[test]
fn a_release_that_does_not_give_back_to_its_channel_is_found() {
    let mut log = shared().decided_by(Flaw::Keeps);
    check(&log, Check::Wrong, 0);
    // One that gives back what the channel never had.
    log = shared().decided(0);
    let at = first(&log, |it| it.outcome() == Outcome::Cancelled && !it.lines.is_empty());
    log[at].lines[0].quantity += 300;
    check(&log, Check::Wrong, 0);
}

#[test]
fn a_wrong_word_about_a_share_is_found() {
    let log = shared().decided(0);
    let plant = |at: usize, change: &dyn Fn(&mut Decision)| {
        let mut log = log.clone();
        change(&mut log[at]);
        check(&log, Check::Wrong, 0);
    };
    plant(refused(&log), &|decision| {
        let line = over(decision);
        line.left = line.left.map(|left| left + 1);
    });
    plant(refused(&log), &|decision| over(decision).left = None);
    plant(refused(&log), &|decision| over(decision).rule += 1);
    plant(refused(&log), &|decision| over(decision).available = Some(1));
    plant(refused(&log), &|decision| decision.channel = "kiosk".to_owned());
    plant(refused(&log), &|decision| decision.reason = Reason::OutOfStock.into());
    plant(refused(&log), &|decision| decision.reason = Reason::Limit.into());
    let short = first(&log, |decision| decision.reason() == Reason::OutOfStock);
    plant(short, &|decision| decision.reason = Reason::Quota.into());
    let counted = first(&log, |it| it.counted.len() > 1 && it.counted.iter().all(|it| it.share() == ShareOf::Channel));
    plant(counted, &|decision| decision.counted[0].units += 1);
    plant(counted, &|decision| decision.counted[0].count += 1);
    plant(counted, &|decision| decision.counted[0].share = ShareOf::Others.into());
    plant(counted, &|decision| decision.counted.swap(0, 1));
    plant(counted, &|decision| _ = decision.counted.pop());
    plant(counted, &|decision| decision.channel = "kiosk".to_owned());
    let free = first(&log, |it| it.outcome() == Outcome::Reserved && it.counted.is_empty());
    plant(free, &|decision| {
        decision.counted.push(Counted { count: 1, units: 1, share: ShareOf::Others.into(), ..Counted::default() });
    });
}

#[test]
fn a_movement_that_is_lost_doubled_or_another_one_is_found() {
    let sent = shared();
    let log = sent.decided(0);
    let moved = |it: &Decision| it.id.contains("-moved-");
    let at = first(&log, moved);
    let plant = |found: Check, change: &dyn Fn(&mut Decision)| {
        let mut log = log.clone();
        change(&mut log[at]);
        check(&log, found, 0);
    };
    plant(Check::Wrong, &|decision| decision.stock.as_mut().expect("a level").change += 1);
    plant(Check::Wrong, &|decision| decision.stock.as_mut().expect("a level").shortfall += 1);
    plant(Check::Wrong, &|decision| decision.outcome = Outcome::Duplicate.into());
    plant(Check::Lost, &|decision| decision.id = "another".to_owned());
    let again = log[at].id.clone();
    let other = at + 1 + first(&log[at + 1..], moved);
    let mut doubled = log.clone();
    doubled[other].id = again;
    check(&doubled, Check::Doubled, 1);
    let mut unsent = shared();
    unsent.up_to.numbers[Kind::Move as usize] -= 1;
    check_of(&unsent, &log, Check::Unexpected, 1);
}
