//! Nothing starts while the mesh is frozen, as far as the worker can know it.

use super::{Invariant, Observed, Step, executions};
use protocol::ledger::Ledger;

/// Looks at each step for itself.
#[derive(Debug)]
pub(super) struct Frozen;

impl Invariant for Frozen {
    fn name(&self) -> &'static str {
        "nothing starts while the mesh is frozen"
    }

    fn after(&mut self, world: &dyn Observed, step: &Step<'_>) -> Result<(), String> {
        for execution in executions(world, step) {
            let (incident, attempt) = execution?;
            let frozen = world.replica(step.peer).and_then(Ledger::frozen);
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
