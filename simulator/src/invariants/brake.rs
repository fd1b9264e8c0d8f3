//! The storm brake: while more peers are silent than chance explains, no neighbour acts on a
//! silence and nobody is called about a single one; and the brake is not released too early.
//!
//! It reads the committed log for itself, in its order, and counts by its own books: what the
//! ledger says of its brake is not asked, except by whom a worker could have known it.

use super::{Invariant, Observed, Step, executions};
use protocol::{
    ledger::{
        Ledger,
        incident::{News, Notice, State},
        roster::Standing,
    },
    name::{IncidentId, PeerId},
    order::Action,
    record::{Because, Record},
    time::Timestamp,
};
use std::collections::BTreeMap;

/// What the log has said so far.
#[derive(Debug, Default)]
pub(super) struct Brake {
    /// How much of the log was read.
    read: usize,
    /// The silences that are open, and when they were opened.
    silences: BTreeMap<IncidentId, (PeerId, Timestamp)>,
    /// The storm that is told of, where one is.
    storm: Option<IncidentId>,
    /// Whether there is a storm, told of or not, and when a peer last fell silent in it.
    latest: Option<Timestamp>,
    /// What was opened before this is not counted: an operator has seen it.
    thawed: Timestamp,
}

impl Invariant for Brake {
    fn name(&self) -> &'static str {
        "no neighbour acts on a silence in a storm"
    }

    fn after(&mut self, world: &dyn Observed, step: &Step<'_>) -> Result<(), String> {
        for execution in executions(world, step) {
            let (incident, attempt) = execution?;
            let known = world.replica(step.peer).and_then(Ledger::brake);
            let is_silence = matches!(incident.because, Because::Silent { .. });
            if let Some(brake) = known.filter(|_| is_silence) {
                return Err(format!(
                    "{} starts attempt {} of {} and knows of the storm since {}",
                    world.name(step.peer),
                    attempt.number,
                    incident.id,
                    brake.since
                ));
            }
        }
        let log = world.log();
        while let Some(logged) = log.get(self.read) {
            self.read += 1;
            if let Some(entry) = &logged.entry {
                self.see(world, IncidentId(logged.position.index), &entry.record)?;
            }
        }
        Ok(())
    }
}

impl Brake {
    /// Takes the next record of the log; `id` is that of the incident that it opens, if it does.
    fn see(&mut self, world: &dyn Observed, id: IncidentId, record: &Record) -> Result<(), String> {
        let incidents = world.truth().incidents();
        match record {
            Record::Opened { peer, because: Because::Silent { .. } } => {
                let Some(opened) = incidents.get(&id) else { return Ok(()) };
                self.silences.insert(id, (*peer, opened.opened_at));
                if self.latest.is_some() || self.is_storm(world, opened.opened_at) {
                    self.latest = Some(opened.opened_at);
                }
            }
            Record::Opened { because: Because::Storm { .. }, .. } => {
                let Some(opened) = incidents.get(&id) else { return Ok(()) };
                self.storm = Some(id);
                self.latest.get_or_insert(opened.opened_at);
            }
            Record::Assigned { incident, attempt, worker, start_by, .. }
                if self.holds_back(*incident) =>
            {
                let taken = incidents.get(incident).is_some_and(|known| {
                    known.attempts.iter().any(|one| {
                        (one.number, one.worker, one.start_by) == (*attempt, *worker, *start_by)
                    })
                });
                if taken {
                    return Err(format!(
                        "attempt {attempt} of {incident} is given to {} in a storm",
                        world.name(*worker)
                    ));
                }
            }
            Record::Resolved { incident, .. } => {
                let closed_at = incidents.get(incident).and_then(|known| known.closed_at);
                let Some(closed_at) = closed_at else { return Ok(()) };
                self.silences.remove(incident);
                if self.storm == Some(*incident) {
                    let calm = world.truth().settings().storm_calm;
                    if let Some(latest) = self.latest.filter(|at| closed_at < at.plus(calm)) {
                        return Err(format!(
                            "{incident} is over at {closed_at}, and a peer fell silent at {latest}"
                        ));
                    }
                    (self.storm, self.latest) = (None, None);
                }
            }
            Record::Ordered { order } => match &order.order.action {
                Action::Thaw => self.thaw(world),
                Action::Close { incident, .. } => {
                    let over = incidents.get(incident).is_some_and(|i| i.state == State::Closed);
                    if over && self.storm == Some(*incident) {
                        self.thaw(world);
                    }
                    if over {
                        self.silences.remove(incident);
                    }
                }
                Action::CreateToken(_)
                | Action::RemovePeer { .. }
                | Action::Freeze { .. }
                | Action::Approve { .. }
                | Action::Deny { .. }
                | Action::Acknowledge { .. }
                | Action::StartMaintenance { .. }
                | Action::EndMaintenance { .. }
                | Action::RunRunbook { .. } => {}
            },
            Record::Founded(_)
            | Record::PeerJoined { .. }
            | Record::PeerStarted { .. }
            | Record::PeerStopped { .. }
            | Record::PeerLeft { .. }
            | Record::DocumentsApplied { .. }
            | Record::Opened { .. }
            | Record::EvidenceTaken { .. }
            | Record::Assigned { .. }
            | Record::Reported { .. }
            | Record::Lost { .. }
            | Record::Held { .. }
            | Record::Escalated { .. }
            | Record::Called { .. }
            | Record::Notified { .. }
            | Record::Skipped { .. }
            | Record::Restarted { .. }
            | Record::CalledAgain { .. }
            | Record::Booted { .. }
            | Record::Alerted { .. }
            | Record::Streamed { .. }
            | Record::JobsTold { .. }
            | Record::Missed { .. }
            | Record::Forgotten { .. }
            | Record::Listening
            | Record::Claimed { .. }
            | Record::Operated { .. }
            | Record::Withdrawn { .. }
            | Record::NotRebooted { .. } => {}
        }
        self.nobody_is_called(world)
    }

    /// An operator has seen who is silent.
    fn thaw(&mut self, world: &dyn Observed) {
        self.thawed = world.truth().thawed_at();
        (self.storm, self.latest) = (None, None);
    }

    fn holds_back(&self, incident: IncidentId) -> bool {
        self.latest.is_some() && self.silences.contains_key(&incident)
    }

    /// Nobody is called about one of the silences that opened in the storm, while it lasts.
    fn nobody_is_called(&self, world: &dyn Observed) -> Result<(), String> {
        let Some(latest) = self.latest else { return Ok(()) };
        for (id, (peer, _)) in &self.silences {
            let Some(incident) = world.truth().incidents().get(id) else { continue };
            let is_call = |notice: &&Notice| notice.news == News::Called && notice.due_at > latest;
            if let Some(notice) = incident.notices.iter().find(is_call) {
                // Another storm may have passed since: then the books are behind the ledger.
                if world.truth().brake().is_some_and(|brake| notice.due_at >= brake.since) {
                    return Err(format!("a person is called about {} alone", world.name(*peer)));
                }
            }
        }
        Ok(())
    }

    /// More than the share of those who should answer, or all of a zone of two and more, where
    /// there is another.
    fn is_storm(&self, world: &dyn Observed, at: Timestamp) -> bool {
        let truth = world.truth();
        let settings = truth.settings();
        let counts =
            |opened: Timestamp| opened > self.thawed && at.since(opened) <= settings.storm_window;
        let fallen: Vec<PeerId> =
            self.silences.values().filter(|(_, at)| counts(*at)).map(|(peer, _)| *peer).collect();
        let mut zones: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        let mut running = 0;
        let mut silent = 0;
        for (peer, member) in truth.roster().members() {
            if member.standing != Standing::Running {
                continue;
            }
            let gone = usize::from(fallen.contains(&peer));
            let zone = zones.entry(member.zone()).or_default();
            *zone = (zone.0 + 1, zone.1 + gone);
            running += 1;
            silent += gone;
        }
        let share = usize::try_from(settings.storm_share_percent).unwrap_or(usize::MAX);
        let least = usize::try_from(settings.storm_at_least).unwrap_or(usize::MAX);
        let whole =
            zones.iter().any(|(zone, (all, gone))| !zone.is_empty() && *all >= 2 && all == gone);
        (silent >= least && silent * 100 > running * share) || (whole && zones.len() > 1)
    }
}
