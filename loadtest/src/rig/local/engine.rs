//! The `sluice` binary at work: where it is, its configuration, its processes.

use std::env;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use sluice::devbroker::{DevBrokerError, Guard};
use thiserror::Error;

use crate::load::scenario::Topics;
use crate::report::result::Footprint;

/// Longest wait for an engine to take its shards: two sessions of a member that was killed, and recovery of a long log.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// Longest wait for an engine that was told to stop: its own limit is 20 s.
const STOP_WITHIN: Duration = Duration::from_secs(40);

/// Pause between two looks at a process.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long an engine may take to answer a question over HTTP.
const HTTP_TIMEOUT: Duration = Duration::from_secs(2);

/// How many lines of a log an error shows.
const TAIL_LINES: usize = 30;

/// How long a group waits for a member that died, ms: the shortest that the engine accepts, so that a killed node's
/// shards come back as soon as a deployment may have it.
const SESSION_TIMEOUT_MS: u32 = 6_000;

/// Why an engine is not there.
#[derive(Debug, Error)]
pub enum EngineError {
    /// No binary.
    #[error("no `sluice` beside {}: build it (`cargo build --release --bin sluice`) or say where it is (--sluice)", .beside.display())]
    NotFound {
        /// Where it was looked for.
        beside: PathBuf,
    },
    /// A command of the binary did not do what it was asked.
    #[error("`sluice {command}` failed ({status}):\n{output}")]
    Command {
        /// Which one.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote.
        output: String,
    },
    /// An engine ended that should run.
    #[error("engine {number} ended ({status}); the end of its log:\n{tail}")]
    Ended {
        /// Which one.
        number: usize,
        /// How.
        status: ExitStatus,
        /// The log's last lines.
        tail: String,
    },
    /// An engine did not take its shards.
    #[error("engine {number} did not get ready within {} s; the end of its log:\n{tail}", READY_WITHIN.as_secs())]
    NotReady {
        /// Which one.
        number: usize,
        /// The log's last lines.
        tail: String,
    },
    /// The operating system refused something.
    #[error("{what}: {error}")]
    Io {
        /// What was attempted.
        what: String,
        /// Its answer.
        error: io::Error,
    },
    /// The guard of the processes.
    #[error(transparent)]
    Guard(#[from] DevBrokerError),
}

impl EngineError {
    fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |error| Self::Io { what, error }
    }
}

/// The engine's binary: `told`, or the one beside this program.
///
/// # Errors
/// It is not there.
pub fn find_sluice(told: Option<&Path>) -> Result<PathBuf, EngineError> {
    let path = match told {
        Some(path) => path.to_owned(),
        None => env::current_exe().map_err(EngineError::io("find this program"))?.with_file_name("sluice"),
    };
    if path.is_file() { Ok(path) } else { Err(EngineError::NotFound { beside: path }) }
}

/// How many shards and lanes there are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Partitions of the inputs.
    pub shards: u32,
    /// Partitions of the log; none: as many as the engine thinks right.
    pub lanes: Option<u32>,
}

/// What the topics are to be.
#[derive(Clone, Copy, Debug)]
pub struct TopicPlan {
    /// Shards and lanes.
    pub layout: Layout,
    /// Replication 3 and min.insync 2; else one copy.
    pub replicated: bool,
    /// How long is remembered.
    pub memory: Topics,
}

/// The engine's configuration, and the processes that run by it. Dropped, they are killed.
#[derive(Debug)]
pub struct Engines {
    sluice: PathBuf,
    config: PathBuf,
    replicated: bool,
    running: Vec<Engine>,
    // Last: it kills whatever is left, and removes the directory.
    guard: Guard,
}

/// One process.
#[derive(Debug)]
struct Engine {
    /// None while it is down.
    child: Option<Child>,
    log: PathBuf,
}

impl Engines {
    /// Writes the configuration: the engine's defaults, and `settings` (TOML) over what this needs. Creates the topics.
    ///
    /// # Errors
    /// The binary is not there, or refuses.
    pub fn prepare(sluice: PathBuf, bootstrap: &str, plan: TopicPlan, settings: &str) -> Result<Self, EngineError> {
        let guard = Guard::new("sluice-loadtest")?;
        let config = guard.dir().join("sluice.toml");
        let text = format!(
            "kafka.bootstrap_servers = {bootstrap:?}\nkafka.session_timeout_ms = {SESSION_TIMEOUT_MS}\n\
             http.listen = \"127.0.0.1:0\"\n{settings}\n"
        );
        std::fs::write(&config, text).map_err(EngineError::io(format!("write {}", config.display())))?;
        let engines = Self { sluice, config, replicated: plan.replicated, running: Vec::new(), guard };
        let Layout { shards, lanes } = plan.layout;
        let mut flags = vec![format!("--partitions={shards}"), "--reply-partitions=1".to_owned()];
        flags.extend(lanes.map(|lanes| format!("--lanes={lanes}")));
        if !plan.replicated {
            flags.push("--dev".to_owned());
        }
        for (flag, time) in [("window", plan.memory.window), ("skew", plan.memory.skew)] {
            if !time.is_zero() {
                flags.push(format!("--{flag}={}", humantime::format_duration(time).to_string().replace(' ', "")));
            }
        }
        engines.command(&["topics", "create"], &flags)?;
        Ok(engines)
    }

    /// Runs a command of the binary to its end.
    fn command(&self, command: &[&str], flags: &[String]) -> Result<(), EngineError> {
        let output = Command::new(&self.sluice)
            .args(command)
            .arg("--config")
            .arg(&self.config)
            .args(flags)
            .stdin(Stdio::null())
            .output()
            .map_err(EngineError::io(format!("start {}", self.sluice.display())))?;
        if output.status.success() {
            return Ok(());
        }
        let text = [output.stdout, output.stderr].concat();
        let output_text = String::from_utf8_lossy(&text).into_owned();
        Err(EngineError::Command { command: command.join(" "), status: output.status, output: output_text })
    }

    /// Starts one more engine. Does not wait for it.
    ///
    /// # Errors
    /// The process could not be started.
    pub fn add(&mut self) -> Result<(), EngineError> {
        let log = self.guard.dir().join(format!("engine-{}.log", self.running.len()));
        self.running.push(Engine { child: None, log });
        self.start(self.running.len() - 1)
    }

    /// Starts engine `number` if it is down. Does not wait for it.
    ///
    /// # Errors
    /// The process could not be started.
    pub fn start(&mut self, number: usize) -> Result<(), EngineError> {
        let engine = &mut self.running[number];
        if engine.child.is_some() {
            return Ok(());
        }
        // Not appended to: the address that is looked for in it is that of this process.
        let out = File::create(&engine.log).map_err(EngineError::io(format!("create {}", engine.log.display())))?;
        let errors = out.try_clone().map_err(EngineError::io("share the engine's log"))?;
        let mut command = Command::new(&self.sluice);
        command.arg("run").arg("--log-format=json").arg("--config").arg(&self.config);
        if !self.replicated {
            command.arg("--dev");
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(errors)
            // Ctrl-C at a terminal is for the run, whose last orders still need an engine.
            .process_group(0)
            .spawn()
            .map_err(EngineError::io(format!("start {}", self.sluice.display())))?;
        self.guard.started(child.id())?;
        engine.child = Some(child);
        Ok(())
    }

    /// Waits until every running engine has taken and recovered what it was assigned.
    ///
    /// # Errors
    /// One of them ended, or takes too long.
    pub fn wait_ready(&mut self) -> Result<(), EngineError> {
        let deadline = Instant::now() + READY_WITHIN;
        for number in 0..self.running.len() {
            loop {
                let engine = &mut self.running[number];
                let Some(child) = &mut engine.child else { break };
                if let Some(status) = child.try_wait().map_err(EngineError::io("look at the engine"))? {
                    return Err(EngineError::Ended { number, status, tail: engine.tail() });
                }
                if engine.is_ready() {
                    break;
                }
                if Instant::now() >= deadline {
                    return Err(EngineError::NotReady { number, tail: engine.tail() });
                }
                thread::sleep(LOOK_EVERY);
            }
        }
        Ok(())
    }

    /// An engine that ended by itself, with what it said last.
    ///
    /// # Errors
    /// If there is one.
    pub fn check(&mut self) -> Result<(), EngineError> {
        for (number, engine) in self.running.iter_mut().enumerate() {
            let Some(child) = &mut engine.child else { continue };
            if let Some(status) = child.try_wait().map_err(EngineError::io("look at the engine"))? {
                return Err(EngineError::Ended { number, status, tail: engine.tail() });
            }
        }
        Ok(())
    }

    /// What the binary says of its version; none if it says nothing.
    pub fn version(&self) -> Option<String> {
        let output = Command::new(&self.sluice).arg("--version").stdin(Stdio::null()).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned()).filter(|version| !version.is_empty())
    }

    /// How many there are, running or not.
    pub fn count(&self) -> usize {
        self.running.len()
    }

    /// What those that run know, all shards together; none if one is down or does not say it.
    pub fn footprint(&self) -> Option<Footprint> {
        let mut sum = Footprint::default();
        for engine in &self.running {
            engine.child.as_ref()?;
            let (_, page) = get(engine.http()?, "/metrics").ok().filter(|(status, _)| *status == 200)?;
            for (family, figure) in [
                ("sluice_stock_rows", &mut sum.rows),
                ("sluice_remembered_ids", &mut sum.remembered_ids),
                ("sluice_open_orders", &mut sum.open_orders),
                ("sluice_ledger_bytes", &mut sum.ledger_bytes),
            ] {
                *figure += gauge(&page, family)?;
            }
        }
        Some(sum)
    }

    /// Process ids of those that run.
    pub fn pids(&self) -> Vec<u32> {
        self.running.iter().filter_map(|engine| engine.child.as_ref().map(Child::id)).collect()
    }

    /// Kills engine `number` (SIGKILL) and waits until it is gone.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn kill(&mut self, number: usize) -> Result<(), EngineError> {
        let Some(mut child) = self.running[number].child.take() else { return Ok(()) };
        child.kill().map_err(EngineError::io("kill the engine"))?;
        child.wait().map_err(EngineError::io("wait for the engine"))?;
        Ok(self.guard.gone(child.id())?)
    }

    /// Sends engine `number` a signal, named without SIG; to one that is down: nothing.
    ///
    /// # Errors
    /// It could not be sent.
    pub fn signal(&self, number: usize, name: &str) -> Result<(), EngineError> {
        let Some(child) = &self.running[number].child else { return Ok(()) };
        let status = Command::new("sh")
            .args(["-c", "kill -s \"$0\" \"$1\"", name, &child.id().to_string()])
            .stderr(Stdio::null())
            .status()
            .map_err(EngineError::io("start sh"))?;
        if status.success() {
            return Ok(());
        }
        Err(EngineError::Io { what: format!("send SIG{name}"), error: io::Error::other(format!("kill: {status}")) })
    }

    /// Asks engine `number` to stop and waits; one that takes too long is killed.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn stop(&mut self, number: usize) -> Result<(), EngineError> {
        // One that a fault froze hears nothing before this.
        self.signal(number, "CONT")?;
        self.signal(number, "TERM")?;
        let deadline = Instant::now() + STOP_WITHIN;
        while let Some(child) = &mut self.running[number].child {
            let ended = child.try_wait().map_err(EngineError::io("look at the engine"))?;
            if ended.is_some() || Instant::now() >= deadline {
                return self.kill(number);
            }
            thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Stops all of them, in order.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn stop_all(&mut self) -> Result<(), EngineError> {
        (0..self.running.len()).try_for_each(|number| self.stop(number))
    }
}

impl Drop for Engines {
    fn drop(&mut self) {
        for number in 0..self.running.len() {
            // It may be dead already; what is left is the guard's to end.
            let _ = self.kill(number);
        }
    }
}

impl Engine {
    fn tail(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    /// Where it serves HTTP: the log names the port that it was given.
    fn http(&self) -> Option<SocketAddr> {
        let log = std::fs::read_to_string(&self.log).ok()?;
        let line = log.lines().find(|line| line.contains("/metrics") && line.contains("127.0.0.1:"))?;
        let address = line.split("127.0.0.1:").nth(1)?;
        let digits: String = address.chars().take_while(char::is_ascii_digit).collect();
        Some(SocketAddr::from(([127, 0, 0, 1], digits.parse().ok().filter(|port| *port != 0)?)))
    }

    fn is_ready(&self) -> bool {
        self.http().is_some_and(|address| get(address, "/ready").is_ok_and(|(status, _)| status == 200))
    }
}

/// Sum of a gauge over its labels; none if the page has no such family.
fn gauge(page: &str, family: &str) -> Option<u64> {
    let rows = page.lines().filter_map(|line| line.strip_prefix(family).filter(|rest| rest.starts_with(['{', ' '])));
    let figures = rows.map(|row| row.rsplit(' ').next().and_then(|figure| figure.parse::<f64>().ok()));
    figures.sum::<Option<f64>>().filter(|_| page.contains(&format!("# TYPE {family} "))).map(|sum| sum as u64)
}

/// Status and text of an answer over HTTP.
fn get(address: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, HTTP_TIMEOUT)?;
    stream.set_read_timeout(Some(HTTP_TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.map(|status| (status, answer)).ok_or_else(|| io::Error::other("no HTTP answer"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_is_the_sum_of_its_shards() {
        let page = "# TYPE sluice_stock_rows gauge\nsluice_stock_rows{shard=\"0\"} 7.0\nsluice_stock_rows{shard=\"1\"} 5.0\n\
                    sluice_stock_rows_other 9.0\n# TYPE sluice_open_orders gauge\n";
        assert_eq!(gauge(page, "sluice_stock_rows"), Some(12));
        assert_eq!(gauge(page, "sluice_open_orders"), Some(0), "an engine without a shard");
        assert_eq!(gauge(page, "sluice_ledger_bytes"), None);
    }

    #[test]
    fn a_missing_engine_is_named_with_what_to_do() {
        let error = find_sluice(Some(Path::new("/nowhere/sluice"))).expect_err("there is none");
        let text = error.to_string();
        assert!(text.contains("/nowhere/sluice") && text.contains("cargo build"), "{text}");
    }
}
