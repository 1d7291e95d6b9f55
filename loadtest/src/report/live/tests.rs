use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;

/// A run at 50,000 commands a second, all answered but the last 500.
fn snapshot(elapsed_ms: u64) -> Snapshot {
    let sent = elapsed_ms * 50;
    let mut recent = Latency::of_second();
    (1..=100).for_each(|us| recent.record(us));
    Snapshot {
        phase: Phase::Loading,
        elapsed: Duration::from_millis(elapsed_ms),
        load: Duration::from_secs(60),
        asked_rate: 50_000.0,
        asked: sent,
        sent,
        acknowledged: sent,
        decided: sent.saturating_sub(500),
        outcomes: BTreeMap::from([("RESERVED".to_owned(), sent), ("DUPLICATE".to_owned(), 7)]),
        total: recent.clone(),
        recent,
        generator_lag_us: 250,
        usage: BTreeMap::from([(Side::Engine, Usage { cores: 0.75, rss_bytes: Some(3 << 30) })]),
        host_cores: 2,
        marks: vec![Mark { at_s: 2.0, what: "kill-node".to_owned(), ..Mark::default() }],
        errors: vec!["broker 1 is away".to_owned()],
        ..Snapshot::default()
    }
}

fn drawn(width: u16, height: u16) -> String {
    let mut history = History::default();
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal in memory");
    for n in 0..=25 {
        let snapshot = snapshot(n * 200);
        let (rates, _) = history.take(&snapshot);
        terminal.draw(|frame| screen::draw(frame, "festival-opening", &snapshot, rates, &history)).expect("drawn");
    }
    let buffer = terminal.backend().buffer();
    let line = |y: u16| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (0..height).map(|y| line(y).trim_end().to_owned() + "\n").collect()
}

#[test]
fn rates_are_those_of_the_last_second() {
    let mut history = History::default();
    let mut last = Default::default();
    for n in 0..=10 {
        last = history.take(&snapshot(n * 200)).0;
    }
    assert_eq!((last.sent, last.decided), (50_000.0, 50_000.0));
    assert_eq!(history.points.len(), 3);
}

#[test]
fn the_view_shows_rates_latency_lag_outcomes_errors_and_time_left() {
    let view = drawn(110, 40);
    let wanted = [
        "festival-opening",
        "5s of 60s, 55s left",
        "asked",
        "50,000/s",
        "p99.9",
        "99 us",
        "generator lag",
        "250 us",
        "engine lag",
        "RESERVED",
        "DUPLICATE",
        "0.75 cores",
        "3 GiB",
        "kill-node",
        "broker 1 is away",
        "commands a second",
    ];
    for text in wanted {
        assert!(view.contains(text), "{text:?} is missing in\n{view}");
    }
}

#[test]
fn a_small_terminal_shows_figures_instead_of_charts() {
    let view = drawn(80, 24);
    for text in ["55s left", "p99.9", "RESERVED", "0.75 cores", "broker 1 is away"] {
        assert!(view.contains(text), "{text:?} is missing in\n{view}");
    }
    assert!(!view.contains("commands a second"), "{view}");
}

#[test]
fn no_terminal_is_too_small() {
    drawn(1, 1);
    drawn(20, 5);
}

#[test]
fn a_plain_line_says_the_same() {
    let mut history = History::default();
    history.take(&snapshot(4_000));
    let now = snapshot(5_000);
    let line = plain::line(&now, history.take(&now).0);
    for text in ["5s of 60s", "asked 50,000/s sent 50,000/s decided 50,000/s", "p99 99 us", "undecided 500"] {
        assert!(line.contains(text), "{text:?} is missing in {line}");
    }
}

#[test]
fn a_look_in_which_nothing_was_decided_tells_no_latency() {
    let mut now = snapshot(5_000);
    now.recent = Latency::default();
    let line = plain::line(&now, History::default().take(&now).0);
    assert!(line.contains("p50 - p99 - p99.9 - max - |"), "{line}");
}
