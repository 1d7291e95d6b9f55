//! From a name or a file and the flags to a scenario, or to errors that say where, what, and how to put it right.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;
use toml::{Table, Value};

use super::{ProfileSpec, Scenario, check};
use crate::cli::ScenarioArgs;

/// Likeness below which a hint would mislead: half of the letters differ.
const LEAST_LIKENESS: f64 = 0.5;

/// The scenarios that are compiled in, in the order in which they are listed.
const BUILT_IN: [(&str, &str); 14] = [
    ("smoke", include_str!("../../../../config/scenarios/smoke.toml")),
    ("festival-opening", include_str!("../../../../config/scenarios/festival-opening.toml")),
    ("sold-out", include_str!("../../../../config/scenarios/sold-out.toml")),
    ("midnight-thousand", include_str!("../../../../config/scenarios/midnight-thousand.toml")),
    ("one-of-a-kind", include_str!("../../../../config/scenarios/one-of-a-kind.toml")),
    ("brands", include_str!("../../../../config/scenarios/brands.toml")),
    ("many-shards", include_str!("../../../../config/scenarios/many-shards.toml")),
    ("alliance", include_str!("../../../../config/scenarios/alliance.toml")),
    ("dawn-delivery", include_str!("../../../../config/scenarios/dawn-delivery.toml")),
    ("steady-day", include_str!("../../../../config/scenarios/steady-day.toml")),
    ("backlog-drain", include_str!("../../../../config/scenarios/backlog-drain.toml")),
    ("retry-storm", include_str!("../../../../config/scenarios/retry-storm.toml")),
    ("overload", include_str!("../../../../config/scenarios/overload.toml")),
    ("node-loss", include_str!("../../../../config/scenarios/node-loss.toml")),
];

/// Names and texts of the scenarios that are compiled in.
pub fn built_in() -> impl Iterator<Item = (&'static str, &'static str)> {
    BUILT_IN.into_iter()
}

/// Why a scenario cannot be used.
#[derive(Debug, Error)]
pub enum ScenarioError {
    /// Neither a name nor a file.
    #[error("no scenario {name:?}: {hint}; `loadtest scenarios` lists them, and a file is named with its .toml")]
    Unknown {
        /// As it was asked for.
        name: String,
        /// The nearest name.
        hint: String,
    },
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A key or value that makes no scenario.
    #[error("{origin}: {what}")]
    Malformed {
        /// The file, or the flag.
        origin: String,
        /// What is wrong, with its line, and what is allowed.
        what: String,
    },
    /// Values that are not allowed, all of them.
    #[error("scenario {name}: {}", .rules.join("\n  "))]
    Refused {
        /// Its name.
        name: String,
        /// Key, value and what is allowed, each.
        rules: Vec<String>,
    },
}

/// The scenario that the flags ask for, checked.
///
/// # Errors
/// What is wrong with it, and how to put it right.
pub fn load(args: &ScenarioArgs) -> Result<Scenario, ScenarioError> {
    let (text, origin, folder) = source(&args.scenario)?;
    let mut scenario = parse(&text, &origin)?;
    for setting in &args.set {
        scenario = set(&scenario, setting)?;
    }
    if let Some(seed) = args.seed {
        scenario.seed = seed;
    }
    if let ProfileSpec::Trace { file, .. } = &mut scenario.profile {
        *file = folder.join(&*file);
    }
    let refused = |rules| ScenarioError::Refused { name: scenario.name.clone(), rules };
    check::check(&scenario, args.i_want_to_order_from_real_pools).map_err(refused)?;
    // The check made sure that there is a profile.
    let profile = scenario.profile().map_err(|error| refused(vec![error.to_string()]))?;
    if let Some(rate) = args.rate {
        scenario.profile.scale(rate / profile.peak());
        scenario.follow(rate / profile.peak());
    }
    if let Some(duration) = args.duration {
        let factor = duration.as_secs_f64() / profile.duration().as_secs_f64();
        scenario.stretch(factor);
        scenario.follow(factor);
    }
    check::check(&scenario, args.i_want_to_order_from_real_pools)
        .map_err(|rules| ScenarioError::Refused { name: scenario.name.clone(), rules })?;
    Ok(scenario)
}

/// Text, name for errors, and the folder that relative paths start from.
fn source(asked: &str) -> Result<(String, String, PathBuf), ScenarioError> {
    if let Some((name, text)) = built_in().find(|(name, _)| *name == asked) {
        return Ok((text.to_owned(), format!("scenario {name}"), PathBuf::new()));
    }
    if !asked.ends_with(".toml") {
        let hint = match nearest(asked, built_in().map(|(name, _)| name)) {
            Some(name) => format!("did you mean {name}?"),
            None => "it is none of those that come with the program".to_owned(),
        };
        return Err(ScenarioError::Unknown { name: asked.to_owned(), hint });
    }
    let path = Path::new(asked);
    let text =
        std::fs::read_to_string(path).map_err(|source| ScenarioError::Unreadable { path: path.to_owned(), source })?;
    Ok((text, asked.to_owned(), path.parent().map(Path::to_owned).unwrap_or_default()))
}

/// A scenario from its text. Values are not judged yet.
pub(super) fn parse(text: &str, origin: &str) -> Result<Scenario, ScenarioError> {
    toml::from_str(text).map_err(|error| malformed(origin, &error))
}

fn malformed(origin: &str, error: &toml::de::Error) -> ScenarioError {
    let mut what = error.to_string().trim_end().to_owned();
    if let Some(hint) = hint(error.message()) {
        what += &format!("\n{hint}");
    }
    ScenarioError::Malformed { origin: origin.to_owned(), what }
}

/// serde says `unknown field `x`, expected one of `a`, `b``: which of these is most like `x`.
fn hint(message: &str) -> Option<String> {
    let mut quoted = message.strip_prefix("unknown ")?.split('`').skip(1).step_by(2);
    let unknown = quoted.next()?;
    nearest(unknown, quoted).map(|name| format!("did you mean {name}?"))
}

fn nearest<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|name| (strsim::normalized_damerau_levenshtein(unknown, name), name))
        .filter(|(likeness, _)| *likeness >= LEAST_LIKENESS)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// The scenario with one key set to another value, as `--set` writes it.
fn set(scenario: &Scenario, setting: &str) -> Result<Scenario, ScenarioError> {
    let origin = format!("flag --set {setting}");
    let wrong = |what: String| ScenarioError::Malformed { origin: origin.clone(), what };
    let (path, value) = setting
        .split_once('=')
        .ok_or_else(|| wrong("must be key=value, for example --set traffic.orders_per_record=50".to_owned()))?;
    let mut whole = Table::try_from(scenario).map_err(|error| wrong(error.to_string()))?;
    let mut names = path.trim().split('.').collect::<Vec<_>>();
    let last = names.pop().unwrap_or_default();
    let mut table = &mut whole;
    let mut walked = String::new();
    for name in names {
        let known: Vec<String> = table.keys().cloned().collect();
        walked = join(&walked, name);
        table = match table.get_mut(name) {
            Some(Value::Table(inner)) => inner,
            _ => return Err(wrong(unknown(&walked, name, &known))),
        };
    }
    if !table.contains_key(last) {
        let known: Vec<String> = table.keys().cloned().collect();
        return Err(wrong(unknown(&join(&walked, last), last, &known)));
    }
    table.insert(last.to_owned(), typed(value));
    Scenario::deserialize(whole).map_err(|error| malformed(&origin, &error))
}

fn unknown(path: &str, name: &str, known: &[String]) -> String {
    let hint = match nearest(name, known.iter().map(String::as_str)) {
        Some(name) => format!("did you mean {name}?"),
        None => format!("there are {}", known.join(", ")),
    };
    format!("no key {path}: {hint}")
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// A value as TOML has it; what is none (`30s`) is a text.
fn typed(value: &str) -> Value {
    let parsed = format!("value = {value}").parse::<Table>().ok().and_then(|mut table| table.remove("value"));
    parsed.unwrap_or_else(|| Value::String(value.trim().to_owned()))
}

impl Scenario {
    /// Changes stock, and what a day takes, with the demand, where they are to follow it.
    fn follow(&mut self, factor: f64) {
        if self.traffic.units_follow_rate {
            self.traffic.follow(factor);
            self.rules.follow(factor);
        }
    }

    /// Multiplies the times of the profile, and with them those of what happens meanwhile.
    pub fn stretch(&mut self, factor: f64) {
        self.profile.stretch(factor);
        self.traffic.stretch(factor);
        self.rules.stretch(factor);
        self.warehouse.iter_mut().for_each(|movement| movement.stretch(factor));
        let drain = &mut self.drain.engine_starts_at;
        let faults = self.faults.iter_mut().flat_map(|fault| [&mut fault.at, &mut fault.lasts]);
        for time in faults.chain([drain]) {
            *time = time.mul_f64(factor);
        }
    }
}

impl ProfileSpec {
    /// Multiplies every rate.
    pub fn scale(&mut self, factor: f64) {
        match self {
            Self::Constant { rate, .. } | Self::Soak { rate, .. } => *rate *= factor,
            Self::Ramp { from, to, .. } => {
                *from *= factor;
                *to *= factor;
            }
            Self::Steps { rates, .. } => rates.iter_mut().for_each(|rate| *rate *= factor),
            Self::Spike { base, peak, .. } => {
                *base *= factor;
                *peak *= factor;
            }
            Self::Trace { scale, .. } => *scale *= factor,
        }
    }

    /// Multiplies every time.
    fn stretch(&mut self, factor: f64) {
        let times = match self {
            Self::Constant { duration, .. } => vec![duration],
            Self::Ramp { over, hold, .. } => vec![over, hold],
            Self::Steps { each, .. } => vec![each],
            Self::Spike { before, rise, hold, after, .. } => vec![before, rise, hold, after],
            Self::Soak { rise, duration, .. } => vec![rise, duration],
            Self::Trace { speed, .. } => {
                *speed /= factor;
                return;
            }
        };
        for time in times {
            *time = time.mul_f64(factor);
        }
    }
}
