//! The style of the project, made executable. Each rule says why it is one; where a rule is broken for a good reason,
//! the exception is named here.

use std::fs;
use std::path::{Path, PathBuf};

/// A file has one subject; longer ones have two.
const MAX_LINES: usize = 500;

/// A source file, and its code without comments (strings stay).
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn is_under(&self, folder: &str) -> bool {
        self.path.starts_with(&format!("{folder}/"))
    }

    /// Numbered lines of code, comments cut off.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines()).map(|(number, line)| (number, before_comment(line)))
    }

    /// As [`Source::code`], up to the tests within the file.
    fn code_without_tests(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_tests = self.path.ends_with("/tests.rs") || self.path.contains("/tests/");
        self.code().take_while(move |(_, line)| !is_tests && !line.starts_with("#[cfg(test)]"))
    }
}

/// A line up to its comment. `//` within a string (an address) is not one.
fn before_comment(line: &str) -> &str {
    let mut in_string = false;
    let bytes = line.as_bytes();
    for (i, byte) in bytes.iter().enumerate() {
        match byte {
            b'"' if i == 0 || bytes[i - 1] != b'\\' => in_string = !in_string,
            b'/' if !in_string && bytes.get(i + 1) == Some(&b'/') => return &line[..i],
            _ => {}
        }
    }
    line
}

fn files(folder: &str, extensions: &[&str]) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.expect("a readable directory").path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extensions.iter().any(|known| extension == *known)) {
                found.push(source(root, &path));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn source(root: &Path, path: &PathBuf) -> Source {
    let relative = path.strip_prefix(root).expect("a file below the root");
    Source {
        path: relative.to_string_lossy().replace('\\', "/"),
        text: fs::read_to_string(path).expect("a readable text file"),
    }
}

fn sources() -> Vec<Source> {
    let found = files("src", &["rs"]);
    assert!(found.len() > 20, "the sources are not where this test looks");
    found
}

/// The engine's sources and the load tester's: what holds for all code of the project.
fn all_sources() -> Vec<Source> {
    let tester = files("loadtest/src", &["rs"]);
    assert!(tester.len() > 20, "the load tester's sources are not where this test looks");
    sources().into_iter().chain(tester).collect()
}

/// What others wrote, kept as they ship it.
const VENDORED: [&str; 1] = ["loadtest/assets/uplot"];

/// Every line of `sources` for which `is_meant` holds.
fn places_where(sources: &[Source], is_meant: impl Fn(&str) -> bool) -> Vec<String> {
    let lines = sources.iter().flat_map(|source| all_lines(source).into_iter().map(move |line| (source, line)));
    lines
        .filter(|(_, (_, line))| is_meant(line))
        .map(|(source, (number, line))| format!("{}:{number}: {}", source.path, line.trim()))
        .collect()
}

/// Every place in `code` that holds one of `words`, but for the files that are excused.
fn places<'a>(
    sources: &'a [Source],
    code: impl Fn(&'a Source) -> Vec<(usize, &'a str)>,
    words: &[&str],
    excused: &[&str],
) -> Vec<String> {
    let excused = |source: &Source| excused.iter().any(|path| source.path == *path || source.is_under(path));
    sources
        .iter()
        .filter(|source| !excused(source))
        .flat_map(|source| code(source).into_iter().map(move |(number, line)| (source, number, line)))
        .filter(|(_, _, line)| words.iter().any(|word| line.contains(word)))
        .map(|(source, number, line)| format!("{}:{number}: {}", source.path, line.trim()))
        .collect()
}

fn all_code(source: &Source) -> Vec<(usize, &str)> {
    source.code().collect()
}

fn all_lines(source: &Source) -> Vec<(usize, &str)> {
    (1..).zip(source.text.lines()).collect()
}

fn shipped_code(source: &Source) -> Vec<(usize, &str)> {
    source.code_without_tests().collect()
}

#[track_caller]
fn none(places: &[String], rule: &str) {
    assert!(places.is_empty(), "{rule}:\n{}", places.join("\n"));
}

#[test]
fn files_have_one_subject() {
    let mut all = all_sources();
    all.extend(files("loadtest/assets", &["js", "css"]));
    let long: Vec<_> = all
        .iter()
        .filter(|source| !VENDORED.iter().any(|folder| source.is_under(folder)))
        .map(|source| (source, source.text.lines().count()))
        .filter(|(_, lines)| *lines > MAX_LINES)
        .map(|(source, lines)| format!("{}: {lines} lines", source.path))
        .collect();
    none(&long, "split by subject, not by length");
}

#[test]
fn every_file_says_first_what_it_is() {
    let mut all = all_sources();
    all.extend(files("tests", &["rs"]));
    all.extend(files("loadtest/tests", &["rs"]));
    // `tests.rs` beside a file tests that file.
    let silent: Vec<_> = all
        .into_iter()
        .map(|source| (source.text.starts_with("//! "), source.path))
        .filter(|(speaks, path)| !speaks && !path.ends_with("/tests.rs"))
        .map(|(_, path)| path)
        .collect();
    none(&silent, "begin with a `//!` comment");
}

/// The words behind a line that names a module (`mod x; // what it is`), if it is such a line: empty if there are none.
fn introduction(line: &str) -> Option<&str> {
    let named = line.trim_start();
    let named =
        ["pub mod ", "pub(crate) mod ", "pub(super) mod ", "mod "].iter().find_map(|it| named.strip_prefix(it))?;
    let (name, words) = named.split_once(';')?;
    // What `mod tests` is, its name says.
    (name != "tests").then(|| words.trim().trim_start_matches("//").trim())
}

#[test]
fn every_module_is_introduced_where_it_is_listed() {
    let all = all_sources();
    let listed = all.iter().flat_map(all_lines).filter(|(_, line)| introduction(line).is_some()).count();
    assert!(listed > 100, "modules are not listed in the way in which this test looks for them");
    let silent = places_where(&all, |line| introduction(line).is_some_and(str::is_empty));
    none(&silent, "the list of modules draws the architecture: a few words behind each");
}

/// The names of an enum of the contract, without what they begin with: `OUT_OF_STOCK` of `REASON_OUT_OF_STOCK`.
fn names_of(proto: &str, prefix: &str) -> Vec<String> {
    let lines = proto.lines().map(str::trim).filter(|line| line.starts_with(prefix) && line.contains(" = "));
    let names = lines.map(|line| line[prefix.len()..].split(' ').next().expect("a name").to_owned());
    names.filter(|name| name != "UNSPECIFIED").collect()
}

/// `OUT_OF_STOCK` as Rust has it: `OutOfStock`.
fn camel_case(name: &str) -> String {
    let word = |word: &str| word[..1].to_owned() + &word[1..].to_lowercase();
    name.split('_').map(word).collect()
}

#[test]
fn every_answer_stands_in_the_rules_in_the_model_and_on_the_page_about_changing_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = |path: &str| source(root, &root.join(path)).text;
    let proto = text("proto/sluice/v1/decisions.proto");
    let (rules, changing) = (text("src/ledger/RULES.md"), text("src/ledger/CHANGING.md"));
    let model: String = files("tests/support/model", &["rs"]).into_iter().map(|source| source.text).collect();
    let has = |text: &str, word: &str| {
        let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
        text.split(|c: char| !is_letter(c)).any(|found| found == word)
    };
    let mut missing = Vec::new();
    for (kind, prefix) in [("Outcome", "OUTCOME_"), ("Reason", "REASON_")] {
        for name in names_of(&proto, prefix) {
            for (page, text) in [("RULES.md", &rules), ("CHANGING.md", &changing)] {
                if !has(text, &name) {
                    missing.push(format!("{page}: {name}"));
                }
            }
            if !model.contains(&format!("{kind}::{}", camel_case(&name))) {
                missing.push(format!("the model: {kind}::{}", camel_case(&name)));
            }
        }
    }
    none(&missing, "an answer that somebody may be given is known everywhere");
}

#[test]
fn nothing_is_unfinished_or_switched_off() {
    let words = ["todo!", "unimplemented!", "dbg!", "#[ignore", "allow(dead_code", "allow(unused"];
    let mut all = all_sources();
    all.extend(files("tests", &["rs"]));
    all.extend(files("loadtest/tests", &["rs"]));
    none(&places(&all, all_code, &words, &["tests/tidy.rs"]), "finish it or take it out");
    let notes = places(&all, all_lines, &["TODO", "FIXME", "XXX"], &["tests/tidy.rs"]);
    none(&notes, "a note is no plan");
}

#[test]
fn input_can_not_make_the_engine_panic_by_unwrap() {
    // `expect` says why it can't fail; `unwrap` says nothing.
    none(&places(&all_sources(), shipped_code, &[".unwrap()"], &[]), "handle it, or say by `expect` why it can't be");
}

#[test]
fn unsafe_code_and_librdkafka_stand_in_one_module() {
    let words = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "rdkafka::", "rdkafka_sys", "extern \"C\""];
    none(&places(&sources(), all_code, &words, &["src/kafka"]), "put it behind the seam, in src/kafka");
}

#[test]
fn the_load_tester_is_unsafe_in_one_file() {
    let words = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "allow(unsafe_code"];
    let found = places(&files("loadtest/src", &["rs"]), all_code, &words, &["loadtest/src/load/generator/ffi.rs"]);
    none(&found, "call librdkafka there");
}

#[test]
fn the_load_tester_knows_the_wire_contract_only() {
    // A tester that shares the engine's logic shares its errors, and finds none of them.
    let words = ["log", "ledger", "lane", "node", "broker", "kafka", "config", "admin", "demo", "cli"];
    let words = words.map(|module| format!("sluice::{module}::"));
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    none(&places(&files("loadtest/src", &["rs"]), all_code, &words, &[]), "know it from the topics");
}

#[test]
fn nothing_of_tokio_stands_on_the_way_of_an_order() {
    for folder in ["wire", "ledger", "lane", "log", "broker"] {
        let found = places(&files(&format!("src/{folder}"), &["rs"]), all_code, &["tokio"], &[]);
        none(&found, "threads and bounded queues only");
    }
}

#[test]
fn the_core_knows_no_kafka_clock_thread_or_disk() {
    let words = [
        "crate::kafka",
        "crate::node",
        "crate::config",
        "std::time::Instant",
        "Instant::now",
        "SystemTime",
        "std::fs",
        "std::thread",
    ];
    for folder in ["wire", "ledger", "log"] {
        let found = places(&files(&format!("src/{folder}"), &["rs"]), shipped_code, &words, &[]);
        none(&found, "time is an argument, and events come from outside");
    }
}

#[test]
fn lanes_and_the_seam_do_not_know_what_stands_above_or_beside_them() {
    let words = ["crate::kafka", "crate::node", "crate::config", "crate::admin", "crate::cli"];
    for folder in ["lane", "broker"] {
        let found = places(&files(&format!("src/{folder}"), &["rs"]), shipped_code, &words, &[]);
        none(&found, "what they need is handed to them");
    }
}

#[test]
fn nobody_knows_the_commands_but_the_program() {
    let found = places(&sources(), all_code, &["crate::cli"], &["src/cli"]);
    none(&found, "commands know what they run, and it does not know them");
}

#[test]
fn nobody_sleeps_who_could_be_woken() {
    // Kafka tells nobody when a topic has settled, nor a process when it answers.
    let excused = ["src/admin/create.rs", "src/devbroker"];
    none(&places(&sources(), shipped_code, &["thread::sleep"], &excused), "wait on a queue with a time-out");
}

#[test]
fn only_commands_write_to_standard_output() {
    let words = ["println!", "print!(", "io::stdout"];
    none(&places(&sources(), shipped_code, &words, &["src/cli", "src/demo"]), "log it, or return it");
}

#[test]
fn the_project_knows_no_machine() {
    let mut all = sources();
    for folder in ["tests", "benches", "proto", "config", "loadtest", ".ci"] {
        all.extend(files(folder, &["rs", "toml", "proto", "py", "sh", "js", "css", "md"]));
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in ["README.md", "ARCHITECTURE.md", "Cargo.toml", "build.rs"] {
        all.push(source(root, &root.join(name)));
    }
    let homes = ["root", "home", "work", "Users"].map(|folder| format!("/{folder}/"));
    let found = places(&all, all_lines, &homes.each_ref().map(String::as_str), &[VENDORED[0]]);
    none(&found, "paths are relative, or come from the configuration");
}

#[test]
fn every_limit_says_what_it_is_and_why() {
    let limits = sources().into_iter().find(|source| source.path == "src/wire/limits.rs").expect("the limits");
    let lines: Vec<_> = limits.text.lines().collect();
    let silent: Vec<_> = lines
        .windows(2)
        .filter(|pair| pair[1].starts_with("pub const ") && !pair[0].starts_with("/// "))
        .map(|pair| pair[1].to_owned())
        .collect();
    none(&silent, "a limit has a name, a unit and a reason");
}
