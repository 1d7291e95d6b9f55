//! Which SKU a line wants.

use super::draw::{Share, below, mix};
use crate::load::scenario::Popularity;

/// Answers that in constant time from 64 random bits.
#[derive(Clone, Debug)]
pub(crate) enum Sampler {
    /// All of this many alike.
    Uniform(u32),
    /// By weight.
    Weighted(Box<[Slot]>),
    /// A hot set, numbers 0 to `hot`, and the others.
    Hot { share: Share, hot: u32, skus: u32 },
    /// A hot set that is another one after `every_us`.
    Moving { share: Share, hot: u32, skus: u32, every_us: u64, seed: u64 },
}

/// A slot of an alias table (Vose 1991): its own number below the threshold, the alias from there on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    threshold: u32,
    alias: u32,
}

impl Sampler {
    /// `skus` at least 1, and more than are hot.
    pub(crate) fn new(popularity: Popularity, skus: u32, seed: u64) -> Self {
        match popularity {
            Popularity::Uniform => Self::Uniform(skus),
            Popularity::Zipf { s } => {
                Self::Weighted(alias_table(&(1..=skus).map(|rank| f64::from(rank).powf(-s)).collect::<Vec<_>>()))
            }
            Popularity::Hot { share, skus: hot } => Self::Hot { share: Share::new(share), hot, skus },
            Popularity::MovingHotSet { share, skus: hot, every } => {
                let every_us = (every.as_micros() as u64).max(1);
                Self::Moving { share: Share::new(share), hot, skus, every_us, seed }
            }
        }
    }

    /// The SKU of a line of an order that is due at `due_us`.
    #[inline]
    pub(crate) fn sku(&self, bits: u64, due_us: u64) -> u32 {
        let (which, choice) = ((bits >> 32) as u32, bits as u32);
        match self {
            Self::Uniform(skus) => below(which, *skus),
            Self::Weighted(slots) => {
                let at = below(which, slots.len() as u32);
                let slot = slots[at as usize];
                if choice < slot.threshold { at } else { slot.alias }
            }
            Self::Hot { share, hot, skus } => {
                if share.has(choice) {
                    below(which, *hot)
                } else {
                    hot + below(which, skus - hot)
                }
            }
            Self::Moving { share, hot, skus, every_us, seed } => {
                let first = below((mix(seed ^ (due_us / every_us)) >> 32) as u32, *skus);
                let step = if share.has(choice) { below(which, *hot) } else { hot + below(which, skus - hot) };
                let number = first + step;
                if number < *skus { number } else { number - skus }
            }
        }
    }
}

/// Slots that give each number in proportion to its weight.
fn alias_table(weights: &[f64]) -> Box<[Slot]> {
    let mean = weights.iter().sum::<f64>() / weights.len() as f64;
    let mut filled: Vec<f64> = weights.iter().map(|weight| weight / mean).collect();
    let mut slots: Vec<Slot> = (0..weights.len()).map(|n| Slot { threshold: u32::MAX, alias: n as u32 }).collect();
    let (mut short, mut full): (Vec<usize>, Vec<usize>) = (0..weights.len()).partition(|&n| filled[n] < 1.0);
    while let (Some(taker), Some(&giver)) = (short.pop(), full.last()) {
        slots[taker] = Slot { threshold: (filled[taker] * (1_u64 << 32) as f64) as u32, alias: giver as u32 };
        filled[giver] -= 1.0 - filled[taker];
        if filled[giver] < 1.0 {
            full.pop();
            short.push(giver);
        }
    }
    slots.into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const DRAWS: u64 = 400_000;

    fn counts(popularity: Popularity, skus: u32, due_us: u64) -> Vec<u64> {
        let sampler = Sampler::new(popularity, skus, 7);
        let mut counts = vec![0; skus as usize];
        (0..DRAWS).for_each(|n| counts[sampler.sku(mix(n), due_us) as usize] += 1);
        counts
    }

    /// Pearson's statistic over its degrees of freedom: about 1 if the counts follow the shares, with a standard
    /// deviation of sqrt(2 / degrees).
    fn misfit(counts: &[u64], shares: &[f64]) -> f64 {
        let misfit = |(count, share): (&u64, &f64)| {
            let expected = share * DRAWS as f64;
            (*count as f64 - expected).powi(2) / expected
        };
        counts.iter().zip(shares).map(misfit).sum::<f64>() / (counts.len() - 1) as f64
    }

    #[track_caller]
    fn check(popularity: Popularity, skus: u32, shares: &[f64]) {
        let misfit = misfit(&counts(popularity, skus, 0), shares);
        let allowed = 1.0 + 5.0 * (2.0 / f64::from(skus - 1)).sqrt();
        assert!(misfit < allowed, "{misfit} is over {allowed}");
    }

    #[test]
    fn uniform_wants_all_alike() {
        check(Popularity::Uniform, 1_000, &[1e-3; 1_000]);
    }

    #[test]
    fn zipf_wants_the_nth_in_proportion_to_its_rank() {
        for s in [0.5, 1.0, 1.3] {
            let weights: Vec<f64> = (1..=200).map(|rank| f64::from(rank).powf(-s)).collect();
            let sum: f64 = weights.iter().sum();
            check(Popularity::Zipf { s }, 200, &weights.iter().map(|weight| weight / sum).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_hot_set_takes_its_share_and_the_others_the_rest() {
        let shares: Vec<f64> = (0..100).map(|n| if n < 4 { 0.7 / 4.0 } else { 0.3 / 96.0 }).collect();
        check(Popularity::Hot { share: 0.7, skus: 4 }, 100, &shares);
    }

    #[test]
    fn one_hot_sku_can_take_everything() {
        assert_eq!(counts(Popularity::Hot { share: 1.0, skus: 1 }, 50, 0)[0], DRAWS);
    }

    #[test]
    fn a_moving_hot_set_stays_for_its_time_and_then_is_another() {
        let moving = Popularity::MovingHotSet { share: 0.9, skus: 3, every: Duration::from_secs(5) };
        let hot = |due_us| {
            let counts = counts(moving, 100, due_us);
            let mut hot: Vec<_> = (0..100).filter(|&n| counts[n] > DRAWS / 10).collect();
            hot.sort();
            hot
        };
        assert_eq!(hot(0).len(), 3);
        assert_eq!(hot(0), hot(4_999_999));
        assert_ne!(hot(0), hot(5_000_000));
    }
}
