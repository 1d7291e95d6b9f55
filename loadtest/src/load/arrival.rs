//! When each record is due: an arrival process over a profile.
//!
//! Both processes ask the profile's integral when it reaches a value: the whole numbers for even arrivals, the sums
//! of independent exponential gaps for Poisson ones. Stretching the time of a Poisson process of rate 1 by the integral
//! of a rate gives the process of that rate, however the rate changes (the time-rescaling theorem).

use crate::load::profile::{Cursor, Profile};
use crate::load::scenario::Arrival;
use crate::load::traffic::draw::{mix, unit};

/// Nanoseconds in a second.
const SECOND_NS: f64 = 1e9;

/// Instants, in nanoseconds since the start of the run, that never fall.
#[derive(Clone, Debug)]
pub struct Arrivals {
    cursor: Cursor,
    process: Arrival,
    seed: u64,
    /// How many there have been.
    drawn: u64,
    /// Where in the integral the next one is.
    at: f64,
}

impl Arrivals {
    /// Arrivals over `profile`, whose rate is in arrivals a second. `phase`, from 0 to 1, shifts even arrivals by a
    /// part of their gap, so that several generators do not send at the same instants.
    pub fn new(profile: &Profile, process: Arrival, seed: u64, phase: f64) -> Self {
        let mut arrivals = Self { cursor: profile.cursor(), process, seed, drawn: 0, at: phase };
        if process == Arrival::Poisson {
            arrivals.at = arrivals.gap();
        }
        arrivals
    }

    fn gap(&self) -> f64 {
        match self.process {
            Arrival::Constant => 1.0,
            Arrival::Poisson => -unit(mix(self.seed ^ self.drawn)).ln(),
        }
    }
}

impl Iterator for Arrivals {
    type Item = u64;

    #[inline]
    fn next(&mut self) -> Option<u64> {
        let due_s = self.cursor.when(self.at)?;
        self.drawn += 1;
        self.at += self.gap();
        Some((due_s * SECOND_NS) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(points: &[(f64, f64)]) -> Profile {
        Profile::of_points(points).expect("a profile")
    }

    #[test]
    fn even_arrivals_are_equally_far_apart() {
        let even: Vec<u64> =
            Arrivals::new(&profile(&[(0.0, 1_000.0), (2.0, 1_000.0)]), Arrival::Constant, 0, 0.0).collect();
        assert_eq!(even.len(), 2_000);
        assert!(even.iter().enumerate().all(|(n, at)| at.abs_diff(n as u64 * 1_000_000) <= 1));
    }

    #[test]
    fn a_phase_shifts_by_a_part_of_the_gap() {
        let flat = profile(&[(0.0, 10.0), (1.0, 10.0)]);
        let shifted: Vec<u64> = Arrivals::new(&flat, Arrival::Constant, 0, 0.25).collect();
        assert_eq!(shifted[..3], [25_000_000, 125_000_000, 225_000_000]);
        assert_eq!(shifted.len(), 10);
    }

    #[test]
    fn even_arrivals_on_a_ramp_come_at_the_roots() {
        // The integral of t * 100 is 50 t^2: the n-th arrival is due at sqrt(n / 50).
        let ramp = profile(&[(0.0, 0.0), (10.0, 1_000.0)]);
        for (n, at) in Arrivals::new(&ramp, Arrival::Constant, 0, 0.0).enumerate() {
            let expected = (n as f64 / 50.0).sqrt() * 1e9;
            assert!((at as f64 - expected).abs() < 10.0, "arrival {n} at {at}, and {expected} is due");
        }
    }

    /// Gaps of Poisson arrivals at a rate of 1.
    fn gaps(seed: u64) -> Vec<f64> {
        let flat = profile(&[(0.0, 1_000.0), (200.0, 1_000.0)]);
        let at: Vec<u64> = Arrivals::new(&flat, Arrival::Poisson, seed, 0.0).collect();
        at.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / 1e6).collect()
    }

    #[test]
    fn gaps_of_poisson_arrivals_are_exponential() {
        for seed in 0..5 {
            let mut gaps = gaps(seed);
            let n = gaps.len() as f64;
            let mean = gaps.iter().sum::<f64>() / n;
            let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / n;
            // Standard deviations: 1 / sqrt(n) of the mean, sqrt(8 / n) of the variance.
            assert!((mean - 1.0).abs() < 5.0 / n.sqrt(), "a mean of {mean}");
            assert!((variance - 1.0).abs() < 5.0 * (8.0 / n).sqrt(), "a variance of {variance}");
            gaps.sort_by(f64::total_cmp);
            // Kolmogorov and Smirnov: above 1.95 / sqrt(n) once in a thousand times.
            let distance = gaps.iter().enumerate().fold(0.0_f64, |distance, (i, gap)| {
                let expected = 1.0 - (-gap).exp();
                distance.max((i as f64 / n - expected).abs()).max(((i + 1) as f64 / n - expected).abs())
            });
            assert!(distance < 1.95 / n.sqrt(), "a distance of {distance} in {n}");
        }
    }

    #[test]
    fn successive_gaps_are_independent() {
        for seed in 0..5 {
            let gaps = gaps(seed);
            let n = gaps.len() as f64;
            let product = gaps.windows(2).map(|pair| (pair[0] - 1.0) * (pair[1] - 1.0)).sum::<f64>() / n;
            assert!(product.abs() < 5.0 / n.sqrt(), "a correlation of {product}");
        }
    }

    #[test]
    fn counts_of_poisson_arrivals_vary_as_much_as_they_are_many() {
        // On a ramp: the time-rescaling theorem at work.
        let ramp = profile(&[(0.0, 0.0), (100.0, 20_000.0)]);
        let mut counts = vec![0.0; 1_000];
        for at in Arrivals::new(&ramp, Arrival::Poisson, 9, 0.0) {
            counts[(at / 100_000_000) as usize] += 1.0;
        }
        let dispersion = |(slice, count): (usize, &f64)| {
            let (from, to) = (slice as f64 / 10.0, (slice + 1) as f64 / 10.0);
            let expected = ramp.asked_by(to) - ramp.asked_by(from);
            (count - expected).powi(2) / expected
        };
        let index = counts.iter().enumerate().map(dispersion).sum::<f64>() / counts.len() as f64;
        assert!((index - 1.0).abs() < 5.0 * (2.0 / 1_000.0_f64).sqrt(), "a dispersion of {index}");
    }
}
