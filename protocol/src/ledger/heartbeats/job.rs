//! One job: what it told, and what is wrong with it.

use super::{Failures, Feed, Learned, Quiet, Trouble, TroubleKind};
use crate::{
    document::{Check, Jobs, Probe},
    heartbeat::{Beat, Health, JobId, NAMESPACE, Pace, Ping, Reservation, Schedule, Signal},
    mistakes::{self, Mistake},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

/// As many of its latest signals are kept.
const RECENT_MAX: usize = 8;

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
    /// When anything was told of it last, or since when the mesh hears without a gap.
    pub(super) told_at: Timestamp,
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
    /// How often it was missed or has failed lately.
    pub lately: Failures,
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
    /// What came with its latest failure: a run that is well does not take it away.
    pub failed_with: String,
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
    pub(super) given_back: Duration,
}

/// A signal, as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// When it came in.
    pub at: Timestamp,
    /// What it said.
    pub signal: Signal,
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
            told_at: at,
            run: None,
            ended: None,
            snoozed_until: Timestamp::default(),
            paused: false,
            version: 1,
            checkins: 0,
            misses: 0,
            failures: 0,
            lately: Failures::default(),
            last: None,
            ran_for: None,
            trouble: None,
            recent: VecDeque::new(),
            body: String::new(),
            failed_with: String::new(),
            learned: Learned::of(&reservation.pace.schedule),
            teaches_nothing: false,
            feed: None,
            quiet: None,
        }
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

    /// Whose it is, where only some senders see it.
    pub fn namespace(&self) -> Option<&str> {
        self.labels.get(NAMESPACE).map(String::as_str)
    }

    /// Whether this check is about it.
    pub fn is_subject_of(&self, check: &Check) -> bool {
        let Probe::Heartbeat(probe) = &check.probe else { return false };
        match &probe.jobs {
            Jobs::Job(reservation) => reservation.name == self.name,
            Jobs::Those(selector) => selector.fits(&self.labels),
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
        self.told_at = self.told_at.max(at);
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
                self.failed_with.clone_from(&ping.body);
                self.lately.add(at);
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
        let trouble = self.trouble.take();
        if let Some(Trouble { kind, since, .. }) = trouble
            && let TroubleKind::Missed { deadline } | TroubleKind::Overran { deadline } = kind
            && at <= deadline
        {
            // It had come in in time, and waited for a leader longer than it was waited for.
            self.misses = self.misses.saturating_sub(1);
            self.lately.take_back(since);
        }
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
}
