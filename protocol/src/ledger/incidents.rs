//! How records change incidents: opened, attempts given out and ended, held, told, over.

use super::{
    Context, Effect, Ledger, Outcome,
    incident::{
        ATTEMPTS_PER_RUNG_MAX, Attempt, EVIDENCE_MARGIN, Fact, Incident, News, State, Subject,
    },
    limits,
    roster::Standing,
};
use crate::{
    document::{Action, By, OnUnknown, Rung},
    keepers::CANDIDATES_MAX,
    name::{IncidentId, Name, PeerId},
    record::{self, AttemptReport, Because, EvidenceSummary, Seen},
    refusal::Refusal,
    time::Timestamp,
};
use std::{collections::BTreeSet, time::Duration};

/// The most output of one attempt that is kept, in bytes.
pub const OUTPUT_BYTES_MAX: usize = 64 << 10;

/// How many attempts, the latest ones, keep their whole output: 64 MiB at the very most.
pub const OUTPUTS_KEPT_MAX: usize = 1_000;

/// What is left of an older attempt's output, in bytes: its first lines.
pub const OUTPUT_CUT_BYTES: usize = 1_000;

/// How many incidents are kept; of more, the oldest ones that are over are forgotten.
pub const INCIDENTS_KEPT_MAX: usize = 100_000;

/// What an execution may take beyond its time limit: TERM, two seconds later KILL, then the look
/// at what is left of the process tree.
pub const ATTEMPT_MARGIN: Duration = Duration::from_secs(10);

/// How many witnesses beside the leader must have seen a silence, where there are so many.
pub const WITNESSES_MIN: usize = 2;

/// Who executes which rung until when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Assignment {
    pub(super) attempt: u32,
    pub(super) rung: u32,
    pub(super) worker: PeerId,
    pub(super) start_by: Timestamp,
    pub(super) until: Timestamp,
}

impl Ledger {
    /// Whether the leader and enough witnesses saw the silence for themselves.
    ///
    /// Needed are two witnesses beside the leader, or all others where the mesh has fewer. Only
    /// peers count that are expected to answer and not silent themselves.
    ///
    /// # Errors
    /// [`Refusal::NotAttested`] with how many agree.
    pub fn attested(
        &self,
        peer: PeerId,
        leader: PeerId,
        witnesses: &[record::Testimony],
    ) -> Result<(), Refusal> {
        let able: BTreeSet<PeerId> = self
            .roster
            .running()
            .map(|(other, _)| other)
            .filter(|other| *other != peer && *other != leader && !self.is_silent(*other))
            .collect();
        let saw = |witness: &record::Testimony| witness.seen != Seen::Reached;
        let agreeing: BTreeSet<PeerId> = witnesses
            .iter()
            .filter(|testimony| saw(testimony) && able.contains(&testimony.witness))
            .map(|testimony| testimony.witness)
            .collect();
        let leader_saw = witnesses.iter().any(|said| said.witness == leader && saw(said));
        let needed = able.len().min(WITNESSES_MIN);
        let contradicted = witnesses.iter().any(|testimony| !saw(testimony));
        if leader_saw && agreeing.len() >= needed && !contradicted {
            return Ok(());
        }
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Err(Refusal::NotAttested {
            agreeing: count(agreeing.len() + usize::from(leader_saw)),
            needed: count(needed + 1),
        })
    }

    /// Whether an incident says that this peer is silent.
    pub fn is_silent(&self, peer: PeerId) -> bool {
        self.silence_of(peer).is_some()
    }

    /// The open incident of this peer's silence.
    pub fn silence_of(&self, peer: PeerId) -> Option<&Incident> {
        self.latest_about(peer, Subject::Silence).filter(|incident| !incident.state.is_over())
    }

    /// The latest incident about one thing, whether it is over or not.
    pub fn latest_about(&self, peer: PeerId, subject: Subject) -> Option<&Incident> {
        self.latest.get(&(peer, subject)).and_then(|id| self.incidents.get(id))
    }

    /// Whether a signal is worth an incident: there is none open about the same thing, and the
    /// last one was not about this very episode. What an operator closed stays closed until the
    /// check has passed once.
    ///
    /// # Errors
    /// The [`Refusal`] that names the rule.
    pub fn is_news(&self, peer: PeerId, because: &Because) -> Result<(), Refusal> {
        match self.latest_about(peer, Subject::of(because)) {
            Some(same) if !same.state.is_over() => Err(Refusal::AlreadyOpen { incident: same.id }),
            Some(same) if since(&same.because) == since(because) => {
                Err(Refusal::IncidentOver { incident: same.id })
            }
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn open(&mut self, context: &Context, peer: PeerId, because: &Because) -> Outcome {
        let member = self
            .roster
            .member(peer)
            .ok_or_else(|| Refusal::UnknownPeer { peer: peer.to_string() })?;
        self.is_news(peer, because)?;
        match because {
            Because::Check { check, .. } => {
                let known = self.library.check(check);
                if known.is_none_or(|check| !check.selector.fits(&member.card.labels)) {
                    return Err(Refusal::Misassigned {
                        why: format!("check \"{check}\" is not for this peer"),
                    });
                }
            }
            Because::Silent { witnesses, .. } => {
                if member.standing != Standing::Running {
                    return Err(Refusal::PeerNotRunning);
                }
                self.attested(peer, context.by, witnesses)?;
            }
        }
        let plan = self.library.runbook_for(because, &member.card.labels).cloned();
        let steps: Duration = plan
            .iter()
            .flat_map(|plan| &plan.evidence)
            .map(|step| step.timeout)
            .fold(Duration::ZERO, Duration::saturating_add);
        let id = IncidentId(context.position.index);
        let mut incident = Incident {
            id,
            peer,
            because: because.clone(),
            opened_by: context.by,
            opened_at: context.at,
            closed_at: None,
            state: State::Open,
            plan,
            revision: self.library.revision(),
            evidence: None,
            evidence_until: context.at.plus(steps.saturating_add(EVIDENCE_MARGIN)),
            climbed: 0,
            attempts: Vec::new(),
            held: None,
            notices: Vec::new(),
            timeline: Vec::new(),
        };
        incident.note(context.at, context.by, Fact::Opened);
        self.incidents.insert(id, incident);
        self.open.insert(id);
        self.forget_old_incidents();
        self.latest.insert((peer, Subject::of(because)), id);
        Ok(Effect::Opened(id))
    }

    pub(super) fn take_evidence(
        &mut self,
        context: &Context,
        id: IncidentId,
        evidence: &EvidenceSummary,
    ) -> Outcome {
        let incident = self.still_open(id)?;
        if context.by != incident.evidence_taker() || evidence.taken_by != context.by {
            let why = "evidence comes from the peer that was to take it".to_owned();
            return Err(Refusal::NotAllowed { by: context.by, why });
        }
        if evidence.keepers.len() > CANDIDATES_MAX {
            let why = format!("at most {CANDIDATES_MAX} peers are asked to keep evidence");
            return Err(Refusal::NotAllowed { by: context.by, why });
        }
        if incident.evidence.is_some() {
            let why = "its evidence was taken already".to_owned();
            return Err(Refusal::WrongState { incident: id, why });
        }
        incident.evidence = Some(evidence.clone());
        incident.note(context.at, context.by, Fact::EvidenceTaken);
        Ok(Effect::Done)
    }

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
        if let Some(attempt) = incident.asks_about() {
            return Err(Refusal::UnknownOutcome { incident: id, attempt });
        }
        let rung = incident.next_rung().ok_or_else(|| wrong("every rung has been climbed"))?;
        match rung.action {
            Action::Run(_) => {}
            Action::Notify(_) => return Err(wrong("the next rung tells a person")),
        }
        let waits = incident.plan.as_ref().is_some_and(|plan| !plan.evidence.is_empty());
        if waits && incident.evidence.is_none() && at < incident.evidence_until {
            return Err(Refusal::AwaitingEvidence { until: incident.evidence_until });
        }
        let fits = match rung.by {
            By::Affected => worker == incident.peer,
            By::Neighbour => worker != incident.peer,
            By::Leader => worker == leader,
        };
        let member = self.roster.member(worker);
        if !fits || member.is_none() {
            let why = format!("{worker} is not the {} of {id}", rung.by.as_str());
            return Err(Refusal::Misassigned { why });
        }
        if member.is_none_or(|member| member.standing != Standing::Running) {
            return Err(Refusal::PeerNotRunning);
        }
        limits::permit(self, incident, at)?;
        Ok(rung)
    }

    pub(super) fn assign(
        &mut self,
        context: &Context,
        id: IncidentId,
        given: &Assignment,
    ) -> Outcome {
        let rung = self.assignable(id, given.worker, context.by, context.at)?;
        let earliest = given.start_by.plus(rung.timeout).plus(ATTEMPT_MARGIN);
        if given.until < earliest {
            let why = format!("it could still act after {}", given.until);
            return Err(Refusal::Misassigned { why });
        }
        let incident = self.still_open(id)?;
        let expected = u32::try_from(incident.attempts.len()).unwrap_or(u32::MAX).saturating_add(1);
        if given.attempt != expected {
            let attempt = given.attempt;
            return Err(Refusal::AttemptOutOfOrder { incident: id, attempt, expected });
        }
        if given.rung != incident.climbed {
            let why = format!("rung {} is not the next one", given.rung + 1);
            return Err(Refusal::Misassigned { why });
        }
        incident.attempts.push(Attempt {
            number: given.attempt,
            rung: given.rung,
            worker: given.worker,
            assigned_at: context.at,
            term: context.position.term,
            start_by: given.start_by,
            until: given.until,
            report: None,
            ended_at: None,
        });
        incident.state = State::Acting;
        incident.held = None;
        incident.note(context.at, context.by, Fact::Assigned(given.attempt));
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
        let rung = attempt.rung;
        incident.note(context.at, context.by, Fact::Reported(number));
        // A late word about an attempt that was given up is kept; it changes what happens next
        // only while a person is still being asked about that very attempt, and answers it.
        let asked = report.outcome != record::Outcome::Unknown
            && matches!(
                incident.held,
                Some(Refusal::UnknownOutcome { attempt, .. }) if attempt == number
            );
        if !over && (!given_up || asked) {
            after_attempt(incident, rung, report.outcome);
        }
        if report.outcome != record::Outcome::Refused {
            self.remember_acting(id, context.at);
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

    /// Forgets the oldest incidents that are over, when there are too many.
    fn forget_old_incidents(&mut self) {
        while self.incidents.len() > INCIDENTS_KEPT_MAX {
            let over = self.incidents.values().find(|incident| {
                incident.state.is_over() && incident.notices_due().next().is_none()
            });
            let Some(id) = over.map(|incident| incident.id) else { return };
            if let Some(gone) = self.incidents.remove(&id) {
                let about = (gone.peer, Subject::of(&gone.because));
                if self.latest.get(&about) == Some(&id) {
                    self.latest.remove(&about);
                }
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
        let rung = attempt.rung;
        incident.note(context.at, context.by, Fact::Lost(number, reason.to_owned()));
        after_attempt(incident, rung, record::Outcome::Unknown);
        self.remember_acting(id, context.at);
        Ok(Effect::Done)
    }

    fn remember_acting(&mut self, id: IncidentId, at: Timestamp) {
        let Some(incident) = self.incidents.get(&id) else { return };
        if let Some(plan) = &incident.plan {
            self.acted.insert((plan.name.clone(), incident.peer), at);
        }
        if let Some(until) = incident.settles_until() {
            // A rung that settles quickly does not cut another one short.
            let known = self.settling.entry(incident.peer).or_insert(until);
            *known = until.max(*known);
        }
    }

    pub(super) fn hold(&mut self, context: &Context, id: IncidentId, refusal: &Refusal) -> Outcome {
        let everyone = self.notifier_names();
        let incident = self.still_open(id)?;
        if let Some(attempt) = incident.in_flight() {
            let (attempt, until) = (attempt.number, attempt.until);
            return Err(Refusal::AttemptUnderWay { incident: id, attempt, until });
        }
        if incident.held.as_ref() == Some(refusal) {
            let why = "it is held back by this rule already".to_owned();
            return Err(Refusal::WrongState { incident: id, why });
        }
        incident.state = State::Waiting;
        incident.held = Some(refusal.clone());
        incident.note(context.at, context.by, Fact::Held(refusal.clone()));
        if matches!(refusal, Refusal::UnknownOutcome { .. }) {
            call_people(incident, context, &everyone);
        }
        Ok(Effect::Done)
    }

    pub(super) fn call(&mut self, context: &Context, id: IncidentId, rung: u32) -> Outcome {
        let incident = self.still_open(id)?;
        let notifier = match incident.next_rung().map(|rung| &rung.action) {
            Some(Action::Notify(notifier)) if rung == incident.climbed => notifier.clone(),
            Some(_) | None => {
                let why = format!("rung {} does not tell a person now", rung.saturating_add(1));
                return Err(Refusal::WrongState { incident: id, why });
            }
        };
        incident.climbed += 1;
        incident.give_notice(context.at, notifier.clone(), News::Called);
        incident.note(context.at, context.by, Fact::Called(notifier));
        if incident.next_rung().is_none() {
            incident.state = State::Escalated;
            incident.held = None;
            let reason = "every rung was climbed; a person is called".to_owned();
            incident.note(context.at, context.by, Fact::Escalated(reason));
        }
        Ok(Effect::Done)
    }

    pub(super) fn resolve(&mut self, context: &Context, id: IncidentId, because: &str) -> Outcome {
        let incident = self.still_open(id)?;
        if let Some(attempt) = incident.in_flight() {
            let (attempt, until) = (attempt.number, attempt.until);
            return Err(Refusal::AttemptUnderWay { incident: id, attempt, until });
        }
        incident.note(context.at, context.by, Fact::Resolved(because.to_owned()));
        end(incident, context.at, State::Resolved);
        self.open.remove(&id);
        Ok(Effect::Done)
    }

    pub(super) fn escalate(&mut self, context: &Context, id: IncidentId, reason: &str) -> Outcome {
        let everyone = self.notifier_names();
        let incident = self.still_open(id)?;
        if let Some(attempt) = incident.in_flight() {
            let (attempt, until) = (attempt.number, attempt.until);
            return Err(Refusal::AttemptUnderWay { incident: id, attempt, until });
        }
        if incident.state == State::Escalated {
            let why = "a person was called already".to_owned();
            return Err(Refusal::WrongState { incident: id, why });
        }
        incident.state = State::Escalated;
        incident.held = None;
        incident.note(context.at, context.by, Fact::Escalated(reason.to_owned()));
        if !incident.calls_by_itself() {
            call_people(incident, context, &everyone);
        }
        Ok(Effect::Done)
    }

    pub(super) fn close(&mut self, context: &Context, id: IncidentId, reason: &str) -> Outcome {
        let incident = self.still_open(id)?;
        incident.note(context.at, context.by, Fact::Closed(reason.to_owned()));
        end(incident, context.at, State::Closed);
        self.open.remove(&id);
        // What is being executed goes on: until it has ended, or can no longer act, it counts.
        let incidents = &self.incidents;
        self.repairing.retain(|id| incidents.get(id).is_some_and(|i| counts_at(i, context.at)));
        Ok(Effect::Done)
    }

    pub(super) fn notified(
        &mut self,
        context: &Context,
        id: IncidentId,
        number: u32,
        delivered: bool,
        detail: &str,
    ) -> Outcome {
        let incident =
            self.incidents.get_mut(&id).ok_or(Refusal::UnknownIncident { incident: id })?;
        let due = incident.notices.iter_mut().find(|n| n.number == number && n.done.is_none());
        let Some(notice) = due else {
            return Err(Refusal::NoticeNotDue { incident: id, notice: number });
        };
        notice.done = Some((context.at, delivered, detail.to_owned()));
        incident.note(context.at, context.by, Fact::Notified(number));
        Ok(Effect::Done)
    }

    /// The incidents whose targets are under repair; a closed one while its attempt may still act.
    pub(super) fn under_repair(&self, at: Timestamp) -> impl Iterator<Item = &Incident> {
        self.repairing
            .iter()
            .filter_map(|id| self.incidents.get(id))
            .filter(move |incident| counts_at(incident, at))
    }

    fn notifier_names(&self) -> Vec<Name> {
        self.library.notifiers().map(|notifier| notifier.name.clone()).collect()
    }

    fn still_open(&mut self, id: IncidentId) -> Result<&mut Incident, Refusal> {
        let incident =
            self.incidents.get_mut(&id).ok_or(Refusal::UnknownIncident { incident: id })?;
        if incident.state.is_over() {
            return Err(Refusal::IncidentOver { incident: id });
        }
        Ok(incident)
    }
}

/// Whether this incident's target is under repair.
fn counts_at(incident: &Incident, at: Timestamp) -> bool {
    if incident.state.is_over() {
        incident.in_flight().is_some_and(|attempt| attempt.until > at)
    } else {
        incident.is_under_repair()
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

/// Since when a signal has lasted.
const fn since(because: &Because) -> Timestamp {
    match because {
        Because::Check { since, .. } | Because::Silent { since, .. } => *since,
    }
}

/// Calls those whom the runbook names, or everyone when it names nobody.
fn call_people(incident: &mut Incident, context: &Context, everyone: &[Name]) {
    let named: Vec<Name> = incident
        .plan
        .iter()
        .flat_map(|plan| &plan.rungs)
        .filter_map(|rung| match &rung.action {
            Action::Notify(notifier) => Some(notifier.clone()),
            Action::Run(_) => None,
        })
        .collect();
    for notifier in if named.is_empty() { everyone } else { &named } {
        incident.give_notice(context.at, notifier.clone(), News::Called);
        incident.note(context.at, context.by, Fact::Called(notifier.clone()));
    }
}

/// What follows from an attempt's end: the rung is done with, or it is tried again.
fn after_attempt(incident: &mut Incident, rung: u32, outcome: record::Outcome) {
    incident.state = State::Verifying;
    incident.held = None;
    let tried = incident.attempts.iter().filter(|attempt| attempt.rung == rung).count();
    let tried_often = tried >= usize::try_from(ATTEMPTS_PER_RUNG_MAX).unwrap_or(usize::MAX);
    let again = match outcome {
        record::Outcome::Succeeded | record::Outcome::Failed | record::Outcome::TimedOut => false,
        // It did not run, so it may.
        record::Outcome::Refused => true,
        record::Outcome::Unknown => {
            incident.plan.as_ref().is_some_and(|plan| plan.on_unknown == OnUnknown::Retry)
        }
    };
    incident.climbed = if again && !tried_often { rung } else { rung + 1 };
}

fn end(incident: &mut Incident, at: Timestamp, state: State) {
    incident.state = state;
    incident.closed_at = Some(at);
    incident.held = None;
    // Whoever was called is told that it is over; a call that is still due is not made any more.
    let mut told = BTreeSet::new();
    for notice in &mut incident.notices {
        match notice.done {
            Some((_, true, _)) => {
                told.insert(notice.notifier.clone());
            }
            Some(_) => {}
            None => notice.done = Some((at, false, "not sent: the incident is over".to_owned())),
        }
    }
    for notifier in told {
        incident.give_notice(at, notifier, News::Resolved);
    }
}
