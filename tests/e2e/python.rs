//! A client in another language.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::engine::{Deployment, send_signal};
use crate::support::{kafka, verify};

/// Where the client and its requirements are kept in the project.
const PROJECT: &str = env!("CARGO_MANIFEST_DIR");

/// Kept between runs.
const CACHE: &str = env!("CARGO_TARGET_TMPDIR");

const MISSING: &str = "python3 with venv is needed for the client check: install Python 3.9 or newer \
                       (Debian: apt-get install python3 python3-venv)";

/// Runs a program to its end, and tells what it wrote; panics with that if it fails.
#[track_caller]
fn run(command: &mut Command, hint: &str) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}. {hint}"));
    let text = [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat();
    assert!(output.status.success(), "{command:?}: {}\n{text}\n{hint}", output.status);
    println!("{text}");
    text
}

/// A Python with the pinned packages and the generated code, made once for each set of requirements.
fn environment() -> (PathBuf, PathBuf) {
    let requirements = Path::new(PROJECT).join("tests/python/requirements.txt");
    let wanted = fs::read_to_string(&requirements).expect("the requirements are in the project");
    let lock = File::create(Path::new(CACHE).join("python.lock")).expect("a lock can be created");
    lock.lock().expect("the lock can be had");
    let venv = Path::new(CACHE).join("python");
    let (python, made) = (venv.join("bin/python"), venv.join("requirements.txt"));
    if fs::read_to_string(&made).ok().as_ref() != Some(&wanted) {
        if venv.exists() {
            fs::remove_dir_all(&venv).expect("a stale environment can be removed");
        }
        run(Command::new("python3").args(["-m", "venv"]).arg(&venv), MISSING);
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
        run(pip.arg(&requirements), "pip could not install what tests/python/requirements.txt names");
        // Last: an environment that was half made is made again.
        fs::write(&made, &wanted).expect("the environment can be marked");
    }
    let generated = Path::new(CACHE).join("python-generated");
    fs::create_dir_all(&generated).expect("a directory can be created");
    let proto = Path::new(PROJECT).join("proto");
    let mut protoc = Command::new(&python);
    protoc.args(["-m", "grpc_tools.protoc"]).arg("-I").arg(&proto).arg("--python_out").arg(&generated);
    run(protoc.args(["sluice/v1/commands.proto", "sluice/v1/decisions.proto"]), "the code cannot be generated");
    (python, generated)
}

/// Runs the client; how many commands it sent, by its own account.
fn check_with(python: &Path, generated: &Path, bootstrap: &str, topic: impl Fn(&str) -> String) -> usize {
    let mut client = Command::new(python);
    client.env("PYTHONPATH", generated).env("PYTHONDONTWRITEBYTECODE", "1");
    client.arg(Path::new(PROJECT).join("tests/python/client.py")).arg(bootstrap);
    client.args(["orders", "stock", "replies"].map(topic));
    let said = run(&mut client, "the client check failed");
    let count = said.split("every answer to ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
    count.expect("it says how many commands were answered")
}

#[test]
fn a_python_client_places_retries_confirms_cancels_and_reads_its_replies() {
    let (python, generated) = environment();
    let kafka = kafka::share();
    let deployment = Deployment::create(&kafka.bootstrap(), "python", 2, "");
    let mut engine = deployment.start();
    engine.wait_ready();
    // Twice: topics that somebody has used are as good as new ones.
    for _ in 0..2 {
        check_with(&python, &generated, &deployment.bootstrap, |of| deployment.topic(of));
    }
    engine.stop();
    verify::verify(&deployment).assert_clean();
}

#[test]
fn whoever_joins_the_demo_is_answered_and_does_not_disturb_it() {
    let (python, generated) = environment();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_sluice"));
    demo.args(["demo", "--seed=3", "--rate=200", "--for=2m"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut demo = demo.spawn().expect("the demo starts");
    let mut said = BufReader::new(demo.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
    let listens = said.find_map(|line| Some(line.strip_prefix("Kafka listens at ")?.split(';').next()?.to_owned()));
    let bootstrap = listens.expect("it says where it listens");
    said.find(|line| line.ends_with("orders begin")).expect("it begins");
    let commands = check_with(&python, &generated, &bootstrap, str::to_owned);
    send_signal(&demo, "INT");
    let said = said.collect::<Vec<_>>().join("\n");
    assert!(demo.wait().expect("it ends").success(), "{said}");
    assert!(said.contains(&format!("\n{commands} commands of others were answered too")), "{said}");
}
