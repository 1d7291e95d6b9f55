//! The known keys, which of them is most like an unknown one, and what each may be set to.
//!
//! The keys and their types are those of the default configuration; only what a type does not say stands here.

use std::net::SocketAddr;

use toml::Value;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::kafka::{PropertyProblem, RESERVED_PROPERTIES, check_property, property_names};

/// Tables whose keys are librdkafka's, not ours.
pub(super) const PASS_THROUGH: [&str; 3] = ["kafka.common", "kafka.consumer", "kafka.producer"];

/// Longest name that Kafka gives a topic, in bytes (it becomes a directory's name, with the partition behind it).
const MAX_TOPIC_BYTES: usize = 249;

/// Likeness below which a hint would mislead: half of the letters differ.
const LEAST_LIKENESS: f64 = 0.55;

/// Splits a key of a pass-through table into the table and the property.
pub(super) fn pass_through(key: &str) -> Option<(&'static str, &str)> {
    PASS_THROUGH
        .into_iter()
        .find_map(|table| key.strip_prefix(table)?.strip_prefix('.').map(|property| (table, property)))
}

/// Whether librdkafka has a property of this name. Those that may not be set are known too: they are refused with their
/// reason.
pub(super) fn is_property(name: &str) -> bool {
    RESERVED_PROPERTIES.iter().any(|(reserved, _)| *reserved == name)
        || check_property(name, "") != Err(PropertyProblem::Unknown)
}

/// The hint for a property that librdkafka does not have.
pub(super) fn property_hint(table: &str, unknown: &str) -> String {
    // Last parts (`bytes`, `location`) are common to many and tell nothing.
    let likeness = |known: &str| strsim::normalized_damerau_levenshtein(unknown, known);
    match nearest(property_names().iter().map(String::as_str), likeness) {
        Some(known) => format!("librdkafka has no such property: did you mean {table}.{known}?"),
        None => "librdkafka has no such property: its CONFIGURATION.md lists all of them".to_owned(),
    }
}

/// The hint for an unknown key.
pub(super) fn hint<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> String {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let likeness = |key: &str| {
        let whole = strsim::normalized_damerau_levenshtein(unknown, key);
        let tail = strsim::normalized_damerau_levenshtein(&last(unknown), &last(key));
        // A key in the wrong section has the right last part; a slip within the right section is likelier.
        whole.max(tail * 0.9)
    };
    match nearest(known, likeness) {
        Some(key) => format!("did you mean {key}?"),
        _ if unknown.starts_with("kafka.") => {
            "librdkafka's own properties stand in [kafka.common], [kafka.consumer] or [kafka.producer]".to_owned()
        }
        _ => "`sluice config --default` prints every key".to_owned(),
    }
}

/// The most alike of the known names, if it is alike enough.
fn nearest<'a>(known: impl Iterator<Item = &'a str>, likeness: impl Fn(&str) -> f64) -> Option<&'a str> {
    let nearest = known.map(|key| (likeness(key), key)).max_by(|a, b| a.0.total_cmp(&b.0));
    nearest.filter(|(likeness, _)| *likeness >= LEAST_LIKENESS).map(|(_, key)| key)
}

/// What a key may be set to, beyond its type.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rule {
    /// From and to, both allowed, in the unit of the key's name.
    Range(i64, i64),
    /// Not empty.
    Text,
    /// A legal topic name.
    Topic,
    /// A legal topic name, or empty.
    OptionalTopic,
    /// An address and a port, or empty.
    Address,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// Directives of tracing-subscriber.
    LogLevel,
}

const LONGEST_HOLD_MS: i64 = 366 * 24 * 3_600 * 1_000;
const MIB: i64 = 1 << 20;

/// A rule for every key.
pub(super) const RULES: &[(&str, Rule)] = &[
    ("kafka.bootstrap_servers", Rule::Text),
    ("kafka.client_id", Rule::Text),
    ("kafka.group_id", Rule::Text),
    ("kafka.session_timeout_ms", Rule::Range(6_000, 300_000)),
    ("kafka.commit_timeout_ms", Rule::Range(1_000, 60_000)),
    ("kafka.transaction_timeout_ms", Rule::Range(2_000, 900_000)),
    ("kafka.receive_queue_bytes", Rule::Range(MIB, 256 * MIB)),
    ("topics.orders", Rule::Topic),
    ("topics.stock", Rule::Topic),
    ("topics.decisions", Rule::Topic),
    ("topics.replies", Rule::Topic),
    ("topics.dead_letters", Rule::Topic),
    ("topics.per_decision", Rule::OptionalTopic),
    ("ledger.default_hold_ms", Rule::Range(1, LONGEST_HOLD_MS)),
    ("ledger.max_hold_ms", Rule::Range(1, LONGEST_HOLD_MS)),
    ("ledger.expected_ids", Rule::Range(1_024, 1_000_000_000)),
    ("ledger.max_remembered_bytes", Rule::Range(16 * MIB, 1 << 40)),
    ("batch.min_interval_ms", Rule::Range(0, 1_000)),
    ("batch.max_bytes", Rule::Range(MIB, 256 * MIB)),
    ("batch.max_decisions", Rule::Range(1_000, 10_000_000)),
    ("node.stall_timeout_ms", Rule::Range(10_000, 3_600_000)),
    ("node.shutdown_timeout_ms", Rule::Range(1_000, 300_000)),
    ("http.listen", Rule::Address),
    ("log.format", Rule::OneOf(&["text", "json"])),
    ("log.level", Rule::LogLevel),
];

impl Rule {
    /// What is allowed and what to do, if `value` breaks the rule.
    pub(super) fn broken_by(self, value: &Value) -> Option<String> {
        match (self, value) {
            (Self::Range(from, to), Value::Integer(n)) if !(from..=to).contains(n) => {
                let nearest = (*n).clamp(from, to);
                Some(format!("must be from {from} to {to}; the nearest that is allowed is {nearest}"))
            }
            (Self::Text, Value::String(text)) if text.trim().is_empty() => Some("must not be empty".to_owned()),
            (Self::Topic, Value::String(name)) if !is_topic(name) => Some(topic_rule()),
            (Self::OptionalTopic, Value::String(name)) if !name.is_empty() && !is_topic(name) => {
                Some(topic_rule() + ", or empty")
            }
            (Self::Address, Value::String(text)) if !text.is_empty() && text.parse::<SocketAddr>().is_err() => Some(
                "must be an IP address and a port, for example \"127.0.0.1:9464\" or \"0.0.0.0:9464\", or empty to \
                 serve nothing"
                    .to_owned(),
            ),
            (Self::OneOf(names), Value::String(name)) if !names.contains(&name.as_str()) => {
                Some(format!("must be one of {}", names.join(", ")))
            }
            (Self::LogLevel, Value::String(text)) if !is_log_level(text) => Some(
                "must be off, error, warn, info, debug, trace, or directives such as \"info,sluice::log=debug\""
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// A bare word that is no level would name a module whose every event is logged, and silence all others.
fn is_log_level(text: &str) -> bool {
    let bare_words = || text.split(',').filter(|directive| !directive.contains(['=', '[']));
    bare_words().all(|word| word.trim().parse::<LevelFilter>().is_ok()) && EnvFilter::builder().parse(text).is_ok()
}

fn is_topic(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    (1..=MAX_TOPIC_BYTES).contains(&name.len()) && name != "." && name != ".." && name.chars().all(legal)
}

fn topic_rule() -> String {
    format!("must be a topic's name: up to {MAX_TOPIC_BYTES} letters, digits, dots, underscores and hyphens")
}

#[cfg(test)]
mod tests {
    use super::super::layers;
    use super::*;
    use crate::config::DEFAULTS;

    /// The comment lines right above a key of the default configuration.
    fn description(key: &str) -> String {
        let (section, name) = key.rsplit_once('.').expect("a section and a name");
        let mut lines = DEFAULTS.lines().skip_while(|line| *line != format!("[{section}]")).skip(1);
        let mut comment = String::new();
        for line in lines.by_ref() {
            match line.strip_prefix('#') {
                Some(text) => comment += text,
                None if line.starts_with(&format!("{name} = ")) => return comment,
                None if line.starts_with('[') => break,
                None => comment.clear(),
            }
        }
        panic!("{key} is not in the default configuration");
    }

    #[test]
    fn every_key_has_a_rule_and_every_rule_a_key() {
        let known: Vec<_> = layers::defaults(DEFAULTS).into_keys().collect();
        let mut ruled: Vec<_> = RULES.iter().map(|(key, _)| (*key).to_owned()).collect();
        ruled.sort();
        assert_eq!(known, ruled);
    }

    #[test]
    fn every_key_is_described_with_its_unit_and_range() {
        for (key, rule) in RULES {
            let description = description(key);
            assert!(!description.trim().is_empty(), "{key} has no description");
            if let Rule::Range(from, to) = rule {
                let range = (format!("From {from} "), format!(" to {to}"));
                assert!(
                    description.contains(&range.0) && description.contains(&range.1),
                    "{key}: {range:?} in {description}"
                );
            }
            for (suffix, unit) in [("_ms", "milliseconds"), ("_bytes", "bytes")] {
                assert!(!key.ends_with(suffix) || description.contains(unit), "{key}: {unit} in {description}");
            }
        }
    }

    #[track_caller]
    fn check(unknown: &str, expected: &str) {
        let known: Vec<_> = RULES.iter().map(|(key, _)| *key).collect();
        assert_eq!(hint(unknown, known.into_iter()), expected);
    }

    #[test]
    fn the_nearest_key_is_named_also_when_it_stands_in_the_wrong_section() {
        check("kafka.bootstrap_server", "did you mean kafka.bootstrap_servers?");
        check("listen", "did you mean http.listen?");
        check("batch.max_byte", "did you mean batch.max_bytes?");
        check("kafka.shutdown_timeout_ms", "did you mean node.shutdown_timeout_ms?");
    }

    #[test]
    fn a_key_that_is_like_none_is_told_where_to_look() {
        check("colour", "`sluice config --default` prints every key");
        check("kafka.ssl", "librdkafka's own properties stand in [kafka.common], [kafka.consumer] or [kafka.producer]");
    }
}
