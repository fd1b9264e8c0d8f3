//! One job: what it told, when it is expected, and what is wrong with it.

use super::{Feed, Learned, Quiet};
use crate::{
    document::{Check, HeartbeatProbe, Probe},
    heartbeat::{Beat, Due, Health, JobId, Pace, Ping, Reservation, Rule, Schedule, Signal},
    mistakes::{self, Mistake},
    name::Name,
    record::Missing,
    time::{Timestamp, format_span},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

/// As many of its latest signals are kept.
const RECENT_MAX: usize = 8;

/// How much too early a run may be that a calendar has at a certain minute: hosts' clocks differ.
const EARLY_MAX: Duration = Duration::from_secs(60);

/// A job that must check in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// What it is called.
    pub name: String,
    /// The secret by which it may be pinged.
    pub uuid: Option<u128>,
    /// What checks choose it by.
    pub labels: BTreeMap<String, String>,
    /// When it must check in.
    pub pace: Pace,
    /// What is told when it does not.
    pub text: String,
    /// Whether a document declares it.
    pub declared: bool,
    /// When the log had it first.
    pub made_at: Timestamp,
    /// From when on it is waited for: it is due after that.
    pub waits_from: Timestamp,
    /// How much longer it has because the mesh was deaf.
    pub given_back: Duration,
    /// The run that has begun and not ended.
    pub run: Option<Run>,
    /// The run that ended last: its beginning may come in late.
    ended: Option<u128>,
    /// Until when it is not missed, by somebody's order.
    pub snoozed_until: Timestamp,
    /// Whether it is not waited for, by somebody's order.
    pub paused: bool,
    /// Rises with everything that changes when it is missed.
    pub version: u64,
    /// How often it has said that it is done.
    pub checkins: u64,
    /// How often it was missed.
    pub misses: u32,
    /// How often it has failed.
    pub failures: u32,
    /// When it last said that it is done.
    pub last: Option<Timestamp>,
    /// How long its latest run took that said when it began.
    pub ran_for: Option<Duration>,
    /// What is wrong with it.
    pub trouble: Option<Trouble>,
    /// Its latest signals, oldest first.
    pub recent: VecDeque<Told>,
    /// What came with the latest signal that said something.
    pub body: String,
    /// What was learned of when it comes, where its schedule says so.
    pub learned: Option<Learned>,
    /// Whether the time until its next check-in teaches nothing.
    teaches_nothing: bool,
    /// What `PaceHB`'s heartbeats said of it, where there were any.
    pub feed: Option<Box<Feed>>,
    /// How long nobody is told of it again; nothing before somebody was told.
    pub quiet: Option<Quiet>,
}

/// A run that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// When.
    pub began: Timestamp,
    /// Which, where it said so.
    pub id: Option<u128>,
    /// How much longer it has because the mesh was deaf.
    given_back: Duration,
}

/// A signal, as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// When it came in.
    pub at: Timestamp,
    /// What it said.
    pub signal: Signal,
}

/// What is wrong with a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// What.
    pub kind: TroubleKind,
    /// Since when the log has it.
    pub since: Timestamp,
    /// The checks that have told of it.
    pub told: BTreeSet<Name>,
}

/// The ways in which a job can be in trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TroubleKind {
    /// It did not check in by this moment.
    Missed {
        /// The deadline.
        deadline: Timestamp,
    },
    /// It began and did not end by this moment.
    Overran {
        /// The deadline.
        deadline: Timestamp,
    },
    /// It said that it failed; with its exit code, where it told one.
    Failed(Option<u8>),
}

/// When a job is missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline {
    /// The moment.
    pub at: Timestamp,
    /// Whether it is that of a run that has begun.
    pub of_run: bool,
}

impl Job {
    pub(super) fn new(
        id: JobId,
        reservation: &Reservation,
        uuid: Option<u128>,
        at: Timestamp,
        declared: bool,
    ) -> Self {
        Self {
            id,
            name: reservation.name.clone(),
            uuid,
            labels: reservation.labels.clone(),
            pace: reservation.pace.clone(),
            text: reservation.text.clone(),
            declared,
            made_at: at,
            waits_from: at.plus(reservation.bakes_for),
            given_back: Duration::ZERO,
            run: None,
            ended: None,
            snoozed_until: Timestamp::default(),
            paused: false,
            version: 1,
            checkins: 0,
            misses: 0,
            failures: 0,
            last: None,
            ran_for: None,
            trouble: None,
            recent: VecDeque::new(),
            body: String::new(),
            learned: Learned::of(&reservation.pace.schedule),
            teaches_nothing: false,
            feed: None,
            quiet: None,
        }
    }

    /// Whether it can be missed at all: it does not pause, and is not in trouble already. Where all
    /// is well when it says nothing more, only the end of a trouble is waited for.
    pub fn is_waited_for(&self) -> bool {
        let kind = self.trouble.as_ref().map(|trouble| trouble.kind);
        let failed = matches!(kind, Some(TroubleKind::Failed(_)));
        !self.paused && if self.settles() { failed } else { kind.is_none() }
    }

    /// Whether it has said that all is well when it says nothing more.
    fn settles(&self) -> bool {
        let then = self.feed.as_ref().and_then(|feed| feed.then);
        !self.declared && then == Some(Health::Ok)
    }

    /// Whether nobody is told of its trouble yet, because somebody has voted. What one check has
    /// told of already, the others tell of as well.
    pub fn is_quiet(&self, at: Timestamp) -> bool {
        let told = self.trouble.as_ref().is_some_and(|trouble| !trouble.told.is_empty());
        !told && self.quiet.is_some_and(|quiet| at < quiet.until)
    }

    /// How it is at this moment, in `PaceHB`'s words; nothing where no heartbeat said so.
    pub fn health(&self, at: Timestamp) -> Option<Health> {
        let feed = self.feed.as_ref()?;
        let failed = matches!(
            self.trouble.as_ref().map(|trouble| trouble.kind),
            Some(TroubleKind::Failed(_))
        );
        let Schedule::Learned { by } = &self.pace.schedule else { return Some(self.plainly()) };
        let expired = self.expected(by).is_some_and(|expected| expected <= at);
        Some(match feed.then.filter(|_| expired) {
            Some(then) => then,
            None if expired && !failed => Health::Unknown,
            None => self.plainly(),
        })
    }

    /// By its trouble alone.
    fn plainly(&self) -> Health {
        match self.trouble.as_ref().map(|trouble| trouble.kind) {
            Some(TroubleKind::Failed(_)) => Health::Critical,
            Some(TroubleKind::Missed { .. } | TroubleKind::Overran { .. }) => Health::Unknown,
            None => Health::Ok,
        }
    }

    /// Whether this check is about it.
    pub fn is_subject_of(&self, check: &Check) -> bool {
        match &check.probe {
            Probe::Heartbeat(HeartbeatProbe::Job(reservation)) => reservation.name == self.name,
            Probe::Heartbeat(HeartbeatProbe::Those(selector)) => selector.fits(&self.labels),
            Probe::Command(_)
            | Probe::Http(_)
            | Probe::Tcp { .. }
            | Probe::Process(_)
            | Probe::Unit(_)
            | Probe::Disk(_)
            | Probe::Memory(_)
            | Probe::Load(_)
            | Probe::File(_)
            | Probe::Plugin(_)
            | Probe::Aggregate(_)
            | Probe::Mesh(_)
            | Probe::Alert(_) => false,
        }
    }

    /// When it is missed, by a schedule that was read from its own; nothing while it cannot be.
    pub fn deadline(&self, due: &Due) -> Option<Deadline> {
        if !self.is_waited_for() {
            return None;
        }
        let early = match &self.pace.schedule {
            Schedule::Every { .. } | Schedule::Learned { .. } => Duration::ZERO,
            Schedule::Cron { .. } | Schedule::Calendar { .. } => self.pace.grace.min(EARLY_MAX),
        };
        let expected = match &self.pace.schedule {
            Schedule::Learned { by } => self.expected(by),
            Schedule::Every { .. } | Schedule::Cron { .. } | Schedule::Calendar { .. } => {
                due.after(self.waits_from.plus(early))
            }
        };
        let expected = expected.map(|expected| Deadline {
            at: expected.plus(self.pace.grace).plus(self.given_back).max(self.snoozed_until),
            of_run: false,
        });
        let of_run = self
            .run
            .as_ref()
            .map(|run| Deadline { at: self.end_of(run).max(self.snoozed_until), of_run: true });
        expected.into_iter().chain(of_run).min()
    }

    /// When what was learned lets one expect it at the latest; nothing while too little is known.
    fn expected(&self, by: &Rule) -> Option<Timestamp> {
        self.learned.as_ref()?.expected(by, self.waits_from)
    }

    /// How long that is from when it is waited for.
    pub fn waits_for(&self, by: &Rule) -> Option<Duration> {
        Some(self.expected(by)?.since(self.waits_from))
    }

    fn end_of(&self, run: &Run) -> Timestamp {
        run.began.plus(self.pace.runs_for()).plus(run.given_back)
    }

    /// Whether this is its deadline, as far as every replica can tell: a calendar is read by
    /// whoever leads, since programs differ in the time zones that they know.
    pub(super) fn may_be_missed(&self, missing: &Missing) -> bool {
        match (&self.pace.schedule, missing.of_run) {
            (_, true) => self
                .run
                .as_ref()
                .is_some_and(|run| missing.deadline == self.end_of(run).max(self.snoozed_until)),
            (Schedule::Every { period }, false) => {
                let due = self.deadline(&Due::Every(*period));
                due.is_some_and(|due| due.at == missing.deadline && !due.of_run)
            }
            // What was learned is the same on every replica.
            (Schedule::Learned { .. }, false) => {
                let due = self.deadline(&Due::Learned);
                due.is_some_and(|due| due.at == missing.deadline && !due.of_run)
            }
            (Schedule::Cron { .. } | Schedule::Calendar { .. }, false) => {
                let earliest = self.waits_from.plus(self.pace.grace).plus(self.given_back);
                missing.deadline > earliest && missing.deadline >= self.snoozed_until
            }
        }
    }

    pub(super) fn miss(&mut self, missing: &Missing, at: Timestamp) {
        let deadline = missing.deadline;
        let then = self.feed.as_ref().map(|feed| feed.then.unwrap_or(Health::Unknown));
        if let (Some(feed), Some(then)) = (&mut self.feed, then) {
            feed.expire(at, then);
        }
        if self.settles() {
            self.trouble = None;
            self.version += 1;
            return;
        }
        let kind = if missing.of_run {
            TroubleKind::Overran { deadline }
        } else {
            TroubleKind::Missed { deadline }
        };
        self.misses = self.misses.saturating_add(1);
        self.fall_into(kind, at);
        self.version += 1;
    }

    fn fall_into(&mut self, kind: TroubleKind, at: Timestamp) {
        // The next trouble is another one, even within one millisecond.
        let before = self.trouble.as_ref().map(|trouble| trouble.since);
        let since = before.map_or(at, |before| at.max(before.plus(Duration::from_millis(1))));
        self.trouble = Some(Trouble { kind, since, told: BTreeSet::new() });
    }

    /// The mesh was deaf for so long, until this moment.
    pub(super) fn give_back(&mut self, until: Timestamp, silent: Duration) {
        self.learn_nothing();
        if !self.is_waited_for() {
            return;
        }
        self.version += 1;
        if let Some(run) = &mut self.run {
            run.given_back = run.given_back.saturating_add(silent);
        }
        match &self.pace.schedule {
            // What was expected later comes in.
            Schedule::Every { period } if self.waits_from.plus(*period) > until => {}
            // Only the latest moment is known of what is learned: it may have called in vain.
            Schedule::Every { .. } | Schedule::Learned { .. } => self.waits_from = until,
            Schedule::Cron { .. } | Schedule::Calendar { .. } => {
                self.given_back = self.given_back.saturating_add(silent);
            }
        }
    }

    /// The time until its next check-in teaches nothing: it may have called in vain.
    pub(super) fn learn_nothing(&mut self) {
        if !mistakes::is_made(Mistake::DeafnessLearned) {
            self.teaches_nothing = self.learned.is_some();
        }
    }

    /// Learns from a check-in at this moment.
    fn learn(&mut self, at: Timestamp, ttl: Option<i64>) {
        let Schedule::Learned { by } = &self.pace.schedule else { return };
        // What comes late by somebody's order is no outage.
        let allowed = self
            .expected(by)
            .is_some_and(|expected| at > expected && self.snoozed_until > expected);
        let teaches = !(self.teaches_nothing || self.paused || allowed);
        self.teaches_nothing = false;
        if let Some(learned) = &mut self.learned {
            learned.hear(at, ttl, teaches);
        }
    }

    /// It is to check in otherwise than before.
    pub(super) fn change(&mut self, reservation: &Reservation, at: Timestamp) {
        self.labels.clone_from(&reservation.labels);
        self.text.clone_from(&reservation.text);
        if self.pace != reservation.pace {
            let learned = Learned::of(&reservation.pace.schedule);
            // What was learned holds on where only the rate of false alarms is another one.
            if !Learned::are_alike(self.learned.as_ref(), learned.as_ref()) {
                self.learned = learned;
            }
            self.pace = reservation.pace.clone();
            // Else a job that was to come once a day would be late at once when it is to come
            // every hour.
            self.waits_from = self.waits_from.max(at);
            self.given_back = Duration::ZERO;
        }
        self.version += 1;
    }

    /// It is not missed before this moment, and what it is missed for is forgotten until then.
    pub(super) fn snooze(&mut self, until: Timestamp) {
        self.snoozed_until = until;
        self.trouble = None;
        self.version += 1;
    }

    pub(super) fn pause(&mut self, pauses: bool, at: Timestamp) {
        if self.paused == pauses {
            return;
        }
        self.paused = pauses;
        self.trouble = None;
        self.run = None;
        self.given_back = Duration::ZERO;
        self.waits_from = self.waits_from.max(at);
        self.learn_nothing();
        self.version += 1;
    }

    pub(super) fn hear(&mut self, ping: &Ping) {
        self.take(ping, None, false);
    }

    /// A heartbeat of `PaceHB`: a ping that says more. One that is as critical as the one before is
    /// about the same trouble.
    pub(super) fn beat(&mut self, beat: &Beat) {
        // What is late says nothing of how it is now.
        if self.feed.as_ref().is_none_or(|feed| feed.at <= beat.at) {
            self.feed = Some(Feed::hear(self.feed.take(), beat));
        }
        let ping = Ping {
            job: beat.job.clone(),
            at: beat.at,
            signal: beat.signal(),
            run: None,
            body: beat.summary.clone(),
        };
        let kind = self.trouble.as_ref().map(|trouble| trouble.kind);
        self.take(&ping, beat.ttl, matches!(kind, Some(TroubleKind::Failed(_))));
    }

    fn take(&mut self, ping: &Ping, ttl: Option<i64>, same_trouble: bool) {
        let at = ping.at;
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(Told { at, signal: ping.signal });
        if !ping.body.is_empty() {
            self.body.clone_from(&ping.body);
        }
        match ping.signal {
            Signal::Log => return,
            Signal::Start => {
                // Its end may have overtaken it.
                if ping.run.is_some() && ping.run == self.ended {
                    return;
                }
                self.run = Some(Run { began: at, id: ping.run, given_back: Duration::ZERO });
            }
            Signal::Success => {
                self.checkins += 1;
                self.learn(at, ttl);
                self.end_run(ping);
                self.last = Some(self.last.map_or(at, |last| last.max(at)));
                self.be_well(at);
            }
            Signal::Fail(code) => {
                self.failures = self.failures.saturating_add(1);
                self.learn(at, ttl);
                self.end_run(ping);
                self.wait_from(at);
                if !same_trouble {
                    self.fall_into(TroubleKind::Failed(code), at);
                }
            }
        }
        if self.paused {
            // It is waited for from here on, not from before it paused.
            self.paused = false;
            self.waits_from = self.waits_from.max(at);
        }
        self.version += 1;
    }

    fn be_well(&mut self, at: Timestamp) {
        let missed_for = self.trouble.as_ref().map(|trouble| trouble.kind);
        if let Some(TroubleKind::Missed { deadline } | TroubleKind::Overran { deadline }) =
            missed_for
            && at <= deadline
        {
            // It had come in in time, and waited for a leader longer than it was waited for.
            self.misses = self.misses.saturating_sub(1);
        }
        self.trouble = None;
        self.wait_from(at);
    }

    fn wait_from(&mut self, at: Timestamp) {
        // Its first time may have been put off; later on what comes late changes nothing.
        let first = self.checkins.saturating_add(u64::from(self.failures)) <= 1;
        self.waits_from = if first { at } else { self.waits_from.max(at) };
        self.given_back = Duration::ZERO;
    }

    /// A run ends by what says so, or by what says nothing of runs.
    fn end_run(&mut self, ping: &Ping) {
        if ping.run.is_some() {
            self.ended = ping.run;
        }
        let Some(run) = self.run.filter(|run| ping.run.is_none() || run.id == ping.run) else {
            return;
        };
        self.ran_for = Some(ping.at.since(run.began));
        self.run = None;
    }

    /// What is told of its trouble: its own text with GoTel's placeholders filled in, or the usual
    /// words. `server` is the address of whoever tells it.
    pub fn told_as(&self, at: Timestamp, server: &str) -> String {
        if self.text.is_empty() {
            return self.in_words(at);
        }
        let mut facts = self.facts(at);
        facts.push(("srv", server.to_owned()));
        let facts = facts.into_iter().map(|(name, value)| (format!("{{{name}}}"), value));
        let values: Vec<(String, String)> = facts.collect();
        filled(&self.text, &values)
    }

    /// What is known of it, by the names that GoTel gave these places.
    pub fn facts(&self, at: Timestamp) -> Vec<(&'static str, String)> {
        let label = |key: &str| self.labels.get(key).cloned().unwrap_or_default();
        let frequency = match &self.pace.schedule {
            Schedule::Every { period } => format_span(*period),
            Schedule::Cron { expression, .. } | Schedule::Calendar { expression, .. } => {
                expression.clone()
            }
            Schedule::Learned { .. } => {
                let pace = self.learned.as_ref().and_then(Learned::pace);
                pace.map_or_else(
                    || "as learned".to_owned(),
                    |pace| format_span(whole_seconds(pace)),
                )
            }
        };
        let last = self.last.map_or_else(|| "never".to_owned(), |last| last.to_string());
        let since = self.last.unwrap_or(self.made_at);
        vec![
            ("jobid", self.id.to_string()),
            ("app", label("app")),
            ("component", label("component")),
            ("owner", label("owner")),
            ("notify", label("notify")),
            ("frequency", frequency),
            ("last", last),
            ("since", format!("{} ago", format_span(whole_seconds(at.since(since))))),
            ("checkins", self.checkins.to_string()),
        ]
    }

    /// What is wrong, in a line, as a person is told.
    pub fn in_words(&self, at: Timestamp) -> String {
        let Some(trouble) = &self.trouble else { return format!("job \"{}\" is well", self.name) };
        let last = self.last.map_or_else(
            || "it has never checked in".to_owned(),
            |last| format!("it checked in last {} ago", format_span(whole_seconds(at.since(last)))),
        );
        let what = match trouble.kind {
            TroubleKind::Missed { deadline } => format!("did not check in by {deadline}; {last}"),
            TroubleKind::Overran { deadline } => {
                format!("began and did not end by {deadline}; {last}")
            }
            TroubleKind::Failed(Some(code)) => format!("failed with exit code {code}"),
            TroubleKind::Failed(None) => "failed".to_owned(),
        };
        let said = match (trouble.kind, self.body.lines().next()) {
            (TroubleKind::Failed(_), Some(line)) => format!(": {}", line.trim()),
            (
                TroubleKind::Missed { .. } | TroubleKind::Overran { .. } | TroubleKind::Failed(_),
                _,
            ) => String::new(),
        };
        format!("job \"{}\" {what}{said}", self.name)
    }
}

/// A text with its placeholders filled in, once each: what a value holds is no placeholder.
fn filled(text: &str, values: &[(String, String)]) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(place) = rest.find('{') {
        out.push_str(&rest[..place]);
        rest = &rest[place..];
        match values.iter().find(|(key, _)| rest.starts_with(key.as_str())) {
            Some((key, value)) => {
                out.push_str(value);
                rest = &rest[key.len()..];
            }
            None => {
                out.push('{');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// Milliseconds are no use to a person.
const fn whole_seconds(span: Duration) -> Duration {
    Duration::from_secs(span.as_secs())
}
