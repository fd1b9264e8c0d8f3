//! Nothing is called well that nobody saw well: an incident about a check is resolved only after the
//! check could have passed.

use super::{Invariant, Observed, Step};
use protocol::{
    document::Verdict,
    ledger::incident::{Incident, State},
    name::{IncidentId, Name, PeerId},
    record::{Because, Record},
};
use std::{collections::BTreeMap, time::Duration};

/// Since when each service has been broken without a break, and when each incident was opened, by
/// the world's own time.
#[derive(Debug, Default)]
pub(super) struct Verified {
    wrong_since: BTreeMap<(PeerId, Name), Duration>,
    opened: BTreeMap<IncidentId, Duration>,
    read: usize,
}

impl Invariant for Verified {
    fn name(&self) -> &'static str {
        "an incident is resolved only when it was seen that all is well"
    }

    fn after(&mut self, world: &dyn Observed, _step: &Step<'_>) -> Result<(), String> {
        let fails = |key: &(PeerId, Name)| world.broken().get(key) == Some(&Verdict::Fail);
        self.wrong_since.retain(|key, _| fails(key));
        for key in world.broken().keys().filter(|key| fails(key)) {
            self.wrong_since.entry(key.clone()).or_insert(world.time());
        }
        while let Some(logged) = world.log().get(self.read) {
            self.read += 1;
            match logged.entry.as_ref().map(|entry| &entry.record) {
                Some(Record::Opened { .. }) => {
                    self.opened.insert(IncidentId(logged.position.index), world.time());
                }
                Some(Record::Resolved { incident, .. }) => self.was_well(world, *incident)?,
                Some(_) | None => {}
            }
        }
        Ok(())
    }
}

impl Verified {
    fn was_well(&self, world: &dyn Observed, id: IncidentId) -> Result<(), String> {
        let incident = world.truth().incidents().get(&id);
        let resolved = incident.filter(|incident| incident.state == State::Resolved);
        let Some((incident, check)) = resolved.and_then(|incident| watched(world, incident)) else {
            return Ok(());
        };
        let wrong_since = self.wrong_since.get(&(incident.peer, check.clone()));
        match (wrong_since, self.opened.get(&id)) {
            (Some(since), Some(opened)) if since <= opened => Err(format!(
                "{id} is resolved, and {check} has not worked on {} since {since:?}",
                world.name(incident.peer)
            )),
            (_, _) => Ok(()),
        }
    }
}

/// An incident about a check that still concerns its peer.
fn watched<'w>(world: &dyn Observed, incident: &'w Incident) -> Option<(&'w Incident, &'w Name)> {
    let Because::Check { check, .. } = &incident.because else { return None };
    let member = world.truth().roster().member(incident.peer)?;
    let known = world.truth().library().check(check)?;
    known.selector.fits(&member.card.labels).then_some((incident, check))
}
