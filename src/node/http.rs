//! The endpoint: `/metrics`, `/live`, `/ready`, `/state`. Reads only; it changes nothing and waits for no shard.

use std::future::{Future, IntoFuture};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use thiserror::Error;
use tokio::net::TcpListener;

use super::metrics::{self, Metrics};
use super::state::StateSource;

/// What `/live` answers.
const LIVE: &str = "live\n";
/// What there is to be asked for.
const INDEX: &str = "/live     the process answers\n/ready    every shard of this node has caught up, or why not\n\
                     /state    the shards of this node, as JSON\n/metrics  for Prometheus\n";

/// How long whoever has the port may take to say who they are.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// Of their answer, no more is read.
const PROBE_BYTES: u64 = 4_096;

/// Why the endpoint cannot be served.
#[derive(Debug, Error)]
pub enum HttpError {
    /// The address cannot be listened on.
    #[error(
        "http.listen = \"{listen}\": {source}. Set http.listen to an address of this machine and a free port (port 0 \
         takes any), or to \"\" to serve nothing"
    )]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// It was listened on and fails now.
    #[error("the HTTP endpoint failed: {0}")]
    Serve(#[source] io::Error),
}

/// An endpoint that listens and does not answer yet.
#[derive(Debug)]
pub struct Endpoint {
    listener: TcpListener,
    address: SocketAddr,
}

/// Listens on `listen`; the port is taken from now on.
///
/// # Errors
/// [`HttpError::Listen`], for example when another process has the port.
pub async fn bind(listen: SocketAddr) -> Result<Endpoint, HttpError> {
    let failed = |source| HttpError::Listen { listen, source };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok(Endpoint { listener, address })
}

/// Whether an address can be listened on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port {
    /// It can.
    Free,
    /// An engine serves its state there.
    Engine,
    /// It cannot; the system's reason.
    Taken(String),
}

/// Looks whether `listen` is free. Takes nothing.
pub fn probe(listen: SocketAddr) -> Port {
    match std::net::TcpListener::bind(listen) {
        Ok(_) => Port::Free,
        Err(_) if is_engine(listen) => Port::Engine,
        Err(error) => Port::Taken(error.to_string()),
    }
}

/// Whether whoever listens there answers `/live` as an engine does.
fn is_engine(address: SocketAddr) -> bool {
    let ask = || -> io::Result<String> {
        let mut stream = std::net::TcpStream::connect_timeout(&address, PROBE_TIMEOUT)?;
        stream.set_read_timeout(Some(PROBE_TIMEOUT))?;
        stream.write_all(b"GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.take(PROBE_BYTES).read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.ends_with(&format!("\r\n\r\n{LIVE}")))
}

impl Endpoint {
    /// Where it listens, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` is ready and the requests under way are answered.
    ///
    /// # Errors
    /// [`HttpError::Serve`].
    pub async fn serve(
        self,
        source: Arc<dyn StateSource>,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), HttpError> {
        let serving = axum::serve(self.listener, router(source)).with_graceful_shutdown(stop);
        serving.into_future().await.map_err(HttpError::Serve)
    }
}

#[derive(Clone)]
struct Sources {
    state: Arc<dyn StateSource>,
    metrics: Arc<Metrics>,
}

fn router(state: Arc<dyn StateSource>) -> Router {
    let metrics = Arc::new(Metrics::new(state.clone()));
    Router::new()
        .route("/metrics", get(metrics_page))
        .route("/live", get(live))
        .route("/ready", get(ready))
        .route("/state", get(state_page))
        .route("/", get(index))
        .fallback(unknown)
        .with_state(Sources { state, metrics })
}

async fn index() -> &'static str {
    INDEX
}

async fn unknown() -> Response {
    (StatusCode::NOT_FOUND, INDEX).into_response()
}

async fn metrics_page(State(sources): State<Sources>) -> Response {
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], sources.metrics.page()).into_response()
}

/// Says that the control plane turns, no more: a shard that is stuck makes the node leave its group, which is the
/// watchdog's work, and restarting a node for a broker that is away would only add recoveries to the trouble.
async fn live() -> &'static str {
    LIVE
}

async fn ready(State(sources): State<Sources>) -> Response {
    let state = sources.state.state();
    let reasons = state.unready();
    if reasons.is_empty() {
        let lines: Vec<String> = std::iter::once("ready".to_owned()).chain(state.parked()).collect();
        return (lines.join("\n") + "\n").into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n").into_response()
}

async fn state_page(State(sources): State<Sources>) -> Response {
    Json(sources.state.state()).into_response()
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::super::state::{LaneState, NodeState, ShardState, tests::Fixed};
    use super::*;
    use crate::lane::{LaneSnapshot, Phase, ShardSnapshot};

    /// Serves `state`, asks for `path` and gives status and body.
    fn get(state: NodeState, path: &str) -> (u16, String) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let endpoint = runtime.block_on(bind(SocketAddr::from(([127, 0, 0, 1], 0)))).expect("a free port");
        let address = endpoint.address();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let served = runtime.spawn(endpoint.serve(Arc::new(Fixed(state)), async {
            let _ = stopped.await;
        }));
        let mut stream = TcpStream::connect(address).expect("it listens");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        stop.send(()).expect("it runs");
        runtime.block_on(served).expect("no panic").expect("it ends in order");
        let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line");
        let body = answer.split_once("\r\n\r\n").expect("a body").1.to_owned();
        (status, body)
    }

    /// A node with a lane for each of these shards.
    fn node(shards: Vec<(u32, Phase)>) -> NodeState {
        let lane = |&(lane, phase): &(u32, Phase)| {
            let shards = vec![ShardSnapshot { shard: lane, phase, ..ShardSnapshot::default() }];
            LaneState { lane, figures: LaneSnapshot { phase, shards, ..LaneSnapshot::default() }, held_ms: 0 }
        };
        let lanes: Vec<_> = shards.iter().map(lane).collect();
        NodeState { assigned: true, shards: ShardState::of(&lanes), lanes, ..NodeState::default() }
    }

    #[test]
    fn ready_is_503_and_says_which_lane_is_not_until_all_have_caught_up() {
        let (status, body) = get(node(vec![(0, Phase::Running), (4, Phase::Recovering)]), "/ready");
        assert_eq!(status, 503);
        assert!(body.starts_with("lane 4 is recovering"), "{body}");
        assert_eq!(get(node(vec![(0, Phase::Running)]), "/ready"), (200, "ready\n".to_owned()));
    }

    #[test]
    fn ready_names_the_shards_that_are_parked_and_does_not_wait_for_them() {
        let mut state = node(vec![(0, Phase::Running), (4, Phase::Running)]);
        state.shards[1].figures.phase = Phase::Parked;
        state.shards[1].figures.reason = Some("the record is gone".to_owned());
        assert_eq!(get(state, "/ready"), (200, "ready\nshard 4 is parked: the record is gone\n".to_owned()));
    }

    #[test]
    fn live_answers_whatever_the_shards_do() {
        assert_eq!(get(node(vec![(0, Phase::Failed)]), "/live"), (200, "live\n".to_owned()));
    }

    #[test]
    fn whoever_asks_for_something_else_is_told_what_there_is() {
        let (status, body) = get(node(vec![]), "/");
        assert_eq!(status, 200);
        assert!(["/live", "/ready", "/state", "/metrics"].iter().all(|path| body.contains(path)), "{body}");
        assert_eq!(get(node(vec![]), "/metric"), (404, body));
    }

    #[test]
    fn state_is_json_with_every_shard() {
        let (status, body) = get(node(vec![(7, Phase::Failed)]), "/state");
        let json: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(
            (status, &json["shards"][0]["shard"], &json["shards"][0]["phase"]),
            (200, &7.into(), &"failed".into())
        );
    }

    #[test]
    fn metrics_say_their_format() {
        let (status, body) = get(node(vec![]), "/metrics");
        assert_eq!(status, 200);
        assert!(body.ends_with("# EOF\n"), "{body}");
    }

    #[test]
    fn a_port_that_is_taken_is_seen_and_by_whom() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = taken.local_addr().expect("an address");
        drop(std::thread::spawn(move || drop(taken.accept().map(|(stream, _)| (stream, taken)))));
        assert!(matches!(probe(address), Port::Taken(_)));

        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let endpoint = runtime.block_on(bind(SocketAddr::from(([127, 0, 0, 1], 0)))).expect("a free port");
        let address = endpoint.address();
        drop(runtime.spawn(endpoint.serve(Arc::new(Fixed(node(vec![]))), std::future::pending())));
        assert_eq!(probe(address), Port::Engine);
        runtime.shutdown_background();
        assert_eq!(probe(SocketAddr::from(([127, 0, 0, 1], 0))), Port::Free);
    }

    #[test]
    fn a_port_in_use_names_the_key() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let listen = taken.local_addr().expect("an address");
        let error = runtime.block_on(bind(listen)).expect_err("the port is taken").to_string();
        assert!(error.starts_with(&format!("http.listen = \"{listen}\": ")), "{error}");
    }
}
