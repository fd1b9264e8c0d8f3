//! A mesh of real agents around a log that commits at once, hosts that do as they are told, and
//! time that passes only when nothing else happens.

mod told;
mod world;

use super::{DOCUMENTS, Mesh, card, id, name, sign_report, trust};
use protocol::{
    agent::{Agent, Input, LocalPolicy, NotTaken, Origin, Output, Standing},
    document::Verdict,
    ledger,
    name::{IncidentId, PeerId, RaftId},
    record::{Entry, PeerCard, Position, Record, Seen, Trust},
    time::{Now, Timestamp},
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

/// What executing a rung comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It exits with 0 and all is well.
    Heals,
    /// It exits with 0 and nothing is better.
    InVain,
    /// It exits with 1.
    Fails,
    /// It never ends.
    Hangs,
    /// It exits with 0 and everything is well everywhere.
    HealsAll,
}

/// One host and its agent.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) agent: Agent,
    /// Whether its daemon runs.
    pub(crate) up: bool,
    /// What its check finds.
    pub(crate) verdict: Verdict,
    /// What single checks find that find something else.
    pub(crate) findings: BTreeMap<String, Verdict>,
    /// What is on its disk.
    pub(crate) started: BTreeSet<(IncidentId, u32)>,
    pub(crate) trust: Trust,
    pub(crate) policy: LocalPolicy,
    /// How far its clock is ahead of the others, in milliseconds.
    pub(crate) ahead: i64,
    /// Whether its disk answers.
    pub(crate) disk: bool,
    /// When its daemon was started.
    booted: u64,
}

impl Host {
    fn finds(&self, check: &str) -> Verdict {
        self.findings.get(check).copied().unwrap_or(self.verdict)
    }
}

/// The mesh, its log and its time.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) hosts: BTreeMap<u64, Host>,
    pub(crate) ledger: ledger::Ledger,
    pub(crate) log: Vec<(Position, Entry)>,
    pub(crate) leader: Option<u64>,
    pub(crate) term: u64,
    pub(crate) index: u64,
    pub(crate) now: u64,
    /// By rung; what is not here hangs.
    pub(crate) effects: BTreeMap<String, Effect>,
    /// Whether the channels take notices.
    pub(crate) channel: Result<(), ()>,
    /// What single channels say that take nothing.
    pub(crate) refusing: BTreeMap<String, NotTaken>,
    /// Whether the channels answer at all.
    pub(crate) channel_answers: bool,
    /// Whether the outside dead-man's switch takes calls.
    pub(crate) switch: Result<(), ()>,
    /// What each witness says when it does not say what it sees.
    pub(crate) lies: BTreeMap<u64, Seen>,
    /// About whom they do not; about everybody while it is empty.
    pub(crate) lied_about: BTreeSet<u64>,
    /// Whether gossip tells at once who is up.
    pub(crate) gossip: bool,
    /// Every output, with the peer and the time.
    pub(crate) outputs: Vec<(u64, u64, Output)>,
    voters: BTreeMap<PeerId, RaftId>,
    learners: BTreeMap<PeerId, RaftId>,
    queue: VecDeque<(u64, Input)>,
}

impl Driver {
    /// Peers 1 to `size`, with [`DOCUMENTS`], led by peer 1.
    pub(crate) fn of(size: u64) -> Self {
        Self::with(size, DOCUMENTS)
    }

    pub(crate) fn with(size: u64, documents: &str) -> Self {
        let mut mesh = Mesh::of(size);
        mesh.documents(documents).expect("valid documents");
        Self::from_mesh(mesh, size)
    }

    pub(crate) fn from_mesh(mesh: Mesh, size: u64) -> Self {
        let mut driver = Self {
            hosts: BTreeMap::new(),
            ledger: mesh.ledger,
            log: Vec::new(),
            leader: None,
            term: mesh.term,
            index: mesh.index,
            now: mesh.now,
            effects: BTreeMap::from([
                ("restart".to_owned(), Effect::Heals),
                ("reinstall".to_owned(), Effect::Heals),
                ("power".to_owned(), Effect::Heals),
            ]),
            channel: Ok(()),
            refusing: BTreeMap::new(),
            channel_answers: true,
            switch: Ok(()),
            lies: BTreeMap::new(),
            lied_about: BTreeSet::new(),
            gossip: true,
            outputs: Vec::new(),
            voters: BTreeMap::from([(id(1), RaftId(1))]),
            learners: BTreeMap::new(),
            queue: VecDeque::new(),
        };
        for n in 1..=size {
            driver.boot(n, card(n), trust(), LocalPolicy::default(), BTreeSet::new());
        }
        driver.elect(1);
        driver
    }

    fn boot(
        &mut self,
        n: u64,
        card: PeerCard,
        trust: Trust,
        policy: LocalPolicy,
        started: BTreeSet<(IncidentId, u32)>,
    ) {
        let ledger = self.ledger.clone();
        let origin = Origin {
            card,
            trust: trust.clone(),
            policy: policy.clone(),
            ledger,
            started: started.clone(),
        };
        let (verdict, ahead) =
            self.hosts.get(&n).map_or((Verdict::Pass, 0), |host| (host.verdict, host.ahead));
        let findings = self.hosts.get(&n).map_or_else(BTreeMap::new, |host| host.findings.clone());
        let agent = Agent::new(origin);
        let host = Host {
            agent,
            up: true,
            verdict,
            findings,
            started,
            trust,
            policy,
            ahead,
            disk: true,
            booted: self.now,
        };
        self.hosts.insert(n, host);
    }

    /// The daemon of a host dies and starts anew, from what is on its disk.
    pub(crate) fn restart(&mut self, n: u64) {
        let host = &self.hosts[&n];
        let mut card = host.agent.card().clone();
        card.generation += 1;
        let (trust, policy, started) =
            (host.trust.clone(), host.policy.clone(), host.started.clone());
        self.queue.retain(|(to, _)| *to != n);
        self.boot(n, card, trust, policy, started);
        self.elect_again();
        self.tell_liveness(n, true);
    }

    /// Starts a host's agent anew with other settings, before anything has happened.
    pub(crate) fn configure(&mut self, n: u64, trust: Trust, policy: LocalPolicy) {
        let card = self.hosts[&n].agent.card().clone();
        self.boot(n, card, trust, policy, BTreeSet::new());
        self.elect_again();
    }

    /// Starts a host's agent anew as this peer, before anything has happened.
    pub(crate) fn reboot(&mut self, n: u64, card: PeerCard) {
        self.boot(n, card, trust(), LocalPolicy::default(), BTreeSet::new());
        self.elect_again();
    }

    /// The daemon of a host dies.
    pub(crate) fn kill(&mut self, n: u64) {
        if let Some(host) = self.hosts.get_mut(&n) {
            host.up = false;
        }
        self.queue.retain(|(to, _)| *to != n);
        self.tell_liveness(n, false);
        if self.leader == Some(n) {
            self.leader = None;
            self.tell_standing();
        }
    }

    pub(crate) fn tell_liveness(&mut self, n: u64, alive: bool) {
        if self.gossip {
            for other in self.others(n) {
                self.queue.push_back((other, Input::Liveness { peer: id(n), alive }));
            }
        }
    }

    fn others(&self, n: u64) -> Vec<u64> {
        self.hosts.keys().copied().filter(|other| *other != n).collect()
    }

    /// Another leader, in another term.
    pub(crate) fn elect(&mut self, n: u64) {
        self.term += 1;
        self.leader = Some(n);
        self.tell_standing();
        if self.gossip {
            for m in self.hosts.keys().copied().collect::<Vec<_>>() {
                let alive = self.hosts[&m].up;
                self.tell_liveness(m, alive);
            }
        }
    }

    fn elect_again(&mut self) {
        if let Some(leader) = self.leader {
            self.elect(leader);
        }
    }

    fn tell_standing(&mut self) {
        for n in self.hosts.keys().copied().collect::<Vec<_>>() {
            let standing = Standing {
                term: self.term,
                leader: self.leader.map(id),
                leads: self.leader == Some(n),
                voters: self.voters.clone(),
                learners: self.learners.clone(),
            };
            self.queue.push_back((n, Input::Standing(standing)));
        }
    }

    pub(crate) fn host(&mut self, n: u64) -> &mut Host {
        self.hosts.get_mut(&n).expect("a host")
    }

    pub(crate) fn fails(&mut self, n: u64) {
        self.host(n).verdict = Verdict::Fail;
    }

    pub(crate) fn clock(&self, n: u64) -> Now {
        let wall = self.now.saturating_add_signed(self.hosts[&n].ahead);
        Now {
            wall: Timestamp::from_millis(wall),
            mono: Duration::from_millis(self.now - self.hosts[&n].booted),
        }
    }

    /// Tells an agent something and carries out what follows, without letting time pass.
    pub(crate) fn tell(&mut self, n: u64, input: Input) {
        self.queue.push_back((n, input));
        self.settle();
    }

    /// Tells an agent something together with whatever else it is told before anything follows.
    pub(crate) fn post(&mut self, n: u64, input: Input) {
        self.queue.push_back((n, input));
    }

    /// Writes an entry into the log.
    pub(crate) fn commit(&mut self, entry: Entry) -> (Position, ledger::Outcome) {
        self.index += 1;
        let position = Position { index: self.index, term: self.term };
        let outcome = self.ledger.apply(position, &entry);
        self.log.push((position, entry.clone()));
        for n in self.hosts.keys().copied().collect::<Vec<_>>() {
            let entry = Some(entry.clone());
            self.queue.push_back((n, Input::Committed { position, entry }));
        }
        (position, outcome)
    }

    /// Writes a record of the leader's into the log.
    pub(crate) fn write(&mut self, record: Record) -> ledger::Outcome {
        let by = id(self.leader.unwrap_or(1));
        let entry = Entry { at: Timestamp::from_millis(self.now), by, term: self.term, record };
        let (_, outcome) = self.commit(entry);
        self.settle();
        outcome
    }

    /// Carries out whatever can be without letting time pass.
    pub(crate) fn settle(&mut self) {
        let mut steps = 0;
        while let Some((n, input)) = self.queue.pop_front() {
            steps += 1;
            assert!(steps < 100_000, "it never comes to rest: {input:?}");
            if !self.hosts[&n].up {
                continue;
            }
            let now = self.clock(n);
            let outputs = self.host(n).agent.handle(now, input);
            for output in outputs {
                self.outputs.push((n, self.now, output.clone()));
                self.carry_out(n, output);
            }
        }
    }

    /// Lets time pass in small steps.
    pub(crate) fn pass(&mut self, millis: u64) {
        let end = self.now + millis;
        self.settle();
        while self.now < end {
            self.now += 100;
            for n in self.hosts.keys().copied().collect::<Vec<_>>() {
                self.queue.push_back((n, Input::Tick));
            }
            self.settle();
        }
    }

    /// Lets time pass until something holds; at most ten minutes.
    pub(crate) fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let end = self.now + 600_000;
        self.settle();
        while !holds(self) {
            assert!(self.now < end, "it does not come to this: {what}\n{}", self.history());
            self.pass(100);
        }
    }
}

/// The number of a peer of the tests.
pub(crate) fn number(peer: PeerId) -> u64 {
    peer.bits()
}

/// The check of the tests.
pub(crate) fn web() -> protocol::name::Name {
    name("web")
}
