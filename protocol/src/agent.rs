//! The seam between deciding and acting: inputs in, outputs out, no I/O between.
//!
//! The daemon and the simulator drive the very same [`Agent`]. It keeps a replica of the ledger,
//! looks at what gossip says, and works its duties out afresh after every input, so that a lost
//! message costs one tick and nothing more:
//!
//! * as a peer: announce itself, run its [`checks`], verify repairs;
//! * as a [`worker`]: execute what the log assigns to it, at most once;
//! * as the [`leader`]: open incidents, give out rungs, call people, attest [`silence`], appoint
//!   [`voters`].

mod alerts;
pub mod checks;
pub mod clock;
pub mod doubt;
mod input;
pub mod leader;
pub mod operation;
pub mod output;
pub mod shared;
pub mod silence;
pub mod trial;
pub mod variables;
pub mod view;
pub mod voters;
pub mod wards;
pub mod worker;

pub use input::{Input, LocalPolicy, Origin, Standing};
pub use output::{Forwarding, Message, Output, Proposal, Work, WorkOrder};

use crate::{
    document::{Check, Document, Probe, ladder::is_made_of, parse::parse},
    ledger::{
        self, Ledger,
        incident::{Incident, State},
        roster::Standing as Running,
    },
    name::{IncidentId, Name, PeerId},
    record::{Because, Entry, PeerCard, Position, Record, Seen, Trust},
    refusal::Refusal,
    report::Report,
    time::{Now, Timestamp},
};
use checks::OwnChecks;
use clock::LogClock;
use doubt::Doubt;
use leader::Leader;
use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};
use view::View;
use wards::Wards;
use worker::Worker;

/// How long until something that was forwarded is forwarded again.
const FORWARD_AGAIN: Duration = Duration::from_secs(1);

/// The fact that names the boot that a host is in.
pub const BOOT_ID: &str = "boot_id";

/// The longest that the agent sleeps when nothing happens.
pub const TICK: Duration = Duration::from_secs(1);

/// Who should answer, by the roster.
#[derive(Debug, Clone)]
struct Expected {
    /// How many of the whole mesh.
    count: usize,
    /// Those of this peer's own cell.
    cell: Vec<PeerId>,
}

/// Decides for one peer.
#[derive(Debug, Clone)]
pub struct Agent {
    pub(crate) card: PeerCard,
    pub(crate) trust: Trust,
    pub(crate) policy: LocalPolicy,
    /// Its own alone, but where many agents live in one process: see [`shared`].
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) clock: LogClock,
    pub(crate) standing: Standing,
    pub(crate) view: View,
    pub(crate) checks: OwnChecks,
    pub(crate) worker: Worker,
    pub(crate) leader: Leader,
    pub(crate) doubt: Doubt,
    pub(crate) wards: Wards,
    /// Who should answer: looked up when it is asked for, after somebody came or went.
    expected: OnceLock<Expected>,
    facts: BTreeMap<String, String>,
    /// The facts of the latest report.
    facts_told: BTreeMap<String, String>,
    sequence: u64,
    /// Facts on their way to the leader, and when they are sent again.
    forwarded: BTreeMap<Forwarding, Duration>,
    stopping: Option<bool>,
    /// Up to where the log was looked through for what it has to be told of this start of the daemon,
    /// and of this boot of its host: it was all there.
    announced: Option<Position>,
    announced_boot: Option<Position>,
    /// The revision that the checks were taken from.
    checks_of: Option<u64>,
    /// The documents of each revision that enough operators signed, as this peer verified it.
    authorised: BTreeMap<u64, Vec<Document>>,
}

impl Agent {
    /// An agent that knows what `origin` says.
    pub fn new(origin: Origin) -> Self {
        let Origin { card, trust, policy, ledger, started } = origin;
        let mut agent = Self {
            card,
            trust,
            policy,
            ledger: Arc::default(),
            clock: LogClock::default(),
            standing: Standing::default(),
            view: View::default(),
            checks: OwnChecks::default(),
            worker: Worker::new(started),
            leader: Leader::default(),
            doubt: Doubt::default(),
            wards: Wards::default(),
            expected: OnceLock::new(),
            facts: BTreeMap::new(),
            facts_told: BTreeMap::new(),
            sequence: 0,
            forwarded: BTreeMap::new(),
            stopping: None,
            announced: None,
            announced_boot: None,
            checks_of: None,
            authorised: BTreeMap::new(),
        };
        agent.restore(Arc::new(ledger));
        agent
    }

    /// Who should answer.
    fn expected(&self) -> &Expected {
        self.expected.get_or_init(|| {
            let running = || self.ledger.roster().running();
            let own = running().filter(|(_, member)| member.card.cell == self.card.cell);
            Expected { count: running().count(), cell: own.map(|(peer, _)| peer).collect() }
        })
    }

    /// The ledger as this peer knows it.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What gossip and reports say of the peers.
    pub const fn view(&self) -> &View {
        &self.view
    }

    /// What the Raft group looks like from here.
    pub const fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Who this peer is.
    pub const fn card(&self) -> &PeerCard {
        &self.card
    }

    /// The log's time, as this peer reckons it.
    pub fn log_now(&self, now: Now) -> Timestamp {
        self.clock.now(now)
    }

    /// Whether the log has every outcome of what was executed here, and nothing is being executed.
    pub fn has_reported(&self) -> bool {
        self.worker.is_idle()
    }

    /// How long the driver may sleep when nothing happens.
    pub fn sleep(&self, now: Now) -> Duration {
        let check = self.checks.next_due().filter(|_| self.stopping.is_none());
        let forwarded = self.forwarded.values().min().copied();
        let wards = self.wards.next_due().filter(|_| self.stopping.is_none());
        let dues = [check, self.leader.next_due(), forwarded, wards, self.doubt.until()];
        let next = dues.into_iter().flatten().min();
        next.map_or(TICK, |due| due.saturating_sub(now.mono).min(TICK))
    }

    /// Takes one input and says what to do.
    pub fn handle(&mut self, now: Now, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        let mut doubts_now = self.begin_step(now);
        match input {
            Input::Tick => {}
            Input::Standing(standing) => self.stand(standing),
            Input::Committed { position, entry } => self.commit(now, position, entry.as_ref()),
            Input::Restored(ledger) => self.restored(now, (*ledger).into()),
            Input::CheckRan { check, verdict, summary } => {
                let at = self.clock.now(now);
                if self.checks.ran(&check, verdict, &summary, now.mono, at) {
                    self.tell(now, &mut out);
                }
            }
            Input::Heard(report) => self.view.hear(&self.ledger, report),
            Input::Liveness { peer, alive } => {
                let at = self.clock.now(now);
                self.view.set_liveness(peer, alive, at);
            }
            Input::Watched { peer, seen } => {
                self.wards.saw(peer, seen, now.mono);
                if self.wards.hears_none() {
                    let why = "it hears none of those that it watches".to_owned();
                    self.doubt.begin(now.mono, why);
                    doubts_now = true;
                }
                if seen.is_life() && self.standing.leads {
                    self.suspect(now, peer, seen);
                } else if seen.is_life() {
                    out.push(Output::Suspect { peer, seen });
                }
            }
            Input::Suspected { peer, seen } => {
                if self.standing.leads {
                    self.suspect(now, peer, seen);
                }
            }
            Input::Late { what } => {
                self.doubt.begin(now.mono, what);
                doubts_now = true;
            }
            Input::Probed { peer, seen } => {
                let seen = self.testimony(now, seen);
                let at = self.clock.now(now);
                self.leader.silence.testify(peer, self.card.id, Some(seen), at);
                self.leader.storm.probed(peer, seen);
            }
            Input::Testified { witness, peer, seen } => {
                let at = self.clock.now(now);
                self.leader.silence.testify(peer, witness, seen, at);
            }
            Input::Proposed { proposal, result } => self.leader.proposed(now, &proposal, &result),
            Input::Forwarded { forwarding, result } => {
                self.forwarded_back(now, &forwarding, &result)
            }
            Input::StartRecorded { incident, attempt } => {
                self.start_recorded(now, incident, attempt, &mut out);
            }
            Input::Finished { incident, attempt, report } => {
                self.finished(now, incident, attempt, report);
            }
            Input::EvidenceTaken { incident, evidence } => {
                self.worker.evidence_taken(incident, evidence);
            }
            Input::NoticeSent { incident, notice, result } => {
                self.leader.notices.sent(now, (incident, notice), result);
            }
            Input::CheckedIn(result) => {
                let at = self.clock.now(now);
                self.leader.check_in.answered(now, at, result);
                if self.has_news_of_check_in() {
                    self.tell(now, &mut out);
                }
            }
            Input::MembersChanged(result) => self.leader.members_changed(now, result.is_ok()),
            Input::Facts(facts) => {
                if facts != self.facts {
                    self.facts = facts;
                    self.announced_boot = None;
                    self.tell(now, &mut out);
                }
            }
            Input::Configured { labels, policy } => {
                self.card.labels = labels;
                self.policy = policy;
                self.announced = None;
                self.checks_of = None;
            }
            Input::Stopping { for_good } => self.stopping = Some(for_good),
        }
        self.end_step(now, doubts_now, &mut out);
        out
    }

    /// Every step begins so; returns whether this peer has cause to doubt what it is told.
    fn begin_step(&mut self, now: Now) -> bool {
        // Also what was on disk when the daemon started: its host's clock may have begun anew.
        self.clock.observe(now, self.ledger.last_at());
        self.doubt.awake(now.mono)
    }

    /// Every step ends so: with what is due by then.
    fn end_step(&mut self, now: Now, doubts_now: bool, out: &mut Vec<Output>) {
        self.mind_itself(now, doubts_now, out);
        self.duties(now, out);
        // What is due and was not sent again just now is not wanted any more: kept, it would have
        // the driver look for it without a pause.
        self.forwarded.retain(|_, due| *due > now.mono);
        self.doubt.sleeps(now.mono + self.sleep(now));
    }

    /// Says in its report when this peer begins to doubt itself, and when that has passed.
    fn mind_itself(&mut self, now: Now, doubts_now: bool, out: &mut Vec<Output>) {
        let said = self.facts_told.contains_key(doubt::FACT);
        let passed = self.doubt.pass(now.mono);
        if (doubts_now && !said) || (passed && said) {
            self.tell(now, out);
        }
    }

    /// What this peer says of what it saw: nothing that it does not trust itself.
    pub fn testimony(&self, now: Now, seen: Seen) -> Seen {
        // A sign of life is none the less one.
        if seen.is_silence() && self.doubt.is_on(now.mono) { Seen::Abstained } else { seen }
    }

    /// Whether this peer trusts what it sees.
    pub const fn doubt(&self) -> &Doubt {
        &self.doubt
    }

    /// What is due now, whatever the input was.
    fn duties(&mut self, now: Now, out: &mut Vec<Output>) {
        self.announce(now, out);
        if self.stopping.is_some() {
            // Nothing is begun any more; what has ended is still told.
            self.send_reports(now, out);
            self.leader.rest();
            return;
        }
        self.watch_wards(now, out);
        self.announce_boot(now, out);
        self.run_checks(now, out);
        self.verify_repairs(now);
        self.outlive_incidents(now, out);
        self.work(now, out);
        self.leader.storm.watch(self.ledger.brake(), now.mono);
        if self.standing.leads {
            self.lead(now, out);
        } else {
            self.leader.rest();
        }
    }

    fn stand(&mut self, standing: Standing) {
        if standing.term != self.standing.term || !standing.leads {
            self.leader.rest();
        }
        self.standing = standing;
    }

    fn commit(&mut self, now: Now, position: Position, entry: Option<&Entry>) {
        if position.index <= self.ledger.position().index {
            return;
        }
        let applied = shared::apply(Arc::make_mut(&mut self.ledger), position, entry);
        if let Some(entry) = entry {
            self.take_in(now, entry, &applied);
        }
    }

    /// What this peer itself has to do with an entry that its ledger holds now.
    fn take_in(&mut self, now: Now, entry: &Entry, applied: &ledger::Outcome) {
        self.clock.observe(now, self.ledger.last_at());
        if applied.is_ok() && wards::is_touched_by(&entry.record) {
            self.wards.changed();
            self.expected = OnceLock::new();
        }
        if applied.is_ok() && matches!(entry.record, Record::DocumentsApplied { .. }) {
            self.authorise_new_revisions();
        }
        if applied.is_ok() && matches!(entry.record, Record::Assigned { .. }) {
            self.watch_attempts(now);
        }
        if applied.is_ok() {
            self.look_at_alerts(&entry.record, now);
        }
    }

    fn restored(&mut self, now: Now, ledger: Arc<Ledger>) {
        if ledger.position().index > self.ledger.position().index {
            self.restore(ledger);
            self.clock.observe(now, self.ledger.last_at());
        }
    }

    fn restore(&mut self, ledger: Arc<Ledger>) {
        self.ledger = ledger;
        #[cfg(feature = "mistakes")]
        if crate::mistakes::is_made(crate::mistakes::Mistake::SnapshotWithoutLimits) {
            Arc::make_mut(&mut self.ledger).forget_limits();
        }
        self.wards.changed();
        self.expected = OnceLock::new();
        (self.announced, self.announced_boot) = (None, None);
        self.checks_of = None;
        self.authorise_new_revisions();
    }

    /// Verifies each revision against the operators' keys that this host pinned, not against what
    /// the ledger says of them: the log orders, operators authorise.
    fn authorise_new_revisions(&mut self) {
        let known = self.authorised.keys().next_back().copied().unwrap_or(0);
        for revision in self.ledger.library().revisions() {
            if revision.number <= known || !revision.bundle.is_authorised(&self.trust) {
                continue;
            }
            let documents = revision.bundle.bundle.sources.iter().filter_map(|s| parse(s).ok());
            let documents = documents.flatten().map(|parsed| parsed.document).collect();
            self.authorised.insert(revision.number, documents);
        }
    }

    /// Whether enough operators signed exactly this document in the revision it comes from, as far
    /// as this host can tell.
    pub(crate) fn is_authorised(&self, document: &Document, revision: u64) -> bool {
        self.authorised.range(..=revision).any(|(_, documents)| documents.contains(document))
    }

    /// Says that this peer runs, or that it stops, until the log has it.
    fn announce(&mut self, now: Now, out: &mut Vec<Output>) {
        let place = Some(self.ledger.position());
        if self.announced == place && self.stopping.is_none() {
            return;
        }
        let Some(member) = self.ledger.roster().member(self.card.id) else { return };
        let (forwarding, record) = match self.stopping {
            Some(true) => (Forwarding::Leave, Record::PeerLeft { peer: self.card.id }),
            Some(false) if member.standing == Running::Stopped => return,
            Some(false) => (Forwarding::Stop, Record::PeerStopped { peer: self.card.id }),
            None if member.standing == Running::Running && member.card == self.card => {
                self.announced = place;
                self.forwarded.remove(&Forwarding::Start);
                return;
            }
            None => (Forwarding::Start, Record::PeerStarted { peer: self.card.clone() }),
        };
        self.forward(now, forwarding, record, out);
    }

    /// Says which boot its host is in, once the log knows this start of the daemon, until the log
    /// has that as well.
    fn announce_boot(&mut self, now: Now, out: &mut Vec<Output>) {
        let place = Some(self.ledger.position());
        if self.announced_boot == place {
            return;
        }
        let Some(boot_id) = self.facts.get(BOOT_ID) else { return };
        let member = self.ledger.roster().member(self.card.id);
        let known = member.filter(|member| member.card.generation == self.card.generation);
        if known.is_none_or(|known| known.boot_id.as_ref() == Some(boot_id)) {
            self.announced_boot = place;
            self.forwarded.remove(&Forwarding::Boot);
            return;
        }
        let record = Record::Booted { peer: self.card.id, boot_id: boot_id.clone() };
        self.forward(now, Forwarding::Boot, record, out);
    }

    /// Sends a fact to the leader, now and again until the log has it.
    pub(crate) fn forward(
        &mut self,
        now: Now,
        forwarding: Forwarding,
        record: Record,
        out: &mut Vec<Output>,
    ) {
        if self.forwarded.get(&forwarding).is_some_and(|due| *due > now.mono) {
            return;
        }
        self.forwarded.insert(forwarding.clone(), now.mono + FORWARD_AGAIN);
        let entry = self.entry(now, record);
        out.push(Output::Forward { forwarding, entry });
    }

    fn forwarded_back(
        &mut self,
        now: Now,
        forwarding: &Forwarding,
        result: &Result<ledger::Outcome, String>,
    ) {
        match result {
            // The log has it; the replica will show it.
            Ok(Ok(_)) => {}
            Ok(Err(_refusal)) => match forwarding {
                Forwarding::Report(incident, attempt) => {
                    self.worker.drop_report(*incident, *attempt);
                }
                Forwarding::Evidence(incident) => self.worker.drop_evidence(*incident),
                Forwarding::Start | Forwarding::Stop | Forwarding::Leave | Forwarding::Boot => {}
            },
            Err(_not_reached) => {
                let again = now.mono + FORWARD_AGAIN / 4;
                if let Some(due) = self.forwarded.get_mut(forwarding) {
                    *due = again.min(*due);
                }
            }
        }
    }

    pub(crate) fn forget_forwarding(&mut self, forwarding: &Forwarding) {
        self.forwarded.remove(forwarding);
    }

    /// An entry in this peer's name, stamped with the log's time.
    pub(crate) fn entry(&self, now: Now, record: Record) -> Entry {
        Entry { at: self.clock.now(now), by: self.card.id, term: self.standing.term, record }
    }

    fn run_checks(&mut self, now: Now, out: &mut Vec<Output>) {
        let revision = self.ledger.library().revision();
        if self.checks_of != Some(revision) {
            self.checks_of = Some(revision);
            let mine = self.own_checks();
            self.checks.set(mine.into_iter(), now.mono, self.card.id.bits());
        }
        let at = self.clock.now(now);
        if self.checks.expire(now.mono, at) {
            self.tell(now, out);
        }
        for check in self.checks.due(now.mono) {
            let variables = variables::for_check(self, &check);
            out.push(Output::RunCheck { check, variables });
        }
    }

    /// The checks that this peer runs: meant for its labels, and signed.
    fn own_checks(&self) -> Vec<Check> {
        let library = self.ledger.library();
        library
            .checks()
            .filter(|check| check.selector.fits(&self.card.labels))
            .filter(|check| !matches!(check.probe, Probe::Aggregate(_) | Probe::Heartbeat(_)))
            .filter(|check| {
                let document = Document::Check((*check).clone());
                let origin = library.origin(&document.key()).unwrap_or(0);
                self.is_authorised(&document, origin)
            })
            .cloned()
            .collect()
    }

    /// Runs checks again when the log says that what may have mended them has ended.
    fn verify_repairs(&mut self, now: Now) {
        let me = self.card.id;
        for incident in self.ledger.open_incidents() {
            let (State::Verifying, Some(attempt)) = (incident.state, incident.last_attempt())
            else {
                continue;
            };
            if !incident.may_clear() {
                continue;
            }
            let settle = incident.rung(attempt.rung).map_or(Duration::ZERO, |rung| rung.settle);
            for check in checks_on(incident, me) {
                // Of a group it is this peer's part that the rung was for.
                let check = match self.ledger.library().check(check).map(|check| &check.probe) {
                    Some(Probe::Aggregate(aggregate)) => &aggregate.check,
                    Some(_) | None => check,
                };
                self.checks.verify(check, (incident.id, attempt.number), now.mono, settle);
            }
        }
    }

    /// What passes now is later than what opened an incident about it, though this host's clock may
    /// have gone back since, and its daemon forgotten what it had said: without this the incident
    /// would stay open until the clock has caught up.
    fn outlive_incidents(&mut self, now: Now, out: &mut Vec<Output>) {
        let me = self.card.id;
        let mut redated = false;
        for incident in self.ledger.open_incidents().filter(|incident| incident.peer == me) {
            if let Because::Check { check, verdict, since, .. } = &incident.because {
                redated |= self.checks.outlive(check, *verdict, *since);
            }
        }
        if redated {
            self.tell(now, out);
        }
    }

    /// Makes this peer's report and passes it on: to gossip, and to the leader directly.
    fn tell(&mut self, now: Now, out: &mut Vec<Output>) {
        self.sequence += 1;
        let mut facts = self.facts.clone();
        if let Some(why) = self.doubt.why(now.mono) {
            facts.insert(doubt::FACT.to_owned(), why.to_owned());
        }
        self.facts_told = facts.clone();
        facts.extend(self.told_of_check_in());
        let report = Report {
            peer: self.card.id,
            generation: self.card.generation,
            sequence: self.sequence,
            checks: self.checks.states(),
            facts,
        };
        self.view.hear_own(report.clone());
        out.push(Output::Publish(report));
    }

    /// Whether enough operators signed what this incident's rungs come from, as far as this host
    /// can tell.
    pub(crate) fn plan_is_authorised(&self, incident: &Incident) -> bool {
        let Some(plan) = &incident.plan else { return false };
        let Because::Ladder { ladder, .. } = &incident.because else {
            return self.is_authorised(&Document::Runbook(plan.clone()), incident.revision);
        };
        let documents: Vec<Document> = self
            .authorised
            .range(..=incident.revision)
            .flat_map(|(_, documents)| documents.iter().cloned())
            .collect();
        documents.iter().any(|document| {
            matches!(document, Document::Ladder(known)
                if known.name == *ladder && is_made_of(plan, known, &documents))
        })
    }

    /// Why this attempt must not be started here, if it must not.
    pub(crate) fn objection(&self, incident: IncidentId, now: Now) -> Option<Refusal> {
        worker::objection(self, incident, now)
    }
}

/// The checks of this peer that say whether an incident is over.
fn checks_on(incident: &Incident, peer: PeerId) -> impl Iterator<Item = &Name> {
    let own = incident.because.check().filter(|_| incident.peer == peer);
    let of_ladder = match &incident.because {
        Because::Ladder { failing, .. } => failing.as_slice(),
        Because::Check { .. }
        | Because::Silent { .. }
        | Because::Operator { .. }
        | Because::Storm { .. }
        | Because::Job { .. } => &[],
    };
    own.into_iter()
        .chain(of_ladder.iter().filter(move |one| one.peer == peer).map(|one| &one.check))
}
