//! `loadtest scenarios`: lists what there is, explains one.

use std::io::{self, Write};

use super::load::{built_in, load, parse};
use super::{ProfileSpec, Scenario};
use crate::cli::{ScenarioArgs, ScenariosArgs};
use crate::failure::Failure;
use crate::report::result::Exit;

/// `loadtest scenarios`
///
/// # Errors
/// If the one that is asked for cannot be used.
pub fn command(args: &ScenariosArgs) -> Result<Exit, Failure> {
    let text = match &args.name {
        None => list(),
        Some(name) => explain(name)?,
    };
    // Whoever reads may have had enough.
    let _ = io::stdout().write_all(text.as_bytes());
    Ok(Exit::Ok)
}

fn list() -> String {
    let mut out = String::new();
    for (name, text) in built_in() {
        let scenario = parse(text, name).expect("a test loads every scenario that is compiled in");
        let about = format!("{}\n{}", first_sentence(&scenario), outline(&scenario));
        out += &format!("{name}\n    {}\n\n", about.replace('\n', "\n    "));
    }
    out + "`loadtest scenarios NAME` explains one; `loadtest local --scenario NAME` runs it on this machine.\n"
}

/// The lines of a description up to the end of its first sentence.
fn first_sentence(scenario: &Scenario) -> &str {
    let text = scenario.description.trim();
    let end = text.match_indices('.').map(|(at, _)| at + 1).find(|end| text[*end..].starts_with([' ', '\n']));
    &text[..end.unwrap_or(text.len())]
}

fn explain(name: &str) -> Result<String, Failure> {
    let scenario = load(&ScenarioArgs {
        scenario: name.to_owned(),
        rate: None,
        duration: None,
        seed: None,
        set: Vec::new(),
        i_want_to_order_from_real_pools: true,
    })
    .map_err(Failure::usage)?;
    let file = toml::to_string_pretty(&scenario).map_err(Failure::usage)?;
    Ok(format!(
        "{}\n\n{}\n\n{}\n\nEvery key, with the value that is in force (--set KEY=VALUE changes one):\n\n{file}",
        scenario.name,
        scenario.description.trim(),
        outline(&scenario)
    ))
}

/// Rate and length in a line, thresholds in the next one.
fn outline(scenario: &Scenario) -> String {
    let kind = match scenario.profile {
        ProfileSpec::Constant { .. } => "constant",
        ProfileSpec::Ramp { .. } => "ramp",
        ProfileSpec::Steps { .. } => "steps",
        ProfileSpec::Spike { .. } => "spike",
        ProfileSpec::Soak { .. } => "soak",
        ProfileSpec::Trace { .. } => "trace",
    };
    let Ok(profile) = scenario.profile() else { return format!("{kind}: its trace cannot be read") };
    format!(
        "{kind}, {}, up to {:.0} orders/s, {:.0} orders, {} to a record\nmust hold: {}",
        humantime::format_duration(std::time::Duration::from_millis(profile.duration().as_millis() as u64)),
        profile.peak(),
        profile.total(),
        scenario.traffic.orders_per_record,
        if scenario.thresholds.is_empty() { "nothing".to_owned() } else { scenario.thresholds.join(", ") }
    )
}
