//! The `sluice` binary at work: topics of its own, configuration, processes.

use std::cell::RefCell;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;
use sluice::devbroker::Guard;

use super::topics::wait_for;

/// The binary under test.
const SLUICE: &str = env!("CARGO_BIN_EXE_sluice");

/// Longest wait for an engine to take its shards: two sessions of a member that was killed, and recovery.
pub(crate) const READY_WITHIN: Duration = Duration::from_secs(60);

/// Shortest session that the configuration allows, milliseconds.
pub(crate) const SESSION_MS: u64 = 6_000;

/// A set of topics with a name of their own, and the configuration of the engines that work on them.
pub(crate) struct Deployment {
    pub(crate) name: String,
    pub(crate) bootstrap: String,
    /// Shards.
    pub(crate) partitions: u32,
    /// Partitions of `decisions`: as many as there are shards, unless a test says otherwise.
    pub(crate) lanes: u32,
    pub(crate) reply_partitions: u32,
    /// The optional topic with one record a decision is written.
    pub(crate) per_decision: bool,
    /// Topics without replication are accepted, and made so.
    dev: bool,
    guard: RefCell<Guard>,
    config: PathBuf,
}

/// What the one-per-decision topic is called among a deployment's topics, where `settings` ask for it.
pub(crate) const PER_DECISION: &str = "each";

/// Tells apart the deployments and engines of this process.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Runs a command with this configuration to its end.
fn run(name: &str, config: &Path, command: &[&str], more: &[String]) -> Output {
    let mut sluice = Command::new(SLUICE);
    sluice.args(command).arg("--config").arg(config).args(more).stdin(Stdio::null());
    let output = sluice.output().expect("the binary can be started");
    for line in text(&output).lines() {
        println!("{name} {}: {line}", command.join(" "));
    }
    output
}

impl Deployment {
    /// Writes a configuration with `settings` (TOML, over the harness's own) and creates the topics.
    pub(crate) fn create(bootstrap: &str, name: &str, partitions: u32, settings: &str) -> Self {
        let deployment = Self::unmade(bootstrap, name, partitions, settings);
        deployment.create_topics(&[]);
        deployment
    }

    /// The same, with one record a decision beside the log.
    pub(crate) fn create_per_decision(bootstrap: &str, name: &str, partitions: u32) -> Self {
        let mut deployment = Self::unmade(bootstrap, name, partitions, "");
        deployment.per_decision = true;
        deployment.write_config(&format!("topics.per_decision = {:?}", deployment.topic(PER_DECISION)));
        deployment.create_topics(&[]);
        deployment
    }

    /// As it is to be run in earnest: topics and checks as they are without `--dev`, on three brokers or more.
    pub(crate) fn create_replicated(bootstrap: &str, name: &str, partitions: u32) -> Self {
        let mut deployment = Self::unmade(bootstrap, name, partitions, "");
        deployment.dev = false;
        deployment.create_topics(&[]);
        deployment
    }

    /// The configuration without the topics.
    pub(crate) fn unmade(bootstrap: &str, name: &str, partitions: u32, settings: &str) -> Self {
        let guard = Guard::new("sluice-test").unwrap_or_else(|error| panic!("{error}"));
        let deployment = Self {
            name: format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed)),
            bootstrap: bootstrap.to_owned(),
            partitions,
            lanes: partitions,
            reply_partitions: 2,
            per_decision: false,
            dev: true,
            config: guard.dir().join("sluice.toml"),
            guard: RefCell::new(guard),
        };
        deployment.write_config(settings);
        deployment
    }

    fn write_config(&self, settings: &str) {
        let topics = [
            ("orders", "orders"),
            ("stock", "stock"),
            ("decisions", "decisions"),
            ("replies", "replies"),
            ("dead_letters", "dead-letters"),
        ];
        let topics = topics.map(|(key, of)| format!("topics.{key} = {:?}\n", self.topic(of))).concat();
        let text = format!(
            "kafka.bootstrap_servers = {:?}\nkafka.group_id = {:?}\nkafka.session_timeout_ms = {SESSION_MS}\n\
             http.listen = \"127.0.0.1:0\"\n{topics}{settings}\n",
            self.bootstrap, self.name,
        );
        std::fs::write(&self.config, text).expect("the configuration can be written");
    }

    /// Begins to create its topics. Whoever calls waits for it, or kills it.
    pub(crate) fn begin_topics(&self) -> Child {
        let mut sluice = Command::new(SLUICE);
        sluice.args(["topics", "create", "--dev", "--config"]).arg(&self.config).args(self.counts());
        sluice.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        sluice.spawn().expect("the binary can be started")
    }

    /// Creates its topics, with further flags.
    pub(crate) fn create_topics(&self, flags: &[String]) {
        let flags = [&self.counts()[..], flags].concat();
        let command = ["topics", "create", "--dev"];
        let done = self.sluice(if self.dev { &command } else { &command[..2] }, &flags);
        assert!(done.status.success(), "topics create: {}", text(&done));
    }

    fn counts(&self) -> [String; 3] {
        let Self { partitions, lanes, reply_partitions, .. } = self;
        [
            format!("--partitions={partitions}"),
            format!("--lanes={lanes}"),
            format!("--reply-partitions={reply_partitions}"),
        ]
    }

    /// The full name of one of its topics.
    pub(crate) fn topic(&self, of: &str) -> String {
        format!("{}.{of}", self.name)
    }

    /// Runs a command of the binary to its end, with the configuration.
    pub(crate) fn sluice(&self, command: &[&str], more: &[String]) -> Output {
        run(&self.name, &self.config, command, more)
    }

    /// Runs several commands to their ends at once: each may wait long for a broker that does not answer.
    pub(crate) fn sluice_each(&self, commands: &[&[&str]], more: &[String]) -> Vec<Output> {
        let (name, config) = (self.name.as_str(), self.config.as_path());
        std::thread::scope(|scope| {
            let running: Vec<_> =
                commands.iter().map(|&command| scope.spawn(move || run(name, config, command, more))).collect();
            running.into_iter().map(|command| command.join().expect("no panic")).collect()
        })
    }

    /// Starts an engine in the deployment's own consumer group.
    pub(crate) fn start(&self) -> Engine {
        self.start_with(&[])
    }

    /// Starts an engine in a consumer group that nobody was in before: no session of a dead member delays it.
    pub(crate) fn start_alone(&self) -> Engine {
        let group = format!("{}-{}", self.name, NEXT.fetch_add(1, Ordering::Relaxed));
        self.start_with(&[&format!("--group-id={group}")])
    }

    /// Starts an engine with further flags.
    pub(crate) fn start_with(&self, flags: &[&str]) -> Engine {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let log = self.guard.borrow().dir().join(format!("engine-{number}.log"));
        let out = File::create(&log).expect("a log can be created");
        let child = Command::new(SLUICE)
            .args(["run", "--log-format=json", "--config"])
            .arg(&self.config)
            .args(self.dev.then_some("--dev"))
            .args(flags)
            .stdin(Stdio::null())
            .stdout(out.try_clone().expect("a log can be shared"))
            .stderr(out)
            .spawn()
            .expect("the binary can be started");
        self.guard.borrow_mut().started(child.id()).unwrap_or_else(|error| panic!("{error}"));
        Engine { child, log, ended: None }
    }
}

/// What a finished command wrote.
pub(crate) fn text(output: &Output) -> String {
    [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat()
}

/// One engine process. Dropping it kills it; when a test fails, the end of its log is shown.
pub(crate) struct Engine {
    child: Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
}

impl Engine {
    /// Waits until every shard assigned to it has caught up.
    #[track_caller]
    pub(crate) fn wait_ready(&mut self) {
        wait_for("the engine is ready", READY_WITHIN, || {
            assert!(self.poll().is_none(), "the engine ended: {}", self.log_tail());
            self.get("/ready").is_some_and(|(status, _)| status == 200)
        });
    }

    /// `/state`; none while it cannot be had.
    pub(crate) fn state(&self) -> Option<Value> {
        let (_, body) = self.get("/state").filter(|(status, _)| *status == 200)?;
        serde_json::from_str(&body).ok()
    }

    /// Shards that it works on, by its own account.
    pub(crate) fn shards(&self) -> Vec<u64> {
        let state = self.state().unwrap_or_default();
        let shards = state["shards"].as_array().cloned().unwrap_or_default();
        shards.iter().filter(|shard| shard["phase"] == "running").filter_map(|shard| shard["shard"].as_u64()).collect()
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        if self.ended.is_none() {
            self.child.kill().expect("it can be killed");
            self.ended = Some(self.child.wait().expect("it can be waited for"));
        }
    }

    /// Sends a signal, named without SIG.
    pub(crate) fn signal(&self, name: &str) {
        send_signal(&self.child, name);
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn wait_end(&mut self, within: Duration) -> ExitStatus {
        wait_for("the engine ends", within, || self.poll().is_some());
        self.ended.expect("just seen")
    }

    /// Asks it to stop and insists on an orderly end.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        self.signal("TERM");
        let status = self.wait_end(Duration::from_secs(40));
        assert_eq!(status.code(), Some(0), "{}", self.log_tail());
    }

    pub(crate) fn poll(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().expect("it can be looked at");
        }
        self.ended
    }

    /// All that it wrote.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// Where it serves HTTP: the log names the port that it was given.
    fn http(&self) -> Option<SocketAddr> {
        let log = self.log();
        let line = log.lines().find(|line| line.contains("/metrics") && line.contains("127.0.0.1:"))?;
        let address = line.split("127.0.0.1:").nth(1)?;
        let digits: String = address.chars().take_while(char::is_ascii_digit).collect();
        Some(SocketAddr::from(([127, 0, 0, 1], digits.parse().ok().filter(|port| *port != 0)?)))
    }

    /// Status and body; none if it did not answer in time.
    pub(crate) fn get(&self, path: &str) -> Option<(u16, String)> {
        let within = Duration::from_secs(2);
        let mut stream = TcpStream::connect_timeout(&self.http()?, within).ok()?;
        stream.set_read_timeout(Some(within)).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            println!("--- {}\n{}", self.log.display(), self.log_tail());
        }
    }
}

/// Sends a signal, named without SIG.
pub(crate) fn send_signal(to: &Child, name: &str) {
    let pid = to.id().to_string();
    let sent = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &pid]).status().expect("sh starts");
    assert!(sent.success(), "SIG{name} could not be sent");
}
