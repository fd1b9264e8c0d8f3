//! Notes what came about that must come about sometimes: see [`crate::sights`].

use super::{World, raft::is_stale};
use crate::sights::Sight;
use protocol::{
    ledger::{self, incident::State},
    name::{IncidentId, PeerId},
    record::{Because, Entry, Outcome, Position, Record},
    refusal::Refusal,
};

impl World<'_> {
    pub(super) fn saw(&mut self, sight: Sight) {
        self.sights.insert(sight);
    }

    pub(super) fn saw_if(&mut self, sight: Sight, came_about: bool) {
        if came_about {
            self.saw(sight);
        }
    }

    /// A daemon is about to end, with what it has under way.
    pub(super) fn see_the_end_of(&mut self, peer: PeerId) {
        if self.hosts[&peer].process.is_none() {
            return;
        }
        let truth = &self.raft.truth;
        let in_flight = || {
            truth.open_incidents().filter_map(|incident| Some((incident.id, incident.in_flight()?)))
        };
        let leads = self.raft.leader == Some(peer) && in_flight().next().is_some();
        let started = &self.hosts[&peer].disk.started;
        let after = in_flight()
            .any(|(id, attempt)| attempt.worker == peer && started.contains(&(id, attempt.number)));
        let within =
            self.writing.iter().any(|(writer, key)| writer.peer == peer && !started.contains(key));
        self.saw_if(Sight::LeaderDiedInARepair, leads);
        self.saw_if(Sight::WorkerDiedAfterTheStart, after);
        self.saw_if(Sight::WorkerDiedInTheWrite, within);
    }

    /// An entry was committed, and this is what the ledger made of it.
    pub(super) fn see_committed(
        &mut self,
        position: Position,
        entry: &Entry,
        outcome: &ledger::Outcome,
    ) {
        self.saw_if(Sight::DecisionOfAnEarlierTerm, is_stale(position, entry));
        self.saw_if(Sight::BrakeEngaged, self.raft.truth.brake().is_some());
        if outcome.is_err() {
            return;
        }
        match &entry.record {
            Record::Opened { because: Because::Silent { .. }, .. } => {
                self.saw_if(Sight::SilenceInAPartition, self.network.parts.is_some());
            }
            Record::Lost { .. } => self.saw(Sight::AttemptLost),
            Record::Streamed { batch } => self.see_batch(batch),
            Record::Alerted { words } => self.see_words(words),
            Record::Reported { report, .. } => {
                self.saw_if(Sight::OutcomeUnknown, report.outcome == Outcome::Unknown);
                self.saw_if(Sight::WorkRefused, report.outcome == Outcome::Refused);
            }
            Record::Held { refusal, .. } => self.see_held(refusal),
            Record::Resolved { incident, .. } => {
                let untouched = self.is_untouched_silence(*incident);
                self.saw_if(Sight::SilenceCleared, untouched);
            }
            Record::Called { .. } | Record::Escalated { .. } => self.saw(Sight::PersonCalled),
            Record::Assigned { incident, .. } => {
                let incidents = self.raft.truth.incidents();
                let without = incidents.get(incident).is_some_and(|known| {
                    let wanted = known.plan.as_ref().is_some_and(|plan| !plan.evidence.is_empty());
                    wanted && known.evidence.is_none()
                });
                self.saw_if(Sight::EvidenceMissing, without);
            }
            Record::Founded(_)
            | Record::Ordered { .. }
            | Record::PeerJoined { .. }
            | Record::PeerStarted { .. }
            | Record::PeerStopped { .. }
            | Record::PeerLeft { .. }
            | Record::DocumentsApplied { .. }
            | Record::Opened { .. }
            | Record::EvidenceTaken { .. }
            | Record::Notified { .. }
            | Record::Skipped { .. }
            | Record::Restarted { .. }
            | Record::CalledAgain { .. }
            | Record::Booted { .. }
            | Record::JobsTold { .. }
            | Record::Missed { .. }
            | Record::Forgotten { .. }
            | Record::Listening
            | Record::Claimed { .. }
            | Record::Operated { .. }
            | Record::Withdrawn { .. }
            | Record::NotRebooted { .. } => {}
        }
    }

    fn see_held(&mut self, refusal: &Refusal) {
        match refusal.word() {
            "blast-radius" | "share" | "per-hour" | "min-healthy" | "zone" => {
                self.saw(Sight::HeldByALimit);
            }
            "cool-down" => self.saw(Sight::HeldByACoolDown),
            "frozen" => self.saw(Sight::HeldByAFreeze),
            _ => {}
        }
    }

    fn is_untouched_silence(&self, incident: IncidentId) -> bool {
        self.raft.truth.incidents().get(&incident).is_some_and(|known| {
            matches!(known.because, Because::Silent { .. })
                && known.state == State::Resolved
                && known.attempts.is_empty()
        })
    }
}
