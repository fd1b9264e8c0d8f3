//! Watching this peer's wards: what the endpoint sees of them is told to the agent.

use super::Daemon;
use crate::net::watch::Told;
use protocol::agent::Input;
use std::sync::Arc;
use tokio::sync::mpsc;

/// What was seen and waits for the agent.
const WAITING_MAX: usize = 64;

/// Watches until the daemon stops.
pub(super) async fn run(daemon: Arc<Daemon>) {
    let (tell, mut told) = mpsc::channel(WAITING_MAX);
    let watching = daemon.net().watch(daemon.watched.subscribe(), tell);
    let telling = async {
        while let Some(told) = told.recv().await {
            daemon.tell(input(told)).await;
        }
    };
    tokio::select! {
        () = watching => {}
        () = telling => {}
        () = daemon.stop.cancelled() => return,
    }
    // The endpoint was closed; the daemon is about to end.
    daemon.stop.cancelled().await;
}

fn input(told: Told) -> Input {
    match told {
        Told::Ward(peer, seen) => Input::Watched { peer, seen },
        Told::Late(by) => Input::Late { what: format!("its watch was {} ms late", by.as_millis()) },
    }
}
