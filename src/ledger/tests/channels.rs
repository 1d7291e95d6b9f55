//! The guard of Channels and its edges.

use super::START;
use super::shop::{APPLIED, RESERVED, Shop, order, said};
use crate::wire::proto::{self, Outcome, Reason, ShareOf, stock_command};

const QUOTA: (Outcome, Reason) = (Outcome::Rejected, Reason::Quota);
const SHORT: (Outcome, Reason) = (Outcome::Rejected, Reason::OutOfStock);

fn share(channel: &str, protected: u64, at_most: Option<u64>) -> proto::ChannelShare {
    proto::ChannelShare { channel: channel.into(), protected, at_most }
}

fn channels_of(sku: &str, channels: &[proto::ChannelShare]) -> proto::SetChannels {
    proto::SetChannels { sku: sku.into(), channels: channels.to_vec(), protected_until_ms: 0 }
}

/// 100 of "a": 40 for the app, 30 for the web, which may have 50; others may have 20.
fn three() -> proto::SetChannels {
    channels_of("a", &[share("app", 40, None), share("web", 30, Some(50)), share("", 0, Some(20))])
}

impl Shop {
    fn channels(&mut self, channels: proto::SetChannels) -> proto::Decision {
        self.channels_at(self.now, channels)
    }

    fn channels_at(&mut self, issued_at_ms: i64, channels: proto::SetChannels) -> proto::Decision {
        self.stock("pool", issued_at_ms, stock_command::Kind::SetChannels(channels))
    }

    fn buy_by(&mut self, channel: &str, lines: &[(&str, u32)]) -> proto::Decision {
        self.place(proto::Place { channel: channel.into(), ..order("ann", lines) })
    }

    /// Units of "a" that an order of this channel could have, as it is told when it asks for all that there are.
    fn left(&mut self, channel: &str) -> u64 {
        let available =
            self.ledger.stock("pool", "a").map_or(0, |row| row.on_hand - row.reserved as i64 - row.committed as i64);
        let refused = self.buy_by(channel, &[("a", u32::try_from(available).expect("some"))]);
        assert_eq!(said(&refused), QUOTA, "{channel}");
        refused.lines[0].left.expect("it tells what is left")
    }
}

fn counted(count: u64, units: u32, share: ShareOf) -> proto::Counted {
    proto::Counted { count, period: 0, units, share: share.into() }
}

#[test]
fn nobody_takes_what_is_protected_for_another_channel() {
    let mut shop = Shop::new();
    let set = shop.channels(three());
    assert_eq!((said(&set), set.channels.clone()), (APPLIED, Some(three())));
    // 100, of which 40 and 30 are covered.
    assert_eq!(["app", "web", "", "kiosk"].map(|channel| shop.left(channel)), [70, 50, 20, 20]);
    let app = shop.buy_by("app", &[("a", 50), ("b", 1)]);
    assert_eq!(said(&app), RESERVED);
    assert_eq!((app.counted, &*app.channel), (vec![counted(set.sequence, 50, ShareOf::Channel)], "app"));
    // The app has had more than its share: nothing is kept for it any more.
    assert_eq!(["app", "kiosk"].map(|channel| shop.left(channel)), [20, 20]);
    let kiosk = shop.buy_by("kiosk", &[("a", 20)]);
    assert_eq!((kiosk.counted, &*kiosk.channel), (vec![counted(set.sequence, 20, ShareOf::Others)], "kiosk"));
    let refused = shop.buy_by("app", &[("b", 1), ("a", 1)]);
    let told = |line: &proto::LineDecision| (line.reason(), line.left, line.rule, line.allocated);
    assert_eq!((said(&refused), &*refused.channel), (QUOTA, "app"));
    let lines: Vec<_> = refused.lines.iter().map(told).collect();
    assert_eq!(lines, [(Reason::Unspecified, None, 0, 0), (Reason::Quota, Some(0), set.sequence, 0)]);
    assert_eq!(said(&shop.buy_by("kiosk", &[("a", 1)])), QUOTA, "others have had all that they may");
    assert_eq!(said(&shop.buy_by("web", &[("a", 31)])), SHORT, "what is not there is not a question of channels");
    assert_eq!(said(&shop.buy_by("web", &[("a", 30)])), RESERVED);
}

#[test]
fn lines_of_one_sku_add_up_as_they_were_asked() {
    let mut shop = Shop::new();
    let set = shop.channels(three());
    let refused = shop.buy_by("web", &[("a", 30), ("a", 25), ("a", 20)]);
    let lefts: Vec<_> = refused.lines.iter().map(|line| line.left).collect();
    assert_eq!((said(&refused), lefts), (QUOTA, vec![None, Some(20), Some(0)]));
    let reserved = shop.buy_by("web", &[("a", 30), ("a", 20)]);
    assert_eq!((said(&reserved), reserved.counted), (RESERVED, vec![counted(set.sequence, 50, ShareOf::Channel)]));
}

#[test]
fn every_release_gives_back_and_a_shipment_does_not() {
    let mut shop = Shop::new();
    shop.channels(channels_of("a", &[share("web", 0, Some(10))]));
    let [cancelled, paid, shipped, expired] = [1, 2, 3, 4].map(|units| shop.buy_by("web", &[("a", units)]));
    assert_eq!(shop.left("web"), 0);
    assert_eq!(shop.cancel(&cancelled), Outcome::Cancelled);
    assert_eq!([&paid, &shipped].map(|it| shop.confirm(it)), [Outcome::Confirmed; 2]);
    assert_eq!(shop.left("web"), 1);
    assert_eq!((shop.ship(&shipped), shop.left("web")), (Outcome::Shipped, 1));
    assert_eq!((shop.cancel(&paid), shop.left("web")), (Outcome::Cancelled, 3));
    shop.now = expired.expires_at_ms;
    assert_eq!(shop.expire(), 1);
    assert_eq!(shop.left("web"), 7);
}

#[test]
fn protection_ends_at_its_instant_and_at_most_does_not() {
    let mut shop = Shop::new();
    let until = START + 1_000;
    shop.channels(proto::SetChannels { protected_until_ms: until, ..three() });
    shop.now = until - 1;
    assert_eq!(["app", "web", ""].map(|channel| shop.left(channel)), [70, 50, 20]);
    shop.now = until;
    assert_eq!(["web", ""].map(|channel| shop.left(channel)), [50, 20]);
    assert_eq!(said(&shop.buy_by("app", &[("a", 100)])), RESERVED, "nothing is left over");
}

#[test]
fn a_count_that_takes_protected_stock_away_strands_nothing() {
    let mut shop = Shop::new();
    shop.channels(three());
    let count = proto::Count { sku: "a".into(), counted: 50, on_hand_seen: 100, ..Default::default() };
    shop.stock("pool", START, stock_command::Kind::Count(count));
    // 40 are covered for the app, 10 for the web.
    assert_eq!(["app", "web", ""].map(|channel| shop.left(channel)), [40, 10, 0]);
    assert_eq!(said(&shop.buy_by("app", &[("a", 40)])), RESERVED);
    assert_eq!(said(&shop.buy_by("web", &[("a", 10)])), RESERVED);
    assert_eq!(shop.ledger.stock("pool", "a").map(|row| row.on_hand - row.reserved as i64), Some(0));
}

#[test]
fn other_figures_keep_what_was_counted_and_a_share_that_leaves_the_list_forgets_it() {
    let mut shop = Shop::new();
    let first = shop.channels(channels_of("a", &[share("web", 0, Some(10)), share("app", 0, Some(10))]));
    let old = shop.buy_by("web", &[("a", 7)]);
    let other = shop.buy_by("app", &[("a", 7)]);
    // Other figures, another place in the list, another share.
    shop.channels(channels_of("a", &[share("kiosk", 0, None), share("web", 0, Some(9))]));
    assert_eq!(shop.left("web"), 2);
    let again = shop.channels(channels_of("a", &[share("app", 0, Some(10)), share("web", 0, Some(9))]));
    assert_eq!(["web", "app"].map(|channel| shop.left(channel)), [2, 10], "the app begins anew");
    assert_eq!(shop.cancel(&other), Outcome::Cancelled);
    assert_eq!(shop.left("app"), 10, "what was counted before does not come back into what is counted now");
    let new = shop.buy_by("app", &[("a", 1)]);
    assert_eq!(new.counted, [counted(again.sequence, 1, ShareOf::Channel)]);
    assert_eq!(shop.buy_by("web", &[("a", 1)]).counted, [counted(first.sequence, 1, ShareOf::Channel)]);
    assert_eq!((shop.cancel(&old), shop.left("web")), (Outcome::Cancelled, 8));
    // Removed, with orders open, and set again.
    shop.channels(channels_of("a", &[]));
    assert_eq!(said(&shop.buy_by("web", &[("a", 50)])), RESERVED);
    shop.channels(channels_of("a", &[share("app", 0, Some(10))]));
    assert_eq!((shop.cancel(&new), shop.left("app")), (Outcome::Cancelled, 10));
}

#[test]
fn channels_that_are_wrong_or_late_are_refused() {
    let mut shop = Shop::new();
    let long = "x".repeat(129);
    let many: Vec<_> = (0..17).map(|n| share(&format!("c{n}"), 0, None)).collect();
    let until = |protected_until_ms, channels: &[proto::ChannelShare]| proto::SetChannels {
        protected_until_ms,
        ..channels_of("a", channels)
    };
    for (channels, reason) in [
        (channels_of("", &[share("web", 1, None)]), Reason::MissingId),
        (channels_of(&long, &[share("web", 1, None)]), Reason::IdTooLong),
        (channels_of("a", &[share("web", 1, None), share(&long, 1, None)]), Reason::IdTooLong),
        (channels_of("a", &many), Reason::TooMany),
        (channels_of("a", &[share("", 1, None), share("web", 1, None), share("", 1, None)]), Reason::Doubled),
        (channels_of("a", &[share("web", 2, Some(1))]), Reason::Quantity),
        (channels_of("a", &[share("web", 1_000_000_000_001, None)]), Reason::Quantity),
        (channels_of("a", &[share("web", 0, Some(1_000_000_000_001))]), Reason::Quantity),
        (until(-1, &[share("web", 1, None)]), Reason::Times),
        (until(START + 1, &[share("web", 0, Some(1))]), Reason::Times),
        (until(START + 1, &[]), Reason::Times),
    ] {
        assert_eq!(said(&shop.channels(channels)), (Outcome::Invalid, reason));
    }
    let set = shop.channels(three());
    let stale = shop.channels_at(START - 1, channels_of("a", &[]));
    assert_eq!(said(&stale), (Outcome::NotAllowed, Reason::Stale));
    assert_eq!((stale.rule, stale.issued_at_ms), (set.sequence, START));
    shop.channels(channels_of("a", &[]));
    assert_eq!(said(&shop.channels_at(START - 1, three())), (Outcome::NotAllowed, Reason::Stale), "its removal");
}

#[test]
fn channels_need_level_two() {
    let mut shop = Shop::empty(1);
    let refused = shop.channels(three());
    assert_eq!(
        (refused.outcome(), refused.field, refused.asked()),
        (Outcome::Unsupported, 16, proto::Asked::Unspecified)
    );
}
