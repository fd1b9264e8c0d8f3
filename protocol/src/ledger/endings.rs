//! How incidents end: by themselves, by an operator, with the storm that they were.

use super::{
    Context, Effect, Ledger, Outcome,
    heartbeats::Telling,
    incident::{Fact, Incident, News, Notice, State},
    incidents::rung_on_peer,
};
use crate::{name::IncidentId, record::Delivered, refusal::Refusal, time::Timestamp};
use std::collections::BTreeSet;

/// What is said of a call that was not made in time.
pub const OVER: &str = "not sent: the incident is over";

impl Ledger {
    pub(super) fn resolve(&mut self, context: &Context, id: IncidentId, because: &str) -> Outcome {
        self.calmed(id, context.at)?;
        let incident = self.still_open(id)?;
        if let Some(attempt) = incident.in_flight() {
            let (attempt, until) = (attempt.number, attempt.until);
            return Err(Refusal::AttemptUnderWay { incident: id, attempt, until });
        }
        incident.note(context.at, context.by, Fact::Resolved(because.to_owned()));
        let helped = (incident.state != State::Escalated).then(|| rung_on_peer(incident)).flatten();
        let repaired = helped.is_some() && incident.repaired_by().is_some();
        let told = self.incidents.get(&id).filter(|_| repaired);
        let told = told.map(|incident| self.whom_to_tell_of_repair(incident)).unwrap_or_default();
        self.end(id, context.at, State::Resolved);
        for notifier in told {
            if let Some(incident) = self.incidents.get_mut(&id) {
                incident.give_notice(context.at, notifier, News::Repaired);
            }
        }
        if let Some(key) = helped {
            self.memory.helped(&key, id);
        }
        // Where it was not the job that ended it, somebody else has to be told of it.
        let because = self.incidents.get(&id).map(|incident| incident.because.clone());
        if let Some(because) = because {
            self.tell_of_job(&because, Telling::Anew);
        }
        self.release(id);
        Ok(Effect::Done)
    }

    pub(super) fn close(&mut self, context: &Context, id: IncidentId, reason: &str) -> Outcome {
        if self.brake.is_some_and(|brake| brake.incident == Some(id)) {
            // Whoever closes the storm says what one says who thaws the mesh.
            self.brake = None;
            self.thawed_at = context.at;
        }
        let incident = self.still_open(id)?;
        incident.note(context.at, context.by, Fact::Closed(reason.to_owned()));
        let because = incident.because.clone();
        self.end(id, context.at, State::Closed);
        self.tell_of_job(&because, Telling::Closed);
        // What is being executed goes on: until it has ended, or can no longer act, it counts.
        let incidents = &self.incidents;
        self.repairing.retain(|id| incidents.get(id).is_some_and(|i| counts_at(i, context.at)));
        Ok(Effect::Done)
    }

    /// An operator thawed the mesh: its storm is over.
    pub(super) fn end_storm(&mut self, context: &Context, id: IncidentId) {
        let Ok(incident) = self.still_open(id) else { return };
        let because = "an operator lets neighbours act again".to_owned();
        incident.note(context.at, context.by, Fact::Resolved(because));
        self.end(id, context.at, State::Resolved);
        self.index_incident(id);
    }

    /// It is over: whoever may know of it is told so.
    pub(super) fn end(&mut self, id: IncidentId, at: Timestamp, state: State) {
        self.open.remove(&id);
        let Some(incident) = self.incidents.get(&id) else { return };
        let waits =
            |notice: &&Notice| notice.done.is_none() && !self.may_be_out(notice, incident, at);
        let unsent: BTreeSet<u32> =
            incident.notices.iter().filter(waits).map(|notice| notice.number).collect();
        let silent = self.without_recovery();
        let Some(incident) = self.incidents.get_mut(&id) else { return };
        incident.state = state;
        incident.closed_at = Some(at);
        incident.held = None;
        let mut told = BTreeSet::new();
        for notice in &mut incident.notices {
            match &notice.done {
                Some((_, delivered, _)) if delivered.may_be() => {
                    told.insert(notice.notifier.clone());
                }
                None if unsent.contains(&notice.number) => {
                    notice.done = Some((at, Delivered::No, OVER.to_owned()));
                }
                // What may be out already stays due until a leader says what became of it.
                Some(_) | None => {}
            }
        }
        for notifier in told.difference(&silent).cloned() {
            incident.give_notice(at, notifier, News::Resolved);
        }
    }

    /// The incidents whose targets are under repair; a closed one while its attempt may still act.
    pub(super) fn under_repair(&self, at: Timestamp) -> impl Iterator<Item = &Incident> {
        self.repairing
            .iter()
            .filter_map(|id| self.incidents.get(id))
            .filter(move |incident| counts_at(incident, at))
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
