//! How many orders a second, over time: straight lines between points, with jumps where two points share an instant.
//!
//! What everything else is derived from is the integral: [`Profile::asked_by`] says how many orders are due up to an
//! instant, [`Profile::cursor`] walks its inverse, and with it when the n-th order is due.

use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use crate::load::scenario::ProfileSpec;

/// Longest profile, in seconds: a week. The instants in order ids reach 12 days.
pub const LONGEST_S: f64 = 7.0 * 86_400.0;

/// Highest rate, in orders a second: beyond it a typing error is likelier than a cluster.
pub const HIGHEST_RATE: f64 = 100_000_000.0;

/// Orders a second: a number, also with k or m behind it.
pub(crate) fn parse_rate(text: &str) -> Result<f64, String> {
    let text = text.trim().to_ascii_lowercase().replace('_', "");
    let (number, factor) = match text.strip_suffix(['k', 'm']) {
        Some(number) => (number, if text.ends_with('k') { 1e3 } else { 1e6 }),
        None => (text.as_str(), 1.0),
    };
    match number.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(rate * factor),
        _ => Err("orders a second, above 0, for example 50000, 583k or 1.2m".to_owned()),
    }
}

/// Why there is no profile.
#[derive(Debug, Error)]
pub enum ProfileError {
    /// The trace cannot be read.
    #[error("profile.file: {}: {reason}", .path.display())]
    Trace {
        /// The file.
        path: PathBuf,
        /// The reader's reason, with its line.
        reason: String,
    },
    /// What it amounts to makes no sense.
    #[error("{0}")]
    Senseless(String),
}

/// A straight piece.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Piece {
    /// Seconds since the start.
    from_s: f64,
    length_s: f64,
    /// Orders a second at its beginning and its end.
    from: f64,
    to: f64,
    /// Orders due before it.
    before: f64,
}

/// See the module's documentation.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    pieces: Vec<Piece>,
    total: f64,
}

impl Profile {
    /// The profile that a scenario asks for.
    ///
    /// # Errors
    /// If a trace cannot be read, or nothing would ever be due.
    pub fn new(spec: &ProfileSpec) -> Result<Self, ProfileError> {
        let s = Duration::as_secs_f64;
        match spec {
            ProfileSpec::Constant { rate, duration } => Self::of_points(&[(0.0, *rate), (s(duration), *rate)]),
            ProfileSpec::Ramp { from, to, over, hold } => {
                Self::of_points(&[(0.0, *from), (s(over), *to), (s(over) + s(hold), *to)])
            }
            ProfileSpec::Steps { rates, each } => {
                let step = |(i, rate): (usize, &f64)| {
                    let from = i as f64 * s(each);
                    [(from, *rate), (from + s(each), *rate)]
                };
                Self::of_points(&rates.iter().enumerate().flat_map(step).collect::<Vec<_>>())
            }
            ProfileSpec::Spike { base, peak, before, rise, hold, after } => {
                let mut at = 0.0;
                let mut points = vec![(at, *base)];
                for (length, rate) in [(before, base), (rise, peak), (hold, peak), (rise, base), (after, base)] {
                    at += s(length);
                    points.push((at, *rate));
                }
                Self::of_points(&points)
            }
            ProfileSpec::Soak { rate, rise, duration } => {
                Self::of_points(&[(0.0, 0.0), (s(rise), *rate), (s(rise) + s(duration), *rate)])
            }
            ProfileSpec::Trace { file, scale, speed } => {
                let points = trace(file)?;
                Self::of_points(&points.into_iter().map(|(at, rate)| (at / speed, rate * scale)).collect::<Vec<_>>())
            }
        }
    }

    /// The lines between `points`: seconds since the start, which never fall, and orders a second.
    ///
    /// # Errors
    /// If nothing would ever be due, or a figure is out of range.
    pub fn of_points(points: &[(f64, f64)]) -> Result<Self, ProfileError> {
        let senseless = |what: String| Err(ProfileError::Senseless(what));
        if let Some((_, rate)) = points.iter().find(|(_, rate)| !(0.0..=HIGHEST_RATE).contains(rate)) {
            return senseless(format!("profile: a rate of {rate} orders/s; it must be from 0 to {HIGHEST_RATE}"));
        }
        let mut profile = Self { pieces: Vec::new(), total: 0.0 };
        for pair in points.windows(2) {
            let [(from_s, from), (to_s, to)] = [pair[0], pair[1]];
            if !(from_s <= to_s && to_s <= LONGEST_S) {
                return senseless(format!(
                    "profile: {to_s} s after {from_s} s; times must not fall, nor exceed a week ({LONGEST_S} s)"
                ));
            }
            if to_s > from_s {
                profile.pieces.push(Piece { from_s, length_s: to_s - from_s, from, to, before: profile.total });
                profile.total += (from + to) / 2.0 * (to_s - from_s);
            }
        }
        if profile.total < 1.0 {
            return senseless("profile: less than one order would be due; raise a rate or a time".to_owned());
        }
        Ok(profile)
    }

    /// Its length.
    pub fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.pieces.last().map_or(0.0, |last| last.from_s + last.length_s))
    }

    /// Its highest rate, in orders a second.
    pub fn peak(&self) -> f64 {
        self.pieces.iter().map(|piece| piece.from.max(piece.to)).fold(0.0, f64::max)
    }

    /// Orders that are due over all of it.
    pub fn total(&self) -> f64 {
        self.total
    }

    /// Orders a second at an instant, in seconds since the start; 0 outside.
    pub fn rate_at(&self, at_s: f64) -> f64 {
        let after = self.pieces.partition_point(|piece| piece.from_s + piece.length_s <= at_s);
        match self.pieces.get(after) {
            Some(piece) if at_s >= piece.from_s => {
                piece.from + (piece.to - piece.from) * (at_s - piece.from_s) / piece.length_s
            }
            _ => 0.0,
        }
    }

    /// Orders due from the start up to an instant, in seconds since the start.
    pub fn asked_by(&self, at_s: f64) -> f64 {
        let after = self.pieces.partition_point(|piece| piece.from_s + piece.length_s <= at_s);
        match self.pieces.get(after) {
            Some(piece) if at_s > piece.from_s => {
                let x = at_s - piece.from_s;
                piece.before + piece.from * x + (piece.to - piece.from) / piece.length_s * x * x / 2.0
            }
            Some(piece) => piece.before,
            None => self.total,
        }
    }

    /// The same over the same time with every rate multiplied.
    pub fn scaled(&self, factor: f64) -> Self {
        let pieces = self.pieces.iter().map(|piece| Piece {
            from: piece.from * factor,
            to: piece.to * factor,
            before: piece.before * factor,
            ..*piece
        });
        Self { pieces: pieces.collect(), total: self.total * factor }
    }

    /// Walks the instants at which given numbers of orders have become due.
    pub fn cursor(&self) -> Cursor {
        Cursor { pieces: self.pieces.clone().into(), total: self.total, at: 0 }
    }
}

/// The inverse of [`Profile::asked_by`], for numbers that never fall.
#[derive(Clone, Debug)]
pub struct Cursor {
    pieces: Box<[Piece]>,
    total: f64,
    at: usize,
}

impl Cursor {
    /// When `count` orders have become due, in seconds since the start; none if it never comes to that.
    #[inline]
    pub fn when(&mut self, count: f64) -> Option<f64> {
        if count >= self.total {
            return None;
        }
        let mut piece = &self.pieces[self.at];
        while let Some(next) = self.pieces.get(self.at + 1).filter(|next| next.before <= count) {
            self.at += 1;
            piece = next;
        }
        let owed = count - piece.before;
        let growth = (piece.to - piece.from) / piece.length_s;
        let x = if growth == 0.0 {
            owed / piece.from
        } else {
            // The root of from * x + growth / 2 * x^2 = owed in the form that loses no digits when growth is small.
            2.0 * owed / (piece.from + (piece.from * piece.from + 2.0 * growth * owed).max(0.0).sqrt())
        };
        // 0/0 where a piece begins at a rate of 0 and nothing is owed yet.
        let x = if x.is_nan() { 0.0 } else { x };
        Some(piece.from_s + x.min(piece.length_s))
    }
}

/// A row of a trace.
#[derive(serde::Deserialize)]
struct Row {
    seconds: f64,
    rate: f64,
}

fn trace(file: &Path) -> Result<Vec<(f64, f64)>, ProfileError> {
    let failed = |reason: String| ProfileError::Trace { path: file.to_owned(), reason };
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .comment(Some(b'#'))
        .from_path(file)
        .map_err(|error| failed(format!("cannot be read: {error}")))?;
    let points = reader
        .deserialize()
        .map(|row| row.map(|Row { seconds, rate }| (seconds, rate)))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| failed(format!("{error}; it needs a head `seconds,rate` and numbers below it")))?;
    match points.first() {
        None => Err(failed("no rows; it needs two at least".to_owned())),
        // A trace may begin at any hour of its day.
        Some(&(first, _)) => Ok(points.into_iter().map(|(at, rate)| (at - first, rate)).collect()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[track_caller]
    fn check(spec: &ProfileSpec, seconds: f64, peak: f64, total: f64, asked: &[(f64, f64)]) {
        let profile = Profile::new(spec).expect("a profile");
        assert_eq!(profile.duration().as_secs_f64(), seconds);
        assert_eq!(profile.peak(), peak);
        assert!((profile.total() - total).abs() < 1e-6, "{} and not {total}", profile.total());
        for (at, expected) in asked {
            assert!((profile.asked_by(*at) - expected).abs() < 1e-6, "by {at} s: {}", profile.asked_by(*at));
        }
        assert_eq!((profile.asked_by(-1.0), profile.asked_by(seconds + 1.0)), (0.0, profile.total()));
    }

    #[test]
    fn integrals_are_those_of_the_drawn_areas() {
        check(&ProfileSpec::Constant { rate: 100.0, duration: S(10) }, 10.0, 100.0, 1_000.0, &[(2.5, 250.0)]);
        check(
            &ProfileSpec::Ramp { from: 0.0, to: 600.0, over: S(60), hold: S(30) },
            90.0,
            600.0,
            18_000.0 + 18_000.0,
            &[(30.0, 4_500.0), (60.0, 18_000.0), (75.0, 27_000.0)],
        );
        check(
            &ProfileSpec::Ramp { from: 5_000.0, to: 583_000.0, over: S(60), hold: S(0) },
            60.0,
            583_000.0,
            17_640_000.0,
            &[(30.0, 5_000.0 * 30.0 + 289_000.0 / 2.0 * 30.0)],
        );
        check(
            &ProfileSpec::Steps { rates: vec![10.0, 0.0, 30.0], each: S(10) },
            30.0,
            30.0,
            400.0,
            &[(10.0, 100.0), (15.0, 100.0), (20.0, 100.0), (25.0, 250.0)],
        );
        check(
            &ProfileSpec::Spike { base: 10.0, peak: 110.0, before: S(5), rise: S(2), hold: S(10), after: S(20) },
            39.0,
            110.0,
            50.0 + 120.0 + 1_100.0 + 120.0 + 200.0,
            &[(5.0, 50.0), (6.0, 50.0 + 35.0), (17.0, 1_270.0), (19.0, 1_390.0)],
        );
        check(&ProfileSpec::Soak { rate: 50.0, rise: S(10), duration: S(100) }, 110.0, 50.0, 5_250.0, &[(10.0, 250.0)]);
    }

    #[test]
    fn a_trace_is_read_from_its_file() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(b"# the day of the drop\nseconds, rate\n3600, 100\n3610, 300\n3620, 300\n").expect("written");
        let trace = |scale, speed| ProfileSpec::Trace { file: file.path().to_owned(), scale, speed };
        check(&trace(1.0, 1.0), 20.0, 300.0, 5_000.0, &[(5.0, 750.0)]);
        check(&trace(2.0, 10.0), 2.0, 600.0, 1_000.0, &[(1.0, 400.0)]);
    }

    #[test]
    fn a_trace_that_cannot_be_read_says_where() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(b"seconds,rate\n0,100\n10,many\n").expect("written");
        let error = Profile::new(&ProfileSpec::Trace { file: file.path().to_owned(), scale: 1.0, speed: 1.0 });
        let error = error.expect_err("no number").to_string();
        assert!(error.contains("line: 3") && error.contains("seconds,rate"), "{error}");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for points in [
            &[][..],
            &[(0.0, 0.0), (10.0, 0.0)],
            &[(0.0, 1.0), (0.5, 1.0)],
            &[(0.0, -1.0), (10.0, 5.0)],
            &[(0.0, f64::NAN), (10.0, 5.0)],
            &[(0.0, 10.0), (10.0, 10.0), (5.0, 10.0)],
            &[(0.0, 10.0), (1e9, 10.0)],
        ] {
            assert!(Profile::of_points(points).is_err(), "{points:?}");
        }
    }

    #[test]
    fn the_rate_is_that_of_the_line() {
        let profile = Profile::of_points(&[(0.0, 10.0), (10.0, 30.0), (10.0, 5.0), (20.0, 5.0)]).expect("a profile");
        assert_eq!([-1.0, 0.0, 5.0, 10.0, 19.9, 20.0].map(|at| profile.rate_at(at)), [0.0, 10.0, 20.0, 5.0, 5.0, 0.0]);
    }

    #[test]
    fn rates_may_be_written_short() {
        assert_eq!(parse_rate("583k"), Ok(583_000.0));
        assert_eq!(parse_rate("1.2M"), Ok(1_200_000.0));
        assert_eq!(parse_rate("50_000"), Ok(50_000.0));
        for wrong in ["", "k", "0", "-5", "fast", "inf", "5g"] {
            assert!(parse_rate(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn the_inverse_undoes_the_integral(
            pieces in proptest::collection::vec((0.0..30.0_f64, 0.0..5_000.0_f64), 2..8),
            parts in proptest::collection::vec(0.0..1.0_f64, 1..40),
        ) {
            let mut at = 0.0;
            let points: Vec<_> = pieces.iter().map(|(length, rate)| { at += length; (at, *rate) }).collect();
            let Ok(profile) = Profile::of_points(&points) else { return Ok(()) };
            let mut counts: Vec<_> = parts.iter().map(|part| part * profile.total() * 0.999).collect();
            counts.sort_by(f64::total_cmp);
            let mut cursor = profile.cursor();
            let mut last = 0.0;
            for count in counts {
                let when = cursor.when(count).expect("below the total");
                prop_assert!(when >= last - 1e-9);
                last = when;
                prop_assert!((profile.asked_by(when) - count).abs() < 1e-6 * profile.total(), "{} at {}", count, when);
            }
            prop_assert_eq!(cursor.when(profile.total()), None);
        }
    }
}
