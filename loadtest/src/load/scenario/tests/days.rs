//! What is said of deliveries, lots and wishes that cannot be used, and how they follow rate and duration.

use super::*;

#[track_caller]
fn check(more: &str, flags: &[&str], parts: &[&str]) {
    let text = format!("{SMALL}[traffic]\nskus = 30\nunits = 10\npools = [\"rehearsal-a\"]\n{more}");
    let said = refusal(&text, flags);
    for part in parts {
        assert!(said.contains(part), "{part:?} is missing in: {said}");
    }
}

fn service(more: &str) -> String {
    let mut lines = vec!["name = \"dawn\"", "time_zone = \"Asia/Seoul\"", "cutoff = \"30s\""];
    lines.retain(|line| !more.starts_with(line.split(" = ").next().unwrap_or_default()));
    format!("[[rules.delivery]]\n{}\n{more}\n", lines.join("\n"))
}

#[test]
fn what_is_wrong_with_a_delivery_is_said() {
    for (more, parts) in [
        ("name = \"\"", ["rules.delivery[0].name = \"\"", "1 to 128 bytes"]),
        ("time_zone = \"Asia/Soul\"", ["rules.delivery[0].time_zone = \"Asia/Soul\"", "\"Asia/Seoul\""]),
        ("cutoff = \"2m\"", ["rules.delivery[0].cutoff", "after the end"]),
        ("lead = 4\nhorizon = 3", ["rules.delivery[0].lead = 4", "rules.delivery[0].horizon = 3"]),
        ("lead = 15", ["rules.delivery[0].lead = 15", "at most 14"]),
        ("horizon = 0", ["rules.delivery[0].horizon = 0", "from 1 to 62"]),
        ("grace = \"25h\"", ["rules.delivery[0].grace", "24 h"]),
        ("late = \"wait\"", ["unknown variant `wait`", "`roll`"]),
        ("closed = [2, 2]", ["rules.delivery[0].closed", "twice"]),
        ("closed = [2000]", ["rules.delivery[0].closed", "at most 1100"]),
        ("leed = 1", ["unknown field `leed`", "did you mean lead?"]),
    ] {
        check(&service(more), &[], &parts);
    }
    check(&service("").repeat(2), &[], &["rules.delivery[1].name = \"dawn\"", "another service"]);
    check(&service(""), &["--set", "drain.engine_starts_at=5s"], &["rules.delivery with drain.engine_starts_at"]);
    let long = format!("traffic.pools=[\"rehearsal-{}\"]", "a".repeat(112));
    check(&service(""), &["--set", &long], &["traffic.pools", "at most 121 bytes", "run's name"]);
}

#[test]
fn what_is_wrong_with_lots_freshness_and_wishes_is_said() {
    let fresh = |days: &str| format!("[[rules.freshness]]\nleast_days = [{days}]\n");
    check(&fresh("0"), &[], &["rules.freshness[0].least_days", "leave it out"]);
    check(&fresh("4000"), &[], &["rules.freshness[0].least_days", "at most 3650"]);
    check(&fresh("1").repeat(2), &[], &["rules.freshness: two of them name the same SKU"]);
    let lots = |text: &str| format!("lots = {{ {text} }}\n");
    check(&lots("share = 0.5"), &[], &["traffic.lots has share = 0.5 and 0 days", "name both"]);
    check(&lots("share = 2, expires = [1]"), &[], &["traffic.lots.share = 2: must be from 0 to 1"]);
    check(&lots("share = 1, expires = [2000]"), &[], &["traffic.lots.expires", "1100 days"]);
    let many = lots("share = 1, expires = [1, 2]") + "lines = { least = 1, most = 129, quantity = 1 }\n";
    check(&many, &[], &["traffic.lots.expires has 2 lots", "258 parts", "lower one of them"]);
    let moved = lots("share = 0.1, expires = [1]") + "[[warehouse]]\nwhat = \"adjust\"\nshare = 1\n";
    check(&moved, &[], &["warehouse[0].skus: SKU 9 is lotted", "name warehouse[0].lot, or others"]);
    check(&(moved.clone() + "lot = 1\n"), &[], &["warehouse[0].lot", "has 1 lots, numbered from 0"]);
    check(&(moved + "lot = 0\nskus = [3]\n"), &[], &["warehouse[0].skus: SKU 3 has no lots", "or no lot"]);
    let asks = |text: &str| format!("asks = [{{ {text} }}]\n{}", service(""));
    check(&asks("share = 0, in_days = 1"), &[], &["traffic.asks[0].share = 0", "above 0"]);
    check(&asks("share = 0.5"), &[], &["traffic.asks[0] has neither service nor in_days nor late"]);
    check(&asks("share = 0.5, service = \"noon\""), &[], &["traffic.asks[0].service = \"noon\"", "name it there"]);
    check(&asks("share = 1.5, in_days = 1"), &[], &["traffic.asks: their shares are 1.5"]);
    check("asks = [{ share = 0.5, in_days = 1 }]\n", &[], &["traffic.asks without rules.delivery"]);
}

#[test]
fn days_follow_rate_and_duration() {
    let whole = loaded(&["-s", "dawn-delivery"]);
    let scenario = loaded(&["-s", "dawn-delivery", "--rate", "800", "--duration", "12s"]);
    let of = |scenario: &Scenario| (scenario.rules.delivery[0].orders_a_day, scenario.rules.delivery[0].cutoff);
    let (orders, cutoff) = of(&whole);
    assert_eq!(of(&scenario), (orders / 20, cutoff / 2));
    assert_eq!(scenario.traffic.units, whole.traffic.units / 20);
    assert_eq!(scenario.rules.delivery[0].grace, whole.rules.delivery[0].grace);
}

#[test]
fn as_many_skus_are_lotted_as_are_asked_for() {
    for share in [0.0, 0.1, 0.333, 0.8, 1.0] {
        let lots = Lots { share, expires: vec![1] };
        let lotted = (0..10_000).filter(|sku| lots.has(*sku)).count();
        assert_eq!(lotted, (share * 10_000.0) as usize, "{share}");
    }
}
