//! For what a rung waits that only the leader can see, and for how long until it is passed over: for
//! a neighbour that may climb it, and for a silent peer that is heard of again.

use super::Agent;
use crate::{
    document::Rung,
    ledger::incident::{Fact, Incident},
    record::{Because, Part},
    refusal::Refusal,
    time::Timestamp,
};
use std::time::Duration;

/// How long nothing is done to a silent peer that gossip hears of again and no probe reaches, until
/// it is left to a person.
pub(super) const RETURNING_FOR: Duration = Duration::from_secs(30);

/// How long one of the neighbours that a rung names is waited for, when none is heard of.
const NOBODY_FOR: Duration = Duration::from_secs(5);

impl Agent {
    /// Whether a rung that only some neighbours may climb has waited long enough for one of them:
    /// all that are heard of have tried, or none is.
    pub(super) fn is_nobody_left(&self, incident: &Incident, rung: &Rung, at: Timestamp) -> bool {
        if !rung.is_for_some_neighbours() || incident.next_part != Part::Act {
            return false;
        }
        let tried = !incident.tried_by(incident.climbed).is_empty();
        let nobody = Refusal::NoWorker { why: String::new() };
        tried || held_since(incident, &nobody).is_some_and(|since| at >= since.plus(NOBODY_FOR))
    }

    /// That a silent peer is heard of again, while no probe has reached it yet: it may hold what a
    /// rung would take from it.
    pub(super) fn is_returning(&self, incident: &Incident, at: Timestamp) -> Option<Refusal> {
        let peer = incident.peer;
        if !matches!(incident.because, Because::Silent { .. }) {
            return None;
        }
        // What gossip has said all the time it says because it is slow.
        let gossip = self.view.since(peer).filter(|_| self.view.is_alive(peer) == Some(true));
        let started = self.ledger.roster().member(peer).map(|member| member.since);
        let since = gossip
            .filter(|since| *since >= incident.opened_at)
            .or(started.filter(|since| *since > incident.opened_at))
            .or(self.leader.silence.is_answering(peer).then_some(at))?;
        Some(Refusal::Returning { peer: self.ledger.roster().name(peer), since })
    }
}

/// Since when a rule of this kind holds an incident back, if one does.
pub(super) fn held_since(incident: &Incident, like: &Refusal) -> Option<Timestamp> {
    let alike = |held: &Refusal| std::mem::discriminant(held) == std::mem::discriminant(like);
    incident.held.as_ref().filter(|held| alike(held))?;
    let lines = incident.timeline.iter().rev();
    lines
        .map_while(
            |line| if let Fact::Held(held) = &line.fact { Some((held, line.at)) } else { None },
        )
        .find_map(|(held, at)| alike(held).then_some(at))
}

/// Why no neighbour can climb a rung.
pub(super) fn nobody(incident: &Incident, rung: &Rung) -> String {
    let tried = incident.tried_by(incident.climbed).len();
    if rung.count > 1 && tried > 0 {
        return format!("no other neighbour is heard of than those {tried} that have tried it");
    }
    if rung.selector.0.is_empty() {
        "no neighbour is heard of".to_owned()
    } else {
        format!("no neighbour with {} is heard of", rung.selector)
    }
}
