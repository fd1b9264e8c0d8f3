//! The modelled Raft group: one committed log with terms, and what is on its way into it.
//!
//! What Raft promises is taken as given: one log, one leader a term, nothing committed is lost.
//! What it leaves open is drawn: when an election happens, who of those that may win wins it,
//! whether what a deposed leader had appended survives, and whether anybody is told.

use super::{
    World,
    queue::{Daemon, Event},
    surgeons::Fact,
};
use crate::{
    invariants::{Logged, able_to_attest, fingerprint},
    scenario::Disk,
    sights::Sight,
};
use protocol::{
    agent::{Forwarding, Input, Proposal, voters::MemberChange},
    ledger::{self, Ledger},
    mistakes::{self, Mistake},
    name::{IncidentId, PeerId, RaftId},
    record::{Author, Entry, PeerCard, Position, Record},
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

/// The longest that a write takes on a slow disk.
const SLOW_DISK: Duration = Duration::from_secs(3);

/// Of the ledger of a large mesh a fingerprint is taken after every so many entries: that reads all
/// of it.
const FINGERPRINT_EVERY: u64 = 16;

/// The Raft group.
#[derive(Debug)]
pub(crate) struct Raft {
    /// Whether the mesh is so large that its replicas share what they can.
    pub(crate) is_large: bool,
    /// What is committed.
    pub(crate) log: Vec<Logged>,
    /// The ledger that follows from it.
    pub(crate) truth: Ledger,
    /// The current term.
    pub(crate) term: u64,
    /// Who was elected in it.
    pub(crate) leader: Option<PeerId>,
    /// Where the leader's blank entry stands: it leads once it has applied it.
    pub(crate) blank: u64,
    /// What Raft writes for itself.
    blanks: Blanks,
    /// Who votes.
    pub(crate) voters: BTreeMap<PeerId, RaftId>,
    /// How often the members have changed.
    pub(super) members_changed: u64,
    /// Who receives the log to vote later.
    pub(crate) learners: BTreeMap<PeerId, RaftId>,
    /// How often a leader was elected.
    pub(crate) elections: u32,
    /// How many peers beside the leader could have seen each silence when it was opened.
    pub(crate) able: BTreeMap<IncidentId, usize>,
    /// When the voters elect another leader, unless theirs comes back before.
    pub(super) election_at: Option<Duration>,
    /// Who has stepped down, and until when it is not elected.
    pub(super) stepped_down: Option<(PeerId, Duration)>,
    /// What the leader has appended and no majority has yet.
    pending: VecDeque<Pending>,
    last_due: Duration,
}

/// How much Raft writes for itself, so that a log has the places of another one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Blanks {
    /// Entries before the first of the story.
    pub(crate) first: u64,
    /// Entries of an election.
    pub(crate) election: u64,
}

impl Default for Blanks {
    fn default() -> Self {
        Self { first: 0, election: 1 }
    }
}

/// Something that was appended.
#[derive(Debug)]
struct Pending {
    what: What,
    term: u64,
    due: Duration,
    /// The voters that could receive it when it was appended.
    sent_to: BTreeSet<PeerId>,
    answer_to: Client,
}

#[derive(Debug)]
enum What {
    Entry(Box<Entry>),
    Members(MemberChange),
}

/// Who waits for an answer.
#[derive(Debug, Clone)]
pub(crate) enum Client {
    /// The leader's agent, about its decision.
    Decision(Daemon, Proposal),
    /// An agent, about a fact that it forwarded.
    Fact(Daemon, Forwarding),
    /// The leader's agent, about the Raft group's members.
    Members(Daemon),
    /// A daemon, about what it tells for a surgeon.
    Surgeon(Box<Fact>),
    /// The operator, who looks at the ledger; or nobody.
    Operator,
}

/// Whether an entry is a leader's decision that came into the log in a later term than its own.
pub(crate) fn is_stale(position: Position, entry: &Entry) -> bool {
    entry.record.author() == Author::Leader && entry.term != position.term
}

impl Raft {
    /// A group of the founder alone, with the first entries committed.
    pub(super) fn founded(
        founder: &PeerCard,
        entries: Vec<Entry>,
        blanks: Blanks,
        is_large: bool,
    ) -> Self {
        let mut raft = Self {
            is_large,
            log: Vec::new(),
            truth: Ledger::default(),
            term: 1,
            leader: None,
            blank: 0,
            blanks,
            voters: BTreeMap::from([(founder.id, founder.raft_id)]),
            members_changed: 0,
            learners: BTreeMap::new(),
            elections: 0,
            able: BTreeMap::new(),
            election_at: None,
            stepped_down: None,
            pending: VecDeque::new(),
            last_due: Duration::ZERO,
        };
        for _ in 0..blanks.first {
            let (_, outcome) = raft.write(1, None);
            assert!(outcome.is_ok(), "nothing is refused where nothing is asked for");
        }
        for entry in entries {
            let (_, outcome) = raft.write(1, Some(entry));
            assert!(outcome.is_ok(), "a story's mesh can be founded: {outcome:?}");
        }
        // Nobody runs yet: no replica ever stands anywhere before this.
        raft.take_last_fingerprint();
        raft
    }

    /// Up to where the log is committed.
    pub(crate) fn committed(&self) -> u64 {
        u64::try_from(self.log.len()).unwrap_or(u64::MAX)
    }

    /// The entry at an index, which starts at 1.
    pub(crate) fn logged(&self, index: u64) -> Option<&Logged> {
        self.log.get(usize::try_from(index.checked_sub(1)?).ok()?)
    }

    /// Makes sure of a fingerprint of the ledger as it is now.
    pub(super) fn take_last_fingerprint(&mut self) {
        if let Some(last) = self.log.last_mut() {
            last.ledger.get_or_insert_with(|| fingerprint(&self.truth));
        }
    }

    /// A new leader's first entry, which makes what was before it its own.
    pub(super) fn append_blank(&mut self) {
        for _ in 0..self.blanks.election {
            let (position, _) = self.append(self.term, None);
            self.blank = position.index;
        }
    }

    fn append(&mut self, term: u64, entry: Option<Entry>) -> (Position, ledger::Outcome) {
        let (position, outcome) = self.write(term, entry);
        if !self.is_large || position.index.is_multiple_of(FINGERPRINT_EVERY) {
            self.take_last_fingerprint();
        }
        (position, outcome)
    }

    fn write(&mut self, term: u64, entry: Option<Entry>) -> (Position, ledger::Outcome) {
        let position = Position { index: self.committed() + 1, term };
        if let Some(able) = entry.as_ref().and_then(|entry| able_to_attest(&self.truth, entry)) {
            self.able.insert(IncidentId(position.index), able);
        }
        let outcome = match &entry {
            Some(entry) => self.truth.apply(position, entry),
            None => {
                self.truth.skip(position);
                Ok(ledger::Effect::Done)
            }
        };
        self.log.push(Logged { position, entry, ledger: None });
        (position, outcome)
    }
}

impl World<'_> {
    /// Whether so many voters hear a peer, and it them, that it can get a majority.
    pub(super) fn has_majority(&self, peer: PeerId) -> bool {
        let hear = |voter: &&PeerId| {
            let host = &self.hosts[*voter];
            host.is_active() && host.can_write() && self.network.both_ways(peer, **voter)
        };
        let agree = self.raft.voters.keys().filter(hear).count();
        let half = self.raft.voters.len() / 2;
        let least = if mistakes::is_made(Mistake::QuorumOffByOne) { half } else { half + 1 };
        let host = &self.hosts[&peer];
        host.is_active() && host.can_write() && agree >= least
    }

    /// A peer that believes to lead appends something.
    pub(super) fn propose(&mut self, by: PeerId, entry: Entry, answer_to: Client) {
        self.append_at(by, What::Entry(Box::new(entry)), answer_to);
    }

    /// A peer that believes to lead changes the group's members.
    pub(super) fn change_members(&mut self, by: Daemon, change: MemberChange) {
        let refusal = match change {
            MemberChange::Promote(peer, _)
                if self.hosts[&peer].disk.logged < self.raft.committed() =>
            {
                Some("the learner does not have the whole log yet")
            }
            MemberChange::AddLearner(peer, _) if !self.network.both_ways(by.peer, peer) => {
                Some("the peer is not reached")
            }
            MemberChange::Promote(..) | MemberChange::AddLearner(..) | MemberChange::Remove(..) => {
                None
            }
        };
        match refusal {
            Some(why) => self.answer(&Client::Members(by), Err(why.to_owned())),
            None => self.append_at(by.peer, What::Members(change), Client::Members(by)),
        }
    }

    fn append_at(&mut self, by: PeerId, what: What, answer_to: Client) {
        if self.raft.leader != Some(by) {
            // A deposed leader: it may notice, or it waits for an answer that never comes.
            self.saw(Sight::DeposedLeaderProposes);
            if self.random.percent(50) {
                self.answer(&answer_to, Err("not the leader any more".to_owned()));
            }
            return;
        }
        let disk = self.disk_takes(by);
        let there = self.network.reliable_delay(&mut self.random);
        let back = self.network.reliable_delay(&mut self.random);
        let due = (self.time + disk + there + back).max(self.raft.last_due);
        self.raft.last_due = due;
        let term = self.raft.term;
        let voters = self.raft.voters.keys().copied();
        let hears = |voter: &PeerId| {
            let host = &self.hosts[voter];
            host.is_active() && host.can_write() && self.network.open(by, *voter)
        };
        let sent_to = voters.filter(hears).collect();
        self.raft.pending.push_back(Pending { what, term, due, sent_to, answer_to });
        self.queue.push(due, Event::Commit);
    }

    /// How long a host's write takes until it is durable.
    pub(super) fn disk_takes(&mut self, peer: PeerId) -> Duration {
        let slow = self.hosts[&peer].disk.health == Disk::Slow;
        let longest = if slow { SLOW_DISK.max(self.story.disk_max) } else { self.story.disk_max };
        self.random.between(Duration::from_micros(200), longest)
    }

    /// What is due is committed if the leader still has its majority.
    pub(super) fn try_to_commit(&mut self) {
        let Some(leader) = self.raft.leader else { return };
        while self.raft.pending.front().is_some_and(|pending| pending.due <= self.time) {
            if !self.has_majority(leader) {
                // Raft goes on trying until the majority is back or another one leads.
                self.after(Duration::from_millis(100), Event::Commit);
                return;
            }
            if let Some(pending) = self.raft.pending.pop_front() {
                self.commit(pending, true);
            }
        }
    }

    fn commit(&mut self, pending: Pending, answered: bool) {
        let Pending { what, term, answer_to, .. } = pending;
        let entry = match what {
            What::Entry(entry) => Some(*entry),
            What::Members(change) => {
                self.take_change(change);
                None
            }
        };
        let (position, outcome) = self.raft.append(term, entry.clone());
        if let Some(entry) = &entry {
            self.see_committed(position, entry, &outcome);
            self.tell_committed(IncidentId(position.index), entry, &outcome);
            if matches!(entry.record, Record::DocumentsApplied { .. }) {
                self.surgeons_appear();
            }
        }
        let said = match (&self.raft.log.last().and_then(|logged| logged.entry.as_ref()), &outcome)
        {
            (Some(entry), Ok(_)) => super::describe::entry(entry),
            (Some(entry), Err(refusal)) => {
                format!("{} is refused: {refusal}", super::describe::entry(entry))
            }
            (None, _) => format!("voters {}", self.raft.voters.len()),
        };
        self.note_world(&format!("commits {}.{} {said}", position.term, position.index));
        self.replicate();
        if answered {
            self.answer(&answer_to, Ok((position, outcome)));
        }
    }

    fn take_change(&mut self, change: MemberChange) {
        let raft = &mut self.raft;
        raft.members_changed += 1;
        match change {
            MemberChange::AddLearner(peer, id) => {
                raft.learners.insert(peer, id);
            }
            MemberChange::Promote(peer, id) => {
                raft.learners.remove(&peer);
                raft.voters.insert(peer, id);
            }
            MemberChange::Remove(peer, _) => {
                if raft.learners.remove(&peer).is_none() {
                    raft.voters.remove(&peer);
                }
            }
        }
    }

    /// The members that the leader reaches have the whole log on disk; everyone else may fetch it.
    pub(super) fn replicate(&mut self) {
        let Some(leader) = self.raft.leader else { return };
        let committed = self.raft.committed();
        for place in 0..self.order.len() {
            let peer = self.order[place];
            let host = &self.hosts[&peer];
            let applied = host.process.as_ref().map(|one| one.agent.ledger().position().index);
            if host.disk.logged >= committed && applied.is_none_or(|index| index >= committed) {
                continue;
            }
            let member =
                self.raft.voters.contains_key(&peer) || self.raft.learners.contains_key(&peer);
            let reached = self.network.both_ways(leader, peer);
            if let Some(host) = self.hosts.get_mut(&peer)
                && member
                && reached
                && host.is_active()
                && host.can_write()
            {
                host.disk.logged = committed;
            }
            self.offer(peer);
        }
    }

    /// Another leader takes over: of what the old one had appended, some has reached the new one
    /// and is committed in the old term; the rest is gone.
    pub(super) fn settle_pending(&mut self, winner: PeerId, is_the_old_one: bool) {
        let count = u64::try_from(self.raft.pending.len()).unwrap_or(u64::MAX);
        let may_have = |pending: &&Pending| pending.sent_to.contains(&winner);
        let reached = self.raft.pending.iter().take_while(may_have).count();
        let reached = u64::try_from(reached).unwrap_or(u64::MAX);
        // Its successor has all of what itself had appended.
        let survive = if is_the_old_one { reached } else { self.random.below(reached + 1) };
        self.saw_if(Sight::SuccessorCommits, survive > 0);
        self.saw_if(Sight::DecisionLost, survive < count);
        for _ in 0..survive {
            if let Some(pending) = self.raft.pending.pop_front() {
                let answered = self.random.percent(30);
                self.commit(pending, answered);
            }
        }
        for lost in std::mem::take(&mut self.raft.pending) {
            if self.random.percent(30) {
                self.answer(&lost.answer_to, Err("the leader changed".to_owned()));
            }
        }
    }

    /// Tells whoever waits, if the answer gets there.
    pub(super) fn answer(
        &mut self,
        client: &Client,
        result: Result<(Position, ledger::Outcome), String>,
    ) {
        let (daemon, input) = match client.clone() {
            Client::Decision(daemon, proposal) => (daemon, Input::Proposed { proposal, result }),
            Client::Members(daemon) => (daemon, Input::MembersChanged(result.map(|_committed| ()))),
            Client::Fact(daemon, forwarding) => {
                let result = result.map(|(_position, outcome)| outcome);
                (daemon, Input::Forwarded { forwarding, result })
            }
            Client::Surgeon(fact) => return self.answer_fact(fact, result),
            Client::Operator => return,
        };
        let from = self.raft.leader.unwrap_or(daemon.peer);
        if self.network.open(from, daemon.peer) {
            let delay = self.network.reliable_delay(&mut self.random);
            self.after(delay, Event::Give(daemon, Box::new(input)));
        }
    }

    /// A fact has come to a peer that its author believes to lead.
    pub(super) fn forward_arrives(&mut self, client: Client, by: PeerId, to: PeerId, entry: Entry) {
        if !self.hosts[&to].is_active() {
            return;
        }
        if let Err(refusal) = ledger::may_forward(by, &entry) {
            self.answer(&client, Err(refusal.to_string()));
        } else if self.raft.leader == Some(to) {
            // The leader stamps: no other host's clock reaches the log.
            let at = self.hosts[&to].log_now(self.time);
            self.propose(to, Entry { at, ..entry }, client);
        } else {
            self.answer(&client, Err("not the leader".to_owned()));
        }
    }
}
