//! The blast radius: how many repairs there may be at once, in an hour, in a zone, and how many
//! peers have to be well meanwhile.
//!
//! Peers are counted over the roster in the ledger, never over gossip: a partition must not make
//! the mesh look smaller.

use super::{
    Ledger,
    incident::Incident,
    memory::{Begun, HOUR},
    roster::Standing,
};
use crate::{
    document::{Bounds, On, Runbook, Selector},
    name::{Name, PeerId},
    refusal::Refusal,
    time::Timestamp,
};
use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet},
};

/// Which repairs and which peers a bound counts.
struct Counted<'a> {
    /// In words: `in the mesh`.
    whole: String,
    /// In words: `that this runbook is for`.
    peers_in_words: String,
    others: Vec<&'a Incident>,
    begun: Vec<&'a Begun>,
    /// Counted only where a bound asks for it: thousands of peers are walked for it.
    peers: &'a dyn Fn() -> &'a BTreeSet<PeerId>,
}

/// Whether one more repair is within every limit: of the mesh, of the runbook, of each label.
///
/// # Errors
/// The [`Refusal`] that names the limit.
pub(super) fn within_bounds(
    ledger: &Ledger,
    incident: &Incident,
    at: Timestamp,
) -> Result<(), Refusal> {
    let Some(plan) = &incident.plan else { return Ok(()) };
    let limits = ledger.library().limits();
    let others: Vec<&Incident> =
        ledger.under_repair(at).filter(|other| other.id != incident.id).collect();
    let mut all = [&limits.mesh, &plan.bounds].into_iter().chain(limits.per_label.values());
    let first = incident.attempts.is_empty() && all.any(|bounds| bounds.per_hour.is_some());
    let begun: Vec<&Begun> = if first { ledger.memory().begun(at).collect() } else { Vec::new() };
    let counted = OnceCell::new();
    let scope = || counted.get_or_init(|| peers_in_scope(ledger, plan));
    let for_this = || "that this runbook is for".to_owned();
    if limits.mesh != Bounds::NONE {
        let mesh = Counted {
            whole: "in the mesh".to_owned(),
            peers_in_words: for_this(),
            others: others.clone(),
            begun: begun.clone(),
            peers: &scope,
        };
        permitted(ledger, &limits.mesh, incident, &mesh)?;
        within_the_shares_of_others(ledger, &limits.mesh, incident, &others)?;
    }
    if plan.bounds != Bounds::NONE {
        let of_this =
            |other: &&&Incident| other.plan.as_ref().is_some_and(|other| other.name == plan.name);
        let own = Counted {
            whole: format!("of runbook \"{}\"", plan.name),
            peers_in_words: for_this(),
            others: others.iter().filter(of_this).copied().collect(),
            begun: begun.iter().copied().filter(|begun| begun.runbook == plan.name).collect(),
            peers: &scope,
        };
        permitted(ledger, &plan.bounds, incident, &own)?;
    }
    let Some(member) = ledger.roster().ever(incident.peer) else { return Ok(()) };
    for (label, bounds) in &limits.per_label {
        let Some(value) = member.card.labels.get(label) else { continue };
        let counted = OnceCell::new();
        let of_group = || counted.get_or_init(|| peers_with(ledger, label, value));
        let group = Counted {
            whole: format!("with {label}={value}"),
            peers_in_words: format!("with {label}={value}"),
            others: others.iter().copied().filter(|o| of_group().contains(&o.peer)).collect(),
            begun: begun.iter().copied().filter(|b| of_group().contains(&b.peer)).collect(),
            peers: &of_group,
        };
        permitted(ledger, bounds, incident, &group)?;
    }
    Ok(())
}

/// Another runbook's share of its own peers is not exceeded by a repair of one of them either,
/// whatever that is for: to a group of hosts it does not matter by which runbook too many are away.
fn within_the_shares_of_others(
    ledger: &Ledger,
    bounds: &Bounds,
    incident: &Incident,
    others: &[&Incident],
) -> Result<(), Refusal> {
    if bounds.share_percent.is_none() {
        return Ok(());
    }
    let own = incident.plan.as_ref().map(|plan| &plan.name);
    let plans = others.iter().filter_map(|other| other.plan.as_ref());
    let plans: BTreeMap<&Name, &Runbook> = plans.map(|plan| (&plan.name, plan)).collect();
    for (name, plan) in plans.into_iter().filter(|(name, _)| Some(*name) != own) {
        let peers = peers_in_scope(ledger, plan);
        if !peers.contains(&incident.peer) {
            continue;
        }
        let theirs = Counted {
            whole: "in the mesh".to_owned(),
            peers_in_words: format!("that runbook \"{name}\" is for"),
            others: others.to_vec(),
            begun: Vec::new(),
            peers: &|| &peers,
        };
        within_share(bounds, incident.peer, &theirs)?;
    }
    Ok(())
}

fn peers_with(ledger: &Ledger, label: &str, value: &str) -> BTreeSet<PeerId> {
    let hosts = ledger.roster().hosts();
    let fits = hosts.filter(|(_, m)| m.card.labels.get(label).is_some_and(|own| own == value));
    fits.map(|(peer, _)| peer).collect()
}

fn permitted(
    ledger: &Ledger,
    bounds: &Bounds,
    incident: &Incident,
    counted: &Counted<'_>,
) -> Result<(), Refusal> {
    let in_flight = number(counted.others.len());
    if let Some(limit) = bounds.at_once.filter(|limit| in_flight >= *limit) {
        return Err(Refusal::BlastRadius { scope: counted.whole.clone(), limit, in_flight });
    }
    let begun = number(counted.begun.len());
    if let Some(limit) = bounds.per_hour.filter(|limit| begun >= *limit) {
        let oldest = counted.begun.first().map_or(Timestamp::default(), |begun| begun.at);
        let (scope, until) = (counted.whole.clone(), oldest.plus(HOUR));
        return Err(Refusal::PerHour { scope, limit, begun, until });
    }
    within_share(bounds, incident.peer, counted)?;
    well_enough(ledger, bounds, incident.peer, counted)?;
    within_zone(ledger, bounds, incident.peer, counted)
}

/// The share counts different targets over the peers of the roster, never over gossip: a partition
/// must not make the mesh look smaller.
fn within_share(bounds: &Bounds, target: PeerId, counted: &Counted<'_>) -> Result<(), Refusal> {
    let Some(share_percent) = bounds.share_percent else { return Ok(()) };
    let targets: BTreeSet<PeerId> = counted
        .others
        .iter()
        .map(|other| other.peer)
        .filter(|peer| *peer != target && (counted.peers)().contains(peer))
        .collect();
    // One is always allowed: a share of a small group would otherwise forbid every repair.
    if targets.is_empty() {
        return Ok(());
    }
    let of = number((counted.peers)().len());
    let in_flight = number(targets.len());
    let limit = (of.saturating_mul(share_percent) / 100).max(1);
    if in_flight >= limit {
        let scope = counted.peers_in_words.clone();
        return Err(Refusal::Share { scope, limit, share_percent, in_flight, of });
    }
    Ok(())
}

/// A peer is well that runs and has no open incident; a guest that has none. The target is not, so a repair of the last
/// one that is ill is always allowed where the others are enough.
fn well_enough(
    ledger: &Ledger,
    bounds: &Bounds,
    target: PeerId,
    counted: &Counted<'_>,
) -> Result<(), Refusal> {
    let Some(min_percent) = bounds.min_healthy_percent else { return Ok(()) };
    let ill: BTreeSet<PeerId> = ledger.open_incidents().map(|incident| incident.peer).collect();
    let runs = |peer: &PeerId| {
        let member = ledger.roster().member(*peer);
        member.is_some_and(|m| matches!(m.standing, Standing::Running | Standing::Guest))
    };
    let peers = (counted.peers)();
    let healthy =
        peers.iter().filter(|peer| **peer != target && !ill.contains(peer) && runs(peer)).count();
    let (healthy, of) = (number(healthy), number(peers.len()));
    if u64::from(healthy) * 100 < u64::from(of) * u64::from(min_percent) {
        let scope = counted.peers_in_words.clone();
        return Err(Refusal::MinHealthy { scope, healthy, of, min_percent });
    }
    Ok(())
}

fn within_zone(
    ledger: &Ledger,
    bounds: &Bounds,
    target: PeerId,
    counted: &Counted<'_>,
) -> Result<(), Refusal> {
    let Some(limit) = bounds.at_once_per_zone else { return Ok(()) };
    let zone_of = |peer: PeerId| ledger.roster().ever(peer).map_or("", |member| member.zone());
    let zone = zone_of(target);
    let in_flight =
        number(counted.others.iter().filter(|other| zone_of(other.peer) == zone).count());
    if in_flight >= limit {
        return Err(Refusal::Zone { zone: zone.to_owned(), limit, in_flight });
    }
    Ok(())
}

/// The peers that a runbook is for: those that its check runs on and its own selector fits.
fn peers_in_scope(ledger: &Ledger, plan: &Runbook) -> BTreeSet<PeerId> {
    let everyone = Selector::default();
    let signal = match &plan.on {
        On::Check(check) => ledger.library().check(check).map_or(&everyone, |c| &c.selector),
        On::Peer(_) | On::Ladder(_) | On::Operator => &everyone,
    };
    ledger
        .roster()
        .hosts()
        .filter(|(_, member)| plan.selector.fits(&member.card.labels))
        .filter(|(_, member)| signal.fits(&member.card.labels))
        .map(|(peer, _)| peer)
        .collect()
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
