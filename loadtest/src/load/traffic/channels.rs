//! Through which channel each order comes.

use super::draw::{Share, mix};
use super::plan::seed_of;
use crate::load::scenario::{Channel, Traffic};

/// Tells the draws of channels from those of orders.
const OF_CHANNEL: u64 = 0x65f1_0a9d_72c4_be83;

/// What orders name as their channel where a scenario names none.
pub(super) const CHANNEL: &str = "rehearsal";

/// The channels of a run, and when each is ordered through.
#[derive(Clone, Debug)]
pub(super) struct Channels {
    run_seed: u64,
    names: Vec<String>,
    /// In the order of time; the first one begins with the first order.
    spans: Vec<Span>,
}

/// A time within which the same channels are open.
#[derive(Clone, Debug)]
struct Span {
    from_us: u64,
    /// Each open channel, and where its share of all draws ends.
    open: Vec<(u32, Share)>,
}

impl Channels {
    pub(super) fn new(traffic: &Traffic, run_seed: u64) -> Self {
        let channels = &traffic.channels;
        let span = |from: std::time::Duration| {
            let open = || channels.iter().enumerate().filter(move |(_, channel)| channel.is_open(from));
            let all: f64 = open().map(|(_, channel)| channel.weight).sum();
            let ends = open().scan(0.0, |sum, (number, channel)| {
                *sum += channel.weight;
                Some((number as u32, Share::new(*sum / all)))
            });
            Span { from_us: from.as_micros() as u64, open: ends.collect() }
        };
        let spans = Channel::turns(channels).into_iter().map(span).collect();
        let names = channels.iter().map(|channel| channel.name.clone());
        let names = if channels.is_empty() { vec![CHANNEL.to_owned()] } else { names.collect() };
        Self { run_seed, names, spans }
    }

    /// Their names, by their numbers.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Number of the channel of order `number` of a generator, which is due at `due_us`.
    #[inline]
    pub(super) fn channel(&self, generator: u32, number: u64, due_us: u64) -> u32 {
        if self.names.len() == 1 {
            return 0;
        }
        let after = self.spans.partition_point(|span| span.from_us <= due_us);
        // A scenario that was loaded has a channel open at every instant of its profile.
        let Some(span) = after.checked_sub(1).map(|at| &self.spans[at]) else { return 0 };
        let bits = (mix(seed_of(self.run_seed, generator) ^ OF_CHANNEL ^ number) >> 32) as u32;
        let drawn = span.open.iter().find(|(_, end)| end.has(bits)).or(span.open.last());
        drawn.map_or(0, |(channel, _)| *channel)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn channel(name: &str, weight: f64, from_s: u64, until_s: u64) -> Channel {
        let [from, until] = [from_s, until_s].map(Duration::from_secs);
        Channel { name: name.to_owned(), weight, from, until }
    }

    fn counts(channels: &Channels, due_us: u64) -> Vec<u32> {
        let mut counts = vec![0; channels.names().len()];
        (0..100_000).for_each(|number| counts[channels.channel(0, number, due_us) as usize] += 1);
        counts
    }

    #[test]
    fn each_is_ordered_through_by_its_weight_while_it_is_open() {
        let list = vec![channel("app", 3.0, 0, 0), channel("web", 1.0, 0, 10), channel("live", 4.0, 20, 0)];
        let channels = Channels::new(&Traffic { channels: list, ..Traffic::default() }, 7);
        for (due_us, expected) in [
            (0, [75_000_u32, 25_000, 0]),
            (9_999_999, [75_000, 25_000, 0]),
            (10_000_000, [100_000, 0, 0]),
            (20_000_000, [42_857, 0, 57_143]),
        ] {
            for (count, expected) in counts(&channels, due_us).into_iter().zip(expected) {
                assert!(count.abs_diff(expected) < 800, "{count} at {due_us}, {expected} are expected");
            }
        }
    }

    #[test]
    fn without_channels_there_is_one() {
        let channels = Channels::new(&Traffic::default(), 7);
        assert_eq!((channels.names(), counts(&channels, 5)), (&[CHANNEL.to_owned()][..], vec![100_000]));
    }
}
