//! What a leader decided holds only in the term in which it led: a decision that came into the log
//! in a later one changes nothing.

use super::{Invariant, Observed, Step};
use crate::world::raft::is_stale;
use protocol::{
    name::IncidentId,
    record::{Entry, Position, Record},
};

/// How much of the log was read.
#[derive(Debug, Default)]
pub(super) struct Terms {
    read: usize,
}

impl Invariant for Terms {
    fn name(&self) -> &'static str {
        "a decision holds in its own term only"
    }

    fn after(&mut self, world: &dyn Observed, _step: &Step<'_>) -> Result<(), String> {
        while let Some(logged) = world.log().get(self.read) {
            self.read += 1;
            let stale = logged.entry.as_ref().filter(|entry| is_stale(logged.position, entry));
            if let Some(entry) = stale.filter(|entry| was_taken(world, logged.position, entry)) {
                return Err(format!(
                    "{} decided in term {} what was taken in term {}: {}",
                    world.name(entry.by),
                    entry.term,
                    logged.position.term,
                    crate::world::describe::entry(entry)
                ));
            }
        }
        Ok(())
    }
}

/// Whether the ledger has made something of it.
fn was_taken(world: &dyn Observed, position: Position, entry: &Entry) -> bool {
    let incidents = world.truth().incidents();
    if let Record::Opened { .. } = &entry.record {
        return incidents.contains_key(&IncidentId(position.index));
    }
    // What the others change is not kept with a place in the log.
    let Record::Assigned { incident, attempt, worker, start_by, .. } = &entry.record else {
        return false;
    };
    incidents.get(incident).is_some_and(|known| {
        known.attempts.iter().any(|one| {
            (one.number, one.worker, one.start_by, one.term)
                == (*attempt, *worker, *start_by, position.term)
        })
    })
}
