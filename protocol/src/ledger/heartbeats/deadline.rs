//! When a job is missed, and what becomes of it then.

use super::{Job, Run, TroubleKind};
use crate::{
    heartbeat::{Due, Health, Rule, Schedule},
    record::Missing,
    time::Timestamp,
};
use std::time::Duration;

/// How much too early a run may be that a calendar has at a certain minute: hosts' clocks differ.
const EARLY_MAX: Duration = Duration::from_secs(60);

/// When a job is missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline {
    /// The moment.
    pub at: Timestamp,
    /// Whether it is that of a run that has begun.
    pub of_run: bool,
}

impl Job {
    /// Whether it can be missed at all: it does not pause, and is not in trouble already. Where all
    /// is well when it says nothing more, only the end of a trouble is waited for.
    pub fn is_waited_for(&self) -> bool {
        let kind = self.trouble.as_ref().map(|trouble| trouble.kind);
        let failed = matches!(kind, Some(TroubleKind::Failed(_)));
        !self.paused && if self.settles() { failed } else { kind.is_none() }
    }

    /// Whether it has said that all is well when it says nothing more.
    pub(super) fn settles(&self) -> bool {
        let then = self.feed.as_ref().and_then(|feed| feed.then);
        !self.declared && then == Some(Health::Ok)
    }

    /// When it is missed, by a schedule that was read from its own; nothing while it cannot be.
    pub fn deadline(&self, due: &Due) -> Option<Deadline> {
        if self.is_waited_for() { self.next(due) } else { None }
    }

    /// Whether it need not have told anything by now: its next time is still to come, also where it is
    /// known that it fails.
    pub fn has_time(&self, due: &Due, at: Timestamp) -> bool {
        self.next(due).is_some_and(|next| next.at > at)
    }

    /// The same, as far as every replica can tell: a calendar is read by whoever leads.
    pub(super) fn surely_has_time(&self, at: Timestamp) -> bool {
        match &self.pace.schedule {
            Schedule::Every { period } => self.has_time(&Due::Every(*period), at),
            Schedule::Learned { .. } => self.has_time(&Due::Learned, at),
            Schedule::Cron { .. } | Schedule::Calendar { .. } => false,
        }
    }

    fn next(&self, due: &Due) -> Option<Deadline> {
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
    pub(super) fn expected(&self, by: &Rule) -> Option<Timestamp> {
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
        self.lately.add(at);
        self.fall_into(kind, at);
        self.version += 1;
    }

    /// The mesh was deaf for so long, until this moment.
    pub(super) fn give_back(&mut self, until: Timestamp, silent: Duration) {
        self.learn_nothing();
        self.told_at = self.told_at.max(until);
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
}
