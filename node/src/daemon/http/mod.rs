//! The HTTP address: whether the daemon lives, what it counts, and what other systems send.
//!
//! Whoever connects has so long to say what it wants, and everybody has a share of the connections,
//! the requests, the long bodies and the words that wait: one that dawdles or is in a loop, or a
//! thousand of them, hold up nobody else.

mod bodies;
mod connections;
mod door;
mod gather;
mod intake;
mod jobs;
mod pace;
mod pages;
mod pings;
mod sender;
mod shares;
mod surgeons;
mod tellers;
mod tls;
mod tokens;
mod turns;

use super::Daemon;
use crate::intake::mapped::Mapping;
use axum::{
    Json, Router,
    extract::State,
    routing::{any, get, post},
};
pub(super) use intake::{dated, news};
pub(super) use tls::Files;

use door::Door;
use gather::Gatherer;
use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};
use tls::Tls;

/// Where to listen, and who may send something.
#[derive(Debug, Clone)]
pub(super) struct Address {
    /// Where.
    pub(super) at: SocketAddr,
    /// With which certificate, where it speaks TLS.
    pub(super) tls: Option<Files>,
    /// The file with the senders' tokens, if there is one.
    pub(super) tokens: Option<PathBuf>,
    /// How the JSON of other senders is understood.
    pub(super) mappings: Vec<Mapping>,
}

/// What the handlers share.
struct Shared {
    daemon: Arc<Daemon>,
    door: Door,
    gatherer: Arc<Gatherer<protocol::alert::Word>>,
    jobs: Arc<Gatherer<protocol::heartbeat::Word>>,
    fresh: jobs::Freshness,
    metrics: pace::Metrics,
    surgeons: surgeons::Surgeons,
    bodies: bodies::Bodies,
    tellers: Mutex<tellers::Tellers>,
    mappings: Vec<Mapping>,
}

/// How long until an address that is taken is tried again.
const BIND_AGAIN: Duration = Duration::from_secs(10);

/// Serves until the daemon stops.
pub(super) async fn serve(daemon: Arc<Daemon>, address: Address) {
    let at = address.at;
    let stop = daemon.stop.clone();
    let (listener, tls) = loop {
        let tls = address.tls.clone().map(Tls::of).transpose();
        match (tokio::net::TcpListener::bind(at).await, tls) {
            (Ok(listener), Ok(tls)) => break (listener, tls),
            // Whoever has it may go; the rest of the daemon does not wait for that.
            (Err(error), _) => {
                tracing::error!(address = %at, %error, "the HTTP address cannot be opened; set another with `http` in hearten.toml, or \"off\"");
                *daemon.http_problem() = Some(format!(
                    "cannot listen on {at}: {error}; set another address with `http` in hearten.toml, or \"off\""
                ));
            }
            // Without its certificate it is not spoken to in the clear instead.
            (Ok(_), Err(error)) => {
                tracing::error!(address = %at, %error, "the HTTP address has no certificate");
                *daemon.http_problem() = Some(format!("no TLS on {at}: {error}"));
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(BIND_AGAIN) => {}
        }
    };
    *daemon.http_problem() = None;
    let door = Door::new(at, address.tokens);
    for complaint in door.complaints() {
        tracing::warn!(%complaint, "the file `intake_tokens` of hearten.toml has a mistake");
    }
    let gatherer = Arc::new(Gatherer::default());
    drop(tokio::spawn(Arc::clone(&gatherer).carry(Arc::clone(&daemon))));
    let jobs = Arc::new(Gatherer::default());
    drop(tokio::spawn(Arc::clone(&jobs).carry(Arc::clone(&daemon))));
    let router = Router::new()
        .route("/", get(jobs::liveness).post(pace::beat))
        .route("/http", post(pace::beat_of_http))
        .route("/vote", post(pace::vote))
        .route("/echo", post(pace::echo))
        .route("/heartbeats", get(pace::heartbeats).delete(pace::forget))
        .route("/history", get(pace::history))
        .route("/reservation", get(jobs::reservations).post(jobs::reserve))
        .route("/checkin", post(jobs::check_in))
        .route("/snooze", post(jobs::snooze))
        .route("/checkout", post(jobs::check_out))
        .route("/ping/{*whose}", any(pings::ping))
        .route("/status", get(pages::status).post(pages::reserve))
        .route("/badguests", get(pages::bad_guests))
        .route("/nodes", get(pages::nodes))
        .route("/is-coordinator", get(pages::is_coordinator))
        .route("/ping", get(|| async { "Pong" }))
        .route("/counters", get(counters))
        .route("/v1/alerts", get(intake::firing))
        .route("/v1/alertmanager", post(intake::alertmanager))
        .route("/api/v2/alerts", post(intake::prometheus))
        .route("/v1/reception", post(intake::reception))
        .route("/v1/passive", post(intake::passive))
        .route("/v1/operation", get(surgeons::operation))
        .route("/v1/report", post(surgeons::report))
        .route("/v1/intake/{name}", post(intake::mapped))
        .fallback(intake::no_such_path)
        .method_not_allowed_fallback(intake::no_such_method)
        .with_state(Arc::new(Shared {
            daemon,
            door,
            gatherer,
            jobs,
            fresh: jobs::Freshness::default(),
            metrics: pace::Metrics::default(),
            surgeons: surgeons::Surgeons::default(),
            bodies: bodies::Bodies::default(),
            tellers: Mutex::default(),
            mappings: address.mappings,
        }));
    connections::serve(listener, tls, router, stop).await;
}

async fn counters(State(shared): State<Arc<Shared>>) -> Json<serde_json::Value> {
    Json(serde_json::json!({ "schema": 1, "counters": shared.daemon.counters() }))
}
