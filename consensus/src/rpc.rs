//! What is said between members. Enums that travel are only ever appended to.

use crate::group::{Group, LogId, Vote};
use openraft::{
    error::SnapshotMismatch,
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest,
        InstallSnapshotResponse, VoteRequest, VoteResponse,
    },
};
use protocol::name::{PeerId, RaftId};
use serde::{Deserialize, Serialize};

/// A call from one store to another.
///
/// Both are named: a peer that lost its store has a new one under the same peer id, and what was
/// meant for the old one must not reach the new one, whose log is shorter.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Envelope {
    pub(crate) from: RaftId,
    pub(crate) to: RaftId,
    pub(crate) call: Call,
}

/// The calls.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Call {
    /// Here are entries, or a sign of life.
    Append(AppendEntriesRequest<Group>),
    /// Vote for me.
    Vote(VoteRequest<u64>),
    /// Here is a piece of a snapshot.
    Snapshot(InstallSnapshotRequest<Group>),
    /// Which peer owns this store?
    WhoIs(RaftId),
    /// Is this, the sender's, still the vote that you stand by?
    DoYouFollow(Vote),
    /// Would you vote for me, if I stood for election with this log?
    WouldYouElect {
        /// The vote that would be asked for.
        candidate: Vote,
        /// The last entry of the sender's log.
        last: Option<LogId>,
    },
}

impl Call {
    /// On whose behalf the call claims to be made; a question is made on nobody's.
    pub(crate) const fn vote(&self) -> Option<&Vote> {
        match self {
            Self::Append(call) => Some(&call.vote),
            Self::Vote(call) => Some(&call.vote),
            Self::Snapshot(call) => Some(&call.vote),
            Self::DoYouFollow(vote) | Self::WouldYouElect { candidate: vote, .. } => Some(vote),
            Self::WhoIs(_) => None,
        }
    }
}

/// The answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// To [`Call::Append`].
    Append(AppendEntriesResponse<u64>),
    /// To [`Call::Vote`].
    Vote(VoteResponse<u64>),
    /// To [`Call::Snapshot`].
    Snapshot(InstallSnapshotResponse<u64>),
    /// To [`Call::Snapshot`]: begin again with the first piece.
    Mismatch(SnapshotMismatch),
    /// To [`Call::WhoIs`].
    Owner(Option<PeerId>),
    /// To [`Call::DoYouFollow`].
    Follows(bool),
    /// To [`Call::WouldYouElect`].
    WouldElect(bool),
}
