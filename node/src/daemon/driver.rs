//! The loop between the agent and everything else: one input at a time.

use super::{Daemon, disk, outputs};
use consensus::aside;
use protocol::agent::{Input, TICK};
use std::sync::{Arc, atomic::Ordering};
use tokio::sync::mpsc;

/// Feeds the agent until the daemon stops.
pub(super) async fn drive(daemon: Arc<Daemon>, mut inputs: mpsc::Receiver<Input>) {
    loop {
        let sleep = {
            let now = daemon.now();
            daemon.agent().sleep(now).min(TICK)
        };
        let input = tokio::select! {
            () = daemon.stop.cancelled() => return,
            input = inputs.recv() => match input {
                Some(input) => input,
                None => return,
            },
            () = tokio::time::sleep(sleep) => Input::Tick,
        };
        let now = daemon.now();
        let (outputs, roster_at) = {
            let mut agent = daemon.agent();
            let before = agent.ledger().position();
            let onlooker = daemon.ground.onlooker.as_ref();
            let seen = onlooker.map(|onlooker| (onlooker, input.clone()));
            let outputs = agent.handle(now, input);
            if let Some((onlooker, input)) = seen {
                onlooker.stepped(&agent, &input, &outputs);
            }
            (outputs, (agent.ledger().position() != before).then(|| addresses(&agent)))
        };
        let millis = u64::try_from(now.mono.as_millis()).unwrap_or(u64::MAX);
        daemon.beat.store(millis, Ordering::Relaxed);
        if let Some(addresses) = roster_at {
            daemon.consensus.introduce(addresses.iter().map(|(peer, (_, raft))| (*raft, *peer)));
            let book = addresses.into_iter().map(|(peer, (to, _))| (peer, to)).collect();
            if *daemon.book.entries() != book && !book.is_empty() {
                daemon.book.set(book);
                keep_peers(&daemon);
            }
        }
        for output in outputs {
            outputs::carry_out(&daemon, output);
        }
    }
}

/// Writes down where the members are.
fn keep_peers(daemon: &Arc<Daemon>) {
    let daemon = Arc::clone(daemon);
    let work = daemon.work.clone();
    work.spawn(aside(move || {
        if let Err(error) = disk::store_peers(&daemon.data, &daemon.book.entries()) {
            tracing::warn!(%error, "the peers' addresses could not be kept");
        }
    }));
}

type Addresses = std::collections::BTreeMap<
    protocol::name::PeerId,
    (std::net::SocketAddr, protocol::name::RaftId),
>;

/// Who is a member, where, and with which store.
fn addresses(agent: &protocol::agent::Agent) -> Addresses {
    agent
        .ledger()
        .roster()
        .members()
        .map(|(peer, member)| (peer, (member.card.address, member.card.raft_id)))
        .collect()
}
