//! What an incident waits for, and by which rule.

use super::signals::cleared;
use crate::{
    document::By,
    ledger::{
        Ledger,
        incident::{Attempt, Fact, Incident, Line, Notice, State},
    },
    name::PeerId,
    record::{Because, Delivered, Part},
    refusal::Refusal,
    time::{Timestamp, format_span},
};

/// Why nothing happens about an incident now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The rule, or the one who is waited for.
    pub text: String,
    /// When it ends by itself; nothing when a person or an event has to end it.
    pub until: Option<Timestamp>,
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
            "{}; it resolves by itself when {}, or with `hearten incident close {}`",
            called(incident),
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
pub(super) fn rule(
    ledger: &Ledger,
    incident: &Incident,
    leader: PeerId,
    at: Timestamp,
) -> Option<Refusal> {
    // A question that stands is a person's to answer, whoever was not heard of since.
    if let Some(asked) = incident.asked.filter(|asked| asked.rung == incident.climbed)
        && asked.until >= at
        && incident.held.is_some()
    {
        let (incident, rung, until) = (incident.id, asked.rung, asked.until);
        return Some(Refusal::AwaitingApproval { incident, rung, until });
    }
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

/// Whether a person knows of it.
fn called(incident: &Incident) -> &'static str {
    let told = |notice: &Notice| matches!(notice.done, Some((_, Delivered::Yes, _)));
    let denied = |line: &Line| matches!(line.fact, Fact::Denied(..));
    if incident.notices.iter().any(told) || incident.timeline.iter().any(denied) {
        "a person was called"
    } else if incident.notices_due().next().is_some() {
        "a person is to be called"
    } else {
        "a person has to look, and none was told"
    }
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
