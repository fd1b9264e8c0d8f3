//! No oscillation: between two incidents of a target a runbook cools down, and an incident climbs
//! no rung more often than it may be tried.

use super::{Invariant, Observed, Step, executions};
use protocol::{
    document::{Retry, Rung},
    ledger::incident::{ATTEMPTS_PER_RUNG_MAX, Attempt, Incident},
    name::{IncidentId, Name, PeerId},
    record::{Entry, Part, Record},
    refusal::Refusal,
};
use std::{collections::BTreeMap, time::Duration};

/// When each runbook last acted on each target, and for which incident.
#[derive(Debug, Default)]
pub(super) struct CoolDown {
    acted: BTreeMap<(Name, PeerId), (IncidentId, Duration)>,
    tried: BTreeMap<(IncidentId, u32, Part), u32>,
    /// How much of the log was read.
    read: usize,
    /// How many operations of surgeons were looked at.
    seen: usize,
}

/// How often a part of a rung is executed in one incident at most: as often as it says that it is
/// tried, and as often beside that as attempts are borne whose outcome nobody knows.
fn times_at_most(rung: Option<&Rung>) -> u32 {
    let tries = match rung.map(|rung| rung.retry) {
        Some(Retry::Times { times, .. }) => times,
        Some(Retry::Until { every, within }) => {
            let times = within.as_millis() / every.as_millis().max(1);
            u32::try_from(times).unwrap_or(u32::MAX).saturating_add(1)
        }
        None => 0,
    };
    tries.saturating_add(ATTEMPTS_PER_RUNG_MAX)
}

impl Invariant for CoolDown {
    fn name(&self) -> &'static str {
        "actions per target are bounded"
    }

    fn after(&mut self, world: &dyn Observed, step: &Step<'_>) -> Result<(), String> {
        for execution in executions(world, step) {
            let (incident, attempt) = execution?;
            self.acts(world, incident, attempt)?;
        }
        for operation in world.operations().iter().skip(self.seen) {
            self.seen += 1;
            let (id, number) = operation.key;
            let Some(incident) = world.truth().incidents().get(&id) else { continue };
            let attempt = incident.attempts.iter().find(|attempt| attempt.number == number);
            if let Some(attempt) = attempt {
                self.acts(world, incident, attempt)?;
            }
        }
        while let Some(logged) = world.log().get(self.read) {
            self.read += 1;
            if let Some(entry) = &logged.entry {
                not_longer_than_said(world, entry)?;
            }
        }
        Ok(())
    }
}

impl CoolDown {
    /// Somebody begins to execute an attempt: a peer, or a guest's surgeon.
    fn acts(
        &mut self,
        world: &dyn Observed,
        incident: &Incident,
        attempt: &Attempt,
    ) -> Result<(), String> {
        let Some(plan) = &incident.plan else { return Ok(()) };
        let key = (incident.id, attempt.rung, attempt.part);
        let tried = self.tried.entry(key).or_default();
        *tried += 1;
        if *tried > times_at_most(incident.rung(attempt.rung)) {
            return Err(format!(
                "rung {} of {} is executed for the {tried}th time",
                attempt.rung + 1,
                incident.id
            ));
        }
        if attempt.part == Part::Verify {
            // To look whether a rung has helped changes nothing.
            return Ok(());
        }
        let key = (plan.name.clone(), incident.peer);
        let before = self.acted.insert(key, (incident.id, world.time()));
        // A clock that jumped ahead takes the log's time with it, and cool-downs end early:
        // the price of never reading a clock in the ledger.
        if let Some((other, at)) = before.filter(|(other, _)| *other != incident.id)
            && !world.clocks_jumped()
            && world.time() < at + plan.cooldown
        {
            return Err(format!(
                "runbook \"{}\" acts on {} for {} at {:?}, and did for {other} at {at:?}",
                plan.name,
                world.name(incident.peer),
                incident.id,
                world.time()
            ));
        }
        Ok(())
    }
}

/// A cool-down is counted from now at most: a clock that was ahead and is not any more, or whoever
/// leads next with another one, does not prolong it.
fn not_longer_than_said(world: &dyn Observed, entry: &Entry) -> Result<(), String> {
    let Record::Held { incident, refusal: Refusal::CoolDown { runbook, until } } = &entry.record
    else {
        return Ok(());
    };
    let plan = world.truth().incidents().get(incident).and_then(|known| known.plan.as_ref());
    match plan {
        Some(plan) if *until > entry.at.plus(plan.cooldown) => Err(format!(
            "{incident} waits for runbook \"{runbook}\" to cool down until {until}, and it was {} \
             when that was said",
            entry.at
        )),
        Some(_) | None => Ok(()),
    }
}
