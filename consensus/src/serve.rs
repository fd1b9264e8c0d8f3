//! Serving the calls of other members: first who speaks, then what he says.

use crate::{
    consensus::{Consensus, Inner},
    group::{Vote, owner},
    rpc::{Call, Envelope, Reply},
    wire::FRAME_BYTES_MAX,
};
use openraft::{
    error::{InstallSnapshotError, RaftError},
    raft::AppendEntriesResponse,
};
use protocol::{
    codec,
    name::{PeerId, RaftId},
};

/// Why a call was not served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServeError {
    /// The bytes are not a call.
    #[error("the call of peer {from} cannot be read: {reason}")]
    Unreadable {
        /// Who sent them.
        from: PeerId,
        /// What the decoder said.
        reason: String,
    },
    /// The call is for a store that this peer does not have (any more).
    #[error("the call is for store {to}, this is {me}")]
    NotMe {
        /// For whom it was.
        to: RaftId,
        /// Who this is.
        me: RaftId,
    },
    /// The sender claims to be a store that is not his.
    #[error("peer {from} speaks as store {claimed}, which is not known to be his")]
    Impostor {
        /// Who sent it.
        from: PeerId,
        /// Whose words he claims to bring.
        claimed: RaftId,
    },
    /// The group has stopped here.
    #[error("the group has stopped here: {0}")]
    Fatal(String),
}

impl Consensus {
    /// Serves a call that `from` sent over its authenticated connection; returns the answer that
    /// is to be sent back.
    ///
    /// # Errors
    /// [`ServeError`]; the caller lets the sender's [`Wire`](crate::Wire) end with
    /// [`WireError::Refused`](crate::WireError::Refused).
    pub async fn serve(&self, from: PeerId, request: &[u8]) -> Result<Vec<u8>, ServeError> {
        let limit = u64::try_from(FRAME_BYTES_MAX).unwrap_or(u64::MAX);
        let envelope: Envelope = codec::decode_within(request, limit)
            .map_err(|error| ServeError::Unreadable { from, reason: error.to_string() })?;
        let me = self.raft_id();
        if envelope.to != me {
            return Err(ServeError::NotMe { to: envelope.to, me });
        }
        if let Some(vote) = envelope.call.vote() {
            self.inner().identify(from, envelope.from, vote).await?;
        }
        let reply = self.inner().answer(envelope.call).await?;
        Ok(codec::encode(&reply))
    }
}

fn fatal(error: &impl ToString) -> ServeError {
    ServeError::Fatal(error.to_string())
}

impl Inner {
    /// A call is made on behalf of the store that it votes for, and that store is the sender's.
    async fn identify(&self, from: PeerId, claimed: RaftId, vote: &Vote) -> Result<(), ServeError> {
        let speaks_for = RaftId(vote.leader_id.node_id);
        let impostor = ServeError::Impostor { from, claimed: speaks_for };
        if speaks_for != claimed {
            return Err(impostor);
        }
        let membership = self.membership();
        let timeout = self.options.heartbeat;
        if self.acquaintances.owns(from, claimed, &membership, &self.lines, timeout).await {
            Ok(())
        } else {
            tracing::warn!(%from, store = %claimed, "a call was refused: the store is not known to be the sender's");
            Err(impostor)
        }
    }

    async fn answer(&self, call: Call) -> Result<Reply, ServeError> {
        match call {
            Call::Append(call) => {
                let done = self.raft.append_entries(call).await.map_err(|error| fatal(&error))?;
                let follows = match &done {
                    AppendEntriesResponse::Success
                    | AppendEntriesResponse::PartialSuccess(_)
                    | AppendEntriesResponse::Conflict => true,
                    AppendEntriesResponse::HigherVote(_) => false,
                };
                if follows {
                    self.heard.now();
                }
                Ok(Reply::Append(done))
            }
            Call::Vote(call) => {
                self.raft.vote(call).await.map(Reply::Vote).map_err(|error| fatal(&error))
            }
            Call::Snapshot(call) => {
                let vote = call.vote;
                match self.raft.install_snapshot(call).await {
                    Ok(done) => {
                        if done.vote <= vote {
                            self.heard.now();
                        }
                        Ok(Reply::Snapshot(done))
                    }
                    Err(RaftError::APIError(InstallSnapshotError::SnapshotMismatch(mismatch))) => {
                        Ok(Reply::Mismatch(mismatch))
                    }
                    Err(RaftError::Fatal(error)) => Err(fatal(&error)),
                }
            }
            Call::DoYouFollow(leader) => {
                let vote = self.raft.with_raft_state(|state| *state.vote_ref()).await;
                Ok(Reply::Follows(vote.map_err(|error| fatal(&error))? == leader))
            }
            Call::WouldYouElect { last, .. } => Ok(Reply::WouldElect(self.would_elect(last))),
            Call::WhoIs(store) => Ok(Reply::Owner(owner(&self.membership(), store))),
        }
    }
}
