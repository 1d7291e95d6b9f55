//! One broker: its directory, its process, its log.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::guard::Guard;
use super::ports::Ports;
use super::{DevBrokerError, HOST, Secure};

/// Longest wait for a broker to serve. It takes 4 s on a quiet machine with two cores.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// Longest wait for a broker that was asked to stop; after it, it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// How long the cluster waits for a broker that is silent, ms: what a killed one takes to come back. Below Kafka's 9 s
/// it happens on a machine with more to run than cores that a sound broker is late and loses its partitions.
const SESSION_TIMEOUT_MS: &str = "9000";

/// Pause between two looks at a process or its log.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What Kafka logs once it is registered, unfenced and listening.
const READY_LINE: &str = "Kafka Server started";

/// How many lines of the log an error shows.
const TAIL_LINES: usize = 40;

/// What all brokers of a cluster have in common.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub(super) class_path: PathBuf,
    pub(super) heap_mib: u32,
    pub(super) brokers: u16,
    pub(super) voters: String,
    pub(super) cluster_id: String,
    pub(super) secure: Option<Secure>,
    pub(super) overrides: Vec<(String, String)>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Broker {
    id: usize,
    ports: Ports,
    properties: PathBuf,
    log: PathBuf,
    spec: Spec,
    process: Option<Child>,
    /// Length of the log when the process was started: what stands before is from an earlier life.
    log_start: u64,
}

impl Broker {
    /// Writes the configuration of broker `id` under `dir`. Starts nothing.
    pub(super) fn new(id: usize, ports: Ports, dir: &Path, spec: &Spec) -> Result<Self, DevBrokerError> {
        let properties = dir.join(format!("server-{id}.properties"));
        let log = dir.join(format!("broker-{id}.log"));
        let text = server_properties(id, &ports, &dir.join(format!("data-{id}")), spec);
        fs::write(&properties, text).map_err(DevBrokerError::io(format!("write {}", properties.display())))?;
        Ok(Self { id, ports, properties, log, spec: spec.clone(), process: None, log_start: 0 })
    }

    /// Prepares the data directory, as Kafka wants it done once.
    pub(super) fn format(&self) -> Result<(), DevBrokerError> {
        let users = self.spec.secure.iter().flat_map(|secure| &secure.users);
        let log = self.open_log()?;
        let status = self
            .java("kafka.tools.StorageTool", log)?
            // With `=`: an id may begin with a dash.
            .args(["format", &format!("--cluster-id={}", self.spec.cluster_id), "--config"])
            .arg(&self.properties)
            .args(users.flat_map(|(name, password)| {
                ["--add-scram".to_owned(), format!("SCRAM-SHA-512=[name={name},password={password}]")]
            }))
            .status()
            .map_err(DevBrokerError::io("start java"))?;
        if status.success() { Ok(()) } else { Err(self.failed(format!("could not be formatted ({status})"))) }
    }

    /// Starts the process. Does not wait for it to serve.
    pub(super) fn start(&mut self, guard: &mut Guard) -> Result<(), DevBrokerError> {
        if self.process.is_some() {
            return Ok(());
        }
        let log = self.open_log()?;
        self.log_start = log.metadata().map_err(DevBrokerError::io("look at the broker's log"))?.len();
        let child = self
            .java("kafka.Kafka", log)?
            .arg(&self.properties)
            // Ctrl-C at a terminal is for the demo, which still needs its broker to finish.
            .process_group(0)
            .spawn()
            .map_err(DevBrokerError::io("start java"))?;
        guard.started(child.id())?;
        self.process = Some(child);
        Ok(())
    }

    /// Waits until the process serves.
    pub(super) fn wait_ready(&mut self) -> Result<(), DevBrokerError> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if self.new_log().contains(READY_LINE) {
                return Ok(());
            }
            let ended = match &mut self.process {
                Some(child) => child.try_wait().map_err(DevBrokerError::io("look at the broker"))?,
                None => return Err(self.failed("is not running".to_owned())),
            };
            if let Some(status) = ended {
                return Err(self.failed(format!("ended at once ({status})")));
            }
            if Instant::now() >= deadline {
                return Err(self.failed(format!("did not serve within {} s", READY_WITHIN.as_secs())));
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Asks the process to stop, waits, kills it if it takes too long.
    pub(super) fn stop(&mut self, guard: &mut Guard) -> Result<(), DevBrokerError> {
        self.signal("TERM")?;
        let deadline = Instant::now() + STOP_WITHIN;
        while let Some(child) = &mut self.process {
            let ended = child.try_wait().map_err(DevBrokerError::io("look at the broker"))?;
            if ended.is_some() || Instant::now() >= deadline {
                return self.kill(guard);
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Kills the process, if there is one, and waits until it is gone.
    pub(super) fn kill(&mut self, guard: &mut Guard) -> Result<(), DevBrokerError> {
        let Some(mut child) = self.process.take() else { return Ok(()) };
        child.kill().map_err(DevBrokerError::io("kill the broker"))?;
        child.wait().map_err(DevBrokerError::io("wait for the broker"))?;
        guard.gone(child.id())
    }

    /// Sends a signal, named without SIG; to a broker that is down: nothing.
    pub(super) fn signal(&self, name: &str) -> Result<(), DevBrokerError> {
        let Some(pid) = self.pid() else { return Ok(()) };
        let status = Command::new("sh")
            .args(["-c", "kill -s \"$0\" \"$1\"", name, &pid.to_string()])
            .stderr(Stdio::null())
            .status()
            .map_err(DevBrokerError::io("start sh"))?;
        if status.success() { Ok(()) } else { Err(self.failed(format!("could not be sent SIG{name}"))) }
    }

    /// Host and port.
    pub(super) fn address(&self) -> String {
        format!("{HOST}:{}", self.ports.broker)
    }

    /// Host and port of the listener for clients that authenticate.
    pub(super) fn secure_address(&self) -> String {
        format!("{HOST}:{}", self.ports.secure)
    }

    /// None while it is down.
    pub(super) fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Where it logs.
    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    fn open_log(&self) -> Result<File, DevBrokerError> {
        let open = File::options().create(true).append(true).open(&self.log);
        open.map_err(DevBrokerError::io(format!("open {}", self.log.display())))
    }

    fn new_log(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        let from = usize::try_from(self.log_start).map_or(0, |from| from.min(bytes.len()));
        String::from_utf8_lossy(&bytes[from..]).into_owned()
    }

    fn failed(&self, what: String) -> DevBrokerError {
        let text = self.new_log();
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
        DevBrokerError::Broker { broker: self.id, what, log: self.log.clone(), tail }
    }

    /// A JVM with Kafka's usual collector settings, which logs to `log`.
    fn java(&self, main_class: &str, log: File) -> Result<Command, DevBrokerError> {
        let errors = log.try_clone().map_err(DevBrokerError::io("share the broker's log"))?;
        let mut command = Command::new("java");
        command
            .args([format!("-Xms{}m", self.spec.heap_mib.min(256)), format!("-Xmx{}m", self.spec.heap_mib)])
            .args(["-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35"])
            // It lives for minutes beside what is tested, and its second compiler would take a third of its CPU time.
            .arg("-XX:TieredStopAtLevel=1")
            .args(["-XX:+ExitOnOutOfMemoryError", "-XX:+PerfDisableSharedMem", "-Djava.awt.headless=true"])
            .args([
                "-Dorg.slf4j.simpleLogger.showDateTime=true",
                "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                "-Dorg.slf4j.simpleLogger.log.kafka.server=info",
                "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaConfig=warn",
            ])
            .arg("-cp")
            .arg(self.spec.class_path.join("*"))
            .arg(main_class)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors);
        Ok(command)
    }
}

/// A cluster id as Kafka writes it: 16 bytes in URL-safe base64, without padding.
pub(super) fn cluster_id(bytes: [u8; 16]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let value = u128::from_be_bytes(bytes);
    // 22 digits of 6 bits hold 132 bits: the last 4 are zero.
    let digits = (0..22u32).map(|i| {
        let shift = 122 - 6 * i64::from(i);
        let digit = if shift >= 0 { value >> shift } else { value << -shift };
        char::from(ALPHABET[(digit & 63) as usize])
    });
    digits.collect()
}

/// The configuration of one broker. What differs from Kafka's defaults is there for its reason.
fn server_properties(id: usize, ports: &Ports, data: &Path, spec: &Spec) -> String {
    let replication = spec.brokers.min(3);
    let min_insync = if replication == 3 { 2 } else { 1 };
    let mut lines = vec![
        ("process.roles".to_owned(), "broker,controller".to_owned()),
        ("node.id".to_owned(), id.to_string()),
        ("controller.quorum.voters".to_owned(), spec.voters.clone()),
        ("listeners".to_owned(), format!("BROKER://{HOST}:{},CONTROLLER://{HOST}:{}", ports.broker, ports.controller)),
        ("advertised.listeners".to_owned(), format!("BROKER://{HOST}:{}", ports.broker)),
        ("inter.broker.listener.name".to_owned(), "BROKER".to_owned()),
        ("controller.listener.names".to_owned(), "CONTROLLER".to_owned()),
        ("listener.security.protocol.map".to_owned(), "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned()),
        ("log.dirs".to_owned(), data.display().to_string()),
        // A test that misspells a topic must hear of it.
        ("auto.create.topics.enable".to_owned(), "false".to_owned()),
        ("unclean.leader.election.enable".to_owned(), "false".to_owned()),
        ("default.replication.factor".to_owned(), replication.to_string()),
        ("min.insync.replicas".to_owned(), min_insync.to_string()),
        ("offsets.topic.replication.factor".to_owned(), replication.to_string()),
        ("transaction.state.log.replication.factor".to_owned(), replication.to_string()),
        ("transaction.state.log.min.isr".to_owned(), min_insync.to_string()),
        // 50 partitions each would take longer to create than many a test runs.
        ("offsets.topic.num.partitions".to_owned(), replication.to_string()),
        ("transaction.state.log.num.partitions".to_owned(), replication.to_string()),
        // Nobody else is about to join: waiting 3 s for them would be the longest part of a test.
        ("group.initial.rebalance.delay.ms".to_owned(), "0".to_owned()),
        // Engines in tests leave with kill -9; sessions as short as theirs must be allowed.
        ("group.min.session.timeout.ms".to_owned(), "1000".to_owned()),
        ("broker.session.timeout.ms".to_owned(), SESSION_TIMEOUT_MS.to_owned()),
        ("broker.heartbeat.interval.ms".to_owned(), "500".to_owned()),
        // Two cores: Kafka's 3 and 8 threads only take turns.
        ("num.network.threads".to_owned(), "2".to_owned()),
        ("num.io.threads".to_owned(), "4".to_owned()),
        // 128 MiB of the heap otherwise.
        ("log.cleaner.dedupe.buffer.size".to_owned(), "8388608".to_owned()),
    ];
    if let Some(secure) = &spec.secure {
        lines.extend(secure_listener(ports, secure));
    }
    lines.extend(spec.overrides.iter().cloned());
    lines.into_iter().map(|(key, value)| format!("{key}={value}\n")).collect()
}

/// Besides the plain listener, which stays for the brokers themselves, one of SASL over TLS. Of two lines with the same
/// key Kafka takes the latter.
fn secure_listener(ports: &Ports, secure: &Secure) -> Vec<(String, String)> {
    let plain = format!("BROKER://{HOST}:{}", ports.broker);
    let secured = format!("SECURE://{HOST}:{}", ports.secure);
    let map = "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL";
    let of_listener = [
        ("sasl.enabled.mechanisms", "SCRAM-SHA-512".to_owned()),
        (
            "scram-sha-512.sasl.jaas.config",
            "org.apache.kafka.common.security.scram.ScramLoginModule required;".to_owned(),
        ),
        ("ssl.keystore.type", "PKCS12".to_owned()),
        ("ssl.keystore.location", secure.keystore.display().to_string()),
        ("ssl.keystore.password", secure.keystore_password.clone()),
    ];
    let lines = [
        ("listeners".to_owned(), format!("{plain},CONTROLLER://{HOST}:{},{secured}", ports.controller)),
        ("advertised.listeners".to_owned(), format!("{plain},{secured}")),
        ("listener.security.protocol.map".to_owned(), map.to_owned()),
    ];
    let of_listener = of_listener.into_iter().map(|(key, value)| (format!("listener.name.secure.{key}"), value));
    lines.into_iter().chain(of_listener).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_id_is_22_characters_of_url_safe_base64() {
        assert_eq!(cluster_id([0; 16]), "A".repeat(22));
        assert_eq!(cluster_id([0xff; 16]), format!("{}w", "_".repeat(21)));
        assert_eq!(cluster_id(*b"0123456789abcdef"), "MDEyMzQ1Njc4OWFiY2RlZg");
    }
}
