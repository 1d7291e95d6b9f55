//! The full-screen view.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Borders, Cell, Chart, Dataset, Gauge, GraphType, Paragraph, Row, Table, Wrap};

use super::rates::{History, Point, Rates};
use super::{Phase, Snapshot};
use crate::report::result::Side;
use crate::report::result::format::{bytes, count, quantity, time_us};
use crate::report::result::metric::Unit;

/// Rows of outcomes, usage and lag under the charts.
const TABLES_HEIGHT: u16 = 10;

/// Rows of errors at the bottom, border included.
const ERRORS_HEIGHT: u16 = 5;

/// Below this many rows there is no room for charts: figures come first.
const CHARTS_FROM: u16 = 26;

const ASKED: Color = Color::DarkGray;
const SENT: Color = Color::Blue;
const DECIDED: Color = Color::Green;
const MEDIAN: Color = Color::Cyan;
const TAIL: Color = Color::Magenta;

/// Draws the whole view.
pub(super) fn draw(frame: &mut Frame<'_>, title: &str, snapshot: &Snapshot, rates: Rates, history: &History) {
    let with_charts = frame.area().height >= CHARTS_FROM;
    let charts_height = if with_charts { Constraint::Min(8) } else { Constraint::Length(0) };
    let errors_height = if with_charts { ERRORS_HEIGHT } else { 3 };
    let [progress, figures, charts, tables, errors] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(7),
        charts_height,
        Constraint::Length(TABLES_HEIGHT),
        Constraint::Length(errors_height),
    ])
    .areas(frame.area());
    draw_progress(frame, progress, title, snapshot);
    draw_figures(frame, figures, snapshot, rates);
    if with_charts {
        let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(charts);
        draw_rates(frame, left, history);
        draw_latency(frame, right, history);
    }
    let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(tables);
    draw_outcomes(frame, left, snapshot);
    draw_usage(frame, right, snapshot);
    draw_errors(frame, errors, snapshot);
}

fn block(title: &str) -> Block<'_> {
    let title = Line::from(vec![Span::raw(title).bold(), Span::raw(" ")]);
    Block::new().borders(Borders::TOP).border_style(Style::new().dark_gray()).title(title)
}

fn draw_progress(frame: &mut Frame<'_>, area: Rect, title: &str, snapshot: &Snapshot) {
    let load_s = snapshot.load.as_secs_f64();
    let ratio = if load_s > 0.0 { (snapshot.elapsed.as_secs_f64() / load_s).min(1.0) } else { 0.0 };
    let left = snapshot.load.saturating_sub(snapshot.elapsed);
    let label = match snapshot.phase {
        Phase::Loading => format!("{}s of {}s, {}s left", snapshot.elapsed.as_secs(), load_s, left.as_secs()),
        phase => format!("{}, {}s", phase.name(), snapshot.elapsed.as_secs()),
    };
    let gauge = Gauge::default().ratio(ratio).label(label).gauge_style(Style::new().fg(Color::Blue));
    frame.render_widget(gauge.block(block(title)), area);
}

fn draw_figures(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot, rates: Rates) {
    let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(area);
    let rate = |rate: f64| quantity(rate, Unit::Rate);
    let behind = rates.sent < snapshot.asked_rate * 0.95 && snapshot.phase == Phase::Loading;
    let rows = vec![
        row([Span::raw("asked").fg(ASKED), rate(snapshot.asked_rate).into(), count(snapshot.asked).into()]),
        row([
            Span::raw("sent").fg(SENT),
            if behind { rate(rates.sent).fg(Color::Red) } else { rate(rates.sent).into() },
            count(snapshot.sent).into(),
        ]),
        row([Span::raw("decided").fg(DECIDED), rate(rates.decided).into(), count(snapshot.decided).into()]),
        row([
            Span::raw("failed"),
            Span::raw(""),
            if snapshot.failed > 0 { count(snapshot.failed).fg(Color::Red) } else { Span::raw("0") },
        ]),
        row([Span::raw("undecided (engine lag)"), Span::raw(""), count(snapshot.undecided()).into()]),
        row([Span::raw("generator lag"), Span::raw(""), time_us(snapshot.generator_lag_us as f64).into()]),
    ];
    let widths = [Constraint::Length(24), Constraint::Length(14), Constraint::Length(14)];
    frame.render_widget(Table::new(rows, widths).block(block("commands")), left);

    let figure = |percent: f64| {
        let at = |latency: &crate::report::result::Latency| time_us(latency.percentile_us(percent) as f64);
        [at(&snapshot.recent), at(&snapshot.total)]
    };
    let percentiles = [
        (Span::raw("p50").fg(MEDIAN), 50.0),
        (Span::raw("p90"), 90.0),
        (Span::raw("p99").fg(TAIL), 99.0),
        (Span::raw("p99.9"), 99.9),
        (Span::raw("max"), 100.0),
    ];
    let rows = percentiles.map(|(name, percent)| {
        let [recent, total] = figure(percent);
        row([name, recent.into(), total.into()])
    });
    let header = Row::new(["", "now", "whole run"].map(right_aligned)).style(Style::new().dark_gray());
    let widths = [Constraint::Length(6), Constraint::Length(12), Constraint::Length(12)];
    let latency = Table::new(rows, widths).header(header);
    frame.render_widget(latency.block(block("latency from the intended time")), right);
}

fn right_aligned(text: &str) -> Cell<'_> {
    Cell::new(Line::raw(text).right_aligned())
}

/// A name, and figures that end in line.
fn row<const N: usize>(spans: [Span<'_>; N]) -> Row<'_> {
    Row::new(spans.into_iter().enumerate().map(|(i, span)| match i {
        0 => Cell::new(Line::from(span)),
        _ => Cell::new(Line::from(span).right_aligned()),
    }))
}

/// A name, a colour and points.
type Drawn<'a> = (&'a str, Color, &'a [(f64, f64)]);

fn points(history: &History, of: impl Fn(&Point) -> f64) -> Vec<(f64, f64)> {
    history.points.iter().map(|point| (point.at_s, of(point))).collect()
}

fn highest(lines: &[&[(f64, f64)]]) -> f64 {
    lines.iter().flat_map(|line| line.iter()).map(|(_, y)| *y).fold(1.0, f64::max) * 1.1
}

fn draw_lines(frame: &mut Frame<'_>, area: Rect, title: &str, lines: &[Drawn<'_>], label: impl Fn(f64) -> String) {
    let top = highest(&lines.iter().map(|(_, _, points)| *points).collect::<Vec<_>>());
    let all = lines.iter().flat_map(|(_, _, points)| points.iter());
    let (from, to) = all.fold((f64::MAX, 1.0_f64), |(from, to), (x, _)| (from.min(*x), to.max(*x)));
    let from = from.min(to);
    let datasets = lines.iter().map(|(name, color, points)| {
        Dataset::default()
            .name(*name)
            .marker(Marker::Braille)
            .graph_type(GraphType::Line)
            .style(Style::new().fg(*color))
            .data(points)
    });
    let grey = Style::new().dark_gray();
    let chart = Chart::new(datasets.collect())
        .block(block(title))
        .x_axis(Axis::default().style(grey).bounds([from, to]).labels([format!("{from:.0}s"), format!("{to:.0}s")]))
        .y_axis(Axis::default().style(grey).bounds([0.0, top]).labels([label(0.0), label(top / 2.0), label(top)]));
    frame.render_widget(chart, area);
}

fn draw_rates(frame: &mut Frame<'_>, area: Rect, history: &History) {
    let asked = points(history, |point| point.asked);
    let sent = points(history, |point| point.rates.sent);
    let decided = points(history, |point| point.rates.decided);
    let lines: [Drawn<'_>; 3] = [("asked", ASKED, &asked), ("sent", SENT, &sent), ("decided", DECIDED, &decided)];
    draw_lines(frame, area, "commands a second", &lines, |rate| count(rate as u64));
}

fn draw_latency(frame: &mut Frame<'_>, area: Rect, history: &History) {
    let median = points(history, |point| point.p50_us as f64);
    let tail = points(history, |point| point.p99_us as f64);
    let lines: [Drawn<'_>; 2] = [("p50", MEDIAN, &median), ("p99", TAIL, &tail)];
    draw_lines(frame, area, "latency", &lines, time_us);
}

fn draw_outcomes(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot) {
    let mut outcomes: Vec<_> = snapshot.outcomes.iter().collect();
    outcomes.sort_by(|a, b| b.1.cmp(a.1));
    let whole = snapshot.decided.max(1) as f64;
    let rows = outcomes.into_iter().map(|(name, number)| {
        let share = quantity(*number as f64 / whole * 100.0, Unit::Percent);
        row([Span::raw(name.as_str()), count(*number).into(), share.into()])
    });
    let widths = [Constraint::Length(16), Constraint::Length(14), Constraint::Length(9)];
    frame.render_widget(Table::new(rows, widths).block(block("outcomes")), area);
}

fn draw_usage(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot) {
    let rows = Side::ALL.into_iter().filter_map(|side| {
        let usage = snapshot.usage.get(&side)?;
        let memory = usage.rss_bytes.map(bytes).unwrap_or_default();
        Some(row([Span::raw(side.name()), format!("{:.2} cores", usage.cores).into(), memory.into()]))
    });
    let marks = snapshot.marks.iter().rev().map(|mark| {
        let at = format!("at {:.0}s", mark.at_s);
        row([mark.what.as_str().fg(Color::Yellow), at.into(), mark.detail.as_str().into()])
    });
    let widths = [Constraint::Length(16), Constraint::Length(12), Constraint::Fill(1)];
    let title = format!("CPU and memory, host has {} cores", snapshot.host_cores);
    frame.render_widget(Table::new(rows.chain(marks), widths).block(block(&title)), area);
}

fn draw_errors(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot) {
    let room = area.height.saturating_sub(1) as usize;
    let skip = snapshot.errors.len().saturating_sub(room);
    let lines: Vec<Line<'_>> = match snapshot.errors.is_empty() {
        true => vec![Line::raw("none").dark_gray()],
        false => snapshot.errors[skip..].iter().map(|error| Line::raw(error.as_str()).red()).collect(),
    };
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: true }).block(block("errors")), area);
}
