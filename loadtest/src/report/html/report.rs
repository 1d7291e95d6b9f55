//! The page of one run.

use std::cmp::Reverse;

use super::chart::{Chart, Series, Unit};
use super::page::{Cell, Page, Tone};
use crate::report::result::format::{bytes, count, quantity, time_us};
use crate::report::result::metric::Unit as Figure;
use crate::report::result::{Check, Ended, Exit, Flood, Latency, Report, Second, Side};

/// Percentiles over time, with the colour of each.
const OVER_TIME: [(&str, f64, &str); 5] =
    [("p50", 50.0, "c6"), ("p90", 90.0, "c1"), ("p99", 99.0, "c3"), ("p99.9", 99.9, "c7"), ("max", 100.0, "c5")];

/// Colours of the sides.
const SIDES: [(Side, &str); 4] =
    [(Side::Engine, "c1"), (Side::Broker, "c4"), (Side::Generator, "c2"), (Side::Reader, "c3")];

/// Columns of the latency table.
const PERCENTILES: [(&str, f64); 5] = [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9), ("p99.99", 99.99)];

/// The page of one run.
pub(super) fn page(report: &Report) -> String {
    let mut page = Page::new(&report.meta.scenario);
    let (verdict, tone) = match report.exit() {
        Exit::Ok if report.saturation.generator_bound || report.saturation.crowded => ("PASSED", Tone::Warn),
        Exit::Ok => ("PASSED", Tone::Good),
        Exit::Interrupted => ("INTERRUPTED", Tone::Warn),
        Exit::Environment => ("BROKEN OFF", Tone::Bad),
        Exit::Failed | Exit::Usage => ("FAILED", Tone::Bad),
    };
    let meta = &report.meta;
    page.heading(verdict, tone, &format!("run {} · seed {} · {}", meta.run_id, meta.seed, meta.started_at));
    page.about(&meta.description);
    if tone != Tone::Good {
        page.notice(&report.result_line(), tone);
    }
    let limited = match (report.saturation.generator_bound, report.saturation.crowded) {
        (true, _) => Tone::Bad,
        (false, true) => Tone::Warn,
        (false, false) => Tone::Plain,
    };
    page.notice(&report.saturation.explained, limited);
    page.tiles(&tiles(report));
    page.cards(|page| {
        charts(report).into_iter().for_each(|chart| page.chart(chart.marked(report)));
        page.chart(percentile_curve(report));
    });
    page.cards(|page| tables(page, report));
    page.finish()
}

fn tiles(report: &Report) -> Vec<(&'static str, String, String)> {
    let totals = &report.totals;
    let at = |percent: f64| time_us(report.latency.percentile_us(percent) as f64);
    let rate = |commands: u64| quantity(report.mean_rate(commands), Figure::Rate);
    let host = report.saturation.host_busy.map(|busy| quantity(busy * 100.0, Figure::Percent));
    let nobody = if report.saturation.crowded { "host, by others" } else { "nothing" };
    let saturated = report.saturation.side.map_or(nobody, Side::name);
    let wrong: u64 = report.verification.findings.iter().map(|finding| finding.count).sum();
    let checked = format!("of {} checked", count(report.verification.checked));
    vec![
        ("decided, mean", quantity(report.decided_rate(), Figure::Rate), format!("of {} asked", rate(totals.asked))),
        ("p50", at(50.0), "from the intended time".to_owned()),
        ("p99", at(99.0), format!("p99.9 {}", at(99.9))),
        ("max", at(100.0), format!("generator lag p99 {}", time_us(report.generator_lag.percentile_us(99.0) as f64))),
        ("wrong decisions", count(wrong), checked),
        ("saturated", saturated.to_owned(), host.map(|busy| format!("host {busy} busy")).unwrap_or_default()),
    ]
}

fn over_time(report: &Report, id: &'static str, title: &'static str, unit: Unit) -> Chart {
    Chart::over_time(id, title, unit, report.seconds.len())
}

/// Values of each second.
fn line(report: &Report, of: impl Fn(&Second) -> Option<f64>) -> Vec<Option<f64>> {
    report.seconds.iter().map(of).collect()
}

fn charts(report: &Report) -> Vec<Chart> {
    let mut rates = over_time(report, "rates", "Rate asked and reached", Unit::Rate);
    rates.note = "Commands a second. Decided counts where the decision became readable.";
    rates.wide = true;
    rates.series = vec![
        Series::new("asked", "c0", line(report, |second| Some(second.asked as f64))).dashed(),
        Series::new("sent", "c1", line(report, |second| Some(second.sent as f64))),
        Series::new("decided", "c2", line(report, |second| Some(second.decided as f64))),
        Series::new("failed", "c5", line(report, |second| Some(second.failed as f64))).hidden(),
    ];

    let mut latency = over_time(report, "latency", "Latency over time", Unit::Time);
    latency.note =
        "Of the commands intended for each second, however late the answer: a stall shows from where it began.";
    latency.wide = true;
    latency.log = true;
    latency.series =
        OVER_TIME.map(|(name, percent, colour)| Series::new(name, colour, percentiles(report, percent))).into();

    let mut outcomes = over_time(report, "outcomes", "Outcomes", Unit::Rate);
    outcomes.note = "Decisions a second by outcome, on top of each other. Click a name to leave it out.";
    outcomes.stacked = true;
    outcomes.series = by_size(report)
        .into_iter()
        .map(|(name, colour)| {
            let data = line(report, |second| Some(second.outcomes.get(name).copied().unwrap_or(0) as f64));
            Series::new(name, colour, data)
        })
        .collect();

    let mut engine_lag = over_time(report, "engine-lag", "Engine lag", Unit::Count);
    engine_lag.note = "Commands acknowledged by the broker and not yet answered, at the end of each second.";
    engine_lag.series = vec![Series::new("undecided", "c5", line(report, |second| Some(second.undecided as f64)))];

    let mut generator_lag = over_time(report, "generator-lag", "Generator lag", Unit::Time);
    generator_lag.note = "The furthest that sending was behind the intended time: the tester's own fault.";
    let lag = line(report, |second| Some(second.generator_lag_us as f64));
    generator_lag.series = vec![Series::new("behind", "c4", lag)];

    let mut cpu = over_time(report, "cpu", "CPU", Unit::Cores);
    cpu.note = "Processors in use. The dashed line is all that the host has.";
    cpu.series = sides(report, |second, side| second.usage.get(&side).map(|usage| usage.cores));
    cpu.series.push(Series::new("host", "c9", line(report, |second| second.host_busy_cores)));
    if report.saturation.host_busy.is_some() {
        let all = f64::from(report.meta.host_cores);
        cpu.series.push(Series::new("host has", "c0", line(report, |_| Some(all))).dashed());
    }

    let mut memory = over_time(report, "memory", "Memory", Unit::Bytes);
    memory.note = "Resident memory.";
    memory.series = sides(report, |second, side| second.usage.get(&side)?.rss_bytes.map(|bytes| bytes as f64));

    vec![rates, latency, outcomes, engine_lag, generator_lag, cpu, memory]
}

/// A percentile of each second that had commands; none is 0 on a log axis.
fn percentiles(report: &Report, percent: f64) -> Vec<Option<f64>> {
    line(report, |second| (!second.latency.is_empty()).then(|| second.latency.percentile_us(percent).max(1) as f64))
}

fn sides(report: &Report, of: impl Fn(&Second, Side) -> Option<f64>) -> Vec<Series> {
    SIDES
        .into_iter()
        .map(|(side, colour)| Series::new(side.name(), colour, line(report, |second| of(second, side))))
        .filter(|series| series.data.iter().any(Option::is_some))
        .collect()
}

/// Outcomes, the most frequent first, with a colour each: the usual ones always have the same.
fn by_size(report: &Report) -> Vec<(&str, &'static str)> {
    let mut outcomes: Vec<_> = report.outcomes.iter().filter(|(_, total)| total.count > 0).collect();
    outcomes.sort_by_key(|(_, total)| Reverse(total.count));
    outcomes.into_iter().map(|(name, _)| (name.as_str(), colour(name))).collect()
}

fn colour(outcome: &str) -> &'static str {
    match outcome {
        "RESERVED" => "c2",
        "REJECTED" => "c4",
        "CONFIRMED" => "c1",
        "CANCELLED" => "c3",
        "EXPIRED" => "c7",
        "DUPLICATE" => "c6",
        "CONFLICT" => "c5",
        "UNCHANGED" => "c8",
        "NOT_ALLOWED" => "c9",
        _ => "c0",
    }
}

fn percentile_curve(report: &Report) -> Chart {
    let mut lines = vec![("all".to_owned(), "c9", &report.latency)];
    let outcomes = by_size(report).into_iter();
    lines.extend(outcomes.map(|(name, colour)| (name.to_owned(), colour, &report.outcomes[name].latency)));
    lines.push(("generator lag".to_owned(), "c0", &report.generator_lag));
    let mut chart = Chart::percentile_curve(lines);
    if let Some(lag) = chart.series.last_mut() {
        lag.dash = true;
    }
    chart
}

fn tables(page: &mut Page, report: &Report) {
    page.table("Promises and thresholds", false, &["", "found", ""], verdicts(report));
    page.table("Commands", false, &["", "commands", "mean over the load"], commands(report));

    let mut header = vec!["from the intended time", "answers"];
    header.extend(PERCENTILES.map(|(name, _)| name));
    header.push("max");
    page.table("Latency", true, &header, latencies(report));
    page.table("CPU and memory over the load", false, &["", "mean", "peak", "a command", "memory"], usage(report));
    let marks = report.marks.iter().map(|mark| {
        let length = mark.for_s.map(|length| time_us(length * 1e6)).unwrap_or_default();
        vec![
            format!("{} {}", mark.what, mark.detail).into(),
            format!("at {}", time_us(mark.at_s * 1e6)).into(),
            length.into(),
        ]
    });
    page.table("Faults", false, &["", "", "for"], marks.collect());
    facts(page, report);
    page.folded("Scenario as run", &report.meta.scenario_toml);
    if !report.notes.is_empty() {
        page.facts("Notes", &report.notes.iter().map(|note| ("", note.clone())).collect::<Vec<_>>());
    }
}

fn verdicts(report: &Report) -> Vec<Vec<Cell>> {
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for check in Check::ALL {
        let found = report.verification.count(check);
        let verdict = match (found, report.verification.complete) {
            (1.., _) => Cell::toned("broken", Tone::Bad),
            (0, true) => Cell::toned("kept", Tone::Good),
            (0, false) => Cell::toned("not proven", Tone::Warn),
        };
        rows.push(vec![check.promise().into(), format!("{} {}", count(found), check.name()).into(), verdict]);
        for finding in report.verification.findings.iter().filter(|finding| finding.check == check) {
            let example = |example: &String| vec![Cell::toned(example, Tone::Bad), "".into(), "".into()];
            rows.extend(finding.examples.iter().map(example));
        }
    }
    for verdict in &report.verdicts {
        let held = match verdict.held {
            true => Cell::toned("held", Tone::Good),
            false => Cell::toned("missed", Tone::Bad),
        };
        rows.push(vec![verdict.threshold.as_str().into(), verdict.found.as_str().into(), held]);
    }
    rows
}

fn commands(report: &Report) -> Vec<Vec<Cell>> {
    let totals = &report.totals;
    let row = |name: &str, commands: u64, rate: Option<f64>| -> Vec<Cell> {
        let rate = rate.map(|rate| quantity(rate, Figure::Rate)).unwrap_or_default();
        vec![name.into(), count(commands).into(), rate.into()]
    };
    let mut rows = vec![
        row("asked", totals.asked, Some(report.mean_rate(totals.asked))),
        row("sent", totals.sent, Some(report.mean_rate(totals.sent))),
        row("not sent in time", totals.unsent, None),
        row("failed to send", totals.failed, None),
        row("decided", totals.decided, Some(report.decided_rate())),
    ];
    rows.extend(by_size(report).into_iter().map(|(name, _)| row(name, report.outcomes[name].count, None)));
    rows
}

fn latencies(report: &Report) -> Vec<Vec<Cell>> {
    let row = |name: &str, latency: &Latency| -> Option<Vec<Cell>> {
        if latency.is_empty() {
            return None;
        }
        let mut row: Vec<Cell> = vec![name.into(), count(latency.count()).into()];
        row.extend(PERCENTILES.map(|(_, percent)| time_us(latency.percentile_us(percent) as f64).into()));
        row.push(time_us(latency.max_us() as f64).into());
        Some(row)
    };
    let mut rows = vec![row("all", &report.latency)];
    rows.extend(by_size(report).into_iter().map(|(name, _)| row(name, &report.outcomes[name].latency)));
    rows.extend(
        report.flood.iter().flat_map(Flood::parts).map(|(name, latency)| row(&name.replace('_', " "), latency)),
    );
    rows.push(row("of it generator lag", &report.generator_lag));
    rows.into_iter().flatten().collect()
}

fn usage(report: &Report) -> Vec<Vec<Cell>> {
    let sides = Side::ALL.into_iter().filter_map(|side| Some((side, report.saturation.sides.get(&side)?)));
    sides
        .map(|(side, total)| {
            vec![
                side.name().into(),
                quantity(total.mean_cores, Figure::Cores).into(),
                format!("{:.2}", total.peak_cores).into(),
                time_us(total.cpu_us_per_command).into(),
                total.peak_rss_bytes.map(bytes).unwrap_or_default().into(),
            ]
        })
        .collect()
}

fn facts(page: &mut Page, report: &Report) {
    let (meta, totals) = (&report.meta, &report.totals);
    let record = bytes(totals.record_bytes / totals.records.max(1));
    let ended = match &report.ended {
        Ended::Completed => "completed".to_owned(),
        Ended::Interrupted => "interrupted".to_owned(),
        Ended::Broken(why) => format!("broken off: {why}"),
    };
    page.facts(
        "The run",
        &[
            ("ended", ended),
            ("load, drain", format!("{}, {}", time_us(totals.load_s * 1e6), time_us(totals.drain_s * 1e6))),
            ("generators", meta.generators.to_string()),
            ("shards, lanes", format!("{}, {}", meta.shards, meta.lanes())),
            ("records", format!("{} of {} orders, {record} each", count(totals.records), meta.orders_per_record)),
            ("poison, dead letters", format!("{}, {}", count(totals.poison), count(totals.dead_letters))),
            ("engine", meta.engine.clone().unwrap_or_default()),
            ("cluster", meta.cluster.clone().unwrap_or_default()),
            ("host", format!("{} × {}", meta.host_cores, meta.host_cpu)),
            ("loadtest", meta.tester_version.clone()),
        ],
    );
}
