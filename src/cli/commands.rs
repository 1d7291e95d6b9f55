//! Each command, from its flags to its exit code.

use std::env;
use std::fs::File;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::runtime::Builder;

use super::args::{CheckArgs, Command, ConfigArgs, ConfigCommand, CreateArgs, RaiseRulesArgs, RunArgs, TopicsCommand};
use super::exit::{Exit, Failure};
use crate::admin::facts::Answer;
use crate::admin::{self, CreateError, Demands, Facts, Finding, Plan, Raise, RaiseError, Severity};
use crate::broker::Fault;
use crate::config::{self, Config, DEFAULTS, FlagSetting, Loaded, Log, LogFormat, Sources};
use crate::demo::{self, DemoArgs};
use crate::kafka::KafkaBroker;
use crate::kafka::admin::{Admin, CreateTopicError};
use crate::node::http::{self, Port};
use crate::node::{logging, signals, start};
use crate::wire::Layout;

/// The key that says where the brokers are.
const BOOTSTRAP_SERVERS: &str = "kafka.bootstrap_servers";

/// How long a question to the cluster may take: a cold connection over TLS, and an election under way.
const ASK_TIMEOUT: Duration = Duration::from_secs(15);

/// What the demo logs: its screen is for what happens, its log for what should not.
const DEMO_LOG_LEVEL: &str = "warn";

pub(super) fn run(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Demo(args) => demo(&args),
        Command::Run(args) => serve(&args),
        Command::Topics(TopicsCommand::Create(args)) => create(&args),
        Command::Topics(TopicsCommand::Describe(args)) => describe(&args),
        Command::Topics(TopicsCommand::RaiseRules(args)) => raise_rules(&args),
        Command::Check(args) => check(&args),
        Command::Config(args) => print_config(&args),
    }
}

/// The configuration that flags, environment and file give.
fn load(args: &ConfigArgs) -> Result<Loaded, Failure> {
    let text = |value: std::ffi::OsString| value.to_string_lossy().into_owned();
    let environment = env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
    let dedicated = [
        ("--bootstrap-servers", BOOTSTRAP_SERVERS, &args.bootstrap_servers),
        ("--group-id", "kafka.group_id", &args.group_id),
        ("--http-listen", "http.listen", &args.http_listen),
        ("--log-format", "log.format", &args.log_format),
        ("--log-level", "log.level", &args.log_level),
    ];
    let mut flags: Vec<_> = dedicated
        .into_iter()
        .filter_map(|(flag, key, value)| Some(FlagSetting { flag, key: key.to_owned(), value: value.clone()? }))
        .collect();
    for written in &args.set {
        flags.push(Sources::parse_set(written)?);
    }
    Ok(config::load(&Sources { file: args.config.clone(), environment, flags })?)
}

/// A cluster that can be asked and written to.
struct Cluster {
    admin: Admin,
    broker: KafkaBroker,
    asked: String,
}

impl Cluster {
    fn of(loaded: &Loaded) -> Result<Self, Failure> {
        let config = &loaded.config;
        let settings = config.kafka_settings();
        let of_whom = if loaded.is_default(BOOTSTRAP_SERVERS) { " (the default: nothing sets another)" } else { "" };
        let asked = format!("{}{of_whom}", settings.bootstrap_servers);
        for (key, path) in config.files() {
            if let Err(error) = File::open(path) {
                return Err(Failure::File { key, path: path.to_owned(), error });
            }
        }
        // Nothing was asked yet: whatever is wrong is wrong with the settings.
        let admin = Admin::new(&settings, ASK_TIMEOUT).map_err(Failure::Client)?;
        let broker = KafkaBroker::new(settings).map_err(Failure::Client)?;
        Ok(Self { admin, broker, asked })
    }

    fn facts(&self, config: &Config) -> Result<Facts, Failure> {
        admin::fetch(&self.admin, &self.broker, config).map_err(|fault| self.failed(fault))
    }

    fn failed(&self, fault: Fault) -> Failure {
        let trouble = self.admin.trouble().or_else(|| self.broker.trouble()).map(Box::new);
        Failure::Kafka { asked: self.asked.clone(), fault, trouble }
    }
}

/// Its orders and its end are its own; logs say what the engine says of it.
fn demo(args: &DemoArgs) -> Result<Exit, Failure> {
    logging::init(&Log { format: LogFormat::Text, level: DEMO_LOG_LEVEL.to_owned() })?;
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let stop = signals::listen(&runtime)?;
    Ok(if demo::run(args, &stop)? { Exit::Success } else { Exit::Failure })
}

fn serve(args: &RunArgs) -> Result<Exit, Failure> {
    let loaded = load(&args.config)?;
    let config = &loaded.config;
    logging::init(&config.log)?;
    tracing::info!(brokers = config.kafka.bootstrap_servers, "checking what the engine relies on");
    let cluster = Cluster::of(&loaded)?;
    let facts = cluster.facts(config)?;
    let findings = admin::findings(&facts, config, Demands { dev: args.dev, accept_loss: args.accept_loss });
    for finding in &findings {
        let Finding { severity, subject, found, remedy } = finding;
        match severity {
            Severity::Error => tracing::error!(subject, remedy, "{found}"),
            Severity::Warning => tracing::warn!(subject, remedy, "{found}"),
        }
    }
    if worst(&findings) == Some(Severity::Error) {
        tracing::error!("not started; `sluice check` repeats these checks");
        return Ok(Exit::Failure);
    }
    let replies = facts.topics.get(&config.topics.replies).and_then(Answer::found);
    let reply_partitions = replies.map_or(0, |topic| topic.partitions.len() as u32);
    start::serve(config, cluster.broker, reply_partitions, args.accept_loss)?;
    Ok(Exit::Success)
}

fn create(args: &CreateArgs) -> Result<Exit, Failure> {
    let loaded = load(&args.config)?;
    let config = &loaded.config;
    logging::init(&config.log)?;
    let plan = Plan {
        partitions: args.partitions,
        lanes: args.lanes,
        reply_partitions: args.reply_partitions,
        replication: if args.dev { 1 } else { args.replication },
        min_insync: if args.dev { 1 } else { args.min_insync },
        window: args.window,
        skew: args.skew,
        rules_level: args.rules_level,
    };
    let cluster = Cluster::of(&loaded)?;
    cluster.admin.cluster().map_err(|fault| cluster.failed(fault))?;
    // A closed standard output must not stop the work half way.
    let mut say = |line: &str| drop(writeln!(io::stdout(), "{line}"));
    match admin::create(&cluster.admin, &cluster.broker, config, &plan, &mut say) {
        Ok(()) => Ok(Exit::Success),
        Err(CreateError::Fault(fault) | CreateError::Topic(CreateTopicError::Fault(fault))) => {
            Err(cluster.failed(fault))
        }
        Err(error) => Err(error.into()),
    }
}

fn describe(args: &CheckArgs) -> Result<Exit, Failure> {
    let loaded = load(&args.config)?;
    let config = &loaded.config;
    logging::init(&config.log)?;
    let facts = Cluster::of(&loaded)?.facts(config)?;
    let mut out = io::stdout().lock();
    write!(out, "{}", admin::describe::table(&facts, config))?;
    let findings = admin::findings(&facts, config, Demands { dev: args.dev, accept_loss: false });
    if !findings.is_empty() {
        writeln!(out)?;
    }
    print_findings(&mut out, &findings)?;
    Ok(if worst(&findings) == Some(Severity::Error) { Exit::Failure } else { Exit::Success })
}

fn raise_rules(args: &RaiseRulesArgs) -> Result<Exit, Failure> {
    let loaded = load(&args.config)?;
    let config = &loaded.config;
    logging::init(&config.log)?;
    let cluster = Cluster::of(&loaded)?;
    let facts = cluster.facts(config)?;
    // Whether this is a cluster for development, or a loss was accepted, is for those who run engines on it.
    let mut findings = admin::findings(&facts, config, Demands { dev: true, accept_loss: true });
    findings.retain(|finding| finding.severity == Severity::Error);
    if !findings.is_empty() {
        print_findings(&mut io::stdout().lock(), &findings)?;
        return Ok(Exit::Failure);
    }
    let layout = facts.layout(config).expect("topics that are missing are an error");
    let raise = Raise { layout, level: args.level, timeout: args.timeout };
    // A closed standard output must not stop the work half way.
    let mut say = |line: &str| drop(writeln!(io::stdout(), "{line}"));
    match admin::raise_rules(&cluster.admin, &cluster.broker, config, &raise, &mut say) {
        Ok(()) => Ok(Exit::Success),
        Err(RaiseError::Fault(fault)) => Err(cluster.failed(fault)),
        Err(error) => Err(error.into()),
    }
}

fn check(args: &CheckArgs) -> Result<Exit, Failure> {
    let loaded = load(&args.config)?;
    let config = &loaded.config;
    logging::init(&config.log)?;
    let facts = Cluster::of(&loaded)?.facts(config)?;
    let mut findings = admin::findings(&facts, config, Demands { dev: args.dev, accept_loss: false });
    findings.extend(config.http.listen.and_then(endpoint_finding));
    findings.sort();
    let mut out = io::stdout().lock();
    print_findings(&mut out, &findings)?;
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    if errors == 0 {
        let Layout { shards, lanes } = facts.layout(config).unwrap_or(Layout::one_each(0));
        writeln!(out, "ready to run: {shards} shards, {lanes} lanes, {warnings} warnings")?;
        return Ok(Exit::Success);
    }
    writeln!(out, "not ready to run: {errors} errors, {warnings} warnings")?;
    Ok(Exit::Failure)
}

/// Whether the endpoint's port is free. One that another engine has is fine for a look at a node that works already.
fn endpoint_finding(listen: SocketAddr) -> Option<Finding> {
    let (severity, found) = match http::probe(listen) {
        Port::Free => return None,
        Port::Engine => (Severity::Warning, format!("{listen} is served by an engine that is at work")),
        Port::Taken(why) => (Severity::Error, format!("{listen} cannot be listened on: {why}")),
    };
    let remedy = "for another one on this machine set http.listen (--http-listen) to a free port, or to \"\" to serve \
                  nothing";
    Some(Finding { severity, subject: "http.listen".to_owned(), found, remedy: remedy.to_owned() })
}

fn print_findings(out: &mut dyn Write, findings: &[Finding]) -> io::Result<()> {
    findings.iter().try_for_each(|finding| writeln!(out, "{finding}"))
}

/// The worst severity there is.
fn worst(findings: &[Finding]) -> Option<Severity> {
    findings.iter().map(|finding| finding.severity).min()
}

fn print_config(args: &ConfigCommand) -> Result<Exit, Failure> {
    let mut out = io::stdout().lock();
    if args.default {
        write!(out, "{DEFAULTS}")?;
    } else {
        write!(out, "{}", load(&args.config)?)?;
    }
    Ok(Exit::Success)
}
