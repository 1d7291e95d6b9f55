//! What passes between the benchmark and the processes that it starts, one for each part.

use std::io::Write;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::usage::Busiest;

/// What a process is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Role {
    /// Publish the orders.
    Generate,
    /// Read and drop them, with the engine's own consumers.
    Bare,
    /// Decide them.
    Engine {
        /// In transactions, or only acknowledged.
        exactly_once: bool,
    },
    /// Recover the ledgers of an engine that decided them.
    Recover,
    /// Decide them as an ordinary service would.
    Team,
    /// Read and drop them as an ordinary service would.
    TeamRead,
}

/// A process's orders.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) role: Role,
    pub(crate) bootstrap: String,
    /// Prefix of the topics' names: `name`, or `inputs/log` for a log of its own over inputs that others read too.
    pub(crate) topics: String,
    pub(crate) shards: u32,
    pub(crate) lanes: u32,
    pub(crate) per_record: usize,
    pub(crate) orders: u64,
    /// Slows the engine down, for the check to find.
    pub(crate) planted: bool,
}

/// What it found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) orders: u64,
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    /// Seconds since the Unix epoch.
    pub(crate) began: f64,
    pub(crate) ended: f64,
    /// The thread that used most CPU time.
    pub(crate) busiest: Busiest,
    /// Mean length of a record's value, by the generator.
    pub(crate) record_bytes: Option<f64>,
    /// Of the engine.
    pub(crate) batches: Option<Batches>,
}

/// What the engine committed in one go.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Batches {
    /// Mean decisions in a batch.
    pub(crate) decisions: f64,
    /// Mean time that a commit took, ms.
    pub(crate) commit_ms: f64,
}

/// A part that was started. Dropped, it is killed: nothing outlives a benchmark that failed.
pub(crate) struct Part {
    child: Child,
}

impl Part {
    /// Starts this program again with a task.
    pub(crate) fn start(task: &Task) -> Result<Self> {
        let child = Command::new(std::env::current_exe()?)
            .args(["--child", &serde_json::to_string(task)?])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start a part of the benchmark")?;
        Ok(Self { child })
    }

    /// Waits for what it found.
    pub(crate) fn figures(mut self) -> Result<Figures> {
        let out = self.child.stdout.take().context("its output was asked for before")?;
        let text = std::io::read_to_string(out)?;
        if !self.child.wait()?.success() {
            bail!("a part of the benchmark failed");
        }
        Ok(serde_json::from_str(&text)?)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Does a part's work and tells what was found.
pub(crate) fn answer(task: &str) -> Result<()> {
    let figures = crate::parts::run(&serde_json::from_str(task)?)?;
    println!("{}", serde_json::to_string(&figures)?);
    Ok(std::io::stdout().flush()?)
}
