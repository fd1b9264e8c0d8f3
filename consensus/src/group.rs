//! The Raft group in openraft's terms: what its log carries, who its members are.

use openraft::impls::OneshotResponder;
use protocol::{
    ledger::Outcome,
    name::{PeerId, RaftId},
    record::{Entry, Position},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, io::Cursor};

openraft::declare_raft_types!(
    pub(crate) Group:
        D = Entry,
        R = Answer,
        NodeId = u64,
        Node = Member,
        Entry = openraft::Entry<Group>,
        SnapshotData = Cursor<Vec<u8>>,
        Responder = OneshotResponder<Group>,
        AsyncRuntime = openraft::TokioRuntime,
);

pub(crate) type Raft = openraft::Raft<Group>;
pub(crate) type LogEntry = openraft::Entry<Group>;
pub(crate) type LogId = openraft::LogId<u64>;
pub(crate) type Vote = openraft::Vote<u64>;
pub(crate) type StorageError = openraft::StorageError<u64>;
pub(crate) type StorageIoError = openraft::StorageIOError<u64>;
pub(crate) type Membership = openraft::Membership<u64, Member>;
pub(crate) type StoredMembership = openraft::StoredMembership<u64, Member>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<u64, Member>;

/// Which peer owns a store; kept in the membership beside the store's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    pub(crate) peer: PeerId,
}

// openraft fills in a default for a voter whose node it does not know; no peer has this id on
// purpose, and such a voter is simply not reached.
impl Default for Member {
    fn default() -> Self {
        Self { peer: PeerId::from_random(0) }
    }
}

/// What became of a log entry: an outcome if it carried a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer(pub(crate) Option<Outcome>);

/// A log id in the words of the protocol.
pub(crate) const fn position(id: &LogId) -> Position {
    Position { index: id.index, term: id.leader_id.term }
}

/// Who is who in a membership: each store's peer.
pub(crate) fn owner(membership: &StoredMembership, store: RaftId) -> Option<PeerId> {
    membership.membership().get_node(&store.0).map(|member| member.peer)
}

/// The voters of every configuration that is in force, by peer.
pub(crate) fn voters(membership: &StoredMembership) -> BTreeMap<PeerId, RaftId> {
    by_peer(membership, membership.membership().voter_ids())
}

/// The members without a vote, by peer.
pub(crate) fn learners(membership: &StoredMembership) -> BTreeMap<PeerId, RaftId> {
    by_peer(membership, membership.membership().learner_ids())
}

fn by_peer(
    membership: &StoredMembership,
    ids: impl Iterator<Item = u64>,
) -> BTreeMap<PeerId, RaftId> {
    ids.filter_map(|id| Some((owner(membership, RaftId(id))?, RaftId(id)))).collect()
}
