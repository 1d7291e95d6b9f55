//! What is seen while a run goes on: a full-screen view on a terminal, plain lines elsewhere.

mod rates; // rates out of counters
mod screen; // the full-screen view
mod terminal; // taken for the view, and given back
mod plain; // a line a second

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write, stderr};
use std::time::Duration;

use crate::report::result::{Latency, Mark, Side, Usage};
use rates::History;
use terminal::Screen;

/// What the run is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Checks, stock, warm connections.
    #[default]
    Preparing,
    /// The profile is being run.
    Loading,
    /// Nothing more is sent; decisions are still awaited.
    Draining,
    /// The decisions are being proven.
    Verifying,
}

/// The state of a run at one moment. Counters run from the start; the view makes rates of them.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// What the run is doing.
    pub phase: Phase,
    /// Since the load began.
    pub elapsed: Duration,
    /// How long the load is to last.
    pub load: Duration,
    /// Commands a second that the profile asks for now.
    pub asked_rate: f64,
    /// Commands asked for so far.
    pub asked: u64,
    /// Commands handed to the client so far.
    pub sent: u64,
    /// Commands acknowledged so far.
    pub acknowledged: u64,
    /// Commands given up on so far.
    pub failed: u64,
    /// Commands answered so far.
    pub decided: u64,
    /// The same, by outcome.
    pub outcomes: BTreeMap<String, u64>,
    /// Latency of what became readable in the last second or so.
    pub recent: Latency,
    /// Latency of the run so far.
    pub total: Latency,
    /// How far behind the generator is, in microseconds.
    pub generator_lag_us: u64,
    /// CPU and memory of each side that can be seen.
    pub usage: BTreeMap<Side, Usage>,
    /// Processors of the host.
    pub host_cores: u32,
    /// Faults so far.
    pub marks: Vec<Mark>,
    /// The latest errors, newest last.
    pub errors: Vec<String>,
}

impl Phase {
    /// As people read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Loading => "loading",
            Self::Draining => "draining",
            Self::Verifying => "verifying",
        }
    }
}

impl Snapshot {
    /// Commands acknowledged and not yet answered: the engine's lag.
    pub fn undecided(&self) -> u64 {
        self.acknowledged.saturating_sub(self.decided)
    }
}

/// Shows a run while it goes on, on standard error. Dropped, it gives the terminal back.
pub struct View {
    title: String,
    history: History,
    screen: Option<Screen>,
    phase: Option<Phase>,
}

impl View {
    /// A view of its own on a terminal; plain lines if `plain` or where there is none.
    pub fn new(title: impl Into<String>, plain: bool) -> Self {
        let screen = if plain || !stderr().is_terminal() { None } else { Screen::take() };
        Self { title: title.into(), history: History::default(), screen, phase: None }
    }

    /// Shows the state of the run. To be called a few times a second; plain lines come once a second, and when the
    /// phase changes.
    pub fn show(&mut self, snapshot: &Snapshot) {
        let (rates, new_point) = self.history.take(snapshot);
        let new_phase = self.phase.replace(snapshot.phase) != Some(snapshot.phase);
        match &mut self.screen {
            Some(screen) => {
                let draw = |frame: &mut ratatui::Frame<'_>| {
                    screen::draw(frame, &self.title, snapshot, rates, &self.history);
                };
                if screen.terminal.draw(draw).is_err() {
                    // The terminal has gone; the run goes on.
                    self.screen = None;
                }
            }
            None if new_point || new_phase => say(&plain::line(snapshot, rates)),
            None => {}
        }
    }

    /// Says something that must not be lost: as a line, under the view or instead of it.
    pub fn say(&mut self, message: &str) {
        match self.screen.take() {
            Some(screen) => {
                drop(screen);
                say(message);
                self.screen = Screen::take();
            }
            None => say(message),
        }
    }
}

fn say(message: &str) {
    // Nowhere is left to say that standard error is closed.
    let _ = writeln!(stderr(), "{message}");
}
