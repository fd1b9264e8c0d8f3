//! What a daemon tells the leader for a surgeon: a claim or a report, again and again under one id
//! until it is answered. Answers are lost, come twice or too late, and daemons die in between.

use super::{Handed, Step, Turn};
use crate::world::{
    World,
    queue::{Daemon, Event},
    raft::Client,
};
use protocol::{
    agent::operation,
    ledger,
    name::PeerId,
    record::{Entry, Position, Record},
};
use std::time::Duration;

/// How long a daemon waits for the leader's answer until it says the same again.
const SAYS_AGAIN: Duration = Duration::from_secs(1);

/// How often it says so: for as long as the daemon lets a claim take.
const SAYS_MAX: u32 = 20;

/// What a daemon tells the leader for a surgeon.
#[derive(Debug, Clone)]
pub(crate) struct Fact {
    number: u64,
    daemon: Daemon,
    record: Record,
    /// How often it was said.
    said: u32,
    /// Who waits for what becomes of it.
    turn: Turn,
    /// What is handed over when it is a claim that was taken, and its id.
    claimed: Option<(operation::Operation, u64)>,
}

impl World<'_> {
    /// A daemon begins to tell the leader something for a surgeon.
    pub(super) fn tell_for_surgeon(
        &mut self,
        peer: PeerId,
        turn: Turn,
        record: Record,
        claimed: Option<(operation::Operation, u64)>,
    ) {
        self.surgeons.facts += 1;
        let number = self.surgeons.facts;
        self.surgeons.awaited.insert(number);
        let daemon = self.hosts[&peer].daemon();
        let fact = Fact { number, daemon, record, said: 0, turn, claimed };
        self.carry_fact(daemon, fact);
    }

    /// A daemon tells it, and tells it again until it is answered.
    pub(in crate::world) fn carry_fact(&mut self, daemon: Daemon, mut fact: Fact) {
        if !self.is_up(daemon) || !self.surgeons.awaited.contains(&fact.number) {
            return;
        }
        if fact.said >= SAYS_MAX {
            self.surgeons.awaited.remove(&fact.number);
            return;
        }
        fact.said += 1;
        self.after(SAYS_AGAIN, Event::FactOfSurgeon(daemon, Box::new(fact.clone())));
        let process = &self.hosts[&daemon.peer].process;
        let leader = process.as_ref().and_then(|process| process.standing.leader);
        let Some(to) = leader.filter(|to| self.network.open(daemon.peer, *to)) else { return };
        if !self.hosts[&daemon.peer].is_active() {
            return;
        }
        let delay = self.network.reliable_delay(&mut self.surgeons.random);
        if self.network.doubled(&mut self.surgeons.random) {
            let later = self.network.reliable_delay(&mut self.surgeons.random);
            self.after(later, Event::FactArrives(to, Box::new(fact.clone())));
        }
        self.after(delay, Event::FactArrives(to, Box::new(fact)));
    }

    /// It comes to a peer that the daemon believes to lead.
    pub(in crate::world) fn fact_arrives(&mut self, to: PeerId, fact: Fact) {
        let by = fact.daemon.peer;
        let at = self.hosts[&to].log_now(self.time);
        let record = fact.record.clone();
        let entry = Entry { at, by, term: self.raft.term, record };
        self.forward_arrives(Client::Surgeon(Box::new(fact)), by, to, entry);
    }

    /// The ledger's answer is on its way to the daemon. That it was not taken is not worth one: the
    /// daemon says it again.
    pub(in crate::world) fn answer_fact(
        &mut self,
        fact: Box<Fact>,
        result: Result<(Position, ledger::Outcome), String>,
    ) {
        let Ok((_position, outcome)) = result else { return };
        let to = fact.daemon.peer;
        if self.network.open(self.raft.leader.unwrap_or(to), to) {
            let delay = self.network.reliable_delay(&mut self.surgeons.random);
            self.after(delay, Event::FactAnswered(fact, Box::new(outcome)));
        }
    }

    /// What was claimed is handed over; whatever else there is to say is said.
    pub(in crate::world) fn fact_answered(&mut self, fact: Fact, outcome: ledger::Outcome) {
        let peer = fact.daemon.peer;
        if !self.is_up(fact.daemon) || !self.surgeons.awaited.contains(&fact.number) {
            return;
        }
        if !self.hosts[&peer].is_active() {
            let (fact, outcome) = (Box::new(fact), Box::new(outcome));
            return self.after(SAYS_AGAIN, Event::FactAnswered(fact, outcome));
        }
        self.surgeons.awaited.remove(&fact.number);
        let step = match fact.claimed.filter(|_| outcome.is_ok()) {
            None => Step::Told,
            Some((claimed, operation)) => {
                let key = (claimed.incident, claimed.attempt);
                let incident = self.raft.truth.incidents().get(&key.0);
                let attempt = incident.and_then(|incident| {
                    incident.attempts.iter().find(|attempt| attempt.number == key.1)
                });
                let was_over = attempt.is_none_or(|attempt| attempt.ended_at.is_some());
                let (script, committed) = (claimed.script, self.raft.committed());
                Step::Handed(Box::new(Handed { key, operation, script, committed, was_over }))
            }
        };
        self.over_the_network(Turn { step, ..fact.turn }, peer);
    }
}
