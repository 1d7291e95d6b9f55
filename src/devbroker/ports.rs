//! Loopback ports that nobody else takes while a broker is down.

use std::fs::{self, File};
use std::net::TcpListener;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::{DevBrokerError, HOST, jars};

/// Below Linux's default range for outgoing connections (32768 and up): a port from it could be taken by any client
/// while its broker restarts.
const FIRST_PORT: u16 = 20_000;
const LAST_PORT: u16 = 31_999;

/// How many ports are looked at before giving up.
const TRIES: u32 = 200;

/// A broker's ports, held against other harnesses for as long as this lives.
#[derive(Debug)]
pub(super) struct Ports {
    pub(super) broker: u16,
    pub(super) controller: u16,
    pub(super) secure: u16,
    _locks: [File; 3],
}

impl Ports {
    /// Chooses free ports. Another program may still take one before the broker does: that start is tried again.
    pub(super) fn reserve() -> Result<Self, DevBrokerError> {
        let (broker, first) = free_port()?;
        let (controller, second) = free_port()?;
        let (secure, third) = free_port()?;
        Ok(Self { broker, controller, secure, _locks: [first, second, third] })
    }
}

/// A port that can be bound and whose lock file nobody holds.
fn free_port() -> Result<(u16, File), DevBrokerError> {
    let dir = jars::cache_dir().join("ports");
    fs::create_dir_all(&dir).map_err(DevBrokerError::io(format!("create {}", dir.display())))?;
    let mut rng = SmallRng::from_os_rng();
    for _ in 0..TRIES {
        let port = rng.random_range(FIRST_PORT..=LAST_PORT);
        let path = dir.join(port.to_string());
        let lock = File::create(&path).map_err(DevBrokerError::io(format!("create {}", path.display())))?;
        if lock.try_lock().is_ok() && TcpListener::bind((HOST, port)).is_ok() {
            return Ok((port, lock));
        }
    }
    let error = std::io::Error::from(std::io::ErrorKind::AddrInUse);
    Err(DevBrokerError::Io { what: format!("find a free port in {FIRST_PORT}..={LAST_PORT}"), error })
}
