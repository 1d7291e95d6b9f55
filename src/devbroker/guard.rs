//! Ends child processes when the process that started them ends, however it ends, and removes their files.
//!
//! A `sh` holds the other end of a pipe: a line for each child started or gone, and end of file when the holder is
//! dropped or dead. Then it kills what is left and removes the directory. (A death signal set with prctl follows the thread
//! that started the child, not the process, and would kill brokers when a test's thread ends.)

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::DevBrokerError;

/// `$0` is the directory. It is removed again and again because a process that is being killed may still write to it.
const SCRIPT: &str = r#"
running=
while read -r verb pid; do
    case $verb in
    started) running="$running $pid" ;;
    gone) left=; for p in $running; do [ "$p" = "$pid" ] || left="$left $p"; done; running=$left ;;
    esac
done
for p in $running; do kill -9 "$p"; done
tries=0
while [ -e "$0" ] && [ $tries -lt 50 ]; do rm -rf -- "$0"; tries=$((tries + 1)); [ -e "$0" ] && sleep 0.1; done
"#;

/// A temporary directory and the processes that work in it: dropped, or left behind by a process that was killed, the
/// processes are killed and the directory is removed.
#[derive(Debug)]
pub struct Guard {
    dir: PathBuf,
    shell: Child,
    orders: Option<ChildStdin>,
}

impl Guard {
    /// Makes a directory whose name begins with `prefix` under the system's temporary one, and watches over it.
    pub fn new(prefix: &str) -> Result<Self, DevBrokerError> {
        let unique: u64 = SmallRng::from_os_rng().random();
        let dir = std::env::temp_dir().join(format!("{prefix}-{unique:016x}"));
        std::fs::create_dir(&dir).map_err(DevBrokerError::io(format!("create {}", dir.display())))?;
        let mut shell = Command::new("sh")
            .arg("-c")
            .arg(SCRIPT)
            .arg(&dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A group of its own: Ctrl-C at a terminal is for the demo, which still needs its broker to finish.
            .process_group(0)
            .spawn()
            .map_err(DevBrokerError::io("start sh"))?;
        let orders = shell.stdin.take();
        Ok(Self { dir, shell, orders })
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A process to be killed if nobody else does.
    pub fn started(&mut self, pid: u32) -> Result<(), DevBrokerError> {
        self.tell("started", pid)
    }

    /// A process that was seen to end: its number may be another's now.
    pub fn gone(&mut self, pid: u32) -> Result<(), DevBrokerError> {
        self.tell("gone", pid)
    }

    fn tell(&mut self, verb: &str, pid: u32) -> Result<(), DevBrokerError> {
        let orders = self.orders.as_mut().expect("closed by drop only");
        writeln!(orders, "{verb} {pid}").map_err(DevBrokerError::io("write to the guard"))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.orders = None;
        // Whoever drops a guard may count on its directory being gone.
        let _ = self.shell.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> Child {
        Command::new("sleep").arg("600").spawn().expect("sleep starts")
    }

    #[test]
    fn dropped_it_kills_what_was_started_and_removes_the_directory() {
        let mut guard = Guard::new("sluice-guard").expect("a guard");
        let dir = guard.dir().to_owned();
        let mut child = sleeper();
        guard.started(child.id()).expect("told");
        std::fs::write(dir.join("file"), "left").expect("written");
        drop(guard);
        assert!(!child.wait().expect("waited for").success());
        assert!(!dir.exists());
    }

    #[test]
    fn a_process_that_was_seen_to_end_is_not_killed_again() {
        let mut guard = Guard::new("sluice-guard").expect("a guard");
        // Stands for whoever has the number now.
        let mut child = sleeper();
        guard.started(child.id()).expect("told");
        guard.gone(child.id()).expect("told");
        drop(guard);
        assert!(child.try_wait().expect("looked at").is_none());
        child.kill().expect("killed");
        child.wait().expect("waited for");
    }
}
