//! No limit is ever exceeded: counted over what is truly executed on the hosts, and over what the
//! log has given out.

use super::{Invariant, Observed, Step};
use protocol::{
    document::{On, Selector},
    ledger::incident::Incident,
    name::PeerId,
};
use std::collections::BTreeSet;

/// Looks at each step for itself.
#[derive(Debug)]
pub(super) struct Limits;

impl Invariant for Limits {
    fn name(&self) -> &'static str {
        "no limit is exceeded"
    }

    fn after(&mut self, world: &dyn Observed, _step: &Step<'_>) -> Result<(), String> {
        let ledger = world.truth();
        let limits = ledger.library().limits();
        let given_out: Vec<&Incident> =
            ledger.open_incidents().filter(|incident| incident.in_flight().is_some()).collect();
        let executed = world.executions().count();
        if let Some(limit) = limits.mesh.at_once.and_then(|limit| usize::try_from(limit).ok()) {
            if executed > limit {
                let which: Vec<String> =
                    world.executions().map(|((id, number), _)| format!("{id}/{number}")).collect();
                return Err(format!(
                    "{executed} executions at once, at most {limit} may be: {}",
                    which.join(", ")
                ));
            }
            if given_out.len() > limit {
                return Err(format!("{} repairs are given out, limit {limit}", given_out.len()));
            }
        }
        let Some(percent) = limits.mesh.share_percent else { return Ok(()) };
        for incident in &given_out {
            let fits = in_scope(world, incident);
            let targets: BTreeSet<PeerId> = given_out
                .iter()
                .map(|other| other.peer)
                .chain(world.executions().map(|(_, target)| target))
                .filter(|peer| fits.contains(peer))
                .collect();
            let percent = usize::try_from(percent).unwrap_or(100);
            let limit = (fits.len() * percent / 100).max(1);
            if targets.len() > limit {
                return Err(format!(
                    "{} of {} peers are under repair at once, at most {limit} may be",
                    targets.len(),
                    fits.len()
                ));
            }
        }
        let mut busy: BTreeSet<_> = BTreeSet::new();
        for ((incident, number), _) in world.executions() {
            if !busy.insert(incident) {
                return Err(format!("{incident} has attempt {number} executed beside another"));
            }
        }
        Ok(())
    }
}

/// The hosts that an incident's runbook is for: guests are repaired as peers are.
fn in_scope(world: &dyn Observed, incident: &Incident) -> BTreeSet<PeerId> {
    let ledger = world.truth();
    let Some(plan) = &incident.plan else { return BTreeSet::new() };
    let signal = match &plan.on {
        On::Check(check) => ledger.library().check(check).map(|check| check.selector.clone()),
        On::Peer(_) | On::Ladder(_) | On::Operator => None,
    };
    let signal: Selector = signal.unwrap_or_default();
    ledger
        .roster()
        .hosts()
        .filter(|(_, member)| plan.selector.fits(&member.card.labels))
        .filter(|(_, member)| signal.fits(&member.card.labels))
        .map(|(peer, _)| peer)
        .collect()
}
