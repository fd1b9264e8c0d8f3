//! How the group stands, as seen from here.
//!
//! It is worked out from openraft's metrics whenever they change and at every heartbeat, because a
//! quorum is lost by nothing happening.

use crate::{
    group::{Group, Member, Raft, StoredMembership, learners, voters},
    options::{Options, millis},
};
use openraft::{RaftMetrics, RaftTypeConfig};
use protocol::{
    name::{PeerId, RaftId},
    record::Position,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{sync::watch, task::AbortHandle, time::Instant};

type Metrics = RaftMetrics<<Group as RaftTypeConfig>::NodeId, Member>;

/// How the group stands, as seen from one peer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// The current term.
    pub term: u64,
    /// Who leads, as far as is known here.
    pub leader: Option<PeerId>,
    /// Whether this peer leads. Old news may still say so; before acting on it ask
    /// [`confirm_leadership`](crate::Consensus::confirm_leadership).
    pub i_lead: bool,
    /// Whether a majority can be assumed: a leader was followed by one within the last
    /// `election_max`, another member has heard the leader within `election_max + election_min`.
    pub quorum: bool,
    /// The voters and their stores; of both configurations while one replaces the other.
    pub voters: BTreeMap<PeerId, RaftId>,
    /// The members without a vote.
    pub learners: BTreeMap<PeerId, RaftId>,
    /// Whether one configuration is just replacing another. If it stays so, the leader that began
    /// it is gone; the next [`change`](crate::Consensus::change) finishes it.
    pub changing: bool,
    /// The place up to which the ledger here has applied.
    pub applied: Position,
    /// The index of the last entry in the log here.
    pub last_log: u64,
    /// If this peer leads: how far behind each other member is.
    pub lags: BTreeMap<RaftId, Lag>,
    /// Why the group has stopped here for good. The daemon should say so and end: the store takes
    /// nothing more until it has been opened again.
    pub fatal: Option<String>,
}

/// How far a member is behind its leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// Entries that it is not known to hold.
    pub entries: u64,
    /// Whether it has answered this leader at all.
    pub answered: bool,
}

/// When a leader was last heard.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Option<Instant>>>);

impl Heard {
    pub(crate) fn now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    pub(crate) fn last(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the standing up to date in a task of its own.
pub(crate) fn keep(
    raft: &Raft,
    options: Options,
    heard: Heard,
) -> (watch::Receiver<Standing>, AbortHandle) {
    let mut metrics = raft.metrics();
    let first = standing(&metrics.borrow_and_update(), &options, &heard);
    let (standings, followed) = watch::channel(first);
    let task = tokio::spawn(async move {
        let mut tick = tokio::time::interval(options.heartbeat);
        loop {
            let ended = tokio::select! {
                changed = metrics.changed() => changed.is_err(),
                _ = tick.tick() => false,
            };
            let mut now = standing(&metrics.borrow_and_update(), &options, &heard);
            if ended && now.fatal.is_none() {
                now.fatal = Some("the group has been stopped".to_owned());
            }
            standings.send_if_modified(|before| {
                let differs = *before != now;
                if differs {
                    *before = now;
                }
                differs
            });
            if ended {
                return;
            }
        }
    });
    (followed, task.abort_handle())
}

fn standing(metrics: &Metrics, options: &Options, heard: &Heard) -> Standing {
    let membership: &StoredMembership = &metrics.membership_config;
    let i_lead = metrics.state.is_leader();
    let last_log = metrics.last_log_index.unwrap_or(0);
    let fatal = metrics.running_state.as_ref().err().map(ToString::to_string);
    let quorum = if i_lead {
        metrics.millis_since_quorum_ack.is_some_and(|ago| ago <= millis(options.election_max))
    } else {
        heard.last().is_some_and(|last| last.elapsed() <= options.silence_max())
    };
    let lags = metrics.replication.iter().flatten().filter(|(id, _)| **id != metrics.id);
    Standing {
        term: metrics.current_term,
        leader: metrics
            .current_leader
            .and_then(|leader| crate::group::owner(membership, RaftId(leader))),
        i_lead: i_lead && fatal.is_none(),
        quorum: quorum && fatal.is_none(),
        voters: voters(membership),
        learners: learners(membership),
        changing: membership.membership().get_joint_config().len() > 1,
        applied: metrics.last_applied.as_ref().map(crate::group::position).unwrap_or_default(),
        last_log,
        lags: lags
            .map(|(id, matched)| {
                // Indexes begin at 0, so a member that holds nothing lags by one more.
                let held = matched.map_or(0, |matched| matched.index + 1);
                let entries = (last_log + 1).saturating_sub(held);
                (RaftId(*id), Lag { entries, answered: matched.is_some() })
            })
            .collect(),
        fatal,
    }
}
