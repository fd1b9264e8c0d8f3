//! How much may be done at once: asked by the leader before it proposes, and by
//! [`Ledger::apply`] when the proposal is committed.
//!
//! The same function answers `explain`: why nothing is done, and until when. When several rules
//! apply, each has to permit it, so the strictest holds; the one that only a person lifts is named
//! first.

use super::{
    Ledger,
    incident::Incident,
    memory::{Begun, HOUR},
    roster::Standing,
};
use crate::{
    document::{Bounds, Effect, Mode, On, Runbook, Selector, params},
    name::{Labels, Name, PeerId},
    record::{Because, Part},
    refusal::Refusal,
    time::Timestamp,
};
use std::collections::BTreeSet;

/// Whether the next rung of this incident may be given out at `at`, or the rule that forbids it.
///
/// # Errors
/// The [`Refusal`] that names the rule, with its facts.
pub fn permit(ledger: &Ledger, incident: &Incident, at: Timestamp) -> Result<(), Refusal> {
    let plan = incident.plan.as_ref().ok_or(Refusal::NoRunbook)?;
    if let Some(freeze) = ledger.frozen() {
        let (since, reason) = (freeze.since, freeze.reason.clone());
        return Err(Refusal::Frozen { since, reason });
    }
    let acts = incident.next_part == Part::Act;
    if acts {
        shadowed(plan, incident)?;
    }
    under_maintenance(ledger, incident, at)?;
    settled(ledger, incident, at)?;
    outlived(ledger, incident.peer, at)?;
    if let Some(until) = incident.not_before.filter(|until| *until > at) {
        return Err(Refusal::Backoff { until });
    }
    if !acts {
        // What looks at or takes back a rung that was begun is no new repair.
        return Ok(());
    }
    only_once(incident)?;
    cooled_down(ledger, plan, incident, at)?;
    unbroken(ledger, plan, at)?;
    repeated(ledger, incident, at)?;
    if let Some(member) = ledger.roster().ever(incident.peer) {
        params::resolve(&plan.params, &member.card.labels, &incident.because)?;
    }
    within_bounds(ledger, plan, incident, at)
}

/// The maintenance that a peer with these labels is under, if it is under one.
pub fn maintenance(ledger: &Ledger, labels: &Labels, at: Timestamp) -> Option<Refusal> {
    let started = ledger.windows().iter().find_map(|(name, window)| {
        let covers = window.since <= at && at < window.until && window.selector.fits(labels);
        covers.then(|| (name.clone(), window.until, window.reason.clone()))
    });
    let (name, until, reason) = started.or_else(|| {
        ledger.library().maintenances().filter(|window| window.selector.fits(labels)).find_map(
            |window| {
                Some((window.name.clone(), window.schedule.covers(at)?, window.reason.clone()))
            },
        )
    })?;
    Some(Refusal::Maintenance { name, until, reason })
}

fn under_maintenance(ledger: &Ledger, incident: &Incident, at: Timestamp) -> Result<(), Refusal> {
    let targets =
        [Some(incident.peer), incident.next_rung().and_then(|rung| rung.level.as_ref()?.target)];
    for member in targets.into_iter().flatten().filter_map(|peer| ledger.roster().ever(peer)) {
        if let Some(refusal) = maintenance(ledger, &member.card.labels, at) {
            return Err(refusal);
        }
    }
    Ok(())
}

fn shadowed(plan: &Runbook, incident: &Incident) -> Result<(), Refusal> {
    match (plan.mode, incident.next_rung()) {
        (Mode::Shadow, Some(rung)) => Err(Refusal::Shadow { rung: rung.name.clone() }),
        (Mode::Shadow, None) | (Mode::Auto | Mode::Ask, _) => Ok(()),
    }
}

/// Nothing acts on a target while the effect of an earlier rung settles, whoever it was for.
fn settled(ledger: &Ledger, incident: &Incident, at: Timestamp) -> Result<(), Refusal> {
    // What is to be undone does not get better by waiting.
    if incident.next_part == Part::Undo {
        return Ok(());
    }
    match ledger.settling.get(&incident.peer).copied() {
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

/// A rung whose effect is `once` is started once in an incident, whatever became of it.
fn only_once(incident: &Incident) -> Result<(), Refusal> {
    match incident.next_rung() {
        Some(rung) if rung.effect == Effect::Once && incident.was_started(incident.climbed) => {
            Err(Refusal::OnceOnly { rung: rung.name.clone() })
        }
        Some(_) | None => Ok(()),
    }
}

/// The cool-down stands between incidents; within one, the rungs follow each other. What an
/// operator orders does not wait for it.
fn cooled_down(
    ledger: &Ledger,
    plan: &Runbook,
    incident: &Incident,
    at: Timestamp,
) -> Result<(), Refusal> {
    if !incident.attempts.is_empty() || matches!(incident.because, Because::Operator { .. }) {
        return Ok(());
    }
    let Some(acted) = ledger.acted.get(&(plan.name.clone(), incident.peer)) else {
        return Ok(());
    };
    let until = acted.plus(plan.cooldown);
    if until > at { Err(Refusal::CoolDown { runbook: plan.name.clone(), until }) } else { Ok(()) }
}

/// A runbook that came to nothing again and again stops until its failures are forgotten.
fn unbroken(ledger: &Ledger, plan: &Runbook, at: Timestamp) -> Result<(), Refusal> {
    let Some(breaker) = plan.breaker else { return Ok(()) };
    let mut failures = ledger.memory().failures(at, &plan.name, breaker.within);
    let oldest = failures.next();
    let count = number(failures.count()).saturating_add(u32::from(oldest.is_some()));
    match oldest {
        Some(oldest) if count >= breaker.failures => Err(Refusal::Breaker {
            runbook: plan.name.clone(),
            failures: count,
            until: oldest.plus(breaker.within),
        }),
        Some(_) | None => Ok(()),
    }
}

/// A rung that did not help on this host a short while ago, or helped only for a moment again and
/// again, is not repeated there: the next one is climbed.
///
/// # Errors
/// [`Refusal::Repeated`].
pub fn repeated(ledger: &Ledger, incident: &Incident, at: Timestamp) -> Result<(), Refusal> {
    let (Some(plan), Some(rung)) = (&incident.plan, incident.next_rung()) else { return Ok(()) };
    let one_by_one = matches!(incident.because, Because::Check { .. }) && !plan.sequence;
    if !one_by_one || rung.tells().is_some() {
        return Ok(());
    }
    let key = (plan.name.clone(), rung.name.clone(), incident.peer);
    let within = plan.repeat.within;
    let all: Vec<_> = ledger.memory().on_peer(at, &key, within, incident.id).collect();
    let useless = all.last().filter(|last| !last.helped);
    let often = (number(all.len()) >= plan.repeat.times).then(|| all.first()).flatten();
    match useless.or(often.copied().as_ref()) {
        Some(tried) => Err(Refusal::Repeated {
            rung: rung.name.clone(),
            times: number(all.len()),
            until: tried.at.plus(within),
        }),
        None => Ok(()),
    }
}

/// Which repairs and which peers a bound counts.
struct Counted<'a> {
    /// In words: `in the mesh`.
    whole: String,
    /// In words: `that this runbook is for`.
    peers_in_words: String,
    others: Vec<&'a Incident>,
    begun: Vec<&'a Begun>,
    peers: BTreeSet<PeerId>,
}

fn within_bounds(
    ledger: &Ledger,
    plan: &Runbook,
    incident: &Incident,
    at: Timestamp,
) -> Result<(), Refusal> {
    let others: Vec<&Incident> =
        ledger.under_repair(at).filter(|other| other.id != incident.id).collect();
    let first = incident.attempts.is_empty();
    let begun: Vec<&Begun> = if first { ledger.memory().begun(at).collect() } else { Vec::new() };
    let limits = ledger.library().limits();
    let scope = peers_in_scope(ledger, plan);
    let for_this = "that this runbook is for".to_owned();
    let mesh = Counted {
        whole: "in the mesh".to_owned(),
        peers_in_words: for_this.clone(),
        others: others.clone(),
        begun: begun.clone(),
        peers: scope.clone(),
    };
    permitted(ledger, &limits.mesh, incident, &mesh)?;
    let of_this = |name: &Name| *name == plan.name;
    let own = Counted {
        whole: format!("of runbook \"{}\"", plan.name),
        peers_in_words: for_this,
        others: others
            .iter()
            .copied()
            .filter(|other| other.plan.as_ref().is_some_and(|plan| of_this(&plan.name)))
            .collect(),
        begun: begun.iter().copied().filter(|begun| of_this(&begun.runbook)).collect(),
        peers: scope,
    };
    permitted(ledger, &plan.bounds, incident, &own)?;
    let Some(member) = ledger.roster().ever(incident.peer) else { return Ok(()) };
    for (label, bounds) in &limits.per_label {
        let Some(value) = member.card.labels.get(label) else { continue };
        let peers: BTreeSet<PeerId> = ledger
            .roster()
            .members()
            .filter(|(_, other)| other.card.labels.get(label) == Some(value))
            .map(|(peer, _)| peer)
            .collect();
        let group = Counted {
            whole: format!("with {label}={value}"),
            peers_in_words: format!("with {label}={value}"),
            others: others.iter().copied().filter(|other| peers.contains(&other.peer)).collect(),
            begun: begun.iter().copied().filter(|begun| peers.contains(&begun.peer)).collect(),
            peers,
        };
        permitted(ledger, bounds, incident, &group)?;
    }
    Ok(())
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
        .filter(|peer| *peer != target && counted.peers.contains(peer))
        .collect();
    let of = number(counted.peers.len());
    let in_flight = number(targets.len());
    // One is always allowed: a share of a small group would otherwise forbid every repair.
    let limit = (of.saturating_mul(share_percent) / 100).max(1);
    if in_flight >= limit {
        let scope = counted.peers_in_words.clone();
        return Err(Refusal::Share { scope, limit, share_percent, in_flight, of });
    }
    Ok(())
}

/// A peer is well that runs and has no open incident. The target is not, so a repair of the last
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
        ledger.roster().member(*peer).is_some_and(|member| member.standing == Standing::Running)
    };
    let healthy = counted
        .peers
        .iter()
        .filter(|peer| **peer != target && !ill.contains(peer) && runs(peer))
        .count();
    let (healthy, of) = (number(healthy), number(counted.peers.len()));
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
        .selected(&plan.selector)
        .filter(|(_, member)| signal.fits(&member.card.labels))
        .map(|(peer, _)| peer)
        .collect()
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
