//! What the daemon says to other peers. `from` is always who TLS has proved it to be.

use super::{
    Daemon, evidence, feed,
    forward::{self, Ask, Reply},
    issuing, outputs, own,
};
use crate::net::{FrameSink, Handler, JoinBinding, StreamKind};
use async_trait::async_trait;
use protocol::{agent::Input, codec, name::PeerId};
use std::{
    net::SocketAddr,
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

/// A daemon whose loop has taken no input for so long does not claim to be alive.
const STUCK_AFTER: Duration = Duration::from_secs(5);

/// Answers for the daemon, as long as it is there.
pub(super) struct Answerer(pub(super) std::sync::OnceLock<Weak<Daemon>>);

impl Answerer {
    fn daemon(&self) -> Option<Arc<Daemon>> {
        self.0.get()?.upgrade()
    }
}

#[async_trait]
impl Handler for Answerer {
    async fn answer(
        &self,
        from: PeerId,
        kind: StreamKind,
        request: Vec<u8>,
    ) -> Result<Vec<u8>, String> {
        let daemon = self.daemon().ok_or("the daemon is starting or stopping")?;
        match kind {
            StreamKind::Raft => {
                daemon.consensus.serve(from, &request).await.map_err(|error| error.to_string())
            }
            StreamKind::Forward => {
                let ask = codec::decode::<Ask>(&request).map_err(|error| error.to_string())?;
                Ok(codec::encode(&answer_ask(&daemon, from, ask).await?))
            }
            StreamKind::Gossip | StreamKind::Follow | StreamKind::Probe | StreamKind::Join => {
                Err(format!("{kind} streams are not requests"))
            }
        }
    }

    async fn gossip(&self, from: PeerId, message: Vec<u8>) {
        if let Some(daemon) = self.daemon() {
            daemon.gossip.receive(from, message);
        }
    }

    async fn follow(&self, from: PeerId, request: Vec<u8>, sink: FrameSink) {
        if let Some(daemon) = self.daemon() {
            feed::serve(&daemon, from, &request, sink).await;
        }
    }

    async fn join(&self, request: Vec<u8>, binding: JoinBinding, remote: SocketAddr) -> Vec<u8> {
        match self.daemon() {
            Some(daemon) => issuing::answer_applicant(&daemon, request, &binding, remote).await,
            None => issuing::unavailable("the daemon is starting or stopping"),
        }
    }

    fn probe_answer(&self, _from: PeerId) -> bool {
        self.daemon().is_some_and(|daemon| {
            let beat = Duration::from_millis(daemon.beat.load(Ordering::Relaxed));
            daemon.now().mono.saturating_sub(beat) < STUCK_AFTER && !daemon.stop.is_cancelled()
        })
    }
}

/// Answers one request of a forward stream; the daemon asks itself so as well.
pub(super) async fn answer_ask(daemon: &Daemon, from: PeerId, ask: Ask) -> Result<Reply, String> {
    match ask {
        Ask::Propose(entry) => outputs::propose_for(daemon, from, entry).await,
        Ask::Hear(report) => {
            daemon.tell(Input::Heard(report)).await;
            Ok(Reply::Heard)
        }
        Ask::Suspect(peer, seen) => {
            daemon.tell(Input::Suspected { peer, seen }).await;
            Ok(Reply::Heard)
        }
        Ask::Probe(peer) => Ok(forward::probe_for(daemon, peer).await),
        Ask::Join { request, exporter, public_key } => {
            let binding = JoinBinding { exporter, public_key };
            issuing::join_as_leader(daemon, &request, &binding).await
        }
        Ask::Issuer => Ok(issuing::hand_over(daemon, from)),
        Ask::Renew => issuing::renew_as_leader(daemon, from).await,
        Ask::KeepEvidence { incident, hash, bytes } => {
            Ok(evidence::keep(daemon, from, incident, hash, bytes).await)
        }
        Ask::Troubles if !daemon.standing().leads => Ok(Reply::NotLeader(daemon.standing().leader)),
        Ask::Troubles => Ok(Reply::Troubles(daemon.troubles.all())),
        Ask::Time => Ok(own::time(daemon)),
        Ask::Evidence { hash } => Ok(evidence::hand_out(daemon, hash).await),
    }
}
