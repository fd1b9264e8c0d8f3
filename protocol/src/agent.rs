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
mod authority;
mod channel;
mod checking;
pub mod checks;
pub mod clock;
pub mod doubt;
mod input;
pub mod leader;
mod leadership;
pub mod operation;
pub mod output;
pub mod shared;
pub mod silence;
mod telling;
pub mod trial;
pub mod variables;
pub mod view;
pub mod voters;
pub mod wards;
pub mod worker;

pub use channel::{Again, NotTaken};
pub use input::{Input, LocalPolicy, Origin, Standing};
pub use output::{Forwarding, Message, Output, Proposal, Work, WorkOrder};

use crate::{
    document::Document,
    ledger::{self, Ledger},
    name::{IncidentId, PeerId},
    record::{Entry, PeerCard, Position, Record, Seen, Trust},
    refusal::Refusal,
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
                let at = self.clock.now(now);
                self.leader.notices.sent((now, at), (incident, notice), result);
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

    /// An entry in this peer's name, stamped with the log's time.
    pub(crate) fn entry(&self, now: Now, record: Record) -> Entry {
        Entry { at: self.clock.now(now), by: self.card.id, term: self.standing.term, record }
    }

    /// Why this attempt must not be started here, if it must not.
    pub(crate) fn objection(&self, incident: IncidentId, now: Now) -> Option<Refusal> {
        worker::objection(self, incident, now)
    }
}
