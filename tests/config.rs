//! Configurations that load, and what is said about those that do not.
//!
//! `tests/config/good/*.toml` must load. For each `tests/config/bad/*.toml` the `.txt` beside it holds the exact errors.

use std::fs;
use std::path::{Path, PathBuf};

use sluice::config::{Config, FlagSetting, LogFormat, Sources, load};

fn files(directory: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(Path::new("tests/config").join(directory))
        .expect("tests run in the root of the package")
        .map(|entry| entry.expect("a readable directory").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

fn from_file(path: &Path) -> Sources {
    Sources { file: Some(path.to_owned()), ..Sources::default() }
}

fn good(name: &str) -> Sources {
    from_file(&Path::new("tests/config/good").join(name))
}

fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[track_caller]
fn errors(sources: &Sources) -> String {
    load(sources).expect_err("a wrong configuration").to_string()
}

#[test]
fn good_configurations_load() {
    for path in files("good") {
        if let Err(error) = load(&from_file(&path)) {
            panic!("{}: {error}", path.display());
        }
    }
}

#[test]
fn bad_configurations_say_where_what_and_how_to_put_it_right() {
    for path in files("bad") {
        let expected = fs::read_to_string(path.with_extension("txt")).unwrap_or_default();
        assert_eq!(errors(&from_file(&path)).trim(), expected.trim(), "{}", path.display());
    }
}

#[test]
fn an_empty_file_gives_the_defaults() {
    assert_eq!(load(&good("empty.toml")).expect("it loads").config, Config::defaults());
}

#[test]
fn what_nobody_set_is_told_from_what_was_set_to_its_default() {
    let key = "kafka.bootstrap_servers";
    let written = Config::defaults().kafka.bootstrap_servers;
    let flag = Sources::parse_set(&format!("{key}={written}")).expect("a key and a value");
    assert!(load(&Sources::default()).expect("it loads").is_default(key));
    assert!(!load(&Sources { flags: vec![flag], ..Sources::default() }).expect("it loads").is_default(key));
}

#[test]
fn a_small_deployment_sets_five_keys_at_the_most() {
    let text = fs::read_to_string("tests/config/good/small.toml").expect("it is there");
    let keys = text.lines().filter(|line| line.contains(" = ")).count();
    assert!(keys <= 5, "{keys}");
    let config = load(&good("small.toml")).expect("it loads").config;
    assert_eq!(config.kafka.group_id, "shop");
    assert_eq!(config.log.format, LogFormat::Json);
}

#[test]
fn properties_reach_the_kafka_side_as_text() {
    let settings = load(&good("tls_sasl.toml")).expect("it loads").config.kafka_settings();
    for (name, value) in
        [("sasl.password", "hunter2"), ("sasl.username", "sluice"), ("socket.keepalive.enable", "true")]
    {
        assert_eq!(settings.common.get(name).map(String::as_str), Some(value));
    }
    assert_eq!(settings.consumer.get("fetch.min.bytes").map(String::as_str), Some("1024"));
}

#[test]
fn flags_win_over_the_environment_which_wins_over_the_file() {
    let mut sources = good("small.toml");
    sources.environment = environment(&[
        ("SLUICE__KAFKA__GROUP_ID", "from-environment"),
        ("SLUICE__HTTP__LISTEN", ""),
        ("SLUICE__NODE__STALL_TIMEOUT_MS", "30_000"),
        ("PATH", "/usr/bin"),
    ]);
    sources.flags = vec![
        FlagSetting { flag: "--group-id", key: "kafka.group_id".to_owned(), value: "from-flag".to_owned() },
        Sources::parse_set("log.level=debug").expect("a key and a value"),
        Sources::parse_set("kafka.common.ssl.ca.location=/ca=1.pem").expect("a key and a value"),
    ];
    let config = load(&sources).expect("it loads").config;
    assert_eq!(config.kafka.group_id, "from-flag");
    assert_eq!(config.http.listen, None);
    assert_eq!(config.node.stall_timeout_ms, 30_000);
    assert_eq!(config.log.level, "debug");
    assert_eq!(config.kafka.bootstrap_servers, "kafka-1:9092,kafka-2:9092");
    assert_eq!(config.kafka.common.0["ssl.ca.location"], "/ca=1.pem");
}

#[test]
fn the_environment_writes_properties_with_underscores() {
    let sources = Sources {
        environment: environment(&[("SLUICE__KAFKA__COMMON__SASL_PASSWORD", "00123")]),
        ..Sources::default()
    };
    let config = load(&sources).expect("it loads").config;
    assert_eq!(config.kafka.common.0["sasl.password"], "00123", "a password of digits stays as it is written");
}

#[test]
fn errors_in_the_environment_and_flags_name_the_variable_and_the_flag() {
    let sources = Sources {
        environment: environment(&[("SLUICE__HTTP__LISTENS", "x"), ("SLUICE__BATCH__MAX_BYTES", "4MB")]),
        flags: vec![Sources::parse_set("kafka.producer.acks=1").expect("a key and a value")],
        ..Sources::default()
    };
    let text = errors(&sources);
    for part in [
        "environment variable SLUICE__HTTP__LISTENS: unknown key http.listens: did you mean http.listen?",
        "environment variable SLUICE__BATCH__MAX_BYTES: batch.max_bytes = \"4MB\": must be a whole number",
        "flag --set: kafka.producer.acks = \"1\": may not be set",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert!(Sources::parse_set("log.level").is_err());
    assert!(Sources::parse_set("=debug").is_err());
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let text = errors(&from_file(Path::new("no/such/file.toml")));
    assert!(text.starts_with("no/such/file.toml: cannot be read: "), "{text}");
}

#[test]
fn no_secret_shows_in_debug_or_in_what_is_printed() {
    let mut sources = good("tls_sasl.toml");
    sources.environment = environment(&[("SLUICE__KAFKA__PRODUCER__SSL_KEY_PASSWORD", "hunter2")]);
    let loaded = load(&sources).expect("it loads");
    let shown = [format!("{loaded:?}"), loaded.to_string(), format!("{:?}", loaded.config.kafka_settings())];
    for text in shown {
        assert!(!text.contains("hunter2"), "{text}");
    }
    assert!(loaded.to_string().contains("\"sasl.password\" = \"(not shown)\"  # tests/config/good/tls_sasl.toml:6"));
}

#[test]
fn a_misspelt_secret_is_refused_without_its_value_wherever_it_is_set() {
    let sources = Sources {
        file: Some("tests/config/bad/properties.toml".into()),
        environment: environment(&[("SLUICE__KAFKA__COMMON__SASL_PASSWRD", "hunter2")]),
        flags: vec![Sources::parse_set("kafka.producer.sasl.pasword=hunter2").expect("a key and a value")],
    };
    let text = errors(&sources);
    for part in [
        "properties.toml:2: unknown key kafka.common.sasl.pasword: ",
        "variable SLUICE__KAFKA__COMMON__SASL_PASSWRD: unknown key kafka.common.sasl.passwrd: ",
        "flag --set: unknown key kafka.producer.sasl.pasword: ",
        "did you mean kafka.common.sasl.password?",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert!(!text.contains("hunter2") && !text.contains("12345"), "{text}");
}

#[test]
fn what_is_printed_loads_again_and_gives_the_same() {
    let loaded = load(&good("small.toml")).expect("it loads");
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("printed.toml");
    fs::write(&path, loaded.to_string()).expect("a file");
    assert_eq!(load(&from_file(&path)).expect("it loads").config, loaded.config);
}
