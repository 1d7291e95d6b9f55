//! Which properties librdkafka knows, and what it makes of a value: asked before a client is made, so that a slip can be
//! told with its place in the configuration.

use std::sync::OnceLock;

use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;
use thiserror::Error;

use super::ffi;

/// What is wrong with a property.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PropertyProblem {
    /// librdkafka has none of this name.
    #[error("librdkafka has no such property")]
    Unknown,
    /// It has another type or range, or this build cannot do it; librdkafka's words, which quote the value.
    #[error("{0}")]
    Invalid(String),
}

/// What librdkafka makes of a property by itself. Two that contradict each other are found when a client is made.
///
/// # Errors
/// See [`PropertyProblem`].
pub fn check_property(name: &str, value: &str) -> Result<(), PropertyProblem> {
    let mut config = ClientConfig::new();
    match config.set(name, value).create_native_config() {
        Err(KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..)) => Err(PropertyProblem::Unknown),
        Err(KafkaError::ClientConfig(_, words, ..)) => Err(PropertyProblem::Invalid(words)),
        _ => Ok(()),
    }
}

/// Properties without a default, which librdkafka's list of what is set leaves out.
const WITHOUT_DEFAULT: [&str; 33] = [
    "client.rack",
    "debug",
    "group.instance.id",
    "https.ca.location",
    "https.ca.pem",
    "sasl.mechanism",
    "sasl.oauthbearer.assertion.file",
    "sasl.oauthbearer.assertion.private.key.file",
    "sasl.oauthbearer.assertion.private.key.passphrase",
    "sasl.oauthbearer.assertion.private.key.pem",
    "sasl.oauthbearer.client.id",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.config",
    "sasl.oauthbearer.extensions",
    "sasl.oauthbearer.scope",
    "sasl.oauthbearer.token.endpoint.url",
    "sasl.password",
    "sasl.username",
    "ssl.ca.location",
    "ssl.ca.pem",
    "ssl.certificate.location",
    "ssl.certificate.pem",
    "ssl.cipher.suites",
    "ssl.crl.location",
    "ssl.curves.list",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.providers",
    "ssl.sigalgs.list",
    "topic.blacklist",
];

/// The properties that librdkafka knows, most aliases left out.
pub fn property_names() -> &'static [String] {
    static NAMES: OnceLock<Vec<String>> = OnceLock::new();
    NAMES.get_or_init(|| {
        // What only a program can set (callbacks) has underscores in its name.
        let set = ffi::property_names().into_iter().filter(|name| !name.contains('_'));
        set.chain(WITHOUT_DEFAULT.map(str::to_owned)).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_that_is_unknown_is_told_from_a_value_that_is_wrong() {
        assert_eq!(check_property("sasl.password", "x"), Ok(()));
        // An alias.
        assert_eq!(check_property("sasl.mechanism", "PLAIN"), Ok(()));
        // One of a topic.
        assert_eq!(check_property("compression.codec", "zstd"), Ok(()));
        assert_eq!(check_property("sasl.pasword", "x"), Err(PropertyProblem::Unknown));
        assert!(matches!(check_property("fetch.min.bytes", "many"), Err(PropertyProblem::Invalid(_))));
    }

    #[test]
    fn names_are_those_of_clients_and_of_topics_and_all_of_them_are_known() {
        for name in property_names() {
            assert_ne!(check_property(name, ""), Err(PropertyProblem::Unknown), "{name}");
        }
        for name in ["sasl.password", "ssl.ca.location", "fetch.min.bytes", "compression.codec", "security.protocol"] {
            assert!(property_names().iter().any(|known| known == name), "{name}");
        }
    }

    #[test]
    fn every_property_that_holds_a_secret_is_known_as_one() {
        let words = ["password", "secret", "passphrase", "token", "key.pem", "jaas", "credential"];
        for name in property_names().iter().filter(|name| words.iter().any(|word| name.contains(word))) {
            let shown = name.ends_with(".url") || name.ends_with(".ms") || name.contains("claim");
            assert_eq!(crate::config::secrets::is_secret(name), !shown, "{name}");
        }
    }
}
