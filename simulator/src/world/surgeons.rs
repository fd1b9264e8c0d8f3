//! Surgeons: small programs on the guests that ask any peer what is to be done, run it and tell any
//! peer how it ended.
//!
//! Every guest has two of them with the same application id, as hosts that were cloned have. They
//! keep nothing on disk: whoever dies has forgotten what it began. A daemon that is asked claims
//! what it would hand over, again and again under one id until the leader answers, and hands the
//! script over only then; a surgeon that has waited too long for it asks somebody else.
//!
//! What they do is drawn from a stream of its own, so that stories without guests stay what they are.

mod facts;

pub(crate) use facts::Fact;

use super::{
    World,
    queue::Event,
    tale::Mark,
    work::{Task, Worker},
};
use crate::{
    invariants::{AttemptKey, Operation},
    random::Random,
    scenario::Who,
};
use protocol::{
    agent::output::Variables,
    ledger::guests::hash_of,
    name::{Name, PeerId},
    record::{AttemptReport, Outcome, Record},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// How many surgeons each guest has.
const SURGEONS: u8 = 2;

/// How long a surgeon waits at the least before it asks or tells again.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// And at the most.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// How long it waits for an answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(22);

/// How often it tells how something ended, until somebody takes it.
const REPORTS_MAX: u32 = 30;

/// In how many of a hundred operations a surgeon dies half-way, in chaos.
const DIES_PERCENT: u64 = 10;

/// How long it is gone then, at the most.
const GONE_MAX: Duration = Duration::from_secs(60);

/// The surgeons of all guests.
#[derive(Debug)]
pub(crate) struct Surgeons {
    all: BTreeMap<SurgeonId, Surgeon>,
    random: Random,
    /// What was handed over and run.
    handed_over: Vec<Operation>,
    /// The facts that daemons wait to hear of.
    awaited: BTreeSet<u64>,
    facts: u64,
}

/// Which surgeon.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SurgeonId {
    guest: Name,
    number: u8,
}

/// One of them.
#[derive(Debug, Default)]
struct Surgeon {
    /// What it is about, by a number: what belongs to an earlier one does not concern it any more.
    turn: u64,
    lives: bool,
}

/// Something that a surgeon is about.
#[derive(Debug, Clone)]
pub(crate) struct Turn {
    who: SurgeonId,
    turn: u64,
    step: Step,
}

/// What that is.
#[derive(Debug, Clone)]
enum Step {
    /// It asks a peer what is to be done.
    Asks,
    /// Its question arrives at a peer.
    Asked(PeerId),
    /// It was told that there is nothing to do, or that its report was taken.
    Told,
    /// It is handed a script.
    Handed(Box<Handed>),
    /// It tells a peer how an operation ended, for this how manyth time.
    Tells(u64, Outcome, u32),
    /// Its report arrives at a peer.
    Reported(PeerId, u64, Outcome),
    /// It dies.
    Dies,
    /// It is started again.
    Returns,
}

/// What a surgeon is handed.
#[derive(Debug, Clone)]
struct Handed {
    key: AttemptKey,
    operation: u64,
    script: String,
    committed: u64,
    was_over: bool,
}

/// An operation under way.
#[derive(Debug, Clone)]
pub(super) struct Surgery {
    /// On which guest.
    pub(super) guest: PeerId,
    turn: Turn,
    operation: u64,
}

impl Surgeons {
    /// Nobody yet.
    pub(super) fn new(seed: u64) -> Self {
        // Any constant will do: another stream than the world's.
        let random = Random::new(seed ^ 0x7375_7267_656f_6e73);
        Self {
            all: BTreeMap::new(),
            random,
            handed_over: Vec::new(),
            awaited: BTreeSet::new(),
            facts: 0,
        }
    }

    /// What was handed over and run, from the first on.
    pub(crate) fn handed_over(&self) -> &[Operation] {
        &self.handed_over
    }
}

impl World<'_> {
    /// The guests that the documents name have surgeons from now on.
    pub(super) fn surgeons_appear(&mut self) {
        let guests: Vec<Name> =
            self.raft.truth.library().guests().map(|guest| guest.name.clone()).collect();
        for guest in guests {
            for number in 1..=SURGEONS {
                let who = SurgeonId { guest: guest.clone(), number };
                if !self.surgeons.all.contains_key(&who) {
                    self.surgeons.all.insert(who.clone(), Surgeon::default());
                    self.surgeon_returns(&who);
                }
            }
        }
    }

    /// A surgeon does what it is about, unless it is about something else by now.
    pub(super) fn surgeon(&mut self, turn: Turn) {
        let Some(surgeon) = self.surgeons.all.get(&turn.who) else { return };
        let is_at_it = surgeon.turn == turn.turn;
        match turn.step.clone() {
            // What is on its way arrives, whatever has become of the sender.
            Step::Asked(peer) => self.surgeon_asks(peer, turn),
            Step::Reported(peer, operation, outcome) => {
                self.surgeon_reports(peer, turn, operation, outcome);
            }
            Step::Returns if is_at_it && !surgeon.lives => self.surgeon_returns(&turn.who),
            Step::Asks if is_at_it && surgeon.lives => self.asks(&turn.who),
            Step::Told if is_at_it && surgeon.lives => {
                let next = self.next_turn(&turn.who, Step::Asks);
                self.pauses(next);
            }
            Step::Handed(handed) if is_at_it && surgeon.lives => self.operates(&turn.who, &handed),
            Step::Tells(operation, outcome, times) if is_at_it && surgeon.lives => {
                self.tells(turn, operation, outcome, times);
            }
            Step::Dies if is_at_it && surgeon.lives => {
                self.surgeon_dies(&turn.who);
                let gone = self.surgeons.random.between(PAUSE_MAX, GONE_MAX);
                let back = self.same_turn(&turn.who, Step::Returns);
                self.after(gone, Event::Surgeon(Box::new(back)));
            }
            Step::Returns
            | Step::Asks
            | Step::Told
            | Step::Handed(_)
            | Step::Tells(..)
            | Step::Dies => {}
        }
    }

    fn same_turn(&self, who: &SurgeonId, step: Step) -> Turn {
        let turn = self.surgeons.all.get(who).map_or(0, |surgeon| surgeon.turn);
        Turn { who: who.clone(), turn, step }
    }

    /// From now on a surgeon is about something else.
    fn next_turn(&mut self, who: &SurgeonId, step: Step) -> Turn {
        if let Some(surgeon) = self.surgeons.all.get_mut(who) {
            surgeon.turn += 1;
        }
        self.same_turn(who, step)
    }

    fn pauses(&mut self, next: Turn) {
        let pause = self.surgeons.random.between(PAUSE_MIN, PAUSE_MAX);
        self.after(pause, Event::Surgeon(Box::new(next)));
    }

    fn asks(&mut self, who: &SurgeonId) {
        // Where no answer comes, it asks again.
        let again = self.next_turn(who, Step::Asks);
        let pause = self.surgeons.random.between(PAUSE_MIN, PAUSE_MAX);
        self.after(ANSWERED_WITHIN + pause, Event::Surgeon(Box::new(again)));
        if let Some(peer) = self.surgeons.random.pick(&self.order) {
            self.over_the_network(self.same_turn(who, Step::Asked(peer)), peer);
        }
    }

    /// Something is on its way between a surgeon and a peer; it may be lost. Guests stand outside of
    /// whatever parts the network of the mesh falls into.
    fn over_the_network(&mut self, turn: Turn, peer: PeerId) {
        let lost = self.network.lost(&mut self.surgeons.random);
        let delay = self.network.delay(&mut self.surgeons.random);
        if !lost && !self.network.isolated.contains(&peer) {
            self.after(delay, Event::Surgeon(Box::new(turn)));
        }
    }

    /// A peer is asked: if something waits, it claims it first.
    fn surgeon_asks(&mut self, peer: PeerId, turn: Turn) {
        let Some(guest) = self.guest_named(&turn.who.guest) else { return };
        let host = &self.hosts[&peer];
        let now = host.now(self.time);
        let Some(process) = host.process.as_ref().filter(|_| !host.paused) else { return };
        match process.agent.operation_for(guest, now) {
            Ok(Some(operation)) => {
                let id = self.surgeons.random.next();
                let (incident, attempt) = (operation.incident, operation.attempt);
                let record = Record::Claimed { incident, attempt, operation: hash_of(id) };
                self.tell_for_surgeon(peer, turn, record, Some((operation, id)));
            }
            // What is kept back is nothing that a surgeon could do.
            Ok(None) | Err(_) => {
                let told = Turn { step: Step::Told, ..turn };
                self.over_the_network(told, peer);
            }
        }
    }

    fn surgeon_reports(&mut self, peer: PeerId, turn: Turn, operation: u64, outcome: Outcome) {
        let host = &self.hosts[&peer];
        if !host.is_active() {
            return;
        }
        let report = AttemptReport {
            outcome,
            exit_code: None,
            started_at: None,
            finished_at: host.log_now(self.time),
            output: String::new(),
        };
        self.tell_for_surgeon(peer, turn, Record::Operated { operation, report }, None);
    }

    fn guest_named(&self, name: &Name) -> Option<PeerId> {
        let mut guests = self.raft.truth.roster().guests();
        guests.find(|(_, guest)| guest.card.name == *name).map(|(id, _)| id)
    }

    /// A surgeon runs what it was handed, whatever it is.
    fn operates(&mut self, who: &SurgeonId, handed: &Handed) {
        let Some(guest) = self.guest_named(&who.guest) else { return };
        let turn = self.next_turn(who, Step::Asks);
        let (key, operation) = (handed.key, handed.operation);
        let surgery = Surgery { guest, turn, operation };
        let by = format!("surgeon {} of {}", who.number, who.guest);
        self.note(guest, &format!("{by} runs {}/{}", key.0, key.1));
        self.surgeons.handed_over.push(Operation {
            key,
            by,
            hash: hash_of(operation),
            committed: handed.committed,
            was_over: handed.was_over,
            began: self.time,
        });
        let incident = self.raft.truth.incidents().get(&key.0);
        let rung = incident.and_then(|incident| {
            let attempt = incident.attempts.iter().find(|attempt| attempt.number == key.1)?;
            incident.rung(attempt.rung)
        });
        let timeout = rung.map_or(Duration::ZERO, |rung| rung.timeout);
        let started_at = super::host::EPOCH.plus(self.time);
        let variables = exported(&handed.script);
        let task = Task { key, variables: &variables, timeout, power: None, started_at };
        let takes = self.begin_execution(Worker::Surgeon(surgery), &task, false);
        let chaos = self.story.chaos.is_some() && !self.healed;
        if chaos && self.surgeons.random.percent(DIES_PERCENT) {
            let after = self.surgeons.random.between(Duration::ZERO, takes);
            let dies = self.same_turn(who, Step::Dies);
            self.after(after, Event::Surgeon(Box::new(dies)));
        }
    }

    /// What a surgeon ran has ended. All that it knows is whether the script exited with 0.
    pub(super) fn surgery_ends(&mut self, surgery: Surgery, outcome: Outcome) {
        let said = match outcome {
            Outcome::Succeeded => Outcome::Succeeded,
            Outcome::Failed | Outcome::TimedOut | Outcome::Refused | Outcome::Unknown => {
                Outcome::Failed
            }
        };
        let step = Step::Tells(surgery.operation, said, 1);
        self.surgeon(Turn { step, ..surgery.turn });
    }

    /// It tells a peer, and another one after a while unless it is answered.
    fn tells(&mut self, turn: Turn, operation: u64, outcome: Outcome, times: u32) {
        let who = turn.who;
        if times > REPORTS_MAX {
            let next = self.next_turn(&who, Step::Asks);
            return self.pauses(next);
        }
        let again = self.next_turn(&who, Step::Tells(operation, outcome, times + 1));
        self.pauses(again);
        if let Some(peer) = self.surgeons.random.pick(&self.order) {
            let arrives = self.same_turn(&who, Step::Reported(peer, operation, outcome));
            self.over_the_network(arrives, peer);
        }
    }

    /// All surgeons of a guest die.
    pub(super) fn surgeons_die(&mut self, who: Who) {
        for surgeon in self.surgeons_of(who) {
            self.surgeon_dies(&surgeon);
        }
    }

    /// All surgeons of a guest are started again, where they do not run.
    pub(super) fn surgeons_return(&mut self, who: Who) {
        for surgeon in self.surgeons_of(who) {
            self.surgeon_returns(&surgeon);
        }
    }

    fn surgeons_of(&self, who: Who) -> Vec<SurgeonId> {
        let Some(guest) = self.who(who) else { return Vec::new() };
        let name = self.name(guest);
        self.surgeons.all.keys().filter(|id| id.guest.as_str() == name).cloned().collect()
    }

    /// What it runs dies with it, and may have done its work before.
    fn surgeon_dies(&mut self, who: &SurgeonId) {
        let Some(surgeon) = self.surgeons.all.get_mut(who).filter(|surgeon| surgeon.lives) else {
            return;
        };
        surgeon.lives = false;
        surgeon.turn += 1;
        let Some(guest) = self.guest_named(&who.guest) else { return };
        let what = format!("its surgeon {} dies", who.number);
        self.note(guest, &what);
        self.tell(guest, Mark::Other, &what);
        let has_done = self.surgeons.random.percent(50);
        self.end_surgery(guest, who, has_done);
    }

    fn surgeon_returns(&mut self, who: &SurgeonId) {
        let Some(surgeon) = self.surgeons.all.get_mut(who).filter(|surgeon| !surgeon.lives) else {
            return;
        };
        surgeon.lives = true;
        let asks = self.next_turn(who, Step::Asks);
        self.pauses(asks);
    }
}

impl Surgery {
    /// Whether this surgeon is at it.
    pub(super) fn is_of(&self, who: &SurgeonId) -> bool {
        self.turn.who == *who
    }
}

/// The variables that a script says first.
fn exported(script: &str) -> Variables {
    let lines = script.lines().filter_map(|line| line.strip_prefix("export "));
    let pairs = lines.filter_map(|line| line.split_once('='));
    let unquoted = |value: &str| value.trim_matches('\'').replace("'\\''", "'");
    pairs.map(|(name, value)| (name.to_owned(), unquoted(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_surgeon_knows_what_its_script_says() {
        let script = "export HEARTEN_PEER='old-db'\nexport HEARTEN_LABEL_UNIT='it'\\''s 5'\n\
                      if true; then\n  exec sh -c 'export A=b'\nfi\n";
        let known = exported(script);
        assert_eq!(known["HEARTEN_PEER"], "old-db");
        assert_eq!(known["HEARTEN_LABEL_UNIT"], "it's 5");
        assert_eq!(known.len(), 2);
    }
}
