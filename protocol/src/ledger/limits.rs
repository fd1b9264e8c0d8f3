//! How much may be done at once: asked by the leader before it proposes, and by
//! [`Ledger::apply`] when the proposal is committed.
//!
//! The same function answers `explain`: why nothing is done, and until when.

use super::{Ledger, incident::Incident};
use crate::{
    document::{On, Runbook, Selector},
    name::PeerId,
    refusal::Refusal,
    time::Timestamp,
};
use std::collections::BTreeSet;

/// Whether the next rung of this incident may be given out at `at`, or the rule that forbids it.
///
/// When several rules apply, the one that only a person lifts is named first.
///
/// # Errors
/// The [`Refusal`] that names the rule, with its facts.
pub fn permit(ledger: &Ledger, incident: &Incident, at: Timestamp) -> Result<(), Refusal> {
    let plan = incident.plan.as_ref().ok_or(Refusal::NoRunbook)?;
    if let Some(freeze) = ledger.frozen() {
        let (since, reason) = (freeze.since, freeze.reason.clone());
        return Err(Refusal::Frozen { since, reason });
    }
    settled(ledger, incident.peer, at)?;
    outlived(ledger, incident.peer, at)?;
    cooled_down(ledger, plan, incident, at)?;
    let others = under_repair(ledger, incident, at);
    within_at_once(ledger, &others)?;
    within_share(ledger, plan, incident.peer, &others)
}

/// Nothing acts on a target while the effect of an earlier rung settles, whoever it was for.
fn settled(ledger: &Ledger, target: PeerId, at: Timestamp) -> Result<(), Refusal> {
    match ledger.settling.get(&target).copied() {
        Some(until) if until > at => Err(Refusal::Settling { until }),
        Some(_) | None => Ok(()),
    }
}

/// Nothing acts on a target while an attempt of an incident that an operator closed still may.
fn outlived(ledger: &Ledger, target: PeerId, at: Timestamp) -> Result<(), Refusal> {
    let mut closed =
        ledger.under_repair(at).filter(|other| other.peer == target && other.state.is_over());
    match closed.find_map(|closed| Some((closed.id, closed.in_flight()?))) {
        Some((incident, attempt)) => {
            let (attempt, until) = (attempt.number, attempt.until);
            Err(Refusal::AttemptUnderWay { incident, attempt, until })
        }
        None => Ok(()),
    }
}

/// The cool-down stands between incidents; within one, the rungs follow each other.
fn cooled_down(
    ledger: &Ledger,
    plan: &Runbook,
    incident: &Incident,
    at: Timestamp,
) -> Result<(), Refusal> {
    if !incident.attempts.is_empty() {
        return Ok(());
    }
    let Some(acted) = ledger.acted.get(&(plan.name.clone(), incident.peer)) else {
        return Ok(());
    };
    let until = acted.plus(plan.cooldown);
    if until > at { Err(Refusal::CoolDown { runbook: plan.name.clone(), until }) } else { Ok(()) }
}

/// The other incidents whose targets are under repair.
fn under_repair<'a>(ledger: &'a Ledger, incident: &Incident, at: Timestamp) -> Vec<&'a Incident> {
    ledger.under_repair(at).filter(|other| other.id != incident.id).collect()
}

fn within_at_once(ledger: &Ledger, others: &[&Incident]) -> Result<(), Refusal> {
    let Some(limit) = ledger.library().limits().at_once else { return Ok(()) };
    let in_flight = u32::try_from(others.len()).unwrap_or(u32::MAX);
    if in_flight >= limit { Err(Refusal::BlastRadius { limit, in_flight }) } else { Ok(()) }
}

/// The share counts different targets over the peers of the roster that the runbook is for, never
/// over gossip: a partition must not make the mesh look smaller.
fn within_share(
    ledger: &Ledger,
    plan: &Runbook,
    target: PeerId,
    others: &[&Incident],
) -> Result<(), Refusal> {
    let Some(share_percent) = ledger.library().limits().share_percent else { return Ok(()) };
    // With nothing else under repair there is nothing to count, and one is always allowed.
    if others.iter().all(|other| other.peer == target) {
        return Ok(());
    }
    let fits = peers_in_scope(ledger, plan);
    let targets: BTreeSet<PeerId> = others
        .iter()
        .map(|other| other.peer)
        .filter(|peer| *peer != target && fits.contains(peer))
        .collect();
    let of = u32::try_from(fits.len()).unwrap_or(u32::MAX);
    let in_flight = u32::try_from(targets.len()).unwrap_or(u32::MAX);
    // One is always allowed: a share of a small group would otherwise forbid every repair.
    let limit = (of.saturating_mul(share_percent) / 100).max(1);
    if in_flight >= limit {
        return Err(Refusal::Share { limit, share_percent, in_flight, of });
    }
    Ok(())
}

/// The peers that a runbook is for: those that its check runs on and its own selector fits.
fn peers_in_scope(ledger: &Ledger, plan: &Runbook) -> BTreeSet<PeerId> {
    let everyone = Selector::default();
    let signal = match &plan.on {
        On::Check(check) => ledger.library().check(check).map_or(&everyone, |c| &c.selector),
        On::Peer(_) => &everyone,
    };
    ledger
        .roster()
        .selected(&plan.selector)
        .filter(|(_, member)| signal.fits(&member.card.labels))
        .map(|(peer, _)| peer)
        .collect()
}
