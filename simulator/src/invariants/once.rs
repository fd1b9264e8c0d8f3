//! No attempt is executed twice: not by the same host after a crash, not by two hosts; and none
//! that the mesh has given up.

use super::{Invariant, Observed, Step, executions};
use protocol::name::{IncidentId, PeerId};
use std::{collections::BTreeMap, time::Duration};

/// Who began which attempt, and when.
#[derive(Debug, Default)]
pub(super) struct Once {
    began: BTreeMap<(IncidentId, u32), (PeerId, Duration)>,
}

impl Invariant for Once {
    fn name(&self) -> &'static str {
        "no attempt is executed twice"
    }

    fn after(&mut self, world: &dyn Observed, step: &Step<'_>) -> Result<(), String> {
        for execution in executions(world, step) {
            let (incident, attempt) = execution?;
            let key = (incident.id, attempt.number);
            if let Some((peer, at)) = self.began.insert(key, (step.peer, world.time())) {
                return Err(format!(
                    "{} executes attempt {} of {}, which {} began at {at:?}",
                    world.name(step.peer),
                    attempt.number,
                    incident.id,
                    world.name(peer),
                ));
            }
            if let Some(ended_at) = attempt.ended_at {
                return Err(format!(
                    "{} executes attempt {} of {}, which the log has ended at {ended_at}",
                    world.name(step.peer),
                    attempt.number,
                    incident.id,
                ));
            }
            if attempt.worker != step.peer {
                return Err(format!(
                    "{} executes attempt {} of {}, which was given to {}",
                    world.name(step.peer),
                    attempt.number,
                    incident.id,
                    world.name(attempt.worker),
                ));
            }
        }
        Ok(())
    }
}
