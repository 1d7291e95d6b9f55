//! Reading the layers and laying them over each other.
//!
//! A layer is flat: the whole key, `section.key`, to a value and where it was set. So the upper layer wins key by key,
//! and whatever is wrong with a value, also with two values together, can be said with its file and line. The
//! loaders that exist keep a value's file at best, and tell of an unknown key only what serde says.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::Value;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Origin};
use super::keys;
use super::secrets;

/// Begins the name of every environment variable that sets a key.
pub const ENVIRONMENT_PREFIX: &str = "SLUICE__";

/// A value and where it was set.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Setting {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// Whole key to setting. Keys of pass-through tables are the table and the librdkafka property.
pub(super) type Layer = BTreeMap<String, Setting>;

/// A setting from a flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagSetting {
    /// The flag, for example `--group-id`.
    pub flag: &'static str,
    /// The whole key.
    pub key: String,
    /// Its value, as written.
    pub value: String,
}

/// Reads layers against the default one, collecting what is wrong.
pub(super) struct Reader<'a> {
    defaults: &'a Layer,
    pub(super) errors: Vec<ConfigError>,
}

/// The default layer, from the text of `config/sluice.toml`.
pub(super) fn defaults(text: &str) -> Layer {
    let table = DeTable::parse(text).expect("a test loads the default configuration");
    let mut layer = Layer::new();
    flatten_defaults(table.get_ref(), "", &mut layer);
    layer
}

fn flatten_defaults(table: &DeTable<'_>, prefix: &str, layer: &mut Layer) {
    for (name, value) in table {
        let key = join(prefix, name.get_ref());
        match value.get_ref() {
            DeValue::Table(inner) => flatten_defaults(inner, &key, layer),
            scalar => {
                let value = plain(scalar).expect("the default configuration holds strings, integers and booleans");
                layer.insert(key, Setting { value, origin: Origin::Default });
            }
        }
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(defaults: &'a Layer) -> Self {
        Self { defaults, errors: Vec::new() }
    }

    /// The layer of a file.
    pub(super) fn file(&mut self, path: &Path) -> Layer {
        match std::fs::read_to_string(path) {
            Ok(text) => self.text(&text, path),
            Err(source) => {
                self.errors.push(ConfigError::Unreadable { path: path.to_owned(), source });
                Layer::new()
            }
        }
    }

    /// The layer of a file's text.
    pub(super) fn text(&mut self, text: &str, path: &Path) -> Layer {
        let mut layer = Layer::new();
        let at = |span: Option<Range<usize>>| {
            let line = 1 + text.as_bytes().iter().take(span.map_or(0, |s| s.start)).filter(|b| **b == b'\n').count();
            Origin::File { path: PathBuf::from(path), line }
        };
        match DeTable::parse(text) {
            Ok(table) => self.table(table.get_ref(), "", &at, &mut layer),
            Err(error) => {
                let what = error.message().replace('\n', ", ");
                self.errors.push(ConfigError::Syntax { origin: at(error.span()), what });
            }
        }
        layer
    }

    fn table(
        &mut self,
        table: &DeTable<'_>,
        prefix: &str,
        at: &dyn Fn(Option<Range<usize>>) -> Origin,
        layer: &mut Layer,
    ) {
        for (name, value) in table {
            let key = join(prefix, name.get_ref());
            let origin = at(Some(Spanned::span(name)));
            match value.get_ref() {
                DeValue::Table(inner) if self.is_section(&key) => self.table(inner, &key, at, layer),
                _ if self.is_section(&key) && keys::pass_through(&key).is_none() => {
                    self.refuse(origin, &key, shown(value.get_ref()), "must be a table");
                }
                other => match (self.expected(&key), plain(other)) {
                    (None, _) => self.unknown(origin, key),
                    (Some(expected), Some(value)) if value.same_type(&expected) => {
                        layer.insert(key, Setting { value, origin });
                    }
                    (Some(_), Some(value)) if keys::pass_through(&key).is_some() => {
                        layer.insert(key, Setting { value: Value::String(bare(&value)), origin });
                    }
                    (Some(expected), _) => {
                        let shown = secrets::redact(&key, &shown(other)).to_owned();
                        self.refuse(origin, &key, shown, type_rule(&expected));
                    }
                },
            }
        }
    }

    /// The layer of the environment.
    pub(super) fn environment(&mut self, variables: &[(String, String)]) -> Layer {
        let mut layer = Layer::new();
        for (name, text) in variables {
            let Some(rest) = name.strip_prefix(ENVIRONMENT_PREFIX) else { continue };
            let mut key = rest.to_ascii_lowercase().replace("__", ".");
            if let Some((table, property)) = keys::pass_through(&key) {
                key = join(table, &property.replace('_', "."));
            }
            self.text_setting(Origin::Environment(name.clone()), key, text, &mut layer);
        }
        layer
    }

    /// The layer of the flags; a later one wins.
    pub(super) fn flags(&mut self, flags: &[FlagSetting]) -> Layer {
        let mut layer = Layer::new();
        for FlagSetting { flag, key, value } in flags {
            self.text_setting(Origin::Flag(flag), key.clone(), value, &mut layer);
        }
        layer
    }

    /// A setting that comes as text takes the type that its key has.
    fn text_setting(&mut self, origin: Origin, key: String, text: &str, layer: &mut Layer) {
        let Some(expected) = self.expected(&key) else { return self.unknown(origin, key) };
        let value = match expected {
            Value::Integer(_) => text.trim().replace('_', "").parse().ok().map(Value::Integer),
            Value::Boolean(_) => text.trim().parse().ok().map(Value::Boolean),
            _ => Some(Value::String(text.to_owned())),
        };
        match value {
            Some(value) => {
                layer.insert(key, Setting { value, origin });
            }
            None => self.refuse(origin, &key, format!("{text:?}"), type_rule(&expected)),
        }
    }

    /// A value of the type that this key has; none if there is no such key. A property that librdkafka does not know is
    /// none either, which also keeps the value of a misspelt password from being shown.
    fn expected(&self, key: &str) -> Option<Value> {
        match keys::pass_through(key) {
            Some((_, property)) => keys::is_property(property).then(|| Value::String(String::new())),
            None => self.defaults.get(key).map(|setting| setting.value.clone()),
        }
    }

    fn is_section(&self, key: &str) -> bool {
        let within = |known: &str| known.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'));
        keys::PASS_THROUGH.contains(&key)
            || keys::pass_through(key).is_some()
            || self.defaults.keys().any(|known| within(known))
    }

    fn unknown(&mut self, origin: Origin, key: String) {
        if let Some((table, property)) = keys::pass_through(&key) {
            let hint = keys::property_hint(table, property);
            return self.errors.push(ConfigError::UnknownKey { origin, key, hint });
        }
        let sections = self.defaults.keys().filter_map(|known| known.split('.').next());
        let known = self.defaults.keys().map(String::as_str).chain(sections).chain(keys::PASS_THROUGH);
        let hint = keys::hint(&key, known);
        self.errors.push(ConfigError::UnknownKey { origin, key, hint });
    }

    fn refuse(&mut self, origin: Origin, key: &str, value: String, rule: &str) {
        self.errors.push(ConfigError::Value { origin, key: key.to_owned(), value, rule: rule.to_owned() });
    }
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

/// Strings, integers and booleans; no key has another type.
fn plain(value: &DeValue<'_>) -> Option<Value> {
    match value {
        DeValue::String(text) => Some(Value::String(text.clone().into_owned())),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok().map(Value::Integer),
        DeValue::Boolean(truth) => Some(Value::Boolean(*truth)),
        _ => None,
    }
}

/// A value without quotes.
pub(super) fn bare(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A value as a person would have written it.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => Value::String(text.clone().into_owned()).to_string(),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) => "[...]".to_owned(),
        DeValue::Table(_) => "{...}".to_owned(),
    }
}

fn type_rule(expected: &Value) -> &'static str {
    match expected {
        Value::Integer(_) => "must be a whole number without a unit, for example 15000 (the key's name has the unit)",
        Value::Boolean(_) => "must be true or false",
        _ => "must be a text in quotes",
    }
}
