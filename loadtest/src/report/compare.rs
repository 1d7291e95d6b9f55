//! Two runs side by side.

use std::io::{Write, stdout};

use crate::cli::CompareArgs;
use crate::failure::Failure;
use crate::report::html;
use crate::report::result::format::quantity;
use crate::report::result::metric::{Metric, Unit};
use crate::report::result::table::{right_aligned, table};
use crate::report::result::{Exit, Report};

/// Changes smaller than this, in percent, are what two runs of the same thing differ by.
const NOTABLE_PERCENT: f64 = 5.0;

/// The figures that are compared, by their names in thresholds, and whether more is better.
const FIGURES: [(&str, bool); 25] = [
    ("asked_rate", true),
    ("sent_rate", true),
    ("decided_rate", true),
    ("p50", false),
    ("p90", false),
    ("p99", false),
    ("p99.9", false),
    ("max", false),
    ("generator_lag.p99", false),
    ("backlog", false),
    ("drain", false),
    ("unsent", false),
    ("failed", false),
    ("lost", false),
    ("doubled", false),
    ("wrong", false),
    ("oversold", false),
    ("ruled_out", false),
    ("late", false),
    ("engine.cpu_per_command", false),
    ("broker.cpu_per_command", false),
    ("generator.cpu_per_command", false),
    ("engine.rss", false),
    ("broker.rss", false),
    ("host_busy", false),
];

/// What became of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// No more than two runs of the same thing differ by, or not measured in both.
    Alike,
    /// Better than before.
    Better,
    /// Worse than before.
    Worse,
}

/// One figure of both runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// Its name, as thresholds know it.
    pub name: &'static str,
    /// Of the run before, with its unit.
    pub before: String,
    /// Of the run after.
    pub after: String,
    /// By how much it changed, in words.
    pub by: String,
    /// What that means.
    pub change: Change,
}

/// `loadtest compare`
pub fn command(args: &CompareArgs) -> Result<Exit, Failure> {
    let before = Report::load(&args.before).map_err(Failure::usage)?;
    let after = Report::load(&args.after).map_err(Failure::usage)?;
    if let Some(path) = &args.html {
        html::write(path, &html::compare(&before, &after)).map_err(Failure::usage)?;
    }
    stdout().write_all(text(&before, &after).as_bytes()).map_err(Failure::environment)?;
    Ok(Exit::Ok)
}

/// The comparison as text.
pub fn text(before: &Report, after: &Report) -> String {
    let mut table = table(&["", "A", "B", "B against A", ""]);
    for figure in figures(before, after) {
        let verdict = match figure.change {
            Change::Alike => "",
            Change::Better => "better",
            Change::Worse => "WORSE",
        };
        table.add_row([figure.name, &figure.before, &figure.after, &figure.by, verdict]);
    }
    let table = right_aligned(table, 1);
    let mut text = String::new();
    for (name, report) in [("A", before), ("B", after)] {
        text.push_str(&format!("{name}  {}\n   {}\n", report.headline(), report.setting()));
    }
    for warning in unlike(before, after) {
        text.push_str(&format!("Beware: {warning}\n"));
    }
    text.push_str(&format!("\n{table}\n\n"));
    for (name, report) in [("A", before), ("B", after)] {
        text.push_str(&format!("{name}  {}\n   {}\n", report.result_line(), report.saturation.explained));
    }
    text
}

/// Every figure that one of the runs measured.
pub fn figures(before: &Report, after: &Report) -> Vec<Compared> {
    let compared = FIGURES.into_iter().filter_map(|(name, more_is_better)| {
        let metric = Metric::parse(name).expect("a name that is known");
        let (a, b) = (metric.value(before), metric.value(after));
        let shown = |value: Option<f64>| value.map_or("–".to_owned(), |value| quantity(value, metric.unit()));
        let (by, change) = match (a, b) {
            (None, None) => return None,
            (Some(a), Some(b)) => difference(a, b, metric.unit(), more_is_better),
            _ => (String::new(), Change::Alike),
        };
        Some(Compared { name, before: shown(a), after: shown(b), by, change })
    });
    compared.collect()
}

fn difference(a: f64, b: f64, unit: Unit, more_is_better: bool) -> (String, Change) {
    if a == b {
        return ("=".to_owned(), Change::Alike);
    }
    let change = if (b > a) == more_is_better { Change::Better } else { Change::Worse };
    if a == 0.0 {
        return (format!("+{}", quantity(b, unit)), change);
    }
    let percent = (b / a - 1.0) * 100.0;
    let by = match percent >= 1_000.0 {
        true => format!("{:.0} times", b / a),
        false => format!("{percent:+.1}%"),
    };
    (by, if percent.abs() < NOTABLE_PERCENT { Change::Alike } else { change })
}

/// What makes the runs hard to compare, in words.
pub fn unlike(before: &Report, after: &Report) -> Vec<String> {
    let (a, b) = (&before.meta, &after.meta);
    let host = |report: &Report| format!("{} × {}", report.meta.host_cores, report.meta.host_cpu);
    let pairs = [
        ("the scenarios", a.scenario.clone(), b.scenario.clone()),
        ("the seeds", a.seed.to_string(), b.seed.to_string()),
        ("the hosts", host(before), host(after)),
        ("the generators", a.generators.to_string(), b.generators.to_string()),
        ("the shards", a.shards.to_string(), b.shards.to_string()),
        ("the lanes", a.lanes().to_string(), b.lanes().to_string()),
        ("the orders in a record", a.orders_per_record.to_string(), b.orders_per_record.to_string()),
    ];
    let mut warnings: Vec<_> = pairs
        .into_iter()
        .filter(|(_, a, b)| a != b)
        .map(|(what, a, b)| format!("{what} differ: {a} in A, {b} in B"))
        .collect();
    if warnings.is_empty() && a.scenario_toml != b.scenario_toml {
        warnings.push("the scenario was changed between the runs".to_owned());
    }
    for (name, report) in [("A", before), ("B", after)] {
        if report.saturation.generator_bound {
            warnings.push(format!("in {name} the generator was the bottleneck"));
        }
        if report.saturation.crowded {
            warnings.push(format!("in {name} the host was full of others' work"));
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::result::example::Example;

    fn figure(name: &str, after: &Report) -> Compared {
        let before = Example::default().report();
        figures(&before, after).into_iter().find(|figure| figure.name == name).expect("a figure of both")
    }

    #[test]
    fn what_became_slower_is_worse_and_by_how_much_is_said() {
        let slower = Example { slowness: 1.2, ..Example::default() }.report();
        let p50 = figure("p50", &slower);
        assert_eq!(p50.change, Change::Worse);
        assert!(p50.by.starts_with('+') && p50.by.ends_with('%'), "{p50:?}");
        assert_eq!(figure("sent_rate", &slower).by, "=");
        assert!(text(&Example::default().report(), &slower).contains("WORSE"));
    }

    #[test]
    fn what_two_runs_of_the_same_differ_by_is_no_change() {
        assert_eq!(difference(100.0, 104.0, Unit::Time, false).1, Change::Alike);
        assert_eq!(difference(100.0, 106.0, Unit::Time, false).1, Change::Worse);
        assert_eq!(difference(100.0, 106.0, Unit::Rate, true).1, Change::Better);
        assert_eq!(difference(0.0, 3.0, Unit::Count, false), ("+3".to_owned(), Change::Worse));
        assert_eq!(difference(3.0, 0.0, Unit::Count, false), ("-100.0%".to_owned(), Change::Better));
        assert_eq!(difference(1.0, 50.0, Unit::Time, false).0, "50 times");
    }

    #[test]
    fn what_makes_the_runs_hard_to_compare_is_said_first() {
        let before = Example::default().report();
        assert!(unlike(&before, &before).is_empty());
        let mut other = Example { unsent: 0.2, ..Example::default() }.report();
        other.meta.seed = 8;
        other.meta.host_cores = 64;
        other.meta.lanes = None;
        let text = text(&before, &other);
        for warning in [
            "the seeds differ: 7 in A, 8 in B",
            "the hosts differ",
            "the lanes differ: 2 in A, 4 in B",
            "in B the generator was the bottleneck",
        ] {
            assert!(text.contains(warning), "{warning:?} is missing in\n{text}");
        }
    }
}
