//! How records change incidents: opened, held, told, over.

use super::{
    Context, Effect, Ledger, Outcome,
    heartbeats::Telling,
    incident::{EVIDENCE_MARGIN, Fact, Incident, News, State, Subject},
    limits,
    roster::Standing,
};
use crate::{
    document::Rung,
    keepers::CANDIDATES_MAX,
    name::{IncidentId, Name, PeerId},
    record::{Because, EvidenceSummary, Part},
    refusal::Refusal,
};
use std::{collections::BTreeSet, time::Duration};

/// How many incidents are kept; of more, the oldest ones that are over are forgotten.
pub const INCIDENTS_KEPT_MAX: usize = 100_000;

impl Ledger {
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
            Some(same) if same.because.since() == because.since() => {
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
            Because::Check { check, .. } | Because::Job { check, .. } => {
                let known = self.library.check(check);
                if known.is_none_or(|check| !check.selector.fits(&member.card.labels)) {
                    return Err(Refusal::Misassigned {
                        why: format!("check \"{check}\" is not for this peer"),
                    });
                }
                self.job_is_due(because)?;
            }
            Because::Silent { witnesses, .. } => {
                if member.standing != Standing::Running {
                    return Err(Refusal::PeerNotRunning);
                }
                if let Some(refusal) =
                    limits::maintenance(self, (peer, &member.card.labels), context.at)
                {
                    return Err(refusal);
                }
                self.attested(peer, context.by, witnesses)?;
            }
            Because::Ladder { .. } => self.ladder_is_due(peer, because, context.at)?,
            Because::Operator { .. } => {}
            Because::Storm { silent, .. } => self.storm_is_due(context, peer, silent)?,
            Because::Untold { notifier, .. } => self.is_first_untold(notifier)?,
        }
        let plan = match because {
            Because::Check { .. } | Because::Silent { .. } | Because::Job { .. } => {
                self.library.runbook_for(because, &member.card.labels).cloned()
            }
            Because::Ladder { .. } => Some(self.way_down(because)?),
            // What is wrong is not a host: people look, and neighbours wait.
            Because::Storm { .. } | Because::Untold { .. } => None,
            Because::Operator { runbook, .. } => {
                let known = self.library.runbook(runbook);
                let fits = known.filter(|known| known.selector.fits(&member.card.labels));
                let why = format!("runbook \"{runbook}\" is not for this peer");
                Some(fits.cloned().ok_or(Refusal::Misassigned { why })?)
            }
        };
        let (severity, told) = self.weighed(member, because, context.at);
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
            severity,
            told,
            opened_by: context.by,
            opened_at: context.at,
            closed_at: None,
            state: State::Open,
            plan,
            revision: self.library.revision(),
            evidence: None,
            evidence_until: if self.roster.is_guest(peer) {
                // A surgeon collects none.
                context.at
            } else {
                context.at.plus(steps.saturating_add(EVIDENCE_MARGIN))
            },
            climbed: 0,
            attempts: Vec::new(),
            held: None,
            notices: Vec::new(),
            timeline: Vec::new(),
            next_part: Part::Act,
            not_before: None,
            through: false,
            restarts: 0,
            approved: BTreeSet::new(),
            asked: None,
        };
        incident.note(context.at, context.by, Fact::Opened);
        self.incidents.insert(id, incident);
        self.open.insert(id);
        self.forget_old_incidents();
        self.latest.insert((peer, Subject::of(because)), id);
        match because {
            Because::Silent { .. } => self.count_silence(context.at),
            Because::Storm { .. } => self.engage(context, id),
            Because::Untold { notifier, .. } => self.tell_the_others(context, id, notifier),
            Because::Job { .. } => self.tell_of_job(because, Telling::Told),
            Because::Check { .. } | Because::Ladder { .. } | Because::Operator { .. } => {}
        }
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

    pub(super) fn hold(&mut self, context: &Context, id: IncidentId, refusal: &Refusal) -> Outcome {
        let told = self.whom_to_tell(id);
        let incident = self.still_open(id)?;
        if let Some(attempt) = incident.in_flight() {
            let (attempt, until) = (attempt.number, attempt.until);
            return Err(Refusal::AttemptUnderWay { incident: id, attempt, until });
        }
        let asks = matches!(
            refusal,
            Refusal::AwaitingApproval { .. }
                | Refusal::UnknownOutcome { .. }
                | Refusal::UndoFailed { .. }
        );
        if asks {
            self.unbraked_by_id(id)?;
        }
        let incident = self.still_open(id)?;
        if incident.held.as_ref() == Some(refusal) {
            let why = "it is held back by this rule already".to_owned();
            return Err(Refusal::WrongState { incident: id, why });
        }
        if matches!(refusal, Refusal::AwaitingApproval { .. }) {
            self.ask(context, id)?;
        }
        let incident = self.still_open(id)?;
        incident.state = State::Waiting;
        incident.held = Some(refusal.clone());
        incident.note(context.at, context.by, Fact::Held(refusal.clone()));
        if matches!(refusal, Refusal::UnknownOutcome { .. } | Refusal::UndoFailed { .. }) {
            tell_people(incident, context, &told, News::Called);
        }
        Ok(Effect::Done)
    }

    pub(super) fn call(&mut self, context: &Context, id: IncidentId, rung: u32) -> Outcome {
        self.unbraked_by_id(id)?;
        let incident = self.still_open(id)?;
        let notifier = match incident.next_rung().and_then(Rung::tells) {
            Some(notifier) if rung == incident.climbed => notifier.clone(),
            Some(_) | None => {
                let why = format!("rung {} does not tell a person now", rung.saturating_add(1));
                return Err(Refusal::WrongState { incident: id, why });
            }
        };
        let told = self.incidents.get(&id).map(|incident| self.routed(&notifier, incident));
        let incident = self.still_open(id)?;
        incident.climbed += 1;
        tell_people(incident, context, &told.unwrap_or_default(), News::Called);
        if incident.next_rung().is_none() {
            incident.state = State::Escalated;
            incident.held = None;
            let reason = "every rung was climbed; a person is called".to_owned();
            incident.note(context.at, context.by, Fact::Escalated(reason));
        }
        Ok(Effect::Done)
    }

    pub(super) fn escalate(&mut self, context: &Context, id: IncidentId, reason: &str) -> Outcome {
        self.unbraked_by_id(id)?;
        let told = self.whom_to_tell(id);
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
            tell_people(incident, context, &told, News::Called);
        }
        Ok(Effect::Done)
    }

    fn unbraked_by_id(&self, id: IncidentId) -> Result<(), Refusal> {
        self.incidents.get(&id).map_or(Ok(()), |incident| self.unbraked(incident))
    }

    pub(super) fn skip_rung(
        &mut self,
        context: &Context,
        id: IncidentId,
        rung: u32,
        refusal: &Refusal,
    ) -> Outcome {
        let incident = self.incidents.get(&id).ok_or(Refusal::UnknownIncident { incident: id })?;
        let wrong = |why: &str| Refusal::WrongState { incident: id, why: why.to_owned() };
        let due = incident.climbed == rung && incident.next_part == Part::Act;
        // Whom the leader hears of only the leader knows.
        let nobody = matches!(refusal, Refusal::NoWorker { .. })
            && incident.next_rung().is_some_and(Rung::is_for_some_neighbours);
        let returning = matches!(refusal, Refusal::Returning { .. })
            && matches!(incident.because, Because::Silent { .. });
        let seen = nobody || returning;
        if !due || (!seen && limits::passed_over(self, incident, context.at).is_ok()) {
            return Err(wrong("no rule passes this rung over"));
        }
        let incident = self.still_open(id)?;
        if incident.in_flight().is_some() {
            return Err(wrong("an attempt is under way"));
        }
        (incident.climbed, incident.through) = incident.place_after(rung, false);
        incident.held = None;
        incident.note(context.at, context.by, Fact::Skipped(rung, refusal.clone()));
        Ok(Effect::Done)
    }

    /// Begins the way down a ladder anew, as often as it says.
    pub(super) fn restart(&mut self, context: &Context, id: IncidentId) -> Outcome {
        let wrong = |why: &str| Refusal::WrongState { incident: id, why: why.to_owned() };
        let incident = self.incidents.get(&id).ok_or(Refusal::UnknownIncident { incident: id })?;
        if !self.may_restart(incident) {
            return Err(wrong("it is not to be begun anew"));
        }
        let incident = self.still_open(id)?;
        incident.restarts += 1;
        incident.climbed = 0;
        incident.through = false;
        incident.held = None;
        incident.note(context.at, context.by, Fact::Restarted);
        Ok(Effect::Done)
    }

    pub(super) fn still_open(&mut self, id: IncidentId) -> Result<&mut Incident, Refusal> {
        let incident =
            self.incidents.get_mut(&id).ok_or(Refusal::UnknownIncident { incident: id })?;
        if incident.state.is_over() {
            return Err(Refusal::IncidentOver { incident: id });
        }
        Ok(incident)
    }
}

/// Tells people.
pub(super) fn tell_people(
    incident: &mut Incident,
    context: &Context,
    told: &BTreeSet<Name>,
    news: News,
) {
    for notifier in told {
        incident.give_notice(context.at, notifier.clone(), news);
        incident.note(context.at, context.by, Fact::Called(notifier.clone()));
    }
}

/// What the last execution is remembered by.
pub(super) fn rung_on_peer(incident: &Incident) -> Option<(Name, String, PeerId)> {
    let last = incident.attempts.iter().rev().find(|attempt| attempt.part == Part::Act)?;
    let (plan, rung) = (incident.plan.as_ref()?, incident.rung(last.rung)?);
    Some((plan.name.clone(), rung.name.clone(), incident.peer))
}
