//! No neighbour acts on a silent peer unless the leader and enough witnesses saw the silence for
//! themselves, and a majority has it in the log.

use super::{Invariant, Observed, Step, executions};
use protocol::{
    name::PeerId,
    record::{Because, Seen},
};
use std::collections::BTreeSet;

/// How many must have been asked beside the leader, where there are so many; one of them at least
/// must have looked.
const WITNESSES: usize = 2;

/// Looks at each step for itself.
#[derive(Debug)]
pub(super) struct Attested;

impl Invariant for Attested {
    fn name(&self) -> &'static str {
        "a neighbour acts on attested silence only"
    }

    fn after(&mut self, world: &dyn Observed, step: &Step<'_>) -> Result<(), String> {
        for execution in executions(world, step) {
            let (incident, attempt) = execution?;
            let Because::Silent { witnesses, .. } = &incident.because else { continue };
            let of = |wanted: fn(Seen) -> bool| -> BTreeSet<PeerId> {
                witnesses
                    .iter()
                    .filter(|testimony| wanted(testimony.seen))
                    .map(|testimony| testimony.witness)
                    .filter(|witness| *witness != incident.peer)
                    .collect()
            };
            let (asked, saw) = (of(|_| true), of(Seen::is_silence));
            let leader_saw = saw.contains(&incident.opened_by);
            // Peers that were silent or stopped themselves could not be witnesses.
            let able = world.able_to_attest(incident.id);
            let needed = able.min(1);
            let asked_enough = asked.len() > WITNESSES.min(able);
            let denied = !of(Seen::is_life).is_empty();
            if !leader_saw || !asked_enough || denied || saw.len() < needed + 1 {
                return Err(format!(
                    "attempt {} of {} acts on {}, whose silence {} of {} have seen (the leader: \
                     {leader_saw})",
                    attempt.number,
                    incident.id,
                    world.name(incident.peer),
                    saw.len(),
                    needed + 1
                ));
            }
        }
        Ok(())
    }
}
