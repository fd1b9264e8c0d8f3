//! Who leads: a leader that loses its majority is followed by another one after a while, and
//! everybody hears of it in its own time, the old leader perhaps last.

use super::{
    World,
    host::Process,
    queue::Event,
    raft::{self},
    tale::Mark,
};
use crate::sights::Sight;
use protocol::{
    agent::{Input, Standing},
    name::PeerId,
};
use std::time::Duration;

/// How often the group looks at itself.
const EVERY: Duration = Duration::from_millis(100);

/// How long a leader that hears of no majority still believes that it leads, at the longest: the
/// longest election timeout.
const LEASE: Duration = Duration::from_secs(2);

/// For how long a leader that has stepped down is not elected.
const STEPPED_DOWN_FOR: Duration = Duration::from_secs(10);

/// In how many of a thousand looks a group that is well elects anew, in chaos.
const DISTURBED_PER_MILLE: u64 = 6;

impl World<'_> {
    pub(super) fn raft_tick(&mut self) {
        self.after(EVERY, Event::RaftTick);
        let able = self.raft.leader.is_some_and(|leader| {
            self.raft.voters.contains_key(&leader) && self.has_majority(leader)
        });
        // A voter that was cut off for a moment comes back in a later term: the others elect anew,
        // perhaps the leader that they had.
        let chaos = self.story.chaos.is_some() && !self.healed;
        if able && chaos && self.random.below(1_000) < DISTURBED_PER_MILLE {
            self.elect();
        } else if able {
            self.raft.election_at = None;
            if self.settled {
                return;
            }
            self.replicate();
        } else {
            let first = self.raft.elections == 0;
            let timeout = self.random.millis(1_000, 2_000);
            let at = if first { self.time } else { self.time + timeout };
            if *self.raft.election_at.get_or_insert(at) <= self.time {
                self.elect();
            }
        }
        let leader = self.raft.leader.filter(|leader| self.has_majority(*leader));
        for place in 0..self.order.len() {
            self.tell_standing(self.order[place], leader);
        }
        self.settled = leader
            .is_some_and(|leader| self.order.iter().all(|peer| self.lacks_nothing(*peer, leader)));
    }

    /// Whether the Raft group has nothing to tell this daemon, and never will have while nothing
    /// changes.
    fn lacks_nothing(&self, peer: PeerId, leader: PeerId) -> bool {
        let host = &self.hosts[&peer];
        let Some(process) = host.process.as_ref().filter(|_| !host.paused) else { return true };
        let committed = self.raft.committed();
        let member = self.raft.voters.contains_key(&peer) || self.raft.learners.contains_key(&peer);
        self.network.both_ways(leader, peer)
            && process.agent.ledger().position().index >= committed
            && (!member || host.disk.logged >= committed)
            && process.doubts_since.is_none()
            && self.is_told(process, Some(leader))
    }

    /// A leader falls silent, and is not elected again for a while.
    pub(super) fn step_down(&mut self, peer: PeerId) {
        self.note(peer, "steps down");
        self.tell(peer, Mark::Other, "steps down");
        self.saw(Sight::SteppedDown);
        self.settled = false;
        if self.raft.leader == Some(peer) {
            self.raft.leader = None;
            self.raft.stepped_down = Some((peer, self.time + STEPPED_DOWN_FOR));
        }
    }

    /// Somebody who has the whole log and reaches a majority wins.
    fn elect(&mut self) {
        let committed = self.raft.committed();
        let may_win: Vec<PeerId> = self
            .raft
            .voters
            .keys()
            .copied()
            .filter(|voter| self.hosts[voter].disk.logged >= committed)
            .filter(|voter| self.has_majority(*voter))
            .filter(|voter| {
                self.raft
                    .stepped_down
                    .is_none_or(|(peer, until)| peer != *voter || self.time >= until)
            })
            .collect();
        self.settled = false;
        let Some(winner) = self.random.pick(&may_win) else {
            self.raft.election_at = None;
            return;
        };
        let old_term = self.raft.term;
        let brake = self.raft.truth.brake().is_some() && self.raft.elections > 0;
        self.saw_if(Sight::BrakeThroughAnElection, brake);
        // What is committed from here on, the winner commits: whom it does not reach does not learn
        // of it, the old leader among them.
        let is_the_old_one = self.raft.leader.replace(winner) == Some(winner);
        self.settle_pending(winner, is_the_old_one);
        self.raft.term = old_term + 1 + self.random.below(2);
        self.raft.elections += 1;
        self.raft.election_at = None;
        self.raft.append_blank();
        self.note(winner, &format!("is elected in term {}", self.raft.term));
        self.tell(winner, Mark::Elected, &format!("is elected in term {}", self.raft.term));
        self.replicate();
    }

    /// What a daemon learns of the group, which this leader has a majority of, if it has changed.
    fn tell_standing(&mut self, peer: PeerId, leader: Option<PeerId>) {
        let host = &self.hosts[&peer];
        let Some(process) = host.process.as_ref().filter(|_| !host.paused) else { return };
        let leader = leader.filter(|leader| self.network.both_ways(*leader, peer));
        if leader.is_some() && process.doubts_since.is_none() && self.is_told(process, leader) {
            return;
        }
        let (told, doubts) = (process.standing.clone(), process.doubts_since);
        let applied = process.agent.ledger().position().index;
        let (standing, doubts) = self.standing_of(peer, leader, &told, applied, doubts);
        let Some(host) = self.hosts.get_mut(&peer) else { return };
        let daemon = host.daemon();
        let Some(process) = &mut host.process else { return };
        process.doubts_since = doubts;
        // A change and its undoing may leave nothing to be told.
        if (&standing.voters, &standing.learners) == (&self.raft.voters, &self.raft.learners) {
            process.members_known = self.raft.members_changed;
        }
        if standing != told {
            process.standing = standing.clone();
            self.give(daemon, Input::Standing(standing));
        }
    }

    /// Whether a daemon knows all that there is to know: the usual case.
    fn is_told(&self, process: &Process, leader: Option<PeerId>) -> bool {
        let (told, raft) = (&process.standing, &self.raft);
        let may_lead = process.agent.ledger().position().index >= raft.blank;
        told.leader == leader
            && told.term == raft.term
            && told.leads == (leader == Some(process.agent.card().id) && may_lead)
            && process.members_known == raft.members_changed
    }

    fn standing_of(
        &mut self,
        peer: PeerId,
        leader: Option<PeerId>,
        told: &Standing,
        applied: u64,
        doubts: Option<Duration>,
    ) -> (Standing, Option<Duration>) {
        let raft::Raft { term, blank, .. } = self.raft;
        if let Some(leader) = leader {
            let leads = leader == peer && applied >= blank;
            // Who leads knows it at once; the others hear of it with the next heartbeat or so.
            if leader != peer && told.term != term && !self.random.percent(40) {
                return (told.clone(), doubts);
            }
            let standing = Standing {
                term,
                leader: Some(leader),
                leads,
                voters: self.raft.voters.clone(),
                learners: self.raft.learners.clone(),
            };
            return (standing, None);
        }
        let since = doubts.unwrap_or(self.time);
        if told.leader.is_some() && self.time >= since + LEASE {
            let standing = Standing { leader: None, leads: false, ..told.clone() };
            return (standing, Some(since));
        }
        (told.clone(), Some(since))
    }
}
