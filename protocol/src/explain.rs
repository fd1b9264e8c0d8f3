//! An incident told to a person: from the signal to the outcome, and why nothing happens now.
//!
//! "Why did it not act?" has to have an answer at any moment, also while the rule at work lasts
//! too short a time to be worth a line in the log. So the rule is worked out afresh here, by the
//! very functions that the leader asks before it acts.

pub mod why_not;

use crate::{
    document::{Action, By, Document, DocumentKey, DocumentKind, OnUnknown, Silence, Verdict},
    ledger::{
        Ledger,
        incident::{Attempt, Fact, Incident, Line, Reboot, State},
    },
    name::PeerId,
    record::{Because, Outcome, Part, Seen, StormCause},
    refusal::Refusal,
    time::{Timestamp, format_span},
};
use std::time::Duration;

/// One thing that happened, or that is so now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence {
    /// When it happened; nothing for what is so now.
    pub at: Option<Timestamp>,
    /// What, as a sentence without a full stop.
    pub text: String,
}

/// Why nothing happens about an incident now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The rule, or the one who is waited for.
    pub text: String,
    /// When it ends by itself; nothing when a person or an event has to end it.
    pub until: Option<Timestamp>,
}

/// The one word for a kind of fact, as machines read it.
pub const fn fact_name(fact: &Fact) -> &'static str {
    match fact {
        Fact::Opened => "Opened",
        Fact::EvidenceTaken => "EvidenceTaken",
        Fact::Assigned(_) => "Assigned",
        Fact::Reported(_) => "Reported",
        Fact::Lost(..) => "Lost",
        Fact::Held(_) => "Held",
        Fact::Called(_) => "Called",
        Fact::Notified(_) => "Notified",
        Fact::Resolved(_) => "Resolved",
        Fact::Escalated(_) => "Escalated",
        Fact::Closed(_) => "Closed",
        Fact::Approved(..) => "Approved",
        Fact::Denied(..) => "Denied",
        Fact::Acknowledged(_) => "Acknowledged",
        Fact::Skipped(..) => "Skipped",
        Fact::Restarted => "Restarted",
        Fact::Rebooted(_) => "Rebooted",
        Fact::NotRebooted(_) => "NotRebooted",
        Fact::Claimed(_) => "Claimed",
        Fact::Withdrawn(..) => "Withdrawn",
    }
}

/// How many failing checks of a ladder are named.
const FAILING_SHOWN: usize = 5;

/// What a direct probe saw, in words.
pub const fn seen(seen: Seen) -> &'static str {
    match seen {
        Seen::Reached => "its agent answered",
        Seen::Refused => "its host answered that no agent listens",
        Seen::NoAnswer => "nothing answered",
        Seen::Heard => "it was heard, though it was not reached",
        Seen::Abstained => "it abstained: it was slow itself",
        Seen::Unreachable => "it could not be asked",
    }
}

/// What opened an incident, in words.
pub fn signal(ledger: &Ledger, peer: PeerId, because: &Because) -> String {
    let peer = ledger.roster().name(peer);
    match because {
        Because::Check { check, verdict, since, summary } => {
            let says = match verdict {
                Verdict::Fail => "fails",
                Verdict::Warn => "warns",
                Verdict::Unknown => "cannot be run",
                Verdict::Pass => "passes",
            };
            let summary = match summary.lines().next().map(str::trim) {
                Some(line) if !line.is_empty() => format!(": {line}"),
                Some(_) | None => String::new(),
            };
            format!("check \"{check}\" {says} on {peer} since {since}{summary}")
        }
        Because::Silent { kind, since, .. } => {
            let what = match kind {
                Silence::Crashed => "the agent is gone while its host answers",
                Silence::Dark => "nothing answers there",
                Silence::Silent => "its agent does not answer",
            };
            format!("{peer} is {} since {since}: {what}", kind.as_str())
        }
        Because::Ladder { ladder, level, failing, since } => {
            let name = ledger.library().ladder(ladder).and_then(|ladder| ladder.level(*level));
            let name = name.map_or_else(String::new, |level| format!(" (\"{}\")", level.name));
            let shown: Vec<String> = failing
                .iter()
                .take(FAILING_SHOWN)
                .map(|one| format!("\"{}\" on {}", one.check, ledger.roster().name(one.peer)))
                .collect();
            let more = match failing.len().saturating_sub(FAILING_SHOWN) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!(
                "ladder \"{ladder}\" needs level {level}{name} since {since}: {} fail{more}",
                shown.join(", ")
            )
        }
        Because::Operator { runbook, reason, .. } => {
            format!("an operator ordered runbook \"{runbook}\" for {peer}: {reason}")
        }
        Because::Job { check, since, summary, .. } => {
            format!("check \"{check}\" fails since {since}: {summary}")
        }
        Because::Storm { silent, zone, cause, since } => {
            let names = named(ledger, silent);
            let cause = likely(*cause, zone.as_deref());
            format!(
                "{peer} saw {} peers silent at once at {since}: {names}; most likely it is {cause}",
                silent.len()
            )
        }
    }
}

/// Some peers by their names, sorted; of many, the first ones.
fn named(ledger: &Ledger, peers: &[PeerId]) -> String {
    let mut names: Vec<String> = peers.iter().map(|peer| ledger.roster().name(*peer)).collect();
    names.sort_unstable();
    let more = match names.len().saturating_sub(FAILING_SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    names.truncate(FAILING_SHOWN);
    format!("{}{more}", names.join(", "))
}

/// What most likely made many peers fall silent at once, in words.
fn likely(cause: StormCause, zone: Option<&str>) -> String {
    match (cause, zone) {
        (StormCause::Zone, Some(zone)) => format!("the power or the network of zone \"{zone}\""),
        (StormCause::Leader, Some(zone)) => format!(
            "the network on the leader's side, which hears fewer than half of the mesh, or zone \"{zone}\""
        ),
        (StormCause::Leader, None) => {
            "the network on the leader's side, which hears fewer than half of the mesh".to_owned()
        }
        (StormCause::Zone | StormCause::Network, _) => "the network".to_owned(),
    }
}

/// What a line of an incident's history says.
pub fn line(ledger: &Ledger, incident: &Incident, line: &Line) -> String {
    match &line.fact {
        Fact::Opened => signal(ledger, incident.peer, &incident.because),
        Fact::EvidenceTaken => evidence(ledger, incident),
        Fact::Assigned(number) => match attempt(incident, *number) {
            Some(attempt) => format!(
                "attempt {number}: {}rung {} is given to {}, to be started by {}",
                part(attempt.part),
                rung(incident, attempt.rung),
                ledger.roster().name(attempt.worker),
                attempt.start_by,
            ),
            None => format!("attempt {number} is given out"),
        },
        Fact::Reported(number) => outcome(ledger, incident, *number),
        Fact::Lost(number, reason) => {
            format!("attempt {number} is given up with an unknown outcome: {reason}")
        }
        Fact::Held(refusal) => format!("nothing is done: {refusal}"),
        Fact::Called(notifier) => format!("a person is called by notifier \"{notifier}\""),
        Fact::Notified(number) => notified(incident, *number),
        Fact::Resolved(because) => format!("resolved: {because}"),
        Fact::Escalated(reason) => format!("handed to a person: {reason}"),
        Fact::Closed(reason) => format!("closed by an operator: {reason}"),
        Fact::Approved(place, operator) => {
            format!("rung {} is approved by operator {operator}", rung(incident, *place))
        }
        Fact::Denied(place, operator, reason) => {
            format!("rung {} is denied by operator {operator}: {reason}", rung(incident, *place))
        }
        Fact::Acknowledged(operator) => format!("operator {operator} has seen it"),
        Fact::Skipped(place, refusal) => {
            format!("rung {} is passed over: {refusal}", rung(incident, *place))
        }
        Fact::Restarted => "the way down the ladder is begun anew".to_owned(),
        Fact::Rebooted(number) | Fact::NotRebooted(number) => reboot(ledger, incident, *number),
        Fact::Claimed(number) => {
            let worker = attempt(incident, *number).map(|a| ledger.roster().name(a.worker));
            format!(
                "attempt {number} is handed by {} to the surgeon of {}",
                ledger.roster().name(line.by),
                worker.unwrap_or_default()
            )
        }
        Fact::Withdrawn(number, reason) => {
            format!("attempt {number} is taken back, it was not begun: {reason}")
        }
    }
}

/// Which part of a rung is meant, where it is not what the rung does.
const fn part(part: Part) -> &'static str {
    match part {
        Part::Act => "",
        Part::Verify => "the verification of ",
        Part::Undo => "the undoing of ",
    }
}

/// Everything that is to be said of an incident, from its signal on; last, why nothing happens
/// now, if it is not over.
pub fn story(
    ledger: &Ledger,
    incident: &Incident,
    leader: Option<PeerId>,
    at: Timestamp,
) -> Vec<Sentence> {
    let mut story = Vec::new();
    for entry in &incident.timeline {
        let by = ledger.roster().name(entry.by);
        let text = match &entry.fact {
            Fact::Opened => {
                format!("{}; {by} opened {}", line(ledger, incident, entry), incident.id)
            }
            Fact::EvidenceTaken
            | Fact::Assigned(_)
            | Fact::Reported(_)
            | Fact::Lost(..)
            | Fact::Held(_)
            | Fact::Called(_)
            | Fact::Notified(_)
            | Fact::Resolved(_)
            | Fact::Escalated(_)
            | Fact::Closed(_)
            | Fact::Approved(..)
            | Fact::Denied(..)
            | Fact::Acknowledged(_)
            | Fact::Skipped(..)
            | Fact::Restarted
            | Fact::Rebooted(_)
            | Fact::NotRebooted(_)
            | Fact::Claimed(_)
            | Fact::Withdrawn(..) => line(ledger, incident, entry),
        };
        story.push(Sentence { at: Some(entry.at), text });
        if entry.fact == Fact::Opened {
            story.extend(witnesses(ledger, &incident.because));
            story.push(Sentence { at: None, text: plan(incident) });
        }
    }
    story.extend(overtaken(ledger, incident));
    let now = match waiting(ledger, incident, leader, at) {
        Some(Waiting { text, until: Some(until) }) if until > at => {
            format!("now: {text} ({} left)", format_span(whole_seconds(until.since(at))))
        }
        Some(waiting) => format!("now: {}", waiting.text),
        None => return story,
    };
    story.push(Sentence { at: None, text: now });
    story
}

/// What an incident waits for, by which rule and until when; nothing once it is over.
pub fn waiting(
    ledger: &Ledger,
    incident: &Incident,
    leader: Option<PeerId>,
    at: Timestamp,
) -> Option<Waiting> {
    if incident.state.is_over() {
        return None;
    }
    let event = |text: String| Some(Waiting { text, until: None });
    if let Some(attempt) = incident.in_flight() {
        let worker = ledger.roster().name(attempt.worker);
        let number = attempt.number;
        if ledger.guests().waits(incident.id, number) {
            let until = attempt.start_by;
            let text =
                format!("attempt {number} waits until {until} for {worker}'s surgeon to ask");
            return Some(Waiting { text, until: Some(until) });
        }
        let text = format!(
            "attempt {number} is {worker}'s until {} at most; nobody else starts it before that, \
             when it can no longer act{}",
            attempt.until,
            safe_time(incident, attempt)
        );
        return Some(Waiting { text, until: Some(attempt.until) });
    }
    if matches!(incident.because, Because::Storm { .. })
        && let Some(until) = ledger.calm_at()
    {
        let text = format!(
            "no neighbour acts on a silence until no other peer has fallen silent for {}, or until `hearten thaw`",
            format_span(ledger.settings().storm_calm)
        );
        return Some(Waiting { text, until: Some(until) });
    }
    if incident.state == State::Escalated {
        return event(format!(
            "a person was called; it resolves by itself when {}, or with `hearten incident close {}`",
            cleared(&incident.because),
            incident.id
        ));
    }
    if let Some(until) = incident.reboot_due() {
        let text = format!("the host has to be back with another boot id by {until}");
        return Some(Waiting { text, until: Some(until) });
    }
    let Some(leader) = leader else {
        return event("no leader is known here: nothing is given out without one".to_owned());
    };
    if incident.state == State::Verifying
        && let Some(until) = incident.settles_until().filter(|until| *until > at)
    {
        let text =
            format!("the last rung settles until {until}; then it is seen whether it helped");
        return Some(Waiting { text, until: Some(until) });
    }
    match rule(ledger, incident, leader, at) {
        Some(refusal) => Some(Waiting { text: refusal.to_string(), until: ends_at(&refusal) }),
        None if incident.state == State::Verifying => {
            event("it is being seen whether the last rung helped".to_owned())
        }
        None => event("nothing holds it back: the leader acts at its next look".to_owned()),
    }
}

/// The rule that forbids the next rung now.
fn rule(ledger: &Ledger, incident: &Incident, leader: PeerId, at: Timestamp) -> Option<Refusal> {
    // Whether a worker is heard of only the leader knows; what it said stands until it acts.
    if let Some(
        refusal @ (Refusal::NoWorker { .. }
        | Refusal::Returning { .. }
        | Refusal::UnknownOutcome { .. }
        | Refusal::AwaitingApproval { .. }
        | Refusal::Shadow { .. }),
    ) = &incident.held
    {
        return Some(refusal.clone());
    }
    let worker = match incident.next_rung() {
        Some(rung) if rung.tells().is_some() => return ledger.unbraked(incident).err(),
        Some(_) if incident.next_part != Part::Act => {
            incident.worker_of(incident.climbed).unwrap_or(incident.peer)
        }
        Some(rung) => {
            let target = incident.target_of(rung);
            match rung.by {
                By::Affected => target,
                By::Leader => leader,
                By::Neighbour => {
                    let able = |peer: &PeerId| {
                        *peer != target
                            && !ledger.is_silent(*peer)
                            && ledger.may_act_as_neighbour(incident, rung, *peer)
                    };
                    match ledger.roster().running().map(|(peer, _)| peer).find(able) {
                        Some(peer) => peer,
                        None => {
                            let why = if rung.is_for_some_neighbours() {
                                "no other peer runs that this rung is for".to_owned()
                            } else {
                                "no other peer runs".to_owned()
                            };
                            return Some(Refusal::NoWorker { why });
                        }
                    }
                }
            }
        }
        None if incident.plan.is_some() => return ledger.unbraked(incident).err(),
        None => incident.peer,
    };
    ledger.assignable(incident.id, worker, leader, at).err()
}

/// When a rule ceases to apply by itself.
const fn ends_at(refusal: &Refusal) -> Option<Timestamp> {
    if let Refusal::CoolDown { until, .. }
    | Refusal::Settling { until }
    | Refusal::AwaitingEvidence { until }
    | Refusal::Backoff { until }
    | Refusal::PerHour { until, .. }
    | Refusal::Breaker { until, .. }
    | Refusal::Repeated { until, .. }
    | Refusal::Maintenance { until, .. }
    | Refusal::AwaitingApproval { until, .. }
    | Refusal::Quiescing { until, .. }
    | Refusal::StormBrake { until, .. }
    | Refusal::AttemptUnderWay { until, .. } = refusal
    {
        Some(*until)
    } else {
        None
    }
}

fn whole_seconds(span: Duration) -> Duration {
    // Rounded up: "0s left" would be a lie.
    Duration::from_secs(span.as_secs().saturating_add(u64::from(span.subsec_nanos() > 0)))
}

fn attempt(incident: &Incident, number: u32) -> Option<&Attempt> {
    incident.attempts.iter().find(|attempt| attempt.number == number)
}

fn rung(incident: &Incident, place: u32) -> String {
    match incident.rung(place) {
        Some(rung) => format!("\"{}\"", rung.name),
        None => format!("{}", place.saturating_add(1)),
    }
}

fn outcome(ledger: &Ledger, incident: &Incident, number: u32) -> String {
    let Some((attempt, report)) =
        attempt(incident, number).and_then(|attempt| Some((attempt, attempt.report.as_ref()?)))
    else {
        return format!("attempt {number} has ended");
    };
    let worker = ledger.roster().name(attempt.worker);
    let rung = rung(incident, attempt.rung);
    let took = report.started_at.map_or_else(String::new, |started| {
        format!(" after {}", format_span(report.finished_at.since(started)))
    });
    let first_line = report.output.lines().find(|line| !line.trim().is_empty()).unwrap_or("");
    let said =
        |text: String| if first_line.is_empty() { text } else { format!("{text}: {first_line}") };
    match report.outcome {
        Outcome::Succeeded => {
            let text = format!("rung {rung} succeeded on {worker}{took}");
            let action = incident.rung(attempt.rung).map(|rung| &rung.action);
            // What was seen of the host's power is what the rung was for.
            if matches!(action, Some(Action::Fence(_) | Action::Wake(_))) {
                said(text)
            } else {
                text
            }
        }
        Outcome::Failed => {
            let code =
                report.exit_code.map_or_else(String::new, |code| format!(" with code {code}"));
            said(format!("rung {rung} failed on {worker}{code}{took}"))
        }
        Outcome::TimedOut => {
            said(format!("rung {rung} ran out of time on {worker} and was killed{took}"))
        }
        Outcome::Refused => said(format!("{worker} refused rung {rung}")),
        Outcome::Unknown => said(format!("nobody knows how rung {rung} ended on {worker}")),
    }
}

/// How the moment is made up at which an execution can no longer act.
fn safe_time(incident: &Incident, attempt: &Attempt) -> String {
    let start = format_span(attempt.start_by.since(attempt.assigned_at));
    match incident.rung(attempt.rung) {
        Some(rung) => {
            let ends = attempt.until.since(attempt.start_by.plus(rung.timeout));
            let (runs, ends) = (format_span(rung.timeout), format_span(ends));
            format!(": {start} to start, {runs} to run, {ends} to end")
        }
        None => String::new(),
    }
}

/// What the boot id of a host that was to be rebooted says.
fn reboot(ledger: &Ledger, incident: &Incident, number: u32) -> String {
    let Some(attempt) = attempt(incident, number) else {
        return format!("attempt {number} was to bring about a reboot");
    };
    let target = incident.rung(attempt.rung).map_or(incident.peer, |rung| incident.target_of(rung));
    let host = ledger.roster().name(target);
    let before = attempt.boot_id.as_deref().unwrap_or("not known");
    match &attempt.reboot {
        Reboot::Seen(after) => {
            format!("{host} is back with another boot id: {before} -> {after}")
        }
        Reboot::Awaited | Reboot::Missed | Reboot::NotMeant => format!(
            "{host} did not come back with another boot id than {before} in time: it is not known \
             to be rebooted"
        ),
    }
}

fn evidence(ledger: &Ledger, incident: &Incident) -> String {
    match &incident.evidence {
        Some(evidence) => {
            let failed = match evidence.steps_failed {
                0 => String::new(),
                failed => format!("; {failed} of its steps failed"),
            };
            if evidence.bytes == 0 {
                return format!("evidence could not be stored{failed}");
            }
            let mut on = vec![ledger.roster().name(evidence.taken_by)];
            on.extend(evidence.keepers.iter().map(|peer| ledger.roster().name(*peer)));
            let on = on.join(", ");
            format!("evidence is taken: {} bytes, kept on {on}{failed}", evidence.bytes)
        }
        None => "evidence is taken".to_owned(),
    }
}

fn notified(incident: &Incident, number: u32) -> String {
    let Some(notice) = incident.notices.iter().find(|notice| notice.number == number) else {
        return format!("notice {number} is done with");
    };
    match &notice.done {
        Some((_, true, detail)) => {
            format!("notifier \"{}\" took notice {number}: {detail}", notice.notifier)
        }
        Some((_, false, detail)) => {
            format!("notifier \"{}\" did not take notice {number}: {detail}", notice.notifier)
        }
        None => format!("notice {number} is due"),
    }
}

fn witnesses(ledger: &Ledger, because: &Because) -> Vec<Sentence> {
    match because {
        Because::Check { .. }
        | Because::Ladder { .. }
        | Because::Operator { .. }
        | Because::Storm { .. }
        | Because::Job { .. } => Vec::new(),
        Because::Silent { witnesses, .. } => witnesses
            .iter()
            .map(|testimony| {
                let witness = ledger.roster().name(testimony.witness);
                let text = format!("{witness} probed it directly: {}", seen(testimony.seen));
                Sentence { at: Some(testimony.at), text }
            })
            .collect(),
    }
}

fn plan(incident: &Incident) -> String {
    let Some(plan) = &incident.plan else {
        if matches!(incident.because, Because::Storm { .. }) {
            return "people are told, and no neighbour acts on a silence meanwhile".to_owned();
        }
        return "no runbook answers this signal".to_owned();
    };
    let rungs: Vec<String> = plan.rungs.iter().map(|rung| format!("\"{}\"", rung.name)).collect();
    let unknown = match plan.on_unknown {
        OnUnknown::Ask => "an unknown outcome is a person's to judge",
        OnUnknown::Retry => "an unknown outcome is tried again",
    };
    format!(
        "runbook \"{}\" of revision {} answers with {}; {unknown}",
        plan.name,
        incident.revision,
        rungs.join(", then ")
    )
}

/// That the runbook at work is not the one in force any more.
fn overtaken(ledger: &Ledger, incident: &Incident) -> Option<Sentence> {
    // The way down a ladder is made of several runbooks, for the peers that there were then.
    let of_ladder = matches!(incident.because, Because::Ladder { .. });
    let plan = incident.plan.as_ref().filter(|_| !incident.state.is_over() && !of_ladder)?;
    let key = DocumentKey { kind: DocumentKind::Runbook, name: plan.name.clone() };
    let becomes = match ledger.library().documents().get(&key) {
        Some(Document::Runbook(current)) if current == plan => return None,
        Some(_) => "says something else",
        None => "is gone",
    };
    let (ran, current) = (incident.revision, ledger.library().revision());
    let text = format!(
        "it runs by revision {ran}; the mesh is at revision {current}, where runbook \"{}\" {becomes}: \
         what was begun is finished by the old text",
        plan.name
    );
    Some(Sentence { at: None, text })
}

/// What has to be seen for an incident to resolve.
fn cleared(because: &Because) -> String {
    match because {
        Because::Check { check, .. } => format!("check \"{check}\" passes again"),
        Because::Silent { .. } => "the peer answers again".to_owned(),
        Because::Ladder { .. } => "every check that failed passes again".to_owned(),
        Because::Operator { check: Some(check), .. } => format!("check \"{check}\" passes"),
        Because::Operator { check: None, .. } => "one of its rungs succeeds".to_owned(),
        Because::Job { job, .. } => format!("job \"{job}\" checks in"),
        Because::Storm { .. } => "no other peer falls silent for a while".to_owned(),
    }
}
