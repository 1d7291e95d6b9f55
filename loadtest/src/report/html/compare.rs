//! The page of two runs side by side: A dashed or pale, B full.

use super::chart::{Chart, Series, Unit};
use super::page::{Cell, Page, Tone};
use crate::report::compare::{Change, figures, unlike};
use crate::report::result::{Report, Second};

/// Colours of the runs.
const BEFORE: &str = "c0";
const AFTER: &str = "c1";

/// The page of two runs.
pub(super) fn page(before: &Report, after: &Report) -> String {
    let figures = figures(before, after);
    let worse = figures.iter().filter(|figure| figure.change == Change::Worse).count();
    let better = figures.iter().filter(|figure| figure.change == Change::Better).count();
    let title = match before.meta.scenario == after.meta.scenario {
        true => before.meta.scenario.clone(),
        false => format!("{} and {}", before.meta.scenario, after.meta.scenario),
    };
    let mut page = Page::new(title);
    let (verdict, tone) = match (worse, better) {
        (0, 0) => ("ALIKE".to_owned(), Tone::Plain),
        (0, _) => (format!("{better} BETTER"), Tone::Good),
        (_, 0) => (format!("{worse} WORSE"), Tone::Bad),
        _ => (format!("{worse} WORSE, {better} BETTER"), Tone::Warn),
    };
    page.heading(&verdict, tone, "Two runs side by side");
    let run = |report: &Report| format!("{} · {}", report.headline(), report.setting());
    page.facts("Runs", &[("A", run(before)), ("B", run(after))]);
    unlike(before, after).iter().for_each(|warning| page.notice(&format!("Beware: {warning}"), Tone::Warn));
    for (name, report) in [("A", before), ("B", after)] {
        let tone = if report.exit() == crate::report::result::Exit::Ok { Tone::Plain } else { Tone::Bad };
        page.notice(&format!("{name}: {}. {}", report.result_line(), report.saturation.explained), tone);
    }
    let rows = figures.into_iter().map(|figure| {
        let tone = match figure.change {
            Change::Alike => Tone::Plain,
            Change::Better => Tone::Good,
            Change::Worse => Tone::Bad,
        };
        let verdict = ["", "better", "worse"][figure.change as usize];
        let by = Cell::toned(figure.by, tone);
        vec![figure.name.into(), figure.before.into(), figure.after.into(), by, Cell::toned(verdict, tone)]
    });
    let rows = rows.collect();
    page.cards(|page| page.table("Figures", true, &["", "A", "B", "B against A", ""], rows));
    page.cards(|page| charts(before, after).into_iter().for_each(|chart| page.chart(chart)));
    page.finish()
}

fn charts(before: &Report, after: &Report) -> Vec<Chart> {
    let lines = vec![("A".to_owned(), BEFORE, &before.latency), ("B".to_owned(), AFTER, &after.latency)];
    let mut curve = Chart::percentile_curve(lines);
    curve.wide = true;
    let percentile = |percent: f64| {
        move |second: &Second| (!second.latency.is_empty()).then(|| second.latency.percentile_us(percent).max(1) as f64)
    };
    let mut tail = over_time("p99", "p99 over time", Unit::Time, before, after, percentile(99.0));
    tail.log = true;
    let mut median = over_time("p50", "p50 over time", Unit::Time, before, after, percentile(50.0));
    median.log = true;
    let decided = |second: &Second| Some(second.decided as f64);
    let undecided = |second: &Second| Some(second.undecided as f64);
    let busy = |second: &Second| second.host_busy_cores;
    vec![
        curve,
        median,
        tail,
        over_time("decided", "Decided", Unit::Rate, before, after, decided),
        over_time("engine-lag", "Engine lag", Unit::Count, before, after, undecided),
        over_time("cpu", "CPU of the host", Unit::Cores, before, after, busy),
    ]
}

fn over_time(
    id: &'static str,
    title: &'static str,
    unit: Unit,
    before: &Report,
    after: &Report,
    of: impl Fn(&Second) -> Option<f64>,
) -> Chart {
    let seconds = before.seconds.len().max(after.seconds.len());
    let mut chart = Chart::over_time(id, title, unit, seconds).marked(after);
    for (name, colour, report) in [("A", BEFORE, before), ("B", AFTER, after)] {
        let mut data: Vec<_> = report.seconds.iter().map(&of).collect();
        data.resize(seconds, None);
        chart.series.push(Series::new(name, colour, data));
    }
    chart
}
