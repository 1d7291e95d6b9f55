//! From a configuration that was checked to a node that works until it is told to stop.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::runtime::{Builder, Runtime};
use tracing::{error, info};

use super::http::{self, HttpError};
use super::lanes::Lanes;
use super::plan::lane_settings;
use super::service::{self, NodeError, Plan};
use super::signals;
use crate::broker::{Broker, Fault};
use crate::config::Config;
use crate::kafka::KafkaBroker;
use crate::kafka::membership::Membership;
use crate::log::settings::TOPICS_TIMEOUT;
use crate::wire::Layout;

/// How long requests under way may take when the node ends.
const HTTP_END: Duration = Duration::from_secs(1);

/// Why a node could not work, or ended otherwise than by being told to.
#[derive(Debug, Error)]
pub enum StartError {
    /// The control plane's threads could not be started.
    #[error("cannot start the control plane: {0}")]
    Runtime(#[source] io::Error),
    /// The endpoint.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// How many shards and lanes there are cannot be told.
    #[error("cannot ask for the topics: {0}")]
    Topics(#[source] Fault),
    /// The group's client could not be made.
    #[error("cannot join the consumer group: {0}")]
    Join(#[source] Fault),
    /// It worked, and failed.
    #[error(transparent)]
    Node(#[from] NodeError),
}

/// Works on whatever lanes the group gives to this node, until SIGTERM or SIGINT. `reply_partitions`: how many
/// `replies` has now; `accept_loss`: the operator's way on after input was lost.
///
/// # Errors
/// See [`StartError`].
pub fn serve(config: &Config, broker: KafkaBroker, reply_partitions: u32, accept_loss: bool) -> Result<(), StartError> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(StartError::Runtime)?;
    let stop = signals::listen(&runtime).map_err(StartError::Runtime)?;
    let settings = config.kafka_settings();
    let [shards, _, lanes] = broker.topics(TOPICS_TIMEOUT).map_err(StartError::Topics)?.partitions;
    let layout = Layout { shards, lanes };
    let lanes = Arc::new(Lanes::new(&settings.group_id, &settings.client_id, layout));
    let endpoint = Endpoint::open(&runtime, config, &lanes)?;
    let shutdown_timeout = Duration::from_millis(config.node.shutdown_timeout_ms);
    let membership = Membership::join(&settings, layout, shutdown_timeout).map_err(StartError::Join)?;
    let plan = Plan {
        broker: Arc::new(broker),
        layout,
        lane: Arc::new(lane_settings(config, reply_partitions, accept_loss)),
        shutdown_timeout,
        heartbeat: settings.heartbeat(),
        stall_timeout: Duration::from_millis(config.node.stall_timeout_ms),
    };
    info!(group_id = settings.group_id, brokers = settings.bootstrap_servers, "joining the consumer group");
    let ended = service::run(plan, membership, &lanes, &stop);
    drop(endpoint);
    runtime.shutdown_timeout(HTTP_END);
    if ended.is_ok() {
        info!("stopped");
    }
    Ok(ended?)
}

/// The HTTP endpoint while it serves; dropped, it ends.
struct Endpoint {
    _end: Option<tokio::sync::oneshot::Sender<()>>,
}

impl Endpoint {
    fn open(runtime: &Runtime, config: &Config, lanes: &Arc<Lanes>) -> Result<Self, HttpError> {
        let Some(listen) = config.http.listen else { return Ok(Self { _end: None }) };
        let endpoint = runtime.block_on(http::bind(listen))?;
        info!(address = %endpoint.address(), "serving /metrics, /live, /ready and /state");
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let source = lanes.clone();
        runtime.spawn(async move {
            let serving = endpoint.serve(source, async move {
                // An error means that the sender is gone, which is the sign to end.
                let _ = ended.await;
            });
            if let Err(error) = serving.await {
                error!("{error}");
            }
        });
        Ok(Self { _end: Some(end) })
    }
}
