//! Which librdkafka properties are secrets, and showing configurations without them.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// What is shown instead of a secret.
pub const REDACTED: &str = "(not shown)";

/// Parts of a property's name that make its value a secret. `oauthbearer.config` and `jaas` hold credentials among
/// other things.
const SECRET_PARTS: [&str; 8] =
    ["password", "secret", "key.pem", "token", "passphrase", "oauthbearer.config", "credentials", "jaas"];

/// Properties that a part above would hide for nothing: addresses and lifetimes that people need to see.
const NOT_SECRET: [&str; 1] = ["sasl.oauthbearer.token.endpoint.url"];

/// Whether the value of this librdkafka property (or key that ends in one) must never be shown.
pub fn is_secret(property: &str) -> bool {
    let property = property.to_ascii_lowercase();
    !NOT_SECRET.iter().any(|known| property.ends_with(known)) && SECRET_PARTS.iter().any(|part| property.contains(part))
}

/// `value`, unless it is that of a secret property.
pub fn redact<'a>(property: &str, value: &'a str) -> &'a str {
    if is_secret(property) { REDACTED } else { value }
}

/// librdkafka properties, name to value. Neither `Debug` nor serialising shows a secret.
#[derive(Clone, Default, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub struct Properties(pub BTreeMap<String, String>);

impl Properties {
    fn shown(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), redact(name, value)))
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.shown()).finish()
    }
}

impl Serialize for Properties {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.shown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_show_neither_in_debug_nor_serialised() {
        for name in [
            "sasl.password",
            "ssl.key.password",
            "ssl.keystore.password",
            "ssl.key.pem",
            "sasl.oauthbearer.client.secret",
            "sasl.oauthbearer.config",
            "sasl.oauthbearer.assertion.private.key.pem",
            "sasl.oauthbearer.assertion.private.key.passphrase",
        ] {
            let properties = Properties(BTreeMap::from([(name.to_owned(), "hunter2".to_owned())]));
            let debug = format!("{properties:?}");
            let json = serde_json::to_string(&properties).expect("a map of strings");
            for text in [debug, json] {
                assert!(text.contains(REDACTED) && !text.contains("hunter2"), "{name}: {text}");
            }
        }
    }

    #[test]
    fn what_is_not_secret_is_shown() {
        for name in ["sasl.username", "ssl.ca.location", "ssl.key.location", "sasl.oauthbearer.token.endpoint.url"] {
            assert_eq!(redact(name, "seen"), "seen", "{name}");
        }
    }
}
