//! Fetches Kafka's jars through Maven, once per version and cache directory.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::DevBrokerError;

/// The version of Apache Kafka that is started.
pub const KAFKA_VERSION: &str = "4.1.1";

/// What is fetched. Its own versions are pinned in it.
const POM: &str = include_str!("pom.xml");

/// Oldest Java that Kafka 4 runs on.
const JAVA_MAJOR: u32 = 17;

/// Where jars are kept between runs: `$SLUICE_CACHE`; run by cargo, the `target` of the workspace, whichever member it
/// runs; else the user's cache.
pub(super) fn cache_dir() -> PathBuf {
    if let Some(dir) = std::env::var_os("SLUICE_CACHE") {
        return dir.into();
    }
    if let Some(target) = std::env::var_os("CARGO_TARGET_DIR") {
        return target.into();
    }
    if let Some(package) = std::env::var_os("CARGO_MANIFEST_DIR") {
        let package = Path::new(&package);
        let workspace = package.ancestors().find(|folder| folder.join("Cargo.lock").exists());
        return workspace.unwrap_or(package).join("target");
    }
    let user = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let user = user.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
    user.unwrap_or_else(std::env::temp_dir).join("sluice")
}

/// Fails unless a Java that Kafka runs on is in PATH.
pub(super) fn check_java() -> Result<(), DevBrokerError> {
    let output = Command::new("java").arg("-version").stdin(Stdio::null()).output().map_err(|_| missing_java())?;
    let text = String::from_utf8_lossy(&output.stderr);
    match java_major(&text) {
        Some(found) if found < JAVA_MAJOR => Err(DevBrokerError::OldJava { found, needed: JAVA_MAJOR }),
        _ => Ok(()),
    }
}

/// Major version from what `java -version` prints: `openjdk version "17.0.15" 2025-04-15`, `java version "1.8.0_402"`.
fn java_major(text: &str) -> Option<u32> {
    let version = text.split('"').nth(1)?;
    let mut parts = version.split(['.', '-', '+', '_']).map(|part| part.parse::<u32>().ok());
    match parts.next()?? {
        1 => parts.next()?,
        major => Some(major),
    }
}

/// The directory with Kafka's jars, fetched if it is not there. Processes that need it at once wait for the first.
pub(super) fn provide(cache: &Path) -> Result<PathBuf, DevBrokerError> {
    // Maven takes a relative path to be relative to the pom, and would put the jars where nobody finds them.
    let cache = std::path::absolute(cache).map_err(DevBrokerError::io(format!("find {}", cache.display())))?;
    let ready = cache.join(format!("kafka-{KAFKA_VERSION}"));
    fs::create_dir_all(&cache).map_err(DevBrokerError::io(format!("create {}", cache.display())))?;
    let lock_path = cache.join("kafka.lock");
    let lock = File::create(&lock_path).map_err(DevBrokerError::io(format!("create {}", lock_path.display())))?;
    lock.lock().map_err(DevBrokerError::io(format!("lock {}", lock_path.display())))?;
    // The pom is kept beside its jars: another pom, other jars.
    if fs::read_to_string(ready.join("pom.xml")).is_ok_and(|pom| pom == POM) {
        return Ok(ready);
    }
    let fetching = cache.join(format!("kafka-{KAFKA_VERSION}.fetching"));
    for stale in [&fetching, &ready] {
        if stale.exists() {
            fs::remove_dir_all(stale).map_err(DevBrokerError::io(format!("remove {}", stale.display())))?;
        }
    }
    fs::create_dir(&fetching).map_err(DevBrokerError::io(format!("create {}", fetching.display())))?;
    let pom = fetching.join("pom.xml");
    fs::write(&pom, POM).map_err(DevBrokerError::io(format!("write {}", pom.display())))?;
    fetch(&pom, &fetching)?;
    // A directory that was half filled when something failed never gets the name that is looked for.
    fs::rename(&fetching, &ready).map_err(DevBrokerError::io(format!("rename {}", fetching.display())))?;
    Ok(ready)
}

fn fetch(pom: &Path, into: &Path) -> Result<(), DevBrokerError> {
    let output = Command::new("mvn")
        .args(["--quiet", "--batch-mode", "--file"])
        .arg(pom)
        .arg("dependency:copy-dependencies")
        .arg(format!("-DoutputDirectory={}", into.display()))
        .stdin(Stdio::null())
        .output()
        .map_err(|_| missing_maven())?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    Err(DevBrokerError::Maven { output: String::from_utf8_lossy(&text).into_owned() })
}

fn missing_java() -> DevBrokerError {
    DevBrokerError::Missing { program: "java", package: "Java 17 or newer", debian: "openjdk-17-jre-headless" }
}

fn missing_maven() -> DevBrokerError {
    DevBrokerError::Missing { program: "mvn", package: "Apache Maven 3.6 or newer", debian: "maven" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pom_fetches_the_version_that_is_named() {
        assert!(POM.contains(&format!("<version>{KAFKA_VERSION}</version>")));
    }

    #[test]
    fn java_versions_old_and_new_are_told_apart() {
        assert_eq!(java_major("openjdk version \"17.0.15\" 2025-04-15\n"), Some(17));
        assert_eq!(java_major("java version \"1.8.0_402\"\n"), Some(8));
        assert_eq!(java_major("openjdk version \"25-ea\" 2025-09-16\n"), Some(25));
        assert_eq!(java_major("no idea"), None);
    }

    #[test]
    fn a_missing_program_is_named_with_what_to_install() {
        let text = missing_maven().to_string();
        assert!(text.contains("mvn") && text.contains("apt-get install maven"), "{text}");
    }
}
