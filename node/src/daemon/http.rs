//! The HTTP address: whether the daemon lives, and what it counts. It takes nothing in.

use super::Daemon;
use axum::{Json, Router, extract::State, routing::get};
use std::{net::SocketAddr, sync::Arc};

/// Serves until the daemon stops.
pub(super) async fn serve(daemon: Arc<Daemon>, address: SocketAddr) {
    let listener = match tokio::net::TcpListener::bind(address).await {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%address, %error, "the HTTP address cannot be opened; set another with `http` in hearten.toml, or \"off\"");
            return;
        }
    };
    let stop = daemon.stop.clone();
    let router = Router::new()
        .route("/ping", get(|| async { "Pong" }))
        .route("/counters", get(counters))
        .with_state(daemon);
    let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!(%error, "the HTTP address is closed");
    }
}

async fn counters(State(daemon): State<Arc<Daemon>>) -> Json<serde_json::Value> {
    Json(serde_json::json!({ "schema": 1, "counters": daemon.counters() }))
}
