//! What the commands ask the daemon, and what it answers.
//!
//! Nothing here lets a caller introduce a command: documents and orders come signed, and the
//! daemon passes them on as they are. A question that an older daemon does not know is answered
//! with a failure that says so.

use super::exit::Exit;
use protocol::{
    document::{
        DocumentKey,
        bundle::{SignedBundle, Source},
    },
    name::{IncidentId, Name},
    order::SignedOrder,
    refusal::Refusal,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

/// One question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// How the mesh is: [`super::views::StatusView`].
    Status,
    /// The peers: [`super::views::PeersView`].
    Peers,
    /// One peer: [`super::views::PeerView`].
    Peer {
        /// Its name or its id.
        name: String,
    },
    /// Incidents, newest first: [`super::views::IncidentsView`].
    Incidents {
        /// Only those that are not over.
        open: bool,
        /// Only those of this peer, by name or id.
        peer: Option<String>,
        /// Only those opened since then.
        since: Option<Timestamp>,
    },
    /// One incident: [`super::views::IncidentView`].
    Incident {
        /// Which.
        id: IncidentId,
    },
    /// One incident as a story: [`super::views::ExplainView`].
    Explain {
        /// Which.
        id: IncidentId,
    },
    /// Why nothing is done about a check on a peer: [`super::views::WhyNotView`].
    WhyNot {
        /// The check.
        check: Name,
        /// The peer, by its name or its id.
        peer: String,
    },
    /// What was collected before the repair: [`super::views::EvidenceTextView`].
    Evidence {
        /// Of which incident.
        id: IncidentId,
    },
    /// The documents in force: [`super::views::DocumentsView`].
    Documents,
    /// One document: [`super::views::DocumentView`].
    Document {
        /// Which.
        key: DocumentKey,
    },
    /// Every revision: [`super::views::HistoryView`].
    History,
    /// What an operator has to know in order to sign: [`super::views::MeshView`].
    Mesh,
    /// What these texts would change: [`super::views::PreviewView`].
    Preview {
        /// The texts.
        sources: Vec<Source>,
    },
    /// How the documents differ between two revisions: [`super::views::DifferenceView`].
    Difference {
        /// The earlier one; 0 is before the first.
        from: u64,
        /// The later one; the latest unless said.
        to: Option<u64>,
    },
    /// What makes the documents what they were: [`super::views::RollbackView`].
    Rollback {
        /// At which revision.
        revision: u64,
    },
    /// The checks in force: [`super::views::ChecksView`].
    Checks,
    /// A check is run once on this host: [`super::views::TrialView`].
    RunCheck {
        /// Which.
        name: Name,
    },
    /// Documents become the next revision: [`super::views::AppliedView`].
    Apply {
        /// The texts and the operator's signature.
        bundle: SignedBundle,
    },
    /// An order is given: [`super::views::DoneView`].
    Order {
        /// The order and the operator's signature.
        order: SignedOrder,
    },
    /// The runbooks in force: [`super::views::RunbooksView`].
    Runbooks,
    /// What running a runbook would come to: [`super::views::PlanView`].
    Plan {
        /// Which runbook.
        runbook: Name,
        /// For which peer, by name or id.
        peer: String,
    },
    /// The maintenances: [`super::views::MaintenancesView`].
    Maintenances,
    /// The alerts that other systems told of: [`super::views::AlertsView`].
    Alerts,
    /// The jobs that must check in: [`super::views::HeartbeatsView`].
    Heartbeats,
    /// One of them: [`super::views::HeartbeatView`].
    Heartbeat {
        /// Its name.
        name: String,
    },
    /// A job is not waited for any more, or again: [`super::views::DoneView`].
    PauseHeartbeat {
        /// Its name.
        name: String,
        /// Whether it pauses.
        pauses: bool,
    },
    /// The hosts without a daemon: [`super::views::GuestsView`].
    Guests,
    /// How far event streams are read: [`super::views::StreamsView`].
    Streams,
    /// Something is the case on a host, or is over: whether that is news.
    Signal {
        /// What.
        signal: crate::daemon::Signal,
    },
    /// This peer leaves for good: [`super::views::DoneView`].
    Leave,
    /// The Raft group: [`super::views::MembersView`].
    RaftMembers,
    /// What the daemon counts: [`super::views::CountersView`].
    Counters,
}

impl Request {
    /// How long the daemon may take to answer: it may have to wait for a leader first, or for a
    /// check that takes its time.
    pub const fn patience(&self) -> Duration {
        match self {
            Self::RunCheck { .. } => Duration::from_secs(15 * 60),
            Self::Status
            | Self::Peers
            | Self::Peer { .. }
            | Self::Incidents { .. }
            | Self::Incident { .. }
            | Self::Explain { .. }
            | Self::WhyNot { .. }
            | Self::Evidence { .. }
            | Self::Difference { .. }
            | Self::Rollback { .. }
            | Self::Runbooks
            | Self::Plan { .. }
            | Self::Maintenances
            | Self::Alerts
            | Self::Streams
            | Self::Guests
            | Self::Heartbeats
            | Self::Heartbeat { .. }
            | Self::PauseHeartbeat { .. }
            | Self::Documents
            | Self::Document { .. }
            | Self::History
            | Self::Mesh
            | Self::Preview { .. }
            | Self::Checks
            | Self::Apply { .. }
            | Self::Order { .. }
            | Self::Signal { .. }
            | Self::Leave
            | Self::RaftMembers
            | Self::Counters => Duration::from_secs(60),
        }
    }
}

/// Why a question was not answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// With what the command ends.
    pub exit_code: Exit,
    /// What is wrong and what to do.
    pub message: String,
}

impl Failure {
    /// A failure that ends the command with `exit`.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit_code: exit, message: message.into() }
    }

    /// There is no such thing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Exit::NotFound, message)
    }

    /// There is no leader or no quorum now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Exit::Unavailable, message)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::new(Exit::from(&refusal), refusal.to_string())
    }
}

/// What is answered.
pub type Answer = Result<Value, Failure>;

/// An answer as it travels.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reply {
    /// It worked.
    Ok(Value),
    /// It did not.
    Error(Failure),
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        match answer {
            Ok(value) => Self::Ok(value),
            Err(failure) => Self::Error(failure),
        }
    }
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        match reply {
            Reply::Ok(value) => Ok(value),
            Reply::Error(failure) => Err(failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::order::{Action, Order};

    #[test]
    fn a_signed_order_still_holds_after_its_way_through_json() {
        let key = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
        let trust = protocol::record::Trust {
            version: 1,
            threshold: 1,
            operators: vec![key.verifying_key().to_bytes()],
        };
        let expires = Timestamp::from_millis(1_795_226_400_123);
        let order = Order { mesh: [1; 32], nonce: u64::MAX, expires, action: Action::Thaw };
        let request = Request::Order { order: order.sign(&key) };
        let text = serde_json::to_string(&request).unwrap();
        let Request::Order { order } = serde_json::from_str(&text).unwrap() else {
            panic!("an order")
        };
        assert!(order.is_authorised(&trust));
    }

    #[test]
    fn a_failure_is_read_by_scripts() {
        let failure = Failure::from(Refusal::OrderSpent);
        let text = serde_json::to_string(&Reply::from(Answer::Err(failure))).unwrap();
        assert_eq!(
            text,
            r#"{"error":{"exit_code":5,"message":"the order was carried out already"}}"#
        );
    }
}
