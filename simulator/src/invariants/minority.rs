//! Without a quorum nothing is done: on the smaller side of a network that has fallen apart nobody
//! begins what was decided after it fell apart.

use super::{Invariant, Observed, Step, executions};
use protocol::{
    name::{IncidentId, PeerId},
    record::Record,
};
use std::collections::BTreeMap;

/// Who is cut off, and how much of the log was committed when that happened.
#[derive(Debug, Default)]
pub(super) struct Minority {
    cut_off: BTreeMap<PeerId, u64>,
}

impl Invariant for Minority {
    fn name(&self) -> &'static str {
        "a minority begins nothing"
    }

    fn after(&mut self, world: &dyn Observed, step: &Step<'_>) -> Result<(), String> {
        let committed = world.committed();
        if !world.may_be_divided() {
            self.cut_off.clear();
            return Ok(());
        }
        for peer in world.peers() {
            if world.is_in_a_minority(*peer) {
                self.cut_off.entry(*peer).or_insert(committed);
            } else {
                self.cut_off.remove(peer);
            }
        }
        for execution in executions(world, step) {
            let (incident, attempt) = execution?;
            let Some(known) = self.cut_off.get(&step.peer) else { continue };
            let given_out = given_out(world, incident.id, attempt.number);
            if given_out.is_none_or(|index| index > *known) {
                return Err(format!(
                    "{} is cut off with the log up to {known} and begins attempt {} of {}, \
                     given out at {given_out:?}",
                    world.name(step.peer),
                    attempt.number,
                    incident.id
                ));
            }
        }
        Ok(())
    }
}

/// Where the log has an assignment.
fn given_out(world: &dyn Observed, of: IncidentId, number: u32) -> Option<u64> {
    let is_it = |record: &Record| {
        matches!(record, Record::Assigned { incident, attempt, .. }
            if (*incident, *attempt) == (of, number))
    };
    let mut log = world.log().iter().rev();
    let found = log.find(|logged| logged.entry.as_ref().is_some_and(|entry| is_it(&entry.record)));
    found.map(|logged| logged.position.index)
}
