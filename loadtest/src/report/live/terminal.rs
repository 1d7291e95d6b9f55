//! The terminal itself: taken for the view, and given back as it was, whatever happens.
//!
//! Not raw mode: Ctrl-C must stay the signal that ends the run.

use std::io::{Stderr, Write, stderr};
use std::panic;
use std::sync::Once;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// A terminal that shows the view, on standard error: results go to standard output.
pub(super) struct Screen {
    pub(super) terminal: Terminal<CrosstermBackend<Stderr>>,
    before: Option<Termios>,
}

impl Screen {
    /// Takes the terminal; none if it cannot be had.
    pub(super) fn take() -> Option<Self> {
        static LEAVE_ON_PANIC: Once = Once::new();
        LEAVE_ON_PANIC.call_once(|| {
            let report = panic::take_hook();
            panic::set_hook(Box::new(move |panic| {
                leave();
                report(panic);
            }));
        });
        let before = without_echo();
        let entered = execute!(stderr(), EnterAlternateScreen);
        let terminal = entered.and_then(|()| Terminal::new(CrosstermBackend::new(stderr())));
        match terminal {
            Ok(terminal) => Some(Self { terminal, before }),
            Err(_) => {
                leave();
                restore(before.as_ref());
                None
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
        restore(self.before.as_ref());
    }
}

/// Keys that are pressed must not write into the view. Gives back what was set before.
fn without_echo() -> Option<Termios> {
    let before = tcgetattr(stderr()).ok()?;
    let mut quiet = before.clone();
    quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON);
    tcsetattr(stderr(), OptionalActions::Now, &quiet).ok()?;
    Some(before)
}

fn restore(before: Option<&Termios>) {
    if let Some(before) = before {
        // A terminal that has gone away has nothing to be restored.
        let _ = tcsetattr(stderr(), OptionalActions::Flush, before);
    }
}

fn leave() {
    // As above.
    let _ = execute!(stderr(), LeaveAlternateScreen, Show);
    let _ = stderr().flush();
}
