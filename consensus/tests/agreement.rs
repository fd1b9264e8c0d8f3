//! The modelled consensus and the real one agree: the commands of a model run, with a fault
//! wherever the model elected another leader, end in equal ledgers on three real replicas.
//!
//! Incidents are known by their places in the log. So the model leaves as many places as the real
//! group takes for its own entries; what the group does not take is filled with changes of its
//! members. Terms are the real group's: each model term stands for one of them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{BOUND, Group, peer, until};
use consensus::{Consensus, MemberChange, Options, ProposeError};
use protocol::{
    ledger::Ledger,
    name::RaftId,
    record::{Entry, Position},
};
use simulator::history::{self, Committed};
use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

/// How many voters there are.
const VOTERS: u64 = 3;

/// How many places the model leaves for an election: a vote may be split.
const ELECTION: u64 = 4;

/// After so many entries a voter that was lost comes back.
const LOST_FOR: u64 = 12;

/// Every so many entries a follower is killed.
const FOLLOWER_EVERY: u64 = 40;

/// The group elected when it was not asked to: another try has another history.
struct OutOfStep(String);

/// How a voter is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    Killed,
    CutOff,
}

struct Real {
    group: Group,
    members: BTreeMap<u64, Consensus>,
    /// Who is lost, how, and from which entry on it is back.
    lost: Option<(u64, Loss, u64)>,
    elections: u64,
}

impl Real {
    async fn founded() -> Self {
        let options = Options {
            // Nobody is to be elected because a test machine was busy for a moment.
            election_min: Duration::from_millis(600),
            election_max: Duration::from_millis(1_200),
            // Whoever comes back takes a snapshot now and then.
            snapshot_every: 50,
            keep: 5,
            lag_max: 50,
            ..Options::default()
        };
        let group = Group::new(options);
        let members = group.founded(VOTERS).await;
        let members = (1..=VOTERS).zip(members).collect();
        Self { group, members, lost: None, elections: 0 }
    }

    /// The number of the voter that leads, once there is one.
    async fn leader(&self) -> u64 {
        let since = Instant::now();
        loop {
            let cut = self.lost.filter(|(_, loss, _)| *loss == Loss::CutOff).map(|(who, ..)| who);
            let leads = self.members.iter().find(|(number, member)| {
                let standing = member.standing().borrow().clone();
                cut != Some(**number) && standing.i_lead && standing.quorum
            });
            if let Some((number, _)) = leads {
                return *number;
            }
            assert!(since.elapsed() < BOUND, "nobody leads within {BOUND:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What the leader's log ends with.
    async fn last(&self) -> u64 {
        let leader = self.leader().await;
        let member = &self.members[&leader];
        until("it has applied its log", || {
            let standing = member.standing().borrow().clone();
            standing.applied.index == standing.last_log
        })
        .await;
        member.ledger().position().index
    }

    /// Another leader is elected: the old one is killed, cut off with something that only it has,
    /// or steps down.
    async fn elect(&mut self, at: u64) {
        self.bring_back().await;
        let leader = self.leader().await;
        let old_term = self.members[&leader].standing().borrow().term;
        match self.elections % 3 {
            0 => self.kill(leader, at).await,
            1 => {
                self.group.net.cut(peer(leader));
                self.lost = Some((leader, Loss::CutOff, at + LOST_FOR));
                let alone = self.members[&leader].clone();
                tokio::spawn(async move { alone.propose(common::record("only here")).await });
            }
            _ => self.members[&leader].step_down(Duration::from_secs(4)),
        }
        self.elections += 1;
        let since = Instant::now();
        loop {
            let leader = self.leader().await;
            if self.members[&leader].standing().borrow().term > old_term {
                return;
            }
            assert!(since.elapsed() < BOUND, "no other leader within {BOUND:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn kill(&mut self, number: u64, at: u64) {
        if let Some(member) = self.members.remove(&number) {
            self.group.close(member, number).await;
            self.lost = Some((number, Loss::Killed, at + LOST_FOR));
        }
    }

    async fn kill_a_follower(&mut self, at: u64) {
        let leader = self.leader().await;
        let follower = self.members.keys().copied().find(|number| *number != leader);
        if let Some(follower) = follower.filter(|_| self.lost.is_none()) {
            self.kill(follower, at).await;
        }
    }

    async fn bring_back(&mut self) {
        match self.lost.take() {
            Some((number, Loss::Killed, _)) => {
                let (member, _) = self.group.open(number).await;
                self.members.insert(number, member);
            }
            Some((number, Loss::CutOff, _)) => self.group.net.mend(peer(number)),
            None => return,
        }
        let last = self.last().await;
        for member in self.members.values() {
            until("it has caught up", || member.ledger().position().index >= last).await;
        }
    }

    /// One entry that the ledger passes over.
    async fn fill(&self) {
        let leader = self.leader().await;
        let ghost = RaftId(99);
        let member = &self.members[&leader];
        let known = member.standing().borrow().learners.contains_key(&peer(99));
        let change = match known {
            true => MemberChange::RemoveLearner { peer: peer(99), raft_id: ghost },
            false => MemberChange::AddLearner { peer: peer(99), raft_id: ghost },
        };
        member.change(change).await.unwrap();
        until("it knows the change", || {
            member.standing().borrow().learners.contains_key(&peer(99)) != known
        })
        .await;
    }

    async fn propose(
        &self,
        entry: Entry,
    ) -> Result<(Position, protocol::ledger::Outcome), OutOfStep> {
        let leader = self.leader().await;
        match self.members[&leader].propose(entry).await {
            Ok(committed) => Ok(committed),
            Err(
                error @ (ProposeError::NotLeader { .. }
                | ProposeError::NoQuorum
                | ProposeError::Unknown { .. }),
            ) => Err(OutOfStep(error.to_string())),
            Err(error) => panic!("{error}"),
        }
    }
}

async fn play(real: &mut Real, log: &[Committed], first: u64) -> Result<Ledger, OutOfStep> {
    let mut expected = Ledger::default();
    let mut terms: BTreeMap<u64, u64> = BTreeMap::new();
    let mut term = 1;
    for committed in log.iter().filter(|committed| committed.position.index > first) {
        let at = committed.position.index;
        if real.lost.is_some_and(|(.., until)| until <= at) {
            real.bring_back().await;
        } else if at.is_multiple_of(FOLLOWER_EVERY) {
            real.kill_a_follower(at).await;
        }
        let Some(entry) = &committed.entry else {
            if committed.position.term != term {
                term = committed.position.term;
                real.elect(at).await;
            }
            while real.last().await < at {
                real.fill().await;
            }
            continue;
        };
        let leader = real.leader().await;
        let real_term = real.members[&leader].standing().borrow().term;
        terms.insert(committed.position.term, real_term);
        // A decision of an earlier term stays one.
        let decided = terms.range(..=entry.term).next_back().map_or(0, |(_, term)| *term);
        let entry = Entry { term: decided, ..entry.clone() };
        let (position, outcome) = real.propose(entry.clone()).await?;
        if position.index != at {
            return Err(OutOfStep(format!("entry {at} of the model is {} here", position.index)));
        }
        assert_eq!(outcome, expected.apply(position, &entry), "entry {at}: {entry:?}");
    }
    Ok(expected)
}

/// Plays a story's log with a real group and compares what becomes of it.
async fn agrees(story: &str, seed: u64) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios").join(story);
    for _ in 0..4 {
        let mut real = Real::founded().await;
        let first = real.last().await;
        let log = history::play(&path, seed, first, ELECTION).unwrap();
        let mut expected = match play(&mut real, &log, first).await {
            Ok(expected) => expected,
            Err(OutOfStep(why)) => {
                eprintln!("{story} with seed {seed} is played again: {why}");
                continue;
            }
        };
        real.bring_back().await;
        let commands = log.iter().filter(|committed| committed.entry.is_some()).count();
        assert!(commands > 20, "{story} has only {commands} commands");
        let end = real.members[&real.leader().await].ledger().position();
        expected.skip(end);
        for member in real.members.values() {
            until("it has applied everything", || member.ledger().position() == end).await;
            assert_eq!(*member.ledger(), expected, "{story} with seed {seed}");
        }
        return;
    }
    panic!("{story} with seed {seed}: four times out of step");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_dies_in_a_repair() {
    agrees("leader-dies-mid-repair.toml", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_divided_network() {
    agrees("partition.toml", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_at_once() {
    agrees("chaos.toml", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workflows_in_chaos() {
    agrees("chaos-workflow.toml", 4).await;
}
