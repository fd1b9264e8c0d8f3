//! How records change attempts: given out, ended, given up, and what follows from that.

use super::{
    Context, Effect, Ledger, Outcome,
    incident::{ATTEMPTS_PER_RUNG_MAX, Attempt, Fact, Incident, Reboot, State},
    incidents::rung_on_peer,
    limits,
    memory::Tried,
    roster::Standing,
};
use crate::{
    document::{Action, By, OnUnknown, Retry, Rung},
    mistakes::{self, Mistake},
    name::{IncidentId, PeerId},
    record::{self, AttemptReport, Because, Part},
    refusal::Refusal,
    time::Timestamp,
};
use std::{collections::BTreeSet, time::Duration};

/// What an execution may take beyond its time limit: TERM, half a second later KILL, then the look
/// at what is left of the process tree.
pub const ATTEMPT_MARGIN: Duration = Duration::from_secs(10);

/// The most output of one attempt that is kept, in bytes.
pub const OUTPUT_BYTES_MAX: usize = 64 << 10;

/// How many attempts, the latest ones, keep their whole output: 64 MiB at the very most.
pub const OUTPUTS_KEPT_MAX: usize = 1_000;

/// What is left of an older attempt's output, in bytes: its first lines.
pub const OUTPUT_CUT_BYTES: usize = 1_000;

/// Who executes which rung until when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Assignment {
    pub(super) attempt: u32,
    pub(super) rung: u32,
    pub(super) part: Part,
    pub(super) worker: PeerId,
    pub(super) start_by: Timestamp,
    pub(super) until: Timestamp,
}

impl Ledger {
    /// Whether this rung may be given to this worker now; asked by the leader before it proposes
    /// and by [`Ledger::apply`] when the proposal is committed.
    ///
    /// # Errors
    /// The [`Refusal`] that names the rule.
    pub fn assignable(
        &self,
        id: IncidentId,
        worker: PeerId,
        leader: PeerId,
        at: Timestamp,
    ) -> Result<&Rung, Refusal> {
        self.may_assign(id, worker, leader, at, true)
    }

    fn may_assign(
        &self,
        id: IncidentId,
        worker: PeerId,
        leader: PeerId,
        at: Timestamp,
        with_limits: bool,
    ) -> Result<&Rung, Refusal> {
        let incident = self.incidents.get(&id).ok_or(Refusal::UnknownIncident { incident: id })?;
        let wrong = |why: &str| Refusal::WrongState { incident: id, why: why.to_owned() };
        if incident.state.is_over() {
            return Err(Refusal::IncidentOver { incident: id });
        }
        if let Some(attempt) = incident.in_flight() {
            let (attempt, until) = (attempt.number, attempt.until);
            return Err(Refusal::AttemptUnderWay { incident: id, attempt, until });
        }
        if incident.plan.is_none() {
            return Err(Refusal::NoRunbook);
        }
        if let Some(refusal) = incident.stuck() {
            return Err(refusal);
        }
        let rung = incident.next_rung().ok_or_else(|| wrong("every rung has been climbed"))?;
        if rung.tells().is_some() {
            return Err(wrong("the next rung tells a person"));
        }
        let waits = incident.plan.as_ref().is_some_and(|plan| !plan.evidence.is_empty());
        if waits && incident.evidence.is_none() && at < incident.evidence_until {
            return Err(Refusal::AwaitingEvidence { until: incident.evidence_until });
        }
        let target = incident.target_of(rung);
        let fits = match (incident.next_part, rung.by) {
            // What looks at a rung, or takes it back, does so where it was done.
            (Part::Verify | Part::Undo, _) => incident.worker_of(incident.climbed) == Some(worker),
            (Part::Act, By::Affected) => worker == target,
            (Part::Act, By::Neighbour) => {
                worker != target && self.may_act_as_neighbour(incident, rung, worker)
            }
            (Part::Act, By::Leader) => worker == leader,
        };
        let member = self.roster.member(worker);
        if !fits || member.is_none() {
            let why = format!("{worker} is not the {} of {id}", rung.by.as_str());
            return Err(Refusal::Misassigned { why });
        }
        match member.map(|member| member.standing) {
            Some(Standing::Running) => {}
            // Nobody else's rungs, and only what a surgeon can carry out.
            Some(Standing::Guest) if worker == target => self.is_for_surgeons(incident, rung)?,
            Some(Standing::Guest | Standing::Stopped | Standing::Left) | None => {
                return Err(Refusal::PeerNotRunning);
            }
        }
        if with_limits {
            limits::permit(self, incident, at)?;
        }
        if incident.needs_approval().is_some() {
            let rung = incident.climbed;
            let until = incident.asked.map_or(at, |asked| asked.until);
            return Err(Refusal::AwaitingApproval { incident: id, rung, until });
        }
        Ok(rung)
    }

    /// Whether the part of this rung that comes next is one that a guest's surgeon can carry out.
    ///
    /// # Errors
    /// [`Refusal::NotForSurgeons`].
    pub fn is_for_surgeons(&self, incident: &Incident, rung: &Rung) -> Result<(), Refusal> {
        let guest = self.roster.is_guest(incident.target_of(rung));
        let runs = matches!(rung.action, Action::Run(_)) || incident.next_part != Part::Act;
        // Whoever does it: nobody says of a guest when it was booted.
        let can = !rung.reboot && (runs || rung.by != By::Affected);
        if guest && !can {
            return Err(Refusal::NotForSurgeons { rung: rung.name.clone() });
        }
        Ok(())
    }

    /// Whether a peer is one of the neighbours that this rung is for: it bears the labels, and
    /// where several are to try, it has not tried yet.
    pub fn may_act_as_neighbour(&self, incident: &Incident, rung: &Rung, worker: PeerId) -> bool {
        let labels = self.roster.member(worker).map(|member| &member.card.labels);
        let has_tried = || incident.tried_by(incident.climbed).contains(&worker);
        labels.is_some_and(|labels| rung.selector.fits(labels)) && (rung.count <= 1 || !has_tried())
    }

    pub(super) fn assign(
        &mut self,
        context: &Context,
        id: IncidentId,
        given: &Assignment,
    ) -> Outcome {
        let with_limits = !mistakes::is_made(Mistake::LimitsOfTheLeaderAlone);
        let rung = self.may_assign(id, given.worker, context.by, context.at, with_limits)?;
        let reboots = rung.reboot && given.part == Part::Act;
        let reboot = if reboots { Reboot::Awaited } else { Reboot::NotMeant };
        let earliest = given.start_by.plus(rung.timeout).plus(ATTEMPT_MARGIN);
        if given.until < earliest {
            let why = format!("it could still act after {}", given.until);
            return Err(Refusal::Misassigned { why });
        }
        let target = self.incidents.get(&id).map(|incident| incident.target_of(rung));
        let boot_id = target.and_then(|peer| self.roster.ever(peer)?.boot_id.clone());
        let of_guest = self.roster.is_guest(given.worker);
        let incident = self
            .incidents
            .get_mut(&id)
            .filter(|incident| !incident.state.is_over())
            .ok_or(Refusal::IncidentOver { incident: id })?;
        let expected = u32::try_from(incident.attempts.len()).unwrap_or(u32::MAX).saturating_add(1);
        if given.attempt != expected {
            let attempt = given.attempt;
            return Err(Refusal::AttemptOutOfOrder { incident: id, attempt, expected });
        }
        if given.rung != incident.climbed || given.part != incident.next_part {
            let why = format!("rung {} is not the next one", given.rung.saturating_add(1));
            return Err(Refusal::Misassigned { why });
        }
        incident.attempts.push(Attempt {
            number: given.attempt,
            rung: given.rung,
            part: given.part,
            worker: given.worker,
            assigned_at: context.at,
            term: context.position.term,
            start_by: given.start_by,
            until: given.until,
            report: None,
            ended_at: None,
            boot_id,
            reboot,
        });
        if let Some(attempt) = incident.attempts.last().filter(|_| of_guest) {
            self.guests.give(id, attempt);
        }
        incident.state = State::Acting;
        incident.held = None;
        incident.not_before = None;
        incident.note(context.at, context.by, Fact::Assigned(given.attempt));
        let begun = incident.plan.as_ref().filter(|_| given.attempt == 1).map(|p| p.name.clone());
        let peer = incident.peer;
        if let Some(runbook) = begun {
            self.memory.begin(context.at, &runbook, peer);
        }
        Ok(Effect::Done)
    }

    pub(super) fn report(
        &mut self,
        context: &Context,
        id: IncidentId,
        number: u32,
        report: &AttemptReport,
    ) -> Outcome {
        if report.output.len() > OUTPUT_BYTES_MAX {
            let limit_bytes = u64::try_from(OUTPUT_BYTES_MAX).unwrap_or(u64::MAX);
            return Err(Refusal::TooLarge { what: "the output".to_owned(), limit_bytes });
        }
        let incident =
            self.incidents.get_mut(&id).ok_or(Refusal::UnknownIncident { incident: id })?;
        let over = incident.state.is_over();
        let Some(attempt) = incident.attempts.iter_mut().find(|a| a.number == number) else {
            let why = format!("there is no attempt {number}");
            return Err(Refusal::WrongState { incident: id, why });
        };
        if attempt.worker != context.by {
            let why = "an outcome is its worker's to tell".to_owned();
            return Err(Refusal::NotAllowed { by: context.by, why });
        }
        if attempt.report.is_some() {
            let why = format!("the outcome of attempt {number} is known already");
            return Err(Refusal::WrongState { incident: id, why });
        }
        let given_up = attempt.ended_at.is_some();
        attempt.report = Some(report.clone());
        attempt.ended_at.get_or_insert(context.at);
        let (rung, part) = (attempt.rung, attempt.part);
        incident.note(context.at, context.by, Fact::Reported(number));
        // A late word about an attempt that was given up is kept; it changes what happens next
        // only while a person is still being asked about that very attempt, and answers it.
        let asked = report.outcome != record::Outcome::Unknown
            && matches!(
                incident.held,
                Some(Refusal::UnknownOutcome { attempt, .. }) if attempt == number
            );
        if !over && (!given_up || asked) {
            judge(incident, (rung, part), report.outcome, context.at);
        }
        if report.outcome != record::Outcome::Refused {
            self.remember(id, part, context.at, report.outcome);
        }
        self.keep_output(id, number);
        Ok(Effect::Done)
    }

    /// Keeps the whole output of this attempt and cuts that of one long ago, so that the ledger
    /// stays of a size that every host can hold and every snapshot can carry.
    fn keep_output(&mut self, id: IncidentId, number: u32) {
        self.outputs.push_back((id, number));
        while self.outputs.len() > OUTPUTS_KEPT_MAX {
            let Some((old, number)) = self.outputs.pop_front() else { return };
            let attempts = self.incidents.get_mut(&old).map(|incident| &mut incident.attempts);
            let attempt = attempts.and_then(|all| all.iter_mut().find(|a| a.number == number));
            if let Some(report) = attempt.and_then(|attempt| attempt.report.as_mut()) {
                cut(&mut report.output);
            }
        }
    }

    pub(super) fn lose(
        &mut self,
        context: &Context,
        id: IncidentId,
        number: u32,
        reason: &str,
    ) -> Outcome {
        let incident = self.still_open(id)?;
        let Some(attempt) = incident.attempts.last_mut().filter(|a| a.number == number) else {
            let why = format!("attempt {number} is not the last one");
            return Err(Refusal::WrongState { incident: id, why });
        };
        if attempt.ended_at.is_some() {
            let why = format!("attempt {number} has ended");
            return Err(Refusal::WrongState { incident: id, why });
        }
        if context.at < attempt.until {
            let until = attempt.until;
            return Err(Refusal::AttemptUnderWay { incident: id, attempt: number, until });
        }
        attempt.ended_at = Some(context.at);
        let (rung, part) = (attempt.rung, attempt.part);
        incident.note(context.at, context.by, Fact::Lost(number, reason.to_owned()));
        judge(incident, (rung, part), record::Outcome::Unknown, context.at);
        self.remember(id, part, context.at, record::Outcome::Unknown);
        Ok(Effect::Done)
    }

    /// What takes a rung back acts on the host as well, and so the host cools down from then on; it
    /// is no try of its own.
    fn remember(&mut self, id: IncidentId, part: Part, at: Timestamp, outcome: record::Outcome) {
        match part {
            Part::Act => self.remember_acting(id, at, outcome),
            Part::Undo => {
                let incident = self.incidents.get(&id);
                if let Some((plan, incident)) = incident.and_then(|i| Some((i.plan.as_ref()?, i))) {
                    self.acted.insert((plan.name.clone(), incident.peer), at);
                }
            }
            // To look whether a rung has helped changes nothing.
            Part::Verify => {}
        }
    }

    fn remember_acting(&mut self, id: IncidentId, at: Timestamp, outcome: record::Outcome) {
        let Some(incident) = self.incidents.get(&id) else { return };
        if let Some(plan) = &incident.plan {
            self.acted.insert((plan.name.clone(), incident.peer), at);
            let came_to_nothing = match outcome {
                record::Outcome::Failed | record::Outcome::TimedOut | record::Outcome::Unknown => {
                    // One that is tried again has not come to nothing yet.
                    incident.not_before.is_none()
                }
                record::Outcome::Succeeded | record::Outcome::Refused => false,
            };
            if let Some(breaker) = plan.breaker.filter(|_| came_to_nothing) {
                self.memory.fail(at, &plan.name, breaker.within);
            }
            if let Some(key) = rung_on_peer(incident).filter(|_| !plan.repeat.within.is_zero()) {
                let tried = Tried { at, incident: id, helped: false };
                self.memory.tried(key, tried, plan.repeat.within);
            }
        }
        // What is waited for after a rung for a job is the job, hours perhaps: its host is free, unless
        // it is being rebooted.
        let reboots = incident.last_attempt().is_some_and(|last| last.reboot != Reboot::NotMeant);
        let is_free = matches!(incident.because, Because::Job { .. }) && !reboots;
        if let Some(until) = incident.settles_until().filter(|_| !is_free) {
            // A rung that settles quickly does not cut another one short.
            let known = self.settling.entry(incident.peer).or_insert(until);
            *known = until.max(*known);
        }
    }
}

/// Cuts an output to its first lines.
fn cut(output: &mut String) {
    if output.len() > OUTPUT_CUT_BYTES {
        let mut end = OUTPUT_CUT_BYTES;
        while !output.is_char_boundary(end) {
            end -= 1;
        }
        output.truncate(end);
        output.push_str("\n[the rest is no longer kept]");
    }
}

/// What an attempt's end comes to: what it says itself, or, where it was to reboot a host, what the
/// host's boot id says.
fn judge(
    incident: &mut Incident,
    (rung, part): (u32, Part),
    outcome: record::Outcome,
    at: Timestamp,
) {
    let by = incident.rung(rung).map(|rung| rung.by);
    let attempt = incident.attempts.last_mut();
    let reboot = attempt.map(|attempt| {
        let failed = matches!(outcome, record::Outcome::Failed | record::Outcome::TimedOut);
        // What dies with its host ends like this; what acted from outside says that it did not.
        if failed && by != Some(By::Affected) && attempt.reboot == Reboot::Awaited {
            attempt.reboot = Reboot::Missed;
        }
        &attempt.reboot
    });
    match (outcome, reboot) {
        (record::Outcome::Refused, _) | (_, Some(Reboot::NotMeant | Reboot::Missed) | None) => {
            after_attempt(incident, (rung, part), outcome, at);
        }
        (_, Some(Reboot::Seen(_))) => {
            after_attempt(incident, (rung, part), record::Outcome::Succeeded, at);
        }
        (_, Some(Reboot::Awaited)) => incident.await_reboot(rung),
    }
}

/// What follows from an attempt's end: the rung's next part, another try, or the next rung.
pub(super) fn after_attempt(
    incident: &mut Incident,
    (rung, part): (u32, Part),
    outcome: record::Outcome,
    at: Timestamp,
) {
    incident.state = State::Verifying;
    incident.held = None;
    incident.not_before = None;
    incident.climbed = rung;
    incident.next_part = part;
    let Some(meant) = incident.rung(rung).cloned() else { return };
    match (part, outcome) {
        // It did not run, so it may.
        (_, record::Outcome::Refused) if !tried_often(incident, rung, part) => {}
        (Part::Act, record::Outcome::Succeeded) if meant.verify.is_some() => {
            incident.next_part = Part::Verify;
        }
        (Part::Act | Part::Verify, record::Outcome::Succeeded) => move_on(incident, rung, true),
        (Part::Act, record::Outcome::Unknown) => {
            let rule = incident.plan.as_ref().map(|plan| meant.on_unknown(plan.on_unknown));
            if rule != Some(OnUnknown::Retry) || tried_often(incident, rung, part) {
                move_on(incident, rung, false);
            }
        }
        (Part::Act, record::Outcome::Refused) => move_on(incident, rung, false),
        (Part::Act | Part::Verify, _) if meant.undo.is_some() => incident.next_part = Part::Undo,
        (Part::Act | Part::Verify | Part::Undo, _) => try_again(incident, rung, &meant, at),
    }
}

/// Whether attempts of this part were refused or lost as often as is borne.
fn tried_often(incident: &Incident, rung: u32, part: Part) -> bool {
    let in_vain = incident.attempts.iter().filter(|attempt| {
        attempt.rung == rung
            && attempt.part == part
            && matches!(
                attempt.outcome(),
                Some(record::Outcome::Refused | record::Outcome::Unknown)
            )
    });
    in_vain.count() >= usize::try_from(ATTEMPTS_PER_RUNG_MAX).unwrap_or(usize::MAX)
}

/// A rung failed: once more after a wait, where it says so, or on to the next.
fn try_again(incident: &mut Incident, rung: u32, meant: &Rung, at: Timestamp) {
    let mut acted = incident.attempts.iter_mut().filter(|attempt| {
        attempt.rung == rung
            && attempt.part == Part::Act
            && attempt.outcome().is_some_and(|outcome| outcome != record::Outcome::Refused)
    });
    let first = acted.next().map_or(at, |attempt| attempt.assigned_at);
    let tried = u32::try_from(acted.count()).unwrap_or(u32::MAX).saturating_add(1);
    match meant.retry.wait(tried, at.since(first)) {
        Some(wait) => {
            incident.next_part = Part::Act;
            incident.not_before = Some(at.plus(wait));
            // "Not yet", a hundred times over, is not worth a page each.
            let last = incident.attempts.last_mut().and_then(|attempt| attempt.report.as_mut());
            if let (Retry::Until { .. }, Some(report)) = (meant.retry, last) {
                cut(&mut report.output);
            }
        }
        // The next of several neighbours begins at once.
        None if incident.tried_by(rung).len() < number(meant.count) => {
            incident.next_part = Part::Act;
        }
        None => move_on(incident, rung, false),
    }
}

fn number(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// What was given out and taken back unbegun is not given out again: the next rung comes.
pub(super) fn pass_on(incident: &mut Incident, rung: u32, part: Part) {
    if part == Part::Act {
        move_on(incident, rung, false);
    }
}

fn move_on(incident: &mut Incident, rung: u32, succeeded: bool) {
    incident.next_part = Part::Act;
    (incident.climbed, incident.through) = incident.place_after(rung, succeeded);
}

impl Incident {
    /// Who carried out the rung at this place last.
    pub fn worker_of(&self, place: u32) -> Option<PeerId> {
        let of_rung = |attempt: &&Attempt| attempt.rung == place && attempt.part == Part::Act;
        self.attempts.iter().rev().find(of_rung).map(|attempt| attempt.worker)
    }

    /// The peers that have carried out the rung at this place, whatever came of it.
    pub fn tried_by(&self, place: u32) -> BTreeSet<PeerId> {
        let tried = self.attempts.iter().filter(|attempt| {
            let ended = attempt.outcome();
            attempt.rung == place
                && attempt.part == Part::Act
                && ended.is_some_and(|outcome| outcome != record::Outcome::Refused)
        });
        tried.map(|attempt| attempt.worker).collect()
    }
}
