//! Each finding, from a cluster that is right but for one thing.

use std::time::Duration;

use super::*;
use crate::admin::facts::BrokerFacts;
use crate::kafka::admin::{Configs, PartitionDescription};

const PARTITIONS: usize = 6;
const WINDOW: Duration = Duration::from_secs(3_600);
const SKEW: Duration = Duration::from_secs(300);

fn configs(pairs: &[(&str, &str)]) -> Configs {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn topic(role: Role, name: &str, id: u8, partitions: usize) -> TopicDescription {
    let mut config = configs(&[("min.insync.replicas", "2")]);
    for need in role.needs() {
        config.entry(need.setting.to_owned()).or_insert_with(|| need.must.example());
    }
    let partition = PartitionDescription { leader: 1, replicas: vec![1, 2, 3], isr: vec![1, 2, 3] };
    TopicDescription { name: name.to_owned(), id: [id; 16], partitions: vec![partition; partitions], config }
}

/// A cluster in which nothing is wrong.
fn right(config: &Config) -> Facts {
    right_with(config, PARTITIONS)
}

/// The same, with so many partitions of `decisions`.
fn right_with(config: &Config, lanes: usize) -> Facts {
    let made = |(id, (role, name)): (u8, (Role, &str))| {
        let partitions = if role == Role::Decisions { lanes } else { PARTITIONS };
        (name.to_owned(), topic(role, name, id, partitions))
    };
    let mut topics: BTreeMap<_, _> = (1..).zip(Role::all(config)).map(made).collect();
    let now = genesis::Topics::of(&topics["orders"], &topics["stock"], &topics["decisions"]);
    let genesis =
        (0..lanes as u32).map(|lane| (lane, Some(Begun::Genesis(now.genesis(lane, WINDOW, SKEW, 0))))).collect();
    topics.insert(TRANSACTION_LOG.to_owned(), topic(Role::Replies, TRANSACTION_LOG, 99, PARTITIONS));
    let broker = BrokerFacts {
        age: BrokerAge::Supported,
        configs: configs(&[
            ("transaction.max.timeout.ms", "900000"),
            ("transaction.partition.verification.enable", "true"),
            ("group.min.session.timeout.ms", "6000"),
            ("group.max.session.timeout.ms", "1800000"),
            ("transaction.state.log.replication.factor", "3"),
            ("transaction.state.log.min.isr", "2"),
        ]),
    };
    Facts {
        brokers: Answer::Found(BTreeMap::from([(1, broker)])),
        topics: topics.into_iter().map(|(name, topic)| (name, Answer::Found(topic))).collect(),
        genesis,
    }
}

/// Judges a right cluster that `spoil` made wrong, and expects one finding that says these things.
#[track_caller]
fn check_demanding(demands: Demands, spoil: impl FnOnce(&mut Facts), severity: Severity, says: &[&str]) {
    let config = Config::defaults();
    let mut facts = right(&config);
    spoil(&mut facts);
    let found = findings(&facts, &config, demands);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].severity, severity, "{found:#?}");
    let text = found[0].to_string();
    for words in says {
        assert!(text.contains(words), "{words:?} is not in {text}");
    }
}

#[track_caller]
fn check(spoil: impl FnOnce(&mut Facts), severity: Severity, says: &[&str]) {
    check_demanding(Demands::default(), spoil, severity, says);
}

fn topic_mut<'a>(facts: &'a mut Facts, name: &str) -> &'a mut TopicDescription {
    match facts.topics.get_mut(name) {
        Some(Answer::Found(topic)) => topic,
        other => panic!("{name}: {other:?}"),
    }
}

fn set<'a>(topic: &'a str, setting: &'a str, value: &'a str) -> impl FnOnce(&mut Facts) + 'a {
    move |facts| {
        topic_mut(facts, topic).config.insert(setting.to_owned(), value.to_owned());
    }
}

fn set_broker<'a>(setting: &'a str, value: &'a str) -> impl FnOnce(&mut Facts) + 'a {
    move |facts| match &mut facts.brokers {
        Answer::Found(brokers) => {
            for broker in brokers.values_mut() {
                broker.configs.insert(setting.to_owned(), value.to_owned());
            }
        }
        other => panic!("{other:?}"),
    }
}

fn genesis_mut(facts: &mut Facts) -> &mut crate::wire::proto::Genesis {
    match facts.genesis.get_mut(&1) {
        Some(Some(Begun::Genesis(genesis))) => genesis,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_cluster_as_topics_create_makes_it_has_no_findings() {
    let config = Config::defaults();
    assert_eq!(findings(&right(&config), &config, Demands::default()), []);
}

#[test]
fn a_log_that_begins_with_newer_rules_needs_a_newer_engine() {
    check(|facts| genesis_mut(facts).rules_level = 9, Severity::Error, &["rules level 9", "or a newer one"]);
}

#[test]
fn inputs_must_have_the_brokers_time() {
    for name in ["orders", "stock"] {
        check(set(name, "message.timestamp.type", "CreateTime"), Severity::Error, &[name, "LogAppendTime"]);
    }
}

#[test]
fn inputs_must_not_be_compacted() {
    check(set("orders", "cleanup.policy", "compact"), Severity::Error, &["compaction"]);
}

#[test]
fn inputs_that_are_soon_deleted_are_warned_of() {
    check(set("orders", "retention.ms", "3600000"), Severity::Warning, &["retention.ms = 3600000", "=86400000"]);
    check(set("stock", "retention.bytes", "1000000"), Severity::Warning, &["retention.bytes", "=-1"]);
}

#[test]
fn the_log_must_be_kept_for_ever_and_whole() {
    check(set("decisions", "retention.ms", "604800000"), Severity::Error, &["rebuilt from the whole log"]);
    check(set("decisions", "retention.bytes", "1000000"), Severity::Error, &["rebuilt from the whole log"]);
    check(set("decisions", "cleanup.policy", "compact"), Severity::Error, &["compaction"]);
}

#[test]
fn outputs_must_take_the_longest_answer() {
    for name in ["decisions", "replies", "dead-letters"] {
        check(set(name, "max.message.bytes", "1048588"), Severity::Error, &[name, "max.message.bytes = 1048588"]);
    }
}

#[test]
fn an_input_that_takes_longer_records_than_can_be_put_aside_is_refused() {
    check(set("orders", "max.message.bytes", "100000000"), Severity::Error, &["stop its shard"]);
    check(set("orders", "max.message.bytes", "1000000"), Severity::Warning, &["refused by the broker"]);
}

#[test]
fn unclean_elections_are_refused_in_development_too() {
    let dev = Demands { dev: true, ..Demands::default() };
    for name in ["orders", "stock", "decisions", "replies", "dead-letters", TRANSACTION_LOG] {
        let spoil = set(name, "unclean.leader.election.enable", "true");
        check_demanding(dev, spoil, Severity::Error, &[name, "unclean"]);
    }
}

#[test]
fn replication_below_three_is_refused_but_for_development() {
    let spoil = |facts: &mut Facts| topic_mut(facts, "orders").partitions[1].replicas = vec![1, 2];
    // Two replicas of which two must be in sync are refused for the replicas alone.
    check(spoil, Severity::Error, &["2 replicas", "--dev"]);
    let config = Config::defaults();
    let mut facts = right(&config);
    spoil(&mut facts);
    assert_eq!(findings(&facts, &config, Demands { dev: true, ..Demands::default() }), []);
}

#[test]
fn min_insync_must_be_two_and_below_the_replicas() {
    check(set("stock", "min.insync.replicas", "1"), Severity::Error, &["one broker alone"]);
    check(set("stock", "min.insync.replicas", "3"), Severity::Warning, &["the loss of one broker"]);
    check(set(TRANSACTION_LOG, "min.insync.replicas", "1"), Severity::Error, &[TRANSACTION_LOG]);
}

#[test]
fn a_transaction_log_that_is_yet_to_be_made_is_judged_by_the_brokers_settings() {
    let spoil = |facts: &mut Facts| {
        facts.topics.insert(TRANSACTION_LOG.to_owned(), Answer::Missing);
        set_broker("transaction.state.log.replication.factor", "1")(facts);
    };
    check(spoil, Severity::Error, &["broker 1", "transaction.state.log.replication.factor = 1"]);
}

#[test]
fn partition_counts_must_agree() {
    let spoil = |facts: &mut Facts| {
        let partitions = &mut topic_mut(facts, "dead-letters").partitions;
        partitions.push(partitions[0].clone());
    };
    check(spoil, Severity::Error, &["dead-letters 7", "orders 6"]);
}

#[test]
fn replies_may_have_any_number_of_partitions() {
    let config = Config::defaults();
    let mut facts = right(&config);
    topic_mut(&mut facts, "replies").partitions.truncate(1);
    assert_eq!(findings(&facts, &config, Demands::default()), []);
}

#[test]
fn a_partition_without_a_leader_is_named() {
    let spoil = |facts: &mut Facts| topic_mut(facts, "replies").partitions[1].leader = -1;
    check(spoil, Severity::Error, &["[1] have no leader"]);
}

#[test]
fn a_missing_topic_says_how_to_make_it() {
    let spoil = |facts: &mut Facts| {
        facts.topics.insert("dead-letters".to_owned(), Answer::Missing);
    };
    check(spoil, Severity::Error, &["dead-letters", "does not exist", "sluice topics create"]);
}

#[test]
fn what_may_not_be_read_names_the_grant() {
    let topic = |facts: &mut Facts| {
        facts.topics.insert("replies".to_owned(), Answer::Denied("Topic authorization failed".to_owned()));
    };
    check(topic, Severity::Error, &["Topic authorization failed", "DescribeConfigs on topic replies"]);
    let brokers = |facts: &mut Facts| facts.brokers = Answer::Denied("Cluster authorization failed".to_owned());
    check(brokers, Severity::Error, &["DescribeConfigs on the cluster"]);
    check_demanding(Demands { dev: true, ..Demands::default() }, brokers, Severity::Warning, &["cannot be read"]);
}

#[test]
fn brokers_must_be_new_enough() {
    let aged = |age| {
        move |facts: &mut Facts| match &mut facts.brokers {
            Answer::Found(brokers) => brokers.get_mut(&1).expect("broker 1").age = age,
            other => panic!("{other:?}"),
        }
    };
    check(aged(BrokerAge::TooOld), Severity::Error, &["broker 1", "3.6"]);
    check(aged(BrokerAge::Unknown), Severity::Warning, &["broker 1", "3.6"]);
}

#[test]
fn brokers_must_verify_what_belongs_to_a_transaction() {
    let name = "transaction.partition.verification.enable";
    check(set_broker(name, "false"), Severity::Error, &[name]);
}

#[test]
fn time_outs_that_the_brokers_would_refuse_are_named_with_the_key() {
    check(
        set_broker("transaction.max.timeout.ms", "20000"),
        Severity::Error,
        &["kafka.transaction_timeout_ms is 30000"],
    );
    check(set_broker("group.min.session.timeout.ms", "30000"), Severity::Error, &["kafka.session_timeout_ms is 10000"]);
    check(set_broker("group.max.session.timeout.ms", "9000"), Severity::Error, &["kafka.session_timeout_ms is 10000"]);
}

#[test]
fn a_log_that_has_not_begun_says_how_to_begin_it() {
    let spoil = |facts: &mut Facts| {
        facts.genesis.insert(1, None);
    };
    check(spoil, Severity::Error, &["decisions[1]", "sluice topics create"]);
}

#[test]
fn a_log_that_begins_with_something_else_is_refused() {
    let spoil = |facts: &mut Facts| {
        facts.genesis.insert(1, Some(Begun::Other("it begins with a link".to_owned())));
    };
    check(spoil, Severity::Error, &["decisions[1]", "begins with a link"]);
}

#[test]
fn a_log_of_recreated_topics_is_refused_unless_the_loss_is_accepted() {
    let spoil = |facts: &mut Facts| genesis_mut(facts).orders_topic_id = vec![7; 16];
    check(spoil, Severity::Error, &["decisions[1]", "another orders topic", "--accept-loss"]);
    let accepting = Demands { accept_loss: true, ..Demands::default() };
    check_demanding(accepting, spoil, Severity::Warning, &["another orders topic"]);
}

#[test]
fn a_log_whose_start_is_gone_is_refused() {
    let spoil = |facts: &mut Facts| {
        facts.genesis.insert(1, Some(Begun::Trimmed(500)));
    };
    check(spoil, Severity::Error, &["begins at offset 500"]);
}

#[test]
fn a_partition_count_that_changed_is_refused_whatever_is_accepted() {
    let spoil = |facts: &mut Facts| genesis_mut(facts).partitions = 4;
    let accepting = Demands { accept_loss: true, ..Demands::default() };
    check_demanding(accepting, spoil, Severity::Error, &["made for 4 partitions, there are 6 now"]);
}

/// Judges a cluster of 6 shards in 2 lanes that `spoil` made wrong; what is found, in words.
fn found_with_lanes(spoil: impl FnOnce(&mut Facts)) -> Vec<String> {
    let config = Config::defaults();
    let mut facts = right_with(&config, 2);
    spoil(&mut facts);
    findings(&facts, &config, Demands::default()).iter().map(Finding::to_string).collect()
}

#[track_caller]
fn check_with_lanes(spoil: impl FnOnce(&mut Facts), says: &[&[&str]]) {
    let found = found_with_lanes(spoil);
    assert_eq!(found.len(), says.len(), "{found:#?}");
    for (found, words) in found.iter().zip(says) {
        let missing: Vec<_> = words.iter().filter(|words| !found.contains(**words)).collect();
        assert!(missing.is_empty(), "{missing:?} is not in {found}");
    }
}

fn each_genesis(facts: &mut Facts, mut change: impl FnMut(&mut Genesis)) {
    for fact in facts.genesis.values_mut() {
        match fact {
            Some(Begun::Genesis(genesis)) => change(genesis),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn shards_may_share_lanes() {
    check_with_lanes(|_| {}, &[]);
}

#[test]
fn a_number_of_lanes_that_changed_is_refused() {
    let grown: &[&str] = &["was made for 3 lanes, the topic has 2 partitions", "begin with new topics"];
    check_with_lanes(|facts| each_genesis(facts, |genesis| genesis.lanes = 3), &[grown, grown]);
}

#[test]
fn a_log_of_another_number_of_lanes_than_the_others_is_told_with_what_each_says() {
    let says: &[&str] = &[
        "decisions[1]",
        "was made for 3 lanes",
        "[0] was made for 6 shards in 2 lanes, [1] was made for 6 shards in 3 lanes",
        "do: let topics.decisions name one topic",
    ];
    check_with_lanes(|facts| genesis_mut(facts).lanes = 3, &[says]);
}

#[test]
fn a_log_in_another_lanes_place_is_refused() {
    check_with_lanes(|facts| genesis_mut(facts).shard = 0, &[&["decisions[1]", "genesis of lane 0", "copied wrongly"]]);
}

#[test]
fn a_lane_without_a_shard_is_refused() {
    let config = Config::defaults();
    let facts = right_with(&config, PARTITIONS + 1);
    let found = findings(&facts, &config, Demands::default());
    let of_topics = found.iter().find(|finding| finding.subject == "topic decisions").expect("a finding");
    assert_eq!(of_topics.severity, Severity::Error);
    assert!(of_topics.found.contains("7 partitions, and orders has 6"), "{of_topics}");
}

#[test]
fn a_partition_of_decisions_without_a_leader_stops_its_shards() {
    let spoil = |facts: &mut Facts| {
        topic_mut(facts, "decisions").partitions[1].leader = -1;
        facts.genesis.remove(&1);
    };
    check_with_lanes(spoil, &[&["topic decisions", "[1] have no leader", "of their shards"]]);
}

#[test]
fn rules_that_this_engine_does_not_know_are_refused() {
    check(|facts| genesis_mut(facts).version = 3, Severity::Error, &["version 3"]);
    check(|facts| genesis_mut(facts).link_hash = "blake9".to_owned(), Severity::Error, &["blake9"]);
    check(|facts| genesis_mut(facts).shard = 0, Severity::Error, &["genesis of shard 0"]);
}

#[test]
fn all_logs_must_follow_the_same_rules() {
    check(|facts| genesis_mut(facts).window_ms = 1_000, Severity::Error, &["window 1000 ms", "other partitions"]);
}
