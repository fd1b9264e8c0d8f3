//! The modelled world: virtual time, hosts that die, a hostile network, and the very same agents
//! that the daemon drives.
//!
//! One event happens at a time, in an order that follows from the seed alone. Most of them come
//! down to telling an agent something ([`World::give`]) and carrying out what it wants done
//! ([`carry`]). The invariants look on after every such step.

pub(crate) mod alerts;
pub(crate) mod carry;
pub(crate) mod cells;
pub(crate) mod chaos;
pub(crate) mod chronicle;
mod daemons;
pub(crate) mod deeds;
pub(crate) mod describe;
pub(crate) mod election;
pub(crate) mod feed;
pub(crate) mod founding;
pub(crate) mod gossip;
pub(crate) mod host;
pub(crate) mod hosts;
pub(crate) mod jobs;
pub(crate) mod network;
mod observed;
pub(crate) mod queue;
pub(crate) mod raft;
pub(crate) mod seen;
pub(crate) mod shelf;
pub(crate) mod streams;
pub(crate) mod surgeons;
pub(crate) mod tale;
pub(crate) mod watch;
pub(crate) mod work;

use crate::{
    invariants::{self, Broken, CallingJob, Flow, Invariant, Step},
    random::Random,
    scenario::{Deed, Moment, Scenario, Who},
    sights::Sight,
    trace::Trace,
};
use cells::Cell;
use chronicle::Happened;
use host::Host;
use hosts::Hosts;
use network::Network;
use protocol::{
    agent::{Agent, Input, Output},
    alert::AlertId,
    document::Verdict,
    name::{IncidentId, Labels, Name, PeerId},
    time::{Now, Timestamp},
};
use queue::{Daemon, Event, Queue, Touch};
use raft::{Blanks, Client, Raft};
use shelf::Shelf;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use streams::Topic;
use surgeons::Surgeons;
use tale::Told;
use work::Execution;

/// The least time between two wake-ups of an agent: no timer is finer.
const NAP_MIN: Duration = Duration::from_millis(1);

/// In a mesh of up to so many peers every replica applies every entry for itself; in a larger one
/// they share what they can: see [`shelf`].
const SMALL_MAX: usize = 200;

/// The modelled world of one story and one seed.
pub(crate) struct World<'s> {
    /// The story.
    pub(crate) story: &'s Scenario,
    /// The time since the story began.
    pub(crate) time: Duration,
    /// How often an agent was told something.
    pub(crate) steps: u64,
    /// The history.
    pub(crate) trace: Trace,
    /// The same for people.
    pub(crate) tale: Vec<Told>,
    /// The hosts.
    pub(crate) hosts: Hosts,
    /// The hosts in the order of their names.
    pub(crate) order: Vec<PeerId>,
    /// The parts of the mesh that gossip.
    cells: Vec<Cell>,
    /// Whether these rest: see [`cells`].
    cells_may_rest: bool,
    /// The Raft group and its log.
    pub(crate) raft: Raft,
    /// The services that do not work, and what their checks say.
    pub(crate) broken: BTreeMap<(PeerId, Name), Verdict>,
    /// What is being executed.
    pub(crate) executions: BTreeMap<(IncidentId, u32), Execution>,
    /// How often each notice reached its channel.
    pub(crate) received: BTreeMap<(IncidentId, u32), u32>,
    /// What was executed and who was told, in order.
    pub(crate) chronicle: Vec<(Duration, Happened)>,
    /// Hosts that stay as they are when everything is healed: the story wants them so.
    pub(crate) left_alone: BTreeSet<PeerId>,
    /// Whether the faults are over.
    pub(crate) healed: bool,
    /// How many faults were drawn.
    pub(crate) faults: u32,
    /// Whether any wall clock has jumped.
    pub(crate) clocks_jumped: bool,
    /// Whether every daemon has the whole log and knows who leads: until something changes, the
    /// Raft group has nothing to tell anybody.
    settled: bool,
    /// What came about that must come about sometimes.
    pub(crate) sights: BTreeSet<Sight>,
    /// The starts that are being written, and by whom.
    writing: BTreeSet<(Daemon, (IncidentId, u32))>,
    shelf: Shelf,
    queue: Queue,
    random: Random,
    /// What faults by chance are drawn from: the same ones come whatever else is different.
    fate: Random,
    /// Which those are.
    doom: Option<chaos::Doom>,
    network: Network,
    channel_up: bool,
    /// What another system tells of: about whom, with which labels, since when.
    firing: BTreeMap<AlertId, (PeerId, Labels, Timestamp)>,
    /// The jobs that check in, or did.
    pub(crate) jobs: BTreeMap<String, CallingJob>,
    /// The topics that messages come to, or did, by their streams.
    topics: BTreeMap<Name, Topic>,
    /// What came to their partitions, and what of it the log took.
    pub(crate) flows: Vec<Flow>,
    /// The surgeons of the guests.
    pub(crate) surgeons: Surgeons,
    /// What waits for a moment in an attempt's life.
    ambushes: Vec<Ambush>,
    last_worker: Option<PeerId>,
    nonce: u64,
    invariants: Vec<Box<dyn Invariant>>,
    /// The first invariant that did not hold.
    pub(crate) violation: Option<Broken>,
}

/// Something that happens at a moment of an attempt's life.
#[derive(Debug, Clone)]
struct Ambush {
    not_before: Duration,
    moment: Moment,
    after: Duration,
    deed: Deed,
    undo: Option<(Duration, Deed)>,
}

impl<'s> World<'s> {
    /// The world at the beginning of a story.
    pub(crate) fn new(story: &'s Scenario, seed: u64, keep_trace: bool) -> Self {
        Self::with_blanks(story, seed, keep_trace, Blanks::default())
    }

    /// The same, with a log in which Raft writes so much for itself.
    pub(crate) fn with_blanks(
        story: &'s Scenario,
        seed: u64,
        keep_trace: bool,
        blanks: Blanks,
    ) -> Self {
        let mut random = Random::new(seed);
        let fate = Random::new(random.next());
        let hosts = founding::hosts(story, &mut random);
        let order: Vec<PeerId> = hosts.iter().map(Host::id).collect();
        let is_large = order.len() > SMALL_MAX;
        let entries = founding::first_entries(story, &hosts);
        let raft = Raft::founded(&hosts[0].card, entries, blanks, is_large);
        let network = Network {
            parts: None,
            cuts: BTreeSet::new(),
            isolated: BTreeSet::new(),
            weather: story.weather,
        };
        let mut world = Self {
            story,
            time: Duration::ZERO,
            steps: 0,
            trace: Trace::new(keep_trace),
            tale: Vec::new(),
            hosts: Hosts::new(hosts),
            cells: Cell::all(&story.peers),
            cells_may_rest: is_large,
            order,
            raft,
            broken: BTreeMap::new(),
            executions: BTreeMap::new(),
            received: BTreeMap::new(),
            chronicle: Vec::new(),
            left_alone: BTreeSet::new(),
            healed: false,
            faults: 0,
            clocks_jumped: false,
            settled: false,
            sights: BTreeSet::new(),
            writing: BTreeSet::new(),
            shelf: Shelf::default(),
            queue: Queue::default(),
            random,
            fate,
            doom: None,
            network,
            channel_up: true,
            firing: BTreeMap::new(),
            jobs: BTreeMap::new(),
            topics: BTreeMap::new(),
            flows: Vec::new(),
            surgeons: Surgeons::new(seed),
            ambushes: Vec::new(),
            last_worker: None,
            nonce: 1,
            invariants: invariants::all(),
            violation: None,
        };
        world.begin();
        world
    }

    /// Starts the hosts and says what will happen.
    fn begin(&mut self) {
        self.draw_doom();
        self.queue.push(Duration::ZERO, Event::RaftTick);
        let snapshot = Arc::new(self.raft.truth.clone());
        for peer in self.order.clone() {
            let snapshot = Arc::clone(&snapshot);
            let logged = snapshot.position().index;
            if let Some(host) = self.hosts.get_mut(&peer) {
                host.disk.ledger_before = Arc::clone(&snapshot);
                host.disk.ledger = snapshot;
                host.disk.logged = logged;
                if host.stopped {
                    self.left_alone.insert(peer);
                    continue;
                }
            }
            self.start(peer);
        }
        for event in &self.story.events {
            match event.when {
                None => {
                    let deed = Event::Deed(Box::new(event.deed.clone()));
                    self.queue.push(event.at + event.after, deed);
                }
                Some(moment) => self.ambushes.push(Ambush {
                    not_before: event.at,
                    moment,
                    after: event.after,
                    deed: event.deed.clone(),
                    undo: None,
                }),
            }
        }
        self.queue.push(self.story.lasts, Event::HealAll);
        self.surgeons_appear();
    }

    /// Lets the story happen to its end, or until an invariant does not hold.
    pub(crate) fn run(&mut self) {
        self.run_until(self.story.lasts + self.story.settle);
        if self.violation.is_none() {
            self.raft.take_last_fingerprint();
            self.look(|invariant, world| invariant.at_end(world));
        }
        let last = self.random.next();
        self.trace.mix(last);
    }

    /// Lets the story happen up to a moment, or until an invariant does not hold.
    pub(crate) fn run_until(&mut self, end: Duration) {
        while self.violation.is_none() {
            let Some((at, event)) = self.queue.pop_until(end) else {
                self.time = end;
                return;
            };
            self.time = at;
            self.happen(event);
        }
    }

    fn happen(&mut self, event: Event) {
        let touches = event.touches();
        if touches >= Touch::Log {
            self.settled = false;
        }
        if touches == Touch::Hosts {
            self.rouse_all();
        }
        match event {
            Event::Give(daemon, input) => self.give(daemon, *input),
            Event::Wake(daemon, wake) => self.wake(daemon, wake),
            Event::StartOnDisk(daemon, key) => self.start_on_disk(daemon, key),
            Event::ExecutionEnds(key) => self.execution_ends(key),
            Event::EvidenceReady(daemon, incident) => self.evidence_ready(daemon, incident),
            Event::ProbeArrives { from, peer, purpose } => self.probe_arrives(from, peer, purpose),
            Event::ProbeEnds { from, peer, purpose, seen } => {
                self.probe_ends(from, peer, purpose, seen);
            }
            Event::WitnessAsked { asker, witness, peer } => {
                self.witness_asked(asker, witness, peer);
            }
            Event::ForwardArrives { from, by, to, forwarding, entry } => {
                let client = from.map_or(Client::Operator, |from| Client::Fact(from, forwarding));
                self.forward_arrives(client, by, to, *entry);
            }
            Event::Proposed(daemon, what) => self.proposed(daemon, *what),
            Event::Commit => self.try_to_commit(),
            Event::Feed(daemon) => self.feed(daemon),
            Event::RaftTick => self.raft_tick(),
            Event::GossipRound(daemon) => self.gossip_round(daemon),
            Event::GossipArrives(from, to, gossip) => self.gossip_arrives(from, to, &gossip),
            Event::ReportArrives(to, report) => self.hear(to, &report),
            Event::NoticeArrives(daemon, incident, notice) => {
                self.notice_arrives(daemon, incident, notice);
            }
            Event::Deed(deed) | Event::Undo(deed) => self.deed(&deed),
            Event::JobPings(turn) => self.job_pings(*turn),
            Event::MessageComes(stream, began) => self.message_comes(stream, began),
            Event::StreamIsLookedAt(stream) => self.stream_is_looked_at(stream),
            Event::StreamWasRead(reader, batches) => self.stream_was_read(reader, batches),
            Event::AlertTold(telling) => self.alert_told(*telling),
            Event::Surgeon(turn) => self.surgeon(*turn),
            Event::FactOfSurgeon(daemon, fact) => self.carry_fact(daemon, *fact),
            Event::FactArrives(to, fact) => self.fact_arrives(to, *fact),
            Event::FactAnswered(fact, outcome) => self.fact_answered(*fact, *outcome),
            Event::Chaos => self.chaos(),
            Event::Resume(daemon) => self.resume(daemon),
            Event::StopDeadline(daemon) => {
                if self.is_up(daemon) {
                    self.end_process(daemon.peer);
                }
            }
            Event::HealAll => self.heal_all(),
        }
    }

    /// Lets something happen after a while.
    fn after(&mut self, span: Duration, event: Event) {
        self.queue.push(self.time + span, event);
    }

    /// Whether this very start of the daemon still runs.
    fn is_up(&self, daemon: Daemon) -> bool {
        let host = &self.hosts[&daemon.peer];
        host.process.is_some() && host.boot == daemon.boot
    }

    /// Tells an agent something, now or, if it is halted, when it goes on.
    fn give(&mut self, daemon: Daemon, input: Input) {
        if !self.is_up(daemon) || self.violation.is_some() {
            return;
        }
        let Some(host) = self.hosts.get_mut(&daemon.peer) else { return };
        let paused = host.paused;
        let Some(process) = &mut host.process else { return };
        if paused {
            process.inbox.push(input);
            return;
        }
        let said = describe::input(&input);
        self.step(daemon, &said, |agent, now| agent.handle(now, input));
    }

    /// One step of an agent that is not halted.
    fn step(
        &mut self,
        daemon: Daemon,
        said: &str,
        act: impl FnOnce(&mut Agent, Now) -> Vec<Output>,
    ) {
        if !self.is_up(daemon) || self.violation.is_some() {
            return;
        }
        let Some(host) = self.hosts.get_mut(&daemon.peer) else { return };
        let now = host.now(self.time);
        let Some(process) = &mut host.process else { return };
        let before = process.agent.ledger().position();
        let outputs = act(&mut process.agent, now);
        let after = process.agent.ledger().position();
        self.steps += 1;
        let name = self.hosts[&daemon.peer].card.name.as_str();
        self.trace.note_two(self.time, name, "<- ", said);
        for output in &outputs {
            self.trace.note_two(self.time, name, "-> ", &describe::output(output));
        }
        self.set_alarm(daemon);
        if after.index != before.index {
            self.keep_snapshot(daemon.peer, after.index.is_multiple_of(8));
        }
        for output in &outputs {
            self.carry(daemon, output);
        }
        let applied = after.index != before.index;
        let step = Step { peer: daemon.peer, outputs: &outputs, applied };
        self.look(|invariant, world| invariant.after(world, &step));
        self.end_when_it_may_stop(daemon);
    }

    /// Shows the world to every invariant.
    fn look(&mut self, mut check: impl FnMut(&mut dyn Invariant, &Self) -> Result<(), String>) {
        let mut invariants = std::mem::take(&mut self.invariants);
        for invariant in &mut invariants {
            if let Err(what) = check(invariant.as_mut(), self)
                && self.violation.is_none()
            {
                self.violation = Some(Broken { invariant: invariant.name(), what });
            }
        }
        self.invariants = invariants;
    }

    fn note(&mut self, peer: PeerId, what: &str) {
        if let Some(host) = self.hosts.get(&peer) {
            return self.trace.note(self.time, host.card.name.as_str(), what);
        }
        let name = self.name(peer);
        self.trace.note(self.time, &name, what);
    }

    fn note_world(&mut self, what: &str) {
        self.trace.note(self.time, "--", what);
    }

    /// The agent says how long it may sleep.
    fn set_alarm(&mut self, daemon: Daemon) {
        let time = self.time;
        let Some(host) = self.hosts.get_mut(&daemon.peer) else { return };
        let now = host.now(time);
        let Some(process) = &mut host.process else { return };
        let wakes_at = time + process.agent.sleep(now).max(NAP_MIN);
        if wakes_at != process.wakes_at {
            process.wake += 1;
            process.wakes_at = wakes_at;
            let wake = process.wake;
            self.queue.push(wakes_at, Event::Wake(daemon, wake));
        }
    }

    fn wake(&mut self, daemon: Daemon, wake: u64) {
        let process = &self.hosts[&daemon.peer].process;
        if self.is_up(daemon) && process.as_ref().is_some_and(|process| process.wake == wake) {
            self.give(daemon, Input::Tick);
        }
    }

    /// Who is meant, if there is such a peer now.
    pub(crate) fn who(&self, who: Who) -> Option<PeerId> {
        match who {
            Who::Peer(place) => self.order.get(place).copied(),
            Who::Leader => self.raft.leader,
            Who::Worker => self.last_worker,
            Who::Guest(place) => {
                let name = self.story.guests.get(place)?;
                let roster = self.raft.truth.roster();
                roster.by_name(name.as_str()).map(|(peer, _)| peer).filter(|p| roster.is_guest(*p))
            }
        }
    }

    /// By what a story means this host.
    fn whom(&self, peer: PeerId) -> Option<Who> {
        self.place(peer).map(Who::Peer).or_else(|| {
            let name = self.raft.truth.roster().member(peer)?.card.name.clone();
            self.story.guests.iter().position(|guest| *guest == name).map(Who::Guest)
        })
    }

    /// A moment of an attempt's life: whatever waited for it happens.
    fn moment(&mut self, moment: Moment, worker: PeerId) {
        self.last_worker = Some(worker);
        let time = self.time;
        let is_due = |ambush: &Ambush| ambush.moment == moment && ambush.not_before <= time;
        let Some(place) = self.ambushes.iter().position(is_due) else { return };
        let mut ambush = self.ambushes.remove(place);
        // Whoever works now is meant, also when the fault ends.
        let worker = self.whom(worker).unwrap_or(Who::Worker);
        ambush.deed.settle_on(worker);
        if let Some((_, undo)) = &mut ambush.undo {
            undo.settle_on(worker);
        }
        self.after(ambush.after, Event::Deed(Box::new(ambush.deed)));
        if let Some((after, deed)) = ambush.undo {
            self.after(ambush.after + after, Event::Undo(Box::new(deed)));
        }
    }
}
