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

/// A rule: whether the next rung of an incident may be given out at a moment.
type Holds = fn(&Ledger, &Incident, Timestamp) -> Result<(), Refusal>;

/// One rule.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// What operators call it.
    pub name: &'static str,
    /// Whether it holds for what begins a rung alone, and not for what looks at one that was begun
    /// or takes it back.
    begins: bool,
    holds: Holds,
}

impl Rule {
    const fn always(name: &'static str, holds: Holds) -> Self {
        Self { name, begins: false, holds }
    }

    const fn to_begin(name: &'static str, holds: Holds) -> Self {
        Self { name, begins: true, holds }
    }

    /// Whether it permits the next rung of this incident.
    ///
    /// # Errors
    /// The [`Refusal`] that names the rule, with its facts.
    pub fn permits(
        self,
        ledger: &Ledger,
        incident: &Incident,
        at: Timestamp,
    ) -> Result<(), Refusal> {
        if self.begins && incident.next_part != Part::Act {
            return Ok(());
        }
        (self.holds)(ledger, incident, at)
    }
}

/// Every rule, in the order in which they are asked.
pub const RULES: [Rule; 12] = [
    Rule::always("freeze", thawed),
    Rule::to_begin("shadow", shadowed),
    Rule::always("maintenance", under_maintenance),
    Rule::always("settling", settled),
    Rule::always("attempt under way", outlived),
    Rule::always("backoff", waited),
    Rule::to_begin("once", only_once),
    Rule::to_begin("cool-down", cooled_down),
    Rule::to_begin("circuit breaker", unbroken),
    Rule::to_begin("repeat", repeated),
    Rule::to_begin("parameters", resolved),
    Rule::to_begin("blast radius", within_bounds),
];

/// Whether the next rung of this incident may be given out at `at`, or the rule that forbids it.
///
/// # Errors
/// The [`Refusal`] that names the rule, with its facts.
pub fn permit(ledger: &Ledger, incident: &Incident, at: Timestamp) -> Result<(), Refusal> {
    if incident.plan.is_none() {
        return Err(Refusal::NoRunbook);
    }
    RULES.iter().try_for_each(|rule| rule.permits(ledger, incident, at))
}

fn thawed(ledger: &Ledger, _incident: &Incident, _at: Timestamp) -> Result<(), Refusal> {
    match ledger.frozen() {
        Some(freeze) => Err(Refusal::Frozen { since: freeze.since, reason: freeze.reason.clone() }),
        None => Ok(()),
    }
}

/// A rung that failed is tried again after a wait.
fn waited(_ledger: &Ledger, incident: &Incident, at: Timestamp) -> Result<(), Refusal> {
    match incident.not_before.filter(|until| *until > at) {
        Some(until) => Err(Refusal::Backoff { until }),
        None => Ok(()),
    }
}

/// Every parameter has a value that fits.
fn resolved(ledger: &Ledger, incident: &Incident, _at: Timestamp) -> Result<(), Refusal> {
    let (Some(plan), Some(member)) = (&incident.plan, ledger.roster().ever(incident.peer)) else {
        return Ok(());
    };
    params::resolve(&plan.params, &member.card.labels, &incident.because).map(|_| ())
}

/// The maintenance that a peer with these labels is under, if it is under one.
pub fn maintenance(
    ledger: &Ledger,
    (peer, labels): (PeerId, &Labels),
    at: Timestamp,
) -> Option<Refusal> {
    let started = ledger.windows().iter().find_map(|(name, window)| {
        let covers = window.since <= at && at < window.until && window.is_for(peer, labels);
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
        if let Some(refusal) = maintenance(ledger, (member.card.id, &member.card.labels), at) {
            return Err(refusal);
        }
    }
    Ok(())
}

fn shadowed(_ledger: &Ledger, incident: &Incident, _at: Timestamp) -> Result<(), Refusal> {
    let shadow = incident.plan.as_ref().is_some_and(|plan| plan.mode == Mode::Shadow);
    match incident.next_rung() {
        Some(rung) if shadow => Err(Refusal::Shadow { rung: rung.name.clone() }),
        Some(_) | None => Ok(()),
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
fn outlived(ledger: &Ledger, incident: &Incident, at: Timestamp) -> Result<(), Refusal> {
    let target = incident.peer;
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
fn only_once(_ledger: &Ledger, incident: &Incident, _at: Timestamp) -> Result<(), Refusal> {
    match incident.next_rung() {
        Some(rung) if rung.effect == Effect::Once && incident.was_started(incident.climbed) => {
            Err(Refusal::OnceOnly { rung: rung.name.clone() })
        }
        Some(_) | None => Ok(()),
    }
}

/// The cool-down stands between incidents; within one, the rungs follow each other. What an
/// operator orders does not wait for it.
fn cooled_down(ledger: &Ledger, incident: &Incident, at: Timestamp) -> Result<(), Refusal> {
    let Some(plan) = &incident.plan else { return Ok(()) };
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
fn unbroken(ledger: &Ledger, incident: &Incident, at: Timestamp) -> Result<(), Refusal> {
    let Some(plan) = &incident.plan else { return Ok(()) };
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

fn within_bounds(ledger: &Ledger, incident: &Incident, at: Timestamp) -> Result<(), Refusal> {
    let Some(plan) = &incident.plan else { return Ok(()) };
    let others: Vec<&Incident> =
        ledger.under_repair(at).filter(|other| other.id != incident.id).collect();
    let limits = ledger.library().limits();
    // Thousands of peers and repairs are counted only where a bound asks for it: this is looked at
    // for every open incident at every look of the leader.
    let all = || [&limits.mesh, &plan.bounds].into_iter().chain(limits.per_label.values());
    let first = incident.attempts.is_empty() && all().any(|bounds| bounds.per_hour.is_some());
    let begun: Vec<&Begun> = if first { ledger.memory().begun(at).collect() } else { Vec::new() };
    let counts_peers = all().any(|bounds| {
        let shares = bounds.share_percent.is_some() && !others.is_empty();
        shares || bounds.min_healthy_percent.is_some()
    });
    let scope = if counts_peers { peers_in_scope(ledger, plan) } else { BTreeSet::new() };
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
