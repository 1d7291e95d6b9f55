//! Brokers that want TLS and a password.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sluice::devbroker::{Cluster, Guard, Options, Secure};

use crate::support::engine::{Deployment, READY_WITHIN, text};
use crate::support::orders::Plan;
use crate::support::tail::Tail;
use crate::support::traffic::Flow;
use crate::support::{kafka, verify};

/// Exit codes of the binary.
const USAGE: i32 = 2;
const UNAVAILABLE: i32 = 3;

const USER: &str = "sluice";
const PASSWORD: &str = "hunter2-and-more";
const WRONG_PASSWORD: &str = "hunter3-and-less";

fn keytool(arguments: &[&str]) {
    let output = Command::new("keytool").args(arguments).output();
    let output = output.expect("keytool is needed, which comes with Java (Debian: openjdk-17-jre-headless)");
    assert!(output.status.success(), "keytool {arguments:?}: {}", text(&output));
}

/// A key with a certificate of its own for loopback addresses: the keystore, and the certificate for clients.
fn certificate(dir: &Path, name: &str) -> (PathBuf, PathBuf) {
    let (keystore, pem) = (dir.join(format!("{name}.p12")), dir.join(format!("{name}.pem")));
    let (keystore_name, pem_name) = (keystore.to_str().expect("plain letters"), pem.to_str().expect("plain letters"));
    let store = ["-alias", name, "-storetype", "PKCS12", "-keystore", keystore_name, "-storepass", PASSWORD];
    let key = ["-genkeypair", "-keyalg", "EC", "-groupname", "secp256r1", "-validity", "2", "-dname", "CN=broker"];
    keytool(&[&key[..], &["-ext", "SAN=IP:127.0.0.1"], &store].concat());
    keytool(&[&["-exportcert", "-rfc", "-file", pem_name][..], &store].concat());
    (keystore, pem)
}

/// Settings of a client.
fn settings(password: &str, ca: &Path) -> String {
    [
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "SCRAM-SHA-512"),
        ("sasl.username", USER),
        ("sasl.password", password),
        ("ssl.ca.location", &ca.display().to_string()),
    ]
    .map(|(key, value)| format!("kafka.common.\"{key}\" = {value:?}\n"))
    .concat()
}

#[test]
fn an_engine_works_over_tls_with_a_password_and_says_what_is_wrong_with_either() {
    let _beside = kafka::share();
    let guard = Guard::new("sluice-test").unwrap_or_else(|error| panic!("{error}"));
    let (keystore, ca) = certificate(guard.dir(), "brokers");
    let (_, other_ca) = certificate(guard.dir(), "others");
    let users = vec![(USER.to_owned(), PASSWORD.to_owned())];
    let secure = Some(Secure { keystore, keystore_password: PASSWORD.to_owned(), users });
    let broker = Cluster::start(&Options { secure, ..Options::default() }).unwrap_or_else(|error| panic!("{error}"));
    let flag = format!("--bootstrap-servers={}", broker.secure_bootstrap());
    let at = std::slice::from_ref(&flag);
    // The harness itself reads and writes by the plain listener.
    let deployment = |settings: &str| Deployment::unmade(&broker.bootstrap(), "secure", 2, settings);

    let works = deployment(&settings(PASSWORD, &ca));
    works.create_topics(at);
    let mut said = vec![];
    for command in [&["check", "--dev"][..], &["topics", "describe", "--dev"], &["config"]] {
        let output = works.sluice(command, at);
        said.push(text(&output));
        assert_eq!(output.status.code(), Some(0), "{command:?}");
    }
    let mut engine = works.start_with(&[&flag, "--log-level=debug"]);
    engine.wait_ready();
    let plan = Plan { seed: 14, pools: 8, skus: 200, per_record: 20, reply_partitions: 2 };
    let flow = Flow::start(&works, plan, 2_000);
    let mut tail = Tail::new(&works);
    assert!(tail.follow(READY_WITHIN, |tail, _| tail.decisions >= 2_000), "no decisions:\n{}", engine.log());
    flow.stop();
    tail.wait_drained(Duration::from_secs(60));
    engine.stop();
    said.push(engine.log());
    verify::verify(&works).assert_clean();

    let wrong_password = settings(WRONG_PASSWORD, &ca);
    let wrong_ca = settings(PASSWORD, &other_ca);
    let no_ca = settings(PASSWORD, &guard.dir().join("missing.pem"));
    let no_tls = String::new();
    for (settings, code, words) in [
        (&wrong_password, USAGE, &["uthentication", "sasl.password"][..]),
        (&wrong_ca, USAGE, &["certificate", "ssl.ca.location"]),
        (&no_ca, USAGE, &["missing.pem"]),
        (&no_tls, UNAVAILABLE, &["security.protocol"]),
    ] {
        let deployment = deployment(settings);
        let commands = [&["check", "--dev"][..], &["run", "--dev"], &["topics", "create", "--dev"]];
        for output in deployment.sluice_each(&commands, at) {
            let text = text(&output);
            assert_eq!(output.status.code(), Some(code), "{text}");
            words.iter().for_each(|word| assert!(text.contains(word), "{word:?} is missing in:\n{text}"));
            said.push(text);
        }
    }
    for text in said {
        assert!(!text.contains(PASSWORD) && !text.contains(WRONG_PASSWORD), "a password is shown:\n{text}");
    }
}
