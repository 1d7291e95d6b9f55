//! What the process answers with: the one place that says what each exit code means.

use std::process::ExitCode;

/// How a command ended, for whoever started it: a shell, CI, an operator's script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: every threshold held, and every decision was as it must be.
    Ok,
    /// 1: a threshold was missed, or the verification found something wrong.
    Failed,
    /// 2: the arguments, the scenario or a file cannot be used; nothing was sent.
    Usage,
    /// 3: what the run needs is not there (cluster unreachable, topics missing, engine did not answer), or went away.
    Environment,
    /// 130: stopped by Ctrl-C; what was measured until then is reported, and its thresholds are not a verdict.
    Interrupted,
}

impl Exit {
    /// The number that the process ends with.
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Environment => 3,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
