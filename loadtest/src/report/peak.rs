//! The highest rate that holds an objective, and how sure that is.
//!
//! Whether a rate holds is a matter of chance near the limit: the same rate holds in one trial and not in the next.
//! So bisection that believes each trial goes astray. This search keeps, for each rate on a fine grid, the
//! probability that the limit is there, corrects it after every trial by Bayes' rule, and tries next where the limit
//! is as likely above as below: QUEST (Watson & Pelli 1983), the way in which psychophysics measures thresholds. It
//! ends when the limit is known closely enough and the rate that it reports has held in repeated trials, or when its
//! trials are used up.

use std::fmt;
use std::time::Duration;

use clap::Args;

use crate::load::profile::{HIGHEST_RATE, parse_rate};

/// Rates of the grid are this far apart: a quarter of the finest precision that can be asked for.
const GRID_STEP: f64 = 0.0025;

/// How blurred the limit is: at 3% above it a trial holds once in four times. What runs on two busy cores show.
const BLUR: f64 = 0.03;

/// Chance that a trial says the wrong thing however far its rate is from the limit: a neighbour that took the
/// processor.
const LAPSE: f64 = 0.05;

/// The first rate is halved up to this many times in search of one that holds.
const MOST_HALVINGS: i32 = 8;

/// The limit may be so much above the highest rate that may be tried.
const ABOVE_CEILING: f64 = 2.0;

/// Probability that the limit is not below what is reported, unless the trials run out before.
const SURE: f64 = 0.95;

/// How a peak is searched for.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Search")]
pub struct SearchArgs {
    /// Orders a second of the first trial; doubled while it holds.
    #[arg(long, value_name = "RATE", default_value = "10k", value_parser = parse_rate)]
    pub from: f64,
    /// Never try more than this.
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    pub to: Option<f64>,
    /// Length of a trial.
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = humantime::parse_duration)]
    pub trial: Duration,
    /// How closely the limit is to be known: 0.1 is within 10%. Half of it takes twice the trials.
    #[arg(long, value_name = "PART", default_value_t = 0.1, value_parser = parse_precision)]
    pub precision: f64,
    /// In how many trials the reported rate must have held.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub repeats: u32,
    /// Trials after which the search ends with what it knows.
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u32).range(2..=1_000))]
    pub max_trials: u32,
}

fn parse_precision(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(part) if (0.01..=0.5).contains(&part) => Ok(part),
        _ => Err("from 0.01 (1%) to 0.5 (50%)".to_owned()),
    }
}

/// What a trial showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trial {
    /// The objective held, and every answer was right.
    Held,
    /// It did not: says why.
    Missed(String),
    /// The generator could not send so much, which says nothing about the engine: says why.
    GeneratorBound(String),
}

/// A trial that was made.
#[derive(Clone, Debug, PartialEq)]
pub struct Tried {
    /// Orders a second.
    pub rate: f64,
    /// What it showed.
    pub trial: Trial,
}

/// Why the search ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The limit is known as closely as was asked.
    Found,
    /// The trials were used up before.
    OutOfTrials,
    /// The highest rate that was allowed holds.
    Ceiling,
    /// The generator's own limit came first: says why.
    GeneratorBound(String),
    /// Not even the lowest rate that was tried holds.
    NothingHolds,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq)]
pub struct Peak {
    /// The highest rate that can be relied on, in orders a second; none if nothing holds.
    pub rate: Option<f64>,
    /// Trials at that rate or above it, by up to the precision, that held, and all of those.
    pub held: u32,
    /// All trials at that rate.
    pub trials_there: u32,
    /// Probability that the limit is not below `rate`.
    pub sure: f64,
    /// The limit is between these with a probability of 90%.
    pub between: (f64, f64),
    /// Why the search ended.
    pub ended: Ended,
    /// Every trial, in order.
    pub tried: Vec<Tried>,
}

/// Searches with `trial`, which runs at a rate and says whether it held.
///
/// # Errors
/// Whatever ends a trial without a result ends the search.
pub fn search<E>(args: &SearchArgs, mut trial: impl FnMut(f64) -> Result<Trial, E>) -> Result<Peak, E> {
    let ceiling = args.to.unwrap_or(f64::INFINITY);
    let mut tried: Vec<Tried> = Vec::new();
    let mut run = |rate: f64, tried: &mut Vec<Tried>| -> Result<Trial, E> {
        let shown = trial(rate)?;
        tried.push(Tried { rate, trial: shown.clone() });
        Ok(shown)
    };
    let (mut low, mut high): (Option<f64>, Option<f64>) = (None, None);
    let mut rate = args.from.min(ceiling);
    let lowest = rate / 2_f64.powi(MOST_HALVINGS);
    // A trial may be wrong, so no rate is ruled out by those that find out where to look.
    let mut belief = Belief::new(lowest / 2.0, HIGHEST_RATE.min(ceiling * ABOVE_CEILING));
    while (low.is_none() || high.is_none()) && tried.len() < args.max_trials as usize {
        match run(rate, &mut tried)? {
            Trial::Held => low = Some(rate),
            Trial::Missed(_) => high = Some(rate),
            Trial::GeneratorBound(why) => return Ok(at_its_limit(args, tried, low, Ended::GeneratorBound(why))),
        }
        belief.learn(&tried[tried.len() - 1]);
        if rate >= ceiling && low == Some(rate) {
            return Ok(at_its_limit(args, tried, low, Ended::Ceiling));
        }
        rate = if low == Some(rate) { (rate * 2.0).min(ceiling) } else { rate / 2.0 };
        if rate < lowest {
            break;
        }
    }
    if low.is_none() {
        return Ok(at_its_limit(args, tried, None, Ended::NothingHolds));
    }
    let mut ended = Ended::OutOfTrials;
    while tried.len() < args.max_trials as usize {
        let (from, to) = (belief.quantile(0.05), belief.quantile(0.95));
        let rate = if to / from > 1.0 + args.precision {
            belief.quantile(0.5)
        } else {
            // Known closely: what is left is to see the rate hold that will be reported.
            let reported = belief.quantile(1.0 - SURE);
            if held_at(&tried, reported, args.precision).0 >= args.repeats {
                ended = Ended::Found;
                break;
            }
            reported
        };
        if let Trial::GeneratorBound(why) = run(rate.min(ceiling), &mut tried)? {
            ended = Ended::GeneratorBound(why);
            break;
        }
        belief.learn(&tried[tried.len() - 1]);
    }
    let rate = belief.quantile(1.0 - SURE);
    let (held, trials_there) = held_at(&tried, rate, args.precision);
    let between = (belief.quantile(0.05), belief.quantile(0.95));
    Ok(Peak { rate: Some(rate), held, trials_there, sure: belief.not_below(rate), between, ended, tried })
}

/// The end of a search that met something else than the limit.
fn at_its_limit(args: &SearchArgs, tried: Vec<Tried>, low: Option<f64>, ended: Ended) -> Peak {
    let (held, trials_there) = low.map_or((0, 0), |rate| held_at(&tried, rate, args.precision));
    // One trial held: all that is known is how often a trial is wrong.
    let sure = if low.is_some() { 1.0 - LAPSE } else { 0.0 };
    Peak { rate: low, held, trials_there, sure, between: (low.unwrap_or(0.0), f64::INFINITY), ended, tried }
}

/// Trials at `rate`, or above it by up to the precision: those that held, and all.
fn held_at(tried: &[Tried], rate: f64, precision: f64) -> (u32, u32) {
    let there = |tried: &&Tried| tried.rate >= rate * (1.0 - GRID_STEP) && tried.rate <= rate * (1.0 + precision);
    let all = tried.iter().filter(there);
    let held = all.clone().filter(|tried| tried.trial == Trial::Held).count();
    (held as u32, all.count() as u32)
}

/// For each rate of the grid, the probability that the limit is there.
#[derive(Clone, Debug)]
struct Belief {
    first: f64,
    probabilities: Vec<f64>,
}

impl Belief {
    /// Nothing is known but that the limit is between these.
    fn new(from: f64, to: f64) -> Self {
        let steps = ((to / from).ln() / GRID_STEP).ceil() as usize + 1;
        Self { first: from.ln(), probabilities: vec![1.0 / steps as f64; steps] }
    }

    fn learn(&mut self, tried: &Tried) {
        let held = match tried.trial {
            Trial::Held => true,
            Trial::Missed(_) => false,
            Trial::GeneratorBound(_) => return,
        };
        let at = tried.rate.ln();
        let first = self.first;
        for (step, probability) in self.probabilities.iter_mut().enumerate() {
            let above = (first + step as f64 * GRID_STEP - at) / BLUR;
            let holds = LAPSE + (1.0 - 2.0 * LAPSE) / (1.0 + (-above).exp());
            *probability *= if held { holds } else { 1.0 - holds };
        }
        let sum: f64 = self.probabilities.iter().sum();
        self.probabilities.iter_mut().for_each(|probability| *probability /= sum);
    }

    /// The rate below which the limit is with this probability.
    fn quantile(&self, share: f64) -> f64 {
        let mut sum = 0.0;
        let step = self.probabilities.iter().position(|probability| {
            sum += probability;
            sum >= share
        });
        (self.first + step.unwrap_or(self.probabilities.len() - 1) as f64 * GRID_STEP).exp()
    }

    /// Probability that the limit is at `rate` or above.
    fn not_below(&self, rate: f64) -> f64 {
        let first = ((rate.ln() - self.first) / GRID_STEP - 0.5).max(0.0).ceil() as usize;
        self.probabilities[first.min(self.probabilities.len())..].iter().sum()
    }
}

impl fmt::Display for Peak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trials = self.tried.len();
        let Some(rate) = self.rate else {
            let lowest = self.tried.iter().map(|tried| tried.rate).fold(f64::INFINITY, f64::min);
            return match &self.ended {
                Ended::GeneratorBound(why) => {
                    write!(f, "no peak: the generator cannot send {lowest:.0} orders/s ({why}), and nothing lower held")
                }
                _ => write!(f, "no peak: not even {lowest:.0} orders/s held, in {trials} trials"),
            };
        };
        let Self { held, trials_there, sure, between: (from, to), .. } = self;
        if self.ended == Ended::OutOfTrials && *trials_there == 0 {
            let held = self.tried.iter().filter(|tried| tried.trial == Trial::Held).map(|tried| tried.rate);
            let held = held.fold(0.0, f64::max);
            return write!(
                f,
                "no peak yet: {held:.0} orders/s held, but what is sure was never tried; the limit is from {from:.0} to \
                 {to:.0} orders/s with 90%. All {trials} trials were used up (--max-trials); trials that contradict each \
                 other need more of them, or a quieter machine"
            );
        }
        write!(f, "peak: {rate:.0} orders/s; held in {held} of {trials_there} trials there, ")?;
        match &self.ended {
            Ended::Ceiling => write!(f, "and no more was allowed (--to): the limit is not known"),
            Ended::GeneratorBound(why) => {
                write!(f, "and then the generator was the limit ({why}): the engine may hold more")
            }
            Ended::Found | Ended::NothingHolds => write!(
                f,
                "the limit is not below that with a probability of {:.0}%, and from {from:.0} to {to:.0} with 90% \
                 ({trials} trials)",
                sure * 100.0
            ),
            Ended::OutOfTrials => write!(
                f,
                "the limit is not below that with a probability of {:.0}%, and from {from:.0} to {to:.0} with 90%; \
                 all {trials} trials were used up before it was known more closely (--max-trials)",
                sure * 100.0
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    #[test]
    fn a_rate_that_was_never_tried_is_not_reported_as_the_peak() {
        let tried = |rate, trial| Tried { rate, trial };
        let peak = Peak {
            rate: Some(321.0),
            held: 0,
            trials_there: 0,
            sure: 0.95,
            between: (321.0, 84_000.0),
            ended: Ended::OutOfTrials,
            tried: vec![tried(40_000.0, Trial::Held), tried(80_000.0, Trial::Missed("slow".to_owned()))],
        };
        let text = peak.to_string();
        assert!(text.starts_with("no peak yet: 40000 orders/s held") && text.contains("--max-trials"), "{text}");
    }

    fn args() -> SearchArgs {
        SearchArgs {
            from: 10_000.0,
            to: None,
            trial: Duration::from_secs(20),
            precision: 0.05,
            repeats: 3,
            max_trials: 40,
        }
    }

    /// A system whose limit is blurred, and one trial in `lapses` says nothing.
    fn noisy(limit: f64, blur: f64, lapses: f64, seed: u64) -> impl FnMut(f64) -> Result<Trial, ()> {
        let mut rng = StdRng::seed_from_u64(seed);
        move |rate| {
            let holds = 1.0 / (1.0 + ((rate / limit).ln() / blur).exp());
            let held = if rng.random_bool(lapses) { rng.random_bool(0.5) } else { rng.random_bool(holds) };
            Ok(if held { Trial::Held } else { Trial::Missed("p99".to_owned()) })
        }
    }

    fn sharp(limit: f64) -> impl FnMut(f64) -> Result<Trial, ()> {
        move |rate| Ok(if rate <= limit { Trial::Held } else { Trial::Missed("p99".to_owned()) })
    }

    #[test]
    fn a_sharp_limit_is_found_to_the_precision() {
        for limit in [700.0, 9_000.0, 47_000.0, 312_000.0, 2_000_000.0] {
            let peak = search(&args(), sharp(limit)).expect("trials have results");
            let rate = peak.rate.expect("something holds");
            assert_eq!(peak.ended, Ended::Found, "{peak}");
            assert!(rate <= limit && rate > limit * 0.9, "{peak}, and it is {limit}");
            assert!(peak.held >= 3 && peak.sure >= 0.95, "{peak}");
        }
    }

    #[test]
    fn what_is_said_of_a_noisy_limit_is_true_as_often_as_is_said() {
        let searches = 300;
        let (mut between, mut not_below, mut near) = (0, 0, 0);
        for seed in 0..searches {
            let limit = 100_000.0 * (1.0 + seed as f64 / 100.0);
            let peak = search(&args(), noisy(limit, BLUR, 2.0 * LAPSE, seed)).expect("trials have results");
            let rate = peak.rate.expect("something holds");
            between += u32::from((peak.between.0..=peak.between.1).contains(&limit));
            not_below += u32::from(limit >= rate);
            near += u32::from((rate / limit - 1.0).abs() < 0.1);
        }
        let share = |count: u32| f64::from(count) / searches as f64;
        assert!(share(between) > 0.8, "{between} of {searches} intervals hold the limit");
        assert!(share(not_below) > 0.88, "{not_below} of {searches} are not above the limit");
        assert!(share(near) > 0.9, "{near} of {searches} are within 10%");
    }

    #[test]
    fn the_generators_limit_is_not_taken_for_the_engines() {
        let peak = search(&args(), |rate| {
            Ok::<_, ()>(if rate > 50_000.0 { Trial::GeneratorBound("one core".to_owned()) } else { Trial::Held })
        });
        let peak = peak.expect("trials have results");
        assert_eq!(peak.rate, Some(40_000.0));
        assert_eq!(peak.ended, Ended::GeneratorBound("one core".to_owned()));
        assert!(peak.to_string().contains("the engine may hold more"), "{peak}");
    }

    #[test]
    fn no_more_is_tried_than_is_allowed() {
        let allowed = SearchArgs { to: Some(35_000.0), ..args() };
        let peak = search(&allowed, sharp(1e9)).expect("trials have results");
        assert_eq!((peak.rate, &peak.ended), (Some(35_000.0), &Ended::Ceiling));
        assert!(peak.tried.iter().all(|tried| tried.rate <= 35_000.0));
        let few = SearchArgs { max_trials: 6, ..args() };
        let peak = search(&few, noisy(100_000.0, 0.2, 0.3, 1)).expect("trials have results");
        assert_eq!(peak.tried.len(), 6);
    }

    #[test]
    fn an_engine_that_holds_nothing_has_no_peak() {
        let peak = search(&args(), sharp(0.0)).expect("trials have results");
        assert_eq!((peak.rate, &peak.ended), (None, &Ended::NothingHolds));
        assert!(peak.to_string().starts_with("no peak"), "{peak}");
    }

    #[test]
    fn a_trial_without_a_result_ends_the_search() {
        assert_eq!(search(&args(), |_| Err("Kafka is gone")), Err("Kafka is gone"));
    }
}
