//! Making sure that this peer leads right now.
//!
//! A leader that was cut off goes on believing in itself for a while. Before it acts on what its
//! ledger says, it asks the voters whether they still follow it; a majority that does, after the
//! question was put, elected nobody else before it, so everything that was committed by then is
//! known here (Raft's read index, §6.4 of Ongaro's thesis). openraft can ask as well, but gives
//! up after one heartbeat, which is shorter than the round trip of a slow network.

use crate::{
    consensus::{Consensus, Inner, ProposeError},
    group::{Membership, Vote, position},
    rpc::Call,
};
use protocol::record::Position;
use std::time::Duration;

/// How long a new leader is given to commit the first entry of its term, between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// What a leader knows when the question is put.
struct Reign {
    vote: Vote,
    committed: Position,
    membership: Membership,
}

impl Consensus {
    /// Makes sure that this peer leads right now, and that the ledger here has applied everything
    /// that was committed before the question: what is read afterwards is not stale. Returns the
    /// place that had been committed.
    ///
    /// # Errors
    /// [`ProposeError::NotLeader`], [`ProposeError::NoQuorum`] or [`ProposeError::Fatal`]; nothing
    /// is written.
    pub async fn confirm_leadership(&self) -> Result<Position, ProposeError> {
        let inner = self.inner();
        tokio::time::timeout(inner.options.propose_timeout, inner.confirm())
            .await
            .unwrap_or(Err(ProposeError::NoQuorum))
    }
}

impl Inner {
    async fn confirm(&self) -> Result<Position, ProposeError> {
        let reign = loop {
            if let Some(reign) = self.reign().await? {
                break reign;
            }
            tokio::time::sleep(PAUSE).await;
        };
        let vote = reign.vote;
        if !self.majority_says_yes(&reign.membership, || Call::DoYouFollow(vote)).await {
            return Err(ProposeError::NoQuorum);
        }
        let mut state = self.state.clone();
        let applied = state.wait_for(|state| {
            state.applied.is_some_and(|applied| applied.index >= reign.committed.index)
        });
        match applied.await {
            Ok(_) => Ok(reign.committed),
            Err(_stopped) => Err(ProposeError::Fatal("the group has been stopped".to_owned())),
        }
    }

    /// What this leader knows; nothing as long as no entry of its own term is committed, because
    /// only that tells it how far the terms before it had come.
    async fn reign(&self) -> Result<Option<Reign>, ProposeError> {
        let asked = self.raft.with_raft_state(|state| {
            let membership = state.membership_state.effective().membership().clone();
            (*state.vote_ref(), state.committed, state.server_state, membership)
        });
        let (vote, committed, server, membership) =
            asked.await.map_err(|error| ProposeError::Fatal(error.to_string()))?;
        if !server.is_leader() || !vote.committed || vote.leader_id.node_id != self.lines.me.0 {
            let leader = Some(vote).filter(|vote| vote.committed);
            let leader = leader.and_then(|vote| membership.get_node(&vote.leader_id.node_id));
            let leader = leader.map(|member| member.peer);
            return Err(ProposeError::NotLeader { leader });
        }
        let own = committed.filter(|committed| committed.leader_id == vote.leader_id);
        Ok(own.map(|own| Reign { vote, committed: position(&own), membership }))
    }
}
