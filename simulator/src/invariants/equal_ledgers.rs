//! All replicas that have applied the log up to the same place hold equal ledgers, byte for byte,
//! whether entry by entry, after a restart or from a snapshot.
//!
//! Reading a whole ledger costs more than applying an entry to it. In a large mesh each replica is
//! looked at after every so many entries, each after others than its neighbour, and all of them at
//! the end: a ledger that has gone its own way does not come back. In a very large mesh the group's
//! own ledger is read after every so many entries only, and no replica is looked at in between.

use super::{Invariant, Observed, Step};
use protocol::name::PeerId;

/// Looks at each step for itself.
#[derive(Debug)]
pub(super) struct EqualLedgers;

impl Invariant for EqualLedgers {
    fn name(&self) -> &'static str {
        "replicas at the same place are equal"
    }

    fn after(&mut self, world: &dyn Observed, step: &Step<'_>) -> Result<(), String> {
        if !step.applied {
            return Ok(());
        }
        let Some(replica) = world.replica(step.peer) else { return Ok(()) };
        let index = replica.position().index;
        if is_looked_at(world, step.peer, index) {
            compare(world, step.peer)?;
        }
        Ok(())
    }

    fn at_end(&mut self, world: &dyn Observed) -> Result<(), String> {
        world.peers().iter().try_for_each(|peer| compare(world, *peer))
    }
}

/// So many replicas are looked at after each entry.
const LOOKS: usize = 8;

fn is_looked_at(world: &dyn Observed, peer: PeerId, index: u64) -> bool {
    let every = u64::try_from(world.peers().len().div_ceil(LOOKS)).unwrap_or(1);
    let place = world.place(peer).unwrap_or(0);
    (index + u64::try_from(place).unwrap_or(0)).is_multiple_of(every)
}

fn compare(world: &dyn Observed, peer: PeerId) -> Result<(), String> {
    let Some(ledger) = world.replica(peer) else { return Ok(()) };
    let position = ledger.position();
    let Some(logged) = world.logged(position.index) else {
        let who = world.name(peer);
        return Err(format!("{who} is at {}, which is not committed", position.index));
    };
    let Some(expected) = logged.ledger else { return Ok(()) };
    if logged.position != position || world.fingerprint(peer) != Some(expected) {
        return Err(format!(
            "the ledger of {} at {}.{} is not what follows from the log",
            world.name(peer),
            position.term,
            position.index
        ));
    }
    Ok(())
}
