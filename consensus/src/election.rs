//! When to stand for election, and when a leader has to fall silent.
//!
//! openraft can decide this by itself, but it draws its random wait only once, when it starts, and
//! looks at it only every one and a half heartbeats. Two voters whose waits end in the same tick
//! then stand against each other for ever, if the one whose id is higher cannot win. So its own
//! timer is off, and elections are asked for here:
//!
//! - The wait is drawn afresh each time.
//! - Before it stands, a voter asks the others whether they would elect it (Pre-Vote, §9.6 of
//!   Ongaro's thesis). One that cannot win, because it is cut off or its log is short, raises no
//!   term and disturbs nobody when it returns.
//! - A leader that no majority answers, though its own words may still arrive, falls silent, so
//!   that the others elect one that is answered (check-quorum). It goes on asking whether they
//!   still follow, and speaks again when they do. One that has stepped down falls silent likewise,
//!   and neither speaks nor stands for a while.
//!
//! None of this touches safety: it only decides when openraft is asked to hold an election.

use crate::{
    consensus::Inner,
    group::{Membership, Vote},
    options::Options,
    rpc::Call,
};
use std::{
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::time::Instant;

/// Watches over the elections in a task of its own, which ends with the group.
pub(crate) fn watch(inner: &Arc<Inner>) {
    tokio::spawn(Watch::new(inner).run(Arc::downgrade(inner)));
}

struct Watch {
    /// When the present vote was first seen.
    since: Instant,
    vote: Vote,
    /// How long this voter waits this time, beyond the lease.
    patience: Duration,
    /// Since when no majority has answered this leader.
    alone_since: Option<Instant>,
}

impl Watch {
    fn new(inner: &Inner) -> Self {
        let vote = inner.raft.metrics().borrow().vote;
        let patience = drawn(&inner.options);
        Self { since: Instant::now(), vote, patience, alone_since: None }
    }

    async fn run(mut self, watched: Weak<Inner>) {
        loop {
            let Some(inner) = watched.upgrade() else { return };
            if inner.standing.borrow().fatal.is_some() {
                return;
            }
            let wait = self.look(&inner).await;
            drop(inner);
            tokio::time::sleep(wait).await;
        }
    }

    /// Does what is due; returns how long there is nothing to do.
    async fn look(&mut self, inner: &Inner) -> Duration {
        let (vote, leads, membership) = {
            let metrics = inner.raft.metrics();
            let metrics = metrics.borrow();
            let membership = metrics.membership_config.membership().clone();
            (metrics.vote, metrics.state.is_leader(), membership)
        };
        if vote != self.vote {
            self.vote = vote;
            self.since = Instant::now();
            self.patience = drawn(&inner.options);
        }
        if leads {
            self.reign(inner, vote, &membership).await;
            return inner.options.heartbeat;
        }
        self.alone_since = None;
        inner.lines.hush(false);
        self.stand(inner, vote, &membership).await
    }

    async fn stand(&mut self, inner: &Inner, vote: Vote, membership: &Membership) -> Duration {
        let me = inner.lines.me.0;
        if !membership.voter_ids().any(|id| id == me) {
            return inner.options.heartbeat;
        }
        let alone = membership.voter_ids().count() == 1;
        if inner.has_stepped_down() && !alone {
            return inner.options.heartbeat;
        }
        let standing = !vote.committed && vote.leader_id.node_id == me;
        let heard = inner.heard.last().map_or(self.since, |heard| heard.max(self.since));
        // Only who was elected has a lease that is waited for.
        let lease = if vote.committed { inner.options.election_max } else { Duration::ZERO };
        let due = heard + lease + self.patience;
        let now = Instant::now();
        // Who is the only voter has nobody to wait for, but for his own disk.
        if now < due && (!alone || standing) {
            return due - now;
        }
        self.patience = drawn(&inner.options);
        self.since = Instant::now();
        let candidate = Vote::new(vote.leader_id.term + 1, me);
        let last = inner.log.last();
        if inner.majority_says_yes(membership, || Call::WouldYouElect { candidate, last }).await {
            tracing::info!(term = candidate.leader_id.term, "standing for election");
            if let Err(error) = inner.raft.trigger().elect().await {
                tracing::debug!(%error, "no election: the group has stopped here");
            }
        }
        self.patience.min(inner.options.heartbeat)
    }

    async fn reign(&mut self, inner: &Inner, vote: Vote, membership: &Membership) {
        if inner.has_stepped_down() && membership.voter_ids().count() > 1 {
            if !inner.lines.is_hushed() {
                tracing::warn!("this leader has stepped down: it falls silent");
                inner.lines.hush(true);
            }
            return;
        }
        if inner.standing.borrow().quorum {
            self.alone_since = None;
            inner.lines.hush(false);
            return;
        }
        let alone_since = *self.alone_since.get_or_insert_with(Instant::now);
        if alone_since.elapsed() < inner.options.silence_max() {
            return;
        }
        if !inner.lines.is_hushed() {
            tracing::warn!("no majority answers this leader: it falls silent");
            inner.lines.hush(true);
        }
        if inner.majority_says_yes(membership, || Call::DoYouFollow(vote)).await {
            tracing::info!("a majority answers again: this leader speaks again");
            self.alone_since = None;
            inner.lines.hush(false);
        }
    }
}

fn drawn(options: &Options) -> Duration {
    rand::random_range(options.election_min..options.election_max)
}

impl Inner {
    /// Whether this peer would help `candidate` into office: it has heard no leader within the
    /// lease, and the candidate's log is not shorter than its own.
    pub(crate) fn would_elect(&self, last: Option<crate::group::LogId>) -> bool {
        let standing = self.standing.borrow();
        let heard = self.heard.last().map(|heard| heard.elapsed());
        let led = (standing.i_lead && standing.quorum && !self.has_stepped_down())
            || heard.is_some_and(|ago| ago < self.options.election_max);
        !led && last >= self.log.last()
    }
}
