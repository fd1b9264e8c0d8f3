//! What is written into the log: facts, each with the moment and the peer that proposed it.

mod author;
mod because;

pub use author::Author;
pub use because::{Because, Failing, Seen, StormCause, Testimony};

use crate::{
    document::bundle::SignedBundle,
    name::{IncidentId, Labels, Name, PeerId, RaftId},
    order::SignedOrder,
    refusal::Refusal,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

/// Where an entry stands in the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// The entry's index; the first is 1 (Raft's own first entry may take it).
    pub index: u64,
    /// The Raft term in which it was appended.
    pub term: u64,
}

/// One entry of the log: a record, who proposed it and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The proposer's time. The ledger uses `max(at, last_at)` and never reads a clock.
    pub at: Timestamp,
    /// The peer on whose behalf it was proposed.
    pub by: PeerId,
    /// The term that the proposer decided in. A decision of the leader that is appended in another
    /// term is refused: it was made by a leader that has since been deposed.
    pub term: u64,
    /// The fact.
    pub record: Record,
}

/// A fact that changes the ledger.
///
/// Enums that travel are only ever appended to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// The mesh exists.
    Founded(Founding),
    /// An operator's order, signed.
    Ordered {
        /// What is ordered, and the signature.
        order: SignedOrder,
    },
    /// A peer joined by a token.
    PeerJoined {
        /// Which token let it in.
        token: TokenId,
        /// Who it is.
        peer: PeerCard,
    },
    /// A peer's daemon runs (again): its address, labels or store may have changed.
    PeerStarted {
        /// Who it is now.
        peer: PeerCard,
    },
    /// A peer's daemon stops on purpose; its silence is expected until it starts again.
    PeerStopped {
        /// Which peer.
        peer: PeerId,
    },
    /// A peer takes itself out for good.
    PeerLeft {
        /// Which peer.
        peer: PeerId,
    },
    /// Documents of an operator become the next revision.
    DocumentsApplied {
        /// The source texts and the operator's signature over them.
        bundle: SignedBundle,
    },
    /// Something is wrong.
    Opened {
        /// The affected peer.
        peer: PeerId,
        /// What was seen, by whom.
        because: Because,
    },
    /// Evidence was taken (or its taking failed), before the first rung.
    EvidenceTaken {
        /// For which incident.
        incident: IncidentId,
        /// What was kept.
        evidence: EvidenceSummary,
    },
    /// A rung was given to a worker.
    Assigned {
        /// For which incident.
        incident: IncidentId,
        /// Number of this execution; the first is 1, and it only rises.
        attempt: u32,
        /// Place of the rung in its runbook, from 0.
        rung: u32,
        /// Which part of the rung.
        part: Part,
        /// Who executes it.
        worker: PeerId,
        /// After this moment the worker must not start it any more.
        start_by: Timestamp,
        /// After this moment it can no longer act: its start, its time limit and a margin.
        until: Timestamp,
    },
    /// An execution ended; said by its worker.
    Reported {
        /// For which incident.
        incident: IncidentId,
        /// Which execution.
        attempt: u32,
        /// How it ended.
        report: AttemptReport,
    },
    /// Nothing was heard of an execution until it could no longer act; said by the leader.
    Lost {
        /// For which incident.
        incident: IncidentId,
        /// Which execution.
        attempt: u32,
        /// What the leader waited for.
        reason: String,
    },
    /// Nothing is done for now, by rule; written once each time that the rule changes.
    Held {
        /// For which incident.
        incident: IncidentId,
        /// The rule that holds it back.
        refusal: Refusal,
    },
    /// It is well again.
    Resolved {
        /// Which incident.
        incident: IncidentId,
        /// What was seen.
        because: String,
    },
    /// The runbook is at its end: a person has to look.
    Escalated {
        /// Which incident.
        incident: IncidentId,
        /// Why.
        reason: String,
    },
    /// A rung that tells a person was reached: its notice is due from now on.
    Called {
        /// For which incident.
        incident: IncidentId,
        /// Place of the rung in its runbook, from 0.
        rung: u32,
    },
    /// A notice was handed over to its channel (or given up after many tries).
    Notified {
        /// About which incident.
        incident: IncidentId,
        /// The notice's number within the incident.
        notice: u32,
        /// Whether it was taken.
        delivered: Delivered,
        /// What the channel said.
        detail: String,
    },
    /// A rung is passed over, by rule.
    Skipped {
        /// For which incident.
        incident: IncidentId,
        /// Place of the rung in its runbook, from 0.
        rung: u32,
        /// The rule.
        refusal: Refusal,
    },
    /// The way down a ladder is begun anew.
    Restarted {
        /// For which incident.
        incident: IncidentId,
    },
    /// A peer's host is in this boot; said by the peer itself.
    Booted {
        /// Which peer.
        peer: PeerId,
        /// What its kernel drew at the boot.
        boot_id: String,
    },
    /// A host that was to be rebooted did not come back with another boot id in time.
    NotRebooted {
        /// In which incident.
        incident: IncidentId,
        /// By which execution.
        attempt: u32,
    },
    /// A peer passes on what other systems told it of alerts.
    Alerted {
        /// What, in the order in which it was told.
        words: Vec<crate::alert::Word>,
    },
    /// A peer passes on what jobs told it.
    JobsTold {
        /// What, in the order in which it was told.
        words: Vec<crate::heartbeat::Word>,
        /// Drawn by who may bring it once more, because an answer was lost: a second time it changes
        /// nothing.
        nonce: Option<u64>,
    },
    /// Jobs did not check in by their deadlines.
    Missed {
        /// Which.
        jobs: Vec<Missing>,
    },
    /// Jobs could have checked in: nobody else had anything for the log for a while.
    Listening,
    /// Nobody has acknowledged an incident: somebody is called again, or in another's stead.
    CalledAgain {
        /// About which incident.
        incident: IncidentId,
        /// By which notifier.
        notifier: Name,
    },
    /// A partition of an event stream was read a bit further.
    Streamed {
        /// What was read.
        batch: crate::stream::Batch,
    },
    /// A guest's surgeon asks for an execution that the log gave to its guest; said by the peer that
    /// it asks. Once this is committed, and not before, it is handed over.
    Claimed {
        /// For which incident.
        incident: IncidentId,
        /// Which execution.
        attempt: u32,
        /// SHA-256 of the operation's id, which the surgeon is told and says when it reports.
        operation: [u8; 32],
    },
    /// How an execution ended that a surgeon was handed; said by any peer that the surgeon told.
    Operated {
        /// The operation's id.
        operation: u64,
        /// How it ended.
        report: AttemptReport,
    },
    /// An execution that no surgeon has asked for is taken back; said by the leader.
    Withdrawn {
        /// For which incident.
        incident: IncidentId,
        /// Which execution.
        attempt: u32,
        /// Why.
        reason: String,
    },
    /// Jobs that nothing was told of for so long that a document has them forgotten.
    Forgotten {
        /// Which.
        jobs: Vec<Silence>,
    },
}

/// A job that did not check in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Which.
    pub job: crate::heartbeat::JobId,
    /// The version of it that was looked at: what is told of it meanwhile makes it another one.
    pub version: u64,
    /// By when it should have checked in.
    pub deadline: Timestamp,
    /// Whether it is a run that has begun and did not end.
    pub of_run: bool,
}

/// A job that nothing was told of for long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Which.
    pub job: crate::heartbeat::JobId,
    /// Since when: what is told of it meanwhile makes it another moment.
    pub since: Timestamp,
}

/// Whether a channel took a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Delivered {
    /// It did not, and is not asked again.
    No,
    /// It did.
    Yes,
    /// Nobody can say: it was tried and no answer came, or by a leader that is none any more.
    Perhaps,
}

impl Delivered {
    /// Whether somebody may know of it.
    pub const fn may_be(self) -> bool {
        match self {
            Self::Yes | Self::Perhaps => true,
            Self::No => false,
        }
    }

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Yes => "yes",
            Self::Perhaps => "perhaps",
        }
    }
}

/// A part of a rung: what an attempt carries out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Part {
    /// What the rung does.
    Act,
    /// What has to succeed beside it.
    Verify,
    /// What takes it back.
    Undo,
}

impl Part {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Act => "act",
            Self::Verify => "verify",
            Self::Undo => "undo",
        }
    }
}

/// A token's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TokenId(pub u64);

/// What the mesh keeps of a token: a public key, from which nobody can join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenGrant {
    /// Which token.
    pub id: TokenId,
    /// The Ed25519 key with which the joiner's signature is verified.
    pub verifying_key: [u8; 32],
    /// When it ceases to let anyone in.
    pub expires: Timestamp,
    /// How many peers it lets in.
    pub uses: u32,
    /// The only name that it lets in, if it is bound to one.
    pub name: Option<Name>,
}

/// How a mesh began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Founding {
    /// The mesh's name.
    pub mesh: Name,
    /// SHA-256 of its root's public key; this is its identity.
    pub root_fingerprint: [u8; 32],
    /// The operators' keys and how many of them must sign.
    pub trust: Trust,
    /// The first peer.
    pub peer: PeerCard,
}

/// Whose signatures make a document executable. Every host pins this when it joins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trust {
    /// Rises with every change.
    pub version: u64,
    /// How many different operators must sign.
    pub threshold: u32,
    /// The operators' Ed25519 keys.
    pub operators: Vec<[u8; 32]>,
}

/// What the roster says of a peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerCard {
    /// Its id.
    pub id: PeerId,
    /// Its name.
    pub name: Name,
    /// Its labels.
    pub labels: Labels,
    /// Where it is reached: `IP:PORT` over UDP.
    pub address: std::net::SocketAddr,
    /// Its Ed25519 key, with which its reports are signed.
    pub public_key: [u8; 32],
    /// Its store's id in the Raft group.
    pub raft_id: RaftId,
    /// Rises with every start of its daemon.
    pub generation: u64,
    /// The version of Hearten that it runs.
    pub version: String,
    /// The cell that it gossips in.
    pub cell: u32,
}

/// How an execution ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Outcome {
    /// Exit code 0 within its time.
    Succeeded,
    /// Another exit code, a signal, or it could not be started.
    Failed,
    /// It was still running at its time limit and was killed.
    TimedOut,
    /// The worker refused to start it; the output says by which rule.
    Refused,
    /// Nobody can say whether it ran to its end.
    Unknown,
}

impl Outcome {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::TimedOut => "timed out",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }
}

/// What a worker says of an execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptReport {
    /// How it ended.
    pub outcome: Outcome,
    /// The exit code, when there was one.
    pub exit_code: Option<i32>,
    /// When it was started, by the worker's time; absent when it was not.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Timestamp,
    /// What it printed (both streams as they came), or the rule that refused it.
    pub output: String,
}

/// What the log keeps of an evidence bundle; the bundle itself lies on the peer that took it and on
/// its keepers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceSummary {
    /// SHA-256 of the bundle as it is stored, compressed; all zeroes when nothing could be stored.
    pub hash: [u8; 32],
    /// Its size in bytes as it is stored.
    pub bytes: u64,
    /// Who took it and keeps it.
    pub taken_by: PeerId,
    /// Steps that failed or ran out of time.
    pub steps_failed: u32,
    /// The other peers that said that they keep it, before this was said.
    pub keepers: Vec<PeerId>,
}
