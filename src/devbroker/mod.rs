//! A real Apache Kafka on loopback, for development, tests, benchmarks and the demo. Nothing of the service uses it.
//!
//! [`Cluster::start`] fetches the pinned version through Maven once (`jars`), formats one or three brokers in KRaft
//! mode in a temporary directory, starts each on a free loopback port (`broker`) and returns when all of them serve.
//! Dropping the cluster kills the brokers by pid and removes the directory; so does the death of the process that
//! holds it, `kill -9` included (`guard`).
//!
//! It needs Java 17 or newer, Maven and `sh`; what is missing is named by the error, and never skipped over.

use std::io;
use std::path::{Path, PathBuf};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use thiserror::Error;

mod jars; // Kafka's jars, fetched once
mod ports; // loopback ports that stay a broker's own while it is down
mod broker; // one broker: its directory, its process, its log
mod guard; // ends the brokers when whoever started them ends

use broker::{Broker, Spec};
use ports::Ports;

pub use guard::Guard;
pub use jars::KAFKA_VERSION;

/// Why a development broker could not be provided.
#[derive(Debug, Error)]
pub enum DevBrokerError {
    /// A program that is needed is not installed.
    #[error("{program} not found: install {package} (Debian: apt-get install {debian}) and make sure it is in PATH")]
    Missing {
        /// The program.
        program: &'static str,
        /// What it belongs to.
        package: &'static str,
        /// Debian package.
        debian: &'static str,
    },
    /// Java is older than Kafka needs.
    #[error("java is version {found}, Apache Kafka {KAFKA_VERSION} needs {needed} or newer")]
    OldJava {
        /// Major version found.
        found: u32,
        /// Major version needed.
        needed: u32,
    },
    /// Maven could not fetch Kafka.
    #[error("Maven could not fetch Apache Kafka {KAFKA_VERSION}:\n{output}")]
    Maven {
        /// What Maven said.
        output: String,
    },
    /// A broker did not come up; the end of its log.
    #[error("broker {broker} {what}; the end of its log, {}:\n{tail}", log.display())]
    Broker {
        /// Which one.
        broker: usize,
        /// What happened.
        what: String,
        /// Its log.
        log: PathBuf,
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
}

impl DevBrokerError {
    fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |error| Self::Io { what, error }
    }
}

/// What to start.
#[derive(Clone, Debug)]
pub struct Options {
    /// Brokers, each also a controller. With three, topics may have replication 3 and the cluster's own topics do.
    pub brokers: u16,
    /// Java heap of each broker, MiB.
    pub heap_mib: u32,
    /// A further listener of each broker, for clients that authenticate.
    pub secure: Option<Secure>,
    /// Further lines for each broker's `server.properties`; they override what stands there.
    pub properties: Vec<(String, String)>,
}

/// A listener of SASL (SCRAM-SHA-512) over TLS.
#[derive(Clone, Debug)]
pub struct Secure {
    /// PKCS#12 file with the brokers' key and certificate.
    pub keystore: PathBuf,
    /// Its password.
    pub keystore_password: String,
    /// Names and passwords of those who may connect.
    pub users: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self { brokers: 1, heap_mib: 768, secure: None, properties: Vec::new() }
    }
}

/// How often a whole start is tried again: another process may take a port between its choice and its use.
const START_ATTEMPTS: u32 = 3;

/// A running cluster. Dropping it kills the brokers and removes their data.
#[derive(Debug)]
pub struct Cluster {
    brokers: Vec<Broker>,
    // Last: with it go the brokers' directories.
    guard: Guard,
}

impl Cluster {
    /// Fetches what is missing, starts the brokers and waits until they serve: a few seconds, and as long as the
    /// download takes the first time.
    pub fn start(options: &Options) -> Result<Self, DevBrokerError> {
        jars::check_java()?;
        let class_path = jars::provide(&jars::cache_dir())?;
        let mut attempt = 1;
        loop {
            match Self::start_once(options, &class_path) {
                Err(DevBrokerError::Broker { tail, .. })
                    if attempt < START_ATTEMPTS && tail.contains("Address already in use") =>
                {
                    attempt += 1;
                }
                done => return done,
            }
        }
    }

    fn start_once(options: &Options, class_path: &Path) -> Result<Self, DevBrokerError> {
        let guard = Guard::new("sluice-kafka")?;
        let ports = (0..options.brokers).map(|_| Ports::reserve()).collect::<Result<Vec<_>, _>>()?;
        let voters: Vec<String> =
            ports.iter().enumerate().map(|(i, p)| format!("{i}@{HOST}:{}", p.controller)).collect();
        let spec = Spec {
            class_path: class_path.to_owned(),
            heap_mib: options.heap_mib,
            brokers: options.brokers,
            voters: voters.join(","),
            cluster_id: broker::cluster_id(SmallRng::from_os_rng().random()),
            secure: options.secure.clone(),
            overrides: options.properties.clone(),
        };
        let mut cluster = Self { brokers: Vec::new(), guard };
        for (id, ports) in ports.into_iter().enumerate() {
            cluster.brokers.push(Broker::new(id, ports, cluster.guard.dir(), &spec)?);
        }
        // Formatting is a JVM start of its own: side by side it costs one, not three.
        std::thread::scope(|scope| {
            let formats: Vec<_> = cluster.brokers.iter().map(|broker| scope.spawn(|| broker.format())).collect();
            formats.into_iter().try_for_each(|format| format.join().expect("formatting does not panic"))
        })?;
        // None is ready before most are up, so all are started before the first wait.
        for broker in &mut cluster.brokers {
            broker.start(&mut cluster.guard)?;
        }
        for broker in &mut cluster.brokers {
            broker.wait_ready()?;
        }
        Ok(cluster)
    }

    /// What clients put into `bootstrap.servers`.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        let addresses: Vec<String> = self.brokers.iter().map(Broker::address).collect();
        addresses.join(",")
    }

    /// The same for clients that authenticate, if it was started with [`Options::secure`].
    #[must_use]
    pub fn secure_bootstrap(&self) -> String {
        let addresses: Vec<String> = self.brokers.iter().map(Broker::secure_address).collect();
        addresses.join(",")
    }

    /// How many brokers it was started with.
    #[must_use]
    pub fn brokers(&self) -> usize {
        self.brokers.len()
    }

    /// Process id of a broker; none while it is down.
    #[must_use]
    pub fn pid(&self, broker: usize) -> Option<u32> {
        self.brokers[broker].pid()
    }

    /// Where a broker logs.
    #[must_use]
    pub fn log(&self, broker: usize) -> &Path {
        self.brokers[broker].log()
    }

    /// Stops a broker as an operator would, and waits until it is gone.
    pub fn stop(&mut self, broker: usize) -> Result<(), DevBrokerError> {
        self.brokers[broker].stop(&mut self.guard)
    }

    /// Kills a broker (SIGKILL) and waits until it is gone. Its data stays.
    pub fn kill(&mut self, broker: usize) -> Result<(), DevBrokerError> {
        self.brokers[broker].kill(&mut self.guard)
    }

    /// Starts a broker that is down, on the same port and data, and waits until it serves.
    pub fn restart(&mut self, broker: usize) -> Result<(), DevBrokerError> {
        self.brokers[broker].start(&mut self.guard)?;
        self.brokers[broker].wait_ready()
    }

    /// Freezes a broker (SIGSTOP): its connections stay open and answer nothing.
    pub fn pause(&self, broker: usize) -> Result<(), DevBrokerError> {
        self.brokers[broker].signal("STOP")
    }

    /// Wakes a frozen broker (SIGCONT).
    pub fn resume(&self, broker: usize) -> Result<(), DevBrokerError> {
        self.brokers[broker].signal("CONT")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for broker in &mut self.brokers {
            // It may be dead already; what is left is the guard's to end.
            let _ = broker.kill(&mut self.guard);
        }
    }
}

/// Brokers listen here and nowhere else.
const HOST: &str = "127.0.0.1";
