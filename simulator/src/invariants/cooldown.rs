//! No oscillation: between two incidents of a target a runbook cools down, and an incident climbs
//! no rung more often than it may be tried.

use super::{Invariant, Step, executions};
use crate::world::World;
use protocol::{
    ledger::incident::ATTEMPTS_PER_RUNG_MAX,
    name::{IncidentId, Name, PeerId},
};
use std::{collections::BTreeMap, time::Duration};

/// When each runbook last acted on each target, and for which incident.
#[derive(Debug, Default)]
pub(super) struct CoolDown {
    acted: BTreeMap<(Name, PeerId), (IncidentId, Duration)>,
    tried: BTreeMap<(IncidentId, u32), u32>,
}

impl Invariant for CoolDown {
    fn name(&self) -> &'static str {
        "actions per target are bounded"
    }

    fn after(&mut self, world: &World<'_>, step: &Step<'_>) -> Result<(), String> {
        for execution in executions(world, step) {
            let (incident, attempt) = execution?;
            let Some(plan) = &incident.plan else { continue };
            let tried = self.tried.entry((incident.id, attempt.rung)).or_default();
            *tried += 1;
            if *tried > ATTEMPTS_PER_RUNG_MAX {
                return Err(format!(
                    "rung {} of {} is executed for the {tried}th time",
                    attempt.rung + 1,
                    incident.id
                ));
            }
            let key = (plan.name.clone(), incident.peer);
            let before = self.acted.insert(key, (incident.id, world.time));
            // A clock that jumped ahead takes the log's time with it, and cool-downs end early:
            // the price of never reading a clock in the ledger.
            if let Some((other, at)) = before.filter(|(other, _)| *other != incident.id)
                && !world.clocks_jumped
                && world.time < at + plan.cooldown
            {
                return Err(format!(
                    "runbook \"{}\" acts on {} for {} at {:?}, and did for {other} at {at:?}",
                    plan.name,
                    world.name(incident.peer),
                    incident.id,
                    world.time
                ));
            }
        }
        Ok(())
    }
}
