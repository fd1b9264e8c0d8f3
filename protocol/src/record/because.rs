//! What opened an incident, and who saw it.

use crate::{
    document::{Silence, Verdict},
    name::{IncidentId, Name, PeerId},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

/// What opened an incident.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Because {
    /// A check's verdict on the affected peer.
    Check {
        /// Which check.
        check: Name,
        /// What it said.
        verdict: Verdict,
        /// Since when.
        since: Timestamp,
        /// The first lines of its output.
        summary: String,
    },
    /// The peer does not answer, and several peers have seen it for themselves.
    Silent {
        /// The kind of silence: crashed or dark.
        kind: Silence,
        /// When it was first suspected.
        since: Timestamp,
        /// Who probed it directly and what they saw, the leader among them.
        witnesses: Vec<Testimony>,
    },
    /// Checks fail that a ladder mends.
    Ladder {
        /// Which ladder.
        ladder: Name,
        /// The widest level that one of them needs.
        level: u32,
        /// Which checks fail on which peers.
        failing: Vec<Failing>,
        /// When the first of them was seen to fail.
        since: Timestamp,
    },
    /// An operator ordered it.
    Operator {
        /// Which runbook to run.
        runbook: Name,
        /// The check that the runbook mends, if it mends one.
        check: Option<Name>,
        /// The operator's words.
        reason: String,
        /// When it was ordered.
        since: Timestamp,
    },
    /// Many peers are silent at once; told about the leader that sees it. While it is open, no
    /// neighbour acts on a silence.
    Storm {
        /// Whom the leader does not reach, those that are silent by the log among them.
        silent: Vec<PeerId>,
        /// The zone that they are all of, where nothing is left of it.
        zone: Option<String>,
        /// What most likely made them fall silent.
        cause: StormCause,
        /// When the leader saw it.
        since: Timestamp,
    },
    /// A job did not check in, or said that it failed. It is told about its host, or about one that
    /// stands for it where its host is none of the mesh.
    Job {
        /// The check that is about it.
        check: Name,
        /// Which job.
        job: String,
        /// Since when the log has it.
        since: Timestamp,
        /// What is told of it.
        summary: String,
    },
    /// A notice was given up: whom its notifier reaches does not know. The ledger opens it about the
    /// peer that tried last.
    Untold {
        /// Which notifier.
        notifier: Name,
        /// What people were to be told of.
        incident: IncidentId,
        /// What the channel said.
        detail: String,
        /// When it was given up.
        since: Timestamp,
    },
}

/// What most likely made many peers fall silent at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum StormCause {
    /// The power or the network of a zone.
    Zone,
    /// The network on the leader's side: it hears fewer than half of the mesh.
    Leader,
    /// The network somewhere else.
    Network,
}

impl StormCause {
    /// The word for it, as machines read it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Zone => "zone",
            Self::Leader => "leader",
            Self::Network => "network",
        }
    }
}

impl Because {
    /// The check whose passing says that it is well again, where it is one.
    pub const fn check(&self) -> Option<&Name> {
        match self {
            Self::Check { check, .. } | Self::Job { check, .. } => Some(check),
            Self::Operator { check, .. } => check.as_ref(),
            Self::Silent { .. }
            | Self::Ladder { .. }
            | Self::Storm { .. }
            | Self::Untold { .. } => None,
        }
    }

    /// Since when the signal has lasted.
    pub const fn since(&self) -> Timestamp {
        match self {
            Self::Check { since, .. }
            | Self::Silent { since, .. }
            | Self::Ladder { since, .. }
            | Self::Operator { since, .. }
            | Self::Storm { since, .. }
            | Self::Job { since, .. }
            | Self::Untold { since, .. } => *since,
        }
    }
}

/// A check that fails on a peer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Failing {
    /// On which peer.
    pub peer: PeerId,
    /// Which check.
    pub check: Name,
    /// Since when, by that peer's clock.
    pub since: Timestamp,
}

/// What one peer saw when it probed another directly.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Testimony {
    /// Who probed.
    pub witness: PeerId,
    /// What it saw.
    pub seen: Seen,
    /// When the answer came in, by the leader's time.
    pub at: Timestamp,
}

/// What a direct probe of a peer saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Seen {
    /// The peer's agent answered.
    Reached,
    /// The host's kernel said that nobody listens there.
    Refused,
    /// Nothing came back in time.
    NoAnswer,
    /// It was not reached, but it was heard: something of its own came in meanwhile. It lives, and
    /// something keeps others from reaching it, a firewall perhaps.
    Heard,
    /// The witness was slow itself a moment ago, and does not trust what it saw.
    Abstained,
    /// The witness could not be asked.
    Unreachable,
}

impl Seen {
    /// Whether the peer was silent, as far as this goes.
    pub const fn is_silence(self) -> bool {
        matches!(self, Self::Refused | Self::NoAnswer)
    }

    /// Whether the peer gave a sign of life.
    pub const fn is_life(self) -> bool {
        matches!(self, Self::Reached | Self::Heard)
    }
}
