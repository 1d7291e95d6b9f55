//! A chart as `assets/report.js` draws it: what is shown is decided here, how it looks is decided there.

use serde::Serialize;

use crate::report::result::{Latency, Mark, Report};

/// A chart.
#[derive(Debug, Serialize)]
pub(super) struct Chart {
    /// Its place in the page, and its name in a link to it.
    pub(super) id: &'static str,
    #[serde(skip)]
    pub(super) title: &'static str,
    /// How to read it, in a line.
    #[serde(skip)]
    pub(super) note: &'static str,
    /// Over the page's whole width.
    #[serde(skip)]
    pub(super) wide: bool,
    pub(super) x: X,
    pub(super) unit: Unit,
    pub(super) log: bool,
    pub(super) stacked: bool,
    pub(super) xs: Vec<f64>,
    pub(super) series: Vec<Series>,
    pub(super) marks: Vec<Marked>,
}

/// What the x axis is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum X {
    /// Seconds since the start of the load.
    Time,
    /// 1 / (1 - quantile): on a log axis each step is one nine more.
    Percentile,
}

/// What the values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Unit {
    Count,
    Rate,
    /// Microseconds.
    Time,
    Bytes,
    Cores,
}

/// A line, or a layer of a stack.
#[derive(Debug, Serialize)]
pub(super) struct Series {
    pub(super) label: String,
    /// A colour of the page's theme, `c0` to `c9`.
    pub(super) colour: &'static str,
    pub(super) dash: bool,
    /// Whether it is seen before somebody asks for it.
    pub(super) shown: bool,
    /// One for each x; none leaves a gap.
    pub(super) data: Vec<Option<f64>>,
}

/// A mark on the time axis.
#[derive(Debug, Serialize)]
pub(super) struct Marked {
    at: f64,
    to: Option<f64>,
    label: String,
    fault: bool,
}

impl Series {
    pub(super) fn new(label: impl Into<String>, colour: &'static str, data: Vec<Option<f64>>) -> Self {
        Self { label: label.into(), colour, dash: false, shown: true, data }
    }

    pub(super) fn dashed(mut self) -> Self {
        self.dash = true;
        self
    }

    pub(super) fn hidden(mut self) -> Self {
        self.shown = false;
        self
    }
}

impl Chart {
    /// A chart over the seconds of a run.
    pub(super) fn over_time(id: &'static str, title: &'static str, unit: Unit, seconds: usize) -> Self {
        Self {
            id,
            title,
            note: "",
            wide: false,
            x: X::Time,
            unit,
            log: false,
            stacked: false,
            xs: (0..seconds).map(|second| second as f64).collect(),
            series: Vec::new(),
            marks: Vec::new(),
        }
    }

    /// Latency by percentile, one line a histogram.
    pub(super) fn percentile_curve(lines: Vec<(String, &'static str, &Latency)>) -> Self {
        let most = lines.iter().map(|(_, _, latency)| latency.count()).max().unwrap_or(0);
        let xs = curve_points(most);
        let mut chart = Self::over_time("percentiles", "Latency by percentile", Unit::Time, 0);
        chart.note = "Intended send time to decision readable. Each step to the right is one nine more.";
        chart.x = X::Percentile;
        chart.log = true;
        for (label, colour, latency) in lines {
            // Beyond one value in so many there is nothing to see but the longest.
            let end = latency.count() as f64;
            let data = xs.iter().map(|x| {
                (*x <= end.max(1.0) && !latency.is_empty())
                    .then(|| latency.percentile_us(100.0 - 100.0 / x).max(1) as f64)
            });
            chart.series.push(Series::new(label, colour, data.collect()));
        }
        chart.xs = xs;
        chart
    }

    /// The faults of a run, and the end of its load.
    pub(super) fn marked(mut self, report: &Report) -> Self {
        self.marks = report.marks.iter().map(Marked::fault).collect();
        if report.totals.drain_s > 0.0 {
            let label = "end of load".to_owned();
            self.marks.push(Marked { at: report.totals.load_s, to: None, label, fault: false });
        }
        self
    }
}

impl Marked {
    fn fault(mark: &Mark) -> Self {
        let label = format!("{} {}", mark.what, mark.detail);
        Self {
            at: mark.at_s,
            to: mark.for_s.map(|length| mark.at_s + length),
            label: label.trim().to_owned(),
            fault: true,
        }
    }
}

/// Points for each nine of the curve.
const POINTS_A_NINE: u32 = 24;

/// More nines than this would need more commands than a run has.
const MOST_NINES: u32 = 8;

/// Where the curve is looked at, up to the last nine that `count` values can tell apart.
fn curve_points(count: u64) -> Vec<f64> {
    let nines = count.max(10).ilog10().clamp(1, MOST_NINES);
    (0..=nines * POINTS_A_NINE).map(|n| 10_f64.powf(f64::from(n) / f64::from(POINTS_A_NINE))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_goes_from_the_shortest_to_as_many_nines_as_there_are_values_for() {
        let mut latency = Latency::of_run();
        (1..=100_000).for_each(|us| latency.record(us));
        let chart = Chart::percentile_curve(vec![("all".to_owned(), "c1", &latency)]);
        let data = &chart.series[0].data;
        assert_eq!((chart.xs[0], chart.xs.last().copied()), (1.0, Some(100_000.0)));
        assert_eq!(data[0], Some(1.0));
        let at = |nines: usize| data[nines * POINTS_A_NINE as usize].expect("a value");
        for (nines, us) in [(1, 90_000.0), (2, 99_000.0), (3, 99_900.0)] {
            assert!((at(nines) / us - 1.0).abs() < 0.002, "{nines} nines: {}", at(nines));
        }
    }

    #[test]
    fn a_histogram_without_values_has_no_line() {
        let chart = Chart::percentile_curve(vec![("all".to_owned(), "c1", &Latency::of_run())]);
        assert!(chart.series[0].data.iter().all(Option::is_none));
    }
}
