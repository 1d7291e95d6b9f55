//! From layers to a checked [`Config`], and back to text for `sluice config`.

use std::fmt;
use std::path::PathBuf;

use toml::{Table, Value};

use super::error::{ConfigError, ConfigErrors, Origin};
use super::keys::{self, RULES};
use super::layers::{self, FlagSetting, Layer, Reader};
use super::{Config, DEFAULTS, secrets};
use crate::kafka::{PropertyProblem, RESERVED_PROPERTIES, check_property};
use crate::ledger::BYTES_PER_REMEMBERED_ID;

/// Where settings come from, lowest first; the defaults stand below all.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file named by `--config`.
    pub file: Option<PathBuf>,
    /// Environment variables; those that do not begin with [`super::ENVIRONMENT_PREFIX`] do not matter.
    pub environment: Vec<(String, String)>,
    /// Flags, in the order in which they win.
    pub flags: Vec<FlagSetting>,
}

impl Sources {
    /// What `--set section.key=value` sets.
    ///
    /// # Errors
    /// There is no key or no equals sign.
    pub fn parse_set(written: &str) -> Result<FlagSetting, ConfigError> {
        match written.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                Ok(FlagSetting { flag: "--set", key: key.trim().to_owned(), value: value.to_owned() })
            }
            // What follows an equals sign may be a secret.
            _ => Err(ConfigError::Flag { written: written.split('=').next().unwrap_or_default().to_owned() }),
        }
    }
}

/// The configuration in force. Displayed as TOML, each key with where it was set, without secrets.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The checked configuration.
    pub config: Config,
    settings: Settings,
}

impl Loaded {
    /// Whether nobody set `key`.
    #[must_use]
    pub fn is_default(&self, key: &str) -> bool {
        self.settings.0.get(key).is_some_and(|setting| setting.origin == Origin::Default)
    }
}

/// The layers, merged. Its own type so that no derived `Debug` shows a secret.
#[derive(Clone)]
struct Settings(Layer);

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(key, setting)| (key, &setting.origin))).finish()
    }
}

impl fmt::Display for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let split = |key: &str| match keys::pass_through(key) {
            Some((table, property)) => (table.to_owned(), format!("{property:?}")),
            None => {
                let (section, name) = key.split_once('.').unwrap_or(("", key));
                (section.to_owned(), name.to_owned())
            }
        };
        // A table's own keys must come before the tables within it.
        let mut rows: Vec<_> = self.settings.0.iter().map(|(key, setting)| (split(key), key, setting)).collect();
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        let mut section = String::new();
        for ((table, name), key, setting) in rows {
            if table != section {
                writeln!(f, "{}[{table}]", if section.is_empty() { "" } else { "\n" })?;
                section = table;
            }
            let value = Value::String(secrets::redact(key, &layers::bare(&setting.value)).to_owned());
            let value = if matches!(setting.value, Value::String(_)) { value } else { setting.value.clone() };
            writeln!(f, "{name} = {value}  # {}", setting.origin)?;
        }
        Ok(())
    }
}

/// Lays the layers over each other and checks the result.
///
/// # Errors
/// Everything that is wrong, all at once.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigErrors> {
    let mut merged = layers::defaults(DEFAULTS);
    let defaults = merged.clone();
    let mut reader = Reader::new(&defaults);
    if let Some(path) = &sources.file {
        merged.extend(reader.file(path));
    }
    merged.extend(reader.environment(&sources.environment));
    merged.extend(reader.flags(&sources.flags));
    let mut errors = reader.errors;
    check_each(&merged, &mut errors);
    if !errors.is_empty() {
        return Err(in_order(errors));
    }
    let config = typed(&merged);
    check_together(&config, &merged, &mut errors);
    if errors.is_empty() { Ok(Loaded { config, settings: Settings(merged) }) } else { Err(in_order(errors)) }
}

fn in_order(mut errors: Vec<ConfigError>) -> ConfigErrors {
    errors.sort_by_key(ConfigError::line);
    ConfigErrors(errors)
}

fn refused(layer: &Layer, key: &str, rule: String) -> ConfigError {
    let setting = &layer[key];
    let value = match &setting.value {
        Value::String(text) => Value::String(secrets::redact(key, text).to_owned()).to_string(),
        other => other.to_string(),
    };
    ConfigError::Value { origin: setting.origin.clone(), key: key.to_owned(), value, rule }
}

/// What each value must be by itself.
fn check_each(layer: &Layer, errors: &mut Vec<ConfigError>) {
    for (key, rule) in RULES {
        if let Some(rule) = rule.broken_by(&layer[*key].value) {
            errors.push(refused(layer, key, rule));
        }
    }
    for key in layer.keys() {
        let Some((_, property)) = keys::pass_through(key) else { continue };
        if let Some((_, reason)) = RESERVED_PROPERTIES.iter().find(|(reserved, _)| *reserved == property) {
            errors.push(refused(layer, key, format!("may not be set: {reason}")));
        } else if let Err(PropertyProblem::Invalid(words)) = check_property(property, &layers::bare(&layer[key].value))
        {
            // librdkafka's words quote the value.
            let words = if secrets::is_secret(property) { "librdkafka does not accept it".to_owned() } else { words };
            errors.push(refused(layer, key, words));
        }
    }
}

/// The layers as structs. Types and keys were checked on the way in.
fn typed(layer: &Layer) -> Config {
    let mut table = Table::new();
    for name in keys::PASS_THROUGH {
        descend(&mut table, name);
    }
    for (key, setting) in layer {
        let (section, name) = keys::pass_through(key)
            .unwrap_or_else(|| key.split_once('.').expect("every key of the defaults stands in a section"));
        descend(&mut table, section).insert(name.to_owned(), setting.value.clone());
    }
    table.try_into().expect("the types of all keys were checked against the defaults, and a test loads those")
}

fn descend<'a>(table: &'a mut Table, path: &str) -> &'a mut Table {
    path.split('.').fold(table, |table, name| {
        table
            .entry(name)
            .or_insert_with(|| Value::Table(Table::new()))
            .as_table_mut()
            .expect("no key of the defaults is also a section")
    })
}

/// What values must be to each other. The error stands where the value was set that is furthest from its default.
fn check_together(config: &Config, layer: &Layer, errors: &mut Vec<ConfigError>) {
    let mut check = |kept: bool, key: &str, rule: String| {
        if !kept {
            errors.push(refused(layer, key, rule));
        }
    };
    let (kafka, ledger) = (&config.kafka, &config.ledger);
    check(
        ledger.default_hold_ms <= ledger.max_hold_ms,
        blame(layer, "ledger.default_hold_ms", "ledger.max_hold_ms"),
        format!(
            "ledger.default_hold_ms ({}) must be at most ledger.max_hold_ms ({}); set both",
            ledger.default_hold_ms, ledger.max_hold_ms
        ),
    );
    let expected_bytes = ledger.expected_ids as u64 * BYTES_PER_REMEMBERED_ID as u64;
    check(
        expected_bytes <= ledger.max_remembered_bytes,
        blame(layer, "ledger.expected_ids", "ledger.max_remembered_bytes"),
        format!(
            "ledger.expected_ids ({}) take {expected_bytes} bytes, more than ledger.max_remembered_bytes ({}); set both",
            ledger.expected_ids, ledger.max_remembered_bytes
        ),
    );
    check(
        kafka.commit_timeout_ms < kafka.transaction_timeout_ms,
        blame(layer, "kafka.commit_timeout_ms", "kafka.transaction_timeout_ms"),
        format!(
            "kafka.commit_timeout_ms ({}) must be below kafka.transaction_timeout_ms ({}): a broker would abort what \
             is still being committed; set both",
            kafka.commit_timeout_ms, kafka.transaction_timeout_ms
        ),
    );
    let names = config.topic_names();
    for (i, (key, name)) in names.iter().enumerate() {
        for (other, _) in names[..i].iter().filter(|(_, earlier)| earlier == name) {
            check(false, blame(layer, key, other), format!("{other} and {key} must be different topics"));
        }
    }
}

/// Of two keys that contradict each other, the one that somebody set.
fn blame<'a>(layer: &Layer, first: &'a str, second: &'a str) -> &'a str {
    if layer[first].origin == Origin::Default { second } else { first }
}
