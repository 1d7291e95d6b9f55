//! Scenarios from text and flags, and what is said of those that cannot be used.

mod days; // deliveries, lots and wishes

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use clap::Parser;
use proptest::prelude::*;

use super::*;
use crate::cli::{Cli, Command, ScenarioArgs};

/// The flags of `loadtest run` with these.
fn args(flags: &[&str]) -> ScenarioArgs {
    let all = ["loadtest", "run"].iter().chain(flags);
    match Cli::try_parse_from(all).expect("flags that exist").command {
        Command::Run(run) => run.scenario,
        other => panic!("{other:?} is not run"),
    }
}

fn loaded(flags: &[&str]) -> Scenario {
    load(&args(flags)).unwrap_or_else(|error| panic!("{error}"))
}

/// What is said of a scenario file with this text.
fn refusal(text: &str, flags: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mine.toml");
    fs::write(&path, text).expect("written");
    let path = path.to_string_lossy().into_owned();
    let all: Vec<&str> = ["-s", &path].into_iter().chain(flags.iter().copied()).collect();
    load(&args(&all)).expect_err("it cannot be used").to_string()
}

const SMALL: &str =
    "name = \"small\"\ndescription = \"d\"\n[profile]\nkind = \"constant\"\nrate = 10\nduration = \"1m\"\n";

/// The folder of the scenarios.
fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../config/scenarios"))
}

#[test]
fn every_scenario_that_comes_with_the_program_can_be_used() {
    for (name, text) in built_in() {
        let scenario = loaded(&["-s", name]);
        assert_eq!(scenario.name, name);
        assert!(scenario.description.lines().count() > 2, "{name} says what it is for and how to read it");
        assert!(!scenario.thresholds.is_empty(), "{name} decides an exit code");
        assert!(text.lines().all(|line| line.len() <= 120), "{name} fits a terminal");
    }
}

#[test]
fn every_file_in_the_folder_comes_with_the_program() {
    let files: BTreeSet<String> = fs::read_dir(folder())
        .expect("the folder")
        .map(|file| file.expect("a file").file_name().to_string_lossy().into_owned())
        .filter_map(|name| name.strip_suffix(".toml").map(str::to_owned))
        .collect();
    assert_eq!(files, built_in().map(|(name, _)| name.to_owned()).collect());
}

#[test]
fn every_scenario_stands_in_the_table() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("the manual");
    for (name, _) in built_in() {
        assert!(text.contains(&format!("| `{name}` |")), "{name}");
    }
}

#[test]
fn every_key_is_described() {
    let text = fs::read_to_string(folder().join("README.md")).expect("the reference");
    let described = |key: &str| text.contains(&format!("`{key}`"));
    fn walk(table: &toml::Table, path: &str, missing: &mut Vec<String>, described: &dyn Fn(&str) -> bool) {
        for (name, value) in table {
            let key = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            match value {
                toml::Value::Table(inner) => walk(inner, &key, missing, described),
                _ if described(&key) => {}
                _ => missing.push(key),
            }
        }
    }
    let mut missing = Vec::new();
    for (name, _) in built_in() {
        walk(&toml::Table::try_from(loaded(&["-s", name])).expect("TOML"), "", &mut missing, &described);
    }
    missing.retain(|key| !key.starts_with("profile.") && !key.starts_with("traffic.popularity."));
    assert_eq!(missing, Vec::<String>::new());
    for kind in ["constant", "ramp", "steps", "spike", "soak", "trace", "uniform", "zipf", "hot", "moving-hot-set"] {
        assert!(described(kind), "{kind}");
    }
}

#[test]
fn a_scenario_as_stored_is_the_scenario() {
    for (name, _) in built_in() {
        let scenario = loaded(&["-s", name, "--rate", "12345", "--duration", "7s", "--seed", "9"]);
        let text = toml::to_string(&scenario).expect("TOML");
        assert_eq!(toml::from_str::<Scenario>(&text).expect("a scenario"), scenario, "{name}");
    }
}

#[test]
fn rate_and_duration_scale_the_whole_profile() {
    for (name, _) in built_in() {
        let (asked, as_is) = (loaded(&["-s", name, "--rate", "4k", "--duration", "30s"]), loaded(&["-s", name]));
        let (asked, as_is) = (asked.profile().expect("one"), as_is.profile().expect("one"));
        assert!((asked.peak() - 4_000.0).abs() < 1e-6, "{name}: {}", asked.peak());
        assert!((asked.duration().as_secs_f64() - 30.0).abs() < 1e-6, "{name}: {:?}", asked.duration());
        let factor = 4_000.0 / as_is.peak() * 30.0 / as_is.duration().as_secs_f64();
        assert!((asked.total() / as_is.total() / factor - 1.0).abs() < 1e-6, "{name}: the shape stays");
    }
}

#[test]
fn set_changes_any_key() {
    let scenario = loaded(&[
        "-s",
        "smoke",
        "--set",
        "traffic.orders_per_record=50",
        "--set",
        "traffic.confirm.after=5s",
        "--set",
        "traffic.pools=[\"rehearsal-x\"]",
        "--set",
        "arrival=constant",
        "--set",
        "thresholds=[\"p50 < 5ms\"]",
        "--set",
        "traffic.popularity.s=1.2",
        "--set",
        "seed=77",
    ]);
    assert_eq!(scenario.traffic.orders_per_record, 50);
    assert_eq!(scenario.traffic.confirm.after, Duration::from_secs(5));
    assert_eq!(scenario.traffic.pools, Pools::Named(vec!["rehearsal-x".to_owned()]));
    assert_eq!(scenario.arrival, Arrival::Constant);
    assert_eq!(scenario.thresholds, ["p50 < 5ms"]);
    assert_eq!(scenario.traffic.popularity, Popularity::Zipf { s: 1.2 });
    assert_eq!(scenario.seed, 77);
}

#[test]
fn real_pools_are_refused_unless_told_in_words() {
    let text = format!("{SMALL}[traffic]\npools = [\"rehearsal-a\", \"east-1\"]\n");
    let said = refusal(&text, &[]);
    assert!(said.contains("\"east-1\"") && said.contains("--i-want-to-order-from-real-pools"), "{said}");
    assert!(!said.contains("rehearsal-a"), "{said}");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mine.toml");
    fs::write(&path, text).expect("written");
    loaded(&["-s", &path.to_string_lossy(), "--i-want-to-order-from-real-pools"]);
    let set = ["-s", "smoke", "--set", "traffic.pools=[\"east-1\"]"];
    assert!(load(&args(&set)).is_err(), "nor through a flag");
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_its_remedy() {
    #[track_caller]
    fn check(text: &str, flags: &[&str], parts: &[&str]) {
        let said = refusal(text, flags);
        for part in parts {
            assert!(said.contains(part), "{part:?} is missing in: {said}");
        }
    }
    check("name = 5", &[], &["mine.toml", "line 1", "string"]);
    check(&SMALL.replace("rate", "rte"), &[], &["unknown field `rte`", "did you mean rate?"]);
    check(&format!("{SMALL}[trafic]\nskus = 1\n"), &[], &["line 7", "did you mean traffic?"]);
    check(&format!("{SMALL}[traffic]\nconfrim = {{}}\n"), &[], &["did you mean confirm?"]);
    check(&SMALL.replace("constant", "constnat"), &[], &["unknown variant `constnat`", "did you mean constant?"]);
    check(&SMALL.replace("1m", "1 fortnight"), &[], &["is not a time with its unit"]);
    check(&SMALL.replace("10", "0"), &[], &["less than one order would be due"]);
    check(&format!("{SMALL}[traffic]\npoison = 1.5\n"), &[], &["traffic.poison = 1.5: must be from 0 to 1"]);
    check(&format!("{SMALL}[traffic]\npools = \"all\"\n"), &[], &["per-partition"]);
    check(&format!("{SMALL}[[faults]]\nat = \"2m\"\nwhat = \"kill-node\"\n"), &[], &["faults[0].at"]);
    check(&format!("thresholds = [\"p99 < fast\"]\n{SMALL}"), &[], &["p99 < fast", "limit"]);
    let much =
        format!("{SMALL}[traffic]\norders_per_record = 1_000\nlines = {{ least = 1, most = 200, quantity = 1 }}\n");
    check(&much, &[], &["orders_per_record", "lines.most", "lower one of them"]);
    let ruled = |rules: &str| format!("{SMALL}[traffic]\nskus = 300\n{rules}");
    check(&ruled("[[rules.sale]]\nopen = \"5s\"\n"), &[], &["unknown field `open`", "did you mean opens?"]);
    check(&ruled("[[rules.sale]]\nskus = [300]\nopens = \"5s\"\n"), &[], &["rules.sale[0].skus names 300"]);
    check(&ruled("[[rules.sale]]\nskus = [5, 5]\nopens = \"5s\"\n"), &[], &["rules.sale[0].skus", "twice"]);
    check(&ruled("[[rules.sale]]\n"), &[], &["rules.sale[0] has neither opens nor closes nor only"]);
    check(&ruled("[[rules.sale]]\nin_turn = true\nopens = \"5s\"\n"), &[], &["rules.sale[0].in_turn without"]);
    let only = "[[rules.sale]]\nonly = [\"east\"]\n";
    check(&ruled(only), &[], &["rules.sale[0].only names none of traffic.segments", "in both"]);
    let twice = ["--set", "traffic.segments=[\"east\", \"east\"]"];
    check(&ruled(only), &twice, &["traffic.segments names a segment twice"]);
    check(&ruled(&only.replace("east", "")), &[], &["rules.sale[0].only: \"\" must have 1 to 128 bytes"]);
    let many: Vec<_> = (0..17).map(|number| format!("\"s{number}\"")).collect();
    let many = format!("[[rules.sale]]\nonly = [{}]\n", many.join(", "));
    check(&ruled(&many), &[], &["rules.sale[0].only has 17 names: at most 16"]);
    check(SMALL, &["--set", "traffic.unsegmented=2"], &["traffic.unsegmented = 2: must be from 0 to 1"]);
    check(SMALL, &["--set", "traffic.ship.share=2"], &["traffic.ship.share = 2: must be from 0 to 1"]);
    check(&ruled("[[rules.sale]]\nopens = \"5s\"\ncloses = \"4s\"\n"), &[], &["rules.sale[0].closes"]);
    check(&ruled("[[rules.sale]]\nopens = \"2m\"\n"), &[], &["rules.sale[0].opens is after the end"]);
    let sale = "[[rules.sale]]\nopens = \"5s\"\n";
    check(&ruled(&sale.repeat(2)), &[], &["rules.sale: two of them name the same SKU"]);
    check(&ruled(sale), &["--set", "traffic.duplicates.changed=0.1"], &["traffic.duplicates.changed = 0.1"]);
    check(&ruled(sale), &["--set", "drain.engine_starts_at=5s"], &["rules.sale[0] with drain.engine_starts_at"]);
    let limit = "[[rules.limit]]\nname = \"one\"\nskus = [1]\nunits = 1\n";
    check(&ruled(&limit.replace("skus = [1]\n", "")), &[], &["rules.limit[0].skus are 300", "at most 200"]);
    check(&ruled(&limit.replace("units = 1\n", "")), &[], &["rules.limit[0] has neither units nor units_an_order"]);
    check(&ruled(&limit.replace("one", "")), &[], &["rules.limit[0].name"]);
    check(&ruled(&limit.repeat(2)), &[], &["rules.limit[1].name = \"one\": another limit has that name"]);
    let three = [limit.to_owned(), limit.replace("one", "two"), limit.replace("one", "three")].concat();
    check(&ruled(&three), &[], &["rules.limit: a SKU stands under more than 2 of them"]);
    let soon = ["--set", "topics.window=2s", "--set", "traffic.confirm.after=1s", "--set", "traffic.ship.after=1s"];
    check(SMALL, &soon, &["topics.window = 2s: Ship comes 2s after its order", "raise topics.window"]);
    check(SMALL, &["--set", "traffic.skuz=5"], &["--set traffic.skuz=5", "no key traffic.skuz", "did you mean skus?"]);
    check(SMALL, &["--set", "traffic.skus=many"], &["--set traffic.skus=many"]);
    check(SMALL, &["--set", "traffic.skus"], &["must be key=value"]);
    check(SMALL, &["--rate", "1e12"], &["a rate of"]);
    check(SMALL, &["--duration", "30days"], &["a week"]);
}

#[test]
fn what_is_wrong_with_channels_floods_and_the_warehouse_is_said_too() {
    #[track_caller]
    fn check(more: &str, flags: &[&str], parts: &[&str]) {
        let text = format!(
            "{SMALL}[traffic]\nskus = 30\nunits = 10\npools = [\"rehearsal-a\"]\n\
             channels = [{{ name = \"app\" }}, {{ name = \"web\", until = \"40s\" }}]\n{more}"
        );
        let said = refusal(&text, flags);
        for part in parts {
            assert!(said.contains(part), "{part:?} is missing in: {said}");
        }
    }
    let channels = |list: &str| ["--set".to_owned(), format!("traffic.channels={list}")];
    for (list, parts) in [
        ("[{ name = \"\" }]", ["traffic.channels[0].name = \"\"", "1 to 128 bytes"]),
        ("[{ name = \"a\" }, { name = \"a\" }]", ["traffic.channels[1].name = \"a\"", "another channel"]),
        ("[{ name = \"a\", weight = 0 }]", ["traffic.channels[0].weight = 0", "left out"]),
        ("[{ name = \"a\", from = \"5s\", until = \"5s\" }]", ["traffic.channels[0].until must be after", "0s"]),
        ("[{ name = \"a\", until = \"5s\" }]", ["none is open from 5s on", "end later"]),
        ("[{ name = \"a\", form = \"5s\" }]", ["unknown field `form`", "did you mean from?"]),
    ] {
        check("", &channels(list).each_ref().map(String::as_str), &parts);
    }
    let floods = |list: &str| ["--set".to_owned(), format!("traffic.floods={list}")];
    for (list, parts) in [
        ("[{ pool = \"rehearsal-b\", times = 2 }]", ["traffic.floods[0].pool", "name it there"]),
        ("[{ pool = \"rehearsal-a\", times = 1 }]", ["traffic.floods[0].times = 1", "above 1"]),
        ("[{ pool = \"rehearsal-a\", times = 2, from = \"1m\" }]", ["traffic.floods[0].from", "after the end"]),
    ] {
        check("", &floods(list).each_ref().map(String::as_str), &parts);
    }
    let rule = |shares: &str, more: &str| format!("[[rules.channels]]\nshares = [{shares}]\n{more}");
    check(&rule("", ""), &[], &["rules.channels[0].shares are 0", "1 to 16"]);
    check(&rule("{ channel = \"wbe\" }", ""), &[], &["shares[0].channel = \"wbe\"", "traffic.channels", "in both"]);
    check(&rule("{ channel = \"\" }, { channel = \"\" }", ""), &[], &["shares[1].channel = \"\" has a share before"]);
    check(
        &rule("{ channel = \"app\", protected = -1 }", ""),
        &[],
        &["rules.channels[0].shares[0]: protected", "from 0"],
    );
    let above = "{ channel = \"app\", protected = 0.5, at_most = 0.4 }";
    check(&rule(above, ""), &[], &["shares[0].protected = 0.5", "above its at_most"]);
    let ends = "protected_until = \"5s\"\n";
    check(&rule("{ channel = \"app\" }", ends), &[], &["rules.channels[0].protected_until", "leave it out"]);
    let fine = rule("{ channel = \"app\", protected = 0.5 }", ends);
    check(&fine, &["--set", "drain.engine_starts_at=5s"], &["rules.channels[0] with drain.engine_starts_at"]);
    check(&[&*fine, &fine].concat(), &[], &["rules.channels: two of them name the same SKU"]);
    let moved = |what: &str, more: &str| format!("[[warehouse]]\nwhat = \"{what}\"\n{more}\n");
    check(&moved("recieve", "share = 1"), &[], &["unknown variant `recieve`", "did you mean receive?"]);
    check(&moved("receive", "share = -0.5"), &[], &["warehouse[0].share = -0.5", "from 0"]);
    check(&moved("count", "share = -1.5"), &[], &["warehouse[0].share = -1.5", "from -1"]);
    check(&moved("adjust", "share = 0"), &[], &["warehouse[0].share = 0", "nothing would move"]);
    check(&moved("adjust", "share = 1\nskus = [30]"), &[], &["warehouse[0].skus names 30"]);
    check(&moved("adjust", "share = 1\nat = \"1m\""), &[], &["warehouse[0].at is after the end"]);
    check(&moved("adjust", "share = 1\nevery = \"1us\""), &[], &["warehouse: 1800000000 commands", "in_turn = true"]);
}

#[test]
fn stock_that_follows_the_rate_sells_out_as_in_the_file() {
    let scenario = loaded(&["-s", "alliance", "--rate", "1000", "--duration", "12s"]);
    let units = loaded(&["-s", "alliance"]).traffic.units;
    assert_eq!(scenario.traffic.units, units / 20);
    assert_eq!(scenario.rules.channels[0].protected_until, Duration::from_millis(7_500));
    assert_eq!(scenario.warehouse[0].at, Duration::from_millis(2_500));
    assert_eq!(scenario.traffic.channels[2].until, Duration::from_secs(3));
    assert_eq!(loaded(&["-s", "sold-out", "--rate", "1000"]).traffic.units, 1_000);
}

#[test]
fn several_mistakes_are_said_at_once() {
    let said = refusal(&format!("{SMALL}[traffic]\npoison = 2.0\nskus = 0\ncancel_early = -1.0\n"), &[]);
    for key in ["traffic.poison", "traffic.skus", "traffic.cancel_early"] {
        assert!(said.contains(key), "{key} is missing in: {said}");
    }
}

#[test]
fn an_unknown_name_is_answered_with_the_nearest() {
    let said = load(&args(&["-s", "festival-openning"])).expect_err("no such scenario").to_string();
    assert!(said.contains("did you mean festival-opening?"), "{said}");
    let said = load(&args(&["-s", "qqq"])).expect_err("no such scenario").to_string();
    assert!(said.contains("loadtest scenarios"), "{said}");
    let said = load(&args(&["-s", "not/here.toml"])).expect_err("no such file").to_string();
    assert!(said.contains("not/here.toml: cannot be read"), "{said}");
}

#[test]
fn a_traces_file_is_found_beside_its_scenario() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("day.csv"), "seconds,rate\n0,10\n60,30\n").expect("written");
    let text = "name = \"t\"\ndescription = \"d\"\n[profile]\nkind = \"trace\"\nfile = \"day.csv\"\n";
    let path = folder.path().join("t.toml");
    fs::write(&path, text).expect("written");
    let path = path.to_string_lossy();
    assert_eq!(loaded(&["-s", &path]).profile().expect("one").total(), 1_200.0);
    let faster = loaded(&["-s", &path, "--rate", "60", "--duration", "30s"]).profile().expect("one");
    assert_eq!((faster.peak(), faster.total()), (60.0, 1_200.0));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,60}", key in "[a-z.=_0-9]{0,30}") {
        let _ = super::load::parse(&text, "test");
        let _ = load(&args(&["-s", "smoke", &format!("--set={key}")]));
    }
}
