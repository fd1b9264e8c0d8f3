//! All replicas that have applied the log up to the same place hold equal ledgers, byte for byte,
//! whether entry by entry, after a restart or from a snapshot.

use super::{Invariant, Step};
use crate::world::World;

/// Looks at each step for itself.
#[derive(Debug)]
pub(super) struct EqualLedgers;

impl Invariant for EqualLedgers {
    fn name(&self) -> &'static str {
        "replicas at the same place are equal"
    }

    fn after(&mut self, world: &World<'_>, step: &Step<'_>) -> Result<(), String> {
        if !step.applied {
            return Ok(());
        }
        let Some(process) = &world.hosts[&step.peer].process else { return Ok(()) };
        let ledger = process.agent.ledger();
        let position = ledger.position();
        let Some(logged) = world.raft.logged(position.index) else {
            let who = world.name(step.peer);
            return Err(format!("{who} is at {}, which is not committed", position.index));
        };
        if logged.position != position || logged.ledger != World::fingerprint(ledger) {
            return Err(format!(
                "the ledger of {} at {}.{} is not what follows from the log",
                world.name(step.peer),
                position.term,
                position.index
            ));
        }
        Ok(())
    }
}
