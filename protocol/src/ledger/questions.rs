//! What a person is asked before a rung is climbed, and what operators say of an incident.

use super::{
    Context, Effect, Ledger, Outcome,
    incident::{Fact, News, State},
};
use crate::{
    document::{Approve, Mode},
    ledger::incident::Incident,
    name::{IncidentId, Name, PeerId},
    record::{Because, Part, Position},
    refusal::Refusal,
    time::Timestamp,
};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

/// A question to a person that stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Place of the rung that it is about, from 0.
    pub rung: u32,
    /// When it is withdrawn.
    pub until: Timestamp,
}

impl Incident {
    /// Who has to approve the next rung and for how long they are asked, when it needs approval
    /// that nobody gave yet.
    pub fn needs_approval(&self) -> Option<Approve> {
        let (plan, rung) = (self.plan.as_ref()?, self.next_rung()?);
        if rung.tells().is_some() || self.next_part != Part::Act {
            return None;
        }
        if let Some(approve) = &rung.approve {
            return (!self.approved.contains(&self.climbed)).then(|| approve.clone());
        }
        // A runbook that asks, asks once for each incident.
        let asks = plan.mode == Mode::Ask && self.approved.is_empty();
        asks.then(Approve::default)
    }
}

impl Ledger {
    pub(super) fn approve(
        &mut self,
        context: &Context,
        id: IncidentId,
        operator: [u8; 32],
    ) -> Outcome {
        let rung = self.question(context, id, operator)?;
        let incident = self.still_open(id)?;
        incident.approved.insert(rung);
        incident.asked = None;
        incident.held = None;
        incident.note(context.at, context.by, Fact::Approved(rung, short(operator)));
        Ok(Effect::Done)
    }

    pub(super) fn deny(
        &mut self,
        context: &Context,
        id: IncidentId,
        operator: [u8; 32],
        reason: &str,
    ) -> Outcome {
        let rung = self.question(context, id, operator)?;
        let incident = self.still_open(id)?;
        incident.asked = None;
        incident.held = None;
        incident.state = State::Escalated;
        incident.note(
            context.at,
            context.by,
            Fact::Denied(rung, short(operator), reason.to_owned()),
        );
        Ok(Effect::Done)
    }

    /// The rung that a standing question is about, if this operator may answer it.
    fn question(
        &self,
        context: &Context,
        id: IncidentId,
        operator: [u8; 32],
    ) -> Result<u32, Refusal> {
        let incident = self.incidents.get(&id).ok_or(Refusal::UnknownIncident { incident: id })?;
        if incident.state.is_over() {
            return Err(Refusal::IncidentOver { incident: id });
        }
        let nothing = Refusal::NothingToApprove { incident: id };
        let question = incident.asked.ok_or_else(|| nothing.clone())?;
        let approve = incident.needs_approval().ok_or_else(|| nothing.clone())?;
        if question.until < context.at || question.rung != incident.climbed {
            return Err(nothing);
        }
        let key = HEXLOWER.encode(&operator);
        if !approve.by.is_empty() && !approve.by.iter().any(|by| key.starts_with(by.as_str())) {
            return Err(Refusal::NotApprover);
        }
        Ok(question.rung)
    }

    /// Puts the question: the leader holds the incident back until it is answered.
    pub(super) fn ask(&mut self, context: &Context, id: IncidentId) -> Result<(), Refusal> {
        let told = self.whom_to_tell(id);
        let incident = self.still_open(id)?;
        let approve =
            incident.needs_approval().ok_or(Refusal::NothingToApprove { incident: id })?;
        let question = Question { rung: incident.climbed, until: context.at.plus(approve.within) };
        if incident.asked.is_some_and(|asked| asked.rung == question.rung) {
            let why = "a person has been asked already".to_owned();
            return Err(Refusal::WrongState { incident: id, why });
        }
        incident.asked = Some(question);
        super::incidents::tell_people(incident, context, &told, News::Asked);
        Ok(())
    }

    pub(super) fn acknowledge(
        &mut self,
        context: &Context,
        id: IncidentId,
        operator: [u8; 32],
    ) -> Outcome {
        let incident = self.still_open(id)?;
        incident.note(context.at, context.by, Fact::Acknowledged(short(operator)));
        Ok(Effect::Done)
    }

    /// Opens an incident because an operator wants a runbook run.
    pub(super) fn run_runbook(
        &mut self,
        context: &Context,
        runbook: &Name,
        peer: PeerId,
        reason: &str,
    ) -> Outcome {
        let because = self.wanted(runbook, reason, context.at)?;
        // Both would do the same to the same host, one after the other. One that waits, for a person
        // or for a storm to pass, may be overtaken: rules hold for what is ordered as well.
        let begins = |other: &Incident| {
            other.is_under_repair() || (other.state == State::Open && self.unbraked(other).is_ok())
        };
        let climbs = self.open_incidents().find(|other| {
            other.peer == peer
                && other.plan.as_ref().is_some_and(|plan| plan.name == *runbook)
                && begins(other)
        });
        if let Some(other) = climbs {
            return Err(Refusal::AlreadyOpen { incident: other.id });
        }
        self.open(context, peer, &because)
    }

    /// The ledger as it would be if an operator ordered this runbook now, and the incident.
    ///
    /// # Errors
    /// The [`Refusal`] of the order.
    pub fn as_if_ordered(
        &self,
        runbook: &Name,
        peer: PeerId,
        at: Timestamp,
    ) -> Result<(Self, IncidentId), Refusal> {
        let mut copy = self.clone();
        let position = Position { index: self.position.index + 1, term: self.position.term };
        let context = Context { position, at, by: peer };
        copy.run_runbook(&context, runbook, peer, "as a trial")?;
        Ok((copy, IncidentId(position.index)))
    }

    /// The signal of an operator who wants a runbook run.
    ///
    /// # Errors
    /// [`Refusal::UnknownDocument`], where there is no such runbook.
    fn wanted(&self, runbook: &Name, reason: &str, since: Timestamp) -> Result<Because, Refusal> {
        let kind = crate::document::DocumentKind::Runbook;
        let key = crate::document::DocumentKey { kind, name: runbook.clone() };
        let known = self.library.runbook(runbook).ok_or(Refusal::UnknownDocument { key })?;
        let check = match &known.on {
            crate::document::On::Check(check) => Some(check.clone()),
            crate::document::On::Peer(_)
            | crate::document::On::Ladder(_)
            | crate::document::On::Operator => None,
        };
        let (runbook, reason) = (runbook.clone(), reason.to_owned());
        Ok(Because::Operator { runbook, check, reason, since })
    }
}

/// An operator as the history calls them: the beginning of their key.
pub(super) fn short(operator: [u8; 32]) -> String {
    HEXLOWER.encode(&operator[..4])
}
