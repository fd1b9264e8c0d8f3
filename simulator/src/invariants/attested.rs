//! No neighbour acts on a silent peer unless the leader and enough witnesses saw the silence for
//! themselves, and a majority has it in the log.

use super::{Invariant, Step, executions};
use crate::world::World;
use protocol::{
    name::PeerId,
    record::{Because, Seen},
};
use std::collections::BTreeSet;

/// How many must have seen it beside the leader, where there are so many.
const WITNESSES: usize = 2;

/// Looks at each step for itself.
#[derive(Debug)]
pub(super) struct Attested;

impl Invariant for Attested {
    fn name(&self) -> &'static str {
        "a neighbour acts on attested silence only"
    }

    fn after(&mut self, world: &World<'_>, step: &Step<'_>) -> Result<(), String> {
        for execution in executions(world, step) {
            let (incident, attempt) = execution?;
            let Because::Silent { witnesses, .. } = &incident.because else { continue };
            let others = world.hosts.len().saturating_sub(2);
            let saw: BTreeSet<PeerId> = witnesses
                .iter()
                .filter(|testimony| testimony.seen != Seen::Reached)
                .map(|testimony| testimony.witness)
                .filter(|witness| *witness != incident.peer)
                .collect();
            let leader_saw = saw.contains(&incident.opened_by);
            // Peers that are silent or stopped themselves cannot be witnesses.
            let able = world
                .raft
                .truth
                .roster()
                .running()
                .filter(|(peer, _)| !world.raft.truth.is_silent(*peer))
                .count();
            let needed = WITNESSES.min(others).min(able.saturating_sub(1));
            if !leader_saw || saw.len() < needed + 1 {
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
