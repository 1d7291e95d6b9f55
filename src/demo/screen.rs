//! What the demo shows while it runs: a few lines redrawn in place on a terminal, otherwise a line now and then.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write, stdout};
use std::time::{Duration, Instant};

use crate::lane::snapshot::{COMMIT_BUCKETS_MS, LaneSnapshot};
use crate::wire::proto::{Outcome, Reason};

/// Between two pictures on a terminal.
const REDRAW_EVERY: Duration = Duration::from_millis(500);
/// Between two lines elsewhere.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// What is shown.
#[derive(Debug)]
pub(super) struct Picture<'a> {
    /// Orders placed, repeats not counted.
    pub placed: u64,
    /// Commands answered.
    pub answered: u64,
    /// Commands that wait for their answer.
    pub unanswered: i64,
    /// Units held and not paid.
    pub held: i64,
    /// SKUs of which nothing is left.
    pub sold_out: usize,
    /// Decisions by outcome and reason.
    pub outcomes: &'a BTreeMap<(Outcome, Reason), u64>,
    /// The shards.
    pub lanes: &'a [LaneSnapshot],
}

/// The screen.
#[derive(Debug)]
pub(super) struct Screen {
    terminal: bool,
    drawn_lines: usize,
    next: Instant,
    last: (Instant, u64),
    gone: bool,
}

impl Screen {
    /// A screen on which nothing stands; `answered` commands were answered before.
    pub(super) fn new(answered: u64) -> Self {
        let now = Instant::now();
        let next = now + REDRAW_EVERY;
        Self { terminal: stdout().is_terminal(), drawn_lines: 0, next, last: (now, answered), gone: false }
    }

    /// Whether it is time for the next picture.
    pub(super) fn is_due(&self) -> bool {
        Instant::now() >= self.next
    }

    /// Whether nobody reads what is shown any more.
    pub(super) fn is_gone(&self) -> bool {
        self.gone
    }

    /// Shows `picture`, on a terminal in place of the one before.
    pub(super) fn show(&mut self, picture: &Picture<'_>) {
        let now = Instant::now();
        let per_second =
            (picture.answered - self.last.1) as f64 / now.duration_since(self.last.0).as_secs_f64().max(0.001);
        self.last = (now, picture.answered);
        self.next = now + if self.terminal { REDRAW_EVERY } else { LINE_EVERY };
        let (p50, p99) = (commit_ms(picture.lanes, 0.50), commit_ms(picture.lanes, 0.99));
        let head = format!(
            "{} orders placed, {} commands answered ({per_second:.0}/s), {} waiting, commit p50 ≤ {p50} ms, p99 ≤ {p99} ms",
            picture.placed,
            picture.answered,
            picture.unanswered.max(0)
        );
        let stock = format!("{} units held, SKUs sold out now: {}", picture.held, picture.sold_out);
        if !self.terminal {
            self.gone |= writeln!(stdout(), "{head}; {stock}").is_err();
            return;
        }
        let mut lines = vec![head, stock];
        lines.extend(picture.outcomes.iter().map(|(&key, count)| format!("  {:<36} {count:>10}", outcome_name(key))));
        self.redraw(&lines);
    }

    fn redraw(&mut self, lines: &[String]) {
        let mut out = stdout().lock();
        let _ = write!(out, "{}", picture(self.drawn_lines, lines));
        let _ = out.flush();
        self.drawn_lines = lines.len();
    }

    /// The last picture stays; what is written next begins a line of its own, whatever the terminal has echoed (`^C`).
    pub(super) fn end(self) {
        if self.drawn_lines > 0 {
            let _ = write!(stdout(), "\r\x1b[J");
        }
    }
}

/// What draws `lines` over a picture of `drawn_lines`: cursor up to its first line, clear to the end of the screen. Lines
/// are cut at the terminal's edge and not wrapped, or the next picture would begin too low.
fn picture(drawn_lines: usize, lines: &[String]) -> String {
    let up = if drawn_lines > 0 { format!("\x1b[{drawn_lines}F\x1b[J") } else { String::new() };
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    format!("{up}\x1b[?7l{lines}\x1b[?7h")
}

/// An outcome and its reason as people read them: `REJECTED (OUT_OF_STOCK)`.
pub(super) fn outcome_name((outcome, reason): (Outcome, Reason)) -> String {
    let outcome = outcome.as_str_name().trim_start_matches("OUTCOME_");
    match reason {
        Reason::Unspecified => outcome.to_owned(),
        reason => format!("{outcome} ({})", reason.as_str_name().trim_start_matches("REASON_")),
    }
}

/// Upper bound in ms of the bucket that holds this quantile of all shards' commits.
fn commit_ms(lanes: &[LaneSnapshot], quantile: f64) -> u64 {
    let total: u64 = lanes.iter().flat_map(|lane| lane.commit_buckets).sum();
    let rank = (total as f64 * quantile).ceil() as u64;
    let mut seen = 0;
    for (bucket, bound_ms) in COMMIT_BUCKETS_MS.iter().enumerate() {
        seen += lanes.iter().map(|lane| lane.commit_buckets[bucket]).sum::<u64>();
        if seen >= rank {
            return *bound_ms;
        }
    }
    COMMIT_BUCKETS_MS[COMMIT_BUCKETS_MS.len() - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_covers_the_one_before_in_a_terminal_of_any_width() {
        let lines = ["a line".to_owned(), "another".to_owned()];
        assert_eq!(picture(0, &lines), "\x1b[?7la line\nanother\n\x1b[?7h");
        assert_eq!(picture(2, &lines), "\x1b[2F\x1b[J\x1b[?7la line\nanother\n\x1b[?7h");
    }

    #[test]
    fn commit_latency_is_told_by_the_bucket_that_holds_the_quantile() {
        let mut lane = LaneSnapshot::default();
        lane.commit_buckets[3] = 98;
        lane.commit_buckets[6] = 2;
        assert_eq!(commit_ms(std::slice::from_ref(&lane), 0.50), COMMIT_BUCKETS_MS[3]);
        assert_eq!(commit_ms(&[lane], 0.99), COMMIT_BUCKETS_MS[6]);
    }
}
