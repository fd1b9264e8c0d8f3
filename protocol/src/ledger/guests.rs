//! What surgeons of guests are handed: each execution once, and only after the log has it.
//!
//! A surgeon keeps nothing on disk and says nothing of what it has begun, so all that can be known
//! stands here. An execution that was given to a guest waits until its surgeon asks for it. The
//! first asking that is committed takes it; whoever asks later is refused, another peer, another
//! surgeon with the same application id or the same one that came back. What nobody asked for can be
//! taken back and is known not to have run; what was asked for and not reported is `unknown`.

use super::{
    Context, Effect, Ledger, Outcome,
    attempts::{ATTEMPT_MARGIN, after_attempt, pass_on},
    incident::{Attempt, Fact},
};
use crate::{
    name::IncidentId,
    record::{self, AttemptReport},
    refusal::Refusal,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, time::Duration};

/// What a surgeon may take beyond the time limit and the margin that a peer has: for the answer on
/// its way there, and for the report on its way back.
pub const HANDING_OVER: Duration = Duration::from_secs(30);

/// For how long after its end an operation is known, so that a report that is sent again is
/// answered like the first.
const KNOWN_FOR: Duration = Duration::from_secs(24 * 3_600);

/// An execution that was given to a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Given {
    /// When it is forgotten.
    forgotten_at: Timestamp,
    /// When its surgeon was handed it, once it has asked for it.
    handed_at: Option<Timestamp>,
}

/// What was given to guests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guests {
    given: BTreeMap<(IncidentId, u32), Given>,
    operations: BTreeMap<[u8; 32], (IncidentId, u32)>,
}

/// What the log keeps of an operation's id, so that only the surgeon and the peer that handed it
/// over can report.
pub fn hash_of(operation: u64) -> [u8; 32] {
    Sha256::digest(operation.to_be_bytes()).into()
}

impl Guests {
    /// Whether an execution was given to a guest.
    pub fn has(&self, incident: IncidentId, attempt: u32) -> bool {
        self.given.contains_key(&(incident, attempt))
    }

    /// Whether an execution of a guest's waits for its surgeon.
    pub fn waits(&self, incident: IncidentId, attempt: u32) -> bool {
        self.given.get(&(incident, attempt)).is_some_and(|given| given.handed_at.is_none())
    }

    /// Whether this is the asking that took an execution.
    pub fn is_claimed_by(&self, incident: IncidentId, attempt: u32, operation: [u8; 32]) -> bool {
        self.operations.get(&operation) == Some(&(incident, attempt))
    }

    /// Whether a surgeon was handed an operation with this id, of late.
    pub fn knows(&self, operation: u64) -> bool {
        self.operations.contains_key(&hash_of(operation))
    }

    pub(super) fn give(&mut self, incident: IncidentId, attempt: &Attempt) {
        let given = Given { forgotten_at: attempt.until.plus(KNOWN_FOR), handed_at: None };
        self.given.insert((incident, attempt.number), given);
        self.forget(attempt.assigned_at);
    }

    fn forget(&mut self, at: Timestamp) {
        self.given.retain(|_, given| at < given.forgotten_at);
        let given = &self.given;
        self.operations.retain(|_, key| given.contains_key(key));
    }
}

impl Ledger {
    /// What was given to guests.
    pub const fn guests(&self) -> &Guests {
        &self.guests
    }

    /// Whether a surgeon may be handed this execution now.
    ///
    /// # Errors
    /// The [`Refusal`] that names the rule.
    pub fn claimable(
        &self,
        id: IncidentId,
        number: u32,
        at: Timestamp,
    ) -> Result<&Attempt, Refusal> {
        let incident = self.incidents.get(&id).ok_or(Refusal::UnknownIncident { incident: id })?;
        if incident.state.is_over() {
            return Err(Refusal::IncidentOver { incident: id });
        }
        let attempt = incident.in_flight().filter(|attempt| attempt.number == number);
        let Some(attempt) = attempt.filter(|_| self.guests.has(id, number)) else {
            let why = format!("attempt {number} does not wait for a surgeon");
            return Err(Refusal::WrongState { incident: id, why });
        };
        if !self.guests.waits(id, number) {
            return Err(Refusal::Claimed { incident: id, attempt: number });
        }
        if at > attempt.start_by {
            return Err(Refusal::TooLate { start_by: attempt.start_by });
        }
        if let Some(freeze) = self.frozen() {
            let (since, reason) = (freeze.since, freeze.reason.clone());
            return Err(Refusal::Frozen { since, reason });
        }
        self.unbraked(incident)?;
        Ok(attempt)
    }

    pub(super) fn claim(
        &mut self,
        context: &Context,
        (id, number): (IncidentId, u32),
        operation: [u8; 32],
    ) -> Outcome {
        self.roster
            .member(context.by)
            .ok_or(Refusal::UnknownPeer { peer: context.by.to_string() })?;
        // The same asking, committed twice because its first answer was lost, is one.
        if self.guests.is_claimed_by(id, number, operation) {
            return Ok(Effect::Done);
        }
        self.claimable(id, number, context.at)?;
        if self.guests.operations.contains_key(&operation) {
            return Err(Refusal::Claimed { incident: id, attempt: number });
        }
        let incident = self.still_open(id)?;
        let (by, at) = (context.by, context.at);
        let limit = incident.in_flight().and_then(|attempt| incident.rung(attempt.rung));
        let limit = limit.map_or(Duration::ZERO, |rung| rung.timeout);
        if let Some(attempt) = incident.attempts.last_mut() {
            // It had been given time to be asked for; from here its own time runs.
            let until = at.plus(limit).plus(ATTEMPT_MARGIN).plus(HANDING_OVER);
            attempt.until = until.min(attempt.until);
        }
        incident.note(at, by, Fact::Claimed(number));
        if let Some(given) = self.guests.given.get_mut(&(id, number)) {
            given.handed_at = Some(at);
        }
        self.guests.operations.insert(operation, (id, number));
        Ok(Effect::Done)
    }

    pub(super) fn operated(
        &mut self,
        context: &Context,
        operation: u64,
        report: &AttemptReport,
    ) -> Outcome {
        let key = self.guests.operations.get(&hash_of(operation)).copied();
        let (id, number) = key.ok_or(Refusal::NoSuchOperation)?;
        if !matches!(report.outcome, record::Outcome::Succeeded | record::Outcome::Failed) {
            let why = "a surgeon says that it succeeded or failed".to_owned();
            return Err(Refusal::WrongState { incident: id, why });
        }
        let incident = self.incidents.get(&id).ok_or(Refusal::UnknownIncident { incident: id })?;
        let attempt = incident.attempts.iter().find(|attempt| attempt.number == number);
        let attempt = attempt.ok_or(Refusal::NoSuchOperation)?;
        if attempt.report.is_some() {
            // What is told again is answered like the first time.
            return Ok(Effect::Done);
        }
        // It says nothing of when it began: no earlier than this.
        let handed_at = self.guests.given.get(&(id, number)).and_then(|given| given.handed_at);
        let report = AttemptReport { started_at: handed_at, ..report.clone() };
        let of_guest = Context { position: context.position, at: context.at, by: attempt.worker };
        let outcome = self.report(&of_guest, id, number, &report);
        self.index_incident(id);
        outcome
    }

    pub(super) fn withdraw(
        &mut self,
        context: &Context,
        (id, number): (IncidentId, u32),
        reason: &str,
    ) -> Outcome {
        if !self.guests.waits(id, number) {
            return Err(Refusal::Claimed { incident: id, attempt: number });
        }
        let incident = self.still_open(id)?;
        let in_flight = incident.attempts.last_mut();
        let in_flight = in_flight.filter(|a| a.number == number && a.ended_at.is_none());
        let Some(attempt) = in_flight else {
            let why = format!("attempt {number} is not under way");
            return Err(Refusal::WrongState { incident: id, why });
        };
        let (rung, part) = (attempt.rung, attempt.part);
        let too_late = context.at > attempt.start_by;
        attempt.ended_at = Some(context.at);
        attempt.report = Some(AttemptReport {
            outcome: record::Outcome::Refused,
            exit_code: None,
            started_at: None,
            finished_at: context.at,
            output: reason.to_owned(),
        });
        incident.note(context.at, context.by, Fact::Withdrawn(number, reason.to_owned()));
        after_attempt(incident, (rung, part), record::Outcome::Refused, context.at);
        if too_late {
            // Nobody is there to do it: the next rung may be another host's.
            pass_on(incident, rung, part);
        }
        Ok(Effect::Done)
    }
}
