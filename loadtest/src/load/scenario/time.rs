//! Durations in scenarios: text with a unit, such as "1m 30s" or "250ms".

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer};

pub(super) fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_duration(*time))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map_err(|wrong| {
        serde::de::Error::custom(format!(
            "{text:?} is not a time with its unit, for example \"30s\" or \"1m 30s\": {wrong}"
        ))
    })
}
