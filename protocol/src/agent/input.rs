//! What an agent is told, and what it is made from.

use super::{NotTaken, Proposal};
use crate::{
    agent::Forwarding,
    document::Verdict,
    ledger::{self, Ledger},
    name::{IncidentId, Labels, Name, PeerId, RaftId},
    record::{AttemptReport, Entry, EvidenceSummary, PeerCard, Position, Seen, Trust},
    report::SignedReport,
};
use std::collections::{BTreeMap, BTreeSet};

/// What the Raft group looks like from here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// The current term.
    pub term: u64,
    /// Who leads in it.
    pub leader: Option<PeerId>,
    /// Whether this peer leads, has applied everything that came before its term, and has a quorum.
    pub leads: bool,
    /// The voters and the ids of their stores.
    pub voters: BTreeMap<PeerId, RaftId>,
    /// The learners and the ids of their stores.
    pub learners: BTreeMap<PeerId, RaftId>,
}

/// What a host forbids by itself, whatever the documents say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LocalPolicy {
    /// Runbooks that are not executed here.
    pub denied_runbooks: BTreeSet<Name>,
    /// Nothing is executed here but checks.
    pub observe_only: bool,
}

/// What an agent is told.
#[derive(Debug, Clone)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// The Raft group looks different.
    Standing(Standing),
    /// The next entry of the committed log; nothing in it where Raft wrote for itself.
    Committed {
        /// Where it stands.
        position: Position,
        /// The entry.
        entry: Option<Entry>,
    },
    /// The ledger at a later place; what lay between is in it.
    Restored(Box<Ledger>),
    /// A check was run here.
    CheckRan {
        /// Which check.
        check: Name,
        /// What the run said.
        verdict: Verdict,
        /// The first lines of its output.
        summary: String,
    },
    /// A peer's report came in, by gossip or directly.
    Heard(SignedReport),
    /// Gossip's failure detector changed its mind about a peer. A hint, never more.
    Liveness {
        /// Which peer.
        peer: PeerId,
        /// Whether it seems to be alive.
        alive: bool,
    },
    /// What this peer's watch of one of its wards says, whenever that changes.
    Watched {
        /// Which ward.
        peer: PeerId,
        /// Whether it answers.
        seen: Seen,
    },
    /// What another peer's watch says; told to the leader.
    Suspected {
        /// Who is suspected, or heard again.
        peer: PeerId,
        /// What its watcher sees.
        seen: Seen,
    },
    /// A part of the daemon missed its turn: what it sees may be stale.
    Late {
        /// Which part, and by how much, in words.
        what: String,
    },
    /// This peer's own direct probe ended.
    Probed {
        /// Who was probed.
        peer: PeerId,
        /// What it saw.
        seen: Seen,
    },
    /// A witness answered; nothing where it could not be reached.
    Testified {
        /// The witness.
        witness: PeerId,
        /// Whom it probed.
        peer: PeerId,
        /// What it saw.
        seen: Option<Seen>,
    },
    /// What became of a decision that this peer proposed as the leader.
    Proposed {
        /// Which decision.
        proposal: Proposal,
        /// Where the log has it and what it made of it, or why it is not in the log.
        result: Result<(Position, ledger::Outcome), String>,
    },
    /// What became of a fact that this peer forwarded.
    Forwarded {
        /// Which fact.
        forwarding: Forwarding,
        /// What the log made of it, or why it is not known to be in the log.
        result: Result<ledger::Outcome, String>,
    },
    /// The start of an attempt is on disk: it may be executed now.
    StartRecorded {
        /// For which incident.
        incident: IncidentId,
        /// Which attempt.
        attempt: u32,
    },
    /// An execution ended.
    Finished {
        /// For which incident.
        incident: IncidentId,
        /// Which attempt.
        attempt: u32,
        /// How.
        report: AttemptReport,
    },
    /// Evidence was taken here.
    EvidenceTaken {
        /// For which incident.
        incident: IncidentId,
        /// What was kept.
        evidence: EvidenceSummary,
    },
    /// A notice was handed to its channel.
    NoticeSent {
        /// About which incident.
        incident: IncidentId,
        /// Which notice.
        notice: u32,
        /// What the channel said; `Err` when it did not take it.
        result: Result<String, NotTaken>,
    },
    /// A change of the Raft group's members ended.
    MembersChanged(Result<(), String>),
    /// What the outside dead-man's switch answered; `Err` when it did not take the call.
    CheckedIn(Result<(), String>),
    /// The facts of this host.
    Facts(BTreeMap<String, String>),
    /// The operator changed the local configuration.
    Configured {
        /// The peer's labels from now on.
        labels: Labels,
        /// What this host forbids from now on.
        policy: LocalPolicy,
    },
    /// The daemon is about to stop on purpose; with `true` the peer leaves for good.
    Stopping {
        /// Whether it leaves the mesh.
        for_good: bool,
    },
}

/// What an agent is made from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Who this peer is.
    pub card: PeerCard,
    /// Whose documents it executes, pinned when it joined.
    pub trust: Trust,
    /// What this host forbids.
    pub policy: LocalPolicy,
    /// The ledger as far as this peer knows it.
    pub ledger: Ledger,
    /// Attempts whose start is on disk.
    pub started: BTreeSet<(IncidentId, u32)>,
}
