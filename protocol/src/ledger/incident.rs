//! One thing that is wrong, and all that was done about it.

mod parts;

pub use parts::{Attempt, Fact, Line, News, Notice, Reboot};

use super::questions::Question;
use crate::{
    document::{OnUnknown, Runbook, Rung, Severity},
    name::{IncidentId, Labels, Name, PeerId},
    record::{Because, EvidenceSummary, Outcome, Part},
    refusal::Refusal,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, time::Duration};

/// How often one rung is given out anew when its attempts are refused or lost, before the next
/// rung is climbed. Three: one for a passing cause, one to be sure.
pub const ATTEMPTS_PER_RUNG_MAX: u32 = 3;

/// What the evidence may take beyond its steps' own time limits.
pub const EVIDENCE_MARGIN: Duration = Duration::from_secs(5);

/// What an incident is about, on its peer: one check, or the peer's silence of whichever kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Subject {
    /// This check fails.
    Check(Name),
    /// The peer does not answer.
    Silence,
    /// Checks fail that this ladder mends.
    Ladder(Name),
    /// An operator wants this runbook run.
    Operator(Name),
    /// Many peers are silent at once, as this leader sees it.
    Storm,
    /// This check is about a job that is missed or has failed.
    Job(Name, String),
    /// This notifier does not reach whom it should.
    Notifier(Name),
}

impl Subject {
    /// What a signal is about.
    pub fn of(because: &Because) -> Self {
        match because {
            Because::Check { check, .. } => Self::Check(check.clone()),
            Because::Silent { .. } => Self::Silence,
            Because::Ladder { ladder, .. } => Self::Ladder(ladder.clone()),
            Because::Operator { runbook, .. } => Self::Operator(runbook.clone()),
            Because::Storm { .. } => Self::Storm,
            Because::Untold { notifier, .. } => Self::Notifier(notifier.clone()),
            Because::Job { check, job, .. } => Self::Job(check.clone(), job.clone()),
        }
    }
}

/// Where an incident stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Opened; nothing was done yet.
    Open,
    /// A rung is being executed, or may be.
    Acting,
    /// The rung is done; it is not known yet whether it helped.
    Verifying,
    /// Held back by a rule or until a person decides.
    Waiting,
    /// It is well again.
    Resolved,
    /// The runbook is at its end and a person was called. Still open: it may yet get well.
    Escalated,
    /// An operator closed it.
    Closed,
}

impl State {
    /// Whether nothing more will happen.
    pub const fn is_over(self) -> bool {
        match self {
            Self::Resolved | Self::Closed => true,
            Self::Open | Self::Acting | Self::Verifying | Self::Waiting | Self::Escalated => false,
        }
    }

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acting => "acting",
            Self::Verifying => "verifying",
            Self::Waiting => "waiting",
            Self::Resolved => "resolved",
            Self::Escalated => "escalated",
            Self::Closed => "closed",
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// The log index that opened it.
    pub id: IncidentId,
    /// The affected peer.
    pub peer: PeerId,
    /// What was seen, by whom.
    pub because: Because,
    /// How bad it is.
    pub severity: Severity,
    /// The labels of the job that it is about, or those that all its alerts had when it was opened.
    pub told: Labels,
    /// The leader that opened it.
    pub opened_by: PeerId,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it was over.
    pub closed_at: Option<Timestamp>,
    /// Where it stands.
    pub state: State,
    /// The runbook that answers, as it was when the incident was opened: a change of documents
    /// does not change a repair under way.
    pub plan: Option<Runbook>,
    /// The revision that the runbook comes from.
    pub revision: u64,
    /// What was collected before the first rung.
    pub evidence: Option<EvidenceSummary>,
    /// Until when the first rung waits for evidence.
    pub evidence_until: Timestamp,
    /// Rungs that are done with: the next one's place.
    pub climbed: u32,
    /// Every execution, in order.
    pub attempts: Vec<Attempt>,
    /// The rule that holds it back, while it waits.
    pub held: Option<Refusal>,
    /// Messages to people.
    pub notices: Vec<Notice>,
    /// What happened, in order.
    pub timeline: Vec<Line>,
    /// The part of the next rung that comes next.
    pub next_part: Part,
    /// The next attempt waits until then, because one like it failed.
    pub not_before: Option<Timestamp>,
    /// Whether everything was climbed that has to be before it is seen whether it helped.
    pub through: bool,
    /// How often the way down a ladder was begun anew.
    pub restarts: u32,
    /// The rungs that a person approved, by their places.
    pub approved: BTreeSet<u32>,
    /// The question to a person that stands.
    pub asked: Option<Question>,
}

impl Incident {
    /// The execution that may still act.
    pub fn in_flight(&self) -> Option<&Attempt> {
        self.attempts.last().filter(|attempt| attempt.ended_at.is_none())
    }

    /// The latest execution.
    pub fn last_attempt(&self) -> Option<&Attempt> {
        self.attempts.last()
    }

    /// The rung to climb next, if there is one left.
    pub fn next_rung(&self) -> Option<&Rung> {
        self.rung(self.climbed)
    }

    /// A rung by its place.
    pub fn rung(&self, place: u32) -> Option<&Rung> {
        self.plan.as_ref()?.rungs.get(usize::try_from(place).ok()?)
    }

    /// The peer that a rung is for: a ladder's may be for another one than the incident's own.
    pub fn target_of(&self, rung: &Rung) -> PeerId {
        rung.level.as_ref().and_then(|level| level.target).unwrap_or(self.peer)
    }

    /// Whether a repair of the target is under way: an execution, the look at its effect, or a
    /// way that was begun and not brought to its end, though it waits. A host that was drained
    /// for a workflow is not back because somebody has to approve the next step.
    pub fn is_under_repair(&self) -> bool {
        match self.state {
            State::Acting | State::Verifying => true,
            State::Open | State::Waiting => self.is_half_way(),
            State::Resolved | State::Escalated | State::Closed => false,
        }
    }

    /// Whether a rung has to be verified or taken back, or more rungs have to follow.
    fn is_half_way(&self) -> bool {
        let staged = self.is_staged() && !self.attempts.is_empty() && !self.through;
        self.next_part != Part::Act || staged
    }

    /// Whether its rungs are steps that follow each other: a workflow, or the way down a ladder.
    fn is_staged(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| {
            plan.sequence || plan.rungs.first().is_some_and(|rung| rung.level.is_some())
        })
    }

    /// Until when nothing else acts on the target, because its last rung settles. What failed for a
    /// silent host has nothing to settle: what comes next must not wait for it.
    pub fn settles_until(&self) -> Option<Timestamp> {
        let attempt = self.last_attempt().filter(|attempt| attempt.part == Part::Act)?;
        let silent = matches!(self.because, Because::Silent { .. });
        let failed = matches!(attempt.outcome(), Some(Outcome::Failed | Outcome::TimedOut));
        if silent && failed && attempt.reboot == Reboot::NotMeant {
            return None;
        }
        Some(attempt.ended_at?.plus(self.rung(attempt.rung)?.settle))
    }

    /// Why a person has to look before anything else is done, if one has to: an execution of
    /// unknown outcome, or a rung that could not be taken back.
    pub fn stuck(&self) -> Option<Refusal> {
        let attempt = self.last_attempt()?;
        let (incident, attempt_number) = (self.id, attempt.number);
        let outcome = attempt.outcome()?;
        match attempt.part {
            // What the host's boot id has answered needs no person.
            Part::Act if outcome == Outcome::Unknown && attempt.reboot == Reboot::NotMeant => {
                let plan = self.plan.as_ref()?;
                let rule = self.rung(attempt.rung)?.on_unknown(plan.on_unknown);
                (rule == OnUnknown::Ask)
                    .then_some(Refusal::UnknownOutcome { incident, attempt: attempt_number })
            }
            Part::Undo if !matches!(outcome, Outcome::Succeeded | Outcome::Refused) => {
                Some(Refusal::UndoFailed { incident, attempt: attempt_number })
            }
            Part::Act | Part::Verify | Part::Undo => None,
        }
    }

    /// The execution that brought it to its end, if one did.
    pub fn repaired_by(&self) -> Option<&Attempt> {
        let last = self.attempts.iter().rev().find(|attempt| attempt.part == Part::Act)?;
        Some(last).filter(|last| self.succeeded(last))
    }

    /// Whether an execution did what its rung is for.
    pub fn succeeded(&self, attempt: &Attempt) -> bool {
        let acted = match &attempt.reboot {
            Reboot::NotMeant => attempt.outcome() == Some(Outcome::Succeeded),
            Reboot::Seen(_) => true,
            Reboot::Awaited | Reboot::Missed => false,
        };
        let is_verified = |rung: &Rung| {
            rung.verify.is_none()
                || self.attempts.iter().any(|verified| {
                    verified.number > attempt.number
                        && verified.rung == attempt.rung
                        && verified.part == Part::Verify
                        && verified.outcome() == Some(Outcome::Succeeded)
                })
        };
        acted && self.rung(attempt.rung).is_none_or(is_verified)
    }

    /// Whether the rung at this place was started before, whatever became of it.
    pub fn was_started(&self, place: u32) -> bool {
        self.attempts.iter().any(|attempt| {
            attempt.rung == place
                && attempt.part == Part::Act
                && attempt.outcome() != Some(Outcome::Refused)
        })
    }

    /// Whether a rung of the runbook tells a person.
    pub fn calls_by_itself(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| plan.rungs.iter().any(|rung| rung.tells().is_some()))
    }

    /// Whether the passing of its check ends it now: not while a workflow or the way down a ladder
    /// is under way, nor while a rung has to be verified or taken back.
    pub fn may_clear(&self) -> bool {
        // What passes before the host has gone down does not pass after its reboot.
        let reboots = self.awaits_reboot() && !matches!(self.because, Because::Silent { .. });
        self.next_part == Part::Act
            && !reboots
            && (!self.is_staged() || self.attempts.is_empty() || self.through)
    }

    /// Which place comes after a rung that is done with, and whether everything was climbed that
    /// has to be before it is seen whether it helped.
    ///
    /// Rungs are alternatives, from gentle to drastic: after each it is seen whether it helped. In
    /// a workflow all follow each other, and the first that fails leads to the first that tells a
    /// person. Down a ladder, the rungs of one level and target are alternatives of which one has
    /// to succeed; those of the last one are tried on while it does not help.
    pub fn place_after(&self, place: u32, succeeded: bool) -> (u32, bool) {
        let next = place.saturating_add(1);
        let Some(plan) = &self.plan else { return (next, true) };
        let end = u32::try_from(plan.rungs.len()).unwrap_or(u32::MAX);
        let at = |place: u32| usize::try_from(place).ok().and_then(|place| plan.rungs.get(place));
        let person = |from: u32| (from..end).find(|p| at(*p).is_some_and(|r| r.tells().is_some()));
        if plan.sequence {
            let ends = at(next).is_none_or(|rung| rung.tells().is_some());
            return if succeeded { (next, ends) } else { (person(next).unwrap_or(end), true) };
        }
        let Some(level) = at(place).and_then(|rung| rung.level.as_ref()) else {
            return (next, true);
        };
        let same = |place: u32| at(place).and_then(|rung| rung.level.as_ref()) == Some(level);
        let after = (next..end).find(|place| !same(*place)).unwrap_or(end);
        match succeeded {
            true if after < end => (after, false),
            true => (next, true),
            false if next < end && same(next) => (next, false),
            // What stands on a level is not brought back while the level is not there.
            false => (end, true),
        }
    }

    /// Notices that are not out yet.
    pub fn notices_due(&self) -> impl Iterator<Item = &Notice> {
        self.notices.iter().filter(|notice| notice.done.is_none())
    }

    /// Who takes the evidence: the affected peer; for a silent one the leader that opened the
    /// incident, since the peer itself cannot.
    pub const fn evidence_taker(&self) -> PeerId {
        match self.because {
            Because::Check { .. } | Because::Operator { .. } | Because::Job { .. } => self.peer,
            Because::Silent { .. }
            | Because::Ladder { .. }
            | Because::Storm { .. }
            | Because::Untold { .. } => self.opened_by,
        }
    }

    pub(super) fn note(&mut self, at: Timestamp, by: PeerId, fact: Fact) {
        self.timeline.push(Line { at, by, fact });
    }

    pub(super) fn give_notice(&mut self, at: Timestamp, notifier: Name, news: News) {
        let number = u32::try_from(self.notices.len()).unwrap_or(u32::MAX).saturating_add(1);
        self.notices.push(Notice { number, notifier, news, due_at: at, done: None });
    }
}
