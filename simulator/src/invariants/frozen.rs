//! Nothing starts while the mesh is frozen, as far as the worker can know it.

use super::{Invariant, Step, executions};
use crate::world::World;

/// Looks at each step for itself.
#[derive(Debug)]
pub(super) struct Frozen;

impl Invariant for Frozen {
    fn name(&self) -> &'static str {
        "nothing starts while the mesh is frozen"
    }

    fn after(&mut self, world: &World<'_>, step: &Step<'_>) -> Result<(), String> {
        for execution in executions(world, step) {
            let (incident, attempt) = execution?;
            let process = world.hosts[&step.peer].process.as_ref();
            let frozen = process.and_then(|process| process.agent.ledger().frozen());
            if let Some(freeze) = frozen {
                return Err(format!(
                    "{} starts attempt {} of {} and knows of the freeze since {}",
                    world.name(step.peer),
                    attempt.number,
                    incident.id,
                    freeze.since
                ));
            }
        }
        Ok(())
    }
}
