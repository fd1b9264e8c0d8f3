//! What one peer asks of another, and how a fact or a command finds the leader.

use super::{Daemon, outputs, streams::Told};
use crate::net::{JoinBinding, StreamKind};
use protocol::{
    codec,
    ledger::Outcome,
    name::{IncidentId, PeerId},
    record::{Entry, Position, Seen},
    report::SignedReport,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::Instant;

/// One request of a forward stream. Enums that travel are only ever appended to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Ask {
    /// To propose an entry, as the leader.
    Propose(Entry),
    /// To hear a report without waiting for gossip.
    Hear(SignedReport),
    /// To probe a peer and say what was seen.
    Probe(PeerId),
    /// To let an applicant join, as the leader: its request and what its proof is bound to.
    Join {
        /// The request as it came.
        request: Vec<u8>,
        /// The TLS session's exporter.
        exporter: [u8; 32],
        /// The applicant's public key.
        public_key: [u8; 32],
    },
    /// To hand over the issuing key to a voter.
    Issuer,
    /// To renew the sender's certificate.
    Renew,
    /// To keep evidence that the sender has taken.
    KeepEvidence {
        /// Of which incident.
        incident: IncidentId,
        /// SHA-256 of the bytes.
        hash: [u8; 32],
        /// The bundle, compressed.
        bytes: Vec<u8>,
    },
    /// To hand out the evidence with this hash.
    Evidence {
        /// SHA-256 of the bundle.
        hash: [u8; 32],
    },
    /// To hear, as the leader, what the sender's watch says of a peer.
    Suspect(PeerId, Seen),
    /// To say what time it is on the peer's host, and how far it has the log.
    Time,
    /// To say, as the leader, what keeps streams from being read.
    Troubles,
}

/// What is answered to an [`Ask`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// What the log made of the entry, and where; no place when it was refused before.
    Proposed(Option<Position>, Outcome),
    /// Somebody else leads.
    NotLeader(Option<PeerId>),
    /// It was heard.
    Heard,
    /// What the probe saw.
    Saw(Seen),
    /// The answer for the applicant.
    Joined(Vec<u8>),
    /// The issuing key and the root's certificate, as PEM.
    Issuer(String, String),
    /// A certificate in DER.
    Certificate(Vec<u8>),
    /// It cannot be done, for this reason.
    Refused(String),
    /// It is on disk here.
    Kept,
    /// The bundle that was asked for, if it is here.
    Evidence(Option<Vec<u8>>),
    /// What time it is here, and up to which index the log is applied here.
    Time(Timestamp, u64),
    /// What keeps streams from being read here.
    Troubles(Vec<Told>),
}

impl Ask {
    /// An applicant's request on its way to the leader.
    pub(crate) fn join(request: Vec<u8>, binding: &JoinBinding) -> Self {
        Self::Join { request, exporter: binding.exporter, public_key: binding.public_key }
    }
}

/// Why something did not reach the leader.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ForwardError {
    /// Nobody leads, as far as can be seen from here.
    #[error(
        "no leader is known: the mesh may have lost its quorum; `hearten status` shows who answers"
    )]
    NoLeader,
    /// The leader did not take it in time.
    #[error(
        "the leader did not take it: {0}; it may be gone: `hearten status` shows who answers; try again when there is a leader"
    )]
    Failed(String),
}

/// How long one try may take before another leader is looked for.
const TRY_WITHIN: Duration = Duration::from_secs(2);
/// How long to wait before the next try when nobody leads.
const AGAIN: Duration = Duration::from_millis(40);

/// Brings an entry to the leader, whoever that is by then, and says what the log made of it.
///
/// It may be appended twice when an answer is lost; every record is refused the second time, or
/// changes nothing: what was told of jobs has a nonce, by which it is known.
pub(crate) async fn to_leader(
    daemon: &Daemon,
    entry: Entry,
    within: Duration,
) -> Result<(Option<Position>, Outcome), ForwardError> {
    match ask_leader(daemon, &Ask::Propose(entry), within).await? {
        Reply::Proposed(position, outcome) => Ok((position, outcome)),
        Reply::Refused(reason) => Err(ForwardError::Failed(reason)),
        Reply::NotLeader(_)
        | Reply::Heard
        | Reply::Saw(_)
        | Reply::Joined(_)
        | Reply::Issuer(..)
        | Reply::Certificate(_)
        | Reply::Kept
        | Reply::Evidence(_)
        | Reply::Time(..)
        | Reply::Troubles(_) => {
            Err(ForwardError::Failed("it answered another question".to_owned()))
        }
    }
}

/// Asks the leader, whoever that is by then.
pub(crate) async fn ask_leader(
    daemon: &Daemon,
    ask: &Ask,
    within: Duration,
) -> Result<Reply, ForwardError> {
    let deadline = Instant::now() + within;
    let mut last = ForwardError::NoLeader;
    let mut hint = None;
    let bytes = codec::encode(ask);
    loop {
        let leader = hint.take().or_else(|| daemon.standing().leader);
        if let Some(leader) = leader {
            let left = deadline.saturating_duration_since(Instant::now()).min(TRY_WITHIN);
            match try_while_it_leads(daemon, leader, ask, &bytes, left).await {
                Ok(Reply::NotLeader(other)) => hint = other.filter(|other| *other != leader),
                Ok(reply) => return Ok(reply),
                Err(reason) => last = ForwardError::Failed(reason),
            }
        }
        if Instant::now() + AGAIN >= deadline {
            return Err(last);
        }
        if hint.is_none() {
            tokio::time::sleep(AGAIN).await;
        }
    }
}

/// One try, given up as soon as somebody else is known to lead: a dead leader does not answer, and
/// its successor is there long before that is certain.
async fn try_while_it_leads(
    daemon: &Daemon,
    leader: PeerId,
    ask: &Ask,
    bytes: &[u8],
    within: Duration,
) -> Result<Reply, String> {
    let mut trying = std::pin::pin!(one_try(daemon, leader, ask, bytes, within));
    loop {
        tokio::select! {
            answer = &mut trying => return answer,
            () = tokio::time::sleep(AGAIN) => {
                if daemon.standing().leader.is_some_and(|now| now != leader) {
                    return Err("another peer leads by now".to_owned());
                }
            }
        }
    }
}

async fn one_try(
    daemon: &Daemon,
    leader: PeerId,
    ask: &Ask,
    bytes: &[u8],
    within: Duration,
) -> Result<Reply, String> {
    if leader == daemon.me {
        return Box::pin(super::answer::answer_ask(daemon, daemon.me, ask.clone())).await;
    }
    let answer = daemon.net().request(leader, StreamKind::Forward, bytes, within).await;
    let answer = answer.map_err(|error| {
        // An operator knows hosts by their names.
        let name = daemon.agent().ledger().roster().name(leader);
        error.to_string().replace(&leader.to_string(), &name)
    })?;
    codec::decode(&answer).map_err(|error| error.to_string())
}

/// How much longer than it may a probe takes on a host that was halted meanwhile.
const HALTED_FOR: Duration = Duration::from_millis(300);

/// Probes for somebody else; see [`outputs::probe`]. Who was slow meanwhile abstains.
pub(super) async fn probe_for(daemon: &Daemon, peer: PeerId) -> Reply {
    let began = Instant::now();
    let seen = outputs::probe(daemon, peer).await;
    let halted = seen.is_silence() && began.elapsed() > outputs::PROBE_WITHIN + HALTED_FOR;
    let seen = daemon.agent().testimony(daemon.now(), seen);
    Reply::Saw(if halted { Seen::Abstained } else { seen })
}
