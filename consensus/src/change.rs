//! Changing the members: one at a time, and learners first.

use crate::{
    consensus::{Consensus, Inner},
    group::{Member, owner, voters},
};
use openraft::{
    ChangeMembers,
    error::{ChangeMembershipError, ClientWriteError, RaftError},
};
use protocol::name::{PeerId, RaftId};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// A learner is given a vote only when it lags by no more than this; with more, the group would
/// wait for it whenever another voter is away.
const PROMOTE_LAG_MAX: u64 = 100;

/// A change of one member. Each may be asked for again; what is so already is no error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberChange {
    /// Lets a peer's store receive the log, without a vote.
    AddLearner {
        /// Which peer.
        peer: PeerId,
        /// Its store.
        raft_id: RaftId,
    },
    /// Gives a learner a vote.
    Promote {
        /// Which peer.
        peer: PeerId,
        /// Its store.
        raft_id: RaftId,
    },
    /// Takes a voter out of the group altogether.
    Demote {
        /// Which peer.
        peer: PeerId,
        /// Its store.
        raft_id: RaftId,
    },
    /// Takes a learner out of the group.
    RemoveLearner {
        /// Which peer.
        peer: PeerId,
        /// Its store.
        raft_id: RaftId,
    },
}

impl MemberChange {
    const fn whose(self) -> (PeerId, RaftId) {
        match self {
            Self::AddLearner { peer, raft_id }
            | Self::Promote { peer, raft_id }
            | Self::Demote { peer, raft_id }
            | Self::RemoveLearner { peer, raft_id } => (peer, raft_id),
        }
    }
}

/// Why the members were not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// This peer does not lead.
    #[error("this peer does not lead the group")]
    NotLeader {
        /// Who does, if that is known.
        leader: Option<PeerId>,
    },
    /// Another change is not committed yet.
    #[error("another change of members is under way")]
    InProgress,
    /// The store belongs to another peer.
    #[error("store {raft_id} belongs to peer {owner}")]
    OtherOwner {
        /// Which store.
        raft_id: RaftId,
        /// Whose it is.
        owner: PeerId,
    },
    /// Only a learner can be given a vote.
    #[error("store {raft_id} is no learner of the group")]
    NotLearner {
        /// Which store.
        raft_id: RaftId,
    },
    /// A voter has to be demoted, not removed.
    #[error("store {raft_id} has a vote: demote it")]
    Voter {
        /// Which store.
        raft_id: RaftId,
    },
    /// One host must not count twice.
    #[error("peer {peer} still has a vote for its old store {raft_id}: demote that first")]
    VotesAlready {
        /// Which peer.
        peer: PeerId,
        /// Its other store.
        raft_id: RaftId,
    },
    /// The learner has not caught up.
    #[error("the learner lags by {entries} entries, more than {PROMOTE_LAG_MAX}")]
    Lagging {
        /// By how many.
        entries: u64,
    },
    /// The last voter cannot go.
    #[error("it is the last voter")]
    LastVoter,
    /// It may yet come into force, or not; look at the standing.
    #[error("the change was not committed within {after:?}")]
    TimedOut {
        /// How long it was waited for.
        after: Duration,
    },
    /// The group has stopped here.
    #[error("the group has stopped here: {0}")]
    Fatal(String),
}

impl Consensus {
    /// Changes one member; only the leader can. Waits until the change is committed, but not until
    /// a new learner has caught up.
    ///
    /// # Errors
    /// [`ChangeError`]. A change whose leader is lost half-way leaves the group in a joint
    /// configuration, which is safe; the next change finishes it first.
    pub async fn change(&self, change: MemberChange) -> Result<(), ChangeError> {
        let inner = self.inner();
        let after = inner.options.propose_timeout;
        tokio::time::timeout(after, inner.change(change))
            .await
            .unwrap_or(Err(ChangeError::TimedOut { after }))
    }
}

impl Inner {
    async fn change(&self, change: MemberChange) -> Result<(), ChangeError> {
        let standing = self.standing.borrow().clone();
        if !standing.i_lead {
            return Err(ChangeError::NotLeader { leader: standing.leader });
        }
        if self.membership().membership().get_joint_config().len() > 1 {
            tracing::info!("finishing a change of members that was left half-way");
            self.submit(ChangeMembers::AddVoterIds(BTreeSet::new()), false).await?;
        }
        let membership = self.membership();
        let (peer, raft_id) = change.whose();
        let known = owner(&membership, raft_id);
        if let Some(owner) = known.filter(|owner| *owner != peer) {
            return Err(ChangeError::OtherOwner { raft_id, owner });
        }
        let is_voter = membership.membership().voter_ids().any(|id| id == raft_id.0);
        match change {
            MemberChange::AddLearner { .. } if known.is_some() => Ok(()),
            MemberChange::AddLearner { .. } => {
                let node = BTreeMap::from([(raft_id.0, Member { peer })]);
                self.submit(ChangeMembers::AddNodes(node), true).await
            }
            MemberChange::Promote { .. } if is_voter => Ok(()),
            MemberChange::Promote { .. } => {
                if known.is_none() {
                    return Err(ChangeError::NotLearner { raft_id });
                }
                if let Some(raft_id) = voters(&membership).get(&peer).copied() {
                    return Err(ChangeError::VotesAlready { peer, raft_id });
                }
                let entries = self.lag(raft_id);
                if entries > PROMOTE_LAG_MAX {
                    return Err(ChangeError::Lagging { entries });
                }
                self.submit(ChangeMembers::AddVoterIds(BTreeSet::from([raft_id.0])), true).await
            }
            MemberChange::Demote { .. } if !is_voter => {
                if known.is_some() {
                    let ids = BTreeSet::from([raft_id.0]);
                    self.submit(ChangeMembers::RemoveNodes(ids), true).await
                } else {
                    Ok(())
                }
            }
            MemberChange::Demote { .. } => {
                if membership.membership().voter_ids().count() == 1 {
                    return Err(ChangeError::LastVoter);
                }
                self.submit(ChangeMembers::RemoveVoters(BTreeSet::from([raft_id.0])), false).await
            }
            MemberChange::RemoveLearner { .. } if is_voter => Err(ChangeError::Voter { raft_id }),
            MemberChange::RemoveLearner { .. } if known.is_none() => Ok(()),
            MemberChange::RemoveLearner { .. } => {
                self.submit(ChangeMembers::RemoveNodes(BTreeSet::from([raft_id.0])), true).await
            }
        }
    }

    /// How far a member is behind, from the metrics as they are now.
    fn lag(&self, raft_id: RaftId) -> u64 {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        let matched = metrics.replication.as_ref().and_then(|all| *all.get(&raft_id.0)?);
        let next = metrics.last_log_index.map_or(0, |last| last + 1);
        next.saturating_sub(matched.map_or(0, |matched| matched.index + 1))
    }

    async fn submit(
        &self,
        change: ChangeMembers<u64, Member>,
        retain: bool,
    ) -> Result<(), ChangeError> {
        match self.raft.change_membership(change, retain).await {
            Ok(_) => Ok(()),
            Err(RaftError::Fatal(error)) => Err(ChangeError::Fatal(error.to_string())),
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(to))) => {
                Err(ChangeError::NotLeader { leader: to.leader_node.map(|node| node.peer) })
            }
            Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(error))) => {
                Err(match error {
                    ChangeMembershipError::InProgress(_) => ChangeError::InProgress,
                    ChangeMembershipError::EmptyMembership(_) => ChangeError::LastVoter,
                    ChangeMembershipError::LearnerNotFound(missing) => {
                        ChangeError::NotLearner { raft_id: RaftId(missing.node_id) }
                    }
                })
            }
        }
    }
}
