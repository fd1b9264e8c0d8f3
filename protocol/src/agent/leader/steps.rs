//! The next step of each open incident: resolve it, wait, climb a rung, or call a person.

use super::{
    Agent, Output, Proposal,
    storm::Held,
    waits::{RETURNING_FOR, held_since, nobody},
};
use crate::{
    document::{By, Check, Mode, Rung, Verdict},
    ledger::{
        attempts::ATTEMPT_MARGIN,
        guests::HANDING_OVER,
        incident::{Attempt, Incident, Reboot, State},
        limits,
        roster::Standing as Running,
    },
    mistakes::{self, Mistake},
    name::{IncidentId, Name, PeerId},
    record::{Because, Failing, Outcome, Part, Record, Seen},
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
        if let Because::Storm { .. } = incident.because {
            let because = self.storm_is_over(id, now, at)?;
            return Some(Record::Resolved { incident: id, because });
        }
        if let Some(withdrawn) = self.unclaimed(incident, at) {
            return Some(withdrawn);
        }
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
        if let (Some(due), Some(attempt)) = (incident.reboot_due(), incident.last_attempt()) {
            // Seen is told by the host itself.
            let missed = Record::NotRebooted { incident: id, attempt: attempt.number };
            return (at >= due).then_some(missed);
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
    pub(super) fn has_cleared(&self, incident: &Incident) -> Option<String> {
        let Some(member) = self.ledger.roster().member(incident.peer) else {
            return Some("the peer is no member of the mesh any more".to_owned());
        };
        if !incident.may_clear() {
            return None;
        }
        let succeeded = || {
            let attempt = incident.last_attempt();
            attempt.is_some_and(|attempt| attempt.outcome() == Some(Outcome::Succeeded))
        };
        if mistakes::is_made(Mistake::ResolvedUnverified) && succeeded() {
            return Some("its rung succeeded".to_owned());
        }
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
            Because::Ladder { ladder, failing, .. } => {
                let well = failing.iter().all(|one| self.passes_since(one));
                well.then(|| format!("every check of ladder \"{ladder}\" that failed passes again"))
            }
            Because::Operator { check, .. } => self.done_as_ordered(incident, check.as_ref()),
            Because::Job { check, job, since, .. } => self.job_is_well(check, job, *since),
            // The calm ends it, and that is seen before.
            Because::Storm { .. } => None,
            Because::Untold { notifier, .. } => self.ledger.is_told_anew(incident, notifier),
        }
    }

    /// Whether a check of a ladder passes again, or is none any more.
    fn passes_since(&self, one: &Failing) -> bool {
        let member = self.ledger.roster().member(one.peer);
        let known = self.ledger.library().check(&one.check);
        let meant = member
            .zip(known)
            .is_some_and(|(member, check)| check.selector.fits(&member.card.labels));
        !meant
            || self
                .view
                .check(one.peer, &one.check)
                .is_some_and(|state| state.verdict == Verdict::Pass && state.since > one.since)
    }

    /// Whether what an operator ordered is done: its rung succeeded, and its check passes where it
    /// mends one.
    fn done_as_ordered(&self, incident: &Incident, check: Option<&Name>) -> Option<String> {
        let attempt = incident.last_attempt()?;
        let rung = incident.rung(attempt.rung).map_or("", |rung| &rung.name);
        match check {
            None => (attempt.outcome() == Some(Outcome::Succeeded))
                .then(|| format!("rung \"{rung}\" succeeded, as ordered")),
            Some(check) => {
                let state = self.state_of(incident.peer, check)?;
                let seen = state.verified.is_some_and(|verified| {
                    verified.incident == incident.id && verified.attempt == attempt.number
                });
                // Of a group nobody says after which rung he speaks.
                let seen = seen || self.leader.aggregates.contains_key(check);
                (seen && state.verdict == Verdict::Pass)
                    .then(|| format!("check \"{check}\" passes after rung \"{rung}\""))
            }
        }
    }

    /// Whether it is known that the last rung did not help, so that the next may be climbed.
    fn verified(&self, incident: &Incident, at: Timestamp) -> bool {
        let Some(attempt) = incident.last_attempt() else { return true };
        let Some(ended_at) = attempt.ended_at else { return false };
        if !incident.may_clear() && attempt.outcome() != Some(Outcome::Refused) {
            // There is more to do before it can be seen.
            return true;
        }
        let outcome = match attempt.reboot {
            Reboot::Seen(_) => Some(Outcome::Succeeded),
            Reboot::NotMeant | Reboot::Awaited | Reboot::Missed => attempt.outcome(),
        };
        match outcome {
            // It did not run: there is nothing to verify.
            Some(Outcome::Refused) => return at >= ended_at.plus(AFTER_REFUSED_ATTEMPT),
            Some(Outcome::Unknown) => return true,
            Some(Outcome::Succeeded | Outcome::Failed | Outcome::TimedOut) | None => {}
        }
        if attempt.reboot == Reboot::Missed {
            // The host has had its time.
            return true;
        }
        let settle = incident.rung(attempt.rung).map_or(Duration::ZERO, |rung| rung.settle);
        match &incident.because {
            Because::Check { check, .. } => {
                let known = self.ledger.library().check(check);
                let runs = known.map_or(Duration::ZERO, time_to_pass);
                let late = ended_at.plus(settle).plus(runs).plus(VERIFY_GRACE);
                at >= late || self.still_fails(incident, check, attempt)
            }
            Because::Storm { .. } | Because::Untold { .. } => false,
            // A job that is well again has ended it before.
            Because::Job { .. } => at >= ended_at.plus(settle).plus(VERIFY_GRACE),
            Because::Silent { .. } => {
                let rung = incident.rung(attempt.rung);
                match outcome {
                    // It did nothing that could bring the host back.
                    Some(Outcome::Failed | Outcome::TimedOut) => true,
                    // A host whose power is seen to be off does not return by itself.
                    Some(Outcome::Succeeded) if rung.is_some_and(Rung::leaves_it_off) => {
                        at >= ended_at.plus(settle)
                    }
                    Some(Outcome::Succeeded | Outcome::Refused | Outcome::Unknown) | None => {
                        at >= ended_at.plus(settle).plus(RETURN_GRACE)
                    }
                }
            }
            Because::Ladder { failing, .. } => {
                let library = self.ledger.library();
                let runs = failing.iter().filter_map(|one| library.check(&one.check));
                let runs = runs.map(time_to_pass).max().unwrap_or_default();
                let late = ended_at.plus(settle).plus(runs).plus(VERIFY_GRACE);
                at >= late
                    || failing.iter().any(|one| {
                        self.check_still_fails(incident, (one.peer, &one.check), attempt)
                    })
            }
            Because::Operator { check: None, .. } => true,
            Because::Operator { check: Some(check), .. } => {
                let known = self.ledger.library().check(check);
                let runs = known.map_or(Duration::ZERO, time_to_pass);
                at >= ended_at.plus(settle).plus(runs).plus(VERIFY_GRACE)
                    || self.still_fails(incident, check, attempt)
            }
        }
    }

    /// Whether the check was run again after the rung had settled, and still fails.
    fn still_fails(&self, incident: &Incident, check: &Name, attempt: &Attempt) -> bool {
        self.check_still_fails(incident, (incident.peer, check), attempt)
    }

    fn check_still_fails(
        &self,
        incident: &Incident,
        (peer, check): (PeerId, &Name),
        attempt: &Attempt,
    ) -> bool {
        self.view.check(peer, check).is_some_and(|state| {
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
        // Before a person is asked or called as well: one message tells of the storm, not thirty.
        match self.before_a_silence_is_acted_on(incident) {
            Held::Not => {}
            Held::For(refusal) => return held(refusal),
            Held::UntilSeen => return None,
        }
        if let Some(refusal) = incident.stuck() {
            return held(refusal);
        }
        if self.ledger.may_restart(incident) {
            return Some(Record::Restarted { incident: id });
        }
        let Some(rung) = incident.next_rung() else {
            let what = match &incident.because {
                Because::Check { check, .. } | Because::Operator { check: Some(check), .. } => {
                    format!("check \"{check}\" still fails")
                }
                Because::Job { job, .. } => format!("job \"{job}\" is not well"),
                Because::Silent { .. } => "the peer is still silent".to_owned(),
                Because::Ladder { ladder, .. } => {
                    format!("checks of ladder \"{ladder}\" still fail")
                }
                Because::Operator { check: None, .. } => "none succeeded".to_owned(),
                Because::Storm { .. } => "peers are still silent".to_owned(),
                Because::Untold { notifier, .. } => {
                    format!("notifier \"{notifier}\" has taken nothing since")
                }
            };
            let reason = format!("every rung was climbed and {what}");
            return Some(Record::Escalated { incident: id, reason });
        };
        let shadow = incident.plan.as_ref().is_some_and(|plan| plan.mode == Mode::Shadow);
        if shadow {
            return held(Refusal::Shadow { rung: rung.name.clone() });
        }
        if rung.tells().is_some() {
            return Some(Record::Called { incident: id, rung: incident.climbed });
        }
        if incident.next_part == Part::Act
            && let Err(refusal) = limits::passed_over(&self.ledger, incident, at)
        {
            return Some(Record::Skipped { incident: id, rung: incident.climbed, refusal });
        }
        if let Some(refusal) = self.is_returning(incident, at) {
            let lasts = |since: Timestamp| at >= since.plus(RETURNING_FOR);
            if held_since(incident, &refusal).is_some_and(lasts) {
                return Some(Record::Skipped { incident: id, rung: incident.climbed, refusal });
            }
            return held(refusal);
        }
        let worker = match self.choose_worker(incident, rung) {
            Ok(worker) => worker,
            Err(refusal) if self.is_nobody_left(incident, rung, at) => {
                return Some(Record::Skipped { incident: id, rung: incident.climbed, refusal });
            }
            Err(refusal) => return held(refusal),
        };
        match self.ledger.assignable(id, worker, self.card.id, at) {
            Err(Refusal::AwaitingApproval { .. }) => ask(incident, at),
            Err(refusal) => held(refusal),
            Ok(rung) => {
                let (within, margin) = match self.claim_within(worker) {
                    Some(within) => (within, ATTEMPT_MARGIN.saturating_add(HANDING_OVER)),
                    None => (START_WITHIN, ATTEMPT_MARGIN),
                };
                let start_by = at.plus(within);
                let until = start_by.plus(rung.timeout).plus(margin);
                let attempts = u32::try_from(incident.attempts.len()).unwrap_or(u32::MAX);
                Some(Record::Assigned {
                    incident: id,
                    attempt: attempts.saturating_add(1),
                    rung: incident.climbed,
                    part: incident.next_part,
                    worker,
                    start_by,
                    until,
                })
            }
        }
    }

    /// Who executes the next rung.
    ///
    /// A neighbour is one that is heard of, that answers the leader, of the same zone first, whose
    /// last attempt here did not come to nothing, that is not busy and not ill; among equals the
    /// hash decides.
    fn choose_worker(&self, incident: &Incident, rung: &Rung) -> Result<PeerId, Refusal> {
        // A guest is heard of when its surgeon asks.
        let heard = |peer: PeerId| self.is_heard(peer) || self.ledger.roster().is_guest(peer);
        if incident.next_part != Part::Act {
            // Where it was done, or nowhere.
            let why = "the peer that carried out the rung is not heard of".to_owned();
            let worker = incident.worker_of(incident.climbed).filter(|worker| heard(*worker));
            return worker.ok_or(Refusal::NoWorker { why });
        }
        let target = incident.target_of(rung);
        match rung.by {
            By::Leader => Ok(self.card.id),
            By::Affected if heard(target) => Ok(target),
            By::Affected => {
                let why = "the affected peer is not heard of".to_owned();
                Err(Refusal::NoWorker { why })
            }
            By::Neighbour => {
                let zone = self.ledger.roster().member(target).map_or("", |member| member.zone());
                let busy: BTreeSet<PeerId> = self
                    .ledger
                    .open_incidents()
                    .filter_map(|other| Some(other.in_flight()?.worker))
                    .collect();
                self.ledger
                    .roster()
                    .running()
                    .filter(|(peer, _)| *peer != target && heard(*peer))
                    .filter(|(peer, _)| !self.ledger.is_silent(*peer))
                    .filter(|(peer, _)| self.ledger.may_act_as_neighbour(incident, rung, *peer))
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
                        let owes = self.leader.storm.owes_an_answer(*peer);
                        (
                            owes || gave_no_testimony(incident, *peer),
                            failed,
                            member.zone() != zone,
                            busy.contains(peer),
                            self.view.ailment(*peer),
                            u64::MAX - weight,
                        )
                    })
                    .map(|(peer, _)| peer)
                    .ok_or_else(|| Refusal::NoWorker { why: nobody(incident, rung) })
            }
        }
    }
}

/// Whether a peer was asked what it sees of the silent one and did not say: it may be silent itself.
fn gave_no_testimony(incident: &Incident, peer: PeerId) -> bool {
    let Because::Silent { witnesses, .. } = &incident.because else { return false };
    witnesses.iter().any(|testimony| {
        testimony.witness == peer && matches!(testimony.seen, Seen::Unreachable | Seen::Abstained)
    })
}

/// Asks a person, waits for the answer, or hands it over when nobody answered.
fn ask(incident: &Incident, at: Timestamp) -> Option<Record> {
    let (id, rung) = (incident.id, incident.climbed);
    match incident.asked.filter(|asked| asked.rung == rung) {
        Some(asked) if at > asked.until => {
            let reason = format!("nobody approved rung {} until {}", rung + 1, asked.until);
            Some(Record::Escalated { incident: id, reason })
        }
        Some(_) => None,
        None => {
            let until = at.plus(incident.needs_approval()?.within);
            let refusal = Refusal::AwaitingApproval { incident: id, rung, until };
            Some(Record::Held { incident: id, refusal })
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
/// `explain` works it out when somebody asks. But what only the leader sees is believed as it stands
/// in the log, so there whatever comes after it takes its place.
fn hold(incident: &Incident, refusal: Refusal) -> Option<Record> {
    let passing = matches!(
        refusal,
        Refusal::AwaitingEvidence { .. }
            | Refusal::Settling { .. }
            | Refusal::AttemptUnderWay { .. }
            | Refusal::Backoff { .. }
            | Refusal::PeerNotRunning
    );
    let known = incident
        .held
        .as_ref()
        .is_some_and(|held| std::mem::discriminant(held) == std::mem::discriminant(&refusal));
    let seen_by_leader =
        matches!(incident.held, Some(Refusal::NoWorker { .. } | Refusal::Returning { .. }));
    (!known && (!passing || seen_by_leader))
        .then_some(Record::Held { incident: incident.id, refusal })
}
