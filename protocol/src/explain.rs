//! An incident told to a person: from the signal to the outcome, and why nothing happens now.
//!
//! "Why did it not act?" has to have an answer at any moment, also while the rule at work lasts
//! too short a time to be worth a line in the log. So the rule is worked out afresh here, by the
//! very functions that the leader asks before it acts.

mod signals;
mod waiting;
pub mod why_not;

pub use signals::{seen, signal};
pub use waiting::{Waiting, waiting};

use signals::witnesses;

use crate::{
    document::{Action, Document, DocumentKey, DocumentKind, OnUnknown},
    ledger::{
        Ledger,
        incident::{Attempt, Fact, Incident, Line, Reboot},
    },
    name::PeerId,
    record::{Because, Delivered, Outcome, Part},
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
        Fact::AlertEnded(..) => "AlertEnded",
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
        Fact::Called(notifier) => format!("a person is to be called by notifier \"{notifier}\""),
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
        Fact::AlertEnded(alert, operator, reason) => {
            format!("alert {alert} is ended by operator {operator}: {reason}")
        }
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
            | Fact::Withdrawn(..)
            | Fact::AlertEnded(..) => line(ledger, incident, entry),
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
        Some((_, Delivered::Yes, detail)) => {
            format!("notifier \"{}\" took notice {number}: {detail}", notice.notifier)
        }
        Some((_, Delivered::Perhaps, detail)) => {
            format!("notifier \"{}\" may have taken notice {number}: {detail}", notice.notifier)
        }
        Some((_, Delivered::No, detail)) => {
            format!("notifier \"{}\" did not take notice {number}: {detail}", notice.notifier)
        }
        None => format!("notice {number} is due"),
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
