//! What the tests of the whole program share.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Once;

use loadtest::report::result::{Ended, Report};

/// The program under test.
pub(crate) const LOADTEST: &str = env!("CARGO_BIN_EXE_loadtest");

/// Names an engine to be tested with instead of the one that is built here.
const OTHER_ENGINE: &str = "LOADTEST_SLUICE";

/// The engine beside the program, as the sources have it now.
pub(crate) fn sluice() -> PathBuf {
    static BUILT: Once = Once::new();
    if let Some(other) = std::env::var_os(OTHER_ENGINE) {
        return other.into();
    }
    BUILT.call_once(|| {
        let mut build = Command::new(env!("CARGO"));
        // With a test of the whole workspace, as `cargo test` builds it: other features, and all would be compiled anew.
        build.args(["build", "--workspace", "--bin=sluice", "--test=config", "--manifest-path"]);
        build.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        assert!(build.stdin(Stdio::null()).status().expect("cargo starts").success(), "the engine can be built");
    });
    Path::new(LOADTEST).with_file_name("sluice")
}

/// A stored result.
#[track_caller]
pub(crate) fn load(path: &Path) -> Report {
    Report::load(path).unwrap_or_else(|error| panic!("{error}"))
}

/// What must hold of any run to its end: everything sent, answered and found right, and every figure adds up.
#[track_caller]
pub(crate) fn check_complete(report: &Report) {
    assert_eq!(report.ended, Ended::Completed);
    assert!(report.verification.complete);
    assert_eq!(report.verification.findings, []);
    let totals = &report.totals;
    assert!(totals.sent > 0);
    assert_eq!((totals.unsent, totals.failed), (0, 0));
    assert_eq!((totals.decided, totals.dead_letters), (totals.acknowledged, totals.poison));
    assert_eq!(report.verification.checked, totals.sent);
    assert_eq!(report.latency.count(), totals.decided);
    let by_second: u64 = report.seconds.iter().map(|second| second.decided).sum();
    assert_eq!(by_second, totals.decided);
    let asked: u64 = report.seconds.iter().map(|second| second.asked).sum();
    assert_eq!(asked, totals.asked);
}
