//! The worker: executes what the log assigns to this peer, each attempt at most once.
//!
//! An attempt is started only after "started" is on disk; whatever is on disk as started and not
//! being executed is never started again, and its outcome is `unknown`. Every rule is checked
//! twice: before the start is recorded, and again when it has been, because between the two the
//! host may have slept.

use super::{Agent, Forwarding, Output, Work, WorkOrder, variables};
use crate::{
    document::{Action, Document, Rung},
    keepers::keepers,
    ledger::incident::{Attempt, Incident},
    name::IncidentId,
    record::{AttemptReport, EvidenceSummary, Outcome, Part, Record},
    refusal::Refusal,
    time::Now,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// How far an execution here has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Its start is being written to disk.
    Recording,
    /// It runs.
    Executing,
}

/// What this peer executes and has executed.
#[derive(Debug, Clone, Default)]
pub struct Worker {
    started: BTreeSet<(IncidentId, u32)>,
    under_way: BTreeMap<(IncidentId, u32), Phase>,
    /// Outcomes that the log does not have yet.
    reports: BTreeMap<(IncidentId, u32), AttemptReport>,
    taking_evidence: BTreeSet<IncidentId>,
    evidence: BTreeMap<IncidentId, EvidenceSummary>,
}

impl Worker {
    /// A worker that has started these attempts before.
    pub fn new(started: BTreeSet<(IncidentId, u32)>) -> Self {
        Self { started, ..Self::default() }
    }

    /// Whether nothing is being executed and every outcome is in the log.
    pub(super) fn is_idle(&self) -> bool {
        self.under_way.is_empty() && self.reports.is_empty()
    }

    pub(super) fn evidence_taken(&mut self, incident: IncidentId, evidence: EvidenceSummary) {
        self.evidence.insert(incident, evidence);
    }

    pub(super) fn drop_report(&mut self, incident: IncidentId, attempt: u32) {
        self.reports.remove(&(incident, attempt));
        // The log will not have it: without this the attempt would be looked at again for ever.
        self.under_way.remove(&(incident, attempt));
    }

    pub(super) fn drop_evidence(&mut self, incident: IncidentId) {
        self.evidence.remove(&incident);
    }
}

impl Agent {
    /// Looks for attempts that the log gave to this peer, and for evidence that it is to take.
    pub(super) fn work(&mut self, now: Now, out: &mut Vec<Output>) {
        let me = self.card.id;
        let assigned: Vec<(IncidentId, u32)> = self
            .ledger
            .open_incidents()
            .filter_map(|incident| Some((incident.id, incident.in_flight()?)))
            .filter(|(_, attempt)| attempt.worker == me)
            .map(|(id, attempt)| (id, attempt.number))
            .collect();
        for (incident, attempt) in assigned {
            let key = (incident, attempt);
            if self.worker.reports.contains_key(&key) || self.worker.under_way.contains_key(&key) {
                continue;
            }
            if self.worker.started.contains(&key) {
                let text = "the daemon stopped while it ran: nobody saw how it ended";
                self.conclude(now, key, Outcome::Unknown, text.to_owned());
            } else if !self.log_knows_this_start() {
                // This replica may be reading what happened long ago.
                continue;
            } else if let Some(refusal) = self.objection(incident, now) {
                self.conclude(now, key, Outcome::Refused, refusal.to_string());
            } else {
                self.worker.under_way.insert(key, Phase::Recording);
                out.push(Output::RecordStart { incident, attempt });
            }
        }
        self.take_evidence(out);
        self.send_reports(now, out);
    }

    /// Whether the replica has come to this start of the daemon: what was given out before is not
    /// begun now.
    fn log_knows_this_start(&self) -> bool {
        let own = self.ledger.roster().member(self.card.id);
        own.is_some_and(|own| own.card.generation == self.card.generation)
    }

    pub(super) fn start_recorded(
        &mut self,
        now: Now,
        id: IncidentId,
        attempt: u32,
        out: &mut Vec<Output>,
    ) {
        let key = (id, attempt);
        self.worker.started.insert(key);
        if self.worker.under_way.get(&key) != Some(&Phase::Recording) {
            return;
        }
        if let Some(refusal) = self.objection(id, now) {
            self.conclude(now, key, Outcome::Refused, refusal.to_string());
            return;
        }
        let Some(incident) = self.ledger.incidents().get(&id) else { return };
        let Some(given) = incident.in_flight().filter(|given| given.number == attempt) else {
            self.worker.under_way.remove(&key);
            return;
        };
        let Some(rung) = incident.rung(given.rung) else { return };
        let work = match self.work_of(incident, rung, given.part) {
            Ok(work) => work,
            Err(refusal) => {
                self.conclude(now, key, Outcome::Refused, refusal.to_string());
                return;
            }
        };
        let order = WorkOrder {
            incident: id,
            attempt,
            work,
            timeout: rung.timeout,
            variables: variables::for_incident(self, incident, Some(given)),
        };
        self.worker.under_way.insert(key, Phase::Executing);
        out.push(Output::Execute(order));
    }

    /// What is to be carried out of a rung.
    pub(super) fn work_of(
        &self,
        incident: &Incident,
        rung: &Rung,
        part: Part,
    ) -> Result<Work, Refusal> {
        let why = format!("there is nothing to {} in this rung", part.as_str());
        let nothing = Refusal::Misassigned { why };
        let labels = || {
            let target = incident.target_of(rung);
            let member = self.ledger.roster().ever(target);
            member
                .map(|member| &member.card.labels)
                .ok_or_else(|| Refusal::UnknownPeer { peer: target.to_string() })
        };
        match (part, &rung.action) {
            (Part::Verify, _) => rung.verify.clone().map(Work::Command).ok_or(nothing),
            (Part::Undo, _) => rung.undo.clone().map(Work::Command).ok_or(nothing),
            (Part::Act, Action::Run(command)) => Ok(Work::Command(command.clone())),
            (Part::Act, Action::Http(call)) => Ok(Work::Http(call.clone())),
            (Part::Act, Action::Heal) => {
                let check = incident.because.check();
                let check = check.and_then(|check| self.ledger.library().check(check));
                let Some(check) = check else { return Err(nothing) };
                // A plugin is a command as well: it runs only as an operator signed it.
                let document = Document::Check(check.clone());
                let origin = self.ledger.library().origin(&document.key()).unwrap_or(0);
                let signed = self.is_authorised(&document, origin);
                signed.then(|| Work::Heal(check.clone())).ok_or(nothing)
            }
            (Part::Act, Action::Fence(fence)) => {
                let (agent, power) = (fence.agent.clone(), fence.power);
                Ok(Work::Fence { agent, power, params: fence.resolve(labels()?)? })
            }
            (Part::Act, Action::Wake(wake)) => {
                let (mac, broadcast) = wake.resolve(labels()?)?;
                Ok(Work::Wake { mac, broadcast })
            }
            (Part::Act, Action::Ssh(ssh)) => Ok(Work::Ssh(ssh.clone())),
            (Part::Act, Action::Notify(_)) => Err(nothing),
        }
    }

    pub(super) fn finished(
        &mut self,
        now: Now,
        id: IncidentId,
        attempt: u32,
        report: AttemptReport,
    ) {
        let key = (id, attempt);
        if self.worker.under_way.remove(&key).is_none() {
            return;
        }
        self.worker.reports.insert(key, report);
        // The affected peer looks at once whether it helped; another one waits for the log.
        let Some(incident) = self.ledger.incidents().get(&id) else { return };
        if incident.peer != self.card.id {
            return;
        }
        if let Some(check) = incident.because.check() {
            let rung = incident.last_attempt().and_then(|attempt| incident.rung(attempt.rung));
            // What is verified otherwise first, or is a step of many, is looked at later.
            let now_already = rung.is_some_and(|rung| rung.verify.is_none() && rung.undo.is_none())
                && incident.plan.as_ref().is_some_and(|plan| !plan.sequence);
            if now_already {
                let settle = rung.map_or(Duration::ZERO, |rung| rung.settle);
                self.checks.verify(check, key, now.mono, settle);
            }
        }
    }

    fn conclude(&mut self, now: Now, key: (IncidentId, u32), outcome: Outcome, output: String) {
        self.worker.under_way.remove(&key);
        let finished_at = self.clock.now(now);
        let report =
            AttemptReport { outcome, exit_code: None, started_at: None, finished_at, output };
        self.worker.reports.insert(key, report);
    }

    fn take_evidence(&mut self, out: &mut Vec<Output>) {
        let wanted: Vec<IncidentId> = self
            .ledger
            .open_incidents()
            .filter(|incident| wants_evidence_from(incident, self.card.id))
            .map(|incident| incident.id)
            .filter(|id| !self.worker.taking_evidence.contains(id))
            .collect();
        for id in wanted {
            let Some(incident) = self.ledger.incidents().get(&id) else { continue };
            let Some(plan) = &incident.plan else { continue };
            // Evidence steps are commands: the same signature is needed as for the rungs.
            if !self.plan_is_authorised(incident) {
                continue;
            }
            let steps = plan.evidence.clone();
            let variables = variables::for_incident(self, incident, None);
            self.worker.taking_evidence.insert(id);
            let mut keepers = keepers(&self.ledger, incident, self.card.id);
            keepers.retain(|keeper| self.view.is_alive(*keeper) != Some(false));
            out.push(Output::TakeEvidence { incident: id, steps, variables, keepers });
        }
    }

    pub(super) fn send_reports(&mut self, now: Now, out: &mut Vec<Output>) {
        for ((id, attempt), report) in self.worker.reports.clone() {
            let forwarding = Forwarding::Report(id, attempt);
            let known = self.ledger.incidents().get(&id).is_none_or(|incident| {
                incident.attempts.iter().any(|a| a.number == attempt && a.report.is_some())
            });
            if known {
                self.worker.reports.remove(&(id, attempt));
                self.forget_forwarding(&forwarding);
            } else {
                let record = Record::Reported { incident: id, attempt, report };
                self.forward(now, forwarding, record, out);
            }
        }
        for (id, evidence) in self.worker.evidence.clone() {
            let forwarding = Forwarding::Evidence(id);
            let incident = self.ledger.incidents().get(&id);
            if incident.is_none_or(|i| i.evidence.is_some() || i.state.is_over()) {
                self.worker.evidence.remove(&id);
                self.worker.taking_evidence.remove(&id);
                self.forget_forwarding(&forwarding);
            } else {
                let record = Record::EvidenceTaken { incident: id, evidence };
                self.forward(now, forwarding, record, out);
            }
        }
    }
}

fn wants_evidence_from(incident: &Incident, peer: crate::name::PeerId) -> bool {
    incident.evidence_taker() == peer
        && incident.evidence.is_none()
        && incident.attempts.is_empty()
        && incident.plan.as_ref().is_some_and(|plan| !plan.evidence.is_empty())
}

/// Why the attempt that is in flight must not be started here now, if it must not.
pub(super) fn objection(agent: &Agent, id: IncidentId, now: Now) -> Option<Refusal> {
    let Some(incident) = agent.ledger.incidents().get(&id) else {
        return Some(Refusal::UnknownIncident { incident: id });
    };
    // An operator may have closed it meanwhile, whatever was given out.
    let Some(attempt) = incident.in_flight().filter(|_| !incident.state.is_over()) else {
        return Some(Refusal::IncidentOver { incident: id });
    };
    rules(agent, incident, attempt, now).err()
}

fn rules(agent: &Agent, incident: &Incident, attempt: &Attempt, now: Now) -> Result<(), Refusal> {
    let misassigned = |why: &str| Refusal::Misassigned { why: why.to_owned() };
    if attempt.worker != agent.card.id {
        return Err(misassigned("it is another peer's"));
    }
    if agent.clock.now(now) > attempt.start_by {
        return Err(Refusal::TooLate { start_by: attempt.start_by });
    }
    if let Some(freeze) = agent.ledger.frozen() {
        let (since, reason) = (freeze.since, freeze.reason.clone());
        return Err(Refusal::Frozen { since, reason });
    }
    // The brake may have been engaged after it was given out.
    agent.ledger.unbraked(incident)?;
    // How long ago that was, a host that has just started cannot know: its clock may be wrong.
    let own = agent.ledger.roster().member(agent.card.id);
    if own.is_none_or(|own| attempt.assigned_at <= own.since) {
        return Err(misassigned("it was given out before this daemon was started"));
    }
    let plan = incident.plan.as_ref().ok_or(Refusal::NoRunbook)?;
    let local = |why: &str| Err(Refusal::LocalPolicy { why: why.to_owned() });
    if agent.policy.observe_only {
        return local("observe_only is set in hearten.toml");
    }
    let level = incident.rung(attempt.rung).and_then(|rung| rung.level.as_ref());
    let runbook = level.map_or(&plan.name, |level| &level.runbook);
    if agent.policy.denied_runbooks.contains(runbook) {
        return local("denied_runbooks in hearten.toml names this runbook");
    }
    as_signed(agent, incident)
}

/// Whether what an incident's runbook says was signed, and is for the affected host.
pub(super) fn as_signed(agent: &Agent, incident: &Incident) -> Result<(), Refusal> {
    let misassigned = |why: &str| Refusal::Misassigned { why: why.to_owned() };
    let plan = incident.plan.as_ref().ok_or(Refusal::NoRunbook)?;
    let Some(affected) = agent.ledger.roster().member(incident.peer) else {
        return Err(Refusal::UnknownPeer { peer: incident.peer.to_string() });
    };
    // The replica says which runbook; whether it may run here is for the signature to say.
    if !agent.plan_is_authorised(incident) {
        let needed = agent.trust.threshold;
        return Err(Refusal::NotSigned { valid: 0, needed });
    }
    if !plan.selector.fits(&affected.card.labels) {
        return Err(misassigned("the runbook is not for a peer with these labels"));
    }
    Ok(())
}
