//! The next step of each open incident: resolve it, wait, climb a rung, or call a person.

use super::{Agent, Output, Proposal};
use crate::{
    document::{Action, By, Check, Verdict},
    ledger::{
        incident::{Attempt, Incident, State},
        incidents::ATTEMPT_MARGIN,
        roster::Standing as Running,
    },
    name::{IncidentId, Name, PeerId},
    record::{Because, Outcome, Record},
    refusal::Refusal,
    rendezvous,
    time::{Now, Timestamp},
};
use std::{collections::BTreeSet, time::Duration};

/// How long a worker has from the assignment to the start. Longer than a follower needs to hear of
/// it when it has to find another voter first.
pub(crate) const START_WITHIN: Duration = Duration::from_secs(10);

/// How long the leader waits beyond `until` for an outcome that is on its way.
const REPORT_GRACE: Duration = Duration::from_secs(3);

/// How long after its last rung a silent host may take to be heard of again.
const RETURN_GRACE: Duration = Duration::from_secs(10);

/// How long the affected peer may take to run its check again, beyond the check's own time limit.
const VERIFY_GRACE: Duration = Duration::from_secs(5);

/// How long after a refused attempt the next is given out.
const AFTER_REFUSED_ATTEMPT: Duration = Duration::from_secs(1);

impl Agent {
    pub(super) fn step_incidents(&mut self, now: Now, out: &mut Vec<Output>) {
        let at = self.clock.now(now);
        let steps: Vec<(IncidentId, Record)> = self
            .ledger
            .open_incidents()
            .filter_map(|incident| Some((incident.id, self.next_step(incident, now, at)?)))
            .collect();
        for (incident, record) in steps {
            self.propose(now, Proposal::Step(incident), record, out);
        }
    }

    /// What the log should say next about an incident; nothing while there is only to wait.
    fn next_step(&self, incident: &Incident, now: Now, at: Timestamp) -> Option<Record> {
        let id = incident.id;
        if let Some(attempt) = incident.in_flight() {
            let given = attempt.until.since(attempt.assigned_at);
            let lost = at > attempt.until.plus(REPORT_GRACE)
                && self.leader.watch.has_lasted((id, attempt.number), given, now.mono);
            return lost.then(|| Record::Lost {
                incident: id,
                attempt: attempt.number,
                reason: format!(
                    "{} did not say how it ended until {}",
                    self.ledger.roster().name(attempt.worker),
                    attempt.until
                ),
            });
        }
        if let Some(because) = self.has_cleared(incident) {
            return Some(Record::Resolved { incident: id, because });
        }
        match incident.state {
            State::Escalated | State::Resolved | State::Closed => None,
            State::Verifying if !self.verified(incident, at) => None,
            State::Open | State::Acting | State::Verifying | State::Waiting => {
                self.climb(incident, at)
            }
        }
    }

    /// Whether the condition is gone, and how that was seen.
    fn has_cleared(&self, incident: &Incident) -> Option<String> {
        let Some(member) = self.ledger.roster().member(incident.peer) else {
            return Some("the peer is no member of the mesh any more".to_owned());
        };
        match &incident.because {
            Because::Check { check, since, .. } => {
                let known = self.ledger.library().check(check);
                if known.is_none_or(|check| !check.selector.fits(&member.card.labels)) {
                    return Some(format!("check \"{check}\" is not for this peer any more"));
                }
                let state = self.state_of(incident.peer, check)?;
                // Both moments are the affected peer's own: an older report must not resolve what
                // a newer one opened.
                let cleared = match state.verdict {
                    Verdict::Pass => true,
                    // Only where the runbook says that a warning is no case for it.
                    Verdict::Warn => {
                        incident.plan.as_ref().is_none_or(|plan| !plan.answers(Verdict::Warn))
                    }
                    Verdict::Fail | Verdict::Unknown => false,
                };
                (cleared && state.since > *since).then(|| match incident.last_attempt() {
                    Some(attempt) => {
                        let rung = incident.rung(attempt.rung).map_or("", |rung| &rung.name);
                        format!("check \"{check}\" passes again after rung \"{rung}\"")
                    }
                    None => format!("check \"{check}\" passes again by itself"),
                })
            }
            // Nobody probes itself; and a leader must not order its neighbours against itself.
            Because::Silent { .. } if incident.peer == self.card.id => {
                Some("the peer leads the mesh".to_owned())
            }
            // It said goodbye after all, or started anew; being heard of is seen by a probe.
            Because::Silent { .. } => (member.standing == Running::Stopped)
                .then(|| "the peer was stopped on purpose".to_owned()),
        }
    }

    /// Whether it is known that the last rung did not help, so that the next may be climbed.
    fn verified(&self, incident: &Incident, at: Timestamp) -> bool {
        let Some(attempt) = incident.last_attempt() else { return true };
        let Some(ended_at) = attempt.ended_at else { return false };
        match attempt.outcome() {
            // It did not run: there is nothing to verify.
            Some(Outcome::Refused) => return at >= ended_at.plus(AFTER_REFUSED_ATTEMPT),
            Some(Outcome::Unknown) => return true,
            Some(Outcome::Succeeded | Outcome::Failed | Outcome::TimedOut) | None => {}
        }
        let settle = incident.rung(attempt.rung).map_or(Duration::ZERO, |rung| rung.settle);
        match &incident.because {
            Because::Check { check, .. } => {
                let known = self.ledger.library().check(check);
                let runs = known.map_or(Duration::ZERO, time_to_pass);
                let late = ended_at.plus(settle).plus(runs).plus(VERIFY_GRACE);
                at >= late || self.still_fails(incident, check, attempt)
            }
            Because::Silent { .. } => at >= ended_at.plus(settle).plus(RETURN_GRACE),
        }
    }

    /// Whether the check was run again after the rung had settled, and still fails.
    fn still_fails(&self, incident: &Incident, check: &Name, attempt: &Attempt) -> bool {
        self.view.check(incident.peer, check).is_some_and(|state| {
            state.verdict != Verdict::Pass
                && state.verified.is_some_and(|verified| {
                    verified.settled
                        && verified.incident == incident.id
                        && verified.attempt == attempt.number
                })
        })
    }

    fn climb(&self, incident: &Incident, at: Timestamp) -> Option<Record> {
        let id = incident.id;
        let held = |refusal| hold(incident, refusal);
        if incident.plan.is_none() {
            return held(Refusal::NoRunbook);
        }
        if let Some(attempt) = incident.asks_about() {
            return held(Refusal::UnknownOutcome { incident: id, attempt });
        }
        let Some(rung) = incident.next_rung() else {
            let what = match &incident.because {
                Because::Check { check, .. } => format!("check \"{check}\" still fails"),
                Because::Silent { .. } => "the peer is still silent".to_owned(),
            };
            let reason = format!("every rung was climbed and {what}");
            return Some(Record::Escalated { incident: id, reason });
        };
        if matches!(rung.action, Action::Notify(_)) {
            return Some(Record::Called { incident: id, rung: incident.climbed });
        }
        let worker = match self.choose_worker(incident, rung.by) {
            Ok(worker) => worker,
            Err(refusal) => return held(refusal),
        };
        match self.ledger.assignable(id, worker, self.card.id, at) {
            Err(refusal) => held(refusal),
            Ok(rung) => {
                let start_by = at.plus(START_WITHIN);
                let until = start_by.plus(rung.timeout).plus(ATTEMPT_MARGIN);
                let attempts = u32::try_from(incident.attempts.len()).unwrap_or(u32::MAX);
                let attempt = attempts.saturating_add(1);
                let rung = incident.climbed;
                Some(Record::Assigned { incident: id, attempt, rung, worker, start_by, until })
            }
        }
    }

    /// Who executes the next rung.
    ///
    /// A neighbour is one that is heard of, of the same zone first, whose last attempt here did
    /// not come to nothing, that is not busy and not ill; among equals the hash decides.
    fn choose_worker(&self, incident: &Incident, by: By) -> Result<PeerId, Refusal> {
        let heard = |peer: PeerId| peer == self.card.id || self.view.is_alive(peer) == Some(true);
        match by {
            By::Leader => Ok(self.card.id),
            By::Affected if heard(incident.peer) => Ok(incident.peer),
            By::Affected => {
                let why = "the affected peer is not heard of".to_owned();
                Err(Refusal::NoWorker { why })
            }
            By::Neighbour => {
                let zone =
                    self.ledger.roster().member(incident.peer).map_or("", |member| member.zone());
                let busy: BTreeSet<PeerId> = self
                    .ledger
                    .open_incidents()
                    .filter_map(|other| Some(other.in_flight()?.worker))
                    .collect();
                self.ledger
                    .roster()
                    .running()
                    .filter(|(peer, _)| *peer != incident.peer && heard(*peer))
                    .filter(|(peer, _)| !self.ledger.is_silent(*peer))
                    .min_by_key(|(peer, member)| {
                        let failed = incident
                            .attempts
                            .iter()
                            .filter(|attempt| attempt.worker == *peer)
                            .filter(|attempt| {
                                matches!(
                                    attempt.outcome(),
                                    Some(Outcome::Unknown | Outcome::Refused)
                                )
                            })
                            .count();
                        let weight = rendezvous::weight(incident.id.0, *peer);
                        (
                            failed,
                            member.zone() != zone,
                            busy.contains(peer),
                            !self.view.is_healthy(*peer),
                            u64::MAX - weight,
                        )
                    })
                    .map(|(peer, _)| peer)
                    .ok_or_else(|| Refusal::NoWorker { why: "no neighbour is heard of".to_owned() })
            }
        }
    }
}

/// How long a check that is well again takes to say so: its first good run, and as many more as it
/// needs in a row, each at its turn.
fn time_to_pass(check: &Check) -> Duration {
    let turn = check.every.max(check.timeout);
    check.timeout.saturating_add(turn.saturating_mul(check.pass_after.saturating_sub(1)))
}

/// Writes down once by which rule nothing is done. What lasts only a moment is not worth a line:
/// `explain` works it out when somebody asks.
fn hold(incident: &Incident, refusal: Refusal) -> Option<Record> {
    let passing = matches!(
        refusal,
        Refusal::AwaitingEvidence { .. }
            | Refusal::Settling { .. }
            | Refusal::AttemptUnderWay { .. }
            | Refusal::PeerNotRunning
    );
    let known = incident
        .held
        .as_ref()
        .is_some_and(|held| std::mem::discriminant(held) == std::mem::discriminant(&refusal));
    (!passing && !known).then_some(Record::Held { incident: incident.id, refusal })
}
