//! A histogram of microseconds. In JSON it stands as its main figures and, under `hdr`, as the base64 of HdrHistogram's
//! V2 compressed encoding, which every port of HdrHistogram decodes.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Serialize};

/// Longest latency told apart, in microseconds: a day. Longer ones count as this: no run lasts so long, and a broken
/// clock must not make the histogram grow.
pub const LONGEST_US: u64 = 24 * 3600 * 1_000_000;

/// Digits kept of each value of a whole run: 0.1%.
const TOTAL_DIGITS: u8 = 3;

/// Digits kept of each value of one second: 1%, in a tenth of the memory, because a run has thousands of seconds.
const SECOND_DIGITS: u8 = 2;

/// How long things took, in microseconds. Grows with the longest value: about 64 KiB for a run up to 100 ms.
#[derive(Clone, PartialEq)]
pub struct Latency(Histogram<u64>);

/// Its main figures: there are thousands of buckets.
impl fmt::Debug for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99] = [50.0, 99.0].map(|percent| self.percentile_us(percent));
        write!(f, "Latency({} values, p50 {p50} us, p99 {p99} us, max {} us)", self.count(), self.max_us())
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self::of_run()
    }
}

impl Latency {
    /// An empty histogram for a whole run.
    pub fn of_run() -> Self {
        Self(Histogram::new(TOTAL_DIGITS).expect("a supported number of digits"))
    }

    /// An empty, coarser histogram for one second of a run.
    pub fn of_second() -> Self {
        Self(Histogram::new(SECOND_DIGITS).expect("a supported number of digits"))
    }

    /// Counts one value. Allocates only when it is longer than all before.
    pub fn record(&mut self, us: u64) {
        self.record_many(us, 1);
    }

    /// Counts `count` values of the same length, such as all orders of a record.
    pub fn record_many(&mut self, us: u64, count: u64) {
        if count == 0 {
            // The histogram would take it for its longest value all the same.
            return;
        }
        self.0.record_n(us.min(LONGEST_US), count).expect("the histogram grows up to the longest value");
    }

    /// Adds everything that `other` counted: what several generators measured is one measurement.
    pub fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("the histogram grows up to the longest value");
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value that `percent` of all do not exceed, in microseconds; 0 if nothing was counted.
    pub fn percentile_us(&self, percent: f64) -> u64 {
        // Divided by 100 as it is, 99.9 becomes a little more than 0.999, and one value too many is taken in.
        let quantile = (percent * 1e6).round() / 1e8;
        self.0.value_at_quantile(quantile).min(self.max_us())
    }

    /// The shortest value, in microseconds; 0 if nothing was counted.
    pub fn min_us(&self) -> u64 {
        if self.is_empty() { 0 } else { self.0.min() }
    }

    /// The longest value, in microseconds, as exact as the histogram's digits; 0 if nothing was counted.
    pub fn max_us(&self) -> u64 {
        self.0.max()
    }

    /// The mean, in microseconds; 0 if nothing was counted.
    pub fn mean_us(&self) -> f64 {
        self.0.mean()
    }
}

/// As it stands in JSON. Only `hdr` is read back.
#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(default)]
    count: u64,
    #[serde(default)]
    min_us: u64,
    #[serde(default)]
    mean_us: f64,
    #[serde(default)]
    p50_us: u64,
    #[serde(default)]
    p90_us: u64,
    #[serde(default)]
    p99_us: u64,
    #[serde(default)]
    p99_9_us: u64,
    #[serde(default)]
    p99_99_us: u64,
    #[serde(default)]
    max_us: u64,
    hdr: String,
}

impl Serialize for Latency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(&self.0, &mut bytes).map_err(S::Error::custom)?;
        Stored {
            count: self.count(),
            min_us: self.min_us(),
            mean_us: (self.mean_us() * 10.0).round() / 10.0,
            p50_us: self.percentile_us(50.0),
            p90_us: self.percentile_us(90.0),
            p99_us: self.percentile_us(99.0),
            p99_9_us: self.percentile_us(99.9),
            p99_99_us: self.percentile_us(99.99),
            max_us: self.max_us(),
            hdr: STANDARD.encode(bytes),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Latency {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = Stored::deserialize(deserializer)?;
        let bytes = STANDARD.decode(&stored.hdr).map_err(D::Error::custom)?;
        let mut histogram: Histogram<u64> =
            Deserializer::new().deserialize(&mut bytes.as_slice()).map_err(D::Error::custom)?;
        histogram.auto(true);
        Ok(Self(histogram))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[u64]) -> Latency {
        let mut latency = Latency::of_run();
        values.iter().for_each(|us| latency.record(*us));
        latency
    }

    fn stored_and_loaded(latency: &Latency) -> Latency {
        serde_json::from_str(&serde_json::to_string(latency).expect("JSON")).expect("what was stored can be loaded")
    }

    #[test]
    fn percentiles_of_known_data_are_those_of_the_sorted_data() {
        let latency = of(&(1..=1_000).collect::<Vec<_>>());
        assert_eq!(
            [50.0, 90.0, 99.0, 99.9, 100.0].map(|percent| latency.percentile_us(percent)),
            [500, 900, 990, 999, 1_000]
        );
        assert_eq!((latency.min_us(), latency.max_us(), latency.count()), (1, 1_000, 1_000));
    }

    #[test]
    fn an_empty_histogram_says_nought() {
        let empty = stored_and_loaded(&Latency::of_run());
        assert_eq!((empty.count(), empty.min_us(), empty.max_us(), empty.percentile_us(99.0)), (0, 0, 0, 0));
    }

    #[test]
    fn what_is_longer_than_the_longest_counts_as_the_longest() {
        let latency = of(&[1, u64::MAX]);
        assert_eq!(latency.count(), 2);
        assert!(latency.max_us().abs_diff(LONGEST_US) < LONGEST_US / 500);
    }

    #[test]
    fn the_stored_form_is_the_one_that_other_ports_read() {
        // The text of a Java HistogramLogWriter line begins so: "HIST" stands for cookie 0x1c849304 | 0x10.
        let text = serde_json::to_value(of(&[1, 2, 3])).expect("JSON");
        let hdr = text["hdr"].as_str().expect("a text");
        assert!(hdr.starts_with("HISTFAAAA"), "{hdr}");
        assert_eq!(text["max_us"], 3);
    }

    proptest! {
        #[test]
        fn storing_and_loading_changes_nothing(values in proptest::collection::vec(0..LONGEST_US, 0..50)) {
            let latency = of(&values);
            prop_assert_eq!(stored_and_loaded(&latency), latency);
        }

        #[test]
        fn what_several_measured_is_one_measurement(
            a in proptest::collection::vec(0..10_000_000_u64, 0..50),
            b in proptest::collection::vec(0..10_000_000_u64, 0..50),
        ) {
            let mut sum = stored_and_loaded(&of(&a));
            sum.add(&of(&b));
            let all = of(&[a, b].concat());
            prop_assert_eq!(sum.count(), all.count());
            for percent in [0.0, 50.0, 90.0, 99.0, 99.9, 100.0] {
                prop_assert_eq!(sum.percentile_us(percent), all.percentile_us(percent));
            }
        }
    }
}
