//! Why nothing is done about a check on a peer: answered without an incident.
//!
//! The reasons are looked for in the order in which a signal would have to pass them on its way to
//! a repair: the check and whom it is for, what is heard of the peer, what its check says, whether
//! an incident is open about it and which rule that waits for, and which runbook answers.

use super::waiting::{rule, waiting};
use crate::{
    agent::{Agent, leader::Count},
    document::{Check, On, Probe, Runbook, Selector, Verdict, problem::did_you_mean},
    ledger::{incident::Incident, incident::Subject, roster::Standing},
    name::{IncidentId, Labels, Name, PeerId},
    record::Because,
    refusal::Refusal,
    report::CheckState,
    time::{Now, Timestamp, format_span},
};

/// What kind of reason it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// There is no such check.
    UnknownCheck,
    /// The check is not for this peer.
    NotForThisPeer,
    /// The peer was stopped on purpose, or has left.
    NotRunning,
    /// Nothing is heard of the peer, or nothing of this check yet.
    NotHeard,
    /// The check passes.
    Passing,
    /// It has failed, but not often enough in a row.
    NotOftenEnough,
    /// The probe itself does not work.
    ProbeBroken,
    /// No runbook answers it.
    NoRunbook,
    /// A runbook answers it on other peers.
    SelectorDoesNotFit,
    /// A runbook answers it only when it is worse.
    Milder,
    /// An operator has stopped all repairs.
    Frozen,
    /// The last repair was a short while ago.
    CoolDown,
    /// As much is under repair as may be.
    Limit,
    /// The peer is under maintenance.
    Maintenance,
    /// An incident is open about it.
    OpenIncident,
    /// An operator closed the incident about this very episode.
    ClosedIncident,
    /// A ladder waits until the picture is whole.
    Quiescing,
    /// Nobody leads, as far as is known here.
    NoLeader,
    /// Nothing holds it back.
    AboutToBegin,
    /// Too many peers are silent at once.
    StormBrake,
}

impl Reason {
    /// The word for it, as machines read it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownCheck => "unknown-check",
            Self::NotForThisPeer => "not-for-this-peer",
            Self::NotRunning => "not-running",
            Self::NotHeard => "not-heard",
            Self::Passing => "passing",
            Self::NotOftenEnough => "not-often-enough",
            Self::ProbeBroken => "probe-broken",
            Self::NoRunbook => "no-runbook",
            Self::SelectorDoesNotFit => "selector-does-not-fit",
            Self::Milder => "milder",
            Self::Frozen => "frozen",
            Self::CoolDown => "cool-down",
            Self::Limit => "limit",
            Self::Maintenance => "maintenance",
            Self::OpenIncident => "open-incident",
            Self::ClosedIncident => "closed-incident",
            Self::Quiescing => "quiescing",
            Self::NoLeader => "no-leader",
            Self::AboutToBegin => "about-to-begin",
            Self::StormBrake => "storm-brake",
        }
    }
}

/// Why nothing is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhyNot {
    /// What kind of reason.
    pub reason: Reason,
    /// The reason as a sentence without a full stop.
    pub text: String,
    /// When it ends by itself; nothing when a person or an event has to end it.
    pub until: Option<Timestamp>,
    /// The incident that it is about.
    pub incident: Option<IncidentId>,
}

impl WhyNot {
    const fn because(reason: Reason, text: String) -> Self {
        Self { reason, text, until: None, incident: None }
    }
}

impl Agent {
    /// Why nothing is done about this check on this peer, as far as is known here.
    pub fn why_not(&self, now: Now, name: &Name, peer: PeerId) -> WhyNot {
        let roster = self.ledger.roster();
        let called = roster.name(peer);
        let Some(check) = self.ledger.library().check(name) else {
            let known = self.ledger.library().checks().map(|check| check.name.as_str());
            let hint = did_you_mean(name.as_str(), known)
                .unwrap_or_else(|| "`hearten document list` names them".to_owned());
            let text = format!("there is no check \"{name}\"; {hint}");
            return WhyNot::because(Reason::UnknownCheck, text);
        };
        let Some(member) = roster.member(peer) else {
            let text = format!("{called} is no member of the mesh");
            return WhyNot::because(Reason::NotRunning, text);
        };
        let labels = &member.card.labels;
        if !check.selector.fits(labels) {
            let misfit = misfit(&check.selector, labels);
            let text = format!("check \"{name}\" is not for {called}: it is for {misfit}");
            return WhyNot::because(Reason::NotForThisPeer, text);
        }
        let about = self.ledger.latest_about(peer, Subject::Check(name.clone()));
        // What is counted over a group has one incident, about one peer of it.
        let is_counted = matches!(check.probe, Probe::Aggregate(_) | Probe::Heartbeat(_));
        let on_ladder = || {
            let mut open = self.ledger.open_incidents();
            open.find(|open| {
                needs(open, peer, name) || (is_counted && open.because.check() == Some(name))
            })
        };
        if let Some(open) = about.filter(|incident| !incident.state.is_over()).or_else(on_ladder) {
            return self.held(open, labels, self.clock.now(now));
        }
        if let Some(count) = self.count(check) {
            return self.counted(name, &count);
        }
        if matches!(check.probe, Probe::Heartbeat(_)) {
            return self.waits_for_jobs(check);
        }
        if member.standing != Standing::Running {
            let text = format!("{called} was stopped on purpose at {}", member.since);
            return WhyNot::because(Reason::NotRunning, text);
        }
        if let Some(silence) = self.ledger.silence_of(peer) {
            let text = format!("nothing is heard of {called}: {} is open about that", silence.id);
            let incident = Some(silence.id);
            // And that one may wait for the storm to pass.
            if let (Some(brake), Err(refusal)) =
                (self.ledger.brake(), self.ledger.unbraked(silence))
            {
                let text = format!("{text}; {refusal}");
                let until = self.ledger.calm_at();
                let incident = brake.incident.or(incident);
                return WhyNot { incident, until, ..WhyNot::because(Reason::StormBrake, text) };
            }
            return WhyNot { incident, ..WhyNot::because(Reason::NotHeard, text) };
        }
        if peer != self.card.id && self.view.is_alive(peer) == Some(false) {
            let text = format!("nothing is heard of {called}; whether it is silent is being seen");
            return WhyNot::because(Reason::NotHeard, text);
        }
        let report = self.view.report(peer);
        let current = report.filter(|report| report.generation == member.card.generation);
        let state = current.and_then(|report| report.checks.get(name));
        match state {
            Some(state) if matches!(state.verdict, Verdict::Warn | Verdict::Fail) => {
                self.unopened(peer, check, state, about)
            }
            Some(_) | None => self.well(peer, check, state),
        }
    }

    /// An incident is open: the rule that it waits for.
    fn held(&self, open: &Incident, labels: &Labels, at: Timestamp) -> WhyNot {
        let (leader, id) = (self.led_by(), open.id);
        let refusal = leader.and_then(|leader| rule(&self.ledger, open, leader, at));
        let held = open.in_flight().is_none() && !open.state.is_over();
        let refusal = refusal.filter(|_| held);
        if refusal == Some(Refusal::NoRunbook) {
            let why = self.unanswered(&open.because, labels);
            let text = format!("{id} is open about it, and {}", why.text);
            return WhyNot { incident: Some(id), text, ..why };
        }
        let reason = refusal.as_ref().map_or(Reason::OpenIncident, of_rule);
        let (text, until) = match waiting(&self.ledger, open, leader, at) {
            Some(waiting) => (waiting.text, waiting.until),
            None => ("it is over".to_owned(), None),
        };
        let text = format!("{id} is open about it: {text}");
        WhyNot { reason, text, until, incident: Some(id) }
    }

    /// What a check over a group comes to, as far as is heard here.
    fn counted(&self, name: &Name, count: &Count) -> WhyNot {
        let (summary, reason) = (
            count.summary(),
            match count.verdict() {
                Verdict::Pass | Verdict::Warn => Reason::Passing,
                Verdict::Unknown => Reason::NotHeard,
                Verdict::Fail if self.led_by().is_none() => Reason::NoLeader,
                Verdict::Fail => Reason::NotOftenEnough,
            },
        );
        let then = if reason == Reason::NotOftenEnough {
            ": it fails once the leader has counted that for long enough"
        } else if reason == Reason::NoLeader {
            ": no leader is known here that would count it"
        } else {
            ""
        };
        WhyNot::because(reason, format!("check \"{name}\" is counted: {summary}{then}"))
    }

    /// No incident is open about a job that this check is about.
    fn waits_for_jobs(&self, check: &Check) -> WhyNot {
        let name = &check.name;
        let heartbeats = self.ledger.heartbeats();
        let count = heartbeats.jobs().filter(|job| job.is_subject_of(check)).count();
        let mut troubled = heartbeats.troubled().filter(|job| job.is_subject_of(check));
        let (text, reason) = match (troubled.next(), count) {
            (Some(job), _) if self.led_by().is_none() => {
                let text = format!("{}, and no leader is known here", job.in_words(job.made_at));
                (text, Reason::NoLeader)
            }
            (Some(job), _) if heartbeats.lacks(job, check, self.ledger.last_at()).is_some() => {
                let lacks = heartbeats.lacks(job, check, self.ledger.last_at());
                let text = format!(
                    "{}; it is told when that has lasted for {} more",
                    job.in_words(job.made_at),
                    format_span(lacks.unwrap_or_default())
                );
                (text, Reason::NotOftenEnough)
            }
            (Some(job), _) => {
                let text = format!("an operator closed the incident about job \"{}\"", job.name);
                (text, Reason::ClosedIncident)
            }
            (None, 0) => (format!("check \"{name}\" is about no job yet"), Reason::NotHeard),
            (None, count) => (
                format!("check \"{name}\" is about {count} jobs, and all are well"),
                Reason::Passing,
            ),
        };
        WhyNot::because(reason, text)
    }

    /// No incident, and the check says nothing that would be one.
    fn well(&self, peer: PeerId, check: &Check, state: Option<&CheckState>) -> WhyNot {
        let (name, called) = (&check.name, self.ledger.roster().name(peer));
        let needed = check.fail_after;
        // Only the peer itself counts the runs.
        let failed = if peer == self.card.id { self.checks.bad_in_row(name) } else { 0 };
        match state.map(|state| (state.verdict, state.since)) {
            Some((Verdict::Unknown, since)) => {
                let text = format!(
                    "check \"{name}\" cannot be run on {called} since {since}: nothing is known of what it looks at"
                );
                WhyNot::because(Reason::ProbeBroken, text)
            }
            Some(_) | None if failed > 0 => {
                let text = format!(
                    "check \"{name}\" failed {failed} of the {needed} times in a row that make a verdict on {called}"
                );
                WhyNot::because(Reason::NotOftenEnough, text)
            }
            Some((_, since)) => {
                let counted = match needed {
                    0 | 1 => String::new(),
                    _ if peer == self.card.id => String::new(),
                    _ => format!(
                        "; it fails after {needed} failing runs in a row, which only {called} itself counts"
                    ),
                };
                let text = format!("check \"{name}\" passes on {called} since {since}{counted}");
                WhyNot::because(Reason::Passing, text)
            }
            None => {
                let text = format!("{called} has not said yet what check \"{name}\" says");
                WhyNot::because(Reason::NotHeard, text)
            }
        }
    }

    /// It warns or fails, and no incident is open.
    fn unopened(
        &self,
        peer: PeerId,
        check: &Check,
        state: &CheckState,
        latest: Option<&Incident>,
    ) -> WhyNot {
        let name = &check.name;
        let because = Because::Check {
            check: name.clone(),
            verdict: state.verdict,
            since: state.since,
            summary: state.summary.clone(),
        };
        let labels = self.ledger.roster().member(peer).map(|member| &member.card.labels);
        if let Some(ladder) = self.ledger.library().ladders().find(|ladder| {
            ladder.level_of(name).is_some() && labels.is_some_and(|of| ladder.selector.fits(of))
        }) {
            let (of, quiesce) = (&ladder.name, format_span(ladder.quiesce));
            if state.verdict == Verdict::Warn {
                let text = format!(
                    "ladder \"{of}\" mends check \"{name}\" when it fails, and it says warn"
                );
                return WhyNot::because(Reason::Milder, text);
            }
            let text = format!(
                "ladder \"{of}\" mends check \"{name}\": it waits {quiesce} from its first failing check on, until the picture is whole"
            );
            return WhyNot::because(Reason::Quiescing, text);
        }
        let answered =
            labels.is_some_and(|of| self.ledger.library().runbook_for(&because, of).is_some());
        if state.verdict == Verdict::Warn && !answered {
            return self.unanswered(&because, labels.unwrap_or(&Labels::new()));
        }
        if let (Some(closed), Err(_)) = (latest, self.ledger.is_news(peer, &because)) {
            let text = format!(
                "{} was about this very episode and is over; the check has to pass once before the next",
                closed.id
            );
            let incident = Some(closed.id);
            return WhyNot { incident, ..WhyNot::because(Reason::ClosedIncident, text) };
        }
        if self.led_by().is_none() {
            let text = "no leader is known here: nothing is opened without one".to_owned();
            return WhyNot::because(Reason::NoLeader, text);
        }
        let (says, since) = (state.verdict.as_str(), state.since);
        let text = format!(
            "check \"{name}\" says {says} since {since} and nothing holds it back: the leader opens an incident at its next look"
        );
        WhyNot::because(Reason::AboutToBegin, text)
    }

    /// Why no runbook answers a check's verdict on a peer with these labels.
    fn unanswered(&self, because: &Because, labels: &Labels) -> WhyNot {
        let Because::Check { check, verdict, .. } = because else {
            let text = "no runbook answers this silence".to_owned();
            return WhyNot::because(Reason::NoRunbook, text);
        };
        let answers = |runbook: &&Runbook| matches!(&runbook.on, On::Check(on) if on == check);
        let runbooks: Vec<&Runbook> = self.ledger.library().runbooks().filter(answers).collect();
        if let Some(strict) = runbooks.iter().find(|runbook| runbook.selector.fits(labels)) {
            let (name, says) = (&strict.name, verdict.as_str());
            let text = if strict.answers(*verdict) {
                format!("runbook \"{name}\" was not there when it was opened")
            } else {
                format!(
                    "runbook \"{name}\" answers check \"{check}\" when it fails, and it says {says}"
                )
            };
            let reason = if strict.answers(*verdict) { Reason::NoRunbook } else { Reason::Milder };
            return WhyNot::because(reason, text);
        }
        match runbooks.first() {
            Some(other) => {
                let misfit = misfit(&other.selector, labels);
                let text =
                    format!("runbook \"{}\" answers check \"{check}\" for {misfit}", other.name);
                WhyNot::because(Reason::SelectorDoesNotFit, text)
            }
            None => {
                let text = format!("no runbook answers check \"{check}\"");
                WhyNot::because(Reason::NoRunbook, text)
            }
        }
    }
}

/// The kind of reason that a rule is.
const fn of_rule(rule: &Refusal) -> Reason {
    if matches!(rule, Refusal::Frozen { .. }) {
        Reason::Frozen
    } else if matches!(rule, Refusal::StormBrake { .. }) {
        Reason::StormBrake
    } else if matches!(rule, Refusal::CoolDown { .. }) {
        Reason::CoolDown
    } else if matches!(rule, Refusal::Maintenance { .. }) {
        Reason::Maintenance
    } else if matches!(
        rule,
        Refusal::BlastRadius { .. }
            | Refusal::Share { .. }
            | Refusal::PerHour { .. }
            | Refusal::MinHealthy { .. }
            | Refusal::Zone { .. }
            | Refusal::Breaker { .. }
    ) {
        Reason::Limit
    } else {
        Reason::OpenIncident
    }
}

/// Whether an incident of a ladder is about this check on this peer.
fn needs(incident: &Incident, peer: PeerId, check: &Name) -> bool {
    match &incident.because {
        Because::Ladder { failing, .. } => {
            failing.iter().any(|one| one.peer == peer && one.check == *check)
        }
        Because::Check { .. }
        | Because::Silent { .. }
        | Because::Operator { .. }
        | Because::Storm { .. }
        | Because::Untold { .. }
        | Because::Job { .. } => false,
    }
}

/// Whom a selector is for, and what this peer has instead.
fn misfit(selector: &Selector, labels: &Labels) -> String {
    let value = |key: &String| labels.get(key).map(String::as_str);
    let odd = selector.0.iter().find(|(key, condition)| !condition.fits(value(key)));
    let has = match odd.map(|(key, _)| (key, value(key))) {
        Some((key, Some(value))) => format!(", and this one has {key}={value}"),
        Some((key, None)) => format!(", and this one has no label {key}"),
        None => String::new(),
    };
    format!("peers with {selector}{has}")
}
